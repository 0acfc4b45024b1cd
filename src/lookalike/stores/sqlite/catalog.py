"""The collections of a SQLite store and the vectors that they declare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lookalike.checksums import content_checksum
from lookalike.errors import CollectionExists, CollectionNotFound
from lookalike.stores.checks import same_name
from lookalike.stores.entry import NEW, Entry, VectorEntry, vector_columns
from lookalike.stores.sql import insert_statement
from lookalike.stores.sqlite.change_log import of_collection, of_vector
from lookalike.stores.sqlite.keys import KEYED, RECORDS, remove_keys
from lookalike.stores.sqlite.schema import (
    DamagedCatalog,
    drop_vector_table,
    make_vector_table,
    vector_table,
)
from lookalike.stores.sqlite.views import create_view, drop_view, field_numbers
from lookalike.stores.sqlite.words import create_words, drop_words
from lookalike.types import Approximation, Space, VectorInfo

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from lookalike.stores.sqlite.change_log import What

_COLLECTION = "collection, name, same_name, default_vector"
_VECTOR = (
    "v.vector, v.collection, v.name, embedder, embedder_fingerprint, dimension, metric_fingerprint, ready,"
    " becomes_default"
)
_SAID = _VECTOR.count(",") + 1


@dataclass(frozen=True, slots=True)
class Counted:
    """What a collection held at one revision."""

    revision: int | None
    count: int
    fields: tuple[str, ...]


def find_entry(connection: sqlite3.Connection | None, name: str) -> Entry | None:
    """Return the collection of a name, None where there is none.

    Raises:
        DamagedCatalog: it is not what was written, or another is not, so that it may be that one.
    """
    if connection is None:
        return None
    # The names are few, and sqlite3 cannot bind every text as a parameter.
    rows = _collection_rows(connection)
    key = same_name(name)
    for row in rows:
        if row[2] == key:
            return _entry(connection, row)
    for row in rows:
        _entry(connection, row)
    return None


def existing_entry(connection: sqlite3.Connection | None, name: str) -> Entry:
    """Return the collection of a name.

    Raises:
        CollectionNotFound: there is none.
        DamagedCatalog: it may be one that is not what was written.
    """
    entry = find_entry(connection, name)
    if entry is None:
        raise CollectionNotFound(name, [one.name for one in read_entries(connection)])
    return entry


def read_entry(connection: sqlite3.Connection, key: int) -> Entry | None:
    """Return the collection of a number, None where it is gone."""
    row = next((row for row in _collection_rows(connection) if row[0] == key), None)
    return None if row is None else _entry(connection, row)


def read_entries(connection: sqlite3.Connection | None) -> list[Entry]:
    """Return all collections, by name.

    Raises:
        DamagedCatalog: one is not what was written.
    """
    if connection is None:
        return []
    rows = _collection_rows(connection)
    return sorted((_entry(connection, row) for row in rows), key=lambda entry: entry.name)


def with_count(connection: sqlite3.Connection, entry: Entry, known: dict[int, Counted]) -> Entry:
    """Return a collection with count and fields.

    Args:
        connection: that sees the collection, and has changed nothing in this transaction: a revision that is
            not committed never was.
        entry: the collection.
        known: what was counted before, which is looked up and added to: to count a million records takes
            longer than to search them.
    """
    found = known.get(entry.key)
    if found is None or found.revision != entry.revision:
        fields = tuple(sorted(field_numbers(connection, entry.key)))
        found = known[entry.key] = Counted(entry.revision, count_records(connection, entry), fields)
    return replace(entry, count=found.count, fields=found.fields)


def count_records(connection: sqlite3.Connection, entry: Entry) -> int:
    """Return how many records a collection has."""
    (count,) = connection.execute(
        f"SELECT count(*) FROM lookalike_ids WHERE {KEYED}",  # noqa: S608 our own condition
        (entry.key,),
    ).fetchone()
    return int(count)


def count_vectors(connection: sqlite3.Connection, vector: VectorEntry) -> int:
    """Return how many records have a vector; of one that is new, none."""
    if vector.number == NEW:
        return 0
    table = vector_table(vector.number)
    (count,) = connection.execute(f"SELECT count(*) FROM {table} INDEXED BY {table}_records").fetchone()  # noqa: S608
    return int(count)


def add_collection(
    connection: sqlite3.Connection, name: str, vector: VectorInfo, metric: bytes | None
) -> None:
    """Make an empty collection with one vector, its view and its table of words."""
    ((key,),) = connection.execute(
        "INSERT INTO lookalike_collections (name, same_name, default_vector, checksum) VALUES (?, ?, ?, x'')"
        " RETURNING collection",
        (name, same_name(name), vector.name),
    ).fetchall()
    made = _add_vector(connection, key, vector)
    if metric is not None:
        write_metrics(connection, key, {vector.space: metric})
    _seal(connection, key)
    create_view(connection, Entry(key, name, (made,), vector.name))
    create_words(connection, key)


def change_entry(connection: sqlite3.Connection, before: Entry, after: Entry) -> list[str]:
    """Make a collection declare other vectors: see `Backend.declare`.

    Returns:
        The tokens of shortlists that went with their vectors.
    """
    kept = {one.number: one for one in after.vectors}
    tokens = []
    for one in before.vectors:
        if one.number not in kept:
            tokens += _drop_vector(connection, one)
        elif kept[one.number] != one:
            connection.execute(
                "UPDATE lookalike_vectors SET ready = ?, becomes_default = ? WHERE vector = ?",
                (kept[one.number].info.ready, kept[one.number].info.becomes_default, one.number),
            )
    vectors = [
        _add_vector(connection, before.key, one.info) if one.number == NEW else one for one in after.vectors
    ]
    connection.execute(
        "UPDATE lookalike_collections SET default_vector = ? WHERE collection = ?",
        (after.default, before.key),
    )
    _seal(connection, before.key)
    create_view(connection, replace(after, vectors=tuple(vectors)))
    return tokens


def rename_collection(connection: sqlite3.Connection, entry: Entry, name: str) -> None:
    """Give a collection another name, and its view with it.

    Raises:
        CollectionExists: another has that name.
    """
    other = find_entry(connection, name)
    if other is not None and other.key != entry.key:
        raise CollectionExists(other.name)
    drop_view(connection, entry.name)
    connection.execute(
        "UPDATE lookalike_collections SET name = ?, same_name = ? WHERE collection = ?",
        (name, same_name(name), entry.key),
    )
    _seal(connection, entry.key)
    create_view(connection, replace(entry, name=name))


def remove_collection(connection: sqlite3.Connection, entry: Entry) -> list[str]:
    """Remove a collection with all that belongs to it, and return the tokens of the shortlists it had."""
    drop_view(connection, entry.name)
    drop_words(connection, entry.key)
    tokens = [token for one in entry.vectors for token in _drop_vector(connection, one)]
    connection.executemany(
        "DELETE FROM lookalike_values WHERE field = ?",
        ((field,) for field in field_numbers(connection, entry.key).values()),
    )
    connection.execute(
        f"DELETE FROM lookalike_records WHERE record IN ({RECORDS})",  # noqa: S608 our own condition
        (entry.key,),
    )
    remove_keys(connection, entry.key)
    for table in ("fields", "collections"):
        connection.execute(f"DELETE FROM lookalike_{table} WHERE collection = ?", (entry.key,))  # noqa: S608
    return tokens


def read_metric(connection: sqlite3.Connection, vector: VectorEntry) -> bytes | None:
    """Return what was last kept as the metric of a vector, None for none."""
    row = connection.execute(
        "SELECT metric FROM lookalike_metrics WHERE vector = ?", (vector.number,)
    ).fetchone()
    return None if row is None else bytes(row[0])


def write_metrics(connection: sqlite3.Connection, collection: int, metrics: Mapping[Space, bytes]) -> None:
    """Keep the metrics of the vectors of these spaces, which a collection declares."""
    for number, _, _, *said in _vector_rows(connection, collection):
        space = Space(*said[:4])
        if space in metrics:
            connection.execute(
                "REPLACE INTO lookalike_metrics (vector, metric) VALUES (?, ?)", (number, metrics[space])
            )


def vector_revision(connection: sqlite3.Connection, vector: int) -> int | None:
    """Return the revision of a vector, None where it is gone."""
    row = connection.execute("SELECT revision FROM lookalike_vectors WHERE vector = ?", (vector,)).fetchone()
    return None if row is None else int(row[0])


def revisions(connection: sqlite3.Connection, entry: Entry) -> dict[What, int | None]:
    """Return the revisions of a collection and of its vectors, as a transaction sees them."""
    now = read_entry(connection, entry.key)
    found = {of_vector(one.number): vector_revision(connection, one.number) for one in entry.vectors}
    return {of_collection(entry): None if now is None else now.revision, **found}


def _add_vector(connection: sqlite3.Connection, collection: int, info: VectorInfo) -> VectorEntry:
    row = {"collection": collection, **vector_columns(info)}
    statement = f"{insert_statement('lookalike_vectors', row)} RETURNING vector"
    ((number,),) = connection.execute(statement, row).fetchall()
    make_vector_table(connection, number)
    return VectorEntry(number, info)


def _drop_vector(connection: sqlite3.Connection, vector: VectorEntry) -> list[str]:
    drop_vector_table(connection, vector.number)
    for table in ("metrics", "shortlists", "changes", "vectors"):
        connection.execute(f"DELETE FROM lookalike_{table} WHERE vector = ?", (vector.number,))  # noqa: S608
    return [] if vector.index is None else [vector.index]


def _collection_rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    statement = f"SELECT {_COLLECTION}, checksum, revision FROM lookalike_collections"  # noqa: S608 our own
    return connection.execute(statement).fetchall()


def _vector_rows(connection: sqlite3.Connection, collection: object) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT {_VECTOR}, token, kind, recall, k, queries FROM lookalike_vectors AS v"  # noqa: S608 our own
        " LEFT JOIN lookalike_shortlists AS s USING (vector) WHERE v.collection = ? ORDER BY v.vector",
        (collection,),
    ).fetchall()


def _entry(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Entry:
    *said, checksum, revision = row
    rows = _vector_rows(connection, said[0])
    if _catalog_checksum(said, rows) != checksum:
        raise DamagedCatalog
    return Entry(said[0], said[1], tuple(map(_vector_entry, rows)), said[3], revision)


def _vector_entry(row: tuple[Any, ...]) -> VectorEntry:
    number, _, name, *space, ready, becomes_default, token, kind, recall, k, queries = row
    approximation = None if token is None else Approximation(kind, recall, k, queries)
    info = VectorInfo(name, Space(*space), bool(ready), bool(becomes_default), approximation)
    return VectorEntry(number, info, token)


def _catalog_checksum(said: Sequence[Any], vectors: Sequence[Sequence[Any]]) -> bytes:
    words = [*said, *(word for row in vectors for word in row[:_SAID])]
    return content_checksum("\0".join(map(str, words)).encode("utf-8", "surrogatepass"))


def _seal(connection: sqlite3.Connection, collection: int) -> None:
    """Write the checksum of what the catalogue says of a collection now."""
    said = connection.execute(
        f"SELECT {_COLLECTION} FROM lookalike_collections WHERE collection = ?",  # noqa: S608 our own
        (collection,),
    ).fetchone()
    connection.execute(
        "UPDATE lookalike_collections SET checksum = ? WHERE collection = ?",
        (_catalog_checksum(said, _vector_rows(connection, collection)), collection),
    )
