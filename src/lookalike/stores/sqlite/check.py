"""Whether the file of a SQLite store is sound, and its tables say what the records do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lookalike.checksums import file_checksum, labels_checksum
from lookalike.stores.damage import StructureFault
from lookalike.stores.sqlite.catalog import read_entries
from lookalike.stores.sqlite.encoding import quoted
from lookalike.stores.sqlite.keys import DIGEST_BEGINNING, KEYED
from lookalike.stores.sqlite.shortlist.building import reading_apart
from lookalike.stores.sqlite.views import field_numbers, view_query

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from lookalike.stores.entry import Entry
    from lookalike.stores.sqlite.connection import SqliteFile

# Lines of SQLite's own check that are passed on.
_LINES = 20


def check_structure(file: SqliteFile) -> list[StructureFault]:
    """Return what is wrong with a file, which is there.

    Raises:
        StoreError: it cannot be read.
    """
    with reading_apart(file) as connection:
        faults = [
            StructureFault(None, None, f"SQLite finds its file damaged: {' '.join(str(line).split())}")
            for (line,) in connection.execute(f"PRAGMA integrity_check({_LINES:d})")
            if line != "ok"
        ]
        entries = read_entries(connection)
        for entry in entries:
            faults += _check_collection(connection, entry)
        collections = ", ".join(str(entry.key) for entry in entries) or "0"
        vectors = ", ".join(str(one.number) for entry in entries for one in entry.vectors) or "0"
        for table, column, known in (
            ("lookalike_records", "collection", collections),
            ("lookalike_ids", "collection", collections),
            ("lookalike_digests", "collection", collections),
            ("lookalike_fields", "collection", collections),
            ("lookalike_vectors", "collection", collections),
            ("lookalike_metrics", "vector", vectors),
        ):
            (lost,) = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {column} NOT IN ({known})"  # noqa: S608 our own numbers
            ).fetchone()
            if lost:
                faults.append(StructureFault(None, None, f"{lost:,} rows of {table} belong to no collection"))
        return faults


def _check_collection(connection: sqlite3.Connection, entry: Entry) -> Iterator[StructureFault]:
    number, name = entry.key, entry.name
    view = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?", (name,)
    ).fetchone()
    wanted = f"CREATE VIEW {quoted(name)} AS {view_query(connection, entry)}"
    if view is None or view[0] != wanted:
        yield StructureFault(name, None, "its view is not as it was made, and SQL may answer wrongly")
    yield from _check_keys(connection, number, name)
    words = dict(connection.execute(f"SELECT rowid, id FROM lookalike_words_{number:d}"))  # noqa: S608
    values = _values(connection, number)
    rows = connection.execute(
        "SELECT record, id, fields, metadata, labels_checksum FROM lookalike_records WHERE collection = ?"
        " ORDER BY record",
        (number,),
    )
    for record, identity, fields, metadata, checksum in rows:
        if words.pop(record, None) != identity:
            yield StructureFault(name, str(identity), "a search for words does not know it, or another")
        repeated = values.pop(record, {})
        if labels_checksum(str(identity), str(fields), str(metadata)) != checksum:
            continue  # the record is damaged, and told by who reads it
        if repeated != {key: (isinstance(value, bool), value) for key, value in json.loads(fields).items()}:
            yield StructureFault(name, str(identity), "filters and SQL compare other fields than it has")
    if words or values:
        count = len(words.keys() | values.keys())
        yield StructureFault(name, None, f"words or fields of {count:,} records that are not there")


def _check_keys(connection: sqlite3.Connection, collection: int, name: str) -> Iterator[StructureFault]:
    (count,) = connection.execute(
        "SELECT count(*) FROM lookalike_records WHERE collection = ?", (collection,)
    ).fetchone()
    ids, right = connection.execute(
        f"SELECT count(*), count(r.record) FROM (SELECT * FROM lookalike_ids WHERE {KEYED}) AS i"  # noqa: S608
        " LEFT JOIN lookalike_records AS r USING (record, id, collection)",
        (collection,),
    ).fetchone()
    if not count == ids == right:
        said = f"it has {ids:,} ids for {count:,} records, {right:,} of which lead to their own"
        yield StructureFault(name, None, said)
    rows = connection.execute(
        "SELECT id, uri, digest, size, modified_ns, file_checksum FROM lookalike_records AS r"  # noqa: S608 our own
        f" WHERE collection = ? AND record NOT IN (SELECT record FROM lookalike_digests WHERE {KEYED}"
        f" AND beginning = substr(r.digest, 1, {DIGEST_BEGINNING:d}))",
        (collection, collection),
    )
    # A record that is damaged itself is told by who reads it.
    lost = sum(file_checksum(*said) == checksum for *said, checksum in rows)
    if lost:
        yield StructureFault(name, None, f"{lost:,} records are not found by the digest of their file")


def _values(connection: sqlite3.Connection, collection: int) -> dict[int, dict[str, tuple[bool, object]]]:
    """Return what `lookalike_values` holds of each record: whether a value is a boolean, and the value."""
    found: dict[int, dict[str, tuple[bool, object]]] = {}
    for name, field in field_numbers(connection, collection).items():
        rows = connection.execute(
            "SELECT record, boolean, value FROM lookalike_values WHERE field = ?", (field,)
        )
        for record, boolean, value in rows:
            found.setdefault(record, {})[name] = (bool(boolean), value)
    return found
