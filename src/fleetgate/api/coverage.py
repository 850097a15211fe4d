"""The coverage page, made of dispatch tables and service models: `python -m fleetgate.api.coverage > FILE`."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from typing import Final

from fleetgate.api.data_plane import ANSWERS
from fleetgate.api.services import SERVICES
from fleetgate.wire.restjson import model
from fleetgate.wire.restjson.model import Model

_HEAD: Final = """\
# Coverage

What is served of AWS's services at the operators' door. Everything else answers 501 `NotImplementedException` with its
name.

Requests are held against the whole of the service model: required members, minima, maxima, patterns and enums, with
every problem in one answer. AWS's own clients check only a part of that. Where AWS does not document a behaviour, or
ours differs, `aws-divergences.md` says so.

This page is made from the dispatch tables: `python -m fleetgate.api.coverage > docs/coverage.md`.
"""

_WHY_NOT: Final[dict[str, str]] = {
    "jobs": "what is done to devices after they are in the fleet is another server's business",
    "OTA updates and streams": "files for devices are another server's business",
    "commands": "what is done to devices after they are in the fleet is another server's business",
    "software packages": "an inventory of software is another server's business",
    "Device Defender": "audits and the detection of anomalies are another server's business",
    "fleet metrics": "a monitoring system asks the search operations itself",
    "logging": "the server's log is configured where it runs",
    "encryption": "keys of AWS KMS encrypt nothing here; encrypt the disk",
    "rule destinations": "rules republish and call functions; there is nobody else to confirm",
}
"""Groups of operations of `iot` that are out of scope, and why."""

_OUT_OF_SCOPE: Final = (
    ("jobs", r"Job"),
    ("OTA updates and streams", r"OTAUpdate|Stream"),
    ("commands", r"Command"),
    ("software packages", r"Package|Sbom"),
    ("fleet metrics", r"FleetMetric"),
    ("logging", r"Logging"),
    ("encryption", r"EncryptionConfiguration"),
    ("rule destinations", r"TopicRuleDestination"),
    (
        "Device Defender",
        r"Audit|Mitigation|SecurityProfile|Violation|CustomMetric|Dimension|BehaviorModel|MetricValues",
    ),
)
_WHOLE: Final = frozenset({"iot", "iot-data"})
"""Services whose every operation is listed; of the others, which are large and near to nothing here, what is served."""


def page() -> str:
    """docs/coverage.md."""
    lines = _HEAD.splitlines()
    for service in SERVICES.values():
        lines += ["", *_section(service.model, service.operations)]
    lines += ["", *_section(model.load("iot-data"), ANSWERS)]
    lines += ["", "## Why not", "", "| operations | why they are not served |", "| --- | --- |"]
    lines += [f"| {group} | {why} |" for group, why in _WHY_NOT.items()]
    return "\n".join(lines) + "\n"


def out_of_scope(operation: str) -> str | None:
    """The group that an operation of `iot` is left out with; None where it is in scope."""
    return next((group for group, pattern in _OUT_OF_SCOPE if re.search(pattern, operation)), None)


def _section(known: Model, served: Collection[str]) -> list[str]:
    every = known.operations
    names = sorted(every if known.service in _WHOLE else served)
    lines = [f"## {known.service}", "", f"{len(served)} of {len(every)} operations are served."]
    if len(names) < len(every):
        lines[-1] += " They are:"
    lines += ["", "| operation | state |", "| --- | --- |"]
    return lines + [f"| {name} | {'done' if name in served else _unserved(name)} |" for name in names]


def _unserved(name: str) -> str:
    group = out_of_scope(name)
    return "answers 501" if group is None else f"answers 501 ({group})"


if __name__ == "__main__":
    sys.stdout.write(page())
