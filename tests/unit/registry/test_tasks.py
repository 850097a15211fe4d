from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import tasks
from fleetgate.registry.tasks import KEPT, LEASE, Input, Report, Status, Task

SOURCE = Input("factory", "lamps.json", 1000, 5)
Later = Callable[..., Act]


def started(tx: Tx, act: Act, runner: str | None = None) -> Task:
    return tasks.start(tx, act, "{}", SOURCE, "role", runner=runner)


def answer(tx: Tx, task: Task, *lines: int, report: Report = Report.RESULTS) -> None:
    for line in lines:
        assert tasks.answer(tx, task, line, report, f"line {line}")


def test_a_task_as_it_begins(tx: Tx, act: Act, realm: Realm) -> None:
    task = started(tx, act)
    assert tasks.get(tx, realm, task.id) == task
    assert (task.input, task.status, task.line, task.position, task.percentage) == (
        SOURCE,
        Status.IN_PROGRESS,
        0,
        0,
        0,
    )


def test_a_realm_runs_one_at_a_time(tx: Tx, act: Act, later: Later, elsewhere: Realm) -> None:
    first = started(tx, act)
    with pytest.raises(InvalidRequest, match=f"Task {first.id} is still running"):
        started(tx, later())
    started(tx, later(of=elsewhere))
    tasks.end(tx, first, Status.COMPLETED, "", act.now)
    assert started(tx, later()).id != first.id


def test_an_unknown_task(tx: Tx, realm: Realm, elsewhere: Realm, act: Act) -> None:
    assert tasks.find(tx, realm, "x") is None
    task = started(tx, act)
    with pytest.raises(NotFound, match="does not exist"):
        tasks.get(tx, elsewhere, task.id)


def test_newest_first_and_by_status(tx: Tx, later: Later, realm: Realm) -> None:
    made = []
    for number in range(5):
        made.append(started(tx, later(number)))
        tasks.end(tx, made[-1], Status.FAILED if number % 2 else Status.COMPLETED, "", 1)
    first = tasks.page(tx, realm, limit=3)
    second = tasks.page(tx, realm, first.next_key, limit=3)
    assert [each.id for each in (*first.items, *second.items)] == [each.id for each in reversed(made)]
    assert [each.id for each in tasks.page(tx, realm, status=Status.FAILED).items] == [made[3].id, made[1].id]


def test_a_lease_keeps_others_away_until_it_ends(tx: Tx, act: Act, realm: Realm) -> None:
    task = started(tx, act, "one")
    assert tasks.waiting(tx, act.now) == []
    assert tasks.take(tx, realm, task.id, "two", act.now) is None
    assert tasks.take(tx, realm, task.id, "one", act.now) is not None
    assert [each.id for each in tasks.waiting(tx, act.now + LEASE)] == [task.id]
    assert tasks.take(tx, realm, task.id, "two", act.now + LEASE) is not None
    assert tasks.advance(tx, task, 1, 10, "one", act.now + LEASE) is None


def test_a_lease_from_before_the_clock_was_set_back(tx: Tx, act: Act, realm: Realm) -> None:
    task = started(tx, act, "one")
    before = act.now - 86_400_000
    assert [each.id for each in tasks.waiting(tx, before)] == [task.id]
    assert tasks.take(tx, realm, task.id, "two", before) is not None


def test_a_lease_is_given_back_by_its_holder_alone(tx: Tx, act: Act) -> None:
    task = started(tx, act, "one")
    tasks.release(tx, task, "two")
    assert tasks.waiting(tx, act.now) == []
    tasks.release(tx, task, "one")
    assert len(tasks.waiting(tx, act.now)) == 1


def test_a_line_is_answered_once(tx: Tx, act: Act) -> None:
    task = started(tx, act)
    answer(tx, task, 1)
    assert not tasks.answer(tx, task, 1, Report.ERRORS, "again")
    assert tasks.answered(tx, task) == {1}


def test_answers_need_their_task(tx: Tx, act: Act) -> None:
    task = started(tx, act)
    tx.run("DELETE FROM registration_tasks")
    with pytest.raises(NotFound):
        tasks.answer(tx, task, 1, Report.RESULTS, "")


