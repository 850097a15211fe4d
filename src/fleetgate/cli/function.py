"""`fleetgate function`"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from fleetgate import names
from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.errors import InvalidRequest
from fleetgate.registry import functions, registration_functions

app = typer.Typer(no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="The name at the end of the hook's ARN: arn:aws:lambda:...:function:NAME.")]

EVERY = "every CA"
_COLUMNS = {
    "name": "name",
    "file": "file",
    "handler": "handler",
    "updated_at": "bound",
    "on_registration": "on registration",
}


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
    _check_handler(file, handler)
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
    bindings = await here.read(
        lambda tx: {each.name: registration_functions.of_function(tx, here.realm, each.name) for each in found.items}
    )
    records = [
        show.record(
            each, arn=arn(here, each.name), on_registration=[one.ca_fingerprint or EVERY for one in bindings[each.name]]
        )
        for each in found.items
    ]
    show.listing(records, _COLUMNS, "functions", as_json, found.more)


@app.command()
@here
async def unbind(here: Here, name: Name) -> None:
    """Take a binding away, with the function's access key: templates with that hook provision nobody from then on."""
    await here.change("UnbindFunction", arn(here, name), lambda tx, act: functions.delete(tx, act, name))
    show.say(f"{name} is bound no more.")


@app.command("on-registration")
@here
async def on_registration(
    here: Here,
    name: Name,
    *,
    ca: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="Only for certificates of this registered CA.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Do not call it any more.")] = False,
) -> None:
    """Call a bound function for each certificate that registers itself just in time and waits for activation.

    The function gets AWS's event, and an access key of its own to call this server's API with.
    """
    fingerprint = None if ca is None else names.fingerprint(ca)
    whose = f"certificates of CA {fingerprint}" if fingerprint else "certificates of every registered CA"
    details = {"caCertificateId": fingerprint or EVERY}
    if off:
        await here.change(
            "UnbindRegistrationFunction",
            arn(here, name),
            lambda tx, act: registration_functions.unbind(tx, act, name, fingerprint),
            details,
        )
        show.say(f"{name} is called no more for {whose}.")
        return
    await here.change(
        "BindRegistrationFunction",
        arn(here, name),
        lambda tx, act: registration_functions.bind(tx, act, name, fingerprint),
        details,
    )
    show.say(f"{name} is called for {whose}.")


def _check_handler(file: Path, handler: str) -> None:
    """Read, not run: the file is the server's to import. Raises InvalidRequest where no question could be answered."""
    try:
        body = ast.parse(file.read_bytes(), str(file)).body
    except (SyntaxError, ValueError, OSError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        words = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidRequest(
            f"{file}{line} is no Python that can be read: {words}. Mend it, and bind it again."
        ) from error
    names = {name for statement in body for name in _names(statement)}
    if handler not in names and not _says_little(body):
        defined = sorted(each.name for each in body if isinstance(each, ast.FunctionDef))
        there = f"It has {', '.join(defined)}; name one with --handler." if defined else "It has no function."
        raise InvalidRequest(f"{file} has no {handler}. {there}")


def _names(statement: ast.stmt) -> Iterator[str]:
    """What *statement* at the top of a file gives a name."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]


def _says_little(body: list[ast.stmt]) -> bool:
    """`from x import *` may bring any name."""
    return any(isinstance(node, ast.alias) and node.name == "*" for each in body for node in ast.walk(each))


def arn(here: Here, name: str) -> str:
    return f"arn:aws:lambda:{here.realm.region}:{here.realm.account}:function:{name}"
