"""A network that is trained learns what can be learned and nothing else, in the folds of the neighbours."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
from PIL import Image

import torch
from lookalike.comparison import compare as comparing
from lookalike.comparison.compare import CompareOptions, EmbedderCandidate, compare
from lookalike.comparison.comparison import RankedCandidate
from lookalike.comparison.finetuning import training
from lookalike.comparison.finetuning.augmentation import draw_augmentation
from lookalike.comparison.finetuning.network import TrainableNetwork, open_trainable
from lookalike.comparison.finetuning.pixels import read_pixels
from lookalike.comparison.finetuning.predictions import (
    NetworkCandidate,
    TrainedPredictions,
    predict_by_training,
)
from lookalike.comparison.finetuning.recipe import Recipe
from lookalike.comparison.finetuning.training import train
from lookalike.comparison.finetuning.training_split import TrainingSplit
from lookalike.database import Database
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.torch.hub import Hub
from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.evaluation import held_out_predictions
from lookalike.evaluation.folds import Fold, stratified_folds
from lookalike.images import decoding
from lookalike.types import Record
from lookalike.uris import uri_path
from lookalike.vectors.vote import Codes
from tests.conftest import CommandLine
from tests.mean_colours import MeanColours

if TYPE_CHECKING:
    from lookalike.comparison.finetuning.pixels import Pixels

# Of timm's own tests: 99,196 weights, 160 pixels.
SMALL = "test_efficientnet.r160_in1k"
# With weights made at random all layers have as much to learn as the classifier.
RECIPE = Recipe(epochs=20, learning_rate=1e-3, batch=8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    # As timm draws them, which training is made to begin with.
    torch.manual_seed(0)
    timm.models.save_for_hf(timm.create_model(SMALL, pretrained=False), folder / SMALL)
    return folder


@pytest.fixture(scope="module")
def network(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainableNetwork:
    cache = tmp_path_factory.mktemp("cache")
    return open_trainable(SMALL, Hub(f"timm:{SMALL}", cache, weights, download=False), cache, "cpu")


def striped(*, upright: bool, seed: int, side: int = 168) -> Image.Image:
    """Stripes at any phase under noise, whole ones in a third of a side: no mean colour tells them apart."""
    drawn = np.random.default_rng(seed)
    wave = 60 * np.sin(np.arange(side) * 2 * np.pi / 14 + drawn.uniform(0, 6))
    pixels = drawn.normal(128, 40, (side, side, 3)) + (
        wave[None, :, None] if upright else wave[:, None, None]
    )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def stored(count: int) -> tuple[Pixels, Codes]:
    """Return pictures as `read_pixels` does, and their labels, in turn."""
    truth = np.arange(count) % 2
    return np.stack([np.asarray(striped(upright=bool(n % 2), seed=n)) for n in range(count)]), truth


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Sixty striped pictures; `label` is how they run, `coin` was tossed."""
    root = tmp_path_factory.mktemp("striped")
    coins = np.random.default_rng(5).permutation(60) % 2
    for n in range(60):
        path = root / ("upright" if n % 2 else "level") / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        striped(upright=bool(n % 2), seed=n).save(path)
    with Database(f"sqlite:///{root}/parts.db", cache=root / "cache") as database:
        database.use(MeanColours())
        database["parts"].index([root], model=MeanColours.name)
        found = database["parts"].vectors.read()[0]
    return [
        replace(one, fields={**one.fields, "coin": int(coins[int(uri_path(one.uri).stem)])}) for one in found
    ]


@pytest.fixture
def embedders(tmp_path: Path) -> Iterator[dict[str, EmbedderCandidate]]:
    embedder = MeanColours()
    cache = FeatureCache(tmp_path / "cache", embedder.fingerprint, embedder.dimension)
    yield {embedder.name: EmbedderCandidate(embedder, cache, ())}
    cache.close()


def trained_place(places: tuple[RankedCandidate, ...]) -> tuple[int, RankedCandidate]:
    """Return the rank of the only network that was trained, and its place."""
    ((rank, place),) = [(rank, each) for rank, each in enumerate(places, 1) if each.fine_tuned]
    return rank, place


