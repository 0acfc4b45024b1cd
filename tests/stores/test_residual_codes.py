"""Residuals at a few bits a number: how near their distances are to the exact ones, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from lookalike.stores.sqlite.shortlist import residual_codes
from lookalike.stores.sqlite.shortlist.residual_codes import ResidualCodes
from lookalike.testing.samples import random_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Vectors


def distortion(step: float, levels: int) -> float:
    """Return the mean squared error of normal numbers that are rounded to levels so far apart."""
    bounds = (np.arange(levels + 1) - levels / 2) * step
    bounds[[0, -1]] = -np.inf, np.inf
    values = (np.arange(levels) - (levels - 1) / 2) * step
    chances, means = np.diff(norm.cdf(bounds)), -np.diff(norm.pdf(bounds))
    return float(1 - 2 * values @ means + values**2 @ chances)


@pytest.mark.parametrize("bits", residual_codes._STEPS)
def test_the_steps_are_those_with_the_least_distortion(bits: int) -> None:
    best = minimize_scalar(distortion, bounds=(0.001, 2), args=(1 << bits,), method="bounded")
    assert residual_codes._STEPS[bits] == pytest.approx(best.x, rel=1e-3)


def filled(vectors: Vectors, centres: Vectors) -> tuple[ResidualCodes, NDArray[np.int64]]:
    cells = np.argmax(vectors @ centres.T, axis=1)
    made = ResidualCodes(vectors.shape[1])
    for start in range(0, len(vectors), 300):
        part = slice(start, start + 300)
        made.add(np.arange(len(vectors))[part] + 5, cells[part], vectors[part], centres)
    return made, cells


def exact(query: Vectors, vectors: Vectors) -> Vectors:
    found: Vectors = np.square(vectors.astype(np.float64) - query).sum(axis=1)
    return found


@pytest.mark.parametrize(("dimension", "bits"), [(33, 8), (512, 4), (1024, 2)])
def test_distances_are_right_on_average_and_as_near_as_so_many_bits_can_be(dimension: int, bits: int) -> None:
    vectors = random_vectors(1_000, dimension)
    centres = 0.4 * vectors[:7]
    made, _ = filled(vectors, centres)
    (query,) = random_vectors(1, dimension, seed=1)
    numbers = np.arange(1_000)[::-1] + 5
    told = made.distances(query, exact(query, centres).astype(np.float32), numbers)
    off = told - exact(query, vectors[::-1])
    lost = distortion(residual_codes._STEPS[bits], 1 << bits)
    # Twice the product of a residual, about as long as a unit vector, with the tangent of what it is off by.
    error = 2 * np.sqrt(lost / (1 - lost) / dimension)
    assert 0.7 * error < np.sqrt(np.square(off).mean()) < 1.3 * error
    assert abs(off.mean()) < error / 8


@given(st.lists(st.sets(st.integers(0, 39), max_size=12), max_size=6), st.sampled_from([9, 1024]))
def test_what_is_left_is_as_if_nothing_else_had_been_there(gone: list[set[int]], dimension: int) -> None:
    vectors = random_vectors(40, dimension)
    centres = vectors[:3]
    made, cells = filled(vectors, centres)
    left = set(range(40))
    for some in gone:
        # Of those that were removed before, half come again.
        back = np.array(sorted(some - left)[::2], np.int64)
        made.add(back + 5, cells[back], vectors[back], centres)
        away = np.array(sorted(some & left), np.int64)
        made.remove(away + 5)
        left = (left | set(back.tolist())) - set(away.tolist())
    again = ResidualCodes.from_parts(dimension, [np.array(part) for part in made.to_parts()])
    numbers = np.array(sorted(left), np.int64)
    for one in (made, again):
        assert len(one) == len(left)
        wanted = np.where(np.isin(np.arange(50), numbers), np.resize(cells, 50), -1)
        assert one.cells_of(np.arange(50) + 5).tolist() == wanted.tolist()
        (query,) = random_vectors(1, dimension, seed=1)
        to_centres = exact(query, centres).astype(np.float32)
        fresh, _ = filled(vectors, centres)
        assert np.array_equal(
            one.distances(query, to_centres, numbers + 5), fresh.distances(query, to_centres, numbers + 5)
        )


def test_a_vector_that_is_its_centre_is_as_far_away_as_that() -> None:
    vectors = random_vectors(2, 16)
    made, _ = filled(vectors[:1], vectors)
    to_centres = np.array([0.25, 1.5], np.float32)
    assert made.distances(vectors[1], to_centres, np.array([5])).tolist() == [0.25]


def test_other_bytes_are_no_codes() -> None:
    made, _ = filled(random_vectors(10, 16), random_vectors(2, 16))
    parts = [np.array(part) for part in made.to_parts()]
    for changed in ([parts[0][:-8], *parts[1:]], [*parts[:4], parts[4][:-1]]):
        with pytest.raises(ValueError):
            ResidualCodes.from_parts(16, changed)
