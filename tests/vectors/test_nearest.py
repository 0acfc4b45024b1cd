"""Exact neighbours: the order every store and every evaluation relies on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import InvalidArgument
from lookalike.types import Vectors
from lookalike.vectors import nearest as ranking


def unit(rng: np.random.Generator, count: int, dimension: int, distinct: int) -> Vectors:
    """Draw `count` unit vectors out of `distinct` ones, so that many tie."""
    pool = rng.normal(size=(distinct, dimension))
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    return pool[rng.integers(distinct, size=count)].astype(np.float32)


def brute_force(
    queries: Vectors, vectors: Vectors, k: int, exclude: list[list[int]]
) -> list[list[tuple[int, float]]]:
    answers = []
    for query, left_out in zip(queries, exclude, strict=True):
        pairs = [
            (float(np.dot(query.astype(float), vector.astype(float))), row)
            for row, vector in enumerate(vectors)
            if row not in left_out
        ]
        pairs.sort(key=lambda pair: (-pair[0], pair[1]))
        answers.append([(row, similarity) for similarity, row in pairs[:k]])
    return answers


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    distinct=st.integers(1, 60),
    dimension=st.integers(1, 40),
    k=st.integers(1, 70),
    left_out=st.integers(0, 3),
)
def test_ranks_as_brute_force_does_with_ties_by_row(
    seed: int, count: int, distinct: int, dimension: int, k: int, left_out: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng, count, dimension, distinct)
    queries = np.concatenate([vectors[:2], unit(rng, 3, dimension, 3)])
    exclude = [
        [int(r) for r in rng.choice(count, size=min(left_out, count), replace=False)] if count else []
        for _ in queries
    ]
    rows, similarities = ranking.nearest_rows(queries, vectors, k, exclude)
    assert rows.shape == similarities.shape == (len(queries), k)
    for found, values, expected in zip(
        rows, similarities, brute_force(queries, vectors, k, exclude), strict=True
    ):
        size = len(expected)
        assert (found[size:] == -1).all()
        assert np.isnan(values[size:]).all()
        np.testing.assert_allclose(values[:size], [s for _, s in expected], atol=1e-12)
        order = list(zip(-values[:size], found[:size], strict=True))
        assert order == sorted(order)
        # Pairs nearer than float64 resolves may swap; every other row must be the expected one.
        for row, (other, similarity) in zip(found, expected, strict=False):
            assert row == other or abs(float(queries[0] @ queries[0]) - 1) < 1e-5 > abs(
                similarity - values[list(found).index(row)]
            )


def test_equal_vectors_have_equal_similarities_wherever_they_stand() -> None:
    rng = np.random.default_rng(5)
    equal = (7, 1500, 2999, 3000)
    vectors = rng.normal(size=(3001, 1283)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[list(equal)] = vectors[7]
    rows, similarities = ranking.nearest_rows(vectors[:50], vectors, 3001)
    for found, values in zip(rows, similarities, strict=True):
        places = [int(np.flatnonzero(found == row)[0]) for row in equal]
        assert len(set(values[places].tolist())) == 1
        assert places == list(range(places[0], places[0] + 4))


def test_more_ties_than_spare_candidates_still_come_in_order_of_row() -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], np.float32), (500, 1))
    rows, similarities = ranking.nearest_rows(vectors[:3], vectors, 5, [[0], [], [1, 2, 3]])
    assert rows.tolist() == [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [0, 4, 5, 6, 7]]
    assert len(set(similarities.ravel().tolist())) == 1


def test_leave_one_out_compares_within_groups_only() -> None:
    rng = np.random.default_rng(3)
    vectors = unit(rng, 90, 8, 90)
    groups = rng.integers(0, 4, size=90)
    groups[11] = 77
    rows, similarities = ranking.leave_one_out_rows(vectors, 3, groups)
    assert rows[11].tolist() == [-1, -1, -1]
    for row in set(range(90)) - {11}:
        others = [other for other in range(90) if other != row and groups[other] == groups[row]]
        expected = sorted(others, key=lambda other: -float(vectors[row] @ vectors[other]))[:3]
        assert rows[row].tolist() == expected
        assert similarities[row, 0] >= similarities[row, 2]


def test_leave_one_out_in_small_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(np.random.default_rng(9), 400, 32, 300)
    rows, similarities = ranking.leave_one_out_rows(vectors, 4)
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 5000)
    again, values = ranking.leave_one_out_rows(vectors, 4)
    assert (again == rows).all()
    assert (values == similarities).all()


def test_k_below_one_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at least 1"):
        ranking.nearest_rows(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_among_some_rows_is_as_among_a_copy_of_them(seed: int, k: int) -> None:
    chance = np.random.default_rng(seed)
    vectors = unit(chance, 40, 4, distinct=15)
    among = chance.random(40) < chance.random()
    places = np.flatnonzero(among)
    found, similarities = ranking.nearest_rows(vectors[:5], vectors, k, among=among)
    rows, expected = ranking.nearest_rows(vectors[:5], vectors[places], k)
    np.testing.assert_array_equal(found, np.where(rows >= 0, places[rows] if len(places) else -1, -1))
    np.testing.assert_array_equal(similarities, expected)


@pytest.mark.parametrize("count", [1_600, 6_400, 6_421, 40_000])
@pytest.mark.parametrize("distinct", [3, 500, 40_000])
def test_the_sieve_for_many_rows_loses_none_and_no_tie(count: int, distinct: int) -> None:
    rng = np.random.default_rng(count)
    vectors, queries = unit(rng, count, 8, distinct), unit(rng, 3, 8, 3)
    exclude = [[int(row) for row in rng.choice(count, 30, replace=False)] for _ in queries]
    among = rng.random(count) < 0.5
    left_out = [sorted({*some, *np.flatnonzero(~among).tolist()}) for some in exclude]
    exact = np.vecdot(vectors[None].astype(float), queries[:, None].astype(float))
    for k in (1, 10, 40):
        rows, values = ranking.nearest_rows(queries, vectors, k, exclude, among)
        for place, out in enumerate(left_out):
            similarities = exact[place].copy()
            similarities[out] = -np.inf
            order = np.argsort(-similarities, kind="stable")[:k]
            assert rows[place].tolist() == order.tolist()
            assert values[place] == pytest.approx(similarities[order], abs=1e-12)
