from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.registrations import body, device, lines
from tests.runtime import REGION, Installed, installed

from fleetgate.database.port import Database, Tx
from fleetgate.errors import Unavailable
from fleetgate.names import Realm
from fleetgate.provisioning import bucket, bulk, input_lines, register
from fleetgate.registry import attachments, certificates, tasks, things
from fleetgate.registry.tasks import LEASE, Report, Status, Task
from fleetgate.runtime import Runtime


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("installation"), {"bulk.batch": 3}) as running:
        yield running


@pytest.fixture
def realm(house: Installed) -> Realm:
    return Realm(house.account(), REGION)


@dataclass(frozen=True)
class Bulk:
    """Bulk registration in an account of its own."""

    house: Installed
    realm: Realm

    @property
    def file(self) -> Path:
        return bucket.root(self.house.runtime.config) / "factory" / f"{self.realm.account}.json"

    def start(self, text: str, template: str | None = None, runner: str | None = "one") -> Task:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text)
        source = bucket.look(self.file.parents[1], "factory", self.file.name)
        act = self.house.runtime.act(self.realm, "test")
        return self.house.write(lambda tx: tasks.start(tx, act, template or body(), source, "role", runner=runner))

    def now(self, task: Task) -> Task:
        return self.house.read(lambda tx: tasks.get(tx, self.realm, task.id))

    def work(self, task: Task, runtime: Runtime | None = None, runner: str = "one") -> Task:
        self.house.run(bulk.work(runtime or self.house.runtime, task, runner))
        return self.now(task)

    def report(self, task: Task, report: Report) -> list[dict[str, Any]]:
        rows = self.house.read(lambda tx: tasks.bodies(tx, self.realm, task.id, report, 0, 2**62, 1000))
        return [json.loads(text) for _, text in rows]


@pytest.fixture
def registration(house: Installed, realm: Realm) -> Bulk:
    return Bulk(house, realm)


def test_every_line_becomes_a_device(registration: Bulk, house: Installed, realm: Realm) -> None:
    names = [f"lamp-{number}" for number in range(8)]
    task = registration.work(registration.start(lines(*map(device, names))))
    assert (task.status, task.successes, task.failures, task.percentage) == (Status.COMPLETED, 8, 0, 100)
    assert task.ended_at is not None
    results = registration.report(task, Report.RESULTS)
    assert [each["lineNumber"] for each in results] == list(range(1, 9))
    assert [each["response"]["ResourceArns"]["thing"] for each in results] == [
        realm.arn("thing", name) for name in names
    ]
    assert all("BEGIN CERTIFICATE" in each["response"]["CertificatePem"] for each in results)
    assert [each.name for each in house.read(lambda tx: things.page(tx, realm)).items] == names
    entries = [each for each in house.audited(realm) if each.action == "RegisterThing"]
    assert sorted(each.details["line"] for each in entries) == list(range(1, 9))


def test_an_offset_leads_to_its_line(registration: Bulk) -> None:
    text = "\n" + lines(device("a"), "nonsense", device("b"))
    task = registration.work(registration.start(text))
    for each in [*registration.report(task, Report.RESULTS), *registration.report(task, Report.ERRORS)]:
        line = text.encode()[each["offset"] :].partition(b"\n")[0]
        assert line == text.encode().split(b"\n")[each["lineNumber"] - 1]


def test_a_line_that_fails_stops_no_other(registration: Bulk, house: Installed, realm: Realm) -> None:
    bad: list[dict[str, Any] | str] = [
        "nonsense",
        {"SerialNumber": "no name"},
        {"ThingName": "lamp", "CSR": "no request"},
        {"ThingName": 7, "CSR": "x"},
        "x" * 300_000,
        {**device("x"), "ThingName": "no spaces"},
    ]
    task = registration.work(registration.start(lines(device("first"), *bad, device("last"))))
    assert (task.status, task.successes, task.failures) == (Status.COMPLETED, 2, 6)
    errors = {each["lineNumber"]: each["error"] for each in registration.report(task, Report.ERRORS)}
    assert sorted(errors) == [2, 3, 4, 5, 6, 7]
    assert errors[2]["code"] == "InvalidRequestException"
    assert errors[3] == {
        "code": "InvalidParameters",
        "message": errors[3]["message"],
    }
    assert "ThingName" in errors[3]["message"]
    assert errors[4]["code"] == "InvalidCertificateSigningRequest"
    assert "longer than 262144 bytes" in errors[6]["message"]
    assert [each.name for each in house.read(lambda tx: things.page(tx, realm)).items] == ["first", "last"]


