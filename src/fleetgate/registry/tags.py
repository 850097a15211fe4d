"""Tags (TagResource, UntagResource, ListTagsForResource): on policies, templates, CA certificates, groups and types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, LimitExceeded, NotFound, all_of
from fleetgate.names import Act, Arn, Realm
from fleetgate.registry import statements

MOST: Final = 50

# kind in an ARN -> is it there?
_EXISTS: Final[Mapping[str, str]] = {
    "authorizer": "SELECT 1 AS found FROM authorizers WHERE realm = :realm AND name = :name",
    "billinggroup": "SELECT 1 AS found FROM billing_groups WHERE realm = :realm AND name = :name",
    "certificateprovider": "SELECT 1 AS found FROM certificate_providers WHERE realm = :realm AND name = :name",
    "cacert": "SELECT 1 AS found FROM authorities WHERE realm = :realm AND fingerprint = :name",
    "domainconfiguration": "SELECT 1 AS found FROM domain_configurations WHERE realm = :realm AND resource = :name",
    "policy": "SELECT 1 AS found FROM policies WHERE realm = :realm AND name = :name",
    "provisioningtemplate": "SELECT 1 AS found FROM provisioning_templates WHERE realm = :realm AND name = :name",
    "rolealias": "SELECT 1 AS found FROM role_aliases WHERE realm = :realm AND name = :name",
    "rule": "SELECT 1 AS found FROM topic_rules WHERE realm = :realm AND name = :name",
    "thinggroup": "SELECT 1 AS found FROM thing_groups WHERE realm = :realm AND name = :name",
    "thingtype": "SELECT 1 AS found FROM thing_types WHERE realm = :realm AND name = :name",
}


def put(tx: Tx, act: Act, arn: str, tags: Mapping[str, str]) -> None:
    """Set *tags* beside those there are. Raises NotFound, InvalidRequest (no such kind, bad tags) and LimitExceeded."""
    resource = _resource(tx, act.realm, arn)
    problems = [problem for name, value in tags.items() for problem in _problems(name, value)]
    if problems:
        raise InvalidRequest(all_of(problems))
    if len({**of(tx, act.realm, arn), **tags}) > MOST:
        raise LimitExceeded(f"A resource has at most {MOST} tags.")
    remove(tx, act, arn, tags.keys())
    for name, value in tags.items():
        statements.insert(tx, "tags", realm=str(act.realm), resource=resource, name=name, value=value)


def remove(tx: Tx, act: Act, arn: str, names: Collection[str]) -> None:
    """Tags that are not there are removed already. Raises NotFound and InvalidRequest."""
    resource = _resource(tx, act.realm, arn)
    for name in names:
        tx.run(
            "DELETE FROM tags WHERE realm = :realm AND resource = :resource AND name = :name",
            realm=str(act.realm),
            resource=resource,
            name=name,
        )


def of(tx: Tx, realm: Realm, arn: str) -> dict[str, str]:
    """The tags of a resource. Raises NotFound and InvalidRequest."""
    rows = tx.rows(
        "SELECT name, value FROM tags WHERE realm = :realm AND resource = :resource ORDER BY name",
        realm=str(realm),
        resource=_resource(tx, realm, arn),
    )
    return {row["name"]: row["value"] for row in rows}


def forget(tx: Tx, act: Act, kind: str, name: str) -> None:
    """The resource is gone: so are its tags."""
    tx.run(
        "DELETE FROM tags WHERE realm = :realm AND resource = :resource",
        realm=str(act.realm),
        resource=f"{kind}/{name}",
    )


def _resource(tx: Tx, realm: Realm, arn: str) -> str:
    parsed = Arn.parse(arn)
    if parsed.kind not in _EXISTS:
        raise InvalidRequest(f"{arn} cannot be tagged; tags go on {', '.join(_EXISTS)}.")
    if parsed.realm != realm or not tx.rows(_EXISTS[parsed.kind], realm=str(realm), name=parsed.name):
        raise NotFound(f"There is no {arn} in this account and region.")
    return f"{parsed.kind}/{parsed.name}"


def _problems(name: str, value: str) -> list[str]:
    found = []
    if not 1 <= len(name) <= 128 or name.lower().startswith("aws:"):
        found.append(f"A tag key has 1 to 128 characters and does not begin with aws:, unlike {name!r}.")
    if len(value) > 256:
        found.append(f"The value of tag {name!r} is {len(value)} characters long; at most 256 are allowed.")
    if not (name + value).isprintable():
        found.append(f"Tag {name!r} has characters that cannot be printed.")
    return found
