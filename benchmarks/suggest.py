"""How many labels the suggestions save: accuracy of the nearest neighbour beside labels at random."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from benchmarks.figures import figure, title
from benchmarks.inspection import INSPECT, data_sets, features_of
from lookalike.active_learning.suggest import choose
from lookalike.embedders.registry import open_embedder
from lookalike.types import Vectors
from lookalike.vectors.nearest import nearest_rows

SEEDS = 10
LABELS = (10, 20, 40, 80, 160)
POOL, TEST = 600, 400

Rows = NDArray[np.intp]


def curve(vectors: Vectors, codes: Rows, seed: int, *, suggested: bool) -> list[float]:
    """Return the accuracy on held-out pictures after each number of labels."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(vectors))
    test, pool = order[:TEST], np.sort(order[TEST : TEST + POOL])
    labelled = np.empty(0, dtype=np.intp)
    found = []
    for count in LABELS:
        rest = np.setdiff1d(pool, labelled)
        wanted = count - len(labelled)
        rows = random.permutation(len(rest))[:wanted]
        if suggested:
            known = codes[labelled] if len(labelled) else None
            rows = np.array(choose(vectors[rest], vectors[labelled], known, wanted)[0])
        labelled = np.concatenate([labelled, rest[rows]])
        nearest = nearest_rows(vectors[test], vectors[labelled], 1)[0][:, 0]
        found.append(float((codes[labelled[nearest]] == codes[test]).mean()))
    return found


def main() -> None:
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    title(f"suggestions, {SEEDS} draws, {POOL} pictures to choose from, {INSPECT}: accuracy by labels")
    for data in data_sets():
        vectors, codes = features_of(data, open_embedder(INSPECT, cache), cache)
        curves = {
            suggested: np.mean([curve(vectors, codes, n, suggested=suggested) for n in range(SEEDS)], axis=0)
            for suggested in (False, True)
        }
        for place, count in enumerate(LABELS):
            random, ours = curves[False][place], curves[True][place]
            figure(f"{data.name}: {count} labels, at random and suggested", f"{random:.3f}, {ours:.3f}")
        # By straight lines between the points of the curve, in the logarithm of the number of labels.
        logs, reached = np.log(LABELS), np.maximum.accumulate(curves[True])
        needed = float(np.exp(np.interp(curves[False][-1], reached, logs)))
        figure(f"{data.name}: labels for what {LABELS[-1]} at random reach", f"{needed:.0f}")


if __name__ == "__main__":
    main()
