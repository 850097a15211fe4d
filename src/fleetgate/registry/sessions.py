"""Sessions of MQTT clients that outlive their connections: subscriptions, and messages that wait (MQTT 5, 4.1).

Written change by change by the gateway, which also keeps them in memory, and read once, when a server starts. Moments
are milliseconds UTC. Writing twice is the same as writing once; what belongs to a session that has ended is let go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.names import Realm
from fleetgate.registry import nodes


@dataclass(frozen=True, slots=True)
class Session:
    client_id: str
    version: int
    """Of the protocol: 4 is MQTT 3.1.1."""
    owner: str
    """The principal, as the audit trail names it."""
    entitled: bool
    longest: int
    expiry: int
    left_at: int | None


@dataclass(frozen=True, slots=True)
class Subscription:
    topic_filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int
    identifier: int | None


@dataclass(frozen=True, slots=True)
class Message:
    number: int
    packet: str
    """An MQTT 5 PUBLISH in base64."""
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    realm: Realm
    session: Session
    subscriptions: tuple[Subscription, ...]
    messages: tuple[Message, ...]
    """In the order of their numbers."""
    node: str
    """Who keeps it; empty where one process serves alone."""


_KEEP: Final = """
    INSERT INTO mqtt_sessions (realm, client_id, version, owner, entitled, longest, expiry, left_at, node)
    VALUES (:realm, :client_id, :version, :owner, :entitled, :longest, :expiry, :left_at, :node)
    ON CONFLICT (realm, client_id) DO UPDATE SET
        version = excluded.version, owner = excluded.owner, entitled = excluded.entitled,
        longest = excluded.longest, expiry = excluded.expiry, left_at = excluded.left_at, node = excluded.node
"""

_SUBSCRIBE: Final = """
    INSERT INTO mqtt_subscriptions
        (realm, client_id, topic_filter, qos, no_local, retain_as_published, retain_handling, identifier)
    SELECT :realm, :client_id, :topic_filter, :qos, :no_local, :retain_as_published, :retain_handling,
        CAST(:identifier AS BIGINT)
    WHERE EXISTS (SELECT 1 FROM mqtt_sessions WHERE realm = :realm AND client_id = :client_id)
    ON CONFLICT (realm, client_id, topic_filter) DO UPDATE SET
        qos = excluded.qos, no_local = excluded.no_local, retain_as_published = excluded.retain_as_published,
        retain_handling = excluded.retain_handling, identifier = excluded.identifier
"""

_ENQUEUE: Final = """
    INSERT INTO mqtt_messages (realm, client_id, number, packet, expires_at)
    SELECT :realm, :client_id, :number, :packet, CAST(:expires_at AS BIGINT)
    WHERE EXISTS (SELECT 1 FROM mqtt_sessions WHERE realm = :realm AND client_id = :client_id)
    ON CONFLICT DO NOTHING
