"""CA certificates that users registered as theirs (RegisterCACertificate, UpdateCACertificate, GetRegistrationCode).

Who may be one (proof of possession, key, constraints) is checked above; here are the rules about what is known already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, CertificateState, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox, pages, statements, tags
from fleetgate.registry.certificates import Mode
from fleetgate.registry.events import AuthorityChanged
from fleetgate.registry.pages import Page

MOST_OF_ONE_SUBJECT: Final = 10


class Status(StrEnum):
    """AWS's CACertificateStatus."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class RegistrationConfig:
    """What just-in-time provisioning makes of a device: a template by name, or a body and a role."""

    template_name: str | None = None
    template_body: str | None = None
    role_arn: str | None = None


NO_CONFIG: Final = RegistrationConfig()


@dataclass(frozen=True, slots=True)
class Authority:
    realm: Realm
    fingerprint: str
    pem: str
    subject: str
    """As the caller prints names: `issuers` finds by the same text."""
    public_key_fingerprint: str
    status: Status
    mode: Mode
    auto_registration: bool
    registration_config: RegistrationConfig
    not_before: int
    not_after: int
    customer_version: int
    generation_id: str
    created_at: int
    updated_at: int


def registration_code(tx: Tx, act: Act, new_code: str) -> str:
    """GetRegistrationCode: the code of this realm, which is *new_code* (64 hex digits) where there was none."""
    statements.insert_new(tx, "registration_codes", realm=str(act.realm), code=new_code, created_at=act.now)
    return find_registration_code(tx, act.realm) or new_code


def find_registration_code(tx: Tx, realm: Realm) -> str | None:
    rows = tx.rows("SELECT code FROM registration_codes WHERE realm = :realm", realm=str(realm))
    return str(rows[0]["code"]) if rows else None


def delete_registration_code(tx: Tx, act: Act) -> None:
    """DeleteRegistrationCode. Raises NotFound."""
    if not tx.run("DELETE FROM registration_codes WHERE realm = :realm", realm=str(act.realm)):
        raise NotFound("There is no registration code. GetRegistrationCode makes one.")


def create(
    tx: Tx,
    act: Act,
    fingerprint: str,
    pem: str,
    *,
    subject: str,
    public_key_fingerprint: str,
    not_before: int,
    not_after: int,
    status: Status = Status.INACTIVE,
    mode: Mode = Mode.DEFAULT,
    auto_registration: bool = False,
    registration_config: RegistrationConfig = NO_CONFIG,
) -> Authority:
    """A newly registered CA.

    Raises AlreadyExists when this realm has it, or when it is in DEFAULT mode and another account of the region has it
    in that mode; LimitExceeded at eleven of one subject; NotFound for an unknown template.
    """
    for other in find_everywhere(tx, fingerprint):
        _refuse_known(act, other, mode)
    if len(issuers(tx, act.realm, subject)) >= MOST_OF_ONE_SUBJECT:
        raise LimitExceeded(
            f"{MOST_OF_ONE_SUBJECT} CA certificates with this subject are registered. Delete one first."
        )
    authority = Authority(
        realm=act.realm,
        fingerprint=fingerprint,
        pem=pem,
        subject=subject,
        public_key_fingerprint=public_key_fingerprint,
        status=Status(status),
        mode=Mode(mode),
        auto_registration=auto_registration,
        registration_config=_checked(tx, act.realm, registration_config),
        not_before=not_before,
        not_after=not_after,
        customer_version=1,
        generation_id=act.id_for("authority", fingerprint),
        created_at=act.now,
        updated_at=act.now,
    )
    statements.insert(tx, "authorities", **_columns(authority))
    return authority


def find(tx: Tx, realm: Realm, fingerprint: str) -> Authority | None:
    rows = tx.rows(
        "SELECT * FROM authorities WHERE realm = :realm AND fingerprint = :fingerprint",
        realm=str(realm),
        fingerprint=fingerprint,
    )
    return _authority(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, fingerprint: str) -> Authority:
    """Raises NotFound."""
    if found := find(tx, realm, fingerprint):
        return found
    raise NotFound(f"CA certificate {fingerprint} is not registered in this account and region.")


def find_everywhere(tx: Tx, fingerprint: str) -> list[Authority]:
    """The CA in every realm that registered it."""
    rows = tx.rows("SELECT * FROM authorities WHERE fingerprint = :fingerprint ORDER BY realm", fingerprint=fingerprint)
    return [_authority(row) for row in rows]


def issuers(tx: Tx, realm: Realm, subject: str) -> list[Authority]:
    """Candidates for having signed a certificate whose issuer is *subject*: the signature decides between them."""
    rows = tx.rows(
        "SELECT * FROM authorities WHERE subject = :subject AND realm = :realm", subject=subject, realm=str(realm)
    )
    return sorted(map(_authority, rows), key=lambda each: (each.created_at, each.fingerprint))


def issuers_everywhere(tx: Tx, subject: str, *, sni_only: bool = False) -> list[Authority]:
    """The same in all realms, of DEFAULT mode: for a connection that names no server. *sni_only*: of either mode."""
    rows = tx.rows("SELECT * FROM authorities WHERE subject = :subject", subject=subject)
    found = [each for each in map(_authority, rows) if sni_only or each.mode == Mode.DEFAULT]
    return sorted(found, key=lambda each: (each.realm, each.created_at, each.fingerprint))


