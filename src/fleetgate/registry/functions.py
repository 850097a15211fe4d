"""Functions: the name at the end of a Lambda ARN, and the Python handler that stands behind it here."""

from __future__ import annotations

from dataclasses import dataclass

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import function_keys, pages
from fleetgate.registry.pages import Page


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    file: str
    handler: str
    """The function in *file*."""
    created_at: int
    updated_at: int


def put(tx: Tx, act: Act, name: str, file: str, handler: str) -> Function:
    """Bind *name*, anew where it was bound. Raises InvalidRequest for a bad name."""
    names.check("function", name)
    rows = tx.rows(
        """INSERT INTO functions (realm, name, file, handler, created_at, updated_at)
           VALUES (:realm, :name, :file, :handler, :now, :now)
           ON CONFLICT (realm, name) DO UPDATE SET file = :file, handler = :handler, updated_at = :now
           RETURNING *""",
        realm=str(act.realm),
        name=name,
        file=file,
        handler=handler,
        now=act.now,
    )
    return _function(rows[0])


def find(tx: Tx, realm: Realm, name: str) -> Function | None:
    rows = tx.rows("SELECT * FROM functions WHERE realm = :realm AND name = :name", realm=str(realm), name=name)
    return _function(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> Function:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"No function {name} is bound in this account and region.")


def delete(tx: Tx, act: Act, name: str) -> None:
    """With what it is called for, and with its access key. Raises NotFound."""
    get(tx, act.realm, name)
    function_keys.forget(tx, act, name)
    tx.run("DELETE FROM functions WHERE realm = :realm AND name = :name", realm=str(act.realm), name=name)


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25) -> Page[Function]:
    """By name."""
    return pages.read(
        tx,
        "SELECT * FROM functions",
        ["realm = :realm", "name > :after"],
        "name",
        limit,
        _function,
        lambda row: str(row["name"]),
        realm=str(realm),
        after=pages.name_after(after),
    )


def _function(row: Row) -> Function:
    return Function(row["name"], row["file"], row["handler"], row["created_at"], row["updated_at"])
