"""The listening server against 10,000 damaged packets and requests, and everything else that comes to a door on the
internet: each ends in a clear answer or a closed connection, and a good device is served as before.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import suppress
from itertools import count, islice, product
from random import Random
from typing import Any

import cbor2
import pytest
import pytest_asyncio
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from tests.conformance.provisioning.bad_requests import BAD
from tests.conformance.provisioning.desk import csr
from tests.fuzz.house import House
from tests.fuzz.mutation import damaged, strange
from tests.fuzz.peer import Peer
from tests.server import ROLE, claim_policy, template_body
from tests.unit.agent.cloud import certify

from fleetgate.agent.client import Client, dial
from fleetgate.agent.requests import FORMATS, Operation, create_from_csr, create_keys, register_thing
from fleetgate.agent.tls import KeyFiles
from fleetgate.gateway.listener import HANDSHAKE_SECONDS
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.wire.mqtt.encoding import encode
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import (
    V4,
    V5,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    Publish,
    QoS,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
)
from fleetgate.wire.mqtt.properties import Properties

SEED = 20_260_305
PAYLOADS, CONVERSATIONS, SIGNED, UNSIGNED = 3_000, 2_000, 4_000, 1_000
AT_ONCE = 12
_NUMBERS = count(1)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    opened = await House.open(tmp_path_factory.mktemp("house"))
    yield opened
    await opened.process.close()


@pytest.fixture
def random() -> Random:
    return Random(SEED)


async def all_of(number: int, work: Iterable[Awaitable[Any]]) -> None:
    """Await everything in *work*, *number* at a time."""
    waiting = iter(work)

    async def one_by_one() -> None:
        for each in waiting:
            await each

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(one_by_one())


async def test_a_leak_would_be_found(house: House) -> None:
    assert len(house.secrets) > 6
    for secret in tuple(house.secrets):
        house.process.log.append(f"so secret: {secret}!")
        assert house.leaks() == [f"{secret} in the log"]
        house.process.log.pop()
    public = house.fleet.fingerprint.encode()
    assert public in house.records()


# --- payloads on the provisioning topics ------------------------------------------------------------------------------


def nested(opening: bytes, depth: int) -> bytes:
    return b"\xa1\x61a" + opening * depth


def shared(levels: int) -> bytes:
    """Values that are shared and shared again: 15 to the power of *levels* of them (CBOR tags 28 and 29)."""
    bomb = b"\xd8\x1c\x80"
    for level in range(levels, 0, -1):
        bomb = b"\xd8\x1c\x8f" + bomb + b"\xd8\x1d" + bytes([level]) * 14
    return b"\xa1\x61a" + bomb


BOMBS = {
    "cbor": [
        nested(b"\x81", 100_000),
        nested(b"\x9f", 100_000),
        nested(b"\xbf\x61a", 30_000),
        shared(12),
        b"\xa1\x61a\xc2\x5a\x00\x01\x86\xa0" + b"\xff" * 100_000,  # a number of 800,000 bits
        b"\xa1\x61a\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",  # 10 to the power of 2^63
        b"\xa1\x61a\xc5\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",  # 2 to the power of 2^63
        b"\xa1\x61a\xd8\x23\x78\x19((((((((a*)*)*)*)*)*)*)*)$",
        b"\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x9f" + b"\x00" * 120_000 + b"\xff",
        b"\xbf" + b"".join(b"\x63%03x\x00" % number for number in range(4_096)) * 5 + b"\xff",
    ],
    "json": [
        b'{"a":' + b"[" * 60_000,
        b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        b'{"a":' + b'{"a":' * 25_000,
        b'{"a":' + b"9" * 120_000 + b"}",
        b'{"a":1e400}',
        b'{"a":-' + b"9" * 4_000 + b"e" + b"9" * 4_000 + b"}",
        b'{"a":"' + b"\\ud800" * 20_000 + b'"}',
        b"[" * 120_000,
        b'{"a":"' + b"\x00" * 1_000 + b'"}',
        b"{" + b",".join(b'"%d":1' % number for number in range(12_000)) + b"}",
    ],
}


def operations(form: Any) -> list[tuple[Operation, dict[str, Any]]]:
    token = {"certificateOwnershipToken": "A" * 64, "parameters": {"SerialNumber": "SN-1", "Other": "x"}}
    return [
        (create_keys(form), {"unknown": [1, {"a": None}]}),
        (create_from_csr(form), {"certificateSigningRequest": csr()}),
        (register_thing("fleet", form), token),
    ]


def payloads(random: Random) -> Iterator[tuple[Operation, bytes]]:
    """Bombs and bad signing requests first, then requests that are damaged or strange."""
    for form in FORMATS:
        for operation, _ in operations(form):
            yield from ((operation, bomb) for bomb in BOMBS[form])
        for make in BAD.values():
            operation = create_from_csr(form)
            yield operation, operation.encode({"certificateSigningRequest": make()})
    while True:
        operation, request = random.choice(operations(random.choice(FORMATS)))
        if random.random() < 0.5:
            yield operation, damaged(operation.encode(request), random)
            continue
        value = strange(request, random)
        yield operation, json.dumps(value).encode() if operation.format == "json" else cbor2.dumps(value)


async def test_payloads_that_are_no_requests(house: House, random: Random) -> None:
    """Each is answered once: accepted where it was good enough, or rejected with a client's error and a reason."""
    told: Counter[int] = Counter()
    clients = [await claim_client(house, f"fuzz-{number}") for number in range(AT_ONCE)]
    idle = list(clients)

    async def ask(operation: Operation, payload: bytes) -> None:
        client = idle.pop()
        with client.expecting(*operation.answers) as answer:
            await client.publish(operation.topic, payload, QoS.AT_MOST_ONCE)
            message = await answer.within(20)
        idle.append(client)
        members = json.loads(message.payload) if operation.format == "json" else cbor2.loads(message.payload)
        if message.topic == operation.accepted:
            told[200] += 1
            if told[200] < 100:
                house.learn([members])
            return
        told[members["statusCode"]] += 1
        assert members["statusCode"] in {400, 403, 404, 429}, members
        assert members["errorCode"]
        assert members["errorMessage"]
        assert len(message.payload) < 2_000, "an error repeats what it was sent"

    await all_of(AT_ONCE, (ask(*each) for each in islice(payloads(random), PAYLOADS)))
    assert set(told) >= {200, 400}
    for client in clients:
        assert client.alive
        await client.disconnect()
    await house.well()
    assert house.leaks() == []


