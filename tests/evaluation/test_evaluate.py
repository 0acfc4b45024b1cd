"""Leave-one-out over a collection: its figures, its mistakes, and what it leaves out."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.evaluation.evaluate import evaluate
from lookalike.evaluation.evaluation import Evaluation, evaluation_lines
from lookalike.evaluation.figures import Interval, class_figures, confusion_cells, wilson_interval
from lookalike.metric_learning.fitted import refit_with
from lookalike.types import Record, Scalar, Vectors
from lookalike.uris import record_id
from lookalike.vectors import near_duplicates
from lookalike.vectors import nearest as ranking
from lookalike.vectors.vote import label_key
from tests.cli.test_progress import Heard


def collection(*fields: Mapping[str, Scalar], digests: Sequence[str] | None = None) -> list[Record]:
    records = []
    for place, values in enumerate(fields):
        uri = f"file:///{place:03}.png"
        digest = digests[place] if digests else f"{place:064x}"
        records.append(Record(record_id(uri), uri, digest, values, {}, 1, 1))
    return records


def directions(*degrees: float) -> Vectors:
    """Return unit vectors in the plane: the smaller the angle between two, the more similar they are."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def random_vectors(rng: np.random.Generator, count: int, dimension: int = 8) -> Vectors:
    vectors = rng.normal(size=(count, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def outcome(evaluation: Evaluation, records: Sequence[Record]) -> dict[str, Scalar | None]:
    """Return what each image was taken for, by uri; None for those left out."""
    wrong = {mistake.record.uri: mistake.prediction.label for mistake in evaluation.mistakes}
    left_out = {each.record.uri for each in evaluation.left_out}
    return {
        record.uri: None if record.uri in left_out else wrong.get(record.uri, record.fields[evaluation.by])
        for record in records
    }


@pytest.mark.parametrize("k", [1, 3, 7])
def test_it_agrees_with_scikit_learn_where_there_are_no_draws(k: int) -> None:
    rng = np.random.default_rng(k)
    vectors = random_vectors(rng, 70)
    # An odd k and two labels: no draws, in which the two rules differ on purpose.
    truth = np.where(vectors[:, 0] + rng.normal(scale=0.4, size=70) > 0.2, "good", "bad")
    records = collection(*({"quality": str(label)} for label in truth))
    found = evaluate(records, vectors, "quality", k=k)

    classifier = KNeighborsClassifier(n_neighbors=k, metric="cosine", algorithm="brute")
    expected = cross_val_predict(classifier, vectors.astype(np.float64), truth, cv=LeaveOneOut())
    assert list(outcome(found, records).values()) == expected.tolist()
    assert 0 < found.correct < 70
    assert found.accuracy == pytest.approx(np.mean(expected == truth))
    assert found.macro_f1 == pytest.approx(f1_score(truth, expected, average="macro"))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, expected))


