"""Rotation campaigns at work: choose who is due, ask them at a pace, see who has come, end.

The announcement is an event in the outbox, so it is written with the device's new status and handed out after the
commit; a device that is away finds it retained. Everything that is known is in the database: a restart goes on, and of
several nodes each may take a step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import structlog

from fleetgate import names
from fleetgate.database.port import Tx
from fleetgate.errors import FleetgateError, InvalidRequest
from fleetgate.names import Act
from fleetgate.pki import certificate, keys
from fleetgate.registry import audit, campaigns, thing_groups, thing_types, things
from fleetgate.registry.campaigns import MINUTE, Campaign, DeviceStatus, Pace, Selection, Status
from fleetgate.registry.certificates import Certificate
from fleetgate.registry.pages import Page
from fleetgate.runtime import Runtime

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 500
_SHOWN: Final = 5
_KINDS: Final = frozenset({*keys.KeyKind, *(each.partition("-")[0] for each in keys.KeyKind)})


async def create(
    runtime: Runtime, act: Act, name: str, selection: Selection, pace: Pace, topic: str = campaigns.TOPIC
) -> Campaign:
    """Write down who is due now, some hundred at a time, and begin. Raises AlreadyExists, and InvalidRequest with
    everything that the selection names and that there is not: a slip must not look like a fleet that is done.
    """
    if problems := await runtime.database.read(lambda tx: list(_unknown(tx, act, selection))):
        raise InvalidRequest("The campaign is refused: " + " ".join(problems))
    if selection.issued_by is not None:
        selection = replace(selection, issued_by=names.fingerprint(selection.issued_by))
    await runtime.write(lambda tx: campaigns.create(tx, act, name, selection, pace, topic))
    after: str | None = None
    while True:

        def look(tx: Tx, after: str | None = after) -> Page[tuple[str, Certificate]]:
            return campaigns.page_candidates(tx, act.realm, selection, after, _AT_ONCE)

        page = await runtime.database.read(look)
        due = list(_due(page.items, selection))

        def enter(tx: Tx, due: list[tuple[str, str]] = due) -> int:
            return campaigns.add_devices(tx, act, name, due)

        await runtime.write(enter)
        if (after := page.next_key) is None:
            break

    def begin(tx: Tx) -> Campaign:
        made = campaigns.set_status(tx, act, name, Status.RUNNING)
        details = {"selection": dict(made.selection), "devices": sum(campaigns.progress(tx, act.realm, name).values())}
        audit.add(tx, act, "CreateRotationCampaign", act.realm.arn("rotationcampaign", name), "ok", details=details)
        return made

    return await runtime.write(begin)


def _unknown(tx: Tx, act: Act, selection: Selection) -> Iterator[str]:
    if selection.issued_by is not None:
        try:
            names.fingerprint(selection.issued_by)
        except InvalidRequest:
            yield f"issued by: the fingerprint of a CA is 64 hexadecimal digits, not {selection.issued_by!r}."
    if selection.key_kind is not None and selection.key_kind not in _KINDS:
        yield f"key kind: one of {', '.join(sorted(_KINDS))}, not {selection.key_kind!r}."
    if selection.group is not None and thing_groups.find(tx, act.realm, selection.group) is None:
        yield f"group: there is no thing group {selection.group}."
    if selection.type_name is not None and thing_types.find(tx, act.realm, selection.type_name) is None:
        yield f"type: there is no thing type {selection.type_name}."
    if missing := [each for each in selection.things or () if things.find(tx, act.realm, each) is None]:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        yield f"things: there is no thing {', '.join(missing[:_SHOWN])}{more}."


def _due(found: tuple[tuple[str, Certificate], ...], selection: Selection) -> Iterator[tuple[str, str]]:
    listed = None if selection.things is None else set(selection.things)
    for thing, held in found:
        if listed is not None and thing not in listed:
            continue
        if selection.key_kind is None or _has_key(held, selection.key_kind):
            yield thing, held.fingerprint


def _has_key(held: Certificate, wanted: str) -> bool:
    kind = keys.kind_of(certificate.load(held.pem).public_key())
    return wanted in {kind, kind.partition("-")[0]}


class Runner:
    """Takes a step in every campaign once a second. `run` until cancelled."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: set[tuple[str, str]] = set()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except FleetgateError as error:  # the database is away, or a campaign went while it was looked at
                log.warning("rotation campaigns postponed", reason=error.message)
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """One step in each campaign. After a start, those who were asked are asked again: what is retained in memory is
        gone.
        """
        runtime = self._runtime
        for campaign in await runtime.database.glance(campaigns.at_work):
            key = (str(campaign.realm), campaign.name)
            act = runtime.act(campaign.realm, "system")
            if key not in self._known:
                await runtime.write(_stepping(remind, act, campaign))
                self._known.add(key)
            if await runtime.database.read(_stepping(is_idle, act, campaign)):
                continue
            await runtime.write(_stepping(step, act, campaign))


