"""What users and roles may do: their inline policies, and the managed policies attached to them.

A *holder* is `user/<name>` or `role/<name>`. Documents are text here, judged by `fleetgate.policy` before they come
down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate import names
from fleetgate.database.port import Tx
from fleetgate.errors import DeleteConflict, LimitExceeded, NotFound
from fleetgate.names import Act
from fleetgate.registry import managed_policies, pages, statements
from fleetgate.registry.pages import Page

MOST_CHARACTERS: Final = {"user": 2048, "role": 10_240}
"""Of all inline policies of one holder together, white space not counted (IAM quotas)."""
MOST_ATTACHED: Final = 10


@dataclass(frozen=True, slots=True)
class Permission:
    """A policy that holds for somebody."""

    name: str
    """An inline policy's name, or a managed one's ARN."""
    version: str
    document: str


def user(name: str) -> str:
    return f"user/{name}"


def role(name: str) -> str:
    return f"role/{name}"


def of(tx: Tx, account: str, holder: str) -> list[Permission]:
    """Every policy that holds for *holder*."""
    rows = tx.rows(
        "SELECT name, document FROM inline_policies WHERE account = :account AND holder = :holder ORDER BY name",
        account=account,
        holder=holder,
    )
    inline = [Permission(row["name"], "inline", row["document"]) for row in rows]
    for arn in _arns(tx, account, holder):
        version = managed_policies.in_force(tx, account, arn)
        inline.append(Permission(arn, version.label, version.document))
    return inline


def must_have_none(tx: Tx, account: str, holder: str) -> None:
    """Raises DeleteConflict for a holder that has policies."""
    values = {"account": account, "holder": holder}
    if _arns(tx, account, holder):
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if tx.rows("SELECT name FROM inline_policies WHERE account = :account AND holder = :holder LIMIT 1", **values):
        raise DeleteConflict("Cannot delete entity, must delete policies first.")


def clear(tx: Tx, act: Act, holder: str) -> None:
    """Take every policy away."""
    values = {"account": act.realm.account, "holder": holder}
    tx.run("DELETE FROM managed_policy_attachments WHERE account = :account AND holder = :holder", **values)
    tx.run("DELETE FROM inline_policies WHERE account = :account AND holder = :holder", **values)


# --- inline -----------------------------------------------------------------------------------------------------------


def put(tx: Tx, act: Act, holder: str, name: str, document: str) -> None:
    """Make the policy, or put *document* in its place. Raises InvalidRequest for its name, LimitExceeded."""
    names.check("policy", name)
    kind, _, holder_name = holder.partition("/")
    remove(tx, act, holder, name)
    rows = tx.rows(
        "SELECT document FROM inline_policies WHERE account = :account AND holder = :holder",
        account=act.realm.account,
        holder=holder,
    )
    others = [row["document"] for row in rows]
    if sum(len("".join(text.split())) for text in (*others, document)) > MOST_CHARACTERS[kind]:
        raise LimitExceeded(f"Maximum policy size of {MOST_CHARACTERS[kind]} bytes exceeded for {kind} {holder_name}")
    statements.insert(tx, "inline_policies", account=act.realm.account, holder=holder, name=name, document=document)


def get(tx: Tx, account: str, holder: str, name: str) -> str:
    """The document of an inline policy. Raises NotFound."""
    rows = tx.rows(
        "SELECT document FROM inline_policies WHERE account = :account AND holder = :holder AND name = :name",
        account=account,
        holder=holder,
        name=name,
    )
    if not rows:
        raise _no_policy(holder, name)
    return str(rows[0]["document"])


def remove(tx: Tx, act: Act, holder: str, name: str) -> bool:
    """Whether there was such an inline policy."""
    touched = tx.run(
        "DELETE FROM inline_policies WHERE account = :account AND holder = :holder AND name = :name",
        account=act.realm.account,
        holder=holder,
        name=name,
    )
    return touched > 0


def delete(tx: Tx, act: Act, holder: str, name: str) -> None:
    """Raises NotFound."""
    if not remove(tx, act, holder, name):
        raise _no_policy(holder, name)


def page(tx: Tx, account: str, holder: str, after: str | None = None, limit: int = 25) -> Page[str]:
    """The names of its inline policies."""
    return pages.read(
        tx,
        "SELECT name FROM inline_policies",
        ["account = :account", "holder = :holder", "name > :after"],
        "name",
        limit,
        lambda row: str(row["name"]),
        lambda row: str(row["name"]),
        account=account,
        holder=holder,
        after=pages.name_after(after),
    )


def _no_policy(holder: str, name: str) -> NotFound:
    kind, _, holder_name = holder.partition("/")
    return NotFound(f"The {kind} policy with name {name} cannot be found for {kind} {holder_name}.")


# --- managed ----------------------------------------------------------------------------------------------------------


def attach(tx: Tx, act: Act, holder: str, arn: str) -> None:
    """Attaching twice is attaching once. Raises NotFound for an unknown policy, LimitExceeded."""
    account = act.realm.account
    managed_policies.in_force(tx, account, arn)
    attached = _arns(tx, account, holder)
    if arn in attached:
        return
    if len(attached) >= MOST_ATTACHED:
        raise LimitExceeded(f"Cannot exceed quota for attached managed policies: {MOST_ATTACHED}")
    statements.insert(tx, "managed_policy_attachments", account=account, holder=holder, policy_arn=arn)


def detach(tx: Tx, act: Act, holder: str, arn: str) -> None:
    """Raises NotFound for a policy that is not attached."""
    touched = tx.run(
        """DELETE FROM managed_policy_attachments
           WHERE account = :account AND holder = :holder AND policy_arn = :arn""",
        account=act.realm.account,
        holder=holder,
        arn=arn,
    )
    if not touched:
        raise NotFound(f"Policy {arn} was not found.")


def page_attached(tx: Tx, account: str, holder: str, after: str | None = None, limit: int = 25) -> Page[str]:
    """The ARNs of its managed policies."""
    return pages.read(
        tx,
        "SELECT policy_arn FROM managed_policy_attachments",
        ["account = :account", "holder = :holder", "policy_arn > :after"],
        "policy_arn",
        limit,
        lambda row: str(row["policy_arn"]),
        lambda row: str(row["policy_arn"]),
        account=account,
        holder=holder,
        after=pages.name_after(after),
    )


def _arns(tx: Tx, account: str, holder: str) -> list[str]:
    rows = tx.rows(
        """SELECT policy_arn FROM managed_policy_attachments
           WHERE account = :account AND holder = :holder ORDER BY policy_arn""",
        account=account,
        holder=holder,
    )
    return [row["policy_arn"] for row in rows]
