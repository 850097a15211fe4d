"""For test suites of programs that are provisioned: a server of their own, in a process of its own.

pytest finds the fixtures by itself (`fleetgate.testing.plugin`); for anything else there is `start`:

    with start() as fleetgate:
        fleetgate.client("iot").list_things()
"""

from __future__ import annotations

from fleetgate.testing.process import Failed, start
from fleetgate.testing.served import Claim, Device, Fleetgate, MissingDependency

__all__ = ["Claim", "Device", "Failed", "Fleetgate", "MissingDependency", "start"]
