"""Lists of serial numbers: which devices a claim, or a batch of claims, may provision, and what each became."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, statements
from fleetgate.registry.pages import Page

LONGEST_SERIAL: Final = 128


@dataclass(frozen=True, slots=True)
class Serial:
    serial: str
    thing_name: str | None
    """The thing that it was used for."""
    used_at: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """What speaks against a serial number, or else whether its thing had it before."""

    objection: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Lists:
    """All lists of one *kind* of owner: in *table*, each named by *column*."""

    kind: str
    table: str
    column: str

    def add(self, tx: Tx, realm: Realm, owner: str, serials: Iterable[str]) -> int:
        """How many are new. Raises InvalidRequest for one that is empty, too long or cannot be printed."""
        listed = list(serials)
        if bad := [serial for serial in listed if not _plausible(serial)]:
            raise InvalidRequest(
                f"A serial number has 1 to {LONGEST_SERIAL} printable characters, unlike "
                f"{', '.join(map(repr, bad[:5]))}."
            )
        fresh = {"realm": str(realm), self.column: owner, "thing_name": None, "used_at": None}
        return sum(statements.insert_new(tx, self.table, **fresh, serial=serial) for serial in listed)

    def page(self, tx: Tx, realm: Realm, owner: str, after: str | None, limit: int) -> Page[Serial]:
        """By serial number."""
        return pages.read(
            tx,
            f"SELECT * FROM {self.table}",  # noqa: S608 # one of the two below
            ["realm = :realm", f"{self.column} = :owner", "serial > :after"],
            "serial",
            limit,
            lambda row: Serial(row["serial"], row["thing_name"], row["used_at"]),
            lambda row: str(row["serial"]),
            realm=str(realm),
            owner=owner,
            after=pages.name_after(after),
        )

    def look(self, tx: Tx, realm: Realm, owner: str, serial: str | None, thing_name: str | None) -> Use:
        """May *serial* be used for *thing_name*? It makes one thing, and that one again."""
        whose = f"{self.kind} {owner}"
        rows = []
        if serial is not None and _plausible(serial):
            rows = tx.rows(
                f"""SELECT thing_name, used_at FROM {self.table}
                    WHERE realm = :realm AND {self.column} = :owner AND serial = :serial""",  # noqa: S608 # as above
                realm=str(realm),
                owner=owner,
                serial=serial,
            )
        if not rows:
            return Use(f"Serial number {serial!r} is not on the list of {whose}.")
        if rows[0]["used_at"] is None:
            return Use()
        if thing_name is None or rows[0]["thing_name"] != thing_name:
            return Use(f"Serial number {serial!r} of {whose} was used for thing {rows[0]['thing_name']}.")
        return Use(repeated=True)

    def use(self, tx: Tx, act: Act, owner: str, serial: str, thing_name: str | None) -> None:
        """From now on *serial* is *thing_name*'s."""
        tx.run(
            f"""UPDATE {self.table} SET thing_name = :thing, used_at = :now
                WHERE realm = :realm AND {self.column} = :owner AND serial = :serial""",  # noqa: S608 # as above
            thing=thing_name,
            now=act.now,
            realm=str(act.realm),
            owner=owner,
            serial=serial,
        )


OF_CLAIMS: Final = Lists("claim", "claim_serials", "fingerprint")
OF_BATCHES: Final = Lists("batch", "claim_batch_serials", "batch")


def _plausible(serial: str) -> bool:
    return 1 <= len(serial) <= LONGEST_SERIAL and serial.isprintable()