def test_to_advance_counts_each_answer_once(tx: Tx, act: Act) -> None:
    task = started(tx, act, "one")
    answer(tx, task, 1, 2, 4)
    answer(tx, task, 3, report=Report.ERRORS)
    after = tasks.advance(tx, task, 3, 500, "one", act.now + 1)
    assert after is not None
    assert (after.line, after.position, after.successes, after.failures, after.percentage) == (3, 500, 2, 1, 50)
    assert tasks.answered(tx, after) == {4}
    end = tasks.advance(tx, after, 4, 1000, "one", act.now + 2)
    assert end is not None
    assert (end.successes, end.failures) == (3, 1)
    assert tasks.advance(tx, task, 3, 500, "one", act.now + 3) == end


def test_to_stop(tx: Tx, act: Act, later: Later) -> None:
    task = started(tx, act, "one")
    assert tasks.stop(tx, later(), task.id).status is Status.CANCELLING
    assert tasks.stop(tx, later(), task.id).status is Status.CANCELLING
    tasks.end(tx, task, Status.CANCELLED, "Stopped.", act.now)
    assert tasks.stop(tx, later(), task.id).status is Status.CANCELLED
    with pytest.raises(NotFound):
        tasks.stop(tx, act, "x")


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_what_has_ended_is_not_stopped(tx: Tx, act: Act, status: Status) -> None:
    task = started(tx, act)
    tasks.end(tx, task, status, "", act.now)
    with pytest.raises(InvalidRequest, match="already"):
        tasks.stop(tx, act, task.id)


def test_an_end_is_final(tx: Tx, act: Act, realm: Realm) -> None:
    task = started(tx, act, "one")
    tasks.end(tx, task, Status.COMPLETED, "", act.now)
    tasks.end(tx, task, Status.FAILED, "late", act.now)
    assert tasks.get(tx, realm, task.id).status is Status.COMPLETED
    assert tasks.advance(tx, task, 1, 1, "one", act.now) is None
    assert tasks.take(tx, realm, task.id, "one", act.now) is None
    assert tasks.get(tx, realm, task.id).percentage == 100


def test_parts_without_lines_are_left_out(tx: Tx, act: Act, realm: Realm) -> None:
    task = started(tx, act)
    answer(tx, task, 1, 10, 31, 45)
    answer(tx, task, 11, report=Report.ERRORS)
    assert list(tasks.parts(tx, realm, task.id, Report.RESULTS, 10)) == [1, 4, 5]
    assert list(tasks.parts(tx, realm, task.id, Report.RESULTS, 10, 1)) == [4, 5]
    assert list(tasks.parts(tx, realm, task.id, Report.ERRORS, 10)) == [2]
    assert tasks.bodies(tx, realm, task.id, Report.RESULTS, 0, 10, 100) == [(1, "line 1"), (10, "line 10")]
    assert tasks.bodies(tx, realm, task.id, Report.RESULTS, 1, 50, 1) == [(10, "line 10")]


def test_ended_tasks_go_after_thirty_days_some_answers_at_a_time(tx: Tx, act: Act, later: Later, realm: Realm) -> None:
    old = started(tx, act)
    answer(tx, old, *range(1, 11))
    tasks.end(tx, old, Status.COMPLETED, "", act.now)
    assert tasks.prune(tx, act.now + KEPT - 1, 4) == 0
    young = started(tx, later())
    tasks.end(tx, young, Status.COMPLETED, "", act.now + 1)
    assert [tasks.prune(tx, act.now + KEPT, 4) for _ in range(4)] == [4, 4, 3, 0]
    assert tasks.find(tx, realm, old.id) is None
    assert tasks.find(tx, realm, young.id) is not None


def test_an_open_task_fails_after_thirty_days(tx: Tx, act: Act, realm: Realm) -> None:
    task = started(tx, act)
    tasks.prune(tx, act.now + KEPT, 4)
    assert tasks.get(tx, realm, task.id).status is Status.FAILED


def test_an_empty_file_has_no_percentage(tx: Tx, act: Act) -> None:
    assert tasks.start(tx, act, "{}", Input("factory", "empty", 0, 5), "role").percentage == 0
