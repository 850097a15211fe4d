"""`fleetgate`: the commands by name. One is imported when it is called, so that help and completion answer at once."""

from __future__ import annotations

import importlib
import os
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from fleetgate import __version__
from fleetgate.errors import FleetgateError

_SERVER: Final = "Server"
_RECORDS: Final = "Records"
_DEVICES: Final = "Devices"

# name: (panel of the help page, what it does)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": (_SERVER, "Watch devices provision themselves on a throwaway server."),
    "dev": (_SERVER, "Run a throwaway server with everything a device needs."),
    "init": (_SERVER, "Found an installation: its CA, its secrets, its database, an access key."),
    "serve": (_SERVER, "Run the server."),
    "config": (_SERVER, "Print an example configuration, or check a file."),
    "ca": (_RECORDS, "The installation's own CA, and the CAs registered with it."),
    "key": (_RECORDS, "Access keys of operators, for the AWS CLI and SDKs."),
    "user": (_RECORDS, "Users of an account, and what they may do."),
    "role": (_RECORDS, "Roles of an account: who may assume them, and what they may do."),
    "claim": (_RECORDS, "Claim certificates and their budgets; the kill switch."),
    "thing": (_RECORDS, "Things, their certificates and policies."),
    "campaign": (_RECORDS, "Have many devices renew their certificates, at a pace."),
    "bulk": (_RECORDS, "Register a device for each line of a file."),
    "template": (_RECORDS, "Provisioning templates: make, check, try out."),
    "function": (_RECORDS, "Handler files behind hooks, rules, authorizers and certificate providers."),
    "audit": (_RECORDS, "The audit trail, and the proof that nobody changed it."),
    "agent": (_DEVICES, "A device's own side: provision, rotate, wait to be asked to."),
    "simulate": (_DEVICES, "Many devices at once, against any server."),
}


class Commands(TyperGroup):
    """Lists what `COMMANDS` says; loads the module of a command that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        if name is None or listed is None:
            return name, listed, rest
        module = importlib.import_module(f"fleetgate.cli.{name}")
        command = typer.main.get_command(module.app)
        command.help = command.help or listed.help
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Whatever goes wrong ends in a message and exit status 1; FLEETGATE_DEBUG shows where it came from."""
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("FLEETGATE_DEBUG"):
                raise
            typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
            typer.echo(_explained(error), err=True)
            raise typer.Exit(1) from None


def _explained(error: Exception) -> str:
    if isinstance(error, (FleetgateError, OSError)):
        text = str(error)
        return f"Several things are wrong:\n{text}" if text.startswith("- ") else text
    return f"This is a bug in fleetgate ({type(error).__name__}: {error}). FLEETGATE_DEBUG=1 shows where it is."


app = typer.Typer(
    name="fleetgate",
    cls=Commands,
    help="A self-hosted device provisioning platform that speaks AWS IoT Core's interfaces.",
    epilog="Start with: fleetgate demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fleetgate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _list(name: str, panel: str, text: str) -> None:
    @app.command(name, help=text, rich_help_panel=panel)
    def listed() -> None:
        """Stands for the command in lists; `Commands.resolve_command` puts the real one in its place."""


for _name, (_panel, _text) in COMMANDS.items():
    _list(_name, _panel, _text)
