"""Records, their labels and their vectors in the tables of a SQLite store."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lookalike.checksums import vector_checksum
from lookalike.stores.batches import chunks
from lookalike.stores.sqlite.encoding import text_bytes
from lookalike.stores.sqlite.keys import (
    RECORDS,
    add_digests,
    add_ids,
    remove_digests,
    remove_ids,
    settle_keys,
)
from lookalike.stores.sqlite.schema import vector_table
from lookalike.stores.sqlite.views import add_fields, field_numbers
from lookalike.stores.sqlite.words import put_words, remove_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.sqlite.filters import Numbers
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Fields, Record, Vectors

Row: TypeAlias = "tuple[Any, ...]"

RECORD_COLUMNS = "id, uri, digest, fields, metadata, size, modified_ns, file_checksum, labels_checksum"
"""Those of `verification.read_record`."""

# Below the 32,766 parameters that a statement may have (sqlite.org/limits.html, section 9).
_CHUNK = 1000
# Sorted by SQLite, many ids are looked up on pages that are near each other.
_LOOKED_UP = 10_000


def select_by_id(
    connection: sqlite3.Connection, collection: int, columns: str, ids: Sequence[str]
) -> Iterator[Row]:
    """Yield these columns of the records that have one of the ids, in no order."""
    for some in chunks(ids, _LOOKED_UP):
        yield from connection.execute(
            f"SELECT {columns} FROM lookalike_records WHERE record IN"  # noqa: S608 columns and marks are our own
            f" ({RECORDS} AND id IN ({', '.join('?' * len(some))}))",
            (collection, *some),
        )


def select_by_number(connection: sqlite3.Connection, columns: str, numbers: Collection[int]) -> Iterator[Row]:
    """Yield these columns of the records that have one of the numbers, in no order."""
    for some in chunks(list(numbers), _CHUNK):
        yield from connection.execute(
            f"SELECT {columns} FROM lookalike_records WHERE record IN ({', '.join('?' * len(some))})",  # noqa: S608
            some,
        )


class VectorColumns(NamedTuple):
    """A vector of some records as it is stored, in parallel columns, by rising number of the record."""

    numbers: Sequence[int]
    ids: Sequence[str]
    checksums: Sequence[Any]
    contents: Sequence[Any]


def select_vectors(
    connection: sqlite3.Connection, vector: VectorEntry, keys: Keys
) -> Iterator[VectorColumns]:
    """Yield a vector of records, some at a time; one that lacks it is left out.

    Numbers stand in the file one after the other, ids do not: so it is read once, from front to back.

    Args:
        connection: its open transaction sees the records.
        vector: which one.
        keys: of the records.
    """
    for start in range(0, len(keys.numbers), _CHUNK):
        numbers, ids = keys.numbers[start : start + _CHUNK], keys.ids[start : start + _CHUNK]
        rows = connection.execute(
            f"SELECT record, checksum, vector FROM {vector_table(vector.number)}"  # noqa: S608 marks are our own
            f" WHERE record IN ({', '.join('?' * len(numbers))}) ORDER BY record",
            numbers,
        ).fetchall()
        if not rows:
            continue
        found, checksums, contents = zip(*rows, strict=True)
        if len(rows) < len(ids):
            known = dict(zip(numbers, ids, strict=True))
            ids = [known[number] for number in found]
        yield VectorColumns(found, ids, checksums, contents)


class Keys(NamedTuple):
    """Records by number, rising, with their ids."""

    numbers: list[int]
    ids: list[str]


def keys_of(pairs: Iterable[Row]) -> Keys:
    """Return numbers and ids of records in order of their numbers."""
    rising = sorted(pairs)
    return Keys([number for number, _ in rising], [identity for _, identity in rising])


def record_keys(connection: sqlite3.Connection, numbers: Sequence[int]) -> Keys:
    """Return the keys of the records with these numbers that are there."""
    return keys_of(select_by_number(connection, "record, id", numbers))


def put_records(
    connection: sqlite3.Connection,
    entry: Entry,
    records: Sequence[StoredRecord],
    given: Sequence[tuple[VectorEntry, Vectors]],
) -> list[int]:
    """Insert records with all their vectors, or replace those of the same id, and return their numbers."""
    raise_revision(connection, entry)
    known = {
        identity: (number, digest)
        for identity, number, digest in select_by_id(
            connection, entry.key, "id, record, digest", [one.id for one in records]
        )
    }
    # Rows that are known are removed and written anew: where SQLite replaces one, it notes how all pages were
    # that it changes.
    _remove_rows(connection, entry, [number for number, _ in known.values()], [one for one, _ in given])
    last = _last_number(connection)
    rising = itertools.count(last + 1)
    numbers = {one.id: known[one.id][0] if one.id in known else next(rising) for one in records}
    connection.executemany(
        "INSERT INTO lookalike_records (record, collection, id, uri, path, digest, size, modified_ns,"
        " labels_digest, fields, metadata, labels_checksum, file_checksum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                numbers[one.id],
                entry.key,
                one.id,
                one.record.uri,
                one.path,
                one.record.digest,
                one.record.size,
                one.record.modified_ns,
                *_label_columns(one.labels),
                one.checksum,
            )
            for one in records
        ),
    )
    add_ids(connection, entry.key, ((numbers[one.id], one.id) for one in records if one.id not in known))
    changed = [one for one in records if known.get(one.id, (0, None))[1] != one.record.digest]
    remove_digests(connection, entry.key, (known[one.id] for one in changed if one.id in known))
    add_digests(connection, entry.key, ((numbers[one.id], one.record.digest) for one in changed))
    settle_keys(connection, last, next(rising) - 1)
    _add_values(connection, entry, {numbers[one.id]: one.labels.fields for one in records})
    for replace in (True, False):
        some = (one for one in records if (one.id in known) is replace)
        words = ((numbers[one.id], one.record.uri, one.labels) for one in some)
        put_words(connection, entry.key, words, replace=replace)
    for vector, rows in given:
        _add_vectors(connection, vector, [(number, identity) for identity, number in numbers.items()], rows)
    return list(numbers.values())


def fill_vector(
    connection: sqlite3.Connection,
    entry: Entry,
    vector: VectorEntry,
    records: Sequence[Record],
    vectors: Vectors,
) -> int:
    """Give a vector to those records that are there with that digest and lack it, and return how many."""
    found = select_by_id(connection, entry.key, "id, digest, record", [one.id for one in records])
    numbers = {(identity, digest): number for identity, digest, number in found}
    there = [row for row, one in enumerate(records) if (one.id, one.digest) in numbers]
    keys = [(numbers[records[row].id, records[row].digest], records[row].id) for row in there]
    return _add_vectors(connection, vector, keys, vectors[there])


def _add_vectors(
    connection: sqlite3.Connection, vector: VectorEntry, keys: Sequence[tuple[int, str]], vectors: Vectors
) -> int:
    """Insert a vector of records, by number and id, that lack it, and return how many rows were written."""
    _note_changes(connection, vector, [number for number, _ in keys])
    return connection.executemany(
        f"INSERT OR IGNORE INTO {vector_table(vector.number)} (record, checksum, vector)"  # noqa: S608
        " VALUES (?, ?, ?)",
        (
            (number, vector_checksum(identity, content := row.tobytes()), content)
            for (number, identity), row in zip(keys, vectors.astype("<f4", copy=False), strict=True)
        ),
    ).rowcount


def record_numbers(connection: sqlite3.Connection, entry: Entry) -> Numbers:
    """Return the numbers of all records, rising."""
    rows = connection.execute(RECORDS, (entry.key,))
    numbers = np.fromiter((number for (number,) in rows), np.int64)
    numbers.sort()
    return numbers


def lacking_numbers(connection: sqlite3.Connection, entry: Entry, vector: VectorEntry) -> Numbers:
    """Return the numbers of the records that lack a vector, rising."""
    every = record_numbers(connection, entry)
    table = vector_table(vector.number)
    rows = connection.execute(f"SELECT record FROM {table} INDEXED BY {table}_records")  # noqa: S608
    there = np.fromiter((number for (number,) in rows), np.int64)
    return np.setdiff1d(every, there, assume_unique=True)


def put_labels(connection: sqlite3.Connection, entry: Entry, labels: Sequence[StoredLabels]) -> list[int]:
    """Replace fields and metadata of the records that are there, and return their numbers."""
    raise_revision(connection, entry)
    rows = select_by_id(connection, entry.key, "id, record, uri", [one.id for one in labels])
    there = {identity: (number, uri) for identity, number, uri in rows}
    known = [(*there[one.id], one) for one in labels if one.id in there]
    connection.executemany(
        "UPDATE lookalike_records SET labels_digest = ?, fields = ?, metadata = ?, labels_checksum = ?"
        " WHERE record = ?",
        ((*_label_columns(one), number) for number, _, one in known),
    )
    numbers = [number for number, _, _ in known]
    _remove_values(connection, entry.key, numbers)
    _add_values(connection, entry, {number: one.fields for number, _, one in known})
    put_words(connection, entry.key, known, replace=True)
    return numbers


def remove_records(connection: sqlite3.Connection, entry: Entry, ids: Sequence[str]) -> list[int]:
    """Remove the records that have one of the ids and return their numbers."""
    raise_revision(connection, entry)
    known = list(select_by_id(connection, entry.key, "record, digest, id", ids))
    numbers = [number for number, _, _ in known]
    for vector in entry.vectors:
        _note_changes(connection, vector, numbers)
    _remove_rows(connection, entry, numbers, entry.vectors)
    remove_words(connection, entry.key, numbers)
    remove_digests(connection, entry.key, ((number, digest) for number, digest, _ in known))
    remove_ids(connection, entry.key, (identity for _, _, identity in known))
    return numbers


def _remove_rows(
    connection: sqlite3.Connection, entry: Entry, numbers: Sequence[int], vectors: Sequence[VectorEntry]
) -> None:
    """Remove records, by number, with values and these vectors, but neither their words nor their keys."""
    _remove_values(connection, entry.key, numbers)
    tables = ("lookalike_records", *(vector_table(vector.number) for vector in vectors))
    for table in tables:
        connection.executemany(f"DELETE FROM {table} WHERE record = ?", ((each,) for each in numbers))  # noqa: S608


def raise_revision(connection: sqlite3.Connection, entry: Entry) -> None:
    """Let everybody know that the records of a collection change in this transaction."""
    connection.execute(
        "UPDATE lookalike_collections SET revision = revision + 1 WHERE collection = ?", (entry.key,)
    )


def _last_number(connection: sqlite3.Connection) -> int:
    """Return the highest number that a record ever had, 0 where none has been."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'lookalike_records'").fetchone()
    return 0 if row is None else int(row[0])


