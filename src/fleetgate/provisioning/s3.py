"""Input files in S3, or in what speaks its protocol: read in ranges, with the access key in the configuration's `[s3]`.

GetObject with Range and If-Match, signed with AWS Signature Version 4. Blocking: for threads. One connection, kept from
one range to the next. The credentials file is read for each request, so that a rotated key is taken up.
"""

from __future__ import annotations

import configparser
import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, urlsplit

import structlog

from fleetgate.config import S3Config
from fleetgate.errors import InvalidRequest, Unavailable
from fleetgate.registry.tasks import Input
from fleetgate.wire.restjson.sigv4 import EMPTY_SHA256, AccessKey, authorization

log = structlog.get_logger(__name__)

Clock = Callable[[], int]

RANGE: Final = 1024 * 1024
"""Bytes asked for at a time."""
_SECONDS: Final = 10.0
"""Silence of S3 after which a request has failed."""
_PAUSES: Final = (0.2, 1.0, 3.0)
"""Before a failed request is sent again. Seconds."""
_LONGEST_REFUSAL: Final = 64 * 1024
_BUCKET: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,100})</Code>")
_MESSAGE: Final = re.compile(rb"<Message>([^<]{1,500})</Message>")
_ETAG: Final = re.compile(r'"[!#-~]{1,200}"')


class _Failed(Exception):
    """A request that may go better the next time; the message says why it did not."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


def look(config: S3Config, bucket: str, key: str, clock: Clock) -> Input:
    """The object as it is now. Raises InvalidRequest: there is none, or it may not be read; Unavailable: S3 is."""
    with Object(config, bucket, key, clock) as found:
        return found.described()


def reopen(config: S3Config, source: Input, clock: Clock) -> Object:
    """The object that *source* describes, and nothing that it was changed into since. S3 is asked when it is read.

    Raises InvalidRequest: the settings cannot be used.
    """
    return Object(config, source.bucket, source.key, clock, source)


class Object:
    """One object, with what reading lines takes of a file. One thread at a time; `close` may come from any."""

    def __init__(self, config: S3Config, bucket: str, key: str, clock: Clock, source: Input | None = None) -> None:
        """Only with *source* it can be read. Raises InvalidRequest for names that S3 does not have or that lead
        elsewhere, or settings that cannot be used.
        """
        if not _BUCKET.fullmatch(bucket):
            raise InvalidRequest(f"There is no bucket {bucket!r} on the server, and S3 cannot have one of that name.")
        if not key or not {".", ".."}.isdisjoint(key.split("/")):
            raise InvalidRequest(f"The key {key[:100]!r} must not be empty nor have . or .. between its slashes.")
        self._name = f"{key} in S3 bucket {bucket}"
        self._bucket, self._key = bucket, key
        self._config, self._clock = config, clock
        self._door = _Door(config, bucket)
        self._path = f"{self._door.prefix}/{quote(key, safe='/-_.~')}"
        self._source = source
        self._position = 0
        self._begin = 0
        self._held = b""
        """What is there of the object from `_begin` on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """A read that is under way in another thread ends with Unavailable."""
        self._door.close()

    # --- the object ---

    def described(self) -> Input:
        """Its size, time of change and ETag. Raises as `look`."""
        answer = self._ask("HEAD", {})
        if answer.status != 200:
            # A refused HEAD does not say why; a GET does.
            refused = self._ask("GET", {"range": "bytes=0-0"})
            raise self._refusal(refused if refused.status >= 300 else answer)
        size, etag = answer.headers.get("content-length", ""), answer.headers.get("etag", "")
        if not size.isdecimal() or not _ETAG.fullmatch(etag):
            raise InvalidRequest(f"{self._name} cannot be read: S3 told no size or no ETag.")
        return Input(self._bucket, self._key, int(size), _modified(answer.headers.get("last-modified", "")), etag)

    # --- as a file ---

    def seek(self, position: int) -> None:
        self._position = position

    def readline(self, most: int) -> bytes:
        """As a file's. Raises InvalidRequest where the object was changed, Unavailable where S3 does not answer."""
        parts: list[bytes] = []
        while most > 0:
            at = self._position - self._begin
            if not 0 <= at < len(self._held):
                self._fetch()
                at = 0
                if not self._held:
                    break
            end = self._held.find(b"\n", at, at + most) + 1 or min(at + most, len(self._held))
            part = self._held[at:end]
            parts.append(part)
            self._position += len(part)
            most -= len(part)
            if part.endswith(b"\n"):
                break
        return b"".join(parts)

    def _fetch(self) -> None:
        """Hold the range that begins at the position; nothing at the object's end."""
        source = self._source
        assert source is not None
        first, last = self._position, min(self._position + RANGE, source.size) - 1
        self._begin, self._held = first, b""
        if first > last:
            return
        answer = self._ask("GET", {"range": f"bytes={first}-{last}", "if-match": source.etag or ""})
        if answer.status == 412 or (answer.status == 206 and answer.headers.get("etag") != source.etag):
            raise _changed(self._bucket, self._key)
        if answer.status != 206:
            raise self._refusal(answer)
        expected = f"bytes {first}-{last}/{source.size}"
        if answer.headers.get("content-range") != expected or len(answer.body) != last - first + 1:
            raise InvalidRequest(f"{self._name} cannot be read: S3 did not answer with {expected}.")
        self._held = answer.body

    # --- asking ---

    def _ask(self, method: str, headers: Mapping[str, str]) -> _Answer:
        """Until there is an answer that will not change by asking again."""
        for pause in (*_PAUSES, None):
            try:
                answer = self._door.ask(method, self._path, self._signed(method, headers))
                if answer.status < 500 and answer.status not in {408, 429}:
                    return answer
                reason = f"it answered with {_why(answer)}"
            except _Failed as error:
                reason = str(error)
            log.warning("S3 does not answer", bucket=self._bucket, key=self._key, reason=reason)
            if pause is None or self._door.closed.wait(pause):
                break
        raise Unavailable(f"{self._name} cannot be read now: {reason}. Try again later.")

    def _signed(self, method: str, headers: Mapping[str, str]) -> dict[str, str]:
        host = {"host": self._door.host, "x-amz-content-sha256": EMPTY_SHA256}
        access_key = credentials(self._config)
        return authorization(
            access_key, self._config.region, "s3", method, self._path, {**host, **headers}, EMPTY_SHA256, self._clock()
        )

    def _refusal(self, answer: _Answer) -> InvalidRequest:
        why = _why(answer)
        if answer.status in {301, 307}:
            region = answer.headers.get("x-amz-bucket-region", "another region")
            why += f"; the bucket is in {region[:40]}, and s3.region says {self._config.region}"
        elif answer.status == 200:
            why = "it does not answer requests for a range"
        return InvalidRequest(f"{self._name} cannot be read: S3 answered with {why}.")


