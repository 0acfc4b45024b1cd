"""Full-text search in a SQLite store: an FTS5 table a collection, whose rows have the records' numbers.

The words are split before (`wording`), so that FTS5 only has to see the spaces between them: its tokenizer
`ascii` takes every character beyond ASCII for a part of a word (sqlite.org/fts5.html, section 4.3.2). Each
collection has a table of its own, so that the words of one do not weigh in the other. FTS5 keeps the words
as they were given, beside the index: to remove a row it must know them, and a later Python may split the same
text otherwise.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.stores.stored import StoredLabels


def create_words(connection: sqlite3.Connection, collection: int) -> None:
    """Make the empty table of a collection's words."""
    # The id breaks ties; in the table of records each would stand on a page of its own, beside a vector.
    connection.execute(
        f"CREATE VIRTUAL TABLE {_table(collection)} USING fts5 (id UNINDEXED, words, tokenize = 'ascii')"
    )


def drop_words(connection: sqlite3.Connection, collection: int) -> None:
    """Drop the table of a collection's words."""
    connection.execute(f"DROP TABLE {_table(collection)}")


def put_words(
    connection: sqlite3.Connection,
    collection: int,
    labels: Iterable[tuple[int, str, StoredLabels]],
    *,
    replace: bool,
) -> None:
    """Make the words of records what their labels say.

    Args:
        connection: in a transaction that writes.
        collection: the number of the collection.
        labels: number, uri and labels of each record.
        replace: whether they have words here. SQLite then notes for each how all pages were that it changes.
    """
    connection.executemany(
        f"{'REPLACE' if replace else 'INSERT'} INTO {_table(collection)} (rowid, id, words) VALUES (?, ?, ?)",  # noqa: S608
        ((number, one.id, one.words(uri)) for number, uri, one in labels),
    )


def remove_words(connection: sqlite3.Connection, collection: int, numbers: Iterable[int]) -> None:
    """Remove the words of the records of these numbers."""
    connection.executemany(
        f"DELETE FROM {_table(collection)} WHERE rowid = ?",  # noqa: S608 our own number
        ((number,) for number in numbers),
    )


def ids_by_words(
    connection: sqlite3.Connection, collection: int, terms: Sequence[str], k: int, matches: Numbers | None
) -> list[str]:
    """Return the ids of the records that have any of the words, best first by BM25, then by id.

    Args:
        connection: its open transaction sees the collection.
        collection: the number of the collection.
        terms: from `query_terms`, at least one.
        k: ids, at most.
        matches: numbers of the records that count, None for all.
    """
    table = _table(collection)
    rows = connection.execute(
        f"SELECT rowid, id FROM {table} WHERE {table} MATCH ? ORDER BY rank, id LIMIT ?",  # noqa: S608
        # In quotes a word is no operator; none has a quote in it.
        (" OR ".join(f'"{term}"' for term in terms), -1 if matches is not None else min(k, sys.maxsize)),
    )
    if matches is None:
        return [identity for _, identity in rows]
    wanted = set(matches.tolist())
    found: list[str] = []
    for number, identity in rows:
        if number in wanted:
            found.append(identity)
            if len(found) == k:
                break
    return found


def _table(collection: int) -> str:
    return f"lookalike_words_{collection:d}"
