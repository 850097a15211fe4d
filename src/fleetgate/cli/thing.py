"""`fleetgate thing`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.pki.crl import Reason
from fleetgate.provisioning import end_of_life
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


KeepRetained = Annotated[
    bool, typer.Option("--keep-retained", help="Leave retained messages on topics that have the thing's name in them.")
]


@app.command()
@here
async def decommission(
    here: Here,
    name: Annotated[str, typer.Argument(help="The thing's name.")],
    *,
    keep_record: Annotated[bool, typer.Option("--keep-record", help="Keep the thing, without certificates.")] = False,
    keep_retained: KeepRetained = False,
    reason: Annotated[Reason, typer.Option(help="What the revocation list says.")] = Reason.CESSATION_OF_OPERATION,
    as_json: Json = False,
) -> None:
    """End a device: revoke its certificates, delete its thing, its sessions and its retained messages."""
    done = await here.change(
        "DecommissionThing",
        here.realm.arn("thing", name),
        lambda tx, act: end_of_life.decommission(
            tx, act, name, keep_record=keep_record, keep_retained=keep_retained, reason=reason
        ),
        {"keepRecord": keep_record, "reason": str(reason)},
    )
    show.details(show.record(done), as_json)


@app.command()
@here
async def reset(
    here: Here,
    name: Annotated[str, typer.Argument(help="The thing's name.")],
    *,
    new_owner: Annotated[
        bool, typer.Option("--new-owner", help="Forget attributes, type and groups, which the former owner wrote.")
    ] = False,
    keep_retained: KeepRetained = False,
    reason: Annotated[Reason, typer.Option(help="What the revocation list says.")] = Reason.SUPERSEDED,
    as_json: Json = False,
) -> None:
    """Withdraw a device's identity, so that it is provisioned anew: after a factory reset, or for a new owner."""
    done = await here.change(
        "ResetThing",
        here.realm.arn("thing", name),
        lambda tx, act: end_of_life.reset(
            tx, act, name, new_owner=new_owner, keep_retained=keep_retained, reason=reason
        ),
        {"newOwner": new_owner, "reason": str(reason)},
    )
    show.details(show.record(done), as_json)


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
