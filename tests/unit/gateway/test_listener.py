"""The door itself: a client of the standard library in memory, against one doorway."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from tests.unit.agent.cloud import certify

from fleetgate.agent import tls
from fleetgate.gateway import listener
from fleetgate.gateway.listener import Doorway, Listener
from fleetgate.pki import certificate, keys
from fleetgate.pki.keys import KeyKind
from fleetgate.wire.tls import server_context

ALPN = b"x-amzn-mqtt-ca"


class Inner(asyncio.Protocol):
    """What is behind the door: remembers everything."""

    def __init__(self, doorway: Doorway) -> None:
        self.doorway = doorway
        self.heard = b""
        self.happened: list[str] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def pause_writing(self) -> None:
        self.happened.append("pause")

    def resume_writing(self) -> None:
        self.happened.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.happened.append("lost")


class Socket(asyncio.Transport):
    """The network's side of a doorway."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 40000)})
        self.sent = bytearray()
        self.state = "open"
        self.gone = asyncio.Event()
        self.reading = True
        self.unread = 0
        self.takes = True  # the peer reads what is sent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"
        self.gone.set()

    def is_closing(self) -> bool:
        return self.state != "open"

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def get_write_buffer_size(self) -> int:
        return self.unread if self.takes else len(self.sent)


class Visit:
    """A client, its socket, and the doorway between it and what is behind."""

    def __init__(self, context: SSL.Context, client: ssl.SSLContext, name: str | None = "localhost") -> None:
        self.inside: list[Inner] = []
        self.left: list[Doorway] = []
        self.doorway = Doorway(context, self._admit, self.left.append)
        self.socket = Socket()
        self.doorway.connection_made(self.socket)
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client.wrap_bio(self._incoming, self.outgoing, server_hostname=name)

    def _admit(self, doorway: Doorway) -> asyncio.Protocol:
        self.inside.append(Inner(doorway))
        return self.inside[-1]

    @property
    def inner(self) -> Inner:
        [found] = self.inside
        return found

    def exchange(self) -> None:
        """Let both ends have what the other one has sent."""
        if data := self.outgoing.read():
            self.doorway.data_received(data)
        if self.socket.takes:
            self._incoming.write(bytes(self.socket.sent))
            self.socket.sent.clear()

    def shake_hands(self) -> None:
        for _ in range(4):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.exchange()
        self.exchange()

    def say(self, data: bytes) -> None:
        self.tls.write(data)
        self.exchange()

    def hear(self) -> bytes:
        self.exchange()
        heard = b""
        try:
            while record := self.tls.read(1 << 20):
                heard += record
        except ssl.SSLWantReadError:
            pass
        return heard


@pytest.fixture
def context(tmp_path: Path) -> SSL.Context:
    key = keys.generate(KeyKind.EC_P256)
    (tmp_path / "chain.pem").write_text(certify(key.public_key()))
    (tmp_path / "key.pem").write_text(keys.private_key_pem(key))
    return server_context(tmp_path / "chain.pem", tmp_path / "key.pem", (ALPN,))


@pytest.fixture
def device(claim: tls.KeyTexts) -> ssl.SSLContext:
    """A client that shows a certificate and believes every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return tls.present(context, claim)


@pytest.fixture
def claim() -> tls.KeyTexts:
    key = keys.generate(KeyKind.EC_P256)
    return tls.KeyTexts(certify(key.public_key()), keys.private_key_pem(key))


@pytest.fixture
async def visit(context: SSL.Context, device: ssl.SSLContext) -> Visit:
    made = Visit(context, device)
    made.shake_hands()
    return made


async def test_what_is_behind_learns_who_comes(visit: Visit, claim: tls.KeyTexts) -> None:
    doorway = visit.inner.doorway
    assert doorway.certificate is not None
    assert certificate.pem(doorway.certificate) == certificate.pem(certificate.load(claim.certificate))
    assert (doorway.server_name, doorway.address) == ("localhost", "192.0.2.7")
    visit.say(b"hello")
    assert visit.inner.heard == b"hello"
    visit.inner.transport.write(b"good day")
    assert visit.hear() == b"good day"


async def test_its_transport_is_an_ordinary_one(visit: Visit) -> None:
    plain = visit.inner.transport
    assert plain.get_extra_info("sslcontext") is True
    assert plain.get_extra_info("peername") == ("192.0.2.7", 40000)
    assert plain.get_extra_info("other", "nothing") == "nothing"
    plain.pause_reading()
    assert not plain.is_reading()
    plain.resume_reading()
    assert plain.is_reading()
    assert plain.get_write_buffer_size() == 0
    visit.doorway.pause_writing()
    visit.doorway.resume_writing()
    plain.close()
    assert plain.is_closing()
    plain.pause_reading()
    assert visit.socket.reading, "a closing transport is left alone"
    plain.resume_reading()
    plain.write(b"too late")
    assert visit.inner.happened == ["pause", "resume"]


async def test_an_inner_protocol_may_drop_everything(visit: Visit) -> None:
    visit.inner.transport.abort()
    assert visit.socket.state == "aborted"


async def test_what_is_said_last_arrives_before_the_end(visit: Visit) -> None:
    visit.inner.transport.write(b"goodbye")
    visit.inner.transport.close()
    assert visit.socket.state == "closed"
    assert visit.hear() == b"goodbye"
    assert visit.tls.read(1) == b"", "with a TLS goodbye: nothing was cut off"


async def test_a_client_that_says_goodbye(visit: Visit) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        visit.tls.unwrap()
    visit.exchange()
    assert visit.socket.state == "closed"
    visit.doorway.connection_lost(None)
    assert visit.inner.happened == ["lost"]
    assert visit.left == [visit.doorway]


async def test_an_answer_to_a_record_leaves_with_it(visit: Visit) -> None:
    """Whatever is written while a record is being taken in goes out in one piece."""

    def answer(data: bytes) -> None:
        for part in (b"a", b"b", b"c"):
            visit.inner.transport.write(part)
            assert not visit.socket.sent

    visit.inner.data_received = answer  # type: ignore[method-assign] # this test's own protocol
    visit.say(b"x")
    assert visit.hear() == b"abc"


async def test_what_the_handshake_leaves_to_say_leaves_at_once(context: SSL.Context, device: ssl.SSLContext) -> None:
    """A client with Nagle's algorithm waits with its first packet for our acknowledgement, which they carry."""
    visit = Visit(context, device)
    with pytest.raises(ssl.SSLWantReadError):
        visit.tls.do_handshake()
    visit.exchange()
    visit.tls.do_handshake()
    assert visit.tls.version() == "TLSv1.3"
    visit.doorway.data_received(visit.outgoing.read())
    assert visit.inside
    assert visit.socket.sent, "session tickets, which OpenSSL makes unasked for"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x10\x0c\x00\x04MQTT"])
