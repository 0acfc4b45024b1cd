"""How records look in the tables of a PostgreSQL store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from lookalike.errors import StoreCorrupt
from lookalike.file_names import readable
from lookalike.records import Record, Stamp, labels_digest, local_path
from lookalike.stores.checks import metadata_text
from lookalike.stores.postgres.filters import matching
from lookalike.stores.postgres.server import SQL
from lookalike.stores.postgres.text import binary_vectors, read_vectors, readable_text, stored_fields
from lookalike.stores.postgres.views import add_fields, column_types, table
from lookalike.stores.postgres.words import add_words, remove_words
from lookalike.stores.record_rows import record_from
from lookalike.stores.wording import record_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.records import Fields, Metadata, Vectors, Where
    from lookalike.stores.postgres.server import Connection, Transaction

Row: TypeAlias = "tuple[Any, ...]"

RECORD_COLUMNS = SQL("id, uri, digest, exact_fields, metadata::text, size, modified_ns")
_COPY = SQL(
    "COPY {} (id, uri, path, digest, size, modified_ns, labels_digest, fields, exact_fields, metadata,"
    " vector) FROM STDIN (FORMAT BINARY)"
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
    for record, vector in zip(records, binary_vectors(vectors), strict=True):
        metadata = metadata_text(record.id, record.metadata)
        place = local_path(record.uri)
        path = None if place is None else readable_text(readable(str(place)))
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
                json.dumps(dict(record.fields)).encode(),
                metadata.encode(),
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
    rows = [
        (
            name,
            labels_digest(fields, metadata),
            stored_fields(fields),
            json.dumps(dict(fields)),
            metadata_text(name, metadata),
        )
        for name, fields, metadata in known
    ]
    connection.execute(
        SQL(
            "UPDATE {} AS r SET labels_digest = n.digest, fields = n.fields::jsonb,"
            " exact_fields = n.exact_fields, metadata = n.metadata::json"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])"
            " AS n(id, digest, fields, exact_fields, metadata) WHERE r.id = n.id"
        ).format(table(number)),
        [[row[column] for row in rows] for column in range(5)],
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


def read_records(url: str, connection: Connection, number: int, ids: Iterable[str]) -> dict[str, Record]:
    """Return the records with these ids that there are, by id.

    Raises:
        StoreCorrupt: a row does not hold one.
    """
    return {row[0]: record_from(url, row) for row in select_labels(connection, number, ids)}


def read_batch(
    url: str, transaction: Transaction, number: int, dimension: int, ids: Sequence[str]
) -> tuple[list[Record], Vectors]:
    """Return the records with these ids that there are, with their vectors, in order of id.

    Raises:
        StoreCorrupt: a row does not hold one.
    """
    there = transaction.connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"lookalike_c{number}",)
    ).fetchone()
    rows: list[Row] = []
    if there is not None and there[0]:
        statement = SQL("SELECT {}, vector FROM {} WHERE id = ANY(%s::text[]) ORDER BY id")
        rows = _select(transaction.connection, statement, number, ids)
    try:
        vectors = read_vectors([row[-1] for row in rows], dimension)
    except ValueError as error:
        raise StoreCorrupt(url, f"is damaged: {error}") from error
    return [record_from(url, row[:-1]) for row in rows], vectors


def _select(connection: Connection, statement: SQL, number: int, ids: Iterable[str]) -> list[Row]:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(statement.format(RECORD_COLUMNS, table(number)), (plain_ids(ids),))
        return cursor.fetchall()


def read_stamps(connection: Connection, number: int) -> dict[str, Stamp]:
    """Return the stamp of every record, by uri."""
    rows = connection.execute(
        SQL("SELECT uri, id, size, modified_ns, labels_digest FROM {}").format(table(number))
    )
    return {uri: Stamp(*stamp) for uri, *stamp in rows}


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
