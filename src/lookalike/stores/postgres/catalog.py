"""The collections of a PostgreSQL store, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lookalike.errors import CollectionNotFound, InvalidArgument
from lookalike.stores.checks import collection_name, same_name
from lookalike.stores.postgres.schema import lock_schema, rename_collections
from lookalike.stores.postgres.text import stored_text
from lookalike.stores.postgres.views import field_names
from lookalike.types import Approximation, CollectionInfo, Space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.stores.postgres.server import Connection, Transaction


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