def test_it_learns_what_the_neighbours_cannot_see(
    records: list[Record], embedders: dict[str, EmbedderCandidate], network: TrainableNetwork, tmp_path: Path
) -> None:
    steps: list[tuple[int, int]] = []
    found = compare(
        records, embedders, "label", CompareOptions(ks=(1,), folds=3),
        networks=[NetworkCandidate(network, RECIPE)],
        folder=tmp_path / "pictures", progress=lambda *step: steps.append(step),
    )  # fmt: skip
    rank, place = trained_place(found.places)
    assert rank == 1
    assert place.accuracy >= 0.95
    assert place.macro_f1 == pytest.approx(place.accuracy, abs=0.02)
    assert (place.model, place.metric, place.k, place.images) == (f"timm:{SMALL}", "fine-tuned", None, 60)
    assert place.test is None
    assert len(place.epochs) == 3
    assert all(1 <= epochs <= 20 for epochs in place.epochs)
    assert place.training_seconds > 0.5
    assert place.images_per_second is not None
    assert place.images_per_second > 1
    for other in found.places[1:]:
        assert other.accuracy < 0.75
        assert other.test is not None
        assert other.test.p_value < 0.01
        assert other.test.first_only - other.test.second_only == place.correct - other.correct
    assert steps[-1][0] == steps[-1][1]
    assert list((tmp_path / "pictures").iterdir()) == []


def test_a_coin_cannot_be_learned(
    records: list[Record], embedders: dict[str, EmbedderCandidate], network: TrainableNetwork
) -> None:
    """A network that saw the images held out would be right on them; this one is as good as a coin."""
    found = compare(
        records,
        embedders,
        "coin",
        CompareOptions(ks=(1,), folds=3),
        networks=[NetworkCandidate(network, replace(RECIPE, epochs=8))],
    )
    # 60 fair coins are outside this range once in 2,000 times.
    assert 0.28 < trained_place(found.places)[1].accuracy < 0.72


