"""Which hook stands behind a template's `targetArn`: a file bound in the registry, else one of the configuration.

Nothing is started before somebody is asked.
"""

from __future__ import annotations

from collections.abc import Callable

from fleetgate.config import HooksConfig
from fleetgate.names import Realm
from fleetgate.provisioning.function_pool import FunctionPool
from fleetgate.provisioning.functions import function_name, specified
from fleetgate.provisioning.hooks import FunctionHook, HttpsHook
from fleetgate.runtime import Hook


class BoundHooks:
    """The port `Hooks`. `find` is called on the event loop that asks; `close` ends every process."""

    def __init__(self, config: HooksConfig, entropy: Callable[[int], bytes]) -> None:
        """Raises InvalidRequest for a configured address or CA file that cannot be used."""
        self._config = config
        self._entropy = entropy
        self._functions = FunctionPool()
        self._addresses = {
            name: HttpsHook(one.url, one.ca_file, config.time_limit, config.concurrency)
            for name, one in config.functions.items()
            if one.url is not None
        }

    def find(self, realm: Realm, target_arn: str, function: str | None) -> Hook | None:
        """*function* is what the registry has bound, `FILE:HANDLER`."""
        name = function_name(target_arn)
        spec = specified(self._config, realm, name, function, self._config.time_limit)
        return self._addresses.get(name) if spec is None else FunctionHook(self._functions.get(spec), self._entropy)

    async def close(self) -> None:
        await self._functions.close()
