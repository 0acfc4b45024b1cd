"""Tables of others in PostgreSQL: found, and opened as what their vectors are.

A column of pgvector's is compared by PostgreSQL (`foreign_table`); arrays, JSON and bytes are compared in
memory (`foreign_kept_table`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import InvalidArgument, StoreDenied, TableNotFound
from lookalike.stores.attached.foreign import Column, FoundTable
from lookalike.stores.attached.foreign_vectors import LONGEST, vector_form
from lookalike.stores.postgres.address import read_postgres_address
from lookalike.stores.postgres.connection import SQL, Identifier, Literal, PostgresServer
from lookalike.stores.postgres.foreign_kept_table import ARRAYS, PostgresKeptTable
from lookalike.stores.postgres.foreign_rows import ForeignRows, split_names
from lookalike.stores.postgres.foreign_table import PostgresTable
from lookalike.stores.postgres.sql import answer
from lookalike.stores.postgres.views import view_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.attached.description import Attachment
    from lookalike.stores.attached.foreign import Kind
    from lookalike.stores.attached.foreign_vectors import Written
    from lookalike.stores.postgres.connection import Connection
    from lookalike.types import Table

SAMPLE = 200
"""Rows that are looked at to tell what a column of JSON holds, or of what dimension vectors are."""

_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
# By typcategory of pg_type (postgresql.org/docs, "pg_type").
_CATEGORIES: dict[str, Kind] = {"S": "text", "E": "text", "N": "number", "B": "boolean"}
# Why a column holds no vectors that lookalike compares.
_NO_VECTORS = {
    "bit": "bits, which are compared by the Hamming distance",
    "varbit": "bits, which are compared by the Hamming distance",
    "sparsevec": "sparse vectors; attach a view that has {}::vector",
}
# Types whose rows show whether they are vectors, beside JSON and texts.
_BY_ROWS = {*ARRAYS, "_numeric", "bytea"}


class PostgresTables:
    """The tables of others in one database: see `ForeignDatabase`.

    Args:
        url: see `read_postgres_address`.
        timeout: seconds to wait for the server, and for locks.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.address = read_postgres_address(url)
        self.server = PostgresServer(self.address, timeout)

    def find(self, table: str) -> FoundTable:
        names = split_names(table)
        return self.server.read(lambda transaction: _find(transaction.connection, names, table))

    def open(self, attachment: Attachment) -> PostgresTable | PostgresKeptTable:
        if attachment.detail("written") is not None:
            return PostgresKeptTable(self.server, attachment)
        return PostgresTable(self.server, self.address, attachment)

    def sql(self, attachments: Sequence[Attachment], statement: str, seconds: float) -> Table:
        """Answer a statement: for which each attached table is a view of the name of its collection."""
        columns = self.server.read(lambda transaction: _columns_of(transaction.connection, attachments))
        views = [
            SQL("CREATE TEMP VIEW {} AS {}").format(
                Identifier(view_name(each.name)), ForeignRows(self.server, each).view(names)
            )
            for each, names in zip(attachments, columns, strict=True)
        ]
        return answer(self.server, statement, seconds, views)

    def close(self) -> None:
        self.server.close()


def _find(connection: Connection, names: Sequence[str], written: str) -> FoundTable:
    rows = connection.execute(
        "SELECT c.oid, n.nspname, c.relname, c.relkind::text, format('%%I.%%I', n.nspname, c.relname),"
        " has_table_privilege(c.oid, 'SELECT'), has_any_column_privilege(c.oid, 'SELECT')"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        " AND (c.relname = %s OR c.relname = lower(%s))"
        " AND (%s::text IS NULL OR n.nspname IN (%s, lower(%s)))"
        " ORDER BY c.relname <> %s, n.nspname <> 'public', n.nspname",
        (names[-1], names[-1], *[names[0] if len(names) > 1 else None] * 3, names[-1]),
    ).fetchall()
    if not rows:
        known = connection.execute(
            "SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_attribute a"
            " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n"
            " ON n.oid = c.relnamespace JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
            " WHERE y.typname IN ('vector', 'halfvec', '_float4', '_float8')"
            " AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition ORDER BY 1"
        ).fetchall()
        raise TableNotFound(written, [name for (name,) in known])
    same = [row for row in rows if row[2] == rows[0][2]]
    if len(same) > 1 and len(names) == 1 and rows[0][1] != "public":
        raise InvalidArgument(f"{written!r} is in several schemas: say {' or '.join(row[4] for row in same)}")
    oid, _, _, kind, table, may_read_all, may_read = rows[0]
    if not may_read:
        raise StoreDenied(connection.info.host or "", f"{table} may not be read by this user")
    return _look_at(connection, oid, table, kind, may_read_all=may_read_all)


