"""Bulk registration: each line of a file is one device's parameters for one template.

    read      some lines                                             off the event loop
    prepare   render, check, have signed                             all lines of the batch side by side
    settle    what the line brings about, and its answer             one transaction for each line
    advance   all lines up to here are answered                      one transaction

A line's answer is written with what the line brought about, so that after a crash nothing is done twice: the task goes
on where it had advanced to, and leaves out what has an answer. Lines go through the same writer as everybody else's
changes, a batch at a time, with a pause in between; live traffic goes on beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import structlog

from fleetgate.database.port import Conflict, Tx
from fleetgate.errors import ConflictingUpdate, FleetgateError, Refused, Unavailable
from fleetgate.names import Act
from fleetgate.provisioning import input_file, input_lines, register
from fleetgate.provisioning.input_lines import Line, Readable
from fleetgate.registry import audit, tasks
from fleetgate.registry.tasks import Report, Status, Task
from fleetgate.runtime import Runtime
from fleetgate.template.document import Document

log = structlog.get_logger(__name__)

MOST_TASKS: Final = 8
"""Tasks that one server works on at the same time; each account has one at most."""
_LOOK_SECONDS: Final = 0.5
_PRUNE_SECONDS: Final = 600.0
_PRUNE_AT_ONCE: Final = 500
_REST: Final = 0.2
"""Rest after a batch, as a share of the time that the batch took."""
_AWAY_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 60.0
"""Until a task is tried again that a bug threw out."""

Watch = Callable[[Task], None]


class AnsweredAlready(Exception):
    """The line has its answer; what this transaction did must not stay."""


class Runner:
    """Works on the open tasks of all realms. `run` until cancelled; its leases are then free at once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._name = runtime.entropy(8).hex()
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        pruned = 0.0
        try:
            while True:
                try:
                    await self._take_up()
                    if monotonic() - pruned > _PRUNE_SECONDS:
                        await self._prune()
                        pruned = monotonic()
                except Unavailable as error:
                    log.warning("bulk registration postponed", reason=error.message)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            for each in self._at_work.values():
                each.cancel()
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    async def _take_up(self) -> None:
        for task_id, done in [each for each in self._at_work.items() if each[1].done()]:
            del self._at_work[task_id]
            error = None if done.cancelled() else done.exception()
            if isinstance(error, Unavailable):
                log.warning("bulk registration postponed", task=task_id, reason=error.message)
            elif error is not None:
                log.error("bulk registration failed", task=task_id, exc_info=error)
                self._at_work[task_id] = asyncio.create_task(asyncio.sleep(_PAUSE_SECONDS))
        runtime = self._runtime
        for task in await runtime.database.glance(lambda tx: tasks.waiting(tx, runtime.clock())):
            if len(self._at_work) < MOST_TASKS and task.id not in self._at_work:
                self._at_work[task.id] = asyncio.create_task(self._work(task), name=f"bulk {task.id}")

    async def _work(self, task: Task) -> None:
        runtime = self._runtime
        taken = await runtime.write(lambda tx: tasks.take(tx, task.realm, task.id, self._name, runtime.clock()))
        if taken is not None:
            await work(runtime, taken, self._name)

    async def _prune(self) -> None:
        runtime = self._runtime
        gone = _PRUNE_AT_ONCE
        while gone >= _PRUNE_AT_ONCE:
            gone = await runtime.write(lambda tx: tasks.prune(tx, runtime.clock(), _PRUNE_AT_ONCE))


async def work(runtime: Runtime, task: Task, runner: str, watch: Watch = lambda _: None) -> None:
    """Go on with *task*, which *runner* holds, until it ends or is somebody else's. *watch* sees it after each batch.

    Each line's failure is that line's answer; only a template or file that cannot be used fails the task.
    """
    try:
        document = register.read_template(task.template_body)
        with await asyncio.to_thread(
            input_file.reopen, runtime.config, task.realm.account, task.input, runtime.clock
        ) as file:
            current: Task | None = task
            while current is not None and current.ended_at is None:
                watch(current)
                current = await _patiently(runtime, current, runner, document, file)
    except (Refused, OSError) as error:
        message = error.message if isinstance(error, Refused) else f"The file cannot be read: {error.strerror}."
        await runtime.write(lambda tx: tasks.end(tx, task, Status.FAILED, message, runtime.clock()))
    finally:
        with contextlib.suppress(FleetgateError):
            await runtime.write(lambda tx: tasks.release(tx, task, runner))


