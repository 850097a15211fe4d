"""The processes behind a function: nothing shared, nothing left behind, the file as it is now."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from fleetgate.errors import FunctionFailed, FunctionTimedOut, FunctionUnavailable
from fleetgate.provisioning import function as function_module
from fleetgate.provisioning.function import Function
from fleetgate.provisioning.hooks import FunctionHook
from fleetgate.runtime import HookRequest

MakeFunction = Callable[..., Function]
Gone = Callable[[int], Awaitable[None]]

# As published hooks have it: the answer stands at module level and is changed on approval.
PUBLISHED = """
provision_response = {'allowProvisioning': False, 'parameterOverrides': {'CertDate': 'today'}}
def lambda_handler(event, context):
    if event['parameters']['SerialNumber'] == 'good':
        provision_response['allowProvisioning'] = True
    return provision_response
"""

SLEEPER = """
import os, subprocess, sys, time
def lambda_handler(event, context):
    below = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    with open(event, 'w') as pipe:
        pipe.write(f'{os.getpid()} {below.pid}')
    time.sleep(60)
"""


async def invoke(function: Function, payload: Any = None) -> Any:
    return await function.invoke(payload, "3f0c")


async def test_an_approval_does_not_outlive_its_request(functions: MakeFunction) -> None:
    function = functions(PUBLISHED)
    good, bad = ({"parameters": {"SerialNumber": serial}} for serial in ("good", "bad"))
    answers = [await invoke(function, one) for one in (good, bad, good, bad)]
    assert [answer["allowProvisioning"] for answer in answers] == [True, False, True, False]


async def test_the_handler_sees_the_context_of_lambda(functions: MakeFunction) -> None:
    function = functions(
        "def lambda_handler(e, c):\n"
        "    return [c.function_name, c.aws_request_id, c.invoked_function_arn, c.get_remaining_time_in_millis()]"
    )
    name, request_id, arn, left = await invoke(function)
    assert (name, request_id) == ("ask", "3f0c")
    assert arn == "arn:aws:lambda:us-east-1:123456789012:function:ask"
    assert 0 < left <= 5_000


async def test_nothing_of_the_server_is_in_reach(functions: MakeFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETGATE_SECRET", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    held = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        function = functions(
            "import os\n"
            "def lambda_handler(e, c):\n"
            "    fds = []\n"
            "    for fd in range(256):\n"
            "        try: fds.append([fd, os.readlink(f'/proc/self/fd/{fd}')])\n"
            "        except OSError: pass\n"
            "    return {'env': dict(os.environ), 'fds': fds}",
            environment={"TABLE": "devices"},
        )
        seen = await invoke(function)
    finally:
        os.close(held)
    seen["env"].pop("LC_CTYPE", None)  # the interpreter's own, where the locale is C
    assert seen["env"] == {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "ask",
        "TABLE": "devices",
    }
    kinds = [kind.partition(":")[0] for _, kind in seen["fds"]]
    assert kinds == ["/dev/null", "socket", "socket", "socket"]  # input, output twice, and the answer's


async def test_modules_beside_the_handler_can_be_imported(functions: MakeFunction, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'yes'")
    assert await invoke(functions("import beside\ndef lambda_handler(e, c): return beside.WORD")) == "yes"
    assert not list(tmp_path.glob("__pycache__"))


async def test_another_handler_name(functions: MakeFunction) -> None:
    assert await invoke(functions("def decide(e, c): return e", handler="decide"), {"a": [1]}) == {"a": [1]}


async def test_what_it_prints_goes_to_the_log_and_nowhere_else(functions: MakeFunction) -> None:
    function = functions(
        "import os, sys, subprocess\n"
        "print('while importing')\n"
        "def lambda_handler(e, c):\n"
        '    print(\'{"result": "forged"}\')\n'
        "    print('to stderr', file=sys.stderr)\n"
        "    os.write(1, b'raw \\xff\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"from below\")'])\n"
        "    return 'the answer'"
    )
    with structlog.testing.capture_logs() as logs:
        assert await invoke(function) == "the answer"
        await function.close()
    said = {one: "".join(log["output"] for log in logs if log["request_id"] == one) for one in ("import", "3f0c")}
    assert said["import"] == "while importing\n"
    assert said["3f0c"] == '{"result": "forged"}\nto stderr\nraw \ufffd\nfrom below\n'


async def test_output_without_end_is_cut(functions: MakeFunction) -> None:
    function = functions("def lambda_handler(e, c):\n    for _ in range(5_000): print('x' * 99)\n    return 'done'")
    with structlog.testing.capture_logs() as logs:
        assert await invoke(function) == "done"
        await function.close()
    assert sum(len(log.get("output", "")) for log in logs) < 100_000
    assert [log["event"] for log in logs].count("function output cut") == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('no')", "ask: the function raised ValueError: no"),
        ("sys.exit(3)", r"ask: the function ended itself with sys\.exit\(3\)"),
        ("os._exit(0)", "ask: the function ended without an answer"),
        ("os.kill(os.getpid(), 11)", "ask: the function ended without an answer"),
        ("os.closerange(0, 256)", "ask: the function ended without an answer"),
        ("return object()", "ask: the function returned what JSON cannot say"),
        ("return 'x' * 300_000", "ask: the function returned 300015 bytes"),
        ("return lambda_handler", "ask: the function returned what JSON cannot say"),
    ],
)
async def test_how_it_failed_is_told(functions: MakeFunction, body: str, told: str) -> None:
    with pytest.raises(FunctionFailed, match=told):
        await invoke(functions(f"import os, sys\ndef lambda_handler(e, c):\n    {body}"))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, r"handler\.py: No such file"),
        ("", r"cannot be loaded: LookupError: handler\.py has no function 'lambda_handler'"),
        ("lambda_handler = 1", "has no function 'lambda_handler'"),
        ("import nowhere_to_be_found", "cannot be loaded: ModuleNotFoundError"),
        ("import sys; sys.exit('not today')", "cannot be loaded: SystemExit: not today"),
        ("import os; os._exit(0)", "cannot be loaded: the process ended"),
        ("def lambda_handler(:", "cannot be loaded: SyntaxError"),
    ],
)
async def test_why_it_cannot_be_started_is_told(functions: MakeFunction, source: str | None, told: str) -> None:
    function = functions(source)
    for _ in range(2):
        with pytest.raises(FunctionUnavailable, match=told):
            await invoke(function)


async def test_an_import_has_its_time_limit(
    functions: MakeFunction, gone: Gone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_module, "_START_SECONDS", 0.5)
    note = tmp_path / "pid"
    function = functions(f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    with pytest.raises(FunctionUnavailable, match="still being imported"):
        await invoke(function)
    await gone(int(note.read_text()))


async def test_a_broken_file_is_not_tried_for_every_device(functions: MakeFunction, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    function = functions(f"open({str(tries)!r}, 'a').write('x')\nraise ValueError")
    answers = await asyncio.gather(*(invoke(function) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, FunctionUnavailable) for answer in answers)
    assert tries.read_text() == "x"


async def test_a_changed_file_counts_at_once(functions: MakeFunction, tmp_path: Path) -> None:
    function = functions("def lambda_handler(e, c): return 'old'")
    assert await invoke(function) == "old"
    (tmp_path / "handler.py").write_text("def lambda_handler(e, c): return 'newer'")
    assert await invoke(function) == "newer"
    (tmp_path / "handler.py").write_text("def lambda_handler(e, c): return (")
    with pytest.raises(FunctionUnavailable, match="SyntaxError"):
        await invoke(function)
    (tmp_path / "handler.py").write_text("def lambda_handler(e, c): return 'mended'")
    assert await invoke(function) == "mended"
    (tmp_path / "handler.py").unlink()
    with pytest.raises(FunctionUnavailable, match="No such file"):
        await invoke(function)


async def test_running_invocations_outlive_a_change(functions: MakeFunction, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    function = functions("def lambda_handler(e, c):\n    with open(e) as pipe: return 'old ' + pipe.read()")
    waiting = asyncio.ensure_future(invoke(function, str(pipe)))
    descriptor = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)  # opens when the handler does
    (tmp_path / "handler.py").write_text("def lambda_handler(e, c): return 'new'")
    assert await invoke(function) == "new"
    os.write(descriptor, b"but whole")
    os.close(descriptor)
    assert await waiting == "old but whole"


async def test_an_old_import_is_done_anew(functions: MakeFunction) -> None:
    source = "import os\nHOST = os.getpid()\ndef lambda_handler(e, c): return HOST"
    kept, aged = functions(source), functions(source, maximum_age=0)
    assert len({await invoke(kept) for _ in range(3)}) == 1
    assert len({await invoke(aged) for _ in range(3)}) == 3


async def test_a_killed_host_is_replaced(functions: MakeFunction, gone: Gone) -> None:
    function = functions("import os\nHOST = os.getpid()\ndef lambda_handler(e, c): return HOST")
    first = await invoke(function)
    os.kill(first, signal.SIGKILL)
    await gone(first)
    assert await invoke(function) != first


async def test_places_are_bounded(functions: MakeFunction, tmp_path: Path) -> None:
    """With one place, the second waits until the first is done, and then has its turn."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    function = functions(
        "def lambda_handler(e, c):\n    return open(e).read() if e else 'had its turn'",
        time_limit=20_000,
        concurrency=1,
    )
    await invoke(function)
    holding = asyncio.ensure_future(invoke(function, str(pipe)))
    descriptor = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
    waiting = asyncio.ensure_future(invoke(function))
    for _ in range(10):
        await asyncio.sleep(0)  # every chance to begin
    assert not waiting.done()
    os.write(descriptor, b"held the place")
    os.close(descriptor)
    assert (await holding, await waiting) == ("held the place", "had its turn")


