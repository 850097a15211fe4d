"""PostgreSQL by psycopg: one thread writes in batches, others read; a connection that is lost is made anew."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.rows import dict_row
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

from fleetgate.database.batch import BATCH, Lost, group_commit
from fleetgate.database.limits import Limits
from fleetgate.database.port import Conflict, Row, Tx
from fleetgate.database.statement import check_values, collated, pyformat, unencodable
from fleetgate.database.workers import Job, Workers
from fleetgate.errors import Unavailable

T = TypeVar("T")

_CLASH: Final = {"40001", "40P01"}  # serialization_failure, deadlock_detected (PostgreSQL, appendix A)
_TAKEN: Final = {"23505", "23503", "23001"}  # unique_violation, foreign_key_violation, restrict_violation
# insufficient resources, lock not available, operator intervention (a cancelled statement too), system error
_FOR_NOW: Final = ("53", "55P03", "57", "58")
# the connection ends with the error: connection exceptions, shutdowns, idle time-outs
_CUT: Final = ("08", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03")
_STALE_PLAN: Final = "cached plan must not change result type"
_READ_TRIES: Final = 10
_BACK_OFF: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_DEFAULTS: Final = {
    "application_name": "fleetgate",
    "connect_timeout": "5",
    "tcp_user_timeout": "15000",  # milliseconds until a peer that acknowledges nothing is taken for gone
    "keepalives_idle": "30",
    "target_session_attrs": "read-write",  # of several hosts, the one that is no standby
}


class _FlagDumper(Dumper):
    """Booleans are stored as 0 and 1."""

    oid = Int8Dumper.oid

    def dump(self, obj: bool) -> Buffer:
        return b"1" if obj else b"0"


class _FlagLoader(Loader):
    """What PostgreSQL calls true is 1, as in SQLite."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


class _NumberLoader(Loader):
    """The sum of a BIGINT column is NUMERIC in PostgreSQL; an integer all the same."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


class _Clashed(BaseException):
    """A key is taken. No Exception: the function is to be run again with its statements guarded, not to go on."""

    def __init__(self, conflict: Conflict) -> None:
        super().__init__(str(conflict))
        self.conflict = conflict


class Link:
    """One connection to PostgreSQL, made anew when it is lost. For one thread."""

    def __init__(self, conninfo: str, limits: Limits, closing: threading.Event) -> None:
        self._conninfo = psycopg.conninfo.make_conninfo("", **(_DEFAULTS | psycopg.conninfo.conninfo_to_dict(conninfo)))
        self._limits = limits
        self._closing = closing
        self._connection: psycopg.Connection[Any] | None = None
        self._tried = 0.0  # when the last connecting failed, on the monotonic clock
        self._refusal = ""  # what it failed by

    def connection(self) -> psycopg.Connection[Any]:
        """The open connection. Raises Unavailable when there is none to be had within the limits' patience.

        While the server stays away, one call a second tries again and the others fail at once: a queue of calls must
        not wait for the same answer one after the other.
        """
        if self._connection is not None:
            return self._connection
        if self._refusal and time.monotonic() - self._tried < 1:
            raise Unavailable(self._refusal)
        deadline = time.monotonic() + (0 if self._refusal else self._limits.patience / 1000)
        for delay in chain(_BACK_OFF, repeat(_BACK_OFF[-1])):
            try:
                self._connection = self._connect()
            except psycopg.Error as error:
                if time.monotonic() + delay > deadline or self._closing.wait(delay):
                    self._tried = time.monotonic()
                    self._refusal = f"PostgreSQL cannot be reached: {str(error).strip()}"
                    raise Unavailable(self._refusal) from error
            else:
                self._refusal = ""
                break
        assert self._connection is not None
        return self._connection

    def drop(self) -> None:
        """Let go of the connection; the next use makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._conninfo, autocommit=True, client_encoding="utf8")
        try:
            _fit_out(connection, self._limits.statement_timeout)
        except BaseException:
            connection.close()
            raise
        return connection


def _fit_out(connection: psycopg.Connection[Any], statement_timeout: int) -> None:
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise psycopg.OperationalError("the database's encoding is not UTF8; create it with ENCODING 'UTF8'")
    connection.execute(f"SET statement_timeout = {int(statement_timeout)}".encode())
    connection.prepared_max = 500
    connection.adapters.register_dumper(str, StrDumper)  # as TEXT, where the default is to let the server guess
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(bool, _FlagDumper)
    connection.adapters.register_loader("bool", _FlagLoader)
    connection.adapters.register_loader("numeric", _NumberLoader)


