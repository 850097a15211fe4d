"""Policies on certificates and thing groups: AttachPolicy ... and the four older calls for certificates alone."""

from __future__ import annotations

from typing import Final

from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.api.policies import summary
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import attachments

_POLICIES: Final = Listing("attached-policies")
_TARGETS: Final = Listing("targets")
_PRINCIPALS: Final = Listing("policy-principals")


def attach_policy(tx: Tx, act: Act, params: Params) -> Result:
    attachments.attach_policy(tx, act, params["policyName"], params["target"])
    return {}


def detach_policy(tx: Tx, act: Act, params: Params) -> Result:
    attachments.detach_policy(tx, act, params["policyName"], params["target"])
    return {}


def list_attached_policies(tx: Tx, act: Act, params: Params) -> Result:
    recursive = params.get("recursive", False)
    return _attached(tx, act, params["target"], params, recursive=recursive)


def list_targets_for_policy(tx: Tx, act: Act, params: Params) -> Result:
    page = attachments.page_targets(tx, act.realm, params["policyName"], *_TARGETS.opened(params))
    return {"targets": list(page.items), "nextMarker": _TARGETS.token(page, params)}


def _attached(tx: Tx, act: Act, target: str, params: Params, *, recursive: bool = False) -> Result:
    page = attachments.page_policies(tx, act.realm, target, *_POLICIES.opened(params), recursive=recursive)
    return {"policies": [summary(act, name) for name in page.items], "nextMarker": _POLICIES.token(page, params)}


# --- the older calls: a principal is a certificate --------------------------------------------------------------------


def attach_principal_policy(tx: Tx, act: Act, params: Params) -> Result:
    attachments.attach_policy(tx, act, params["policyName"], _certificate(act, params))
    return {}


def detach_principal_policy(tx: Tx, act: Act, params: Params) -> Result:
    attachments.detach_policy(tx, act, params["policyName"], _certificate(act, params))
    return {}


def list_principal_policies(tx: Tx, act: Act, params: Params) -> Result:
    """By name; ascendingOrder changes nothing."""
    return _attached(tx, act, _certificate(act, params), params)


def list_policy_principals(tx: Tx, act: Act, params: Params) -> Result:
    """Certificates only, by id; ascendingOrder changes nothing."""
    page = attachments.page_targets(tx, act.realm, params["policyName"], *_PRINCIPALS.opened(params), kind="cert")
    return {"principals": list(page.items), "nextMarker": _PRINCIPALS.token(page, params)}


def _certificate(act: Act, params: Params) -> str:
    """The principal, if it is a certificate of this realm. Raises InvalidRequest, NotFound."""
    return act.realm.arn("cert", attachments.fingerprint_of(act.realm, params["principal"]))
