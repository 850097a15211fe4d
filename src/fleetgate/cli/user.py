"""`fleetgate user`"""

from __future__ import annotations

from typing import Annotated

import typer

from fleetgate import names
from fleetgate.cli import permissions, show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import access_keys, users
from fleetgate.registry import permissions as held

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(permissions.commands("user"), name="policy")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]

_COLUMNS = {"name": "name", "arn": "arn", "keys": "access keys", "created_at": "created"}


@app.command()
@here
async def create(here: Here, name: Name, *, as_json: Json = False) -> None:
    """Make a user, who may do nothing yet. Keys: fleetgate key create --user NAME."""
    made = await here.change("CreateUser", _arn(here, name), lambda tx, act: users.create(tx, act, name))
    show.details(show.record(made, "account", arn=made.arn), as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List the account's users."""
    account = here.realm.account
    found = await here.pages(lambda tx, after, count: users.page(tx, account, after, count), show.limit(limit, as_json))
    keys = await here.read(
        lambda tx: {each.name: [key.id for key in access_keys.of_user(tx, account, each.name)] for each in found.items}
    )
    records = [show.record(each, "account", arn=each.arn, keys=keys[each.name]) for each in found.items]
    show.listing(records, _COLUMNS, "users", as_json, found.more)


@app.command()
@here
async def delete(
    here: Here,
    name: Name,
    *,
    force: Annotated[bool, typer.Option("--force", help="With its access keys and policies.")] = False,
) -> None:
    """Delete a user."""

    def work(tx: Tx, act: Act) -> None:
        if force:
            for key in access_keys.of_user(tx, act.realm.account, name):
                access_keys.delete(tx, act, key.id)
            held.clear(tx, act, held.user(name))
        users.delete(tx, act, name)

    await here.change("DeleteUser", _arn(here, name), work, {"force": force})
    show.say(f"Deleted {name}.")


def _arn(here: Here, name: str) -> str:
    return names.iam_arn(here.realm.account, "user", "/", name)
