"""`fleetgate simulate`"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from fleetgate.agent.fleet import Device, Fleet, simulate
from fleetgate.agent.provision import SURROUNDINGS
from fleetgate.cli import fleet, show
from fleetgate.cli.target import Target, at_target

app = typer.Typer(add_completion=False)

_MOST_ROWS: Final = 50


@app.command("simulate")
@at_target
async def command(
    target: Target,
    *,
    devices: Annotated[int, typer.Option("--devices", "-n", min=1, max=1_000_000, help="How many.")] = 10,
    concurrency: Annotated[int, typer.Option(min=1, max=10_000, help="On their way at the same time.")] = 32,
    prefix: Annotated[str, typer.Option(help="Serial numbers are this and six digits.")] = "SIM-",
    first: Annotated[int, typer.Option(min=0, help="The first number.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep each device's keys in a folder below (default: in memory).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in a line for each device.")] = False,
) -> None:
    """Provision many devices by one claim, each with a certificate of its own. Exit status 1 if one failed."""
    wanted = Fleet(
        target.options,
        target.needed_claim(),
        devices,
        concurrency=concurrency,
        serial_prefix=prefix,
        first=first,
        folder=folder,
        around=replace(SURROUNDINGS, failed=lambda error: show.say(f"The first failure: {error.message}")),
    )
    simulation = simulate(wanted)
    done = await fleet.watched(simulation, devices, show.console(errors=True), _line if as_json else lambda _: None)
    good = sum(device.error is None for device in done)
    if good and not as_json:
        _tables(done)
    for message, count in fleet.failures(done).items():
        show.say(f"{count} failed: {message}")
    if simulation.hopeless:
        show.say("Nothing has connected, so the rest was not tried. Is the server there, and is this its claim?")
    show.say(
        f"{good} of {devices} devices provisioned in {simulation.seconds:.2f} s: "
        f"{good / max(simulation.seconds, 1e-9):.0f} a second, {simulation.cpu_per_device * 1000:.1f} ms of processor "
        "time each on this side."
    )
    if good < devices:
        raise typer.Exit(1)


def _line(device: Device) -> None:
    typer.echo(json.dumps(fleet.record(device)))


def _tables(done: list[Device]) -> None:
    console = show.console()
    if len(done) <= _MOST_ROWS:
        fleet.print_table(console, done)
        console.print()
    fleet.print_summary(console, done)
