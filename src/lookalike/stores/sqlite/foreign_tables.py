"""Tables of others in a SQLite file: read as they are, and kept in memory while nobody changes the file.

Vectors are BLOBs of little-endian numbers (NumPy's `tobytes`, sqlite-vec's `vec_f32`), JSON lists, or columns
of sqlite-vec's virtual tables (`vec0`).
The file stays in whatever journal mode its owner has set.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lookalike.checksums import content_checksum
from lookalike.errors import InvalidArgument, StoreError, StoreUnreachable, TableNotFound, Unanswerable
from lookalike.stores.attached.description import ForeignRow, row_id
from lookalike.stores.attached.foreign import Column, FoundTable, Tally, check_rows
from lookalike.stores.attached.foreign_vectors import LONGEST, read_vectors, vector_form
from lookalike.stores.attached.json_paths import document_in, field_value, read_path, values_at
from lookalike.stores.attached.kept_rows import KeptRows, keep_rows, version_of
from lookalike.stores.batches import chunks
from lookalike.stores.sqlite.address import file_path
from lookalike.stores.sqlite.encoding import quoted, stored_text
from lookalike.stores.sqlite.errors import store_error
from lookalike.stores.sqlite.schema import APPLICATION_ID
from lookalike.stores.sqlite.sql import answer_on, make_verified_views
from lookalike.stores.sqlite.vec0 import Vec0Views, read_vec0
from lookalike.stores.view_columns import ColumnNames
from lookalike.uris import file_uri

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment, Source
    from lookalike.stores.attached.foreign import Change, Kind
    from lookalike.stores.attached.foreign_vectors import Written
    from lookalike.stores.query import Query
    from lookalike.stores.sqlite.vec0 import Vec0Column, Vec0Table
    from lookalike.types import Scalar, Table, Vectors, Where

SAMPLE = 200
"""Rows that are looked at to tell what a column holds."""

_TOGETHER = 500  # rows that are read, and ids that are asked for, at once


class SqliteTables:
    """The tables of others in one file: see `ForeignDatabase`.

    Args:
        url: `sqlite:///path.db`.
        timeout: seconds to wait for another process's lock.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.path = file_path(url)
        self._timeout = timeout
        self._lock = threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._vec0: Vec0Views | None = None
        self._place: tuple[int, int] | None = None
        self._opened = itertools.count()
        self._generation = 0

    def find(self, table: str) -> FoundTable:
        self.close()  # tables of sqlite-vec are looked for when the file is opened
        with self.reading() as connection:
            row = connection.execute(
                "SELECT name, type, coalesce(sql, '') FROM sqlite_master"
                " WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE",
                (table,),
            ).fetchone()
            if row is None:
                names = connection.execute(
                    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
                    " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
                )
                raise TableNotFound(table, [name for (name,) in names])
            name, kind, sql = row
            vec0 = read_vec0(name, sql)
            columns = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
            if not columns and "virtual table" in sql.lower():
                raise InvalidArgument(
                    f"{name!r} is a virtual table, whose module Python's SQLite does not have: where it is "
                    f"loaded, copy the vectors into BLOBs of an ordinary table"
                )
            some = ", ".join(_shortened(name, column[1]) for column in columns)
            rows = connection.execute(f"SELECT {some} FROM {quoted(name)} LIMIT {SAMPLE}").fetchall()  # noqa: S608
            alone = [] if vec0 is not None else _unique_columns(connection, name)
        keys = [column[1] for column in columns if column[5]]
        if keys:
            alone = keys if len(keys) == 1 else []
        found = [
            _column(column[1], column[2], [row[place] for row in rows], unique=column[1] in alone)
            for place, column in enumerate(columns)
            if column[6] != 1  # a hidden column of a virtual table
        ]
        if vec0 is not None:
            found = [_vec0_column(one, column) for one, column in zip(vec0.columns, found, strict=True)]
        sample = [
            {
                each.name: _shown(value, each.kind)
                for each, value in zip(found, row, strict=False)
                if each.kind != "vector"
            }
            for row in rows
        ]
        key = tuple(keys) if len(keys) > 1 else ()
        return FoundTable(name, kind if vec0 is None else "virtual table", tuple(found), sample, key)

    def open(self, attachment: Attachment) -> SqliteTable:
        if attachment.writable and attachment.detail("vec0"):
            raise InvalidArgument(
                f"{attachment.table} is a table of sqlite-vec, which is only read (--writable)"
            )
        return SqliteTable(self, attachment)

    def sql(self, attachments: Sequence[Attachment], statement: str, seconds: float) -> Table:
        """Answer a statement, for which each attached table is a view of the name of its collection."""
        with self.errors():
            connection = self._connect("mode=ro")
            try:
                connection.execute("PRAGMA temp_store = MEMORY")
                if connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,):
                    make_verified_views(connection, {})
                connection.create_function("lookalike_at", 2, _value_at, deterministic=True)
                vec0 = Vec0Views(connection)
                for each in attachments:
                    _make_view(connection, each, vec0.tables.get(each.table))
            except BaseException:
                connection.close()
                raise
        return answer_on(connection, statement, seconds, self.errors)

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def state(self) -> Hashable:
        """Return what changes whenever anybody has changed the file."""
        with self.reading() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return self._generation, version

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read one state of the file, whatever others write.

        Raises:
            StoreError: the class that fits what SQLite says.
        """
        with self._lock, self.errors():
            connection = self._connection()
            if connection.in_transaction:  # asked within what reads already
                yield connection
                return
            try:
                connection.execute("BEGIN")
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
                yield connection
            finally:
                _end(connection)
                if self._vec0 is not None:
                    self._vec0.forget()

    @contextmanager
    def writing(self, table: str) -> Iterator[sqlite3.Connection]:
        """Change rows in one transaction, safe on disk when the block ends; the journal stays as it is.

        Raises:
            InvalidArgument: the table does not take it.
            StoreError: the class that fits what SQLite says.
        """
        with self.reading():  # a file that is not there is not made
            pass
        with self.errors(write=True), closing(self._connect("mode=rw")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                if isinstance(error, sqlite3.IntegrityError) or str(error).startswith("cannot "):
                    said = f"{table} does not take it, and nothing is changed: {error}"
                    raise InvalidArgument(said) from error
                raise
            finally:
                _end(connection)

    @contextmanager
    def errors(self, *, write: bool = False) -> Iterator[None]:
        """Turn what sqlite3 raises in the block into the class of StoreError that fits."""
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(error, self.url, self.path, self._timeout, write=write) from error

    def _connection(self) -> sqlite3.Connection:
        try:
            found = self.path.stat()
        except FileNotFoundError as error:
            self.close()
            raise StoreUnreachable(self.url, "there is no such file") from error
        except OSError as error:
            raise StoreError(self.url, f"cannot be read: {error.strerror}") from error
        place = found.st_dev, found.st_ino
        if self._reader is not None and place != self._place:
            self.close()  # another file lies there now
        if self._reader is None:
            self._reader, self._place, self._generation = self._connect("mode=ro"), place, next(self._opened)
            self._vec0 = Vec0Views(self._reader)
        return self._reader

    def _connect(self, options: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{file_uri(self.path)}?{options}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = stored_text
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except sqlite3.OperationalError:
            connection.close()
            if "immutable" in options or "rw" in options or self._has_log():
                raise
            # WAL mode in a folder that cannot be written: sqlite.org/wal.html, "Read-Only Databases".
            return self._connect(f"{options}&immutable=1")
        except BaseException:
            connection.close()
            raise
        return connection

    def _has_log(self) -> bool:
        log = self.path.with_name(f"{self.path.name}-wal")
        return log.exists() and log.stat().st_size > 0


class SqliteTable:
    """One attached table: see `ForeignTable`."""

    def __init__(self, database: SqliteTables, attachment: Attachment) -> None:
        self._database = database
        self._of = attachment
        self._dimension = attachment.space.dimension
        self._written = cast("Written", attachment.detail("written") or "float32")
        self._lock = threading.RLock()
        self._kept: KeptRows | None = None

    def state(self) -> Hashable:
        return self._database.state()

    def tally(self, *, thorough: bool = False) -> Tally:
        return self._read().tally

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        return self._read().matching_ids(where, having)

    def rows(self, ids: Sequence[str] | None = None) -> list[ForeignRow]:
        found = self._read()
        places = range(len(found.ids)) if ids is None else found.places(ids)
        chosen = [found.rows[place] for place in places]
        if self._of.metadata is None or not chosen:
            return chosen
        said = self._metadata([found.keys[place] for place in places])
        return [replace(row, metadata=said[row.id]) for row in chosen if row.id in said]

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        return self._read().vectors_of(ids, self._fetch)

    def nearest(self, queries: Vectors, query: Query) -> list[list[tuple[str, float]]]:
        return self._read().nearest(queries, query, self._fetch)

    def index(self) -> str:
        raise Unanswerable(
            f"{self._of.table}: SQLite has no index of vectors for a table of others; search stays exact"
        )

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        found = self._read()
        with self._database.writing(self._of.table) as connection:
            for place in found.places(changes):
                change, key = changes[found.ids[place]], found.keys[place]
                row = connection.execute(self._select(list(change), 1), (key,)).fetchone()
                if row is None:
                    continue  # gone meanwhile
                values = []
                for (column, work), content in zip(change.items(), row[1:], strict=True):
                    value = work(_kept_document(content) if self._is_json(column) else content)
                    is_nested = isinstance(value, dict | list)
                    values.append(json.dumps(value, ensure_ascii=False) if is_nested else value)
                settings = ", ".join(f"{quoted(column)} = ?" for column in change)
                table, identity = quoted(self._of.table), self._qualified(self._of.id)
                changed = connection.execute(
                    f"UPDATE {table} SET {settings} WHERE {identity} = ?",  # noqa: S608 quoted names
                    (*values, key),
                )
                check_rows(self._of.table, changed.rowcount, [found.ids[place]])

    def remove(self, ids: Sequence[str]) -> int:
        found = self._read()
        places = found.places(ids)
        table, identity = quoted(self._of.table), self._qualified(self._of.id)
        with self._database.writing(self._of.table) as connection:
            statement = f"DELETE FROM {table} WHERE {identity} = ?"  # noqa: S608 quoted names
            return sum(
                check_rows(
                    self._of.table,
                    connection.execute(statement, (found.keys[place],)).rowcount,
                    [found.ids[place]],
                )
                for place in places
            )

    def _is_json(self, column: str) -> bool:
        of = self._of
        return column == of.metadata or any(one.column == column and one.path for _, one in of.fields)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Read the table.

        Raises:
            StoreError: also where its owner has altered it.
        """
        try:
            with self._database.reading() as connection:
                yield connection
        except StoreError as error:
            if isinstance(error.__cause__, sqlite3.OperationalError) and "no such" in error.reason:
                said = f"{self._of.table} is not any more what was attached ({error.reason}): attach it again"
                raise StoreError(error.url, said) from error
            raise

    def _fetch(self, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return ids and vectors of the rows with some ids."""
        with self._reading() as connection:
            return connection.execute(self._select([self._of.vector], len(keys)), keys).fetchall()

    def _select(self, columns: Sequence[str], count: int = 0) -> str:
        """Return the statement that reads the id and these columns, of all rows or of `count` ids."""
        named = ", ".join(map(self._qualified, (self._of.id, *columns)))
        which = f" WHERE {self._qualified(self._of.id)} IN ({', '.join('?' * count)})" if count else ""
        return f"SELECT {named} FROM {quoted(self._of.table)}{which}"  # noqa: S608 quoted names and marks

    def _qualified(self, column: str) -> str:
        """Return a column with its table: a quoted name alone is a text for SQLite where it has gone."""
        return f"{quoted(self._of.table)}.{quoted(column)}"

    def _metadata(self, keys: Sequence[Any]) -> dict[str, dict[str, Any]]:
        assert self._of.metadata is not None  # noqa: S101 looked at by whoever calls
        said: dict[str, dict[str, Any]] = {}
        with self._reading() as connection:
            for some in chunks(keys, _TOGETHER):
                for key, text in connection.execute(self._select([self._of.metadata], len(some)), some):
                    said.setdefault(str(row_id(key)), _object(text))
        return said

    def _read(self) -> KeptRows:
        """Return the records as they are now: read again where anybody has changed the file."""
        with self._lock, self._reading() as connection:
            state = self._database.state()
            if self._kept is None or self._kept.state != state:
                self._kept = None  # before the new ones are read: there may be no room for two
                self._kept = self._read_all(connection, state)
            return self._kept

    def _read_all(self, connection: sqlite3.Connection, state: Hashable) -> KeptRows:
        of = self._of
        columns = list(dict.fromkeys([of.vector, *of.columns]))
        place_of = {column: place for place, column in enumerate(columns, 1)}
        cursor = connection.execute(self._select(columns))
        return keep_rows(
            iter(lambda: cursor.fetchmany(_TOGETHER), []),
            lambda identity, row, vector: self._row(identity, row, place_of, vector),
            state=state,
            written=self._written,
            dimension=self._dimension,
        )

    def _row(
        self, identity: str, row: Sequence[Any], places: Mapping[str, int], vector: Vectors
    ) -> ForeignRow:
        documents: dict[str, Any] = {}

        def value(source: Source) -> Scalar | None:
            content = row[places[source.column]]
            if source.path is None:
                return field_value([content])
            if source.column not in documents:
                documents[source.column] = document_in(content)
            return field_value(values_at(documents[source.column], source.steps))

        fields = {name: found for name, source in self._of.fields if (found := value(source)) is not None}
        place = None if self._of.uri is None else value(self._of.uri)
        digest = None if self._of.digest is None else row[places[self._of.digest]]
        said = None if place is None else str(place)
        return ForeignRow(
            identity, said, fields, {}, version_of(vector), digest if isinstance(digest, str) else None
        )


def _value_at(content: object, path: str) -> Scalar | None:
    """Return what is at a path in the JSON of a column: the function `lookalike_at` of SQL."""
    return field_value(values_at(document_in(content), read_path(path)))


def _make_view(connection: sqlite3.Connection, of: Attachment, vec0: Vec0Table | None) -> None:
    """Make the view of an attached table: its own columns, and those of a collection that it has not."""
    rows = connection.execute(f"PRAGMA table_xinfo({quoted(of.table)})").fetchall()
    names = ColumnNames(row[1] for row in rows)
    written = cast("Written", of.detail("written") or "float32")

    def vector(content: object) -> bytes | None:
        found = read_vectors([content], written, of.space.dimension)
        return found.vectors[0].tobytes() if found.rows else None

    function = f"lookalike_vector_{content_checksum(repr(of).encode()).hex()}"
    connection.create_function(function, 1, vector, deterministic=True)

    def at(source: Source) -> str:
        column = f"t.{quoted(source.column)}"
        return column if source.path is None else f"lookalike_at({column}, {text_literal(source.path)})"

    columns = {"id": f"CAST(t.{quoted(of.id)} AS TEXT)", "vector": f"{function}(t.{quoted(of.vector)})"}
    if of.uri is not None:
        columns["path"] = at(of.uri)
    if of.metadata is not None:
        columns["metadata"] = f"t.{quoted(of.metadata)}"
    columns |= {name: at(source) for name, source in of.fields}
    more = [f", {value} AS {quoted(name)}" for name, value in columns.items() if names.take(name) == name]
    connection.execute(f"DROP VIEW IF EXISTS temp.{quoted(of.name)}")
    table = f"main.{quoted(of.table)}" if vec0 is None else f"({vec0.select()})"
    connection.execute(
        f"CREATE TEMP VIEW {quoted(of.name)} AS SELECT t.*{''.join(more)} FROM {table} AS t"  # noqa: S608
    )


def text_literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _end(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _kept_document(content: object) -> Any:
    """Return the JSON of a text that is to be changed; what is none as it is, not to be written over."""
    found = document_in(content)
    said_nothing = content is None or str(content).strip() in ("", "null")
    return content if found is None and not said_nothing else found


def _object(content: object) -> dict[str, Any]:
    found = document_in(content)
    return found if isinstance(found, dict) else {}


def _unique_columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns that have no value twice."""
    found = []
    for _, index, unique, _, partial in connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall():
        columns = connection.execute(f"PRAGMA index_info({quoted(index)})").fetchall()
        if unique and not partial and len(columns) == 1 and columns[0][2] is not None:
            found.append(columns[0][2])
    return found


def _shortened(table: str, column: str) -> str:
    """Return what is read of a column to tell what it holds: nothing of a picture."""
    name = f"{quoted(table)}.{quoted(column)}"
    return f"CASE WHEN typeof({name}) <> 'blob' OR length({name}) <= {LONGEST} THEN {name} END"


def _vec0_column(of: Vec0Column, seen: Column) -> Column:
    """Return a column of a table of sqlite-vec: its definition says what is a vector, and what is the key."""
    if of.element is None:
        return replace(seen, unique=of.is_key)
    shown = f"{of.element}[{of.dimension}]"
    if of.element == "bit":
        return Column(of.name, "other", f"{shown}: bits, which are compared by the Hamming distance")
    written = "int8" if of.element in ("int8", "i8") else "float32"
    details = (("written", written), ("vec0", "yes"))
    return Column(of.name, "vector", shown, of.dimension, details=details, surely=True)


def _shown(value: object, kind: Kind) -> Any:
    return document_in(value) if kind == "json" else value


def _column(name: str, declared: str, values: Sequence[Any], *, unique: bool) -> Column:
    """Return what a column holds, as its first values show it."""
    there = [value for value in values if value is not None]
    dimension, written = vector_form(there)
    if dimension is not None:
        return Column(name, "vector", declared, dimension, unique, (("written", written),))
    kinds: set[Kind] = {_kind(value) for value in there}
    if not there:
        kinds = {_declared_kind(declared)}
    kind: Kind = kinds.pop() if len(kinds) == 1 else "text" if kinds == {"text", "json"} else "other"
    return Column(name, kind, declared, None, unique)


def _kind(value: object) -> Kind:
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "json" if value.lstrip()[:1] == "{" and isinstance(document_in(value), dict) else "text"
    return "other"


def _declared_kind(declared: str) -> Kind:
    words = declared.upper()
    if "JSON" in words:
        return "json"
    if any(word in words for word in ("CHAR", "TEXT", "CLOB", "UUID")):
        return "text"
    return (
        "number" if any(word in words for word in ("INT", "REAL", "FLOA", "DOUB", "NUM", "BOOL")) else "other"
    )
