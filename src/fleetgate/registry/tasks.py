"""Bulk registration tasks: how far each has come, and the answer to each line of its file.

A task is open from its start until `ended_at`; a realm has one open task at most. Whoever works on it holds its lease,
so that two servers on one database leave each other's tasks alone. Should two work on one task all the same (a lease
that ran out under load), `answer` lets each line be answered once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fleetgate.database.port import Row, Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import pages, statements
from fleetgate.registry.pages import Page

LEASE: Final = 5_000
"""How long nobody else takes a task whose runner is silent. Milliseconds."""
KEPT: Final = 30 * 86_400_000
"""How long an ended task and its answers are kept; an open one fails after as long. Milliseconds."""


class Status(StrEnum):
    """AWS's Status of a thing registration task."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    CANCELLING = "Cancelling"


class Report(StrEnum):
    RESULTS = "RESULTS"
    ERRORS = "ERRORS"


@dataclass(frozen=True, slots=True)
class Input:
    """The file, as it was when the task was started."""

    bucket: str
    key: str
    size: int
    """Bytes."""
    modified_at: int
    etag: str | None = None
    """S3's, in quotation marks; None for a file in a folder of the server."""


@dataclass(frozen=True, slots=True)
class Task:
    realm: Realm
    id: str
    template_body: str
    input: Input
    role_arn: str
    actor: str
    """Who started it: its lines are registered in their name."""
    status: Status
    message: str
    line: int
    """The last line before which all are answered."""
    position: int
    """Where the next one begins, in bytes."""
    successes: int
    failures: int
    runner: str | None
    created_at: int
    updated_at: int
    ended_at: int | None

    @property
    def percentage(self) -> int:
        """How much of the file is answered, rounded down."""
        if self.status is Status.COMPLETED:
            return 100
        return min(self.position * 100 // self.input.size, 100) if self.input.size else 0


def start(tx: Tx, act: Act, template_body: str, source: Input, role_arn: str, *, runner: str | None = None) -> Task:
    """A new task; with *runner* it is leased to them from the first moment. Raises InvalidRequest while another is
    open.
    """
    busy = tx.rows(
        "SELECT id FROM registration_tasks WHERE realm = :realm AND ended_at IS NULL LIMIT 1", realm=str(act.realm)
    )
    if busy:
        raise InvalidRequest(
            f"Task {busy[0]['id']} is still running, and an account runs one at a time. Wait for it, or stop it."
        )
    made = act.id_for("registration task")
    statements.insert(
        tx,
        "registration_tasks",
        realm=str(act.realm),
        id=made,
        template_body=template_body,
        bucket=source.bucket,
        key=source.key,
        role_arn=role_arn,
        actor=act.actor,
        status=str(Status.IN_PROGRESS),
        message="",
        size=source.size,
        modified_at=source.modified_at,
        etag=source.etag,
        line=0,
        position=0,
        successes=0,
        failures=0,
        runner=runner,
        leased_until=act.now + LEASE if runner else 0,
        created_at=act.now,
        updated_at=act.now,
    )
    return get(tx, act.realm, made)


def find(tx: Tx, realm: Realm, task_id: str) -> Task | None:
    rows = tx.rows("SELECT * FROM registration_tasks WHERE realm = :realm AND id = :id", realm=str(realm), id=task_id)
    return _task(rows[0]) if rows else None


def get(tx: Tx, realm: Realm, task_id: str) -> Task:
    """Raises NotFound."""
    if found := find(tx, realm, task_id):
        return found
    raise NotFound(f"Task {task_id} does not exist in this account and region.")


def page(
    tx: Tx, realm: Realm, after: str | None = None, limit: int = 25, *, status: Status | None = None
) -> Page[Task]:
    """Newest first."""
    where, order, values = pages.by_creation(after, "id", ascending=False)
    if status is not None:
        where.append("status = :status")
        values["status"] = str(status)
    return pages.read(
        tx,
        "SELECT * FROM registration_tasks",
        ["realm = :realm", *where],
        order,
        limit,
        _task,
        lambda row: pages.moment_key(row["created_at"], row["id"]),
        realm=str(realm),
        **values,
    )


def stop(tx: Tx, act: Act, task_id: str) -> Task:
    """Its runner ends it after the lines in hand. Raises NotFound, InvalidRequest for one that ended otherwise."""
    task = get(tx, act.realm, task_id)
    if task.status in {Status.COMPLETED, Status.FAILED}:
        raise InvalidRequest(f"Task {task_id} is {task.status} already; there is nothing to stop.")
    if task.status is Status.IN_PROGRESS:
        _change(tx, task, "status = :status", act.now, status=str(Status.CANCELLING))
    return get(tx, act.realm, task_id)


# --- for whoever works on them ----------------------------------------------------------------------------------------


def waiting(tx: Tx, now: int, limit: int = 100) -> list[Task]:
    """Open tasks of all realms that nobody holds."""
    rows = tx.rows(
        """SELECT * FROM registration_tasks WHERE ended_at IS NULL
             AND (leased_until <= :now OR leased_until > :horizon) LIMIT :most""",
        now=now,
        horizon=now + LEASE,  # so it is where the clock was set back
        most=limit,
    )
    return [_task(row) for row in rows]


def take(tx: Tx, realm: Realm, task_id: str, runner: str, now: int) -> Task | None:
    """The task, leased to *runner*; None where it has ended or somebody else holds it."""
    taken = tx.run(
        """UPDATE registration_tasks SET runner = :runner, leased_until = :until
           WHERE realm = :realm AND id = :id AND ended_at IS NULL
             AND (runner = :runner OR leased_until <= :now OR leased_until > :until)""",
        runner=runner,
        until=now + LEASE,
        now=now,
        realm=str(realm),
        id=task_id,
    )
    return find(tx, realm, task_id) if taken else None


def release(tx: Tx, task: Task, runner: str) -> None:
    """Whoever comes first may go on."""
    tx.run(
        "UPDATE registration_tasks SET leased_until = 0 WHERE realm = :realm AND id = :id AND runner = :runner",
        realm=str(task.realm),
        id=task.id,
        runner=runner,
    )


def answer(tx: Tx, task: Task, line: int, report: Report, body: str) -> bool:
    """Write the answer to *line* down. False: it has one, and this transaction must leave nothing behind.

    Raises NotFound when the task is gone.
    """
    get(tx, task.realm, task.id)
    return statements.insert_new(
        tx, "registration_answers", realm=str(task.realm), task_id=task.id, line=line, report=str(report), body=body
    )


def answered(tx: Tx, task: Task) -> frozenset[int]:
    """The lines beyond `task.line` that have an answer."""
    rows = tx.rows(
        "SELECT line FROM registration_answers WHERE realm = :realm AND task_id = :id AND line > :line",
        realm=str(task.realm),
        id=task.id,
        line=task.line,
    )
    return frozenset(row["line"] for row in rows)


def advance(tx: Tx, task: Task, line: int, position: int, runner: str, now: int) -> Task | None:
    """All lines up to *line*, which ends at *position*, are answered; the lease is good for longer. The task as it is
    now; None when it is no longer *runner*'s.
    """
    found = find(tx, task.realm, task.id)
    if found is None or found.ended_at is not None or found.runner != runner:
        return None
    if line <= found.line:
        return found
    _change(
        tx,
        task,
        """line = :line, position = :position, leased_until = :until,
           successes = successes + :successes, failures = failures + :failures""",
        now,
        line=line,
        position=position,
        until=now + LEASE,
        successes=_count(tx, task, Report.RESULTS, found.line, line),
        failures=_count(tx, task, Report.ERRORS, found.line, line),
    )
    return find(tx, task.realm, task.id)


def end(tx: Tx, task: Task, status: Status, message: str, now: int) -> None:
    """Nothing where it has ended."""
    _change(tx, task, "status = :status, message = :message, ended_at = :now", now, status=str(status), message=message)


def prune(tx: Tx, now: int, limit: int) -> int:
    """Fail open tasks of more than 30 days, and delete up to *limit* answers of tasks that ended as long ago; a task
    goes with its last answer. How many records went.
    """
    for row in tx.rows(
        "SELECT * FROM registration_tasks WHERE ended_at IS NULL AND created_at <= :before LIMIT :most",
        before=now - KEPT,
        most=limit,
    ):
        end(tx, _task(row), Status.FAILED, "It did not end within 30 days.", now)
    gone = 0
    for row in tx.rows(
        "SELECT realm, id FROM registration_tasks WHERE ended_at <= :before ORDER BY ended_at LIMIT 10",
        before=now - KEPT,
    ):
        key = {"realm": row["realm"], "id": row["id"]}
        gone += tx.run(
            """DELETE FROM registration_answers WHERE realm = :realm AND task_id = :id AND line IN
               (SELECT line FROM registration_answers WHERE realm = :realm AND task_id = :id ORDER BY line LIMIT :most)
            """,
            most=limit - gone,
            **key,
        )
        if gone >= limit:
            break
        gone += tx.run("DELETE FROM registration_tasks WHERE realm = :realm AND id = :id", **key)
    return gone


# --- reports ----------------------------------------------------------------------------------------------------------


def bodies(
    tx: Tx, realm: Realm, task_id: str, report: Report, after: int, until: int, limit: int
) -> list[tuple[int, str]]:
    """(line, answer) of up to *limit* lines after *after* up to and with *until*, in order."""
    rows = tx.rows(
        """SELECT line, body FROM registration_answers WHERE task_id = :id AND realm = :realm AND report = :report
             AND line > :after AND line <= :until ORDER BY line LIMIT :most""",
        id=task_id,
        realm=str(realm),
        report=str(report),
        after=after,
        until=until,
        most=limit,
    )
    return [(row["line"], row["body"]) for row in rows]


def parts(tx: Tx, realm: Realm, task_id: str, report: Report, size: int, after: int = 0) -> Iterator[int]:
    """The numbers above *after* of a report's parts that are not empty. Part 1 covers the first *size* lines."""
    while found := bodies(tx, realm, task_id, report, after * size, _LAST, 1):
        after = (found[0][0] - 1) // size + 1
        yield after


_LAST: Final = 2**62


def _count(tx: Tx, task: Task, report: Report, after: int, until: int) -> int:
    rows = tx.rows(
        """SELECT count(*) AS number FROM registration_answers WHERE task_id = :id AND realm = :realm
             AND report = :report AND line > :after AND line <= :until""",
        id=task.id,
        realm=str(task.realm),
        report=str(report),
        after=after,
        until=until,
    )
    return int(rows[0]["number"])


def _change(tx: Tx, task: Task, columns: str, now: int, /, **values: str | int) -> None:
    where = "WHERE realm = :realm AND id = :id AND ended_at IS NULL"
    tx.run(
        f"UPDATE registration_tasks SET updated_at = :now, {columns} {where}",  # noqa: S608 # texts of this file
        now=now,
        realm=str(task.realm),
        id=task.id,
        **values,
    )


def _task(row: Row) -> Task:
    return Task(
        realm=Realm.parse(row["realm"]),
        id=row["id"],
        template_body=row["template_body"],
        input=Input(row["bucket"], row["key"], row["size"], row["modified_at"], row["etag"]),
        role_arn=row["role_arn"],
        actor=row["actor"],
        status=Status(row["status"]),
        message=row["message"],
        line=row["line"],
        position=row["position"],
        successes=row["successes"],
        failures=row["failures"],
        runner=row["runner"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        ended_at=row["ended_at"],
    )