async def claim_client(house: House, client_id: str) -> Client:
    client = await dial(house.process.endpoint, house.context(), Connect(client_id, V5, keep_alive=60))
    for form in FORMATS:
        for operation, _ in operations(form):
            await client.subscribe(*operation.answers)
    return client


# --- packets ----------------------------------------------------------------------------------------------------------


def conversation(version: int, random: Random) -> list[Packet]:
    """What a device might say on one connection."""
    will = Will("$aws/rules/x", b"gone", QoS.AT_LEAST_ONCE) if random.random() < 0.2 else None
    properties = Properties()
    if version == V5:
        properties = Properties(session_expiry_interval=random.choice((0, 5, 2**32 - 1)), receive_maximum=20)
    topics = ["$aws/certificates/create/json/accepted", "fleet/+/#", "$share/g/a/b", "a"]
    return [
        Connect(
            f"c-{random.randrange(50)}",
            version,
            keep_alive=random.choice((0, 30, 65535)),
            will=will,
            properties=properties,
        ),
        Subscribe(1, tuple(Subscription(topic, QoS.AT_LEAST_ONCE) for topic in random.sample(topics, 2))),
        Publish("$aws/certificates/create/json", b"{}", QoS.AT_LEAST_ONCE, packet_id=2),
        Publish("$aws/certificates/create-from-csr/cbor", b"\xa0", QoS.AT_MOST_ONCE),
        Unsubscribe(3, ("a", "fleet/+/#")),
        PubAck(7),
        PingReq(),
        Disconnect(),
    ]


def packets(version: int, random: Random) -> bytes:
    """A conversation with one or two of its packets damaged, doubled, left out or in another's place."""
    said = conversation(version, random)
    if random.random() < 0.3:
        random.shuffle(said)
    encoded = [encode(packet, version) for packet in said]
    for _ in range(random.choice((1, 2))):
        at = random.randrange(len(encoded))
        encoded[at] = damaged(encoded[at], random)
    return b"".join(encoded)


