"""Statements on the tables of one collection: put, relabel, remove, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.stores.batches import chunks
from lookalike.stores.oracle.catalog import put_fields, read_fields
from lookalike.stores.oracle.encoding import (
    ID_LENGTH,
    TEXT_LENGTH,
    kept_uri,
    label_binds,
    plan_fields,
    read_vectors,
    record_binds,
    record_row,
    usable_ids,
    value_rows,
)
from lookalike.stores.oracle.errors import NO_SUCH_TABLE, suppress_code
from lookalike.stores.oracle.filters import TOGETHER, in_list, read_filter
from lookalike.stores.oracle.schema import records_table, values_table
from lookalike.stores.oracle.words import ids_by_words, put_words, remove_words
from lookalike.stores.verification import sound_records, sound_stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.damage import Fault
    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.oracle.encoding import Row
    from lookalike.stores.oracle.filters import Filter
    from lookalike.types import Fields, Metadata, Record, Stamp, Vectors, Where

RECORD_COLUMNS = (
    "r.id, r.uri, r.digest, r.size_bytes, r.modified_ns, r.kept, r.file_checksum, r.labels_checksum"
)

_LABELS = ("labels_digest", "fields", "metadata", "kept", "labels_checksum")
_FILE = ("uri", "path", "digest", "size_bytes", "modified_ns")
_COLUMNS = (*_FILE, *_LABELS, "file_checksum", "vector_checksum", "embedding")
_SIZES: dict[str, str | int] = {
    "id": ID_LENGTH,
    "uri": TEXT_LENGTH,
    "path": TEXT_LENGTH,
    "fields": "json",
    "metadata": "json",
    "kept": "json",
    "embedding": "vector",
}


def put_statement(collection: int) -> str:
    """Return the statement that adds a record, or replaces the one of the same id.

    Only the id goes through the SELECT: the others stand where a column gives them their type. The column of
    the ON clause is not updated (ORA-38104). SQL Language Reference, "MERGE".
    """
    updates = ", ".join(f"t.{column} = :{column}" for column in _COLUMNS)
    return (
        f"MERGE INTO {records_table(collection)} t USING (SELECT :id AS id FROM dual) s ON (t.id = s.id)"  # noqa: S608
        f" WHEN MATCHED THEN UPDATE SET {updates}"
        f" WHEN NOT MATCHED THEN INSERT (id, {', '.join(_COLUMNS)})"
        f" VALUES (s.id, {', '.join(f':{column}' for column in _COLUMNS)})"
    )


def relabel_statement(collection: int) -> str:
    """Return the statement that replaces the labels of a record."""
    updates = ", ".join(f"{column} = :{column}" for column in _LABELS)
    return f"UPDATE {records_table(collection)} SET {updates} WHERE id = :id"  # noqa: S608


def put_records(session: OracleSession, collection: int, records: Sequence[Record], vectors: Vectors) -> bool:
    """Add records to a locked collection, or replace those of the same id; tell whether its view is stale.

    Nothing is committed, and the first error ends it: no batch errors, because all or none is put.
    """
    columns, numbers, stale = _columns(session, collection, [record.fields for record in records])
    pairs = list(zip(records, vectors, strict=True))
    for some in chunks(pairs, TOGETHER):
        rows = [record_binds(record, vector, columns) for record, vector in some]
        session.execute_many(put_statement(collection), rows, _SIZES)
    _put_values(session, collection, {record.id: record.fields for record in records}, numbers)
    put_words(session, collection, {one.id: (one.uri, one.fields, one.metadata) for one in records})
    return stale


def put_labels(
    session: OracleSession, collection: int, labels: Sequence[tuple[str, Fields, Metadata]]
) -> bool:
    """Replace labels of the records of a locked collection that are there; tell whether its view is stale."""
    uris = uris_of(session, collection, [one for one, _, _ in labels])
    known = {one: (fields, metadata) for one, fields, metadata in labels if one in uris}
    columns, numbers, stale = _columns(session, collection, [fields for fields, _ in known.values()])
    for some in chunks(list(known.items()), TOGETHER):
        rows = [{"id": one, **label_binds(one, *labels_of, columns)} for one, labels_of in some]
        for row in rows:
            if len(uris[row["id"]]) > TEXT_LENGTH:
                row["kept"]["uri"] = uris[row["id"]]
        sizes = {name: _SIZES[name] for name in ("id", "fields", "metadata", "kept")}
        session.execute_many(relabel_statement(collection), rows, sizes)
    _put_values(session, collection, {one: fields for one, (fields, _) in known.items()}, numbers)
    put_words(session, collection, {one: (uris[one], *labels_of) for one, labels_of in known.items()})
    return stale


def remove_records(session: OracleSession, collection: int, ids: Sequence[str]) -> int:
    """Remove the records of a locked collection that have one of the ids; return how many there were."""
    removed = 0
    remove_words(session, collection, usable_ids(ids))
    for some in chunks(usable_ids(ids), TOGETHER):
        condition, binds = in_list("id", "id", some)
        session.execute(f"DELETE FROM {values_table(collection)} WHERE {condition}", binds)  # noqa: S608
        removed += session.execute(f"DELETE FROM {records_table(collection)} WHERE {condition}", binds)  # noqa: S608
    return removed


def select_by_id(session: OracleSession, collection: int, columns: str, ids: Sequence[str]) -> Iterator[Row]:
    """Yield these columns of the records `r` that have one of the ids, in no order."""
    for some in chunks(usable_ids(ids), TOGETHER):
        condition, binds = in_list("r.id", "id", some)
        yield from session.query(
            f"SELECT {columns} FROM {records_table(collection)} r WHERE {condition}",  # noqa: S608 our own columns
            binds,
            rows=len(some),
        )


def read_stamps(
    session: OracleSession, collection: int, note: Callable[[list[Fault]], None]
) -> dict[str, Stamp]:
    """Return the stamp of every record that names the file it did, by uri."""
    rows = session.query(
        "SELECT r.uri, r.id, r.size_bytes, r.modified_ns, r.labels_digest, r.digest, r.file_checksum"  # noqa: S608
        f" FROM {records_table(collection)} r"
    )
    found = [row for row in rows if row[0] is not None]
    long = {row[1]: row[1:] for row in rows if row[0] is None}
    for identity, kept in select_by_id(session, collection, "r.id, r.kept", list(long)):
        found.append((kept_uri(None, kept), *long[identity]))
    return sound_stamps(((*row[:5], row[5] or "", row[6]) for row in found), note)


def ids_of_digest(session: OracleSession, collection: int, digest: str) -> list[str]:
    """Return the ids of the records whose file has this SHA-256, sorted."""
    if not usable_ids([digest]):
        return []  # that is the digest of nothing, and may be more than can be compared
    rows = session.query(
        f"SELECT r.id FROM {records_table(collection)} r WHERE r.digest = :digest ORDER BY r.id",  # noqa: S608
        {"digest": digest},
    )
    return [identity for (identity,) in rows]


def matching_ids(session: OracleSession, collection: int, matching: Filter) -> list[str]:
    """Return the ids of the records that match, sorted."""
    condition = f" WHERE {matching.condition}" if matching.condition else ""
    rows = session.query(
        f"SELECT r.id FROM {records_table(collection)} r{condition} ORDER BY r.id",  # noqa: S608 our own condition
        matching.binds,
        matching.sizes,
    )
    return [identity for (identity,) in rows]


def uris_of(session: OracleSession, collection: int, ids: Sequence[str]) -> dict[str, str]:
    """Return the uri of each record that is there, by id."""
    uris: dict[str, Any] = dict(select_by_id(session, collection, "r.id, r.uri", ids))
    long = [identity for identity, uri in uris.items() if uri is None]
    kept = select_by_id(session, collection, "r.id, r.kept", long)
    return uris | {identity: kept_uri(None, one) for identity, one in kept}


def read_records(
    session: OracleSession, collection: int, ids: Sequence[str], note: Callable[[list[Fault]], None]
) -> dict[str, Record]:
    """Return the sound records with these ids, by id; `note` is told what is wrong with others."""
    return sound_records(map(record_row, select_by_id(session, collection, RECORD_COLUMNS, ids)), note)


def records_by_words(
    session: OracleSession,
    collection: int,
    terms: Sequence[str],
    k: int,
    where: Where | None,
    note: Callable[[list[Fault]], None],
) -> list[Record]:
    """Return the sound records that have any of the words and match, see `ids_by_words`."""
    matching = read_filter(session, collection, where)
    wanted = k
    while True:
        ids = [] if matching is None else ids_by_words(session, collection, terms, wanted, matching)
        found = read_records(session, collection, ids, note)
        there = [found[identity] for identity in ids if identity in found]
        if len(there) >= k or len(ids) < wanted:
            return there[:k]
        wanted *= 2  # some are damaged, and others take their places


def read_batch(
    session: OracleSession,
    collection: int,
    dimension: int,
    ids: Sequence[str],
    note: Callable[[list[Fault]], None],
) -> tuple[list[Record], Vectors]:
    """Return the sound records with these ids, with their vectors, in order of id.

    Args:
        session: lent for as long as that takes.
        collection: its number.
        dimension: of its vectors.
        ids: of any records.
        note: told what is wrong with others.
    """
    found: list[Row] = []
    with suppress_code(*NO_SUCH_TABLE):
        rows = select_by_id(session, collection, f"{RECORD_COLUMNS}, r.vector_checksum, r.embedding", ids)
        found = sorted(rows, key=lambda row: str(row[0]))
    vectors, faults = read_vectors([(row[0], *row[-2:]) for row in found], dimension)
    wrong = {fault.id for fault in faults}
    uris = {row[0]: record_row(row[:-2])[1] for row in found}
    note([fault._replace(uri=uris.get(fault.id)) for fault in faults])
    records = sound_records((record_row(row[:-2]) for row in found), note)
    sound = [place for place, row in enumerate(found) if row[0] in records and row[0] not in wrong]
    return [records[found[place][0]] for place in sound], vectors[sound]


def _columns(
    session: OracleSession, collection: int, records: Sequence[Fields]
) -> tuple[dict[str, str], dict[str, int], bool]:
    """Make the fields known; return their columns and numbers by name, and whether any is new or changed."""
    known = read_fields(session, collection)
    changed = plan_fields(known, records)
    put_fields(session, collection, changed)
    fields = {field.name: field for field in (*known, *changed)}
    return (
        {name: field.column for name, field in fields.items()},
        {name: field.number for name, field in fields.items()},
        bool(changed),
    )


def _put_values(
    session: OracleSession, collection: int, records: Mapping[str, Fields], numbers: Mapping[str, int]
) -> None:
    """Make the table of values say what the fields of these records are."""
    for some in chunks(list(records), TOGETHER):
        condition, binds = in_list("id", "id", some)
        session.execute(f"DELETE FROM {values_table(collection)} WHERE {condition}", binds)  # noqa: S608
    rows: list[dict[str, Any]] = [
        row for identity, fields in records.items() for row in value_rows(identity, fields, numbers)
    ]
    for some_rows in chunks(rows, 10_000):
        session.execute_many(
            f"INSERT INTO {values_table(collection)} (id, field_id, value_key)"  # noqa: S608
            " VALUES (:id, :field_id, :value_key)",
            some_rows,
            {"id": ID_LENGTH},
        )
