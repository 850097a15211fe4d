"""`fleetgate function`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetgate import names
from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import access_keys, functions, registration_functions

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
    """Take a binding away: templates with that hook provision nobody from then on."""

    def take_away(tx: Tx, act: Act) -> None:
        registration_functions.forget(tx, act, name)
        functions.delete(tx, act, name)

    await here.change("UnbindFunction", arn(here, name), take_away)
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
    key = access_keys.generate(here.runtime.entropy)
    sealed = here.runtime.vault.seal(key.secret)
    bound = await here.change(
        "BindRegistrationFunction",
        arn(here, name),
        lambda tx, act: registration_functions.bind(tx, act, name, fingerprint, key, sealed),
        details,
    )
    show.say(f"{name} is called for {whose}, with access key {bound.access_key_id}.")


def arn(here: Here, name: str) -> str:
    return f"arn:aws:lambda:{here.realm.region}:{here.realm.account}:function:{name}"
