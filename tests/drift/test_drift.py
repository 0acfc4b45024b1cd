"""Drift: a batch that is like the collection, and batches that are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lookalike
from lookalike.collection import Collection
from lookalike.drift import drift
from lookalike.drift.drift import DriftOptions, compare, drift_lines
from lookalike.drift.two_sample import compare_samples
from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.memory import VARIABLE
from lookalike.progress import silent
from lookalike.types import Record, Vectors
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise


def drawn(count: int, seed: int, shift: float = 0.0) -> Vectors:
    numbers = np.random.default_rng(seed).normal(size=(count, 12)) + 1.0
    numbers[:, 0] += shift
    return normalise(numbers.astype(np.float32))


def named(count: int, what: str, **fields: list[str]) -> list[Record]:
    return [
        Record(
            record_id(f"file:///{what}/{n}.jpg"), f"file:///{what}/{n}.jpg", f"{what}{n}",
            {name: values[n] for name, values in fields.items()}, {}, 1, 1,
        )
        for n in range(count)
    ]  # fmt: skip


def p_values(shift: float, *, of: int = 25) -> list[float]:
    options = DriftOptions(permutations=99)
    reference, new = named(80, "old"), named(20, "new")
    return [
        compare(reference, drawn(80, 2 * n), new, drawn(20, 2 * n + 1, shift), options).p_value
        for n in range(of)
    ]


def test_a_batch_that_is_alike_is_called_different_as_often_as_it_may_be() -> None:
    found = np.array(p_values(0.0))
    assert (found <= 0.1).mean() <= 0.3
    assert 0.3 < found.mean() < 0.7


def test_a_batch_that_differs_is_found() -> None:
    assert (np.array(p_values(2.5, of=10)) <= 0.05).mean() >= 0.9


def test_the_images_that_drive_it_are_named_with_the_nearest_others() -> None:
    reference, vectors = named(100, "old", label=["a", "b"] * 50), drawn(100, 1)
    strange = np.concatenate([drawn(18, 2), drawn(12, 3, shift=8.0)])
    found = compare(reference, vectors, named(30, "new"), strange, DriftOptions(by="label"))
    assert found.drifted
    assert {each.record.digest for each in found.drivers[:12]} == {f"new{n}" for n in range(18, 30)}
    nearest = found.drivers[0].nearest
    assert nearest.record.digest.startswith("old")
    row = int(found.drivers[0].record.digest.removeprefix("new"))
    assert nearest.similarity == pytest.approx(float((strange[row] @ vectors.T).max()), abs=1e-5)
    assert sum(each.before for each in found.shares) == pytest.approx(1.0)
    assert sum(each.now for each in found.shares) == pytest.approx(1.0)
    assert found.share > found.expected
    lines = list(drift_lines(found))
    assert lines[0]["drifted"] is True
    assert [line["type"] for line in lines].count("driver") == len(found.drivers)


def test_groups_are_exchanged_whole() -> None:
    """A batch of two parts of ten exposures each differs from others as any two parts do."""
    random = np.random.default_rng(4)
    parts = random.normal(size=(22, 12)) + 1.0
    numbers = np.repeat(parts, 10, axis=0) + 0.05 * random.normal(size=(220, 12))
    vectors = normalise(numbers.astype(np.float32))
    names = [f"part{n // 10}" for n in range(220)]
    reference, new = named(200, "old", part=names[:200]), named(20, "new", part=names[200:])
    alone = compare(reference, vectors[:200], new, vectors[200:], DriftOptions())
    assert alone.drifted, "each exposure for itself, it is another population"
    kept = compare(reference, vectors[:200], new, vectors[200:], DriftOptions(group="part"))
    assert kept.groups == 22
    assert not kept.drifted
    assert kept.p_value > 0.02
    called = [
        replace(one, uri=f"file:///p/{part}_{n}.jpg", fields={})
        for n, (one, part) in enumerate(zip([*reference, *new], names, strict=True))
    ]
    series = compare(called[:200], vectors[:200], called[200:], vectors[200:], DriftOptions(group="series"))
    assert series.groups is not None
    assert series.groups < 60
    assert not series.drifted


def test_the_p_value_is_that_of_all_divisions_where_they_are_few() -> None:
    vectors = np.concatenate([drawn(5, 1), drawn(2, 2, shift=20.0)])
    second = np.array([False] * 5 + [True] * 2)
    found = compare_samples(vectors, second, np.arange(7), 2000, 0, silent)
    # Two of seven can be chosen in 21 ways, of which one is as extreme.
    assert found.p_value == pytest.approx(1 / 21, abs=0.02)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(Unanswerable, match="two of each"):
        compare(named(1, "old"), drawn(1, 1), named(5, "new"), drawn(5, 2), DriftOptions())
    old, new = named(5, "old", day=["1"] * 5), named(5, "new", day=["1"] * 5)
    with pytest.raises(Unanswerable, match="one group"):
        compare(old, drawn(5, 1), new, drawn(5, 2), DriftOptions(group="day"))
    with pytest.raises(FieldNotFound):
        compare(old, drawn(5, 1), new, drawn(5, 2), DriftOptions(group="night"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Collection]:
    """Thirty pictures of noise in two folders, and a batch of ten that are darker."""
    folder = tmp_path_factory.mktemp("drift")
    random = np.random.default_rng(0)
    for n in range(40):
        batch = n >= 30
        path = folder / ("dark" if batch else "line") / ("good" if n % 2 else "bad") / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 60 if batch else 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    with lookalike.open(f"sqlite:///{folder}/parts.db", cache=cache) as database:
        database["parts"].index(folder / "line", labels="folders")
        yield database["parts"]


def test_files_and_records_are_compared_with_a_collection(parts: Collection) -> None:
    folder = Path(parts.records.uris()[0].removeprefix("file://")).parents[2]
    found = parts.drift(folder / "dark", by="label")
    assert found.drifted
    assert (found.images, found.reference, found.known) == (10, 30, 0)
    alike = parts.drift(sorted((folder / "line").rglob("*.png"))[:10])
    assert (alike.images, alike.reference, alike.known) == (10, 20, 10), "what is known is no reference"
    records = parts.drift(new_where={"label": "good"})
    assert records.images + records.reference == 30
    assert not records.drifted
    sent = [lookalike.Image(file.read_bytes()) for file in sorted((folder / "dark").rglob("*.png"))]
    uploaded = parts.drift(sent, by="label")
    assert (uploaded.p_value, uploaded.discrepancy) == pytest.approx((found.p_value, found.discrepancy))
    assert parts.drift([*sent, folder / "line" / "bad"]).images == 25, "both at once"
    with pytest.raises(Unanswerable, match="none of the new images can be used"):
        parts.drift([lookalike.Image(b"no picture")])
    (folder / "empty").mkdir()
    with pytest.raises(Unanswerable, match="no image below"):
        parts.drift(folder / "empty")
    with pytest.raises(InvalidArgument):
        parts.drift()
    with pytest.raises(FieldNotFound):
        parts.drift(new_where={"nothing": "1"})


def test_of_what_does_not_fit_into_memory_some_are_drawn(
    parts: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are the same where all are drawn, and those that are not are counted."""
    folder = Path(parts.records.uris()[0].removeprefix("file://")).parents[2]
    known = sorted((folder / "line").rglob("*.png"))[:10]
    asked: list[dict[str, Any]] = [
        {"new": folder / "dark", "by": "label"},
        {"new": known, "where": {"label": "good"}},
        {"new_where": {"label": "good"}},
    ]
    whole = [parts.drift(**each) for each in asked]
    monkeypatch.setenv(VARIABLE, "1KB")
    assert [parts.drift(**each) for each in asked] == whole
    monkeypatch.setattr(drift, "_DRAWN", 8)
    some = [parts.drift(**each) for each in asked]
    assert [(each.images, each.reference) for each in some] == [(10, 8), (10, 8), (8, 8)]
    assert [(each.left_out, each.known) for each in some] == [(22, 0), (7, 10), (14, 0)]
    good = {record.uri for batch in parts.vectors.scan({"label": "good"}) for record in batch[0]}
    assert not {driver.nearest.record.uri for driver in some[2].drivers} & good
