"""Users and their access keys through `iam`: CreateUser, GetUser, ListUsers, DeleteUser; CreateAccessKey and others.

Where no user is named, the caller's own is meant; the account's own keys are meant where the account itself asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleetgate import names
from fleetgate.api import iam_words as words
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act
from fleetgate.registry import access_keys, users
from fleetgate.registry.access_keys import AccessKey, Status
from fleetgate.registry.users import User
from fleetgate.runtime import Runtime

_USERS: Final = Listing("users")
_TAGS: Final = Listing("user-tags")
_KEYS: Final = Listing("access-keys")
_GROUPS: Final = Listing("groups")


def create_user(tx: Tx, act: Act, params: Params) -> Result:
    words.no_boundary(params)
    user = users.create(tx, act, params["UserName"], path=params.get("Path", "/"), tags=words.tags_in(params))
    return {"User": {**_described(user), "Tags": words.tags_out(user.tags)}}


def get_user(tx: Tx, act: Act, params: Params) -> Result:
    name = _meant(act, params)
    if name is None:
        root = {"Path": "/", "UserName": "root", "UserId": f"{act.realm.account:0>16}", "CreateDate": 0}
        return {"User": {**root, "Arn": f"arn:aws:iam::{act.realm.account}:root"}}
    user = users.get(tx, act.realm.account, name)
    return {"User": {**_described(user), "Tags": words.tags_out(user.tags)}}


def list_users(tx: Tx, act: Act, params: Params) -> Result:
    after, limit = words.opened(_USERS, params)
    page = users.page(tx, act.realm.account, after, limit, path=params.get("PathPrefix", "/"))
    return words.paged(_USERS, page, "Users", map(_described, page.items), params)


def delete_user(tx: Tx, act: Act, params: Params) -> Result:
    users.delete(tx, act, params["UserName"])
    return {}


def tag_user(tx: Tx, act: Act, params: Params) -> Result:
    user = users.get(tx, act.realm.account, params["UserName"])
    users.set_tags(tx, act, user.name, words.merged(user.tags, words.tags_in(params)))
    return {}


def untag_user(tx: Tx, act: Act, params: Params) -> Result:
    user = users.get(tx, act.realm.account, params["UserName"])
    users.set_tags(tx, act, user.name, words.without(user.tags, params["TagKeys"]))
    return {}


def list_user_tags(tx: Tx, act: Act, params: Params) -> Result:
    return words.listed_tags(_TAGS, users.get(tx, act.realm.account, params["UserName"]).tags, params)


def list_groups_for_user(tx: Tx, act: Act, params: Params) -> Result:
    """There are none; deployment tools ask before they delete a user."""
    users.get(tx, act.realm.account, params["UserName"])
    return words.paged(_GROUPS, words.cut(_GROUPS, [], params), "Groups", (), params)


# --- access keys ------------------------------------------------------------------------------------------------------


async def create_access_key(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    made = access_keys.generate(runtime.entropy)
    sealed = runtime.vault.seal(made.secret)

    def settle(tx: Tx) -> Result:
        name = _owner(tx, act, params)
        key = access_keys.create(tx, act, made.id, label="", sealed_secret=sealed, user_name=name)
        return {"AccessKey": {**_key(key), "SecretAccessKey": made.secret}}

    return settle


def list_access_keys(tx: Tx, act: Act, params: Params) -> Result:
    name = _owner(tx, act, params)
    if name is None:
        after, limit = words.opened(_KEYS, params)
        page = access_keys.page_of_account(tx, act.realm.account, after, limit)
        return words.paged(_KEYS, page, "AccessKeyMetadata", map(_key, page.items), params)
    found = {key.id: key for key in access_keys.of_user(tx, act.realm.account, name)}
    names_ = words.cut(_KEYS, list(found), params)
    return words.paged(_KEYS, names_, "AccessKeyMetadata", (_key(found[each]) for each in names_.items), params)


def update_access_key(tx: Tx, act: Act, params: Params) -> Result:
    _own_key(tx, act, params)
    if params["Status"] not in set(Status):
        raise InvalidRequest(f"The Status of an access key is one of {', '.join(Status)}, not {params['Status']!r}.")
    access_keys.set_status(tx, act, params["AccessKeyId"], Status(params["Status"]))
    return {}


def delete_access_key(tx: Tx, act: Act, params: Params) -> Result:
    _own_key(tx, act, params)
    access_keys.delete(tx, act, params["AccessKeyId"])
    return {}


def _own_key(tx: Tx, act: Act, params: Params) -> None:
    """Raises NotFound for a key that is not that user's."""
    name = _owner(tx, act, params)
    key = access_keys.find(tx, params["AccessKeyId"])
    if key is None or (key.account, key.user_name) != (act.realm.account, name):
        raise NotFound(f"The Access Key with id {params['AccessKeyId']} cannot be found.")


def _owner(tx: Tx, act: Act, params: Params) -> str | None:
    """Whose keys are meant; None for the account's own. Raises NotFound, InvalidRequest."""
    name = _meant(act, params)
    return None if name is None else users.get(tx, act.realm.account, name).name


def _meant(act: Act, params: Params) -> str | None:
    if name := params.get("UserName"):
        return str(name)
    if parts := names.iam_parts(act.actor):
        return parts[3]
    if act.actor.startswith("arn:aws:sts:"):
        raise InvalidRequest("Must specify userName when calling with non-User credentials")
    return None


def key_target(act: Act, params: Params, result: Result) -> str:
    """Of an audit entry: the key."""
    key = params.get("AccessKeyId") or result["AccessKey"]["AccessKeyId"]
    return f"arn:aws:iam::{act.realm.account}:access-key/{key}"


def _key(key: AccessKey) -> Result:
    return {
        "UserName": key.user_name or "root",
        "AccessKeyId": key.id,
        "Status": str(key.status),
        "CreateDate": key.created_at,
    }


def _described(user: User) -> Result:
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.user_id,
        "Arn": user.arn,
        "CreateDate": user.created_at,
    }
