"""Connections to an Oracle database, which the threads of a store share: python-oracledb in its thin mode.

The driver's own pool is not used, because it waits without limit for a listener that accepts a connection and
says nothing: `tcp_connect_timeout` ends with the TCP connection, and the pool connects in a thread that keeps
the process from ending. Here a thread that is waited for only so long connects, and may be left behind.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.errors import ExtraMissing, StoreBusy, StoreError, StoreUnreachable
from lookalike.stores.idle_pool import IdlePool
from lookalike.stores.oracle.address import oracle_address
from lookalike.stores.oracle.errors import store_error

try:
    import oracledb
except ImportError as missing:
    raise ExtraMissing("Oracle", "oracle") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.oracle.address import OracleAddress

Binds: TypeAlias = "Mapping[str, Any]"
Sizes: TypeAlias = "Mapping[str, str | int]"
"""What a bind is: a name in `_TYPES`, or a text of at most so many characters."""

_ROWS = 500  # rows in one answer: 2.5 MB of vectors of 1,280 numbers
_OLDEST_VERSION = 23  # the first with VECTOR: Oracle AI Vector Search User's Guide, "Overview"
SESSIONS = 8
"""Sessions that threads of one store have at the same time, at most; each is a process on the server."""
_MORE_SECONDS = 5.0  # that an answer may take longer than waiting for a lock, which then tells better
_FRESH_SECONDS = 0.5  # a session used so shortly ago is not asked whether it still is there
_TYPES = {
    "json": oracledb.DB_TYPE_JSON,
    "vector": oracledb.DB_TYPE_VECTOR,
    "blob": oracledb.DB_TYPE_BLOB,
    # A text of any length, straight into a CLOB: only in the VALUES of an INSERT, and last of the binds.
    "long": oracledb.DB_TYPE_LONG,
}
# Large objects come as text and bytes, in the answer itself: python-oracledb's user guide, "Fetching LOBs".
_WHOLE = {
    oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG,
    oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR,
    oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_LONG_RAW,
}


class OracleSession:
    """One connection while somebody works with it. Nothing stays that is not committed."""

    def __init__(self, url: str, connection: oracledb.Connection) -> None:
        self._url = url
        self._connection = connection
        self.used = time.monotonic()

    def query(
        self, statement: str, binds: Binds | None = None, sizes: Sizes | None = None, *, rows: int = _ROWS
    ) -> list[tuple[Any, ...]]:
        """Return all rows that a statement answers with; `rows` is how many are expected."""
        return self.table(statement, binds, sizes, rows=rows)[1]

    def table(
        self,
        statement: str,
        binds: Binds | None = None,
        sizes: Sizes | None = None,
        *,
        rows: int = _ROWS,
        read: Callable[[tuple[Any, ...]], tuple[Any, ...]] = tuple,
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the names of the columns and all rows of the answer, each as `read` makes it."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.arraysize = cursor.prefetchrows = max(1, min(rows, _ROWS))
            self._run(cursor, statement, binds, sizes)
            if cursor.description is None:
                return (), []
            return tuple(column[0] for column in cursor.description), [read(row) for row in cursor]

    @contextmanager
    def stopped_after(self, seconds: float) -> Iterator[None]:
        """Break off what the server does in the block after so many seconds (ORA-01013 is raised)."""
        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._cancel)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cancel(self) -> None:
        with suppress(oracledb.Error, OSError):
            self._connection.cancel()

    def execute(self, statement: str, binds: Binds | None = None, sizes: Sizes | None = None) -> int:
        """Run a statement that answers with no rows; return how many it changed. DDL commits."""
        with self._errors(), self._connection.cursor() as cursor:
            self._run(cursor, statement, binds, sizes)
            return int(cursor.rowcount)

    def execute_many(self, statement: str, rows: Sequence[Binds], sizes: Sizes) -> None:
        """Run a statement once for each row, in as few messages as the driver needs."""
        if not rows:
            return
        with self._errors(), self._connection.cursor() as cursor:
            cursor.setinputsizes(**_driver_sizes(sizes))
            cursor.executemany(statement, list(rows))

    def commit(self) -> None:
        """Make what was changed last; on return it survives a kill of either side."""
        with self._errors():
            self._connection.commit()

    def rollback(self) -> None:
        """Undo what was changed since the last commit."""
        with self._errors():
            self._connection.rollback()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Refuse what would write, in one transaction that sees one state: SET TRANSACTION READ ONLY."""
        self.rollback()  # it must be the first statement of its transaction
        self.execute("SET TRANSACTION READ ONLY")
        try:
            yield
        except Exception:
            with suppress(StoreError):
                self.rollback()
            raise
        self.rollback()

    def limit_answers(self, seconds: float) -> None:
        """Let an answer of the server take that long at most; 0 is for ever."""
        # In milliseconds; set again each time, because a ping of the driver's pool resets it (issue 558).
        self._connection.call_timeout = round(seconds * 1000)

    def is_there(self) -> bool:
        """Tell whether the server still knows the session."""
        if time.monotonic() - self.used < _FRESH_SECONDS:
            return self._connection.is_healthy()
        try:
            self._connection.ping()
        except oracledb.Error:
            return False
        return True

    def settle(self, *, failed: bool) -> bool:
        """Undo what is not committed, and tell whether the session can be used again."""
        try:
            if failed or self._connection.transaction_in_progress:
                self._connection.rollback()
        except oracledb.Error:
            return False
        self.used = time.monotonic()
        return self._connection.is_healthy()

    def end(self) -> None:
        """Close the connection; what the server or the network say to that is of no interest."""
        with suppress(oracledb.Error, OSError):
            self._connection.close()

    def abandon(self) -> None:
        """Close the connection in the middle of an answer, without waiting for it."""

        def work() -> None:
            with suppress(Exception):
                self._connection.cancel()
            with suppress(Exception):
                self._connection.close()

        threading.Thread(target=work, daemon=True).start()

    def _run(self, cursor: oracledb.Cursor, statement: str, binds: Binds | None, sizes: Sizes | None) -> None:
        if sizes:
            cursor.setinputsizes(**_driver_sizes(sizes))
        cursor.execute(statement, dict(binds or {}))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except oracledb.Error as error:
            raise store_error(self._url, error.args[0]) from error