async def test_what_is_no_tls_is_closed(context: SSL.Context, device: ssl.SSLContext, data: bytes) -> None:
    visit = Visit(context, device)
    visit.doorway.data_received(data)
    assert visit.socket.state == "closed"
    assert visit.inside == []


async def test_a_broken_record_ends_it(visit: Visit) -> None:
    visit.doorway.data_received(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert visit.socket.state == "closed"
    assert visit.inner.heard == b""


@pytest.mark.parametrize(("offered", "chosen"), [([], b""), (["h2"], b""), (["h2", ALPN.decode()], ALPN)])
async def test_what_is_behind_may_be_chosen_by_alpn(
    context: SSL.Context, device: ssl.SSLContext, offered: list[str], chosen: bytes
) -> None:
    device.set_alpn_protocols(offered)
    visit = Visit(context, device)
    visit.shake_hands()
    assert visit.inner.doorway.tls.alpn == chosen


async def test_without_a_certificate(context: SSL.Context) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    visit = Visit(context, client)
    visit.shake_hands()
    assert visit.inner.doorway.certificate is None


async def test_a_peer_that_does_not_read_is_cut_off(visit: Visit) -> None:
    visit.socket.unread = listener.MOST_UNREAD + 1
    visit.inner.transport.write(b"more")
    assert visit.socket.state == "aborted"


@pytest.mark.parametrize("size", [100, 100_000], ids=["many", "large"])
async def test_not_even_within_one_record_may_a_peer_ask_for_more_than_it_reads(visit: Visit, size: int) -> None:
    """Each record that comes in asks for a hundred times as much, and nothing that goes out is read."""

    def answer(data: bytes) -> None:
        for _ in range(40_000_000 // size):
            visit.inner.transport.write(b"x" * size)

    visit.inner.data_received = answer  # type: ignore[method-assign] # this test's own protocol
    visit.socket.takes = False
    visit.say(b"x")
    assert visit.socket.state == "aborted"
    assert len(visit.socket.sent) < listener.MOST_UNREAD + 1_000_000


@pytest.mark.parametrize("broken", [False, True])
async def test_a_peer_that_leaves_without_taking_its_goodbye_is_cut_off(
    visit: Visit, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LINGER_SECONDS", 0.01)
    visit.inner.transport.write(b"goodbye")
    if broken:
        visit.doorway.data_received(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    else:
        visit.inner.transport.close()
    assert visit.socket.state == "closed"
    await asyncio.sleep(0.05)
    assert visit.socket.state == "aborted"


async def test_a_peer_that_stops_reading_is_cut_off_in_time(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "STALL_SECONDS", 0.02)
    visit.socket.takes = False
    visit.inner.transport.write(b"x" * 100_000)
    visit.doorway.pause_writing()
    assert visit.inner.happened[-1] == "pause"
    await asyncio.wait_for(visit.socket.gone.wait(), 5)
    assert visit.socket.state == "aborted"


async def test_a_peer_that_reads_slowly_stays(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "STALL_SECONDS", 0.02)
    looked: asyncio.Queue[int] = asyncio.Queue()
    taken = visit.doorway._taken

    def take() -> int:
        del visit.socket.sent[: listener.LEAST_TAKEN]
        looked.put_nowait(taken())
        return taken()

    monkeypatch.setattr(Doorway, "_taken", lambda doorway: take())
    visit.socket.takes = False
    visit.inner.transport.write(b"x" * 100_000)
    visit.doorway.pause_writing()
    for _ in range(5):
        await asyncio.wait_for(looked.get(), 5)
    assert visit.socket.state == "open"
    visit.doorway.resume_writing()
    assert visit.inner.happened[-1] == "resume"
    while not looked.empty():
        looked.get_nowait()
    await asyncio.sleep(0.06)
    assert (looked.empty(), visit.socket.state) == (True, "open")  # nobody looks any more


async def test_who_has_gone_in_time_is_left_alone(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LINGER_SECONDS", 0.01)
    visit.inner.transport.close()
    visit.doorway.connection_lost(None)
    await asyncio.sleep(0.05)
    assert visit.socket.state == "closed"


async def test_a_handshake_has_its_time(
    context: SSL.Context, device: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 0.01)
    slow, quick = Visit(context, device), Visit(context, device)
    quick.shake_hands()
    await asyncio.sleep(0.05)
    assert (slow.socket.state, quick.socket.state) == ("aborted", "open")
    slow.doorway.connection_lost(None)
    assert slow.left == [slow.doorway]


# --- the listener -----------------------------------------------------------------------------------------------------


class Servers:
    """In place of the loop's servers: what a connection would be given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.accept: Callable[[], asyncio.BaseProtocol]
        self.closed = False
        monkeypatch.setattr(asyncio.get_running_loop(), "create_server", self._create)

    async def _create(self, accept: Callable[[], asyncio.BaseProtocol], *_: Any, **__: Any) -> Any:
        self.accept = accept
        return self

    @property
    def sockets(self) -> list[Any]:
        class _Bound:
            def getsockname(self) -> tuple[str, int]:
                return "127.0.0.1", 8883

        return [_Bound()]

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        assert self.closed


async def test_over_so_many_newcomers_are_turned_away(context: SSL.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    servers, house = Servers(monkeypatch), Listener(2)
    house.contexts = {"mqtt": context}
    assert await house.listen("127.0.0.1", 0, "mqtt", Inner) == 8883
    sockets = [Socket() for _ in range(4)]
    doorways = []
    for socket in sockets[:3]:
        doorways.append(servers.accept())
        doorways[-1].connection_made(socket)
    assert [socket.state for socket in sockets[:3]] == ["open", "open", "closed"]
    doorways[0].connection_lost(None)
    servers.accept().connection_made(sockets[3])
    assert sockets[3].state == "open"
    monkeypatch.setattr(listener, "GOODBYE_SECONDS", 0.01)
    await house.close()
    assert [socket.state for socket in sockets] == ["open", "aborted", "closed", "aborted"], "nobody went by himself"


async def test_whoever_goes_in_time_is_not_cut_off(context: SSL.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    servers, house, socket = Servers(monkeypatch), Listener(2), Socket()
    house.contexts = {"mqtt": context}
    await house.listen("127.0.0.1", 0, "mqtt", Inner)
    doorway = servers.accept()
    doorway.connection_made(socket)
    closing = asyncio.create_task(house.close())
    for _ in range(3):
        await asyncio.sleep(0)
    late = Socket()
    servers.accept().connection_made(late)
    assert late.state == "closed", "nobody is let in any more"
    assert (socket.state, closing.done()) == ("closed", False)
    doorway.connection_lost(None)
    await closing
    assert socket.state == "closed"


async def test_who_is_accepted_while_the_house_closes_is_sent_away(
    context: SSL.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop says that somebody came some time after it has accepted."""
    servers, house = Servers(monkeypatch), Listener(10)
    house.contexts = {"mqtt": context}
    await house.listen("127.0.0.1", 0, "mqtt", Inner)
    accepted = servers.accept()
    await house.close()
    early, late = Socket(), Socket()
    accepted.connection_made(early)
    servers.accept().connection_made(late)
    assert (early.state, late.state) == ("aborted", "closed")
    accepted.connection_lost(None)


async def test_another_context_holds_from_the_next_connection_on(
    context: SSL.Context, device: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers, house = Servers(monkeypatch), Listener(10)
    house.contexts = {"mqtt": context}
    await house.listen("127.0.0.1", 0, "mqtt", Inner)
    key = keys.generate(KeyKind.EC_P256)
    (tmp_path / "chain.pem").write_text(certify(key.public_key()))
    (tmp_path / "key.pem").write_text(keys.private_key_pem(key))
    house.contexts = {"mqtt": server_context(tmp_path / "chain.pem", tmp_path / "key.pem", (ALPN,))}
    visit = Visit(context, device)
    visit.doorway.connection_lost(None)
    doorway = servers.accept()
    assert isinstance(doorway, Doorway)
    visit.doorway = doorway
    visit.doorway.connection_made(visit.socket)
    visit.shake_hands()
    shown = visit.tls.getpeercert(binary_form=True)
    assert shown is not None
    assert certificate.load_der(shown).public_key() == key.public_key()
