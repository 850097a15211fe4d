"""Packet identifiers, receive maximum and topic aliases, one direction at a time."""

from __future__ import annotations

import pytest

from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.flow import Incoming, Outgoing
from fleetgate.wire.mqtt.packets import Publish, QoS
from fleetgate.wire.mqtt.properties import Properties


def refusal(error: pytest.ExceptionInfo[ProtocolError]) -> Reason:
    return error.value.reason


def test_an_identifier_is_the_peers_until_it_is_answered() -> None:
    incoming = Incoming()
    incoming.take_message(7)
    with pytest.raises(ProtocolError) as refused:
        incoming.take_question(7)
    assert refusal(refused) is Reason.PROTOCOL_ERROR
    incoming.answered(7)
    incoming.take_question(7)


def test_a_3_1_1_client_may_send_a_message_again() -> None:
    incoming = Incoming()
    incoming.take_again(7)
    incoming.take_again(7)
    incoming.answered(7)
    incoming.take_message(7)


def test_more_messages_than_announced_are_refused() -> None:
    incoming = Incoming()
    incoming.announced(Properties(receive_maximum=2))
    incoming.take_message(1)
    incoming.take_message(2)
    incoming.take_question(3)  # a SUBSCRIBE is none of them
    with pytest.raises(ProtocolError) as refused:
        incoming.take_message(4)
    assert refusal(refused) is Reason.RECEIVE_MAXIMUM_EXCEEDED


def test_an_alias_stands_for_the_topic_it_came_with_last() -> None:
    incoming = Incoming()
    incoming.announced(Properties(topic_alias_maximum=2))
    named = incoming.resolve(Publish("a/b", properties=Properties(topic_alias=1)))
    assert named == Publish("a/b", properties=Properties())
    assert incoming.resolve(Publish("", properties=Properties(topic_alias=1))).topic == "a/b"
    incoming.resolve(Publish("c", properties=Properties(topic_alias=1)))
    assert incoming.resolve(Publish("", properties=Properties(topic_alias=1))).topic == "c"


@pytest.mark.parametrize(("alias", "reason"), [(3, Reason.TOPIC_ALIAS_INVALID), (2, Reason.PROTOCOL_ERROR)])
def test_an_alias_over_the_maximum_or_of_no_topic_is_refused(alias: int, reason: Reason) -> None:
    incoming = Incoming()
    incoming.announced(Properties(topic_alias_maximum=2))
    with pytest.raises(ProtocolError) as refused:
        incoming.resolve(Publish("", properties=Properties(topic_alias=alias)))
    assert refusal(refused) is reason


def test_identifiers_go_round_and_skip_those_in_use() -> None:
    outgoing = Outgoing()
    assert [outgoing.free_id() for _ in range(3)] == [1, 2, 3]
    outgoing.sent_question(4, 1)
    assert outgoing.free_id() == 5
    with pytest.raises(ProtocolError) as refused:
        outgoing.check_free(4)
    assert refusal(refused) is Reason.PACKET_IDENTIFIER_IN_USE


def test_the_peers_receive_maximum_is_kept_until_it_acknowledges() -> None:
    outgoing = Outgoing()
    outgoing.peer = Properties(receive_maximum=1)
    message = Publish("a", qos=QoS(1), packet_id=1)
    outgoing.check_message(message)
    outgoing.sent_message(message)
    with pytest.raises(ProtocolError) as refused:
        outgoing.check_message(Publish("a", qos=QoS(1), packet_id=2))
    assert refusal(refused) is Reason.RECEIVE_MAXIMUM_EXCEEDED
    outgoing.acknowledged(9)  # somebody else's changes nothing
    outgoing.acknowledged(1)
    outgoing.check_message(Publish("a", qos=QoS(1), packet_id=2))


@pytest.mark.parametrize(
    ("peer", "message", "reason"),
    [
        (Properties(maximum_qos=0), Publish("a", qos=QoS(1), packet_id=1), Reason.QOS_NOT_SUPPORTED),
        (Properties(retain_available=0), Publish("a", retain=True), Reason.RETAIN_NOT_SUPPORTED),
        (Properties(), Publish("a", properties=Properties(topic_alias=1)), Reason.TOPIC_ALIAS_INVALID),
        (
            Properties(topic_alias_maximum=1),
            Publish("", properties=Properties(topic_alias=1)),
            Reason.PROTOCOL_ERROR,
        ),
    ],
)
def test_what_the_peer_does_not_take_is_not_sent(peer: Properties, message: Publish, reason: Reason) -> None:
    outgoing = Outgoing()
    outgoing.peer = peer
    with pytest.raises(ProtocolError) as refused:
        outgoing.check_message(message)
    assert refusal(refused) is reason


def test_an_answer_must_fit_its_question() -> None:
    outgoing = Outgoing()
    outgoing.sent_question(1, 2)
    for packet_id, reasons in ((1, 3), (2, 2)):
        with pytest.raises(ProtocolError) as refused:
            outgoing.answer(packet_id, reasons)
        assert refusal(refused) is Reason.PROTOCOL_ERROR
    outgoing.answer(1, 2)
    outgoing.sent_question(1, 2)
    outgoing.answer(1, None)  # 3.1.1 gives no reasons in an UNSUBACK