def connect(address: OracleAddress, timeout: float, answer_seconds: float, wait: int) -> OracleSession:
    """Return a new session. It may take for ever: the driver waits for a listener that says nothing.

    Args:
        address: where, and who.
        timeout: seconds until somebody must have taken the TCP connection.
        answer_seconds: that an answer may take, 0 for ever.
        wait: whole seconds that DDL waits for a lock.

    Raises:
        StoreError: the class that fits what the server or the driver says, or it is too old.
    """
    try:
        connection = oracledb.connect(
            tcp_connect_timeout=timeout, retry_count=0, **dict[str, Any](address.connecting)
        )
    except oracledb.Error as error:
        raise store_error(address.shown, error.args[0]) from error
    session = OracleSession(address.shown, connection)
    try:
        connection.outputtypehandler = _whole_objects
        session.limit_answers(answer_seconds)
        _check_version(address.shown, connection.version)
        # Ids are ordered by code point, whatever a logon trigger or the database prefers.
        session.execute(f"ALTER SESSION SET NLS_COMP = BINARY NLS_SORT = BINARY DDL_LOCK_TIMEOUT = {wait:d}")
    except BaseException:
        session.end()
        raise
    return session


def _check_version(url: str, version: str) -> None:
    if int(version.partition(".")[0]) < _OLDEST_VERSION:
        raise StoreError(url, f"is Oracle {version}; vectors need Oracle Database 23ai or later")


def _driver_sizes(sizes: Sizes) -> dict[str, Any]:
    return {name: _TYPES[size] if isinstance(size, str) else size for name, size in sizes.items()}


def _whole_objects(cursor: oracledb.Cursor, metadata: oracledb.FetchInfo) -> oracledb.Var | None:
    whole = _WHOLE.get(metadata.type_code)
    return None if whole is None else cursor.var(whole, arraysize=cursor.arraysize)


class OracleServer:
    """The database that a URL names. Nothing is connected before the first session."""

    def __init__(self, url: str, timeout: float) -> None:
        self._address = oracle_address(url, os.environ)
        self.url = self._address.shown
        self.timeout = timeout
        limit = self._address.call_timeout
        self._answer_seconds = timeout + _MORE_SECONDS if limit is None else limit
        self._idle = IdlePool(OracleSession.end, SESSIONS)
        self._free = threading.BoundedSemaphore(SESSIONS)

    @property
    def indexes(self) -> tuple[str, ...]:
        """Kinds of vector index, the preferred one first."""
        return self._address.indexes

    @property
    def wait(self) -> int:
        """Whole seconds that a statement waits for a lock, at least 1."""
        return max(1, int(self.timeout))

    @contextmanager
    def session(self, *, patient: bool = False) -> Iterator[OracleSession]:
        """Lend a session; what the block does not commit is undone.

        Args:
            patient: an answer may take as long as it takes: an index that is built, a person's own statement.

        Raises:
            StoreError: the class that fits what the server or the driver says.
        """
        if not self._free.acquire(timeout=self.timeout):
            raise StoreBusy(self.url, f"all {SESSIONS} sessions were in use for {self.timeout:g} s")
        try:
            session, period = self._take()
            try:
                session.limit_answers(0 if patient else self._answer_seconds)
                yield session
            except Exception:
                self._put_back(session, period, failed=True)
                raise
            except BaseException:
                session.abandon()  # Ctrl-C: the answer to a statement may be half read
                raise
            else:
                self._put_back(session, period, failed=False)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the sessions, those in use when they come back. Another call opens new ones."""
        self._idle.close()

    def _take(self) -> tuple[OracleSession, int]:
        while True:
            session, period = self._idle.take()
            if session is None:
                return self._connect(), period
            session.limit_answers(self._answer_seconds)
            if session.is_there():
                return session, period
            session.end()

    def _put_back(self, session: OracleSession, period: int, *, failed: bool) -> None:
        if session.settle(failed=failed):
            self._idle.keep(session, period)
        else:
            session.end()

    def _connect(self) -> OracleSession:
        """Return a new session, made in a thread that is waited for as long as the timeout says."""
        done: queue.SimpleQueue[OracleSession | BaseException] = queue.SimpleQueue()
        left_behind = threading.Event()

        def work() -> None:
            try:
                session = connect(self._address, self.timeout, self._answer_seconds, self.wait)
            except BaseException as error:  # noqa: BLE001 raised where it is waited for
                done.put(error)
                return
            done.put(session)
            if left_behind.is_set():
                end_unclaimed()

        def end_unclaimed() -> None:
            with suppress(queue.Empty):
                late = done.get_nowait()
                if isinstance(late, OracleSession):
                    late.end()

        threading.Thread(target=work, daemon=True, name="lookalike-oracle-connect").start()
        try:
            made = done.get(timeout=self.timeout)
        except BaseException as error:
            left_behind.set()
            end_unclaimed()
            if not isinstance(error, queue.Empty):
                raise
            raise StoreUnreachable(
                self.url, f"no server answers there within {self.timeout:g} s; is it running?"
            ) from None
        if isinstance(made, OracleSession):
            return made
        raise made