"""


def keep(tx: Tx, realm: Realm, session: Session, node: str = "") -> None:
    """The session as it is now, with the name of the node that keeps it."""
    tx.run(
        _KEEP,
        realm=str(realm),
        client_id=session.client_id,
        version=session.version,
        owner=session.owner,
        entitled=int(session.entitled),
        longest=session.longest,
        expiry=session.expiry,
        left_at=session.left_at,
        node=node,
    )


def end(tx: Tx, realm: Realm, client_id: str) -> None:
    """The session with all that belongs to it."""
    tx.run("DELETE FROM mqtt_sessions WHERE realm = :realm AND client_id = :id", realm=str(realm), id=client_id)


def subscribe(tx: Tx, realm: Realm, client_id: str, subscription: Subscription) -> None:
    """Add it, or put it in the place of the one with the same filter."""
    tx.run(
        _SUBSCRIBE,
        realm=str(realm),
        client_id=client_id,
        topic_filter=subscription.topic_filter,
        qos=subscription.qos,
        no_local=int(subscription.no_local),
        retain_as_published=int(subscription.retain_as_published),
        retain_handling=subscription.retain_handling,
        identifier=subscription.identifier,
    )


def unsubscribe(tx: Tx, realm: Realm, client_id: str, topic_filter: str) -> None:
    tx.run(
        "DELETE FROM mqtt_subscriptions WHERE realm = :realm AND client_id = :client_id AND topic_filter = :filter",
        realm=str(realm),
        client_id=client_id,
        filter=topic_filter,
    )


def enqueue(tx: Tx, realm: Realm, client_id: str, message: Message) -> None:
    tx.run(
        _ENQUEUE,
        realm=str(realm),
        client_id=client_id,
        number=message.number,
        packet=message.packet,
        expires_at=message.expires_at,
    )


def settle(tx: Tx, realm: Realm, client_id: str, number: int) -> None:
    """The message waits no more."""
    tx.run(
        "DELETE FROM mqtt_messages WHERE realm = :realm AND client_id = :client_id AND number = :number",
        realm=str(realm),
        client_id=client_id,
        number=number,
    )


def stored(tx: Tx, node: str = "") -> list[Stored]:
    """Every session that *node* keeps, in all realms, those that were left first first."""
    return _stored(tx, "s.node = :node", node=node)


def find(tx: Tx, realm: Realm, client_id: str) -> Stored | None:
    """The session of this client, wherever it is kept."""
    found = _stored(tx, "s.realm = :realm AND s.client_id = :client", realm=str(realm), client=client_id)
    return found[0] if found else None


def adopt(tx: Tx, node: str, now: int, spared: Callable[[Realm, str], bool]) -> list[tuple[Realm, str]]:
    """*node* keeps the sessions of nodes that are dead from now on, but for those that are *spared*. Which those are:
    realm and client id.
    """
    found = [each for each in orphaned(tx, node, now, _MOST_ADOPTED) if not spared(*each)]
    for realm, client_id in found:
        tx.run(
            "UPDATE mqtt_sessions SET node = :node WHERE realm = :realm AND client_id = :client",
            node=node,
            realm=str(realm),
            client=client_id,
        )
    return found


def orphaned(tx: Tx, node: str, now: int, limit: int = 1) -> list[tuple[Realm, str]]:
    """What there is to `adopt`."""
    rows = tx.rows(
        """SELECT s.realm, s.client_id FROM mqtt_sessions s
           WHERE s.node <> :node AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.name = s.node AND n.seen_at > :since)
           LIMIT :most""",
        node=node,
        since=now - nodes.SILENCE,
        most=limit,
    )
    return [(Realm.parse(row["realm"]), row["client_id"]) for row in rows]


_MOST_ADOPTED: Final = 1_000
"""In one transaction; the rest follows."""


def kept_by(tx: Tx, node: str) -> set[tuple[str, str]]:
    """(realm, client id) of the sessions that *node* keeps."""
    rows = tx.rows("SELECT realm, client_id FROM mqtt_sessions WHERE node = :node", node=node)
    return {(row["realm"], row["client_id"]) for row in rows}


@cache
def _statements(where: str) -> tuple[str, str, str]:
    """Sessions, subscriptions and messages."""
    joint = f"o JOIN mqtt_sessions s ON s.realm = o.realm AND s.client_id = o.client_id WHERE {where}"
    return (
        f"SELECT * FROM mqtt_sessions s WHERE {where} ORDER BY s.left_at, s.realm, s.client_id",  # noqa: S608 # our words
        f"SELECT o.* FROM mqtt_subscriptions {joint} ORDER BY o.topic_filter",  # noqa: S608 # as above
        f"SELECT o.* FROM mqtt_messages {joint} ORDER BY o.number",  # noqa: S608 # as above
    )


def _stored(tx: Tx, where: str, **values: str) -> list[Stored]:
    of_sessions, of_subscriptions, of_messages = _statements(where)
    found = tx.rows(of_sessions, **values)
    if not found:
        return []
    subscriptions: defaultdict[tuple[str, str], list[Subscription]] = defaultdict(list)
    for row in tx.rows(of_subscriptions, **values):
        subscriptions[row["realm"], row["client_id"]].append(_subscription(row))
    messages: defaultdict[tuple[str, str], list[Message]] = defaultdict(list)
    for row in tx.rows(of_messages, **values):
        messages[row["realm"], row["client_id"]].append(Message(row["number"], row["packet"], row["expires_at"]))
    keys = [(row["realm"], row["client_id"]) for row in found]
    return [
        Stored(Realm.parse(key[0]), _session(row), tuple(subscriptions[key]), tuple(messages[key]), row["node"])
        for key, row in zip(keys, found, strict=True)
    ]


def _session(row: Row) -> Session:
    return Session(
        row["client_id"],
        row["version"],
        row["owner"],
        row["entitled"] == 1,
        row["longest"],
        row["expiry"],
        row["left_at"],
    )


def _subscription(row: Row) -> Subscription:
    return Subscription(
        row["topic_filter"],
        row["qos"],
        row["no_local"] == 1,
        row["retain_as_published"] == 1,
        row["retain_handling"],
        row["identifier"],
    )
