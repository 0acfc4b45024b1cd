"""Confidence, promises on error and coverage, and alarms: each holds what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation.calibration import (
    brier_score,
    cross_fitted_confidence,
    fit_calibration,
    own_and_other,
    reliability_bins,
)
from lookalike.evaluation.confidence import LogisticCalibration, Scores, answer_scores, shrunk
from lookalike.evaluation.conformal import label_scores, label_thresholds, measured_coverage
from lookalike.evaluation.novelty import check_rate, own_p_values, p_values
from lookalike.evaluation.selective import DELTA, error_bound, risk_coverage, select


def answers(rng: np.random.Generator, count: int) -> tuple[Scores, np.ndarray, np.ndarray]:
    """Return scores, outcomes, and the probability with which each was drawn."""
    margin = rng.normal(0.1, 0.1, count)
    own = rng.uniform(0.5, 1.0, count)
    shares = rng.choice([0.6, 0.8, 1.0], count)
    true = 1 / (1 + np.exp(-(20 * margin + 2 * shares - 2)))
    return answer_scores(own, own - margin, shares), rng.random(count) < true, true


def test_brier_score_and_reliability_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.02, 1, 500)
    right = rng.random(500) < confidence
    assert brier_score(confidence, right) == pytest.approx(brier_score_loss(right, confidence))
    expected_right, expected_mean = calibration_curve(right, confidence, n_bins=10)
    bins = reliability_bins(confidence, right)
    assert [each.right for each in bins] == pytest.approx(expected_right.tolist())
    assert [each.confidence for each in bins] == pytest.approx(expected_mean.tolist())
    assert sum(each.count for each in bins) == 500
    assert all(each.low <= each.confidence <= each.high for each in bins)


def test_confidence_is_the_probability_of_being_right() -> None:
    rng = np.random.default_rng(1)
    scores, right, true = answers(rng, 4000)
    one = np.zeros(4000, dtype=np.intp)
    found = cross_fitted_confidence(scores, right, truth=one, named=one)
    assert np.abs(found - true).mean() < 0.03
    for each in reliability_bins(found, right):
        tolerance = 4 * math.sqrt(0.25 / each.count)
        assert abs(each.confidence - each.right) < tolerance


def test_confidence_that_knows_nothing_does_not_pretend_to() -> None:
    """Fitted to itself, a flexible calibration would beat the constant; held out, it must not."""
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(60, 3))
    right = rng.random(60) < 0.7
    constant = brier_score(np.full(60, right.mean()), right)
    one = np.zeros(60, dtype=np.intp)
    found = cross_fitted_confidence(scores, right, truth=one, named=one)
    assert brier_score(found, right) > constant - 0.005


def test_where_all_answers_were_right_confidence_is_laplaces_rule() -> None:
    scores = np.random.default_rng(3).normal(size=(8, 3))
    fitted = fit_calibration(scores, np.ones(8, dtype=bool))
    assert fitted.confidence(scores) == pytest.approx(np.full(8, 9 / 10))
    assert fit_calibration(scores, np.zeros(8, dtype=bool)).confidence(scores[:1])[0] == pytest.approx(0.1)


def test_confidence_rests_on_the_labels_own_images_and_never_grows_by_it() -> None:
    images = np.array([0, 1, 3, 10, 100, 10_000])
    found = shrunk(np.full(6, 0.999), images, images)
    assert found.tolist() == sorted(found)
    # As often as it has images, against up to ten times Laplace's rule.
    assert found[2] == pytest.approx((3 * 0.999 + 9.4 * 4 / 5) / 12.4)
    assert found[0] == 0.5
    assert found[-2:].tolist() == [0.999, 0.999]
    assert shrunk(np.full(6, 0.2), images, images).tolist() == [0.2] * 6
    assert (shrunk(np.full(6, 0.999), images, np.zeros(6)) <= found).all()


def test_a_calibration_travels_as_numbers() -> None:
    scores, right, _ = answers(np.random.default_rng(4), 200)
    fitted = fit_calibration(scores, right)
    assert LogisticCalibration.from_numbers(fitted.to_numbers()) == fitted


def test_a_margin_with_no_other_label_counts_from_minus_one() -> None:
    assert answer_scores(np.array([0.5]), np.array([-np.inf]), np.array([1.0])).tolist() == [[1.5, 0.5, 1.0]]
    own, other = own_and_other(np.array([[0.9, 0.2, 0.4]], dtype=np.float32), np.array([0]))
    assert (own[0], other[0]) == (pytest.approx(0.9), pytest.approx(0.4))


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_the_error_bound_is_the_rate_at_which_so_few_errors_are_a_rare_luck(drawn: tuple[int, int]) -> None:
    wrong, total = drawn
    bound = error_bound(wrong, total, 0.05)
    assert binom.cdf(wrong, total, bound) == pytest.approx(0.05, abs=1e-9)
    assert error_bound(total, total, 0.05) == 1.0


def test_the_error_promised_holds_in_all_but_delta_of_the_draws() -> None:
    """The true error above the threshold is known here, since the outcomes are drawn with known odds."""
    rng = np.random.default_rng(5)
    broken, answered, draws, promised = 0, 0, 200, 0.25
    for _ in range(draws):
        confidence = rng.uniform(0.5, 1, 300)
        # Over-confident on purpose: the promise must not depend on the calibration.
        true = confidence - 0.05
        right = rng.random(300) < true
        try:
            found = select(confidence, right, promised)
        except Unanswerable:
            continue
        answered += 1
        threshold = found.threshold
        broken += 1 - ((threshold + 1) / 2 - 0.05) > promised
        assert found.bound <= promised
        assert found.answered == int((confidence >= threshold).sum())
        assert found.wrong == int((~right[confidence >= threshold]).sum())
        assert found.share == found.answered / 300
    assert answered > draws / 4
    assert broken <= binom.ppf(0.999, draws, DELTA)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_an_error_that_cannot_be_promised_is_refused_with_the_lowest_that_can(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, right = rng.random(count), rng.random(count) < 0.8
    with pytest.raises(Unanswerable, match=rf"0\.001 cannot be promised from {count} .* the lowest") as told:
        select(confidence, right, 0.001)
    lowest = float(str(told.value).split()[-1])
    if lowest < 1:
        assert select(confidence, right, lowest).bound <= lowest
        with pytest.raises(Unanswerable):
            select(confidence, right, max(lowest - 0.0011, 1e-9))


def test_an_error_promised_is_above_0_and_below_1() -> None:
    for promised in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(InvalidArgument):
            select(np.ones(40), np.ones(40, dtype=bool), promised)


def test_answers_of_equal_confidence_are_given_together() -> None:
    confidence = np.array([0.9] * 100 + [0.8] * 100)
    right = np.array([True] * 100 + [False] * 100)
    found = select(confidence, right, 0.1)
    assert (found.answered, found.wrong, found.threshold) == (100, 0, 0.9)
    assert risk_coverage(confidence, right) == ((0.5, 0.0), (1.0, 0.5))


def exchangeable(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return similarities to three labels and the true ones: rare, hard and easy labels."""
    truth = rng.choice(3, count, p=[0.6, 0.3, 0.1])
    similarities = rng.normal(0.5, 0.1, (count, 3))
    similarities[np.arange(count), truth] += np.array([0.3, 0.1, 0.0])[truth]
    return np.clip(similarities, -1, 1).astype(np.float32), truth.astype(np.intp)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_label_sets_contain_the_truth_as_often_as_promised_for_every_label(coverage: float) -> None:
    rng = np.random.default_rng(6)
    similarities, truth = exchangeable(rng, 6000)
    own = label_scores(similarities)[np.arange(6000), truth]
    half = 3000
    thresholds = label_thresholds(own[:half], truth[:half], 3, coverage)
    for label in range(3):
        tested = own[half:][truth[half:] == label]
        calibrated = int((truth[:half] == label).sum())
        covered = float((tested <= thresholds[label]).mean())
        # Both halves are drawn: their variances add up.
        spread = math.sqrt(coverage * (1 - coverage) * (1 / len(tested) + 1 / calibrated))
        nearest = float((tested == 0).mean())
        assert covered > coverage - 3.5 * spread
        assert covered < max(coverage, nearest) + 3.5 * spread, "no more than the nearest label needs"


