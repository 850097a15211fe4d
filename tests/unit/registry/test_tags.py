from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import policies, tags, things


@pytest.fixture
def arn(tx: Tx, act: Act) -> str:
    policies.create(tx, act, "p", "{}")
    return act.realm.arn("policy", "p")


def test_put_and_remove(tx: Tx, act: Act, arn: str) -> None:
    tags.put(tx, act, arn, {"team": "blue", "cost": "7"})
    tags.put(tx, act, arn, {"team": "red"})
    assert tags.of(tx, act.realm, arn) == {"cost": "7", "team": "red"}
    tags.remove(tx, act, arn, ["team", "never there"])
    assert tags.of(tx, act.realm, arn) == {"cost": "7"}


def test_fifty_at_most(tx: Tx, act: Act, arn: str) -> None:
    tags.put(tx, act, arn, {str(number): "" for number in range(50)})
    tags.put(tx, act, arn, {"0": "changed"})
    with pytest.raises(LimitExceeded, match="at most 50"):
        tags.put(tx, act, arn, {"50": ""})


def test_every_problem_is_told_at_once(tx: Tx, act: Act, arn: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tags.put(tx, act, arn, {"": "", "AWS:x": "", "long": "x" * 257, "control": "\x07"})
    assert [line[:2] for line in refused.value.message.splitlines()] == ["- "] * 4
    assert tags.of(tx, act.realm, arn) == {}


def test_what_has_no_tags(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm, arn: str) -> None:
    things.create(tx, act, "one")
    for bad in (act.realm.arn("thing", "one"), "nonsense"):
        with pytest.raises(InvalidRequest):
            tags.of(tx, act.realm, bad)
    for missing in (act.realm.arn("policy", "q"), elsewhere.arn("policy", "p"), act.realm.arn("cacert", "0")):
        with pytest.raises(NotFound):
            tags.put(tx, act, missing, {"a": "b"})
    with pytest.raises(NotFound):
        tags.of(tx, elsewhere, arn)