def _look_at(connection: Connection, oid: int, table: str, kind: str, *, may_read_all: bool) -> FoundTable:
    """Return what the columns of a table are, by their types and its first rows."""
    place = Identifier(*split_names(table))
    columns = _described(connection, oid)
    shown = [each for each in columns if each.kind not in ("vector", "other") or each.type_name in _BY_ROWS]
    sample = _sample(connection, place, [each.name for each in shown if each.type_name != "bytea"])
    primary = tuple(each.name for each in columns if each.primary)
    found = []
    for each in columns:
        details: list[tuple[str, str]] = [("kind", kind), ("type", each.type_name)]
        details += [] if may_read_all else [("part", "yes")]
        if each.kind == "vector":
            typed = each.modifier > 0
            dimension = each.modifier if typed else _usual_dimension(connection, place, each.name)
            details.append(("typed", "yes" if typed else "no"))
            found.append(Column(each.name, "vector", each.shown, dimension, False, tuple(details), True))
            continue
        dimension, form = _vector_form(connection, place, each, sample) if each in shown else (None, None)
        if form is not None:
            details += [("written", form), ("shown", each.shown)]
            found.append(Column(each.name, "vector", each.shown, dimension, details=tuple(details)))
            continue
        names_rows = primary == (each.name,) if primary else each.unique
        why = _NO_VECTORS.get(each.type_name, "").format(each.name)
        shown_as = f"{each.shown}: {why}" if why else each.shown
        found.append(Column(each.name, each.kind, shown_as, None, names_rows, (("id_type", each.shown),)))
    return FoundTable(table, _KINDS[kind], tuple(found), sample, primary if len(primary) > 1 else ())


def _vector_form(
    connection: Connection, table: Identifier, column: _Described, sample: Sequence[Mapping[str, Any]]
) -> tuple[int | None, Written | None]:
    """Return the dimension of the vectors in a column, and how they are written; None where it has none."""
    is_bytes = column.type_name == "bytea"
    values = _bytes(connection, table, column.name) if is_bytes else [row.get(column.name) for row in sample]
    there = [value for value in values if value is not None]
    dimension, form = vector_form(there)
    if dimension is None and (there or column.type_name not in ("_float4", "_float8")):
        return None, None
    return dimension, "numbers" if column.type_name in ARRAYS else form


class _Described(NamedTuple):
    """A column as the catalogue has it."""

    name: str
    type_name: str
    """Of what a domain is of."""
    kind: Kind
    shown: str
    """Its type as SQL writes it."""
    modifier: int
    """The dimension of a vector that the column says; else below 1."""
    unique: bool
    primary: bool


def _described(connection: Connection, oid: int) -> list[_Described]:
    """Return the columns of a table that this user may read."""
    rows = connection.execute(
        "SELECT a.attname, b.typname, b.typcategory::text, e.typcategory::text,"
        " format_type(a.atttypid, a.atttypmod),"
        " CASE WHEN y.typtype = 'd' THEN y.typtypmod ELSE a.atttypmod END,"
        " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique"
        "  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL AND i.indimmediate),"
        " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary"
        "  AND a.attnum = ANY(i.indkey::int2[]))"
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type y ON y.oid = a.atttypid"
        " JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END"
        " LEFT JOIN pg_catalog.pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'"
        " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped"
        " AND has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY a.attnum",
        (oid,),
    ).fetchall()
    found = []
    for name, type_name, category, of_items, shown, modifier, unique, primary in rows:
        kind: Kind = "vector" if type_name in ("vector", "halfvec") else _CATEGORIES.get(category, "other")
        if type_name in ("json", "jsonb"):
            kind = "json"
        elif type_name == "uuid" or of_items in ("S", "E"):
            kind = "text"
        found.append(_Described(name, type_name, kind, shown, modifier, unique, primary))
    return found


def _sample(connection: Connection, table: Identifier, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is in some columns of the first rows."""
    rows = connection.execute(
        SQL("SELECT to_jsonb(t)::text FROM (SELECT {} FROM {} LIMIT {}) AS t").format(
            SQL(", ").join(map(Identifier, names)), table, Literal(SAMPLE)
        )
    ).fetchall()
    return [json.loads(text) for (text,) in rows]


def _bytes(connection: Connection, table: Identifier, name: str) -> list[bytes | None]:
    """Return the first values of a column of bytes; None for what is longer than any vector."""
    rows = connection.execute(
        SQL(
            "SELECT CASE WHEN octet_length({column}) <= {most} THEN {column} END FROM {table} LIMIT {some}"
        ).format(column=Identifier(name), most=Literal(LONGEST), table=table, some=Literal(SAMPLE))
    ).fetchall()
    return [value for (value,) in rows]


def _columns_of(connection: Connection, attachments: Sequence[Attachment]) -> list[list[str]]:
    """Return the names of the columns of some tables that this user may read; none of one that has gone."""
    found = []
    for each in attachments:
        rows = connection.execute(
            "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
            " AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT') ORDER BY attnum",
            (each.table,),
        ).fetchall()
        found.append([name for (name,) in rows])
    return found


def _usual_dimension(connection: Connection, table: Identifier, column: str) -> int | None:
    """Return the dimension that most of the first vectors have, in a column that takes any."""
    row = connection.execute(
        SQL(
            "SELECT vector_dims(v) FROM (SELECT {column} AS v FROM {table} WHERE {column} IS NOT NULL"
            " LIMIT {some}) AS t GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).format(column=Identifier(column), table=table, some=Literal(SAMPLE))
    ).fetchone()
    return None if row is None else int(row[0])
