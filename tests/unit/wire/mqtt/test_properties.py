"""Where a property may stand and what it may say."""

from __future__ import annotations

from typing import cast

import pytest

from fleetgate.wire.mqtt import properties as kind
from fleetgate.wire.mqtt.errors import Malformed, ProtocolError, Reason
from fleetgate.wire.mqtt.primitives import Reader
from fleetgate.wire.mqtt.properties import NO_PROPERTIES, PACKET_NAMES, Properties, read_properties, write_properties

# MQTT 5, table 2-4, typed in anew: which packets each property may stand in.
ALLOWED = {
    "payload_format_indicator": "PUBLISH will",
    "message_expiry_interval": "PUBLISH will",
    "content_type": "PUBLISH will",
    "response_topic": "PUBLISH will",
    "correlation_data": "PUBLISH will",
    "subscription_identifier": "PUBLISH SUBSCRIBE",
    "session_expiry_interval": "CONNECT CONNACK DISCONNECT",
    "assigned_client_identifier": "CONNACK",
    "server_keep_alive": "CONNACK",
    "authentication_method": "CONNECT CONNACK AUTH",
    "authentication_data": "CONNECT CONNACK AUTH",
    "request_problem_information": "CONNECT",
    "will_delay_interval": "will",
    "request_response_information": "CONNECT",
    "response_information": "CONNACK",
    "server_reference": "CONNACK DISCONNECT",
    "reason_string": "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
    "receive_maximum": "CONNECT CONNACK",
    "topic_alias_maximum": "CONNECT CONNACK",
    "topic_alias": "PUBLISH",
    "maximum_qos": "CONNACK",
    "retain_available": "CONNACK",
    "user_property": "CONNECT CONNACK PUBLISH will PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK "
    "DISCONNECT AUTH",
    "maximum_packet_size": "CONNECT CONNACK",
    "wildcard_subscription_available": "CONNACK",
    "subscription_identifier_available": "CONNACK",
    "shared_subscription_available": "CONNACK",
}
VALUES: dict[str, object] = {
    "content_type": "x",
    "response_topic": "x",
    "correlation_data": b"x",
    "subscription_identifier": (1,),
    "assigned_client_identifier": "x",
    "authentication_method": "x",
    "authentication_data": b"x",
    "response_information": "x",
    "server_reference": "x",
    "reason_string": "x",
    "user_property": (("a", "b"),),
}


def one(name: str, value: object) -> Properties:
    values = {name: value}
    if name == "authentication_data":
        values["authentication_method"] = "m"
    return cast("Properties", values)


def test_every_property_is_known() -> None:
    assert set(ALLOWED) == set(Properties.__annotations__)


@pytest.mark.parametrize("name", ALLOWED)
def test_a_property_stands_only_where_it_may(name: str) -> None:
    given = one(name, VALUES.get(name, 1))
    for packet, packet_name in enumerate(PACKET_NAMES):
        if packet_name in ALLOWED[name].split():
            assert read_properties(Reader(write_properties(given, packet)), packet) == given
        else:
            with pytest.raises(ProtocolError, match="may not stand") as error:
                write_properties(given, packet)
            assert error.value.reason == Reason.PROTOCOL_ERROR
            home = PACKET_NAMES.index(ALLOWED[name].split()[0])
            with pytest.raises(ProtocolError, match="may not stand"):
                read_properties(Reader(write_properties(given, home)), packet)


@pytest.mark.parametrize(
    ("name", "packet", "wrong"),
    [
        ("payload_format_indicator", kind.PUBLISH, 2),
        ("subscription_identifier", kind.SUBSCRIBE, (0,)),
        ("request_problem_information", kind.CONNECT, 2),
        ("request_response_information", kind.CONNECT, 2),
        ("receive_maximum", kind.CONNECT, 0),
        ("maximum_packet_size", kind.CONNACK, 0),
        ("maximum_qos", kind.CONNACK, 2),
        ("retain_available", kind.CONNACK, 2),
        ("wildcard_subscription_available", kind.CONNACK, 2),
        ("subscription_identifier_available", kind.CONNACK, 2),
        ("shared_subscription_available", kind.CONNACK, 2),
        ("subscription_identifier", kind.PUBLISH, (268_435_456,)),
        ("message_expiry_interval", kind.PUBLISH, -1),
    ],
)
def test_values_have_ranges(name: str, packet: int, wrong: object) -> None:
    with pytest.raises(ProtocolError, match="outside") as error:
        write_properties(one(name, wrong), packet)
    assert error.value.reason == Reason.PROTOCOL_ERROR


def test_topic_alias_has_its_own_reason() -> None:
    with pytest.raises(ProtocolError) as error:
        write_properties({"topic_alias": 0}, kind.PUBLISH)
    assert error.value.reason == Reason.TOPIC_ALIAS_INVALID


def test_only_two_may_be_repeated() -> None:
    twice: Properties = {"user_property": (("a", "1"), ("a", "2")), "subscription_identifier": (3, 4)}
    assert read_properties(Reader(write_properties(twice, kind.PUBLISH)), kind.PUBLISH) == twice
    with pytest.raises(ProtocolError, match="twice"):
        write_properties({"subscription_identifier": (3, 4)}, kind.SUBSCRIBE)
    with pytest.raises(ProtocolError, match="server_keep_alive is given twice"):
        read_properties(Reader(b"\6\x13\0\1\x13\0\1"), kind.CONNACK)


def test_authentication_data_needs_its_method() -> None:
    with pytest.raises(ProtocolError, match="authentication_method"):
        write_properties({"authentication_data": b"x"}, kind.CONNECT)
    with pytest.raises(ProtocolError, match="authentication_method"):
        read_properties(Reader(b"\4\x16\0\1x"), kind.CONNECT)


def test_names_and_identifiers_that_are_none() -> None:
    with pytest.raises(Malformed, match="called nonsense"):
        write_properties(cast("Properties", {"nonsense": 1}), kind.CONNECT)
    with pytest.raises(Malformed, match="0x04"):
        read_properties(Reader(b"\2\4\0"), kind.CONNECT)


def test_none_is_shared_and_unchangeable() -> None:
    assert read_properties(Reader(b"\0"), kind.PUBLISH) is NO_PROPERTIES
    with pytest.raises(TypeError):
        NO_PROPERTIES["topic_alias"] = 1
    assert write_properties(NO_PROPERTIES, kind.PUBLISH) == b"\0"
