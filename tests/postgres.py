"""A PostgreSQL server for tests: the one that FLEETGATE_TEST_POSTGRES names, else a private one for the session."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

MISSING = "PostgreSQL's server programs are not installed; the Debian package `postgresql` brings them"
_numbers = itertools.count(1)

_INITDB = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
# fsync = off: a killed process loses nothing without it, and no test pulls the plug.
_SETTINGS = """
listen_addresses = ''
max_connections = 60
shared_buffers = 32MB
fsync = off
log_min_messages = warning
"""
# The order of words in English, a < B < c: whoever relies on the server's order instead of on byte order is found out.
_ENGLISH = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"


def _program(name: str) -> str | None:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return shutil.which(name) or next((str(path) for path in reversed(installed)), None)


def _identity() -> dict[str, Any]:
    """Who runs the server: PostgreSQL refuses root, so root lends it an unprivileged user."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Server:
    """One running server. *folder* is None when somebody else runs it."""

    conninfo: str
    folder: Path | None = None

    def _control(self, *words: str) -> None:
        """Let pg_ctl do *words*; raises CalledProcessError with the server's log in the test's output."""
        assert self.folder is not None
        program = _program("pg_ctl")
        assert program is not None
        command = [program, "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", *words]
        try:
            subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, **_identity())
        except subprocess.CalledProcessError:
            print((self.folder / "log").read_text())  # noqa: T201 # pytest shows it beside the failure
            raise

    def start(self) -> None:
        self._control("start", "-o", f"-k {self.folder}")

    def kill(self) -> None:
        """As a crash: no checkpoint, every connection cut; `start` recovers from the log."""
        self._control("stop", "-m", "immediate")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh, empty database; dropped afterwards whoever is still connected."""
        name = f"fleetgate_test_{os.getpid()}_{next(_numbers)}"
        try:
            self.ask(f"CREATE DATABASE {name} TEMPLATE template0 {_ENGLISH}")
        except psycopg.Error:  # built without ICU, or older than 15
            self.ask(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield url(make_conninfo(self.conninfo, dbname=name))
        finally:
            self.ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement as an administrator, outside of what is tested."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


def url(conninfo: str) -> str:
    """*conninfo* in the form that `open_database` and the configuration take."""
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    name = parts.pop("dbname")
    return f"postgresql:///{name}?{urlencode(parts, quote_via=quote)}"


@contextlib.contextmanager
def private_server(settings: str = "") -> Iterator[Server]:
    """A server of one's own on a Unix socket in a temporary folder; skips the test where none is installed."""
    initdb = _program("initdb")
    if initdb is None:
        if os.environ.get("FLEETGATE_NO_SKIP") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="fleetgate-pg-") as name:
        folder = Path(name)
        identity = _identity()
        if identity:
            os.chown(folder, identity["user"], identity["group"])
        command = [initdb, *_INITDB, "-D", str(folder / "data")]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, **identity)
        with (folder / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(f"\n{_SETTINGS}\n{settings}\n")
        server = Server(make_conninfo(host=str(folder), user="postgres", dbname="postgres"), folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for the whole session (for each worker under pytest-xdist)."""
    given = os.environ.get("FLEETGATE_TEST_POSTGRES")
    if given:
        yield Server(given)
        return
    with private_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty PostgreSQL database for this test alone."""
    with postgres_server.database() as name:
        yield name
