"""`fleetgate user policy`, `fleetgate role policy`: the same commands for both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fleetgate import names
from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json
from fleetgate.database.port import Tx
from fleetgate.policy.document import IAM, parse
from fleetgate.registry import permissions, roles, users

Holder = Annotated[str, typer.Argument(metavar="NAME", help="Whose policy it is.")]
PolicyName = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's name.")]
PolicyArn = Annotated[str, typer.Argument(metavar="ARN", help="The managed policy's ARN.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The policy, as JSON in IAM's grammar.")]

_LONGEST = max(permissions.MOST_CHARACTERS.values())
_COLUMNS = {"name": "policy", "version": "version"}


def document(file: Path) -> str:
    """What stands in *file*, a policy of IAM's grammar. Raises MalformedPolicy, OSError."""
    text = file.read_text()
    parse(text, IAM, longest=_LONGEST)
    return text


Find = Callable[[Here, str], tuple[str, Callable[[Tx], str]]]


def commands(kind: str) -> typer.Typer:
    """put, show, delete, attach and detach for a `user` or a `role`."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help=f"What a {kind} may do.")

    def find(here: Here, name: str) -> tuple[str, Callable[[Tx], str]]:
        """The ARN without the path, and what gives the holder, if there is one."""
        account = here.realm.account

        def holder(tx: Tx) -> str:
            if kind == "user":
                return permissions.user(users.get(tx, account, name).name)
            return permissions.role(roles.get(tx, account, name).name)

        return names.iam_arn(account, kind, "/", name), holder

    _add_inline(app, kind.title(), find)
    _add_managed(app, kind.title(), find)
    return app


def _add_inline(app: typer.Typer, title: str, find: Find) -> None:
    @app.command()
    @here
    async def put(here: Here, name: Holder, policy: PolicyName, file: File) -> None:
        """Give it an inline policy, or put FILE in the place of the one of that name."""
        text = document(file)
        arn, holder = find(here, name)
        await here.change(
            f"Put{title}Policy",
            arn,
            lambda tx, act: permissions.put(tx, act, holder(tx), policy, text),
            {"PolicyName": policy, "PolicyDocument": text},
        )
        show.say(f"{name} has the policy {policy}.")

    @app.command("show")
    @here
    async def show_(here: Here, name: Holder, *, as_json: Json = False) -> None:
        """Everything that it may do: inline policies, and managed ones by their ARNs."""
        _, holder = find(here, name)
        found = await here.read(lambda tx: permissions.of(tx, here.realm.account, holder(tx)))
        if as_json:
            show.document(
                [{"name": one.name, "version": one.version, "document": json.loads(one.document)} for one in found]
            )
            return
        for each in found:
            show.heading(f"{each.name} ({each.version})")
            typer.echo(json.dumps(json.loads(each.document), indent=2))
        if not found:
            show.say(f"{name} has no policies, and so may do nothing.")

    @app.command()
    @here
    async def delete(here: Here, name: Holder, policy: PolicyName) -> None:
        """Delete an inline policy."""
        arn, holder = find(here, name)
        await here.change(
            f"Delete{title}Policy",
            arn,
            lambda tx, act: permissions.delete(tx, act, holder(tx), policy),
            {"PolicyName": policy},
        )
        show.say(f"{name} has no policy {policy} any more.")


def _add_managed(app: typer.Typer, title: str, find: Find) -> None:
    @app.command()
    @here
    async def attach(here: Here, name: Holder, policy_arn: PolicyArn) -> None:
        """Attach a managed policy: one of the account's, or one of arn:aws:iam::aws:policy/..."""
        arn, holder = find(here, name)
        await here.change(
            f"Attach{title}Policy",
            arn,
            lambda tx, act: permissions.attach(tx, act, holder(tx), policy_arn),
            {"PolicyArn": policy_arn},
        )
        show.say(f"{name} has {policy_arn}.")

    @app.command()
    @here
    async def detach(here: Here, name: Holder, policy_arn: PolicyArn) -> None:
        """Detach a managed policy."""
        arn, holder = find(here, name)
        await here.change(
            f"Detach{title}Policy",
            arn,
            lambda tx, act: permissions.detach(tx, act, holder(tx), policy_arn),
            {"PolicyArn": policy_arn},
        )
        show.say(f"{name} has {policy_arn} no more.")
