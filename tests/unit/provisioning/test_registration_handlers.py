"""Functions that are called for certificates that wait for activation, on a real installation without doors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import opened
from tests.unit.provisioning.test_just_in_time import Plant

from fleetgate.pki import certificate as x509s
from fleetgate.provisioning.registration_handlers import MOST_AT_ONCE, RegistrationHandlers
from fleetgate.registry import functions, outbox, registration_functions

TELL = """
import json, os


def lambda_handler(event, context):
    told = {"event": event, "environment": dict(os.environ), "request": context.aws_request_id}
    with open(os.path.join(os.path.dirname(__file__), event["certificateId"]), "a") as file:
        print(json.dumps(told), file=file)
"""


class Works(Plant):
    """A plant that has functions called."""

    def __init__(self, house: Any, folder: Path) -> None:
        super().__init__(house)
        self.folder = folder
        self.handlers = RegistrationHandlers(house.runtime)

    async def bind(self, name: str, source: str = TELL, ca: str | None = None) -> None:
        file = self.folder / f"{name}.py"
        file.write_text(source)

        def enter(tx: Any, act: Any) -> None:
            functions.put(tx, act, name, str(file), "lambda_handler")
            registration_functions.bind(tx, act, name, ca)

        await self.write(enter)

    async def comes(self) -> str:
        """A new device, and everything that this sets off; its fingerprint."""
        leaf = self.leaf()
        assert await self.meet(leaf)
        entries = await self.read(lambda tx: outbox.pending(tx, 1000))
        await self.runtime.database.write(lambda tx: outbox.delivered(tx, [entry.id for entry in entries]))
        self.handlers.consume(entries)
        await asyncio.gather(*self.handlers._tasks)
        return x509s.fingerprint(leaf)

    def told(self, fingerprint: str) -> list[dict[str, Any]]:
        file = self.folder / fingerprint
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
async def works(tmp_path: Path) -> AsyncIterator[Works]:
    (tmp_path / "functions").mkdir()
    async with opened(tmp_path / "data") as house:
        found = Works(house, tmp_path / "functions")
        yield found
        await found.handlers.close()


async def test_a_function_gets_the_event(works: Works) -> None:
    ca = await works.register()
    await works.bind("greet")
    fingerprint = await works.comes()
    [told] = works.told(fingerprint)
    assert (told["event"]["certificateId"], told["event"]["caCertificateId"]) == (fingerprint, ca.fingerprint)
    assert told["environment"]["AWS_ACCESS_KEY_ID"].startswith("AKIA")


async def test_each_function_is_called_for_its_ca(works: Works) -> None:
    ca = await works.register()
    await works.bind("every")
    await works.bind("this", ca=ca.fingerprint)
    assert len(works.told(await works.comes())) == 2
    await works.write(lambda tx, act: registration_functions.unbind(tx, act, "every", None))
    assert len(works.told(await works.comes())) == 1
    await works.write(lambda tx, act: functions.delete(tx, act, "this"))
    assert works.told(await works.comes()) == []


async def test_a_function_that_fails_is_written_down_and_holds_nobody_up(works: Works) -> None:
    await works.register()
    await works.bind("a-bad-one", "def lambda_handler(event, context):\n    raise ValueError('not today')\n")
    await works.bind("good")
    fingerprint = await works.comes()
    assert len(works.told(fingerprint)) == 1
    [entry] = await works.audited("InvokeFunction")
    assert (entry.outcome, entry.actor) == ("failed", f"cert/{fingerprint}")
    assert entry.target.endswith(":function:a-bad-one")
    assert "not today" in entry.reason
    assert entry.details["certificateId"] == fingerprint


async def test_other_events_call_nobody(works: Works) -> None:
    await works.provisions()
    await works.bind("greet")
    assert works.told(await works.comes()) == []


async def test_a_flood_is_left_to_the_next_attempts(works: Works) -> None:
    await works.register()
    await works.bind("greet")
    await works.meet(works.leaf())
    [entry] = await works.entries()
    works.handlers.consume([entry] * (MOST_AT_ONCE + 5))
    assert len(works.handlers._tasks) == MOST_AT_ONCE
    await works.handlers.close()
    assert works.handlers._tasks == set()


async def test_a_database_that_is_away(works: Works) -> None:
    await works.register()
    await works.bind("greet")
    await works.meet(works.leaf())
    [entry] = await works.entries()
    await works.runtime.database.close()
    works.handlers.consume([entry])
    await asyncio.gather(*works.handlers._tasks)
    assert works.told(entry.event.fingerprint) == []  # type: ignore[union-attr] # `entries` sees to it
