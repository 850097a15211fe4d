"""PUBLISH, its acknowledgements and SUBSCRIBE between two connections, by the numbers of MQTT 5's statements."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    ConnAck,
    Connect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    QoS,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from fleetgate.wire.mqtt.rules import AWS, STANDARD

if TYPE_CHECKING:
    from tests.conformance.mqtt.conftest import OpenDialogue

BOTH = pytest.mark.parametrize("version", [V4, V5])
Q1, Q2 = QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE


def at_least_once(packet_id: int, *, duplicate: bool = False) -> Publish:
    return Publish("a", b"!", Q1, duplicate=duplicate, packet_id=packet_id)


@BOTH
def test_a_message_arrives_as_it_was_sent(talk: OpenDialogue, version: int) -> None:
    dialogue = talk(version)
    message = Publish("a/b", bytes(range(256)), Q1, True, True, 65_535)
    assert dialogue.client_says(message) == [message]
    assert dialogue.server_says(PubAck(65_535)) == [PubAck(65_535)]
    assert dialogue.server_says(message) == [message]


def test_properties_arrive_unaltered_and_in_order(talk: OpenDialogue) -> None:
    """[MQTT-3.3.2-4, MQTT-3.3.2-15, MQTT-3.3.2-16, MQTT-3.3.2-17, MQTT-3.3.2-18, MQTT-3.3.2-20]"""
    message = Publish(
        "a",
        properties={
            "payload_format_indicator": 1,
            "message_expiry_interval": 7,
            "content_type": "application/json",
            "response_topic": "r/t",
            "correlation_data": b"\0\xff",
            "user_property": (("b", "2"), ("a", "1"), ("b", "2")),
        },
    )
    assert talk().client_says(message) == [message]
    assert talk(V4).client_says(message) == [Publish("a")]  # 3.1.1 has none


@BOTH
def test_qos_2_takes_four_packets(talk: OpenDialogue, version: int) -> None:
    """[MQTT-4.3.3-4, MQTT-4.3.3-11]: the packets pass and the identifier is free again at the end."""
    dialogue = talk(version)
    for _ in range(2):
        message = Publish("a", b"!", Q2, packet_id=9)
        assert dialogue.client_says(message) == [message]
        assert dialogue.server_says(PubRec(9)) == [PubRec(9)]
        assert dialogue.client_says(PubRel(9)) == [PubRel(9)]
        assert dialogue.server_says(PubComp(9)) == [PubComp(9)]


def test_a_refused_qos_2_message_is_over(talk: OpenDialogue) -> None:
    """[MQTT-4.3.3-9, MQTT-4.4.0-2]"""
    dialogue = talk()
    for _ in range(2):
        dialogue.client_says(Publish("a", b"!", Q2, packet_id=9))
        refused = PubRec(9, Reason.QUOTA_EXCEEDED)
        assert dialogue.server_says(refused) == [refused]


@pytest.mark.parametrize("packet", [PubRec(1), PubRel(1), PubComp(1)])
def test_without_qos_2_its_packets_are_errors(talk: OpenDialogue, packet: Packet) -> None:
    assert talk(rules=STANDARD).server_refuses(encode(packet, V5)) == Reason.PROTOCOL_ERROR


# -- packet identifiers ------------------------------------------------------------------------------------------------


def test_identifiers_in_use_are_not_used_again(talk: OpenDialogue) -> None:
    """[MQTT-2.2.1-3]: of a message, a SUBSCRIBE and an UNSUBSCRIBE alike."""
    dialogue = talk()
    dialogue.client_says(at_least_once(1))
    dialogue.client_says(Subscribe(2, (Subscription("a"),)))
    dialogue.client_says(Unsubscribe(3, ("a",)))
    for packet_id in (1, 2, 3):
        for packet in (
            at_least_once(packet_id),
            Subscribe(packet_id, (Subscription("a"),)),
            Unsubscribe(packet_id, ("a",)),
        ):
            with pytest.raises(ProtocolError) as error:
                dialogue.client.send(packet, dialogue.now)
            assert error.value.reason == Reason.PACKET_IDENTIFIER_IN_USE
    assert dialogue.client.packet_id() == 4


@pytest.mark.parametrize("packet", [at_least_once(7), Subscribe(7, (Subscription("a"),)), Unsubscribe(7, ("a",))])
def test_a_server_refuses_an_identifier_in_use(talk: OpenDialogue, packet: Packet) -> None:
    """[MQTT-2.2.1-3]"""
    dialogue = talk()
    dialogue.client_says(Subscribe(7, (Subscription("a"),)))
    assert dialogue.server_refuses(encode(packet, V5)) == Reason.PROTOCOL_ERROR


def test_3_1_1_messages_may_come_again_unacknowledged(talk: OpenDialogue) -> None:
    """3.1.1 [MQTT-4.4.0-1] does not forbid it on the same connection, and old clients do it."""
    dialogue = talk(V4)
    dialogue.client_says(at_least_once(7))
    again = at_least_once(7, duplicate=True)
    assert dialogue.client_writes(encode(again, V4)) == [again]


def test_an_acknowledged_identifier_is_a_new_message(talk: OpenDialogue) -> None:
    """[MQTT-4.3.2-5]"""
    dialogue = talk()
    for _ in range(3):
        message = at_least_once(7, duplicate=True)
        assert dialogue.client_says(message) == [message]
        assert dialogue.server_says(PubAck(7)) == [PubAck(7)]


def test_a_late_acknowledgement_is_let_pass(talk: OpenDialogue) -> None:
    assert talk().server_says(PubAck(99)) == [PubAck(99)]


# -- flow control ------------------------------------------------------------------------------------------------------


def test_more_than_the_receive_maximum_breaks_off(talk: OpenDialogue) -> None:
    """[MQTT-3.3.4-7]; other packets do not count [MQTT-4.9.0-3]."""
    dialogue = talk(connack=ConnAck(properties={"receive_maximum": 2}))
    dialogue.client_says(Subscribe(9, (Subscription("a"),)))
    dialogue.client_says(at_least_once(1))
    dialogue.client_says(at_least_once(2))
    with pytest.raises(ProtocolError) as error:
        dialogue.client.send(at_least_once(3), dialogue.now)
    assert error.value.reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
    assert dialogue.client_says(Publish("qos/0")) == [Publish("qos/0")]
    dialogue.server_says(PubAck(1))
    assert dialogue.client_says(at_least_once(3)) == [at_least_once(3)]
    assert dialogue.server_refuses(encode(at_least_once(4), V5)) == Reason.RECEIVE_MAXIMUM_EXCEEDED


def test_a_server_keeps_to_the_clients_receive_maximum(talk: OpenDialogue) -> None:
    """[MQTT-3.3.4-9]"""
    dialogue = talk(connect=Connect("a", properties={"receive_maximum": 1}))
    dialogue.server_says(at_least_once(1))
    with pytest.raises(ProtocolError) as error:
        dialogue.server.send(at_least_once(2), dialogue.now)
    assert error.value.reason == Reason.RECEIVE_MAXIMUM_EXCEEDED
    assert dialogue.client_refuses(encode(at_least_once(2), V5)) == Reason.RECEIVE_MAXIMUM_EXCEEDED


# -- topic aliases -----------------------------------------------------------------------------------------------------


def test_an_alias_stands_for_its_topic(talk: OpenDialogue) -> None:
    """3.3.2.3.4 and [MQTT-3.3.2-12]: receivers see topics, never aliases."""
    dialogue = talk(connack=ConnAck(properties={"topic_alias_maximum": 8}))
    first = Publish("a/b", b"1", properties={"topic_alias": 8, "content_type": "x"})
    assert dialogue.client_says(first) == [Publish("a/b", b"1", properties={"content_type": "x"})]
    assert dialogue.client_says(Publish("", b"2", properties={"topic_alias": 8})) == [Publish("a/b", b"2")]
    dialogue.client_says(Publish("c", b"3", properties={"topic_alias": 8}))
    assert dialogue.client_says(Publish("", b"4", properties={"topic_alias": 8})) == [Publish("c", b"4")]


def test_aliases_work_towards_the_client_too(talk: OpenDialogue) -> None:
    """[MQTT-3.3.2-10]"""
    dialogue = talk(connect=Connect("a", properties={"topic_alias_maximum": 1}))
    assert dialogue.server_says(Publish("a/b", properties={"topic_alias": 1})) == [Publish("a/b")]
    assert dialogue.server_says(Publish("", properties={"topic_alias": 1})) == [Publish("a/b")]


def test_aliases_have_bounds(talk: OpenDialogue) -> None:
    """[MQTT-3.2.2-17, MQTT-3.2.2-18, MQTT-3.3.2-9]; an alias that was never given is a protocol error."""
    dialogue = talk(connack=ConnAck(properties={"topic_alias_maximum": 8}))
    for packet, reason in (
        (Publish("a", properties={"topic_alias": 9}), Reason.TOPIC_ALIAS_INVALID),
        (Publish("", properties={"topic_alias": 1}), Reason.PROTOCOL_ERROR),
    ):
        with pytest.raises(ProtocolError) as error:
            dialogue.client.send(packet, dialogue.now)
        assert error.value.reason == reason
        assert talk(connack=ConnAck(properties={"topic_alias_maximum": 8})).server_refuses(encode(packet, V5)) == reason


def test_aliases_end_with_the_connection(talk: OpenDialogue) -> None:
    """[MQTT-3.3.2-7]"""
    connack = ConnAck(properties={"topic_alias_maximum": 8})
    talk(connack=connack).client_says(Publish("a", properties={"topic_alias": 1}))
    unknown = encode(Publish("", properties={"topic_alias": 1}), V5)
    assert talk(connack=connack).server_refuses(unknown) == Reason.PROTOCOL_ERROR


# -- SUBSCRIBE ---------------------------------------------------------------------------------------------------------


@BOTH
def test_subscriptions_and_their_answers(talk: OpenDialogue, version: int) -> None:
    """[MQTT-3.8.4-2, MQTT-3.10.4-5]"""
    dialogue = talk(version)
    asked = Subscribe(3, (Subscription("a/+", Q1), Subscription("$share/g/#", Q2)))
    assert dialogue.client_says(asked) == [asked]
    answer = SubAck(3, (Reason.GRANTED_QOS_1, Reason.UNSPECIFIED_ERROR))
    assert dialogue.server_says(answer) == [answer]
    over = Unsubscribe(3, ("a/+", "b"))
    assert dialogue.client_says(over) == [over]
    answers = UnsubAck(3, (Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED))
    assert dialogue.server_says(answers) == [answers if version == V5 else UnsubAck(3)]


def test_every_refusal_is_0x80_in_3_1_1(talk: OpenDialogue) -> None:
    """3.1.1 [MQTT-3.9.3-2]"""
    dialogue = talk(V4)
    dialogue.client_says(Subscribe(3, (Subscription("a"),)))
    refused = SubAck(3, (Reason.NOT_AUTHORIZED,))
    assert dialogue.server_says(refused) == [SubAck(3, (Reason.UNSPECIFIED_ERROR,))]


def test_options_are_for_mqtt_5(talk: OpenDialogue) -> None:
    asked = Subscribe(3, (Subscription("a", Q1, True, True, 2),))
    assert talk(V5).client_says(asked) == [asked]
    assert talk(V4).client_says(asked) == [Subscribe(3, (Subscription("a", Q1),))]


def test_one_answer_for_each_filter(talk: OpenDialogue) -> None:
    """[MQTT-3.8.4-6]"""
    dialogue = talk()
    dialogue.client_says(Subscribe(3, (Subscription("a"), Subscription("b"))))
    assert dialogue.client_refuses(encode(SubAck(3, (Reason.SUCCESS,)), V5)) == Reason.PROTOCOL_ERROR


# -- AWS IoT's limits --------------------------------------------------------------------------------------------------


def test_limits_of_aws_iot(talk: OpenDialogue) -> None:
    deep, long = "/".join("abcdefghi"), "t" * 257
    for packet, reason in (
        (Publish(deep), Reason.TOPIC_NAME_INVALID),
        (Publish(long), Reason.TOPIC_NAME_INVALID),
        (Publish("a", bytes(131_073)), Reason.PACKET_TOO_LARGE),
        (Subscribe(1, tuple(Subscription(f"a/{n}") for n in range(9))), Reason.QUOTA_EXCEEDED),
        (Unsubscribe(1, tuple(f"a/{n}" for n in range(9))), Reason.QUOTA_EXCEEDED),
    ):
        for version in (V4, V5):
            assert talk(version, rules=AWS).server_refuses(encode(packet, version)) == reason
    numbered = Subscribe(1, (Subscription("a"),), {"subscription_identifier": (1,)})
    refused = talk(rules=AWS).server_refuses(encode(numbered, V5))
    assert refused == Reason.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
    basic_ingest = Publish(f"$aws/rules/some_rule/{'/'.join('abcdefgh')}", bytes(131_072))
    assert talk(rules=AWS).client_says(basic_ingest) == [basic_ingest]


def test_limits_can_be_lifted(talk: OpenDialogue) -> None:
    rules = replace(AWS, topic_slashes=None, topic_bytes=1000, filters_per_subscribe=None)
    asked = Subscribe(1, tuple(Subscription(f"a/{n}") for n in range(9)))
    assert talk(rules=rules).client_says(Publish("/".join("abcdefghi"))) != []
    assert talk(rules=rules).client_says(asked) == [asked]
