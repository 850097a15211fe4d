"""HTTP behind the devices' TLS: the app is told who is at the door."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.gateway.callers import ALL, Hall, Visitor, Wire

from fleetgate.gateway import https
from fleetgate.gateway.https import LONGEST_HEAD, HttpDoors
from fleetgate.gateway.listener import Turned
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

    def abort(self) -> None:
        self.close()

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


async def test_without_a_certificate_nobody_is_introduced(app: App) -> None:
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


# --- bounds -----------------------------------------------------------------------------------------------------------


def fresh(app: App) -> tuple[asyncio.Protocol, HttpWire]:
    wire, door = HttpWire(), HttpDoors(app).door()
    door.connection_made(wire)
    return door, wire


@pytest.mark.parametrize(
    ("opening", "more"),
    [
        (b"GET /", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-Many: a\r\n" * 100),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Late: a\r\n" * 100),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1", b";extension" * 100),
    ],
)
async def test_a_head_that_does_not_end(app: App, opening: bytes, more: bytes) -> None:
    app.go.clear()
    door, wire = fresh(app)
    door.data_received(opening)
    given = len(opening)
    while not wire.over:
        door.data_received(more)
        given += len(more)
        assert given < 2 * LONGEST_HEAD
    assert wire.sent.startswith(b"HTTP/1.1 431 ")
    door.connection_lost(None)
    app.go.set()


async def test_a_head_that_comes_in_one_piece_is_not_kept_either(app: App) -> None:
    door, wire = fresh(app)
    door.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 4_000_000 + b"\r\n\r\n")
    assert wire.over
    assert wire.sent.startswith(b"HTTP/1.1 431 ")
    assert not app.scopes
    door.connection_lost(None)


async def test_a_body_and_many_requests_are_no_head(app: App) -> None:
    door, wire = fresh(app)
    door.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200_000)
    await wire.answered()
    for _ in range(3):
        for _ in range(40):
            door.data_received(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 30_000 + b"\r\n\r\n")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert not wire.over
    assert len(app.scopes) == 121
    door.connection_lost(None)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: ", REQUEST + b"GET"])
async def test_a_head_that_takes_too_long(app: App, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "SECONDS_FOR_HEAD", 0.01)
    door, wire = fresh(app)
    if said:
        door.data_received(said)
    async with asyncio.timeout(10):
        while not wire.over:
            wire.stirred.clear()
            await wire.stirred.wait()
    door.connection_lost(None)


async def test_operators_are_counted(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "MOST_OPERATORS", 1)
    factories: list[Any] = []

    class Listening:
        sockets = ()

    async def create_server(factory: Any, *_: Any, **__: Any) -> Any:
        factories.append(factory)
        return Listening()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", create_server)
    with pytest.raises(IndexError):  # nobody listens, so there is no port
        await HttpDoors(app).listen("127.0.0.1", 0)
    [accept] = factories
    first = accept()
    first.connection_made(HttpWire())
    assert isinstance(accept(), Turned)
    first.connection_lost(None)
    assert not isinstance(accept(), Turned)


async def test_devices_and_operators_are_counted_apart(hall: Hall, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "MOST_OPERATORS", 1)
    monkeypatch.setattr(https, "MOST_DEVICES", 2)
    doors, device = HttpDoors(app), Visitor(await hall.certificate(ALL))
    inside = []
    for visitor in (device, device, None):
        inside.append(doors.door(visitor))
        assert not isinstance(inside[-1], Turned)
        inside[-1].connection_made(HttpWire())
    assert isinstance(doors.door(device), Turned)
    assert isinstance(doors.door(), Turned)
    inside[0].connection_lost(None)
    assert not isinstance(doors.door(device), Turned)
    assert isinstance(doors.door(), Turned)
    inside[2].connection_lost(None)
    assert not isinstance(doors.door(), Turned)
    inside[1].connection_lost(None)
