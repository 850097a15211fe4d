"""The process around one handler file: import it once, fork for every invocation. Standard library only.

`function.Function` starts this file by its path, so it is a program of its own and imports nothing of this package.
Every invocation runs in a child forked from the state right after the import. Nothing that a handler keeps at module
level can reach the next invocation: published hooks keep their answer there, and the first approval in a process that
stays warm would approve everybody after it.

The control socket (SOCK_SEQPACKET) carries one JSON object in a message:

    host -> server   {"ready": true} or {"failed": "..."}, once
    server -> host   {"run": id, "request_id": "...", "milliseconds": n} with two sockets: answer and output
                     {"kill": id}

The payload comes over the answer socket to its end; one JSON line goes back: {"result": ...} or {"error": "..."}.
When the control socket ends, the server is gone: every child is killed and the host leaves.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

LONGEST_ANSWER: Final = 256 * 1024
LONGEST_MESSAGE: Final = 400
_PR_SET_PDEATHSIG: Final = 1
_MEMORY_MEGABYTES: Final = "128"

Handler = Callable[[Any, "Context"], Any]


class Context:
    """What AWS Lambda's Python runtime hands a handler beside the event, under the same names."""

    function_version = "$LATEST"
    memory_limit_in_mb = _MEMORY_MEGABYTES
    identity = None
    client_context = None

    def __init__(self, name: str, arn: str, request_id: str, milliseconds: int) -> None:
        self.function_name = name
        self.invoked_function_arn = arn
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = request_id
        self._ends = time.monotonic() + milliseconds / 1000

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._ends - time.monotonic()) * 1000))


def load(file: Path, name: str) -> Handler:
    """The function *name* of the module in *file*, compiled from the source as it is now.

    Raises whatever the module raises; LookupError when it has no such function.
    """
    module = types.ModuleType(file.stem)
    module.__file__ = str(file)
    sys.modules[file.stem] = module
    # Not the import system: its cached bytecode is told apart by whole seconds, too coarse for a file just saved.
    exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # noqa: S102 - running this file is the task
    handler = getattr(module, name, None)
    if callable(handler):
        return handler  # type: ignore[no-any-return] # only the call can tell whether it takes an event and a context
    raise LookupError(f"{file.name} has no function {name!r}")


def answer(handler: Handler, payload: bytes, context: Context) -> bytes:
    """What *handler* makes of *payload* as one JSON line. Never raises."""
    try:
        result = handler(json.loads(payload), context)
    except SystemExit as leaving:
        return _line(error=f"the function ended itself with sys.exit({leaving.code!r})")
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises is its answer
        traceback.print_exc()
        return _line(error=f"the function raised {describe(error)}")
    try:
        line = _line(result=result)
    except Exception as error:  # noqa: BLE001 - also what the result's own methods raise
        return _line(error=f"the function returned what JSON cannot say: {describe(error)}")
    if len(line) > LONGEST_ANSWER:
        return _line(error=f"the function returned {len(line)} bytes; at most {LONGEST_ANSWER} are taken")
    return line


def describe(error: BaseException) -> str:
    """The error's type and message in one bounded line."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error's __str__ is the handler's code as well
        text = type(error).__name__
    return text.replace("\n", " ")[:LONGEST_MESSAGE]


def _line(**members: Any) -> bytes:
    return json.dumps(members, allow_nan=False).encode() + b"\n"


class Host:
    """The forking process. Single-threaded; handler code runs here only while it is imported."""

    def __init__(self, control: socket.socket, name: str, arn: str, handler: Handler) -> None:
        self._control = control
        self._name = name
        self._arn = arn
        self._handler = handler
        self._children: dict[int, str] = {}  # process id -> invocation
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until the server closes the control socket."""
        watched: list[socket.socket | int] = [self._control, self._woken]
        serving = True
        while serving:
            readable, _, _ = select.select(watched, [], [])
            if self._woken in readable:
                os.read(self._woken, 4096)
                self._reap()
            if self._control in readable:
                serving = self._obey()
        for child in self._children:
            _kill_group(child)

    def _obey(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, 4096, 2)
        if not message:
            return False
        order = json.loads(message)
        if "run" in order:
            self._start(order, descriptors)
        else:
            for child, invocation in self._children.items():
                if invocation == order["kill"]:
                    _kill_group(child)
        return True

    def _start(self, order: dict[str, Any], descriptors: Sequence[int]) -> None:
        host = os.getpid()
        try:
            child = os.fork()
        except OSError as error:  # no process to be had: the server sees the answer socket end
            print(f"cannot fork: {error}", file=sys.stderr)  # noqa: T201 - the host's output is its log
        else:
            if child == 0:
                self._run(host, order, descriptors)
            with contextlib.suppress(OSError):  # whichever of the two comes first
                os.setpgid(child, child)
            self._children[child] = order["run"]
        for descriptor in descriptors:
            os.close(descriptor)

    def _run(self, host: int, order: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
        """In the child."""
        try:
            self._settle_in(host)
            with socket.socket(fileno=descriptors[0]) as wire:
                os.set_inheritable(wire.fileno(), False)
                _redirect_output(descriptors[1])
                context = Context(self._name, self._arn, order["request_id"], order["milliseconds"])
                line = answer(self._handler, _read_to_end(wire), context)
                with contextlib.suppress(Exception):  # the handler may have closed or replaced them
                    sys.stdout.flush()
                    sys.stderr.flush()
                wire.sendall(line)
        except BaseException:  # noqa: BLE001 - the server only sees that no answer came; the log shall say why
            traceback.print_exc()
        finally:
            os._exit(0)  # no exit handlers, no waiting for threads, and never back into the host's loop

    def _settle_in(self, host: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._wake)
        os.close(self._woken)
        self._control.close()
        os.setpgid(0, 0)
        signal_on_parent_death(signal.SIGKILL)
        if os.getppid() != host:  # it died before the kernel was told to watch
            os._exit(1)

    def _reap(self) -> None:
        """Bury children, and kill what they left running in their process group before its number can be reused."""
        for child in list(self._children):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                _kill_group(child)
                os.waitpid(child, 0)
                del self._children[child]


def signal_on_parent_death(number: int) -> None:
    """Have the kernel send this process signal *number* when its parent dies; 0 for none (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # no group yet, or nobody left in it
        os.killpg(leader, signal.SIGKILL)


def _redirect_output(descriptor: int) -> None:
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _read_to_end(wire: socket.socket) -> bytes:
    chunks = []
    while chunk := wire.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def main(arguments: Sequence[str]) -> int:
    """*arguments*: control descriptor, server's process id, file, handler, function name, function ARN."""
    descriptor, server, file, handler, name, arn = arguments
    # Nobody reads the control socket during the import, so that long the kernel watches whether the server lives.
    signal_on_parent_death(signal.SIGKILL)
    if os.getppid() != int(server):
        return 1
    with socket.socket(fileno=int(descriptor)) as control:
        os.set_inheritable(control.fileno(), False)
        sys.path.insert(0, str(Path(file).parent))
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a line at a time, also when killed
        try:
            loaded = load(Path(file), handler)
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit too
            traceback.print_exc()
            control.send(json.dumps({"failed": describe(error)}).encode())
            return 1
        sys.stdout.flush()  # what is still buffered would be printed again by every child
        sys.stderr.flush()
        signal_on_parent_death(0)
        host = Host(control, name, arn, loaded)
        control.send(b'{"ready": true}')
        host.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
