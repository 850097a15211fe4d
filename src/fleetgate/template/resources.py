"""The resources a template may declare: AWS::IoT::Thing, AWS::IoT::Certificate, AWS::IoT::Policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from fleetgate import names
from fleetgate.errors import InvalidRequest
from fleetgate.template.expressions import Expression, Items, Text
from fleetgate.template.functions import Reader, is_function
from fleetgate.template.problems import Problems, member, nearest, shown
from fleetgate.template.pseudo_parameters import CERTIFICATE_ID
from fleetgate.template.source import kind_of, members_of, read_object


class Kind(StrEnum):
    """What a template is for."""

    FLEET_PROVISIONING = "FLEET_PROVISIONING"
    """RegisterThing over MQTT, by claim or trusted user."""
    JITP = "JITP"
    """Just-in-time provisioning: the certificate's subject is the only input."""
    REGISTRATION = "REGISTRATION"
    """RegisterThing over HTTP and bulk registration tasks: the template comes with the request."""


class Override(StrEnum):
    """What to do where a resource exists already and differs (OverrideSettings)."""

    DO_NOTHING = "DO_NOTHING"
    REPLACE = "REPLACE"
    FAIL = "FAIL"
    MERGE = "MERGE"


STATUSES: Final = ("ACTIVE", "INACTIVE")
PRINCIPAL_TYPES: Final = ("EXCLUSIVE_THING", "NON_EXCLUSIVE_THING")

_MEMBERS: Final = ("Type", "Properties", "OverrideSettings")
_THING: Final = ("ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup")
_SOURCES: Final = ("CertificateId", "CertificateSigningRequest", "CertificatePem")
_CERTIFICATE: Final = (*_SOURCES, "CACertificatePem", "Status", "ThingPrincipalType")
_POLICY: Final = ("PolicyName", "PolicyDocument")

_WITHOUT_MERGE: Final = (Override.DO_NOTHING, Override.REPLACE, Override.FAIL)
_THING_OVERRIDES: Final[dict[str, Collection[str]]] = {
    "AttributePayload": tuple(Override),
    "ThingGroups": tuple(Override),
    "ThingTypeName": _WITHOUT_MERGE,
}
_CERTIFICATE_OVERRIDES: Final[dict[str, Collection[str]]] = {"Status": _WITHOUT_MERGE}
_UPPER_CASE: Final = {
    "ATTRIBUTE_PAYLOAD": "AttributePayload",
    "THING_GROUPS": "ThingGroups",
    "THING_TYPE_NAME": "ThingTypeName",
    "STATUS": "Status",
}

Overrides = Mapping[str, Override]


@dataclass(frozen=True, slots=True)
class ThingResource:
    """A member that is None is one the template does not speak of; an empty list of groups is a list of no groups."""

    logical_id: str
    name: Expression
    attributes: Mapping[str, Expression] | None
    type_name: Expression | None
    groups: Expression | None
    billing_group: Expression | None
    overrides: Overrides

    @property
    def naming(self) -> Expression | None:
        return self.name

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every value with its path."""
        yield from _present(self.logical_id, ThingName=self.name)
        for name, value in (self.attributes or {}).items():
            yield member(property_path(self.logical_id, "AttributePayload"), name), value
        yield from _present(
            self.logical_id, ThingTypeName=self.type_name, ThingGroups=self.groups, BillingGroup=self.billing_group
        )


@dataclass(frozen=True, slots=True)
class CertificateResource:
    logical_id: str
    certificate_id: Expression | None
    signing_request: Expression | None
    pem: Expression | None
    ca_pem: Expression | None
    status: Expression
    thing_principal_type: Expression
    overrides: Overrides

    @property
    def naming(self) -> Expression | None:
        """None when the certificateId comes into being only with the certificate."""
        return self.certificate_id

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every value with its path."""
        return _present(
            self.logical_id,
            CertificateId=self.certificate_id,
            CertificateSigningRequest=self.signing_request,
            CertificatePem=self.pem,
            CACertificatePem=self.ca_pem,
            Status=self.status,
            ThingPrincipalType=self.thing_principal_type,
        )