def update(
    tx: Tx,
    act: Act,
    fingerprint: str,
    *,
    status: Status | None = None,
    auto_registration: bool | None = None,
    registration_config: RegistrationConfig | None = None,
    remove_registration: bool = False,
) -> Authority:
    """UpdateCACertificate; None leaves as it is. *remove_registration* takes the registration config away and switches
    auto registration off. Raises NotFound, InvalidRequest.
    """
    old = get(tx, act.realm, fingerprint)
    if remove_registration and (registration_config is not None or auto_registration):
        raise InvalidRequest("removeAutoRegistration goes with neither a registrationConfig nor auto registration.")
    config = NO_CONFIG if remove_registration else registration_config or old.registration_config
    automatic = False if remove_registration else auto_registration
    new = replace(
        old,
        status=old.status if status is None else Status(status),
        auto_registration=old.auto_registration if automatic is None else automatic,
        registration_config=_checked(tx, act.realm, config),
        customer_version=old.customer_version + 1,
        updated_at=act.now,
    )
    tx.run(_UPDATE, **{name: value for name, value in _columns(new).items() if name in _UPDATED})
    if new.status != old.status:
        outbox.add(tx, act, AuthorityChanged(fingerprint, str(new.status)))
    return new


def delete(tx: Tx, act: Act, fingerprint: str) -> None:
    """Certificates that it signed stay. Raises NotFound, and CertificateState while it is ACTIVE."""
    if get(tx, act.realm, fingerprint).status == Status.ACTIVE:
        raise CertificateState(f"CA certificate must be deactivated (not ACTIVE) before deletion. Id: {fingerprint}")
    tx.run(
        "DELETE FROM authorities WHERE realm = :realm AND fingerprint = :fingerprint",
        realm=str(act.realm),
        fingerprint=fingerprint,
    )
    tags.forget(tx, act, "cacert", fingerprint)
    outbox.add(tx, act, AuthorityChanged(fingerprint, None))


def page(
    tx: Tx,
    realm: Realm,
    after: str | None = None,
    limit: int = 25,
    *,
    ascending: bool = False,
    template_name: str | None = None,
) -> Page[Authority]:
    """By creation, newest first unless *ascending*; with *template_name* those that provision by that template."""
    where, order, values = pages.by_creation(after, "fingerprint", ascending)
    if template_name is not None:
        where.append("registration_template_name = :template_name")
        values["template_name"] = template_name
    return pages.read(
        tx,
        "SELECT * FROM authorities",
        ["realm = :realm", *where],
        order,
        limit,
        _authority,
        lambda row: pages.moment_key(row["created_at"], row["fingerprint"]),
        realm=str(realm),
        **values,
    )


_UPDATE: Final = """
    UPDATE authorities SET status = :status, auto_registration = :auto_registration,
        registration_template_name = :registration_template_name,
        registration_template_body = :registration_template_body, registration_role_arn = :registration_role_arn,
        customer_version = :customer_version, updated_at = :updated_at
    WHERE realm = :realm AND fingerprint = :fingerprint"""
_UPDATED: Final = frozenset(
    {
        "realm",
        "fingerprint",
        "status",
        "auto_registration",
        "registration_template_name",
        "registration_template_body",
        "registration_role_arn",
        "customer_version",
        "updated_at",
    }
)


def _refuse_known(act: Act, other: Authority, mode: Mode) -> None:
    if other.realm == act.realm:
        raise AlreadyExists(
            "The CA certificate is already registered",
            resourceId=other.fingerprint,
            resourceArn=act.realm.arn("cacert", other.fingerprint),
        )
    if other.realm.region == act.realm.region and mode == other.mode == Mode.DEFAULT:
        # Another account's ARN is nobody else's business.
        raise AlreadyExists(
            "The CA certificate is already registered in DEFAULT mode by another account of this region. "
            "Register it in SNI_ONLY mode."
        )


def _checked(tx: Tx, realm: Realm, config: RegistrationConfig) -> RegistrationConfig:
    if config.template_name is None:
        return config
    if config.template_body is not None:
        raise InvalidRequest("A registrationConfig has a templateName or a templateBody, not both.")
    rows = tx.rows(
        "SELECT type FROM provisioning_templates WHERE realm = :realm AND name = :name",
        realm=str(realm),
        name=config.template_name,
    )
    if not rows:
        raise NotFound(f"Provisioning template {config.template_name} does not exist. Create it first.")
    if rows[0]["type"] != "JITP":
        raise InvalidRequest(f"Template {config.template_name} is no JITP template; a registrationConfig needs one.")
    return config


def _columns(authority: Authority) -> dict[str, str | int | None]:
    columns = {name: getattr(authority, name) for name in Authority.__slots__}
    config = columns.pop("registration_config")
    return columns | {
        "realm": str(authority.realm),
        "status": str(authority.status),
        "mode": str(authority.mode),
        "auto_registration": int(authority.auto_registration),
        "registration_template_name": config.template_name,
        "registration_template_body": config.template_body,
        "registration_role_arn": config.role_arn,
    }


def _authority(row: Row) -> Authority:
    return Authority(
        realm=Realm.parse(row["realm"]),
        fingerprint=row["fingerprint"],
        pem=row["pem"],
        subject=row["subject"],
        public_key_fingerprint=row["public_key_fingerprint"],
        status=Status(row["status"]),
        mode=Mode(row["mode"]),
        auto_registration=row["auto_registration"] == 1,
        registration_config=RegistrationConfig(
            row["registration_template_name"], row["registration_template_body"], row["registration_role_arn"]
        ),
        not_before=row["not_before"],
        not_after=row["not_after"],
        customer_version=row["customer_version"],
        generation_id=row["generation_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
