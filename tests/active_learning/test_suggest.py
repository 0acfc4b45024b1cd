"""Suggestions of what to label next: typical, different from each other, and where labels are uncertain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike.active_learning import suggest as room
from lookalike.active_learning.suggest import choose, suggest, suggestion_lines
from lookalike.database import Database
from lookalike.errors import FieldNotFound, Unanswerable
from lookalike.memory import VARIABLE
from lookalike.types import Record, Scalar, Space, Vectors
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise

CLUSTERS, EACH = 6, 20


def clusters(seed: int = 0) -> tuple[Vectors, list[int]]:
    random = np.random.default_rng(seed)
    centres = 3 * np.eye(CLUSTERS, 12)
    which = np.repeat(np.arange(CLUSTERS), EACH)
    numbers = centres[which] + 0.3 * random.normal(size=(len(which), 12))
    return normalise(numbers.astype(np.float32)), which.tolist()


def named(labels: list[Scalar | None]) -> list[Record]:
    return [
        Record(
            record_id(f"file:///{n}.jpg"), f"file:///{n}.jpg", f"{n:064x}",
            {} if label is None else {"label": label}, {}, 1, 1,
        )
        for n, label in enumerate(labels)
    ]  # fmt: skip


def test_without_labels_each_cluster_gets_one_of_its_typical_images() -> None:
    vectors, which = clusters()
    found = suggest(named([None] * len(which)), vectors, "label", count=CLUSTERS)
    rows = [int(each.record.digest, 16) for each in found.images]
    assert {which[row] for row in rows} == set(range(CLUSTERS))
    assert sum(each.covers for each in found.images) == len(which)
    assert all(each.uncertainty is None and each.nearest is None for each in found.images)
    similarity = vectors @ vectors.T
    typical = np.array([similarity[row, np.array(which) == which[row]].mean() for row in range(len(which))])
    usual = [np.median(typical[np.array(which) == which[row]]) for row in rows]
    assert (typical[rows] >= usual).mean() >= 0.6, "the first stands for all, and the last for what is left"


def test_what_is_labelled_is_not_asked_again_and_clusters_without_a_label_come_first() -> None:
    vectors, which = clusters()
    labels: list[Scalar | None] = [
        "seen" if cluster < 3 and row % EACH < 5 else None for row, cluster in enumerate(which)
    ]
    found = suggest(named(labels), vectors, "label", count=3)
    rows = [int(each.record.digest, 16) for each in found.images]
    assert {which[row] for row in rows} == {3, 4, 5}
    assert (found.labelled, found.unlabelled) == (15, len(which) - 15)
    assert all(each.nearest is not None and each.uncertainty is not None for each in found.images)
    summary, first, *_ = suggestion_lines(found)
    assert summary["suggested"] == 3
    assert first["nearest"]["label"] == "seen"


def test_images_between_two_labels_come_before_those_beside_one() -> None:
    random = np.random.default_rng(1)
    ends = np.eye(2, 8)
    beside = np.concatenate([ends[[0] * 20], ends[[1] * 20]])
    between = np.tile(ends.sum(axis=0), (20, 1))
    numbers = np.concatenate([ends, beside, between]) + 0.1 * random.normal(size=(62, 8))
    labels: list[Scalar | None] = ["a", "b", *[None] * 60]
    found = suggest(named(labels), normalise(numbers.astype(np.float32)), "label", count=1)
    assert int(found.images[0].record.digest, 16) >= 42
    assert found.images[0].uncertainty is not None
    assert found.images[0].uncertainty > 0.5


def test_the_order_of_the_records_makes_no_difference_and_all_can_be_asked() -> None:
    vectors, which = clusters()
    found = named([None] * len(which))
    order = np.random.default_rng(2).permutation(len(which))
    first = suggest(found, vectors, "label", count=10)
    other = suggest([found[row] for row in order], vectors[order], "label", count=10)
    assert [each.record.id for each in first.images] == [each.record.id for each in other.images]
    assert len(choose(vectors[:5], vectors[:0], None, 20)[0]) == 5
    matching = {record.id for record in found[:7]}
    some = suggest(found, vectors, "label", count=20, matching=matching)
    assert {each.record.id for each in some.images} == matching


def test_where_all_have_a_label_nothing_is_suggested() -> None:
    vectors, which = clusters()
    with pytest.raises(Unanswerable, match="nothing to suggest"):
        suggest(named(["a"] * len(which)), vectors, "label")


def test_of_a_series_one_image_at_most_is_suggested_at_a_time() -> None:
    random = np.random.default_rng(3)
    part = np.repeat(np.arange(24), 5)
    numbers = random.normal(size=(24, 16))[part] + 0.2 * random.normal(size=(len(part), 16))
    vectors = normalise(numbers.astype(np.float32))
    uris = [f"file:///parts/part{part[row]}_{row % 5}.jpg" for row in range(len(part))]
    exposures = [Record(record_id(uri), uri, f"{row:064x}", {}, {}, 1, 1) for row, uri in enumerate(uris)]
    found = suggest(exposures, vectors, "label", count=30)
    assert found.series is not None
    assert sorted(part[int(each.record.digest, 16)] for each in found.images) == list(range(24))
    assert next(iter(suggestion_lines(found)))["series"] == found.series
    # In no order that its name tells.
    shuffled = [
        Record(record_id(f"{n}"), f"file:///parts/{n:05}.jpg", f"{row:064x}", {}, {}, 1, 1)
        for row, n in enumerate(random.permutation(len(part)).tolist())
    ]
    found = suggest(shuffled, vectors, "label", count=30)
    assert found.series is None
    assert len(found.images) == 30


def test_of_what_does_not_fit_into_memory_some_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, which = clusters()
    records = named([f"cluster {code}" if row % 3 else None for row, code in enumerate(which)])
    space = Space("made-up", "0" * 64, vectors.shape[1])
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path) as database:
        database.store.create("parts", space)
        database.store.put("parts", records, {space: vectors})
        parts = database["parts"]
        whole = parts.suggest("label", count=5)
        assert whole.compared is None
        monkeypatch.setenv(VARIABLE, "1KB")
        assert parts.suggest("label", count=5) == whole
        monkeypatch.setattr(room, "_MOST", 30)
        monkeypatch.setattr(room, "_COMPARED", 20)
        some = parts.suggest("label", count=5)
        assert (some.labelled, some.compared, some.unlabelled, some.drawn) == (80, 20, 40, 30)
        with pytest.raises(Unanswerable, match="nothing to suggest"):
            parts.suggest("label", where={"label": "cluster 1"})
        with pytest.raises(FieldNotFound):
            parts.suggest("label", where={"none": "1"})
