"""Nearest neighbours among blocks: bit by bit those of all vectors at once."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.vectors.metric import normalise
from lookalike.vectors.nearest import nearest_rows
from lookalike.vectors.nearest_in_blocks import NearestInBlocks


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("step", [1, 7, 64, 1000])
def test_blocks_have_the_answer_of_the_whole(k: int, step: int) -> None:
    """With copies, which tie, in other blocks; and with pairs that do not count."""
    chance = np.random.default_rng(0)
    vectors = normalise(chance.standard_normal((150, 24)).astype(np.float32))
    vectors[90:120] = vectors[:30]
    queries = np.concatenate([vectors[::10], normalise(chance.standard_normal((6, 24)).astype(np.float32))])
    left_out = [chance.choice(150, 20, replace=False).tolist() for _ in queries]
    left_out[3] = list(range(148))
    rows, similarities = nearest_rows(queries, vectors, k, left_out)
    found = NearestInBlocks(queries, k)
    codes = np.arange(150) % 7
    for start in range(0, 150, step):
        numbers = np.arange(start, min(start + step, 150))
        turned = numbers[::-1].copy()  # the order inside of a block makes no difference
        for some in (np.arange(0, len(queries), 2), np.arange(1, len(queries), 2)):
            rough = queries[some] @ vectors[turned].T
            for place, query in enumerate(some):
                rough[place, np.isin(turned, left_out[query])] = -np.inf
            found.take(some, rough, vectors[turned], turned, codes[turned])
    assert (found.numbers == rows).all()
    assert (np.where(found.numbers >= 0, found.similarities, np.nan) == similarities)[rows >= 0].all()
    assert (found.codes == np.where(rows >= 0, codes[rows], -1)).all()
