"""Confidence and promises on the command line, and the calibration_set that is kept between two commands."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root

from lookalike.errors import Unanswerable
from lookalike.evaluation.calibration import held_out_scores
from lookalike.evaluation.calibration_set import CalibrationSet, calibration_set_of
from lookalike.evaluation.calibrator import Calibrator, usual_confidence
from lookalike.evaluation.confidence import images_and_right, shrunk
from lookalike.evaluation.held_out_predictions import HeldOutPredictions, HoldOutOptions, predict_held_out
from lookalike.types import Neighbour, Record, Scalar
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise
from lookalike.vectors.vote import vote
from tests.conftest import CommandLine


def drawn(count: int = 300) -> tuple[list[Record], HeldOutPredictions]:
    """Return records of three overlapping labels, and their held-out answers."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    centres = np.eye(3, 16) * 2.2
    vectors = normalise((centres[labels] + rng.normal(size=(count, 16))).astype(np.float32))
    uris = [f"file:///{place}.png" for place in range(count)]
    records = [
        Record(record_id(uri), uri, uri, {"q": ["a", True, 3][label]}, {}, 1, 1)
        for uri, label in zip(uris, labels.tolist(), strict=True)
    ]
    return records, predict_held_out(records, vectors, "q", HoldOutOptions(k=5))


def ask(judge: Calibrator, records: list[Record], held: HeldOutPredictions, row: int) -> Any:
    """Judge the held-out answer at a row as if it were a new image."""
    voters = [
        Neighbour(records[other], similarity)
        for other, similarity in zip(
            held.neighbours[row].tolist(), held.similarities[row].tolist(), strict=True
        )
    ]

    def nearest(labels: list[Scalar]) -> float:
        assert held.class_similarities is not None
        places = [held.labels.index(label) for label in labels]
        return float(held.class_similarities[row, places].max())

    closest = float(held.plain_nearest[row])
    return judge(vote(voters, "q"), "q", nearest, closest)  # type: ignore[arg-type] # a list is a sequence


def test_confidence_of_a_new_image_is_read_as_that_of_a_held_out_one() -> None:
    records, held = drawn()
    calibration_set = calibration_set_of(held)
    judge = Calibrator(calibration_set, false_alarm=0)
    pooled = calibration_set.calibration.confidence(held_out_scores(held))
    images, right = images_and_right(held.truth, held.right, len(held.labels))
    expected = shrunk(pooled, images[held.predicted], right[held.predicted])
    found = [ask(judge, records, held, row).confidence for row in range(len(held.rows))]
    assert found == pytest.approx(expected.tolist(), abs=1e-4)
    assert len(set(np.round(found, 3))) > 50


def test_what_is_below_the_threshold_is_unknown_with_its_reason() -> None:
    records, held = drawn()
    judge = Calibrator(calibration_set_of(held), max_error=0.15, false_alarm=0)
    assert judge.selection is not None
    answers = [ask(judge, records, held, row) for row in range(len(held.rows))]
    for answer in answers:
        unsure = answer.confidence < judge.selection.threshold
        assert (answer.label is None) == unsure
        assert (answer.reason is not None) == unsure
        assert answer.votes
    given = [
        answer.label == records[row].fields["q"]
        for row, answer in zip(held.rows.tolist(), answers, strict=True)
        if answer.label is not None
    ]
    assert 0 < len(given) < len(answers)
    assert np.mean(given) > 0.85


def test_an_answer_less_sure_than_is_usual_of_its_label_is_doubtful() -> None:
    records, held = drawn()
    made = calibration_set_of(held)
    judge = Calibrator(made, false_alarm=0)
    usual = usual_confidence(made)
    for code in range(len(made.labels)):
        sure = made.confidence[made.right & (made.truth == code)]
        assert 0.02 < np.mean(sure < usual[code]) < 0.08
    answers = [ask(judge, records, held, row) for row in range(len(held.rows))]
    for answer in answers:
        assert answer.usual == usual[held.labels.index(answer.label)]
        assert answer.doubtful == (answer.confidence < max(answer.usual, 0.5))
        assert answer.runner_up == (answer.votes[1] if answer.doubtful and len(answer.votes) > 1 else None)
    doubtful = np.array([answer.doubtful for answer in answers])
    assert 0 < doubtful.mean() < 0.5
    assert held.right[~doubtful].mean() > held.right.mean() > held.right[doubtful].mean()
    # Of few right answers nothing usual is known: it is that of all labels together.
    few = np.flatnonzero(made.truth == 0)[5:]
    less = replace(made, right=np.where(np.isin(np.arange(len(made.truth)), few), False, made.right))
    assert usual_confidence(less)[0] == np.quantile(less.confidence[less.right], 0.05)
    assert usual_confidence(replace(made, right=np.zeros_like(made.right))).tolist() == [0, 0, 0]


