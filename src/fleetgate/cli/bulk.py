"""`fleetgate bulk`"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.provisioning import bucket, bulk, register
from fleetgate.registry import tasks
from fleetgate.registry.tasks import Report, Status, Task

app = typer.Typer(no_args_is_help=True, add_completion=False)

_BUCKET: Final = "command-line"
_SECONDS: Final = 0.2
_SERVER_SECONDS: Final = 1.5
"""A server that runs has taken a task up by then, and works on it faster than two processes on one database could."""
_ROWS: Final = 500
_COLUMNS: Final = {
    "id": "task",
    "status": "status",
    "percentage": "%",
    "successes": "registered",
    "failures": "failed",
    "created_at": "started",
}
_Id = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]


@app.command("register")
@here
async def register_(
    here: Here,
    template: Annotated[
        Path, typer.Argument(metavar="TEMPLATE", exists=True, dir_okay=False, help="Template body (JSON).")
    ],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="One JSON object of parameters in a line."),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Register a device for each line of a file. Exit status 1 if one could not be."""
    body = template.read_text()
    register.read_template(body)
    act = here.act()
    copy = await asyncio.to_thread(_copied, bucket.root(here.config), file, f"{act.request_id}.json")
    try:
        source = bucket.look(copy.parents[1], _BUCKET, copy.name)
        role = f"arn:aws:iam::{here.realm.account}:role/command-line"
        task = await here.change(
            "StartThingRegistrationTask",
            here.realm.arn("thingregistrationtask", copy.name),
            lambda tx, act: tasks.start(tx, act, body, source, role),
        )
        show.say(f"Task {task.id}. Should this be interrupted: fleetgate bulk resume {task.id}")
    except BaseException:
        copy.unlink()
        raise
    ended = await _followed(here, task)
    copy.unlink()
    _finish(ended, as_json)


@app.command("resume")
@here
async def resume(here: Here, task_id: _Id, *, as_json: Json = False) -> None:
    """Go on with a task that nobody works on, or watch the one who does, until it ends."""
    task = await here.read(lambda tx: tasks.get(tx, here.realm, task_id))
    _finish(await _followed(here, task), as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List tasks, newest first."""
    most = show.limit(limit, as_json)
    found = await here.pages(lambda tx, after, count: tasks.page(tx, here.realm, after, count), most)
    show.listing([_record(each) for each in found.items], _COLUMNS, "tasks", as_json, found.more)


@app.command("show")
@here
async def show_(here: Here, task_id: _Id, *, as_json: Json = False) -> None:
    """Show how far a task is."""
    show.details(_record(await here.read(lambda tx: tasks.get(tx, here.realm, task_id))), as_json)


@app.command("stop")
@here
async def stop(here: Here, task_id: _Id) -> None:
    """Stop a task after the lines in hand; what is registered stays."""
    target = here.realm.arn("thingregistrationtask", task_id)
    await here.change("StopThingRegistrationTask", target, lambda tx, act: tasks.stop(tx, act, task_id))
    show.say(f"Task {task_id} is being stopped.")


@app.command("report")
@here
async def report_(
    here: Here,
    task_id: _Id,
    *,
    errors: Annotated[bool, typer.Option("--errors", help="The lines that failed, not those that went well.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file (default: standard output).")
    ] = None,
) -> None:
    """Print a task's report: one JSON object for each line of its input."""
    await here.read(lambda tx: tasks.get(tx, here.realm, task_id))
    kind = Report.ERRORS if errors else Report.RESULTS
    with nullcontext(sys.stdout) if output is None else output.open("w") as out:
        after = 0
        while rows := await here.read(
            lambda tx, after=after: tasks.bodies(tx, here.realm, task_id, kind, after, 2**62, _ROWS)  # type: ignore[misc] # mypy cannot infer a lambda with a default
        ):
            out.writelines(f"{body}\n" for _, body in rows)
            after = rows[-1][0]


# --- at work ----------------------------------------------------------------------------------------------------------


def _copied(root: Path, file: Path, name: str) -> Path:
    """*file* may be anywhere, and may change; the task has its own copy, readable by its owner alone."""
    folder = root / _BUCKET
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = folder / name
    with file.open("rb") as source, os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
        shutil.copyfileobj(source, made)
    return copy


async def _followed(here: Here, task: Task) -> Task:
    """The task when it has ended: by a server, or by this process where none took it up."""
    realm, task_id, runtime = task.realm, task.id, here.runtime
    runner = runtime.entropy(8).hex()
    await _give_way(here, task)
    with _progress(task) as told:
        while task.ended_at is None:
            taken = await runtime.write(lambda tx: tasks.take(tx, realm, task_id, runner, runtime.clock()))
            if taken is not None:
                await bulk.work(runtime, taken, runner, told)
            else:
                await asyncio.sleep(_SECONDS)
            task = await here.read(lambda tx: tasks.get(tx, realm, task_id))
            told(task)
    return task


async def _give_way(here: Here, task: Task) -> None:
    until = monotonic() + _SERVER_SECONDS
    while monotonic() < until and await here.read(lambda tx: _is_free(tx, task, here.runtime.clock())):  # noqa: ASYNC110 # another process works there
        await asyncio.sleep(_SECONDS)


def _is_free(tx: Tx, task: Task, now: int) -> bool:
    return any(each.id == task.id for each in tasks.waiting(tx, now))


@contextmanager
def _progress(task: Task) -> Iterator[Callable[[Task], None]]:
    """A bar on standard error where that is a terminal; what is yielded moves it."""
    console = show.console(errors=True)
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=task.input.size)

        def told(now: Task) -> None:
            progress.update(bar, completed=now.position, description=_counted(now))

        yield told


def _finish(task: Task, as_json: bool) -> None:
    if as_json:
        show.document(_record(task))
    else:
        show.say(f"{task.status}: {_counted(task)}.{' ' + task.message if task.message else ''}")
        if task.failures:
            show.say(f"The reasons: fleetgate bulk report {task.id} --errors")
    if task.status is not Status.COMPLETED or task.failures:
        raise typer.Exit(1)


def _counted(task: Task) -> str:
    return f"{task.successes} registered, {task.failures} failed"


def _record(task: Task) -> dict[str, Any]:
    more = {"percentage": task.percentage, "bucket": task.input.bucket, "key": task.input.key}
    return show.record(task, "template_body", "input", "runner", **more)