class Cut(Lost):
    """The connection is gone, and with it the open transaction: PostgreSQL rolls back what was not committed."""

    def __init__(self, message: str) -> None:
        super().__init__(Unavailable(f"The connection to PostgreSQL was lost: {message}"), again=True)


def judged(connection: psycopg.Connection[Any], error: psycopg.Error, *, reading: bool) -> Exception | Lost:
    """What *error* means: Conflict, Unavailable, Lost (all of it), or *error* itself when the statement is at fault."""
    state, message = error.sqlstate or "", str(error).strip()
    if _STALE_PLAN in message:
        connection.close()  # another node has changed the schema; a new connection prepares its statements anew
    if connection.pgconn.status != ConnStatus.OK or state.startswith(_CUT):
        return Cut(message)
    if not state and isinstance(error, psycopg.OperationalError):  # libpq's own: it could not talk to the server
        return Cut(message)
    if state in _CLASH:
        text = f"Other nodes kept changing the same rows; nothing was changed, try again. ({message})"
        return Lost(Unavailable(text), again=True)
    if state in _TAKEN:
        return Conflict(message)
    if state == "57014":
        return Unavailable(f"PostgreSQL broke off a statement that took too long: {message}")
    if state.startswith(_FOR_NOW) or (state == "25006" and not reading):
        return Unavailable(f"PostgreSQL cannot do this for now: {message}")
    return error


class PostgresTx:
    """A `Tx` on one connection; the connection's owner opens and ends the transaction.

    A failed statement fails the whole transaction in PostgreSQL, but one statement in SQLite. To mean the same at no
    cost, a first conflict raises _Clashed; with *guarded*, each statement has a savepoint and raises Conflict.
    """

    __slots__ = ("_connection", "_cursor", "_guarded", "_reading")

    def __init__(self, connection: psycopg.Connection[Any], *, reading: bool, guarded: bool = False) -> None:
        self._connection = connection
        self._cursor = connection.cursor(row_factory=dict_row)
        self._reading = reading
        self._guarded = guarded

    def rows(self, sql: str, /, **values: Any) -> list[Row]:
        self._execute(sql, values)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def run(self, sql: str, /, **values: Any) -> int:
        self._execute(sql, values)
        return max(self._cursor.rowcount, 0)

    def _execute(self, sql: str, values: Mapping[str, Any]) -> None:
        check_values(values)
        if self._guarded:
            control(self._connection, b"SAVEPOINT statement")
        try:
            nulls = frozenset([name for name, value in values.items() if value is None])
            self._cursor.execute(pyformat(sql, nulls).encode(), values)
        except psycopg.Error as error:
            means = judged(self._connection, error, reading=self._reading)
            if isinstance(means, Conflict):
                self._conflict(means)
            if means is error:
                raise
            raise means from error
        except UnicodeEncodeError as error:
            raise unencodable(values) from error
        if self._guarded:
            control(self._connection, b"RELEASE statement")

    def _conflict(self, conflict: Conflict) -> None:
        if not self._guarded:
            raise _Clashed(conflict)
        control(self._connection, b"ROLLBACK TO statement; RELEASE statement")


class _SchemaTx:
    """A `Tx` for schema files: TEXT columns compare byte by byte."""

    __slots__ = ("_tx",)

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def rows(self, sql: str, /, **values: Any) -> list[Row]:
        return self._tx.rows(sql, **values)

    def run(self, sql: str, /, **values: Any) -> int:
        return self._tx.run(collated(sql), **values)


def control(connection: psycopg.Connection[Any], sql: bytes) -> bytes:
    """Run a transaction statement by libpq itself, at half of a cursor's cost, and give its command tag.

    Raises Lost: where the frame breaks, nothing of the transaction can be saved.
    """
    try:
        result = connection.pgconn.exec_(sql)
        if result.status == ExecStatus.COMMAND_OK:
            return result.command_status or b""
        error = errors.error_from_result(result)
        if error.sqlstate is None:  # not the server's word
            error = psycopg.OperationalError(str(error))
    except psycopg.Error as broken:
        error = broken
    means = judged(connection, error, reading=True)
    raise means if isinstance(means, Lost) else Lost(means, again=isinstance(means, Conflict)) from error


def end(connection: psycopg.Connection[Any] | None) -> bool:
    """Roll back whatever is open; whether the connection is fit for another transaction."""
    if connection is None:
        return False
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        with contextlib.suppress(Lost):
            control(connection, b"ROLLBACK")
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


