"""Operators at any door: a signature (Signature Version 4) becomes an Operator, an Operator's policies become a say.

    credential = sigv4.parse(request)                       which key, which region, which service
    claimed = await operators.claimed(credential, now)      whose key that is, not proven yet
    operators.verify(request, credential, claimed, now)     proven
    claimed.operator.standing(context).require(action, resource)

The account's own access keys may do everything in it: asking costs them nothing. Users have the policies of their own,
sessions those of their role, narrowed by the session's. Evaluation is IAM's: an explicit Deny beats an Allow, and what
no statement allows is denied (IAM: Policy evaluation logic).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied
from fleetgate.names import Realm
from fleetgate.policy.document import IAM, Document, parse
from fleetgate.policy.evaluate import Allowed, Denied, Named, Reason, Rights, StatementRef, Verdict
from fleetgate.policy.principals import Caller
from fleetgate.policy.variables import Context, Values
from fleetgate.registry import access_keys, permissions, roles, temporary_credentials, users
from fleetgate.registry.access_keys import Status
from fleetgate.registry.roles import Role
from fleetgate.registry.temporary_credentials import TemporaryCredentials
from fleetgate.runtime import Runtime
from fleetgate.wire.restjson import sigv4
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import Credential, Form

_KEY_ID: Final = re.compile(r"[A-Z0-9]{16,128}")
_HEADER: Final[frozenset[Form]] = frozenset({"header"})


class Kind(StrEnum):
    """As the condition key aws:PrincipalType has it."""

    ACCOUNT = "Account"
    USER = "User"
    ROLE = "AssumedRole"


@dataclass(frozen=True, slots=True)
class Operator:
    kind: Kind
    account: str
    arn: str
    """As GetCallerIdentity tells it: of the account's root, of the user, or of the session of a role."""
    user_id: str
    actor: str
    """As the audit trail names it."""
    aliases: tuple[str, ...] = ()
    """Other names that a trust policy may have for it: a session's role, unique ids."""
    policies: tuple[Named, ...] | None = None
    """None for the account itself, which may do everything in it."""
    session_policies: tuple[Named, ...] | None = None
    """What a session may do at most; None where it has no policies of its own."""
    facts: Mapping[str, Values] = field(default_factory=dict)
    """Condition keys that are known of it."""
    temporary: bool = False

    @property
    def unbounded(self) -> bool:
        """Whether it may do everything in its account, so that nothing need be asked."""
        return self.policies is None and self.session_policies is None

    @property
    def caller(self) -> Caller:
        """As trust policies ask for it."""
        return Caller("AWS", (self.arn, *self.aliases), self.account)

    def standing(self, context: Mapping[str, Values] | None = None) -> Standing:
        """What it may do in one request; *context* holds the request's condition keys (aws:SourceIp ...)."""
        return Standing(self, context or {})


class Standing:
    """What an operator may do in one context."""

    __slots__ = ("_identity", "_operator", "_session")

    def __init__(self, operator: Operator, context: Mapping[str, Values]) -> None:
        self._operator = operator
        self._identity = self._session = None
        if operator.policies is not None or operator.session_policies is not None:
            known = Context.of({**context, **operator.facts})
            if operator.policies is not None:
                self._identity = Rights(operator.policies, known)
            if operator.session_policies is not None:
                self._session = Rights(operator.session_policies, known)

    def decide(self, action: str, resource: str) -> Verdict:
        """*resource* is an ARN, or `*` for an action on no resource in particular."""
        return self._judge(action, resource)[0]

    def require(self, action: str, resource: str) -> None:
        """Raises AccessDenied in AWS's words; the deciding statement is in its reason, for the audit trail."""
        verdict, layer = self._judge(action, resource)
        if isinstance(verdict, Denied):
            raise refusal(self._operator.arn, verdict, layer)

    def _judge(self, action: str, resource: str) -> tuple[Verdict, str]:
        verdict: Verdict = Allowed(_ACCOUNT_ITSELF, action, resource)
        for rights, layer in ((self._identity, "identity-based"), (self._session, "session")):
            if rights is not None:
                verdict = rights.decide(action, resource)
                if not verdict:
                    return verdict, layer
        return verdict, "identity-based"


