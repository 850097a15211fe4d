"""A real installation without doors: a Runtime on SQLite, the API in process, and operators with AWS's clients.

Client libraries block, so the installation runs on an event loop in a thread of its own. No socket is opened.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.credentials import Credentials

from fleetgate import config
from fleetgate.api.app import build
from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.registry import access_keys, audit
from fleetgate.runtime import Refusal, Runtime
from fleetgate.works import works

T = TypeVar("T")

REGION = "us-east-1"
PATIENCE = 20.0
"""Seconds that a test waits for what must happen: it bounds a failure and delays no success."""
URL = "http://api.example:8080"
_SETTINGS = {"authority.device_key": "ec-p256", "authority.key_pool": 2, "api.clock_skew": "30d"}


class Clock:
    """The time of day, and as far ahead of it as a test says."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Installed:
    """A running installation, as a test's own thread may use it."""

    runtime: Runtime
    clock: Clock
    refusals: list[Refusal]
    loop: asyncio.AbstractEventLoop
    api: Any
    """The ASGI application."""
    _accounts: Iterator[int] = field(default_factory=lambda: itertools.count(100_000_000_001))

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def read(self, work: Callable[[Tx], T]) -> T:
        done: T = self.run(self.runtime.database.read(work))
        return done

    def write(self, work: Callable[[Tx], T]) -> T:
        done: T = self.run(self.runtime.write(work))
        return done

    def account(self) -> str:
        """An account that nobody else has."""
        return str(next(self._accounts))

    def operator(self, account: str) -> Credentials:
        """A new access key of *account*."""
        made = access_keys.generate(self.runtime.entropy)
        act = self.runtime.act(Realm(account, REGION), "system")
        sealed = self.runtime.vault.seal(made.secret)
        self.write(lambda tx: access_keys.create(tx, act, made.id, label="test", sealed_secret=sealed))
        return Credentials(made.id, made.secret)

    def client(self, operator: Credentials, region: str = REGION, service: str = "iot") -> Any:
        """A boto3 client that meets the API instead of a socket."""
        client: Any = boto3.client(
            service,  # type: ignore[call-overload] # any service
            region_name=region,
            endpoint_url=URL,
            aws_access_key_id=operator.access_key,
            aws_secret_access_key=operator.secret_key,
            aws_session_token=operator.token,
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-send", self._receive)
        return client

    def _receive(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        answer = self.send(request)
        return AWSResponse(request.url, answer.status, _headers(answer), _Raw(answer.body))

    def send(self, request: AWSPreparedRequest) -> Answer:
        """Hand a signed request to the API."""
        answer: Answer = self.run(ask(self.api, request))
        return answer

    def audited(self, realm: Realm) -> list[audit.Entry]:
        """The audit trail of *realm*, oldest first."""
        return list(self.read(lambda tx: audit.page(tx, realm, limit=1000)).items)


class _Raw(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _headers(answer: Answer) -> Any:
    return HeadersDict(answer.headers)


def signed(
    operator: Credentials,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    region: str = REGION,
    service: str = "iot",
    headers: Mapping[str, str] | None = None,
) -> AWSPreparedRequest:
    """A request as botocore signs it; *path* is percent-encoded and may have a query."""
    request = AWSRequest(method, URL + path, data=body, headers=dict(headers or {}))
    SigV4Auth(operator, service, region).add_auth(request)
    prepared: AWSPreparedRequest = request.prepare()
    return prepared


async def ask(api: Any, request: AWSPreparedRequest) -> Answer:
    """What the ASGI application *api* answers to *request*."""
    url = urlsplit(request.url)
    items: list[tuple[str, Any]] = list(request.headers.items())
    headers = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in items
    ]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", url.netloc.encode()))
    body: Any = request.body or b""
    parts = [{"type": "http.request", "body": body if isinstance(body, bytes) else body.encode(), "more_body": False}]
    return await exchange(api, request.method, url.path, url.query, headers, parts)


async def exchange(
    api: Any, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]], parts: list[dict[str, Any]]
) -> Answer:
    """One request over ASGI; *parts* are what the server's `receive` gives, one after the other."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "raw_path": path.encode("latin-1"),
        "path": path,
        "query_string": query.encode("latin-1"),
        "headers": headers,
    }
    waiting = iter(parts)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        part = next(waiting, None)
        if part is None:
            await asyncio.Event().wait()
        assert part is not None
        return part

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await api(scope, receive, send)
    if not sent:
        return Answer(0, {}, b"")
    start, *bodies = sent
    named = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], named, b"".join(part["body"] for part in bodies))


@contextmanager
def installed(
    folder: Path, overrides: Mapping[str, Any] | None = None, reset: Callable[[], Awaitable[None]] | None = None
) -> Iterator[Installed]:
    """An installation in *folder*; *overrides* by dotted name, as `config.load` takes them."""
    settings = config.load(None, {"server.data_dir": str(folder / "data"), **_SETTINGS, **(overrides or {})})
    ready: Future[Installed] = Future()
    stop = asyncio.Event()

    async def attend() -> None:
        async with works(settings) as opened:
            clock, refusals = Clock(), list[Refusal]()
            runtime = replace(opened.runtime, clock=clock, refused=refusals.append)
            ready.set_result(Installed(runtime, clock, refusals, asyncio.get_running_loop(), build(runtime, reset)))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(attend())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="installation")
    thread.start()
    try:
        yield ready.result(PATIENCE)
    finally:
        if ready.done() and ready.exception() is None:
            ready.result().loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
