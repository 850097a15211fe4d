from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetgate.database.port import Tx
from fleetgate.names import NO_ACCOUNT, Act, Realm
from fleetgate.registry import audit


@pytest.fixture
def trail(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    """Five sealed entries."""
    for number in range(5):
        audit.add(tx, later(number), "CreateThing", f"thing/{number}", "ok", details={"number": number})
    audit.seal(tx, act.now, 100)


def test_add(tx: Tx, act: Act) -> None:
    audit.add(tx, act, "RegisterThing", "thing/one", "refused", "no budget", {"b": 1, "a": [2]})
    (entry,) = audit.page(tx, act.realm).items
    assert (entry.action, entry.target, entry.outcome, entry.reason) == (
        "RegisterThing",
        "thing/one",
        "refused",
        "no budget",
    )
    assert (entry.realm, entry.at, entry.actor, entry.request_id) == (
        str(act.realm),
        act.now,
        act.actor,
        act.request_id,
    )
    assert entry.details == {"a": [2], "b": 1}
    assert (entry.position, entry.hash) == (None, None)


def test_the_same_entry_twice_in_an_act_is_one(tx: Tx, act: Act) -> None:
    for _ in range(2):
        audit.add(tx, act, "Connect", "client/a", "refused", "unknown")
    audit.add(tx, act, "Connect", "client/a", "refused", "unknown", {"attempt": 2})
    assert len(audit.page(tx, act.realm).items) == 2


def test_whatever_text_a_device_sent_can_be_written_down(tx: Tx, act: Act) -> None:
    audit.add(tx, act, "Connect", "client/\0\ud800", "refused", "\udfff\0", {"client": "\0\ud800"})
    audit.seal(tx, act.now, 10)
    (entry,) = audit.page(tx, act.realm).items
    assert (entry.target, entry.reason) == ("client/\\x00\\ud800", "\\udfff\\x00")
    assert audit.verify(tx).broken is None


def test_sealing_makes_a_chain(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    assert audit.verify(tx) == audit.Report(0, 0, audit.START, None)
    for moment in (3, 1, 2):
        audit.add(tx, later(moment), "CreateThing", f"thing/{moment}", "ok")
    assert audit.unsealed(tx)
    assert audit.seal(tx, act.now, 2) == 2
    assert audit.verify(tx).unsealed == 1
    audit.add(tx, later(0), "CreateThing", "thing/0", "ok")
    assert audit.seal(tx, act.now, 10) == 2
    assert audit.seal(tx, act.now, 10) == 0
    assert not audit.unsealed(tx)
    entries = sorted(audit.page(tx, act.realm).items, key=lambda entry: entry.position or 0)
    assert [entry.target for entry in entries] == ["thing/1", "thing/2", "thing/0", "thing/3"]
    assert [entry.position for entry in entries] == [1, 2, 3, 4]
    assert [entry.previous_hash for entry in entries] == [audit.START, *(entry.hash for entry in entries[:-1])]
    assert audit.verify(tx) == audit.Report(4, 0, entries[-1].hash or "", None)


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize("column", ["actor", "action", "target", "outcome", "reason", "details", "realm", "request_id"])
def test_a_changed_entry_breaks_the_chain(tx: Tx, column: str) -> None:
    value = '{"number": 9}' if column == "details" else "forged"
    tx.run(f"UPDATE audit_entries SET {column} = :value WHERE position = 3", value=value)
    report = audit.verify(tx)
    assert report.broken is not None
    assert (report.sealed, report.broken.position) == (2, 3)


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    ("statement", "sealed", "broken"),
    [
        ("UPDATE audit_entries SET at = at + 1 WHERE position = 3", 2, 3),
        ("UPDATE audit_entries SET hash = 'forged' WHERE position = 3", 2, 3),
        ("UPDATE audit_entries SET previous_hash = 'forged' WHERE position = 3", 2, 3),
        ("DELETE FROM audit_entries WHERE position = 3", 2, 4),
        ("DELETE FROM audit_entries WHERE position = 1", 0, 2),
        ("UPDATE audit_entries SET position = position + 10 WHERE position = 5", 4, 15),
    ],
)
def test_removed_and_moved_entries_break_the_chain(tx: Tx, statement: str, sealed: int, broken: int) -> None:
    assert audit.verify(tx).broken is None
    tx.run(statement)
    report = audit.verify(tx)
    assert report.broken is not None
    assert (report.sealed, report.broken.position) == (sealed, broken)


@pytest.mark.usefixtures("trail")
def test_a_cut_end_shows_in_the_head(tx: Tx) -> None:
    noted = audit.verify(tx).head
    tx.run("DELETE FROM audit_entries WHERE position = 5")
    report = audit.verify(tx)
    assert report.broken is None
    assert (report.sealed, report.head == noted) == (4, False)


def test_a_chain_longer_than_a_step(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    for number in range(1001):
        audit.add(tx, later(number), "CreateThing", "thing/one", "ok")
    while audit.seal(tx, act.now, 300):
        pass
    assert audit.verify(tx).sealed == 1001
    tx.run("UPDATE audit_entries SET reason = 'forged' WHERE position = 901")
    assert audit.verify(tx).sealed == 900


def test_pages(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    acts = [later(moment) for moment in (10, 20, 30)]
    audit.add(tx, acts[0], "CreateThing", "thing/a", "ok")
    audit.add(tx, acts[1], "DeleteThing", "thing/a", "ok")
    audit.add(tx, acts[2], "CreateThing", "thing/b", "failed")
    audit.add(tx, later(5, of=elsewhere), "CreateThing", "thing/a", "ok")
    first = audit.page(tx, act.realm, limit=2)
    assert [entry.at - act.now for entry in first.items] == [10, 20]
    assert [entry.at - act.now for entry in audit.page(tx, act.realm, first.next_key).items] == [30]
    assert [entry.at - act.now for entry in audit.page(tx, act.realm, since=act.now + 20).items] == [20, 30]
    assert [entry.target for entry in audit.page(tx, act.realm, action="CreateThing").items] == ["thing/a", "thing/b"]
    assert [entry.action for entry in audit.page(tx, act.realm, target="thing/a").items] == [
        "CreateThing",
        "DeleteThing",
    ]
    found = audit.page(tx, act.realm, request_id=acts[2].request_id, action="CreateThing").items
    assert [entry.outcome for entry in found] == ["failed"]
    assert audit.page(tx, act.realm, request_id=acts[2].request_id, action="DeleteThing").items == ()


def test_newest_first_in_pages(tx: Tx, act: Act) -> None:
    for number in range(5):
        audit.add(tx, replace(act, now=act.now + number), "CreateThing", f"thing/{number}", "ok")
    seen, after = [], None
    while True:
        found = audit.page(tx, act.realm, after, 2, newest_first=True, since=act.now + 1)
        seen += [entry.target for entry in found.items]
        after = found.next_key
        if after is None:
            break
    assert seen == ["thing/4", "thing/3", "thing/2", "thing/1"]


@pytest.mark.parametrize("newest_first", [True, False])
def test_what_belongs_to_nobody_comes_in_between(tx: Tx, act: Act, newest_first: bool) -> None:
    for number in range(7):
        realm = NO_ACCOUNT if number % 3 == 1 else act.realm
        audit.add(tx, replace(act, realm=realm, now=act.now + number), "Connect", f"client/{number}", "refused")
    seen, after = [], None
    while True:
        found = audit.page_with_nobodys(tx, act.realm, after, 2, newest_first=newest_first, action="Connect")
        seen += [int(entry.target[-1]) for entry in found.items]
        after = found.next_key
        if after is None:
            break
    assert seen == (list(reversed(range(7))) if newest_first else list(range(7)))
    assert audit.page_with_nobodys(tx, Realm("999999999999", "eu-west-1"), limit=5, action="Nothing").items == ()