def test_what_the_registry_refuses_is_told_line_by_line(registration: Bulk, house: Installed, realm: Realm) -> None:
    task = registration.work(registration.start(lines(device("a")), body(ThingGroups=["bulk-group"])))
    [error] = registration.report(task, Report.ERRORS)
    assert error["error"]["code"] == "ResourceNotFoundException"
    assert "bulk-group" in error["error"]["message"]
    assert house.read(lambda tx: certificates.page(tx, realm)).items == ()


@pytest.mark.parametrize("text", ["", "\n\n\n"])
def test_a_file_without_lines(registration: Bulk, text: str) -> None:
    task = registration.work(registration.start(text))
    assert (task.status, task.successes, task.failures, task.percentage) == (Status.COMPLETED, 0, 0, 100)


def test_a_file_that_is_gone_fails_the_task(registration: Bulk) -> None:
    task = registration.start(lines(device("a")))
    registration.file.unlink()
    ended = registration.work(task)
    assert ended.status is Status.FAILED
    assert "There is no file" in ended.message


def test_a_file_that_was_changed_fails_the_task(registration: Bulk) -> None:
    task = registration.start(lines(device("a")))
    registration.file.write_text(lines(device("a"), device("b")))
    assert "was changed" in registration.work(task).message


def test_a_file_that_cannot_be_read_fails_the_task(registration: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(input_lines, "read", broken)
    ended = registration.work(registration.start(lines(device("a"))))
    assert (ended.status, ended.message) == (Status.FAILED, "The file cannot be read: Input/output error.")


def test_a_task_is_stopped_between_two_batches(registration: Bulk, house: Installed, realm: Realm) -> None:
    task = registration.start(lines(*(device(f"lamp-{number}") for number in range(10))))

    def stop(now: Task) -> None:
        if now.line == 3:
            act = house.runtime.act(realm, "test")
            asyncio.get_running_loop().create_task(house.runtime.write(lambda tx: tasks.stop(tx, act, task.id)))

    house.run(bulk.work(house.runtime, task, "one", stop))
    ended = registration.now(task)
    assert ended.status is Status.CANCELLED
    assert 3 <= ended.line < 10
    assert ended.message == f"Stopped after line {ended.line}."
    assert len(registration.report(ended, Report.RESULTS)) == ended.successes == ended.line


def test_a_task_that_is_somebody_elses_is_left(registration: Bulk, house: Installed) -> None:
    task = registration.start(lines(*(device(f"lamp-{number}") for number in range(7))), runner="two")
    left = registration.work(task, runner="one")
    assert left.ended_at is None
    assert left.line == 0
    # The lines that were answered before it was noticed are answered.
    ended = registration.work(left, runner="two")
    assert (ended.status, ended.successes) == (Status.COMPLETED, 7)


def test_a_task_that_is_gone_is_left(registration: Bulk, house: Installed, realm: Realm) -> None:
    task = registration.start(lines(device("a")))
    house.write(lambda tx: tx.run("DELETE FROM registration_tasks WHERE id = :id", id=task.id))
    house.run(bulk.work(house.runtime, task, "one"))
    assert house.read(lambda tx: things.find(tx, realm, "a")) is None


# --- crashes ----------------------------------------------------------------------------------------------------------


class Died(BaseException):
    """The process is no more: nothing catches it."""


class Mortal:
    """A database whose process dies at operation number *last*: before it, or after it is done."""

    def __init__(self, database: Database, last: int, *, after: bool) -> None:
        self._database = database
        self._left = last
        self._after = after
        self.dead = False

    async def read(self, work: Callable[[Tx], Any]) -> Any:
        return await self._do(self._database.read, work)

    async def glance(self, work: Callable[[Tx], Any]) -> Any:
        return await self._do(self._database.glance, work)

    async def write(self, work: Callable[[Tx], Any]) -> Any:
        return await self._do(self._database.write, work)

    async def close(self) -> None: ...

    async def _do(self, operation: Callable[[Callable[[Tx], Any]], Any], work: Callable[[Tx], Any]) -> Any:
        if self.dead:
            raise Died
        self._left -= 1
        self.dead = self._left < 0
        if self.dead and not self._after:
            raise Died
        result = await operation(work)
        if self.dead:
            raise Died
        return result


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whenever_it_dies_every_line_is_answered_once(house: Installed, *, after: bool) -> None:
    deaths = 0
    for last in range(1000):
        registration = Bulk(house, Realm(house.account(), REGION))
        names = [f"lamp-{number}" for number in range(5)]
        task = registration.start(lines(*map(device, names[:2]), "nonsense", *map(device, names[2:])))
        mortal = Mortal(house.runtime.database, last, after=after)
        try:
            registration.work(task, replace(house.runtime, database=mortal))
        except Died:
            deaths += 1
        house.clock.ahead += LEASE
        resumed = house.write(lambda tx, r=registration, t=task: tasks.take(tx, r.realm, t.id, "two", house.clock()))  # type: ignore[misc] # mypy cannot infer a lambda with defaults
        if resumed is not None:
            registration.work(resumed, runner="two")
        check(registration, task, names)
        if not mortal.dead:
            break
    assert deaths > 15


def check(registration: Bulk, task: Task, names: list[str]) -> None:
    house, realm = registration.house, registration.realm
    ended = registration.now(task)
    assert (ended.status, ended.successes, ended.failures) == (Status.COMPLETED, 5, 1)
    results, errors = (registration.report(task, report) for report in (Report.RESULTS, Report.ERRORS))
    assert [each["lineNumber"] for each in results] == [1, 2, 4, 5, 6]
    assert [each["lineNumber"] for each in errors] == [3]
    assert [each.name for each in house.read(lambda tx: things.page(tx, realm)).items] == names
    for name in names:
        assert len(house.read(lambda tx, name=name: attachments.certificates_of(tx, realm, name))) == 1  # type: ignore[misc] # mypy cannot infer a lambda with a default
    assert len(house.read(lambda tx: certificates.page(tx, realm)).items) == 5


def test_even_two_at_work_on_one_task_answer_each_line_once(registration: Bulk, house: Installed, realm: Realm) -> None:
    """Their names are the same, so that neither notices that it lost the lease."""
    task = registration.start(lines(*(device(f"lamp-{number}") for number in range(9)), "nonsense"))

    async def both() -> None:
        await asyncio.gather(*(bulk.work(house.runtime, task, "one") for _ in range(2)))

    house.run(both())
    ended = registration.now(task)
    assert (ended.status, ended.successes, ended.failures) == (Status.COMPLETED, 9, 1)
    assert len(house.read(lambda tx: certificates.page(tx, realm)).items) == 9
    entries = [each for each in house.audited(realm) if each.action == "RegisterThing"]
    assert sorted(each.details["line"] for each in entries) == list(range(1, 10))


def test_a_database_that_is_away_is_waited_for(
    registration: Bulk, house: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_AWAY_SECONDS", 0.001)
    away = iter([True, True, False, True])

    class Moody(Mortal):
        async def _do(self, operation: Callable[[Callable[[Tx], Any]], Any], work: Callable[[Tx], Any]) -> Any:
            if next(away, False):
                raise Unavailable("The database is away.")
            return await operation(work)

    task = registration.start(lines(*(device(f"lamp-{number}") for number in range(4))))
    moody = Moody(house.runtime.database, 0, after=False)
    ended = registration.work(task, replace(house.runtime, database=moody))
    assert (ended.status, ended.successes, ended.failures) == (Status.COMPLETED, 4, 0)


def test_a_bug_in_one_line_is_that_lines_error(registration: Bulk, monkeypatch: pytest.MonkeyPatch) -> None:
    original = input_lines.parameters

    def buggy(line: Any) -> dict[str, Any]:
        if line.number == 2:
            raise ZeroDivisionError
        return original(line)

    monkeypatch.setattr(input_lines, "parameters", buggy)
    task = registration.work(registration.start(lines(device("a"), device("b"), device("c"))))
    assert (task.successes, task.failures) == (2, 1)
    [error] = registration.report(task, Report.ERRORS)
    assert error["error"]["code"] == "InternalFailureException"
    assert "ZeroDivision" not in error["error"]["message"]


# --- the runner -------------------------------------------------------------------------------------------------------


async def until(house: Installed, task: Task, ended: Callable[[Task], bool]) -> None:
    async with asyncio.timeout(20):
        while not ended(await house.runtime.database.glance(lambda tx: tasks.get(tx, task.realm, task.id))):  # noqa: ASYNC110 # the runner works on the same loop
            await asyncio.sleep(0.01)


def test_the_runner_takes_up_what_waits_in_all_accounts(house: Installed) -> None:
    started = []
    for _ in range(2):
        registration = Bulk(house, Realm(house.account(), REGION))
        started.append(registration.start(lines(device("a"), device("b")), runner=None))

    async def run() -> None:
        running = asyncio.create_task(bulk.Runner(house.runtime).run())
        for task in started:
            await until(house, task, lambda now: now.ended_at is not None)
        running.cancel()
        await asyncio.wait({running})

    house.run(run())
    for task in started:
        done = house.read(lambda tx, task=task: tasks.get(tx, task.realm, task.id))  # type: ignore[misc] # mypy cannot infer a lambda with a default
        assert (done.status, done.successes) == (Status.COMPLETED, 2)


def test_a_runner_that_goes_home_gives_its_lease_back(registration: Bulk, house: Installed) -> None:
    task = registration.start(lines(*(device(f"lamp-{number}") for number in range(60))), runner=None)

    async def run() -> None:
        running = asyncio.create_task(bulk.Runner(house.runtime).run())
        await until(house, task, lambda now: now.line > 0)
        running.cancel()
        await asyncio.wait({running})

    house.run(run())
    waiting = house.read(lambda tx: tasks.waiting(tx, house.clock()))
    assert [each.id for each in waiting] == [task.id]
    taken = house.write(lambda tx: tasks.take(tx, task.realm, task.id, "one", house.clock()))
    assert taken is not None
    assert 0 < taken.line < 60
    assert registration.work(taken).successes == 60


def test_a_task_that_a_bug_threw_out_is_not_tried_at_once(
    registration: Bulk, house: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def buggy(body: str) -> None:
        tries.append(body)
        raise ZeroDivisionError

    monkeypatch.setattr(register, "read_template", buggy)
    monkeypatch.setattr(bulk, "_LOOK_SECONDS", 0.001)
    task = registration.start(lines(device("a")), runner=None)
    other = Bulk(house, Realm(house.account(), REGION))

    async def run() -> None:
        running = asyncio.create_task(bulk.Runner(house.runtime).run())
        async with asyncio.timeout(20):
            while not tries:  # noqa: ASYNC110 # the runner works on the same loop
                await asyncio.sleep(0.01)
        monkeypatch.undo()
        await until(house, await started(), lambda now: now.ended_at is not None)
        running.cancel()
        await asyncio.wait({running})

    async def started() -> Task:
        source = bucket.look(registration.file.parents[1], "factory", registration.file.name)
        act = house.runtime.act(other.realm, "test")
        return await house.runtime.write(lambda tx: tasks.start(tx, act, body(), source, "role"))

    house.run(run())
    assert len(tries) == 1
    assert registration.now(task).ended_at is None