def test_coverage_holds_on_average_with_very_few_images() -> None:
    """The finite-sample correction: without it, 9 images would cover about 0.72 where 0.8 was promised."""
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(4000):
        scores = rng.normal(size=10)
        threshold = label_thresholds(scores[:9], np.zeros(9, dtype=np.intp), 1, 0.8)[0]
        covered.append(scores[9] <= threshold)
    assert np.mean(covered) == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 4000))


def test_a_label_with_too_few_images_is_in_every_set() -> None:
    truth = np.repeat([0, 1], [19, 18]).astype(np.intp)
    scores = np.linspace(-1, 0, 37)
    thresholds = label_thresholds(scores, truth, 2, 0.95)
    assert thresholds[0] == scores[18]
    assert thresholds[1] == np.inf
    with pytest.raises(InvalidArgument):
        label_thresholds(scores, truth, 2, 1.0)


def test_next_to_no_coverage_is_that_of_the_best_score() -> None:
    truth, scores = np.zeros(5, dtype=np.intp), np.linspace(-1, 0, 5)
    assert label_thresholds(scores, truth, 2, 1e-12).tolist() == [-1, np.inf]


def test_measured_coverage_is_what_was_promised_and_sets_are_counted() -> None:
    similarities, truth = exchangeable(np.random.default_rng(8), 3000)
    found = measured_coverage(similarities, truth, ("a", "b", "c"), 0.9)
    for each in found.labels:
        part = each.covered / each.images
        assert part > 0.9 - 4 * math.sqrt(0.09 * 2 / each.images)
        assert not each.always
    assert sum(each.images for each in found.labels) == 3000
    assert 1 < found.mean_size < 3
    assert found.single < 3000


