"""Indexes of others in Elasticsearch: read as they are, and kept in memory while nobody changes them.

An index, an alias or a data stream with a field of vectors, of any kind of index, in a nested object too:
then each nested vector is a record. Fields come out of `_source`, vectors through `fields`, since they are
left out of `_source` from 9.2 on. Nothing is written, refreshed or made.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import numpy as np

from lookalike.errors import InvalidArgument, StoreDenied, TableNotFound, Unanswerable
from lookalike.memory import check_fits
from lookalike.stores.attached.description import ForeignRow, id_value, row_id
from lookalike.stores.attached.foreign import Column, FoundTable, Tally
from lookalike.stores.attached.foreign_vectors import (
    NO_ID,
    NO_VECTOR,
    NOT_UNIT,
    SAME_ID,
    Counts,
    read_vectors,
    vector_form,
)
from lookalike.stores.attached.json_paths import field_value, values_at
from lookalike.stores.batches import chunks
from lookalike.stores.elasticsearch.address import read_elasticsearch_address
from lookalike.stores.elasticsearch.connection import ElasticsearchClient, action_lines
from lookalike.stores.elasticsearch.errors import IndexGone
from lookalike.stores.elasticsearch.pages import sorted_pages
from lookalike.stores.elasticsearch.records import answered_at_once
from lookalike.stores.reranking import approximate_nearest, exact_nearest
from lookalike.stores.verification import fields_match
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from lookalike.stores.attached.description import Attachment, Source
    from lookalike.stores.attached.foreign import Change, Kind
    from lookalike.stores.query import Query
    from lookalike.stores.reranking import Candidates
    from lookalike.types import Scalar, Table, Vectors, Where

SAMPLE = 200
"""Documents that are looked at to tell what a field holds."""

_MISSING = 404
_NAME = re.compile(r'[^\\/*?"<>|\s,#]+')
_MOST_CANDIDATES = 10_000  # see `search`
_SPARE = 8
_OVERSAMPLE = 3
_LEAST_WIDTH = 200
_WIDTH = 10
_SEARCHES = 20  # in one request
_PAGE = 2_000
_TOGETHER = 1_000  # documents that are asked for by id at once
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("keyword", "constant_keyword", "wildcard", "text", "ip", "date", "version"), "text"),
    **dict.fromkeys(("match_only_text", "date_nanos"), "text"),
    **dict.fromkeys(("long", "integer", "short", "byte", "double", "float", "half_float"), "number"),
    **dict.fromkeys(("scaled_float", "unsigned_long"), "number"),
    "boolean": "boolean",
    "flattened": "json",
    "dense_vector": "vector",
}
# What a similarity is by which an index was made, and whether its order is the cosine's for any length.
_SIMILARITIES = {
    "cosine": ("the cosine", True),
    "dot_product": ("the dot product", True),  # of which the server takes vectors of length 1 alone
    "l2_norm": ("the Euclidean distance", False),
    "max_inner_product": ("the inner product", False),
}


class ElasticsearchTables:
    """The indexes of others on one server: see `ForeignDatabase`.

    Args:
        url: see `read_elasticsearch_address`.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.client = ElasticsearchClient(read_elasticsearch_address(url), timeout)

    def find(self, table: str) -> FoundTable:
        """Look at an index, an alias or a data stream: see `ForeignDatabase.find`."""
        if not _NAME.fullmatch(table) or table.startswith(("_", "-", "+")):
            raise InvalidArgument(f"{table!r} names no index: name one, without patterns")
        path = f"/{quote(table, safe='')}"
        reply = self.client.request("GET", f"{path}/_mapping", allow=(_MISSING,))
        if reply.status == _MISSING or not reply.body:
            raise TableNotFound(table, self._with_vectors())
        mappings = {index: one["mappings"] for index, one in reply.body.items()}
        for index, one in mappings.items():
            if "lookalike_format" in one.get("_meta", {}):
                raise InvalidArgument(f"{table!r} is a collection of lookalike's: it need not be attached")
            if one.get("_source", {}).get("enabled") is False:
                raise InvalidArgument(f"the index {index} keeps no _source, which fields are read from")
        columns = [
            each
            for each in _columns(table, list(mappings.values()))
            if each.kind == "vector"
            or each.name == "_id"
            or all(_is_kept(one, each.name) for one in mappings.values())
        ]
        kind = "index" if list(mappings) == [table] else "data stream" if _is_stream(mappings) else "alias"
        body = {
            "size": SAMPLE,
            "_source": {"excludes": [each.name for each in columns if each.kind == "vector"]},
        }
        (answer,) = self.client.search([(table, body)])
        hits = answer["hits"]["hits"]
        if not self._is_synthetic(path):  # which sorts the numbers of a list
            columns = [_as_list(each, hits, len(mappings)) for each in columns]
        sample = [
            {each.name: _at(hit, each.name) for each in columns if each.kind != "vector"} for hit in hits
        ]
        return FoundTable(table, kind, tuple(columns), sample)

    def _is_synthetic(self, path: str) -> bool:
        """Tell whether documents are not kept as they came, but made anew of their fields."""
        found = self.client.request("GET", f"{path}/_settings", params={"flat_settings": "true"}).body
        return any(
            one["settings"].get("index.mapping.source.mode") == "synthetic"
            or one["settings"].get("index.mode") in ("logsdb", "time_series")
            for one in found.values()
        )

    def open(self, attachment: Attachment) -> ElasticsearchTable:
        """Return an index that was attached: see `ForeignDatabase.open`."""
        if attachment.writable:
            raise InvalidArgument(
                f"the index {attachment.table} is only read: lookalike writes into no index of others "
                f"(--writable)"
            )
        return ElasticsearchTable(self.client, attachment)

    def sql(self, attachments: Sequence[Attachment], statement: str, seconds: float) -> Table | None:
        """Return None: the store's own back end says that there is no SQL."""
        return None

    def close(self) -> None:
        """Give back the connections."""
        self.client.close()

    def _with_vectors(self) -> list[str]:
        """Return the names of indexes that have vectors and are no collections of lookalike's."""
        with suppress(StoreDenied):
            found = self.client.request("GET", "/_mapping", params={"expand_wildcards": "open"}).body
            return sorted(
                index
                for index, one in found.items()
                if "lookalike_format" not in one["mappings"].get("_meta", {})
                and any(kind == "dense_vector" for _, kind, _, _ in _leaves(one["mappings"]))
            )
        return []


