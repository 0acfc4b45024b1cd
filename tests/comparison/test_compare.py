"""Comparing embedders, metrics and k: one division for all, and a test between the first two."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.comparison.compare import CompareOptions, EmbedderCandidate, compare
from lookalike.comparison.comparison import paired_test
from lookalike.database import Database
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.evaluation.folds import stratified_folds
from lookalike.metric_learning import fitted
from lookalike.types import Features, Record, Vectors
from lookalike.uris import uri_path
from lookalike.vectors.metric import Metric, normalise
from lookalike.vectors.near_duplicates import near_duplicate_groups
from lookalike.vectors.vote import Codes
from tests.conftest import CommandLine
from tests.mean_colours import MeanColours, save

if TYPE_CHECKING:
    from lookalike.vectors.metric import Fit


class Blind(MeanColours):
    """Sees only the corner of a picture."""

    name = "corner"
    fingerprint = "c1" * 32
    dimension = 3

    def embed(self, images: Sequence[Image.Image]) -> Features:
        return np.ascontiguousarray(super().embed(images)[:, :3])


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Thirty pictures of noise: no embedder can tell their labels but by chance."""
    for seed in range(30):
        save(tmp_path / "pictures" / ("good" if seed % 3 else "bad") / f"{seed}.png", seed)
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database.use(MeanColours())
        database["parts"].index([tmp_path / "pictures"], model=MeanColours.name)
        return database["parts"].vectors.read()[0]


@pytest.fixture
def embedders(tmp_path: Path) -> Iterator[dict[str, EmbedderCandidate]]:
    entered = {}
    for embedder in (MeanColours(), Blind()):
        cache = FeatureCache(tmp_path / "cache", embedder.fingerprint, embedder.dimension)
        entered[embedder.name] = EmbedderCandidate(embedder, cache, ())
    yield entered
    for candidate in entered.values():
        candidate.cache.close()


def right_by_hand(records: list[Record], vectors: Features, k: int, lots: Codes) -> int:
    """Count with NumPy alone what five folds of the plain metric answer rightly."""
    unit = normalise(vectors).astype(np.float64)
    codes = np.array([one.fields["label"] == "good" for one in records]).astype(np.intp)
    right = 0
    ranks = np.argsort(np.argsort([one.digest for one in records]))
    for held_in, held_out in stratified_folds(codes, lots, ranks=ranks, folds=5, seed=0):
        order = np.argsort(-(unit[held_out] @ unit[held_in].T), axis=1, kind="stable")[:, :k]
        right += int(((codes[held_in[order]].mean(axis=1) > 0.5) == codes[held_out]).sum())
    return right


def test_every_embedder_metric_and_k_has_a_place_best_first(
    records: list[Record], embedders: dict[str, EmbedderCandidate]
) -> None:
    steps: list[tuple[int, int]] = []
    found = compare(
        records, embedders, "label", CompareOptions(ks=(1, 3)), progress=lambda *step: steps.append(step)
    )
    assert {(one.model, one.metric, one.k) for one in found.places} == {
        (model, metric, k)
        for model in ("mean-colours", "corner")
        for metric in ("plain", "fitted")
        for k in (1, 3)
    }
    assert [one.accuracy for one in found.places] == sorted(
        (one.accuracy for one in found.places), reverse=True
    )
    assert all(one.images == 30 and one.milliseconds > 0 for one in found.places)
    assert found.folds == 5
    assert steps[-1] == (2 * (30 + 10), 2 * (30 + 10))


def test_the_plain_metric_is_judged_on_the_same_folds(
    records: list[Record], embedders: dict[str, EmbedderCandidate]
) -> None:
    found = compare(records, embedders, "label", CompareOptions(ks=(1, 3)))
    features = {
        name: np.stack([one.embedder.embed([_image(record)])[0] for record in records])
        for name, one in embedders.items()
    }
    first = normalise(features["mean-colours"])
    lots = near_duplicate_groups(first, [one.digest for one in records])
    for place in found.places:
        if place.metric == "plain" and place.k is not None:
            assert place.correct == right_by_hand(records, features[place.model], place.k, lots)


def _image(record: Record) -> Image.Image:
    with Image.open(uri_path(record.uri)) as image:
        return image.convert("RGB")


def test_each_metric_is_fitted_once_a_fold_whatever_the_ks(
    records: list[Record], embedders: dict[str, EmbedderCandidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    first = fitted.refit_with

    def counted(groups: Sequence[slice]) -> Fit:
        fit = first(groups)

        def one(vectors: Vectors, codes: Codes, lots: Codes) -> Metric:
            fits.append(len(vectors))
            return fit(vectors, codes, lots)

        return one

    monkeypatch.setattr("lookalike.comparison.compare.refit_with", counted)
    compare(records, embedders, "label", CompareOptions(ks=(1, 3, 5)))
    assert fits == 2 * 5 * [24]


def test_what_changed_or_is_gone_is_left_out_for_all(
    records: list[Record], embedders: dict[str, EmbedderCandidate]
) -> None:
    gone, changed = records[0], records[1]
    uri_path(gone.uri).unlink()
    save(uri_path(changed.uri), 500)
    found = compare(records, embedders, "label")
    assert all(one.images == 28 for one in found.places)
    assert {(one.record.id, one.reason) for one in found.left_out} == {
        (gone.id, "cannot be read: No such file or directory"),
        (changed.id, "its file has changed since it was indexed"),
    }


def test_what_cannot_be_compared_is_one_line(
    records: list[Record], embedders: dict[str, EmbedderCandidate]
) -> None:
    with pytest.raises(InvalidArgument, match="at least 1"):
        compare(records, embedders, "label", CompareOptions(ks=(0, 1)))
    with pytest.raises(InvalidArgument, match="needs a k"):
        compare(records, embedders, "label", CompareOptions(ks=()))
    with pytest.raises(InvalidArgument, match="needs a model"):
        compare(records, {}, "label")
    with pytest.raises(FieldNotFound):
        compare(records, embedders, "colour")
    for one in records:
        uri_path(one.uri).unlink()
    with pytest.raises(Unanswerable, match="could be read"):
        compare(records, embedders, "label")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_paired_test_is_the_binomial_one_on_what_differs(answers: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*answers, strict=True))
    found = paired_test(first, second)
    b = sum(one and not other for one, other in answers)
    c = sum(other and not one for one, other in answers)
    assert (found.first_only, found.second_only) == (b, c)
    tail = sum(comb(b + c, m) for m in range(min(b, c) + 1)) / 2 ** (b + c)
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_compare_prints_a_table_and_lines(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", textile)
    words = ("compare", "--by", "label", "--models", "efficientnet-lite0", "-k", "1,5")
    out, _ = lookalike(*words)
    assert "5-fold by label, 60 images" in out
    assert "McNemar's exact test, p = " in out
    out, _ = lookalike(*words, "--format", "jsonl")
    summary, *places = [json.loads(line) for line in out.splitlines()]
    assert summary["test"]["method"] == "McNemar, exact"
    assert [one["rank"] for one in places] == [1, 2, 3, 4]
    assert places[0]["accuracy"] >= places[-1]["accuracy"]
    _, err = lookalike("compare", "--by", "label", "-k", "1,x", code=2)
    assert err == "lookalike: -k 'x': write whole numbers, with commas between them\n"
    _, err = lookalike("compare", "--by", "label", "--models", "none", code=2)
    assert "no model 'none'" in err
