from __future__ import annotations

import pytest

from fleetgate.agent.errors import ConnectionLost, Declined, GaveUp, Rejected, TimedOut, described, passing
from fleetgate.wire.mqtt.errors import Reason


def test_a_reason_is_told_in_words_and_by_its_number() -> None:
    assert described(Reason.NOT_AUTHORIZED) == "not authorized (0x87)"


@pytest.mark.parametrize("reason", [Reason.NOT_AUTHORIZED, Reason.CLIENT_IDENTIFIER_NOT_VALID, Reason.BANNED])
def test_what_the_server_will_never_take_is_not_worth_a_retry(reason: Reason) -> None:
    assert not passing(reason)
    assert not Declined("the connection", reason).retryable
    assert not ConnectionLost("waiting", "it said so", reason).retryable


@pytest.mark.parametrize("reason", [Reason.SERVER_BUSY, Reason.QUOTA_EXCEEDED, Reason.SERVER_SHUTTING_DOWN])
def test_what_passes_is(reason: Reason) -> None:
    assert Declined("the connection", reason).retryable
    assert ConnectionLost("waiting", "it said so", reason).retryable


def test_a_connection_lost_without_a_word_is_worth_a_retry() -> None:
    assert ConnectionLost("waiting for CONNACK", "the server closed it").retryable
    assert TimedOut("waiting for CONNACK", 10).retryable


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (403, False), (404, False), (409, False), (429, True), (500, True)]
)
def test_rejections(status: int, retryable: bool) -> None:
    assert Rejected("RegisterThing", status, "Code", "no", "r-1").retryable is retryable


def test_messages_say_what_happened() -> None:
    rejected = Rejected("RegisterThing", 403, "AccessDenied", "The hook said no.", "r-1")
    assert (
        rejected.message == "The server rejected RegisterThing with 403 AccessDenied: The hook said no. (request r-1)"
    )
    declined = Declined("the message to a/b", Reason.NOT_AUTHORIZED, "no statement allows it")
    assert (
        declined.message == "The server refused the message to a/b with not authorized (0x87): no statement allows it."
    )
    timed_out = TimedOut("waiting for CONNACK", 2.5)
    assert timed_out.message == "Timed out after 2.5 s while waiting for CONNACK."
    assert GaveUp(3, timed_out).message == f"Gave up after 3 attempts. The last one: {timed_out.message}"
