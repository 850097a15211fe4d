"""What hangs together: policies on certificates and thing groups, certificates on things.

AttachPolicy, DetachPolicy, ListAttachedPolicies, ListTargetsForPolicy, AttachThingPrincipal, DetachThingPrincipal,
ListThingPrincipals, ListPrincipalThings. Targets of policies come and go as ARNs, principals as fingerprints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Arn, Realm
from fleetgate.names import fingerprint as as_fingerprint
from fleetgate.registry import certificates, outbox, pages, policies, thing_groups, things
from fleetgate.registry.events import AttachmentChanged, PrincipalChanged
from fleetgate.registry.pages import Page

MOST_POLICIES: Final = {"cert": 10, "thinggroup": 2}


@dataclass(frozen=True, slots=True)
class Principal:
    """A certificate on a thing."""

    thing_name: str
    fingerprint: str
    exclusive: bool
    """EXCLUSIVE_THING: the certificate may have no other thing."""


# --- policies ---------------------------------------------------------------------------------------------------------


def attach_policy(tx: Tx, act: Act, policy_name: str, target: str) -> None:
    """AttachPolicy to the ARN of a certificate or a thing group. Once more changes nothing.

    Raises NotFound for an unknown policy or target, InvalidRequest for another kind of target, LimitExceeded.
    """
    arn = _target_arn(target)
    # One statement where all is well, as in every provisioning; what stood in its way is looked for afterwards.
    if arn.realm != act.realm or not tx.run(
        _ATTACH[arn.kind],
        realm=str(act.realm),
        policy=policy_name,
        target=f"{arn.kind}/{arn.name}",
        name=arn.name,
        most=MOST_POLICIES[arn.kind],
        now=act.now,
    ):
        policies.get(tx, act.realm, policy_name)
        _target(tx, act.realm, target)
        if arn.kind == "cert":
            _not_under_transfer(tx, act, arn.name)
        else:
            thing_groups.static(tx, act.realm, arn.name)
        attached = tx.rows(_OF_TARGET[arn.kind], realm=str(act.realm), name=arn.name)
        if all(row["policy_name"] != policy_name for row in attached):
            raise LimitExceeded(f"{target} has {len(attached)} policies already, which is the most. Detach one first.")
        return
    outbox.add(tx, act, AttachmentChanged(policy_name, str(arn), True))


def detach_policy(tx: Tx, act: Act, policy_name: str, target: str) -> None:
    """DetachPolicy. What is not attached is detached already. Raises InvalidRequest unless *target* is such an ARN."""
    arn = _target_arn(target)
    if arn.realm == act.realm and tx.run(
        "DELETE FROM policy_attachments WHERE realm = :realm AND policy_name = :name AND target = :target",
        realm=str(act.realm),
        name=policy_name,
        target=f"{arn.kind}/{arn.name}",
    ):
        outbox.add(tx, act, AttachmentChanged(policy_name, str(arn), False))


def page_policies(
    tx: Tx, realm: Realm, target: str, after: str | None = None, limit: int = 25, *, recursive: bool = False
) -> Page[str]:
    """ListAttachedPolicies: names of the policies on *target*, with *recursive* also on the groups above it.

    Raises NotFound, InvalidRequest.
    """
    arn = _target(tx, realm, target)
    reached = [arn.name]
    if recursive and arn.kind == "thinggroup":
        reached += thing_groups.get(tx, realm, arn.name).ancestors
    column = "fingerprint" if arn.kind == "cert" else "group_name"
    values: dict[str, Any] = {f"target{number}": name for number, name in enumerate(reached)}
    return pages.read(
        tx,
        "SELECT DISTINCT policy_name FROM policy_attachments",
        ["realm = :realm", f"{column} IN ({', '.join(f':{name}' for name in values)})", "policy_name > :after"],
        "policy_name",
        limit,
        _policy_name,
        _policy_name,
        realm=str(realm),
        after=pages.name_after(after),
        **values,
    )


def page_targets(
    tx: Tx, realm: Realm, policy_name: str, after: str | None = None, limit: int = 25, *, kind: str = ""
) -> Page[str]:
    """ListTargetsForPolicy: ARNs, of one *kind* (`cert`, `thinggroup`) where it is given. Raises NotFound,
    InvalidRequest.
    """
    policies.get(tx, realm, policy_name)
    begin, end = pages.beginning(f"{kind}/" if kind else "")
    return pages.read(
        tx,
        "SELECT target FROM policy_attachments",
        ["realm = :realm", "policy_name = :name", "target > :after", "target < :end"],
        "target",
        limit,
        lambda row: realm.arn(*row["target"].split("/", 1)),
        lambda row: str(row["target"]),
        realm=str(realm),
        name=policy_name,
        after=max(begin, pages.name_after(after)),
        end=end,
    )


def policies_for(tx: Tx, realm: Realm, fingerprint: str, thing_name: str | None) -> list[tuple[str, int, str]]:
    """(name, version, document) of every policy that holds for a connection: those on its certificate and, where
    *thing_name* is given, those on that thing's static groups and on every group above them. By name, each once.

    On the path of every connect, hence one statement. Whether the thing is the certificate's own is the caller's to
    know (`spoken_for`).
    """
    if thing_name is None:
        rows = tx.rows(_ON_CERTIFICATE, realm=str(realm), fingerprint=fingerprint)
    else:
        rows = tx.rows(_ON_CERTIFICATE_AND_GROUPS, realm=str(realm), fingerprint=fingerprint, thing=thing_name)
    return [(row["name"], row["version"], row["document"]) for row in rows]


_ATTACH: Final = {
    "cert": """
    INSERT INTO policy_attachments (realm, policy_name, target, fingerprint, group_name, attached_at)
    SELECT p.realm, p.name, :target, c.fingerprint, NULL, :now
    FROM policies p
    CROSS JOIN certificates c
    WHERE p.realm = :realm AND p.name = :policy AND c.realm = :realm AND c.fingerprint = :name
      AND c.status <> 'PENDING_TRANSFER'
      AND (SELECT count(*) FROM policy_attachments a WHERE a.realm = :realm AND a.fingerprint = :name) < :most
    ON CONFLICT DO NOTHING""",
    "thinggroup": """
    INSERT INTO policy_attachments (realm, policy_name, target, fingerprint, group_name, attached_at)
    SELECT p.realm, p.name, :target, NULL, g.name, :now
    FROM policies p
    CROSS JOIN thing_groups g
    WHERE p.realm = :realm AND p.name = :policy AND g.realm = :realm AND g.name = :name
      AND g.query IS NULL
      AND (SELECT count(*) FROM policy_attachments a WHERE a.realm = :realm AND a.group_name = :name) < :most
    ON CONFLICT DO NOTHING""",
}
_OF_TARGET: Final = {
    "cert": "SELECT policy_name FROM policy_attachments WHERE realm = :realm AND fingerprint = :name",
    "thinggroup": "SELECT policy_name FROM policy_attachments WHERE realm = :realm AND group_name = :name",
}

# CROSS JOIN is SQLite's way to be told which table comes first; to PostgreSQL it is a join like any other. Left alone,
# SQLite begins with every policy of the realm.
_ON_CERTIFICATE: Final = """
    SELECT p.name, v.version, v.document
    FROM policy_attachments a
    CROSS JOIN policies p
    CROSS JOIN policy_versions v
    WHERE a.realm = :realm AND a.fingerprint = :fingerprint
      AND p.realm = a.realm AND p.name = a.policy_name
      AND v.realm = a.realm AND v.policy_name = a.policy_name AND v.version = p.default_version
    ORDER BY p.name"""

_ON_CERTIFICATE_AND_GROUPS: Final = """
    WITH RECURSIVE reached (name, parent_name) AS (
        SELECT g.name, g.parent_name
        FROM thing_group_members m
        CROSS JOIN thing_groups g
        WHERE m.realm = :realm AND m.thing_name = :thing AND g.realm = m.realm AND g.name = m.group_name
        UNION
        SELECT g.name, g.parent_name
        FROM reached r
        CROSS JOIN thing_groups g
        WHERE g.realm = :realm AND g.name = r.parent_name
    ), held (policy_name) AS (
        SELECT policy_name FROM policy_attachments WHERE realm = :realm AND fingerprint = :fingerprint
        UNION
        SELECT a.policy_name
        FROM reached r
        CROSS JOIN policy_attachments a
        WHERE a.realm = :realm AND a.group_name = r.name
    )
    SELECT p.name, v.version, v.document
    FROM held h
    CROSS JOIN policies p
    CROSS JOIN policy_versions v
    WHERE p.realm = :realm AND p.name = h.policy_name
      AND v.realm = p.realm AND v.policy_name = p.name AND v.version = p.default_version
    ORDER BY p.name"""


# --- things -----------------------------------------------------------------------------------------------------------


def attach_principal(tx: Tx, act: Act, thing_name: str, fingerprint: str, *, exclusive: bool = False) -> None:
    """AttachThingPrincipal: a certificate to a thing. Once more sets *exclusive* anew.

    Raises NotFound for an unknown thing or certificate; InvalidRequest where the certificate is, or would be, one
    thing's exclusively and has another.
    """
    # One statement where all is well, as in every provisioning; what stood in its way is looked for afterwards.
    if tx.run(
        _ATTACH_PRINCIPAL,
        realm=str(act.realm),
        thing=thing_name,
        fingerprint=fingerprint,
        exclusive=int(exclusive),
        now=act.now,
    ):
        outbox.add(tx, act, PrincipalChanged(thing_name, fingerprint, True))
        return
    things.get(tx, act.realm, thing_name)
    _not_under_transfer(tx, act, fingerprint)
    others = [each for each in things_of(tx, act.realm, fingerprint) if each.thing_name != thing_name]
    if others and (exclusive or any(each.exclusive for each in others)):
        raise InvalidRequest(
            f"Certificate {fingerprint} is attached to thing {others[0].thing_name}, and one of the two attachments is "
            "to be exclusive. Detach it there first."
        )
    if _set_exclusive(tx, act, thing_name, fingerprint, exclusive):
        # An exclusive certificate speaks for its thing under any client id.
        outbox.add(tx, act, PrincipalChanged(thing_name, fingerprint, True))


_ATTACH_PRINCIPAL: Final = """
    INSERT INTO thing_principals (realm, thing_name, fingerprint, exclusive, attached_at)
    SELECT t.realm, t.name, c.fingerprint, :exclusive, :now
    FROM things t
    CROSS JOIN certificates c
    WHERE t.realm = :realm AND t.name = :thing AND c.realm = :realm AND c.fingerprint = :fingerprint
      AND c.status <> 'PENDING_TRANSFER'
      AND NOT EXISTS (SELECT 1 FROM thing_principals o
                      WHERE o.realm = :realm AND o.fingerprint = :fingerprint AND o.thing_name <> :thing
                        AND (o.exclusive = 1 OR :exclusive = 1))
    ON CONFLICT DO NOTHING"""


def detach_principal(tx: Tx, act: Act, thing_name: str, fingerprint: str) -> None:
    """DetachThingPrincipal. What is not attached is detached already. Raises NotFound for an unknown thing."""
    things.get(tx, act.realm, thing_name)
    if tx.run(
        "DELETE FROM thing_principals WHERE realm = :realm AND thing_name = :thing AND fingerprint = :fingerprint",
        realm=str(act.realm),
        thing=thing_name,
        fingerprint=fingerprint,
    ):
        outbox.add(tx, act, PrincipalChanged(thing_name, fingerprint, False))


def fingerprint_of(realm: Realm, principal: str) -> str:
    """The certificate that a principal's ARN names. Raises InvalidRequest for another kind, NotFound for another
    realm's.
    """
    arn = Arn.parse(principal)
    if arn.kind != "cert":
        raise InvalidRequest(f"A thing's principal is a certificate ARN, not {principal}.")
    if arn.realm != realm:
        raise NotFound(f"There is no {principal} in this account and region.")
    return as_fingerprint(arn.name)


def spoken_for(tx: Tx, realm: Realm, fingerprint: str, client_id: str) -> Principal | None:
    """The thing that a connection speaks for: the certificate's exclusive one, or the one of its things that
    *client_id* names.
    """
    rows = tx.rows(
        """SELECT * FROM thing_principals WHERE realm = :realm AND fingerprint = :fingerprint
           ORDER BY thing_name LIMIT 1""",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    # An exclusive thing is the only one, so the first tells; of many others, the client id's is found by its key.
    first = _principal(rows[0]) if rows else None
    if first is None or first.exclusive or first.thing_name == client_id:
        return first
    return find_principal(tx, realm, client_id, fingerprint)


def find_principal(tx: Tx, realm: Realm, thing_name: str, fingerprint: str) -> Principal | None:
    """The attachment of this certificate to this thing."""
    rows = tx.rows(
        "SELECT * FROM thing_principals WHERE realm = :realm AND thing_name = :thing AND fingerprint = :fingerprint",
        realm=str(realm),
        thing=thing_name,
        fingerprint=fingerprint,
    )
    return _principal(rows[0]) if rows else None


def things_of(tx: Tx, realm: Realm, fingerprint: str) -> list[Principal]:
    """All things of a certificate, by name; `page_things` where there may be many."""
    rows = tx.rows(
        """SELECT * FROM thing_principals WHERE realm = :realm AND fingerprint = :fingerprint
           ORDER BY thing_name""",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    return [_principal(row) for row in rows]


def certificates_of(tx: Tx, realm: Realm, thing_name: str) -> list[certificates.Certificate]:
    """All certificates of a thing, by fingerprint; `page_principals` where there may be many."""
    rows = tx.rows(
        """SELECT c.* FROM thing_principals a
           JOIN certificates c ON c.realm = a.realm AND c.fingerprint = a.fingerprint
           WHERE a.realm = :realm AND a.thing_name = :thing ORDER BY a.fingerprint""",
        realm=str(realm),
        thing=thing_name,
    )
    return [certificates.from_row(row) for row in rows]


def page_principals(
    tx: Tx, realm: Realm, thing_name: str, after: str | None = None, limit: int = 25, *, exclusive: bool | None = None
) -> Page[Principal]:
    """ListThingPrincipals, by fingerprint; of one type only where *exclusive* is given. Raises NotFound."""
    if things.find(tx, realm, thing_name) is None:
        raise NotFound(
            f"Failed to list principals for thing {thing_name} because the thing does not exist in your account"
        )
    return _principals(tx, realm, ("thing_name", thing_name), "fingerprint", after, limit, exclusive)


def page_things(
    tx: Tx, realm: Realm, fingerprint: str, after: str | None = None, limit: int = 25, *, exclusive: bool | None = None
) -> Page[Principal]:
    """ListPrincipalThings of a certificate, by thing name. Raises NotFound."""
    certificates.get(tx, realm, fingerprint)
    return _principals(tx, realm, ("fingerprint", fingerprint), "thing_name", after, limit, exclusive)


def _principals(
    tx: Tx, realm: Realm, of: tuple[str, str], order: str, after: str | None, limit: int, exclusive: bool | None
) -> Page[Principal]:
    column, name = of
    where = ["realm = :realm", f"{column} = :name", f"{order} > :after"]
    values: dict[str, Any] = {"realm": str(realm), "name": name, "after": pages.name_after(after)}
    if exclusive is not None:
        where.append("exclusive = :exclusive")
        values["exclusive"] = int(exclusive)
    select = "SELECT * FROM thing_principals"
    return pages.read(tx, select, where, order, limit, _principal, lambda row: str(row[order]), **values)


def _set_exclusive(tx: Tx, act: Act, thing_name: str, fingerprint: str, exclusive: bool) -> int:
    return tx.run(
        """UPDATE thing_principals SET exclusive = :exclusive
           WHERE realm = :realm AND thing_name = :thing AND fingerprint = :fingerprint AND exclusive <> :exclusive""",
        exclusive=int(exclusive),
        realm=str(act.realm),
        thing=thing_name,
        fingerprint=fingerprint,
    )


def _not_under_transfer(tx: Tx, act: Act, fingerprint: str) -> None:
    """Raises NotFound, InvalidRequest."""
    if certificates.get(tx, act.realm, fingerprint).status is certificates.Status.PENDING_TRANSFER:
        raise InvalidRequest(f"Certificate {fingerprint} is under transfer. Attach to it when that has ended.")


def _target_arn(target: str) -> Arn:
    arn = Arn.parse(target)
    if arn.kind not in MOST_POLICIES:
        raise InvalidRequest(f"A policy is attached to a certificate or a thing group, not to {target}.")
    return Arn(arn.realm, "cert", as_fingerprint(arn.name)) if arn.kind == "cert" else arn


def _target(tx: Tx, realm: Realm, target: str) -> Arn:
    """The ARN of something that exists here. Raises NotFound, InvalidRequest."""
    arn = _target_arn(target)
    if arn.kind == "cert":
        if arn.realm != realm:
            raise NotFound(f"There is no {target} in this account and region.")
        certificates.get(tx, realm, arn.name)
    elif arn.realm != realm or thing_groups.find(tx, realm, arn.name) is None:
        raise NotFound(f"No thing group with ARN {target} exists")
    return arn


def _policy_name(row: Row) -> str:
    return str(row["policy_name"])


def _principal(row: Row) -> Principal:
    return Principal(row["thing_name"], row["fingerprint"], row["exclusive"] == 1)