class _Writer:
    """The writing connection: a `Transaction` for group commit and a `Session` for its thread."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection = link.connection()
        self._tx = PostgresTx(self._connection, reading=False)
        self._marked = False

    def serve(self, jobs: Sequence[Job]) -> None:
        group_commit(self, jobs)

    def close(self) -> None:
        self._link.drop()

    def begin(self) -> None:
        try:
            connection = self._link.connection()
        except Unavailable as error:
            raise Lost(error, again=False) from error
        if connection is not self._connection:
            self._connection, self._tx = connection, PostgresTx(connection, reading=False)
        control(connection, b"BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT call")
        self._marked = True

    def call(self, work: Callable[[Tx], T]) -> T:
        if not self._marked:
            control(self._connection, b"RELEASE call; SAVEPOINT call")
        self._marked = False
        try:
            return self._guarded_if_needed(work)
        except Lost:
            raise
        except BaseException:
            control(self._connection, b"ROLLBACK TO call")
            self._marked = True  # PostgreSQL keeps a savepoint that it went back to
            raise

    def _guarded_if_needed(self, work: Callable[[Tx], T]) -> T:
        try:
            value = work(self._tx)
        except _Clashed:
            control(self._connection, b"ROLLBACK TO call")
            value = work(PostgresTx(self._connection, reading=False, guarded=True))
        if self._connection.pgconn.transaction_status != TransactionStatus.INTRANS:
            raise RuntimeError("a statement failed, and the function went on as if it had not")
        return value

    def commit(self) -> None:
        try:
            tag = control(self._connection, b"COMMIT")
        except Cut as cut:
            raise Lost(
                Unavailable(
                    "The connection to PostgreSQL was lost while it was committing: the change may or may not have "
                    f"been made. Look before trying again. ({cut})"
                ),
                again=False,
            ) from cut
        if tag != b"COMMIT":
            raise Lost(RuntimeError(f"PostgreSQL answered {tag!r} to COMMIT"), again=False)

    def rollback(self) -> None:
        if not end(self._connection):
            self._link.drop()


class _Reader:
    """A reading connection: a `Session` for its thread."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def serve(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            try:
                job.succeed(self._look(job.work))
            except BaseException as error:  # noqa: BLE001 # whatever it is, it belongs to the caller
                job.fail(error)

    def close(self) -> None:
        self._link.drop()

    def _look(self, work: Callable[[Tx], T]) -> T:
        for _ in range(_READ_TRIES - 1):
            with contextlib.suppress(Lost):
                return self._try(work)
        try:
            return self._try(work)
        except Lost as lost:
            raise lost.error from lost

    def _try(self, work: Callable[[Tx], T]) -> T:
        connection = self._link.connection()
        try:
            control(connection, b"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
            value = work(PostgresTx(connection, reading=True))
            control(connection, b"COMMIT")
        except BaseException:
            if not end(connection):
                self._link.drop()
            raise
        return value


class PostgresDatabase:
    """`Database` over a PostgreSQL server. Made by `open_database`."""

    def __init__(self, conninfo: str, limits: Limits) -> None:
        """Connect; raises Unavailable with what stands in the way."""
        self._closing = threading.Event()
        try:
            writer = _Writer(Link(conninfo, limits, self._closing))
            readers = [_Reader(Link(conninfo, limits, self._closing)) for _ in range(limits.readers)]
        except psycopg.ProgrammingError as error:
            raise Unavailable(f"The address of PostgreSQL cannot be read: {str(error).strip()}") from error
        self._writers = Workers("writing thread", [writer], batch=BATCH, limit=limits.queue)
        self._readers = Workers("reading threads", readers, batch=1, limit=limits.queue)

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self._readers.call(work)

    async def glance(self, work: Callable[[Tx], T]) -> T:
        return await self._readers.call(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        return await self._writers.call(work)

    async def alter(self, work: Callable[[Tx], T]) -> T:
        """As `write`, for schema files: TEXT columns compare byte by byte, and no statement is too slow."""

        def unhurried(tx: Tx) -> T:
            tx.run("SET LOCAL statement_timeout = 0")
            return work(_SchemaTx(tx))

        return await self._writers.call(unhurried)

    async def close(self) -> None:
        """Finish what is queued; nobody waits any longer for a server that is away."""
        self._closing.set()
        await self._readers.close()
        await self._writers.close()
