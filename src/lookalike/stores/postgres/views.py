"""The views of a PostgreSQL store: one a collection, with a column for each field and each ready vector."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lookalike.stores.checks import same_name
from lookalike.stores.postgres.address import NAME_BYTES
from lookalike.stores.postgres.connection import SQL, Identifier, Literal
from lookalike.stores.postgres.encoding import given_text, stored_text
from lookalike.stores.postgres.schema import record_table, vector_table
from lookalike.stores.sql import sql_text
from lookalike.stores.view_columns import COLUMNS, ColumnNames, cut, further_vectors, vector_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lookalike.stores.entry import Entry
    from lookalike.stores.postgres.connection import Connection
    from lookalike.types import Fields

# Columns in a view, at most (postgresql.org/docs, appendix "PostgreSQL Limits").
_MOST_COLUMNS = 1_600
_VALUES = {
    "boolean": SQL("(r.fields -> {})::boolean"),
    "numeric": SQL("(r.fields -> {})::numeric"),
    "text": SQL("r.fields ->> {}"),
}


def view_name(name: str) -> str:
    """Return the name of a collection's view: its own, or where that is too long its beginning and a digest.

    PostgreSQL would cut it without a word, and two collections would meet.
    """
    if len(name.encode()) <= NAME_BYTES:
        return name
    # Names of collections have no ~, so no other collection's view has this name.
    digest = hashlib.sha256(same_name(name).encode()).hexdigest()[:16]
    return f"{cut(name, NAME_BYTES - 1 - len(digest))}~{digest}"


def create_view(connection: Connection, entry: Entry) -> None:
    """Make the view of a collection, which has none.

    The default vector is the column `vector`, after it every other that is ready is `vector_NAME`.
    """
    default, further = entry.ready(), further_vectors(entry)
    fields = connection.execute(
        "SELECT name, column_name, column_type FROM lookalike_fields WHERE collection = %s ORDER BY position"
        " LIMIT %s",
        (entry.key, _MOST_COLUMNS - len(COLUMNS) - len(further)),
    ).fetchall()
    names = ColumnNames((*COLUMNS, *_field_columns(connection, entry)), most_bytes=NAME_BYTES)
    columns = [
        SQL(", {} AS {}").format(_VALUES[kind].format(Literal(name)), Identifier(column))
        for name, column, kind in fields
    ]
    vectors = [
        SQL(", {}.vector AS {}").format(
            vector_table(one.number), Identifier(names.take(vector_column(one.info.name)))
        )
        for one in further
    ]
    # An inner join with the default, so that its index serves ORDER BY vector <=> … LIMIT k; the others are
    # left out by PostgreSQL where nobody asks for them.
    joins = [
        SQL(" LEFT JOIN {table} ON {table}.id = r.id").format(table=vector_table(one.number))
        for one in further
    ]
    connection.execute(
        SQL(
            "CREATE VIEW {} AS SELECT r.id, r.uri, r.path, r.digest{}, r.metadata, v.vector{}"
            " FROM {} AS v JOIN {} AS r ON r.id = v.id{}"
        ).format(
            Identifier(view_name(entry.name)),
            SQL("").join(columns),
            SQL("").join(vectors),
            vector_table(default.number),
            record_table(entry.key),
            SQL("").join(joins),
        )
    )


def drop_view(connection: Connection, name: str) -> None:
    """Drop the view of a collection."""
    connection.execute(SQL("DROP VIEW IF EXISTS {}").format(Identifier(view_name(name))))


def shows_the_same(one: Entry, other: Entry) -> bool:
    """Tell whether the views of two states of a collection have the same vectors."""
    return (one.ready(), further_vectors(one)) == (other.ready(), further_vectors(other))


def column_types(all_fields: Iterable[Fields]) -> dict[str, str]:
    """Return the type of the column that holds each of these fields, by name.

    It is `text` where values of two kinds meet.
    """
    types: dict[str, str] = {}
    for fields in all_fields:
        for name, value in fields.items():
            kind = "text" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "numeric"
            types[name] = kind if types.setdefault(name, kind) == kind else "text"
    return types


def add_fields(connection: Connection, entry: Entry, types: Mapping[str, str]) -> None:
    """Give new fields a column, and those whose kinds now differ another type; the collection is locked.

    The column has the name of the field; where another column has it already (without regard to ASCII case,
    as in every store), `_2`, `_3` … is appended.
    """
    rows = connection.execute(
        "SELECT name, column_name, column_type, position FROM lookalike_fields WHERE collection = %s",
        (entry.key,),
    ).fetchall()
    known = {name: (kind, position) for name, _, kind, position in rows}
    vectors = (cut(vector_column(one.info.name), NAME_BYTES) for one in entry.vectors)
    columns = ColumnNames((*COLUMNS, *vectors, *(row[1] for row in rows)), most_bytes=NAME_BYTES)
    changed = False
    for name, kind in ((stored_text(name), kind) for name, kind in types.items()):
        if name not in known:
            column = columns.take(sql_text(given_text(name)) or "_")  # PostgreSQL has no empty names
            connection.execute(
                "INSERT INTO lookalike_fields (collection, position, name, column_name, column_type)"
                " VALUES (%s, %s, %s, %s, %s)",
                (entry.key, len(known), name, column, kind),
            )
            known[name] = (kind, len(known))
        elif known[name][0] not in (kind, "text"):
            connection.execute(
                "UPDATE lookalike_fields SET column_type = 'text' WHERE collection = %s AND position = %s",
                (entry.key, known[name][1]),
            )
        else:
            continue
        changed = True
    if changed:
        drop_view(connection, entry.name)
        create_view(connection, entry)


def _field_columns(connection: Connection, entry: Entry) -> list[str]:
    rows = connection.execute("SELECT column_name FROM lookalike_fields WHERE collection = %s", (entry.key,))
    return [column for (column,) in rows]
