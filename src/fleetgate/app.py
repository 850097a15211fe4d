"""The only place where things are put together: a configuration becomes a running server."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from fleetgate.api.app import build as build_api
from fleetgate.config import Config
from fleetgate.errors import Unavailable
from fleetgate.gateway import mqtt
from fleetgate.gateway.courier import Courier
from fleetgate.gateway.entrance import Entrance
from fleetgate.gateway.happenings import Happenings
from fleetgate.gateway.https import HttpDoors
from fleetgate.gateway.listener import Doorway, Listener, Visitor
from fleetgate.gateway.nodes import Nodes, broker
from fleetgate.gateway.recorder import Recorder
from fleetgate.gateway.registry_events import RegistryEvents
from fleetgate.gateway.server_certificate import MQTT_PROTOCOLS, ServerCertificate
from fleetgate.gateway.websocket import WebSockets
from fleetgate.provisioning import bulk, campaign
from fleetgate.provisioning.just_in_time import JustInTime
from fleetgate.provisioning.registration_handlers import RegistrationHandlers
from fleetgate.runtime import Runtime
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.rules import AWS, STANDARD
from fleetgate.works import Works, clock, works

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
_BURIAL_SECONDS = 3.0
# What is under way when the server is stopped is answered; a hook may take its time limit.
_ANSWER_SECONDS = 6.0


def monotonic() -> int:
    """Milliseconds since some moment; nobody sets this clock."""
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and where it listens."""

    works: Works
    courier: Courier
    api_port: int
    mqtt_port: int
    https_port: int

    @property
    def runtime(self) -> Runtime:
        return self.works.runtime

    @property
    def api_url(self) -> str:
        config = self.works.runtime.config.api
        scheme = "https" if config.tls_certificate else "http"
        host = f"[{config.host}]" if ":" in config.host else config.host
        return f"{scheme}://{host}:{self.api_port}"


Reset = Callable[["Works", Courier], Awaitable[None]]


@asynccontextmanager
async def serve(config: Config, reset: Reset | None = None, clock: Callable[[], int] = clock) -> AsyncIterator[Server]:
    """Open every door; inside the block the server is up. *reset* is what a dev server's reset does.

    *clock* is what the records go by. Connections and sessions keep a time of their own, which nobody can set.
    """
    async with works(config, clock) as opened:
        runtime = opened.runtime
        await opened.dispatcher.begin()
        courier, nodes = await _courier(config, opened, clock)
        happenings = await _happenings(opened, courier, nodes)
        doors = HttpDoors(build_api(runtime, None if reset is None else lambda: reset(opened, courier), courier))
        listener = Listener(config.gateway.maximum_connections)
        shown = ServerCertificate(runtime, opened.installation, listener)
        opened.dispatcher.add(shown.consume, everywhere=True)
        tasks: list[asyncio.Task[None]] = []
        handlers: RegistrationHandlers | None = None
        try:
            server = await _open_doors(config, opened, courier, listener, shown, doors)
            opened.functions.api_url = server.api_url
            handlers = RegistrationHandlers(runtime)
            opened.dispatcher.add(handlers.consume)
            tasks += [
                _keep_running("dispatcher", opened.dispatcher.run),
                _keep_running("upkeep", opened.upkeep.run),
                _keep_running("bulk registration", bulk.Runner(runtime).run),
                _keep_running("rotation campaigns", campaign.Runner(runtime).run),
                _keep_running("clock", lambda: _every(_TICK_SECONDS, courier.tick)),
                _keep_running("server certificate", shown.run),
            ]
            if nodes is not None:
                tasks.append(_keep_running("nodes", nodes.run))
                tasks.append(_keep_running("dead nodes", lambda: _every(_BURIAL_SECONDS, happenings.connectivity.bury)))
            yield server
        finally:
            listener.stop()
            await courier.finish(_ANSWER_SECONDS)
            courier.dismiss(Reason.SERVER_SHUTTING_DOWN, "the server is shutting down")
            await listener.close()
            await courier.close(_ANSWER_SECONDS)
            await doors.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if nodes is not None:
                await nodes.leave()
            await happenings.rules.close()
            await happenings.connectivity.finish(_ANSWER_SECONDS)
            if handlers is not None:
                await handlers.close()


