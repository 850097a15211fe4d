"""Reports of bulk registration: signed links that expire, and the files behind them, made as they are read.

A link is good for whoever has it, as a pre-signed URL of S3 is: an HMAC over path and expiry with a key of the
installation's own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qs

from fleetgate.errors import AccessDenied, NotFound, Refused, Unavailable
from fleetgate.names import Act, Realm
from fleetgate.registry import tasks
from fleetgate.registry.tasks import Report
from fleetgate.runtime import Runtime

Send = Callable[[dict[str, Any]], Awaitable[None]]

PREFIX: Final = "/_fleetgate/reports/"
PART: Final = 10_000
"""Lines of the input that one file covers."""
LIFETIME: Final = 3600
"""Seconds that a link is good for."""
_ROWS: Final = 200
_PATH: Final = re.compile(
    r"/_fleetgate/reports/(\d{12})/([a-z0-9-]+)/([0-9a-f-]{36})/(RESULTS|ERRORS)/(\d{1,9})\.jsonl"
)


def link(runtime: Runtime, act: Act, task_id: str, report: Report, part: int) -> str:
    """The address of one part of *report*."""
    base = (runtime.config.api.public_url or act.asked_at).rstrip("/")
    path = f"{PREFIX}{act.realm.account}/{act.realm.region}/{task_id}/{report}/{part}.jsonl"
    expires = act.now // 1000 + LIFETIME
    return f"{base}{path}?expires={expires}&signature={_signature(runtime, path, expires)}"


async def serve(runtime: Runtime, method: str, path: str, query: str, send: Send) -> None:
    """Answer a request for a link: JSON lines, or why not."""
    try:
        realm, task_id, report, part = _checked(runtime, method, path, query)
        await runtime.database.glance(lambda tx: tasks.get(tx, realm, task_id))
    except Refused as error:
        return await _refuse(send, error.status, error.message)
    except Unavailable:
        return await _refuse(send, Unavailable.status, "The installation cannot answer this now. Try again in a while.")
    headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    after, until = (part - 1) * PART, part * PART
    while rows := await runtime.database.read(
        lambda tx, after=after: tasks.bodies(tx, realm, task_id, report, after, until, _ROWS)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    ):
        text = "".join(f"{body}\n" for _, body in rows)
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        after = rows[-1][0]
    return await send({"type": "http.response.body", "body": b""})


def _checked(runtime: Runtime, method: str, path: str, query: str) -> tuple[Realm, str, Report, int]:
    """What the link is for. Raises NotFound, AccessDenied."""
    found = _PATH.fullmatch(path)
    if found is None or method != "GET":
        raise NotFound("Not Found")
    given = parse_qs(query)
    expires, signature = given.get("expires", [""])[0], given.get("signature", [""])[0]
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 15 and signature.isascii()):
        raise AccessDenied("The link is not whole. List the reports again for a new one.")
    if not hmac.compare_digest(signature, _signature(runtime, path, int(expires))):
        raise AccessDenied("The link was not made by this installation. List the reports again for a new one.")
    if int(expires) * 1000 < runtime.clock():
        raise AccessDenied("The link has expired. List the reports again for a new one.")
    account, region, task_id, report, part = found.groups()
    return Realm(account, region), task_id, Report(report), int(part)


def _signature(runtime: Runtime, path: str, expires: int) -> str:
    key = runtime.vault.derived("links to reports of bulk registration")
    return hmac.new(key, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
