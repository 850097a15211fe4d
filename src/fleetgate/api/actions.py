"""What a request asks permission for: IAM actions, and the resources that they are on.

The action is the service's prefix and the operation's name. Resources are those of AWS's service authorization
reference: nearly always what the path names (`thing/<thingName>`), a few from the body, `*` where an operation has no
resource. Whoever hands a role to a service needs iam:PassRole on it besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from fleetgate import names
from fleetgate.api.handling import Params
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
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
    tags = [tag for name in ("tags", "Tags") for tag in _tags(params.get(name) or ())]
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


def _tags(given: Any) -> list[Mapping[str, Any]]:
    """A list, or a header's text (CreateTopicRule)."""
    if isinstance(given, str):
        return [{"Key": key, "Value": value} for key, value in parse_qsl(given, keep_blank_values=True)]
    return list(given)


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
    return lambda act, params: [_spelled(str(params.get(parameter) or EVERYTHING))]


def _spelled(arn: str) -> str:
    """*arn* as the registry writes it: a certificate has one name, however its id is spelled in a request."""
    before, separator, name = arn.partition(":cert/")
    return f"{before}{separator}{_id(name)}" if separator else arn


def _id(given: str) -> str:
    """A certificate's id; what is none stays as it is, and leads nowhere."""
    try:
        return names.fingerprint(given)
    except InvalidRequest:
        return given


def _new_thing(act: Act, params: Params) -> list[str]:
    """A billing group that it begins in is asked for as by AddThingToBillingGroup."""
    found = [act.realm.arn("thing", params["thingName"])]
    group = params.get("billingGroupName")
    return found if group is None else [*found, act.realm.arn("billinggroup", group)]


def _index(act: Act, params: Params) -> list[str]:
    return [act.realm.arn("index", params.get("indexName", "AWS_Things"))]


_FROM_BODY: Final[Mapping[str, Callable[[Act, Params], list[str]]]] = {
    "AddThingToBillingGroup": _membership("billinggroup"),
    "AddThingToThingGroup": _membership("thinggroup"),
    "AttachPolicy": _given("target"),
    "AttachPrincipalPolicy": _given("principal"),
    "CreateThing": _new_thing,
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
    "SetDefaultAuthorizer": lambda act, params: [act.realm.arn("authorizer", params["authorizerName"])],
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
    kind, given = _KINDS[labels[0]], str(params[labels[0]])
    if kind == "cert":
        kind, given = "cacert" if name in _AUTHORITIES else kind, _id(given)
    return [act.realm.arn(kind, given)]


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
