"""The records of a collection in PostgreSQL, and their vectors: written and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.checksums import vector_checksum
from lookalike.stores.damage import StructureFault
from lookalike.stores.postgres.connection import SQL, Identifier
from lookalike.stores.postgres.encoding import binary_vectors, little_endian, stored_fields
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.schema import record_table, vector_table, words_table
from lookalike.stores.postgres.views import add_fields, column_types
from lookalike.stores.postgres.words import add_words
from lookalike.stores.row_spool import RowSpool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.stores.backend import RecordRow, VectorRow
    from lookalike.stores.entry import Entry, VectorEntry
    from lookalike.stores.postgres.connection import Connection
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Record, Vectors, Where

# Stamps that the server is asked for at once.
_STAMPS = 5_000
_COPY_RECORDS = SQL(
    "COPY {} (id, uri, path, digest, size, modified_ns, labels_digest, fields, exact_fields, metadata,"
    " file_checksum, labels_checksum) FROM STDIN (FORMAT BINARY)"
)
_COPY_VECTORS = SQL("COPY {} (id, checksum, vector) FROM STDIN (FORMAT BINARY)")
_RECORD_COLUMNS = SQL(
    "id, uri, digest, exact_fields, metadata::text, size, modified_ns, file_checksum, labels_checksum"
)


def put_records(
    connection: Connection,
    entry: Entry,
    records: Sequence[StoredRecord],
    vectors: Iterable[tuple[VectorEntry, Vectors]],
) -> None:
    """Add records, or replace those of the same id; the collection is locked.

    What is there is deleted first, so that COPY, which knows no ON CONFLICT, can bring in all.

    Args:
        connection: with a transaction that writes.
        entry: the collection.
        records: that were checked.
        vectors: every vector that it declares, with one row for each record.
    """
    if not records:
        return
    add_fields(connection, entry, column_types(one.labels.fields for one in records))
    ids = [one.id for one in records]
    remove_records(connection, entry, ids)
    for vector, rows in vectors:
        _copy_vectors(connection, vector, ids, rows)
    add_words(connection, entry.key, ((one.id, one.labels.words(one.record.uri)) for one in records))
    with (
        connection.cursor() as cursor,
        cursor.copy(_COPY_RECORDS.format(record_table(entry.key))) as copy,
    ):
        for one in records:
            copy.write_row(_binary_record(one))
    _count(connection, entry, len(records))


def _binary_record(stored: StoredRecord) -> tuple[bytes | None, ...]:
    """Return a record as COPY takes it in its binary form."""
    record, labels = stored.record, stored.labels
    return (
        record.id.encode(),
        record.uri.encode(),
        None if stored.path is None else stored.path.encode(),
        record.digest.encode(),
        record.size.to_bytes(8, signed=True),
        record.modified_ns.to_bytes(8, signed=True),
        labels.digest.encode(),
        b"\1" + stored_fields(labels.fields).encode(),  # the version of jsonb's binary form
        labels.fields_text.encode(),
        labels.metadata_text.encode(),
        stored.checksum,
        labels.checksum,
    )


def _copy_vectors(connection: Connection, vector: VectorEntry, ids: Sequence[str], rows: Vectors) -> None:
    contents = (row.tobytes() for row in rows.astype("<f4", copy=False))
    with (
        connection.cursor() as cursor,
        cursor.copy(_COPY_VECTORS.format(vector_table(vector.number))) as copy,
    ):
        for identity, content, binary in zip(ids, contents, binary_vectors(rows), strict=True):
            copy.write_row((identity.encode(), vector_checksum(identity, content), binary))


def fill_vector(
    connection: Connection, entry: Entry, vector: VectorEntry, records: Sequence[Record], rows: Vectors
) -> int:
    """Give a vector to records that lack it and have the digest they had; the collection is locked.

    Returns:
        How many got it.
    """
    ids = [one.id for one in records]
    having = {identity for (identity,) in _select(connection, SQL("id"), vector_table(vector.number), ids)}
    digests = dict(_select(connection, SQL("id, digest"), record_table(entry.key), ids))
    places = [
        place
        for place, one in enumerate(records)
        if digests.get(one.id) == one.digest and one.id not in having
    ]
    if places:
        _copy_vectors(connection, vector, [ids[place] for place in places], rows[places])
    return len(places)


def lacking_ids(connection: Connection, entry: Entry, vector: VectorEntry, most: int | None) -> list[str]:
    """Return the ids of records that lack a vector, sorted, the first `most` of them."""
    rows = connection.execute(
        SQL(
            "SELECT r.id FROM {} AS v RIGHT JOIN {} AS r ON v.id = r.id WHERE v.id IS NULL"
            " ORDER BY r.id LIMIT %s"
        ).format(vector_table(vector.number), record_table(entry.key)),
        (most,),
    )
    return [identity for (identity,) in rows]


def check_vectors(connection: Connection, entry: Entry) -> list[StructureFault]:
    """Return the vectors of a collection that belong to no record."""
    faults = []
    for vector in entry.vectors:
        rows = connection.execute(
            SQL("SELECT v.id FROM {} AS v LEFT JOIN {} AS r ON r.id = v.id WHERE r.id IS NULL").format(
                vector_table(vector.number), record_table(entry.key)
            )
        )
        named = f"vector {vector.info.name!r}"
        faults += [
            StructureFault(entry.name, None, f"{named} of record {one}, which is not there")
            for (one,) in rows
        ]
    return faults


def put_labels(connection: Connection, entry: Entry, labels: Sequence[StoredLabels]) -> None:
    """Replace fields and metadata of records; ids of none are ignored; the collection is locked."""
    by_id = {one.id: one for one in labels}
    uris = uris_of(connection, entry, by_id)
    known = [by_id[identity] for identity in uris]
    add_fields(connection, entry, column_types(one.fields for one in known))
    rows = [
        (one.id, one.digest, stored_fields(one.fields), one.fields_text, one.metadata_text, one.checksum)
        for one in known
    ]
    _remove(connection, words_table(entry.key), list(uris))
    add_words(connection, entry.key, ((one.id, one.words(uris[one.id])) for one in known))
    connection.execute(
        SQL(
            "UPDATE {} AS r SET labels_digest = n.digest, fields = n.fields::jsonb,"
            " exact_fields = n.exact_fields, metadata = n.metadata::json, labels_checksum = n.checksum"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])"
            " AS n(id, digest, fields, exact_fields, metadata, checksum) WHERE r.id = n.id"
        ).format(record_table(entry.key)),
        [[row[column] for row in rows] for column in range(6)],
    )


def remove_records(connection: Connection, entry: Entry, ids: Sequence[str]) -> int:
    """Remove records with all their vectors and return how many there were; the collection is locked."""
    for vector in entry.vectors:
        _remove(connection, vector_table(vector.number), ids)
    _remove(connection, words_table(entry.key), ids)
    removed = _remove(connection, record_table(entry.key), ids)
    _count(connection, entry, -removed)
    return removed


def _remove(connection: Connection, table: Identifier, ids: Sequence[str]) -> int:
    return connection.execute(
        SQL("DELETE FROM {} WHERE id = ANY(%s::text[])").format(table), (list(ids),)
    ).rowcount


def _count(connection: Connection, entry: Entry, more: int) -> None:
    if more:
        connection.execute(
            "UPDATE lookalike_collections SET count = count + %s WHERE collection = %s", (more, entry.key)
        )


def read_records(connection: Connection, entry: Entry, ids: Iterable[str]) -> list[RecordRow]:
    """Return the records that have one of the ids, as they are stored, in no order."""
    return [*_select(connection, _RECORD_COLUMNS, record_table(entry.key), ids)]


def read_vectors(connection: Connection, vector: VectorEntry, ids: Iterable[str]) -> list[VectorRow]:
    """Return a vector of the records that have one of the ids, as it is stored, in no order."""
    rows = _select(connection, SQL("id, checksum, vector"), vector_table(vector.number), ids)
    return vector_rows(rows, vector.info.space.dimension)


def vector_rows(rows: Sequence[Sequence[Any]], dimension: int) -> list[VectorRow]:
    """Return rows of id, checksum and vector in pgvector's binary form with the numbers as little-endian."""
    contents = little_endian([row[2] for row in rows], dimension)
    return [(row[0], row[1], content) for row, content in zip(rows, contents, strict=True)]


