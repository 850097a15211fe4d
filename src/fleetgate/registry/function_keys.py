"""The access key of a function: what a handler that talks to AWS by boto3 signs with, so that it talks to this server.

Made when the function is first called, deleted with the function. An operator who deletes it gets the function another
one; one who switches it off stops the function.
"""

from __future__ import annotations

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import AccessKey, Credentials


def find(tx: Tx, realm: Realm, name: str) -> AccessKey | None:
    """None where it was not made yet, or was deleted."""
    rows = tx.rows(
        "SELECT access_key_id FROM function_keys WHERE realm = :realm AND function_name = :name",
        realm=str(realm),
        name=name,
    )
    return access_keys.find(tx, rows[0]["access_key_id"]) if rows else None


def keep(tx: Tx, act: Act, name: str, key: Credentials, sealed_secret: str) -> AccessKey:
    """The key of the function *name*: the one it has, or else *key* from now on."""
    if present := find(tx, act.realm, name):
        return present
    tx.run(
        """INSERT INTO function_keys (realm, function_name, access_key_id, created_at)
           VALUES (:realm, :name, :key, :now)
           ON CONFLICT (realm, function_name) DO UPDATE SET access_key_id = :key, created_at = :now""",
        realm=str(act.realm),
        name=name,
        key=key.id,
        now=act.now,
    )
    return access_keys.create(tx, act, key.id, label=f"function/{name}", sealed_secret=sealed_secret)


def forget(tx: Tx, act: Act, name: str) -> None:
    """Of a function that is about to be deleted; nothing happens where there is none."""
    if present := find(tx, act.realm, name):
        access_keys.delete(tx, act, present.id)
    tx.run("DELETE FROM function_keys WHERE realm = :realm AND function_name = :name", realm=str(act.realm), name=name)
