"""The simplest store there is, in plain Python: what every other store is compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lookalike.stores.wording import query_terms, record_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lookalike.types import Fields, Record, Scalar, Where


class StoreModel:
    """One collection: records with their vectors, by id."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Record, tuple[float, ...]]] = {}
        self.fields: set[str] = set()

    def put(self, records: Sequence[Record], vectors: Sequence[Sequence[float]]) -> None:
        for record, vector in zip(records, vectors, strict=True):
            self.rows[record.id] = (record, tuple(vector))
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
        exclude: Collection[str],
        having: str | None,
    ) -> list[tuple[str, float]]:
        found = [record.id for record in self.scan(where, having) if record.id not in exclude]
        ranked = [(name, dot(query, self.rows[name][1])) for name in found]
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