async def _courier(config: Config, opened: Works, clock: Callable[[], int]) -> tuple[Courier, Nodes | None]:
    """With every session and retained message as it was; and this node among the others, where there are others."""
    runtime, rules = opened.runtime, AWS if config.gateway.mqtt_rules == "aws" else STANDARD
    bus = None if config.nodes.bus is None else broker(config.nodes)
    recorder = Recorder(runtime.database, clock, monotonic, "" if bus is None else bus.node)
    courier = Courier(rules, monotonic, recorder, clock)
    nodes = None if bus is None else Nodes(runtime, courier, recorder, bus, opened.node_id)
    await courier.restore()
    if nodes is not None:
        await nodes.join()
    return courier, nodes


async def _happenings(opened: Works, courier: Courier, nodes: Nodes | None) -> Happenings:
    """Whoever hears of what happens at the door and of what is committed: on every node, or on the one that acts."""
    runtime, dispatcher = opened.runtime, opened.dispatcher
    happenings = courier.observer = Happenings(runtime, courier, None if nodes is None else opened.node_id)
    told = RegistryEvents(runtime, courier.publish)
    await happenings.rules.load()
    await happenings.connectivity.load()
    await told.load()
    dispatcher.add(courier.consume, courier.give_up, everywhere=True)
    dispatcher.add(happenings.rules.consume, everywhere=True)
    dispatcher.add(happenings.connectivity.consume, everywhere=True)
    dispatcher.add(courier.announce)
    dispatcher.add(told.consume)
    if nodes is not None:
        dispatcher.add(told.follow, everywhere=True)
    return happenings


async def _open_doors(
    config: Config,
    opened: Works,
    courier: Courier,
    listener: Listener,
    shown: ServerCertificate,
    doors: HttpDoors,
) -> Server:
    gateway = config.gateway

    entrance = Entrance(opened.runtime, JustInTime(opened.runtime))

    def mqtt_door(visitor: Visitor) -> asyncio.Protocol:
        return mqtt.Door(opened.runtime, courier, entrance, visitor)

    def by_protocol(doorway: Doorway) -> asyncio.Protocol:
        return mqtt_door(doorway) if doorway.tls.alpn in MQTT_PROTOCOLS else doors.door(doorway)

    doors.sockets = WebSockets(opened.runtime, mqtt_door)
    await shown.renew()
    mqtt_port = await listener.listen(gateway.host, gateway.mqtt_port, "mqtt", mqtt_door)
    https_port = await listener.listen(gateway.host, gateway.https_port, "https", by_protocol)
    api_port = await doors.listen(config.api.host, config.api.port, _api_context(config))
    return Server(opened, courier, api_port, mqtt_port, https_port)


def _api_context(config: Config) -> ssl.SSLContext | None:
    if config.api.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.api.tls_certificate, config.api.tls_key)
    except OSError as error:  # ssl.SSLError is one
        what = "the key is not the certificate's" if "KEY_VALUES_MISMATCH" in str(error) else str(error)
        raise Unavailable(
            f"The API's TLS certificate (api.tls_certificate, api.tls_key) cannot be used: {what}"
        ) from error
    return context


async def _every(seconds: float, work: Callable[[], Awaitable[None] | None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        later = work()
        if later is not None:
            await later


def _keep_running(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """A task that a bug cannot end: what it raises is logged, and it starts over."""

    async def run() -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("background task failed", task=name)
                await asyncio.sleep(_TICK_SECONDS)

    return asyncio.create_task(run(), name=name)