async def test_conversations_that_go_wrong(house: House, random: Random) -> None:
    """After a real handshake, with a certificate that may speak and with one that nobody knows."""
    stranger = house.context(unknown(house))
    contexts = [house.context(), house.context(alpn="mqtt"), house.context(alpn="x-amzn-mqtt-ca"), stranger]

    async def talk(data: bytes, context: ssl.SSLContext, port: int) -> None:
        peer = await Peer.open(port)
        assert await peer.shake_hands(context)
        await peer.say(data)
        await peer.end()

    def talks() -> Iterator[Awaitable[None]]:
        for number in range(CONVERSATIONS):
            context = contexts[number % 20 % 4 if number % 20 < 4 else 0]
            port = house.https_port if context in contexts[1:3] else house.mqtt_port
            yield talk(packets(V4 if number % 2 else V5, random), context, port)

    await all_of(AT_ONCE, talks())
    await house.well()


def unknown(house: House, chain: str = "") -> KeyFiles:
    """A certificate that no registry has, followed by *chain*."""
    folder = house.process.folder
    files = KeyFiles(folder / "unknown.pem", folder / "unknown.key")
    key = keys.generate(KeyKind.EC_P256)
    files.certificate.write_text(certify(key.public_key()) + chain)
    files.private_key.write_text(keys.private_key_pem(key))
    return files


HEADER = {"publish": 0x30, "connect": 0x10, "subscribe": 0x82}


async def test_packets_that_are_too_large(house: House) -> None:
    """Refused at their header, so that nobody has to carry what they announce."""

    async def announce(first: int, *, connected: bool, shouting: bool) -> None:
        peer = await Peer.open(house.mqtt_port)
        assert await peer.shake_hands(house.context())
        if connected:
            await peer.say(encode(Connect(f"large-{next(_NUMBERS)}", V5), V5))
            assert (await peer.hear())[0] == 0x20
        await peer.say(bytes([first]) + b"\xff\xff\xff\x7f")
        if shouting:
            await shout(peer)
        heard = await peer.closed()
        if connected and not shouting:
            assert heard[0] == 0xE0, "a DISCONNECT"
            assert heard[2] == Reason.PACKET_TOO_LARGE

    before = house.process.rss()
    cases = product((0x30, 0x10, 0x82, 0xA2), (False, True), (False, True))
    await all_of(4, (announce(first, connected=known, shouting=loud) for first, known, loud in cases))
    assert house.process.rss() - before < 16 * 1024 * 1024
    await house.well()


async def shout(peer: Peer) -> None:
    """Megabytes of nothing, until the other end has enough."""
    for _ in range(200):
        if peer.over:
            return
        await peer.say(b"\0" * 65_536)


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_what_is_no_tls(house: House, random: Random) -> None:
    """Random bytes, other protocols, and client hellos that are damaged, on every port."""
    hello = client_hello(house)
    openings = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        encode(Connect("a", V5), V5),
        b"\x16\x03\x01\x40\x00" + b"\0" * 100,
        b"\x80\x2e\x01\x00\x02",  # SSL 2
        b"SSH-2.0-OpenSSH_9.0\r\n",
    ]

    def noises() -> Iterator[bytes]:
        yield from openings
        for _ in range(120):
            yield random.randbytes(random.randint(1, 2_000))
            yield damaged(hello, random)

    async def noise(port: int, data: bytes) -> None:
        peer = await Peer.open(port)
        await peer.raw(data)
        await peer.end()

    ports = (house.mqtt_port, house.https_port, house.api_port)
    await all_of(AT_ONCE, (noise(port, data) for data in noises() for port in ports))
    await house.well()


def client_hello(house: House) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        house.context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_that_breaks_off_anywhere(house: House, version: ssl.TLSVersion) -> None:
    """A good device's bytes up to any point, and then the end; or garbage in place of the rest."""
    context = house.context()
    context.maximum_version = context.minimum_version = version
    whole = await break_off(house, context, None)
    garbage = b"\x17\x03\x03\x00\x20" + b"\xa5" * 32

    def attempts() -> Iterator[Awaitable[int]]:
        for budget in range(whole):
            yield break_off(house, context, budget, garbage if budget % 4 == 0 else b"")

    await all_of(AT_ONCE, attempts())
    await house.well()


async def break_off(house: House, context: ssl.SSLContext, budget: int | None, last_words: bytes = b"") -> int:
    """How many bytes were sent."""
    peer = await Peer.open(house.mqtt_port, budget)
    if await peer.shake_hands(context):
        await peer.say(encode(Connect("broken", V5), V5))
        if budget is None:
            assert (await peer.hear())[0] == 0x20
            await peer.say(encode(Disconnect(), V5))
    peer._budget = None
    await peer.raw(last_words)
    await peer.end()
    return peer.sent


