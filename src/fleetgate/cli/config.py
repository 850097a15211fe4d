"""`fleetgate config`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetgate import config
from fleetgate.cli import show
from fleetgate.cli.show import Json
from fleetgate.errors import ConfigInvalid

app = typer.Typer(add_completion=False, invoke_without_command=True)


@app.callback()
def configuration(
    context: typer.Context,
    example: Annotated[
        bool, typer.Option("--example", help="Print a file with every setting and its default.")
    ] = False,
    reference: Annotated[bool, typer.Option("--reference", help="Print the page that tells of every setting.")] = False,
) -> None:
    if example:
        typer.echo(config.example(), nl=False)
    elif reference:
        typer.echo(config.reference(), nl=False)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The configuration file.")],
    as_json: Json = False,
) -> None:
    """Read a configuration file; every problem at once, and exit status 1, where it cannot be used."""
    problems: tuple[str, ...] = ()
    try:
        config.load(file)
    except ConfigInvalid as error:
        problems = error.problems
    if as_json:
        show.document({"valid": not problems, "problems": list(problems)})
    else:
        for problem in problems:
            show.say(f"- {problem}")
        if not problems:
            show.say(f"{file} can be used.")
    if problems:
        raise typer.Exit(1)
