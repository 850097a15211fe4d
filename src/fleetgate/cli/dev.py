"""`fleetgate dev`"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetgate import dev
from fleetgate.cli import logs, running, scratch, show, values
from fleetgate.cli.place import ConfigFile
from fleetgate.cli.running import ReadyFile
from fleetgate.config import Config
from fleetgate.dev import Functions

app = typer.Typer(add_completion=False)


@app.command("dev")
def command(
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Take any free ports.")] = False,
    ready_file: ReadyFile = None,
    function: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE[:HANDLER]",
            help="Bind a Lambda-style handler file to a hook's function name; repeatable.",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep everything there (default: a temporary folder, removed at the end)."),
    ] = None,
    config: ConfigFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors alone.")] = False,
) -> None:
    """Run a throwaway server: account 123456789012, region us-east-1, an access key, a claim certificate, a template
    and policies. POST /_fleetgate/reset empties it and makes the same again.
    """
    bound = functions(function or [])
    with _folder(data_dir) as folder:
        settings = dev.config(folder, free_ports=free_ports, file=config)
        if quiet:
            settings = replace(settings, log=replace(settings.log, level="warning"))
        logs.configure(settings.log)
        running.check_addresses(settings)
        with running.alone(settings):
            running.run(_serve(settings, bound, ready_file))


async def _serve(config: Config, bound: Functions, ready_file: Path | None) -> None:
    with running.stopping() as stop:
        async with dev.serve(config, bound) as server:
            ready = server.ready()
            with running.announced(ready_file, ready), running.announced(ready_path(ready), ready):
                describe(ready)
                running.settled()
                await stop.wait()


def ready_path(ready: Mapping[str, Any]) -> Path:
    """Where a dev server always has its ready file."""
    return Path(ready["data_dir"]) / "ready.json"


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with scratch.folder("dev") as made:
        yield made


def functions(given: list[str]) -> Functions:
    """NAME=FILE[:HANDLER] as the registry has it. Raises BadParameter."""
    found = {}
    for each in given:
        name, rest = values.pair(each)
        file, colon, handler = rest.rpartition(":")
        path = Path(file if colon else rest).absolute()
        if not path.is_file():
            raise typer.BadParameter(f"There is no file {path}.", param_hint="--function")
        found[name] = (str(path), handler if colon else "lambda_handler")
    return found


def describe(ready: Mapping[str, Any]) -> None:
    """Where things are, and what to type to use them."""
    claim = ready["claim"]
    console = show.console()
    console.print()
    show.details(
        {
            "API": ready["api_url"],
            "MQTT over TLS": f"{ready['mqtt_host']}:{ready['mqtt_port']}",
            "HTTPS, MQTT by ALPN": f"{ready['mqtt_host']}:{ready['https_port']}",
            "devices trust": ready["ca_file"],
            "claim certificate": claim["certificate_file"],
            "claim key": claim["private_key_file"],
            "template": f"{claim['template_name']} (parameter SerialNumber)",
        },
        as_json=False,
    )
    console.print("\n[bold]To use it with the AWS CLI and SDKs:[/]")
    for line in environment(ready):
        typer.echo(f"  {line}")
    console.print("\n[bold]To provision devices with the claim, and to look at the records:[/]")
    typer.echo(f"  fleetgate simulate --ready-file {ready_path(ready)}")
    typer.echo(f"  fleetgate thing list --data-dir {ready['data_dir']}")
    console.print("\nCtrl-C ends it.\n")


def environment(ready: Mapping[str, Any]) -> list[str]:
    """The lines that point the AWS CLI and the SDKs at the server."""
    return [
        f"export AWS_ENDPOINT_URL_IOT={ready['api_url']}",
        f"export AWS_ACCESS_KEY_ID={ready['access_key_id']}",
        f"export AWS_SECRET_ACCESS_KEY={ready['secret_access_key']}",
        f"export AWS_DEFAULT_REGION={ready['region']}",
    ]
