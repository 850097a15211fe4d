"""Which hook stands behind a template's `targetArn`: a file bound in the registry, else one of the configuration.

Nothing is started before somebody is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleetgate.config import FunctionConfig, HooksConfig
from fleetgate.names import Realm
from fleetgate.provisioning.function import FunctionSpec
from fleetgate.provisioning.function_pool import FunctionPool
from fleetgate.provisioning.hooks import FunctionHook, HttpsHook
from fleetgate.runtime import Hook

_UNBOUND = FunctionConfig()


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
        """*function* is what the registry has bound, `FILE:HANDLER`. A configured environment goes to either kind."""
        name = function_name(target_arn)
        configured = self._config.functions.get(name, _UNBOUND)
        if function is not None:
            file, _, handler = function.rpartition(":")
        elif configured.file is not None:
            file, handler = str(configured.file), configured.handler
        else:
            return self._addresses.get(name)
        spec = FunctionSpec(
            name,
            realm,
            Path(file),
            handler,
            configured.environment,
            self._config.time_limit,
            self._config.concurrency,
        )
        return FunctionHook(self._functions.get(spec), self._entropy)

    async def close(self) -> None:
        await self._functions.close()


def function_name(arn: str) -> str:
    """The function's name in `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`; a bare name is one as well."""
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else parts[-1]
