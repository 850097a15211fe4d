"""Provisioning templates: from a template body to a checked Document.

The grammar is that of AWS IoT's provisioning templates (Developer Guide, "Provisioning templates"), one for all kinds;
`Kind` says which certificate sources fit, and that only fleet provisioning has somebody to hand DeviceConfiguration to.
What nobody can know before a device comes (a Ref to a name that is never given, an index outside a list) is left to
rendering, as AWS does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from fleetgate.errors import InvalidRequest
from fleetgate.template.expressions import Expression, Mappings
from fleetgate.template.functions import Reader, is_function
from fleetgate.template.problems import Problems, member
from fleetgate.template.resources import (
    CertificateResource,
    Kind,
    Override,
    PolicyResource,
    Resource,
    ResourceReader,
    ThingResource,
)
from fleetgate.template.source import kind_of, members_of, read_object

__all__ = ["BODY_LIMIT", "Document", "Kind", "Override", "parse"]

BODY_LIMIT: Final = 10_240
"""Characters of a template body (service model, TemplateBody)."""

_SECTIONS: Final = ("Parameters", "Mappings", "Resources", "DeviceConfiguration")
_PARAMETER: Final = ("Type", "Default")


@dataclass(frozen=True, slots=True)
class Document:
    """A template without problems of its own."""

    kind: Kind
    parameters: Mapping[str, str | None]
    """Name: Default."""
    mappings: Mappings
    resources: tuple[Resource, ...]
    naming_order: tuple[str, ...]
    """Logical ids, each after those its own resource's name refers to."""
    device_configuration: Mapping[str, Expression]

    @property
    def thing(self) -> ThingResource | None:
        return next((found for found in self.resources if isinstance(found, ThingResource)), None)

    @property
    def certificate(self) -> CertificateResource | None:
        return next((found for found in self.resources if isinstance(found, CertificateResource)), None)

    @property
    def policies(self) -> tuple[PolicyResource, ...]:
        return tuple(found for found in self.resources if isinstance(found, PolicyResource))

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every value that is rendered, with its path."""
        for resource in self.resources:
            yield from resource.expressions()
        for name, value in self.device_configuration.items():
            yield member("DeviceConfiguration", name), value


def parse(body: str, kind: Kind) -> Document:
    """The template in *body*, a JSON object of at most BODY_LIMIT characters.

    Raises InvalidRequest with every problem and its path. Inline policy documents are checked to be JSON objects only;
    `render.fixed_policies` gives a caller the ones that can be judged as policies at this time.
    """
    problems = Problems()
    if len(body) > BODY_LIMIT:
        problems.add("", f"It has {len(body)} characters; at most {BODY_LIMIT} are allowed.")
        problems.throw(InvalidRequest)
    written = read_object(body, "", problems)
    problems.throw(InvalidRequest)
    document = _document(written, kind, problems)
    problems.throw(InvalidRequest)
    return document


def _document(written: Any, kind: Kind, problems: Problems) -> Document:
    sections = members_of(written, "", _SECTIONS, problems)
    if "DeviceConfiguration" in sections and kind != Kind.FLEET_PROVISIONING:
        problems.add("DeviceConfiguration", f"A {kind} template has nobody to send it to; leave the section out.")
    parameters = _parameters(sections.get("Parameters", {}), problems)
    mappings = _mappings(sections.get("Mappings", {}), problems)
    reader = Reader(mappings, problems)
    resources = _resources(sections, ResourceReader(kind, reader, problems), problems)
    return Document(
        kind,
        parameters,
        mappings,
        tuple(resources),
        _naming_order(resources, parameters, problems),
        _device_configuration(sections.get("DeviceConfiguration", {}), reader),
    )


def _object(value: Any, path: str, problems: Problems) -> dict[str, Any]:
    if isinstance(value, dict) and not is_function(value):
        return value
    found = "a function" if is_function(value) else kind_of(value)
    problems.add(path, f"Must be an object, not {found}.")
    return {}


def _parameters(section: Any, problems: Problems) -> dict[str, str | None]:
    return {
        name: _default(value, member("Parameters", name), problems)
        for name, value in _object(section, "Parameters", problems).items()
    }


def _default(parameter: Any, path: str, problems: Problems) -> str | None:
    given = members_of(parameter, path, _PARAMETER, problems)
    if given.get("Type") != "String":
        problems.add(path, 'A parameter has "Type": "String"; there is no other type.')
    default = given.get("Default")
    if "Default" in given and not isinstance(default, str):
        problems.add(f"{path}.Default", f"Must be a string, not {kind_of(default)}.")
    return default if isinstance(default, str) else None


def _mappings(section: Any, problems: Problems) -> Mappings:
    return {
        name: {
            top: {second: _mapped(value, member(where, second), problems) for second, value in values.items()}
            for top, where, values in _levels(value, member("Mappings", name), problems)
        }
        for name, value in _object(section, "Mappings", problems).items()
    }


def _levels(mapping: Any, path: str, problems: Problems) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for top, value in _object(mapping, path, problems).items():
        where = member(path, top)
        yield top, where, _object(value, where, problems)


def _mapped(value: Any, path: str, problems: Problems) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    found = "a function" if is_function(value) else kind_of(value)
    problems.add(path, f"Mappings hold two levels of names and below them strings or lists of strings, not {found}.")
    return ""


def _resources(sections: dict[str, Any], reader: ResourceReader, problems: Problems) -> list[Resource]:
    written = _object(sections.get("Resources", {}), "Resources", problems)
    if not written:
        problems.add("Resources", "A template names at least one resource to make.")
    found = [reader.read(logical_id, value) for logical_id, value in written.items()]
    resources = [resource for resource in found if resource is not None]
    for kind, called in ((ThingResource, "thing"), (CertificateResource, "certificate")):
        if sum(isinstance(resource, kind) for resource in resources) > 1:
            problems.add("Resources", f"A template makes at most one {called}.")
    return resources


def _naming_order(
    resources: Sequence[Resource], parameters: Mapping[str, str | None], problems: Problems
) -> tuple[str, ...]:
    """A parameter of the same name hides a resource."""
    nameable = {resource.logical_id for resource in resources} - parameters.keys()
    graph = {
        resource.logical_id: nameable.intersection(resource.naming.references()) if resource.naming else ()
        for resource in resources
    }
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        problems.add("Resources", f"The names refer to each other in a circle: {' <- '.join(error.args[1])}.")
        return ()


def _device_configuration(section: Any, reader: Reader) -> dict[str, Expression]:
    configuration = {}
    for name, value in _object(section, "DeviceConfiguration", reader.problems).items():
        where = member("DeviceConfiguration", name)
        if isinstance(value, dict | list) and not is_function(value):
            reader.problems.add(where, f"The section is flat: strings and functions, not {kind_of(value)}.")
        else:
            configuration[name] = reader.text(value, where)
    return configuration
