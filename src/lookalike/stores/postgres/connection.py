"""Connections to a PostgreSQL server: transactions, their repetition, and what its errors mean.

This is the one module that knows psycopg. Connections that are not in use are kept; one that broke is noticed
by the first statement on it, and then the transaction is begun anew on another, once, unless its end had been
asked for already. psycopg_pool is not used: where a password is wrong it waits for its whole timeout and
loses the reason.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from lookalike.errors import ExtraMissing, InvalidArgument, StoreError, StoreUnreachable
from lookalike.stores.checks import check_version
from lookalike.stores.idle_pool import IdlePool
from lookalike.stores.postgres.errors import (
    DEADLOCK,
    UNDEFINED_TABLE,
    connection_error,
    is_starting,
    store_error,
)

try:
    import psycopg
    from psycopg import Error, pq
    from psycopg.adapt import Dumper
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
    from psycopg.pq.abc import PGresult as Result
    from psycopg.sql import SQL, Composed, Identifier, Literal
except ImportError as missing:
    raise ExtraMissing("PostgreSQL", "postgres") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lookalike.stores.postgres.address import PostgresAddress

__all__ = [
    "SQL",
    "Composed",
    "Connection",
    "Error",
    "Identifier",
    "Literal",
    "PostgresServer",
    "Result",
    "Transaction",
    "Wire",
    "execute_in_parts",
    "execute_one",
]

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
_T = TypeVar("_T")

VERSION = 4
"""Version of the schema that this program writes, in `lookalike_schema`: since 4 with named vectors."""

_READ = SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
# Not READ WRITE: a database that is set to be read-only stays so.
_WRITE = SQL("BEGIN ISOLATION LEVEL READ COMMITTED")
# The extension may be in any schema. JIT costs more than it gains for statements as short as ours. Whoever
# turned synchronous_commit off did not mean us: what was acknowledged is kept.
_SETTINGS = SQL(
    """SELECT set_config('search_path', quote_ident({schema}) || coalesce((
            SELECT ', ' || quote_ident(nspname) FROM pg_catalog.pg_extension
            JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'
        ), '') || ', public', true),
        set_config('lock_timeout', {milliseconds}, true), set_config('jit', 'off', true),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END, true),
        to_regclass(quote_ident({schema}) || '.lookalike_schema') IS NOT NULL"""
)
_KEPT = 4  # connections that nobody uses
_ATTEMPTS = 3  # where another process dropped a table that was to be read, or both waited for each other
_PAUSE_SECONDS = 0.1
_PART_ROWS = 1_000
_LOOK_SECONDS = 1.0  # between two looks at the clock while the server says nothing
_LONGEST_SECONDS = 32_000  # keepalives take no more: tcp(7) of Linux


class Wire(bytes):
    """A value in PostgreSQL's binary form, bound with `%b` and a cast that says its type."""


class _WireDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


def execute_one(connection: Connection, statement: bytes) -> Result | None:
    """Execute what must be one statement, which no other can follow, and return what the server answered.

    Without parameters psycopg would take the simple protocol, which executes any number of statements; in a
    pipeline it never does.
    """
    cursor = connection.cursor()
    with connection.pipeline():
        cursor.execute(statement)
    return cursor.pgresult


