"""The simplest store there is, in plain Python: what every other store is compared with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, SpaceMismatch, VectorIncomplete, VectorNotFound
from lookalike.stores.wording import query_terms, record_text
from lookalike.types import PLAIN_METRIC, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Collection as Ids
    from collections.abc import Mapping, Sequence

    from lookalike.types import Fields, Record, Scalar, Space, Where


class StoreModel:
    """One collection: records with their vectors, by id."""

    def __init__(self, space: Space) -> None:
        self.rows: dict[str, tuple[Record, dict[Space, tuple[float, ...]]]] = {}
        self.fields: set[str] = set()
        self.vectors = [VectorInfo("image", space)]
        self.default = "image"

    @property
    def spaces(self) -> list[Space]:
        return [one.space for one in self.vectors]

    def ready(self, using: str | None) -> Space:
        """Return the space of the ready vector of a name, or of the default."""
        name = self.default if using is None else using
        for one in self.vectors:
            if one.name == name and one.ready:
                return one.space
        raise VectorNotFound("parts", name, [])

    def declared(self, space: Space) -> VectorInfo:
        for one in self.vectors:
            if one.space == space:
                return one
        raise SpaceMismatch("parts", "", "")

    def add_vector(self, wanted: VectorInfo) -> None:
        if wanted.space in self.spaces:
            return
        left = [one for one in self.vectors if one.ready or one.name != wanted.name]
        self.vectors = [*left, replace(wanted, ready=False)]
        if not self.rows:
            self.finish_vector(wanted.space)

    def fill(self, space: Space, vectors: Mapping[str, Sequence[float]]) -> int:
        self.declared(space)
        lacking = set(self.lacking(space)) & vectors.keys()
        for identity in lacking:
            self.rows[identity][1][space] = tuple(vectors[identity])
        return len(lacking)

    def lacking(self, space: Space) -> list[str]:
        self.declared(space)
        return sorted(identity for identity, (_, vectors) in self.rows.items() if space not in vectors)

    def finish_vector(self, space: Space) -> None:
        vector = self.declared(space)
        if vector.ready:
            return
        if lacking := self.lacking(space):
            raise VectorIncomplete("parts", vector.name, len(lacking))
        left = [one for one in self.vectors if one.space == space or one.name != vector.name]
        done = replace(vector, ready=True, becomes_default=False)
        self.vectors = [done if one.space == space else one for one in left]
        if vector.becomes_default:
            self.default = vector.name

    def drop_vector(self, space: Space) -> None:
        name = self.declared(space).name
        left = [one for one in self.vectors if one.space != space]
        ready = [one.name for one in left if one.ready]
        # All fitted vectors of the tests are made from the plain one.
        fitted = any(one.space.metric_fingerprint != PLAIN_METRIC for one in left)
        if not ready or (name == "image" and fitted):
            raise InvalidArgument("it stays")
        self.vectors = left
        self.default = self.default if self.default in ready else ready[0]
        for _, vectors in self.rows.values():
            for space in vectors.keys() - set(self.spaces):
                del vectors[space]

    def put(self, records: Sequence[Record], vectors: Mapping[Space, Sequence[Sequence[float]]]) -> None:
        for row, record in enumerate(records):
            self.rows[record.id] = (record, {space: tuple(rows[row]) for space, rows in vectors.items()})
            self.fields |= set(record.fields)

    def relabel(self, record: Record) -> None:
        self.rows[record.id] = (record, self.rows[record.id][1])
        self.fields |= set(record.fields)

    def remove(self, ids: Sequence[str]) -> int:
        return sum(self.rows.pop(name, None) is not None for name in set(ids))

    def scan(self, where: Where | None = None, having: str | None = None) -> list[Record]:
        found = [self.rows[name][0] for name in sorted(self.rows)]
        return [
            record
            for record in found
            if matches(record.fields, where or {}) and (having is None or having in record.fields)
        ]

    def search_words(self, words: str, where: Where | None) -> list[Record]:
        """Return all that have any of the words, by id: the order is each store's own."""
        terms = set(query_terms(words))
        return [
            one
            for one in self.scan(where)
            if terms & set(record_text(one.uri, one.fields, one.metadata).split())
        ]

    def nearest(
        self,
        query: Sequence[float],
        k: int,
        where: Where | None,
        exclude: Ids[str],
        having: str | None,
        space: Space,
    ) -> list[tuple[str, float]]:
        found = [record.id for record in self.scan(where, having) if record.id not in exclude]
        ranked = [(name, dot(query, self.rows[name][1][space])) for name in found]
        return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))[:k]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def matches(fields: Fields, where: Where) -> bool:
    return all(
        name in fields and any(same(fields[name], value) for value in values)
        for name, values in where.items()
    )


def same(a: Scalar, b: Scalar) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return a == b
