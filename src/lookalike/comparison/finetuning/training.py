"""Training of a network with early stopping: from the first epoch to the one that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from lookalike.comparison.finetuning.augmentation import draw_augmentation
from lookalike.errors import Unanswerable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lookalike.comparison.finetuning.network import TrainableNetwork
    from lookalike.comparison.finetuning.pixels import Pixels
    from lookalike.comparison.finetuning.recipe import Recipe
    from lookalike.comparison.finetuning.training_split import TrainingSplit
    from lookalike.embedders.protocol import Embedder
    from lookalike.vectors.nearest import Rows
    from lookalike.vectors.vote import Codes

# A loss that is lower by less is no lower: below the noise of a few images held back.
_LOWER = 1e-4


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, and the labels it can name."""

    labels: Codes
    """(classes,): those it can name, rising."""
    epochs: int
    """That it was trained for; 0 where there was one label only."""
    best: int
    """The epoch that is kept: of the lowest loss on the images held back, the last where there are none."""
    _network: TrainableNetwork
    _module: Any

    def predict(self, pixels: Pixels, rows: Rows) -> Codes:
        """Return the label of each row, shape (len(rows),).

        Args:
            pixels: of all images.
            rows: at least one.
        """
        if self._module is None:
            return np.full(len(rows), self.labels[0], dtype=np.intp)
        found: Codes = self.labels[self._network.scores(self._module, pixels, rows).argmax(axis=1)]
        return found

    def embedder(self) -> Embedder | None:
        """Return what turns images into a score for each label; None where there was one label only."""
        return None if self._module is None else self._network.scorer(self._module, len(self.labels))


def train(
    network: TrainableNetwork,
    pixels: Pixels,
    truth: Codes,
    split: TrainingSplit,
    recipe: Recipe,
    *,
    seed: int,
    progress: Callable[[int], None] = lambda _images: None,
) -> Trained:
    """Train a copy of a network, all its layers.

    The same seed gives the same network on the CPUs of one machine; on a GPU nearly the same.

    Args:
        network: what is trained.
        pixels: (n, height, width, 3), by the network's preprocessing.
        truth: shape (n,): labels as numbers.
        split: the rows to learn from, at least one, and those that tell when to end.
        recipe: how.
        seed: of the classifier's first weights, of the order and the augmentation of pictures.
        progress: called with the number of images that went through.

    Raises:
        Unanswerable: the loss is no number any more, or the memory does not suffice.
    """
    training = split.training
    labels = np.unique(truth[training])
    if len(labels) == 1:
        return Trained(labels, 0, 0, network, None)
    # A label that is held back only cannot be learned, and tells nothing of when to end.
    validation = split.validation[np.isin(truth[split.validation], labels)]
    codes = np.searchsorted(labels, truth)
    drawn = np.random.default_rng(seed)
    most, patience = recipe.most_epochs(len(training)), recipe.most_patience(len(training))
    steps = recipe.steps(len(training))
    epochs = best = 0
    lowest, kept = float("inf"), None
    with network.training(seed):
        module, optimizer = network.fresh(len(labels), recipe)
        while epochs < most and epochs - best < patience:
            losses = []
            module.train()
            for step, rows in enumerate(np.array_split(drawn.permutation(training), steps)):
                rate = recipe.learning_rate * recipe.rate(epochs * steps + step, most * steps)
                augmentation = draw_augmentation(len(rows), recipe, drawn)
                shown = (pixels[rows], codes[rows])
                losses.append(network.update(module, optimizer, shown, augmentation, recipe, rate))
                progress(len(rows))
            if not np.isfinite(float(sum(losses))):
                raise Unanswerable(
                    f"{network.name} cannot be trained on these images: its loss is no number any more"
                )
            epochs += 1
            if not len(validation):
                best = epochs
                continue
            loss = cross_entropy(
                network.scores(module, pixels, validation), codes[validation], recipe.smoothing
            )
            if kept is None or loss < lowest - _LOWER:
                lowest, best = loss, epochs
                kept = {name: value.clone() for name, value in module.state_dict().items()}
        if kept is not None:
            module.load_state_dict(kept)
    return Trained(labels, epochs, best, network, module.eval())


def cross_entropy(scores: NDArray[np.float32], codes: Codes, smoothing: float) -> float:
    """Return the mean cross-entropy of scores, with smoothed labels.

    Args:
        scores: (n, classes), not normalised; n at least 1.
        codes: shape (n,): the true class of each.
        smoothing: part of a label that is spread over all classes alike, at least 0 and below 1.
    """
    logs = log_softmax(scores.astype(np.float64), axis=1)
    own = logs[np.arange(len(codes)), codes]
    return float(-((1 - smoothing) * own + smoothing * logs.mean(axis=1)).mean())
