from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import authorities, functions, registration_functions
from fleetgate.registry.registration_functions import Binding

RED, BLUE = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def furnished(tx: Tx, act: Act) -> None:
    for name in ("greet", "check"):
        functions.put(tx, act, name, f"{name}.py", "lambda_handler")
    for fingerprint in (RED, BLUE):
        authorities.create(
            tx,
            act,
            fingerprint,
            "pem",
            subject=f"CN={fingerprint[0]}",
            public_key_fingerprint=fingerprint,
            not_before=0,
            not_after=act.now,
        )


def bind(tx: Tx, act: Act, name: str = "greet", ca: str | None = None) -> Binding:
    return registration_functions.bind(tx, act, name, ca)


def called(tx: Tx, realm: Realm, ca: str) -> list[str]:
    return [each.function_name for each in registration_functions.of_authority(tx, realm, ca)]


def test_a_function_is_called_for_every_ca_or_for_one(tx: Tx, act: Act, elsewhere: Realm) -> None:
    assert bind(tx, act) == Binding("greet", None, act.now)
    assert bind(tx, act, "check", RED) == Binding("check", RED, act.now)
    assert called(tx, act.realm, RED) == ["check", "greet"]
    assert called(tx, act.realm, BLUE) == ["greet"]
    assert called(tx, elsewhere, RED) == []


def test_binding_again_changes_nothing(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    first = bind(tx, act)
    assert bind(tx, later()) == first
    bind(tx, later(), ca=RED)
    assert called(tx, act.realm, RED) == ["greet"]  # once, however often it is bound


def test_bindings_end_one_by_one(tx: Tx, act: Act) -> None:
    bind(tx, act)
    bind(tx, act, ca=RED)
    registration_functions.unbind(tx, act, "greet", None)
    assert (called(tx, act.realm, BLUE), called(tx, act.realm, RED)) == ([], ["greet"])


def test_bindings_end_with_their_function(tx: Tx, act: Act) -> None:
    bind(tx, act)
    bind(tx, act, ca=RED)
    bind(tx, act, "check")
    functions.delete(tx, act, "greet")
    assert called(tx, act.realm, RED) == ["check"]


def test_what_is_not_there(tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound, match="No function"):
        bind(tx, act, "nobody")
    with pytest.raises(NotFound, match="CA certificate"):
        bind(tx, act, ca="c" * 64)
    with pytest.raises(NotFound, match="for certificates of every CA"):
        registration_functions.unbind(tx, act, "greet", None)
    with pytest.raises(NotFound, match=RED):
        registration_functions.unbind(tx, act, "greet", RED)