_ACCOUNT_ITSELF: Final = StatementRef("account", "root", 0)


def refusal(arn: str, verdict: Denied, layer: str = "identity-based") -> AccessDenied:
    """AWS's sentence; *layer* is the kind of policy that decided: identity-based, session, resource-based."""
    article = "an" if layer.startswith("identity") else "a"
    why = (
        f"with an explicit deny in {article} {layer} policy"
        if verdict.reason is Reason.EXPLICIT
        else f"because no {layer} policy allows the {verdict.action} action"
    )
    return AccessDenied(
        f"User: {arn} is not authorized to perform: {verdict.action} on resource: {verdict.resource} {why}",
        reason=verdict.explain(arn),
    )


# --- from a signature to an operator ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whom a request says it is from, until `Operators.verify` has proven it."""

    operator: Operator
    sealed_secret: str = field(repr=False)


class Operators:
    """Checks signatures for one runtime; shared by all requests of a door."""

    def __init__(self, runtime: Runtime) -> None:
        self._database, self._vault = runtime.database, runtime.vault
        self._verifier = sigv4.Verifier(runtime.config.api.clock_skew)

    async def claimed(self, credential: Credential, now: int, forms: frozenset[Form] = _HEADER) -> Claimed:
        """Whose key *credential* names, in one of *forms*.

        Raises SignatureRefused: no such key, a session token that is not its own, or that has expired.
        """
        if credential.form not in forms:
            wanted = "in the Authorization header" if forms == _HEADER else "in another form"
            raise sigv4.SignatureRefused("IncompleteSignatureException", f"This API takes signatures {wanted} only.")
        if not _KEY_ID.fullmatch(credential.access_key_id):
            raise sigv4.unknown_key()
        return await self._database.glance(lambda tx: find(tx, credential, now))

    def verify(self, request: Request, credential: Credential, claimed: Claimed, now: int) -> None:
        """Raises SignatureRefused unless *claimed* signed *request*; Unavailable if its secret is no more."""
        self._verifier.verify(request, credential, self._vault.open_sealed(claimed.sealed_secret), now)

    async def identify(
        self, request: Request, now: int, forms: frozenset[Form] = _HEADER
    ) -> tuple[Credential, Operator]:
        """All of it at once: who signed *request*, proven. Raises SignatureRefused, Unavailable."""
        credential = sigv4.parse(request)
        claimed = await self.claimed(credential, now, forms)
        self.verify(request, credential, claimed, now)
        return credential, claimed.operator


def find(tx: Tx, credential: Credential, now: int) -> Claimed:
    """Raises SignatureRefused."""
    if credential.security_token is not None:
        return _of_session(tx, credential.access_key_id, credential.security_token, now)
    key = access_keys.find(tx, credential.access_key_id)
    if key is None or key.status is not Status.ACTIVE:
        raise sigv4.unknown_key()
    if key.user_name is None:
        return Claimed(_account(key.account, f"arn:aws:iam::{key.account}:access-key/{key.id}"), key.sealed_secret)
    return Claimed(_user(tx, key.account, key.user_name), key.sealed_secret)


def _account(account: str, actor: str | None = None) -> Operator:
    arn = f"arn:aws:iam::{account}:root"
    return Operator(
        Kind.ACCOUNT, account, arn, account, actor or arn, facts=_facts(Kind.ACCOUNT, account, arn, account)
    )


def _user(tx: Tx, account: str, name: str, user_id: str | None = None) -> Operator:
    """*user_id* is that of the user meant, where a later one of the same name is another."""
    user = users.find(tx, account, name)
    if user is None or user_id not in {None, user.user_id}:
        raise sigv4.unknown_key()
    facts = {**_facts(Kind.USER, account, user.arn, user.user_id), "aws:username": user.name, **_tagged(user.tags)}
    policies = _named(tx, account, permissions.user(name))
    return Operator(Kind.USER, account, user.arn, user.user_id, user.arn, (user.user_id,), policies, facts=facts)