def test_what_is_farther_than_all_held_out_images_is_unlike_anything() -> None:
    records, held = drawn()
    judge = Calibrator(calibration_set_of(held), false_alarm=0.01)
    far = vote([Neighbour(records[0], -0.5)], "q")
    answer = judge(far, "q", lambda _labels: -0.6, -0.5)
    assert answer.label is None
    assert answer.p_value == 1 / 301
    assert "unlike anything" in str(answer.reason)
    assert (
        Calibrator(calibration_set_of(held), false_alarm=0)(far, "q", lambda _labels: -0.6, -0.5).label
        is not None
    )


def test_label_sets_hold_the_labels_that_fit_most_similar_first() -> None:
    records, held = drawn()
    judge = Calibrator(calibration_set_of(held), coverage=0.9, false_alarm=0)
    sets = [ask(judge, records, held, row).label_set for row in range(len(held.rows))]
    truth = [records[row].fields["q"] for row in held.rows]
    for label in held.labels:
        own = [label in each for each, true in zip(sets, truth, strict=True) if repr(true) == repr(label)]
        assert 0.89 <= np.mean(own) <= 0.93, "on the images that it was calibrated on"
    assert judge.always == ()
    assert Calibrator(calibration_set_of(held), coverage=0.999).always == held.labels


def test_a_label_of_few_exemplars_says_how_many_and_is_surer_of_nothing() -> None:
    records, held = drawn()
    few = np.flatnonzero(held.truth == 0)[3:]
    kept = np.setdiff1d(np.arange(len(held.truth)), few)
    made = calibration_set_of(held)
    parts = {name: getattr(made, name)[kept] for name in ("truth", "right", "confidence")}
    judge = Calibrator(replace(made, **parts), false_alarm=0)
    answers = [ask(judge, records, held, row) for row in np.flatnonzero(held.predicted == 0).tolist()]
    assert {answer.exemplars for answer in answers} == {3}
    assert all("few exemplars: 3 of q = True" in answer.caution for answer in answers)
    assert all(answer.confidence <= (3 + 9.4 * 4 / 5) / 12.4 for answer in answers)
    other = ask(judge, records, held, int(np.flatnonzero(held.predicted == 1)[0]))
    assert other.exemplars > 50
    assert other.caution is None


def test_a_label_that_came_after_the_judgement_is_said_and_not_promised() -> None:
    records, held = drawn()
    new = replace(records[0], fields={"q": "new"})
    voters = [Neighbour(new, 0.9), Neighbour(records[1], 0.5)]
    made = calibration_set_of(held)
    answer = Calibrator(made, false_alarm=0, coverage=0.9)(vote(voters, "q"), "q", lambda _labels: 0.5, 0.9)
    assert (answer.label, answer.confidence, answer.exemplars) == ("new", None, 0)
    assert answer.caution == "no held-out answers for q = new yet"
    assert answer.label_set is not None
    assert answer.label_set[0] == "new"
    answer = Calibrator(made, false_alarm=0, max_error=0.15)(vote(voters, "q"), "q", lambda _labels: 0.5, 0.9)
    assert answer.label is None
    assert "no held-out answers for q = new yet" in str(answer.reason)


def test_a_prediction_that_nobody_voted_for_stays_as_it_is() -> None:
    _, held = drawn()
    nothing = vote([], "q")
    assert Calibrator(calibration_set_of(held))(nothing, "q", lambda _labels: 0.0, 0.0) is nothing


def test_a_calibration_set_is_kept_and_read_back_bit_by_bit() -> None:
    made = calibration_set_of(drawn()[1])
    read = CalibrationSet.from_bytes(made.to_bytes())
    assert read is not None
    assert read.to_bytes() == made.to_bytes()
    assert repr(read.labels) == repr(made.labels) == "(True, 3, 'a')"

    for damage in (b"", b"nonsense", made.to_bytes()[:-100]):
        assert CalibrationSet.from_bytes(damage) is None


def test_too_many_labels_are_not_judged() -> None:
    with pytest.raises(Unanswerable, match="too many"):
        calibration_set_of(replace(drawn()[1], class_similarities=None))


