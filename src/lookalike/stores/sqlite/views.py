"""The views of a SQLite store: one a collection, with a column for each field."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from lookalike.stores.sql import sql_text
from lookalike.stores.sqlite.text import quoted, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEW_COLUMNS = ("id", "uri", "path", "digest", "metadata", "vector")


def field_numbers(connection: sqlite3.Connection, collection: int) -> dict[str, int]:
    """Return the number of each field that the collection has had, by name."""
    rows = connection.execute("SELECT name, field FROM lookalike_fields WHERE collection = ?", (collection,))
    return dict(rows.fetchall())


def add_fields(connection: sqlite3.Connection, collection: int, names: Iterable[str]) -> dict[str, int]:
    """Give the names that are new a number and a column, and return the number of each field by name.

    The column has the name of the field; where another column has it already (without regard to ASCII case,
    as SQLite compares), `_2`, `_3` … is appended.
    """
    known = field_numbers(connection, collection)
    new = [name for name in dict.fromkeys(names) if name not in known]
    if not new:
        return known
    rows = connection.execute("SELECT column_name FROM lookalike_fields WHERE collection = ?", (collection,))
    taken = {_ascii_lower(name) for name in (*VIEW_COLUMNS, *(column for (column,) in rows))}
    for name in new:
        column = plain = sql_text(name)
        counter = 2
        while _ascii_lower(column) in taken:
            column = f"{plain}_{counter}"
            counter += 1
        taken.add(_ascii_lower(column))
        connection.execute(
            "INSERT INTO lookalike_fields (collection, name, column_name) VALUES (?, CAST(? AS TEXT), ?)",
            (collection, text_bytes(name), column),
        )
    create_view(connection, collection)
    return field_numbers(connection, collection)


def create_view(connection: sqlite3.Connection, collection: int) -> None:
    """Make the view of a collection anew; fields beyond SQLite's limit of columns (2,000) are left out."""
    (name,) = connection.execute(
        "SELECT name FROM lookalike_collections WHERE collection = ?", (collection,)
    ).fetchone()
    query = view_query(connection, collection, "r.vector")
    connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
    connection.execute(f"CREATE VIEW {quoted(name)} AS {query}")


def view_query(connection: sqlite3.Connection, collection: int, vector: str) -> str:
    """Return the SELECT that is the view of a collection.

    Args:
        connection: that sees the collection.
        collection: its number.
        vector: the expression of the column `vector`, over a record `r`.
    """
    room = connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN) - len(VIEW_COLUMNS)
    fields = connection.execute(
        "SELECT field, column_name FROM lookalike_fields WHERE collection = ? ORDER BY field LIMIT ?",
        (collection, room),
    )
    columns = "".join(
        f", (SELECT value FROM lookalike_values"  # noqa: S608 our own number and a quoted name
        f" WHERE field = {field} AND record = r.record)"
        f" AS {quoted(column)}"
        for field, column in fields
    )
    return (
        f"SELECT r.id AS id, r.uri AS uri, r.path AS path, r.digest AS digest"  # noqa: S608 as above
        f"{columns}, r.metadata AS metadata, {vector} AS vector"
        f" FROM lookalike_records AS r WHERE r.collection = {collection}"
    )


def _ascii_lower(name: str) -> bytes:
    return name.encode().lower()


def drop_view(connection: sqlite3.Connection, collection: int) -> None:
    """Drop the view of a collection, if it has one."""
    (name,) = connection.execute(
        "SELECT name FROM lookalike_collections WHERE collection = ?", (collection,)
    ).fetchone()
    connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
