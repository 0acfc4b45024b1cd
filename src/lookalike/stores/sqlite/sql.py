"""SQL that only reads, with `cosine_similarity(a, b)` as a function."""

from __future__ import annotations

import math
import sqlite3
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from lookalike.checksums import vector_checksum
from lookalike.errors import LookalikeError, QueryRefused
from lookalike.stores.damage import Fault
from lookalike.stores.sql import AnswerLimit, too_long
from lookalike.stores.sqlite.catalog import find_entry, read_entries
from lookalike.stores.sqlite.encoding import quoted, stored_text
from lookalike.stores.sqlite.records import select_by_id
from lookalike.stores.sqlite.views import view_query
from lookalike.stores.verification import vector_fault
from lookalike.types import Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from lookalike.stores.damage import DamageLog
    from lookalike.stores.sqlite.connection import SqliteFile

# Actions of a statement that reads: sqlite.org/c3ref/c_alter_table.html.
_READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
# Instructions of SQLite's machine between two looks at whether it is to end: a few milliseconds.
_INSTRUCTIONS = 100_000
# In which it then does, but for a single call that takes longer.
_END_SECONDS = 1.0
# Of one value, text or row, those that a statement makes up included (sqlite.org/limits.html: a billion).
_VALUE_BYTES = 64 << 20
_CACHE_KIB = 64 << 10
_KEPT_BYTES = 128 << 20
_BYTES = 4  # of a float32
# Vectors this close to length 1 were normalised in float32 (`checks.unit_vectors`): no store divides again.
_ROUNDING = 1e-6


def answer(file: SqliteFile, statement: str, seconds: float, damage: DamageLog) -> Table:
    """Answer one statement on a connection of its own that can only read.

    The vectors that it gets to see are verified; one that is damaged is NULL.

    Args:
        file: the store's.
        statement: SQL.
        seconds: after which it is stopped.
        damage: where damaged vectors are noted.

    Raises:
        QueryRefused: it does not parse, fails, would write, or is more than one statement.
        QueryStopped: it takes longer, or its answer is too large to be held.
        StoreError: the store cannot be read.
    """
    with file.errors():
        # Held open beside the read-only one, which could not clear the log away at the end.
        with file.reading():
            pass
        stored = file.connect_reader(mode="ro")
    connection = stored or sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    faults: dict[tuple[str, str], str] = {}
    if stored is not None:
        try:
            with file.errors():
                make_verified_views(connection, faults)
        except BaseException:
            connection.close()
            raise
    try:
        return answer_on(connection, statement, seconds, file.errors)
    finally:
        _note(file, faults, damage)


def answer_on(
    connection: sqlite3.Connection,
    statement: str,
    seconds: float,
    errors: Callable[[], AbstractContextManager[None]],
) -> Table:
    """Answer one statement that only reads on a connection, which is closed then.

    Args:
        connection: of this statement alone, usable from another thread.
        statement: SQL.
        seconds: after which it is stopped.
        errors: turns what sqlite3 raises into a StoreError.

    Raises:
        QueryRefused: it does not parse, fails, would write, or is more than one statement.
        QueryStopped: it takes longer, or its answer is too large to be held.
        StoreError: the store cannot be read.
    """
    work = _Work(connection, statement)
    # A thread of its own: what SQLite computes in one call (a pattern, say) can neither be interrupted nor
    # lets Python see Ctrl-C. It is left to itself then, and ends with the process if not before.
    thread = threading.Thread(target=work.run, name="lookalike-sql", daemon=True)
    thread.start()
    try:
        thread.join(min(seconds, threading.TIMEOUT_MAX))
        late = thread.is_alive()
    finally:
        work.end()
        thread.join(_END_SECONDS)
    if work.table is not None:
        return work.table
    if late or work.failure is None:
        raise too_long(seconds)
    with errors():
        raise work.failure


class _Work:
    """A statement that is being answered on a thread."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self.table: Table | None = None
        self.failure: BaseException | None = None
        self._connection: sqlite3.Connection | None = connection
        self._statement = statement
        self._ended = False
        self._closing = threading.Lock()

    def run(self) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 it is called once
        try:
            self.table = self._answer(connection)
        except BaseException as failure:  # noqa: BLE001 whoever waits raises it
            self.failure = failure
        with self._closing:
            self._connection = None
            connection.close()

    def end(self) -> None:
        """Let it end at the next instruction of SQLite's machine."""
        self._ended = True
        with self._closing:
            if self._connection is not None:
                self._connection.interrupt()

    def _answer(self, connection: sqlite3.Connection) -> Table:
        cosine = _CosineSimilarity()
        _restrict(connection, cosine, lambda: self._ended)
        limit = AnswerLimit()
        try:
            cursor = connection.execute(self._statement)
            if cursor.description is None:
                raise QueryRefused("there is no statement that reads in it")
            rows = []
            for row in cursor:
                limit.take(row)
                rows.append(row)
            return Table(tuple(column[0] for column in cursor.description), rows)
        except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError, ValueError) as error:
            reason = _reason(error, cosine)
            if reason is not None:
                raise QueryRefused(reason) from error
            raise


def _note(file: SqliteFile, faults: dict[tuple[str, str], str], damage: DamageLog) -> None:
    """Note what a statement found damaged, with the URIs of these records."""
    for (name, identity), reason in list(faults.items()):
        uri = None
        with suppress(LookalikeError), file.reading() as connection:
            entry = find_entry(connection, name)
            if connection is not None and entry is not None:
                uri = next((row[0] for row in select_by_id(connection, entry.key, "uri", [identity])), None)
        damage.note(name, [Fault(identity, uri, reason)])