@dataclass(frozen=True, slots=True)
class PolicyResource:
    """Exactly one of *name* and *document* is there."""

    logical_id: str
    name: Expression | None
    document: Expression | None

    @property
    def naming(self) -> Expression | None:
        return self.name or self.document

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every value with its path."""
        return _present(self.logical_id, PolicyName=self.name, PolicyDocument=self.document)


Resource = ThingResource | CertificateResource | PolicyResource


def property_path(logical_id: str, name: str) -> str:
    """Where a resource's property stands in the template."""
    return f"{member('Resources', logical_id)}.Properties.{name}"


def choose(text: str, choices: Collection[str], path: str, problems: Problems) -> str:
    """*text* in the spelling of *choices*, whatever its case; anything else is a problem at *path*."""
    if text.upper() not in choices:
        problems.add(path, f"{shown(text)} is none of {', '.join(choices)}.")
    return text.upper()


def _present(logical_id: str, **expressions: Expression | None) -> Iterator[tuple[str, Expression]]:
    for name, value in expressions.items():
        if value is not None:
            yield property_path(logical_id, name), value


@dataclass(frozen=True, slots=True)
class ResourceReader:
    """Reads one resource at a time; literals are judged at once, everything else at rendering."""

    kind: Kind
    reader: Reader
    problems: Problems

    def read(self, logical_id: str, value: Any) -> Resource | None:
        """The resource, or None when its type is unknown. What is wrong with it is told to `problems`."""
        path = member("Resources", logical_id)
        found = members_of(value, path, _MEMBERS, self.problems)
        read = _TYPES.get(found["Type"]) if isinstance(found.get("Type"), str) else None
        if read:
            return read(self, logical_id, found)
        if isinstance(value, dict):
            written = shown(found["Type"]) if "Type" in found else "missing"
            self.problems.add(path, f"Type is {written}{nearest(written, _TYPES)}")
        return None

    def thing(self, logical_id: str, found: dict[str, Any]) -> ThingResource:
        given = self._properties(logical_id, found, _THING)
        where = property_path(logical_id, "ThingName")
        if "ThingName" not in given:
            self.problems.add(where, "A thing needs its name, a literal or a function.")
        return ThingResource(
            logical_id,
            self._name("thing", given.get("ThingName", "unnamed"), where),
            self._attributes(given, property_path(logical_id, "AttributePayload")),
            self._optional_name("thing_type", given, logical_id, "ThingTypeName"),
            self._groups(given, property_path(logical_id, "ThingGroups")),
            self._optional_name("billing_group", given, logical_id, "BillingGroup"),
            self._overrides(logical_id, found, _THING_OVERRIDES),
        )

    def certificate(self, logical_id: str, found: dict[str, Any]) -> CertificateResource:
        given = self._properties(logical_id, found, _CERTIFICATE)
        self._check_source(given, f"{member('Resources', logical_id)}.Properties")
        texts = {
            name: self.reader.text(given[name], property_path(logical_id, name)) if name in given else None
            for name in _CERTIFICATE
        }
        status, bond = texts["Status"] or Text("ACTIVE"), texts["ThingPrincipalType"] or Text("NON_EXCLUSIVE_THING")
        for name, expression, choices in (("Status", status, STATUSES), ("ThingPrincipalType", bond, PRINCIPAL_TYPES)):
            if isinstance(expression, Text):
                choose(expression.text, choices, property_path(logical_id, name), self.problems)
        self._check_certificate_id(texts["CertificateId"], property_path(logical_id, "CertificateId"))
        return CertificateResource(
            logical_id,
            texts["CertificateId"],
            texts["CertificateSigningRequest"],
            texts["CertificatePem"],
            texts["CACertificatePem"],
            status,
            bond,
            self._overrides(logical_id, found, _CERTIFICATE_OVERRIDES),
        )

    def policy(self, logical_id: str, found: dict[str, Any]) -> PolicyResource:
        given = self._properties(logical_id, found, _POLICY)
        if len(given) != 1:
            self.problems.add(
                f"{member('Resources', logical_id)}.Properties",
                "A policy needs exactly one of PolicyName (it exists already) and PolicyDocument (it is written here).",
            )
        self._overrides(logical_id, found, {})
        document = self._policy_document(given, property_path(logical_id, "PolicyDocument"))
        return PolicyResource(logical_id, self._optional_name("policy", given, logical_id, "PolicyName"), document)

    def _properties(self, logical_id: str, found: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
        path = f"{member('Resources', logical_id)}.Properties"
        return members_of(found.get("Properties", {}), path, known, self.problems)

    def _name(self, kind: str, value: Any, path: str) -> Expression:
        expression = self.reader.text(value, path)
        if isinstance(expression, Text):
            self.problems.check_name(kind, expression.text, path)
        return expression

    def _optional_name(self, kind: str, given: dict[str, Any], logical_id: str, name: str) -> Expression | None:
        return self._name(kind, given[name], property_path(logical_id, name)) if name in given else None

    def _groups(self, given: dict[str, Any], path: str) -> Expression | None:
        if "ThingGroups" not in given:
            return None
        groups = self.reader.items(given["ThingGroups"], path)
        for index, group in enumerate(groups.items if isinstance(groups, Items) else ()):
            if isinstance(group, Text):
                self.problems.check_name("thing_group", group.text, f"{path}[{index}]")
        return groups

    def _attributes(self, given: dict[str, Any], path: str) -> dict[str, Expression] | None:
        """An object, or a list of pairs, each `{name: value}` or `[name, value]`."""
        if "AttributePayload" not in given:
            return None
        attributes: dict[str, Expression] = {}
        for name, item in self._pairs(given["AttributePayload"], path):
            where = member(path, name)
            if name in attributes:
                self.problems.add(where, "This attribute stands twice in the list; keep one.")
            self.problems.check_name("attribute", name, where)
            attributes[name] = self._name("attribute_value", item, where)
        return attributes

    def _pairs(self, value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if is_function(value):
            self.problems.add(path, "Functions give texts, not objects; use one for each value instead.")
        elif isinstance(value, dict):
            yield from value.items()
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict) and len(item) == 1:
                    yield from item.items()
                elif isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):
                    yield item[0], item[1]
                else:
                    self.problems.add(f"{path}[{index}]", "Must be one pair: {name: value} or [name, value].")
        else:
            self.problems.add(path, f"Must be an object of names and values, not {kind_of(value)}.")

    def _check_source(self, given: dict[str, Any], path: str) -> None:
        sources = [name for name in _SOURCES if name in given]
        if self.kind != Kind.REGISTRATION and (sources != ["CertificateId"] or "CACertificatePem" in given):
            self.problems.add(
                path,
                f"A {self.kind} template takes its certificate by CertificateId alone, "
                f'as in {{"CertificateId": {{"Ref": "{CERTIFICATE_ID}"}}}}.',
            )
        elif len(sources) != 1:
            self.problems.add(path, f"A certificate needs exactly one of {', '.join(_SOURCES)}.")
        elif "CACertificatePem" in given and "CertificatePem" not in given:
            self.problems.add(path, "CACertificatePem goes with CertificatePem only.")

    def _check_certificate_id(self, expression: Expression | None, path: str) -> None:
        if isinstance(expression, Text):
            try:
                names.fingerprint(expression.text)
            except InvalidRequest:
                self.problems.add(path, f"A certificate id is 64 hexadecimal digits, not {shown(expression.text)}.")

    def _policy_document(self, given: dict[str, Any], path: str) -> Expression | None:
        if "PolicyDocument" not in given:
            return None
        written = given["PolicyDocument"]
        if isinstance(written, dict) and not is_function(written):
            return self.reader.tree(written, path)
        expression = self.reader.text(written, path)
        if isinstance(expression, Text):
            read_object(expression.text, path, self.problems)
        return expression

    def _overrides(
        self, logical_id: str, found: dict[str, Any], known: Mapping[str, Collection[str]]
    ) -> dict[str, Override]:
        path = f"{member('Resources', logical_id)}.OverrideSettings"
        spellings = (*known, *(upper for upper, name in _UPPER_CASE.items() if name in known))
        overrides: dict[str, Override] = {}
        for written, value in members_of(found.get("OverrideSettings", {}), path, spellings, self.problems).items():
            name, where = _UPPER_CASE.get(written, written), member(path, written)
            if name in overrides:
                self.problems.add(where, f"{name} is set twice, in two spellings; keep one.")
            if isinstance(value, str) and value in known[name]:
                overrides[name] = Override(value)
            else:
                self.problems.add(where, f"{shown(value)} is none of {', '.join(known[name])}.")
        return overrides


_TYPES: Final[dict[str, Callable[[ResourceReader, str, dict[str, Any]], Resource]]] = {
    "AWS::IoT::Thing": ResourceReader.thing,
    "AWS::IoT::Certificate": ResourceReader.certificate,
    "AWS::IoT::Policy": ResourceReader.policy,
}
