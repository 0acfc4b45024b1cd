"""How records, labels and filters look in the tables of a SQLite store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote_to_bytes

from lookalike.checksums import file_checksum, labels_checksum, vector_checksum
from lookalike.file_names import readable
from lookalike.label_normalisation import labels_digest
from lookalike.stores.batches import chunks
from lookalike.stores.checks import metadata_text, same_name
from lookalike.stores.sql import sql_text
from lookalike.stores.sqlite.schema import read_catalog, read_catalog_row
from lookalike.stores.sqlite.text import text_bytes
from lookalike.stores.sqlite.views import add_fields, field_numbers
from lookalike.stores.sqlite.words import put_words, remove_words
from lookalike.types import (
    Approximation,
    CollectionInfo,
    Record,
    Space,
)
from lookalike.uris import (
    local_path,
    uri_path,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from typing import Any

    from lookalike.types import Fields, Metadata, Vectors

Row: TypeAlias = "tuple[Any, ...]"

RECORD_COLUMNS = "id, uri, digest, fields, metadata, size, modified_ns, file_checksum, labels_checksum"
"""Those of `verification.read_record`."""

# Below the 32,766 parameters that a statement may have (sqlite.org/limits.html, section 9).
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Counted:
    """What a collection held at one revision."""

    revision: int
    count: int
    fields: tuple[str, ...]


def select_by_id(
    connection: sqlite3.Connection, collection: int, columns: str, ids: Sequence[str]
) -> Iterator[Row]:
    """Yield these columns of the records that have one of the ids, in no order."""
    # Ids are ASCII: other text is the id of nothing, and sqlite3 cannot bind all of it.
    for some in chunks([name for name in dict.fromkeys(ids) if name.isascii()], _CHUNK):
        yield from connection.execute(
            f"SELECT {columns} FROM lookalike_records"  # noqa: S608 columns and marks are our own
            f" WHERE collection = ? AND id IN ({', '.join('?' * len(some))})",
            (collection, *some),
        )


def collection_number(connection: sqlite3.Connection, name: str) -> int | None:
    """Return the number of a collection, None where there is none of that name."""
    row = read_catalog_row(connection, same_name(name))
    return None if row is None else row.collection


def collection_names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all collections."""
    return [row.name for row in read_catalog(connection)]


def read_space(connection: sqlite3.Connection, number: int) -> CollectionInfo:
    """Return the name and the space of the collection of a number that there is, and no more."""
    name, *space = connection.execute(
        "SELECT name, embedder, embedder_fingerprint, dimension, metric_fingerprint"
        " FROM lookalike_collections WHERE collection = ?",
        (number,),
    ).fetchone()
    return CollectionInfo(name, Space(*space), 0, ())


def read_revision(connection: sqlite3.Connection, number: int) -> int | None:
    """Return the revision of a collection, None where there is none of that number."""
    row = connection.execute(
        "SELECT revision FROM lookalike_collections WHERE collection = ?", (number,)
    ).fetchone()
    return None if row is None else row[0]


def read_collection(
    connection: sqlite3.Connection, number: int, known: dict[int, Counted] | None = None
) -> CollectionInfo:
    """Return the collection of a number that there is.

    Args:
        connection: a connection that reads.
        number: of the collection.
        known: what was counted before, by the number of the collection, which is looked up and added to: to
            count a million records takes longer than to search them. Only for transactions that change
            nothing: a revision that is not committed never was.
    """
    revision, token, name, *parts = connection.execute(
        "SELECT revision, token, name, embedder, embedder_fingerprint, dimension, metric_fingerprint,"
        " kind, recall, k, queries"
        " FROM lookalike_collections LEFT JOIN lookalike_shortlists USING (collection) WHERE collection = ?",
        (number,),
    ).fetchone()
    counted = None if known is None else known.get(number)
    if counted is None or counted.revision != revision:
        (count,) = connection.execute(
            "SELECT count(*) FROM lookalike_records WHERE collection = ?", (number,)
        ).fetchone()
        counted = Counted(revision, count, tuple(sorted(field_numbers(connection, number))))
        if known is not None:
            known[number] = counted
    return CollectionInfo(
        name,
        Space(*parts[:4]),
        counted.count,
        counted.fields,
        None if token is None else Approximation(*parts[4:]),
    )


