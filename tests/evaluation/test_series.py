"""Series of exposures: found by names and times, judged by a permutation test, kept together when asked."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import Unanswerable
from lookalike.evaluation.evaluation import Evaluation, evaluation_lines
from lookalike.evaluation.series import find_series
from lookalike.types import Record, Vectors
from lookalike.uris import file_uri, record_id
from lookalike.vectors.metric import normalise
from tests.evaluations import evaluate

PARTS, EXPOSURES = 40, 5
LABELS = ("good", "bad")


def exposures(seed: int = 0, spread: float = 0.5) -> Vectors:
    """Vectors of parts at random, and of exposures near each part: no part tells another's label."""
    random = np.random.default_rng(seed)
    parts = random.normal(size=(PARTS, 24))
    vectors = np.repeat(parts, EXPOSURES, axis=0) + spread * random.normal(size=(PARTS * EXPOSURES, 24))
    return normalise(vectors.astype(np.float32))


def records(
    name: Callable[[int, int], str], metadata: Callable[[int], Mapping[str, Any]] = lambda _: {}
) -> list[Record]:
    """Records of the exposures, each named for its part and its number there."""
    found = []
    for row in range(PARTS * EXPOSURES):
        part = row // EXPOSURES
        label = LABELS[part % 2]
        uri = file_uri(Path(f"/pictures/{name(part, row % EXPOSURES).format(label=label)}"))
        found.append(Record(record_id(uri), uri, f"{row:064x}", {"label": label}, metadata(row), 1, 1))
    return found


def judged(found: list[Record], vectors: Vectors, **options: Any) -> Evaluation:
    return evaluate(found, vectors, "label", k=3, **options)


NAMES = {
    "runs of a camera's numbers": lambda part, n: f"{{label}}/IMG_{part * 9 + n:04d}.jpg",
    "part and exposure": lambda part, n: f"{{label}}/part{part}_{n}.jpg",
    "letters": lambda part, n: f"{{label}}/{part}{'abcde'[n]}.jpg",
    "a folder a part": lambda part, n: f"{{label}}/part{part}/{n}.jpg",
    "a folder a light": lambda part, n: f"{{label}}/light{n}/part{part}.jpg",
    "a field of random digits": lambda part, n: (
        f"{{label}}/p{part}_jpg.rf.{uuid.uuid5(uuid.NAMESPACE_OID, str(n)).hex}.jpg"
    ),
    "numbers without a gap": lambda part, n: f"{part * EXPOSURES + n:05d}.jpg",
}


@pytest.mark.parametrize("what", NAMES)
def test_series_are_found_by_their_names_and_both_figures_are_given(what: str) -> None:
    found = records(NAMES[what])
    plain = judged(found, exposures())
    series = plain.series
    assert series is not None
    assert series.together is not None
    assert series.share > 0.8 > 0.3 > series.expected
    assert series.p_value <= 0.01
    assert plain.accuracy > 0.85
    assert series.together.accuracy < 0.65, "chance is a half"
    kept = judged(found, exposures(), group="series")
    assert kept.accuracy == pytest.approx(series.together.accuracy)
    assert kept.series == series
    assert kept.apart is not None
    assert kept.apart.accuracy == pytest.approx(plain.accuracy)
    if "gap" not in what:
        assert (series.series, series.images, series.largest) == (PARTS, PARTS * EXPOSURES, EXPOSURES)


def test_the_time_of_capture_tells_series_where_names_say_nothing() -> None:
    def capture(row: int) -> Mapping[str, Any]:
        part, n = divmod(row, EXPOSURES)
        time = f"2026-01-31T{part // 60:02d}:{part % 60:02d}:{n * 2:02d}"
        return {"lookalike": {"captured": {"time": time, "camera": "X 1"}}}

    random = np.random.default_rng(1)
    names = random.permutation(PARTS * EXPOSURES)
    found = records(lambda part, n: f"{{label}}/{names[part * EXPOSURES + n]:04d}.jpg", capture)
    series = judged(found, exposures()).series
    assert series is not None
    assert "camera" in series.how
    assert (series.series, series.largest) == (PARTS, EXPOSURES)


