"""Recall against the exact neighbours, which are found while all vectors go by once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from lookalike.stores.query import Query
from lookalike.stores.recall import measure_recall
from lookalike.stores.store import Store
from lookalike.testing.samples import SPACE, put, random_vectors, record
from lookalike.types import Neighbour


@pytest.mark.parametrize("lost", [0, 3])
def test_recall_is_the_part_of_the_exact_neighbours_that_is_found(store: Store, lost: int) -> None:
    store.create("parts", replace(SPACE, dimension=32))
    vectors = random_vectors(300, 32)
    put(store, "parts", [record(number) for number in range(300)], vectors)
    records, rows = next(store.scan("parts"))
    asked: list[Query] = []

    def search(query: Query) -> list[list[Neighbour]]:
        asked.append(query)
        return [found[lost:] for found in store.nearest("parts", replace(query, approximate=False))]

    batches = (([*records[at : at + 70]], rows[at : at + 70]) for at in range(0, 300, 70))
    measure = partial(measure_recall, "some", [one.id for one in records[:20]], rows[:20])
    measured = measure(batches, search)
    assert (measured.recall, measured.k, measured.queries) == (1 - lost / 10, 10, 20)
    (query,) = asked
    assert query.approximate
