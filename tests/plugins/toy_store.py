"""A store of another package: collections in the memory of this process, one set a URL."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lookalike.checksums import vector_checksum
from lookalike.errors import CollectionEmpty, CollectionExists, CollectionNotFound, QueryRefused
from lookalike.stores.backend import (
    Ask,
    BuiltIndex,
    Choose,
    ChooseSome,
    Edit,
    Give,
    Hits,
    RecordRow,
    Rows,
    StampRow,
    WordHits,
)
from lookalike.stores.checks import same_name
from lookalike.stores.damage import DamageLog, StructureFault
from lookalike.stores.entry import NEW, Entry, VectorEntry
from lookalike.stores.query import Query
from lookalike.stores.reranking import rerank
from lookalike.stores.stored import StoredLabels, StoredRecord
from lookalike.stores.verification import fields_match
from lookalike.stores.wording import record_text
from lookalike.types import Approximation, Record, Space, Table, VectorInfo, Vectors, Where


@dataclass
class Kept:
    """One collection."""

    entry: Entry
    rows: dict[str, StoredRecord] = field(default_factory=dict)
    vectors: dict[int, dict[str, Vectors]] = field(default_factory=dict)
    """Of each number those of the records that have it, by id."""
    metrics: dict[int, bytes] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)

    def now(self) -> Entry:
        return replace(self.entry, count=len(self.rows), fields=tuple(sorted(self.fields)))

    def matching(self, where: Where | None, having: str | None = None) -> list[str]:
        rows = sorted(self.rows.items())
        return [name for name, row in rows if fields_match(row.labels.fields, where, having)]

    def records(self, ids: Iterable[str]) -> list[RecordRow]:
        return [_record_row(self.rows[one]) for one in dict.fromkeys(ids) if one in self.rows]


@dataclass
class Shelf:
    """All collections of one URL."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    kept: dict[int, Kept] = field(default_factory=dict)
    number: int = 0

    def next(self) -> int:
        self.number += 1
        return self.number


_SHELVES: dict[str, Shelf] = {}


