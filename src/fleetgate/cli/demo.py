"""`fleetgate demo`: what `make demo` runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fleetgate import dev
from fleetgate.agent.fleet import Device, Fleet, simulate
from fleetgate.agent.provision import Options
from fleetgate.agent.tls import Endpoint, KeyFiles
from fleetgate.cli import fleet, logs, running, scratch, show
from fleetgate.cli.dev import environment
from fleetgate.config import Config, LogConfig
from fleetgate.dev import Dev

app = typer.Typer(add_completion=False)

_STARTED: Final = "FLEETGATE_DEMO_SETUP_STARTED"
"""Epoch seconds: when make began to set up the virtual environment."""


@app.command()
def demo(
    devices: Annotated[int, typer.Option("--devices", "-n", min=1, max=10_000, help="How many to provision.")] = 25,
) -> None:
    """Start a server in a temporary folder and watch devices with one shared claim certificate become things with
    certificates of their own, over real TLS and MQTT. On a terminal it then serves until Ctrl-C.
    """
    logs.configure(LogConfig(level="warning"))
    with scratch.folder("demo") as folder:
        config = dev.config(folder, free_ports=True)
        with running.alone(config):
            running.run(_demo(config, devices))


async def _demo(config: Config, count: int) -> None:
    clock = Stopwatch()
    async with dev.serve(replace(config, log=LogConfig(level="warning"))) as server:
        clock.lap("server start")
        console = show.console()
        console.print(f"A server is up at {server.server.api_url}, with a database in a temporary folder.")
        console.print(f"{count} devices share one claim certificate and want to be things.\n")
        done = await _provision(server, count)
        clock.lap(f"{count} devices")
        fleet.print_table(console, done)
        console.print(f"\n{clock.report()}\n", soft_wrap=True)
        failed = fleet.failures(done)
        for message, number in failed.items():
            show.say(f"{number} failed: {message}")
        if good := [device for device in done if device.error is None]:
            look(server.ready(), good)
        if failed:
            raise typer.Exit(1)
        if sys.stdout.isatty():
            await _until_stopped()


async def _provision(server: Dev, count: int) -> Sequence[Device]:
    ready = server.ready()
    claim = ready["claim"]
    endpoint = Endpoint(ready["mqtt_host"], ready["mqtt_port"], Path(ready["ca_file"]))
    wanted = Fleet(
        Options(endpoint, claim["template_name"]),
        KeyFiles(Path(claim["certificate_file"]), Path(claim["private_key_file"])),
        count,
        concurrency=4,
        serial_prefix="DEMO-",
    )
    return await fleet.watched(simulate(wanted), count, show.console())


async def _until_stopped() -> None:
    with running.stopping() as stop:
        show.say("Serving until Ctrl-C.")
        await stop.wait()
        show.say("\nStopped.")


def look(ready: Mapping[str, Any], devices: Sequence[Device]) -> None:
    """What to type to see with one's own eyes what the server has."""
    console = show.console()
    thing = devices[0].thing_name
    console.print("[bold]Look at them yourself, with the AWS CLI:[/]\n")
    for line in environment(ready):
        typer.echo(f"  {line}")
    arn = dev.REALM.arn("cert", devices[0].certificate_id or "")
    typer.echo(f"""
  aws iot list-things
  aws iot describe-thing --thing-name {thing}
  aws iot list-thing-principals --thing-name {thing}
  aws iot list-attached-policies --target {arn}
""")
    console.print("[bold]or with boto3, under the same environment:[/]\n")
    typer.echo(f"""  import boto3
  iot = boto3.client("iot")
  print([thing["thingName"] for thing in iot.list_things()["things"]])
  print(iot.describe_certificate(certificateId="{devices[0].certificate_id}"))
""")


# --- how long it took -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stopwatch:
    """Which part took how long, from the moment that make began, or else that this process began."""

    begun: float
    last: float
    parts: list[str]

    def __init__(self) -> None:
        started, now = process_start(), time.time()
        self.begun, self.last, self.parts = started, now, []
        made = os.environ.get(_STARTED, "")
        try:
            self.begun = float(made)
            self.parts.append(f"set-up {max(0.0, started - self.begun):.1f} s")
        except ValueError:
            pass
        self.parts.append(f"program start {now - started:.1f} s")

    def lap(self, name: str) -> None:
        now = time.time()
        self.parts.append(f"{name} {now - self.last:.1f} s")
        self.last = now

    def report(self) -> str:
        return f"It took {self.last - self.begun:.1f} s in all: {', '.join(self.parts)}."


def process_start() -> float:
    """Epoch seconds when this process began, as Linux knows it; now where it does not tell."""
    now = time.time()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return now
