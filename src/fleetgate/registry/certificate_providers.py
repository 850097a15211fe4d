"""Certificate providers (CreateCertificateProvider ... ListCertificateProviders): the function of a realm that signs
what CreateCertificateFromCsr asks for, in place of the installation's CA. A realm has one at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import statements, tags

OPERATIONS: Final = ("CreateCertificateFromCsr",)
"""What a provider stands in for: AWS has no other."""


@dataclass(frozen=True, slots=True)
class CertificateProvider:
    name: str
    function_arn: str
    client_token: str | None
    """Of the request that made it."""
    created_at: int
    updated_at: int


def create(tx: Tx, act: Act, name: str, function_arn: str, client_token: str | None = None) -> CertificateProvider:
    """A new provider; the same again with the same *client_token* gives the one there is.

    Raises AlreadyExists, LimitExceeded where the realm has another, InvalidRequest for what is no function's ARN.
    """
    names.check("certificate_provider", name)
    names.check_function_arn(function_arn)
    made = CertificateProvider(name, function_arn, client_token, act.now, act.now)
    if statements.insert_new(
        tx,
        "certificate_providers",
        realm=str(act.realm),
        name=name,
        function_arn=function_arn,
        client_token=client_token,
        created_at=act.now,
        updated_at=act.now,
    ):
        return made
    existing = find(tx, act.realm)
    if existing is None or existing.name != name:
        raise LimitExceeded("An account has one certificate provider in a region. Delete or update the one there is.")
    if client_token is None or (existing.client_token, existing.function_arn) != (client_token, function_arn):
        raise AlreadyExists(
            f"Certificate provider {name} already exists.",
            resourceId=name,
            resourceArn=act.realm.arn("certificateprovider", name),
        )
    return existing


def find(tx: Tx, realm: Realm) -> CertificateProvider | None:
    """The one of this realm."""
    rows = tx.rows("SELECT * FROM certificate_providers WHERE realm = :realm", realm=str(realm))
    return _provider(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, name: str) -> CertificateProvider:
    """Raises NotFound."""
    found = find(tx, realm)
    if found is None or found.name != name:
        raise NotFound(f"Certificate provider {name} does not exist in this account and region.")
    return found


def update(tx: Tx, act: Act, name: str, function_arn: str | None = None) -> CertificateProvider:
    """Another function; None leaves it. Raises NotFound, InvalidRequest."""
    old = get(tx, act.realm, name)
    if function_arn is None:
        return old
    names.check_function_arn(function_arn)
    tx.run(
        "UPDATE certificate_providers SET function_arn = :function_arn, updated_at = :now WHERE realm = :realm",
        realm=str(act.realm),
        function_arn=function_arn,
        now=act.now,
    )
    return replace(old, function_arn=function_arn, updated_at=act.now)


def delete(tx: Tx, act: Act, name: str) -> None:
    """From then on the installation's CA signs again. Raises NotFound."""
    get(tx, act.realm, name)
    tx.run("DELETE FROM certificate_providers WHERE realm = :realm", realm=str(act.realm))
    tags.forget(tx, act, "certificateprovider", name)


def _provider(row: Row) -> CertificateProvider:
    return CertificateProvider(
        row["name"], row["function_arn"], row["client_token"], row["created_at"], row["updated_at"]
    )
