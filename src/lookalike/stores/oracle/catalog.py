"""Which collections there are: rows of lookalike_collections, lookalike_vectors, _metrics and _fields."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lookalike.errors import CollectionExists, CollectionNotFound, StoreBusy, StoreError
from lookalike.stores.checks import check_version, same_name
from lookalike.stores.entry import Entry, VectorEntry, vector_columns
from lookalike.stores.oracle.encoding import Field, text_key
from lookalike.stores.oracle.errors import (
    NO_SUCH_TABLE,
    NOT_UNIQUE,
    OracleRefusal,
    is_missing_table,
    suppress_code,
)
from lookalike.stores.oracle.schema import (
    VERSION,
    check_dimension,
    clear_away,
    drop_tables,
    make_store,
    make_tables,
    make_vector_table,
    next_number,
    records_table,
)
from lookalike.stores.oracle.views import drop_view, refresh_views
from lookalike.stores.sql import insert_statement
from lookalike.types import Approximation, Space, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.oracle.connection import OracleSession
    from lookalike.stores.oracle.encoding import Row

# One statement sees one state of the store: all that a collection declares, before a change or after it.
_ENTRIES = (
    "SELECT s.version, c.collection_id, c.name, c.default_vector, v.vector_id, v.name, v.embedder,"
    " v.embedder_fingerprint, v.dimension, v.metric_fingerprint, v.ready, v.becomes_default, v.index_kind,"
    " v.index_recall, v.index_k, v.index_queries FROM lookalike_store s"
    " LEFT JOIN lookalike_collections c ON {condition}"
    " LEFT JOIN lookalike_vectors v ON v.collection_id = c.collection_id ORDER BY v.vector_id"
)
BY_NAME = _ENTRIES.format(condition="c.name_key = :name_key")
BY_NUMBER = _ENTRIES.format(condition="c.collection_id = :collection_id")
ALL = _ENTRIES.format(condition="c.collection_id > 0")
_UPDATE_VECTOR = (
    "UPDATE lookalike_vectors SET ready = :ready, becomes_default = :becomes_default"
    " WHERE vector_id = :vector_id"
)
_DELETE_METRIC = "DELETE FROM lookalike_metrics WHERE vector_id = :vector_id"
_UPDATE_DEFAULT = (
    "UPDATE lookalike_collections SET default_vector = :default_vector, revision = revision + 1"
    " WHERE collection_id = :collection_id"
)
_RENAME = (
    "UPDATE lookalike_collections SET name_key = :name_key, name = :name, revision = revision + 1"
    " WHERE collection_id = :collection_id"
)
_SET_INDEX = (
    "UPDATE lookalike_vectors SET index_kind = :kind, index_recall = :recall, index_k = :k,"
    " index_queries = :queries WHERE vector_id = :vector_id"
)
_MERGE_FIELD = (
    "MERGE INTO lookalike_fields t USING (SELECT :collection_id AS collection_id, :field_id AS field_id"
    " FROM dual) s ON (t.collection_id = s.collection_id AND t.field_id = s.field_id)"
    " WHEN MATCHED THEN UPDATE SET t.only_numbers = :only_numbers"
    " WHEN NOT MATCHED THEN INSERT (collection_id, field_id, name_key, name, column_name, only_numbers)"
    " VALUES (s.collection_id, s.field_id, :name_key, :name, :column_name, :only_numbers)"
)


def find(session: OracleSession, url: str, name: str) -> Entry | None:
    """Return the collection of that name, None where there is none.

    Raises:
        StoreNewer: a later version of lookalike made the tables.
        StoreOlder: an earlier one did.
    """
    found = _entries(session, url, BY_NAME, {"name_key": text_key(same_name(name))})
    return found[0] if found else None


def must_find(session: OracleSession, url: str, name: str) -> Entry:
    """Return the collection of that name.

    Raises:
        CollectionNotFound: there is none.
    """
    entry = find(session, url, name)
    if entry is None:
        raise CollectionNotFound(name, [one.name for one in find_all(session, url)])
    return entry


def find_again(session: OracleSession, url: str, entry: Entry) -> Entry | None:
    """Return a collection that was found before as it is now, None where it was deleted."""
    found = _entries(session, url, BY_NUMBER, {"collection_id": entry.key})
    return found[0] if found else None


def find_all(session: OracleSession, url: str) -> list[Entry]:
    """Return all collections, by name."""
    return sorted(_entries(session, url, ALL, {}), key=lambda entry: entry.name)


def lock(session: OracleSession, url: str, name: str, wait: int) -> Entry:
    """Return a collection that no other writer changes until the next commit.

    Args:
        session: with nothing open.
        url: of the store.
        name: of a collection that must be there; its row is locked.
        wait: seconds, at least 1.

    Raises:
        CollectionNotFound: it is not there.
        StoreBusy: another writer had it for longer.
    """
    entry = must_find(session, url, name)
    while True:
        session.query(
            "SELECT collection_id FROM lookalike_collections"  # noqa: S608 a number of seconds
            f" WHERE collection_id = :collection_id FOR UPDATE WAIT {wait:d}",
            {"collection_id": entry.key},
            rows=1,
        )
        found = must_find(session, url, name)
        if found.key == entry.key:
            return found
        session.rollback()  # the name stands for another collection by now
        entry = found


def count(session: OracleSession, entry: Entry) -> Entry:
    """Return the collection with its count and its fields."""
    ((records,),) = session.query(f"SELECT COUNT(*) FROM {records_table(entry.key)}", rows=1)  # noqa: S608
    fields = tuple(sorted(field.name for field in read_fields(session, entry.key)))
    return replace(entry, count=int(records), fields=fields)


def make_collection(session: OracleSession, name: str, vector: VectorInfo, metric: bytes | None) -> None:
    """Make a collection, unless another process is faster: its tables first, then the rows that count.

    Args:
        session: with nothing open.
        name: that was checked.
        vector: that it declares.
        metric: of the vector.

    Raises:
        InvalidArgument: Oracle has no vectors of that dimension.
    """
    check_dimension(vector.space.dimension)
    make_store(session)
    with suppress(OracleRefusal, StoreBusy):
        clear_away(session)
    number, numbers = next_number(session), list[int]()
    try:
        make_tables(session, number)
        numbers.append(make_vector_table(session, vector.space.dimension))
        made = _insert(session, Entry(number, name, (VectorEntry(numbers[0], vector),), vector.name), metric)
        if made:
            session.commit()
    except Exception:
        _undo(session, number, numbers)
        raise
    if made:
        refresh_views(session)
    else:
        _undo(session, number, numbers)


def delete_collection(session: OracleSession, entry: Entry) -> None:
    """Delete a locked collection: the rows that count first, then its view and its tables."""
    ((view,),) = session.query(
        "SELECT view_name FROM lookalike_collections WHERE collection_id = :collection_id",
        {"collection_id": entry.key},
        rows=1,
    )
    for vector in entry.vectors:
        _delete_vector(session, vector.number)
    for table in ("lookalike_fields", "lookalike_collections"):
        session.execute(
            f"DELETE FROM {table} WHERE collection_id = :collection_id",  # noqa: S608 one of two
            {"collection_id": entry.key},
        )
    session.commit()
    # It is gone. What cannot be dropped now, because somebody reads it, is cleared away later.
    with suppress(StoreError):
        drop_view(session, view, entry.key)
        drop_tables(session, entry.key, [vector.number for vector in entry.vectors])


def change_vectors(
    session: OracleSession, before: Entry, after: Entry, metrics: Mapping[Space, bytes]
) -> None:
    """Make a locked collection declare other vectors; nothing is committed, and no table made or dropped.

    Args:
        session: with the collection locked.
        before: as it was found.
        after: as it is to be; every vector has a number.
        metrics: what is kept as the metric of the vectors of these spaces from now on.
    """
    known = {vector.number: vector for vector in before.vectors}
    for number in known.keys() - {vector.number for vector in after.vectors}:
        _delete_vector(session, number)
    for vector in after.vectors:
        if vector.number not in known:
            _insert_vector(session, before.key, vector)
        elif vector != known[vector.number]:
            session.execute(_UPDATE_VECTOR, {"vector_id": vector.number, **_state(vector.info)})
    if after != before:
        session.execute(_UPDATE_DEFAULT, {"collection_id": before.key, "default_vector": after.default})
    for vector in after.vectors:
        if vector.info.space in metrics:
            _put_metric(session, vector.number, metrics[vector.info.space])


def read_metric(session: OracleSession, vector: int) -> bytes | None:
    """Return what a vector was declared with as its metric."""
    rows = session.query(
        "SELECT metric FROM lookalike_metrics WHERE vector_id = :vector_id", {"vector_id": vector}, rows=1
    )
    # An empty BLOB is not NULL, but what is fetched of it as bytes may be None.
    return bytes(rows[0][0] or b"") if rows else None


def rename(session: OracleSession, entry: Entry, new: str) -> None:
    """Give a locked collection another name; nothing is committed.

    Raises:
        CollectionExists: another collection has it.
    """
    binds = {"collection_id": entry.key, "name_key": text_key(same_name(new)), "name": new}
    try:
        session.execute(_RENAME, binds)
    except OracleRefusal as error:
        if error.code == NOT_UNIQUE:
            raise CollectionExists(new) from error
        raise


def set_index(session: OracleSession, vector: int, kind: str | None, measured: Approximation | None) -> None:
    """Note which approximate index a vector has, and commit; of a vector that is gone nothing is noted."""
    found = dict.fromkeys(("recall", "k", "queries")) if measured is None else asdict(measured)
    session.execute(_SET_INDEX, {**found, "kind": kind, "vector_id": vector})
    session.commit()


def read_fields(session: OracleSession, collection: int) -> list[Field]:
    """Return all fields that a collection has had, in the order in which they came."""
    rows = session.query(
        "SELECT field_id, name, column_name, only_numbers FROM lookalike_fields"
        " WHERE collection_id = :collection_id ORDER BY field_id",
        {"collection_id": collection},
    )
    return [
        Field(int(n), json.loads(name["name"]), column, bool(numbers)) for n, name, column, numbers in rows
    ]


def put_fields(session: OracleSession, collection: int, fields: Sequence[Field]) -> None:
    """Add fields of a locked collection, or change what is known of them; its view is stale then."""
    if not fields:
        return
    session.execute_many(
        _MERGE_FIELD,
        [
            {
                "collection_id": collection,
                "field_id": field.number,
                "name_key": text_key(field.name),
                "name": {"name": json.dumps(field.name)},
                "column_name": field.column,
                "only_numbers": int(field.only_numbers),
            }
            for field in fields
        ],
        {"name": "json"},
    )
    session.execute(
        "UPDATE lookalike_collections SET revision = revision + 1 WHERE collection_id = :collection_id",
        {"collection_id": collection},
    )


def _entries(session: OracleSession, url: str, statement: str, binds: Mapping[str, Any]) -> list[Entry]:
    rows = _rows(session, url, statement, binds)
    for row in rows:
        check_version(url, row[0], VERSION)
    found: dict[int, list[Row]] = {}
    for row in rows:
        if row[1] is not None:
            found.setdefault(int(row[1]), []).append(row[2:])
    return [
        Entry(number, some[0][0], tuple(_vector(row[2:]) for row in some if row[2] is not None), some[0][1])
        for number, some in found.items()
    ]


def _rows(session: OracleSession, url: str, statement: str, binds: Mapping[str, Any]) -> list[Row]:
    try:
        return session.query(statement, binds)
    except OracleRefusal as error:
        if not is_missing_table(error):
            raise
    versions: list[Row] = []
    with suppress_code(*NO_SUCH_TABLE):
        versions = session.query("SELECT version FROM lookalike_store", rows=1)
    for (version,) in versions:
        check_version(url, version, VERSION)
    # The version is written when all tables are there: without it nobody has written yet.
    return session.query(statement, binds) if versions else []


def _vector(row: Row) -> VectorEntry:
    number, name, embedder, fingerprint, dimension, metric, ready, becomes_default, kind, recall, *asked = row
    space = Space(embedder or "", fingerprint or "", int(dimension), metric or "")  # '' is NULL to Oracle
    measured = None
    if kind is not None and recall is not None:
        measured = Approximation(kind, float(recall), *map(int, asked))
    info = VectorInfo(name, space, bool(ready), bool(becomes_default), measured)
    return VectorEntry(int(number), info, kind)


def _insert(session: OracleSession, entry: Entry, metric: bytes | None) -> bool:
    """Add the rows of a collection whose tables are made, uncommitted; tell whether its name was free."""
    row = {
        "collection_id": entry.key,
        "name_key": text_key(same_name(entry.name)),
        "name": entry.name,
        "default_vector": entry.default,
        "revision": 1,
    }
    try:
        session.execute(insert_statement("lookalike_collections", row), row)
    except OracleRefusal as error:
        if error.code != NOT_UNIQUE:
            raise
        return False
    for vector in entry.vectors:
        _insert_vector(session, entry.key, vector)
        if metric is not None:
            _put_metric(session, vector.number, metric)
    return True


def _insert_vector(session: OracleSession, collection: int, vector: VectorEntry) -> None:
    numbers = {"vector_id": vector.number, "collection_id": collection}
    row = {**numbers, **vector_columns(vector.info), **_state(vector.info)}
    session.execute(insert_statement("lookalike_vectors", row), row)


def _put_metric(session: OracleSession, vector: int, metric: bytes) -> None:
    session.execute(_DELETE_METRIC, {"vector_id": vector})
    row = {"vector_id": vector, "metric": metric}
    session.execute(insert_statement("lookalike_metrics", row), row, {"metric": "blob"})


def _delete_vector(session: OracleSession, vector: int) -> None:
    session.execute(_DELETE_METRIC, {"vector_id": vector})
    session.execute("DELETE FROM lookalike_vectors WHERE vector_id = :vector_id", {"vector_id": vector})


def _state(vector: VectorInfo) -> dict[str, int]:
    return {"ready": int(vector.ready), "becomes_default": int(vector.becomes_default)}


def _undo(session: OracleSession, number: int, vectors: Sequence[int]) -> None:
    with suppress(StoreError):
        session.rollback()
        drop_tables(session, number, vectors)
