"""Roles through `iam`: CreateRole, GetRole, ListRoles, UpdateRole, UpdateAssumeRolePolicy, DeleteRole; their tags."""

from __future__ import annotations

from typing import Final

from fleetgate.api import iam_words as words
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.policy.document import TRUST, parse
from fleetgate.registry import roles
from fleetgate.registry.roles import Role

_ROLES: Final = Listing("roles")
_TAGS: Final = Listing("role-tags")
_PROFILES: Final = Listing("instance-profiles")


def create_role(tx: Tx, act: Act, params: Params) -> Result:
    words.no_boundary(params)
    parse(params["AssumeRolePolicyDocument"], TRUST)
    role = roles.create(
        tx,
        act,
        params["RoleName"],
        params["AssumeRolePolicyDocument"],
        path=params.get("Path", "/"),
        description=params.get("Description", ""),
        longest_session=params.get("MaxSessionDuration", roles.SESSION_SECONDS),
        tags=words.tags_in(params),
    )
    return {"Role": {**described(role), "Tags": words.tags_out(role.tags)}}


def get_role(tx: Tx, act: Act, params: Params) -> Result:
    role = roles.get(tx, act.realm.account, params["RoleName"])
    return {"Role": {**described(role), "Tags": words.tags_out(role.tags), "RoleLastUsed": {}}}


def list_roles(tx: Tx, act: Act, params: Params) -> Result:
    after, limit = words.opened(_ROLES, params)
    page = roles.page(tx, act.realm.account, after, limit, path=params.get("PathPrefix", "/"))
    return words.paged(_ROLES, page, "Roles", map(described, page.items), params)


def update_role(tx: Tx, act: Act, params: Params) -> Result:
    roles.update(
        tx,
        act,
        params["RoleName"],
        description=params.get("Description"),
        longest_session=params.get("MaxSessionDuration"),
    )
    return {}


def update_role_description(tx: Tx, act: Act, params: Params) -> Result:
    return {"Role": described(roles.update(tx, act, params["RoleName"], description=params["Description"]))}


def update_assume_role_policy(tx: Tx, act: Act, params: Params) -> Result:
    parse(params["PolicyDocument"], TRUST)
    roles.set_trust(tx, act, params["RoleName"], params["PolicyDocument"])
    return {}


def delete_role(tx: Tx, act: Act, params: Params) -> Result:
    roles.delete(tx, act, params["RoleName"])
    return {}


def tag_role(tx: Tx, act: Act, params: Params) -> Result:
    role = roles.get(tx, act.realm.account, params["RoleName"])
    roles.set_tags(tx, act, role.name, words.merged(role.tags, words.tags_in(params)))
    return {}


def untag_role(tx: Tx, act: Act, params: Params) -> Result:
    role = roles.get(tx, act.realm.account, params["RoleName"])
    roles.set_tags(tx, act, role.name, words.without(role.tags, params["TagKeys"]))
    return {}


def list_role_tags(tx: Tx, act: Act, params: Params) -> Result:
    return words.listed_tags(_TAGS, roles.get(tx, act.realm.account, params["RoleName"]).tags, params)


def list_instance_profiles_for_role(tx: Tx, act: Act, params: Params) -> Result:
    """There are none; deployment tools ask before they delete a role."""
    roles.get(tx, act.realm.account, params["RoleName"])
    return words.paged(_PROFILES, words.cut(_PROFILES, [], params), "InstanceProfiles", (), params)


def described(role: Role) -> Result:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.role_id,
        "Arn": role.arn,
        "CreateDate": role.created_at,
        "AssumeRolePolicyDocument": words.encoded(role.trust),
        "Description": role.description or None,
        "MaxSessionDuration": role.longest_session,
    }