def make_verified_views(connection: sqlite3.Connection, faults: dict[tuple[str, str], str]) -> None:
    """Put views before those of the collections, for this connection only, whose vectors are verified.

    Only a statement that asks for vectors reads and verifies them.

    Args:
        connection: of the statement, which may still write what is temporary.
        faults: gets what is wrong with a vector, by collection and id.
    """
    connection.execute("PRAGMA query_only = OFF")  # the file itself was opened to be read only
    connection.execute("PRAGMA temp_store = MEMORY")
    for entry in read_entries(connection):
        for vector in entry.vectors:
            sound = partial(_sound, entry.name, vector.info.space.dimension, faults)
            connection.create_function(f"lookalike_sound_{vector.number:d}", 3, sound, deterministic=True)
        query = view_query(
            connection, entry, lambda one: f"lookalike_sound_{one.number:d}(i.id, v.checksum, v.vector)"
        )
        connection.execute(f"CREATE TEMP VIEW {quoted(entry.name)} AS {query}")


def _sound(
    collection: str,
    dimension: int,
    faults: dict[tuple[str, str], str],
    identity: object,
    checksum: object,
    content: object,
) -> bytes | None:
    """Return a vector that is as it was stored, None for one that is not."""
    if (
        isinstance(identity, str)
        and isinstance(content, bytes)
        and vector_checksum(identity, content) == checksum
    ):
        return content
    if (collection, str(identity)) not in faults:
        faults[collection, str(identity)] = vector_fault(content, dimension)
    return None


def _reason(error: Exception, cosine: _CosineSimilarity) -> str | None:
    """Return why the statement is refused, None where it is the store that fails."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if isinstance(cosine.failure, ValueError):
        return str(cosine.failure)
    # sqlite3 replaces an exception that comes up in a callback by an error of its own.
    if cosine.failure is not None:
        raise cosine.failure
    if code == sqlite3.SQLITE_AUTH or "not authorized" in str(error):
        return f"only statements that read are answered: {error}"
    if isinstance(error, sqlite3.DatabaseError) and code in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
    ):
        return None
    return str(error)


def _restrict(
    connection: sqlite3.Connection, cosine: _CosineSimilarity, is_ended: Callable[[], bool]
) -> None:
    connection.text_factory = stored_text
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    # These table-valued functions declare themselves by a CREATE TABLE when first used.
    connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")
    connection.execute("PRAGMA query_only = ON")
    connection.create_function("cosine_similarity", 2, cosine, deterministic=True)
    # A statement that was interrupted before it began would not know.
    connection.set_progress_handler(is_ended, _INSTRUCTIONS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
    connection.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY
    )


class _Vector(NamedTuple):
    content: bytes
    numbers: NDArray[np.float64]
    length: float
    """1.0 for what float32 rounding took away from a length of 1."""


class _CosineSimilarity:
    """The SQL function: −1 … 1 for two BLOBs of little-endian float32.

    It is NULL where one of them is NULL, zero, or has a number that is not finite.

    A join calls it with one first argument for many rows, and again and again with the second ones in the
    same order; so vectors are kept, and the next one is looked for where that order expects it. It is called
    millions of times, hence the one flat function.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._first = _Vector(b"", np.empty(0), 0.0)
        self._kept = [self._first]
        self._places: dict[bytes, int] = {}
        self._next = 0
        self._room = _KEPT_BYTES

    def __call__(self, a: object, b: object) -> float | None:
        try:
            content, one, length = self._first
            if a != content:
                if a is None:
                    return None
                self._first = content, one, length = _read(a)
            second, other, other_length = self._kept[self._next]
            if b != second:
                if b is None:
                    return None
                second, other, other_length = self._find(b)
            self._next = (self._next + 1) % len(self._kept)
            product = float(one.dot(other)) if len(content) == len(second) else _mismatch(content, second)
            if length != 1.0 or other_length != 1.0:
                if not length or not other_length:
                    return None
                product /= length * other_length
            if -1.0 <= product <= 1.0:
                return product
            return math.copysign(1.0, product)
        except BaseException as failure:
            self.failure = failure
            raise

    def _find(self, content: object) -> _Vector:
        """Return a vector that is not the one expected, and go on from its place."""
        place = self._places.get(content) if isinstance(content, bytes) else None
        if place is not None:
            self._next = place
            return self._kept[place]
        vector = _read(content)
        self._room -= len(vector.content) + vector.numbers.nbytes
        if self._room >= 0:
            self._next = self._places[vector.content] = len(self._kept)
            self._kept.append(vector)
        return vector


def _read(content: object) -> _Vector:
    if not isinstance(content, bytes):
        raise ValueError("cosine_similarity compares vectors, this is no BLOB")  # noqa: TRY004 as all others
    if len(content) % _BYTES:
        raise ValueError(f"cosine_similarity compares vectors of float32, this has {len(content)} bytes")
    with np.errstate(invalid="ignore"):  # a signalling NaN warns where it is converted
        numbers = np.frombuffer(content, "<f4").astype(np.float64)
    if not np.isfinite(numbers).all():
        return _Vector(content, np.zeros_like(numbers), 0.0)
    length = math.sqrt(numbers.dot(numbers))
    return _Vector(content, numbers, 1.0 if abs(length - 1) <= _ROUNDING else length)


def _mismatch(a: bytes, b: bytes) -> NoReturn:
    raise ValueError(
        f"cosine_similarity compares vectors of one length, "
        f"these have {len(a) // _BYTES} and {len(b) // _BYTES} dimensions"
    )
