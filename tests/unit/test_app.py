"""The API's own TLS, and tasks that a bug cannot end."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.unit.agent.cloud import certify

from fleetgate import app, config
from fleetgate.errors import Unavailable
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind


def settings(**given: str) -> config.Config:
    return config.load(None, {name.replace("__", "."): value for name, value in given.items()})


def test_the_api_speaks_tls_where_it_has_a_certificate(tmp_path: Path) -> None:
    assert app._api_context(settings()) is None
    key = keys.generate(KeyKind.EC_P256)
    certificate, private_key = tmp_path / "api.pem", tmp_path / "api.key"
    certificate.write_text(certify(key.public_key()))
    private_key.write_text(keys.private_key_pem(key))
    with_tls = settings(api__tls_certificate=str(certificate), api__tls_key=str(private_key))
    context = app._api_context(with_tls)
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    private_key.write_text(keys.private_key_pem(keys.generate(KeyKind.EC_P256)))
    with pytest.raises(Unavailable, match=r"TLS certificate .* cannot be used"):
        app._api_context(with_tls)


async def test_a_task_that_fails_is_started_again_and_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_TICK_SECONDS", 0.001)
    runs, twice = 0, asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ZeroDivisionError
        twice.set()
        await asyncio.Event().wait()

    task = app._keep_running("work", work)
    async with asyncio.timeout(10):
        await twice.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (runs, task.cancelled()) == (3, True)


async def test_every_so_often() -> None:
    done = asyncio.Event()
    task = asyncio.create_task(app._every(0.001, done.set))
    async with asyncio.timeout(10):
        for _ in range(3):
            await done.wait()
            done.clear()
    task.cancel()
