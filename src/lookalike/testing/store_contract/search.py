"""Exact and approximate neighbours, with filters, as every store finds them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lookalike.errors import (
    InvalidArgument,
    Unanswerable,
)
from lookalike.stores.store import Store
from lookalike.testing.samples import (
    CORNERS,
    FIELDS,
    SPACE,
    exchange,
    fill,
    nearest,
    put,
    random_vectors,
    record,
    scanned,
)
from lookalike.types import Record

if TYPE_CHECKING:
    from lookalike.types import Scalar, Vectors


class SearchContract:
    """Filters, exact and approximate search."""

    # Filters

    @pytest.mark.parametrize(
        ("where", "numbers"),
        [
            ({}, {0, 1, 2, 3, 4, 5}),
            ({"a": [3]}, {0, 1}),
            ({"a": [3.0]}, {0, 1}),
            ({"a": ["3"]}, {2}),
            ({"a": [True]}, {3}),
            ({"a": [1]}, {4}),
            ({"a": [1.0, "3"]}, {2, 4}),
            ({"a": [False]}, set()),
            ({"a": [0]}, set()),
            ({"a": []}, set()),
            ({"a": ["", "3.0", "true", "True"]}, set()),
            ({"A": [3]}, set()),
            ({"none": [3]}, set()),
            ({"a": [3], "b": ["x"]}, {0}),
            ({"b": ["x"], "c": ["y"]}, set()),
            ({"a": [10**40, float("nan"), float("inf")]}, set()),
        ],
        ids=repr,
    )
    def test_filters_compare_values_by_type(
        self, store: Store, where: dict[str, list[Scalar]], numbers: set[int]
    ) -> None:
        fields: list[dict[str, Scalar]] = [
            {"a": 3, "b": "x"},
            {"a": 3.0},
            {"a": "3", "b": "x"},
            {"a": True},
            {"a": 1, "c": "y"},
            {},
        ]
        fill(store, 6, fields)
        expected = {record(number).id for number in numbers}
        assert {one.id for one in scanned(store, where=where)} == expected
        assert {hit.record.id for hit in nearest(store, "parts", CORNERS[:1], 9, where)[0]} == expected

    def test_integers_beyond_the_precision_of_floats_stay_apart(self, store: Store) -> None:
        fill(store, 2, [{"a": 2**53}, {"a": 2**53 + 1}])
        assert [one.fields["a"] for one in scanned(store, where={"a": [2**53 + 1]})] == [2**53 + 1]
        assert [one.fields["a"] for one in scanned(store, where={"a": [2.0**53]})] == [2**53]

    # Nearest

    @pytest.mark.parametrize("k", [1, 3, 50])
    def test_nearest_is_exact(self, store: Store, k: int) -> None:
        store.create("parts", replace(SPACE, dimension=33))
        records = [record(number) for number in range(200)]
        vectors = random_vectors(200, 33)
        put(store, "parts", records, vectors)
        queries = random_vectors(7, 33, seed=1)
        similarities = queries.astype(np.float64) @ vectors.astype(np.float64).T
        for hits, row in zip(nearest(store, "parts", queries, k), similarities, strict=True):
            best = np.argsort(-row)[:k]
            assert [hit.record for hit in hits] == [records[place] for place in best]
            assert [hit.similarity for hit in hits] == pytest.approx(row[best], abs=1e-5)

    def test_ties_come_by_id_also_across_the_k_th_place(self, store: Store) -> None:
        store.create("parts", replace(SPACE, dimension=64))
        records = [record(number) for number in range(100)]
        put(store, "parts", records, np.repeat(random_vectors(2, 64), 50, axis=0))
        (hits,) = nearest(store, "parts", random_vectors(1, 64), 20)
        assert [hit.record.id for hit in hits] == sorted(one.id for one in records[:50])[:20]
        assert len({hit.similarity for hit in hits}) == 1

    def test_fewer_than_k_come_only_where_fewer_match(self, store: Store) -> None:
        fill(store, 30, [{"rare": True}, {}, {}, {}, {}])
        queries = CORNERS[:3]
        assert [len(hits) for hits in nearest(store, "parts", queries, 10**9)] == [30, 30, 30]
        assert [len(hits) for hits in nearest(store, "parts", queries, 6, {"rare": [True]})] == [6, 6, 6]
        assert [len(hits) for hits in nearest(store, "parts", queries, 6, having="rare")] == [6, 6, 6]
        left_out = [[record(0).id, record(1).id, record(1).id, "f" * 32, "\udcff"], [], {record(5).id: 1}]
        hits = nearest(store, "parts", queries, 6, {"rare": [True]}, left_out)
        assert [len(some) for some in hits] == [5, 6, 5]
        assert record(0).id not in {hit.record.id for hit in hits[0]}

    def test_having_needs_the_field_whatever_its_value(self, store: Store) -> None:
        fill(store, 6, [{"a": False}, {"a": ""}, {"b": 1}])
        found = nearest(store, "parts", CORNERS[:1], 9, having="a")[0]
        assert {hit.record.id for hit in found} == {record(number).id for number in (0, 1, 3, 4)}
        found = nearest(store, "parts", CORNERS[:1], 9, {"a": [False]}, having="a")[0]
        assert {hit.record.id for hit in found} == {record(0).id, record(3).id}
        assert nearest(store, "parts", CORNERS[:1], 9, having="none") == [[]]

    def test_everything_left_out_leaves_nothing(self, store: Store) -> None:
        records = fill(store, 3)
        assert nearest(store, "parts", CORNERS[:1], 2, exclude=[[one.id for one in records]]) == [[]]

    def test_an_empty_collection_answers_with_empty_lists(self, store: Store) -> None:
        store.create("parts", SPACE)
        assert nearest(store, "parts", CORNERS[:2], 5) == [[], []]
        assert nearest(store, "parts", CORNERS[:0], 5) == []

    @pytest.mark.parametrize("k", [0, -1])
    def test_k_below_1_is_refused(self, store: Store, k: int) -> None:
        fill(store, 3)
        with pytest.raises(InvalidArgument, match="k must be at least 1"):
            nearest(store, "parts", CORNERS[:1], k)

    def test_a_similarity_is_between_minus_1_and_1(self, store: Store) -> None:
        store.create("parts", replace(SPACE, dimension=1_280))
        vectors = random_vectors(50, 1_280)
        vectors = np.concatenate([vectors, -vectors])
        put(store, "parts", [record(number) for number in range(100)], vectors)
        for hits in nearest(store, "parts", vectors, 100):
            assert hits[0].similarity == pytest.approx(1, abs=1e-6)
            assert hits[-1].similarity == pytest.approx(-1, abs=1e-6)
            assert all(-1 <= hit.similarity <= 1 for hit in hits)

    # Approximate

    def test_approximate_search_without_an_index_is_exact(self, store: Store) -> None:
        fill(store, 30, [FIELDS, {}])
        assert store.collection("parts").approximation is None
        exact = nearest(store, "parts", CORNERS[:3], 7, {"quality": ["bad"]})
        assert nearest(store, "parts", CORNERS[:3], 7, {"quality": ["bad"]}, approximate=True) == exact

    def test_an_index_of_nothing_is_refused(self, store: Store) -> None:
        store.create("parts", SPACE)
        with pytest.raises(Unanswerable, match="empty"):
            store.build_index("parts")
        assert store.collection("parts").approximation is None

    def test_an_index_finds_most_neighbours_and_their_exact_similarities(
        self, store: Store, other: Store
    ) -> None:
        store.create("parts", replace(SPACE, dimension=32))
        records = [record(number, {"turn": number % 50}) for number in range(2_000)]
        vectors = random_vectors(2_000, 32)
        put(store, "parts", records, vectors)
        built = store.build_index("parts")
        assert built.kind
        assert (built.k, built.queries) == (10, 200)
        assert 0.9 <= built.recall <= 1
        assert store.collection("parts").approximation == built == other.collection("parts").approximation
        queries = random_vectors(20, 32, seed=1)
        for where in (None, {"turn": [7]}, {"turn": [1, 2, 3]}):
            exact = nearest(other, "parts", queries, 10, where)
            found = nearest(other, "parts", queries, 10, where, approximate=True)
            assert [len(some) for some in found] == [10] * 20
            similarity = {
                (number, hit.record.id): hit.similarity for number, hits in enumerate(exact) for hit in hits
            }
            same = [
                hit.similarity == similarity[number, hit.record.id]
                for number, hits in enumerate(found)
                for hit in hits
                if (number, hit.record.id) in similarity
            ]
            assert all(same)
            assert len(same) >= 180
            for hits in found:
                order = [(-hit.similarity, hit.record.id) for hit in hits]
                assert order == sorted(order)

    def test_an_index_follows_what_changes(self, store: Store, other: Store) -> None:
        store.create("parts", replace(SPACE, dimension=32))
        vectors = random_vectors(1_000, 32)
        records = [record(number) for number in range(1_000)]
        put(store, "parts", records, vectors)
        built = store.build_index("parts")

        def best(query: Vectors) -> Record:
            (hits,) = nearest(other, "parts", query, 5, approximate=True)
            assert len(hits) == 5
            return hits[0].record

        assert best(vectors[:1]) == records[0]
        new = random_vectors(1, 32, seed=2)
        put(store, "parts", [record("new", {"a": "b"})], new)
        assert best(new) == record("new", {"a": "b"})
        store.relabel("parts", [(record("new").id, {"a": "c"}, {})])
        (hits,) = nearest(other, "parts", new, 5, {"a": ["c"]}, approximate=True)
        assert [hit.record for hit in hits] == [record("new", {"a": "c"})]
        put(store, "parts", [records[0]], new)
        assert {hit.record.id for hit in nearest(other, "parts", new, 2, approximate=True)[0]} == {
            records[0].id,
            record("new").id,
        }
        store.remove("parts", [records[0].id, record("new").id])
        assert best(new) not in (records[0], record("new"))
        store.create("others", SPACE)
        exchange(store, "parts", "others")
        assert store.collection("others").approximation == built
        assert store.collection("parts").approximation is None
        assert nearest(other, "others", vectors[5:6], 1, approximate=True)[0][0].record == records[5]
        assert store.delete("others") == 999
        assert store.create("others", SPACE).approximation is None

    def test_an_index_honours_who_is_left_out_and_what_is_had(self, store: Store) -> None:
        store.create("parts", replace(SPACE, dimension=32))
        vectors = random_vectors(500, 32)
        put(store, "parts", [record(n, {"a": n} if n % 5 == 0 else {}) for n in range(500)], vectors)
        store.build_index("parts")
        left_out = [[record(0).id], [record(n).id for n in range(0, 500, 2)]]
        found = nearest(store, "parts", vectors[:2], 20, exclude=left_out, having="a", approximate=True)
        assert [len(hits) for hits in found] == [20, 20]
        for hits, out in zip(found, left_out, strict=True):
            assert all("a" in hit.record.fields and hit.record.id not in out for hit in hits)
        (hits,) = nearest(store, "parts", vectors[:1], 1_000, having="a", approximate=True)
        assert len(hits) == 100
