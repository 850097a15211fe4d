"""What only the hook at an address can meet: certificates, redirects, broken answers."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import structlog

from fleetgate.provisioning.hooks import LONGEST_ANSWER, HttpsHook
from fleetgate.runtime import HookRequest

ALLOW = "def lambda_handler(event, context): return {'allowProvisioning': True}"

# Handlers that speak HTTP by themselves and leave before the server does.
RAW = "import json, sys, time\ndef lambda_handler(event, context):\n    {}\n    sys.exit()\n"
YES = '{"allowProvisioning": true}'


async def test_a_certificate_nobody_vouches_for(server: Any, question: HookRequest) -> None:
    server.hook(ALLOW)
    answer = await HttpsHook(server.url).decide(question)
    assert not answer.allowed
    assert "certificate verify failed" in answer.reason.lower()
    assert server.asked == 0


async def test_a_certificate_for_another_name(server: Any, question: HookRequest) -> None:
    server.hook(ALLOW)
    answer = await HttpsHook(server.url.replace("localhost", "[::ffff:127.0.0.1]"), server.ca_file).decide(question)
    assert not answer.allowed
    assert server.asked == 0


async def test_plain_http_on_loopback(plain_server: Any, question: HookRequest) -> None:
    assert (await plain_server.hook(ALLOW).decide(question)).allowed


async def test_tls_where_none_is_spoken(plain_server: Any, question: HookRequest) -> None:
    plain_server.source = ALLOW
    hook = HttpsHook(plain_server.url.replace("http:", "https:"), time_limit=1_000)
    assert not (await hook.decide(question)).allowed


async def test_nobody_there(question: HookRequest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answer = await HttpsHook(f"http://127.0.0.1:{port}").decide(question)
    assert not answer.allowed
    assert "refused" in answer.reason.lower() or "connect" in answer.reason.lower()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(server: Any, question: HookRequest, status: int) -> None:
    source = RAW.format(
        f"door.send_response({status}); door.send_header('Location', '/yes'); "
        "door.send_header('Content-Length', '0'); door.end_headers()"
    )
    answer = await server.hook(source).decide(question)
    assert (answer.allowed, server.asked) == (False, 1)
    assert f"HTTP status {status}" in answer.reason


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (f"HTTP/1.1 200 OK\r\nContent-Length: {len(YES)}\r\n\r\n{YES}", True),
        (f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{len(YES):x}\r\n{YES}\r\n0\r\n\r\n", True),
        (f"HTTP/1.0 200 OK\r\n\r\n{YES}", True),
        (f"HTTP/1.1 200 OK\r\nContent-Length: {len(YES) + 1}\r\n\r\n{YES}", False),
        (f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{YES}", False),
        (f"HTTP/1.1 201 Created\r\nContent-Length: {len(YES)}\r\n\r\n{YES}", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html/>\r\n", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (YES, False),
        ("SSH-2.0-OpenSSH\r\n", False),
        ("", False),
    ],
)
async def test_answers_whole_and_broken(server: Any, question: HookRequest, words: str, allowed: bool) -> None:
    answer = await server.hook(RAW.format(f"door.wfile.write({words.encode()!r})")).decide(question)
    assert answer.allowed is allowed
    assert bool(answer.reason) is not allowed


async def test_a_deep_answer(server: Any, question: HookRequest) -> None:
    deep = "[" * 50_000 + "]" * 50_000
    words = f"HTTP/1.0 200 OK\r\n\r\n{deep}"
    assert not (await server.hook(RAW.format(f"door.wfile.write({words.encode()!r})")).decide(question)).allowed


async def test_an_answer_without_end(server: Any, question: HookRequest) -> None:
    endless = "while True: door.wfile.write(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + b' ' * 10_000)"
    answer = await server.hook(RAW.format(endless)).decide(question)
    assert f"longer than {LONGEST_ANSWER}" in answer.reason


async def test_drop_by_drop_is_no_way_around_the_time_limit(server: Any, question: HookRequest) -> None:
    head = "door.wfile.write(b'HTTP/1.0 200 OK\\r\\n\\r\\n')"
    drops = f"{head}\n    for _ in range(100): time.sleep(.1); door.wfile.write(b' ')"
    answer = await server.hook(RAW.format(drops), limit=500).decide(question)
    assert answer.reason == f"https://localhost:{server.server_port} did not answer within 500 ms"


async def test_a_question_that_cannot_be_asked_is_a_no(server: Any) -> None:
    unsayable = HookRequest("", "", "", "", "", {"SerialNumber": object()})  # type: ignore[dict-item] # a bug above
    with structlog.testing.capture_logs() as logs:
        answer = await server.hook(ALLOW).decide(unsayable)
    assert not answer.allowed
    assert [log["event"] for log in logs] == ["hook failed"]


def test_old_tls_is_not_spoken(server: Any) -> None:
    context = server.hook(ALLOW)._ssl
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
