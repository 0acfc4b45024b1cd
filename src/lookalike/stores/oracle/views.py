"""The view of each collection: id, uri, path, digest, one column a field, metadata, vector, vector_<name>.

`vector` is the default vector; further ones that are ready have a column of their name.

Views are secondary: they are made after what they show is committed, and whoever comes next makes those anew
that were left behind. A view or table of the same name that is not ours is left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lookalike.errors import StoreBusy, StoreDenied, StoreReadOnly
from lookalike.stores.oracle.encoding import Field, column_name, column_names, identifier
from lookalike.stores.oracle.errors import OracleRefusal, is_missing_table, suppress_code
from lookalike.stores.oracle.schema import records_table, vector_table
from lookalike.stores.view_columns import COLUMNS, vector_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.oracle.connection import OracleSession

MOST_COLUMNS = 1000
"""Columns of a view, where MAX_COLUMNS is STANDARD: Database Reference, "Logical Database Limits"."""

_NUMBER, _TEXT = "NUMBER", "VARCHAR2(4000)"
_STALE = (
    "SELECT collection_id, name, revision, view_name, default_vector FROM lookalike_collections"
    " WHERE view_revision IS NULL OR view_revision <> revision ORDER BY collection_id"
)
_MADE = (
    "UPDATE lookalike_collections SET view_name = :view_name, view_revision = :revision"
    " WHERE collection_id = :collection_id"
)
_FIELDS = (
    "SELECT field_id, column_name, only_numbers FROM lookalike_fields"
    " WHERE collection_id = :collection_id ORDER BY field_id"
)
_VECTORS = (
    "SELECT vector_id, name FROM lookalike_vectors"
    " WHERE collection_id = :collection_id AND ready = 1 ORDER BY vector_id"
)
# Objects that share one namespace with views: SQL Language Reference, "Database Object Naming Rules".
_OCCUPANTS = (
    "SELECT object_type FROM user_objects WHERE object_name = :name AND object_type IN ('TABLE', 'VIEW',"
    " 'SEQUENCE', 'SYNONYM', 'PROCEDURE', 'FUNCTION', 'PACKAGE', 'MATERIALIZED VIEW', 'TYPE', 'OPERATOR')"
)
_READS = "SELECT referenced_name FROM user_dependencies WHERE name = :name AND type = 'VIEW'"
_OUR_TABLE = re.compile(r"LOOKALIKE_RECORDS_[0-9]+")


def view_statement(view: str, collection: int, fields: Sequence[Field], vectors: Mapping[str, int]) -> str:
    """Return the statement that makes a view, or makes it anew.

    JSON_TABLE in a view, in a join, and its columns' paths: JSON Developer's Guide, "SQL/JSON Function
    JSON_TABLE". What does not fit a column, as a text of more than 4,000 bytes, is NULL there: NULL ON ERROR
    is the default. An outer join to a primary key is left out by the optimizer where no column of it is asked
    for (SQL Tuning Guide, "Join Elimination"): so a statement reads the vectors that it names.

    Args:
        view: a quoted identifier.
        collection: the number of the collection.
        fields: those with a column; their columns' names hold no quotes and no backslash.
        vectors: numbers of those that have a column, by the names of their columns.
    """
    *first, metadata, _ = map(str.upper, COLUMNS)
    fields = fields[: MOST_COLUMNS - len(first) - 1 - len(vectors)]
    names = ", ".join(f'"{name}"' for name in (*first, *(f.column for f in fields), metadata, *vectors))
    shown = "".join(f", j.f{field.number:d}" for field in fields)
    shown += ", r.metadata" + "".join(f", v{number:d}.embedding" for number in vectors.values())
    tables = f"{records_table(collection)} r"
    if fields:
        paths = ", ".join(
            f"f{field.number:d} {_NUMBER if field.only_numbers else _TEXT} PATH '$.\"{field.column}\"'"
            for field in fields
        )
        tables += f" CROSS JOIN JSON_TABLE(r.fields, '$' COLUMNS ({paths})) j"
    for number in vectors.values():
        tables += f" LEFT JOIN {vector_table(number)} v{number:d} ON v{number:d}.id = r.id"
    return (
        f"CREATE OR REPLACE VIEW {view} ({names}) AS"  # noqa: S608 our own names
        f" SELECT r.id, r.uri, r.path, r.digest{shown} FROM {tables}"
    )


def refresh_views(session: OracleSession) -> None:
    """Make the views anew that do not show the present names and fields; without the right to, do nothing."""
    try:
        for collection, name, revision, old, default in session.query(_STALE):
            _refresh(session, collection, identifier(name), revision, old, default)
    except (StoreBusy, StoreDenied, StoreReadOnly):
        return  # what was asked for is done; the next one to come makes them
    except OracleRefusal as error:
        if not is_missing_table(error):
            raise


def drop_view(session: OracleSession, view: str | None, collection: int) -> None:
    """Drop a view, by its quoted identifier, if it is the one of this collection."""
    if view is not None and records_table(collection).upper() in _tables_read(session, view):
        with suppress_code("ORA-00942"):
            session.execute(f"DROP VIEW {view}")


def _refresh(  # noqa: PLR0913, RUF100 what the catalog says of one view
    session: OracleSession, collection: int, view: str | None, revision: int, old: str | None, default: str
) -> None:
    if old != view:
        drop_view(session, old, collection)
    if view is not None and not _is_foreign(session, view):
        rows = session.query(_FIELDS, {"collection_id": collection})
        fields = [Field(number, "", column, bool(numbers)) for number, column, numbers in rows]
        ready = session.query(_VECTORS, {"collection_id": collection})
        session.execute(view_statement(view, collection, fields, vector_columns(ready, default, fields)))
    else:
        view = None
    session.execute(_MADE, {"view_name": view, "revision": revision, "collection_id": collection})
    session.commit()


def vector_columns(ready: Sequence[tuple[int, str]], default: str, fields: Sequence[Field]) -> dict[str, int]:
    """Return the numbers of vectors by the names of their columns, the default first; fields keep theirs."""
    names = column_names(field.column for field in fields)
    columns = {}
    for number, name in sorted(ready, key=lambda one: one[1] != default):
        column = COLUMNS[-1].upper() if name == default else names.take(column_name(vector_column(name)))
        columns[column] = number
    return columns


def _is_foreign(session: OracleSession, view: str) -> bool:
    """Tell whether something of that name is there that is not a view of ours."""
    occupants = {kind for (kind,) in session.query(_OCCUPANTS, {"name": view.strip('"')})}
    if not occupants:
        return False
    return occupants != {"VIEW"} or not any(map(_OUR_TABLE.fullmatch, _tables_read(session, view)))


def _tables_read(session: OracleSession, view: str) -> list[str]:
    return [table for (table,) in session.query(_READS, {"name": view.strip('"')})]
