"""Functions that are called when a certificate waits for activation, as AWS's guide has rules call Lambda functions.

A handler file runs in the machinery of hooks. It is given AWS's event, and in its environment the address of this
server's API and an access key of its own, so that published handlers, which talk to AWS by boto3, talk to this server.

A call that fails is not made again: the device comes again, and every presentation makes a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from fleetgate.config import FunctionConfig
from fleetgate.database.port import Tx
from fleetgate.errors import FleetgateError, FunctionUnavailable
from fleetgate.names import Act, Realm
from fleetgate.provisioning.function import FunctionSpec
from fleetgate.provisioning.function_pool import FunctionPool
from fleetgate.provisioning.just_in_time import registered_event
from fleetgate.registry import access_keys, audit, events, functions, outbox, registration_functions
from fleetgate.runtime import Runtime

log = structlog.get_logger(__name__)

INVOKE: Final = "InvokeFunction"
"""In the audit trail, where a call failed."""
MOST_AT_ONCE: Final = 1_000
"""Presentations whose functions are being called; more are left to the devices' next attempts."""
_MILLISECONDS: Final = 30_000


@dataclass(frozen=True, slots=True)
class _Call:
    function: functions.Function
    key_id: str
    sealed_secret: str | None
    """None where an operator deleted the key or switched it off."""


class RegistrationHandlers:
    """`consume` is for `Dispatcher.add`; `close` ends what runs."""

    def __init__(self, runtime: Runtime, api_url: str) -> None:
        self._runtime, self._api_url = runtime, api_url
        self._functions = FunctionPool()
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
        await self._functions.close()

    async def _handle(self, entry: outbox.Entry, presented: events.CertificatePresented) -> None:
        try:
            calls = await self._runtime.database.glance(lambda tx: _calls(tx, entry.realm, presented.ca_fingerprint))
            for call in calls:
                await self._call(call, entry, presented)
        except FleetgateError as error:
            log.warning("registration functions not called", reason=error.message, request_id=entry.request_id)
        except Exception:
            log.exception("registration functions not called", request_id=entry.request_id)

    async def _call(self, call: _Call, entry: outbox.Entry, presented: events.CertificatePresented) -> None:
        act = self._runtime.act(entry.realm, entry.actor)
        try:
            spec = self._spec(call, entry.realm)
            await self._functions.get(spec).invoke(registered_event(entry, presented)[1], act.request_id)
        except FleetgateError as error:
            reason = error.message
            log.warning("function failed", function=call.function.name, reason=reason, request_id=act.request_id)
            await self._runtime.write(lambda tx: _failed(tx, act, call, presented, reason))
        else:
            log.info("function called", function=call.function.name, request_id=act.request_id)

    def _spec(self, call: _Call, realm: Realm) -> FunctionSpec:
        function, hooks = call.function, self._runtime.config.hooks
        if call.sealed_secret is None:
            raise FunctionUnavailable(
                f"{function.name}: its access key {call.key_id} is not there or not active any more. Make it another "
                f"with: fleetgate function on-registration {function.name} --off, and the same without --off"
            )
        own = {
            "AWS_ENDPOINT_URL": self._api_url,
            "AWS_ACCESS_KEY_ID": call.key_id,
            "AWS_SECRET_ACCESS_KEY": self._runtime.vault.open_sealed(call.sealed_secret),
        }
        return FunctionSpec(
            function.name,
            realm,
            Path(function.file),
            function.handler,
            own | dict(hooks.functions.get(function.name, FunctionConfig()).environment),
            _MILLISECONDS,
            hooks.concurrency,
        )


def _calls(tx: Tx, realm: Realm, ca_fingerprint: str) -> list[_Call]:
    found = []
    for binding in registration_functions.of_authority(tx, realm, ca_fingerprint):
        key = access_keys.find(tx, binding.access_key_id)
        usable = key is not None and key.status == access_keys.Status.ACTIVE
        function = functions.get(tx, realm, binding.function_name)
        found.append(_Call(function, binding.access_key_id, key.sealed_secret if key and usable else None))
    return found


def _failed(tx: Tx, act: Act, call: _Call, presented: events.CertificatePresented, reason: str) -> None:
    target = f"arn:aws:lambda:{act.realm.region}:{act.realm.account}:function:{call.function.name}"
    details = {"certificateId": presented.fingerprint, "caCertificateId": presented.ca_fingerprint}
    audit.add(tx, act, INVOKE, target, "failed", reason, details)
