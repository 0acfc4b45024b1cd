"""Which records of a SQLite store have an id, or a file of a digest: what is written at random places.

Ids and digests are hashes, so the records of a batch stand all over these two trees. Of 2,000,000 records a
batch of 5,000 changed 5,800 of their 8,300 pages, each of which is written to the log and then into the file,
and writing was half as fast as at first. What is new is therefore kept apart first (`recent` is 1), on few
pages, and goes to its place among the others (0) in one go, in their order, when it has become much: as in a
log-structured merge tree of two levels (O'Neil and others, Acta Informatica 33, 1996).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

KEYED = "recent IN (0, 1) AND collection = ?"
"""The condition on all keys of a collection, old and recent."""

RECORDS = f"SELECT record FROM lookalike_ids WHERE {KEYED}"  # noqa: S608 our own condition
"""The numbers of all records of a collection, in no order; a condition on their ids may follow."""

_TABLES = ("ids", "digests")

DIGEST_BEGINNING = 8
"""Characters of a digest that are kept: they tell nearly all apart, and take a fifth of the pages."""

# Keys are moved each time that so many times the square root of the records came: many recent ones make each
# batch change more pages, few make the moves frequent, each of which changes nearly all. Measured up to
# 2,000,000 records in batches of 5,000.
_ROOTS = 64


def numbers_by_id(connection: sqlite3.Connection, collection: int, limit: int = -1) -> sqlite3.Cursor:
    """Return number and id of the records of a collection, by rising id.

    Args:
        connection: its open transaction sees the collection.
        collection: its number.
        limit: records, at most; below 0 all.
    """
    # Two parts, each in order, are merged; asked for at once, all would be sorted.
    parts = (
        f"SELECT record, id FROM lookalike_ids WHERE recent = {part} AND collection = :collection"  # noqa: S608
        for part in (0, 1)
    )
    return connection.execute(
        f"{' UNION ALL '.join(parts)} ORDER BY id LIMIT :limit", {"collection": collection, "limit": limit}
    )


def ids_by_digest(connection: sqlite3.Connection, collection: int, digest: str) -> list[str]:
    """Return the ids of the records of a collection whose file has a digest, rising."""
    rows = connection.execute(
        "SELECT id FROM lookalike_records WHERE digest = ? AND record IN"  # noqa: S608 our own condition
        f" (SELECT record FROM lookalike_digests WHERE {KEYED} AND beginning = ?) ORDER BY id",
        (digest, collection, digest[:DIGEST_BEGINNING]),
    )
    return [identity for (identity,) in rows]


def add_ids(connection: sqlite3.Connection, collection: int, ids: Iterable[tuple[int, str]]) -> None:
    """Add the ids of records, by number, that are new."""
    connection.executemany(
        "INSERT INTO lookalike_ids (recent, collection, id, record) VALUES (1, ?, ?, ?)",
        ((collection, identity, number) for number, identity in ids),
    )


def add_digests(connection: sqlite3.Connection, collection: int, digests: Iterable[tuple[int, str]]) -> None:
    """Add the digests of records, by number."""
    connection.executemany(
        # One may be there: of a record whose digest was damaged, so that it was not removed.
        "INSERT OR IGNORE INTO lookalike_digests (recent, collection, beginning, record) VALUES (1, ?, ?, ?)",
        ((collection, digest[:DIGEST_BEGINNING], number) for number, digest in digests),
    )


def remove_ids(connection: sqlite3.Connection, collection: int, ids: Iterable[str]) -> None:
    """Remove ids."""
    connection.executemany(
        f"DELETE FROM lookalike_ids WHERE {KEYED} AND id = ?",  # noqa: S608 our own condition
        ((collection, identity) for identity in ids),
    )


def remove_digests(
    connection: sqlite3.Connection, collection: int, digests: Iterable[tuple[int, str]]
) -> None:
    """Remove the digests that records, by number, had."""
    connection.executemany(
        f"DELETE FROM lookalike_digests WHERE {KEYED} AND beginning = ? AND record = ?",  # noqa: S608 our own
        ((collection, digest[:DIGEST_BEGINNING], number) for number, digest in digests),
    )


def remove_keys(connection: sqlite3.Connection, collection: int) -> None:
    """Remove all keys of a collection."""
    for table in _TABLES:
        connection.execute(f"DELETE FROM lookalike_{table} WHERE {KEYED}", (collection,))  # noqa: S608


def settle_keys(connection: sqlite3.Connection, before: int, last: int) -> None:
    """Move the recent keys to their places where they have become many.

    Args:
        connection: in a transaction that writes.
        before: the last record's number before it.
        last: the last record's number now.
    """
    # A power of 2, so that its multiples stay where they are while it grows.
    step = 1 << (_ROOTS * math.isqrt(last)).bit_length()
    if before // step == last // step:
        return
    # Of a record that another program took away the id was left here, and it may have come again.
    again = connection.execute(
        "SELECT old.collection, old.id FROM lookalike_ids AS new CROSS JOIN lookalike_ids AS old"
        " USING (collection, id) WHERE new.recent = 1 AND old.recent = 0"
    ).fetchall()
    connection.executemany("DELETE FROM lookalike_ids WHERE recent = 0 AND collection = ? AND id = ?", again)
    for table, columns in zip(_TABLES, ("id, record", "beginning, record"), strict=True):
        # OR ROLLBACK: to be able to undo this statement alone, SQLite would copy every page that it changes.
        connection.execute(
            f"INSERT OR ROLLBACK INTO lookalike_{table} (recent, collection, {columns})"  # noqa: S608 our own
            f" SELECT 0, collection, {columns} FROM lookalike_{table} WHERE recent = 1"
            f" ORDER BY collection, {columns}"
        )
        connection.execute(f"DELETE FROM lookalike_{table} WHERE recent = 1")  # noqa: S608 our own name