async def _patiently(runtime: Runtime, task: Task, runner: str, document: Document, file: Readable) -> Task | None:
    """One batch; while the database or the file is away, none."""
    began = monotonic()
    try:
        after = await _batch(runtime, task, runner, document, file)
    except Unavailable as error:
        log.warning("bulk registration waits", task=task.id, reason=error.message)
        await asyncio.sleep(_AWAY_SECONDS)
        return await _still(runtime, task, runner)
    await asyncio.sleep((monotonic() - began) * _REST)
    return after


async def _batch(runtime: Runtime, task: Task, runner: str, document: Document, file: Readable) -> Task | None:
    if task.status is Status.CANCELLING:
        return await _end(runtime, task, Status.CANCELLED, f"Stopped after line {task.line}.")
    most = runtime.config.bulk.batch
    stretch = await asyncio.to_thread(input_lines.read, file, task.line, task.position, most)
    if stretch.end == task.position:
        return await _end(runtime, task, Status.COMPLETED, "")
    known = await runtime.database.glance(lambda tx: tasks.answered(tx, task))
    desk = _Desk(runtime, task, document)
    answers = [desk.answer(line) for line in stretch.lines if line.number not in known]
    for outcome in await asyncio.gather(*answers, return_exceptions=True):
        if outcome is not None:
            raise outcome
    now = runtime.clock()
    return await runtime.write(lambda tx: tasks.advance(tx, task, stretch.last, stretch.end, runner, now))


async def _still(runtime: Runtime, task: Task, runner: str) -> Task | None:
    """The task as it is now, leased for longer: somebody may have stopped it while there was nothing to read."""
    try:
        return await runtime.write(lambda tx: tasks.take(tx, task.realm, task.id, runner, runtime.clock()))
    except Unavailable:
        return task


async def _end(runtime: Runtime, task: Task, status: Status, message: str) -> Task:
    def end(tx: Tx) -> Task:
        tasks.end(tx, task, status, message, runtime.clock())
        return tasks.get(tx, task.realm, task.id)

    return await runtime.write(end)


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where the lines of one task are answered."""

    runtime: Runtime
    task: Task
    document: Document

    async def answer(self, line: Line) -> None:
        """Do what *line* asks for and write its answer down, or why it could not be done. Raises Unavailable, and
        NotFound when the task is gone.
        """
        task = self.task
        act = Act(task.realm, task.actor, self.runtime.clock(), _request_id(task, line))
        try:
            settle = await register.prepare(self.runtime, act, self.document, input_lines.parameters(line))
            await self.runtime.write(lambda tx: self._settle(tx, act, line, settle))
        except (AnsweredAlready, Unavailable) as error:
            if isinstance(error, Unavailable):
                raise
        except Exception as error:  # noqa: BLE001 # whatever befalls one line, the others go on
            failed = _failed(line, error, act)
            await self.runtime.write(lambda tx: tasks.answer(tx, task, line.number, Report.ERRORS, failed))

    def _settle(self, tx: Tx, act: Act, line: Line, settle: register.Settle) -> None:
        done = settle(tx)
        details = {"task": self.task.id, "line": line.number}
        audit.add(tx, act, "RegisterThing", done.target(act), "ok", details=details)
        response: dict[str, Any] = {"ResourceArns": dict(done.arns)}
        if done.certificate_pem is not None:
            response = {"CertificatePem": done.certificate_pem, **response}
        if not tasks.answer(tx, self.task, line.number, Report.RESULTS, _entry(line, "response", response)):
            raise AnsweredAlready


def _request_id(task: Task, line: Line) -> str:
    """The same whenever the line is tried."""
    return Act(task.realm, task.actor, 0, task.id).id_for("line", str(line.number))


def _failed(line: Line, error: Exception, act: Act) -> str:
    match error:
        case Refused():
            code, message = error.code, error.message
        case Conflict():
            code, message = ConflictingUpdate.code, "Somebody else changed the same at the same time. Try again."
        case _:
            log.error("line failed", line=line.number, request_id=act.request_id, exc_info=error)
            code = FleetgateError.code
            message = f"Something went wrong that should not. The server's log has it under {act.request_id}."
    return _entry(line, "error", {"code": code, "message": message})


def _entry(line: Line, name: str, value: dict[str, Any]) -> str:
    return json.dumps({"lineNumber": line.number, "offset": line.position, name: value})
