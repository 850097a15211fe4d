"""HTTP behind the devices' TLS: the app is told who is at the door."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.gateway.callers import ALL, Hall, Visitor, Wire

from fleetgate.gateway.https import HttpDoors
from fleetgate.pki import certificate

REQUEST = b"GET /where?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class App:
    """Remembers each scope, and waits where it is told to."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await self.go.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class HttpWire(Wire):
    """As uvicorn asks its transport."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 443), "sslcontext": True}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        raise AssertionError

    async def answered(self) -> bytes:
        async with asyncio.timeout(10):
            while b"\r\n\r\n" not in self.sent:
                self.stirred.clear()
                await self.stirred.wait()
        return bytes(self.sent)


@pytest.fixture
def app() -> App:
    return App()


async def ask(doors: HttpDoors, visitor: Visitor | None) -> tuple[asyncio.Protocol, HttpWire]:
    wire, door = HttpWire(), doors.door(visitor)
    door.connection_made(wire)
    door.data_received(REQUEST)
    await asyncio.sleep(0)
    return door, wire


async def test_a_device_is_introduced(hall: Hall, app: App) -> None:
    device = await hall.certificate(ALL)
    door, wire = await ask(HttpDoors(app), Visitor(device, server_name="iot.example"))
    assert (await wire.answered()).startswith(b"HTTP/1.1 204")
    [scope] = app.scopes
    told = scope["extensions"]["tls"]
    assert told["client_cert_chain"] == [certificate.pem(device)]
    assert told["client_cert_name"] == "CN=AWS IoT Certificate"
    assert told["server_name"] == "iot.example"
    assert (scope["scheme"], scope["path"], scope["query_string"]) == ("https", "/where", b"a=b")
    door.connection_lost(None)


async def test_nobody_is_introduced_as_nobody(app: App) -> None:
    door, wire = await ask(HttpDoors(app), Visitor(None))
    await wire.answered()
    told = app.scopes[0]["extensions"]["tls"]
    assert (told["client_cert_chain"], told["client_cert_name"]) == ([], None)
    door.connection_lost(None)


async def test_operators_come_without_tls(app: App) -> None:
    door, wire = await ask(HttpDoors(app), None)
    await wire.answered()
    assert "tls" not in app.scopes[0].get("extensions", {})
    door.connection_lost(None)


async def test_a_request_that_has_begun_is_finished_before_the_end(app: App) -> None:
    app.go.clear()
    doors = HttpDoors(app)
    door, wire = await ask(doors, None)
    closing = asyncio.create_task(doors.close())
    await asyncio.sleep(0)
    assert not closing.done()
    app.go.set()
    await closing
    assert (await wire.answered()).startswith(b"HTTP/1.1 204")
    assert wire.over
    door.connection_lost(None)
