"""`fleetgate thing`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.registry import attachments, thing_groups, things

app = typer.Typer(no_args_is_help=True, add_completion=False)

_COLUMNS = {"name": "thing", "type_name": "type", "attributes": "attributes", "created_at": "created"}
_CERTIFICATES = {
    "fingerprint": "certificate",
    "status": "status",
    "policies": "policies",
    "first_connected_at": "first connected",
    "not_after": "ends",
}


@app.command("list")
@here
async def list_(
    here: Here,
    *,
    type_name: Annotated[str | None, typer.Option("--type", metavar="NAME", help="Things of this type.")] = None,
    attribute: Annotated[
        str | None,
        typer.Option(metavar="NAME=VALUE", help="Things with this attribute; VALUE* is a beginning."),
    ] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List things, by name."""
    name, _, value = (attribute or "").partition("=")
    most = show.limit(limit, as_json)
    found = await here.pages(
        lambda tx, after, count: things.page(
            tx,
            here.realm,
            after,
            count,
            type_name=type_name,
            attribute=name or None,
            value=value.removesuffix("*"),
            prefix=value.endswith("*"),
        ),
        most,
    )
    show.listing([show.record(each) for each in found.items], _COLUMNS, "things", as_json, found.more)


@app.command("show")
@here
async def show_(
    here: Here, name: Annotated[str, typer.Argument(help="The thing's name.")], *, as_json: Json = False
) -> None:
    """Show a thing with its groups, certificates and their policies."""
    found = await here.read(lambda tx: _whole(tx, here.realm, name))
    if as_json:
        show.document(found)
        return
    certificates = found.pop("certificates")
    show.details(found, as_json)
    show.heading("")
    show.listing(certificates, _CERTIFICATES, "certificates", as_json)


def _whole(tx: Tx, realm: Realm, name: str) -> dict[str, Any]:
    thing = things.get(tx, realm, name)
    certificates = [
        show.record(each, "realm", "pem")
        | {"policies": list(attachments.page_policies(tx, realm, realm.arn("cert", each.fingerprint)).items)}
        for each in attachments.certificates_of(tx, realm, name)
    ]
    return show.record(
        thing, arn=realm.arn("thing", name), groups=thing_groups.groups_of(tx, realm, name), certificates=certificates
    )
