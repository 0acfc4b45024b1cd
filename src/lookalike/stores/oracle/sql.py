"""Answers to SQL statements that only read, each in a read-only transaction."""

from __future__ import annotations

import json
import re
import time
from array import array
from typing import TYPE_CHECKING, Any

from lookalike.errors import QueryRefused, StoreBusy, StoreCorrupt, StoreDenied, StoreReadOnly
from lookalike.stores.oracle.errors import CHANGED_SINCE, READ_ONLY_TRANSACTION, OracleRefusal
from lookalike.stores.oracle.views import refresh_views
from lookalike.stores.sql import AnswerLimit, too_long
from lookalike.types import Table

if TYPE_CHECKING:
    from lookalike.stores.oracle.connection import OracleServer, OracleSession

# Space and comments, and the parentheses that a query may begin with.
_FILLING = re.compile(r"(?:[\s(]+|--[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_PAUSE = 1.0


def answer(server: OracleServer, statement: str, seconds: float) -> Table:
    """Answer one statement that begins with SELECT or WITH.

    A read-only transaction refuses what would write (SQL Language Reference, "SET TRANSACTION"). Functions
    that somebody put into the database may write in transactions of their own: their EXECUTE right decides.

    Args:
        server: the store's.
        statement: SQL.
        seconds: after which it is stopped.

    Raises:
        QueryRefused: it does not parse, fails, is more than one statement, or would write.
        QueryStopped: it takes longer, or its answer is too large to be held.
        StoreError: the store cannot be read.
    """
    statement = only_reading(statement)
    deadline = time.monotonic() + server.timeout
    with server.session(patient=True) as session:
        refresh_views(session)
        end = time.monotonic() + seconds
        while True:
            try:
                return _answer(session, statement, end)
            except StoreBusy as error:
                if time.monotonic() < end:
                    raise
                raise too_long(seconds) from error
            except OracleRefusal as error:
                # A table that was made a moment ago is too new for the server's clock of changes.
                if error.code != CHANGED_SINCE or time.monotonic() >= deadline:
                    if error.code == READ_ONLY_TRANSACTION:
                        raise QueryRefused(
                            f"only statements that read are answered: {error.reason}"
                        ) from error
                    raise QueryRefused(error.reason) from error
            except (StoreDenied, StoreReadOnly, StoreCorrupt) as error:
                raise QueryRefused(error.reason) from error
            time.sleep(_PAUSE)


def only_reading(statement: str) -> str:
    """Return a statement as the server takes it: without a semicolon at its end.

    Raises:
        QueryRefused: it begins with another word than SELECT or WITH, or defines functions, which could write
            in transactions of their own.
    """
    start = _FILLING.match(statement)
    rest = statement[start.end() if start else 0 :]
    word = _word(rest)
    if word not in ("SELECT", "WITH"):
        raise QueryRefused("only one statement that begins with SELECT or WITH is answered")
    if word == "WITH" and _word(_FILLING.sub("", rest[len("WITH") :], count=1)) in ("FUNCTION", "PROCEDURE"):
        raise QueryRefused("a statement that defines functions or procedures is not answered")
    return statement.rstrip().removesuffix(";").rstrip()


def shown(value: Any) -> Any:
    """Return a fetched value as other stores answer with it: a vector as float32 bytes, JSON as its text."""
    if value is None or isinstance(value, (str, int, float, bool, bytes)):
        return value
    if isinstance(value, array):
        return value.tobytes()
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _answer(session: OracleSession, statement: str, end: float) -> Table:
    limit = AnswerLimit()

    def read(row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = tuple(map(shown, row))
        limit.take(values)
        return values

    with session.reading(), session.stopped_after(end - time.monotonic()):
        return Table(*session.table(statement, read=read))


def _word(text: str) -> str:
    word = _WORD.match(text)
    return "" if word is None else word.group().upper()
