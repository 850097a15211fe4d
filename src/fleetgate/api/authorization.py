"""What somebody may do, asked instead of tried: GetEffectivePolicies and TestAuthorization.

Both look at policies alone. Whether a certificate is active, and in which term, is judged when it connects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from fleetgate import access
from fleetgate.access import CertificatePrincipal, Grounds
from fleetgate.api.handling import Params, Result
from fleetgate.api.policies import summary
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, all_of
from fleetgate.names import Act, Arn, Realm, certificate_of
from fleetgate.policy import variables
from fleetgate.policy.evaluate import Denied, Findings, Reason, Request, decide_all
from fleetgate.registry import attachments, certificates, policies, thing_groups, things

_ACTIONS: Final = {
    "CONNECT": ("iot:Connect", "client"),
    "PUBLISH": ("iot:Publish", "topic"),
    "RECEIVE": ("iot:Receive", "topic"),
    "SUBSCRIBE": ("iot:Subscribe", "topicfilter"),
}
_MOST_RESOURCES: Final = 100
_ALL: Final = 1000
"""More policies than a certificate, or a group with all above it, can have."""


def get_effective_policies(tx: Tx, act: Act, params: Params) -> Result:
    """Those on the principal, a certificate or a thing group, and those on the thing's groups: by name, each once. A
    thing's groups count for a certificate that is attached to it, and for a thing that is asked about alone.
    """
    _no_identity_pool(params)
    principal, thing = params.get("principal"), params.get("thingName")
    if principal is None and thing is None:
        raise InvalidRequest("Name a principal (the ARN of a certificate or of a thing group), a thingName, or both.")
    names = set() if principal is None else _on(tx, act.realm, principal)
    if thing is not None:
        things.get(tx, act.realm, thing)
        if principal is None or _is_attached(tx, act.realm, principal, thing):
            names |= _on_groups_of(tx, act.realm, thing)
    found = [policies.get_version(tx, act.realm, name) for name in sorted(names)]
    return {
        "effectivePolicies": [{**summary(act, each.policy_name), "policyDocument": each.document} for each in found]
    }


def _on(tx: Tx, realm: Realm, principal: str) -> set[str]:
    """Names of the policies on a certificate, or on a group and those above it. Raises NotFound, InvalidRequest."""
    return set(attachments.page_policies(tx, realm, principal, None, _ALL, recursive=True).items)


def _on_groups_of(tx: Tx, realm: Realm, thing: str) -> set[str]:
    groups = [realm.arn("thinggroup", name) for name in thing_groups.groups_of(tx, realm, thing)]
    return {name for group in groups for name in _on(tx, realm, group)}


def _is_attached(tx: Tx, realm: Realm, principal: str, thing: str) -> bool:
    fingerprint = certificate_of(principal)
    return fingerprint is not None and attachments.find_principal(tx, realm, thing, fingerprint) is not None


def _no_identity_pool(params: Params) -> None:
    if "cognitoIdentityPoolId" in params:
        raise InvalidRequest("There are no Cognito identities here; leave the cognitoIdentityPoolId out.")


# --- TestAuthorization ------------------------------------------------------------------------------------------------


def test_authorization(tx: Tx, act: Act, params: Params) -> Result:
    """Each of the authInfos judged as a connection of the principal under clientId would be, with some policies more
    (policyNamesToAdd) and some less (policyNamesToSkip).
    """
    _no_identity_pool(params)
    asked: Sequence[Params] = params["authInfos"]
    if problems := [problem for at, each in enumerate(asked) for problem in _problems(at, each)]:
        raise InvalidRequest(all_of(problems))
    grounds = _grounds(tx, act, params)
    return {"authResults": [_result(act, grounds, each) for each in asked]}


def _problems(at: int, asked: Params) -> Iterable[str]:
    path = f"authInfos[{at}]"
    if "actionType" not in asked:
        yield f"{path}.actionType is missing: one of {', '.join(_ACTIONS)}."
    if not 1 <= len(asked["resources"]) <= _MOST_RESOURCES:
        yield f"{path}.resources has {len(asked['resources'])} entries; 1 to {_MOST_RESOURCES} are judged together."
    for number, resource in enumerate(asked["resources"]):
        try:
            Arn.parse(resource)
        except InvalidRequest:
            _, kind = _ACTIONS.get(asked.get("actionType", ""), ("", "topic"))
            yield (
                f"{path}.resources[{number}] is {resource[:100]!r}, not the ARN of a resource, such as "
                f"arn:aws:iot:us-east-1:123456789012:{kind}/name."
            )


def _grounds(tx: Tx, act: Act, params: Params) -> Grounds:
    principal, client_id = params.get("principal"), params.get("clientId")
    fingerprint = None if principal is None else certificate_of(principal)
    if fingerprint is not None:
        attachments.fingerprint_of(act.realm, str(principal))  # of this account and region?
        known = CertificatePrincipal(act.realm, certificates.get(tx, act.realm, fingerprint))
        found = access.grounds(tx, known, client_id, "")
    else:
        held = () if principal is None else access.named(tx, act.realm, sorted(_on(tx, act.realm, principal)))
        found = Grounds(held, variables.connection(client_id=client_id), None)
    skipped, added = set(params.get("policyNamesToSkip", ())), params.get("policyNamesToAdd", ())
    kept = [each for each in found.policies if each.name not in skipped]
    more = sorted(set(added) - {each.name for each in kept})
    return Grounds((*kept, *access.named(tx, act.realm, more)), found.context, found.thing)


def _result(act: Act, grounds: Grounds, asked: Params) -> Result:
    """One decision for all resources: one that is denied decides, and only what is allowed on each is allowed."""
    action, _ = _ACTIONS[asked["actionType"]]
    found = [
        decide_all(grounds.policies, Request(action, resource, grounds.context)) for resource in asked["resources"]
    ]
    return {
        "authInfo": asked,
        "allowed": _policies(act, (ref.policy for each in found for ref in each.allows)),
        "denied": {
            "implicitDeny": _policies(act, (name for each in found for name in each.silent)),
            "explicitDeny": _policies(act, (ref.policy for each in found for ref in each.denies)),
        },
        "authDecision": _decision(found),
        "missingContextValues": sorted({name for each in found for name in each.missing}),
    }


def _decision(found: Sequence[Findings]) -> str:
    reasons = [each.verdict.reason for each in found if isinstance(each.verdict, Denied)]
    if Reason.EXPLICIT in reasons:
        return "EXPLICIT_DENY"
    return "IMPLICIT_DENY" if reasons else "ALLOWED"


def _policies(act: Act, names: Iterable[str]) -> dict[str, Any]:
    return {"policies": [summary(act, name) for name in sorted(set(names))]}
