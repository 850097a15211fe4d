"""Rotation campaigns: who is due for another certificate, who was asked, who has come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import certificates, outbox, pages, statements, thing_groups
from fleetgate.registry.certificates import Certificate
from fleetgate.registry.events import RotationAnnounced
from fleetgate.registry.pages import Page

TOPIC: Final = "$fleetgate/rotation/{thing}/notify"
"""No device can publish there; its policy must let it subscribe and receive."""
MINUTE: Final = 60_000


class Status(StrEnum):
    PREPARING = "PREPARING"
    """Its devices are being written down; a crash leaves it so, and `cancel` ends it."""
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """Nobody more is asked; who was asked may still come."""
    ENDED = "ENDED"
    """Nobody is left, or the deadline has passed."""
    CANCELLED = "CANCELLED"


class DeviceStatus(StrEnum):
    DUE = "DUE"
    NOTIFIED = "NOTIFIED"
    ROTATED = "ROTATED"
    GONE = "GONE"
    """Its certificate was withdrawn or deleted meanwhile, without a successor."""
    MISSED = "MISSED"
    """It did not come before the end."""


AT_WORK: Final = frozenset({Status.RUNNING, Status.PAUSED})


@dataclass(frozen=True, slots=True)
class Selection:
    """Who is due: devices with an active certificate for which all of this holds. None asks nothing."""

    expiring_before: int | None = None
    """Milliseconds UTC."""
    issued_by: str | None = None
    """Fingerprint of a CA: one of the installation's own, or a registered one."""
    key_kind: str | None = None
    """`rsa-2048`, `ec-p256` ..., or `rsa`, `ec`."""
    group: str | None = None
    """With all groups below it."""
    type_name: str | None = None
    things: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    per_minute: int = 60
    outstanding: int = 100
    """At most so many who were asked and have not come."""
    patience: int = 3_600_000
    """Milliseconds after which one who was asked is not waited for any more; it may still come."""
    deadline_at: int | None = None

    def problems(self, now: int) -> Iterable[str]:
        if not 1 <= self.per_minute <= 60_000:
            yield "per minute: from 1 to 60000."
        if not 1 <= self.outstanding <= 1_000:
            yield "outstanding: from 1 to 1000."
        if self.patience < 1000:
            yield "patience: a second or more."
        if self.deadline_at is not None and self.deadline_at <= now:
            yield "deadline: a moment that is not over."


@dataclass(frozen=True, slots=True)
class Campaign:
    realm: Realm
    name: str
    selection: Mapping[str, Any]
    topic: str
    """With `{thing}` in the thing's place."""
    status: Status
    pace: Pace
    paced_at: int
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Device:
    thing_name: str
    fingerprint: str
    """Of the certificate that is to be replaced."""
    status: DeviceStatus
    notified_at: int | None
    settled_at: int | None


# --- who is due -------------------------------------------------------------------------------------------------------


def page_candidates(
    tx: Tx, realm: Realm, selection: Selection, after: str | None = None, limit: int = 500
) -> Page[tuple[str, Certificate]]:
    """Things with an active certificate, by thing name, for which everything but the kind of key holds: that is in the
    certificate alone. Raises NotFound for an unknown group.
    """
    where = [
        "a.realm = :realm",
        "(a.thing_name, a.fingerprint) > (:thing, :fingerprint)",
        "c.realm = a.realm",
        "c.fingerprint = a.fingerprint",
    ]
    where += ["c.status = 'ACTIVE'", "t.realm = a.realm", "t.name = a.thing_name"]
    thing, _, fingerprint = pages.name_after(after).partition("/")
    values: dict[str, Any] = {"realm": str(realm), "thing": thing, "fingerprint": fingerprint}
    if selection.expiring_before is not None:
        where.append("c.not_after < :before")
        values["before"] = selection.expiring_before
    if selection.type_name is not None:
        where.append("t.type_name = :type_name")
        values["type_name"] = selection.type_name
    if selection.issued_by is not None:
        where.append(_ISSUED_BY)
        values["issuer"] = selection.issued_by
    if selection.group is not None:
        where.append(_IN_GROUP)
        values["path"], values["path_end"] = pages.beginning(thing_groups.get(tx, realm, selection.group).path)
    return pages.read(
        tx,
        "SELECT c.*, a.thing_name FROM thing_principals a CROSS JOIN certificates c CROSS JOIN things t",
        where,
        "a.thing_name, a.fingerprint",
        limit,
        lambda row: (row["thing_name"], certificates.from_row(row)),
        lambda row: f"{row['thing_name']}/{row['fingerprint']}",
        **values,
    )


