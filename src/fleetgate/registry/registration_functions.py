"""Which functions are called when a certificate presents itself and waits for activation (JITR)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import authorities, functions

_EVERY: Final = ""


@dataclass(frozen=True, slots=True)
class Binding:
    function_name: str
    ca_fingerprint: str | None
    """None: whichever registered CA signed the certificate."""
    created_at: int


def bind(tx: Tx, act: Act, name: str, ca_fingerprint: str | None) -> Binding:
    """Call the function *name* from now on; done again it changes nothing. Raises NotFound for an unknown function or
    CA.
    """
    functions.get(tx, act.realm, name)
    if ca_fingerprint is not None:
        authorities.get(tx, act.realm, ca_fingerprint)
    tx.run(
        """INSERT INTO registration_functions (realm, function_name, ca_fingerprint, created_at)
           VALUES (:realm, :name, :ca, :now) ON CONFLICT (realm, function_name, ca_fingerprint) DO NOTHING""",
        realm=str(act.realm),
        name=name,
        ca=ca_fingerprint or _EVERY,
        now=act.now,
    )
    return next(each for each in of_function(tx, act.realm, name) if each.ca_fingerprint == ca_fingerprint)


def unbind(tx: Tx, act: Act, name: str, ca_fingerprint: str | None) -> None:
    """Raises NotFound."""
    if not tx.run(
        """DELETE FROM registration_functions
           WHERE realm = :realm AND function_name = :name AND ca_fingerprint = :ca""",
        realm=str(act.realm),
        name=name,
        ca=ca_fingerprint or _EVERY,
    ):
        of_whom = f"certificates of CA {ca_fingerprint}" if ca_fingerprint else "certificates of every CA"
        raise NotFound(f"Function {name} is not called for {of_whom}.")


def of_function(tx: Tx, realm: Realm, name: str) -> list[Binding]:
    """By CA, the one for every CA first."""
    rows = tx.rows(
        "SELECT * FROM registration_functions WHERE realm = :realm AND function_name = :name ORDER BY ca_fingerprint",
        realm=str(realm),
        name=name,
    )
    return [_binding(row) for row in rows]


def of_authority(tx: Tx, realm: Realm, ca_fingerprint: str) -> list[Binding]:
    """What is called for a certificate of this CA: each function once, by name."""
    rows = tx.rows(
        "SELECT * FROM registration_functions WHERE realm = :realm AND ca_fingerprint IN (:every, :ca)",
        realm=str(realm),
        every=_EVERY,
        ca=ca_fingerprint,
    )
    found = {row["function_name"]: _binding(row) for row in rows}
    return [found[name] for name in sorted(found)]


def _binding(row: Row) -> Binding:
    return Binding(row["function_name"], row["ca_fingerprint"] or None, row["created_at"])