def test_the_folds_are_those_of_the_neighbours(
    records: list[Record],
    embedders: dict[str, EmbedderCandidate],
    network: TrainableNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Near-duplicates: another file, and the same picture to the model.
    copies = []
    for one in records[:6]:
        path = tmp_path / f"copy-{one.digest[:8]}.png"
        with Image.open(uri_path(one.uri)) as image:
            image.save(path, compress_level=1)
        with Database(f"sqlite:///{tmp_path}/copies.db", cache=tmp_path / "cache") as database:
            database.use(MeanColours())
            database["copies"].index([path], model=MeanColours.name, labels="none")
            (copy,) = [each for each in database["copies"].vectors.read()[0] if each.uri == path.as_uri()]
        copies.append(replace(copy, fields=one.fields))
    drawn: list[list[Fold]] = []
    taken: list[tuple[list[Fold], list[TrainingSplit], Codes]] = []
    first, last = stratified_folds, predict_by_training

    def drawing(*words: Any, **options: Any) -> list[Fold]:
        drawn.append(first(*words, **options))
        return drawn[-1]

    def answering(
        candidate: NetworkCandidate,
        pixels: Pixels,
        folds: list[Fold],
        splits: list[TrainingSplit],
        truth: Codes,
        **options: Any,
    ) -> TrainedPredictions:
        taken.append((folds, splits, truth))
        return last(candidate, pixels, folds, splits, truth, **options)

    monkeypatch.setattr(held_out_predictions, "stratified_folds", drawing)
    monkeypatch.setattr(comparing, "predict_by_training", answering)
    every = [*records, *copies]
    compare(
        every,
        embedders,
        "label",
        CompareOptions(seed=3),
        networks=2 * [NetworkCandidate(network, replace(RECIPE, epochs=1))],
    )

    assert len(drawn) == 4, "plain and fitted, for k = 1 and 5"
    assert len(taken) == 2
    digests = [one.digest for one in sorted(every, key=lambda one: one.id)]
    pairs = [
        {digests.index(one.digest), digests.index(copy.digest)}
        for one, copy in zip(records, copies, strict=False)
    ]
    for folds, splits, _ in taken:
        for own in (*drawn, folds):
            assert len(own) == 5
            for fold, neighbours in zip(folds, own, strict=True):
                np.testing.assert_array_equal(fold.held_in, neighbours.held_in)
                np.testing.assert_array_equal(fold.held_out, neighbours.held_out)
        for fold, split in zip(folds, splits, strict=True):
            assert len(split.validation) > 5
            assert sorted([*split.training, *split.validation]) == fold.held_in.tolist()
            for part in (fold.held_out, split.training, split.validation):
                assert all(len(pair & set(part.tolist())) != 1 for pair in pairs)


def test_training_ends_early_and_keeps_the_best_epoch(
    network: TrainableNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    first = training.cross_entropy

    def noted(scores: Any, codes: Codes, smoothing: float) -> float:
        losses.append(first(scores, codes, smoothing))
        return losses[-1]

    monkeypatch.setattr(training, "cross_entropy", noted)
    pixels, _ = stored(32)
    coins = np.random.default_rng(2).permutation(32) % 2
    split = TrainingSplit(np.arange(16), np.arange(16, 32))
    recipe = replace(RECIPE, epochs=40, patience=0.1)
    found = train(network, pixels, coins, split, recipe, seed=4)
    assert len(losses) == found.epochs == found.best + 4 < 40
    assert losses[found.best - 1] == min(losses)
    scores = network.scores(found._module, pixels, split.validation)
    assert first(scores, coins[split.validation], recipe.smoothing) == pytest.approx(min(losses), abs=1e-6)


def test_the_loss_is_that_of_torch() -> None:
    drawn = np.random.default_rng(1)
    scores, codes = drawn.normal(0, 30, (20, 4)).astype(np.float32), drawn.integers(0, 4, 20)
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(scores), torch.from_numpy(codes), label_smoothing=0.1
    )
    assert training.cross_entropy(scores, codes, 0.1) == pytest.approx(float(expected), rel=1e-5)


def test_the_same_seed_gives_the_same_network(network: TrainableNetwork) -> None:
    pixels, truth = stored(24)
    split = TrainingSplit(np.arange(16), np.arange(16, 24))
    before = {name: value.clone() for name, value in network._network.module.state_dict().items()}
    drawn = torch.random.get_rng_state()

    def trained(seed: int) -> dict[str, Any]:
        found = train(network, pixels, truth, split, replace(RECIPE, epochs=2), seed=seed)
        return dict(found._module.state_dict())

    one, again, other = trained(1), trained(1), trained(2)
    assert all(value.equal(again[name]) for name, value in one.items())
    assert not all(value.equal(other[name]) for name, value in one.items())
    changed = [name for name, value in before.items() if not value.equal(one[name])]
    assert len(changed) > 0.9 * len(before), "all layers are trained"
    now = network._network.module.state_dict()
    assert all(value.equal(now[name]) for name, value in before.items()), "a copy is trained"
    assert torch.random.get_rng_state().equal(drawn), "what the program draws is not touched"


def test_answers_are_those_of_the_network_as_an_embedder(
    network: TrainableNetwork, tmp_path: Path, records: list[Record]
) -> None:
    """So the pictures that are kept, not varied, are what the network's own preprocessing makes."""
    pixels, truth = stored(16)
    rows = np.arange(16)
    found = train(network, pixels, truth, TrainingSplit(rows, rows[:0]), replace(RECIPE, epochs=1), seed=1)
    embedder = found.embedder()
    assert embedder is not None
    some = records[:5]
    read = read_pixels(some, network.preprocessing, tmp_path, {}, lambda: None)
    pictures = [decoding.decode(uri_path(one.uri).read_bytes(), one.uri, at_least=168) for one in some]
    scores = embedder.embed(pictures)
    np.testing.assert_allclose(network.scores(found._module, read, np.arange(5)), scores, atol=1e-4)
    assert found.predict(read, np.arange(5)).tolist() == scores.argmax(axis=1).tolist()
    assert (found.epochs, found.best) == (1, 1)


def test_pictures_vary_in_place_and_colour_and_are_never_upside_down(network: TrainableNetwork) -> None:
    # Blue grows to the right, red downwards.
    ramp = np.linspace(40, 200, 168).astype(np.uint8)
    picture = np.zeros((168, 168, 3), np.uint8)
    picture[:, :, 2], picture[:, :, 0], picture[:, :, 1] = ramp, ramp[:, None], 100
    augmentation = draw_augmentation(64, RECIPE, np.random.default_rng(0))
    varied = network._varied(network._planes(np.stack([picture] * 64)), augmentation).numpy()
    assert varied.shape == (64, 3, 160, 160)
    mirrored = varied[:, 2, 80, 0] > varied[:, 2, 80, -1]
    assert 20 < mirrored.sum() < 44
    assert (varied[:, 0, 0, 80] < varied[:, 0, -1, 80]).all()
    assert len({*varied[:, 2, 80, 80].tolist()}) == 64
    still = network._varied(
        network._planes(picture[None]),
        draw_augmentation(1, replace(RECIPE, area=1, stretch=1, colour=0), np.random.default_rng(1)),
    ).numpy()[0]
    expected = np.asarray(Image.fromarray(picture).resize((160, 160), Image.Resampling.BILINEAR)) / 255
    if still[2, 80, 0] > still[2, 80, -1]:
        still = still[:, :, ::-1]
    np.testing.assert_allclose(still.transpose(1, 2, 0), expected, atol=0.01)


def test_a_fold_with_one_label_is_answered_with_it(network: TrainableNetwork) -> None:
    pixels, _ = stored(4)
    rows = np.arange(4)
    found = train(network, pixels, np.full(4, 7), TrainingSplit(rows[:2], rows[2:]), RECIPE, seed=0)
    assert (found.epochs, found.embedder()) == (0, None)
    assert found.predict(pixels, rows).tolist() == [7, 7, 7, 7]


def test_one_label_in_all_is_refused(
    records: list[Record], embedders: dict[str, EmbedderCandidate], network: TrainableNetwork
) -> None:
    one = [each for each in records if each.fields["label"] == "level"]
    with pytest.raises(Unanswerable, match="at least two labels are needed"):
        compare(one, embedders, "label", networks=[NetworkCandidate(network, RECIPE)])


def test_a_loss_that_is_no_number_is_one_line(network: TrainableNetwork) -> None:
    pixels, truth = stored(8)
    split = TrainingSplit(np.arange(8), np.arange(0))
    with pytest.raises(Unanswerable, match=f"timm:{SMALL} cannot be trained on these images"):
        train(network, pixels, truth, split, replace(RECIPE, learning_rate=float("inf"), epochs=3), seed=0)


def test_what_cannot_be_read_is_left_out_for_all(
    records: list[Record], embedders: dict[str, EmbedderCandidate], network: TrainableNetwork, tmp_path: Path
) -> None:
    moved = []
    for one in records[:20]:
        path = tmp_path / f"{one.digest}.png"
        path.write_bytes(uri_path(one.uri).read_bytes())
        moved.append(replace(one, uri=path.as_uri()))
    uri_path(moved[0].uri).unlink()
    striped(upright=True, seed=500).save(uri_path(moved[1].uri))
    # A picture whose features are known, and that no longer decodes: only training looks at it.
    broken = uri_path(moved[2].uri)
    broken.write_bytes(broken.read_bytes()[:2000])
    digest = hashlib.sha256(broken.read_bytes()).hexdigest()
    moved[2] = replace(moved[2], digest=digest)
    (candidate,) = embedders.values()
    candidate.cache.put({digest: np.linspace(0.1, 1, 27, dtype=np.float32)})
    networks = [NetworkCandidate(network, replace(RECIPE, epochs=1))]
    found = compare(
        moved, embedders, "label", CompareOptions(ks=(1,), folds=2), networks=networks, folder=tmp_path
    )
    assert {place.images for place in found.places} == {17}
    assert {one.record.id: one.reason for one in found.left_out} == {
        moved[0].id: "cannot be read: No such file or directory",
        moved[1].id: "its file has changed since it was indexed",
        moved[2].id: "truncated PNG",
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch has a GPU here")
def test_cuda_without_a_gpu_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="torch finds no GPU"):
        open_trainable(SMALL, Hub(SMALL, tmp_path, weights, download=False), tmp_path, "cuda")


# The command


@pytest.fixture
def few(textile: Path) -> Path:
    """Eight photographs a class."""
    for folder in textile.iterdir():
        for file in sorted(folder.iterdir())[8:]:
            file.unlink()
    return textile


def test_the_command_ranks_a_trained_network_among_the_neighbours(
    lookalike: CommandLine, few: Path, weights: Path
) -> None:
    lookalike("index", few)
    words: list[str | Path] = [
        *("compare", "--by", "label", "--models", "efficientnet-lite0", "-k", "1", "--device", "cpu"),
        *("--finetune", f"timm:{SMALL}", "--weights", weights, "--epochs", "1", "--seed", "2"),
    ]
    out, err = lookalike(*words)
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == (
        "5-fold by label, 24 images, near-duplicates kept together, metrics refitted and networks trained in "
        "each fold"
    )
    assert lines[2].split("   ")[-1].strip() == "images/s"
    (row,) = [line for line in lines if f"timm:{SMALL}" in line]
    rank, *_, minutes, rate = row.split()
    assert "fine-tuned" in row
    assert float(minutes) >= 0
    assert float(rate) > 0
    told = [line for line in lines if "McNemar's exact test, p = " in line]
    assert [line[:7] for line in told] == [f"1 and {n}" for n in (range(2, 4) if rank == "3" else (2,))]

    out, _ = lookalike(*words, "--format", "jsonl")
    summary, *places = [json.loads(line) for line in out.splitlines()]
    assert summary["test"]["method"] == "McNemar, exact"
    (place,) = [one for one in places if one["metric"] == "fine-tuned"]
    assert (place["model"], place["k"], place["images"]) == (f"timm:{SMALL}", None, 24)
    assert place["epochs"] == [1] * 5
    assert place["training_seconds"] > 0
    assert place["images_per_second"] == pytest.approx(1000 / place["milliseconds"])
    low, high = place["interval"]
    assert low <= place["accuracy"] <= high
    assert {one["epochs"] == [] for one in places if one is not place} == {True}


def test_weights_that_are_not_there_are_told_before_anything_is_computed(
    lookalike: CommandLine, few: Path, weights: Path, tmp_path: Path
) -> None:
    lookalike("index", few)
    (tmp_path / "empty").mkdir()
    words = ("compare", "--by", "label", "--models", "none", "--finetune")
    _, err = lookalike(*words, f"timm:{SMALL}", "--weights", tmp_path / "empty", code=1)
    assert err.startswith(f"lookalike: weights of timm:{SMALL}: ")
    assert len(err.splitlines()) == 1
    _, err = lookalike(*words, "timm:no_such_network", code=2)
    assert "has no network 'no_such_network' with weights on the hub" in err


def test_ctrl_c_ends_training_with_one_line(
    lookalike: CommandLine, few: Path, weights: Path, cache: Path
) -> None:
    lookalike("index", few)
    words = [
        *("compare", "--by", "label", "--models", "efficientnet-lite0", "-k", "1", "--device", "cpu"),
        *("--finetune", f"timm:{SMALL}", "--weights", str(weights), "--epochs", "1000", *lookalike.options),
    ]
    program = "import sys; from lookalike.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    maps = Path(f"/proc/{process.pid}/maps")
    try:
        until = time.monotonic() + 60
        # The pictures are mapped from a file without a name: from here on it trains.
        while not any(str(cache) in line and "(deleted)" in line for line in maps.read_text().splitlines()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (130, "")
    assert [line for line in err.splitlines() if line] == [
        "lookalike: interrupted; what was acknowledged is kept, and the same command goes on from there"
    ]
