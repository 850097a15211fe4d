"""`fleetgate template`"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fleetgate.api.templates import judge
from fleetgate.cli import show, values
from fleetgate.cli.place import Here, Place, at_place, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidParameters, InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.provisioning.rebind import rule_of
from fleetgate.registry import templates
from fleetgate.registry.templates import Reprovisioning, Type
from fleetgate.template.document import Kind, parse
from fleetgate.template.render import render

app = typer.Typer(no_args_is_help=True, add_completion=False)

_COLUMNS = {
    "name": "template",
    "type": "type",
    "enabled": "enabled",
    "default_version": "version",
    "reprovisioning": "reprovisioning",
    "hook_target_arn": "hook",
    "description": "description",
}
_PAYLOAD_VERSION: Final = "2020-04-01"
_CERTIFICATE_ID: Final = "AWS::IoT::Certificate::Id"


class Purpose(StrEnum):
    """What a template is for; the service's own names are shouted."""

    FLEET_PROVISIONING = "fleet-provisioning"
    JITP = "jitp"

    @property
    def type(self) -> Type:
        return Type[self.name]

    @property
    def kind(self) -> Kind:
        return Kind[self.name]


class Again(StrEnum):
    """`Reprovisioning`, and the rule that holds where none is set."""

    NEVER = "never"
    SAME_KEY = "same-key"
    HOOK = "hook"
    ALLOW = "allow"
    DEFAULT = "default"

    @property
    def rule(self) -> Reprovisioning | None:
        return None if self is Again.DEFAULT else Reprovisioning(self.value)


Name = Annotated[str, typer.Argument(help="The template's name.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The template's body, JSON.")]
PurposeOption = Annotated[Purpose, typer.Option("--type", help="What it is for.")]
Hook = Annotated[
    str | None,
    typer.Option(metavar="NAME|ARN", help="Ask this function before each device (fleetgate function bind)."),
]
AgainOption = Annotated[
    Again | None, typer.Option("--reprovisioning", help="May a thing that has a working certificate get another?")
]


