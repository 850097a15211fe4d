from __future__ import annotations

import asyncio

import pytest

from fleetgate.gateway import eager


async def test_what_never_waits_is_done_at_once() -> None:
    seen: list[int] = []

    async def work() -> None:
        seen.append(1)

    assert eager.start(work()) is None
    assert seen == [1]


async def test_what_waits_goes_on_in_a_task() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    seen: list[int] = []

    async def work() -> None:
        seen.append(0)
        seen.append(await first)
        await asyncio.sleep(0)
        seen.append(await second)

    task = eager.start(work())
    assert task is not None
    assert seen == [0]
    first.set_result(1)
    second.set_result(2)
    await task
    assert seen == [0, 1, 2]


async def test_errors_come_through_at_once_and_later() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def breaks() -> None:
        raise ValueError("at once")

    async def breaks_later() -> None:
        await future
        raise ValueError("later")

    with pytest.raises(ValueError, match="at once"):
        eager.start(breaks())
    task = eager.start(breaks_later())
    assert task is not None
    future.set_result(None)
    with pytest.raises(ValueError, match="later"):
        await task


async def test_a_failure_of_what_is_awaited_is_handed_in() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work() -> None:
        try:
            await future
        except ValueError as error:
            seen.append(str(error))
        await asyncio.sleep(0)
        seen.append("went on")

    task = eager.start(work())
    assert task is not None
    future.set_exception(ValueError("no"))
    await task
    assert seen == ["no", "went on"]


async def test_it_can_be_cancelled() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("cleaned up")

    task = eager.start(work())
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cleaned up"]
