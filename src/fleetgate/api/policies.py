"""Policies and their versions: CreatePolicy ... SetDefaultPolicyVersion."""

from __future__ import annotations

from typing import Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act
from fleetgate.policy.document import parse
from fleetgate.registry import policies

_POLICIES: Final = Listing("policies")
_DIGITS: Final = 9
"""Longer version numbers were never given, and would not fit a column."""


def create_policy(tx: Tx, act: Act, params: Params) -> Result:
    name, document = params["policyName"], params["policyDocument"]
    parse(document)
    policy = policies.create(tx, act, name, document)
    arn = act.realm.arn("policy", name)
    tags.put_given(tx, act, arn, params)
    return {
        "policyName": name,
        "policyArn": arn,
        "policyDocument": document,
        "policyVersionId": str(policy.default_version),
    }


def get_policy(tx: Tx, act: Act, params: Params) -> Result:
    policy = policies.get(tx, act.realm, params["policyName"])
    version = policies.get_version(tx, act.realm, policy.name)
    return {
        **summary(act, policy.name),
        "policyDocument": version.document,
        "defaultVersionId": str(policy.default_version),
        "creationDate": policy.created_at,
        "lastModifiedDate": policy.updated_at,
        "generationId": policy.generation_id,
    }


def delete_policy(tx: Tx, act: Act, params: Params) -> Result:
    policies.delete(tx, act, params["policyName"])
    return {}


def list_policies(tx: Tx, act: Act, params: Params) -> Result:
    """Newest first unless ascendingOrder."""
    page = policies.page(tx, act.realm, *_POLICIES.opened(params), ascending=params.get("ascendingOrder", False))
    return {
        "policies": [summary(act, policy.name) for policy in page.items],
        "nextMarker": _POLICIES.token(page, params),
    }


def summary(act: Act, name: str) -> Result:
    return {"policyName": name, "policyArn": act.realm.arn("policy", name)}


# --- versions ---------------------------------------------------------------------------------------------------------


def create_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    name, document = params["policyName"], params["policyDocument"]
    parse(document)
    version = policies.create_version(tx, act, name, document, set_as_default=params.get("setAsDefault", False))
    return {
        "policyArn": act.realm.arn("policy", name),
        "policyDocument": document,
        "policyVersionId": str(version.version),
        "isDefaultVersion": version.is_default,
    }


def get_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    policy = policies.get(tx, act.realm, params["policyName"])
    version = policies.get_version(tx, act.realm, policy.name, _number(params))
    return {
        **summary(act, policy.name),
        "policyDocument": version.document,
        "policyVersionId": str(version.version),
        "isDefaultVersion": version.is_default,
        "creationDate": version.created_at,
        "lastModifiedDate": version.created_at,
        "generationId": policy.generation_id,
    }


def delete_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    policies.delete_version(tx, act, params["policyName"], _number(params))
    return {}


def list_policy_versions(tx: Tx, act: Act, params: Params) -> Result:
    found = [
        {
            "versionId": str(version.version),
            "isDefaultVersion": version.is_default,
            "createDate": version.created_at,
        }
        for version in policies.versions(tx, act.realm, params["policyName"])
    ]
    return {"policyVersions": found}


def set_default_policy_version(tx: Tx, act: Act, params: Params) -> Result:
    policies.set_default(tx, act, params["policyName"], _number(params))
    return {}


def _number(params: Params) -> int:
    text: str = params["policyVersionId"]
    if len(text) > _DIGITS:
        raise NotFound(f"Policy version not found (name={params['policyName']}, version={text[:40]})")
    return int(text)
