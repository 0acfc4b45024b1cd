"""Read-only SQL statements of users, answered by a PostgreSQL store.

Four things keep a statement from changing anything: `DECLARE … CURSOR FOR` takes nothing but one SELECT,
VALUES or TABLE, by PostgreSQL's own grammar; the transaction is read-only, and has read already, so that
nobody can make it another; functions that PostgreSQL marks volatile are refused, because some of them write
outside of every transaction; and the connection is closed afterwards, with all that was set on it.
"""

from __future__ import annotations

import math
import re
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from lookalike.errors import QueryRefused
from lookalike.stores.postgres.connection import Connection, Error, Result, execute_in_parts, execute_one
from lookalike.stores.postgres.errors import one_line
from lookalike.stores.sql import AnswerLimit, too_long
from lookalike.types import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lookalike.stores.postgres.connection import Composed, PostgresServer

# Volatile because they answer otherwise each time, not because they do something.
_HARMLESS = frozenset(
    {
        "array_sample",
        "array_shuffle",
        "clock_timestamp",
        "gen_random_uuid",
        "random",
        "random_normal",
        "timeofday",
        "uuidv4",
        "uuidv7",
    }
)
_WORD = re.compile(r"[^\W\d][\w$]*")
_GAP = r'"?(?:\s|--[^\n]*|/\*.*?\*/|\*/)*\('
# Identifiers spelt in code points: U&"\0061" is a.
_SPELT = re.compile(r'u&"', re.IGNORECASE)
_CANCELLED = "57014"  # query_canceled: by statement_timeout
# After which a server that does not keep its own limit is waited for no longer, in seconds.
_MARGIN = 5.0
_MOST_MILLISECONDS = 2**31 - 1
# Errors that are the server's: resources, shutdown, input and output, damage. All others are the statement's.
_SERVER = ("53", "57P", "58", "XX")


def answer(server: PostgresServer, statement: str, seconds: float, views: Sequence[Composed] = ()) -> Table:
    """Answer one statement on a connection of its own that can only read.

    Args:
        server: the store's.
        statement: SQL.
        seconds: after which it is stopped.
        views: statements that make temporary views before; those that this user may not make are left out.

    Raises:
        QueryRefused: it does not parse, fails, would write, or is more than one statement.
        QueryStopped: it takes longer, or its answer is too large to be held.
        StoreError: the store cannot be read.
    """
    if "\0" in statement or not _encodable(statement):
        raise QueryRefused("a statement is text without NUL characters that UTF-8 can encode")
    deadline = time.monotonic() + seconds + _MARGIN
    with closing(server.begin_alone(views).connection) as connection:
        try:
            milliseconds = max(1, min(round(seconds * 1000), _MOST_MILLISECONDS))
            connection.execute(f"SET LOCAL statement_timeout = {milliseconds:d}".encode())
            _refuse_functions(connection, statement)
            # The cursor is never read: it would be planned for its first rows, and not in parallel.
            execute_one(connection, b"DECLARE lookalike_statement CURSOR FOR " + statement.encode())
            connection.execute("CLOSE lookalike_statement")
            return _table(execute_in_parts(connection, statement.encode(), deadline))
        except TimeoutError as error:
            _cancel(connection)
            raise too_long(seconds) from error
        except Error as error:
            if error.sqlstate == _CANCELLED:
                raise too_long(seconds) from error
            if connection.broken or error.sqlstate is None or error.sqlstate.startswith(_SERVER):
                raise server.error(error) from error
            raise QueryRefused(_reason(error)) from error
        except BaseException:  # its answer is too large, or Ctrl-C
            _cancel(connection)
            raise


def _cancel(connection: Connection) -> None:
    """Tell the server that nobody waits for its answer."""
    with suppress(Error):
        connection.cancel_safe(timeout=_MARGIN)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_functions(connection: Connection, statement: str) -> None:
    """Refuse volatile functions, wherever they are named; those of other programs only where they are called.

    Raises:
        QueryRefused: there is one.
    """
    if _SPELT.search(statement):
        raise QueryRefused('names are not spelt as U&"…" here')
    words = {word.lower() for word in _WORD.findall(statement)} - _HARMLESS
    rows = connection.execute(
        "SELECT DISTINCT proname, pronamespace = 'pg_catalog'::regnamespace FROM pg_catalog.pg_proc"
        " WHERE provolatile = 'v' AND lower(proname) = ANY(%s::text[])",
        (sorted(words),),
    ).fetchall()
    for name, built_in in sorted(rows):
        called = re.search(rf"\b{re.escape(name)}{_GAP}", statement, re.IGNORECASE | re.DOTALL)
        if built_in or called:
            raise QueryRefused(
                f"only statements that read are answered, and {one_line(name)} may do more: "
                f"it is marked as volatile"
            )


def _reason(error: Error) -> str:
    text = one_line(error.diag.message_primary or str(error))
    if "DECLARE" in text or "cursor" in text or error.sqlstate == "25006":
        return f"only statements that read are answered: {text}"
    if "multiple commands" in text:
        return f"one statement at a time: {text}"
    hint = error.diag.message_hint
    return f"{text} ({one_line(hint)})" if hint else text


def _table(results: Iterator[Result]) -> Table:
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    limit = AnswerLimit()
    for result in results:
        columns = range(result.nfields)
        names = tuple(_text(result.fname(column) or b"") for column in columns)
        read = [_VALUES.get(result.ftype(column), _text) for column in columns]
        for row in range(result.ntuples):
            values = tuple(
                None if (value := result.get_value(row, column)) is None else read[column](value)
                for column in columns
            )
            limit.take(values)
            rows.append(values)
    return Table(names, rows)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _number(value: bytes) -> int | float | str:
    """Return a number as a program can use it, or as text where JSON has no such number."""
    if value.lstrip(b"-").isdigit() and len(value) < _DIGITS:
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else _text(value)


# Python reads no longer integers (docs.python.org, "Integer string conversion length limitation").
_DIGITS = 4_300
# By the number of the type, as in PostgreSQL's pg_type.dat; all others are given as PostgreSQL writes them.
_VALUES: dict[int, Callable[[bytes], Any]] = {
    16: lambda value: value == b"t",
    20: int,
    21: int,
    23: int,
    26: int,
    700: _number,
    701: _number,
    1700: _number,
}
