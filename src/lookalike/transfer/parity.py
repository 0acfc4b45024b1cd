"""Parity of stores: whether they hold the same records and give the same answers."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from lookalike.errors import CollectionEmpty, CollectionNotFound, InvalidArgument
from lookalike.stores.checks import check_k
from lookalike.stores.query import Query
from lookalike.transfer.contents import read_rows
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lookalike.stores.store import Store
    from lookalike.transfer.contents import Row
    from lookalike.types import CollectionInfo, Neighbour, Space, Vectors, Where
    from lookalike.vectors.vote import LabelKey

TOLERANCE = 1e-5
"""The most by which similarities may differ: what a sum of some thousand float32 products is exact to."""

FIELDS = 5
"""Fields that are asked for, the first by name of those with several values."""

VALUES = (2, 100)
"""How many values such a field has: fewer tell nothing apart, more are serial numbers."""

FILTERS = 2
"""Values of each that are asked for, the most common ones."""

Answers: TypeAlias = "list[list[Neighbour]]"


@dataclass(frozen=True, slots=True)
class Holding:
    """The contents of a collection in one store: its count, space and digest."""

    store: str
    """Its URL, without a password."""
    space: Space | None
    """Of the vector that is searched by default; None where it has no collection of that name."""
    images: int
    digest: str | None
    """SHA-256 over all records and vectors, 64 hexadecimal digits; None where there is no collection."""
    same: bool
    """Whether space, records and vectors are those of the first store, bit by bit."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many answers of one store agree with the exact ones of the first."""

    store: str
    where: Where | None
    """The filter; None for all images."""
    approximate: bool
    queries: int
    same_queries: float
    """Part of the queries that have the same ids in the same order, 0 … 1."""
    same_places: float
    """Part of the single places that have the same id, 0 … 1."""
    largest_difference: float
    """Between the similarities of two neighbours in the same place."""
    recall: float
    """Part of the exact neighbours that are there, or others as similar, 0 … 1."""

    @property
    def agrees(self) -> bool:
        """Tell whether they are the same answers."""
        return self.same_queries == 1 and self.largest_difference <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Parity:
    """The parity of several stores: contents and answers of each."""

    collection: str
    k: int
    holdings: tuple[Holding, ...]
    answers: tuple[Agreement, ...]
    """By filter, then by store. Stores that hold another space are not asked."""

    @property
    def agrees(self) -> bool:
        """Tell whether all stores hold the same, and give the same answers where they were asked exactly."""
        return all(holding.same for holding in self.holdings) and all(
            answer.approximate or answer.agrees for answer in self.answers
        )