_ISSUED_BY: Final = """(c.ca_fingerprint = :issuer OR EXISTS (
    SELECT 1 FROM issuances i WHERE i.fingerprint = c.fingerprint AND i.issuer = :issuer))"""
_IN_GROUP: Final = """EXISTS (
    SELECT 1 FROM thing_group_members m WHERE m.realm = a.realm AND m.thing_name = a.thing_name
      AND m.group_path >= :path AND m.group_path < :path_end)"""


# --- campaigns --------------------------------------------------------------------------------------------------------


def create(tx: Tx, act: Act, name: str, selection: Selection, pace: Pace, topic: str = TOPIC) -> Campaign:
    """A campaign without devices, PREPARING. Raises AlreadyExists, InvalidRequest with every problem."""
    names.check("campaign", name)
    problems = [*pace.problems(act.now), *_topic_problems(topic)]
    if problems:
        raise InvalidRequest("The campaign is refused: " + " ".join(problems))
    chosen = {each: value for each, value in asdict(selection).items() if value is not None}
    if not statements.insert_new(
        tx,
        "rotation_campaigns",
        realm=str(act.realm),
        name=name,
        selection=json.dumps(chosen),
        topic=topic,
        status=str(Status.PREPARING),
        per_minute=pace.per_minute,
        outstanding=pace.outstanding,
        patience=pace.patience,
        deadline_at=pace.deadline_at,
        paced_at=act.now,
        created_at=act.now,
        updated_at=act.now,
    ):
        raise AlreadyExists(f"There is a campaign {name} already. Give this one another name.")
    return get(tx, act.realm, name)


def _topic_problems(topic: str) -> Iterable[str]:
    if "{thing}" not in topic.split("/"):
        yield "topic: it has {thing} as one of its levels."
    if set(topic) & set("+#\0") or not 0 < len(topic.encode()) <= 128:
        yield "topic: at most 128 bytes, without wildcards."
    if topic.startswith("$") and topic != TOPIC:
        yield f"topic: of those that begin with $ only {TOPIC}."


def add_devices(tx: Tx, act: Act, name: str, devices: Iterable[tuple[str, str]]) -> int:
    """Thing name and fingerprint of each; a thing that is there already stays. How many there were new."""
    return sum(
        statements.insert_new(
            tx,
            "rotation_campaign_devices",
            realm=str(act.realm),
            campaign_name=name,
            thing_name=thing,
            fingerprint=fingerprint,
            status=str(DeviceStatus.DUE),
        )
        for thing, fingerprint in devices
    )


def find(tx: Tx, realm: Realm, name: str) -> Campaign | None:
    rows = tx.rows(
        "SELECT * FROM rotation_campaigns WHERE realm = :realm AND name = :name", realm=str(realm), name=name
    )
    return _campaign(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> Campaign:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"There is no campaign {name} in this account and region.")


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25) -> Page[Campaign]:
    """By name."""
    return pages.read(
        tx,
        "SELECT * FROM rotation_campaigns",
        ["realm = :realm", "name > :after"],
        "name",
        limit,
        _campaign,
        lambda row: str(row["name"]),
        realm=str(realm),
        after=pages.name_after(after),
    )


