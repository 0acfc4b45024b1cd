"""Predictions of a sample, with vectors read in blocks: those of the whole, where the sample is the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.database import Database
from lookalike.errors import FieldNotFound, InvalidArgument, MemoryTooSmall, Unanswerable
from lookalike.evaluation import evaluate as room
from lookalike.evaluation import judgement, sampled_predictions
from lookalike.evaluation.evaluation import evaluation_lines
from lookalike.evaluation.held_out_predictions import HeldOutPredictions, HoldOutOptions, predict_held_out
from lookalike.evaluation.lots import lots_of
from lookalike.evaluation.sample import Sample
from lookalike.evaluation.sampled_predictions import SampledPredictions, SampleOptions, predict_sample
from lookalike.memory import VARIABLE
from lookalike.metric_learning import fitting
from lookalike.metric_learning.fitted import refit_with
from lookalike.types import Record, Space, Vectors
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise
from lookalike.vectors.near_duplicates import near_duplicate_threshold

SPACE = Space("made-up", "0" * 64, 16)


def made(count: int) -> tuple[list[Record], Vectors]:
    """Return records in order of id and vectors, with near-duplicates, copies, and images without a label."""
    chance = np.random.default_rng(1)
    codes = chance.integers(0, 3, count)
    centres = 0.8 * chance.standard_normal((3, 16))
    numbers = centres[codes] + chance.standard_normal((count, 16))
    numbers[20:30] = numbers[:10] + 1e-4 * chance.standard_normal((10, 16))  # a moment later
    numbers[40:44] = numbers[4:8]
    records = []
    for row in range(count):
        uri = f"file:///{chance.integers(1 << 40):x}.png"
        fields: dict[str, Any] = {"label": f"class {codes[row]}", "part": int(row % 4), "lot": row // 5}
        if row % 17 == 16:
            del fields["label"]
        digest = row - 36 if 40 <= row < 44 else row
        records.append(Record(record_id(uri), uri, f"{digest:064x}", fields, {}, 1, 1))
    order = sorted(range(count), key=lambda row: records[row].id)
    return [records[row] for row in order], normalise(numbers[order].astype(np.float32))


RECORDS, VECTORS = made(240)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(sampled_predictions, "_ROWS", 64)
    monkeypatch.setattr(sampled_predictions, "_QUERIES", 50)
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path) as database:
        database.store.create("parts", SPACE)
        database.store.put("parts", RECORDS, {SPACE: VECTORS})
        yield database


def sampled(database: Database, **options: Any) -> SampledPredictions:
    collection = database.store.collection("parts")
    asked = SampleOptions("label", **options)
    return predict_sample(database.store, collection, collection.vector(), asked)


@pytest.mark.parametrize(
    ("within", "group", "near"),
    [(None, None, False), (None, None, True), ("part", None, False), (None, "lot", False)],
)
def test_a_sample_of_all_images_has_the_predictions_of_the_whole(
    database: Database, within: str | None, group: str | None, *, near: bool
) -> None:
    lots = lots_of(RECORDS, VECTORS, "label", group=group, near_duplicates=near)
    assert not lots.chains, "of chains only pairs are kept apart"
    whole = predict_held_out(RECORDS, VECTORS, "label", HoldOutOptions(within=within), lots=lots.together)
    found = sampled(database, within=within, group=group, near_duplicates=near, count=10_000)
    _assert_same(found, whole)
    if near:
        # One has a near-duplicate without a label only, with which nothing is compared.
        assert (found.alike.sum(), lots.alike[whole.rows].sum()) == (24, 25)
        assert (found.alike <= lots.alike[whole.rows]).all()
    if near or group:
        loose = predict_held_out(RECORDS, VECTORS, "label")
        assert found.loose_right == loose.right.sum()
    assert found.held.sample == Sample(len(whole.rows), len(whole.rows), len(RECORDS), None)


def _assert_same(found: SampledPredictions, whole: HeldOutPredictions) -> None:
    held = found.held
    ids = [record.id for record in found.records]
    assert [ids[row] for row in held.rows] == [RECORDS[row].id for row in whole.rows]
    assert held.labels == whole.labels
    assert (held.truth == whole.truth).all()
    assert (held.predicted == whole.predicted).all()
    assert (held.shares == whole.shares).all()
    named = [[ids[row] if row >= 0 else None for row in rows] for rows in held.neighbours]
    wide = whole.neighbours.shape[1]
    assert [some[:wide] for some in named] == [
        [RECORDS[row].id if row >= 0 else None for row in rows] for rows in whole.neighbours
    ]
    assert np.array_equal(held.similarities[:, :wide], whole.similarities, equal_nan=True)
    assert (held.plain_nearest == whole.plain_nearest).all()
    assert held.class_similarities is not None
    assert whole.class_similarities is not None
    np.testing.assert_allclose(held.class_similarities, whole.class_similarities, atol=1e-6)


def test_images_of_a_sample_are_answered_as_they_are_among_all(database: Database) -> None:
    whole = predict_held_out(RECORDS, VECTORS, "label", HoldOutOptions(k=3))
    expected = {
        RECORDS[row].id: (label, similarities.tolist())
        for row, label, similarities in zip(
            whole.rows, whole.predicted.tolist(), whole.similarities, strict=True
        )
    }
    drawn = []
    for seed in (0, 0, 1):
        found = sampled(database, k=3, near_duplicates=False, count=40, seed=seed)
        held = found.held
        ids = [found.records[row].id for row in held.rows]
        assert len(ids) == 40
        assert [expected[one] for one in ids] == list(
            zip(held.predicted.tolist(), held.similarities.tolist(), strict=True)
        )
        drawn.append(ids)
    assert drawn[0] == drawn[1] != drawn[2]
    for options in ({"count": 1}, {"k": 0}, {"within": "label"}, {"group": "label"}):
        with pytest.raises(InvalidArgument):
            sampled(database, **options)
    for options in ({"within": "none"}, {"group": "none"}):
        with pytest.raises(FieldNotFound):
            sampled(database, **options)
    with pytest.raises(Unanswerable, match="at least two labels are needed"):
        sampled(database, where={"label": ["class 0"]})


def test_k_is_chosen_by_the_other_half(database: Database) -> None:
    held = sampled(database, k="auto", count=100).held
    assert held.chosen
    assert sum(halves for _, halves in held.ks) == 2
    assert held.k in (1, 3, 5, 7, 9, 15)


def test_a_metric_is_fitted_to_images_outside_of_the_sample(database: Database) -> None:
    seen: list[Vectors] = []
    collection = database.store.collection("parts")
    fit = refit_with(())

    def learn(vectors: Vectors, codes: Any, lots: Any) -> Any:
        seen.append(vectors)
        return fit(vectors, codes, lots)

    options = SampleOptions("label", count=60)
    found = predict_sample(database.store, collection, collection.vector(), options, fit=learn)
    (lesson,) = seen
    asked = {record.id for record in (found.records[row] for row in found.held.rows)}
    queries = VECTORS[[row for row, record in enumerate(RECORDS) if record.id in asked]]
    nearest = (lesson @ queries.T).max()
    assert nearest < near_duplicate_threshold(VECTORS), "no copy of a sampled image is learned from"
    assert found.held.sample == Sample(60, sum("label" in one.fields for one in RECORDS), 240, len(lesson))
    assert found.held.right.mean() > 0.6
    with pytest.raises(Unanswerable, match="take a smaller sample"):
        predict_sample(database.store, collection, collection.vector(), SampleOptions("label"), fit=learn)


def test_what_does_not_fit_into_memory_is_evaluated_by_a_sample_that_is_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = database["parts"]
    whole = parts.evaluate("label")
    assert whole.held.sample is None
    monkeypatch.setattr(room, "SAMPLE", 100)
    monkeypatch.setenv(VARIABLE, "256KiB")
    for evaluation, count in ((parts.evaluate("label"), 100), (parts.evaluate("label", sample=50), 50)):
        assert evaluation.method == f"leave-one-out of {count} images, drawn at random from 226"
        assert evaluation.evaluated == count
        assert evaluation.total == 240
        assert abs(evaluation.accuracy - whole.accuracy) < 0.1
        assert "series were not looked for" in evaluation.remarks[0]
        (summary, *_) = evaluation_lines(evaluation)
        assert summary["sample"] == {"images": count, "eligible": 226, "total": 240, "learned": None}
        assert summary["images"] == 240
    with pytest.raises(Unanswerable, match="leave the sample out"):
        parts.evaluate("label", group="series")
    with pytest.raises(MemoryTooSmall, match=r"all 240 records of parts.*evaluate --sample"):
        parts.audit("label")
    monkeypatch.delenv(VARIABLE)
    assert parts.evaluate("label", sample=240).held.sample is None


def test_above_so_many_images_confidence_is_judged_on_a_sample_or_only_where_asked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never is it gone without a word."""
    parts = database["parts"]
    assert parts.classifier("label").calibrator is not None
    assert parts.classifier("label").remarks == []
    database.store.remove("parts", [RECORDS[0].id])
    monkeypatch.setattr(judgement, "JUDGED_IMAGES", 200)
    classifier = parts.classifier("label", k=3)
    assert classifier.calibrator is not None
    assert classifier.remarks == [
        "confidence is judged on 167 images, drawn at random from 225; series were not looked for"
    ]
    monkeypatch.setattr(judgement, "SAMPLED_IMAGES", 210)
    for k in (1, 3):
        classifier = parts.classifier("label", k=k)
        assert (classifier.calibrator is None) is (k == 1), "what is there already is used"
    (unjudged,) = parts.classifier("label", k=1).remarks
    assert unjudged.startswith("no confidence is given: 239 images are judged only where that is asked for")
    (asked,) = parts.classifier("label", k=1, refresh=True).remarks
    assert asked.startswith("confidence is judged on 200 images, drawn at random from 225")
    assert parts.classifier("label", k=1).remarks == [asked]


