"""SQLite: one connection writes, readers have their own. What is acknowledged is on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from fleetgate.database.batch import Lost
from fleetgate.database.committer import Committer
from fleetgate.database.limits import Limits
from fleetgate.database.port import Conflict, Row, Tx
from fleetgate.database.statement import check_values, unencodable
from fleetgate.database.workers import Job, Workers, closed
from fleetgate.errors import Unavailable

T = TypeVar("T")

_TAKEN: Final = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
}
# result code: what an operator has to know (sqlite.org/rescode.html)
_AILMENTS: Final = {
    sqlite3.SQLITE_BUSY: "another process has locked it; end that process, or let it finish",
    sqlite3.SQLITE_LOCKED: "another connection has locked it",
    sqlite3.SQLITE_FULL: "the disk is full; make room, the server goes on by itself",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; see the system's log; the server goes on by itself",
    sqlite3.SQLITE_NOMEM: "memory has run out",
    sqlite3.SQLITE_PERM: "this user may not use the file",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; its directory must exist and be writable by this user",
    sqlite3.SQLITE_PROTOCOL: "the file system's locks do not work; keep the file on a local disk",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; stop the server and restore the file from a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; give another path, or restore the file from a backup",
}
_READ_ONLY: Final = "the file or its directory is not writable by this user"


def judged(error: sqlite3.Error, path: str, *, reading: bool) -> Exception:
    """What *error* means to a caller: Conflict, Unavailable, or *error* itself when the statement is at fault."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return error
    if code in _TAKEN:
        return Conflict(str(error))
    primary = code & 0xFF
    ailment = _AILMENTS.get(primary)
    if primary == sqlite3.SQLITE_READONLY and not reading:
        ailment = _READ_ONLY
    return Unavailable(f"The database {path} does not answer: {ailment} ({error}).") if ailment else error


