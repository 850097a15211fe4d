"""`fleetgate campaign`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from fleetgate.cli import show, values
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.provisioning import campaign as rotation
from fleetgate.registry import campaigns
from fleetgate.registry.campaigns import Campaign, DeviceStatus, Pace, Selection, Status

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="The campaign's name.")]

_COLUMNS = {
    "name": "campaign",
    "status": "status",
    "due": "due",
    "notified": "notified",
    "rotated": "rotated",
    "gone": "gone",
    "missed": "missed",
    "deadline_at": "deadline",
}
_DEVICES = {"thing_name": "thing", "status": "status", "fingerprint": "certificate", "notified_at": "notified"}
_LOOK_SECONDS = 0.5


@app.command()
@here
async def create(
    here: Here,
    name: Name,
    *,
    expiring_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Certificates that end before 90d from now, or 2027-01-31.")
    ] = None,
    issued_by: Annotated[str | None, typer.Option(metavar="FINGERPRINT", help="Certificates of this CA.")] = None,
    key_kind: Annotated[str | None, typer.Option(metavar="KIND", help="rsa, ec, rsa-2048, ec-p256 ...")] = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Things of this group and those below.")] = None,
    type_name: Annotated[str | None, typer.Option("--type", metavar="NAME", help="Things of this type.")] = None,
    thing: Annotated[list[str] | None, typer.Option(metavar="NAME", help="These things; repeatable.")] = None,
    things: Annotated[Path | None, typer.Option(metavar="FILE", exists=True, help="One thing name in a line.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every thing with an active certificate.")] = False,
    per_minute: Annotated[int, typer.Option(help="At most so many are asked in a minute.")] = 60,
    outstanding: Annotated[int, typer.Option(help="At most so many were asked and have not come.")] = 100,
    patience: Annotated[str, typer.Option(metavar="TIME", help="How long one who was asked is waited for.")] = "1h",
    deadline: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends, whoever is left.")] = None,
    topic: Annotated[str, typer.Option(help="Where devices are asked; {thing} stands for the name.")] = campaigns.TOPIC,
    as_json: Json = False,
) -> None:
    """Have devices renew their certificates: choose them, and begin. All conditions must hold."""
    listed = (*(thing or ()), *(values.serials(things) if things else ()))
    selection = Selection(
        expiring_before=values.moment(expiring_before) if expiring_before else None,
        issued_by=issued_by,
        key_kind=key_kind,
        group=group,
        type_name=type_name,
        things=listed or None,
    )
    if (selection == Selection()) != everybody:
        raise typer.BadParameter("Say which devices are due, or --all; not both.")
    until = values.moment(deadline) if deadline else None
    pace = Pace(per_minute, outstanding, values.duration(patience), until)
    await rotation.create(here.runtime, here.act(), name, selection, pace, topic)
    await _tell(here, name, as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List campaigns with their progress, by name."""
    found = await here.pages(
        lambda tx, after, count: campaigns.page(tx, here.realm, after, count), show.limit(limit, as_json)
    )
    records = [await here.read(lambda tx, each=each: _record(tx, each)) for each in found.items]  # type: ignore[misc] # mypy cannot infer a lambda with a default
    show.listing(records, _COLUMNS, "campaigns", as_json, found.more)


@app.command("show")
@here
async def show_(
    here: Here,
    name: Name,
    *,
    status: Annotated[DeviceStatus | None, typer.Option(help="List the devices in this status.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show a campaign and its progress, and the devices in one status, by default those that missed it."""
    if watch:
        await _follow(here, name)
    most = show.limit(limit, as_json)
    wanted = status or DeviceStatus.MISSED
    found = await here.pages(
        lambda tx, after, count: campaigns.page_devices(tx, here.realm, name, after, count, status=wanted), most
    )
    record = await here.read(lambda tx: _record(tx, campaigns.get(tx, here.realm, name)))
    devices = [show.record(each) for each in found.items]
    if as_json:
        show.document(record | {"devices": devices})
        return
    show.details(record, as_json)
    if devices or status:
        show.heading("")
        show.listing(devices, _DEVICES, f"devices {wanted}", as_json, found.more)


@app.command()
@here
async def pause(here: Here, name: Name, *, as_json: Json = False) -> None:
    """Ask nobody more; who was asked may still come."""
    await _set(here, name, Status.PAUSED, "PauseRotationCampaign", as_json)


@app.command()
@here
async def resume(here: Here, name: Name, *, as_json: Json = False) -> None:
    """Go on with a campaign that was paused."""
    await _set(here, name, Status.RUNNING, "ResumeRotationCampaign", as_json)


@app.command()
@here
async def cancel(here: Here, name: Name, *, as_json: Json = False) -> None:
    """End a campaign at once; every announcement is taken back."""
    await _set(here, name, Status.CANCELLED, "CancelRotationCampaign", as_json)


async def _set(here: Here, name: str, status: Status, action: str, as_json: bool) -> None:
    target = here.realm.arn("rotationcampaign", name)
    await here.change(action, target, lambda tx, act: campaigns.set_status(tx, act, name, status))
    await _tell(here, name, as_json)


async def _tell(here: Here, name: str, as_json: bool) -> None:
    show.details(await here.read(lambda tx: _record(tx, campaigns.get(tx, here.realm, name))), as_json)


async def _follow(here: Here, name: str) -> None:
    """A bar on standard error where that is a terminal, until the campaign is over."""
    console = show.console(errors=True)
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("")
        while True:
            found = await here.read(lambda tx: _seen(tx, here.realm, name))
            done = found["rotated"] + found["gone"] + found["missed"]
            counted = f"{found['rotated']} rotated, {found['notified']} asked, {found['due']} due"
            progress.update(bar, completed=done, total=done + found["due"] + found["notified"], description=counted)
            if found["status"] in {Status.ENDED, Status.CANCELLED}:
                return
            await asyncio.sleep(_LOOK_SECONDS)


def _seen(tx: Tx, realm: Realm, name: str) -> dict[str, Any]:
    return _record(tx, campaigns.get(tx, realm, name))


def _record(tx: Tx, campaign: Campaign) -> dict[str, Any]:
    counts = {status.lower(): count for status, count in campaigns.progress(tx, campaign.realm, campaign.name).items()}
    chosen = {
        name: show.moment(each) if name == "expiring_before" else each for name, each in campaign.selection.items()
    }
    return {
        "name": campaign.name,
        "status": str(campaign.status),
        **counts,
        "selection": chosen,
        "topic": campaign.topic,
        "per_minute": campaign.pace.per_minute,
        "outstanding": campaign.pace.outstanding,
        "deadline_at": None if campaign.pace.deadline_at is None else show.moment(campaign.pace.deadline_at),
        "created_at": show.moment(campaign.created_at),
    }
