"""`fleetgate audit`"""

from __future__ import annotations

from typing import Annotated

import typer

from fleetgate.cli import show, values
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.registry import audit

app = typer.Typer(no_args_is_help=True, add_completion=False)

_COLUMNS = {
    "at": "time (UTC)",
    "outcome": "outcome",
    "action": "action",
    "target": "target",
    "actor": "actor",
    "reason": "reason",
}


@app.command("list")
@here
async def list_(
    here: Here,
    *,
    since: Annotated[
        int | None, typer.Option(parser=values.ago, metavar="TIME", help="From then on: 1h, 7d, 2026-01-31T12:00Z.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="One action, such as RegisterThing.")] = None,
    target: Annotated[str | None, typer.Option(metavar="ARN", help="What was acted on.")] = None,
    request_id: Annotated[str | None, typer.Option(metavar="ID", help="The correlation id of an answer.")] = None,
    newest_first: Annotated[
        bool | None,
        typer.Option("--newest-first/--oldest-first", help="Default: newest first in a table, oldest first as JSON."),
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List entries of the audit trail: of the account and region, and of those who belong to none, such as devices
    that were not let in with an unknown certificate.
    """
    found = await here.pages(
        lambda tx, after, count: audit.page_with_nobodys(
            tx,
            here.realm,
            after,
            count,
            newest_first=not as_json if newest_first is None else newest_first,
            since=since or 0,
            action=action,
            target=target,
            request_id=request_id,
        ),
        show.limit(limit, as_json),
    )
    records = [show.record(each) | {"at": show.moment(each.at)} for each in found.items]
    show.listing(records, _COLUMNS, "entries", as_json, found.more)


@app.command()
@here
async def verify(here: Here, *, as_json: Json = False) -> None:
    """Walk the chain of hashes through all realms; exit status 1 where it is broken."""
    await here.works.upkeep.finish()
    report = await here.read(audit.verify)
    if as_json:
        broken = show.record(report.broken) if report.broken else None
        show.document({"sound": broken is None} | show.record(report, "broken") | {"broken": broken})
    elif report.broken is None:
        show.say(f"The audit trail is sound: {report.sealed} entries in one chain, {report.unsealed} not sealed yet.")
        show.say(f"Its head is {report.head}. Note it elsewhere: it tells whether the end was cut off.")
    else:
        entry = report.broken
        show.say(
            f"The audit trail is broken after entry {report.sealed}: entry {entry.id} ({entry.action} of "
            f"{entry.target}, {show.moment(entry.at)}) was altered, or one before it was removed."
        )
    if report.broken is not None:
        raise typer.Exit(1)