@dataclass(slots=True)
class _Snapshot:
    """The records of an index in one state, in order of id."""

    state: Hashable | None
    ids: list[str]
    rows: list[ForeignRow]
    vectors: Vectors
    """float32 of shape (records, dimension), of length 1."""
    tally: Tally
    place_of: dict[str, int] = field(default_factory=dict)


class ElasticsearchTable:
    """One attached index: see `ForeignTable`."""

    def __init__(self, client: ElasticsearchClient, attachment: Attachment) -> None:
        self._client = client
        self._of = attachment
        self._dimension = attachment.space.dimension
        self._nested = attachment.detail("nested") or ""
        self._lock = threading.RLock()
        self._snapshot: _Snapshot | None = None
        named = {attachment.id, *attachment.columns, attachment.metadata or "_id"}
        self._columns = sorted(named - {"_id"})

    def state(self) -> Hashable | None:
        """Return what searches see of each shard: how many documents, and which operation was the last.

        Whatever is indexed or changed has a sequence number above all before; what is deleted is missing.
        """
        table, path = self._of.table, quote(self._of.table, safe="")
        try:
            shards = self._client.request("GET", f"/{path}/_search_shards").body["shards"]
        except StoreDenied:
            return None
        except IndexGone as error:
            raise TableNotFound(table, []) from error
        numbers = sorted({one["shard"] for copies in shards for one in copies[:1]})
        if not numbers:  # an alias, or a pattern, of no index
            raise TableNotFound(table, [])
        body: dict[str, Any] = {
            "size": 0,
            "track_total_hits": True,
            "aggs": {
                "index": {
                    "terms": {"field": "_index", "size": 10_000},
                    "aggs": {"last": {"max": {"field": "_seq_no"}}},
                }
            },
        }
        lines = b"".join(
            action_lines({"index": table, "preference": f"_shards:{number}"}, body) for number in numbers
        )
        answers = self._client.request("POST", "/_msearch", lines).body["responses"]
        if any("error" in one for one in answers):
            return None
        return tuple(
            (number, bucket["key"], bucket["doc_count"], bucket["last"]["value"])
            for number, one in zip(numbers, answers, strict=True)
            for bucket in one["aggregations"]["index"]["buckets"]
        )

    def tally(self, *, thorough: bool = False) -> Tally:
        """Count the documents: see `ForeignTable.tally`."""
        if thorough or not self._asked_directly:
            return self._read().tally
        body: dict[str, Any] = {"size": 0, "track_total_hits": True}
        without = {"bool": {"must_not": [{"exists": {"field": self._of.vector}}]}}
        table = self._of.table
        every, lacking = self._search((table, body), (table, {**body, "query": without, "size": 1}))
        counts, lost = Counts(), lacking["hits"]["total"]["value"]
        if lost:
            counts.add(NO_VECTOR, row_id(lacking["hits"]["hits"][0]["_id"]), lost)
        return Tally(every["hits"]["total"]["value"] - lost, counts.told())

    def ids(self, where: Where | None = None, having: str | None = None) -> list[str]:
        """Return the ids of records that match: see `ForeignTable.ids`."""
        found = self._read()
        return [row.id for row in found.rows if fields_match(row.fields, where, having)]

    def rows(self, ids: Sequence[str] | None = None) -> list[ForeignRow]:
        """Return the rows with these ids: see `ForeignTable.rows`."""
        if ids is not None and self._asked_directly:
            return [row for row, _ in self._fetch(ids)]
        found = self._read()
        return found.rows if ids is None else [found.rows[place] for place in self._places(found, ids)]

    def vectors(self, ids: Sequence[str]) -> tuple[list[str], Vectors]:
        """Return some vectors: see `ForeignTable.vectors`."""
        if self._asked_directly:
            return self._usable(self._fetch(ids))
        found = self._read()
        places = self._places(found, ids)
        return [found.ids[place] for place in places], found.vectors[places]

    def nearest(self, queries: Vectors, query: Query) -> list[list[tuple[str, float]]]:
        """Return the nearest neighbours: see `ForeignTable.nearest`.

        The server is asked where its answer is exact (`flat`), or approximate is enough, and there is no
        filter of ours; else the vectors answer that are in memory.
        """
        filtered = bool(query.where) or query.having is not None
        ours = filtered or self._nested or self._of.detail("indexes") != "1" or self._of.id != "_id"

        def exact(rows: Sequence[int], count: int) -> list[Candidates]:
            found = self._read()
            return [self._exact(found, queries[row], row, query, count) for row in rows]

        def asked(rows: Sequence[int], count: int) -> list[Candidates]:
            return [
                each
                for some in chunks(rows, _SEARCHES)
                for each in self._candidates([(row, queries[row]) for row in some], query, count)
            ]

        exactly = self._of.detail("index") == "flat" and self._of.detail("element") == "float"
        if exactly and not ours and self._asked_directly:
            if query.k <= _MOST_CANDIDATES // 8:
                return exact_nearest(queries, query.k, asked)
        elif not ours and query.approximate and query.k <= _MOST_CANDIDATES // 8:
            candidates = asked(range(len(queries)), _OVERSAMPLE * query.k + _SPARE)
            return approximate_nearest(queries, query.k, candidates, exact)
        return exact_nearest(queries, query.k, exact)

    def index(self) -> str:
        """Return the kind of the index: see `ForeignTable.index`."""
        of = self._of
        kind, similarity = of.detail("index") or "", of.detail("similarity") or ""
        if self._nested:
            raise Unanswerable(f"{of.table}: an index of nested vectors finds documents, and not vectors")
        if "hnsw" not in kind:
            raise Unanswerable(f"{of.table}: the vectors of {of.vector} have no approximate index ({kind})")
        if of.detail("indexes") != "1":
            raise Unanswerable(f"{of.table} is of several indexes: search stays exact")
        meant, any_length = _SIMILARITIES.get(similarity, (similarity, False))
        off = 0 if any_length else sum(one.count for one in self._read().tally.remarks)
        if off:
            raise Unanswerable(
                f"{of.table}: the index is by {meant}, and {off:,} vectors are not of length 1, so that its "
                f"order is not the cosine's"
            )
        return kind

    def update(self, changes: Mapping[str, Mapping[str, Change]]) -> None:
        """Refuse: nothing is written into an index of others."""
        raise InvalidArgument(f"the index {self._of.table} is only read")

    def remove(self, ids: Sequence[str]) -> int:
        """Refuse: nothing is written into an index of others."""
        raise InvalidArgument(f"the index {self._of.table} is only read")

    def _places(self, found: _Snapshot, ids: Sequence[str]) -> list[int]:
        return [found.place_of[one] for one in dict.fromkeys(ids) if one in found.place_of]

    def _exact(self, found: _Snapshot, vector: Vectors, row: int, query: Query, count: int) -> Candidates:
        """Return the nearest of what is in memory, as candidates."""
        among = None
        if query.where or query.having is not None:
            matches = (fields_match(one.fields, query.where, query.having) for one in found.rows)
            among = np.fromiter(matches, bool, len(found.rows))
        left_out = None if query.exclude is None else [self._places(found, list(query.exclude[row]))]
        if not found.ids:
            return [], found.vectors
        k = min(count, len(found.ids))
        (near,), _ = nearest_rows(vector[None], found.vectors, k, left_out, among)
        places = [place for place in near.tolist() if place >= 0]
        return [found.ids[place] for place in places], found.vectors[places]

    def _candidates(
        self, asked: Sequence[tuple[int, Vectors]], query: Query, count: int
    ) -> Iterator[Candidates]:
        """Yield what the server finds for some queries, as candidates."""
        left_out = [set[str]() if query.exclude is None else set(query.exclude[row]) for row, _ in asked]
        wanted = min(_MOST_CANDIDATES, count + max(map(len, left_out)))
        searches = []
        for _, vector in asked:
            numbers: list[Any] = vector.tolist()
            if self._of.detail("element") == "byte":
                numbers = np.rint(vector * (127 / np.abs(vector).max())).astype(int).tolist()
            knn = {
                "field": self._of.vector,
                "query_vector": numbers,
                "k": wanted,
                "num_candidates": min(_MOST_CANDIDATES, max(_LEAST_WIDTH, _WIDTH * wanted)),
            }
            body = {**self._asked_for(vectors_only=True), "knn": knn, "size": wanted}
            searches.append((self._of.table, body))
        for never, answer in zip(left_out, self._search(*searches), strict=True):
            parts = [part for hit in answer["hits"]["hits"] for part in self._parts(hit)]
            yield self._usable([part for part in parts if part[0].id not in never])

    def _search(self, *searches: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer searches.

        Raises:
            TableNotFound: the index is not there any more.
        """
        try:
            return self._client.search(searches)
        except IndexGone as error:
            raise TableNotFound(self._of.table, []) from error

    @property
    def _asked_directly(self) -> bool:
        """Whether the server is asked for single records: what is in memory is not, or is not needed."""
        of = self._of
        one = of.id == "_id" and not self._nested and of.detail("indexes") == "1"
        return one and of.detail("similarity") in ("cosine", "dot_product") and self._snapshot is None

    def _fetch(self, ids: Sequence[str]) -> list[tuple[ForeignRow, Any]]:
        """Return some rows with their vectors as they are written; those without one are none."""
        found: list[tuple[ForeignRow, Any]] = []
        for some in chunks(list(dict.fromkeys(ids)), min(_TOGETHER, answered_at_once(self._dimension))):
            wanted = {"ids": {"values": [id_value(one) for one in some]}}
            body = {**self._asked_for(), "query": wanted, "size": len(some)}
            (answer,) = self._search((self._of.table, body))
            found += [part for hit in answer["hits"]["hits"] for part in self._parts(hit)]
        return [(row, vector) for row, vector in found if vector is not None]

    def _usable(self, parts: Sequence[tuple[ForeignRow, Any]]) -> tuple[list[str], Vectors]:
        read = read_vectors([vector for _, vector in parts], "json", self._dimension)
        return [parts[number][0].id for number in read.rows], read.vectors

    def _read(self) -> _Snapshot:
        """Return the records as searches see them now: read again where anything has changed."""
        with self._lock:
            # Where somebody writes meanwhile, it is read again the next time.
            state = self.state()
            if self._snapshot is None or state is None or self._snapshot.state != state:
                self._snapshot = None  # before the new one is read: there may be no room for two
                self._snapshot = self._snap(state)
            return self._snapshot

    def _snap(self, state: Hashable | None) -> _Snapshot:
        counts, remarks = Counts(), Counts()
        rows: dict[str, tuple[ForeignRow, Vectors]] = {}
        for hits in self._pages():
            found = [one for hit in hits for one in self._parts(hit)]
            read = read_vectors([vector for _, vector in found], "json", self._dimension)
            for number, reason in read.reasons.items():
                counts.add(reason, found[number][0].id or None)
            for at, number in enumerate(read.rows):
                row = found[number][0]
                if not row.id or row.id in rows:
                    counts.add(SAME_ID if row.id else NO_ID, row.id or None)
                    continue
                rows[row.id] = (row, read.vectors[at])
            for number in read.not_unit:
                remarks.add(NOT_UNIT, found[number][0].id)
        ids = sorted(rows)
        vectors = np.array([rows[one][1] for one in ids], np.float32).reshape(len(ids), self._dimension)
        return _Snapshot(
            state,
            ids,
            [rows[one][0] for one in ids],
            vectors,
            Tally(len(ids), counts.told(), remarks.told()),
            {one: place for place, one in enumerate(ids)},
        )

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        of = self._of
        exists = {"exists": {"field": of.vector}}
        wanted = {"nested": {"path": self._nested, "query": exists}} if self._nested else exists
        (total,) = self._client.search([(of.table, {"size": 0, "track_total_hits": True, "query": wanted})])
        check_fits(
            of.name or of.table,
            total["hits"]["total"]["value"],
            self._dimension,
            "copy it into a store of lookalike's",
        )
        # Also those without a vector: they are counted.
        body = {
            **self._asked_for(),
            "size": min(_PAGE, answered_at_once(self._dimension)),
            "sort": [{"_shard_doc": "asc"}],
        }
        path = quote(of.table, safe="")
        yield from sorted_pages(self._client, path, body)

    def _asked_for(self, *, vectors_only: bool = False) -> dict[str, Any]:
        """Return what a search asks of each document."""
        inside = [one for one in self._columns if self._is_inside(one)]
        outside = [one for one in self._columns if not self._is_inside(one)]
        # Out of the index it costs less, and no other numbers than the direction are wanted.
        quick = (vectors_only and self._of.detail("element") == "float") or self._of.detail("kept") == "no"
        return {
            "_source": outside if outside and not vectors_only else False,
            **({"docvalue_fields": [self._of.vector]} if quick else {"fields": [self._of.vector, *inside]}),
            "seq_no_primary_term": True,
            "track_total_hits": False,
        }

    def _is_inside(self, column: str) -> bool:
        """Tell whether a field is of the nested objects that have the vectors."""
        return bool(self._nested) and column.startswith(f"{self._nested}.")

    def _parts(self, hit: dict[str, Any]) -> Iterator[tuple[ForeignRow, Any]]:
        """Yield the records of a document, each with its vector as it was written."""
        fields = hit.get("fields") or {}
        identity = row_id(_at(hit, self._of.id)) or ""
        if not self._nested:
            yield self._row(hit, identity, {}), _numbers(fields.get(self._of.vector))
            return
        inner = fields.get(self._nested) or []
        if not inner:
            yield self._row(hit, identity, {}), None
        name = self._of.vector.removeprefix(f"{self._nested}.")
        for place, part in enumerate(inner):
            own = f"{identity}[{place}]" if identity else ""
            yield self._row(hit, own, part), _numbers(part.get(name))

    def _row(self, hit: dict[str, Any], identity: str, part: Mapping[str, Any]) -> ForeignRow:
        of = self._of

        def content(column: str) -> Any:
            if self._is_inside(column):
                return part.get(column.removeprefix(f"{self._nested}."))
            return _at(hit, column)

        def value(source: Source) -> Scalar | None:
            found = content(source.column)
            if source.path is not None:
                return field_value(values_at(found, source.steps))
            return field_value(found if isinstance(found, list) else [found])

        fields = {name: found for name, source in of.fields if (found := value(source)) is not None}
        place = None if of.uri is None else value(of.uri)
        said = None if of.metadata is None else content(of.metadata)
        digest = None if of.digest is None else content(of.digest)
        return ForeignRow(
            identity,
            None if place is None else str(place),
            fields,
            said if isinstance(said, dict) else {},
            int(hit.get("_seq_no") or 0),
            digest if isinstance(digest, str) else None,
        )


def _is_stream(indexes: Mapping[str, Any]) -> bool:
    return all(name.startswith(".ds-") for name in indexes)


def _leaves(mapping: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], tuple[str, ...]]]:
    """Yield name, type and mapping of each field, and the nested objects that it is in."""

    def below(
        properties: Mapping[str, Any], path: str, nested: tuple[str, ...]
    ) -> Iterator[tuple[str, str, dict[str, Any], tuple[str, ...]]]:
        for name, one in properties.items():
            full = f"{path}{name}"
            kind = one.get("type", "object")
            if kind in ("object", "nested") and one.get("enabled", True) is not False:
                inner = (*nested, full) if kind == "nested" else nested
                yield from below(one.get("properties", {}), f"{full}.", inner)
            else:
                yield full, kind, cast("dict[str, Any]", one), nested

    return below(mapping.get("properties", {}), "", ())


def _columns(table: str, mappings: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the fields of an index, or those of all indexes of an alias.

    Raises:
        InvalidArgument: their vectors differ.
    """
    found: dict[str, Column] = {}
    for mapping in mappings:
        for name, type_name, one, nested in _leaves(mapping):
            kind: Kind = _KINDS.get(type_name, "other")
            if type_name == "object":
                kind = "json"  # not searched: kept as it is
            made = Column(name, kind, type_name)
            if kind == "vector":
                made = _vector_column(name, one, nested, len(mappings))
                kept = "yes" if _is_kept(mapping, name) else "no"
                if kept == "no" and made.kind == "vector":
                    made = replace(made, details=(*made.details, ("kept", kept)))
                    if nested:
                        made = Column(name, "other", f"{made.type}, which _source does not keep")
            elif nested:
                made = Column(name, kind, f"{type_name} in {nested[-1]}")
            known = found.setdefault(name, made)
            if known != made and "vector" in (known.kind, made.kind):
                if _compared(known) != _compared(made):
                    raise InvalidArgument(
                        f"{table} is of indexes whose field {name} differs: attach one of them"
                    )
                # Of several, no index of vectors is asked.
                various = {**dict(known.details), "index": "various", "similarity": "various"}
                found[name] = replace(known, details=tuple(various.items()))
            if known.kind != made.kind:
                found[name] = Column(name, "other", f"{known.type}, {made.type}")
    return [Column("_id", "text", "_id", unique=True), *found.values()]


def _compared(column: Column) -> tuple[object, ...]:
    """Return what must be the same in all indexes of an alias."""
    details = dict(column.details)
    return column.kind, column.dimension, details.get("element"), details.get("nested"), details.get("kept")


def _is_kept(mapping: Mapping[str, Any], name: str) -> bool:
    """Tell whether a field is in the documents as they are kept (`_source.includes`, `_source.excludes`)."""
    source = mapping.get("_source", {})

    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, one) or fnmatchcase(name, f"{one}.*") for one in patterns)

    included = source.get("includes") or []
    return (not included or matches(included)) and not matches(source.get("excludes") or [])


