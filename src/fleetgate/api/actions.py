"""What a request asks permission for: IAM actions, and the resources that they are on.

The action is the service's prefix and the operation's name. Resources are those of AWS's service authorization
reference: nearly always what the path names (`thing/<thingName>`), a few from the body, `*` where an operation has no
resource. Whoever hands a role to a service needs iam:PassRole on it besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleetgate import names
from fleetgate.api.handling import Params
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.policy.variables import Values
from fleetgate.registry import roles, users
from fleetgate.wire.restjson.model import Operation

EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class Asked:
    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)
    """Condition keys for this question alone."""


def asked(tx: Tx, act: Act, operation: Operation, params: Params) -> list[Asked]:
    """Every permission that *operation* with *params* needs; none where it needs none or judges by itself (sts)."""
    if operation.service == "sts":
        return [Asked(f"sts:{operation.name}", EVERYTHING)] if operation.name == "GetAccessKeyInfo" else []
    if operation.service == "iam":
        arns = [_of_iam(tx, act, operation.name, params)]
        return [Asked(f"iam:{operation.name}", arn, _policy_named(params)) for arn in arns]
    action = f"iot:{operation.name}"
    if operation.service == "iot-data" and operation.name == "Publish" and params.get("retain"):
        topic = act.realm.arn("topic", params["topic"])
        return [Asked(action, topic), Asked("iot:RetainPublish", topic)]
    return [Asked(action, arn) for arn in _of_iot(act, operation, params)] + list(_passed(operation, params))


def context(act: Act, params: Params, address: str, scheme: str, user_agent: str) -> dict[str, Values]:
    """The condition keys that AWS has for every request, and those of the tags that it carries."""
    tags = [tag for name in ("tags", "Tags") for tag in params.get(name) or () if isinstance(tag, dict)]
    keys = [tag["Key"] for tag in tags] + list(params.get("tagKeys") or params.get("TagKeys") or ())
    known: dict[str, Values] = {
        "aws:CurrentTime": str(act.now // 1000),
        "aws:EpochTime": str(act.now // 1000),
        "aws:RequestedRegion": act.realm.region,
        "aws:SecureTransport": "true" if scheme == "https" else "false",
        **{f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in tags},
    }
    if address:
        known["aws:SourceIp"] = address
    if user_agent:
        known["aws:UserAgent"] = user_agent
    if keys:
        known["aws:TagKeys"] = keys
    return known


# --- iot --------------------------------------------------------------------------------------------------------------

# A label of the path -> the kind in the ARN of what it names.
_KINDS: Final[Mapping[str, str]] = {
    "authorizerName": "authorizer",
    "billingGroupName": "billinggroup",
    "certificateId": "cert",
    "certificateProviderName": "certificateprovider",
    "clientId": "client",
    "domainConfigurationName": "domainconfiguration",
    "indexName": "index",
    "jobId": "job",
    "policyName": "policy",
    "roleAlias": "rolealias",
    "ruleName": "rule",
    "templateName": "provisioningtemplate",
    "thingGroupName": "thinggroup",
    "thingName": "thing",
    "thingTypeName": "thingtype",
    "topic": "topic",
}

# Their path names something, and AWS has no resource for them all the same.
_WITHOUT: Final = frozenset(
    {
        "AttachThingPrincipal",
        "DetachThingPrincipal",
        "ListPolicyPrincipals",
        "ListPrincipalPolicies",
        "ListPrincipalThings",
        "ListPrincipalThingsV2",
        "ListThingPrincipals",
        "ListThingPrincipalsV2",
    }
)

_AUTHORITIES: Final = frozenset(["DescribeCACertificate", "UpdateCACertificate", "DeleteCACertificate"])
_DYNAMIC: Final = frozenset(["CreateDynamicThingGroup", "UpdateDynamicThingGroup", "DeleteDynamicThingGroup"])


def _membership(kind: str) -> Callable[[Act, Params], list[str]]:
    """A thing and a group, each by its ARN or by its name."""

    def resources(act: Act, params: Params) -> list[str]:
        return [_arn(act, params, "thing", "thing"), _arn(act, params, kind, kind.replace("group", "Group"))]

    return resources


def _arn(act: Act, params: Params, kind: str, word: str) -> str:
    given = params.get(f"{word}Arn")
    return str(given) if given else act.realm.arn(kind, params.get(f"{word}Name", ""))


def _groups_of_thing(act: Act, params: Params) -> list[str]:
    named = [*params.get("thingGroupsToAdd", ()), *params.get("thingGroupsToRemove", ())]
    thing = act.realm.arn("thing", params.get("thingName", ""))
    return [thing, *(act.realm.arn("thinggroup", name) for name in named)]


def _given(parameter: str) -> Callable[[Act, Params], list[str]]:
    return lambda act, params: [str(params.get(parameter) or EVERYTHING)]


def _index(act: Act, params: Params) -> list[str]:
    return [act.realm.arn("index", params.get("indexName", "AWS_Things"))]


_FROM_BODY: Final[Mapping[str, Callable[[Act, Params], list[str]]]] = {
    "AddThingToBillingGroup": _membership("billinggroup"),
    "AddThingToThingGroup": _membership("thinggroup"),
    "AttachPolicy": _given("target"),
    "AttachPrincipalPolicy": _given("principal"),
    "DetachPolicy": _given("target"),
    "DetachPrincipalPolicy": _given("principal"),
    "GetBucketsAggregation": _index,
    "GetCardinality": _index,
    "GetEffectivePolicies": _given("principal"),
    "GetPercentiles": _index,
    "GetStatistics": _index,
    "ListAttachedPolicies": _given("target"),
    "ListTagsForResource": _given("resourceArn"),
    "RemoveThingFromBillingGroup": _membership("billinggroup"),
    "RemoveThingFromThingGroup": _membership("thinggroup"),
    "SearchIndex": _index,
    "TagResource": _given("resourceArn"),
    "TestAuthorization": _given("principal"),
    "UntagResource": _given("resourceArn"),
    "UpdateThingGroupsForThing": _groups_of_thing,
}


def _of_iot(act: Act, operation: Operation, params: Params) -> list[str]:
    name = operation.name
    if name in _FROM_BODY:
        return _FROM_BODY[name](act, params)
    labels = [] if name in _WITHOUT else [member.name for member in operation.input.labels]
    if not labels or labels[0] not in _KINDS:
        return [EVERYTHING]
    kind = _KINDS[labels[0]]
    if name in _AUTHORITIES:
        kind = "cacert"
    elif name in _DYNAMIC:
        kind = "dynamicthinggroup"
    found = act.realm.arn(kind, str(params[labels[0]]))
    return [found.replace(":certificateprovider/", ":certificateprovider:")]


_ROLE_PARAMETERS: Final = frozenset({"roleArn", "provisioningRoleArn"})


def _passed(operation: Operation, params: Params) -> Iterator[Asked]:
    """A role that is given to a service may only be one that the giver may pass (IAM: iam:PassRole)."""
    service = "credentials.iot.amazonaws.com" if operation.name.endswith("RoleAlias") else "iot.amazonaws.com"
    for arn in dict.fromkeys(_roles_in(params)):
        yield Asked("iam:PassRole", arn, {"iam:PassedToService": service})


def _roles_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in _ROLE_PARAMETERS and isinstance(item, str):
                yield item
            else:
                yield from _roles_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _roles_in(item)


# --- iam --------------------------------------------------------------------------------------------------------------

_OWN: Final = frozenset(["GetUser", "CreateAccessKey", "ListAccessKeys", "UpdateAccessKey", "DeleteAccessKey"])


def _of_iam(tx: Tx, act: Act, name: str, params: Params) -> str:
    account = act.realm.account
    if role := params.get("RoleName"):
        known = roles.find(tx, account, role)
        return names.iam_arn(account, "role", known.path if known else params.get("Path", "/"), role)
    if user := params.get("UserName"):
        found = users.find(tx, account, user)
        return names.iam_arn(account, "user", found.path if found else params.get("Path", "/"), user)
    if policy := params.get("PolicyName"):
        return names.iam_arn(account, "policy", params.get("Path", "/"), policy)
    if name in _OWN and names.iam_parts(act.actor):
        return act.actor
    return str(params.get("PolicyArn", EVERYTHING))


def _policy_named(params: Params) -> dict[str, Values]:
    return {"iam:PolicyARN": params["PolicyArn"]} if "PolicyArn" in params else {}