def test_frames_of_one_film_are_not_compared(database: Database) -> None:
    uris = [
        f"file:///film{row % 3}.mp4#t={row}.0" if 100 <= row < 160 else record.uri
        for row, record in enumerate(RECORDS)
    ]
    pairs = zip(RECORDS, uris, strict=True)
    records = [replace(record, uri=uri, id=record_id(uri)) for record, uri in pairs]
    order = sorted(range(len(records)), key=lambda row: records[row].id)
    records, vectors = [records[row] for row in order], VECTORS[order]
    database.store.create("films", SPACE)
    database.store.put("films", records, {SPACE: vectors})
    lots = lots_of(records, vectors, "label", group=None, near_duplicates=False)
    whole = predict_held_out(records, vectors, "label", lots=lots.together)
    collection = database.store.collection("films")
    options = SampleOptions("label", near_duplicates=False)
    found = predict_sample(database.store, collection, collection.vector(), options)
    assert (found.held.predicted == whole.predicted).all()
    assert (found.held.similarities == whole.similarities).all()
    assert found.frames == sum("#" in records[row].uri for row in whole.rows)
    assert len(np.unique(found.held.lots)) == len(whole.rows) - found.frames + 3


def test_a_fit_of_what_does_not_fit_into_memory_learns_from_some_that_are_drawn(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = database["parts"]
    monkeypatch.setattr(fitting, "LEARNED", 120)
    monkeypatch.setenv(VARIABLE, "256KiB")
    report = parts.fit("label")
    assert (report.images, report.drawn_from, report.classes) == (120, 226, 3)
    assert parts.added_since_fit() == 0
    assert not parts.vectors.status()[-1].lacking
    again = parts.fit("label")
    assert (again.unchanged, again.drawn_from) == (True, 226)
    database.store.put(
        "parts", [replace(RECORDS[0], id="00", digest="f" * 64)], _of_both(database, VECTORS[:1])
    )
    assert parts.added_since_fit() == 1
    evaluation = parts.evaluate("label", sample=60)
    assert evaluation.method.startswith(
        "leave-one-out of 60 images, drawn at random from 227, metric fitted to"
    )
    monkeypatch.delenv(VARIABLE)
    assert parts.fit("label").drawn_from is None


def _of_both(database: Database, vectors: Vectors) -> dict[Space, Vectors]:
    """Return plain vectors with those that a fit makes of them."""
    found = database["parts"].fitting()
    assert found is not None
    spaces = [vector.space for vector in database.store.collection("parts").vectors]
    return dict(zip(spaces, [vectors, found.metric.project(vectors)], strict=True))


def test_some_are_read_evenly_spaced(database: Database) -> None:
    parts = database["parts"]
    records, vectors = parts.vectors.read(most=7)
    rows = np.linspace(0, 239, 7).astype(int)
    assert records == [RECORDS[row] for row in rows]
    assert (vectors == VECTORS[rows]).all()
    assert len(parts.vectors.read(most=240)[0]) == len(parts.vectors.read(most=1000)[0]) == 240
