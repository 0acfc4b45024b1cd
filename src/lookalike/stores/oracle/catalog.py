"""Which collections there are: rows of lookalike_collections, lookalike_metrics and lookalike_fields."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import (
    CollectionNotFound,
    InvalidArgument,
    StoreBusy,
    StoreError,
    StoreNewer,
    StoreOlder,
)
from lookalike.stores.checks import collection_name, same_name
from lookalike.stores.oracle.encoding import Field, text_key
from lookalike.stores.oracle.errors import NOT_UNIQUE, OracleRefusal, is_missing_table
from lookalike.stores.oracle.schema import (
    VERSION,
    clear_away,
    drop_tables,
    make_store,
    make_tables,
    records_table,
)
from lookalike.stores.oracle.views import drop_view, refresh_views
from lookalike.types import Approximation, CollectionInfo, Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.stores.oracle.connection import OracleSession

_COLUMNS = (
    "c.collection_id, c.name, c.embedder, c.embedder_fingerprint, c.dimension, c.metric_fingerprint,"
    " c.view_name, c.index_kind, c.index_recall, c.index_k, c.index_queries"
)
ONE = (
    f"SELECT s.version, {_COLUMNS} FROM lookalike_store s"  # noqa: S608 our own columns
    " LEFT JOIN lookalike_collections c ON c.name_key = :name_key"
)
ALL = (
    f"SELECT s.version, {_COLUMNS} FROM lookalike_store s"  # noqa: S608 our own columns
    " LEFT JOIN lookalike_collections c ON c.collection_id > 0"
)
_INSERT = (
    "INSERT INTO lookalike_collections (collection_id, name_key, name, embedder, embedder_fingerprint,"
    " dimension, metric_fingerprint, revision) VALUES (:collection_id, :name_key, :name, :embedder,"
    " :embedder_fingerprint, :dimension, :metric_fingerprint, 1)"
)
_RENAME = (
    "UPDATE lookalike_collections SET name_key = :name_key, name = NVL(:name, name), revision = revision + 1"
    " WHERE collection_id = :collection_id"
)
_MERGE_FIELD = (
    "MERGE INTO lookalike_fields t USING (SELECT :collection_id AS collection_id, :field_id AS field_id"
    " FROM dual) s ON (t.collection_id = s.collection_id AND t.field_id = s.field_id)"
    " WHEN MATCHED THEN UPDATE SET t.only_numbers = :only_numbers"
    " WHEN NOT MATCHED THEN INSERT (collection_id, field_id, name_key, name, column_name, only_numbers)"
    " VALUES (s.collection_id, s.field_id, :name_key, :name, :column_name, :only_numbers)"
)


class Place(NamedTuple):
    """A collection as its row in the catalog says, without its count and fields."""

    number: int
    collection: CollectionInfo
    """Its count is 0 and its fields are empty."""
    view: str | None
    index_kind: str | None
    """The kind of its vector index, measured or not."""


def find(session: OracleSession, url: str, name: str) -> Place | None:
    """Return where the collection of that name is, None where there is none.

    Raises:
        StoreNewer: a later version of lookalike made the tables.
    """
    found = _places(session, url, ONE, {"name_key": text_key(same_name(name))})
    return found[0] if found else None


def must_find(session: OracleSession, url: str, name: str) -> Place:
    """Return where the collection of that name is.

    Raises:
        CollectionNotFound: there is none.
    """
    place = find(session, url, name)
    if place is None:
        raise CollectionNotFound(name, [one.collection.name for one in find_all(session, url)])
    return place


def lock(session: OracleSession, url: str, names: Sequence[str], wait: int) -> list[Place]:
    """Return where collections are, when no other writer has them any more; until the next commit none will.

    Args:
        session: with nothing open.
        url: of the store.
        names: each of a collection that must be there; its row is locked.
        wait: seconds, at least 1.

    Raises:
        CollectionNotFound: one is not there.
        StoreBusy: another writer had one for longer.
    """
    numbers = {must_find(session, url, name).number for name in names}
    while True:
        for number in sorted(numbers):  # in one order, so that two cannot wait for each other
            session.query(
                "SELECT collection_id FROM lookalike_collections"  # noqa: S608 a number of seconds
                f" WHERE collection_id = :collection_id FOR UPDATE WAIT {wait:d}",
                {"collection_id": number},
                rows=1,
            )
        places = [must_find(session, url, name) for name in names]
        found = {place.number for place in places}
        if found == numbers:
            return places
        session.rollback()  # a name stands for another collection by now
        numbers = found


def find_all(session: OracleSession, url: str) -> list[Place]:
    """Return where all collections are, by name."""
    return sorted(_places(session, url, ALL, {}), key=lambda place: place.collection.name)


def counted(session: OracleSession, place: Place) -> CollectionInfo:
    """Return the collection with its count and its fields."""
    ((count,),) = session.query(f"SELECT COUNT(*) FROM {records_table(place.number)}", rows=1)  # noqa: S608
    fields = tuple(sorted(field.name for field in read_fields(session, place.number)))
    one = place.collection
    return CollectionInfo(one.name, one.space, int(count), fields, one.approximation)


def insert(session: OracleSession, number: int, name: str, space: Space, metric: bytes | None) -> bool:
    """Add the row of a collection whose tables are made, uncommitted; tell whether its name was free."""
    try:
        session.execute(
            _INSERT,
            {
                "collection_id": number,
                "name_key": text_key(same_name(name)),
                "name": name,
                "embedder": space.embedder,
                "embedder_fingerprint": space.embedder_fingerprint,
                "dimension": space.dimension,
                "metric_fingerprint": space.metric_fingerprint,
            },
        )
    except OracleRefusal as error:
        if error.code != NOT_UNIQUE:
            raise
        return False
    if metric is not None:
        session.execute(
            "INSERT INTO lookalike_metrics (collection_id, metric) VALUES (:collection_id, :metric)",
            {"collection_id": number, "metric": metric},
            {"metric": "blob"},
        )
    return True


def read_metric(session: OracleSession, number: int) -> bytes | None:
    """Return what the collection was created with as its metric."""
    rows = session.query(
        "SELECT metric FROM lookalike_metrics WHERE collection_id = :collection_id",
        {"collection_id": number},
        rows=1,
    )
    # An empty BLOB is not NULL, but what is fetched of it as bytes may be None.
    return bytes(rows[0][0] or b"") if rows else None


def rename(session: OracleSession, places: Mapping[str, Place], names: Mapping[str, str]) -> None:
    """Give locked collections other names; nothing is committed.

    Raises:
        InvalidArgument: a name is not usable, is there twice, or belongs to another collection.
    """
    renamed = {places[old].number: collection_name(new) for old, new in names.items()}
    if len({same_name(new) for new in renamed.values()}) < len(names):
        raise InvalidArgument("two collections cannot have one name")
    # Names are unique at every moment: out of the way first, under keys that no name has.
    for number in renamed:
        session.execute(_RENAME, {"collection_id": number, "name_key": f"#{number}", "name": None})
    for number, new in renamed.items():
        try:
            session.execute(
                _RENAME, {"collection_id": number, "name_key": text_key(same_name(new)), "name": new}
            )
        except OracleRefusal as error:
            if error.code == NOT_UNIQUE:
                raise InvalidArgument(f"there is a collection {new!r}") from error
            raise


def delete(session: OracleSession, number: int) -> None:
    """Delete the rows of a locked collection; its tables stay, and nothing is committed."""
    for table in ("lookalike_fields", "lookalike_metrics", "lookalike_collections"):
        session.execute(
            f"DELETE FROM {table} WHERE collection_id = :collection_id",  # noqa: S608 one of three
            {"collection_id": number},
        )


def set_index(session: OracleSession, number: int, kind: str | None, measured: Approximation | None) -> None:
    """Note which vector index a collection has, and commit."""
    session.execute(
        "UPDATE lookalike_collections SET index_kind = :kind, index_recall = :recall, index_k = :k,"
        " index_queries = :queries WHERE collection_id = :collection_id",
        {
            "kind": kind,
            "recall": None if measured is None else measured.recall,
            "k": None if measured is None else measured.k,
            "queries": None if measured is None else measured.queries,
            "collection_id": number,
        },
    )
    session.commit()


def read_fields(session: OracleSession, number: int) -> list[Field]:
    """Return all fields that a collection has had, in the order in which they came."""
    rows = session.query(
        "SELECT field_id, name, column_name, only_numbers FROM lookalike_fields"
        " WHERE collection_id = :collection_id ORDER BY field_id",
        {"collection_id": number},
    )
    return [
        Field(int(n), json.loads(name["name"]), column, bool(numbers)) for n, name, column, numbers in rows
    ]


def put_fields(session: OracleSession, number: int, fields: Sequence[Field]) -> None:
    """Add fields of a locked collection, or change what is known of them; its view is stale then."""
    if not fields:
        return
    session.execute_many(
        _MERGE_FIELD,
        [
            {
                "collection_id": number,
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
        {"collection_id": number},
    )


def _places(session: OracleSession, url: str, statement: str, binds: Mapping[str, str]) -> list[Place]:
    try:
        rows = session.query(statement, binds)
    except OracleRefusal as error:
        if is_missing_table(error):
            return []  # nothing was written yet
        raise
    if any(row[0] > VERSION for row in rows):
        raise StoreNewer(url)
    if any(row[0] < VERSION for row in rows):
        raise StoreOlder(url)
    return [_place(*row[1:]) for row in rows if row[1] is not None]


def _place(  # noqa: PLR0913, RUF100 the columns of a row
    number: int,
    name: str,
    embedder: str | None,
    embedder_fingerprint: str | None,
    dimension: int,
    metric_fingerprint: str | None,
    view: str | None,
    kind: str | None,
    recall: float | None,
    k: int | None,
    queries: int | None,
) -> Place:
    space = Space(embedder or "", embedder_fingerprint or "", int(dimension), metric_fingerprint or "")
    approximation = None
    if kind is not None and recall is not None:
        approximation = Approximation(kind, float(recall), int(k or 0), int(queries or 0))
    return Place(int(number), CollectionInfo(name, space, 0, (), approximation), view, kind)


def make_collection(session: OracleSession, name: str, space: Space, metric: bytes | None) -> None:
    """Make a collection, unless another process is faster: its tables first, then the row that counts."""
    make_store(session)
    with suppress(OracleRefusal, StoreBusy):
        clear_away(session)
    number = make_tables(session, space.dimension)
    try:
        made = insert(session, number, name, space, metric)
        if made:
            session.commit()
    except Exception:
        _undo(session, number)
        raise
    if made:
        refresh_views(session)
    else:
        _undo(session, number)


def delete_collection(session: OracleSession, place: Place) -> None:
    """Delete a locked collection: the row that counts first, then its view and its tables."""
    delete(session, place.number)
    session.commit()
    # It is gone. What cannot be dropped now, because somebody reads it, is cleared away later.
    with suppress(StoreError):
        drop_view(session, place.view, place.number)
        drop_tables(session, place.number)


def _undo(session: OracleSession, number: int) -> None:
    with suppress(StoreError):
        session.rollback()
        drop_tables(session, number)
