"""Role aliases: CreateRoleAlias, DescribeRoleAlias, UpdateRoleAlias, DeleteRoleAlias, ListRoleAliases."""

from __future__ import annotations

from typing import Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import role_aliases
from fleetgate.registry.role_aliases import RoleAlias

_ALIASES: Final = Listing("role-aliases")


def create_role_alias(tx: Tx, act: Act, params: Params) -> Result:
    seconds = params.get("credentialDurationSeconds", role_aliases.SECONDS)
    alias = role_aliases.create(tx, act, params["roleAlias"], params["roleArn"], duration=seconds)
    tags.put_given(tx, act, alias.arn, params)
    return _named(alias)


def describe_role_alias(tx: Tx, act: Act, params: Params) -> Result:
    alias = role_aliases.get(tx, act.realm, params["roleAlias"])
    return {
        "roleAliasDescription": {
            **_named(alias),
            "roleArn": alias.role_arn,
            "owner": alias.realm.account,
            "credentialDurationSeconds": alias.duration,
            "creationDate": alias.created_at,
            "lastModifiedDate": alias.updated_at,
        }
    }


def update_role_alias(tx: Tx, act: Act, params: Params) -> Result:
    changed = role_aliases.update(
        tx,
        act,
        params["roleAlias"],
        role_arn=params.get("roleArn"),
        duration=params.get("credentialDurationSeconds"),
    )
    return _named(changed)


def delete_role_alias(tx: Tx, act: Act, params: Params) -> Result:
    role_aliases.delete(tx, act, params["roleAlias"])
    return {}


def list_role_aliases(tx: Tx, act: Act, params: Params) -> Result:
    after, limit = _ALIASES.opened(params)
    page = role_aliases.page(tx, act.realm, after, limit, ascending=params.get("ascendingOrder", False))
    return {"roleAliases": [alias.name for alias in page.items], "nextMarker": _ALIASES.token(page, params)}


def _named(alias: RoleAlias) -> Result:
    return {"roleAlias": alias.name, "roleAliasArn": alias.arn}