@pytest.fixture
def many(tmp_path: Path, lookalike: CommandLine) -> Path:
    """A collection of 240 photographs, enough for alarms and for promises."""
    root = tmp_path / "many"
    for name in ("global", "nominal"):
        (root / name).mkdir(parents=True)
        for file in sorted((textile_simulated_root() / name).iterdir())[:120]:
            shutil.copyfile(file, root / name / file.name)
    lookalike("index", root)
    return root


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_promises_on_real_photographs(lookalike: CommandLine, many: Path, tmp_path: Path) -> None:
    for name in ("global", "nominal"):
        for file in sorted((textile_simulated_root() / name).iterdir())[120:180]:
            shutil.copyfile(file, tmp_path / f"{name}-{file.name}")
    new = sorted(tmp_path.glob("*-*.jpg"))
    words = ("--by", "label", "--format", "jsonl")
    out, err = lookalike("classify", *new, *words, "--max-error", "0.1", "--coverage", "0.9")
    found = lines(out)
    assert "an error of at most 0.1 leaves" in err
    known = [line for line in found if line["label"] is not None]
    assert len(known) > 60
    wrong = [line for line in known if not Path(line["path"]).name.startswith(line["label"])]
    assert len(wrong) / len(known) <= 0.1
    for name in ("global", "nominal"):
        own = [name in line["label_set"] for line in found if Path(line["path"]).name.startswith(name)]
        assert np.mean(own) > 0.75
    assert all(0 < line["confidence"] < 1 for line in found)

    again, _ = lookalike("classify", *new, *words, "--max-error", "0.1", "--coverage", "0.9")
    assert again == out


@pytest.mark.parametrize("fitted", [False, True])
def test_a_picture_of_something_else_is_unknown_and_the_alarm_can_be_turned_off(
    lookalike: CommandLine, many: Path, tmp_path: Path, fitted: bool
) -> None:
    from PIL import Image

    if fitted:
        # A fitted metric sees only what tells the labels apart, and takes a stranger for one of them.
        lookalike("fit", "--by", "label")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "grey.png")
    usual = textile_simulated_root() / "nominal" / "textile_0500.jpg"
    strange = [tmp_path / "noise.png", tmp_path / "grey.png"]
    out, _ = lookalike("classify", *strange, usual, "--by", "label", "--format", "jsonl")
    found = lines(out)
    assert [line["label"] is None for line in found] == [True, True, False]
    assert all("unlike anything in the collection" in line["reason"] for line in found[:2])
    out, _ = lookalike("classify", *strange, "--by", "label", "--false-alarm", "0")
    assert "unknown" not in out


def test_evaluate_tells_what_was_asked_for(lookalike: CommandLine, many: Path) -> None:
    options = ("--coverage", "0.9", "--max-error", "0.1", "--false-alarm", "0.05")
    out, _ = lookalike("evaluate", "--by", "label", *options, "--format", "jsonl")
    summary = lines(out)[0]
    assert summary["method"] == "leave-one-out"
    assert 0 <= summary["brier"] < 0.25
    assert summary["unknown"] <= 0.05 * summary["evaluated"]
    assert summary["max_error"]["bound"] <= 0.1
    assert {line["label"] for line in lines(out) if line["type"] == "coverage"} == {"global", "nominal"}
    assert any(line["type"] == "reliability" for line in lines(out))
    table, _ = lookalike("evaluate", "--by", "label", *options, "-k", "auto", "--repeats", "2")
    assert "5-fold × 2, k chosen in each fold" in table
    assert "accuracy of each drawing of the folds" in table
    assert "0.9 promised" in table


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("classify", "x.jpg", "--by", "label", "--max-error", "0"), 2, "above 0 and below 1"),
        (("classify", "x.jpg", "--by", "label", "--coverage", "1"), 2, "above 0 and below 1"),
        (("evaluate", "--by", "label", "--false-alarm", "1"), 2, "below 1"),
        (("evaluate", "--by", "label", "--folds", "1", "-k", "auto"), 2, "at least 2"),
        (("evaluate", "--by", "label", "-k", "some"), 2, "neither a number nor auto"),
        (("evaluate", "--by", "label", "--group", "label"), 2, "by and group are both"),
        (("evaluate", "--by", "label", "--group", "day"), 2, "no field 'day'"),
        (("classify", "x.jpg", "--by", "label", "--max-error", "0.001"), 1, "the lowest that can is"),
    ],
)
def test_a_wrong_use_gets_a_clear_line(
    lookalike: CommandLine, textile: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    lookalike("index", textile)
    _, err = lookalike(*words, code=code)
    assert told in err