class SqliteTx:
    """A `Tx` on one connection; the connection's owner opens and ends the transaction."""

    __slots__ = ("_cursor", "_path", "_reading")

    def __init__(self, connection: sqlite3.Connection, path: str, *, reading: bool) -> None:
        self._cursor = connection.cursor()
        self._path = path
        self._reading = reading

    def rows(self, sql: str, /, **values: Any) -> list[Row]:
        with_rows = self._execute(sql, values)
        if not with_rows:
            return []
        names = [column[0] for column in self._cursor.description]
        return [dict(zip(names, row, strict=True)) for row in with_rows]

    def run(self, sql: str, /, **values: Any) -> int:
        self._execute(sql, values)
        return max(self._cursor.rowcount, 0)

    def _execute(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        check_values(values)
        try:
            return self._cursor.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            means = judged(error, self._path, reading=self._reading)
            if isinstance(means, Unavailable):  # SQLite may have rolled everything back on its own
                raise Lost(means, again=False) from error
            if means is error:
                raise
            raise means from error
        except UnicodeEncodeError as error:
            raise unencodable(values) from error


class _Writer:
    """The writing connection: a `PromptTransaction`, used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: str, patience: int = 0) -> None:
        """*patience*: milliseconds that `begin` waits for another process."""
        self._connection = connection
        self._path = path
        self._patience = patience
        self._tx = SqliteTx(connection, path, reading=False)
        self._control_cursor = connection.cursor()

    def close(self) -> None:
        self._connection.close()

    def begin_now(self) -> bool:
        try:
            self._control_cursor.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False
        return True

    def begin(self) -> None:
        self._control(f"PRAGMA busy_timeout = {self._patience}")
        try:
            self._control("BEGIN IMMEDIATE")
        finally:
            self._control("PRAGMA busy_timeout = 0")

    def call(self, work: Callable[[Tx], T]) -> T:
        self._control("SAVEPOINT call")
        try:
            value = work(self._tx)
        except Lost:
            raise
        except BaseException:
            self._control("ROLLBACK TO call")
            self._control("RELEASE call")
            raise
        self._control("RELEASE call")
        return value

    def commit(self) -> None:
        self._control("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # it is gone one way or the other
                self._control_cursor.execute("ROLLBACK")

    def _control(self, sql: str) -> None:
        try:
            self._control_cursor.execute(sql)
        except sqlite3.Error as error:
            raise Lost(judged(error, self._path, reading=False), again=False) from error


class _Reader:
    """A reading connection: a `Session` for its thread, or a glance for its caller."""

    def __init__(self, path: str, patience: int) -> None:
        self._path = path
        self._connection = _connect(f"file:{quote(path)}?mode=ro", patience)
        self._tx = SqliteTx(self._connection, path, reading=True)
        self._control_cursor = self._connection.cursor()

    def serve(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            try:
                job.succeed(self.look(job.work))
            except BaseException as error:  # noqa: BLE001 # whatever it is, it belongs to the caller
                job.fail(error)

    def look(self, work: Callable[[Tx], T]) -> T:
        """Run *work* on a snapshot of everything committed by now."""
        self._control_cursor.execute("BEGIN")
        try:
            return work(self._tx)
        except Lost as lost:
            raise lost.error from lost
        finally:
            if self._connection.in_transaction:
                self._control_cursor.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


class SqliteDatabase:
    """`Database` over one file. Made by `open_database`."""

    def __init__(self, path: str, limits: Limits, *, passing: bool = False) -> None:
        """Open or create the file at *path*; raises Unavailable with what is wrong with it.

        *passing*: nothing has to outlast the process, so that commits need not wait for the disk.
        """
        self._glance_lock = threading.Lock()
        self._closed = False
        with _explained(path), contextlib.ExitStack() as opened:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            writer = _Writer(_connect_writer(path, limits.patience, passing=passing), path, limits.patience)
            opened.callback(writer.close)
            readers = []
            for _ in range(limits.readers + 1):
                readers.append(_Reader(path, limits.patience))
                opened.callback(readers[-1].close)
            opened.pop_all()
        self._glance = readers.pop()
        self._writer = Committer(writer, limit=limits.queue)
        self._readers = Workers("reading threads", readers, batch=1, limit=limits.queue)

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self._readers.call(work)

    async def glance(self, work: Callable[[Tx], T]) -> T:
        with self._glance_lock:  # event loops in other threads may glance too
            if self._closed:
                raise closed()
            return self._glance.look(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        return await self._writer.call(work)

    async def alter(self, work: Callable[[Tx], T]) -> T:
        """As `write`, for what takes long: schema files."""
        return await self._writer.call(work, apart=True)

    async def close(self) -> None:
        """Finish what is queued. The writer goes last: the last connection folds the log into the file."""
        await self._readers.close()
        with self._glance_lock:
            self._closed = True
            self._glance.close()
        await self._writer.close()


class PassingDatabase(SqliteDatabase):
    """A database in a temporary folder that goes with it: for tests and demonstrations."""

    def __init__(self, limits: Limits) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fleetgate-")
        super().__init__(str(Path(self._folder.name, "database")), limits, passing=True)

    async def close(self) -> None:
        await super().close()
        await asyncio.to_thread(self._folder.cleanup)


class Memory:
    """SQLite in memory for one thread: plain functions over a `Tx` without event loop, threads or files."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        _configure(connection)
        self._writer = _Writer(connection, ":memory:")
        self.tx: Tx = SqliteTx(connection, ":memory:", reading=False)
        """A `Tx` outside any transaction: each statement stands by itself."""

    def run(self, work: Callable[[Tx], T]) -> T:
        """Run *work* in a transaction: what it raises comes through and leaves nothing behind."""
        self._writer.begin()
        try:
            value = self._writer.call(work)
        except BaseException:
            self._writer.rollback()
            raise
        self._writer.commit()
        return value

    def close(self) -> None:
        self._writer.close()


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        means = judged(error, path, reading=False)
        if isinstance(means, Unavailable):
            raise means from error
        raise Unavailable(f"The database {path} cannot be opened: {error}.") from error
    except OSError as error:
        raise Unavailable(
            f"The database {path} cannot be opened: {error.strerror}. Its directory must exist, and this user must be "
            "able to write there."
        ) from error


def _connect(uri: str, patience: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=patience / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    try:
        _configure(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA case_sensitive_like = ON")  # as PostgreSQL's LIKE; and prefixes can use an index
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # the first look into the file


def _connect_writer(path: str, patience: int, *, passing: bool) -> sqlite3.Connection:
    connection = _connect(f"file:{quote(path)}?mode=rw", patience)
    try:
        _keep_log(connection, path)
        connection.execute(f"PRAGMA synchronous = {'OFF' if passing else 'FULL'}")
        connection.execute("PRAGMA temp_store = MEMORY")  # what a savepoint would undo needs no file
        connection.execute("PRAGMA busy_timeout = 0")  # from here on only `begin` waits
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_log(connection: sqlite3.Connection, path: str) -> None:
    [(mode,)] = connection.execute("PRAGMA journal_mode = WAL").fetchall()
    if mode != "wal":
        raise Unavailable(
            f"The database {path} is on a file system that cannot share memory between processes (SQLite's WAL needs "
            "it); keep it on a local disk."
        )
    connection.execute("PRAGMA journal_size_limit = 67108864")  # the log does not stay as long as it once was