def label_pairs(count: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Draw (true, predicted) labels; each of `count` labels is the true one at least once."""
    label = st.integers(0, count - 1)
    some = st.lists(st.tuples(label, label), max_size=30)
    each = st.tuples(*(st.tuples(st.just(true), label) for true in range(count)))
    return st.tuples(some, each).map(lambda drawn: [*drawn[0], *drawn[1]])


@settings(deadline=None)
@given(st.integers(2, 6).flatmap(label_pairs))
def test_class_figures_and_confusion_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs, dtype=np.intp).T
    labels = range(int(truth.max()) + 1)
    names = [f"label {place}" for place in labels]
    figures = class_figures(truth, predicted, names)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(len(labels)), zero_division=0.0)
    rows = [(each.precision, each.recall, each.f1, each.support) for each in figures]
    np.testing.assert_allclose(rows, np.transpose(expected))
    assert [each.label for each in figures] == names

    matrix = np.zeros((len(labels), len(labels)), dtype=int)
    for cell in confusion_cells(truth, predicted, names):
        assert cell.count > 0
        matrix[names.index(str(cell.label)), names.index(str(cell.predicted))] = cell.count
    np.testing.assert_array_equal(matrix, confusion_matrix(truth, predicted, labels=labels))


def test_class_figures_by_hand() -> None:
    # a: 2 of 3 found, 1 of 3 wrongly named; b: 1 of 2, 1 of 2; c: never named.
    truth = np.array([0, 0, 0, 1, 1, 2], dtype=np.intp)
    predicted = np.array([0, 0, 1, 1, 0, 0], dtype=np.intp)
    a, b, c = class_figures(truth, predicted, ["a", "b", "c"])
    assert (a.precision, a.recall, a.f1, a.support) == (2 / 4, 2 / 3, 4 / 7, 3)
    assert (b.precision, b.recall, b.f1, b.support) == (1 / 2, 1 / 2, 1 / 2, 2)
    assert (c.precision, c.recall, c.f1, c.support) == (0.0, 0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # R's prop.test(6, 52, correct = FALSE), as printed in R bug report PR#2794.
        (6, 52, 0.05396969, 0.22971664),
        # Ligarden's 13 of 16: the tests of the R package contingencytables, from Fagerland, Lydersen and
        # Laake, Statistical Analysis of Contingency Tables (2017), chapter 2.
        (13, 16, 0.5699, 0.9341),
    ],
)
def test_the_interval_is_wilsons_as_published(correct: int, total: int, low: float, high: float) -> None:
    found = wilson_interval(correct, total)
    assert found == pytest.approx((low, high), abs=6e-5 if total == 16 else 6e-9)


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (0, 2000), (2000, 2000), (99_999, 100_000)])
def test_the_interval_stays_within_0_and_1_and_around_the_accuracy(correct: int, total: int) -> None:
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    assert low < high


def test_the_figures_of_a_small_collection_by_hand() -> None:
    records = collection(*({"q": label} for label in ("a", "a", "a", "b", "b", "a")))
    found = evaluate(records, directions(0, 1, 3, 40, 42, 43.5), "q", k=1)
    assert outcome(found, records) == dict(
        zip((r.uri for r in records), ["a", "a", "a", "b", "a", "b"], strict=True)
    )
    assert (found.total, found.evaluated, found.correct, found.accuracy) == (6, 6, 4, 4 / 6)
    assert found.interval == wilson_interval(4, 6)
    assert isinstance(found.interval, Interval)
    assert found.baseline == 4 / 6
    a, b = found.classes
    assert (a.label, a.support, a.predicted, a.correct) == ("a", 4, 4, 3)
    assert (b.label, b.support, b.predicted, b.correct) == ("b", 2, 2, 1)
    assert found.macro_f1 == (3 / 4 + 1 / 2) / 2
    assert found.balanced_accuracy == (3 / 4 + 1 / 2) / 2
    assert [(cell.label, cell.predicted, cell.count) for cell in found.confusion] == [
        ("a", "a", 3), ("a", "b", 1), ("b", "a", 1), ("b", "b", 1),
    ]  # fmt: skip
    assert (found.fewer_than_k, found.alone_in_class, found.duplicates) == (0, 0, 0)


def test_a_mistake_names_its_voters_nearest_first_and_the_neighbour_that_caused_it() -> None:
    records = collection(*({"q": label} for label in ("good", "good", "bad", "bad", "good")))
    # The last is nearest to 001 (good), then to 002 and 003 (bad).
    found = evaluate(records, directions(0, 38, 43, 45, 40), "q", k=3)
    mistake = next(each for each in found.mistakes if each.record is records[4])
    assert (mistake.label, mistake.prediction.label, mistake.prediction.share) == ("good", "bad", 2 / 3)
    assert [each.record for each in mistake.prediction.neighbours] == [records[1], records[2], records[3]]
    assert mistake.cause.record is records[2]
    assert mistake.cause.similarity == pytest.approx(math.cos(math.radians(3)), abs=1e-6)
    assert [each.record.uri for each in found.mistakes] == sorted(each.record.uri for each in found.mistakes)


def test_one_true_and_the_string_are_confused_as_three_labels() -> None:
    labels: list[Scalar] = [1, True, "1", 1.0, True, "1"]
    records = collection(*({"q": label} for label in labels))
    found = evaluate(records, directions(0, 20, 40, 2, 17, 19), "q", k=1)
    assert repr([figures.label for figures in found.classes]) in ("[True, 1, '1']", "[True, 1.0, '1']")
    assert [figures.support for figures in found.classes] == [2, 2, 2]
    assert [mistake.record for mistake in found.mistakes] == [records[1], records[2], records[4], records[5]]
    assert repr([mistake.prediction.label for mistake in found.mistakes]) == "['1', True, '1', True]"
    for mistake in found.mistakes:
        assert label_key(mistake.cause.record.fields["q"]) == label_key(mistake.prediction.votes[0][0])


def test_within_compares_an_image_only_with_its_own_part() -> None:
    records = collection(
        {"q": "good", "part": "A"}, {"q": "bad", "part": "B"},
        {"q": "good", "part": "A"}, {"q": "bad", "part": "B"},
        {"q": "bad", "part": "A"},
    )  # fmt: skip
    # Each image lies beside one of the other part, which has the other label, but for the last.
    vectors = directions(0, 1, 30, 31, 60)
    assert evaluate(records, vectors, "q", k=1).correct == 1
    found = evaluate(records, vectors, "q", within="part", k=1)
    assert [mistake.record for mistake in found.mistakes] == [records[4]]
    assert found.mistakes[0].cause.record is records[2]
    # A says good 2 of 3 times, B always says bad.
    assert found.baseline == 4 / 5
    assert found.alone_in_class == 1


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 12))
def test_within_is_each_part_evaluated_by_itself(seed: int, count: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    fields: list[dict[str, Scalar]] = [
        {"q": str(rng.choice(["a", "b"])), "part": int(rng.integers(4))} for _ in range(count)
    ]
    records, vectors = collection(*fields), random_vectors(rng, count, 3)
    try:
        found = outcome(evaluate(records, vectors, "q", within="part", k=k), records)
    except Unanswerable:
        return
    for part in range(4):
        rows = [row for row in range(count) if fields[row]["part"] == part]
        alone = [records[row] for row in rows]
        labels = {record.fields["q"] for record in alone}
        if len(rows) == 1:
            assert found[alone[0].uri] is None
        elif len(labels) == 1:
            assert all(found[record.uri] == record.fields["q"] for record in alone)
        elif labels:
            by_itself = outcome(evaluate(alone, vectors[rows], "q", k=k), alone)
            assert {record.uri: found[record.uri] for record in alone} == by_itself


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 50), st.booleans())
def test_every_image_is_accounted_for_in_any_order_of_records(
    seed: int, count: int, k: int, with_parts: bool
) -> None:
    rng = np.random.default_rng(seed)
    pool: list[Scalar] = ["a", "b", 1, True]
    fields: list[dict[str, Scalar]] = []
    for _ in range(count):
        values: dict[str, Scalar] = {}
        if rng.random() < 0.7:
            values["q"] = pool[rng.integers(4)]
        if rng.random() < 0.8:
            values["part"] = int(rng.integers(5))
        fields.append(values)
    # Out of few directions, so that many similarities are equal and many images are copies.
    angles = rng.integers(0, 12, size=count) * 15.0
    records = collection(*fields, digests=[f"{int(angle):064x}" for angle in angles])
    within = "part" if with_parts else None
    order = rng.permutation(count)
    shuffled = [records[row] for row in order]
    try:
        found = evaluate(records, directions(*angles), "q", within=within, k=k)
    except (Unanswerable, FieldNotFound) as error:
        with pytest.raises(type(error)):
            evaluate(shuffled, directions(*angles[order]), "q", within=within, k=k)
        return
    again = evaluate(shuffled, directions(*angles[order]), "q", within=within, k=k)
    assert repr(again) == repr(found)

    left_out = [each.record.uri for each in found.left_out]
    assert found.total == count
    assert found.evaluated + len(left_out) == count
    assert found.correct + len(found.mistakes) == found.evaluated
    assert sum(cell.count for cell in found.confusion) == found.evaluated
    assert not {mistake.record.uri for mistake in found.mistakes} & set(left_out)
    assert {record.uri for record in records if "q" not in record.fields} <= set(left_out)
    assert sum(found.reasons.values()) == len(left_out) == len(set(left_out))
    assert found.alone_in_class <= len(found.mistakes)
    low, high = found.interval
    assert low <= found.accuracy <= high
    for mistake in found.mistakes:
        voters = mistake.prediction.neighbours
        assert 1 <= len(voters) <= k
        assert mistake.record not in [voter.record for voter in voters]
        assert set(left_out).isdisjoint(voter.record.uri for voter in voters)
        assert label_key(mistake.label) != label_key(mistake.prediction.votes[0][0])
        if within:
            assert {voter.record.fields["part"] for voter in voters} == {mistake.record.fields["part"]}


def test_a_label_missing_on_half_the_images_leaves_those_out_and_not_the_rest() -> None:
    labels = ["a", "b"] * 10
    records = collection(*({"q": label} if place < 10 else {"x": 1} for place, label in enumerate(labels)))
    vectors = random_vectors(np.random.default_rng(0), 20)
    found = evaluate(records, vectors, "q", k=3)
    assert (found.total, found.evaluated) == (20, 10)
    assert found.reasons == {"no value of q": 10}
    # The ten without a label vote no more than if they were not there.
    alone = evaluate(records[:10], vectors[:10], "q", k=3)
    assert outcome(found, records[:10]) == outcome(alone, records[:10])


def test_left_out_images_are_named_with_their_reason() -> None:
    records = collection(
        {"q": "a", "part": "A"}, {"q": "b", "part": "A"},
        {"q": "a", "part": "B"}, {"part": "B"},
        {"q": "a"}, {"q": float("nan"), "part": "A"},
    )  # fmt: skip
    found = evaluate(records, directions(0, 1, 2, 3, 4, 5), "q", within="part")
    assert [(each.record, each.reason) for each in found.left_out] == [
        (records[2], "alone in its part: no other labelled image to compare it with"),
        (records[3], "no value of q"),
        (records[4], "no value of part"),
        (records[5], "no value of q"),
    ]
    assert found.reasons["no value of q"] == 2


def test_an_image_alone_in_its_class_is_evaluated_and_counted_as_such() -> None:
    records = collection({"q": "a"}, {"q": "a"}, {"q": "b"})
    found = evaluate(records, directions(0, 1, 3), "q", k=1)
    assert (found.evaluated, found.correct, found.alone_in_class) == (3, 2, 1)
    assert found.classes[1].support == 1


def test_k_above_what_is_there_lets_all_vote_and_says_on_how_many_images() -> None:
    records = collection({"q": "a"}, {"q": "a"}, {"q": "b"}, {"q": "a"})
    vectors = directions(0, 10, 20, 30)
    found = evaluate(records, vectors, "q", k=10**9)
    assert (found.k, found.fewer_than_k) == (10**9, 4)
    assert outcome(found, records) == outcome(evaluate(records, vectors, "q", k=3), records)
    assert evaluate(records, vectors, "q", k=3).fewer_than_k == 0


def test_byte_identical_neighbours_are_counted() -> None:
    labels = [{"q": "a"}, {"q": "a"}, {"q": "b"}, {"q": "b"}, {"q": "b"}]
    records = collection(*labels, digests=["1", "1", "2", "3", "4"])
    vectors = directions(0, 0, 40, 42, 44)
    assert evaluate(records, vectors, "q", k=1).duplicates == 2
    assert evaluate(collection(*labels), vectors, "q", k=1).duplicates == 0


def test_a_class_for_every_image_needs_no_matrix_of_all_classes() -> None:
    count = 20_000  # squared, as 64-bit numbers: 3.2 GB
    truth = np.arange(count, dtype=np.intp)
    names = [str(place) for place in range(count)]
    assert len(confusion_cells(truth, np.roll(truth, 1), names)) == count
    assert all(figures.f1 == 0.0 for figures in class_figures(truth, np.roll(truth, 1), names))


def test_an_empty_collection_cannot_be_evaluated() -> None:
    with pytest.raises(Unanswerable, match="empty"):
        evaluate([], np.empty((0, 2), dtype=np.float32), "q")


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    records = collection({"quality": "a", "part": 1}, {"quality": "b"})
    with pytest.raises(FieldNotFound) as by:
        evaluate(records, directions(0, 1), "qualty")
    assert (by.value.field, by.value.known) == ("qualty", ["part", "quality"])
    with pytest.raises(FieldNotFound) as within:
        evaluate(records, directions(0, 1), "quality", within="prt")
    assert within.value.field == "prt"


@pytest.mark.parametrize(
    ("fields", "within", "line"),
    [
        ([{"q": "a"}, {}], None, "only one image has a value of 'q': nothing to compare"),
        (
            [{"q": "a", "p": 1}, {"q": "b", "p": 2}, {"p": 1}],
            "p",
            "no two images with a value of 'q' share their 'p': nothing to compare",
        ),
        (
            [{"q": "a"}, {"q": "a"}, {}],
            None,
            "all 2 images to compare have q 'a': at least two labels are needed",
        ),
    ],
)
def test_what_leave_one_out_cannot_answer_is_said_in_one_line(
    fields: list[dict[str, Scalar]], within: str | None, line: str
) -> None:
    vectors = directions(*range(len(fields)))
    with pytest.raises(Unanswerable) as caught:
        evaluate(collection(*fields), vectors, "q", within=within)
    assert str(caught.value) == line


@pytest.mark.parametrize("arguments", [{"k": 0}, {"k": -1}, {"within": "q"}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        evaluate(collection({"q": "a"}, {"q": "b"}), directions(0, 1), "q", **arguments)


def test_records_without_their_vectors_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="2 records"):
        evaluate(collection({"q": "a"}, {"q": "b"}), directions(0), "q")


def test_its_lines_are_json_and_say_all_that_the_evaluation_says() -> None:
    records = collection({"q": "좋음"}, {"q": True}, {"q": 1}, {"q": 2.5}, {"q": "좋음"}, {})
    found = evaluate(records, directions(0, 2, 5, 9, 14, 20), "q", k=2)
    lines = [json.loads(json.dumps(line, allow_nan=False)) for line in evaluation_lines(found)]
    assert Counter(line["type"] for line in lines) == {
        "summary": 1,
        "class": 4,
        "confusion": len(found.confusion),
        "reliability": len(found.reliability.bins) if found.reliability else 0,
        "mistake": len(found.mistakes),
        "left_out": 1,
    }
    summary = lines[0]
    assert (summary["method"], summary["by"], summary["within"], summary["k"]) == (
        "leave-one-out",
        "q",
        None,
        2,
    )
    assert (summary["images"], summary["evaluated"], summary["left_out"]) == (6, 5, {"no value of q": 1})
    assert summary["accuracy"] == summary["correct"] / summary["evaluated"]
    assert summary["interval"] == list(found.interval)
    assert repr([line["label"] for line in lines if line["type"] == "class"]) == "[True, 1, 2.5, '좋음']"
    mistake = next(line for line in lines if line["type"] == "mistake")
    assert mistake["uri"] == records[0].uri
    assert mistake["cause"] in mistake["neighbours"]
    assert mistake["cause"]["label"] == mistake["predicted"]
    assert len(mistake["neighbours"]) == 2
    assert lines[-1] == {
        "type": "left_out",
        "id": records[5].id,
        "uri": records[5].uri,
        "reason": "no value of q",
    }


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 200 images be as many blocks as 100,000 are."""
    monkeypatch.setattr(ranking, "_BLOCK_BYTES", 4 * 200 * 20)
    monkeypatch.setattr(near_duplicates, "_BLOCK_BYTES", 4 * 200 * 10)


def two_hundred() -> tuple[list[Record], Vectors]:
    """Return images of which two are alike."""
    rng = np.random.default_rng(5)
    vectors = random_vectors(rng, 200)
    vectors[199] = vectors[0]
    labels = np.where(vectors[:, 0] > 0, "good", "bad").tolist()
    fields: list[dict[str, Scalar]] = [
        {"q": label, "part": place % 2, "day": place // 4} for place, label in enumerate(labels)
    ]
    return collection(*fields), vectors


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"near_duplicates": True},
        {"near_duplicates": True, "coverage": 0.8, "max_error": 0.3},
        {"within": "part"},
        {"group": "day"},
        {"k": "auto", "repeats": 2},
        {"fit": refit_with([]), "near_duplicates": True, "repeats": 2},
        {"fit": refit_with([]), "within": "part", "k": "auto", "repeats": 1},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_it_tells_how_far_it_is_and_finds_the_same(small_blocks: None, options: dict[str, Any]) -> None:
    records, vectors = two_hundred()
    heard = Heard()
    found = evaluate(records, vectors, "q", progress=heard, **options)
    assert list(evaluation_lines(found)) == list(evaluation_lines(evaluate(records, vectors, "q", **options)))
    heard.check()
    assert len(heard) > 20
    assert len(set(heard)) > 8


@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_what_its_progress_raises_ends_it(small_blocks: None, at: float) -> None:
    records, vectors = two_hundred()
    told = []

    def stop(done: int, total: int) -> None:
        told.append(done)
        if done >= at * total:
            raise InterruptedError

    before = set(threading.enumerate())
    with pytest.raises(InterruptedError):
        evaluate(records, vectors, "q", near_duplicates=True, progress=stop)
    assert sorted(told) == told
    assert set(threading.enumerate()) == before
