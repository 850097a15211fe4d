"""Start a coroutine at once: what never waits needs no task, and its answer leaves with what caused it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any


def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run *work* up to where it first waits; the task that goes on from there, or None when it came to its end.

    As Python 3.12's eager tasks, but that up to there `asyncio.current_task` is the caller's, if any, so that
    `asyncio.timeout` cannot be used before something was waited for.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_rest(work, awaited))


@coroutine
def _rest(work: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    while True:
        failed: BaseException | None = None
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 # *work* decides, as if it had been awaited
            failed = error
        try:
            awaited = work.send(value) if failed is None else work.throw(failed)
        except StopIteration:
            return
