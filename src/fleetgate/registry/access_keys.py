"""Access keys of operators: what signs the requests of the AWS-compatible interfaces (SigV4).

Secrets come down sealed and go up sealed; nothing here can open one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act
from fleetgate.registry import pages, statements
from fleetgate.registry.pages import Page

LONGEST_LABEL: Final = 256
MOST_OF_A_USER: Final = 2
"""AWS's number; an account's own keys are not counted."""
_ID: Final = re.compile(r"[A-Z0-9]{16,128}")


class Status(StrEnum):
    ACTIVE = "Active"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class AccessKey:
    id: str
    """As in a signature's credential: AKIA..."""
    account: str
    label: str
    sealed_secret: str = field(repr=False)
    status: Status
    created_at: int
    user_name: str | None = None
    """Whose it is; None for the account's own, which may do everything in it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key as its owner has it."""

    id: str
    secret: str = field(repr=False)


def generate(entropy: Callable[[int], bytes], prefix: str = "AKIA") -> Credentials:
    """New ones in AWS's form: *prefix* (ASIA for temporary ones), 16 letters or digits, and a secret of 240 bits."""
    return Credentials(f"{prefix}{base64.b32encode(entropy(10)).decode()}", base64.b64encode(entropy(30)).decode())


def create(tx: Tx, act: Act, key_id: str, *, label: str, sealed_secret: str, user_name: str | None = None) -> AccessKey:
    """An active key of the act's account, or of one of its users, which must be there.

    Raises AlreadyExists for a taken id, InvalidRequest for a malformed one, LimitExceeded for a user's third.
    """
    if not _ID.fullmatch(key_id):
        raise InvalidRequest("An access key id is 16 to 128 capital letters and digits.")
    if len(label) > LONGEST_LABEL:
        raise InvalidRequest(f"A label has at most {LONGEST_LABEL} characters, not {len(label)}.")
    if user_name is not None and len(of_user(tx, act.realm.account, user_name)) >= MOST_OF_A_USER:
        raise LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {MOST_OF_A_USER}")
    if not statements.insert_new(
        tx,
        "access_keys",
        id=key_id,
        account=act.realm.account,
        label=label,
        sealed_secret=sealed_secret,
        status=str(Status.ACTIVE),
        created_at=act.now,
        user_name=user_name,
    ):
        raise AlreadyExists(f"There is an access key {key_id} already.")
    return AccessKey(key_id, act.realm.account, label, sealed_secret, Status.ACTIVE, act.now, user_name)


def find(tx: Tx, key_id: str) -> AccessKey | None:
    """By id alone: a signed request names its key before any realm is known."""
    rows = tx.rows("SELECT * FROM access_keys WHERE id = :id", id=key_id)
    return _access_key(rows[0]) if rows else None


def set_status(tx: Tx, act: Act, key_id: str, status: Status) -> None:
    """Raises NotFound for a key that the act's account does not have."""
    touched = tx.run(
        "UPDATE access_keys SET status = :status WHERE id = :id AND account = :account",
        id=key_id,
        account=act.realm.account,
        status=str(Status(status)),
    )
    if not touched:
        raise _unknown(key_id)


def delete(tx: Tx, act: Act, key_id: str) -> None:
    """Raises NotFound for a key that the act's account does not have."""
    account = act.realm.account
    if not tx.run("DELETE FROM access_keys WHERE id = :id AND account = :account", id=key_id, account=account):
        raise _unknown(key_id)


def page(tx: Tx, account: str, after: str | None = None, limit: int = 25) -> Page[AccessKey]:
    """The keys of one account, by id."""
    return pages.read(
        tx,
        "SELECT * FROM access_keys",
        ["account = :account", "id > :after"],
        "id",
        limit,
        _access_key,
        lambda row: str(row["id"]),
        account=account,
        after=pages.name_after(after),
    )


def page_of_account(tx: Tx, account: str, after: str | None = None, limit: int = 25) -> Page[AccessKey]:
    """The account's own keys, which are no user's, by id."""
    return pages.read(
        tx,
        "SELECT * FROM access_keys",
        ["account = :account", "user_name IS NULL", "id > :after"],
        "id",
        limit,
        _access_key,
        lambda row: str(row["id"]),
        account=account,
        after=pages.name_after(after),
    )


def of_user(tx: Tx, account: str, user_name: str) -> list[AccessKey]:
    """All of one user's, by id."""
    rows = tx.rows(
        "SELECT * FROM access_keys WHERE user_name = :user_name AND account = :account ORDER BY id",
        account=account,
        user_name=user_name,
    )
    return [_access_key(row) for row in rows]


def _unknown(key_id: str) -> NotFound:
    return NotFound(f"This account has no access key {key_id}.")


def _access_key(row: Row) -> AccessKey:
    return AccessKey(
        id=row["id"],
        account=row["account"],
        label=row["label"],
        sealed_secret=row["sealed_secret"],
        status=Status(row["status"]),
        created_at=row["created_at"],
        user_name=row["user_name"],
    )
