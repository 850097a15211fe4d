import pytest

from fleetgate.errors import InvalidRequest, LimitExceeded
from fleetgate.names import Act
from fleetgate.registry import identities


def test_ids_have_awss_form(act: Act) -> None:
    made = identities.unique_id(act, "AROA", "a")
    assert made == identities.unique_id(act, "AROA", "a") != identities.unique_id(act, "AROA", "b")
    assert len(made) == 21
    assert made.startswith("AROA")
    assert made.isalnum()
    assert made.isupper()


def test_tags() -> None:
    assert identities.checked({"a": "b"}) == {"a": "b"}
    with pytest.raises(InvalidRequest, match="AWS:x"):
        identities.checked({"AWS:x": "b"})
    with pytest.raises(LimitExceeded, match="50"):
        identities.checked({str(number): "" for number in range(51)})
