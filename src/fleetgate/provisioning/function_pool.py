"""Functions by realm and name: a function keeps its process while what is known of it stays as it is."""

from __future__ import annotations

import asyncio

from fleetgate.names import Realm
from fleetgate.provisioning.function import Function, FunctionSpec


class FunctionPool:
    """`get` is called on the event loop that invokes; `close` ends every process."""

    def __init__(self) -> None:
        self._functions: dict[tuple[Realm, str], Function] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, spec: FunctionSpec) -> Function:
        """The function of that realm and name as *spec* has it now; a former one finishes what it is at."""
        key = (spec.realm, spec.name)
        known = self._functions.get(key)
        if known is not None and known.spec == spec:
            return known
        if known is not None:
            self._retire(known)
        self._functions[key] = Function(spec)
        return self._functions[key]

    async def close(self) -> None:
        for function in self._functions.values():
            self._retire(function)
        self._functions.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    def _retire(self, function: Function) -> None:
        task = asyncio.get_running_loop().create_task(function.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
