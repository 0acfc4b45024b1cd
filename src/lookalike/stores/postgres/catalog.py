"""The catalog of a PostgreSQL store: its collections and the vectors that they declare."""

from __future__ import annotations

from dataclasses import astuple
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lookalike.errors import CollectionExists, CollectionNotFound, InvalidArgument
from lookalike.stores.checks import same_name
from lookalike.stores.entry import NEW, Entry, VectorEntry, vector_columns
from lookalike.stores.postgres.connection import SQL
from lookalike.stores.postgres.encoding import given_text, stored_text
from lookalike.stores.postgres.schema import (
    create_collection_tables,
    create_vector_table,
    drop_collection_tables,
    drop_vector_tables,
    record_table,
    vector_table,
)
from lookalike.stores.postgres.views import create_view, drop_view, shows_the_same, view_name
from lookalike.stores.sql import insert_statement
from lookalike.types import Approximation, Space, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.backend import Edit
    from lookalike.stores.postgres.connection import Connection, Transaction

MOST_DIMENSIONS = 16_000
"""Numbers in a `vector`, at most (README of pgvector, "Vector Type")."""

_FIND = (
    "SELECT collection, c.name, count, default_vector, vector, v.name, embedder, embedder_fingerprint,"
    " dimension, metric_fingerprint, ready, becomes_default, approximation, index_kind"
    " FROM lookalike_collections AS c JOIN lookalike_vectors AS v USING (collection)"
)


def all_entries(transaction: Transaction) -> list[Entry]:
    """Return all collections, by name, with their fields."""
    if not transaction.exists:
        return []
    rows = transaction.connection.execute(f'{_FIND} ORDER BY c.name COLLATE "C", vector').fetchall()
    fields: dict[int, list[str]] = {}
    for collection, name in transaction.connection.execute("SELECT collection, name FROM lookalike_fields"):
        fields.setdefault(collection, []).append(given_text(name))
    return [_entry(rows, fields.get(rows[0][0], [])) for rows in _by_collection(rows)]


