"""Provisioning templates and their versions (CreateProvisioningTemplate ... DeleteProvisioningTemplateVersion).

Bodies are text here; whether one is a template is judged by `fleetgate.template` before it comes down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, InvalidRequest, NotFound, VersionsLimitExceeded, all_of
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, statements, tags
from fleetgate.registry.pages import Page

MOST_VERSIONS: Final = 5
LONGEST_BODY: Final = 10_240
LONGEST_DESCRIPTION: Final = 500
_PAYLOAD_VERSION: Final = re.compile(r"[0-9-]{10,32}")


class Type(StrEnum):
    """AWS's TemplateType."""

    FLEET_PROVISIONING = "FLEET_PROVISIONING"
    JITP = "JITP"


class Reprovisioning(StrEnum):
    """May a thing whose certificate has been in use get another one by this template?"""

    NEVER = "never"
    SAME_KEY = "same-key"
    """The device proves that it still has the key."""
    HOOK = "hook"
    """The pre-provisioning hook said yes to this very request."""
    ALLOW = "allow"
    """Whoever holds the claim may."""


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    type: Type
    description: str
    enabled: bool
    default_version: int
    role_arn: str
    hook_target_arn: str | None
    hook_payload_version: str | None
    reprovisioning: Reprovisioning | None
    """None: as by default."""
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    template_name: str
    version: int
    body: str
    is_default: bool
    created_at: int


def create(
    tx: Tx,
    act: Act,
    name: str,
    body: str,
    role_arn: str,
    *,
    type: Type = Type.FLEET_PROVISIONING,  # noqa: A002 # AWS's name for it
    description: str = "",
    enabled: bool = False,
    hook_target_arn: str | None = None,
    hook_payload_version: str | None = None,
    reprovisioning: Reprovisioning | None = None,
) -> Template:
    """A new template with version 1. Raises AlreadyExists whatever the body, and InvalidRequest."""
    template = Template(
        name=names.check("template", name),
        type=Type(type),
        description=description,
        enabled=enabled,
        default_version=1,
        role_arn=role_arn,
        hook_target_arn=hook_target_arn,
        hook_payload_version=hook_payload_version,
        reprovisioning=None if reprovisioning is None else Reprovisioning(reprovisioning),
        created_at=act.now,
        updated_at=act.now,
    )
    _fits(body)
    _check(template)
    columns = {column: getattr(template, column) for column in Template.__slots__}
    if not statements.insert_new(
        tx,
        "provisioning_templates",
        realm=str(act.realm),
        last_version=1,
        **columns
        | {
            "type": str(template.type),
            "enabled": int(enabled),
            "reprovisioning": _text(template.reprovisioning),
        },
    ):
        raise AlreadyExists(
            f"Template with name {name} already exists",
            resourceId=name,
            resourceArn=act.realm.arn("provisioningtemplate", name),
        )
    _insert_version(tx, act, name, 1, body)
    return template


