"""Label sets and p-values are those of crepes, an implementation of conformal prediction by others."""

from __future__ import annotations

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import given
from hypothesis import strategies as st

from lookalike.evaluation.conformal import label_scores, label_thresholds
from lookalike.evaluation.novelty import p_values


def similarities(rng: np.random.Generator, count: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and similarities to the nearest image of each label; rounded, so that some tie."""
    truth = rng.integers(0, labels, count)
    found = rng.normal(0.4, 0.2, (count, labels))
    found[np.arange(count), truth] += 0.2
    return truth.astype(np.intp), np.clip(found, -1, 1).round(2).astype(np.float32)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 120),
    labels=st.integers(2, 6),
    coverage=st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]),
)
def test_label_sets_are_those_of_a_class_conditional_conformal_classifier(
    seed: int, count: int, labels: int, coverage: float
) -> None:
    rng = np.random.default_rng(seed)
    truth, known = similarities(rng, count, labels)
    _, asked = similarities(rng, 40, labels)
    # A label that is on no image has nothing to be compared with.
    asked[:, rng.integers(labels)] = -np.inf
    own, scores = label_scores(known)[np.arange(count), truth], label_scores(asked)
    within = scores <= label_thresholds(own, truth, labels, coverage)

    oracle = ConformalClassifier()
    oracle.fit(own, bins=truth)
    for label in range(labels):
        bins = np.full(len(asked), label)
        values = oracle.predict_p(scores[:, label], bins=bins, smoothing=False)
        # Of a p-value that is the level to the last bit, textbooks leave the label out and crepes does not.
        assert (within[:, label] == (values > 1 - coverage + 1e-9)).all()
        sets = oracle.predict_set(scores[:, label], bins=bins, confidence=coverage, smoothing=False)
        clear = np.abs(values - (1 - coverage)) > 1e-9
        assert (within[clear, label] == sets[clear].astype(bool)).all()


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300))
def test_p_values_are_those_of_a_conformal_classifier(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    known, asked = rng.normal(0.6, 0.2, count).round(2), rng.normal(0.5, 0.3, 50).round(2)
    oracle = ConformalClassifier()
    oracle.fit(-known)
    assert p_values(asked, known) == pytest.approx(oracle.predict_p(-asked, smoothing=False), abs=1e-12)
