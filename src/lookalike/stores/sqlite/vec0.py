"""Virtual tables of sqlite-vec (`vec0`), read without that extension: out of the ordinary tables under them.

sqlite-vec keeps the rows of a table in chunks: the vectors of a chunk are one BLOB, and so are the values of
each metadata column. A view that nobody else sees has the columns of the virtual table, in its place.

Source: sqlite-vec 0.1.9 (github.com/asg017/sqlite-vec), ARCHITECTURE.md and sqlite-vec.c.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.stores.sqlite.encoding import quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_DEFINITION = re.compile(r"\bUSING\s+vec0\s*\((?P<columns>.*)\)\s*;?\s*$", re.IGNORECASE | re.DOTALL)
_VECTOR = re.compile(r"(\w+)\s+(float|f32|int8|i8|bit)\s*\[\s*(\d+)\s*\](.*)", re.IGNORECASE | re.DOTALL)
_KEY = re.compile(r"(\w+)\s+(\w+)\s+(primary|partition)\s+key", re.IGNORECASE)
_PLAIN = re.compile(r"(\+?)\s*(\w+)\s+(\w+)")
_OPTION = re.compile(r"\w+\s*=\s*\S+")
_BYTES = {"float": 4, "f32": 4, "int8": 1, "i8": 1}
# Types of metadata columns by how they begin, and bytes of a value in a chunk; of a boolean it is a bit.
_WIDTHS = {"text": 16, "int": 8, "float": 8}
_TYPES = {"double": "float", "f64": "float", "real": "float"}
_INLINE = 12  # bytes of a text that stands in its chunk; a longer one has a row of its own
_KEPT = 4  # chunks


@dataclass(frozen=True, slots=True)
class Vec0Column:
    """A column of a virtual table."""

    name: str
    value: str
    """What it is in the tables under it, as SQL."""
    element: str | None = None
    """Of vectors, as the definition writes it: `float`, `int8` or `bit`."""
    dimension: int = 0
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Vec0Table:
    """A virtual table of sqlite-vec, by its definition."""

    name: str
    columns: tuple[Vec0Column, ...]

    def select(self) -> str:
        """Return the statement that reads it out of the tables under it."""
        under = f"main.{quoted(f'{self.name}_rowids')}"
        columns = ", ".join(f"{one.value} AS {quoted(one.name)}" for one in self.columns)
        # In the order of the chunks, each of which is read once then.
        rows = f"SELECT rowid, id, chunk_id, chunk_offset FROM {under} ORDER BY chunk_id"  # noqa: S608
        return f"WITH r AS MATERIALIZED ({rows}) SELECT {columns} FROM r"  # noqa: S608 quoted names


def read_vec0(name: str, sql: str) -> Vec0Table | None:
    """Return what the definition of a table says; None where it is no table of sqlite-vec.

    Raises:
        InvalidArgument: it has something in it that is not known here.
    """
    found = _DEFINITION.search(sql)
    if found is None:
        return None
    definition = _Definition(name)
    for text in found["columns"].split(","):
        if text.strip() and not _OPTION.fullmatch(text.strip()):
            definition.add(text.strip())
    columns = definition.columns
    if not any(one.is_key for one in columns):
        columns.insert(0, Vec0Column("rowid", "r.rowid", is_key=True))
    return Vec0Table(name, tuple(columns))


class _Definition:
    """The columns of a table, as they are read one by one: the tables under it are numbered by them."""

    def __init__(self, table: str) -> None:
        self.columns: list[Vec0Column] = []
        self._table = table
        self._counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Read the definition of one column.

        Raises:
            InvalidArgument: it is not known here.
        """
        vector, key, plain = _VECTOR.fullmatch(text), _KEY.fullmatch(text), _PLAIN.fullmatch(text)
        if vector is not None and not re.search(r"\bindexed\b", vector[4], re.IGNORECASE):
            self._add_vector(vector[1], vector[2].lower(), int(vector[3]))
        elif key is not None and key[3].lower() == "primary":
            value = "r.id" if key[2].lower() == "text" else "r.rowid"
            self.columns.append(Vec0Column(key[1], value, is_key=True))
        elif key is not None:
            value = self._value("chunks", f"partition{self._next('partition')}", "chunk_id = r.chunk_id")
            self.columns.append(Vec0Column(key[1], value))
        elif plain is not None and plain[1]:
            value = self._value("auxiliary", f"value{self._next('auxiliary')}", "rowid = r.rowid")
            self.columns.append(Vec0Column(plain[2], value))
        elif plain is not None:
            self._add_metadata(plain[2], plain[3].lower())
        else:
            raise InvalidArgument(
                f"{self._table!r} is a table of sqlite-vec with {text!r}, which is not known here"
            )

    def _add_vector(self, name: str, element: str, dimension: int) -> None:
        size = dimension // 8 if element == "bit" else _BYTES[element] * dimension
        value = self._part(f"vector_chunks{self._next('vector')}", "vectors", "r.chunk_offset", size)
        self.columns.append(Vec0Column(name, value, element, dimension))

    def _add_metadata(self, name: str, written: str) -> None:
        number = self._next("metadata")
        chunks = f"metadatachunks{number}"
        kind = next((one for one in _WIDTHS if written.startswith(one)), _TYPES.get(written))
        if kind is None:  # boolean
            part = self._part(chunks, "data", "r.chunk_offset / 8", 1)
            value = f"lookalike_bit({part}, r.chunk_offset % 8)"
        else:
            value = f"lookalike_{kind}({self._part(chunks, 'data', 'r.chunk_offset', _WIDTHS[kind])})"
        if kind == "text":
            long = self._value(f"metadatatext{number}", "data", "rowid = r.rowid")
            value = f"coalesce({value}, {long})"
        self.columns.append(Vec0Column(name, value))

    def _next(self, kind: str) -> str:
        self._counts[kind] += 1
        return f"{self._counts[kind] - 1:02d}"

    def _part(self, chunks: str, column: str, place: str, size: int) -> str:
        """Return the bytes of a row in its chunk, as SQL."""
        table = f"{self._table}_{chunks}".replace("'", "''")
        return f"lookalike_chunk('{table}', '{column}', r.chunk_id, {place} * {size}, {size})"

    def _value(self, table: str, column: str, which: str) -> str:
        """Return a value of one of the tables under it, as SQL."""
        under = quoted(f"{self._table}_{table}")
        return f"(SELECT o.{column} FROM main.{under} AS o WHERE o.{which})"  # noqa: S608 quoted names


