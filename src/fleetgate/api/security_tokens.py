"""`sts`: AssumeRole, within and across the accounts of this installation; GetCallerIdentity, GetSessionToken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from fleetgate.api import iam_words, sessions
from fleetgate.api.handling import Asking, Glance, Handler, Params, Personal, Result, given
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, InvalidRequest, NotFound, all_of
from fleetgate.names import Act, Realm, iam_parts
from fleetgate.operators import Kind, session_arn
from fleetgate.policy.document import IAM, parse
from fleetgate.policy.variables import Values
from fleetgate.registry import access_keys, audit, managed_policies, permissions, roles, temporary_credentials
from fleetgate.registry.roles import Role
from fleetgate.runtime import Runtime

CHAINED_SECONDS: Final = 3600
"""The longest life of a session that another session of a role assumed."""
LONGEST_POLICY: Final = 2048
_SESSION_TOKEN_SECONDS: Final = 43_200
_OF_ACCOUNT_SECONDS: Final = 3600


def get_caller_identity(runtime: Runtime, asking: Asking, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Nobody needs a permission for it, nor can it be denied."""
    operator = asking.operator
    return lambda tx: {"UserId": operator.user_id, "Account": operator.account, "Arn": operator.arn}


# --- AssumeRole -------------------------------------------------------------------------------------------------------


def assume_role(runtime: Runtime, asking: Asking, act: Act, params: Params) -> Callable[[Tx], Result]:
    _served(params)
    made = sessions.fresh(runtime)

    def settle(tx: Tx) -> Result:
        role = roles.find_by_arn(tx, params["RoleArn"])
        role = _admitted(asking, role, params)
        seconds = _seconds(asking, role, params)
        policies = _session_policies(tx, role, params)
        session = sessions.enter(
            tx,
            made,
            role.account,
            permissions.role(role.name),
            role.role_id,
            params["RoleSessionName"],
            now=act.now,
            seconds=seconds,
            policies=policies,
            facts=_facts(asking, params),
        )
        arn = session_arn(role, session.name)
        if role.account != act.realm.account:
            there = replace(act, realm=Realm(role.account, act.realm.region))
            audit.add(tx, there, "AssumeRole", role.arn, "ok", details={"session": arn, "by": asking.operator.arn})
        size = sum(map(len, policies or ())) * 100 // LONGEST_POLICY
        return {
            "Credentials": made.told(session.expires_at),
            "AssumedRoleUser": {"AssumedRoleId": f"{role.role_id}:{session.name}", "Arn": arn},
            "PackedPolicySize": None if policies is None else min(100, max(1, size)),
            "SourceIdentity": session.facts.get("aws:SourceIdentity"),
        }

    return settle


def _served(params: Params) -> None:
    """Raises InvalidRequest for what is not served here, and so may not look as if it were."""
    absent = ("SerialNumber", "TokenCode", "TransitiveTagKeys", "ProvidedContexts")
    if problems := [f"{name} is not served here; leave it out." for name in absent if params.get(name)]:
        raise InvalidRequest(all_of(problems))


def _admitted(asking: Asking, role: Role | None, params: Params) -> Role:
    """Raises AccessDenied."""
    context: dict[str, Values] = {"sts:RoleSessionName": params["RoleSessionName"]}
    if "ExternalId" in params:
        context["sts:ExternalId"] = params["ExternalId"]
    if "SourceIdentity" in params:
        context["sts:SourceIdentity"] = params["SourceIdentity"]
    wanted = ["sts:AssumeRole"]
    wanted += ["sts:TagSession"] if params.get("Tags") else []
    wanted += ["sts:SetSourceIdentity"] if "SourceIdentity" in params else []
    for action in wanted:
        sessions.require_trust(asking, role, params["RoleArn"], action, context)
    kept = asking.operator.facts.get("aws:SourceIdentity")
    if kept is not None and params.get("SourceIdentity", kept) != kept:
        raise AccessDenied("The source identity of a session cannot be changed by assuming another role.")
    assert role is not None
    return role


def _seconds(asking: Asking, role: Role, params: Params) -> int:
    """Raises InvalidRequest."""
    seconds: int = params.get("DurationSeconds", min(CHAINED_SECONDS, role.longest_session))
    if asking.operator.kind is Kind.ROLE and seconds > CHAINED_SECONDS:
        raise InvalidRequest(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if seconds > role.longest_session:
        raise InvalidRequest("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def _session_policies(tx: Tx, role: Role, params: Params) -> list[str] | None:
    """Raises MalformedPolicy, NotFound for a managed policy that the role's account has not."""
    found = []
    if "Policy" in params:
        parse(params["Policy"], IAM, longest=LONGEST_POLICY)
        found.append(params["Policy"])
    arns = [each.get("arn", "") for each in params.get("PolicyArns", ())]
    found += [managed_policies.in_force(tx, role.account, arn).document for arn in arns]
    return found or None


def _facts(asking: Asking, params: Params) -> dict[str, str]:
    """Session tags and the source identity, which stays with whoever assumes further roles."""
    facts = {f"aws:PrincipalTag/{key}": value for key, value in iam_words.tags_in(params).items()}
    source = params.get("SourceIdentity") or asking.operator.facts.get("aws:SourceIdentity")
    return facts if source is None else {**facts, "aws:SourceIdentity": str(source)}


# --- the others -------------------------------------------------------------------------------------------------------


def get_session_token(runtime: Runtime, asking: Asking, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Temporary credentials of the caller's own, for `iot` and for AssumeRole."""
    _served(params)
    operator = asking.operator
    if operator.temporary:
        raise AccessDenied("Cannot call GetSessionToken with session credentials")
    seconds = params.get("DurationSeconds", _SESSION_TOKEN_SECONDS)
    holder = temporary_credentials.ACCOUNT
    if operator.kind is Kind.ACCOUNT:
        seconds = min(seconds, _OF_ACCOUNT_SECONDS)
    elif parts := iam_parts(operator.arn):
        holder = permissions.user(parts[3])
    made = sessions.fresh(runtime)

    def settle(tx: Tx) -> Result:
        entered = sessions.enter(
            tx, made, operator.account, holder, operator.user_id, "session", now=act.now, seconds=seconds
        )
        return {"Credentials": made.told(entered.expires_at)}

    return settle


def get_access_key_info(tx: Tx, act: Act, params: Params) -> Result:
    """Whose account an access key is of."""
    found = access_keys.find(tx, params["AccessKeyId"]) or temporary_credentials.find(tx, params["AccessKeyId"])
    if found is None:
        raise NotFound(f"There is no access key {params['AccessKeyId']}.")
    return {"Account": found.account}


def _of_caller(act: Act, params: Params, result: Mapping[str, object]) -> str:
    return act.actor


OPERATIONS: Final[Mapping[str, Handler]] = {
    "AssumeRole": Personal(assume_role, given("RoleArn"), ("RoleSessionName", "DurationSeconds", "SourceIdentity")),
    "GetCallerIdentity": Personal(get_caller_identity),
    "GetSessionToken": Personal(get_session_token, _of_caller, ("DurationSeconds",)),
    "GetAccessKeyInfo": Glance(get_access_key_info),
}
