"""What is remembered of messages a moment ago, and what bounds it."""

from __future__ import annotations

import pytest
from tests.server import REALM

from fleetgate.gateway import recent
from fleetgate.gateway.recent import Recent
from fleetgate.names import Realm
from fleetgate.wire.mqtt.packets import Publish, QoS

ELSEWHERE = Realm("999999999999", "us-east-1")


def said(topic: str, size: int = 1, qos: QoS = QoS.AT_LEAST_ONCE) -> Publish:
    return Publish(topic, b"x" * size, qos)


def topics(of: Recent, since: int, realm: Realm = REALM) -> list[str]:
    return [each.message.topic for each in of.since(realm, since)]


def test_what_was_said_since_a_moment_in_one_realm() -> None:
    now = [0]
    kept = Recent(lambda: now[0], 100)
    for moment in (0, 50, 100):
        now[0] = moment
        kept.add(REALM, said(f"t{moment}"), "c")
        kept.add(ELSEWHERE, said(f"other{moment}"), None)
        kept.add(REALM, said("qos 0", qos=QoS.AT_MOST_ONCE), "c")
    assert topics(kept, 0) == ["t0", "t50", "t100"]
    assert topics(kept, 50) == ["t50", "t100"]
    assert topics(kept, 51, ELSEWHERE) == ["other100"]
    assert [each.client_id for each in kept.since(REALM, 100)] == ["c"]
    now[0] = 101
    kept.add(REALM, said("t101"), "c")
    assert topics(kept, 0) == ["t50", "t100", "t101"]


@pytest.mark.parametrize(("most", "most_bytes"), [(3, 10_000), (1_000, 3 * 102)])
def test_it_has_a_bound_in_messages_and_in_bytes(monkeypatch: pytest.MonkeyPatch, most: int, most_bytes: int) -> None:
    monkeypatch.setattr(recent, "MOST", most)
    monkeypatch.setattr(recent, "MOST_BYTES", most_bytes)
    kept = Recent(lambda: 0, 100)
    for number in range(10):
        kept.add(REALM, said(f"t{number}", 100), "c")
    assert topics(kept, 0) == ["t7", "t8", "t9"]
    kept.add(REALM, said("larger than all of it", 20_000), "c")
    assert len(topics(kept, 0)) <= 3
    kept.add(REALM, said("t", 1), "c")
    assert topics(kept, 0)[-1] == "t"
