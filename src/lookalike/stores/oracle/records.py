"""Statements on the tables of one collection: put, fill, relabel, remove, read.

What is written is not committed: the caller has locked the collection, and ends the transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.stores.batches import chunks
from lookalike.stores.checks import ID_LENGTH
from lookalike.stores.oracle.catalog import put_fields, read_fields
from lookalike.stores.oracle.encoding import (
    RECORD_COLUMNS,
    TEXT_LENGTH,
    kept_uri,
    label_binds,
    plan_fields,
    record_binds,
    record_row,
    value_rows,
    vector_binds,
    vector_content,
)
from lookalike.stores.oracle.filters import TOGETHER, delete_by_id, in_list
from lookalike.stores.oracle.schema import records_table, tables_beside, values_table, vector_table
from lookalike.stores.oracle.words import put_words
from lookalike.stores.sql import insert_statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.stores.backend import RecordRow, StampRow, VectorRow
    from lookalike.stores.entry import Entry
    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.oracle.encoding import Row
    from lookalike.stores.oracle.filters import Filter
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Fields, Record, Vectors

_LABELS = ("labels_digest", "fields", "metadata", "kept", "labels_checksum")
_FILE = ("uri", "path", "digest", "size_bytes", "modified_ns")
_COLUMNS = (*_FILE, *_LABELS, "file_checksum")
_VECTOR_COLUMNS = ("vector_checksum", "embedding")
_SIZES: dict[str, str | int] = {
    "id": ID_LENGTH,
    "uri": TEXT_LENGTH,
    "path": TEXT_LENGTH,
    "fields": "json",
    "metadata": "json",
    "kept": "json",
}
_VECTOR_SIZES: dict[str, str | int] = {"id": ID_LENGTH, "embedding": "vector"}


def put_statement(collection: int) -> str:
    """Return the statement that adds a record, or replaces the one of the same id."""
    return _merge_statement(records_table(collection), _COLUMNS)


def put_vector_statement(vector: int) -> str:
    """Return the statement that gives a vector to a record, or replaces the one that it has."""
    return _merge_statement(vector_table(vector), _VECTOR_COLUMNS)


def fill_statement(vector: int) -> str:
    """Return the statement that gives a vector to a record that has none."""
    return insert_statement(vector_table(vector), ("id", *_VECTOR_COLUMNS))


def relabel_statement(collection: int) -> str:
    """Return the statement that replaces the labels of a record."""
    updates = ", ".join(f"{column} = :{column}" for column in _LABELS)
    return f"UPDATE {records_table(collection)} SET {updates} WHERE id = :id"  # noqa: S608


def lacking_condition(vector: int) -> str:
    """Return the condition that a record `r` lacks a vector."""
    return f"NOT EXISTS (SELECT 1 FROM {vector_table(vector)} v WHERE v.id = r.id)"  # noqa: S608


def put_records(session: OracleSession, entry: Entry, records: Sequence[StoredRecord]) -> bool:
    """Add records to a collection, or replace those of the same id; tell whether its view is stale.

    The first error ends it: no batch errors, because all or none is put.
    """
    collection = entry.key
    columns, numbers, stale = _columns(session, entry, [one.record.fields for one in records])
    for some in chunks(records, TOGETHER):
        rows = [record_binds(one, columns) for one in some]
        session.execute_many(put_statement(collection), rows, _SIZES)
    _put_values(session, collection, {one.id: one.record.fields for one in records}, numbers)
    put_words(session, collection, [(one.record.uri, one.labels) for one in records])
    return stale


def put_vectors(session: OracleSession, vector: int, ids: Sequence[str], vectors: Vectors) -> None:
    """Give a vector to records, or replace the one that they have.

    Args:
        session: with the collection locked.
        vector: its number.
        ids: of the records.
        vectors: float32 of shape (ids, dimension).
    """
    _execute_with_vectors(session, put_vector_statement(vector), ids, vectors)


def fill_vectors(
    session: OracleSession, collection: int, vector: int, records: Sequence[Record], vectors: Vectors
) -> int:
    """Give a vector to those of the records that are there, of that digest, and lack it; return how many.

    Args:
        session: with the collection locked.
        collection: its number.
        vector: the number of the vector.
        records: of which id and digest count.
        vectors: float32 of shape (records, dimension).
    """
    rows = select_by_id(
        session, collection, "r.id, r.digest", [one.id for one in records], more=lacking_condition(vector)
    )
    lacking = {identity: digest or "" for identity, digest in rows}
    chosen = [row for row, record in enumerate(records) if lacking.get(record.id) == record.digest]
    _execute_with_vectors(
        session, fill_statement(vector), [records[row].id for row in chosen], vectors[chosen]
    )
    return len(chosen)


def put_labels(session: OracleSession, entry: Entry, labels: Sequence[StoredLabels]) -> bool:
    """Replace labels of the records of a collection that are there; tell whether its view is stale."""
    collection = entry.key
    uris = uris_of(session, collection, [one.id for one in labels])
    known = {one.id: one for one in labels if one.id in uris}
    columns, numbers, stale = _columns(session, entry, [one.fields for one in known.values()])
    for some in chunks(list(known.values()), TOGETHER):
        rows = [{"id": one.id, **label_binds(one, columns)} for one in some]
        for row in rows:
            if len(uris[row["id"]]) > TEXT_LENGTH:
                row["kept"]["uri"] = uris[row["id"]]
        sizes = {name: _SIZES[name] for name in ("id", "fields", "metadata", "kept")}
        session.execute_many(relabel_statement(collection), rows, sizes)
    _put_values(session, collection, {one.id: one.fields for one in known.values()}, numbers)
    put_words(session, collection, [(uris[one.id], one) for one in known.values()])
    return stale


def remove_records(session: OracleSession, entry: Entry, ids: Sequence[str]) -> int:
    """Remove the records of a collection that have one of the ids; return how many there were."""
    for table in tables_beside(entry.key, (vector.number for vector in entry.vectors)):
        delete_by_id(session, table, ids)
    return delete_by_id(session, records_table(entry.key), ids)


def select_by_id(
    session: OracleSession,
    collection: int,
    columns: str,
    ids: Sequence[str],
    *,
    more: str = "",
    joined: str = "",
) -> Iterator[Row]:
    """Yield these columns of the records `r` that have one of the ids, in no order.

    Args:
        session: lent for as long as that takes.
        collection: its number.
        columns: of the SELECT.
        ids: of records.
        more: what must hold of `r` too.
        joined: tables that are joined to `r`.
    """
    for some in chunks(ids, TOGETHER):
        condition, binds = in_list("r.id", "id", some)
        if more:
            condition += f" AND {more}"
        yield from session.query(
            f"SELECT {columns} FROM {records_table(collection)} r{joined} WHERE {condition}",  # noqa: S608 our own columns
            binds,
            rows=len(some),
        )


def read_stamps(session: OracleSession, collection: int) -> list[StampRow]:
    """Return the stamp of every record, as `backend.StampRow` says."""
    rows = session.query(
        "SELECT r.uri, r.id, r.size_bytes, r.modified_ns, r.labels_digest, r.digest, r.file_checksum"  # noqa: S608
        f" FROM {records_table(collection)} r"
    )
    found = [row for row in rows if row[0] is not None]
    long = {row[1]: row[1:] for row in rows if row[0] is None}
    for identity, kept in select_by_id(session, collection, "r.id, r.kept", list(long)):
        found.append((kept_uri(None, kept), *long[identity]))
    return [(*row[:5], row[5] or "", row[6]) for row in found]


def ids_of_digest(session: OracleSession, collection: int, digest: str) -> list[str]:
    """Return the ids of the records whose file has this SHA-256, sorted."""
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


def lacking_ids(session: OracleSession, collection: int, vector: int, most: int | None) -> list[str]:
    """Return the ids of records that lack a vector, sorted; the first `most`, None for all."""
    statement = f"SELECT r.id FROM {records_table(collection)} r WHERE {lacking_condition(vector)}"  # noqa: S608
    limit, binds = ("", {}) if most is None else (" FETCH FIRST :fetched ROWS ONLY", {"fetched": most})
    return [identity for (identity,) in session.query(f"{statement} ORDER BY r.id{limit}", binds)]


def count_lacking(session: OracleSession, collection: int, vector: int | None) -> int:
    """Return how many records lack a vector; None is one that no record has yet."""
    condition = "" if vector is None else f" WHERE {lacking_condition(vector)}"
    ((count,),) = session.query(f"SELECT COUNT(*) FROM {records_table(collection)} r{condition}", rows=1)  # noqa: S608
    return int(count)


def orphaned_ids(session: OracleSession, collection: int, vector: int, ids: Sequence[str]) -> list[str]:
    """Return those of the ids that have a vector and no record, which no transaction of ours leaves."""
    found: list[str] = []
    for some in chunks(ids, TOGETHER):
        condition, binds = in_list("v.id", "id", some)
        rows = session.query(
            f"SELECT v.id FROM {vector_table(vector)} v WHERE {condition} AND NOT EXISTS"  # noqa: S608
            f" (SELECT 1 FROM {records_table(collection)} r WHERE r.id = v.id)",
            binds,
            rows=len(some),
        )
        found += [identity for (identity,) in rows]
    return found


def uris_of(session: OracleSession, collection: int, ids: Sequence[str]) -> dict[str, str]:
    """Return the uri of each record that is there, by id."""
    uris: dict[str, Any] = dict(select_by_id(session, collection, "r.id, r.uri", ids))
    long = [identity for identity, uri in uris.items() if uri is None]
    kept = select_by_id(session, collection, "r.id, r.kept", long)
    return uris | {identity: kept_uri(None, one) for identity, one in kept}


def read_records(session: OracleSession, collection: int, ids: Sequence[str]) -> list[RecordRow]:
    """Return the records with these ids, in no order."""
    return list(map(record_row, select_by_id(session, collection, RECORD_COLUMNS, ids)))


def read_with_vectors(
    session: OracleSession, collection: int, vectors: Sequence[int], ids: Sequence[str]
) -> tuple[list[RecordRow], list[list[VectorRow]]]:
    """Return the records with these ids, in no order, and for each vector those of the records that have it.

    A statement reads a record and its vectors in one state, whatever is written meanwhile.
    """
    columns = RECORD_COLUMNS + "".join(
        f", v{number:d}.vector_checksum, v{number:d}.embedding" for number in vectors
    )
    joined = "".join(
        f" LEFT JOIN {vector_table(number)} v{number:d} ON v{number:d}.id = r.id" for number in vectors
    )
    records: list[RecordRow] = []
    found: list[list[VectorRow]] = [[] for _ in vectors]
    first = RECORD_COLUMNS.count(",") + 1
    for row in select_by_id(session, collection, columns, ids, joined=joined):
        records.append(record_row(row[:first]))
        for place, those in enumerate(found):
            checksum, embedding = row[first + 2 * place : first + 2 * place + 2]
            if checksum is not None:
                those.append((row[0], checksum, vector_content(embedding)))
    return records, found


def _merge_statement(table: str, columns: Sequence[str]) -> str:
    """Return the statement that adds the row of an id, or replaces it.

    Only the id goes through the SELECT: the others stand where a column gives them their type. The column of
    the ON clause is not updated (ORA-38104). SQL Language Reference, "MERGE".
    """
    updates = ", ".join(f"t.{column} = :{column}" for column in columns)
    return (
        f"MERGE INTO {table} t USING (SELECT :id AS id FROM dual) s ON (t.id = s.id)"  # noqa: S608
        f" WHEN MATCHED THEN UPDATE SET {updates}"
        f" WHEN NOT MATCHED THEN INSERT (id, {', '.join(columns)})"
        f" VALUES (s.id, {', '.join(f':{column}' for column in columns)})"
    )


def _execute_with_vectors(
    session: OracleSession, statement: str, ids: Sequence[str], vectors: Vectors
) -> None:
    for some in chunks(list(zip(ids, vectors, strict=True)), TOGETHER):
        session.execute_many(statement, [vector_binds(*one) for one in some], _VECTOR_SIZES)


def _columns(
    session: OracleSession, entry: Entry, records: Sequence[Fields]
) -> tuple[dict[str, str], dict[str, int], bool]:
    """Make the fields known; return their columns and numbers by name, and whether any is new or changed."""
    known = read_fields(session, entry.key)
    changed = plan_fields(known, records, [vector.info.name for vector in entry.vectors])
    put_fields(session, entry.key, changed)
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
    delete_by_id(session, values_table(collection), list(records))
    rows: list[dict[str, Any]] = [
        row for identity, fields in records.items() for row in value_rows(identity, fields, numbers)
    ]
    for some_rows in chunks(rows, 10_000):
        statement = insert_statement(values_table(collection), ("id", "field_id", "value_key"))
        session.execute_many(statement, some_rows, {"id": ID_LENGTH})
