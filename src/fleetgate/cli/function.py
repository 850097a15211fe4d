"""`fleetgate function`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.registry import functions

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="The name at the end of the hook's ARN: arn:aws:lambda:...:function:NAME.")]

_COLUMNS = {"name": "name", "file": "file", "handler": "handler", "updated_at": "bound"}


@app.command()
@here
async def bind(
    here: Here,
    name: Name,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Python file with an AWS-Lambda-style handler.")
    ],
    *,
    handler: Annotated[str, typer.Option(help="The function in the file.")] = "lambda_handler",
    as_json: Json = False,
) -> None:
    """Bind a handler file to a function's name, anew where it was bound."""
    path = str(file.absolute())
    bound = await here.change(
        "BindFunction",
        arn(here, name),
        lambda tx, act: functions.put(tx, act, name, path, handler),
        {"file": path, "handler": handler},
    )
    show.details(show.record(bound, arn=arn(here, name)), as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List bound functions."""
    found = await here.pages(
        lambda tx, after, count: functions.page(tx, here.realm, after, count), show.limit(limit, as_json)
    )
    records = [show.record(each, arn=arn(here, each.name)) for each in found.items]
    show.listing(records, _COLUMNS, "functions", as_json, found.more)


@app.command()
@here
async def unbind(here: Here, name: Name) -> None:
    """Take a binding away: templates with that hook provision nobody from then on."""
    await here.change("UnbindFunction", arn(here, name), lambda tx, act: functions.delete(tx, act, name))
    show.say(f"{name} is bound no more.")


def arn(here: Here, name: str) -> str:
    return f"arn:aws:lambda:{here.realm.region}:{here.realm.account}:function:{name}"