async def test_chains_of_any_length(house: House) -> None:
    """A client may show a hundred certificates; TLS itself ends at 100 KiB of them."""
    key = ec.generate_private_key(ec.SECP256R1())
    other = certify(key.public_key())
    size = len(x509.load_pem_x509_certificate(other.encode()).tbs_certificate_bytes)
    before = house.process.rss()
    for number, shakes in ((100, True), (2 * 102_400 // size, False)):
        context = house.context(unknown(house, other * number))
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the client knows at the end of the handshake
        for _ in range(10):
            peer = await Peer.open(house.mqtt_port)
            assert await peer.shake_hands(context) is shakes
            if shakes:
                await peer.say(encode(Connect("chain", V5), V5))
            assert await peer.end() == b"", "who is not known is told nothing"
    assert house.process.rss() - before < 16 * 1024 * 1024
    await house.well()


async def test_a_crowd_that_never_finishes(house: House) -> None:
    """Half-open connections are thrown out in time, and meanwhile others are served."""
    hello, loop = client_hello(house), asyncio.get_running_loop()
    crowd = []
    for number in range(600):
        peer = await Peer.open(house.mqtt_port if number % 2 else house.https_port)
        await peer.raw(hello[: number % len(hello)] if number % 3 else b"")
        crowd.append(peer)
    begun = loop.time()
    silent = [await Peer.open(house.mqtt_port) for _ in range(100)]
    for peer in silent:
        assert await peer.shake_hands(house.context())
    slow = await Peer.open(house.mqtt_port)
    assert await slow.shake_hands(house.context())
    await house.well()
    for byte in encode(Connect("slow", V5), V5):
        await slow.say(bytes([byte]))
    assert (await slow.hear())[0] == 0x20, "who is slow is served all the same"
    slow.leave()
    await asyncio.gather(*(peer.closed() for peer in crowd))
    assert loop.time() - begun < 2 * HANDSHAKE_SECONDS
    for peer in silent:
        peer.leave()
    await house.well()


# --- the API ----------------------------------------------------------------------------------------------------------

POLICY = claim_policy("fleet")
TEMPLATE = template_body("fleet-production")


def calls() -> list[tuple[str, str, dict[str, Any] | None]]:
    """Method, path and body of calls that succeed, at least the first time."""
    name = f"fuzz-{next(_NUMBERS)}"
    template = {"templateName": name[:36], "provisioningRoleArn": ROLE, "templateBody": TEMPLATE, "enabled": True}
    return [
        ("POST", f"/things/{name}", {"attributePayload": {"attributes": {"a": "b"}}, "thingTypeName": "none"}),
        ("POST", f"/things/{name}-2", {"attributePayload": {"attributes": {"a": "b"}}}),
        ("PATCH", "/things/WELL-1", {"attributePayload": {"attributes": {"a": "c"}, "merge": True}}),
        ("GET", "/things/WELL-1", None),
        ("GET", "/things?maxResults=3&attributeName=a&attributeValue=b", None),
        ("POST", f"/thing-types/{name}", {"thingTypeProperties": {"searchableAttributes": ["a"]}}),
        ("POST", f"/thing-groups/{name}", {"thingGroupProperties": {"thingGroupDescription": "d"}}),
        ("POST", f"/policies/{name}", {"policyDocument": POLICY, "tags": [{"Key": "a", "Value": "b"}]}),
        ("POST", "/policies/fleet-production/version", {"policyDocument": POLICY}),
        ("POST", "/provisioning-templates", template),
        ("POST", "/provisioning-templates/fleet/versions", {"templateBody": TEMPLATE}),
        ("POST", "/certificates?setAsActive=true", {"certificateSigningRequest": csr()}),
        ("POST", "/certificate/register", {"certificatePem": TEMPLATE, "status": "ACTIVE"}),
        ("POST", "/cacertificate?setAsActive=true", {"caCertificate": TEMPLATE, "verificationCertificate": TEMPLATE}),
        ("PUT", "/target-policies/fleet-production", {"target": "arn:aws:iot:us-east-1:123456789012:cert/" + "0" * 64}),
        ("POST", "/tags", {"resourceArn": "arn:aws:iot:us-east-1:123456789012:policy/p", "tags": []}),
        ("GET", "/certificates?pageSize=2&ascendingOrder=true&marker=abc", None),
        ("DELETE", f"/things/{name}?expectedVersion=1", None),
        ("GET", "/endpoint?endpointType=iot:Data-ATS", None),
    ]


def strange_call(random: Random) -> tuple[str, str, bytes]:
    method, path, body = random.choice(calls())
    if random.random() < 0.3:
        split = random.randrange(1, len(path))
        path = (
            path[:split]
            + random.choice(("%00", "%2f", "%ff", "..", "//", "?", "&x=y", "%zz", "a" * 300))
            + path[split:]
        )
    if body is None:
        return method, path, b""
    body = dict(body)
    for name in ("policyDocument", "templateBody"):  # documents within the document
        if name in body and random.random() < 0.7:
            inner = strange(json.loads(body[name]), random)
            body[name] = (
                json.dumps(inner)
                if random.random() < 0.7
                else damaged(body[name].encode(), random).decode("utf-8", "replace")
            )
            return method, path, json.dumps(body).encode()
    if "certificateSigningRequest" in body and random.random() < 0.5:
        body["certificateSigningRequest"] = random.choice(tuple(BAD.values()))()
        return method, path, json.dumps(body).encode()
    encoded = json.dumps(strange(body, random)).encode()
    return method, path, damaged(encoded, random) if random.random() < 0.2 else encoded


class Http:
    """A connection to the API that is made anew where the server has closed it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._signer = SigV4Auth(Credentials(house.operator.id, house.operator.secret), "iot", "us-east-1")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def signed(self, method: str, path: str, body: bytes) -> bytes:
        """The request as bytes."""
        request = AWSRequest(method, f"http://127.0.0.1:{self._house.api_port}{path}", {}, body)
        self._signer.add_auth(request)
        headers = {"Host": f"127.0.0.1:{self._house.api_port}", "Content-Length": str(len(body))}
        headers |= dict(request.headers.items())
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._house.api_port)
        reader, writer = self._streams
        writer.write(request)
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split(" ")[1]), headers, body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def test_calls_that_are_signed_and_strange(house: House, random: Random) -> None:
    """Answered with what the model knows: success, a client's error with its name, or that it is not served."""
    told: Counter[int] = Counter()
    idle = [Http(house) for _ in range(AT_ONCE)]

    async def ask(method: str, path: str, body: bytes) -> None:
        connection = idle.pop()
        status, headers, answer = await connection.ask(connection.signed(method, path, body))
        idle.append(connection)
        told[status] += 1
        assert status in {200, 400, 403, 404, 405, 406, 409, 410, 413, 501}, (status, method, path, body, answer)
        if status >= 400 and headers.get("content-type", "").startswith("application/"):
            said = json.loads(answer)
            assert said.get("message") or said.get("Message"), (status, method, path, body, answer)
            assert len(answer) < 8_000
        if b"PRIVATE KEY" in answer:
            house.keep_secret(json.loads(answer)["keyPair"]["PrivateKey"])

    await all_of(AT_ONCE, (ask(*strange_call(random)) for _ in range(SIGNED)))
    assert set(told) >= {200, 400, 404, 409}
    assert told[200] > SIGNED // 20
    for connection in idle:
        connection.close()
    await house.well()
    assert house.leaks() == []


async def test_requests_that_are_no_http(house: House, random: Random) -> None:
    """Damaged anywhere: the request line, a header, the signature, the length."""
    http = Http(house)
    bodies = [json.dumps(body).encode() if body else b"" for _, _, body in calls()]
    whole = [http.signed(method, path, body) for (method, path, _), body in zip(calls(), bodies, strict=True)]
    huge = [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 3_000_000,
        b"GET /" + b"a" * 3_000_000,
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 300_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n" + b"a" * 3_000_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"a" * 3_000_000,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]

    async def throw(data: bytes) -> None:
        peer = await Peer.open(house.api_port)
        sending = asyncio.create_task(peer.raw(data))
        await asyncio.wait({sending}, timeout=5)
        heard = await peer.end()
        await sending
        assert b"HTTP/1.1 5" not in heard.replace(b"HTTP/1.1 501", b""), (data[:300], heard[:300])

    before = house.process.rss()
    await all_of(AT_ONCE, (throw(data) for data in huge))
    assert house.process.rss() - before < 48 * 1024 * 1024
    await all_of(AT_ONCE, (throw(damaged(random.choice(whole), random)) for _ in range(UNSIGNED)))
    await house.well()
    assert house.leaks() == []
