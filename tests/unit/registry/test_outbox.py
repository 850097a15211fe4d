from __future__ import annotations

from collections.abc import Callable

from fleetgate.database.open import memory
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import nodes, outbox
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


def test_pruning_leaves_the_place_from_where_nodes_read_on(tx: Tx, later: Callable[..., Act]) -> None:
    """After a quiet week a node still hears that a certificate was revoked."""

    def happen(moment: int) -> None:
        outbox.add(tx, later(moment), PolicyChanged("p", moment))
        outbox.delivered(tx, [entry.id for entry in outbox.take(tx, "east", later(moment).now, 10)])

    for moment in (1, 2, 3):
        happen(moment)
    mark = outbox.last(tx)
    assert outbox.prune(tx, later(1_000).now) == 2
    assert outbox.prune(tx, later(1_000).now) == 0
    assert outbox.last(tx) == mark
    happen(2_000)
    heard, mark = outbox.taken_since(tx, mark, 10)
    assert [entry.event for entry in heard] == [PolicyChanged("p", 2_000)]
    assert outbox.prune(tx, later(3_000).now) == 1


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


def versions(entries: list[outbox.Entry]) -> list[int]:
    return [entry.event.default_version for entry in entries if isinstance(entry.event, PolicyChanged)]


def test_nodes_share_what_is_pending_and_hear_of_all(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    start = outbox.last(tx)
    nodes.beat(tx, "east", "east", act.now)
    nodes.beat(tx, "west", "west", act.now)
    for moment in (1, 2, 3):
        outbox.add(tx, later(moment), PolicyChanged("p", moment))
    assert versions(outbox.take(tx, "east", act.now, 2)) == [1, 2]
    outbox.add(tx, later(0), PolicyChanged("p", 0))  # committed late: it stands before what was taken
    assert versions(outbox.take(tx, "west", act.now, 10)) == [0, 3]
    assert outbox.take(tx, "east", act.now, 10) == []
    heard, mark = outbox.taken_since(tx, start, 3)
    more, behind = outbox.taken_since(tx, mark, 3)
    assert versions(heard + more) == [1, 2, 0, 3]
    assert (behind, outbox.taken_since(tx, behind, 3)) == (outbox.last(tx), ([], behind))


def test_what_a_dead_node_took_is_taken_by_another_and_heard_again(tx: Tx, act: Act) -> None:
    nodes.beat(tx, "east", "east", act.now)
    outbox.add(tx, act, PolicyChanged("p", 1))
    outbox.add(tx, act, PolicyChanged("p", 2))
    mine = outbox.take(tx, "east", act.now, 2)
    outbox.delivered(tx, [mine[0].id])
    _, mark = outbox.taken_since(tx, outbox.Mark(), 10)
    assert outbox.take(tx, "west", act.now + nodes.SILENCE - 1, 2) == []
    assert outbox.take(tx, "west", act.now + nodes.SILENCE, 2) == [mine[1]]
    assert outbox.taken_since(tx, mark, 10)[0] == [mine[1]]


def test_what_is_replayed_can_be_taken(tx: Tx, act: Act) -> None:
    nodes.beat(tx, "east", "east", act.now)
    outbox.add(tx, act, PolicyChanged("p", 1))
    outbox.delivered(tx, [entry.id for entry in outbox.take(tx, "east", act.now, 2)])
    assert outbox.take(tx, "east", act.now, 2) == []
    outbox.replay(tx, act.now)
    assert versions(outbox.take(tx, "east", act.now, 2)) == [1]
