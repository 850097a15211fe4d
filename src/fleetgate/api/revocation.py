"""Revocation lists and OCSP over HTTP, for whoever asks: unsigned, cacheable (RFC 5280, RFC 6960 appendix A, RFC 5019).

GET  /_fleetgate/crl/<fingerprint of the CA>.crl      DER
POST /_fleetgate/ocsp                                 an OCSPRequest in DER
GET  /_fleetgate/ocsp/<base64 of the same>
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, Final

from fleetgate import revocation
from fleetgate.errors import InvalidRequest, NotFound, Unavailable
from fleetgate.pki import ocsp
from fleetgate.runtime import CRL_PREFIX, OCSP_PATH, Runtime
from fleetgate.wire.restjson.message import Response

Receive = Callable[[], Awaitable[dict[str, Any]]]

_CRL_FRESH: Final = 300
"""Seconds that a cache may give a list out again."""
_OCSP_TYPE: Final = "application/ocsp-response"
_CRL_TYPE: Final = "application/pkix-crl"


class StatusDoor:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._responder = revocation.Responder(runtime)
        self._publishing = asyncio.Lock()

    def serves(self, path: str) -> bool:
        return path.startswith((CRL_PREFIX, f"{OCSP_PATH}/")) or path == OCSP_PATH

    async def answer(self, method: str, path: str, receive: Receive) -> Response | None:
        """None when the client went away."""
        if path.startswith(CRL_PREFIX):
            return await self._list(method, path.removeprefix(CRL_PREFIX).removesuffix(".crl"))
        if method == "POST" and path.rstrip("/") == OCSP_PATH:
            body = await _body(receive)
            return None if body is None else await self._ask(lambda: ocsp.read(body), cacheable=False)
        if method in {"GET", "HEAD"}:
            return await self._ask(lambda: ocsp.read_path(path.removeprefix(OCSP_PATH).lstrip("/")), cacheable=True)
        return _plain(405, "Method Not Allowed", allow="GET, HEAD, POST")

    async def _list(self, method: str, fingerprint: str) -> Response:
        if method not in {"GET", "HEAD"}:
            return _plain(405, "Method Not Allowed", allow="GET, HEAD")
        try:
            issuer = revocation.issuer_of(self._runtime, fingerprint)
            async with self._publishing:  # of those who ask at once, one has it made
                found = await revocation.current_list(self._runtime, issuer)
        except NotFound:
            return _plain(404, "Not Found")
        except Unavailable:
            return _plain(503, "Try again in a while.")
        return _cached(found.body, _CRL_TYPE, found.this_update, found.next_update, _CRL_FRESH)

    async def _ask(self, question: Callable[[], ocsp.Question], *, cacheable: bool) -> Response:
        """Whatever happens is an OCSP answer, and those have status 200 (RFC 6960 appendix A.2)."""
        try:
            asked = question()
            found = await self._responder.answer(asked)
        except InvalidRequest:
            return _fresh(ocsp.MALFORMED)
        except NotFound:
            return _fresh(ocsp.UNAUTHORIZED)
        except Unavailable:
            return _fresh(ocsp.TRY_LATER)
        if asked.nonce is not None or not cacheable:
            return _fresh(found.body)
        left = max(0, (found.until - self._runtime.clock()) // 1000)
        return _cached(found.body, _OCSP_TYPE, found.this_update, found.next_update, left)


async def _body(receive: Receive) -> bytes | None:
    """At most one octet more than a request may have; None when the client went away."""
    chunks, size = [], 0
    while size <= ocsp.LONGEST:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if not message.get("more_body", False):
            break
    return b"".join(chunks)[: ocsp.LONGEST + 1]


def _cached(body: bytes, kind: str, this_update: int, next_update: int, fresh: int) -> Response:
    """Headers as RFC 5019 section 6.2 has them."""
    headers = {
        "content-type": kind,
        "cache-control": f"max-age={fresh}, public, no-transform, must-revalidate",
        "last-modified": formatdate(this_update / 1000, usegmt=True),
        "expires": formatdate(next_update / 1000, usegmt=True),
        "etag": f'"{hashlib.sha256(body).hexdigest()}"',
    }
    return Response(200, headers, body)


def _fresh(body: bytes) -> Response:
    return Response(200, {"content-type": _OCSP_TYPE, "cache-control": "no-store"}, body)


def _plain(status: int, text: str, **headers: str) -> Response:
    return Response(status, {"content-type": "text/plain", "cache-control": "no-store", **headers}, text.encode())
