"""Sessions, wills, retained messages and subscriptions, by the numbers of the standards' statements: devices talk to
each other through a switchboard. Numbers without a version are MQTT 5's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import V4, V5, ConnAck, PubAck, Publish, QoS, UnsubAck, Unsubscribe, Will
from fleetgate.wire.mqtt.rules import AWS, NEVER, STANDARD, Rules

if TYPE_CHECKING:
    from tests.conformance.mqtt.conftest import Broker

BOTH = pytest.mark.parametrize("version", [V4, V5])
LASTING = {"session_expiry_interval": 600}
Make = Callable[[Rules], "Broker"]


# -- sessions ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_session_is_resumed(broker: Broker, version: int) -> None:
    """[MQTT-3.1.2-5, MQTT-3.1.2-6, MQTT-3.2.2-3, MQTT-4.5.0-1]; 3.1.1 [MQTT-3.1.2-4, MQTT-3.1.2-5]"""
    first = broker.join("a", version, clean_start=False, properties=LASTING)
    assert first.heard()[0].session_present is False  # type: ignore[union-attr]
    first.subscribe("t")
    first.vanish()
    broker.join("b").publish("t", b"1", qos=1)
    again = broker.join("a", version, clean_start=False, properties=LASTING)
    present, message = again.heard()
    assert isinstance(present, ConnAck)
    assert present.session_present
    assert isinstance(message, Publish)
    assert message.payload == b"1"


@BOTH
def test_a_clean_start_forgets_the_session(broker: Broker, version: int) -> None:
    """[MQTT-3.1.2-4, MQTT-3.2.2-2]; 3.1.1 [MQTT-3.1.2-6]"""
    first = broker.join("a", version, clean_start=False, properties=LASTING)
    first.subscribe("t")
    first.vanish()
    broker.join("b").publish("t", b"1", qos=1)
    again = broker.join("a", version, clean_start=True)
    (connack,) = again.heard()
    assert isinstance(connack, ConnAck)
    assert not connack.session_present
    broker.join("b").publish("t", b"2", qos=1)
    assert again.messages() == []


@BOTH
def test_a_session_without_expiry_ends_with_its_connection(broker: Broker, version: int) -> None:
    """3.1.2.11.2; 3.1.1 [MQTT-3.1.2-6]"""
    broker.join("a", version).vanish()
    assert broker.board.session("a") is None
    assert not broker.join("a", version, clean_start=False).heard()[0].session_present  # type: ignore[union-attr]


def test_a_session_expires(broker: Broker) -> None:
    """[MQTT-3.1.2-23, MQTT-4.1.0-1, MQTT-4.1.0-2]"""
    device = broker.join("a", properties=LASTING)
    broker.wait(10_000)
    assert broker.board.session("a") is not None  # while the connection is open it stays
    device.vanish()
    assert broker.board.next_due() == broker.now + 600_000
    broker.wait(599)
    assert broker.board.session("a") is not None
    broker.wait(1)
    assert broker.board.session("a") is None
    assert broker.board.next_due() is None


def test_an_expired_session_is_not_resumed_even_if_nobody_cleaned_up(broker: Broker) -> None:
    broker.join("a", properties=LASTING).vanish()
    broker.now += 600_000
    assert not broker.join("a", clean_start=False).heard()[0].session_present  # type: ignore[union-attr]


def test_disconnect_may_change_the_expiry(broker: Broker) -> None:
    """3.14.2.2.2"""
    broker.join("a", properties=LASTING).leave(session_expiry_interval=5)
    broker.wait(5)
    assert broker.board.session("a") is None


def test_a_session_may_last_for_ever(broker: Broker) -> None:
    """3.1.2.11.2"""
    broker.join("a", properties={"session_expiry_interval": NEVER}).vanish()
    broker.join("b", V4, clean_start=False).vanish()
    assert broker.board.next_due() is None
    broker.wait(10**9)
    assert broker.board.session("a") is not None
    assert broker.board.session("b") is not None


def test_aws_iot_bounds_expiry(broker_by: Make) -> None:
    broker = broker_by(AWS)
    broker.join("a", V4, clean_start=False).vanish()
    long = broker.join("b", properties={"session_expiry_interval": NEVER})
    connack = long.heard()[0]
    assert isinstance(connack, ConnAck)
    assert connack.properties["session_expiry_interval"] == 7 * 86_400
    long.vanish()
    broker.wait(3600)
    assert broker.board.session("a") is None
    broker.wait(7 * 86_400)
    assert broker.board.session("b") is None


def test_aws_iot_resumes_within_one_version(broker_by: Make) -> None:
    for rules, present in ((AWS, False), (STANDARD, True)):
        broker = broker_by(rules)
        broker.join("a", V4, clean_start=False).vanish()
        connack = broker.join("a", V5, clean_start=False).heard()[0]
        assert isinstance(connack, ConnAck)
        assert connack.session_present is present


@BOTH
def test_a_second_connection_takes_the_session_over(broker: Broker, version: int) -> None:
    """[MQTT-3.1.4-3]; 3.1.1 [MQTT-3.1.4-2]"""
    old = broker.join("a", version, clean_start=False, properties=LASTING)
    old.subscribe("t")
    new = broker.join("a", version, clean_start=False, properties=LASTING)
    assert broker.displaced == [old]
    assert new.heard()[0].session_present  # type: ignore[union-attr]
    assert broker.board.detach("a", old, broker.now) is False  # comes late, disturbs nobody
    broker.join("b").publish("t", b"1")
    assert new.payloads() == [b"1"]
    assert old.messages() == []
    assert broker.board.sink("a") is new


# -- QoS 1 -------------------------------------------------------------------------------------------------------------


@BOTH
def test_unacknowledged_messages_come_again_in_order_with_their_identifiers(broker: Broker, version: int) -> None:
    """[MQTT-4.4.0-1, MQTT-4.6.0-1, MQTT-3.3.1-1, MQTT-3.3.1-3]"""
    first = broker.join("a", version, clean_start=False, properties=LASTING)
    first.subscribe("t")
    first.acknowledges = False
    sender = broker.join("b")
    for payload in (b"1", b"2", b"3"):
        sender.publish("t", payload, qos=1)
    sent = first.messages()
    first.send(PubAck(sent[1].packet_id or 0))
    first.vanish()
    sender.publish("t", b"4", qos=1)
    again = broker.join("a", version, clean_start=False, properties=LASTING)
    messages = again.messages()
    assert [message.payload for message in messages] == [b"1", b"3", b"4"]
    assert [message.packet_id for message in messages[:2]] == [sent[0].packet_id, sent[2].packet_id]
    assert [message.duplicate for message in messages] == [True, True, False]


def test_aws_iot_sets_no_dup(broker_by: Make) -> None:
    broker = broker_by(AWS)
    first = broker.join("a", clean_start=False, properties=LASTING)
    first.subscribe("t")
    first.acknowledges = False
    broker.join("b").publish("t", qos=1)
    first.vanish()
    assert [one.duplicate for one in broker.join("a", clean_start=False).messages()] == [False]


def test_no_more_than_the_receive_maximum_is_under_way(broker: Broker) -> None:
    """[MQTT-3.3.4-9, MQTT-4.9.0-1, MQTT-4.9.0-2]; QoS 0 does not wait [MQTT-3.3.4-10]."""
    device = broker.join("a", properties={"receive_maximum": 2})
    device.subscribe("t")
    device.acknowledges = False
    sender = broker.join("b")
    for number in range(5):
        sender.publish("t", b"%d" % number, qos=1)
    sender.publish("t", b"now", qos=0)
    messages = device.messages()
    assert [message.payload for message in messages] == [b"0", b"1", b"now"]
    device.acknowledges = True
    device.send(PubAck(messages[0].packet_id or 0))
    assert device.payloads() == [b"2", b"3", b"4"]


@BOTH
def test_the_order_of_one_publisher_is_kept(broker: Broker, version: int) -> None:
    """[MQTT-4.6.0-5, MQTT-4.6.0-6]"""
    device, sender = broker.join("a", version), broker.join("b", version)
    device.subscribe("t")
    for number in range(300):
        sender.publish("t", number.to_bytes(2), qos=1)
    assert device.payloads() == [number.to_bytes(2) for number in range(300)]


def test_an_expired_message_is_not_sent(broker: Broker) -> None:
    """[MQTT-3.3.2-5, MQTT-3.3.2-6]"""
    device = broker.join("a", clean_start=False, properties=LASTING)
    device.subscribe("t")
    device.vanish()
    sender = broker.join("b")
    sender.publish("t", b"short", qos=1, message_expiry_interval=10)
    sender.publish("t", b"long", qos=1, message_expiry_interval=100)
    broker.wait(10)
    (message,) = broker.join("a", clean_start=False, properties=LASTING).messages()
    assert message.payload == b"long"
    assert message.properties == {"message_expiry_interval": 90}


# -- wills -------------------------------------------------------------------------------------------------------------


@BOTH
def test_a_will_is_sent_unless_the_client_says_goodbye(broker: Broker, version: int) -> None:
    """[MQTT-3.1.2-8, MQTT-3.1.2-10, MQTT-3.14.4-3]"""
    watcher = broker.join("w")
    watcher.subscribe("will/#")
    will = Will("will/a", b"gone", QoS.AT_LEAST_ONCE)
    broker.join("a", version, will=will).leave()
    assert watcher.messages() == []
    broker.join("a", version, will=will).vanish()
    assert watcher.payloads() == [b"gone"]
    broker.join("a", version).vanish()
    assert watcher.messages() == []


def test_a_client_may_leave_with_its_will(broker: Broker) -> None:
    """3.14.2.1: 0x04, and any reason but 0x00"""
    watcher = broker.join("w")
    watcher.subscribe("will")
    for reason in (Reason.DISCONNECT_WITH_WILL, Reason.UNSPECIFIED_ERROR):
        broker.join("a", will=Will("will", b"x")).leave(reason)
        assert watcher.payloads() == [b"x"]


@BOTH
def test_a_will_is_retained_as_it_says(broker: Broker, version: int) -> None:
    """[MQTT-3.1.2-14, MQTT-3.1.2-15]; 3.1.1 [MQTT-3.1.2-16, MQTT-3.1.2-17]"""
    for retain in (False, True):
        broker.join("a", version, will=Will("will", b"x", retain=retain)).vanish()
        assert (broker.board.retained.get("will", broker.now) is not None) is retain


def test_a_delayed_will(broker: Broker) -> None:
    """[MQTT-3.1.2-8, MQTT-3.1.3-9]"""
    watcher = broker.join("w")
    watcher.subscribe("will")
    will = Will("will", b"x", properties={"will_delay_interval": 30, "content_type": "text/plain"})
    broker.join("a", clean_start=False, will=will, properties=LASTING).vanish()
    broker.wait(29)
    broker.join("a", clean_start=False, will=will, properties=LASTING).vanish()  # back in time: it is taken back
    broker.wait(29)
    assert watcher.messages() == []
    broker.wait(1)
    assert watcher.messages() == [Publish("will", b"x", properties={"content_type": "text/plain"})]
    broker.wait(1000)
    assert watcher.messages() == []


def test_a_delayed_will_goes_out_when_the_session_ends(broker: Broker) -> None:
    """3.1.3.2.2: whichever comes first"""
    watcher = broker.join("w")
    watcher.subscribe("will")
    will = Will("will", b"x", properties={"will_delay_interval": 3000})
    broker.join("a", will=will, properties=LASTING).vanish()
    broker.wait(600)
    assert watcher.payloads() == [b"x"]
    broker.join("a", will=will).vanish()  # its session ends with the connection
    assert watcher.payloads() == [b"x"]
    broker.join("a", will=will, properties=LASTING).vanish()
    broker.join("a", clean_start=True)
    assert watcher.payloads() == [b"x"]


@pytest.mark.parametrize(
    ("delay", "clean_start", "sent"), [(0, False, True), (0, True, True), (30, False, False), (30, True, True)]
)
def test_the_will_of_a_displaced_connection(broker: Broker, delay: int, clean_start: bool, sent: bool) -> None:
    """3.1.4, the comment on [MQTT-3.1.4-3]"""
    watcher = broker.join("w")
    watcher.subscribe("will")
    will = Will("will", b"x", properties={"will_delay_interval": delay} if delay else {})
    broker.join("a", clean_start=False, will=will, properties=LASTING)
    broker.join("a", clean_start=clean_start, properties=LASTING)
    assert watcher.payloads() == ([b"x"] if sent else [])
    broker.wait(60)
    assert watcher.messages() == []


# -- retained messages -------------------------------------------------------------------------------------------------


@BOTH
def test_the_last_retained_message_is_given_to_new_subscriptions(broker: Broker, version: int) -> None:
    """[MQTT-3.3.1-5, MQTT-3.3.1-9]; 3.1.1 [MQTT-3.3.1-6, MQTT-3.3.1-8]"""
    sender = broker.join("s")
    sender.publish("t", b"old", qos=1, retain=True)
    sender.publish("t", b"new", qos=1, retain=True)
    sender.publish("t", b"passing", qos=1)  # [MQTT-3.3.1-8]; 3.1.1 [MQTT-3.3.1-12]
    device = broker.join("a", version)
    device.subscribe("t", qos=0)
    assert device.messages() == [Publish("t", b"new", retain=True)]


@BOTH
def test_an_empty_payload_removes_it_and_is_passed_on(broker: Broker, version: int) -> None:
    """[MQTT-3.3.1-6, MQTT-3.3.1-7]; 3.1.1 [MQTT-3.3.1-10, MQTT-3.3.1-11]"""
    sender, watcher = broker.join("s", version), broker.join("w", version)
    watcher.subscribe("t")
    sender.publish("t", b"x", retain=True)
    sender.publish("t", b"", retain=True)
    assert watcher.payloads() == [b"x", b""]
    late = broker.join("a", version)
    late.subscribe("t")
    assert late.messages() == []


def test_retain_handling(broker: Broker) -> None:
    """[MQTT-3.3.1-9, MQTT-3.3.1-10, MQTT-3.3.1-11, MQTT-3.8.4-4]"""
    broker.join("s").publish("t", b"x", retain=True)
    device = broker.join("a")
    for handling, given in ((2, []), (1, []), (0, [b"x"])):  # at 1 the subscription exists already
        device.subscribe("t", retain_handling=handling)
        assert device.payloads() == given
    device.send(Unsubscribe(device.dialogue.client.packet_id(), ("t",)))
    device.heard()
    device.subscribe("t", retain_handling=1)
    assert device.payloads() == [b"x"]


@BOTH
def test_retain_is_cleared_for_established_subscriptions(broker: Broker, version: int) -> None:
    """[MQTT-3.3.1-12, MQTT-3.3.1-13]; 3.1.1 [MQTT-3.3.1-9]"""
    plain, faithful = broker.join("a", version), broker.join("b", V5)
    plain.subscribe("t")
    faithful.subscribe("t", retain_as_published=True)
    broker.join("s").publish("t", b"x", retain=True)
    assert [one.retain for one in plain.messages()] == [False]
    assert [one.retain for one in faithful.messages()] == [True]


def test_retained_messages_outlive_their_session(broker: Broker) -> None:
    """3.1.1 [MQTT-3.1.2.7]"""
    sender = broker.join("s")
    sender.publish("t", b"x", retain=True)
    sender.leave()
    device = broker.join("a")
    device.subscribe("t")
    assert device.payloads() == [b"x"]


def test_retained_messages_expire(broker: Broker) -> None:
    """[MQTT-3.3.2-5, MQTT-3.3.2-6]"""
    broker.join("s").publish("t", b"x", retain=True, message_expiry_interval=10)
    device = broker.join("a")
    broker.wait(4)
    device.subscribe("t")
    assert [one.properties for one in device.messages()] == [{"message_expiry_interval": 6}]
    broker.wait(6)
    device.subscribe("t")
    assert device.messages() == []


def test_wildcards_and_retained_messages(broker_by: Make) -> None:
    """The standard gives them, AWS IoT does not; neither does for shared subscriptions (4.8.2)."""
    for rules, given in ((STANDARD, [b"1", b"2"]), (AWS, [])):
        broker = broker_by(rules)
        sender, device = broker.join("s"), broker.join("a")
        sender.publish("t/1", b"1", retain=True)
        sender.publish("t/2", b"2", retain=True)
        sender.publish("$t", b"3", retain=True)
        device.subscribe("t/+")
        assert device.payloads() == given
        device.subscribe("$share/g/t/1")
        assert device.payloads() == []


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_wildcards_do_not_reach_into_reserved_topics(broker: Broker) -> None:
    """[MQTT-4.7.2-1]"""
    device, sender = broker.join("a"), broker.join("s")
    for topic_filter in ("#", "+/x", "$x/#"):
        device.subscribe(topic_filter, qos=0)
    sender.publish("$x/x", b"1")
    sender.publish("y/x", b"2")
    assert device.payloads() == [b"1", b"2"]


def test_hash_and_the_parent_level(broker_by: Make) -> None:
    """4.7.1.2; AWS IoT deviates"""
    for rules, given in ((STANDARD, [b"parent", b"child"]), (AWS, [b"child"])):
        broker = broker_by(rules)
        device, sender = broker.join("a"), broker.join("s")
        device.subscribe("sport/#")
        sender.publish("sport", b"parent")
        sender.publish("sport/x", b"child")
        assert device.payloads() == given


def test_topics_are_compared_as_they_are(broker: Broker) -> None:
    """[MQTT-4.7.3-4]"""
    device, sender = broker.join("a"), broker.join("s")
    device.subscribe("a/é")
    for topic in ("a/e\u0301", "A/é", "/a/é", "a/é/"):
        sender.publish(topic)
    assert device.messages() == []
    sender.publish("a/é")
    assert len(device.messages()) == 1


@BOTH
def test_overlapping_subscriptions_give_one_copy_at_the_highest_qos(broker: Broker, version: int) -> None:
    """[MQTT-3.3.4-2, MQTT-3.8.4-8]; 3.1.1 [MQTT-3.3.5-1, MQTT-3.8.4-6]"""
    device = broker.join("a", version)
    device.subscribe("t/#", qos=0)
    device.subscribe("t/x", qos=1)
    sender = broker.join("s")
    sender.publish("t/x", b"1", qos=1)
    sender.publish("t/y", b"2", qos=1)
    sender.publish("t/x", b"3", qos=0)
    assert [(one.payload, int(one.qos)) for one in device.messages()] == [(b"1", 1), (b"2", 0), (b"3", 0)]


def test_subscription_identifiers(broker: Broker) -> None:
    """[MQTT-3.3.4-3, MQTT-3.3.4-4]"""
    device = broker.join("a")
    device.subscribe("t/#", identifier=7)
    device.subscribe("t/+", identifier=9)
    device.subscribe("+/x")
    broker.join("s").publish("t/x")
    (message,) = device.messages()
    assert sorted(message.properties["subscription_identifier"]) == [7, 9]
    broker.join("s").publish("t/y", retain=True)
    device.subscribe("t/y", identifier=4)
    assert [one.properties.get("subscription_identifier") for one in device.messages()][-1] == (4,)


def test_no_local(broker: Broker) -> None:
    """[MQTT-3.8.3-3]"""
    device = broker.join("a")
    device.subscribe("t", no_local=True)
    device.publish("t", b"mine")
    broker.join("b").publish("t", b"yours")
    assert device.payloads() == [b"yours"]


@BOTH
def test_a_subscription_is_replaced_by_its_filter(broker: Broker, version: int) -> None:
    """[MQTT-3.8.4-3]"""
    device = broker.join("a", version)
    assert device.subscribe("t", qos=1).reasons == (Reason.GRANTED_QOS_1,)
    assert device.subscribe("t", qos=0).reasons == (Reason.GRANTED_QOS_0,)
    broker.join("s").publish("t", qos=1)
    assert [one.qos for one in device.messages()] == [QoS.AT_MOST_ONCE]


@BOTH
def test_qos_2_is_granted_as_1(broker: Broker, version: int) -> None:
    """[MQTT-3.2.2-10, MQTT-3.8.4-7]"""
    assert broker.join("a", version).subscribe("t", qos=2).reasons == (Reason.GRANTED_QOS_1,)


@BOTH
def test_unsubscribing(broker: Broker, version: int) -> None:
    """[MQTT-3.10.4-1, MQTT-3.10.4-2, MQTT-3.10.4-5, MQTT-3.10.4-6]"""
    device = broker.join("a", version)
    device.subscribe("t/+")
    device.heard()
    device.send(Unsubscribe(77, ("t/x", "t/+")))
    gone, never = Reason.SUCCESS, Reason.NO_SUBSCRIPTION_EXISTED
    assert device.heard() == [UnsubAck(77, (never, gone) if version == V5 else ())]
    broker.join("s").publish("t/x")
    assert device.messages() == []


def test_shared_subscriptions_take_turns(broker: Broker) -> None:
    """4.8.2: each message to one member; beside it ordinary subscriptions get their own copy."""
    one, two, aside, sender = broker.join("1"), broker.join("2", V4), broker.join("3"), broker.join("s")
    one.subscribe("$share/g/t/+", qos=1)
    two.subscribe("$share/g/t/+", qos=0)
    aside.subscribe("t/x")
    for number in range(4):
        sender.publish("t/x", b"%d" % number, qos=1)
    first, second = one.messages(), two.messages()
    assert [m.payload for m in first] == [b"0", b"2"]
    assert [m.payload for m in second] == [b"1", b"3"]
    assert {m.qos for m in first} == {QoS.AT_LEAST_ONCE}  # [MQTT-4.8.2-3]
    assert {m.qos for m in second} == {QoS.AT_MOST_ONCE}
    assert len(aside.messages()) == 4


def test_a_group_waits_for_its_members_who_are_away(broker: Broker) -> None:
    for name in ("1", "2"):
        device = broker.join(name, clean_start=False, properties=LASTING)
        device.subscribe("$share/g/t")
        device.vanish()
    sender = broker.join("s")
    sender.publish("t", b"kept", qos=1)
    sender.publish("t", b"lost", qos=0)
    given = [broker.join(name, clean_start=False).payloads() for name in ("1", "2")]
    assert given == [[b"kept"], []]


def test_groups_of_other_names_are_other_groups(broker: Broker) -> None:
    one, two = broker.join("1"), broker.join("2")
    one.subscribe("$share/g/t")
    two.subscribe("$share/h/t")
    broker.join("s").publish("t")
    assert len(one.messages()) == len(two.messages()) == 1
    one.send(Unsubscribe(50, ("$share/g/t",)))
    one.heard()
    broker.join("s").publish("t")
    assert (len(one.messages()), len(two.messages())) == (0, 1)


def test_refused_filters(broker_by: Make) -> None:
    """AWS IoT: 8 levels, 256 bytes, 50 subscriptions; the share's prefix is free."""
    broker = broker_by(AWS)
    device = broker.join("a")
    assert device.subscribe("/".join("abcdefghi")).reasons == (Reason.TOPIC_FILTER_INVALID,)
    assert device.subscribe("f" * 257).reasons == (Reason.TOPIC_FILTER_INVALID,)
    assert device.subscribe(f"$share/{'g' * 129}/t").reasons == (Reason.TOPIC_FILTER_INVALID,)
    assert device.subscribe(f"$share/{'g' * 128}/" + "/".join("abcdefgh")).reasons == (Reason.GRANTED_QOS_1,)
    for number in range(49):
        assert device.subscribe(f"t/{number}").reasons == (Reason.GRANTED_QOS_1,)
    assert device.subscribe("one/too/many").reasons == (Reason.QUOTA_EXCEEDED,)
    assert device.subscribe("t/3", qos=0).reasons == (Reason.GRANTED_QOS_0,)  # replacing takes no room


# -- the connection's policy -------------------------------------------------------------------------------------------


def test_what_a_connection_may_not_receive_is_kept_from_it(broker: Broker) -> None:
    """iot:Receive is asked for every delivery: live, queued, retained and shared."""
    sender = broker.join("s")
    sender.publish("secret/kept", b"1", retain=True)
    device = broker.join("a", clean_start=False, properties=LASTING)
    device.subscribe("#")
    device.subscribe("$share/g/secret/x")
    sender.publish("secret/x", b"2", qos=1)
    assert device.messages() == []
    device.vanish()
    sender.publish("secret/x", b"3", qos=1)
    sender.publish("open", b"4", qos=1)
    assert broker.join("a", clean_start=False, properties=LASTING).payloads() == [b"4"]


def test_rules_are_values(broker_by: Make) -> None:
    broker = broker_by(replace(STANDARD, retained_messages=1))
    sender = broker.join("s")
    sender.publish("a", b"1", retain=True)
    sender.publish("b", b"2", retain=True)
    assert broker.board.retained.topics() == ["a"]
    assert broker.board.can_retain("a")
    assert not broker.board.can_retain("b")