def _stepping(work: Callable[[Tx, Act, Campaign], bool], act: Act, campaign: Campaign) -> Callable[[Tx], bool]:
    return lambda tx: work(tx, act, campaign)


def remind(tx: Tx, act: Act, campaign: Campaign) -> bool:
    for device in campaigns.open_devices(tx, campaign, DeviceStatus.NOTIFIED, 1_000):
        campaigns.announce(tx, act, campaign, device)
    return True


def is_idle(tx: Tx, act: Act, campaign: Campaign) -> bool:
    """Whether a step would change nothing: only then there is nothing to write."""
    if campaign.pace.deadline_at is not None and act.now >= campaign.pace.deadline_at:
        return False
    if campaigns.replaced(tx, campaign, 1):
        return False
    due = campaigns.open_devices(tx, campaign, DeviceStatus.DUE, 1)
    if not due:
        return bool(campaigns.open_devices(tx, campaign, DeviceStatus.NOTIFIED, 1))
    return campaign.status is not Status.RUNNING or _room(tx, act, campaign)[0] == 0


def step(tx: Tx, act: Act, campaign: Campaign) -> bool:
    """Settle who has come, ask whom there is room for, end when nobody is left or the deadline has passed. Whether the
    campaign goes on.
    """
    now_is = campaigns.get(tx, act.realm, campaign.name)  # it may have been paused meanwhile
    if now_is.status not in campaigns.AT_WORK:
        return False
    for device in campaigns.replaced(tx, now_is, _AT_ONCE):
        campaigns.settle(tx, act, now_is, device, campaigns.became(tx, now_is, device) or DeviceStatus.ROTATED)
    deadline = now_is.pace.deadline_at
    over = deadline is not None and act.now >= deadline
    if not over and now_is.status is Status.RUNNING:
        room, paced_at = _room(tx, act, now_is)
        if room:
            _ask(tx, act, now_is, room, paced_at)
    left = [campaigns.open_devices(tx, now_is, each, 1) for each in (DeviceStatus.DUE, DeviceStatus.NOTIFIED)]
    if not over and any(left):
        return True
    campaigns.set_status(tx, act, now_is.name, Status.ENDED)
    target, details = act.realm.arn("rotationcampaign", now_is.name), campaigns.progress(tx, act.realm, now_is.name)
    audit.add(tx, act, "EndRotationCampaign", target, "ok", details=details)
    return False


def _ask(tx: Tx, act: Act, campaign: Campaign, room: int, paced_at: int) -> None:
    """The next ones that are due; who has renewed unasked meanwhile is settled in their place."""
    asked = []
    for device in campaigns.open_devices(tx, campaign, DeviceStatus.DUE, room):
        if (status := campaigns.became(tx, campaign, device)) is None:
            asked.append(device)
        else:
            campaigns.settle(tx, act, campaign, device, status)
    campaigns.notify(tx, act, campaign, asked, paced_at)


def _room(tx: Tx, act: Act, campaign: Campaign) -> tuple[int, int]:
    """How many may be asked now, and up to when the pace is then used up. Of a time without a step, a minute counts."""
    pace = campaign.pace
    since = max(campaign.paced_at, act.now - MINUTE)
    earned = (act.now - since) * pace.per_minute // MINUTE
    room = max(0, min(earned, pace.outstanding - campaigns.outstanding(tx, campaign, act.now)))
    if room < earned:  # held back by those who have not come: what was earned is not saved up
        return room, act.now
    return room, since + room * MINUTE // pace.per_minute
