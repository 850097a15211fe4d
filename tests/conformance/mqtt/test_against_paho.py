"""The same packets from another implementation: what paho-mqtt writes, we read, and write byte for byte alike."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, topic_matches_sub
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion, _ConnectionState
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleetgate.wire.mqtt.decoding import decode, split
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Publish,
    QoS,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.topics import matches

BOTH = pytest.mark.parametrize("version", [V4, V5])


class Tape:
    """Stands where paho has its socket and keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def send(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)

    def fileno(self) -> int:
        return -1

    def close(self) -> None: ...

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data


class Paho:
    def __init__(self, version: int) -> None:
        protocol = MQTTProtocolVersion(version)
        self.client = cast("Any", Client(CallbackAPIVersion.VERSION2, client_id="dev", protocol=protocol))
        self.tape = Tape()
        self.client._sock = self.tape
        self.client._state = _ConnectionState.MQTT_CS_CONNECTED


def same(data: bytes, packet: Packet, version: int) -> None:
    frame = split(bytearray(data), 10**6)
    assert frame is not None
    assert decode(*frame, version) == packet
    assert encode(packet, version) == data


def properties(packet_type: int, **values: object) -> Properties:
    made = cast("Any", Properties)(packet_type)
    for name, value in values.items():
        setattr(made, name, value)
    return cast("Properties", made)


@BOTH
def test_connect(version: int) -> None:
    other = Paho(version)
    other.client.username_pw_set("user", "pass")
    other.client.will_set("will/t", b"bye", 1, retain=True)
    other.client._send_connect(60)
    will = Will("will/t", b"bye", QoS.AT_LEAST_ONCE, True)
    same(other.tape.take(), Connect("dev", version, True, 60, "user", b"pass", will), version)


def test_connect_with_properties() -> None:
    other = Paho(V5)
    other.client.will_set("w", b"x", properties=properties(PacketTypes.WILLMESSAGE, WillDelayInterval=5))
    other.client._connect_properties = properties(
        PacketTypes.CONNECT, SessionExpiryInterval=600, ReceiveMaximum=20, TopicAliasMaximum=3, MaximumPacketSize=9000
    )
    other.client._clean_start = True
    other.client._send_connect(0)
    will = Will("w", b"x", properties={"will_delay_interval": 5})
    said = {
        "session_expiry_interval": 600,
        "receive_maximum": 20,
        "topic_alias_maximum": 3,
        "maximum_packet_size": 9000,
    }
    data = other.tape.take()
    frame = split(bytearray(data), 10**6)
    assert frame is not None
    assert decode(*frame, V5) == Connect("dev", V5, True, 0, will=will, properties=said)  # type: ignore[arg-type]


@BOTH
def test_publish(version: int) -> None:
    other = Paho(version)
    other.client.publish("a/b", b"x" * 200, 1, retain=True)
    same(other.tape.take(), Publish("a/b", b"x" * 200, QoS.AT_LEAST_ONCE, True, False, 1), version)
    other.client.publish("a/b", None, 0)
    same(other.tape.take(), Publish("a/b"), version)


def test_publish_with_properties() -> None:
    other = Paho(V5)
    said = properties(
        PacketTypes.PUBLISH, ContentType="text/plain", CorrelationData=b"\1\2", UserProperty=[("a", "b"), ("a", "c")]
    )
    other.client.publish("ä", b"x", 2, properties=said)
    same(
        other.tape.take(),
        Publish(
            "ä",
            b"x",
            QoS.EXACTLY_ONCE,
            packet_id=1,
            properties={
                "content_type": "text/plain",
                "correlation_data": b"\1\2",
                "user_property": (("a", "b"), ("a", "c")),
            },
        ),
        V5,
    )


@BOTH
def test_subscribe_and_unsubscribe(version: int) -> None:
    other = Paho(version)
    if version == V4:
        other.client.subscribe([("a/#", 1), ("b", 0)])
        subscriptions = (Subscription("a/#", QoS.AT_LEAST_ONCE), Subscription("b"))
    else:
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2)
        other.client.subscribe([("a/#", options), ("b", SubscribeOptions())])
        subscriptions = (Subscription("a/#", QoS.AT_LEAST_ONCE, True, True, 2), Subscription("b"))
    same(other.tape.take(), Subscribe(1, subscriptions), version)
    other.client.unsubscribe(["a/#", "b"])
    same(other.tape.take(), Unsubscribe(2, ("a/#", "b")), version)


@BOTH
def test_ping_and_disconnect(version: int) -> None:
    other = Paho(version)
    other.client._send_pingreq()
    same(other.tape.take(), PingReq(), version)
    other.client.disconnect()
    same(other.tape.take(), Disconnect(), version)


level = st.sampled_from(["a", "b", "", "$x"])


@given(
    st.lists(st.one_of(level, st.just("+")), min_size=1, max_size=4),
    st.booleans(),
    st.lists(level, min_size=1, max_size=4),
)
def test_matching(wanted: list[str], subtree: bool, given_levels: list[str]) -> None:
    topic_filter, topic = "/".join([*wanted, "#"] if subtree else wanted), "/".join(given_levels)
    if topic_filter and topic:
        assert matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)
