"""New temporary credentials, and whether somebody may have those of a role."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetgate.api.handling import Asking, Result
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.policy.document import TRUST, parse
from fleetgate.policy.evaluate import Denied, Named, Reason, Rights, Verdict
from fleetgate.policy.principals import Caller
from fleetgate.policy.variables import Context, Values
from fleetgate.registry import access_keys, temporary_credentials
from fleetgate.registry.roles import Role
from fleetgate.registry.temporary_credentials import TemporaryCredentials
from fleetgate.runtime import Runtime

ASSUME: str = "sts:AssumeRole"


@dataclass(frozen=True, slots=True)
class Fresh:
    """Credentials that nobody has yet."""

    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    sealed_secret: str = field(repr=False)

    def told(self, expires_at: int) -> Result:
        """As `sts` answers them."""
        return {
            "AccessKeyId": self.id,
            "SecretAccessKey": self.secret,
            "SessionToken": self.token,
            "Expiration": expires_at,
        }


def fresh(runtime: Runtime) -> Fresh:
    made = access_keys.generate(runtime.entropy, "ASIA")
    token = base64.b64encode(runtime.entropy(96)).decode()
    return Fresh(made.id, made.secret, token, runtime.vault.seal(made.secret))


def enter(
    tx: Tx,
    made: Fresh,
    account: str,
    holder: str,
    holder_id: str,
    name: str,
    *,
    now: int,
    seconds: int,
    policies: Sequence[str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> TemporaryCredentials:
    """Good for *seconds* from *now*. *policies* and *facts* as in TemporaryCredentials."""
    entered = TemporaryCredentials(
        id=made.id,
        account=account,
        token_digest=temporary_credentials.digest(made.token),
        sealed_secret=made.sealed_secret,
        holder=holder,
        holder_id=holder_id,
        name=name,
        policies=None if policies is None else tuple(policies),
        facts=facts or {},
        created_at=now,
        expires_at=now + seconds * 1000,
    )
    temporary_credentials.create(tx, entered)
    return entered


def trusted(role: Role, action: str, caller: Caller, context: Mapping[str, Values]) -> Verdict:
    """What the role's trust policy says."""
    policy = Named(f"the trust policy of {role.arn}", "1", parse(role.trust, TRUST))
    return Rights([policy], Context.of(context), caller).decide(action, role.arn)


def require_trust(asking: Asking, role: Role | None, arn: str, action: str, context: Mapping[str, Values]) -> None:
    """*asking* may do *action* (sts:AssumeRole and its company) to *role*, which is called *arn* in the request.

    Both sides must agree: the trust policy, and the caller's own policies. Those need not say so where the trust policy
    of a role of the same account names the caller itself and not its account. Raises AccessDenied, in the same words
    whatever is the matter, so that nobody learns which roles there are.
    """
    operator = asking.operator
    known = {**asking.context, **context, **operator.facts}
    if role is None:
        raise _denied(operator.arn, action, arn, f"There is no role {arn}.")
    verdict = trusted(role, action, operator.caller, known)
    if isinstance(verdict, Denied):
        raise _denied(operator.arn, action, arn, verdict.explain(operator.arn))
    own = operator.standing(known).decide(action, role.arn)
    if isinstance(own, Denied) and own.reason is Reason.IMPLICIT and operator.account == role.account:
        by_name = trusted(role, action, replace(operator.caller, account=None), known)
        if by_name:
            own = replace(operator, policies=None).standing(known).decide(action, role.arn)
    if isinstance(own, Denied):
        raise _denied(operator.arn, action, arn, own.explain(operator.arn))


def _denied(who: str, action: str, arn: str, reason: str) -> AccessDenied:
    return AccessDenied(f"User: {who} is not authorized to perform: {action} on resource: {arn}", reason=reason)