class Vec0Views:
    """The views in the place of a file's tables of sqlite-vec, on one connection; nobody else sees them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Make them, outside of any transaction; tables that cannot be read get none."""
        self.tables: dict[str, Vec0Table] = {}
        self._connection = connection
        self._chunks: dict[tuple[str, int], bytes] = {}
        rows = connection.execute(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND sql LIKE '%vec0%'"
        ).fetchall()
        for name, sql in rows:
            with suppress(InvalidArgument):
                found = read_vec0(name, sql)
                if found is not None:
                    self.tables[name] = found
        if not self.tables:
            return
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.create_function("lookalike_chunk", 5, self._part)
        connection.create_function("lookalike_text", 1, _text_in, deterministic=True)
        connection.create_function("lookalike_int", 1, _unpack("<q"), deterministic=True)
        connection.create_function("lookalike_float", 1, _unpack("<d"), deterministic=True)
        connection.create_function(
            "lookalike_bit", 2, lambda byte, bit: byte[0] >> bit & 1, deterministic=True
        )
        for each in self.tables.values():
            connection.execute(f"CREATE TEMP VIEW {quoted(each.name)} AS {each.select()}")

    def forget(self) -> None:
        """Forget the chunks that were read: a transaction ends."""
        self._chunks.clear()

    def _part(self, table: str, column: str, chunk: int, start: int, size: int) -> bytes | None:
        """Return a part of a chunk: the function `lookalike_chunk` of SQL. The last chunks are kept."""
        known = self._chunks.pop((table, chunk), None)
        if known is None:
            statement = f"SELECT {column} FROM main.{quoted(table)} WHERE rowid = ?"  # noqa: S608 quoted names
            row = self._connection.execute(statement, (chunk,)).fetchone()
            if row is None:
                return None
            known = row[0]
        self._chunks[table, chunk] = known
        while len(self._chunks) > _KEPT:
            del self._chunks[next(iter(self._chunks))]
        return known[start : start + size]


def _text_in(part: bytes) -> str | None:
    """Return a text that stands in its chunk; None where it is longer."""
    length = int.from_bytes(part[:4], "little")
    return part[4 : 4 + length].decode("utf-8", "replace") if length <= _INLINE else None


def _unpack(form: str) -> Callable[[bytes], int | float]:
    return lambda part: struct.unpack(form, part)[0]