def find(tx: Tx, realm: Realm, name: str) -> Template | None:
    rows = tx.rows(
        "SELECT * FROM provisioning_templates WHERE realm = :realm AND name = :name", realm=str(realm), name=name
    )
    return _template(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> Template:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Provisioning template {name} does not exist in this account and region.")


def update(
    tx: Tx,
    act: Act,
    name: str,
    *,
    description: str | None = None,
    enabled: bool | None = None,
    default_version: int | None = None,
    role_arn: str | None = None,
    hook_target_arn: str | None = None,
    hook_payload_version: str | None = None,
    remove_hook: bool = False,
) -> Template:
    """UpdateProvisioningTemplate; None leaves as it is, a hook is replaced whole, and what changes nothing changes
    `updated_at` neither. Raises NotFound, InvalidRequest.
    """
    old = get(tx, act.realm, name)
    if remove_hook and hook_target_arn is not None:
        raise InvalidRequest("Give a preProvisioningHook or removePreProvisioningHook, not both.")
    if default_version is not None:
        get_version(tx, act.realm, name, default_version)
    new = replace(
        old,
        description=old.description if description is None else description,
        enabled=old.enabled if enabled is None else enabled,
        default_version=default_version or old.default_version,
        role_arn=role_arn or old.role_arn,
    )
    if remove_hook or hook_target_arn is not None:
        new = replace(new, hook_target_arn=hook_target_arn, hook_payload_version=hook_payload_version)
    return _changed(tx, act, old, new)


def set_reprovisioning(tx: Tx, act: Act, name: str, reprovisioning: Reprovisioning | None) -> Template:
    """Raises NotFound."""
    chosen = None if reprovisioning is None else Reprovisioning(reprovisioning)
    old = get(tx, act.realm, name)
    return _changed(tx, act, old, replace(old, reprovisioning=chosen))


def _changed(tx: Tx, act: Act, old: Template, new: Template) -> Template:
    """*new*, with the time at which it changed; one that says the same did not."""
    if new == old:
        return old
    stamped = replace(new, updated_at=act.now)
    _store(tx, act, stamped)
    return stamped


def delete(tx: Tx, act: Act, name: str) -> None:
    """With all its versions. Raises NotFound, and DeleteConflict while a registered CA provisions by it."""
    get(tx, act.realm, name)
    values = {"realm": str(act.realm), "name": name}
    users = tx.rows(
        "SELECT fingerprint FROM authorities WHERE realm = :realm AND registration_template_name = :name LIMIT 1",
        **values,
    )
    if users:
        raise DeleteConflict(
            f"CA certificate {users[0]['fingerprint']} provisions by template {name}. Change it first."
        )
    tx.run("DELETE FROM provisioning_templates WHERE realm = :realm AND name = :name", **values)
    tags.forget(tx, act, "provisioningtemplate", name)


def page(tx: Tx, realm: Realm, after: str | None = None, limit: int = 25) -> Page[Template]:
    """By name."""
    return pages.read(
        tx,
        "SELECT * FROM provisioning_templates",
        ["realm = :realm", "name > :after"],
        "name",
        limit,
        _template,
        lambda row: str(row["name"]),
        realm=str(realm),
        after=pages.name_after(after),
    )


def create_version(
    tx: Tx, act: Act, name: str, body: str, *, set_as_default: bool = False, most: int = MOST_VERSIONS
) -> TemplateVersion:
    """The next version. Raises NotFound, InvalidRequest for too long a body, VersionsLimitExceeded beyond *most*."""
    _fits(body)
    get(tx, act.realm, name)
    values = {"realm": str(act.realm), "name": name}
    count = tx.rows(
        "SELECT count(*) AS number FROM template_versions WHERE realm = :realm AND template_name = :name", **values
    )
    if count[0]["number"] >= most:
        raise VersionsLimitExceeded(f"The template {name} already has the maximum number of versions ({most})")
    rows = tx.rows(
        """UPDATE provisioning_templates SET last_version = last_version + 1, updated_at = :now
           WHERE realm = :realm AND name = :name RETURNING last_version""",
        now=act.now,
        **values,
    )
    version: int = rows[0]["last_version"]
    _insert_version(tx, act, name, version, body)
    if set_as_default:
        update(tx, act, name, default_version=version)
    return get_version(tx, act.realm, name, version)


def find_version(tx: Tx, realm: Realm, name: str, version: int) -> TemplateVersion | None:
    rows = tx.rows(
        _WITH_DEFAULT + " WHERE v.realm = :realm AND v.template_name = :name AND v.version = :version",
        realm=str(realm),
        name=name,
        version=version,
    )
    return _version(rows[0]) if rows else None


def find_default(tx: Tx, realm: Realm, name: str) -> tuple[Template, str] | None:
    """The template and the body of its default version, in one look."""
    rows = tx.rows(
        """SELECT t.*, v.body FROM provisioning_templates t
           JOIN template_versions v ON v.realm = t.realm AND v.template_name = t.name AND v.version = t.default_version
           WHERE t.realm = :realm AND t.name = :name""",
        realm=str(realm),
        name=name,
    )
    return (_template(rows[0]), rows[0]["body"]) if rows else None


def get_version(tx: Tx, realm: Realm, name: str, version: int | None = None) -> TemplateVersion:
    """That version, or the default. Raises NotFound."""
    template = get(tx, realm, name)
    wanted = template.default_version if version is None else version
    if found := find_version(tx, realm, name, wanted):
        return found
    raise NotFound(f"Provisioning template {name} has no version {wanted}.")


def page_versions(tx: Tx, realm: Realm, name: str, after: str | None = None, limit: int = 25) -> Page[TemplateVersion]:
    """Oldest first. Raises NotFound, InvalidRequest."""
    get(tx, realm, name)
    return pages.read(
        tx,
        _WITH_DEFAULT,
        ["v.realm = :realm", "v.template_name = :name", "v.version > :after"],
        "v.version",
        limit,
        _version,
        lambda row: str(row["version"]),
        realm=str(realm),
        name=name,
        after=pages.number_after(after),
    )


def delete_version(tx: Tx, act: Act, name: str, version: int) -> None:
    """Raises NotFound, and DeleteConflict for the default version."""
    if get_version(tx, act.realm, name, version).is_default:
        raise DeleteConflict(
            f"Version {version} is the default version of template {name}. Make another the default first."
        )
    tx.run(
        "DELETE FROM template_versions WHERE realm = :realm AND template_name = :name AND version = :version",
        realm=str(act.realm),
        name=name,
        version=version,
    )


_WITH_DEFAULT: Final = """
    SELECT v.*, t.default_version FROM template_versions v
    JOIN provisioning_templates t ON t.realm = v.realm AND t.name = v.template_name"""


def _fits(body: str) -> None:
    if len(body) > LONGEST_BODY:
        raise InvalidRequest(f"The template body has {len(body)} characters; at most {LONGEST_BODY} are allowed.")


def _check(template: Template) -> None:
    problems = []
    if len(template.description) > LONGEST_DESCRIPTION:
        problems.append(f"The description is longer than {LONGEST_DESCRIPTION} characters.")
    if not template.role_arn:
        problems.append("A template needs a provisioningRoleArn.")
    if template.hook_target_arn is not None and template.type == Type.JITP:
        problems.append("A JITP template has no pre-provisioning hook.")
    version = template.hook_payload_version
    if version is not None and not _PAYLOAD_VERSION.fullmatch(version):
        problems.append(f"The payloadVersion of a hook looks like 2020-04-01, not {version!r}.")
    if template.hook_target_arn is None and version is not None:
        problems.append("A payloadVersion needs a hook's targetArn beside it.")
    if problems:
        raise InvalidRequest(all_of(problems))


def _store(tx: Tx, act: Act, template: Template) -> None:
    _check(template)
    tx.run(
        """UPDATE provisioning_templates SET description = :description, enabled = :enabled,
               default_version = :default_version, role_arn = :role_arn, hook_target_arn = :hook_target_arn,
               hook_payload_version = :hook_payload_version, reprovisioning = :reprovisioning, updated_at = :now
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=template.name,
        description=template.description,
        enabled=int(template.enabled),
        default_version=template.default_version,
        role_arn=template.role_arn,
        hook_target_arn=template.hook_target_arn,
        hook_payload_version=template.hook_payload_version,
        reprovisioning=_text(template.reprovisioning),
        now=act.now,
    )


def _text(reprovisioning: Reprovisioning | None) -> str | None:
    return None if reprovisioning is None else str(reprovisioning)


def _insert_version(tx: Tx, act: Act, name: str, version: int, body: str) -> None:
    statements.insert(
        tx,
        "template_versions",
        realm=str(act.realm),
        template_name=name,
        version=version,
        body=body,
        created_at=act.now,
    )


def _template(row: Row) -> Template:
    return Template(
        name=row["name"],
        type=Type(row["type"]),
        description=row["description"],
        enabled=row["enabled"] == 1,
        default_version=row["default_version"],
        role_arn=row["role_arn"],
        hook_target_arn=row["hook_target_arn"],
        hook_payload_version=row["hook_payload_version"],
        reprovisioning=None if row["reprovisioning"] is None else Reprovisioning(row["reprovisioning"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _version(row: Row) -> TemplateVersion:
    return TemplateVersion(
        template_name=row["template_name"],
        version=row["version"],
        body=row["body"],
        is_default=row["version"] == row["default_version"],
        created_at=row["created_at"],
    )