@app.command()
@here
async def create(
    here: Here,
    name: Name,
    file: File,
    *,
    purpose: PurposeOption = Purpose.FLEET_PROVISIONING,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    enabled: Annotated[bool, typer.Option(help="Whether devices may use it at once.")] = True,
    hook: Hook = None,
    again: AgainOption = None,
    role: Annotated[str, typer.Option(metavar="ARN", help="The provisioning role's ARN; a name without effect.")] = "",
    as_json: Json = False,
) -> None:
    """Make a template from a file."""
    body = _body(file)
    judge(body, purpose.kind)

    def enter(tx: Tx, act: Act) -> dict[str, Any]:
        templates.create(
            tx,
            act,
            name,
            body,
            role or f"arn:aws:iam::{here.realm.account}:role/fleetgate-provisioning",
            type=purpose.type,
            description=description,
            enabled=enabled,
            hook_target_arn=_hook_arn(here.realm, hook),
            hook_payload_version=_PAYLOAD_VERSION if hook else None,
            reprovisioning=again.rule if again else None,
        )
        return _whole(tx, here.realm, name)

    show.details(await here.change("CreateProvisioningTemplate", _arn(here, name), enter), as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List templates, by name."""
    found = await here.pages(
        lambda tx, after, count: templates.page(tx, here.realm, after, count), show.limit(limit, as_json)
    )
    show.listing([show.record(each) for each in found.items], _COLUMNS, "templates", as_json, found.more)


@app.command("show")
@here
async def show_(
    here: Here,
    name: Name,
    *,
    version: Annotated[int | None, typer.Option(help="Another version than the default one.")] = None,
    as_json: Json = False,
) -> None:
    """Show a template and its body."""
    found = await here.read(lambda tx: _whole(tx, here.realm, name) | _version(tx, here.realm, name, version))
    body = found["body"]
    if not as_json:
        del found["body"]
    show.details(found, as_json)
    if not as_json:
        show.heading("body")
        typer.echo(body)


@app.command("set")
@here
async def set_(
    here: Here,
    name: Name,
    *,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Whether devices may use it.")] = None,
    again: AgainOption = None,
    hook: Hook = None,
    no_hook: Annotated[bool, typer.Option("--no-hook", help="Ask nobody any more.")] = False,
    default_version: Annotated[int | None, typer.Option(help="The version that devices get.")] = None,
    as_json: Json = False,
) -> None:
    """Change what a template's devices get, and whether."""
    if enabled is None and again is None and hook is None and not no_hook and default_version is None:
        raise typer.BadParameter(
            "Say what is to change: --enabled, --disabled, --reprovisioning, --hook, --no-hook or --default-version."
        )

    def enter(tx: Tx, act: Act) -> dict[str, Any]:
        templates.update(
            tx,
            act,
            name,
            enabled=enabled,
            default_version=default_version,
            hook_target_arn=_hook_arn(here.realm, hook),
            hook_payload_version=_PAYLOAD_VERSION if hook else None,
            remove_hook=no_hook,
        )
        if again is not None:
            templates.set_reprovisioning(tx, act, name, again.rule)
        return _whole(tx, here.realm, name)

    show.details(await here.change("UpdateProvisioningTemplate", _arn(here, name), enter), as_json)


@app.command()
@here
async def add_version(
    here: Here,
    name: Name,
    file: File,
    *,
    default: Annotated[bool, typer.Option(help="Whether devices get it from now on.")] = True,
    as_json: Json = False,
) -> None:
    """Give a template another body, as a new version."""
    body = _body(file)

    def enter(tx: Tx, act: Act) -> dict[str, Any]:
        judge(body, Kind[templates.get(tx, here.realm, name).type.name])
        made = templates.create_version(tx, act, name, body, set_as_default=default)
        return _whole(tx, here.realm, name) | {"version": made.version}

    show.details(await here.change("CreateProvisioningTemplateVersion", _arn(here, name), enter), as_json)


@app.command()
@here
async def delete(here: Here, name: Name) -> None:
    """Delete a template with all its versions. What was provisioned by it stays."""
    await here.change("DeleteProvisioningTemplate", _arn(here, name), lambda tx, act: templates.delete(tx, act, name))
    show.say(f"Deleted template {name}.")


@app.command()
def check(
    file: File,
    purpose: PurposeOption = Purpose.FLEET_PROVISIONING,
    as_json: Json = False,
) -> None:
    """Tell every problem of a template's body; exit status 1 where there is one."""
    problems: list[str] = []
    try:
        judge(_body(file), purpose.kind)
    except InvalidRequest as error:
        problems = error.message.removeprefix("- ").split("\n- ")
    if as_json:
        show.document({"valid": not problems, "problems": problems})
    else:
        for problem in problems:
            show.say(f"- {problem}")
        if not problems:
            show.say(f"{file} is a good template.")
    if problems:
        raise typer.Exit(1)


@app.command()
@at_place
async def dry_run(
    place: Place,
    template: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A template's body, or a template by name.")],
    *,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="What a device would send.")
    ] = None,
    certificate_id: Annotated[
        str, typer.Option(metavar="ID", help="The certificate's id.", show_default="64 zeros")
    ] = "0" * 64,
    purpose: PurposeOption = Purpose.FLEET_PROVISIONING,
    as_json: Json = False,
) -> None:
    """Show what a template would make of a device's parameters, without making it."""
    body, kind = await _named(place, template, purpose)
    parameters = dict(map(values.pair, parameter or []))
    try:
        plan = render(parse(body, kind), parameters, {_CERTIFICATE_ID: certificate_id}).describe()
    except InvalidParameters as error:
        raise InvalidParameters(f"{error.message}\nGive what a device would send with: -p NAME=VALUE") from error
    if as_json:
        show.document(plan)
        return
    for part in ("thing", "certificate"):
        if part in plan:
            show.heading(f"{part}:")
            show.details(plan[part], as_json=False)
    for policy in plan["policies"]:
        show.heading("policy:")
        show.details(_folded(policy), as_json=False)
    if plan["deviceConfiguration"]:
        show.heading("device configuration:")
        show.details(plan["deviceConfiguration"], as_json=False)


async def _named(place: Place, template: str, purpose: Purpose) -> tuple[str, Kind]:
    """A file by that name comes first; then the installation is asked."""
    if _is_file(template):
        return _body(Path(template)), purpose.kind
    async with place.open() as here:
        return await here.read(
            lambda tx: (
                templates.get_version(tx, place.realm, template).body,
                Kind[templates.get(tx, place.realm, template).type.name],
            )
        )


def _is_file(text: str) -> bool:
    path = Path(text)
    return path.suffix != "" or path.exists()


def _whole(tx: Tx, realm: Realm, name: str) -> dict[str, Any]:
    template = templates.get(tx, realm, name)
    return show.record(
        template, arn=realm.arn("provisioningtemplate", name), reprovisioning_in_force=str(rule_of(template))
    )


def _version(tx: Tx, realm: Realm, name: str, version: int | None) -> dict[str, Any]:
    found = templates.get_version(tx, realm, name, version)
    return {"version": found.version, "body": found.body}


def _body(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{file} is not a text file in UTF-8.") from None


def _folded(policy: dict[str, Any]) -> dict[str, Any]:
    if "PolicyDocument" not in policy:
        return policy
    return policy | {"PolicyDocument": json.dumps(policy["PolicyDocument"], indent=2)}


def _hook_arn(realm: Realm, hook: str | None) -> str | None:
    if hook is None or hook.startswith("arn:"):
        return hook
    return f"arn:aws:lambda:{realm.region}:{realm.account}:function:{hook}"


def _arn(here: Here, name: str) -> str:
    return here.realm.arn("provisioningtemplate", name)
