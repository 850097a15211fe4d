"""Managed policies (IAM: CreatePolicy, CreatePolicyVersion, ListPolicies ...), and those that every account has.

Of AWS's own policies (`arn:aws:iam::aws:policy/...`) those are here that deploy scripts of device fleets attach, with
documents of our own making.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetgate import names
from fleetgate.database.port import Row, Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act
from fleetgate.registry import identities, statements

MOST_VERSIONS: Final = 5


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    account: str
    """`aws` for one that every account has."""
    name: str
    policy_id: str
    path: str
    description: str
    default_version: int
    tags: Mapping[str, str]
    created_at: int
    updated_at: int

    @property
    def arn(self) -> str:
        return names.iam_arn(self.account, "policy", self.path, self.name)


@dataclass(frozen=True, slots=True)
class Version:
    number: int
    document: str
    is_default: bool
    created_at: int

    @property
    def label(self) -> str:
        """As IAM writes it: v1."""
        return f"v{self.number}"


def _allows(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


_REGISTRATION: Final = (
    "iot:AddThingToThingGroup",
    "iot:AttachPolicy",
    "iot:AttachPrincipalPolicy",
    "iot:AttachThingPrincipal",
    "iot:CreateCertificateFromCsr",
    "iot:CreatePolicy",
    "iot:CreateThing",
    "iot:Describe*",
    "iot:DetachPolicy",
    "iot:DetachThingPrincipal",
    "iot:Get*",
    "iot:List*",
    "iot:RegisterCertificate*",
    "iot:RegisterThing",
    "iot:RemoveThingFromThingGroup",
    "iot:UpdateCertificate",
    "iot:UpdateThing*",
)

EVERYWHERE: Final[Mapping[str, str]] = {
    "arn:aws:iam::aws:policy/AdministratorAccess": _allows("*"),
    "arn:aws:iam::aws:policy/IAMFullAccess": _allows("iam:*"),
    "arn:aws:iam::aws:policy/IAMReadOnlyAccess": _allows("iam:Get*", "iam:List*"),
    "arn:aws:iam::aws:policy/ReadOnlyAccess": _allows(
        "iot:Describe*", "iot:Get*", "iot:List*", "iot:SearchIndex", "iam:Get*", "iam:List*", "sts:Get*"
    ),
    "arn:aws:iam::aws:policy/AWSIoTFullAccess": _allows("iot:*"),
    "arn:aws:iam::aws:policy/AWSIoTConfigReadOnlyAccess": _allows(
        "iot:Describe*", "iot:Get*", "iot:List*", "iot:SearchIndex", "iot:TestAuthorization"
    ),
    "arn:aws:iam::aws:policy/AWSIoTDataAccess": _allows(
        "iot:Connect",
        "iot:Publish",
        "iot:Subscribe",
        "iot:Receive",
        "iot:GetRetainedMessage",
        "iot:ListRetainedMessages",
    ),
    "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration": _allows(*_REGISTRATION),
    "arn:aws:iam::aws:policy/service-role/AWSIoTRuleActions": _allows("iot:Publish", "lambda:InvokeFunction"),
    "arn:aws:iam::aws:policy/service-role/AWSIoTLogging": _allows("logs:*"),
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole": _allows("logs:*"),
}
"""ARN -> document."""


def create(
    tx: Tx,
    act: Act,
    name: str,
    document: str,
    *,
    path: str = "/",
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> ManagedPolicy:
    """With version 1. Raises AlreadyExists, InvalidRequest for a bad name or tag."""
    names.check("policy", name)
    if not statements.insert_new(
        tx,
        "managed_policies",
        account=act.realm.account,
        name=name,
        folded=name.lower(),
        policy_id=identities.unique_id(act, "ANPA", name),
        path=path,
        description=description,
        default_version=1,
        last_version=1,
        tags=json.dumps(identities.checked(tags or {})),
        created_at=act.now,
        updated_at=act.now,
    ):
        raise AlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    _insert_version(tx, act, name, 1, document)
    made = _find(tx, act.realm.account, name)
    assert made is not None
    return made


def get(tx: Tx, account: str, arn: str) -> ManagedPolicy:
    """Raises NotFound for a policy that *account* may not use."""
    parts = names.iam_parts(arn)
    if parts is None or parts[1] != "policy":
        raise NotFound(f"{arn} is not the ARN of a policy.")
    if arn in EVERYWHERE:
        return ManagedPolicy("aws", parts[3], f"ANPA{parts[3].upper()[:17]:A<17}", parts[2], "", 1, {}, 0, 0)
    found = _find(tx, account, parts[3]) if parts[0] == account else None
    if found is None or found.arn != arn:
        raise NotFound(f"Policy {arn} does not exist or is not attachable.")
    return found


def in_force(tx: Tx, account: str, arn: str) -> Version:
    """Its default version. Raises NotFound."""
    return get_version(tx, account, arn, None)


def get_version(tx: Tx, account: str, arn: str, number: int | None) -> Version:
    """Raises NotFound."""
    policy = get(tx, account, arn)
    for version in versions(tx, account, arn):
        if version.number == (policy.default_version if number is None else number):
            return version
    raise NotFound(f"Policy {arn} version v{number} does not exist or is not attachable.")


def versions(tx: Tx, account: str, arn: str) -> list[Version]:
    """All, newest first. Raises NotFound."""
    policy = get(tx, account, arn)
    if policy.account == "aws":
        return [Version(1, EVERYWHERE[arn], is_default=True, created_at=0)]
    rows = tx.rows(
        """SELECT version, document, created_at FROM managed_policy_versions
           WHERE account = :account AND policy_name = :name ORDER BY version DESC""",
        account=account,
        name=policy.name,
    )
    return [
        Version(row["version"], row["document"], row["version"] == policy.default_version, row["created_at"])
        for row in rows
    ]


def create_version(tx: Tx, act: Act, arn: str, document: str, *, set_as_default: bool = False) -> Version:
    """Raises NotFound, LimitExceeded at the sixth, InvalidRequest for a policy that every account has."""
    policy = _own(tx, act, arn)
    if len(versions(tx, act.realm.account, arn)) >= MOST_VERSIONS:
        raise LimitExceeded(
            f"A managed policy can have up to {MOST_VERSIONS} versions. Before you create a new version, you must "
            "delete an existing version."
        )
    rows = tx.rows(
        """UPDATE managed_policies SET last_version = last_version + 1, updated_at = :now
           WHERE account = :account AND name = :name RETURNING last_version""",
        account=policy.account,
        name=policy.name,
        now=act.now,
    )
    number: int = rows[0]["last_version"]
    _insert_version(tx, act, policy.name, number, document)
    if set_as_default:
        set_default(tx, act, arn, number)
    return get_version(tx, act.realm.account, arn, number)


def set_default(tx: Tx, act: Act, arn: str, number: int) -> None:
    """Raises NotFound, InvalidRequest for a policy that every account has."""
    policy = _own(tx, act, arn)
    get_version(tx, policy.account, arn, number)
    tx.run(
        """UPDATE managed_policies SET default_version = :number, updated_at = :now
           WHERE account = :account AND name = :name""",
        account=policy.account,
        name=policy.name,
        number=number,
        now=act.now,
    )


def delete_version(tx: Tx, act: Act, arn: str, number: int) -> None:
    """Raises NotFound, DeleteConflict for the default."""
    policy = _own(tx, act, arn)
    if get_version(tx, policy.account, arn, number).is_default:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    tx.run(
        """DELETE FROM managed_policy_versions
           WHERE account = :account AND policy_name = :name AND version = :number""",
        account=policy.account,
        name=policy.name,
        number=number,
    )


def delete(tx: Tx, act: Act, arn: str) -> None:
    """Raises NotFound, and DeleteConflict while it is attached or has other versions than the default."""
    policy = _own(tx, act, arn)
    if attachments(tx, policy.account, arn):
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if len(versions(tx, policy.account, arn)) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    tx.run(
        "DELETE FROM managed_policies WHERE account = :account AND name = :name",
        account=policy.account,
        name=policy.name,
    )


def attachments(tx: Tx, account: str, arn: str) -> list[str]:
    """The holders that have it: `user/<name>`, `role/<name>`."""
    rows = tx.rows(
        """SELECT holder FROM managed_policy_attachments
           WHERE policy_arn = :arn AND account = :account ORDER BY holder""",
        account=account,
        arn=arn,
    )
    return [row["holder"] for row in rows]


def arns(tx: Tx, account: str) -> list[str]:
    """The account's own, by name."""
    rows = tx.rows("SELECT name, path FROM managed_policies WHERE account = :account ORDER BY name", account=account)
    return [names.iam_arn(account, "policy", row["path"], row["name"]) for row in rows]


def _own(tx: Tx, act: Act, arn: str) -> ManagedPolicy:
    policy = get(tx, act.realm.account, arn)
    if policy.account == "aws":
        raise InvalidRequest(f"{arn} is one that every account has and nobody may change.")
    return policy


def _find(tx: Tx, account: str, name: str) -> ManagedPolicy | None:
    rows = tx.rows(
        "SELECT * FROM managed_policies WHERE account = :account AND name = :name", account=account, name=name
    )
    return _policy(rows[0]) if rows else None


def _insert_version(tx: Tx, act: Act, name: str, number: int, document: str) -> None:
    statements.insert(
        tx,
        "managed_policy_versions",
        account=act.realm.account,
        policy_name=name,
        version=number,
        document=document,
        created_at=act.now,
    )


def _policy(row: Row) -> ManagedPolicy:
    return ManagedPolicy(
        account=row["account"],
        name=row["name"],
        policy_id=row["policy_id"],
        path=row["path"],
        description=row["description"],
        default_version=row["default_version"],
        tags=json.loads(row["tags"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
