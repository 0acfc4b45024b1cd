"""The views of a PostgreSQL store: one a collection, with a column for each field."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lookalike.stores.checks import same_name
from lookalike.stores.postgres.address import NAME_BYTES
from lookalike.stores.postgres.connection import SQL, Identifier, Literal
from lookalike.stores.postgres.encoding import given_text, stored_text
from lookalike.stores.sql import sql_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lookalike.stores.postgres.connection import Connection
    from lookalike.types import Fields

VIEW_COLUMNS = ("id", "uri", "path", "digest", "metadata", "vector")

# Columns in a view, at most (postgresql.org/docs, appendix "PostgreSQL Limits").
_MOST_COLUMNS = 1_600
_COLUMNS = {
    "boolean": SQL("(fields -> {})::boolean"),
    "numeric": SQL("(fields -> {})::numeric"),
    "text": SQL("fields ->> {}"),
}


def table(number: int) -> Identifier:
    """Return the name of a collection's table."""
    return Identifier(f"lookalike_c{number}")


def view_name(name: str) -> str:
    """Return the name of a collection's view: its own, or where that is too long its beginning and a digest.

    PostgreSQL would cut it without a word, and two collections would meet.
    """
    if len(name.encode()) <= NAME_BYTES:
        return name
    # Names of collections have no ~, so no other collection's view has this name.
    digest = hashlib.sha256(same_name(name).encode()).hexdigest()[:16]
    return f"{cut(name, NAME_BYTES - 1 - len(digest))}~{digest}"


def cut(text: str, count: int) -> str:
    """Return the beginning of a text that UTF-8 holds in `count` bytes."""
    return text.encode()[:count].decode("utf-8", "ignore")


def create_view(connection: Connection, number: int) -> None:
    """Make the view of a collection, which has none."""
    view = _name_of_view(connection, number)
    fields = connection.execute(
        "SELECT name, column_name, column_type FROM lookalike_fields WHERE collection = %s ORDER BY position"
        " LIMIT %s",
        (number, _MOST_COLUMNS - len(VIEW_COLUMNS)),
    ).fetchall()
    columns = [
        SQL(", {} AS {}").format(_COLUMNS[kind].format(Literal(name)), Identifier(column))
        for name, column, kind in fields
    ]
    connection.execute(
        SQL("CREATE VIEW {} AS SELECT id, uri, path, digest{}, metadata, vector FROM {}").format(
            Identifier(view), SQL("").join(columns), table(number)
        )
    )


def drop_view(connection: Connection, number: int) -> None:
    """Drop the view of a collection."""
    view = _name_of_view(connection, number)
    connection.execute(SQL("DROP VIEW IF EXISTS {}").format(Identifier(view)))


def _name_of_view(connection: Connection, number: int) -> str:
    row = connection.execute(
        "SELECT view_name FROM lookalike_collections WHERE collection = %s", (number,)
    ).fetchone()
    assert row is not None  # noqa: S101 for the type
    return str(row[0])


def field_names(connection: Connection, number: int) -> list[str]:
    """Return the names of all fields that the collection has had, sorted."""
    rows = connection.execute("SELECT name FROM lookalike_fields WHERE collection = %s", (number,))
    return sorted(given_text(name) for (name,) in rows)


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


def add_fields(connection: Connection, number: int, types: Mapping[str, str]) -> None:
    """Give new fields a column, and those whose kinds now differ another type; the collection is locked.

    The column has the name of the field; where another column has it already (without regard to ASCII case,
    as in every store), `_2`, `_3` … is appended.
    """
    rows = connection.execute(
        "SELECT name, column_name, column_type, position FROM lookalike_fields WHERE collection = %s",
        (number,),
    ).fetchall()
    known = {name: (kind, position) for name, _, kind, position in rows}
    taken = {_ascii_lower(name) for name in (*VIEW_COLUMNS, *(column for _, column, _, _ in rows))}
    changed = False
    for name, kind in ((stored_text(name), kind) for name, kind in types.items()):
        if name not in known:
            column = _column_name(given_text(name), taken)
            taken.add(_ascii_lower(column))
            connection.execute(
                "INSERT INTO lookalike_fields (collection, position, name, column_name, column_type)"
                " VALUES (%s, %s, %s, %s, %s)",
                (number, len(known), name, column, kind),
            )
            known[name] = (kind, len(known))
        elif known[name][0] not in (kind, "text"):
            connection.execute(
                "UPDATE lookalike_fields SET column_type = 'text' WHERE collection = %s AND position = %s",
                (number, known[name][1]),
            )
        else:
            continue
        changed = True
    if changed:
        drop_view(connection, number)
        create_view(connection, number)


def _column_name(field: str, taken: set[bytes]) -> str:
    plain = sql_text(field) or "_"  # PostgreSQL has no empty names
    column = cut(plain, NAME_BYTES)
    counter = 2
    while _ascii_lower(column) in taken:
        suffix = f"_{counter}"
        column = cut(plain, NAME_BYTES - len(suffix)) + suffix
        counter += 1
    return column


def _ascii_lower(name: str) -> bytes:
    return name.encode().lower()
