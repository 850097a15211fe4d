"""An S3 that fails, lies, hangs or goes away while input files of bulk registration are read from it."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from tests.journeys.maker import operator
from tests.pki import new_key
from tests.registrations import body, device, lines
from tests.server import PATIENCE, serving

from fleetgate.config import S3Config
from fleetgate.errors import InvalidRequest, Unavailable
from fleetgate.provisioning import s3
from fleetgate.registry.tasks import Input

CONTENT = b"".join(b"%08d\n" % number for number in range(100))
ETAG = '"etag"'
SOURCE = Input("bucket", "key", len(CONTENT), 0, ETAG)
Mood = Callable[["Door"], None]


class Store(http.server.ThreadingHTTPServer):
    """One object, answered for properly unless a mood is due."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.content = CONTENT
        self.moods: deque[Mood] = deque()
        self.away = False
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and host."""
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""


class Door(http.server.BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._do()

    def do_GET(self) -> None:
        self._do()

    def _do(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Host"]))
        if self.server.away:
            self.refuse(503, "SlowDown", "Please reduce your request rate.")
        elif self.server.moods:
            self.server.moods.popleft()(self)
        else:
            self.answer()

    def answer(self, *, status: int | None = None, etag: str = ETAG, shift: int = 0, cut: int = 0) -> None:
        """As S3 would; *shift* moves the range that is answered, *cut* bytes are announced and not sent."""
        content = self.server.content
        if ranged := self.headers["Range"]:
            first, _, last = ranged.removeprefix("bytes=").partition("-")
            body, status = content[int(first) : int(last) + 1], status or 206
        else:
            body, status = content, 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", etag)
        if status == 206:
            at = int(first) + shift
            self.send_header("Content-Range", f"bytes {at}-{at + len(body) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) - cut])
        self.close_connection = cut > 0

    def refuse(self, status: int, code: str = "", message: str = "", **headers: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True

    def answer_and_hang_up(self) -> None:
        """Keeps quiet about it, as a server does whose patience with idle connections ends."""
        self.answer()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_PAUSES", (0.001, 0.001, 0.001))


def opened(store: Store) -> Iterator[Store]:
    thread = threading.Thread(target=store.serve_forever, args=(0.01,))
    thread.start()
    yield store
    store.shutdown()
    thread.join()
    store.server_close()


@pytest.fixture
def store() -> Iterator[Store]:
    yield from opened(Store())


@pytest.fixture
def config(store: Store, tmp_path: Path) -> S3Config:
    return S3Config(credentials_file=credentials(tmp_path), endpoint=store.url)


def credentials(folder: Path) -> Path:
    file = folder / "keys"
    file.write_text("[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\naws_session_token = token\n")
    return file


def clock() -> int:
    return 1_440_938_160_000


def everything(config: S3Config) -> bytes:
    with s3.reopen(config, SOURCE, clock) as found:
        return b"".join(iter(lambda: found.readline(1_000), b""))


SLOW_DOWN: Mood = lambda door: door.refuse(503, "SlowDown", "Please reduce your request rate.")  # noqa: E731 # one of a list


@pytest.mark.parametrize(
    "mood",
    [
        SLOW_DOWN,
        lambda door: door.refuse(500, "InternalError", "We encountered an internal error."),
        lambda door: door.refuse(429),
        Door.hang_up,
        Door.answer_and_hang_up,
        lambda door: door.answer(cut=1),
        lambda door: door.wfile.write(b"this is not HTTP\r\n\r\n"),
    ],
)
def test_what_passes_is_tried_again(
    store: Store, config: S3Config, mood: Mood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "RANGE", 100)
    proper: Mood = Door.answer
    store.moods.extend([proper, mood, proper, mood, mood, proper])
    assert everything(config) == CONTENT


def test_an_s3_that_stays_away_is_unavailable(store: Store, config: S3Config) -> None:
    store.away = True
    with pytest.raises(Unavailable, match=r"it answered with HTTP status 503\. Try again later"):
        s3.look(config, "bucket", "key", clock)
    assert len(store.asked) == len(s3._PAUSES) + 1
    with pytest.raises(Unavailable, match=r"503 \(SlowDown: Please reduce your request rate\)"):
        everything(config)
    with pytest.raises(Unavailable, match="Connection refused"):
        s3.look(replace(config, endpoint="http://127.0.0.1:1"), "bucket", "key", clock)


@pytest.mark.parametrize(
    ("mood", "why"),
    [
        (lambda door: door.answer(etag='"other"'), "was changed after the task was started"),
        (lambda door: door.refuse(412, "PreconditionFailed"), "was changed after the task was started"),
        (lambda door: door.answer(shift=1), "S3 did not answer with bytes 0-899/900"),
        (lambda door: door.answer(status=200), "it does not answer requests for a range"),
        (lambda door: door.refuse(404, "NoSuchKey", "Gone."), r"HTTP status 404 \(NoSuchKey: Gone\)"),
        (lambda door: door.refuse(403), r"HTTP status 403\."),
    ],
)
def test_what_does_not_pass_ends_it_at_once(store: Store, config: S3Config, mood: Mood, why: str) -> None:
    store.moods.append(mood)
    with pytest.raises(InvalidRequest, match=why):
        everything(config)
    assert len(store.asked) == 1


def test_a_bucket_in_another_region_says_so(store: Store, config: S3Config) -> None:
    store.moods.extend([lambda door: door.refuse(301, x_amz_bucket_region="eu-west-1")] * 2)
    with pytest.raises(InvalidRequest, match=r"the bucket is in eu-west-1, and s3\.region says us-east-1"):
        s3.look(config, "bucket", "key", clock)


def test_why_is_asked_where_head_cannot_say_it(store: Store, config: S3Config) -> None:
    store.moods.extend([lambda door: door.refuse(403), lambda door: door.refuse(403, "RequestTimeTooSkewed", "Late.")])
    with pytest.raises(InvalidRequest, match=r"403 \(RequestTimeTooSkewed: Late\)"):
        s3.look(config, "bucket", "key", clock)
    assert [method for method, _, _ in store.asked] == ["HEAD", "GET"]


def test_where_the_bucket_stands_in_the_address(
    store: Store, config: S3Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.look(config, "bucket", "a b/ü", clock)
    assert store.asked[-1] == ("HEAD", "/bucket/a%20b/%C3%BC", f"127.0.0.1:{store.server_port}")
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: resolve("127.0.0.1", *more, **named))
    virtual = replace(config, endpoint=f"http://localhost:{store.server_port}", addressing="virtual")
    s3.look(virtual, "bucket", "key", clock)
    assert store.asked[-1] == ("HEAD", "/key", f"bucket.localhost:{store.server_port}")
    at_aws = s3._Door(replace(config, endpoint=None, region="eu-west-1"), "bucket")
    assert (at_aws.host, at_aws.prefix) == ("bucket.s3.eu-west-1.amazonaws.com", "")
    dotted = s3._Door(replace(config, endpoint=None), "buc.ket")
    assert (dotted.host, dotted.prefix) == ("s3.us-east-1.amazonaws.com", "/buc.ket")


def test_names_that_lead_elsewhere_are_refused(config: S3Config, store: Store) -> None:
    for bucket, key in [("bucket", "../other/key"), ("bucket", "a/./b"), ("bucket", ""), ("a..b", "k"), ("-b-", "k")]:
        with pytest.raises(InvalidRequest):
            s3.look(config, bucket, key, clock)
    assert store.asked == []


def test_closing_ends_a_read_that_hangs(store: Store, config: S3Config) -> None:
    reached, let_go = threading.Event(), threading.Event()

    def silent(_: Door) -> None:
        reached.set()
        let_go.wait(PATIENCE)

    store.moods.append(silent)
    found = s3.reopen(config, SOURCE, clock)
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(found.readline, 100)
        assert reached.wait(PATIENCE)
        began = time.monotonic()
        found.close()
        with pytest.raises(Unavailable):
            reading.result(PATIENCE)
        assert time.monotonic() - began < s3._SECONDS / 2
        let_go.set()
    assert len(store.asked) == 1


def test_tls_is_verified(tmp_path: Path) -> None:
    ca_file = certificate(tmp_path)
    for store in opened(Store(ca_file)):
        config = S3Config(credentials_file=credentials(tmp_path), endpoint=store.url, ca_file=ca_file)
        assert everything(config) == CONTENT
        asked = len(store.asked)
        with pytest.raises(Unavailable, match=r"S3's certificate is not trusted: self.signed certificate"):
            everything(replace(config, ca_file=None))
        elsewhere = replace(config, endpoint=store.url.replace("127.0.0.1", "localhost"))
        with pytest.raises(Unavailable, match="not trusted: Hostname mismatch"):
            everything(elsewhere)
        assert len(store.asked) == asked
        with pytest.raises(InvalidRequest, match=r"\(s3.ca_file\) cannot be used"):
            everything(replace(config, ca_file=tmp_path / "keys"))


def certificate(folder: Path) -> Path:
    """Key and certificate of a server at 127.0.0.1, vouched for by itself."""
    key, now = new_key(), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(secret + made.public_bytes(pem))
    return file


def test_a_task_waits_for_s3_and_can_be_stopped_meanwhile(
    store: Store, config: S3Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetgate.provisioning.bulk._AWAY_SECONDS", 0.05)
    monkeypatch.setattr(s3, "RANGE", 500)
    store.content = lines(*(device(f"oboe-{number}") for number in range(40))).encode()
    settings = {"s3.endpoint": store.url, "s3.credentials_file": str(config.credentials_file)}
    place = {"inputFileBucket": "bucket", "inputFileKey": "key", "templateBody": body(), "roleArn": "arn:aws:iam::1:r"}
    place["roleArn"] = "arn:aws:iam::123456789012:role/bulk"

    with serving(tmp_path, settings) as house:
        iot = operator(house)

        def reaches(task: str, *states: str) -> Any:
            deadline = time.monotonic() + PATIENCE
            while (found := iot.describe_thing_registration_task(taskId=task))["status"] not in states:
                assert time.monotonic() < deadline, found
                time.sleep(0.01)
            return found

        def away(door: Door) -> None:
            store.away = True
            door.hang_up()

        store.moods.extend([Door.answer] * 20 + [away])
        task = iot.start_thing_registration_task(**place)["taskId"]
        deadline = time.monotonic() + PATIENCE
        while not store.away:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        asked = len(store.asked)
        while len(store.asked) < asked + 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert iot.describe_thing_registration_task(taskId=task)["status"] == "InProgress"
        store.away = False
        done = reaches(task, "Completed", "Failed")
        assert (done["status"], done["successCount"], done["failureCount"]) == ("Completed", 40, 0)

        store.moods.extend([Door.answer] * 3 + [away])
        task = iot.start_thing_registration_task(**place)["taskId"]
        while not store.away:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        iot.stop_thing_registration_task(taskId=task)
        stopped = reaches(task, "Cancelled", "Failed", "Completed")
        assert (stopped["status"], stopped["successCount"]) == ("Cancelled", 0)
