"""`Committer` over a transaction that is a list: who runs what, on which thread, and what becomes of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from fleetgate.database.batch import Lost
from fleetgate.database.committer import Committer
from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable

GONE = Lost(Unavailable("nobody knows"), again=False)


class Book:
    """Functions write words; what is committed is kept, in its batches."""

    def __init__(self) -> None:
        self.kept: list[list[str]] = []
        self.open: list[str] = []
        self.locked = False
        self.waited = 0
        self.fate: BaseException | None = None
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.committing = threading.Event()
        self.committed_by: set[str] = set()
        self.closed = False

    def begin_now(self) -> bool:
        return not self.locked

    def begin(self) -> None:
        self.waited += 1

    def call(self, work: Callable[[Tx], Any]) -> Any:
        return work(cast("Tx", self.open))

    def commit(self) -> None:
        self.committing.set()
        assert self.may_commit.wait(30)
        self.committed_by.add(threading.current_thread().name)
        fate, self.fate = self.fate, None
        if fate is not None:
            raise fate
        self.kept.append(self.open)
        self.open = []

    def rollback(self) -> None:
        self.open = []

    def close(self) -> None:
        self.closed = True


def writes(word: str) -> Callable[[Tx], str]:
    """Gives back the name of the thread that it ran on."""

    def work(tx: Tx) -> str:
        cast("list[str]", tx).append(word)
        return threading.current_thread().name

    return work


async def test_functions_run_where_they_are_called_and_commits_on_the_thread() -> None:
    book = Book()
    committer = Committer(book, limit=100)
    here = threading.current_thread().name
    assert await asyncio.gather(*(committer.call(writes(word)) for word in "abc")) == [here] * 3
    assert await committer.call(writes("d"), apart=True) == "writing thread"
    assert book.kept == [["a", "b", "c"], ["d"]]
    assert book.committed_by == {"writing thread"}
    await committer.close()
    assert book.closed


async def test_what_comes_during_a_commit_is_the_next_batch_and_kinds_do_not_mix() -> None:
    book = Book()
    committer = Committer(book, limit=100)
    book.may_commit.clear()
    tasks = [asyncio.create_task(committer.call(writes("first")))]
    assert await asyncio.to_thread(book.committing.wait, 30)
    tasks += [asyncio.create_task(committer.call(writes(word), apart=word == "c")) for word in "abcde"]
    await asyncio.sleep(0)
    book.may_commit.set()
    await asyncio.gather(*tasks)
    assert book.kept == [["first"], ["a", "b"], ["c"], ["d", "e"]]
    await committer.close()


async def test_a_batch_has_its_bound() -> None:
    book = Book()
    committer = Committer(book, limit=1000)
    await asyncio.gather(*(committer.call(writes("x")) for _ in range(130)))
    assert [len(batch) for batch in book.kept] == [64, 64, 2]
    await committer.close()


async def test_a_file_that_another_process_holds_is_waited_for_on_the_thread() -> None:
    book = Book()
    book.locked = True
    committer = Committer(book, limit=100)
    assert await committer.call(writes("a")) == "writing thread"
    assert book.waited == 1
    book.locked = False
    assert await committer.call(writes("b")) == threading.current_thread().name
    await committer.close()


async def test_a_transaction_lost_while_functions_run_fails_them_all_and_the_next_one_works() -> None:
    def loses(_: Tx) -> None:
        raise GONE

    book = Book()
    committer = Committer(book, limit=100)
    results = await asyncio.gather(committer.call(writes("a")), committer.call(loses), return_exceptions=True)
    assert [str(result) for result in results] == ["nobody knows"] * 2
    await committer.call(writes("b"))
    assert book.kept == [["b"]]
    await committer.close()


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("fate", [GONE, MemoryError("nobody knows")])
async def test_a_commit_that_fails_is_told_and_the_next_one_works(fate: BaseException, apart: bool) -> None:
    book = Book()
    committer = Committer(book, limit=100)
    book.fate = fate
    with pytest.raises((Unavailable, MemoryError), match="nobody knows"):
        await committer.call(writes("a"), apart=apart)
    book.rollback()
    await committer.call(writes("b"))
    assert book.kept == [["b"]]
    await committer.close()


async def test_callers_who_left_are_skipped_even_if_all_of_them_did() -> None:
    book = Book()
    committer = Committer(book, limit=100)
    book.may_commit.clear()
    first = asyncio.create_task(committer.call(writes("first")))
    assert await asyncio.to_thread(book.committing.wait, 30)
    left = [asyncio.create_task(committer.call(writes(word))) for word in "ab"]
    await asyncio.sleep(0)
    for task in left:
        task.cancel()
    await asyncio.sleep(0)
    book.may_commit.set()
    await first
    await committer.call(writes("next"))
    assert book.kept == [["first"], ["next"]]
    await committer.close()


@pytest.mark.parametrize("early", [True, False], ids=["closed before its turn is due", "closed with its turn pending"])
async def test_a_loop_that_closes_before_its_turn_keeps_nobody_waiting(early: bool) -> None:
    book = Book()
    committer = Committer(book, limit=100)
    book.may_commit.clear()
    first = asyncio.create_task(committer.call(writes("first")))
    assert await asyncio.to_thread(book.committing.wait, 30)

    async def ask() -> asyncio.Task[str]:
        task = asyncio.create_task(committer.call(writes("of the loop that left")))
        await asyncio.sleep(0)
        return task

    other = asyncio.new_event_loop()
    abandoned = await asyncio.to_thread(other.run_until_complete, ask())
    if early:
        other.close()
    book.may_commit.set()
    await first
    other.close()
    await committer.call(writes("next"))
    assert [word for batch in book.kept for word in batch] == ["first", "of the loop that left", "next"]
    await committer.close()
    abandoned._log_destroy_pending = False  # type: ignore[attr-defined] # it is meant to be left behind


async def test_a_full_queue_and_a_closed_one_refuse() -> None:
    committer = Committer(Book(), limit=2)
    tasks = [asyncio.create_task(committer.call(writes(word))) for word in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="2 calls wait for the writing thread already"):
        await committer.call(writes("c"))
    end = asyncio.create_task(committer.close())
    await asyncio.gather(*tasks)
    with pytest.raises(Unavailable, match="closed"):
        await committer.call(writes("d"))
    await end
    await committer.close()
