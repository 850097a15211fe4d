"""`fleetgate key`"""

from __future__ import annotations

from typing import Annotated

import typer

from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import access_keys, users
from fleetgate.registry.access_keys import Credentials, Status

app = typer.Typer(no_args_is_help=True, add_completion=False)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The access key's id, AKIA...")]

_COLUMNS = {"id": "id", "status": "status", "user_name": "user", "label": "label", "created_at": "created"}


@app.command()
@here
async def create(
    here: Here,
    *,
    label: Annotated[str, typer.Option(help="Who or what it is for.")] = "",
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose it is; the account's own, which may do everything.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an access key of the account, or of one of its users. Its secret is shown this once."""
    made = await new_key(here, label, user)
    if as_json:
        told = {"id": made.id, "secret": made.secret, "label": label, "account": here.realm.account}
        show.document(told if user is None else {**told, "user": user})
        return
    typer.echo(f"AWS_ACCESS_KEY_ID={made.id}\nAWS_SECRET_ACCESS_KEY={made.secret}")
    show.say("Keep the secret now: it is not shown again.")


async def new_key(here: Here, label: str, user: str | None = None) -> Credentials:
    made = access_keys.generate(here.runtime.entropy)
    sealed = here.runtime.vault.seal(made.secret)

    def enter(tx: Tx, act: Act) -> None:
        if user is not None:
            users.get(tx, act.realm.account, user)
        access_keys.create(tx, act, made.id, label=label, sealed_secret=sealed, user_name=user)

    await here.change(
        "CreateAccessKey", _arn(here, made.id), enter, {"label": label, **({} if user is None else {"UserName": user})}
    )
    return made


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List the account's access keys, without their secrets."""
    found = await here.pages(
        lambda tx, after, count: access_keys.page(tx, here.realm.account, after, count), show.limit(limit, as_json)
    )
    records = [show.record(each, "sealed_secret") for each in found.items]
    show.listing(records, _COLUMNS, "access keys", as_json, found.more)


@app.command()
@here
async def disable(here: Here, key_id: KeyId) -> None:
    """Switch an access key off."""
    await _set(here, key_id, Status.INACTIVE)


@app.command()
@here
async def enable(here: Here, key_id: KeyId) -> None:
    """Switch an access key on again."""
    await _set(here, key_id, Status.ACTIVE)


@app.command()
@here
async def delete(here: Here, key_id: KeyId) -> None:
    """Delete an access key for good."""
    await here.change("DeleteAccessKey", _arn(here, key_id), lambda tx, act: access_keys.delete(tx, act, key_id))
    show.say(f"Deleted {key_id}.")


async def _set(here: Here, key_id: str, status: Status) -> None:
    details = {"status": str(status)}
    await here.change(
        "UpdateAccessKey",
        _arn(here, key_id),
        lambda tx, act: access_keys.set_status(tx, act, key_id, status),
        details,
    )
    show.say(f"{key_id} is {status} now.")


def _arn(here: Here, key_id: str) -> str:
    return f"arn:aws:iam::{here.realm.account}:access-key/{key_id}"
