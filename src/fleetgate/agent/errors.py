"""What can go wrong on the device's side, told by what helps: trying again, or mending something first.

FleetgateError
  AgentFailed
    Unreachable           no such host, nothing listens, the network is down
    TlsFailed             the handshake failed; `retryable` unless a certificate is at fault
    TimedOut              nobody answered in time
    ConnectionLost        the peer closed, or broke the protocol
    Declined              CONNECT, SUBSCRIBE or PUBLISH was refused with a reason code
    Rejected              a provisioning request was answered on its `/rejected` topic
    AnswerUnusable        a provisioning request was answered with something else than documented
    CredentialsUnusable   a certificate or key file of ours cannot be used
    StoreUnusable         the device's folder cannot be used
    GaveUp                the last permitted attempt failed too
"""

from __future__ import annotations

from typing import Final

from fleetgate.errors import FleetgateError
from fleetgate.wire.mqtt.errors import Reason


class AgentFailed(FleetgateError):
    """*retryable*: the same may work later, with nothing changed on this side."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Unreachable(AgentFailed):
    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} cannot be reached: {why}.", retryable=True)


class TlsFailed(AgentFailed):
    """*why* is the TLS library's reason."""

    def __init__(self, where: str, why: str, *, retryable: bool) -> None:
        super().__init__(f"TLS with {where} failed: {why}.", retryable=retryable)
        self.why = why


class TimedOut(AgentFailed):
    """*step* says what was waited for."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"Timed out after {seconds:g} s while {step}.", retryable=True)
        self.step = step


class ConnectionLost(AgentFailed):
    """*reason_code* is the server's, where it said one (MQTT 5's DISCONNECT)."""

    def __init__(self, step: str, why: str, reason_code: Reason | None = None) -> None:
        retryable = reason_code is None or passing(reason_code)
        super().__init__(f"The connection was lost while {step}: {why}.", retryable=retryable)
        self.step, self.why, self.reason_code = step, why, reason_code


class Declined(AgentFailed):
    """*what* is the packet that was refused, *said* the server's reason string (MQTT 5)."""

    def __init__(self, what: str, reason_code: Reason, said: str = "") -> None:
        explained = f": {said}" if said else ""
        text = f"The server refused {what} with {described(reason_code)}{explained}."
        super().__init__(text, retryable=passing(reason_code))
        self.what, self.reason_code, self.said = what, reason_code, said


class Rejected(AgentFailed):
    """AWS's error object: *status_code*, *error_code*, *said*; *request_id* is empty where the server names none."""

    def __init__(self, operation: str, status_code: int, error_code: str, said: str, request_id: str) -> None:
        where = f" (request {request_id})" if request_id else ""
        text = f"The server rejected {operation} with {status_code} {error_code}: {said}{where}"
        super().__init__(text, retryable=status_code == 429 or status_code >= 500)
        self.operation, self.status_code, self.error_code = operation, status_code, error_code
        self.said, self.request_id = said, request_id


class AnswerUnusable(AgentFailed):
    def __init__(self, operation: str, why: str) -> None:
        super().__init__(f"The server's answer to {operation} cannot be used: {why}.", retryable=False)


class CredentialsUnusable(AgentFailed):
    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class StoreUnusable(AgentFailed):
    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class GaveUp(AgentFailed):
    """*last* is what the last attempt ended with."""

    def __init__(self, attempts: int, last: AgentFailed) -> None:
        super().__init__(f"Gave up after {attempts} attempts. The last one: {last.message}", retryable=False)
        self.attempts, self.last = attempts, last


_PASSING: Final = frozenset(
    {
        Reason.NORMAL_DISCONNECTION,
        Reason.UNSPECIFIED_ERROR,
        Reason.IMPLEMENTATION_SPECIFIC_ERROR,
        Reason.SERVER_UNAVAILABLE,
        Reason.SERVER_BUSY,
        Reason.SERVER_SHUTTING_DOWN,
        Reason.KEEP_ALIVE_TIMEOUT,
        Reason.SESSION_TAKEN_OVER,
        Reason.RECEIVE_MAXIMUM_EXCEEDED,
        Reason.MESSAGE_RATE_TOO_HIGH,
        Reason.QUOTA_EXCEEDED,
        Reason.ADMINISTRATIVE_ACTION,
        Reason.CONNECTION_RATE_EXCEEDED,
        Reason.MAXIMUM_CONNECT_TIME,
    }
)


def passing(reason: Reason) -> bool:
    """Whether what a server gives as its reason may be over at the next attempt."""
    return reason in _PASSING


def described(reason: Reason) -> str:
    """`not authorized (0x87)`"""
    return f"{reason.name.lower().replace('_', ' ')} (0x{reason:02X})"
