"""The pytest plugin (entry point `pytest11`): a server for the session, empty again for each test.

pytest loads it in every run of the environment that fleetgate is installed in, so it takes nothing along that takes
time: the server is another process, started by the first test that asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

import pytest

from fleetgate.testing.process import START_SECONDS, Failed, ServerProcess
from fleetgate.testing.served import Fleetgate

_RESETS: Final = ("function", "module", "session")
_SERVER: Final = pytest.StashKey["_Server"]()
_LEVELS: Final = ("debug", "info", "warning", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "fleetgate_reset",
        "How often the fleetgate fixture empties the server: before each function (default), module, or session.",
        default="function",
    )
    parser.addini(
        "fleetgate_config",
        "A configuration file for the server of the fleetgate fixture, relative to the root directory.",
        default="",
    )
    parser.addini("fleetgate_log_level", "What that server logs: debug, info, warning, error.", default="info")
    parser.addini("fleetgate_start_seconds", "How long that server may take to start.", default=str(START_SECONDS))


class _Server:
    """The server of this session (of this worker under pytest-xdist), and who used it last."""

    def __init__(self, config: pytest.Config) -> None:
        self.reset = _one_of(config, "fleetgate_reset", _RESETS)
        self.process = ServerProcess(
            {"config_file": _config_file(config), "log_level": _one_of(config, "fleetgate_log_level", _LEVELS)},
            _seconds(config),
        )
        self.fleetgate = Fleetgate(self.process.ready, self.process.tell, self.process.said)
        self.user: str | None = None
        self.begun = 0

    def prepare(self, request: pytest.FixtureRequest) -> Fleetgate:
        """Empty it, unless the one who used it last may leave something for this one."""
        user = {"function": request.node.nodeid, "module": str(request.node.path), "session": "session"}[self.reset]
        if self.user is not None and (user != self.user or self.reset == "function"):
            self.fleetgate.reset()
        self.user = user
        self.begun = self.process.lines
        return self.fleetgate


@pytest.fixture(scope="session")
def fleetgate_server(request: pytest.FixtureRequest) -> Iterator[_Server]:
    """The process behind the `fleetgate` fixture; ask for that one."""
    try:
        server = _Server(request.config)
    except Failed as failed:
        pytest.fail(f"The fleetgate fixture has no server. {failed}", pytrace=False)
    yield server
    server.process.stop()


@pytest.fixture
def fleetgate(request: pytest.FixtureRequest, fleetgate_server: _Server) -> Fleetgate:
    """A provisioning server of AWS IoT Core's interfaces, as new: `fleetgate.claim`, `fleetgate.client("iot")`,
    `fleetgate.host`, `fleetgate.mqtt_port`, `fleetgate.ca_file`, `fleetgate.provision("SN-1")`.
    """
    request.node.stash[_SERVER] = fleetgate_server
    return fleetgate_server.prepare(request)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure stands what the server logged during the test."""
    report = yield
    server = item.stash.get(_SERVER, None)
    if server is not None and report.failed and (said := server.process.said(server.begun)):
        report.sections.append(("fleetgate server", said))
    return report


def _one_of(config: pytest.Config, name: str, choices: tuple[str, ...]) -> str:
    value = str(config.getini(name)).strip()
    if value not in choices:
        raise pytest.UsageError(f"{name} is {value!r}; give one of {', '.join(choices)}.")
    return value


def _seconds(config: pytest.Config) -> float:
    value = str(config.getini("fleetgate_start_seconds"))
    try:
        return float(value)
    except ValueError:
        raise pytest.UsageError(f"fleetgate_start_seconds is {value!r}, which is no number of seconds.") from None


def _config_file(config: pytest.Config) -> str | None:
    value = str(config.getini("fleetgate_config")).strip()
    return str(config.rootpath / value) if value else None
