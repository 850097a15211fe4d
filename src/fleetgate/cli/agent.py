"""`fleetgate agent`"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetgate.agent.backoff import Backoff
from fleetgate.agent.provision import SURROUNDINGS, Options, Result
from fleetgate.agent.provision import provision as provision_device
from fleetgate.agent.provision import rotate as rotate_device
from fleetgate.agent.rotation import TOPIC
from fleetgate.agent.rotation import attend as attend_device
from fleetgate.agent.store import FolderStore, Identity
from fleetgate.cli import show, values
from fleetgate.cli.show import Json
from fleetgate.cli.target import Target, at_target
from fleetgate.pki.keys import KeyKind

app = typer.Typer(no_args_is_help=True, add_completion=False)

Folder = Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where the device keeps its keys, mode 0700.")]
Parameter = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="For the template; repeatable."),
]
Serial = Annotated[str | None, typer.Option(help="The same as -p SerialNumber=....")]
Attempts = Annotated[int, typer.Option(min=1, help="Give up after so many.")]
Key = Annotated[KeyKind, typer.Option(help="Kind of key that the device makes.")]
CommonName = Annotated[str, typer.Option(help="Subject of the signing request (default: left to the server).")]


@app.command()
@at_target
async def provision(
    target: Target,
    *,
    folder: Folder = Path("device"),
    serial: Serial = None,
    parameter: Parameter = None,
    key: Key = KeyKind.EC_P256,
    common_name: CommonName = "",
    attempts: Attempts = 8,
    as_json: Json = False,
) -> None:
    """Get the device a certificate of its own, by its claim. What was begun is finished, what is done stays."""
    options = _options(target, serial, parameter, key, common_name, attempts)
    claim = target.needed_claim()
    with FolderStore(folder) as store:
        result = await provision_device(options, claim, store, replace(SURROUNDINGS, say=show.say))
    _tell(result, folder, as_json)


@app.command()
@at_target
async def rotate(
    target: Target,
    *,
    folder: Folder = Path("device"),
    serial: Serial = None,
    parameter: Parameter = None,
    key: Key = KeyKind.EC_P256,
    common_name: CommonName = "",
    attempts: Attempts = 8,
    as_json: Json = False,
) -> None:
    """Get the device a new key and certificate, asked for with the ones it has. Parameters need not be given again."""
    options = _options(target, serial, parameter, key, common_name, attempts)
    with FolderStore(folder) as store:
        result = await rotate_device(options, store, replace(SURROUNDINGS, say=show.say))
    _tell(result, folder, as_json)


@app.command()
@at_target
async def attend(
    target: Target,
    *,
    folder: Folder = Path("device"),
    serial: Serial = None,
    parameter: Parameter = None,
    key: Key = KeyKind.EC_P256,
    common_name: CommonName = "",
    attempts: Attempts = 8,
    topic: Annotated[str, typer.Option(help="Where the server asks; {thing} stands for the name.")] = TOPIC,
    rotations: Annotated[int | None, typer.Option(min=1, help="End after so many; without it, never.")] = None,
    as_json: Json = False,
) -> None:
    """Stay connected, and get a new certificate whenever a rotation campaign asks for it."""
    options = _options(target, serial, parameter, key, common_name, attempts)
    with FolderStore(folder) as store:
        done = 0
        async for result in attend_device(options, store, replace(SURROUNDINGS, say=show.say), topic=topic):
            _tell(result, folder, as_json)
            done += 1
            if done == rotations:
                break


@app.command("show")
def show_(folder: Folder = Path("device"), as_json: Json = False) -> None:
    """Show what the device has, without its key."""
    with FolderStore(folder) as store:
        current, draft = store.current(), store.draft()
    record = _identity(current, folder) | {"in_progress": draft.step.name.lower() if draft.step else None}
    show.details(record, as_json)


def _options(
    target: Target,
    serial: str | None,
    parameter: list[str] | None,
    key: KeyKind,
    common_name: str,
    attempts: int,
) -> Options:
    parameters = dict(map(values.pair, parameter or []))
    if serial is not None:
        parameters["SerialNumber"] = serial
    return replace(
        target.options,
        parameters=parameters,
        key_kind=key,
        common_name=common_name,
        backoff=Backoff(attempts=attempts),
    )


def _identity(identity: Identity | None, folder: Path) -> dict[str, Any]:
    if identity is None:
        return {"provisioned": False, "folder": str(folder.absolute())}
    return {
        "provisioned": True,
        "thing_name": identity.thing_name,
        "certificate_id": identity.certificate_id,
        "device_configuration": dict(identity.device_configuration),
        **_files(folder),
    }


def _files(folder: Path) -> dict[str, str]:
    current = folder.absolute() / "current"
    return {"certificate_file": str(current / "certificate.pem"), "private_key_file": str(current / "private.key")}


def _tell(result: Result, folder: Path, as_json: bool) -> None:
    record = {
        "thing_name": result.thing_name,
        "certificate_id": result.certificate_id,
        "device_configuration": dict(result.device_configuration),
        **_files(folder),
        "attempts": result.attempts,
        "seconds": asdict(result.seconds) if as_json else _seconds(result),
    }
    if not result.attempts:
        show.say("The device was provisioned already; nothing was done.")
    show.details(record, as_json)


def _seconds(result: Result) -> str | None:
    taken = [f"{name} {value:.3f}" for name, value in asdict(result.seconds).items() if value is not None]
    return ", ".join(taken) or None
