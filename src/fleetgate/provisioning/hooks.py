"""Ask somebody before a device is provisioned (AWS: pre-provisioning hook, payload version 2020-04-01).

A hook fails closed: whatever goes wrong is an answer that does not allow, with a reason for the audit trail. The only
thing that leaves `decide` is cancellation. The port itself (`Hook`, `HookRequest`, `HookAnswer`) stands in `runtime`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httptools
import structlog

from fleetgate.errors import FleetgateError, FunctionFailed, FunctionTimedOut, InvalidRequest
from fleetgate.provisioning.function import Function
from fleetgate.runtime import HookAnswer, HookRequest

log = structlog.get_logger(__name__)

LONGEST_ANSWER: Final = 256 * 1024
_LONGEST_HEAD: Final = 64 * 1024


def question(request: HookRequest) -> dict[str, Any]:
    """AWS's request object."""
    return {
        "claimCertificateId": request.claim_certificate_id,
        "certificateId": request.certificate_id,
        "certificatePem": request.certificate_pem,
        "templateArn": request.template_arn,
        "clientId": request.client_id,
        "parameters": dict(request.parameters),
    }


def judge(answer: Any) -> HookAnswer:
    """What a hook's *answer* (a JSON value) means. Anything but a plain yes with usable overrides is a no."""
    if not isinstance(answer, Mapping):
        return _no(f"the hook answered with {_kind(answer)}, not an object")
    allow = answer.get("allowProvisioning")
    if allow is not True and allow != "true":  # AWS's documentation quotes the string as well
        said = "did not say allowProvisioning" if allow is None else f"said allowProvisioning {allow!r:.40}"
        return _no(f"the hook {said}")
    overrides = answer.get("parameterOverrides")
    if overrides is None:
        return HookAnswer(allowed=True)
    if not isinstance(overrides, Mapping):
        return _no(f"the hook's parameterOverrides is {_kind(overrides)}, not an object")
    unusable = [f"{name} is {_kind(value)}" for name, value in overrides.items() if not isinstance(value, str)]
    if unusable:
        return _no(f"the hook's parameterOverrides must all be strings: {', '.join(unusable):.300}")
    return HookAnswer(allowed=True, parameter_overrides=dict(overrides))


def _no(reason: str) -> HookAnswer:
    return HookAnswer(allowed=False, reason=reason)


def _kind(value: Any) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")


@dataclass(frozen=True, slots=True)
class FunctionHook:
    """A Lambda-style handler file."""

    function: Function
    entropy: Callable[[int], bytes]
    """For the request id that the handler sees where the question has none."""

    async def decide(self, request: HookRequest) -> HookAnswer:
        request_id = request.request_id or str(uuid.UUID(bytes=self.entropy(16), version=4))
        try:
            return judge(await self.function.invoke(question(request), request_id))
        except FleetgateError as error:
            return _no(error.message)
        except Exception as error:
            log.exception("hook failed", template=request.template_arn, request_id=request_id)
            return _no(f"{type(error).__name__}: {error}")


class HttpsHook:
    """A POST of the same JSON to an address of the operator's. No redirects, no proxies, nothing kept between calls."""

    def __init__(self, url: str, ca_file: Path | None = None, time_limit: int = 5_000, concurrency: int = 16) -> None:
        """*time_limit* in milliseconds bounds everything: waiting for a place, connecting, asking and reading.

        Raises InvalidRequest for an address that is neither https:// nor a loopback http://, or an unusable CA file.
        """
        self._url = _checked(url)
        # Without path and query, which may hold a secret that the audit trail should not.
        self._shown = f"{self._url.scheme}://{self._url.netloc}"
        self._ssl = _context(ca_file) if self._url.scheme == "https" else None
        self._limit = time_limit
        self._places = asyncio.Semaphore(concurrency)

    async def decide(self, request: HookRequest) -> HookAnswer:
        try:
            return judge(await self.invoke(question(request), request.request_id))
        except FunctionFailed as error:
            return _no(error.message)
        except Exception as error:
            log.exception("hook failed", template=request.template_arn, request_id=request.request_id)
            return _no(f"{self._shown}: {type(error).__name__}: {error}")

    async def invoke(self, payload: Any, request_id: str) -> Any:
        """What the address answers to *payload* (JSON values both). Raises FunctionFailed."""
        try:
            async with asyncio.timeout(self._limit / 1000), self._places:
                return await self._ask(json.dumps(payload).encode(), request_id)
        except TimeoutError:
            raise FunctionTimedOut(f"{self._shown} did not answer within {self._limit} ms") from None
        except (OSError, ValueError, RecursionError, httptools.HttpParserError) as error:
            raise FunctionFailed(f"{self._shown}: {error}") from error

    async def _ask(self, body: bytes, request_id: str) -> Any:
        async with self._connection() as (reader, writer):
            path = self._url.path or "/"
            target = f"{path}?{self._url.query}" if self._url.query else path
            head = (
                f"POST {target} HTTP/1.1\r\nHost: {self._url.netloc}\r\nContent-Type: application/json\r\n"
                f"Accept: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
                f"X-Amzn-RequestId: {request_id}\r\n\r\n"
            )
            writer.write(head.encode("ascii") + body)
            response = _Response()
            while not response.complete:
                chunk = await reader.read(65536)
                if not chunk:
                    response.end()
                    break
                response.feed(chunk)
            return json.loads(response.body)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        port = self._url.port or (443 if self._ssl else 80)
        reader, writer = await asyncio.open_connection(self._url.hostname, port, ssl=self._ssl)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()  # the answer is here or not wanted any more; no TLS farewell to wait for


class _Response:
    """An HTTP response as it comes in; ValueError as soon as it cannot be used."""

    def __init__(self) -> None:
        self.body = b""
        self.complete = False
        self._taken = 0
        self._delimited = False
        self._problem = ""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._taken += len(data)
        self._parser.feed_data(data)
        if self._problem:
            raise ValueError(self._problem)
        if len(self.body) > LONGEST_ANSWER or self._taken > LONGEST_ANSWER + _LONGEST_HEAD:
            raise ValueError(f"the answer is longer than {LONGEST_ANSWER} bytes")

    def end(self) -> None:
        """The connection was closed, which is a proper end only where no length was announced."""
        if self._delimited or not self._taken:
            raise ValueError("the connection was closed before the answer was complete")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._delimited = True

    def on_headers_complete(self) -> None:
        if (status := self._parser.get_status_code()) != 200:
            # Said here and raised in `feed`: the parser hides what its callbacks raise.
            self._problem = f"it answered with HTTP status {status}; only 200 is an answer"

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


def _checked(url: str) -> SplitResult:
    problem = ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"The hook's address cannot be read: {error}.") from error
    if not url.isascii() or not url.isprintable() or " " in url:
        problem = "has characters that must be percent-encoded"
    elif not host:
        problem = "names no host"
    elif parts.username is not None:
        problem = "carries a user name"
    elif parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        problem = "must begin with https:// (http:// is for this machine's loopback only)"
    if problem:
        raise InvalidRequest(f"The hook's address (host {host!r}) {problem}.")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidRequest(f"The hook's CA file {ca_file} cannot be used: {error}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
