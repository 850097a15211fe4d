"""The one exception tree. A leaf exists only where something handles it by kind, or where AWS names it.

    FleetgateError
      Refused                         somebody asked for something that cannot be; the message says what to do next
        InvalidRequest 400            the request does not fit its operation
          MalformedPolicy, CertificateInvalid, RegistrationCodeInvalid, RegistrationFailed, InvalidResponse
          InvalidQuery, InvalidAggregation, IndexNotReady                      (fleet indexing)
          SqlParseFailed                                                       (a rule's SELECT)
          InvalidParameters, InvalidOwnershipToken, InvalidSigningRequest      (the provisioning topics)
        Unauthenticated 403           nobody known is asking
        AccessDenied 403              somebody known may not
        NotFound 404
          RuleUnknown 401
        CertificateState 406          the certificate's status does not allow it
        AlreadyExists 409, DeleteConflict 409, VersionConflict 409, VersionsLimitExceeded 409,
        ConflictingUpdate 409, CertificateConflict 409, TransferConflict 409
        LimitExceeded 410, TransferAlreadyCompleted 410
        Throttled 429
      Unavailable 503                 the installation itself cannot, for now
      ConfigInvalid                   the configuration cannot be used; every problem at once
      FunctionFailed                  a function gave no usable answer
        FunctionUnavailable           it could not be started
        FunctionTimedOut              it was killed at its time limit

Each leaf carries AWS's code. REST takes the status from the service model by that code; `status` serves the doors that
have no model ($aws/... answers). Anything that is not a FleetgateError is a bug: logged whole, answered as internal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class FleetgateError(Exception):
    """*message* is for the person who asked: what is wrong and what to do next. *members* go beside it on the wire.

    *reason* is for the audit trail alone, where whoever asked may not learn it; the same as *message* unless given.
    """

    code: ClassVar[str] = "InternalFailureException"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, reason: str | None = None, **members: str) -> None:
        message = _laid_out(message)
        super().__init__(message)
        self.message = message
        self.reason = message if reason is None else _laid_out(reason)
        self.members = members


class Refused(FleetgateError):
    """The request is at fault, not the installation."""


class InvalidRequest(Refused):
    code, status = "InvalidRequestException", 400


class MalformedPolicy(InvalidRequest):
    code = "MalformedPolicyException"


class CertificateInvalid(InvalidRequest):
    code = "CertificateValidationException"


class RegistrationCodeInvalid(InvalidRequest):
    code = "RegistrationCodeValidationException"


class InvalidResponse(InvalidRequest):
    """An authorizer's function answered with what cannot be used, or not at all (TestInvokeAuthorizer)."""

    code = "InvalidResponseException"


class RegistrationFailed(InvalidRequest):
    code = "ResourceRegistrationFailureException"


class InvalidQuery(InvalidRequest):
    code = "InvalidQueryException"


class InvalidAggregation(InvalidRequest):
    code = "InvalidAggregationException"


class IndexNotReady(InvalidRequest):
    """The index that is asked is switched off."""

    code = "IndexNotReadyException"


class SqlParseFailed(InvalidRequest):
    code = "SqlParseException"


class InvalidParameters(InvalidRequest):
    """A template cannot be rendered from what the device sent."""

    code = "InvalidParameters"


class InvalidOwnershipToken(InvalidRequest):
    """Missing, wrong, expired, used, or somebody else's: the message does not tell which of the last four."""

    code = "InvalidCertificateOwnershipToken"


class InvalidSigningRequest(InvalidRequest):
    code = "InvalidCertificateSigningRequest"


class Unauthenticated(Refused):
    """No known identity stands behind the request. *code* is chosen where it is raised (SigV4 has several)."""

    code, status = "UnrecognizedClientException", 403

    def __init__(self, message: str, code: str = "UnrecognizedClientException") -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc] # one class, AWS's several names for the same refusal


class AccessDenied(Refused):
    code, status = "AccessDeniedException", 403


class NotFound(Refused):
    code, status = "ResourceNotFoundException", 404


class RuleUnknown(NotFound):
    """AWS calls a topic rule that is not there one that may not be looked at."""

    code, status = "UnauthorizedException", 401


class CertificateState(Refused):
    code, status = "CertificateStateException", 406


class AlreadyExists(Refused):
    code, status = "ResourceAlreadyExistsException", 409


class DeleteConflict(Refused):
    code, status = "DeleteConflictException", 409


class VersionConflict(Refused):
    code, status = "VersionConflictException", 409


class VersionsLimitExceeded(Refused):
    code, status = "VersionsLimitExceededException", 409


class ConflictingUpdate(Refused):
    code, status = "ConflictingResourceUpdateException", 409


class CertificateConflict(Refused):
    code, status = "CertificateConflictException", 409


class TransferConflict(Refused):
    """Something on the certificate is in the way of its transfer."""

    code, status = "TransferConflictException", 409


class LimitExceeded(Refused):
    code, status = "LimitExceededException", 410


class TransferAlreadyCompleted(Refused):
    code, status = "TransferAlreadyCompletedException", 410


class Throttled(Refused):
    code, status = "ThrottlingException", 429


class Unavailable(FleetgateError):
    code, status = "ServiceUnavailableException", 503


class ConfigInvalid(FleetgateError):
    """Raised before anything is started; the command line prints it and exits."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(f"The configuration cannot be used: {all_of(problems)}")
        self.problems = tuple(problems)


class FunctionFailed(FleetgateError):
    """The message says how it ended: it raised, exited, died, or returned what cannot be used."""


class FunctionUnavailable(FunctionFailed):
    pass


class FunctionTimedOut(FunctionFailed):
    pass


def _laid_out(message: str) -> str:
    """What `all_of` ended in: a list alone begins on the first line, and no blank hangs behind what leads to one."""
    return message.lstrip("\n").replace(": \n- ", ":\n- ")


def all_of(problems: Sequence[str]) -> str:
    """One message out of every problem found, so that a user mends all at once."""
    return problems[0] if len(problems) == 1 else "".join(f"\n- {problem}" for problem in problems)
