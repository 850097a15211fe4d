"""Functions that are called when a certificate waits for activation, as AWS's guide has rules call Lambda functions.

It is given AWS's event. How it runs, and as whom it may call this server's API, is told in `functions`.

A call that fails is not made again: the device comes again, and every presentation makes a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from fleetgate.database.port import Tx
from fleetgate.errors import FleetgateError
from fleetgate.names import Act, Realm
from fleetgate.provisioning.functions import arn
from fleetgate.provisioning.just_in_time import registered_event
from fleetgate.registry import audit, events, outbox, registration_functions
from fleetgate.runtime import Runtime

log = structlog.get_logger(__name__)

INVOKE: Final = "InvokeFunction"
"""In the audit trail, where a call failed."""
MOST_AT_ONCE: Final = 1_000
"""Presentations whose functions are being called; more are left to the devices' next attempts."""


class RegistrationHandlers:
    """`consume` is for `Dispatcher.add`; `close` ends what runs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tasks: set[asyncio.Task[None]] = set()

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        for entry in entries:
            if not isinstance(entry.event, events.CertificatePresented):
                continue
            if len(self._tasks) >= MOST_AT_ONCE:
                log.warning("registration functions not called", reason="too many at once", realm=str(entry.realm))
                continue
            task = asyncio.get_running_loop().create_task(self._handle(entry, entry.event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handle(self, entry: outbox.Entry, presented: events.CertificatePresented) -> None:
        try:
            called = await self._runtime.database.glance(lambda tx: _called(tx, entry.realm, presented.ca_fingerprint))
            for function in called:
                await self._call(function, entry, presented)
        except FleetgateError as error:
            log.warning("registration functions not called", reason=error.message, request_id=entry.request_id)
        except Exception:
            log.exception("registration functions not called", request_id=entry.request_id)

    async def _call(self, function: str, entry: outbox.Entry, presented: events.CertificatePresented) -> None:
        act = self._runtime.act(entry.realm, entry.actor)
        try:
            await self._runtime.functions.invoke(act, function, registered_event(entry, presented)[1])
        except FleetgateError as error:
            reason = error.message
            log.warning("function failed", function=function, reason=reason, request_id=act.request_id)
            await self._runtime.write(lambda tx: _failed(tx, act, function, presented, reason))
        else:
            log.info("function called", function=function, request_id=act.request_id)


def _called(tx: Tx, realm: Realm, ca_fingerprint: str) -> list[str]:
    return [each.function_name for each in registration_functions.of_authority(tx, realm, ca_fingerprint)]


def _failed(tx: Tx, act: Act, function: str, presented: events.CertificatePresented, reason: str) -> None:
    details = {"certificateId": presented.fingerprint, "caCertificateId": presented.ca_fingerprint}
    audit.add(tx, act, INVOKE, arn(act.realm, function), "failed", reason, details)
