"""Group commit over a transaction that is a list: what is committed stays, what is rolled back does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from fleetgate.database.batch import Lost, group_commit
from fleetgate.database.port import Tx
from fleetgate.database.workers import Job
from fleetgate.errors import Unavailable

CLASH = Lost(Unavailable("others were faster"), again=True)
GONE = Lost(Unavailable("nobody knows"), again=False)


class Book:
    """Functions write words; *fates* are what the next commits meet (None: success)."""

    def __init__(self, *fates: Lost | None) -> None:
        self.kept: list[str] = []
        self.open: list[str] = []
        self.fates = list(fates)
        self.begun = 0

    def begin(self) -> None:
        assert self.open == [], "rolled back before the next one"
        self.begun += 1

    def call(self, work: Callable[[Tx], Any]) -> Any:
        before = list(self.open)
        try:
            return work(cast("Tx", self.open))
        except Exception:
            self.open = before
            raise

    def commit(self) -> None:
        fate = self.fates.pop(0) if self.fates else None
        if fate is not None:
            raise fate
        self.kept += self.open
        self.open = []

    def rollback(self) -> None:
        self.open = []


def writes(word: str) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        cast("list[str]", tx).append(word)
        return word

    return work


def breaks(tx: Tx) -> None:
    writes("half")(tx)
    raise ValueError("mine")


@pytest.fixture
def jobs() -> Iterator[Callable[..., list[Job]]]:
    loop = asyncio.new_event_loop()
    yield lambda *works: [Job(work, loop, loop.create_future()) for work in works]
    loop.close()


Make = Callable[..., list[Job]]


def test_one_commit_serves_all_and_an_error_stays_with_its_own(jobs: Make) -> None:
    book = Book()
    batch = jobs(writes("a"), breaks, writes("b"))
    group_commit(book, batch)

    assert (book.kept, book.begun) == (["a", "b"], 1)
    assert [job.value for job in batch] == ["a", None, "b"]
    assert [str(job.error) for job in batch] == ["None", "mine", "None"]


def test_a_commit_that_fails_fails_everybody(jobs: Make) -> None:
    book = Book(GONE)
    batch = jobs(writes("a"), breaks, writes("b"))
    group_commit(book, batch)

    assert (book.kept, book.begun) == ([], 1)
    assert [job.error for job in batch] == [GONE.error] * 3
    assert [job.value for job in batch] == [None] * 3


def test_a_batch_that_clashes_is_run_again(jobs: Make) -> None:
    book = Book(CLASH, CLASH)
    batch = jobs(writes("a"), breaks)
    group_commit(book, batch)

    assert (book.kept, book.begun) == (["a"], 3)
    assert batch[0].value == "a"
    assert batch[0].error is None
    assert str(batch[1].error) == "mine"


def test_a_batch_that_keeps_clashing_is_taken_apart(jobs: Make) -> None:
    book = Book(CLASH, CLASH, CLASH, CLASH, None, GONE)
    batch = jobs(writes("a"), writes("b"), writes("c"))
    group_commit(book, batch)

    assert book.kept == ["a", "c"], "a at its second try, b lost, c at its first"
    assert [job.error for job in batch] == [None, GONE.error, None]


def test_a_function_that_clashes_each_time_gives_up(jobs: Make) -> None:
    book = Book(*[CLASH] * 100)
    [job] = jobs(writes("a"))
    group_commit(book, [job])

    assert job.error is CLASH.error
    assert book.begun == 12
    assert book.kept == []


def test_a_function_may_lose_the_transaction(jobs: Make) -> None:
    def loses(tx: Tx) -> None:
        with contextlib.suppress(Exception):  # what a careless function does
            raise GONE
        pytest.fail("a lost transaction is no answer to a statement")

    book = Book()
    batch = jobs(writes("a"), loses, writes("b"))
    group_commit(book, batch)

    assert book.kept == []
    assert [job.error for job in batch] == [GONE.error] * 3


def test_a_begin_that_fails_fails_everybody(jobs: Make) -> None:
    class Shut(Book):
        def begin(self) -> None:
            raise GONE

    batch = jobs(writes("a"), writes("b"))
    group_commit(Shut(), batch)
    assert [job.error for job in batch] == [GONE.error] * 2
