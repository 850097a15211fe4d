"""`fleetgate role`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetgate import names
from fleetgate.cli import permissions, show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.policy.document import TRUST, parse
from fleetgate.registry import permissions as held
from fleetgate.registry import roles

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(permissions.commands("role"), name="policy")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The role's name.")]
TrustFile = Annotated[
    Path | None, typer.Option("--trust", metavar="FILE", exists=True, dir_okay=False, help="The trust policy, as JSON.")
]
TrustAccount = Annotated[
    str | None, typer.Option(metavar="DIGITS", help="In its place: the account whose operators may assume the role.")
]
TrustService = Annotated[
    str | None, typer.Option(metavar="HOST", help="In its place: a service, such as credentials.iot.amazonaws.com.")
]
ExternalId = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What the other account must give as ExternalId to assume the role.")
]

_COLUMNS = {"name": "name", "arn": "arn", "longest_session": "longest session (s)", "created_at": "created"}


@app.command()
@here
async def create(
    here: Here,
    name: Name,
    *,
    trust: TrustFile = None,
    trust_account: TrustAccount = None,
    external_id: ExternalId = None,
    trust_service: TrustService = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    longest_session: Annotated[
        int, typer.Option(metavar="SECONDS", min=3600, max=43_200, help="How long a session may last.")
    ] = roles.SESSION_SECONDS,
    as_json: Json = False,
) -> None:
    """Make a role, which may do nothing yet; who may assume it is said here."""
    text = _trust(trust, trust_account, external_id, trust_service)
    parse(text, TRUST)
    made = await here.change(
        "CreateRole",
        _arn(here, name),
        lambda tx, act: roles.create(tx, act, name, text, description=description, longest_session=longest_session),
        {"AssumeRolePolicyDocument": text},
    )
    shown = json.loads(made.trust) if as_json else made.trust
    show.details(show.record(made, "account", "trust", arn=made.arn, trust=shown), as_json)


def _trust(file: Path | None, account: str | None, external_id: str | None, service: str | None) -> str:
    """Raises BadParameter unless exactly one of the three is given."""
    if sum(each is not None for each in (file, account, service)) != 1:
        raise typer.BadParameter("Give exactly one of --trust, --trust-account and --trust-service.")
    if external_id is not None and account is None:
        raise typer.BadParameter("--external-id goes with --trust-account.")
    if file is not None:
        return file.read_text()
    principal = {"Service": service} if service else {"AWS": f"arn:aws:iam::{account}:root"}
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List the account's roles."""
    found = await here.pages(
        lambda tx, after, count: roles.page(tx, here.realm.account, after, count), show.limit(limit, as_json)
    )
    records = [
        show.record(each, "account", "trust", arn=each.arn, trust=json.loads(each.trust)) for each in found.items
    ]
    show.listing(records, _COLUMNS, "roles", as_json, found.more)


@app.command("trust")
@here
async def trust_(
    here: Here,
    name: Name,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The trust policy, as JSON.")],
) -> None:
    """Put another trust policy in place. Sessions that there are go on."""
    text = file.read_text()
    parse(text, TRUST)
    await here.change(
        "UpdateAssumeRolePolicy",
        _arn(here, name),
        lambda tx, act: roles.set_trust(tx, act, name, text),
        {"PolicyDocument": text},
    )
    show.say(f"{name} trusts whom {file} names.")


@app.command()
@here
async def delete(
    here: Here,
    name: Name,
    *,
    force: Annotated[bool, typer.Option("--force", help="With its policies.")] = False,
) -> None:
    """Delete a role. Its sessions end at once."""

    def work(tx: Tx, act: Act) -> None:
        if force:
            held.clear(tx, act, held.role(name))
        roles.delete(tx, act, name)

    await here.change("DeleteRole", _arn(here, name), work, {"force": force})
    show.say(f"Deleted {name}.")


def _arn(here: Here, name: str) -> str:
    return names.iam_arn(here.realm.account, "role", "/", name)
