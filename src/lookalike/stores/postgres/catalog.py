"""The catalog of a PostgreSQL store: its collections, found, made, renamed and removed by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import CollectionNotFound, InvalidArgument
from lookalike.stores.checks import collection_name, same_name
from lookalike.stores.postgres.encoding import stored_text
from lookalike.stores.postgres.schema import MOST_DIMENSIONS, create_tables, drop_tables, lock_schema
from lookalike.stores.postgres.views import create_view, drop_view, field_names, view_name
from lookalike.types import Approximation, CollectionInfo, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.stores.postgres.connection import Connection, Transaction


class Found(NamedTuple):
    """A collection that there is."""

    number: int
    name: str
    space: Space
    records: int
    """How many there are."""
    index_kind: str | None
    approximation: dict[str, Any] | None


_FOUND = (
    "SELECT collection, name, embedder, embedder_fingerprint, dimension, metric_fingerprint, count,"
    " index_kind, approximation FROM lookalike_collections"
)


def find_collection(connection: Connection, name: str, *, lock: bool = False) -> Found | None:
    """Return the collection of a name, None where there is none.

    Args:
        connection: with a transaction open.
        name: any text.
        lock: whether other writers are to wait until the transaction ends.
    """
    row = connection.execute(
        f"{_FOUND} WHERE same_name = %s{' FOR UPDATE' if lock else ''}", (stored_text(same_name(name)),)
    ).fetchone()
    return None if row is None else _found(row)


def find_collections(connection: Connection) -> list[Found]:
    """Return all collections, by name."""
    return [_found(row) for row in connection.execute(f'{_FOUND} ORDER BY name COLLATE "C"')]


def _found(row: tuple[Any, ...]) -> Found:
    number, name, embedder, fingerprint, dimension, metric_fingerprint, *rest = row
    return Found(number, name, Space(embedder, fingerprint, dimension, metric_fingerprint), *rest)


def collection_from(connection: Connection, found: Found) -> CollectionInfo:
    """Return a collection as others know it."""
    approximation = None if found.approximation is None else Approximation(**found.approximation)
    fields = tuple(field_names(connection, found.number))
    return CollectionInfo(found.name, found.space, found.records, fields, approximation)


def existing(transaction: Transaction, name: str, *, lock: bool = False) -> Found:
    """Return the collection of a name, see `find_collection`.

    Raises:
        CollectionNotFound: there is none.
    """
    found = find_collection(transaction.connection, name, lock=lock) if transaction.exists else None
    if found is None:
        there = find_collections(transaction.connection) if transaction.exists else []
        raise CollectionNotFound(name, [one.name for one in there])
    return found


def all_collections(transaction: Transaction) -> list[CollectionInfo]:
    """Return all collections as others know them, by name."""
    found = find_collections(transaction.connection) if transaction.exists else []
    return [collection_from(transaction.connection, one) for one in found]


def read_metric(connection: Connection, found: Found) -> bytes | None:
    """Return what the collection was created with as its metric."""
    row = connection.execute(
        "SELECT metric FROM lookalike_collections WHERE collection = %s", (found.number,)
    ).fetchone()
    return None if row is None or row[0] is None else bytes(row[0])


def rename_all(transaction: Transaction, names: Mapping[str, str], schema: str) -> None:
    """Give collections other names, by their present ones.

    Raises:
        CollectionNotFound: there is none of a present name.
        InvalidArgument: a new name is not usable, is there twice, or belongs to another that keeps it.
    """
    if transaction.exists:
        lock_schema(transaction.connection, schema)
    # In one order, so that two processes do not wait for each other.
    renamed = {
        existing(transaction, old, lock=True).number: collection_name(names[old])
        for old in sorted(names, key=same_name)
    }
    if len({same_name(new) for new in renamed.values()}) < len(names):
        raise InvalidArgument("two collections cannot have one name")
    for new in renamed.values():
        there = find_collection(transaction.connection, new)
        if there is not None and there.number not in renamed:
            raise InvalidArgument(f"there is a collection {new!r}")
    rename_collections(transaction.connection, renamed)


def add_collection(connection: Connection, name: str, space: Space, metric: bytes | None) -> int:
    """Make an empty collection with its table and its view and return its number; the schema is locked.

    Raises:
        InvalidArgument: its vectors are longer than pgvector's.
    """
    if space.dimension > MOST_DIMENSIONS:
        raise InvalidArgument(
            f"pgvector holds vectors of at most {MOST_DIMENSIONS:,} numbers, these have {space.dimension:,}"
        )
    row = connection.execute(
        "INSERT INTO lookalike_collections (name, same_name, view_name, embedder, embedder_fingerprint,"
        " dimension, metric_fingerprint, metric) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING collection",
        (
            name,
            same_name(name),
            view_name(name),
            space.embedder,
            space.embedder_fingerprint,
            space.dimension,
            space.metric_fingerprint,
            metric,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 for the type
    number = int(row[0])
    create_tables(connection, number, space.dimension)
    create_view(connection, number)
    return number


def remove_collection(connection: Connection, number: int) -> None:
    """Remove a collection with its view, records, words, fields and metric."""
    drop_view(connection, number)
    drop_tables(connection, number)
    connection.execute("DELETE FROM lookalike_collections WHERE collection = %s", (number,))


def rename_collections(connection: Connection, names: dict[int, str]) -> None:
    """Give collections, by number, names that no other has, and their views with them."""
    for number in names:
        drop_view(connection, number)
        # Names are unique at every moment: out of the way first, under one that no collection can have.
        connection.execute(
            "UPDATE lookalike_collections SET same_name = %(other)s, view_name = %(other)s"
            " WHERE collection = %(number)s",
            {"other": f" {number}", "number": number},
        )
    for number, name in names.items():
        connection.execute(
            "UPDATE lookalike_collections SET name = %s, same_name = %s, view_name = %s"
            " WHERE collection = %s",
            (name, same_name(name), view_name(name), number),
        )
        create_view(connection, number)
