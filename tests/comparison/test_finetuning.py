"""What fine-tuning needs no torch for: its figures, its division of a fold, its pictures, what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.comparison.finetuning.augmentation import draw_augmentation
from lookalike.comparison.finetuning.pixels import closed_up, read_pixels, with_margin
from lookalike.comparison.finetuning.predictions import (
    images_at_most,
    images_expected,
    open_network_candidates,
)
from lookalike.comparison.finetuning.recipe import Recipe
from lookalike.comparison.finetuning.training_split import folds_of, split_training
from lookalike.database import Database
from lookalike.embedders.preprocessing import Preprocessing
from lookalike.errors import InvalidArgument
from lookalike.evaluation.folds import stratified_folds
from lookalike.types import Record
from lookalike.uris import uri_path
from tests.conftest import CommandLine
from tests.mean_colours import MeanColours, picture, save

PREPROCESSING = Preprocessing((8, 8), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "shortest", (10, 10))


# The recipe


@given(st.integers(1, 5000))
def test_the_rate_rises_and_then_falls_to_nothing(updates: int) -> None:
    rates = [Recipe().rate(update, updates) for update in range(updates)]
    top = int(np.argmax(rates))
    assert rates[top] == pytest.approx(1)
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert top <= 0.1 * updates + 1
    assert updates < 100 or rates[-1] < 0.01


@pytest.mark.parametrize(
    ("images", "epochs", "patience"), [(1, 100, 20), (160, 100, 20), (500, 32, 7), (2000, 20, 4)]
)
def test_few_images_are_shown_more_often(images: int, epochs: int, patience: int) -> None:
    assert (Recipe().most_epochs(images), Recipe().most_patience(images)) == (epochs, patience)
    assert (Recipe(3).most_epochs(images), Recipe(3).most_patience(images)) == (3, 2)


@pytest.mark.parametrize("words", [{"epochs": 0}, {"epochs": 1001}, {"batch": 3}])
def test_a_recipe_that_cannot_be_is_refused(words: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument, match=r"must be 1 … 1,000|at least 4 images"):
        Recipe(**words)


@given(st.integers(0, 1 << 32))
def test_crops_lie_inside_the_picture_and_show_most_of_it(seed: int) -> None:
    found = draw_augmentation(50, Recipe(), np.random.default_rng(seed))
    across, down = np.abs(found.places[:, 0, 0]), found.places[:, 1, 1]
    assert (np.abs(found.places[:, :, 2]) <= 1 - np.stack([across, down], axis=1) + 1e-6).all()
    # A crop that would be longer than the picture is cut off: √(3/4 · 0.7) of a side is the least.
    assert (across * down > 0.7).all()
    assert (down > 0.72).all()
    for factors in found[1:]:
        assert ((factors >= 0.9) & (factors <= 1.1)).all()


# Folds


@st.composite
def divided(draw: st.DrawFn) -> tuple[Any, Any, int]:
    count = draw(st.integers(8, 60))
    labels = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    lots = draw(st.lists(st.integers(0, count // 2), min_size=count, max_size=count))
    # Two labels on two lots of their own at least, or there is nothing to divide.
    labels[:4], lots[:4] = [0, 0, 1, 1], [count, count + 1, count + 2, count + 3]
    return np.unique(labels, return_inverse=True)[1], np.array(lots), draw(st.integers(0, 99))


@given(divided())
def test_what_is_held_back_is_of_the_images_held_in_and_of_lots_of_its_own(
    given_: tuple[Any, Any, int],
) -> None:
    truth, lots, seed = given_
    ranks = np.random.default_rng(seed).permutation(len(truth))
    for fold in stratified_folds(truth, lots, ranks=ranks, folds=5, seed=seed):
        (same,) = folds_of([lots[fold.held_in][::-1]], lots)
        np.testing.assert_array_equal(same.held_in, fold.held_in)
        np.testing.assert_array_equal(same.held_out, fold.held_out)
        split = split_training(fold, truth, lots, ranks, seed=seed)
        assert sorted([*split.training, *split.validation]) == fold.held_in.tolist()
        assert not {*lots[split.training]} & {*lots[split.validation]}
        assert {*truth[split.training]} == {*truth[fold.held_in]}, "each label that is there is learned"


def test_a_fifth_is_held_back_whatever_the_order_of_the_rows() -> None:
    truth, lots = np.arange(100) % 2, np.arange(100)
    ranks = np.random.default_rng(3).permutation(100)
    fold = stratified_folds(truth, ranks=ranks)[0]
    split = split_training(fold, truth, lots, ranks, seed=1)
    assert (len(split.training), len(split.validation)) == (64, 16)
    assert np.bincount(truth[split.validation]).tolist() == [8, 8]
    # The same images in another order, as in another folder.
    other = np.random.default_rng(4).permutation(100)
    moved = stratified_folds(truth[other], ranks=ranks[other])[0]
    again = split_training(moved, truth[other], lots, ranks[other], seed=1)
    assert other[again.training].tolist() == split.training.tolist()
    assert images_expected(Recipe(7), [split, split]) == 2 * 64 * 7
    assert images_at_most(Recipe(7), 100, 5) == 5 * 64 * 7


def test_too_few_images_are_all_learned() -> None:
    truth, lots, ranks = np.array([0, 1, 0, 1]), np.arange(4), np.arange(4)
    fold = stratified_folds(truth, folds=2)[0]
    split = split_training(fold, truth, lots, ranks, seed=0)
    assert (split.training.tolist(), split.validation.tolist()) == (fold.held_in.tolist(), [])


# Pictures


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    for seed in range(6):
        save(tmp_path / "pictures" / f"{seed}.png", seed)
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database.use(MeanColours())
        database["parts"].index([tmp_path / "pictures"], model=MeanColours.name, labels="none")
        return sorted(database["parts"].vectors.read()[0], key=lambda one: one.uri)


def test_pictures_have_a_margin_for_crops(records: list[Record], tmp_path: Path) -> None:
    wide = with_margin(PREPROCESSING)
    assert (wide.size, wide.input_size) == ((10, 10), PREPROCESSING.input_size)
    for other in (replace(PREPROCESSING, resize="squash"), replace(PREPROCESSING, resize_to=None)):
        assert with_margin(other) == other
    lost: dict[str, str] = {}
    steps: list[int] = []
    found = read_pixels(records, wide, tmp_path / "new", lost, lambda: steps.append(1))
    assert (found.shape, lost, len(steps)) == ((6, 10, 10, 3), {}, 6)
    for seed, pixels in enumerate(found):
        np.testing.assert_array_equal(
            pixels, np.asarray(picture(seed).resize((10, 10), Image.Resampling.BICUBIC))
        )
        np.testing.assert_array_equal(pixels[1:9, 1:9], PREPROCESSING.pixels(picture(seed)))
    assert list((tmp_path / "new").iterdir()) == [], "the file has no name"


def test_pictures_that_cannot_be_read_have_a_reason(records: list[Record], tmp_path: Path) -> None:
    uri_path(records[0].uri).unlink()
    save(uri_path(records[1].uri), 77)
    uri_path(records[2].uri).write_bytes(b"no picture")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    uri_path(records[3].uri).write_bytes(b"")
    records[3] = replace(records[3], digest=empty)
    lost = {records[5].id: "known before"}
    found = read_pixels(records, PREPROCESSING, tmp_path, lost, lambda: None)
    changed = "its file has changed since it was indexed"
    assert lost == {
        records[0].id: "cannot be read: No such file or directory",
        records[1].id: changed,
        records[2].id: changed,
        records[3].id: "empty file",
        records[5].id: "known before",
    }
    assert [bool(pixels.any()) for pixels in found] == [False, False, False, False, True, False]
    np.testing.assert_array_equal(
        closed_up(found, np.array([0, 4])), [np.zeros((8, 8, 3)), PREPROCESSING.pixels(picture(4))]
    )


def test_no_pictures_at_all_are_no_error(tmp_path: Path) -> None:
    assert read_pixels([], PREPROCESSING, tmp_path, {}, lambda: None).any() == np.False_


# What it says


def test_only_networks_of_timm_are_trained(tmp_path: Path) -> None:
    assert open_network_candidates([], tmp_path, recipe=Recipe()) == []
    for name in ("efficientnet-lite0", "timm:", "timm", "onnx:model.onnx", "open_clip:ViT-B-32/openai"):
        with pytest.raises(InvalidArgument, match="cannot be trained; networks of timm can: write timm:NAME"):
            open_network_candidates([name], tmp_path, recipe=Recipe())


def test_without_torch_one_line_says_what_to_install(lookalike: CommandLine) -> None:
    """In a process that cannot import torch, installed or not, and before any image is looked at."""
    lookalike("index", save(Path("parts/good/1.png"), 1))
    Path("before/torch.py").parent.mkdir()
    Path("before/torch.py").write_text("raise ImportError('no torch')")
    program = "import sys; from lookalike.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["compare", "--by", "label", "--finetune", "timm:densenet121.tv_in1k", *lookalike.options]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": "before"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr == "lookalike: fine-tuning needs an optional package: pip install 'lookalike[torch]'\n"


def test_options_that_say_nothing_are_refused(lookalike: CommandLine) -> None:
    _, err = lookalike("compare", "--by", "label", "--epochs", "3", code=2)
    assert err == "lookalike: --epochs says nothing without --finetune\n"
    _, err = lookalike("compare", "--by", "label", "--epochs", "0", "--finetune", "timm:a", code=2)
    assert err == "lookalike: epochs must be 1 … 1,000, not 0\n"
    _, err = lookalike("compare", "--by", "label", "--finetune", "densenet121", code=2)
    assert err == "lookalike: 'densenet121' cannot be trained; networks of timm can: write timm:NAME\n"
