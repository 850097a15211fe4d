"""Which values a template needs, and who has to give them: for dry runs and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleetgate.template.document import Document, Kind
from fleetgate.template.pseudo_parameters import CERTIFICATE_ID, PREFIX, SUBJECT_FIELDS


class Supplier(StrEnum):
    """Who gives a value."""

    REQUEST = "request"
    """The device, its hook, or the line of a bulk file."""
    CERTIFICATE = "certificate"
    """The certificate itself: its id, in just-in-time provisioning also its subject."""
    NOBODY = "nobody"
    """Only a Default can; without one every rendering that uses the name fails."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One name a template declares or refers to."""

    name: str
    supplier: Supplier
    default: str | None
    used_at: tuple[str, ...]
    """Paths of the properties that need it; empty for a parameter that is only declared."""
    required: bool
    """Whether rendering fails when nobody gives it a value."""


def requirements(document: Document) -> tuple[Requirement, ...]:
    """Every name the template needs, declared ones first, each once, in the template's order."""
    used: dict[str, list[str]] = {name: [] for name in document.parameters}
    made = {resource.logical_id for resource in document.resources if resource.naming} - document.parameters.keys()
    for path, expression in document.expressions():
        for name in dict.fromkeys(expression.references()):
            if name not in made:
                used.setdefault(name, []).append(path)
    return tuple(_requirement(document, name, tuple(paths)) for name, paths in used.items())


def _requirement(document: Document, name: str, used_at: tuple[str, ...]) -> Requirement:
    default = document.parameters.get(name)
    # Just-in-time provisioning fails for a declared field the subject lacks, used or not.
    needed = bool(used_at) or document.kind == Kind.JITP
    return Requirement(name, _supplier(document, name), default, used_at, needed and default is None)


def _supplier(document: Document, name: str) -> Supplier:
    if document.kind != Kind.REGISTRATION:
        if name == CERTIFICATE_ID or (document.kind == Kind.JITP and name in SUBJECT_FIELDS):
            return Supplier.CERTIFICATE
        if document.kind == Kind.JITP or name.startswith(PREFIX):
            return Supplier.NOBODY
    return Supplier.REQUEST if name in document.parameters else Supplier.NOBODY


def naming_parameters(document: Document) -> frozenset[str]:
    """The declared parameters that the thing's name depends on, also by way of another resource's name."""
    namings = {resource.logical_id: resource.naming for resource in document.resources if resource.naming}
    waiting, found = list(document.thing.name.references()) if document.thing else [], set[str]()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in namings and name not in document.parameters:  # a parameter of the same name hides a resource
            waiting += namings[name].references()
    return frozenset(found & document.parameters.keys())
