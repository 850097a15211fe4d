from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.registry import claim_batches, claims
from fleetgate.registry.certificates import Certificate
from fleetgate.registry.claim_serials import LONGEST_SERIAL, OF_BATCHES, OF_CLAIMS, Lists, Use


@pytest.fixture(params=[OF_CLAIMS, OF_BATCHES], ids=["claim", "batch"])
def lists(request: pytest.FixtureRequest) -> Lists:
    kind: Lists = request.param
    return kind


@pytest.fixture
def owner(lists: Lists, tx: Tx, act: Act, certified: Callable[..., Certificate]) -> str:
    if lists is OF_CLAIMS:
        return claims.register(tx, act, certified().fingerprint).fingerprint
    return claim_batches.set_bounds(tx, act, "box", maximum=None, rate=None).batch


def test_a_serial_makes_one_thing(tx: Tx, act: Act, lists: Lists, owner: str) -> None:
    assert lists.add(tx, act.realm, owner, ["s1", "s2"]) == 2
    assert lists.add(tx, act.realm, owner, ["s2", "s3"]) == 1
    assert lists.look(tx, act.realm, owner, "s1", "one") == Use()
    lists.use(tx, act, owner, "s1", "one")
    assert lists.look(tx, act.realm, owner, "s1", "one") == Use(repeated=True)
    for name in ("two", None):
        assert "was used for thing one" in str(lists.look(tx, act.realm, owner, "s1", name).objection)
    for serial in ("s9", "", None, "S1", "s1\0"):
        assert f"is not on the list of {lists.kind} {owner}" in str(
            lists.look(tx, act.realm, owner, serial, "one").objection
        )
    used = {each.serial: (each.thing_name, each.used_at) for each in lists.page(tx, act.realm, owner, None, 9).items}
    assert used == {"s1": ("one", act.now), "s2": (None, None), "s3": (None, None)}


def test_pages(tx: Tx, act: Act, lists: Lists, owner: str) -> None:
    lists.add(tx, act.realm, owner, ["s1", "s2", "s3"])
    page = lists.page(tx, act.realm, owner, None, 2)
    assert [each.serial for each in page.items] == ["s1", "s2"]
    assert [each.serial for each in lists.page(tx, act.realm, owner, page.next_key, 2).items] == ["s3"]


@pytest.mark.parametrize("serial", ["", "x" * (LONGEST_SERIAL + 1), "a\0b", "a\n"])
def test_what_is_no_serial_number(tx: Tx, act: Act, lists: Lists, owner: str, serial: str) -> None:
    with pytest.raises(InvalidRequest, match="printable characters"):
        lists.add(tx, act.realm, owner, ["fine", serial])
    assert lists.page(tx, act.realm, owner, None, 9).items == ()
