"""AWS Signature Version 4. The server's side: who signed this request, and did they? And the client's: authorization().

Three forms: the Authorization header, the presigned query, and the presigned query of WebSocket clients (service
`iotdevicegateway`), who append X-Amz-Security-Token after signing. The canonical path is encoded twice, as for every
service but S3. parse() reads the credential, the caller finds the secret of its access key, Verifier.verify() checks.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import quote, unquote

from fleetgate.wire.restjson.message import Request

ALGORITHM: Final = "AWS4-HMAC-SHA256"
WEBSOCKET_SERVICE: Final = "iotdevicegateway"
SKEW_MS: Final = 5 * 60 * 1000
LONGEST_PRESIGNED_S: Final = 7 * 24 * 3600

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
"""The payload hash of a request without a body."""

_MISSING: Final = "MissingAuthenticationTokenException"
_INCOMPLETE: Final = "IncompleteSignatureException"
_INVALID: Final = "InvalidSignatureException"
_UNRECOGNIZED: Final = "UnrecognizedClientException"
_EXPIRED: Final = "ExpiredTokenException"

# The same refusals in services that speak the query protocol (sts).
_QUERY_CODES: Final = {
    _MISSING: "MissingAuthenticationToken",
    _INCOMPLETE: "IncompleteSignature",
    _INVALID: "SignatureDoesNotMatch",
    _UNRECOGNIZED: "InvalidClientTokenId",
    _EXPIRED: "ExpiredToken",
}

Form = Literal["header", "query", "websocket"]


class SignatureRefused(Exception):
    """The request is not, or not properly, signed; answered with 403. *code* is AWS's name for it in JSON services."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def query_code(self) -> str:
        """The name of the same refusal in the query protocol (sts)."""
        return _QUERY_CODES[self.code]


def unknown_key() -> SignatureRefused:
    """For callers: nobody has this access key, or its session token is another."""
    return SignatureRefused(_UNRECOGNIZED, "The access key id or the session token is not known here.")


def expired_token() -> SignatureRefused:
    """For callers: the key and its session token are right, and their time is over."""
    return SignatureRefused(_EXPIRED, "The security token included in the request is expired")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request says about its signature. Nothing in it is proven before verify().

    *date* is the scope's day (YYYYMMDD), *timestamp* the signing time as sent (ISO 8601 basic), *signed_at* the same in
    milliseconds UTC, *expires* a presigned request's life in seconds where it names one.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    security_token: str | None
    form: Form
    timestamp: str
    signed_at: int
    expires: int | None = None


# --- reading ---------------------------------------------------------------------------------------------------------

_TIMESTAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_SIGNED_HEADERS: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+(?:;[!#$%&'*+.^_`|~0-9a-z-]+)*")
_EXPIRES: Final = re.compile(r"[0-9]{1,7}")


def parse(request: Request) -> Credential:
    """The credential of *request*, in whichever form. Raises SignatureRefused when there is none or it is broken."""
    authorization = request.headers.get("authorization")
    presigned = "X-Amz-Signature=" in request.query
    if authorization is None and not presigned:
        raise SignatureRefused(_MISSING, "The request is not signed; sign it with AWS Signature Version 4.")
    if authorization is None:
        return _parse_query(request.query)
    if presigned:
        raise _incomplete("The request is signed in the header and in the query; only one is allowed.")
    return _parse_header(request, authorization)


def _incomplete(message: str) -> SignatureRefused:
    return SignatureRefused(_INCOMPLETE, message)


def _parse_header(request: Request, authorization: str) -> Credential:
    algorithm, _, rest = authorization.strip().partition(" ")
    if not algorithm.startswith("AWS4-"):
        raise SignatureRefused(_MISSING, f"The Authorization header must be signed with {ALGORITHM}.")
    if algorithm != ALGORITHM:
        raise _incomplete(f"The signature's algorithm must be {ALGORITHM}.")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip(" \t").partition("=")
        if name in fields:
            raise _incomplete(f"The Authorization header gives {name[:40]} twice.")
        fields[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise _incomplete(f"The Authorization header has no {name}.")
    timestamp = request.headers.get("x-amz-date", "")
    token = request.headers.get("x-amz-security-token")
    return _credential(
        fields["Credential"], fields["SignedHeaders"], fields["Signature"], timestamp, token, None, "header"
    )


def _parse_query(query: str) -> Credential:
    fields: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.startswith("X-Amz-"):
            if name in fields:
                raise _incomplete(f"The query gives {name[:40]} twice.")
            fields[name] = unquote(value)
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise _incomplete(f"X-Amz-Algorithm must be {ALGORITHM}.")
    for name in ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature"):
        if not fields.get(name):
            raise _incomplete(f"The query has no {name}.")
    return _credential(
        fields["X-Amz-Credential"],
        fields["X-Amz-SignedHeaders"],
        fields["X-Amz-Signature"],
        fields.get("X-Amz-Date", ""),
        fields.get("X-Amz-Security-Token"),
        _expires(fields.get("X-Amz-Expires")),
        "query",
    )


def _expires(text: str | None) -> int | None:
    if text is None:
        return None
    if not _EXPIRES.fullmatch(text) or not 1 <= int(text) <= LONGEST_PRESIGNED_S:
        raise _incomplete(f"X-Amz-Expires must be 1 to {LONGEST_PRESIGNED_S} seconds.")
    return int(text)


def _credential(
    scope: str, headers: str, signature: str, timestamp: str, token: str | None, expires: int | None, form: Form
) -> Credential:
    parts = scope.split("/")
    if len(parts) != 5 or not all(parts) or parts[4] != "aws4_request":
        raise _incomplete("The credential must read <access key id>/<YYYYMMDD>/<region>/<service>/aws4_request.")
    access_key_id, date, region, service, _ = parts
    if not _SIGNED_HEADERS.fullmatch(headers):
        raise _incomplete("SignedHeaders must be lower-case header names with semicolons between them.")
    if not _SIGNATURE.fullmatch(signature):
        raise _incomplete("The signature must be 64 lower-case hexadecimal digits.")
    signed_at = _milliseconds(timestamp)
    if timestamp[:8] != date:
        raise SignatureRefused(_INVALID, f"The credential's date {date[:20]} is not that of the signing time.")
    names = tuple(headers.split(";"))
    if form == "query" and service == WEBSOCKET_SERVICE:
        form = "websocket"
    return Credential(
        access_key_id, date, region, service, names, signature, token, form, timestamp, signed_at, expires
    )


def _milliseconds(timestamp: str) -> int:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise _incomplete("The signing time (x-amz-date) must be given as YYYYMMDDThhmmssZ.")
    date, time = timestamp[:8], timestamp[9:15]
    try:
        moment = datetime(
            int(date[:4]), int(date[4:6]), int(date[6:]), int(time[:2]), int(time[2:4]), int(time[4:]), tzinfo=UTC
        )
    except ValueError as error:
        raise _incomplete(f"The signing time {timestamp} does not exist.") from error
    return int(moment.timestamp()) * 1000


# --- verifying -------------------------------------------------------------------------------------------------------


class Verifier:
    """Checks signatures; remembers up to *remembered* derived signing keys (one per secret, day, region, service).

    *skew_ms* is how far a client's clock may be off, either way. May be shared between threads.
    """

    def __init__(self, skew_ms: int = SKEW_MS, remembered: int = 256) -> None:
        self._skew_ms = skew_ms
        self._remembered = remembered
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def verify(self, request: Request, credential: Credential, secret: str, now: int) -> None:
        """Raises SignatureRefused unless whoever holds *secret* signed *request*, just now or for now.

        *credential* is parse(request); *now* is milliseconds UTC. The path is canonicalised as clients do it: dot
        segments and empty ones removed, then encoded again.
        """
        self._check_time(credential, now)
        _check_signed_headers(request, credential)
        payload_hash = hashlib.sha256(request.body).hexdigest()
        if request.headers.get("x-amz-content-sha256", payload_hash) != payload_hash:
            raise SignatureRefused(_INVALID, "x-amz-content-sha256 is not the SHA-256 of the body.")
        name = (secret, credential.date, credential.region, credential.service)
        key = self._keys.get(name) or _signing_key(*name)
        scope = f"{credential.date}/{credential.region}/{credential.service}/aws4_request"
        before = f"{request.method}\n{_canonical_path(request.raw_path)}\n"
        after = f"\n{_canonical_headers(request, credential)}\n\n{';'.join(credential.signed_headers)}\n{payload_hash}"
        for query in _canonical_queries(request.query, credential.form):
            digest = hashlib.sha256(_bytes(f"{before}{query}{after}")).hexdigest()
            to_sign = f"{ALGORITHM}\n{credential.timestamp}\n{scope}\n{digest}"
            if hmac.compare_digest(hmac.digest(key, _bytes(to_sign), "sha256").hex(), credential.signature):
                self._remember(name, key)
                return
        raise SignatureRefused(
            _INVALID,
            "The signature does not match the request. Check the secret access key, and that nothing between client "
            "and server rewrites path, query, host or body.",
        )

    def _check_time(self, credential: Credential, now: int) -> None:
        age = now - credential.signed_at
        if age < -self._skew_ms:
            raise SignatureRefused(
                _INVALID,
                f"The signing time {credential.timestamp} lies {-age // 1000} s in the future; set the client's clock.",
            )
        life = self._skew_ms if credential.expires is None else credential.expires * 1000
        if age > life:
            raise SignatureRefused(
                _INVALID,
                f"The signature of {credential.timestamp} expired {(age - life) // 1000} s ago; sign the request "
                "again, and set the client's clock if it is wrong.",
            )

    def _remember(self, name: tuple[str, str, str, str], key: bytes) -> None:
        """Only proven keys are kept. When full it starts anew: a key costs six microseconds, a lock would cost more."""
        if name not in self._keys:
            if len(self._keys) >= self._remembered:
                self._keys = {}
            self._keys[name] = key


def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = _bytes(f"AWS4{secret}")
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, _bytes(part), "sha256")
    return key


# Added on the way by tracing and content delivery, so nobody can have signed them; nothing here reads them.
_NEVER_SIGNED: Final = frozenset({"x-amzn-trace-id", "x-amz-cf-id"})


def _check_signed_headers(request: Request, credential: Credential) -> None:
    signed = credential.signed_headers
    if "host" not in signed:
        raise SignatureRefused(_INVALID, "The host header must be signed.")
    if credential.form == "header" and "x-amz-date" not in signed:
        raise SignatureRefused(_INVALID, "The x-amz-date header must be signed.")
    for name in signed:
        if name not in request.headers:
            raise SignatureRefused(_INVALID, f"The header {name[:100]} is signed but was not sent.")
    for name in request.headers:
        if name.startswith(("x-amz-", "x-amzn-")) and name not in signed and name not in _NEVER_SIGNED:
            raise SignatureRefused(_INVALID, f"The header {name[:100]} was sent but is not signed.")


_SPACES: Final = re.compile(r"[ \t]+")


def _canonical_headers(request: Request, credential: Credential) -> str:
    headers = request.headers
    return "\n".join(f"{name}:{_SPACES.sub(' ', headers[name]).strip(' ')}" for name in credential.signed_headers)


def _canonical_path(raw_path: str) -> str:
    if "//" in raw_path or "/." in raw_path:
        raw_path = _without_dot_segments(raw_path)
    return quote(raw_path or "/", safe="/~", errors="surrogatepass")


def _without_dot_segments(path: str) -> str:
    """RFC 3986, section 5.2.4, and empty segments go as well."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{end}"


def _canonical_queries(query: str, form: Form) -> Iterator[str]:
    """The canonical query, in the spellings that may have been signed: as it was sent; then with everything percent-
    encoded that should be (curl signs `%3A` and sends `:`). WebSocket clients leave their security token out, or not.
    """
    if not query:
        yield ""
        return
    pairs = [
        (name, value)
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
        if name != "X-Amz-Signature"
    ]
    choices = [pairs]
    if form == "websocket":
        choices.insert(0, [pair for pair in pairs if pair[0] != "X-Amz-Security-Token"])
    for choice in choices:
        yield _joined(choice)
    for choice in choices:
        yield _joined([(_encoded(name), _encoded(value)) for name, value in choice])


def _joined(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(text.replace("+", " "), safe="%-_.~", errors="surrogatepass")


def _bytes(text: str) -> bytes:
    """Header values hold one character per byte; anything beyond that can only come from a caller's own text."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


# --- signing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What a client signs with."""

    id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def authorization(
    key: AccessKey,
    region: str,
    service: str,
    method: str,
    raw_path: str,
    headers: Mapping[str, str],
    payload_hash: str,
    now: int,
) -> dict[str, str]:
    """*headers* (by lower-case name, `host` among them), and beside them what signs a request without a query.

    *raw_path* is percent-encoded, as it is sent; *payload_hash* the body's SHA-256 in hexadecimal digits; *now*
    milliseconds UTC. For S3 the path is signed as it is sent, for all other services canonicalised first.
    """
    timestamp = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    token = {} if key.session_token is None else {"x-amz-security-token": key.session_token}
    signed = {**headers, "x-amz-date": timestamp, **token}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{_SPACES.sub(' ', signed[name]).strip(' ')}\n" for name in sorted(signed))
    path = raw_path if service == "s3" else _canonical_path(raw_path)
    digest = hashlib.sha256(_bytes(f"{method}\n{path}\n\n{lines}\n{names}\n{payload_hash}")).hexdigest()
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    signing_key = _signing_key(key.secret, timestamp[:8], region, service)
    signature = hmac.digest(signing_key, _bytes(f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"), "sha256").hex()
    value = f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**signed, "authorization": value}
