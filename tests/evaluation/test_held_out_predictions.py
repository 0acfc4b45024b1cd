"""Held-out answers: what has seen a label is not tested on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation.evaluation import evaluation_lines
from lookalike.evaluation.fold_predictor import CANDIDATE_KS
from lookalike.evaluation.held_out_predictions import HoldOutOptions, Ks, predict_held_out
from lookalike.types import Record, Vectors
from lookalike.uris import record_id
from lookalike.vectors.metric import fit_metric, normalise
from lookalike.vectors.nearest import BestOfClass, leave_one_out_rows, nearest_rows
from lookalike.vectors.vote import Codes
from tests.evaluations import evaluate
from tests.vectors.test_near_duplicates import filmed


def labelled(labels: Codes, **more: Codes) -> list[Record]:
    """Return records with a label and more fields, in order of id."""
    uris = sorted((f"file:///{place}.png" for place in range(len(labels))), key=record_id)
    return [
        Record(
            record_id(uri),
            uri,
            uri,
            {"q": f"label {labels[row]}", **{name: int(values[row]) for name, values in more.items()}},
            {},
            1,
            1,
        )
        for row, uri in enumerate(uris)
    ]


def clouds(rng: np.random.Generator, labels: Codes, dimension: int, distance: float) -> Vectors:
    """Return unit vectors around a centre for each label."""
    centres = rng.normal(size=(int(labels.max()) + 1, dimension)) * distance
    return normalise((centres[labels] + rng.normal(size=(len(labels), dimension))).astype(np.float32))


def test_random_labels_are_at_chance_after_a_fit_though_the_naive_figure_is_near_one() -> None:
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.arange(120, dtype=np.intp) % 2)
    vectors = clouds(rng, np.zeros_like(labels), 200, 0.0)
    fitted = fit_metric(vectors, labels).project(vectors)
    voters, _ = leave_one_out_rows(fitted, 1)
    naive = float(np.mean(labels[voters[:, 0]] == labels))
    assert naive > 0.9, "the metric has seen these labels"

    def refit(some: Vectors, codes: Codes, lots: Codes):  # type: ignore[no-untyped-def] # as fit_metric says
        assert len(some) < len(vectors), "the images held out were shown to the fit"
        return fit_metric(some, codes, lots=lots)

    found = evaluate(labelled(labels), vectors, "q", k=1, fit=refit)
    assert found.method == "5-fold × 3, metric refitted in each fold"
    assert all(0.3 < accuracy < 0.7 for accuracy in found.repeats)
    low, high = found.interval
    assert low < 0.5 < high


def test_a_fit_that_helps_is_seen_to_help() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(150, dtype=np.intp) % 3
    # The label is in three numbers of little spread, among forty that say nothing.
    told = np.eye(3)[labels] * 1.5 + rng.normal(scale=0.3, size=(150, 3))
    noise = rng.normal(scale=1.5, size=(150, 40))
    vectors = normalise(np.hstack([told, noise]).astype(np.float32))
    plain = evaluate(labelled(labels), vectors, "q", k=1)
    fitted = evaluate(
        labelled(labels), vectors, "q", k=1, fit=lambda v, c, lots: fit_metric(v, c, lots=lots), repeats=2
    )
    assert len(fitted.repeats) == 2
    assert fitted.accuracy > plain.accuracy + 0.2


def test_images_of_one_group_never_vote_on_each_other() -> None:
    rng = np.random.default_rng(2)
    lots = np.arange(120, dtype=np.intp) // 6
    labels = rng.integers(0, 2, 20)[lots].astype(np.intp)
    # Images of a lot are alike, and the label says nothing beyond the lot.
    vectors = clouds(rng, lots, 12, 4.0)
    records = labelled(labels, lot=lots)
    found = evaluate(records, vectors, "q", k=1, group="lot")
    assert found.apart is not None
    assert found.apart.accuracy > 0.95
    assert found.accuracy < 0.75
    held = found.held
    assert (lots[held.neighbours] != lots[held.rows][:, None]).all()
    assert found.group == "lot"
    folded = evaluate(records, vectors, "q", k="auto", group="lot", repeats=1)
    assert (lots[folded.held.neighbours[:, 0]] != lots[folded.held.rows]).all()
    assert folded.accuracy < 0.75


def test_near_duplicates_are_kept_together_and_the_figure_without_is_shown() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 60).astype(np.intp)
    vectors = clouds(rng, np.zeros_like(labels), 30, 0.0)
    labels, vectors = np.concatenate([labels, labels]), np.concatenate([vectors, vectors])
    found = evaluate(labelled(labels), vectors, "q", k=1, near_duplicates=True)
    assert found.apart is not None
    assert found.apart.accuracy == 1.0
    assert found.accuracy < 0.75
    assert found.near_duplicates == 120
    assert evaluate(labelled(labels), vectors, "q", k=1).accuracy == 1.0


@pytest.mark.parametrize("k", [1, "auto"])
def test_a_chain_of_near_duplicates_does_not_decide_the_figure(k: Ks) -> None:
    """Kept together as one, the frames had only strangers to be compared with, and all of them were wrong."""
    vectors = filmed(400, 500)
    # The film shows one thing, then another; the others are of many kinds, three of each.
    labels = np.concatenate([np.arange(400) // 200, 2 + np.arange(500) // 3]).astype(np.intp)
    vectors[400:] = vectors[400 + 3 * (np.arange(500) // 3)] + 0.8 * vectors[400:]
    found = evaluate(labelled(labels), normalise(vectors), "q", k=k, near_duplicates=True, repeats=1)
    assert found.apart is not None
    assert found.apart.accuracy > 0.9
    assert found.accuracy > found.apart.accuracy - 0.15
    assert found.chains[0].images == 400
    assert found.chains[0].similarity == pytest.approx(0, abs=1e-6)
    summary = next(evaluation_lines(found))
    assert summary["chains"][0]["images"] == 400
    assert summary["apart"]["accuracy"] > summary["accuracy"]


def test_k_is_chosen_from_the_images_held_in() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(200, dtype=np.intp) % 2
    vectors = clouds(rng, labels, 10, 0.45)
    noisy = np.where(rng.random(200) < 0.25, 1 - labels, labels)
    held = predict_held_out(labelled(noisy), vectors, "q", HoldOutOptions(k="auto", repeats=2))
    assert held.chosen
    assert held.method == "5-fold × 2, k chosen in each fold"
    assert {k for k, _ in held.ks} <= set(CANDIDATE_KS)
    assert sum(folds for _, folds in held.ks) == 10
    assert held.k in CANDIDATE_KS
    assert held.k > 1, "with a quarter of the labels wrong one neighbour is a poor adviser"
    shown = [(repeat == held.predicted).all() for repeat in held.repeats]
    assert sum(shown) == 1


def test_the_drawing_with_the_middle_accuracy_speaks_for_all() -> None:
    rng = np.random.default_rng(12)
    labels = np.arange(60, dtype=np.intp) % 3
    found = evaluate(labelled(labels), clouds(rng, labels, 10, 0.4), "q", k="auto", repeats=5)
    assert len(set(found.repeats)) > 2
    assert found.accuracy == sorted(found.repeats)[2]


def test_k_is_chosen_at_chance_on_labels_that_say_nothing() -> None:
    rng = np.random.default_rng(6)
    labels = rng.permutation(np.arange(200, dtype=np.intp) % 2)
    held = predict_held_out(
        labelled(labels), clouds(rng, np.zeros_like(labels), 10, 0.0), "q", HoldOutOptions(k="auto")
    )
    assert 0.4 < (held.repeats == held.truth).mean() < 0.6


def test_class_similarities_are_those_of_the_nearest_held_in_image_of_each_label() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, 50).astype(np.intp)
    vectors = clouds(rng, labels, 8, 1.0)
    held = predict_held_out(labelled(labels), vectors, "q", HoldOutOptions(k=3))
    assert held.class_similarities is not None
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -np.inf)
    for row in range(50):
        for code in range(4):
            expected = cosine[row, labels == code].max()
            assert held.class_similarities[row, code] == pytest.approx(expected, abs=1e-5)
    assert held.class_similarities.max(axis=1) == pytest.approx(held.nearest, abs=1e-5)


def test_a_class_with_nothing_left_is_infinitely_far() -> None:
    vectors = np.eye(3, dtype=np.float32)
    found = np.full((3, 3), -np.inf, np.float32)
    nearest_rows(vectors, vectors, 1, [[0], [1], [2]], best=BestOfClass(np.array([0, 2, 2]), found))
    assert np.isneginf(found).tolist() == [[True, True, False], [False, True, False], [False, True, False]]


def test_the_metric_may_learn_another_field_than_the_one_that_is_judged() -> None:
    rng = np.random.default_rng(8)
    labels = np.arange(90, dtype=np.intp) % 3
    vectors = clouds(rng, labels, 20, 1.0)
    records = labelled(np.arange(90, dtype=np.intp) % 2, kind=labels)
    asked: list[int] = []

    def refit(some: Vectors, codes: Codes, lots: Codes):  # type: ignore[no-untyped-def] # as fit_metric says
        asked.append(len(np.unique(codes)))
        return fit_metric(some, codes, lots=lots)

    held = predict_held_out(records, vectors, "q", HoldOutOptions(k=1, repeats=1), fit=refit, fit_by="kind")
    assert asked == [3] * 5
    assert len(held.labels) == 2


def test_what_all_others_share_a_group_with_is_left_out_by_name() -> None:
    labels = np.array([0, 0, 1, 1], dtype=np.intp)
    vectors = normalise(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=np.float32))
    parts, lots = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    found = evaluate(labelled(labels, part=parts, lot=lots), vectors, "q", k=1, within="part", group="lot")
    assert found.evaluated == 2
    assert [each.reason for each in found.left_out] == [
        "all images that it could be compared with are in its group or fold"
    ] * 2
    with pytest.raises(Unanswerable):
        evaluate(labelled(labels, part=parts, lot=parts), vectors, "q", k=1, within="part", group="lot")


@pytest.mark.parametrize(
    "options", [{"max_error": 0.0}, {"max_error": 1.0}, {"coverage": 1.5}, {"false_alarm": -0.1}]
)
def test_promises_outside_their_range_are_refused(options: dict[str, float]) -> None:
    labels = np.array([0, 0, 1, 1], dtype=np.intp)
    vectors = np.eye(4, dtype=np.float32)
    with pytest.raises(InvalidArgument):
        evaluate(labelled(labels), vectors, "q", **options)  # type: ignore[arg-type] # each is a promise


def test_figures_do_not_depend_on_where_the_images_lie() -> None:
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 3, 80).astype(np.intp)
    vectors = clouds(rng, labels, 10, 0.5)
    vectors[60:] = normalise(vectors[40:60] + rng.normal(scale=1e-4, size=(20, 10)).astype(np.float32))
    here = labelled(labels)
    there = [
        replace(record, id=record_id(f"/elsewhere{record.uri}"), uri=f"/elsewhere{record.uri}")
        for record in here
    ]
    summaries = []
    for records in (here, there):
        found = evaluate(records, vectors, "q", k="auto", near_duplicates=True, coverage=0.8, max_error=0.9)
        line = next(evaluation_lines(found))
        summaries.append(line)
    here_line, there_line = summaries
    for name in ("accuracy", "repeats", "ks", "coverage", "macro_f1", "near_duplicates", "apart"):
        assert here_line[name] == there_line[name]
    assert here_line["brier"] == pytest.approx(there_line["brier"], abs=1e-6)
