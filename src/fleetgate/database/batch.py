"""Group commit: many functions, one transaction, one fsync; each function in a savepoint of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from fleetgate.database.port import Tx
from fleetgate.database.workers import Job

BATCH: Final = 64
"""Functions per transaction. PostgreSQL keeps 64 savepoints of a transaction in memory; beyond, every reader pays."""

_TOGETHER: Final = 3
_ALONE: Final = (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
"""Seconds before each further try of one function: by then whoever it clashed with has committed."""


class Lost(BaseException):
    """The open transaction is gone with all that was in it.

    No Exception, so that no function takes it for an answer to its statement. *error* is for the callers. *again*: it
    is certain that nothing was committed, and another try may succeed.
    """

    def __init__(self, error: Exception, *, again: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again


class Transaction(Protocol):
    """The writing connection as group commit sees it. Every method but `rollback` may raise Lost."""

    def begin(self) -> None: ...

    def call(self, work: Callable[[Tx], Any]) -> Any:
        """Run *work* in a savepoint: what it raises comes through and leaves nothing of it behind."""

    def commit(self) -> None:
        """Durable when this returns."""

    def rollback(self) -> None:
        """Be ready for the next `begin`, whatever has happened."""


def group_commit(transaction: Transaction, jobs: Sequence[Job]) -> None:
    """Let every job succeed, fail by its own error, or fail by the error that befell the transaction.

    A batch that clashes with another node is run again, and at last function by function, so that only those fail that
    clash each time.
    """
    for _ in range(_TOGETHER):
        if not _lost(transaction, jobs):
            return
    for job in jobs:
        for pause in _ALONE:
            time.sleep(pause)
            if not _lost(transaction, [job]):
                break


def _lost(transaction: Transaction, jobs: Sequence[Job]) -> bool:
    """Try once; whether another try is due."""
    try:
        transaction.begin()
        run(transaction, jobs)
        transaction.commit()
    except Lost as lost:
        give_up(transaction, jobs, lost)
        return lost.again
    return False


def run(transaction: Transaction, jobs: Sequence[Job]) -> None:
    """Run *jobs* in the transaction that is open, and leave it open. Raises Lost."""
    for job in jobs:
        _run(transaction, job)


def give_up(transaction: Transaction, jobs: Sequence[Job], lost: Lost) -> None:
    transaction.rollback()
    for job in jobs:  # also those that had failed by themselves: they may have failed over what is gone now
        job.fail(lost.error)


def _run(transaction: Transaction, job: Job) -> None:
    try:
        job.succeed(transaction.call(job.work))
    except Lost:
        raise
    except BaseException as error:  # noqa: BLE001 # whatever it is, it belongs to the caller
        job.fail(error)
