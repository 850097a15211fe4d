"""An AWS-Lambda-style Python handler, run unmodified outside the server: one process per file, one fork per invocation.

The processes are kept apart from the server (no environment, no descriptors, no memory of it) and from each other (no
state lives from one invocation to the next). This is isolation of state, not a sandbox: a handler runs as the server's
user and is trusted like the configuration that names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from fleetgate.errors import FunctionFailed, FunctionTimedOut, FunctionUnavailable
from fleetgate.names import Realm
from fleetgate.provisioning import function_host

log = structlog.get_logger(__name__)

_LONGEST_OUTPUT: Final = 64 * 1024
# For an import. Who asks meanwhile waits no longer than for any answer; the import goes on for those who come next.
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 2.0
# How long an answer waits for the last of the output, which a descendant that left its process group may hold open.
_LINGER_SECONDS: Final = 0.25
# A file that cannot be loaded is not tried again for every request of a whole fleet.
_RETRY_SECONDS: Final = 5.0

Stamp = tuple[int, int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """Which function, and within which bounds it runs."""

    name: str
    realm: Realm
    file: Path
    handler: str = "lambda_handler"
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to AWS_REGION, AWS_DEFAULT_REGION and AWS_LAMBDA_FUNCTION_NAME; nothing else is set."""
    time_limit: int = 5_000
    """Milliseconds for one invocation, with waiting for a free place and for the import."""
    concurrency: int = 16
    """Invocations at the same time."""
    maximum_age: int = 300_000
    """Milliseconds after which the file is imported anew, because modules keep dates from their import."""

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.realm.region}:{self.realm.account}:function:{self.name}"