def _by_collection(rows: Sequence[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    return [list(some) for _, some in groupby(rows, key=lambda row: row[0])]


def find_entry(
    connection: Connection, name: str, *, lock: bool = False, with_fields: bool = False
) -> Entry | None:
    """Return the collection of a name, None where there is none.

    Args:
        connection: with a transaction open.
        name: any text.
        lock: whether other writers are to wait until the transaction ends.
        with_fields: whether the names of its fields are wanted.
    """
    key = (stored_text(same_name(name)),)
    if lock:
        # A statement of its own: one that had to wait sees its other tables as they were before.
        connection.execute("SELECT FROM lookalike_collections WHERE same_name = %s FOR UPDATE", key)
    rows = connection.execute(f"{_FIND} WHERE same_name = %s ORDER BY vector", key).fetchall()
    return _entry(rows, _fields(connection, rows[0][0]) if with_fields else ()) if rows else None


def known_entry(connection: Connection, collection: int) -> Entry | None:
    """Return the collection of a number, however it is called now; None where it was deleted."""
    rows = connection.execute(f"{_FIND} WHERE collection = %s ORDER BY vector", (collection,)).fetchall()
    return _entry(rows, ()) if rows else None


def existing(transaction: Transaction, name: str, *, lock: bool = False, with_fields: bool = False) -> Entry:
    """Return the collection of a name, see `find_entry`.

    Raises:
        CollectionNotFound: there is none.
    """
    connection = transaction.connection
    found = find_entry(connection, name, lock=lock, with_fields=with_fields) if transaction.exists else None
    if found is None:
        raise CollectionNotFound(name, [one.name for one in all_entries(transaction)])
    return found


def _entry(rows: Sequence[tuple[Any, ...]], fields: Sequence[str]) -> Entry:
    key, name, count, default, *_ = rows[0]
    return Entry(
        key, name, tuple(_vector(row) for row in rows), default, count=count, fields=tuple(sorted(fields))
    )


def _vector(row: tuple[Any, ...]) -> VectorEntry:
    number, name, embedder, fingerprint, dimension, metric, ready, becomes_default, measured, kind = row[4:]
    info = VectorInfo(
        name,
        Space(embedder, fingerprint, dimension, metric),
        ready,
        becomes_default,
        None if measured is None else Approximation(**measured),
    )
    return VectorEntry(number, info, kind)


def _fields(connection: Connection, collection: int) -> list[str]:
    rows = connection.execute("SELECT name FROM lookalike_fields WHERE collection = %s", (collection,))
    return [given_text(name) for (name,) in rows]


def read_metric(connection: Connection, vector: VectorEntry) -> bytes | None:
    """Return what was last kept as the metric of a vector, None for none."""
    row = connection.execute(
        "SELECT metric FROM lookalike_vectors WHERE vector = %s", (vector.number,)
    ).fetchone()
    return None if row is None or row[0] is None else bytes(row[0])


def add_collection(connection: Connection, name: str, vector: VectorInfo, metric: bytes | None) -> None:
    """Make an empty collection with one vector, its tables and its view; the schema is locked.

    Raises:
        InvalidArgument: its vectors are longer than pgvector's.
    """
    row = connection.execute(
        "INSERT INTO lookalike_collections (name, same_name, view_name, default_vector)"
        " VALUES (%s, %s, %s, %s) RETURNING collection",
        (name, same_name(name), view_name(name), vector.name),
    ).fetchone()
    assert row is not None  # noqa: S101 for the type
    number = int(row[0])
    create_collection_tables(connection, number)
    _add_vector(connection, number, vector, metric)
    entry = known_entry(connection, number)
    assert entry is not None  # noqa: S101 for the type
    create_view(connection, entry)


def _add_vector(connection: Connection, collection: int, vector: VectorInfo, metric: bytes | None) -> None:
    space = vector.space
    if space.dimension > MOST_DIMENSIONS:
        raise InvalidArgument(
            f"pgvector holds vectors of at most {MOST_DIMENSIONS:,} numbers, these have {space.dimension:,}"
        )
    row = {"collection": collection, **vector_columns(vector), "metric": metric}
    statement = f"{insert_statement('lookalike_vectors', row, '%({})s')} RETURNING vector"
    ((number,),) = connection.execute(statement.encode(), row)
    create_vector_table(connection, number, space.dimension)


def change_vectors(connection: Connection, entry: Entry, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
    """Change which vectors a collection declares and which is its default; it is locked.

    Args:
        connection: with a transaction that writes.
        entry: the collection.
        edit: see `Backend.declare`.
        metrics: kept from now on with the vectors of these spaces.

    Raises:
        InvalidArgument: new vectors are longer than pgvector's.
    """
    wanted = edit(entry, lambda vector: _count_lacking(connection, entry, vector))
    if wanted != entry:
        _write_vectors(connection, entry, wanted)
    for space, metric in metrics.items():
        connection.execute(
            "UPDATE lookalike_vectors SET metric = %s WHERE collection = %s"
            " AND (embedder, embedder_fingerprint, dimension, metric_fingerprint) = (%s, %s, %s, %s)",
            (metric, entry.key, *astuple(space)),
        )


def _write_vectors(connection: Connection, entry: Entry, wanted: Entry) -> None:
    seen = shows_the_same(entry, wanted)
    if not seen:
        drop_view(connection, entry.name)
    kept = {one.number for one in wanted.vectors}
    dropped = [one.number for one in entry.vectors if one.number not in kept]
    connection.execute("DELETE FROM lookalike_vectors WHERE vector = ANY(%s::bigint[])", (dropped,))
    drop_vector_tables(connection, dropped)
    for one in wanted.vectors:
        if one.number == NEW:
            _add_vector(connection, entry.key, one.info, None)
        elif one not in entry.vectors:
            connection.execute(
                "UPDATE lookalike_vectors SET ready = %s, becomes_default = %s WHERE vector = %s",
                (one.info.ready, one.info.becomes_default, one.number),
            )
    connection.execute(
        "UPDATE lookalike_collections SET default_vector = %s WHERE collection = %s",
        (wanted.default, entry.key),
    )
    if not seen:
        changed = known_entry(connection, entry.key)
        assert changed is not None  # noqa: S101 for the type
        create_view(connection, changed)


def _count_lacking(connection: Connection, entry: Entry, vector: VectorEntry) -> int:
    records = record_table(entry.key)
    if vector.number == NEW:
        statement = SQL("SELECT count(*) FROM {}").format(records)
    else:
        statement = SQL(
            "SELECT count(*) FROM {} AS v RIGHT JOIN {} AS r ON v.id = r.id WHERE v.id IS NULL"
        ).format(vector_table(vector.number), records)
    row = connection.execute(statement).fetchone()
    return 0 if row is None else int(row[0])


def rename_collection(connection: Connection, entry: Entry, new: str) -> None:
    """Give a collection another name, and its view with it; the schema is locked.

    Raises:
        CollectionExists: another collection has that name.
    """
    there = find_entry(connection, new)
    if there is not None and there.key != entry.key:
        raise CollectionExists(there.name)
    drop_view(connection, entry.name)
    connection.execute(
        "UPDATE lookalike_collections SET name = %s, same_name = %s, view_name = %s WHERE collection = %s",
        (new, same_name(new), view_name(new), entry.key),
    )
    renamed = known_entry(connection, entry.key)
    assert renamed is not None  # noqa: S101 for the type
    create_view(connection, renamed)


def remove_collection(connection: Connection, entry: Entry) -> None:
    """Remove a collection with its view, records, words, fields and vectors; it is locked."""
    drop_view(connection, entry.name)
    drop_collection_tables(connection, entry.key, [one.number for one in entry.vectors])
    connection.execute("DELETE FROM lookalike_collections WHERE collection = %s", (entry.key,))
