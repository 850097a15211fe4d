"""What happened, for whoever must follow: kept in the outbox with the change, handed out after the commit.

An event says what changed, not what is to be done; consumers read the records again. One event may be handed out twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final


@dataclass(frozen=True, slots=True)
class ThingCreated:
    kind: ClassVar[str] = "ThingCreated"
    thing_name: str
    thing_id: str
    type_name: str | None
    attributes: Mapping[str, str]
    version: int


@dataclass(frozen=True, slots=True)
class ThingUpdated:
    """Type or attributes changed; policy variables may resolve otherwise now."""

    kind: ClassVar[str] = "ThingUpdated"
    thing_name: str
    thing_id: str
    type_name: str | None
    attributes: Mapping[str, str]
    version: int
    previous_type: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ThingDeleted:
    kind: ClassVar[str] = "ThingDeleted"
    thing_name: str
    thing_id: str
    version: int
    type_name: str | None = field(default=None, compare=False)
    attributes: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class ThingTypeChanged:
    """*operation*: CREATED, UPDATED (deprecated, too) or DELETED; the type is told as it is then, or was last."""

    kind: ClassVar[str] = "ThingTypeChanged"
    operation: str
    type_name: str
    type_id: str
    description: str
    searchable: Sequence[str]
    deprecated_at: int | None


@dataclass(frozen=True, slots=True)
class ThingGroupChanged:
    """*operation*: CREATED or UPDATED."""

    kind: ClassVar[str] = "ThingGroupChanged"
    operation: str
    group_name: str
    group: Mapping[str, Any]
    """As `thing_groups.told` has it."""


@dataclass(frozen=True, slots=True)
class ThingGroupDeleted:
    """Its memberships and its policies' attachments went with it, without events of their own."""

    kind: ClassVar[str] = "ThingGroupDeleted"
    group_name: str
    group: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """As it was."""


@dataclass(frozen=True, slots=True)
class GroupMembershipChanged:
    kind: ClassVar[str] = "GroupMembershipChanged"
    group_name: str
    thing_name: str
    member: bool
    group_id: str = field(default="", compare=False)
    thing_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class CertificateStatusChanged:
    kind: ClassVar[str] = "CertificateStatusChanged"
    fingerprint: str
    status: str
    previous: str


@dataclass(frozen=True, slots=True)
class CertificateDeleted:
    """Its policy attachments and its claim went with it, without events of their own."""

    kind: ClassVar[str] = "CertificateDeleted"
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CertificatePresented:
    """A certificate that a registered CA signed was presented at the door, and waits for somebody to activate it."""

    kind: ClassVar[str] = "CertificatePresented"
    fingerprint: str
    ca_fingerprint: str
    registered_at: int
    """When it was first presented, milliseconds UTC."""


@dataclass(frozen=True, slots=True)
class AuthorityChanged:
    """A registered CA certificate: *status* is None when it was deleted."""

    kind: ClassVar[str] = "AuthorityChanged"
    fingerprint: str
    status: str | None


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """Another version is the default now."""

    kind: ClassVar[str] = "PolicyChanged"
    policy_name: str
    default_version: int


@dataclass(frozen=True, slots=True)
class AttachmentChanged:
    """A policy was attached to or detached from *target*, an ARN."""

    kind: ClassVar[str] = "AttachmentChanged"
    policy_name: str
    target: str
    attached: bool


@dataclass(frozen=True, slots=True)
class PrincipalChanged:
    """A certificate was attached to or detached from a thing."""

    kind: ClassVar[str] = "PrincipalChanged"
    thing_name: str
    fingerprint: str
    attached: bool


@dataclass(frozen=True, slots=True)
class DomainConfigurationChanged:
    """Made, changed or deleted: the server's certificate speaks for its domain, or no more."""

    kind: ClassVar[str] = "DomainConfigurationChanged"
    name: str
    domain_name: str


@dataclass(frozen=True, slots=True)
class IndexingChanged:
    """Fleet indexing has another configuration."""

    kind: ClassVar[str] = "IndexingChanged"
    connectivity: bool
    """Whether it is indexed now."""


@dataclass(frozen=True, slots=True)
class TopicRuleChanged:
    """Made, replaced, switched or deleted."""

    kind: ClassVar[str] = "TopicRuleChanged"
    rule_name: str


@dataclass(frozen=True, slots=True)
class EventConfigurationChanged:
    """*enabled*: every event type that is on from here on."""

    kind: ClassVar[str] = "EventConfigurationChanged"
    enabled: Sequence[str]


@dataclass(frozen=True, slots=True)
class ClaimChanged:
    """A claim was switched on or off."""

    kind: ClassVar[str] = "ClaimChanged"
    fingerprint: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class DeviceProvisioned:
    """A device went all the way through. *claim_fingerprint* is empty where no claim certificate asked."""

    kind: ClassVar[str] = "DeviceProvisioned"
    template_name: str
    thing_name: str
    fingerprint: str
    claim_fingerprint: str


@dataclass(frozen=True, slots=True)
class IdentityWithdrawn:
    """A device was reset or scrapped: its sessions go, and with *retained* what it left on topics named after it."""

    kind: ClassVar[str] = "IdentityWithdrawn"
    thing_name: str
    fingerprints: Sequence[str]
    retained: bool


@dataclass(frozen=True, slots=True)
class RotationAnnounced:
    """A device is asked to renew its certificate, or (empty *payload*) is asked no more."""

    kind: ClassVar[str] = "RotationAnnounced"
    topic: str
    payload: str


Event = (
    ThingCreated
    | ThingUpdated
    | ThingDeleted
    | ThingTypeChanged
    | ThingGroupChanged
    | ThingGroupDeleted
    | GroupMembershipChanged
    | CertificateStatusChanged
    | CertificateDeleted
    | CertificatePresented
    | AuthorityChanged
    | PolicyChanged
    | AttachmentChanged
    | PrincipalChanged
    | DomainConfigurationChanged
    | TopicRuleChanged
    | IndexingChanged
    | EventConfigurationChanged
    | ClaimChanged
    | DeviceProvisioned
    | RotationAnnounced
    | IdentityWithdrawn
)

KINDS: Final[Mapping[str, type[Event]]] = {
    kind.kind: kind
    for kind in (
        ThingCreated,
        ThingUpdated,
        ThingDeleted,
        ThingTypeChanged,
        ThingGroupChanged,
        ThingGroupDeleted,
        GroupMembershipChanged,
        CertificateStatusChanged,
        CertificateDeleted,
        CertificatePresented,
        AuthorityChanged,
        PolicyChanged,
        AttachmentChanged,
        PrincipalChanged,
        DomainConfigurationChanged,
        TopicRuleChanged,
        IndexingChanged,
        EventConfigurationChanged,
        ClaimChanged,
        DeviceProvisioned,
        RotationAnnounced,
        IdentityWithdrawn,
    )
}