async def test_waiting_for_a_place_and_running_have_one_bound(functions: MakeFunction) -> None:
    source = "import time\ndef lambda_handler(e, c): time.sleep(e or 0)"
    function = functions(source, time_limit=1_000, concurrency=1)
    for _ in range(10):  # as long as the import takes on this machine
        with contextlib.suppress(FunctionUnavailable):
            await invoke(function)
            break
    clock = asyncio.get_running_loop().time
    began = clock()
    answers = await asyncio.gather(*(invoke(function, 60) for _ in range(4)), return_exceptions=True)
    assert clock() - began < 1.9, "not a second for the place and another one to run in"
    assert isinstance(answers[0], FunctionTimedOut)
    assert isinstance(answers[-1], FunctionUnavailable)
    assert "all 1 places were taken for 1000 ms" in str(answers[-1])


async def test_an_import_that_takes_longer_goes_on_for_those_who_ask_again(
    functions: MakeFunction, tmp_path: Path
) -> None:
    pipe, tries = tmp_path / "pipe", tmp_path / "tries"
    os.mkfifo(pipe)
    source = (
        f"open({str(tries)!r}, 'a').write('x')\nopen({str(pipe)!r}).read()\ndef lambda_handler(e, c): return 'warm'"
    )
    function = functions(source, time_limit=2_000)
    answers = await asyncio.gather(*(invoke(function) for _ in range(3)), return_exceptions=True)
    assert all("was still being imported after 2000 ms; that goes on, so ask again" in str(each) for each in answers)
    await asyncio.to_thread(pipe.write_bytes, b"")
    assert await invoke(function) == "warm"
    assert tries.read_text() == "x"