def parity(
    stores: Sequence[Store],
    name: str,
    *,
    queries: int = 200,
    k: int = 10,
    where: Where | None = None,
    approximate: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Parity:
    """Ask several stores for the neighbours of a collection's own images, and compare what they say.

    The first images in order of id are asked for: ids are digests, so that is a random sample. Each is left
    out of its own answer. All are asked without a filter, with the most common values of some fields, and
    with `where`.

    Args:
        stores: two or more; the first is what the others are compared with.
        name: the collection.
        queries: images that are asked for, at least 1.
        k: neighbours per query, at least 1.
        where: one more filter.
        approximate: let all stores use their approximate index; they are compared with the exact answers of
            the first.
        progress: called with questions answered and questions to answer.

    Raises:
        InvalidArgument: fewer than two stores, or a number below 1.
        CollectionNotFound: the first store has none of that name.
        Unanswerable: the collection is empty there.
    """
    check_k(k)
    if queries < 1:
        raise InvalidArgument(f"queries must be at least 1, not {queries}")
    if len(stores) < 2:
        raise InvalidArgument("parity needs two stores or more")
    first = stores[0].collection(name)
    sample = _Sample(queries, first.space)
    holdings: list[Holding] = []
    for store in stores:
        holdings.append(_holding(store, name, holdings[0] if holdings else None, sample))
    if not holdings[0].images:
        raise CollectionEmpty(first.name)
    filters: list[Where | None] = [None, *sample.filters()]
    if where and where not in filters:
        filters.append(where)
    asked = [
        store
        for store, holding in zip(stores, holdings, strict=True)
        if holding.space == first.space and (approximate or store is not stores[0])
    ]
    answers: list[Agreement] = []
    done, total = 0, len(filters) * (len(asked) + 1)
    progress(done, total)
    for each in filters:
        exact = sample.ask(stores[0], first, k, each, approximate=False)
        progress(done := done + 1, total)
        for store in asked:
            found = sample.ask(store, first, k, each, approximate=approximate)
            answers.append(_compare(exact, found, store.url, each, approximate))
            progress(done := done + 1, total)
    return Parity(first.name, k, tuple(holdings), tuple(answers))


class _Sample:
    """The images that are asked for, and the fields they can be filtered by, gathered in one reading."""

    def __init__(self, size: int, space: Space) -> None:
        self._size = size
        self._space = space
        self._ids: list[str] = []
        self._vectors: list[Vectors] = []
        self._values: dict[str, Counter[LabelKey]] = {}

    def add(self, row: Row) -> None:
        """Look at one image of the collection; they come in order of id."""
        if len(self._ids) < self._size:
            self._ids.append(row.record.id)
            self._vectors.append(row.vectors[self._space].copy())
        for field, value in row.record.fields.items():
            counts = self._values.setdefault(field, Counter())
            if len(counts) <= VALUES[1]:  # beyond that it is out, and costs no more memory
                counts[label_key(value)] += 1

    def filters(self) -> Iterator[Where]:
        """Yield what to filter by: the most common values of the first fields that tell images apart."""
        fields = [name for name, counts in self._values.items() if VALUES[0] <= len(counts) <= VALUES[1]]
        for field in sorted(fields)[:FIELDS]:
            common = sorted(self._values[field].items(), key=lambda item: (-item[1], item[0]))
            for (_, value), _ in common[:FILTERS]:
                yield {field: [value]}

    def ask(
        self, store: Store, collection: CollectionInfo, k: int, where: Where | None, *, approximate: bool
    ) -> Answers:
        """Ask a store for the neighbours of all images of the sample, themselves left out."""
        query = Query(
            np.stack(self._vectors),
            k,
            space=self._space,
            where=where,
            exclude=[[identity] for identity in self._ids],
            approximate=approximate,
        )
        return store.nearest(collection.name, query)


def _holding(store: Store, name: str, first: Holding | None, sample: _Sample) -> Holding:
    """Read all that a store holds under the name; of the first store, gather what to ask for."""
    digest = hashlib.sha256()
    images = 0
    try:
        space = store.collection(name).space
        for row in read_rows(store, name):
            images += 1
            digest.update(row.digest)
            if first is None:
                sample.add(row)
    except CollectionNotFound:
        if first is None:
            raise
        return Holding(store.url, None, 0, None, same=False)
    content = digest.hexdigest()
    same = first is None or (first.space, first.digest) == (space, content)
    return Holding(store.url, space, images, content, same)


def _compare(exact: Answers, found: Answers, store: str, where: Where | None, approximate: bool) -> Agreement:
    """Compare the answers of one store with the exact ones of the first."""
    same_queries = same_places = places = hits = wanted = 0
    largest = 0.0
    for best, some in zip(exact, found, strict=True):
        alike = [one.record.id == other.record.id for one, other in zip(best, some, strict=False)]
        longest = max(len(best), len(some))
        same_queries += sum(alike) == longest
        same_places += sum(alike)
        places += longest
        differences = [abs(one.similarity - other.similarity) for one, other in zip(best, some, strict=False)]
        largest = max(largest, *differences, 0.0)
        wanted += len(best)
        hits += sum(one.similarity >= best[-1].similarity for one in some[: len(best)])
    return Agreement(
        store=store,
        where=where,
        approximate=approximate,
        queries=len(exact),
        same_queries=same_queries / len(exact),
        same_places=same_places / places if places else 1.0,
        largest_difference=largest,
        recall=hits / wanted if wanted else 1.0,
    )