def _as_list(column: Column, hits: Sequence[Mapping[str, Any]], indexes: int) -> Column:
    """Return a field of numbers as one of vectors, where the first documents have lists of them in it.

    So are vectors kept that nobody made a mapping for, where they are short: Elasticsearch takes `float`.
    """
    if column.kind != "number" or " in " in column.type:
        return column
    values = [value for hit in hits if (value := _at(hit, column.name)) is not None]
    dimension, _ = vector_form([value for value in values if isinstance(value, list)])
    if dimension is None or not all(isinstance(value, list) for value in values):
        return column
    details = (
        *(("element", "list"), ("index", "none"), ("similarity", "none"), ("nested", "")),
        ("indexes", str(indexes)),
    )
    return Column(column.name, "vector", f"lists of {column.type}", dimension, details=details)


def _vector_column(name: str, mapping: Mapping[str, Any], nested: tuple[str, ...], indexes: int) -> Column:
    """Return the column of a field of vectors, or one that says why it is none."""
    element = mapping.get("element_type", "float")
    if element == "bit" or len(nested) > 1:
        why = "vectors of bits" if element == "bit" else "nested twice"
        return Column(name, "other", f"dense_vector, {why}")
    searched = mapping.get("index", True) is not False
    details = (
        ("element", element),
        ("index", str(mapping.get("index_options", {}).get("type", "default hnsw")) if searched else "none"),
        ("similarity", str(mapping.get("similarity", "cosine")) if searched else "none"),
        ("nested", nested[0] if nested else ""),
        ("indexes", str(indexes)),
    )
    shown = f"dense_vector, {element}"
    return Column(name, "vector", shown, mapping.get("dims"), details=details, surely=True)


def _at(hit: Mapping[str, Any], column: str) -> Any:
    """Return what a document says in a field, by its dotted name; None where it says nothing."""
    if column == "_id":
        return hit["_id"]
    found = _within(hit.get("_source") or {}, column)
    return found[0] if len(found) == 1 else (found or None)


def _within(value: Any, path: str) -> list[Any]:
    if isinstance(value, list):
        return [one for each in value for one in _within(each, path)]
    if not isinstance(value, dict):
        return []
    if path in value:  # dots may stand in names, too
        inside = value[path]
        return list(inside) if isinstance(inside, list) else [inside]
    found: list[Any] = []
    end = path.find(".")
    while end >= 0:
        if path[:end] in value:
            found += _within(value[path[:end]], path[end + 1 :])
        end = path.find(".", end + 1)
    return found


def _numbers(written: Any) -> Any:
    """Return the numbers of a vector: out of the index they are in another list; bytes may be hexadecimal."""
    if isinstance(written, list) and len(written) == 1 and isinstance(written[0], list):
        return written[0]
    if isinstance(written, list) and len(written) == 1 and isinstance(written[0], str):
        with suppress(ValueError):
            return np.frombuffer(bytes.fromhex(written[0]), np.int8).tolist()
    return written
