from __future__ import annotations

from collections.abc import Callable

from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox
from fleetgate.registry.events import DeviceProvisioned, PolicyChanged, ThingCreated


def test_what_is_added_is_pending_until_delivered(tx: Tx, act: Act) -> None:
    event = ThingCreated("one", "id", None, {"a": "ü"}, 1)
    outbox.add(tx, act, event)
    (entry,) = outbox.pending(tx, 10)
    assert (entry.event, entry.realm, entry.created_at) == (event, act.realm, act.now)
    assert (entry.actor, entry.request_id) == (act.actor, act.request_id)
    outbox.delivered(tx, [entry.id])
    assert outbox.pending(tx, 10) == []
    outbox.delivered(tx, [])


def test_events_come_in_the_order_of_their_time(tx: Tx, later: Callable[..., Act], elsewhere: Realm) -> None:
    for moment in (30, 10, 20):
        outbox.add(tx, later(moment), PolicyChanged("p", moment))
    outbox.add(tx, later(15, of=elsewhere), PolicyChanged("p", 15))
    versions = [
        entry.event.default_version for entry in outbox.pending(tx, 3) if isinstance(entry.event, PolicyChanged)
    ]
    assert versions == [10, 15, 20]
    assert [str(entry.realm) for entry in outbox.pending(tx, 2)] == ["123456789012/us-east-1", str(elsewhere)]


def test_the_same_event_twice_in_an_act_is_handed_out_again_not_doubled(
    tx: Tx, act: Act, later: Callable[..., Act]
) -> None:
    event = DeviceProvisioned("t", "one", "f", "c")
    outbox.add(tx, act, event)
    outbox.add(tx, act, event)
    (entry,) = outbox.pending(tx, 10)
    outbox.delivered(tx, [entry.id])
    outbox.add(tx, act, event)
    assert [each.id for each in outbox.pending(tx, 10)] == [entry.id]
    outbox.add(tx, later(), event)
    assert len(outbox.pending(tx, 10)) == 2


def test_many_are_delivered_at_once(tx: Tx, later: Callable[..., Act]) -> None:
    for number in range(1001):
        outbox.add(tx, later(number), PolicyChanged("p", number))
    outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, 1000)])
    assert [entry.event for entry in outbox.pending(tx, 10)] == [PolicyChanged("p", 1000)]


def test_replay_and_prune(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    for moment in (1, 2, 3, 4):
        outbox.add(tx, later(moment), PolicyChanged("p", moment))
    outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, 3)])
    assert outbox.prune(tx, act.now + 2) == 1
    assert outbox.replay(tx, act.now) == 2
    assert [entry.created_at - act.now for entry in outbox.pending(tx, 10)] == [2, 3, 4]
    assert outbox.prune(tx, act.now + 100) == 0
    outbox.delivered(tx, [entry.id for entry in outbox.pending(tx, 10)])
    assert outbox.prune(tx, act.now + 100, 2) == 2
    assert outbox.prune(tx, act.now + 100, 2) == 1


def test_a_failed_transaction_tells_nothing(act: Act) -> None:
    database = memory()

    def work(tx: Tx) -> None:
        outbox.add(tx, act, PolicyChanged("p", 1))
        raise ZeroDivisionError

    try:
        database.run(work)
    except ZeroDivisionError:
        assert outbox.pending(database.tx, 10) == []
    else:
        raise AssertionError
    finally:
        database.close()
