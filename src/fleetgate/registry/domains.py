"""Domain configurations (CreateDomainConfiguration ... ListDomainConfigurations): endpoint names beside the default.

A domain name belongs to one configuration of the installation, so that a connection's server name tells account and
region. The default endpoints are no records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import authorizers, outbox, statements, tags
from fleetgate.registry.events import DomainConfigurationChanged

MOST: Final = 10
"""In an account and region, the default endpoints not counted."""


class Status(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class DomainType(StrEnum):
    AWS_MANAGED = "AWS_MANAGED"
    """The name was made here."""
    CUSTOMER_MANAGED = "CUSTOMER_MANAGED"


@dataclass(frozen=True, slots=True)
class AuthorizerConfig:
    default_name: str | None
    """For connections that name no authorizer."""
    allow_override: bool
    """Whether a connection may name one."""


@dataclass(frozen=True, slots=True)
class DomainConfiguration:
    realm: Realm
    name: str
    resource: str
    """Its name and the id at the end of its ARN, which makes it another when it is deleted and created again."""
    domain_name: str
    domain_type: DomainType
    service_type: str
    status: Status
    server_certificate_arn: str | None
    authorizer_config: AuthorizerConfig | None
    authentication_type: str
    application_protocol: str
    created_at: int
    status_changed_at: int

    @property
    def arn(self) -> str:
        return self.realm.arn("domainconfiguration", self.resource)


def create(
    tx: Tx,
    act: Act,
    name: str,
    domain_name: str,
    domain_type: DomainType,
    *,
    service_type: str = "DATA",
    server_certificate_arn: str | None = None,
    authorizer_config: AuthorizerConfig | None = None,
    authentication_type: str = "DEFAULT",
    application_protocol: str = "DEFAULT",
) -> DomainConfiguration:
    """An ENABLED one. Raises AlreadyExists where its name or domain is taken, LimitExceeded, InvalidRequest."""
    names.check("domain_configuration", name)
    present = all_of(tx, act.realm)
    if any(each.name == name for each in present):
        raise _taken(act, name, f"Domain configuration {name} already exists.")
    if len(present) >= MOST:
        raise LimitExceeded(f"This account and region have {MOST} domain configurations already. Delete one.")
    _check_authorizer(tx, act.realm, authorizer_config)
    made = DomainConfiguration(
        act.realm,
        name,
        f"{name}/{act.id_for('domain_configuration', name)[:5]}",
        domain_name,
        domain_type,
        service_type,
        Status.ENABLED,
        server_certificate_arn,
        authorizer_config,
        authentication_type,
        application_protocol,
        act.now,
        act.now,
    )
    if not statements.insert_new(tx, "domain_configurations", **_columns(made)):
        raise _taken(act, name, f"The domain name {domain_name} is another domain configuration's already.")
    outbox.add(tx, act, DomainConfigurationChanged(name, domain_name))
    return made


def find(tx: Tx, realm: Realm, name: str) -> DomainConfiguration | None:
    rows = tx.rows(
        "SELECT * FROM domain_configurations WHERE realm = :realm AND name = :name", realm=str(realm), name=name
    )
    return _configuration(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> DomainConfiguration:
    """Raises NotFound."""
    if found := find(tx, realm, name):
        return found
    raise NotFound(f"Domain configuration {name} does not exist in this account and region.")


def find_domain(tx: Tx, domain_name: str) -> DomainConfiguration | None:
    """Whose *domain_name*, in small letters, is, in whatever account and region."""
    rows = tx.rows("SELECT * FROM domain_configurations WHERE domain_name = :name", name=domain_name)
    return _configuration(rows[0]) if rows else None


def domain_names(tx: Tx) -> list[str]:
    """Of all accounts and regions, in order: what the server's certificate must speak for."""
    rows = tx.rows("SELECT domain_name FROM domain_configurations ORDER BY domain_name")
    return [row["domain_name"] for row in rows]


def all_of(tx: Tx, realm: Realm) -> list[DomainConfiguration]:
    """By name, at most `MOST`."""
    rows = tx.rows("SELECT * FROM domain_configurations WHERE realm = :realm ORDER BY name", realm=str(realm))
    return [_configuration(row) for row in rows]


def update(tx: Tx, act: Act, changed: DomainConfiguration) -> None:
    """Put *changed*, which has a known name, in the place of what there is. Raises NotFound, InvalidRequest."""
    present = get(tx, act.realm, changed.name)
    _check_authorizer(tx, act.realm, changed.authorizer_config)
    if changed.status is not present.status:
        changed = replace(changed, status_changed_at=act.now)
    config = changed.authorizer_config
    tx.run(
        """UPDATE domain_configurations SET status = :status, status_changed_at = :status_changed_at,
               default_authorizer = :default_authorizer, allow_override = :allow_override,
               authentication_type = :authentication_type, application_protocol = :application_protocol
           WHERE realm = :realm AND name = :name""",
        realm=str(act.realm),
        name=changed.name,
        status=changed.status,
        status_changed_at=changed.status_changed_at,
        default_authorizer=None if config is None else config.default_name,
        allow_override=None if config is None else int(config.allow_override),
        authentication_type=changed.authentication_type,
        application_protocol=changed.application_protocol,
    )
    outbox.add(tx, act, DomainConfigurationChanged(changed.name, changed.domain_name))


def delete(tx: Tx, act: Act, name: str) -> None:
    """Raises NotFound, and InvalidRequest while it is ENABLED."""
    found = get(tx, act.realm, name)
    if found.status is Status.ENABLED:
        raise InvalidRequest(f"Domain configuration {name} is ENABLED. Disable it first (UpdateDomainConfiguration).")
    tx.run("DELETE FROM domain_configurations WHERE realm = :realm AND name = :name", realm=str(act.realm), name=name)
    tags.forget(tx, act, "domainconfiguration", found.resource)
    outbox.add(tx, act, DomainConfigurationChanged(name, found.domain_name))


def _check_authorizer(tx: Tx, realm: Realm, config: AuthorizerConfig | None) -> None:
    wanted = None if config is None else config.default_name
    if wanted is not None and authorizers.find(tx, realm, wanted) is None:
        raise InvalidRequest(f"There is no authorizer {wanted} in this account and region. Create it first.")


def _taken(act: Act, name: str, message: str) -> AlreadyExists:
    return AlreadyExists(message, resourceId=name, resourceArn=act.realm.arn("domainconfiguration", name))


def _columns(made: DomainConfiguration) -> dict[str, Any]:
    config = made.authorizer_config
    return {
        "realm": str(made.realm),
        "name": made.name,
        "resource": made.resource,
        "domain_name": made.domain_name,
        "domain_type": made.domain_type,
        "service_type": made.service_type,
        "status": made.status,
        "server_certificate_arn": made.server_certificate_arn,
        "default_authorizer": None if config is None else config.default_name,
        "allow_override": None if config is None else int(config.allow_override),
        "authentication_type": made.authentication_type,
        "application_protocol": made.application_protocol,
        "created_at": made.created_at,
        "status_changed_at": made.status_changed_at,
    }


def _configuration(row: Row) -> DomainConfiguration:
    override = row["allow_override"]
    return DomainConfiguration(
        Realm.parse(row["realm"]),
        row["name"],
        row["resource"],
        row["domain_name"],
        DomainType(row["domain_type"]),
        row["service_type"],
        Status(row["status"]),
        row["server_certificate_arn"],
        None if override is None else AuthorizerConfig(row["default_authorizer"], override == 1),
        row["authentication_type"],
        row["application_protocol"],
        row["created_at"],
        row["status_changed_at"],
    )
