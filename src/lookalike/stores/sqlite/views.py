"""The views of a SQLite store: one a collection, with a column for each field and each ready vector."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from lookalike.stores.sql import sql_text
from lookalike.stores.sqlite.encoding import quoted, text_bytes
from lookalike.stores.sqlite.schema import vector_table
from lookalike.stores.view_columns import COLUMNS, ColumnNames, further_vectors, vector_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lookalike.stores.entry import Entry, VectorEntry


def field_numbers(connection: sqlite3.Connection, collection: int) -> dict[str, int]:
    """Return the number of each field that the collection has had, by name."""
    rows = connection.execute("SELECT name, field FROM lookalike_fields WHERE collection = ?", (collection,))
    return dict(rows.fetchall())


def add_fields(connection: sqlite3.Connection, entry: Entry, names: Iterable[str]) -> dict[str, int]:
    """Give the names that are new a number and a column, and return the number of each field by name.

    The column has the name of the field; where another column has it already (without regard to ASCII case,
    as SQLite compares), `_2`, `_3` … is appended.
    """
    known = field_numbers(connection, entry.key)
    new = [name for name in dict.fromkeys(names) if name not in known]
    if not new:
        return known
    vectors = (vector_column(one.info.name) for one in entry.vectors)
    columns = ColumnNames((*COLUMNS, *vectors, *_field_columns(connection, entry)))
    for name in new:
        connection.execute(
            "INSERT INTO lookalike_fields (collection, name, column_name) VALUES (?, CAST(? AS TEXT), ?)",
            (entry.key, text_bytes(name), columns.take(sql_text(name))),
        )
    create_view(connection, entry)
    return field_numbers(connection, entry.key)


def create_view(connection: sqlite3.Connection, entry: Entry) -> None:
    """Make the view of a collection anew; fields beyond SQLite's limit of columns (2,000) are left out."""
    drop_view(connection, entry.name)
    connection.execute(f"CREATE VIEW {quoted(entry.name)} AS {view_query(connection, entry)}")


def drop_view(connection: sqlite3.Connection, name: str) -> None:
    """Drop the view of a collection, if it has one."""
    connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")


def view_query(
    connection: sqlite3.Connection, entry: Entry, value: Callable[[VectorEntry], str] = lambda _: "v.vector"
) -> str:
    """Return the SELECT that is the view of a collection.

    The default vector is the column `vector`, after it every other that is ready is `vector_NAME`; where a
    field has that column already, `_2`, `_3` … is appended.

    Args:
        connection: that sees the collection.
        entry: the collection.
        value: the expression of a vector, over a row `v` of its table and a row `i` of `lookalike_ids`.
    """
    further = further_vectors(entry)
    room = connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN) - len(COLUMNS) - len(further)
    fields = connection.execute(
        "SELECT field, column_name FROM lookalike_fields WHERE collection = ? ORDER BY field LIMIT ?",
        (entry.key, room),
    ).fetchall()
    columns = "".join(
        f", (SELECT value FROM lookalike_values"  # noqa: S608 our own number and a quoted name
        f" WHERE field = {field} AND record = i.record)"
        f" AS {quoted(column)}"
        for field, column in fields
    )
    names = ColumnNames((*COLUMNS, *_field_columns(connection, entry)))
    # A subquery, which is not run where the column is not asked for: no page of a vector is read then.
    named = [(entry.ready(), "vector")]
    named += [(one, names.take(vector_column(one.info.name))) for one in further]
    vectors = "".join(
        f", (SELECT {value(one)} FROM {vector_table(one.number)} AS v WHERE v.record = i.record)"  # noqa: S608
        f" AS {quoted(column)}"
        for one, column in named
    )
    # Of one table, by its key: so SQLite looks an id up in a join of any kind, and counts without records.
    uri, path, digest, metadata = (
        f"(SELECT {column} FROM lookalike_records WHERE record = i.record) AS {column}"  # noqa: S608 our own
        for column in ("uri", "path", "digest", "metadata")
    )
    return (
        f"SELECT i.id AS id, {uri}, {path}, {digest}{columns}, {metadata}{vectors}"  # noqa: S608 as above
        f" FROM lookalike_ids AS i WHERE i.recent IN (0, 1) AND i.collection = {entry.key:d}"
    )


def _field_columns(connection: sqlite3.Connection, entry: Entry) -> list[str]:
    rows = connection.execute("SELECT column_name FROM lookalike_fields WHERE collection = ?", (entry.key,))
    return [column for (column,) in rows]