class ToyBackend:
    """See `lookalike.stores.backend.Backend`."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.timeout = timeout
        self.damage = DamageLog(url)
        self.problems: list[str] = []
        self._shelf = _SHELVES.setdefault(url, Shelf())

    def close(self) -> None:
        pass

    def _find(self, name: str) -> Kept:
        kept = self._shelf.kept.values()
        for one in kept:
            if same_name(one.entry.name) == same_name(name):
                return one
        raise CollectionNotFound(name, [one.entry.name for one in kept])

    def entries(self) -> list[Entry]:
        with self._shelf.lock:
            return sorted((one.now() for one in self._shelf.kept.values()), key=lambda entry: entry.name)

    def entry(self, name: str, *, counted: bool = False) -> Entry:
        with self._shelf.lock:
            return self._find(name).now()

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        with self._shelf.lock:
            if any(same_name(one.entry.name) == same_name(name) for one in self._shelf.kept.values()):
                return
            key, number = self._shelf.next(), self._shelf.next()
            kept = Kept(Entry(key, name, (VectorEntry(number, vector),), vector.name), vectors={number: {}})
            if metric is not None:
                kept.metrics[number] = metric
            self._shelf.kept[key] = kept

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        with self._shelf.lock:
            kept = self._find(name)
            wanted = edit(kept.now(), lambda one: len(kept.rows) - len(kept.vectors.get(one.number, ())))
            vectors = tuple(
                replace(one, number=self._shelf.next()) if one.number == NEW else one
                for one in wanted.vectors
            )
            kept.entry = replace(wanted, vectors=vectors)
            kept.vectors = {one.number: kept.vectors.get(one.number, {}) for one in vectors}
            kept.metrics |= {
                one.number: metrics[one.info.space] for one in vectors if one.info.space in metrics
            }

    def metric(self, name: str, choose: Choose) -> bytes | None:
        with self._shelf.lock:
            kept = self._find(name)
            return kept.metrics.get(choose(kept.entry).number)

    def rename(self, name: str, new: str) -> None:
        with self._shelf.lock:
            kept = self._find(name)
            for one in self._shelf.kept.values():
                if one is not kept and same_name(one.entry.name) == same_name(new):
                    raise CollectionExists(one.entry.name)
            kept.entry = replace(kept.entry, name=new)

    def delete(self, name: str) -> int:
        with self._shelf.lock:
            return len(self._shelf.kept.pop(self._find(name).entry.key).rows)

    def put(self, name: str, records: Sequence[StoredRecord], give: Give) -> None:
        with self._shelf.lock:
            kept = self._find(name)
            given = give(kept.entry)
            for row, record in enumerate(records):
                kept.rows[record.id] = record
                kept.fields.update(record.labels.fields)
                for vector, rows in given:
                    kept.vectors[vector.number][record.id] = rows[row].copy()

    def fill(self, name: str, choose: Choose, records: Sequence[Record], vectors: Vectors) -> int:
        with self._shelf.lock:
            kept = self._find(name)
            there = kept.vectors[choose(kept.entry).number]
            count = len(there)
            for record, row in zip(records, vectors, strict=True):
                known = kept.rows.get(record.id)
                if known is not None and known.record.digest == record.digest:
                    there.setdefault(record.id, row.copy())
            return len(there) - count

    def lacking(self, name: str, choose: Choose, most: int | None) -> list[str]:
        with self._shelf.lock:
            kept = self._find(name)
            return sorted(kept.rows.keys() - kept.vectors[choose(kept.entry).number].keys())[:most]

    def relabel(self, name: str, labels: Sequence[StoredLabels]) -> None:
        with self._shelf.lock:
            kept = self._find(name)
            for one in labels:
                if one.id in kept.rows:
                    kept.rows[one.id] = replace(kept.rows[one.id], labels=one)
                    kept.fields.update(one.fields)

    def remove(self, name: str, ids: Sequence[str]) -> int:
        with self._shelf.lock:
            kept = self._find(name)
            for vectors in kept.vectors.values():
                for one in ids:
                    vectors.pop(one, None)
            return sum(kept.rows.pop(one, None) is not None for one in set(ids))

    def stamps(self, name: str) -> Iterable[StampRow]:
        with self._shelf.lock:
            return [
                (*_file(row)[:1], row.id, *_file(row)[2:], row.labels.digest, _file(row)[1], row.checksum)
                for row in self._find(name).rows.values()
            ]

    def ids_by_digest(self, name: str, digest: str) -> list[str]:
        with self._shelf.lock:
            rows = self._find(name).rows.values()
            return sorted(row.id for row in rows if row.record.digest == digest)

    def matching(self, name: str, where: Where | None) -> tuple[Entry, list[str]]:
        with self._shelf.lock:
            kept = self._find(name)
            return kept.entry, kept.matching(where)

    def read(self, of: str | Entry, ids: Sequence[str], choose: ChooseSome) -> Rows | None:
        with self._shelf.lock:
            kept = self._find(of) if isinstance(of, str) else self._shelf.kept.get(of.key)
            if kept is None:
                return None
            vectors = [
                [
                    (one, vector_checksum(one, content), content)
                    for one in dict.fromkeys(ids)
                    if one in kept.vectors[vector.number]
                    for content in [kept.vectors[vector.number][one].astype("<f4").tobytes()]
                ]
                for vector in choose(kept.entry)
            ]
            return Rows(kept.entry, kept.records(ids), vectors)

    def nearest(self, name: str, ask: Ask, query: Query) -> Hits:
        with self._shelf.lock:
            kept = self._find(name)
            vector, queries = ask(kept.entry)
            vectors = kept.vectors[vector.number]
            matching = [one for one in kept.matching(query.where, query.having) if one in vectors]
            found = []
            for row, asked in enumerate(queries):
                out = set(query.exclude[row]) if query.exclude is not None else set()
                ids = [one for one in matching if one not in out]
                rows = np.array([vectors[one] for one in ids]).reshape(len(ids), queries.shape[1])
                found.append(rerank(asked, (ids, rows))[: query.k])
            return Hits(found, kept.records(one for some in found for one, _ in some))

    def words(self, name: str, terms: Sequence[str], k: int, where: Where | None) -> WordHits:
        with self._shelf.lock:
            kept = self._find(name)
            scores = {}
            for one in kept.matching(where):
                row = kept.rows[one]
                text = record_text(row.record.uri, row.labels.fields, row.labels.metadata).split()
                scores[one] = sum(term in text for term in terms)
            ids = sorted((one for one in scores if scores[one]), key=lambda one: (-scores[one], one))[:k]
            return WordHits(ids, kept.records(ids))

    def build_index(self, name: str, choose: Choose) -> BuiltIndex:
        with self._shelf.lock:
            kept = self._find(name)
            vector = choose(kept.entry)
            if not kept.vectors[vector.number]:
                raise CollectionEmpty(kept.entry.name)
            return BuiltIndex(kept.entry, vector, "toy")

    def keep_recall(self, built: BuiltIndex, measured: Approximation) -> None:
        with self._shelf.lock:
            kept = self._shelf.kept.get(built.entry.key)
            if kept is not None:
                vectors = tuple(
                    replace(one, info=replace(one.info, approximation=measured))
                    if one.number == built.vector.number
                    else one
                    for one in kept.entry.vectors
                )
                kept.entry = replace(kept.entry, vectors=vectors)

    def check(self) -> list[StructureFault]:
        return []

    def sql(self, statement: str, seconds: float) -> Table:
        raise QueryRefused("a toy speaks no SQL")


def _file(row: StoredRecord) -> tuple[str, str, int, int]:
    return row.record.uri, row.record.digest, row.record.size, row.record.modified_ns


def _record_row(row: StoredRecord) -> RecordRow:
    uri, digest, size, modified_ns = _file(row)
    labels = (row.labels.fields_text, row.labels.metadata_text)
    return (row.id, uri, digest, *labels, size, modified_ns, row.checksum, row.labels.checksum)
