"""Managed policies through `iam`: CreatePolicy, GetPolicy, ListPolicies, DeletePolicy and their versions."""

from __future__ import annotations

from typing import Final

from fleetgate.api import iam_words as words
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.names import Act, iam_parts
from fleetgate.policy.document import IAM, parse
from fleetgate.registry import managed_policies, roles, users
from fleetgate.registry.managed_policies import EVERYWHERE, ManagedPolicy, Version

_POLICIES: Final = Listing("managed-policies")
_VERSIONS: Final = Listing("managed-policy-versions")
_ENTITIES: Final = Listing("entities-for-policy")


def create_policy(tx: Tx, act: Act, params: Params) -> Result:
    parse(params["PolicyDocument"], IAM)
    policy = managed_policies.create(
        tx,
        act,
        params["PolicyName"],
        params["PolicyDocument"],
        path=params.get("Path", "/"),
        description=params.get("Description", ""),
        tags=words.tags_in(params),
    )
    return {"Policy": _whole(tx, act, policy)}


def get_policy(tx: Tx, act: Act, params: Params) -> Result:
    return {"Policy": _whole(tx, act, managed_policies.get(tx, act.realm.account, params["PolicyArn"]))}


def list_policies(tx: Tx, act: Act, params: Params) -> Result:
    scope, account = params.get("Scope", "All"), act.realm.account
    found = [] if scope == "AWS" else managed_policies.arns(tx, account)
    found += [] if scope == "Local" else list(EVERYWHERE)
    if params.get("OnlyAttached"):
        found = [arn for arn in found if managed_policies.attachments(tx, account, arn)]
    prefix = params.get("PathPrefix", "/")
    under = [arn for arn in found if (parts := iam_parts(arn)) and parts[2].startswith(prefix)]
    page = words.cut(_POLICIES, sorted(under), params)
    shown = (_described(tx, act, managed_policies.get(tx, account, arn)) for arn in page.items)
    return words.paged(_POLICIES, page, "Policies", shown, params)


def delete_policy(tx: Tx, act: Act, params: Params) -> Result:
    managed_policies.delete(tx, act, params["PolicyArn"])
    return {}


def create_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    parse(params["PolicyDocument"], IAM)
    made = managed_policies.create_version(
        tx, act, params["PolicyArn"], params["PolicyDocument"], set_as_default=params.get("SetAsDefault", False)
    )
    return {"PolicyVersion": _version(made)}


def get_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    found = managed_policies.get_version(tx, act.realm.account, params["PolicyArn"], _number(params))
    return {"PolicyVersion": {**_version(found), "Document": words.encoded(found.document)}}


def list_policy_versions(tx: Tx, act: Act, params: Params) -> Result:
    versions = managed_policies.versions(tx, act.realm.account, params["PolicyArn"])
    found = {f"{each.number:09d}": each for each in versions}
    page = words.cut(_VERSIONS, sorted(found), params)
    return words.paged(_VERSIONS, page, "Versions", (_version(found[key]) for key in page.items), params)


def set_default_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    managed_policies.set_default(tx, act, params["PolicyArn"], _number(params))
    return {}


def delete_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    managed_policies.delete_version(tx, act, params["PolicyArn"], _number(params))
    return {}


def list_entities_for_policy(tx: Tx, act: Act, params: Params) -> Result:
    account = act.realm.account
    managed_policies.get(tx, account, params["PolicyArn"])
    page = words.cut(_ENTITIES, managed_policies.attachments(tx, account, params["PolicyArn"]), params)
    held: dict[str, list[Result]] = {"role": [], "user": []}
    for holder in page.items:
        kind, _, name = holder.partition("/")
        if kind == "role":
            held[kind].append({"RoleName": name, "RoleId": roles.get(tx, account, name).role_id})
        else:
            held[kind].append({"UserName": name, "UserId": users.get(tx, account, name).user_id})
    shown = {"Role": "PolicyRoles", "User": "PolicyUsers"}
    wanted = params.get("EntityFilter")
    result = words.paged(_ENTITIES, page, "PolicyGroups", (), params)
    for kind, member in shown.items():
        result[member] = held[kind.lower()] if wanted in {None, kind} else []
    return result


def _number(params: Params) -> int:
    return int(params["VersionId"].removeprefix("v").partition(".")[0])


def _whole(tx: Tx, act: Act, policy: ManagedPolicy) -> Result:
    described = _described(tx, act, policy)
    return {**described, "Description": policy.description or None, "Tags": words.tags_out(policy.tags)}


def _described(tx: Tx, act: Act, policy: ManagedPolicy) -> Result:
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.policy_id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": len(managed_policies.attachments(tx, act.realm.account, policy.arn)),
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }


def _version(version: Version) -> Result:
    return {"VersionId": version.label, "IsDefaultVersion": version.is_default, "CreateDate": version.created_at}