class Function:
    """`invoke` from one event loop; `close` ends every process. Nothing is started before the first invocation."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec
        self._places = asyncio.Semaphore(spec.concurrency)
        self._starting: tuple[Stamp, asyncio.Task[_Process | None]] | None = None
        self._process: _Process | None = None
        self._broken: tuple[Stamp, float, str] | None = None  # file, until when, why
        self._tasks: set[asyncio.Task[Any]] = set()
        self._count = 0

    async def invoke(self, payload: Any, request_id: str) -> Any:
        """What the handler returns for *payload* (JSON values both). *request_id* is its `aws_request_id`.

        Raises, within the time limit, FunctionUnavailable (no such file or handler, its import fails or takes longer,
        no free place), FunctionTimedOut (killed), FunctionFailed (it raised, exited, died, or returned what JSON cannot
        say).
        """
        deadline = asyncio.get_running_loop().time() + self.spec.time_limit / 1000
        async with self._place(deadline):
            process = await self._current(deadline)
            self._count += 1
            async with process.invocation():
                return await self._run(process, json.dumps(payload).encode(), request_id, deadline)

    async def close(self) -> None:
        """End the process and whatever still runs in it."""
        if self._starting is not None:
            self._starting[1].cancel()
            await asyncio.wait({self._starting[1]})
        if self._process is not None:
            self._retire(self._process)
            self._process.end()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=2 * _STOP_SECONDS)
            for task in left:  # output held open by a descendant that left its process group
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _place(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        except TimeoutError:
            raise FunctionUnavailable(
                f"{self.spec.name}: all {self.spec.concurrency} places were taken for {self.spec.time_limit} ms"
            ) from None
        try:
            yield
        finally:
            self._places.release()

    async def _run(self, process: _Process, payload: bytes, request_id: str, deadline: float) -> Any:
        loop, invocation = asyncio.get_running_loop(), str(self._count)
        left = max(0, round((deadline - loop.time()) * 1000))
        wire, wire_theirs = _pair()
        output, output_theirs = _pair()
        printing = self._spawn(_log_output(output, self.spec.name, request_id))
        with wire:
            with wire_theirs, output_theirs:
                order = {"run": invocation, "request_id": request_id, "milliseconds": left}
                process.order(order, wire_theirs, output_theirs)
            try:
                async with asyncio.timeout_at(deadline):
                    await _send(loop, wire, payload)
                    line = await _read_line(loop, wire)
            except TimeoutError:
                raise FunctionTimedOut(
                    f"{self.spec.name} did not answer within {self.spec.time_limit} ms and was killed"
                ) from None
            finally:
                process.kill(invocation)
        await asyncio.wait({printing}, timeout=_LINGER_SECONDS)
        return self._result(line)

    def _result(self, line: bytes) -> Any:
        if not line.endswith(b"\n"):
            raise FunctionFailed(f"{self.spec.name}: the function ended without an answer")
        answer = json.loads(line)
        if "error" in answer:
            raise FunctionFailed(f"{self.spec.name}: {answer['error']}")
        return answer["result"]

    async def _current(self, deadline: float) -> _Process:
        """A process that holds the file as it is now. An import that takes until *deadline* goes on without us."""
        while True:
            stamp = self._stamp()
            if (process := self._kept(stamp)) is not None:
                return process
            held, task = self._starting or self._begin(stamp)
            # Not awaited itself: others wait for the same import, and who comes later finds it done.
            done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
            if not done:
                raise FunctionUnavailable(
                    f"{self.spec.name}: {self.spec.file} was still being imported after {self.spec.time_limit} ms; "
                    "that goes on, so ask again"
                )
            if task.cancelled():
                raise FunctionUnavailable(f"{self.spec.name} was closed")
            if held == stamp and (started := task.result()) is not None:
                return started

    def _kept(self, stamp: Stamp) -> _Process | None:
        """The process that runs, if it holds that file and is young. Raises FunctionUnavailable for a broken file."""
        now = asyncio.get_running_loop().time()
        if self._process is not None:
            if self._process.stamp == stamp and now < self._process.fresh_until and self._process.alive:
                return self._process
            self._retire(self._process)
            self._process = None
        if self._broken is not None and self._broken[0] == stamp and now < self._broken[1]:
            raise FunctionUnavailable(self._broken[2])
        return None

    def _begin(self, stamp: Stamp) -> tuple[Stamp, asyncio.Task[_Process | None]]:
        async def begin() -> _Process | None:
            try:
                self._process = await self._start(stamp)
            except FunctionUnavailable as error:
                self._broken = (stamp, asyncio.get_running_loop().time() + _RETRY_SECONDS, error.message)
            finally:
                self._starting = None
            return self._process

        self._starting = stamp, self._spawn(begin())
        return self._starting

    def _stamp(self) -> Stamp:
        try:
            status = self.spec.file.stat()
        except OSError as error:
            raise FunctionUnavailable(f"{self.spec.name}: {self.spec.file}: {error.strerror}") from error
        return status.st_ino, status.st_mtime_ns, status.st_size

    async def _start(self, stamp: Stamp) -> _Process:
        loop = asyncio.get_running_loop()
        output, output_theirs = _pair()
        with output_theirs:
            try:
                process = _Process(self.spec, stamp, output_theirs)
            except OSError as error:
                output.close()
                raise FunctionUnavailable(f"{self.spec.name}: no process could be started: {error}") from error
        process.fresh_until = loop.time() + self.spec.maximum_age / 1000
        self._spawn(_log_output(output, self.spec.name, "import"))
        try:
            async with asyncio.timeout(_START_SECONDS):
                problem = await process.greeting()
        except TimeoutError:
            problem = f"it was still being imported after {_START_SECONDS:.0f} s"
        except asyncio.CancelledError:
            process.abort()
            self._retire(process)
            raise
        if problem:
            process.abort()
            self._retire(process)
            raise FunctionUnavailable(f"{self.spec.name}: {self.spec.file} cannot be loaded: {problem}")
        return process

    def _retire(self, process: _Process) -> None:
        self._spawn(process.close())

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Process:
    """A running `function_host` and the server's end of its control socket."""

    def __init__(self, spec: FunctionSpec, stamp: Stamp, output: socket.socket) -> None:
        self.stamp = stamp
        self.fresh_until = 0.0
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.control, theirs = _pair(socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                    _command(spec, theirs.fileno()),
                    env=_environment(spec),
                    cwd=spec.file.resolve().parent,
                    stdin=subprocess.DEVNULL,
                    stdout=output.fileno(),
                    stderr=output.fileno(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                self.control.close()
                raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @contextlib.asynccontextmanager
    async def invocation(self) -> AsyncIterator[None]:
        """Hold the process open, also while a newer one takes over."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def greeting(self) -> str:
        """Why the file could not be loaded; empty when it was."""
        try:
            said = json.loads(await asyncio.get_running_loop().sock_recv(self.control, 65536))
            return "" if said.get("ready") is True else str(said["failed"])
        except (OSError, ValueError):
            return "the process ended"

    def order(self, order: Mapping[str, Any], *sockets: socket.socket) -> None:
        try:
            socket.send_fds(self.control, [json.dumps(order).encode()], [one.fileno() for one in sockets])
        except OSError as error:
            raise FunctionFailed(f"the function's process cannot be reached: {error}") from error

    def kill(self, invocation: str) -> None:
        """End an invocation with everything in its process group; nothing happens when it is over already."""
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"kill": invocation}).encode())

    def end(self) -> None:
        """Without waiting for invocations. The host kills its children when the socket ends."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_RDWR)

    def abort(self) -> None:
        """Kill a process that has no children yet, whatever its import is doing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Let running invocations finish, then end the process."""
        await self._idle.wait()
        self.end()
        self.control.close()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.abort()
            await asyncio.to_thread(self._process.wait)


def _command(spec: FunctionSpec, control: int) -> list[str]:
    # Isolated from PYTHON* variables and the user's site directory; no bytecode is written beside the handler.
    python = [sys.executable, "-I", "-B", "-X", "utf8", function_host.__file__]
    return [*python, str(control), str(os.getpid()), str(spec.file.resolve()), spec.handler, spec.name, spec.arn]


def _environment(spec: FunctionSpec) -> dict[str, str]:
    region = spec.realm.region
    own = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_LAMBDA_FUNCTION_NAME": spec.name}
    return own | dict(spec.environment)


def _pair(kind: socket.SocketKind = socket.SOCK_STREAM) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets; the first is the server's and does not block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    ours.setblocking(False)
    return ours, theirs


async def _send(loop: asyncio.AbstractEventLoop, wire: socket.socket, payload: bytes) -> None:
    with contextlib.suppress(OSError):  # died before it read all; its missing answer tells
        await loop.sock_sendall(wire, payload)
        wire.shutdown(socket.SHUT_WR)


async def _read_line(loop: asyncio.AbstractEventLoop, wire: socket.socket) -> bytes:
    """Up to the first line feed, the end, or one byte more than an answer may have."""
    line = b""
    with contextlib.suppress(ConnectionError):
        while b"\n" not in line and len(line) <= function_host.LONGEST_ANSWER:
            chunk = await loop.sock_recv(wire, 65536)
            if not chunk:
                break
            line += chunk
    return line


async def _log_output(output: socket.socket, name: str, request_id: str) -> None:
    """What the handler prints goes to the log, up to a bound; the rest is read and dropped so that it never blocks."""
    loop = asyncio.get_running_loop()
    left = _LONGEST_OUTPUT
    with output:
        while chunk := await loop.sock_recv(output, 8192):
            if left > 0:
                text = chunk.decode(errors="replace")
                log.info("function output", function=name, request_id=request_id, output=text)
                left -= len(chunk)
                if left <= 0:
                    log.warning("function output cut", function=name, request_id=request_id, after=_LONGEST_OUTPUT)