def _of_session(tx: Tx, key_id: str, token: str, now: int) -> Claimed:
    found = temporary_credentials.find(tx, key_id)
    if found is None or not found.opened_by(token):
        raise sigv4.unknown_key()
    if now >= found.expires_at:
        raise sigv4.expired_token()
    return Claimed(_session(tx, found), found.sealed_secret)


def _session(tx: Tx, found: TemporaryCredentials) -> Operator:
    """Raises SignatureRefused when the role or user is there no more."""
    kind, _, holder = found.holder.partition("/")
    if kind == "role":
        role = roles.find(tx, found.account, holder)
        if role is None or role.role_id != found.holder_id:
            raise sigv4.unknown_key()
        return of_role(tx, role, found)
    whole = _account(found.account) if kind == "account" else _user(tx, found.account, holder, found.holder_id)
    return Operator(
        whole.kind,
        whole.account,
        whole.arn,
        whole.user_id,
        whole.actor,
        whole.aliases,
        whole.policies,
        _session_token_bounds(),
        {**whole.facts, **_issued(found)},
        temporary=True,
    )


def of_role(tx: Tx, role: Role, session: TemporaryCredentials) -> Operator:
    """The operator that *session* makes of whoever assumed *role*."""
    arn = session_arn(role, session.name)
    user_id = f"{role.role_id}:{session.name}"
    # The keys of the session go by the role's ARN, and its tags win over the role's (IAM: Session tags).
    facts = {**_facts(Kind.ROLE, role.account, role.arn, user_id), **_tagged(role.tags), **_issued(session)}
    bounds = (
        None
        if session.policies is None
        else tuple(
            Named(f"session policy {number}", "1", _parsed(text)) for number, text in enumerate(session.policies, 1)
        )
    )
    policies = _named(tx, role.account, permissions.role(role.name))
    aliases = (role.arn, role.role_id, user_id)
    return Operator(Kind.ROLE, role.account, arn, user_id, arn, aliases, policies, bounds, facts, temporary=True)


def session_arn(role: Role, name: str) -> str:
    """`arn:aws:sts::<account>:assumed-role/<role>/<session>`, without the role's path."""
    return f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{name}"


def _facts(kind: Kind, account: str, arn: str, user_id: str) -> dict[str, Values]:
    return {
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": arn,
        "aws:PrincipalType": str(kind),
        "aws:userid": user_id,
    }


def _tagged(tags: Mapping[str, str]) -> dict[str, Values]:
    return {f"aws:PrincipalTag/{key}": value for key, value in tags.items()}


def _issued(session: TemporaryCredentials) -> dict[str, Values]:
    return {"aws:TokenIssueTime": str(session.created_at // 1000), **session.facts}


def _named(tx: Tx, account: str, holder: str) -> tuple[Named, ...]:
    return tuple(Named(each.name, each.version, _parsed(each.document)) for each in permissions.of(tx, account, holder))


_LONGEST: Final = 10_240


@lru_cache(maxsize=4096)
def _parsed(document: str) -> Document:
    """A stored document was checked when it was stored, against the limit of its kind."""
    return parse(document, IAM, longest=_LONGEST)


@lru_cache(maxsize=1)
def _session_token_bounds() -> tuple[Named, ...]:
    """What GetSessionToken's credentials may not do without multi-factor authentication, which is not had here."""
    text = """{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": ["iam:*", "sts:GetSessionToken", "sts:GetAccessKeyInfo"], "Resource": "*"}]}"""
    return (Named("GetSessionToken", "1", _parsed(text)),)


@lru_cache(maxsize=1024)
def realm(account: str, region: str) -> Realm:
    """Raises InvalidRequest. A region needs no setting up: it appears when somebody first asks for it."""
    return Realm(account, region)
