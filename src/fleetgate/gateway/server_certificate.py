"""The certificate that devices are shown: renewed where it is due, and where another name has to be in it.

One certificate speaks for every endpoint name of the installation. Whoever shakes hands sees the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from OpenSSL import SSL

from fleetgate import authority, endpoints
from fleetgate.gateway.listener import Listener
from fleetgate.installation import Installation
from fleetgate.names import NO_ACCOUNT
from fleetgate.registry import domains, events, issuances, outbox
from fleetgate.runtime import Runtime
from fleetgate.wire.tls import server_context

log = structlog.get_logger(__name__)

MQTT_PROTOCOLS: Final = (b"x-amzn-mqtt-ca", b"mqtt")
HTTP_PROTOCOLS: Final = (b"http/1.1", b"x-amzn-http-ca")
_LOOK_SECONDS: Final = 12 * 3600


class ServerCertificate:
    """`renew` before the doors open, then `run` for good; `consume` is for `Dispatcher.add`."""

    def __init__(self, runtime: Runtime, installation: Installation, listener: Listener) -> None:
        self._runtime, self._installation, self._listener = runtime, installation, listener
        self._outdated = asyncio.Event()

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        if any(isinstance(entry.event, events.DomainConfigurationChanged) for entry in entries):
            self._outdated.set()

    async def run(self) -> None:
        """Look twice a day, and whenever there are other names."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._outdated.wait()
            except TimeoutError:
                pass
            self._outdated.clear()
            try:
                await self.renew()
            except BaseException:
                self._outdated.set()  # whoever starts this again looks at once
                raise

    async def renew(self) -> None:
        """Make it anew where it is due, and show it from the next handshake on."""
        installation, runtime = self._installation, self._runtime
        customs = await runtime.database.read(domains.domain_names)
        names = endpoints.server_names(runtime.config.gateway, customs)
        act = runtime.act(NO_ACCOUNT, "system")
        if due := installation.prepare_server_certificate(names, act.now):
            prepared, public_key = due
            intent = authority.intent(prepared, runtime.issuer, public_key, "server")
            await runtime.write(lambda tx: issuances.begin(tx, act, intent))
            fingerprint = installation.complete_server_certificate(prepared)
            await runtime.write(lambda tx: authority.note(tx, act, intent, fingerprint, "server"))
            log.info("server certificate issued", names=list(names))
        elif self._listener.contexts:
            return
        self._listener.contexts = {
            "mqtt": self._context(MQTT_PROTOCOLS),
            "https": self._context((*MQTT_PROTOCOLS, *HTTP_PROTOCOLS)),
        }

    def _context(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        return server_context(self._installation.server_chain, self._installation.server_key, protocols)
