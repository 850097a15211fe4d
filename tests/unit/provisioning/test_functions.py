"""Functions by name, on a real installation without doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fleet import opened
from tests.server import REALM

from fleetgate.errors import FunctionFailed, FunctionTimedOut, FunctionUnavailable
from fleetgate.provisioning.functions import arn
from fleetgate.registry import access_keys, audit, function_keys, functions
from fleetgate.registry.access_keys import AccessKey

URL = "http://127.0.0.1:1"
TELL = """
import os


def lambda_handler(event, context):
    return {"event": event, "environment": dict(os.environ), "request": context.aws_request_id}
"""
SLOW = "import time\n\n\ndef lambda_handler(event, context):\n    time.sleep(60)\n"
BAD = "def lambda_handler(event, context):\n    raise ValueError('not today')\n"


class House:
    def __init__(self, works: Any, folder: Path) -> None:
        self.works, self.folder = works, folder
        self.runtime = works.runtime
        works.runtime.functions.api_url = URL

    async def bind(self, name: str, source: str = TELL) -> None:
        file = self.folder / f"{name}.py"
        file.write_text(source)
        act = self.runtime.act(REALM, "system")
        await self.runtime.write(lambda tx: functions.put(tx, act, name, str(file), "lambda_handler"))

    async def invoke(self, name: str, payload: Any = None, **limit: int) -> Any:
        return await self.runtime.functions.invoke(self.runtime.act(REALM, "cert/1"), name, payload, **limit)

    async def key(self, name: str) -> AccessKey | None:
        found: AccessKey | None = await self.runtime.database.read(lambda tx: function_keys.find(tx, REALM, name))
        return found


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path / "data", hooks__functions={"configured": {"file": str(tmp_path / "c.py")}}) as at:
        (tmp_path / "c.py").write_text(TELL)
        yield House(at, tmp_path)


@pytest.mark.parametrize("by", ["greet", arn(REALM, "greet"), f"{arn(REALM, 'greet')}:prod"])
async def test_a_function_has_the_payload_and_a_key_to_this_server(house: House, by: str) -> None:
    await house.bind("greet")
    told = await house.invoke(by, {"n": 1})
    assert told["event"] == {"n": 1}
    environment, key = told["environment"], await house.key("greet")
    assert key is not None
    assert environment["AWS_ENDPOINT_URL"] == URL
    assert environment["AWS_ACCESS_KEY_ID"] == key.id
    assert environment["AWS_SECRET_ACCESS_KEY"] == house.runtime.vault.open_sealed(key.sealed_secret)
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == REALM.region


async def test_a_function_of_the_configuration_has_a_key_as_well(house: House) -> None:
    assert (await house.invoke("configured"))["environment"]["AWS_ACCESS_KEY_ID"].startswith("AKIA")


async def test_first_calls_at_the_same_time_make_one_key(house: House) -> None:
    await house.bind("greet")
    told = await asyncio.gather(*(house.invoke("greet", number) for number in range(4)))
    assert len({each["environment"]["AWS_ACCESS_KEY_ID"] for each in told}) == 1
    entries = await house.runtime.database.read(lambda tx: audit.page(tx, REALM, limit=100).items)
    assert any(entry.action == "CreateFunctionKey" for entry in entries)


async def test_a_key_switched_off_stops_the_function_and_a_deleted_one_is_replaced(house: House) -> None:
    await house.bind("greet")
    first = (await house.invoke("greet"))["environment"]["AWS_ACCESS_KEY_ID"]
    act = house.runtime.act(REALM, "system")
    await house.runtime.write(lambda tx: access_keys.set_status(tx, act, first, access_keys.Status.INACTIVE))
    with pytest.raises(FunctionUnavailable, match=f"access key {first} is switched off"):
        await house.invoke("greet")
    await house.runtime.write(lambda tx: access_keys.delete(tx, act, first))
    assert (await house.invoke("greet"))["environment"]["AWS_ACCESS_KEY_ID"] != first


async def test_what_goes_wrong_says_so(house: House) -> None:
    with pytest.raises(FunctionUnavailable, match="fleetgate function bind nobody FILE"):
        await house.invoke("nobody")
    await house.bind("bad", BAD)
    with pytest.raises(FunctionFailed, match="not today"):
        await house.invoke("bad")
    await house.bind("slow", SLOW)
    with pytest.raises(FunctionTimedOut, match="slow did not answer within 300 ms"):
        await house.invoke("slow", time_limit=300)
