"""What users and roles may do, through `iam`: inline policies (PutRolePolicy), attached ones (AttachRolePolicy).

Each operation exists for roles and for users; both are made of the same functions here.
"""

from __future__ import annotations

from typing import Final

from fleetgate.api import iam_words as words
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.names import Act, iam_parts
from fleetgate.policy.document import IAM, parse
from fleetgate.registry import permissions, roles, users

_INLINE: Final = Listing("inline-policies")
_ATTACHED: Final = Listing("attached-policies")
_LONGEST: Final = max(permissions.MOST_CHARACTERS.values())


def put_role_policy(tx: Tx, act: Act, params: Params) -> Result:
    return _put(tx, act, _role(tx, act, params), params)


def put_user_policy(tx: Tx, act: Act, params: Params) -> Result:
    return _put(tx, act, _user(tx, act, params), params)


def _put(tx: Tx, act: Act, holder: str, params: Params) -> Result:
    parse(params["PolicyDocument"], IAM, longest=_LONGEST)
    permissions.put(tx, act, holder, params["PolicyName"], params["PolicyDocument"])
    return {}


def get_role_policy(tx: Tx, act: Act, params: Params) -> Result:
    document = permissions.get(tx, act.realm.account, _role(tx, act, params), params["PolicyName"])
    return {**_names(params, "RoleName"), "PolicyDocument": words.encoded(document)}


def get_user_policy(tx: Tx, act: Act, params: Params) -> Result:
    document = permissions.get(tx, act.realm.account, _user(tx, act, params), params["PolicyName"])
    return {**_names(params, "UserName"), "PolicyDocument": words.encoded(document)}


def _names(params: Params, holder: str) -> Result:
    return {holder: params[holder], "PolicyName": params["PolicyName"]}


def list_role_policies(tx: Tx, act: Act, params: Params) -> Result:
    return _inline(tx, act, _role(tx, act, params), params)


def list_user_policies(tx: Tx, act: Act, params: Params) -> Result:
    return _inline(tx, act, _user(tx, act, params), params)


def _inline(tx: Tx, act: Act, holder: str, params: Params) -> Result:
    after, limit = words.opened(_INLINE, params)
    page = permissions.page(tx, act.realm.account, holder, after, limit)
    return words.paged(_INLINE, page, "PolicyNames", page.items, params)


def delete_role_policy(tx: Tx, act: Act, params: Params) -> Result:
    permissions.delete(tx, act, _role(tx, act, params), params["PolicyName"])
    return {}


def delete_user_policy(tx: Tx, act: Act, params: Params) -> Result:
    permissions.delete(tx, act, _user(tx, act, params), params["PolicyName"])
    return {}


def attach_role_policy(tx: Tx, act: Act, params: Params) -> Result:
    permissions.attach(tx, act, _role(tx, act, params), params["PolicyArn"])
    return {}


def attach_user_policy(tx: Tx, act: Act, params: Params) -> Result:
    permissions.attach(tx, act, _user(tx, act, params), params["PolicyArn"])
    return {}


def detach_role_policy(tx: Tx, act: Act, params: Params) -> Result:
    permissions.detach(tx, act, _role(tx, act, params), params["PolicyArn"])
    return {}


def detach_user_policy(tx: Tx, act: Act, params: Params) -> Result:
    permissions.detach(tx, act, _user(tx, act, params), params["PolicyArn"])
    return {}


def list_attached_role_policies(tx: Tx, act: Act, params: Params) -> Result:
    return _attached(tx, act, _role(tx, act, params), params)


def list_attached_user_policies(tx: Tx, act: Act, params: Params) -> Result:
    return _attached(tx, act, _user(tx, act, params), params)


def _attached(tx: Tx, act: Act, holder: str, params: Params) -> Result:
    after, limit = words.opened(_ATTACHED, params)
    page = permissions.page_attached(tx, act.realm.account, holder, after, limit)
    prefix = params.get("PathPrefix", "/")
    found = [(arn, parts) for arn in page.items if (parts := iam_parts(arn)) and parts[2].startswith(prefix)]
    shown = [{"PolicyName": parts[3], "PolicyArn": arn} for arn, parts in found]
    return words.paged(_ATTACHED, page, "AttachedPolicies", shown, params)


def _role(tx: Tx, act: Act, params: Params) -> str:
    return permissions.role(roles.get(tx, act.realm.account, params["RoleName"]).name)


def _user(tx: Tx, act: Act, params: Params) -> str:
    return permissions.user(users.get(tx, act.realm.account, params["UserName"]).name)