def at_work(tx: Tx) -> list[Campaign]:
    """RUNNING and PAUSED ones of all realms."""
    rows = tx.rows(
        """SELECT * FROM rotation_campaigns
           WHERE status IN ('RUNNING', 'PAUSED')"""
    )
    return sorted(map(_campaign, rows), key=lambda each: (each.realm, each.name))


def set_status(tx: Tx, act: Act, name: str, status: Status) -> Campaign:
    """To pause, go on, cancel, end. The same again changes nothing.

    Raises NotFound, InvalidRequest for one that is over.
    """
    old = get(tx, act.realm, name)
    if old.status == status:
        return old
    if old.status not in AT_WORK | {Status.PREPARING}:
        raise InvalidRequest(f"Campaign {name} is {old.status}, which is its end. Create another one.")
    # What was not used of the pace while it was paused is not made up for.
    tx.run(
        """UPDATE rotation_campaigns SET status = :status, updated_at = :now, paced_at = :now
           WHERE realm = :realm AND name = :name""",
        status=str(status),
        now=act.now,
        realm=str(act.realm),
        name=name,
    )
    if status not in AT_WORK:
        _close(tx, act, old)
    return get(tx, act.realm, name)


def _close(tx: Tx, act: Act, campaign: Campaign) -> None:
    """Take every announcement back; who has not come has missed it."""
    for device in open_devices(tx, campaign, DeviceStatus.NOTIFIED, 1_000_000):
        outbox.add(tx, act, RotationAnnounced(topic_of(campaign, device.thing_name), ""))
    tx.run(
        """UPDATE rotation_campaign_devices SET status = 'MISSED', settled_at = :now
           WHERE realm = :realm AND campaign_name = :name AND status IN ('DUE', 'NOTIFIED')""",
        now=act.now,
        realm=str(act.realm),
        name=campaign.name,
    )


def topic_of(campaign: Campaign, thing_name: str) -> str:
    return campaign.topic.replace("{thing}", thing_name)


def progress(tx: Tx, realm: Realm, name: str) -> dict[str, int]:
    """How many devices are in which status, every status named."""
    rows = tx.rows(
        """SELECT status, count(*) AS number FROM rotation_campaign_devices
           WHERE realm = :realm AND campaign_name = :name GROUP BY status""",
        realm=str(realm),
        name=name,
    )
    return {str(each): 0 for each in DeviceStatus} | {row["status"]: row["number"] for row in rows}


def page_devices(
    tx: Tx, realm: Realm, name: str, after: str | None = None, limit: int = 25, *, status: DeviceStatus | None = None
) -> Page[Device]:
    """By thing name. Raises NotFound."""
    get(tx, realm, name)
    where = ["realm = :realm", "campaign_name = :name", "thing_name > :after"]
    values: dict[str, Any] = {"realm": str(realm), "name": name, "after": pages.name_after(after)}
    if status is not None:
        where.append("status = :status")
        values["status"] = str(status)
    select = "SELECT * FROM rotation_campaign_devices"
    return pages.read(tx, select, where, "thing_name", limit, _device, lambda row: str(row["thing_name"]), **values)


# --- at work ----------------------------------------------------------------------------------------------------------


def open_devices(tx: Tx, campaign: Campaign, status: DeviceStatus, limit: int) -> list[Device]:
    rows = tx.rows(
        """SELECT * FROM rotation_campaign_devices
           WHERE campaign_name = :name AND status = :status AND realm = :realm ORDER BY thing_name LIMIT :most""",
        realm=str(campaign.realm),
        name=campaign.name,
        status=str(status),
        most=limit,
    )
    return [_device(row) for row in rows]


def outstanding(tx: Tx, campaign: Campaign, now: int) -> int:
    """Those who were asked, have not come, and are still waited for."""
    rows = tx.rows(
        """SELECT count(*) AS number FROM rotation_campaign_devices
           WHERE campaign_name = :name AND status = 'NOTIFIED' AND realm = :realm AND notified_at > :since""",
        realm=str(campaign.realm),
        name=campaign.name,
        since=now - campaign.pace.patience,
    )
    return int(rows[0]["number"])


