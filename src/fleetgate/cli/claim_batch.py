"""`fleetgate claim batch`: what all claims with one label may do together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fleetgate.cli import show, values
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import claim_batches
from fleetgate.registry.budgets import Rate
from fleetgate.registry.claim_batches import Batch

app = typer.Typer(no_args_is_help=True, add_completion=False)

_COLUMNS = {
    "batch": "batch",
    "enabled": "enabled",
    "used": "used",
    "maximum": "of",
    "rate": "rate",
    "not_after": "ends",
}

Label = Annotated[str, typer.Argument(metavar="LABEL", help="As given to `claim create --batch`.")]


@app.command("set")
@here
async def set_(
    here: Here,
    label: Label,
    *,
    count: Annotated[
        int | None, typer.Option(min=1, help="Devices in all, by whichever claim (default: no bound).")
    ] = None,
    rate: Annotated[
        Rate | None,
        typer.Option(parser=values.rate, metavar="N/TIME", help="At most so many devices at a time: 100/1m."),
    ] = None,
    not_before: Annotated[
        int | None, typer.Option(parser=values.moment, metavar="TIME", help="Holds from then on: 2026-01-31, 12h, 30d.")
    ] = None,
    not_after: Annotated[
        int | None, typer.Option(parser=values.moment, metavar="TIME", help="Holds until then.")
    ] = None,
    serials: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Put the serial numbers of this file on the batch's list."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bound what all claims of a batch do together, beside what bounds each. What is left out stays.

    A batch need not have claims yet. What its claims have used counts.
    """
    listed = values.serials(serials) if serials else ()
    given = {"count": count, "rate": rate and show.rate(rate), "not_before": not_before, "not_after": not_after}
    details = {name: value for name, value in given.items() if value is not None}
    if listed:
        details["serials"] = len(listed)
    if not details:
        raise typer.BadParameter("Say what bounds it: --count, --rate, --not-before, --not-after or --serials.")

    def change(tx: Tx, act: Act) -> Batch:
        old = claim_batches.find(tx, act.realm, label)
        claim_batches.set_bounds(
            tx,
            act,
            label,
            maximum=old.maximum if count is None and old else count,
            rate=old.rate if rate is None and old else rate,
            not_before=old.not_before if not_before is None and old else not_before,
            not_after=old.not_after if not_after is None and old else not_after,
        )
        claim_batches.add_serials(tx, act, label, listed)
        return claim_batches.get(tx, act.realm, label)

    batch = await here.change("SetClaimBatch", here.realm.arn("claimbatch", label), change, details)
    show.details(_record(batch), as_json)


@app.command("show")
@here
async def show_(here: Here, label: Label, *, as_json: Json = False) -> None:
    """Show what a batch may do, and the serial numbers it is bound to."""

    def whole(tx: Tx) -> dict[str, Any]:
        batch = claim_batches.get(tx, here.realm, label)
        serials = claim_batches.page_serials(tx, here.realm, label, limit=1000).items
        return _record(batch, remaining=batch.remaining, serials=[show.record(each) for each in serials])

    record = await here.read(whole)
    if not as_json:
        record["serials"] = [show.use(each) for each in record["serials"]]
    show.details(record, as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List the batches that have a budget of their own, and what is left of it."""
    found = await here.pages(
        lambda tx, after, count: claim_batches.page(tx, here.realm, after, count), show.limit(limit, as_json)
    )
    show.listing([_record(each) for each in found.items], _COLUMNS, "batches with a budget", as_json, found.more)


def _record(batch: Batch, **more: Any) -> dict[str, Any]:
    return show.record(batch, "window_started", "window_used", **more)