class _Door:
    """The connection to the bucket's address."""

    def __init__(self, config: S3Config, bucket: str) -> None:
        url = urlsplit(config.endpoint or f"https://s3.{config.region}.amazonaws.com")
        # A certificate for *.s3.REGION.amazonaws.com does not cover a bucket name with dots.
        virtual = config.addressing == "virtual" or (
            config.addressing == "auto" and config.endpoint is None and "." not in bucket
        )
        assert url.hostname is not None
        self._at = f"{bucket}.{url.hostname}" if virtual else url.hostname
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._ssl = _context(config.ca_file) if url.scheme == "https" else None
        bracketed = f"[{self._at}]" if ":" in self._at else self._at
        self.host = bracketed if url.port is None else f"{bracketed}:{url.port}"
        self.prefix = "" if virtual else f"/{bucket}"
        self.closed = threading.Event()
        self._busy = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> _Answer:
        """Raises _Failed; Unavailable where S3's certificate is not trusted, which waiting does not mend.

        A kept connection that has gone meanwhile is no failure; another one is made, once.
        """
        try:
            with self._busy:
                kept = self._connection is not None
                try:
                    return self._asked(method, path, headers)
                except _Failed:
                    if not kept or self.closed.is_set():
                        raise
                return self._asked(method, path, headers)
        finally:
            self._leave()

    def _asked(self, method: str, path: str, headers: Mapping[str, str]) -> _Answer:
        if self.closed.is_set():
            raise _Failed("it is not wanted any more")
        if self._connection is None:
            self._connection = self._opened()
        try:
            answer, reusable = _exchange(self._connection, method, path, headers)
        except ssl.SSLCertVerificationError as error:
            self._drop()
            raise Unavailable(
                f"S3's certificate is not trusted: {error.verify_message}. See s3.ca_file and s3.endpoint."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise _Failed(str(error) or type(error).__name__) from error
        if not reusable:
            self._drop()
        return answer

    def _opened(self) -> http.client.HTTPConnection:
        if self._ssl is None:
            return http.client.HTTPConnection(self._at, self._port, timeout=_SECONDS)
        return http.client.HTTPSConnection(self._at, self._port, timeout=_SECONDS, context=self._ssl)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        self.closed.set()
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # wakes a thread that reads; it then comes to _leave
        self._leave()

    def _leave(self) -> None:
        """Whoever leaves last after closing clears up."""
        if self.closed.is_set() and self._busy.acquire(blocking=False):
            self._drop()
            self._busy.release()


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]
) -> tuple[_Answer, bool]:
    """The answer, and whether the connection is good for another request. Raises OSError, HTTPException."""
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    most = RANGE if response.status == 206 else _LONGEST_REFUSAL
    length = response.length
    # Read whole, a body that ends early is an error; read in part, it would look like a shorter one.
    body = response.read() if length is not None and length <= most else response.read(most + 1)
    answer = _Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
    return answer, response.isclosed()


def credentials(config: S3Config) -> AccessKey:
    """The access key in the credentials file. Raises InvalidRequest, which says nothing of the file's content."""
    file = config.credentials_file
    assert file is not None
    found = configparser.RawConfigParser()
    try:
        found.read_string(file.read_text(encoding="utf-8"))
        section = found[config.profile]
        return AccessKey(
            section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token")
        )
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except (KeyError, ValueError, configparser.Error):
        problem = f"no aws_access_key_id and aws_secret_access_key in its section [{config.profile}]"
    raise InvalidRequest(f"The server's S3 credentials cannot be used (s3.credentials_file): {problem}.")


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidRequest(f"The CA file {ca_file} (s3.ca_file) cannot be used: {error}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _changed(bucket: str, key: str) -> InvalidRequest:
    return InvalidRequest(f"{key} in S3 bucket {bucket} was changed after the task was started; start another one.")


def _why(answer: _Answer) -> str:
    """Status, and S3's code and message where it gives them."""
    code, message = _CODE.search(answer.body), _MESSAGE.search(answer.body)
    said = [each[1].decode("utf-8", "replace").rstrip(".") for each in (code, message) if each]
    return f"HTTP status {answer.status}" + (f" ({': '.join(said)})" if said else "")


def _modified(text: str) -> int:
    """Milliseconds UTC; 0 where S3 does not say."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1000
    except ValueError:
        return 0