def test_the_order_of_the_records_makes_no_difference() -> None:
    found, vectors = records(NAMES["runs of a camera's numbers"]), exposures()
    order = np.random.default_rng(2).permutation(len(found))
    assert judged(found, vectors).series == judged([found[row] for row in order], vectors[order]).series


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_say_nothing_are_no_series(seed: int) -> None:
    vectors = exposures()
    order = np.random.default_rng(seed).permutation(len(vectors))
    counts = dict.fromkeys(LABELS, 0)

    def numbered(part: int, _: int) -> str:
        counts[LABELS[part % 2]] += 1
        return f"{{label}}/{counts[LABELS[part % 2]]:04d}.jpg"

    # One folder a label, each numbered from 1, in an order that has nothing to do with the pictures.
    labels = np.arange(len(vectors)) // EXPOSURES % 2
    shuffled = vectors.copy()
    for label in (0, 1):
        members = np.flatnonzero(labels == label)
        shuffled[members] = vectors[order[labels[order] == label]]
    assert judged(records(numbered), shuffled).series is None
    assert judged(records(lambda *_: f"{{label}}/{uuid.uuid4()}.jpg"), vectors).series is None


def test_neighbours_that_follow_each_other_and_are_not_alike_are_no_series() -> None:
    found = records(NAMES["numbers without a gap"])
    rows = np.arange(len(found))
    # Pairs that follow each other, as of equal similarities the first is taken; nothing is like anything.
    strangers = np.eye(len(found), dtype=np.float32)
    assert find_series(found, strangers, rows, rows ^ 1, "label") is None


def test_a_label_or_a_folder_of_many_products_is_no_series() -> None:
    random = np.random.default_rng(3)
    centres = random.normal(size=(4, 24))
    numbers = np.repeat(centres, 50, axis=0) + 0.5 * random.normal(size=(200, 24))
    vectors = normalise(numbers.astype(np.float32))
    found = records(lambda part, n: f"product{part // 10}/{{label}}/{part * EXPOSURES + n:04d}.jpg")
    assert judged(found, vectors).series is None


def test_a_field_called_series_is_taken_as_it_is() -> None:
    plain = records(NAMES["part and exposure"])
    found = [
        Record(one.id, one.uri, one.digest, {**one.fields, "series": place % 7}, {}, 1, 1)
        for place, one in enumerate(plain)
    ]
    kept = judged(found, exposures(), group="series")
    assert kept.series is None
    assert kept.accuracy > 0.8, "the field has nothing to do with the parts"
    nothing = judged(records(lambda *_: f"{{label}}/{uuid.uuid4()}.jpg"), exposures(), group="series")
    assert nothing.series is None


def test_one_series_a_label_leaves_nothing_to_compare() -> None:
    """Two parts, each with its own label, are one series each; names cannot tell that from two labels."""
    found = records(lambda part, n: f"{{label}}/{part * EXPOSURES + n}.jpg")
    assert judged(found[:10], exposures()[:10]).series is None
    with pytest.raises(Unanswerable):
        judged(found[:5], exposures()[:5])


def test_lines_of_json_tell_of_series() -> None:
    summary = next(evaluation_lines(judged(records(NAMES["letters"]), exposures())))
    assert summary["series"]["series"] == PARTS
    assert 0 <= summary["series"]["together"]["accuracy"] <= 1


def test_images_that_are_compared_within_parts_only_are_no_series_for_that() -> None:
    plain = records(lambda part, _: f"roll{part % 20}/{{label}}/{uuid.uuid4()}.jpg")
    found = [
        Record(one.id, one.uri, one.digest, {**one.fields, "roll": place // EXPOSURES % 20}, {}, 1, 1)
        for place, one in enumerate(plain)
    ]
    random = np.random.default_rng(5).normal(size=(len(found), 24))
    assert judged(found, normalise(random.astype(np.float32)), within="roll").series is None