def execute_in_parts(connection: Connection, statement: bytes, deadline: float) -> Iterator[Result]:
    """Execute one statement, and give its answer in parts as they come; the first one may be without rows.

    psycopg would hold all of the answer before it gives any.

    Args:
        connection: that does nothing else; it is of no use any more where the last part was not taken.
        statement: which no other can follow.
        deadline: by the monotonic clock, after which the server is waited for no longer.

    Raises:
        TimeoutError: it has passed.
        Error: what the server says.
    """
    raw = connection.pgconn
    raw.send_query_params(statement, None)
    if psycopg.capabilities.has_stream_chunked():
        raw.set_chunked_rows_mode(_PART_ROWS)
    else:
        raw.set_single_row_mode()
    while True:
        raw.flush()
        while raw.is_busy():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            select.select([raw.socket], [], [], min(left, _LOOK_SECONDS))
            raw.consume_input()
        result = raw.get_result()
        if result is None:
            return
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)
        yield result


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction; our schema is the first in its search path."""

    connection: Connection
    exists: bool
    """Whether our tables are there."""


class PostgresServer:
    """A server, and the connections to it that are not in use.

    Args:
        address: where it is.
        timeout: seconds to wait for it, and for locks.

    Raises:
        InvalidArgument: libpq does not know an option.
    """

    def __init__(self, address: PostgresAddress, timeout: float) -> None:
        self.url = address.masked
        self.timeout = timeout
        seconds = min(timeout, _LONGEST_SECONDS)
        milliseconds = max(1, round(seconds * 1000))
        ours: dict[str, str | int] = {
            "application_name": "lookalike",
            "connect_timeout": max(2, round(seconds)),  # libpq takes no less
            # A server that vanished without a word: keepalives find it in a read, the timeout in a write.
            "keepalives_idle": max(1, round(seconds)),
            "keepalives_interval": max(1, round(seconds / 3)),
            "keepalives_count": 3,
            "tcp_user_timeout": milliseconds,
        }
        try:
            self._conninfo = make_conninfo("", **(ours | address.connection), client_encoding="UTF8")
        except psycopg.ProgrammingError as error:
            raise InvalidArgument(
                "the URL of the PostgreSQL store has an option that neither libpq nor lookalike knows"
            ) from error
        self._has_password = "password" in conninfo_to_dict(self._conninfo)
        self._settings = _SETTINGS.format(
            schema=Literal(address.schema), milliseconds=Literal(f"{milliseconds}ms")
        )
        self._idle = IdlePool[Connection](psycopg.Connection.close, _KEPT)

    def read(self, work: Callable[[Transaction], _T]) -> _T:
        """Do `work` in a transaction that sees one state of the store, whatever others write.

        It may be begun anew: `work` changes nothing outside.

        Raises:
            StoreError: the class that fits what the server says.
        """
        return self._run(_READ, work)

    def write(self, work: Callable[[Transaction], _T]) -> _T:
        """Do `work` in a transaction that is safe on disk when this returns, and undone when it raises.

        It may be begun anew: `work` changes nothing outside.

        Raises:
            StoreError: the class that fits what the server says.
        """
        return self._run(_WRITE, work)

    def begin_alone(self, before: Sequence[Composed] = ()) -> Transaction:
        """Begin a read-only transaction on a connection of its own, which the caller closes.

        Args:
            before: statements that are executed first, and left out where the server refuses them.

        Raises:
            StoreError: the class that fits what the server says.
        """
        connection = self._connect()
        try:
            for statement in before:
                with suppress(Error):
                    connection.execute(statement)
            return self._begin(connection, _READ)
        except Error as error:
            connection.close()
            raise self.error(error) from error
        except BaseException:
            connection.close()
            raise

    def set_up(self, transaction: Transaction) -> None:
        """Make the settings anew: for a transaction that has brought the extension in."""
        transaction.connection.execute(self._settings)

    def error(self, error: Error) -> StoreError:
        """Return the class of StoreError that fits an error of psycopg."""
        return store_error(self.url, error.sqlstate, error.diag.message_primary or str(error), self.timeout)

    def close(self) -> None:
        """Close the connections; the next use opens others."""
        self._idle.close()

    def _run(self, begin: SQL, work: Callable[[Transaction], _T]) -> _T:
        again, attempts = True, 0
        while True:
            connection, period = self._take()
            ending = False
            try:
                answer = work(self._begin(connection, begin))
                ending = begin is _WRITE
                connection.execute("COMMIT")
            except Error as error:
                lost = connection.broken
                self._give_back(connection, period)
                if lost and ending:
                    raise StoreUnreachable(
                        self.url,
                        "the connection broke while it was saved, so it may be saved or not; run it again",
                    ) from error
                if lost and again:
                    again = False
                    self._idle.close()  # those broke as well
                    continue
                attempts += 1
                # Our snapshot is older than its deletion, and a new one does not show it; or two waited for
                # each other, and this one was undone.
                vanished = error.sqlstate == UNDEFINED_TABLE and begin is _READ
                if (vanished or error.sqlstate == DEADLOCK) and attempts < _ATTEMPTS:
                    continue
                raise self.error(error) from error
            except BaseException:
                self._give_back(connection, period)
                raise
            self._give_back(connection, period)
            return answer

    def _begin(self, connection: Connection, begin: SQL) -> Transaction:
        cursor = connection.execute(Composed([begin, SQL("; "), self._settings]))
        cursor.nextset()
        row = cursor.fetchone()
        if row is not None and row[-1]:
            row = connection.execute("SELECT max(version) FROM lookalike_schema").fetchone()
            check_version(self.url, 1 if row is None else row[0] or 1, VERSION)
            return Transaction(connection, exists=True)
        return Transaction(connection, exists=False)

    def _take(self) -> tuple[Connection, int]:
        connection, period = self._idle.take()
        return connection or self._connect(), period

    def _give_back(self, connection: Connection, period: int) -> None:
        with suppress(Error):  # what made it fail is what is reported
            connection.rollback()
        if not connection.closed and connection.info.transaction_status == pq.TransactionStatus.IDLE:
            self._idle.keep(connection, period)
        else:
            connection.close()

    def _connect(self) -> Connection:
        """Return a new connection; a server that starts is waited for."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                # No statements are prepared by name, so that PgBouncer may stand in between.
                connection = psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
            except psycopg.OperationalError as error:
                message = str(error)
                if is_starting(message) and time.monotonic() + _PAUSE_SECONDS < deadline:
                    time.sleep(_PAUSE_SECONDS)
                    continue
                # Not `from error`: nothing of libpq's is shown that was not looked through.
                used = error.pgconn is not None and error.pgconn.used_password
                raise connection_error(self.url, message, has_password=self._has_password or used) from None
            connection.adapters.register_dumper(Wire, _WireDumper)
            return connection