def put_records(
    connection: sqlite3.Connection, collection: int, records: Sequence[Record], vectors: Vectors
) -> None:
    """Insert records, or replace those of the same id."""
    connection.executemany(
        "INSERT INTO lookalike_records (collection, id, uri, path, digest, size, modified_ns, labels_digest,"
        " fields, metadata, labels_checksum, file_checksum, vector_checksum, vector)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (collection, id) DO UPDATE SET uri = excluded.uri, path = excluded.path,"
        " digest = excluded.digest, size = excluded.size, modified_ns = excluded.modified_ns,"
        " labels_digest = excluded.labels_digest, fields = excluded.fields, metadata = excluded.metadata,"
        " labels_checksum = excluded.labels_checksum, file_checksum = excluded.file_checksum,"
        " vector_checksum = excluded.vector_checksum, vector = excluded.vector",
        (
            (
                collection,
                record.id,
                record.uri,
                _readable_path(record.uri),
                record.digest,
                record.size,
                record.modified_ns,
                *_label_columns(record.id, record.fields, record.metadata),
                file_checksum(record.id, record.uri, record.digest, record.size, record.modified_ns),
                vector_checksum(record.id, content := vector.tobytes()),
                content,
            )
            for record, vector in zip(records, vectors.astype("<f4", copy=False), strict=True)
        ),
    )
    numbers: dict[str, int] = dict(
        select_by_id(connection, collection, "id, record", [record.id for record in records])
    )
    _put_values(connection, collection, {numbers[record.id]: record.fields for record in records})
    put_words(
        connection,
        collection,
        ((numbers[one.id], one.id, one.uri, one.fields, one.metadata) for one in records),
    )
    _note_changes(connection, collection, list(numbers.values()))


def put_labels(
    connection: sqlite3.Connection, collection: int, labels: Sequence[tuple[str, Fields, Metadata]]
) -> None:
    """Replace fields and metadata of the records that are there."""
    ids = [identity for identity, _, _ in labels]
    there = {row[0]: row for row in select_by_id(connection, collection, "id, record, uri", ids)}
    known = {there[label[0]][1]: label for label in labels if label[0] in there}
    connection.executemany(
        "UPDATE lookalike_records SET labels_digest = ?, fields = ?, metadata = ?, labels_checksum = ?"
        " WHERE record = ?",
        ((*_label_columns(*label), number) for number, label in known.items()),
    )
    _put_values(connection, collection, {number: fields for number, (_, fields, _) in known.items()})
    put_words(
        connection,
        collection,
        (
            (number, identity, there[identity][2], fields, metadata)
            for number, (identity, fields, metadata) in known.items()
        ),
    )


def remove_records(connection: sqlite3.Connection, collection: int, ids: Sequence[str]) -> int:
    """Remove the records that have one of the ids and return how many there were."""
    numbers = [number for (number,) in select_by_id(connection, collection, "record", ids)]
    _remove_values(connection, collection, numbers)
    remove_words(connection, collection, numbers)
    _note_changes(connection, collection, numbers)
    connection.executemany("DELETE FROM lookalike_records WHERE record = ?", ((n,) for n in numbers))
    return len(numbers)


def _note_changes(connection: sqlite3.Connection, collection: int, records: Sequence[int]) -> None:
    """Note whose vectors came, changed or went, for a collection with a shortlist."""
    has_shortlist = "SELECT 1 FROM lookalike_shortlists WHERE collection = ?"
    if connection.execute(has_shortlist, (collection,)).fetchone() is None:
        return
    connection.executemany(
        "INSERT OR IGNORE INTO lookalike_changes (collection, revision, record)"
        " SELECT collection, revision, ? FROM lookalike_collections WHERE collection = ?",
        ((record, collection) for record in records),
    )


def _put_values(connection: sqlite3.Connection, collection: int, fields: dict[int, Fields]) -> None:
    """Make `lookalike_values` say what the fields of these records, by number, are."""
    names = (name for record_fields in fields.values() for name in record_fields)
    numbers = add_fields(connection, collection, names)
    _remove_values(connection, collection, list(fields))
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


def _label_columns(identity: str, fields: Fields, metadata: Metadata) -> tuple[str, str, str, bytes]:
    """Return labels_digest, fields, metadata and labels_checksum as the columns hold them."""
    said, text = json.dumps(dict(fields)), metadata_text(identity, metadata)
    return labels_digest(fields, metadata), said, text, labels_checksum(identity, said, text)


def _readable_path(uri: str) -> str | None:
    folders, _, file = uri.rpartition("/")
    if (
        not uri.startswith("file:///")
        or file in ("", ".", "..")
        or any(sign in uri for sign in ("?", "#", "%2F", "%2f"))
    ):
        path = local_path(uri)
        return None if path is None else sql_text(readable(str(path)))
    return sql_text(f"{_folder(folders)}{readable(os.fsdecode(unquote_to_bytes(file)))}")


@lru_cache(maxsize=4096)
def _folder(uri: str) -> str:
    """Return the path of a folder, as people read it, with a slash at its end; files come by the folder."""
    path = readable(str(uri_path(f"{uri}/")))
    return path if path.endswith("/") else f"{path}/"
