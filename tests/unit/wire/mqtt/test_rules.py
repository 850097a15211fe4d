"""AWS IoT's numbers, the standard's freedom, and what a CONNACK announces of them."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from fleetgate.wire.mqtt.errors import ProtocolError, Reason
from fleetgate.wire.mqtt.packets import V4, V5, Connect
from fleetgate.wire.mqtt.rules import AWS, NEVER, STANDARD, Rules


@pytest.mark.parametrize(
    ("asked", "aws", "standard"),
    [(0, 1200, 0), (6, 30, 6), (30, 30, 30), (600, 600, 600), (1200, 1200, 1200), (1201, 1200, 1201)],
)
def test_keep_alive(asked: int, aws: int, standard: int) -> None:
    assert AWS.keep_alive(asked) == aws
    assert STANDARD.keep_alive(asked) == standard


@pytest.mark.parametrize(
    ("connect", "aws", "standard"),
    [
        (Connect("a", V4, clean_start=True), 0, 0),
        (Connect("a", V4, clean_start=False), 3600, NEVER),
        (Connect("a", V5, clean_start=False), 0, 0),
        (Connect("a", V5, properties={"session_expiry_interval": 60}), 60, 60),
        (Connect("a", V5, properties={"session_expiry_interval": NEVER}), 604_800, NEVER),
    ],
)
def test_session_expiry(connect: Connect, aws: int, standard: int) -> None:
    assert AWS.session_expiry(connect) == aws
    assert STANDARD.session_expiry(connect) == standard


def test_announcement() -> None:
    wish = Connect("", keep_alive=6, properties={"session_expiry_interval": NEVER})
    assert AWS.announcement(wish, "assigned") == {
        "receive_maximum": 100,
        "maximum_packet_size": 149_504,
        "topic_alias_maximum": 8,
        "maximum_qos": 1,
        "retain_available": 1,
        "wildcard_subscription_available": 1,
        "subscription_identifier_available": 0,
        "shared_subscription_available": 1,
        "server_keep_alive": 30,
        "session_expiry_interval": 604_800,
        "assigned_client_identifier": "assigned",
    }
    modest = AWS.announcement(Connect("a", keep_alive=60, properties={"session_expiry_interval": 60}))
    assert not {"server_keep_alive", "session_expiry_interval", "assigned_client_identifier"} & set(modest)
    assert "maximum_qos" not in replace(STANDARD, maximum_qos=2).announcement(Connect("a"))
    assert AWS.announcement(Connect("a", V4)) == {}


def test_client_identifiers() -> None:
    for good in ("", "a", "x" * 128):
        AWS.check_client_id(good)
    for bad in ("$aws", "x" * 129, "é" * 65):
        with pytest.raises(ProtocolError) as error:
            AWS.check_client_id(bad)
        assert error.value.reason == Reason.CLIENT_IDENTIFIER_NOT_VALID
        STANDARD.check_client_id(bad)


def test_topics_and_their_free_prefixes() -> None:
    seven = "/".join("abcdefgh")
    AWS.check_topic(seven)
    AWS.check_topic(f"$aws/rules/{'r' * 200}/{seven}")
    AWS.check_topic("$aws/rules/r")
    AWS.check_filter(f"$share/g/{seven}")
    for bad in (f"{seven}/i", f"$aws/rules/r/{seven}/i", f"$aws/things/{seven}", "$aws/rules/r/#"):
        with pytest.raises(ProtocolError) as error:
            AWS.check_topic(bad)
        assert error.value.reason == Reason.TOPIC_NAME_INVALID
    STANDARD.check_topic("/" * 1000)
    with pytest.raises(ProtocolError, match="share name"):
        AWS.check_filter(f"$share/{'g' * 129}/a")


def test_every_rule_differs_or_is_shared_on_purpose() -> None:
    """A field that both have alike is a bound of this server or a promise both make."""
    alike = {one.name for one in fields(Rules) if getattr(AWS, one.name) == getattr(STANDARD, one.name)}
    bounds = {"sessions", "sessions_per_certificate", "queued_messages", "queued_bytes", "retained_messages"}
    assert alike == {"maximum_qos", "answer_timeout", "session_expiry_unattached"} | bounds
