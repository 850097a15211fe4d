"""The coverage page, made from the dispatch table and the service model: `python -m fleetgate.api.coverage > FILE`."""

from __future__ import annotations

import sys
from typing import Final

from fleetgate.api.services import SERVICES
from fleetgate.api.table import OPERATIONS
from fleetgate.wire.restjson.model import load

_HEAD: Final = """\
# Coverage

Of the {all} operations of AWS IoT's control plane (`iot`), {done} are served. The others answer 501
`NotImplementedException` with their name. So do services that are not on this page.

Requests are held against the whole of the service model: required members, minima, maxima, patterns and enums, with
every problem in one answer. AWS's own clients check only a part of that. Where AWS does not document a behaviour, or
ours differs, `aws-divergences.md` says so.

This page is made from the dispatch table: `python -m fleetgate.api.coverage > docs/coverage.md`.
"""

_OF_OTHERS: Final = "Of its {all} operations these are served; the others answer 501."


def page() -> str:
    """docs/coverage.md."""
    names = load("iot").operations
    done, all_ = len(OPERATIONS), len(names)
    lines = [*_HEAD.format(done=done, all=all_).splitlines(), "", "| operation | state |", "| --- | --- |"]
    lines += [f"| {name} | {'done' if name in OPERATIONS else 'answers 501'} |" for name in sorted(names)]
    for service, others in SERVICES.items():
        if service != "iot":
            lines += ["", f"## `{others.name}`", "", _OF_OTHERS.format(all=len(others.model.operations))]
            lines += ["", *(f"- {name}" for name in sorted(others.operations))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