def _select(
    connection: Connection, columns: SQL, table: Identifier, ids: Iterable[str]
) -> list[tuple[Any, ...]]:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            SQL("SELECT {} FROM {} WHERE id = ANY(%s::text[])").format(columns, table), (list(ids),)
        )
        return cursor.fetchall()


def uris_of(connection: Connection, entry: Entry, ids: Iterable[str]) -> dict[str, str]:
    """Return the URIs of the records with these ids, by id."""
    return dict(_select(connection, SQL("id, uri"), record_table(entry.key), ids))


def read_stamps(connection: Connection, entry: Entry) -> RowSpool:
    """Return the stamp of every record, as it is stored."""
    columns = SQL("uri, id, size, modified_ns, labels_digest, digest, file_checksum")
    # A cursor of the server's: libpq holds a whole answer, and all of it came before the first row.
    with connection.cursor(name="lookalike_stamps") as cursor:
        cursor.itersize = _STAMPS
        cursor.execute(SQL("SELECT {} FROM {}").format(columns, record_table(entry.key)))
        return RowSpool(cursor)


def matching_ids(connection: Connection, entry: Entry, where: Where | None) -> list[str]:
    """Return the ids of the records that match, sorted."""
    condition, bound = matching(where)
    rows = connection.execute(
        SQL("SELECT id FROM {} WHERE {} ORDER BY id").format(record_table(entry.key), condition), bound
    )
    return [identity for (identity,) in rows]


def ids_of_digest(connection: Connection, entry: Entry, digest: str) -> list[str]:
    """Return the ids of the records whose file has this SHA-256, sorted."""
    rows = connection.execute(
        SQL("SELECT id FROM {} WHERE digest = %s ORDER BY id").format(record_table(entry.key)), (digest,)
    )
    return [identity for (identity,) in rows]