def replaced(tx: Tx, campaign: Campaign, limit: int) -> list[Device]:
    """Devices that were asked and whose certificate is in force no more."""
    rows = tx.rows(
        """SELECT d.* FROM rotation_campaign_devices d
           LEFT JOIN certificates c ON c.realm = d.realm AND c.fingerprint = d.fingerprint
           WHERE d.campaign_name = :name AND d.status = 'NOTIFIED' AND d.realm = :realm
             AND (c.status IS NULL OR c.status <> 'ACTIVE')
           ORDER BY d.thing_name LIMIT :most""",
        realm=str(campaign.realm),
        name=campaign.name,
        most=limit,
    )
    return [_device(row) for row in rows]


def became(tx: Tx, campaign: Campaign, device: Device) -> DeviceStatus | None:
    """What has become of the device's certificate; None while it is in force."""
    held = certificates.find(tx, campaign.realm, device.fingerprint)
    if held is not None and held.status == certificates.Status.ACTIVE:
        return None
    return DeviceStatus.ROTATED if held is not None and held.superseded_by is not None else DeviceStatus.GONE


def settle(tx: Tx, act: Act, campaign: Campaign, device: Device, status: DeviceStatus) -> None:
    """*device* is done; its announcement is taken back."""
    _set(tx, act, campaign, device, status, "settled_at")
    if device.status is DeviceStatus.NOTIFIED:
        outbox.add(tx, act, RotationAnnounced(topic_of(campaign, device.thing_name), ""))


def notify(tx: Tx, act: Act, campaign: Campaign, devices: Iterable[Device], paced_at: int) -> None:
    """Ask these, and note up to when the pace is used up."""
    for device in devices:
        _set(tx, act, campaign, device, DeviceStatus.NOTIFIED, "notified_at")
        announce(tx, act, campaign, device)
    tx.run(
        "UPDATE rotation_campaigns SET paced_at = :paced_at WHERE realm = :realm AND name = :name",
        paced_at=paced_at,
        realm=str(campaign.realm),
        name=campaign.name,
    )


def announce(tx: Tx, act: Act, campaign: Campaign, device: Device) -> None:
    """The message that asks: which certificate is to be replaced, and for which campaign."""
    asked = {"campaign": campaign.name, "thingName": device.thing_name, "certificateId": device.fingerprint}
    if campaign.pace.deadline_at is not None:
        asked["deadline"] = str(campaign.pace.deadline_at // 1000)
    outbox.add(tx, act, RotationAnnounced(topic_of(campaign, device.thing_name), json.dumps(asked)))


def _set(tx: Tx, act: Act, campaign: Campaign, device: Device, status: DeviceStatus, when: str) -> None:
    tx.run(
        f"""UPDATE rotation_campaign_devices SET status = :status, {when} = :now
            WHERE realm = :realm AND campaign_name = :name AND thing_name = :thing""",  # noqa: S608 # one of two columns
        status=str(status),
        now=act.now,
        realm=str(campaign.realm),
        name=campaign.name,
        thing=device.thing_name,
    )


def _campaign(row: Row) -> Campaign:
    return Campaign(
        realm=Realm.parse(row["realm"]),
        name=row["name"],
        selection=json.loads(row["selection"]),
        topic=row["topic"],
        status=Status(row["status"]),
        pace=Pace(row["per_minute"], row["outstanding"], row["patience"], row["deadline_at"]),
        paced_at=row["paced_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _device(row: Row) -> Device:
    return Device(
        thing_name=row["thing_name"],
        fingerprint=row["fingerprint"],
        status=DeviceStatus(row["status"]),
        notified_at=row["notified_at"],
        settled_at=row["settled_at"],
    )
