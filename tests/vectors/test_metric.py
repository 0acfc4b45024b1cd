"""A fitted metric brings classes together, keeps its promises on odd data, and survives as bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.types import Vectors
from lookalike.vectors import discriminant
from lookalike.vectors.dual_metric import DualMetric
from lookalike.vectors.metric import FittedMetric, fit_metric, normalise

Codes = NDArray[np.intp]


def sample(
    count: int, dimension: int, classes: int, distance: float = 2.0, seed: int = 0
) -> tuple[Vectors, Codes]:
    """Draw unit vectors of classes that differ in a few directions, beside large ones that tell nothing."""
    rng = np.random.default_rng(seed)
    codes = np.arange(count) % classes
    centres = distance * rng.standard_normal((classes, dimension)) / np.sqrt(dimension)
    noise = rng.standard_normal((count, dimension)) / np.sqrt(dimension)
    nuisance = 3 * rng.standard_normal((count, 3)) @ rng.standard_normal((3, dimension)) / np.sqrt(dimension)
    return normalise((centres[codes] + noise + nuisance + 1).astype(np.float32)), codes


def accuracy(metric: FittedMetric | None, train: tuple[Vectors, Codes], test: tuple[Vectors, Codes]) -> float:
    project = metric.project if metric else lambda vectors: vectors
    nearest = (project(test[0]) @ project(train[0]).T).argmax(axis=1)
    return float((train[1][nearest] == test[1]).mean())


def assert_unit(vectors: Vectors) -> None:
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("dimension", [30, 400])
def test_a_fit_helps_images_that_it_has_not_seen(dimension: int) -> None:
    vectors, codes = sample(300, dimension, 3, distance=0.7)
    train, test = (vectors[:150], codes[:150]), (vectors[150:], codes[150:])
    assert accuracy(fit_metric(*train), train, test) > accuracy(None, train, test) + 0.2


@pytest.mark.parametrize(("count", "dimension"), [(60, 20), (40, 90)])
def test_the_shrunk_within_class_covariance_becomes_the_identity(count: int, dimension: int) -> None:
    """Against the definition, step by step, with more images than columns and with fewer."""
    vectors, codes = sample(count, dimension, 3)
    data = (vectors - vectors.mean(axis=0)).astype(np.float64)
    basis, coordinates = discriminant._span(data.astype(np.float32))
    directions = discriminant._whiten(coordinates, codes, 0.3)
    within = np.zeros((coordinates.shape[1],) * 2)
    for code in range(3):
        own = coordinates[codes == code]
        within += (own - own.mean(axis=0)).T @ (own - own.mean(axis=0)) / (count - 3)
    target = np.trace(within) / min(coordinates.shape[1], count - 3)
    shrunk = 0.7 * within + 0.3 * target * np.eye(len(within))
    np.testing.assert_allclose(directions.T @ shrunk @ directions, np.eye(len(within)), atol=1e-6)
    if basis is not None:
        np.testing.assert_allclose(coordinates @ basis.T, data, atol=1e-5)


def test_the_discriminant_directions_are_scikit_learns() -> None:
    vectors, codes = sample(200, 12, 3)
    mean, scale = discriminant._standardisation(vectors, [slice(0, 12)])
    data = (vectors - mean) * scale
    directions = discriminant._whiten(data, codes, 1e-6)
    means = discriminant.class_means(data, codes) @ directions
    # Ours lead to the class means in the whitened space; scikit-learn's scalings must span the same plane.
    ours = directions @ discriminant.between_directions(means).T
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=1e-6, priors=[1 / 3] * 3).fit(data, codes)
    theirs = model.scalings_[:, :2]
    together = np.linalg.svd(np.hstack([ours / np.linalg.norm(ours), theirs / np.linalg.norm(theirs)]))[1]
    assert together[2] < 0.02 * together[0]


@pytest.mark.parametrize("dimension", [8, 60])
@pytest.mark.parametrize("per_lot", [1, 4])
def test_the_score_is_that_of_ridge_regressions_that_really_left_the_lot_out(
    dimension: int, per_lot: int
) -> None:
    vectors, codes = sample(40, dimension, 2)
    lots = np.arange(40) // per_lot
    data = (vectors - vectors.mean(axis=0)).astype(np.float64)
    energies = np.linalg.svd(data)[1] ** 2
    rank = int((energies > 1e-10 * energies[0]).sum())
    alpha = 0.3 * energies.sum() / rank
    targets = np.eye(2)[codes]
    # Ridge's own centring makes no difference where the mean is left out with the lot.
    left_out = cross_val_predict(Ridge(alpha), data, targets, cv=LeaveOneGroupOut(), groups=lots)
    baseline = ((targets - targets.mean(axis=0)) * 40 / 39) ** 2
    expected = 1 - ((targets - left_out) ** 2).sum() / baseline.sum()
    found = discriminant._scores(data, discriminant._left_out_test(codes, lots), [0.3])[0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_groups_that_tell_nothing_hardly_count() -> None:
    vectors, codes = sample(120, 40, 2, distance=1.0)
    noise = normalise(np.random.default_rng(1).standard_normal((120, 400)).astype(np.float32))
    both = normalise(np.hstack([vectors, noise]))
    train, test = (both[:60], codes[:60]), (both[60:], codes[60:])
    groups = [slice(0, 40), *(slice(40 + 50 * i, 90 + 50 * i) for i in range(8))]
    grouped = accuracy(fit_metric(*train, groups=groups), train, test)
    assert grouped > accuracy(fit_metric(*train), train, test)
    assert grouped > 0.7


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(2, 30),
    dimension=st.integers(2, 40),
    classes=st.integers(2, 5),
    constant=st.booleans(),
    copies=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_whatever_the_vectors_the_projections_are_of_length_1(
    count: int, dimension: int, classes: int, constant: bool, copies: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.standard_normal((count, dimension)).astype(np.float32)
    if constant:
        raw[:, ::2] = 1
    if copies:
        raw[: count // 2 + 1] = raw[0]
    vectors, codes = normalise(raw), rng.integers(classes, size=count)
    try:
        metric = fit_metric(vectors, codes, groups=[slice(0, 1), slice(1, dimension)])
    except Unanswerable:
        counts = np.bincount(codes)
        assert (counts > 0).sum() < 2 or counts.max() < 2
        return
    assert metric.dimension <= discriminant.MAX_DIMENSION
    new = normalise(rng.standard_normal((3, dimension)).astype(np.float32))
    assert_unit(metric.project(vectors))
    assert_unit(metric.project(new))
    if count <= dimension:
        dual = DualMetric(vectors, codes, groups=[slice(0, 1), slice(1, dimension)])
        assert_unit(dual.learned)
        assert_unit(dual.project(new))


@pytest.mark.parametrize(("count", "dimension"), [(40, 60), (60, 60), (1080, 1200)])
def test_in_the_space_of_the_images_the_similarities_are_those_of_the_map(count: int, dimension: int) -> None:
    vectors, codes = sample(count + 20, dimension, 4)
    vectors[3], codes[5] = vectors[2], 4  # the same picture twice, and a class of one
    groups = [slice(0, dimension // 3), slice(dimension // 3, dimension)]
    lots = np.arange(count) // 2
    learned = vectors[:count], codes[:count]
    fitted = fit_metric(*learned, groups=groups, lots=lots)
    dual = DualMetric(*learned, groups=groups, lots=lots)
    known, new = fitted.project(vectors[:count]), fitted.project(vectors[count:])
    np.testing.assert_allclose(dual.learned @ dual.learned.T, known @ known.T, atol=2e-4)
    np.testing.assert_allclose(dual.project(vectors[count:]) @ dual.learned.T, new @ known.T, atol=2e-4)
    again = dual.project(vectors[:count]) @ dual.learned.T
    np.testing.assert_allclose(again, dual.learned @ dual.learned.T, atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), dimension=st.sampled_from([10, 80]))
def test_names_of_classes_and_order_of_rows_do_not_matter(seed: int, dimension: int) -> None:
    vectors, codes = sample(45, dimension, 3, seed=seed)
    groups = [slice(0, 4), slice(4, dimension)]
    expected = fit_metric(vectors, codes, groups=groups).project(vectors)
    order = np.random.default_rng(seed).permutation(45)
    renamed = np.array([7, 0, 3])[codes]
    found = fit_metric(vectors[order], renamed[order], groups=groups).project(vectors)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_a_large_collection_is_judged_by_the_same_images_in_any_order() -> None:
    vectors, codes = sample(1500, 20, 3)
    order = np.random.default_rng(0).permutation(1500)
    chosen = discriminant._pilot(vectors, codes, 0)
    again = order[discriminant._pilot(vectors[order], codes[order], 0)]
    assert 490 <= len(chosen) <= 510
    assert sorted(again) == sorted(chosen)
    assert np.bincount(codes[chosen]).min() > 160


def test_the_same_arguments_give_the_same_metric() -> None:
    vectors, codes = sample(50, 70, 2)
    assert fit_metric(vectors, codes).fingerprint == fit_metric(vectors, codes).fingerprint
    assert fit_metric(vectors, codes).fingerprint != fit_metric(vectors[1:], codes[1:]).fingerprint


def test_at_most_1024_dimensions_come_out() -> None:
    vectors, codes = sample(1100, 1060, 2)
    metric = fit_metric(vectors, codes)
    assert metric.dimension == 1024
    assert_unit(metric.project(vectors[:50]))


@pytest.mark.parametrize(
    ("codes", "reason"),
    [([0, 0, 0], "at least two"), ([0, 1, 2], "only one of its class"), ([0], "at least two")],
)
def test_what_cannot_be_learnt_from_gets_a_clear_line(codes: list[int], reason: str) -> None:
    vectors, _ = sample(len(codes), 5, 1)
    with pytest.raises(Unanswerable, match=reason) as caught:
        fit_metric(vectors, np.array(codes))
    assert "\n" not in str(caught.value)


def test_arguments_that_do_not_fit_together_are_refused() -> None:
    vectors, codes = sample(10, 6, 2)
    with pytest.raises(InvalidArgument, match="do not go with codes"):
        fit_metric(vectors, codes[:9])
    with pytest.raises(InvalidArgument, match="lots"):
        fit_metric(vectors, codes, lots=np.arange(3))
    with pytest.raises(InvalidArgument, match="add up to 6"):
        fit_metric(vectors, codes, groups=[slice(0, 3), slice(4, 6)])
    with pytest.raises(InvalidArgument, match="not finite"):
        fit_metric(np.full_like(vectors, np.nan), codes)
    with pytest.raises(InvalidArgument, match="fitted to 6 dimensions"):
        fit_metric(vectors, codes).project(vectors[:, :5])


def test_a_metric_survives_as_bytes() -> None:
    vectors, codes = sample(30, 50, 3)
    metric = fit_metric(vectors, codes)
    again = FittedMetric.from_bytes(metric.to_bytes())
    assert (again.fingerprint, again.to_bytes()) == (metric.fingerprint, metric.to_bytes())
    np.testing.assert_array_equal(again.project(vectors), metric.project(vectors))
    with np.load(io.BytesIO(metric.to_bytes()), allow_pickle=False) as archive:
        assert set(archive) == {"format", "mean", "matrix"}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_are_another_metric(data: st.DataObject) -> None:
    vectors, codes = sample(10, 4, 2)
    metric = fit_metric(vectors, codes)
    content = bytearray(metric.to_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
    try:
        found = FittedMetric.from_bytes(bytes(content))
    except InvalidArgument:
        return
    # A byte that says nothing of the arrays, such as a file's permissions.
    assert found.fingerprint == metric.fingerprint
