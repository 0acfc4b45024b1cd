"""The records of a collection in PostgreSQL: written, read and verified."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.checksums import file_checksum, labels_checksum, vector_checksum
from lookalike.file_names import readable
from lookalike.label_normalisation import labels_digest
from lookalike.stores.checks import metadata_text
from lookalike.stores.damage import Fault
from lookalike.stores.postgres.connection import SQL
from lookalike.stores.postgres.encoding import binary_vectors, little_endian, stored_fields
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.views import add_fields, column_types, table
from lookalike.stores.postgres.words import add_words, remove_words
from lookalike.stores.sql import sql_text
from lookalike.stores.verification import sound_records, sound_stamps, vector_fault, verify_vectors
from lookalike.stores.wording import record_text
from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lookalike.stores.postgres.connection import Connection, Transaction
    from lookalike.types import Fields, Metadata, Record, Stamp, Vectors, Where

Row: TypeAlias = "tuple[Any, ...]"

RECORD_COLUMNS = SQL(
    "id, uri, digest, exact_fields, metadata::text, size, modified_ns, file_checksum, labels_checksum"
)
"""Those of `verification.read_record`."""

_COPY = SQL(
    "COPY {} (id, uri, path, digest, size, modified_ns, labels_digest, fields, exact_fields, metadata,"
    " file_checksum, labels_checksum, vector_checksum, vector) FROM STDIN (FORMAT BINARY)"
)


def record_rows(records: Sequence[Record], vectors: Vectors) -> list[tuple[bytes | None, ...]]:
    """Return records as COPY takes them in its binary form.

    Args:
        records: that were checked.
        vectors: float32 of shape (len(records), dimension).

    Raises:
        InvalidArgument: metadata is not JSON.
    """
    rows: list[tuple[bytes | None, ...]] = []
    contents = [vector.tobytes() for vector in vectors.astype("<f4", copy=False)]
    for record, content, vector in zip(records, contents, binary_vectors(vectors), strict=True):
        fields, metadata = json.dumps(dict(record.fields)), metadata_text(record.id, record.metadata)
        place = local_path(record.uri)
        path = None if place is None else sql_text(readable(str(place)))
        rows.append(
            (
                record.id.encode(),
                record.uri.encode(),
                None if path is None else path.encode(),
                record.digest.encode(),
                record.size.to_bytes(8, signed=True),
                record.modified_ns.to_bytes(8, signed=True),
                labels_digest(record.fields, record.metadata).encode(),
                b"\1" + stored_fields(record.fields).encode(),  # the version of jsonb's binary form
                fields.encode(),
                metadata.encode(),
                file_checksum(record.id, record.uri, record.digest, record.size, record.modified_ns),
                labels_checksum(record.id, fields, metadata),
                vector_checksum(record.id, content),
                vector,
            )
        )
    return rows


def put_rows(
    connection: Connection, number: int, records: Sequence[Record], rows: Iterable[tuple[bytes | None, ...]]
) -> None:
    """Add records, or replace those of the same id; the collection is locked.

    What is there is deleted first, so that COPY, which knows no ON CONFLICT, can bring in all.

    Args:
        connection: with a transaction that writes.
        number: of the collection.
        records: that were checked.
        rows: `record_rows` of them.
    """
    if not records:
        return
    add_fields(connection, number, column_types(record.fields for record in records))
    remove_records(connection, number, [record.id for record in records])
    with connection.cursor() as cursor, cursor.copy(_COPY.format(table(number))) as copy:
        for row in rows:
            copy.write_row(row)
    add_words(
        connection, number, ((one.id, record_text(one.uri, one.fields, one.metadata)) for one in records)
    )
    _count(connection, number, len(records))


def put_labels(
    connection: Connection, number: int, labels: Mapping[str, tuple[str, Fields, Metadata]]
) -> None:
    """Replace fields and metadata of records, by id; ids of none are ignored; the collection is locked.

    Raises:
        InvalidArgument: metadata is not JSON.
    """
    there = connection.execute(
        SQL("SELECT id, uri FROM {} WHERE id = ANY(%s::text[])").format(table(number)), (plain_ids(labels),)
    )
    uris: dict[str, str] = dict(there.fetchall())
    known = [labels[identity] for identity in uris]
    add_fields(connection, number, column_types(fields for _, fields, _ in known))
    rows = []
    for name, fields, metadata in known:
        exact, text = json.dumps(dict(fields)), metadata_text(name, metadata)
        digest, checksum = labels_digest(fields, metadata), labels_checksum(name, exact, text)
        rows.append((name, digest, stored_fields(fields), exact, text, checksum))
    connection.execute(
        SQL(
            "UPDATE {} AS r SET labels_digest = n.digest, fields = n.fields::jsonb,"
            " exact_fields = n.exact_fields, metadata = n.metadata::json, labels_checksum = n.checksum"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])"
            " AS n(id, digest, fields, exact_fields, metadata, checksum) WHERE r.id = n.id"
        ).format(table(number)),
        [[row[column] for row in rows] for column in range(6)],
    )
    remove_words(connection, number, list(uris))
    add_words(
        connection,
        number,
        ((name, record_text(uris[name], fields, metadata)) for name, fields, metadata in known),
    )


def remove_records(connection: Connection, number: int, ids: Iterable[str]) -> int:
    """Remove the records of these ids and return how many there were; the collection is locked."""
    known = plain_ids(ids)
    removed = connection.execute(
        SQL("DELETE FROM {} WHERE id = ANY(%s::text[])").format(table(number)), (known,)
    ).rowcount
    remove_words(connection, number, known)
    _count(connection, number, -removed)
    return removed


def _count(connection: Connection, number: int, more: int) -> None:
    if more:
        connection.execute(
            "UPDATE lookalike_collections SET count = count + %s WHERE collection = %s", (more, number)
        )


def plain_ids(ids: Iterable[str]) -> list[str]:
    """Return each id once; other text than ASCII without NUL is the id of nothing."""
    return [name for name in dict.fromkeys(ids) if name.isascii() and "\0" not in name]


def select_labels(connection: Connection, number: int, ids: Iterable[str]) -> list[Row]:
    """Return `RECORD_COLUMNS` of the records that have one of the ids, in no order."""
    return _select(connection, SQL("SELECT {} FROM {} WHERE id = ANY(%s::text[])"), number, ids)


def read_records(
    connection: Connection,
    number: int,
    ids: Iterable[str],
    note: Callable[[list[Fault]], None],
    where: Where | None = None,
    having: str | None = None,
) -> dict[str, Record]:
    """Return the sound records with these ids, by id.

    Args:
        connection: with a transaction open.
        number: of the collection.
        ids: of any records.
        note: told what is wrong with others.
        where: what the ids were found by.
        having: the same.
    """
    return sound_records(select_labels(connection, number, ids), note, where, having)


def uris_of(connection: Connection, number: int, ids: Iterable[str]) -> dict[str, str]:
    """Return the URIs of the records with these ids, by id."""
    statement = SQL("SELECT id, uri FROM {} WHERE id = ANY(%s::text[])").format(table(number))
    return dict(connection.execute(statement, (plain_ids(ids),)).fetchall())


def read_batch(
    transaction: Transaction,
    number: int,
    dimension: int,
    ids: Sequence[str],
    note: Callable[[list[Fault]], None],
) -> tuple[list[Record], Vectors]:
    """Return the sound records with these ids, with their vectors, in order of id.

    Args:
        transaction: that is open.
        number: of the collection.
        dimension: of its vectors.
        ids: of any records.
        note: told what is wrong with others.
    """
    there = transaction.connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"lookalike_c{number}",)
    ).fetchone()
    rows: list[Row] = []
    if there is not None and there[0]:
        statement = SQL("SELECT {}, vector_checksum, vector FROM {} WHERE id = ANY(%s::text[]) ORDER BY id")
        rows = _select(transaction.connection, statement, number, ids)
    vectors, faults = read_verified([(row[0], *row[-2:]) for row in rows], dimension)
    wrong = {fault.id for fault in faults}
    note([fault._replace(uri=row[1]) for row in rows for fault in faults if fault.id == row[0]])
    records = sound_records((row[:-2] for row in rows), note)
    sound = [place for place, row in enumerate(rows) if row[0] in records and row[0] not in wrong]
    return [records[rows[place][0]] for place in sound], vectors[sound]


def read_verified(rows: Sequence[Row], dimension: int) -> tuple[Vectors, list[Fault]]:
    """Return the vectors of rows of id, checksum and vector, and what is wrong with those that are damaged.

    Args:
        rows: vectors are in pgvector's binary form.
        dimension: of the vectors.
    """
    ids, checksums = [row[0] for row in rows], [row[1] for row in rows]
    contents = little_endian([row[2] for row in rows], dimension)
    vectors, wrong = verify_vectors(ids, checksums, contents, dimension)
    return vectors, [Fault(str(ids[row]), None, vector_fault(contents[row], dimension)) for row in wrong]


def _select(connection: Connection, statement: SQL, number: int, ids: Iterable[str]) -> list[Row]:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(statement.format(RECORD_COLUMNS, table(number)), (plain_ids(ids),))
        return cursor.fetchall()


def read_stamps(connection: Connection, number: int, note: Callable[[list[Fault]], None]) -> dict[str, Stamp]:
    """Return the stamp of every record that names the file it did, by uri."""
    columns = SQL("uri, id, size, modified_ns, labels_digest, digest, file_checksum")
    return sound_stamps(connection.execute(SQL("SELECT {} FROM {}").format(columns, table(number))), note)


def matching_ids(connection: Connection, number: int, where: Where | None) -> list[str]:
    """Return the ids of the records that match, sorted."""
    condition, bound = matching(where)
    rows = connection.execute(
        SQL("SELECT id FROM {} WHERE {} ORDER BY id").format(table(number), condition), bound
    )
    return [identity for (identity,) in rows]


def ids_of_digest(connection: Connection, number: int, digest: str) -> list[str]:
    """Return the ids of the records whose file has this SHA-256, sorted."""
    rows = connection.execute(
        SQL("SELECT id FROM {} WHERE digest = ANY(%s::text[]) ORDER BY id").format(table(number)),
        (plain_ids([digest]),),
    )
    return [identity for (identity,) in rows]