async def test_closing_ends_an_import(functions: MakeFunction, gone: Gone, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    function = functions(f"import os, time\nopen({str(pipe)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    asking = asyncio.ensure_future(invoke(function))
    process = int(await asyncio.to_thread(pipe.read_text))
    await function.close()
    with pytest.raises(FunctionUnavailable, match="was closed"):
        await asking
    await gone(process)


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """Where `SLEEPER` writes its process id and that of a process it started."""
    pipe = tmp_path / "processes"
    os.mkfifo(pipe)
    return pipe


async def processes(pipe: Path) -> list[int]:
    return [int(one) for one in (await asyncio.to_thread(pipe.read_text)).split()]


async def test_at_the_time_limit_the_whole_group_is_killed(functions: MakeFunction, below: Path, gone: Gone) -> None:
    invoking = asyncio.ensure_future(invoke(functions(SLEEPER, time_limit=3_000), str(below)))
    started = await processes(below)
    with pytest.raises(FunctionTimedOut, match="did not answer within 3000 ms and was killed"):
        await invoking
    for process in started:
        await gone(process)


async def test_a_cancelled_invocation_is_killed(functions: MakeFunction, below: Path, gone: Gone) -> None:
    invoking = asyncio.ensure_future(invoke(functions(SLEEPER), str(below)))
    started = await processes(below)
    invoking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await invoking
    for process in started:
        await gone(process)


async def test_what_an_answered_invocation_left_running_is_killed(
    functions: MakeFunction, below: Path, gone: Gone
) -> None:
    invoking = asyncio.ensure_future(invoke(functions(SLEEPER.replace("time.sleep(60)\n", "return 1\n")), str(below)))
    started = await processes(below)
    assert await invoking == 1
    for process in started:
        await gone(process)


async def test_closing_ends_everything(functions: MakeFunction, below: Path, gone: Gone) -> None:
    function = functions(SLEEPER)
    invoking = asyncio.ensure_future(invoke(function, str(below)))
    started = await processes(below)
    await function.close()
    with pytest.raises(FunctionFailed, match="ended without an answer"):
        await invoking
    for process in started:
        await gone(process)


@pytest.mark.parametrize("sleeps", ["handler", "import"])
async def test_a_killed_server_takes_its_functions_along(tmp_path: Path, below: Path, gone: Gone, sleeps: str) -> None:
    handler = tmp_path / "handler.py"
    handler.write_text(SLEEPER if sleeps == "handler" else f"{SLEEPER}\nlambda_handler({str(below)!r}, None)")
    program = (
        "import asyncio, pathlib, sys\n"
        "from fleetgate.names import Realm\n"
        "from fleetgate.provisioning.function import Function, FunctionSpec\n"
        "spec = FunctionSpec('ask', Realm('123456789012', 'us-east-1'), pathlib.Path(sys.argv[1]))\n"
        "async def main(): await Function(spec).invoke(sys.argv[2], 'id')\n"
        "asyncio.run(main())\n"
    )
    server = subprocess.Popen([sys.executable, "-c", program, handler, below])
    started = await processes(below)
    server.kill()
    server.wait()
    await gone(started[0])
    if sleeps == "handler":
        await gone(started[1])
    else:  # started by the import, outside any invocation: nobody's group
        os.kill(started[1], signal.SIGKILL)


async def test_a_handler_and_the_log_have_the_devices_request_id(
    functions: MakeFunction, question: HookRequest
) -> None:
    source = (
        "def lambda_handler(event, context):\n"
        "    print('asked')\n"
        "    return {'allowProvisioning': True, 'parameterOverrides': {'Id': context.aws_request_id}}"
    )
    hook = FunctionHook(functions(source), os.urandom)
    with structlog.testing.capture_logs() as logs:
        answer = await hook.decide(replace(question, request_id="of-the-device"))
    assert answer.parameter_overrides == {"Id": "of-the-device"}
    assert [(log["event"], log["request_id"]) for log in logs] == [("function output", "of-the-device")]


async def test_a_bug_in_asking_is_a_no(functions: MakeFunction, question: HookRequest) -> None:
    hook = FunctionHook(functions(PUBLISHED), os.urandom)
    unsayable = HookRequest("", "", "", "", "", {"SerialNumber": object()})  # type: ignore[dict-item] # the bug
    with structlog.testing.capture_logs() as logs:
        answer = await hook.decide(unsayable)
    assert not answer.allowed
    assert "TypeError" in answer.reason
    assert [log["event"] for log in logs] == ["hook failed"]
    assert not (await hook.decide(question)).allowed
