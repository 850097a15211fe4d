"""`kill -9` of the server in the middle of a bulk file: every line is answered once, and made one device each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.pki import new_key, signing_request
from tests.process import ServerProcess
from tests.registrations import body
from tests.s3 import S3Server, s3_server
from tests.server import REALM

from fleetgate.database.open import open_database
from fleetgate.database.port import Database, Tx
from fleetgate.provisioning import bucket, input_file
from fleetgate.registry import tasks
from fleetgate.registry.tasks import Report, Status, Task
from fleetgate.works import database_address, works

LINES = {"sqlite": 3_000, "postgres": 600, "s3": 300}
KILLS = 2
SEED = 20_260_401
EVERY_TENTH = "nonsense"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path) as server:
        yield server


def named(url: str) -> str:
    """The database's address with its name in the path, where the configuration wants it."""
    parts = conninfo_to_dict(url)
    return f"postgresql:///{parts.pop('dbname')}?{urlencode(parts)}"


def write_input(file: Path, count: int) -> None:
    """Keys are shared by many lines: it is not they that are looked at, and each takes time."""
    requests = [signing_request(new_key(), "Big Orchestra") for _ in range(50)]
    with file.open("w") as out:
        for number in range(1, count + 1):
            parameters = {"ThingName": f"lamp-{number:05}", "CSR": requests[number % len(requests)]}
            out.write(f"{EVERY_TENTH if number % 10 == 0 else json.dumps(parameters)}\n")


async def started(process: ServerProcess, file: Path, store: S3Server | None) -> Task:
    """Found the installation, and start a task that nobody works on yet."""
    async with works(process.config) as opened:
        config, name = process.config, "factory"
        if store is None:
            (bucket.root(config) / name).mkdir(parents=True)
            file.rename(bucket.root(config) / name / file.name)
        else:
            name = store.put(file.name, file.read_text())["inputFileBucket"]
        source = input_file.look(config, REALM.account, name, file.name, opened.runtime.clock)
        assert (source.etag is None) == (store is None)
        act = opened.runtime.act(REALM, "system")
        return await opened.runtime.write(lambda tx: tasks.start(tx, act, body(), source, "role"))


async def reaches(database: Database, task: Task, line: int) -> Task:
    """Wait until all lines up to *line* are answered."""
    async with asyncio.timeout(120):
        while (now := await database.read(lambda tx: tasks.get(tx, REALM, task.id))).line < line:
            assert now.ended_at is None, now
            await asyncio.sleep(0.005)
    return now


def numbers(tx: Tx, sql: str) -> Any:
    return tx.rows(sql)[0]["number"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres), "s3"])
async def test_every_line_is_answered_once_whenever_it_is_killed(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    random, lines = Random(SEED), LINES[engine]
    place = {"database.url": named(request.getfixturevalue("postgres_url"))} if engine == "postgres" else {}
    store: S3Server | None = request.getfixturevalue("store") if engine == "s3" else None
    process = ServerProcess.prepare(tmp_path, {"bulk.batch": 64, **place, **(store.settings if store else {})})
    write_input(tmp_path / "lamps.json", lines)
    task = await started(process, tmp_path / "lamps.json", store)
    database = open_database(database_address(process.config))
    try:
        for kill in range(1, KILLS + 1):
            await process.start()
            await reaches(database, task, lines * kill // (KILLS + 2) + random.randrange(100))
            await asyncio.sleep(random.uniform(0.0, 0.05))
            await process.kill()
        assert (await database.read(lambda tx: tasks.get(tx, REALM, task.id))).ended_at is None
        await process.start()
        await reaches(database, task, lines)
        async with asyncio.timeout(20):
            while (done := await database.read(lambda tx: tasks.get(tx, REALM, task.id))).ended_at is None:  # noqa: ASYNC110 # another process works there
                await asyncio.sleep(0.02)
        assert await process.end() == 0

        good = [number for number in range(1, lines + 1) if number % 10]
        assert (done.status, done.successes, done.failures) == (Status.COMPLETED, len(good), lines - len(good))
        results = await database.read(lambda tx: tasks.bodies(tx, REALM, task.id, Report.RESULTS, 0, lines, lines))
        errors = await database.read(lambda tx: tasks.bodies(tx, REALM, task.id, Report.ERRORS, 0, lines, lines))
        assert [line for line, _ in results] == good
        assert [line for line, _ in errors] == [number for number in range(1, lines + 1) if number % 10 == 0]
        for line, text in results:
            assert json.loads(text)["response"]["ResourceArns"]["thing"] == REALM.arn("thing", f"lamp-{line:05}")
        count = "SELECT count(*) AS number FROM "
        assert await database.read(lambda tx: numbers(tx, f"{count} things")) == len(good)
        assert await database.read(lambda tx: numbers(tx, f"{count} certificates WHERE status = 'ACTIVE'")) == len(good)
        assert await database.read(lambda tx: numbers(tx, f"{count} certificates")) == len(good)
        assert await database.read(lambda tx: numbers(tx, f"{count} thing_principals")) == len(good)
        assert await database.read(lambda tx: numbers(tx, f"{count} policy_attachments")) == len(good)
        answered = f"{count} audit_entries WHERE action = 'RegisterThing'"
        assert await database.read(lambda tx: numbers(tx, answered)) == len(good)
    finally:
        await database.close()
        await process.close()
