"""Held-out predictions of a network that is trained anew in each fold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.comparison.finetuning.training import train
from lookalike.comparison.finetuning.training_split import HELD_BACK
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lookalike.comparison.finetuning.network import TrainableNetwork
    from lookalike.comparison.finetuning.pixels import Pixels
    from lookalike.comparison.finetuning.recipe import Recipe
    from lookalike.comparison.finetuning.training_split import TrainingSplit
    from lookalike.embedders.protocol import Device, Embedder
    from lookalike.evaluation.folds import Fold
    from lookalike.vectors.vote import Codes


@dataclass(frozen=True, slots=True)
class NetworkCandidate:
    """A network to compare, and how it is trained."""

    network: TrainableNetwork
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class TrainedPredictions:
    """The predictions of a network for each image, trained on the other folds."""

    predicted: Codes
    """(n,): as places in the labels."""
    seconds: float
    """Of training, all folds together; decoding is not counted, which is done before."""
    epochs: tuple[int, ...]
    """That each fold took."""
    embedder: Embedder | None
    """One of the trained networks, to be timed; None where no fold had two labels to learn."""


def open_network_candidates(
    names: Sequence[str],
    cache: Path,
    *,
    weights: Path | None = None,
    device: Device = "auto",
    recipe: Recipe,
) -> list[NetworkCandidate]:
    """Open networks to be trained; weights that are not on this machine are fetched from the model hub.

    Args:
        names: timm:NAME, with the tag of the weights; one that is named again is opened once.
        cache: the user's cache folder.
        weights: a folder with the weights, laid out as in the hub's repositories; None: the hub's cache.
        device: where they are trained.
        recipe: how.

    Raises:
        InvalidArgument: a name of another form, none that timm has weights for, or cuda without a GPU.
        ExtraMissing: torch or timm is not installed.
        WeightsMissing: the weights cannot be had.
        WeightsInvalid: they do not fit the network.
    """
    rests = []
    for name in dict.fromkeys(names):
        family, _, rest = name.partition(":")
        if family != "timm" or not rest:
            raise InvalidArgument(f"{name!r} cannot be trained; networks of timm can: write timm:NAME")
        rests.append(rest)
    if not rests:
        return []
    # It takes torch seconds to come up.
    from lookalike.comparison.finetuning.network import open_trainable
    from lookalike.embedders.torch.hub import Hub

    hubs = {rest: Hub(f"timm:{rest}", cache, weights, download=True) for rest in rests}
    return [NetworkCandidate(open_trainable(rest, hub, cache, device), recipe) for rest, hub in hubs.items()]


def predict_by_training(
    candidate: NetworkCandidate,
    pixels: Pixels,
    folds: Sequence[Fold],
    splits: Sequence[TrainingSplit],
    truth: Codes,
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _images: None,
) -> TrainedPredictions:
    """Train a network in each fold, and let it classify the images held out.

    Args:
        candidate: the network and how it is trained.
        pixels: of the n images, by the network's preprocessing.
        folds: rows of the images; each is held out once.
        splits: how each fold divides the images held in.
        truth: shape (n,): the labels, as numbers.
        seed: of all that is drawn; each fold draws its own.
        progress: called with the images that went through, or were spared; in all `images_expected`.

    Raises:
        Unanswerable: the training fails.
    """
    predicted = np.full(len(truth), -1, dtype=np.intp)
    seconds, epochs, embedder = 0.0, [], None
    for number, (fold, split) in enumerate(zip(folds, splits, strict=True)):
        started = time.perf_counter()
        trained = train(
            candidate.network,
            pixels,
            truth,
            split,
            candidate.recipe,
            seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]),
            progress=progress,
        )
        seconds += time.perf_counter() - started
        # Epochs that were spared are done as well.
        progress(images_expected(candidate.recipe, [split]) - trained.epochs * len(split.training))
        predicted[fold.held_out] = trained.predict(pixels, fold.held_out)
        epochs.append(trained.epochs)
        embedder = trained.embedder() or embedder
    return TrainedPredictions(predicted, seconds, tuple(epochs), embedder)


def images_expected(recipe: Recipe, splits: Sequence[TrainingSplit]) -> int:
    """Return how many images go through a network in these splits, if no training ends early."""
    return sum(len(each.training) * recipe.most_epochs(len(each.training)) for each in splits)


def images_at_most(recipe: Recipe, images: int, folds: int) -> int:
    """Estimate that before the folds are drawn.

    Args:
        recipe: how it is trained.
        images: that take part.
        folds: how many.
    """
    learned = max(1, images * (folds - 1) * (HELD_BACK - 1) // (folds * HELD_BACK))
    return folds * learned * recipe.most_epochs(learned)
