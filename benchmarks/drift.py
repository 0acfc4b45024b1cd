"""Power and false alarms of the drift test, and of the share of neighbours from the own sample beside it.

Batches of textile and extrusion pictures against the rest: drawn alike; made brighter by a tenth; blurred a
little; and with another mixture of labels.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from platformdirs import user_cache_path

from benchmarks.figures import SHORT, figure, title
from benchmarks.inspection import PLAIN, DataSet, data_sets, features_of
from lookalike.drift.two_sample import NEIGHBOURS, compare_samples
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.registry import open_embedder
from lookalike.ingest.embedding import EmbeddedFile, embed_files
from lookalike.progress import silent
from lookalike.types import Vectors
from lookalike.vectors.metric import normalise

BATCH, REFERENCE = 40, 500
DRAWS = 100 if SHORT else 400
ALTERED = 200
LEVEL = 0.05
# Of 400 draws at that level 0.085 at most in all but one of a thousand runs, by the binomial distribution.
BOUND = 0.085

Rows = NDArray[np.intp]

ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "brighter by a tenth": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "blurred, radius 0.7": lambda picture: picture.filter(ImageFilter.GaussianBlur(0.7)),
}


def altered(data: DataSet, rows: Rows, alter: Callable[[Image.Image], Image.Image], cache: Path) -> Vectors:
    """Return the vectors of some pictures of a data set after a change."""
    files = [path for name in data.classes for path in sorted((data.root / name).iterdir())]
    embedder = open_embedder(PLAIN, cache)
    kept = FeatureCache(cache, embedder.fingerprint, embedder.dimension)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{row}.png" for row in rows]
        for row, path in zip(rows.tolist(), paths, strict=True):
            alter(Image.open(files[row]).convert("RGB")).save(path)
        found = [file for file in embed_files(paths, embedder, kept) if isinstance(file, EmbeddedFile)]
    kept.close()
    return normalise(np.stack([file.features for file in found]))


def rejections(batches: Callable[[np.random.Generator], tuple[Vectors, Vectors]]) -> tuple[float, float]:
    """Return how often the discrepancy, and the share of neighbours, call a batch different."""
    discrepancy, share = 0, 0
    for seed in range(DRAWS):
        random = np.random.default_rng(seed)
        reference, new = batches(random)
        vectors = np.concatenate([reference, new])
        second = np.arange(len(vectors)) >= len(reference)
        found = compare_samples(vectors, second, np.arange(len(vectors)), 199, seed, silent)
        discrepancy += found.p_value <= LEVEL
        share += share_p_value(vectors, second, random) <= LEVEL
    return discrepancy / DRAWS, share / DRAWS


def share_p_value(vectors: Vectors, second: NDArray[np.bool_], random: np.random.Generator) -> float:
    """Return the p-value of Schilling's statistic: the part of neighbours of new images that are new too."""
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    nearest = np.argpartition(-similarities, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    values = []
    for _ in range(200):
        values.append(second[nearest][second].mean())
        second = random.permutation(second)
    return float((np.array(values) >= values[0]).mean())


def main() -> None:
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    title(
        f"drift, {DRAWS} batches of {BATCH} pictures against {REFERENCE}, {PLAIN}: part called different "
        f"at p ≤ {LEVEL}, by the discrepancy and by the share of neighbours"
    )
    for data in data_sets():
        vectors, codes = features_of(data, open_embedder(PLAIN, cache), cache)
        weights = np.where(codes == 0, 1.0, 3.0)

        def alike(
            random: np.random.Generator,
            weights: NDArray[np.float64] | None = None,
            vectors: Vectors = vectors,
        ) -> tuple[Vectors, Vectors]:
            odds = None if weights is None else weights / weights.sum()
            new = random.choice(len(vectors), BATCH, replace=False, p=odds)
            rest = random.permutation(np.setdiff1d(np.arange(len(vectors)), new))[:REFERENCE]
            return vectors[rest], vectors[new]

        found = rejections(alike)
        reached = found[0] <= BOUND
        figure(f"{data.name}: drawn alike", f"{found[0]:.3f}, {found[1]:.3f}", f"at most {BOUND}", reached)
        found = rejections(lambda random: alike(random, weights))  # noqa: B023 - called here
        figure(f"{data.name}: defects three times as often", f"{found[0]:.2f}, {found[1]:.2f}")
        some = np.sort(np.random.default_rng(0).permutation(len(vectors))[:ALTERED])
        others = np.setdiff1d(np.arange(len(vectors)), some)
        for what, alter in ALTERATIONS.items():
            changed = altered(data, some, alter, cache)

            def batch(
                random: np.random.Generator,
                changed: Vectors = changed,
                vectors: Vectors = vectors,
                others: Rows = others,
            ) -> tuple[Vectors, Vectors]:
                return vectors[random.permutation(others)[:REFERENCE]], random.permutation(changed)[:BATCH]

            found = rejections(batch)
            figure(f"{data.name}: {what}", f"{found[0]:.2f}, {found[1]:.2f}")


if __name__ == "__main__":
    main()