def _note_changes(connection: sqlite3.Connection, vector: VectorEntry, records: Sequence[int]) -> None:
    """Note whose vectors came, changed or went: by the revision, and each for a vector with a shortlist."""
    connection.execute(
        "UPDATE lookalike_vectors SET revision = revision + 1 WHERE vector = ?", (vector.number,)
    )
    has_shortlist = "SELECT 1 FROM lookalike_shortlists WHERE vector = ?"
    if connection.execute(has_shortlist, (vector.number,)).fetchone() is None:
        return
    connection.executemany(
        "INSERT OR IGNORE INTO lookalike_changes (vector, revision, record)"
        " SELECT vector, revision, ? FROM lookalike_vectors WHERE vector = ?",
        ((record, vector.number) for record in records),
    )


def _add_values(connection: sqlite3.Connection, entry: Entry, fields: Mapping[int, Fields]) -> None:
    """Make `lookalike_values` say the fields of these records, by number, of whom it says nothing."""
    names = (name for record_fields in fields.values() for name in record_fields)
    numbers = add_fields(connection, entry, names)
    rows = [
        (numbers[name], record, value)
        for record, record_fields in fields.items()
        for name, value in record_fields.items()
    ]
    connection.executemany(
        "INSERT INTO lookalike_values (field, record, boolean, value) VALUES (?, ?, 0, CAST(? AS TEXT))",
        ((field, record, text_bytes(value)) for field, record, value in rows if isinstance(value, str)),
    )
    connection.executemany(
        "INSERT INTO lookalike_values (field, record, boolean, value) VALUES (?, ?, ?, ?)",
        (
            (field, record, isinstance(value, bool), value)
            for field, record, value in rows
            if not isinstance(value, str)
        ),
    )


def _remove_values(connection: sqlite3.Connection, collection: int, records: Sequence[int]) -> None:
    fields = list(field_numbers(connection, collection).values())
    connection.executemany(
        "DELETE FROM lookalike_values WHERE field = ? AND record = ?",
        ((field, record) for field in fields for record in records),
    )


def _label_columns(labels: StoredLabels) -> tuple[str, str, str, bytes]:
    return labels.digest, labels.fields_text, labels.metadata_text, labels.checksum