def test_label_scores_by_hand() -> None:
    found = label_scores(np.array([[0.9, 0.5, -np.inf]], dtype=np.float32))
    assert found[0, 0] == 0, "the nearest label is in every set, whatever the scale of similarities"
    assert found[0, 1] == pytest.approx(0.4)
    assert found[0, 2] == np.inf


def test_p_values_of_images_like_the_others_are_uniform() -> None:
    rng = np.random.default_rng(9)
    known, new = rng.beta(8, 2, 5000), rng.beta(8, 2, 2000)
    found = p_values(new, known)
    assert kstest(found, "uniform").pvalue > 0.01
    assert found.min() >= 1 / 5001
    assert own_p_values(known).min() == 1 / 5000
    assert kstest(own_p_values(known), "uniform").pvalue > 0.99


def test_false_alarms_are_at_most_at_their_rate_also_with_few_images() -> None:
    rng = np.random.default_rng(10)
    drawn = rng.random((20_000, 100))
    alarms = np.mean([p_values(row[:1], row[1:])[0] <= 0.05 for row in drawn])
    assert alarms <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 20_000)
    assert p_values(np.array([-1.0]), drawn[0, :98])[0] > 0.01, "99 images are needed for a rate of 0.01"
    assert p_values(np.array([-1.0]), drawn[0, :99])[0] <= 0.01


def test_a_rate_that_is_none_is_refused() -> None:
    for rate in (-0.1, 1.0, math.nan):
        with pytest.raises(InvalidArgument):
            check_rate(rate)
    check_rate(0.0)
