"""Few-shot inspection by the published protocol, beside what was published; fits and embedders timed.

About 50 exemplars a class, good or defective, drawn anew for each seed. The tool sees the exemplars and their
folders only; test images are read after the fit. What was published: `qc_published.csv`, for 15 encoders
(fmegahed/conformal_clip, results/*_benchmark_classification.csv), each from one draw.
"""

from __future__ import annotations

import csv
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from platformdirs import user_cache_path

from benchmarks.figures import SHORT, figure, in_own_process, peak_memory_gib, seconds, title
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.protocol import Embedder
from lookalike.embedders.registry import cards, open_embedder
from lookalike.ingest.embedding import EmbeddedFile, embed_files
from lookalike.types import Vectors
from lookalike.vectors.metric import fit_metric, normalise
from lookalike.vectors.nearest import nearest_rows
from lookalike.vectors.vote import winning_codes

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
SEEDS = 20 if SHORT else 60
PLAIN, INSPECT = "efficientnet-lite0", "efficientnet-lite0-inspect"
THREE = "efficientnet-lite0-inspect-3scales"
TIMED_IMAGES = 200


class DataSet(NamedTuple):
    """One data set of the protocol; the first class is the good one."""

    name: str
    root: Path
    classes: tuple[str, str, str]
    tests: tuple[int, int, int]
    exemplars: tuple[int, int, int]
    bounds: tuple[float, float]
    """What the mean is to reach, at two scales and at three."""


def data_sets() -> list[DataSet]:
    few, twice = (50, 25, 25), (100, 50, 50)
    textile = textile_simulated_root()
    sets = [DataSet("textile", Path(textile), ("nominal", "local", "global"), few, few, (0.98, 0.99))]
    extrusion = SHARED / "extrusion"
    if extrusion.is_dir():
        sets.append(DataSet("extrusion", extrusion, ("normal", "over", "under"), twice, few, (0.84, 0.87)))
    else:
        print("  extrusion is left out: the developers' folder ../shared is not here")
    return sets


def features_of(data: DataSet, embedder: Embedder, cache: Path) -> tuple[Vectors, NDArray[np.intp]]:
    """Embed all images of a data set, or take them from the cache; return vectors and class numbers."""
    files = [
        (path, code)
        for code, name in enumerate(data.classes)
        for path in sorted((data.root / name).iterdir())
    ]
    kept = FeatureCache(cache, embedder.fingerprint, embedder.dimension)
    rows = []
    for file in embed_files([path for path, _ in files], embedder, kept):
        if not isinstance(file, EmbeddedFile):
            sys.exit(f"{file.path}: {file.reason}")
        rows.append(file.features)
    kept.close()
    return normalise(np.stack(rows)), np.array([code for _, code in files])


def draw(data: DataSet, codes: NDArray[np.intp], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of exemplars and of test images of one draw, without replacement."""
    rng = np.random.default_rng(seed)
    exemplars, tests = [], []
    for code, (test, exemplar) in enumerate(zip(data.tests, data.exemplars, strict=True)):
        rows = rng.permutation(np.flatnonzero(codes == code))
        tests.append(rows[:test])
        exemplars.append(rows[test : test + exemplar])
    return np.concatenate(exemplars), np.concatenate(tests)


def accuracies(
    data: DataSet,
    vectors: Vectors,
    codes: NDArray[np.intp],
    groups: tuple[slice, ...] | None,
    *,
    classes: int,
) -> list[float]:
    """Return the accuracy, good or defective, of each draw: the nearest exemplar decides.

    With `classes` 3 the fit knows the kinds of defect, with 2 only good and defective; with `groups` None
    nothing is fitted.
    """
    labels = codes if classes == 3 else (codes > 0).astype(np.intp)
    found = []
    for seed in range(SEEDS):
        known, asked = draw(data, codes, seed)
        left, right = vectors[asked], vectors[known]
        if groups is not None:
            metric = fit_metric(right, labels[known], groups=groups)
            left, right = metric.project(left), metric.project(right)
        rows, _ = nearest_rows(left, right, 1)
        guessed = winning_codes(labels[known][rows])
        found.append(float(np.mean((guessed > 0) == (codes[asked] > 0))))
    return found


def published() -> list[dict[str, str]]:
    path = SHARED / "qc_published.csv"
    if not path.is_file():
        print("  the published figures are left out: the developers' folder ../shared is not here")
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def protocol(cache: Path) -> None:
    title(f"few-shot inspection, {SEEDS} draws: mean accuracy ± standard deviation between draws")
    inspect, plain = (open_embedder(name, cache) for name in (INSPECT, PLAIN))
    rows = published()
    for data in data_sets():
        plain_vectors, codes = features_of(data, plain, cache)
        values = accuracies(data, plain_vectors, codes, None, classes=2)
        figure(f"{data.name}: {PLAIN}, plain", spread(values))
        vectors, codes = features_of(data, inspect, cache)
        figure(f"{data.name}: {INSPECT}, plain", spread(accuracies(data, vectors, codes, None, classes=2)))
        groups = cards()[INSPECT].groups
        values = accuracies(data, vectors, codes, groups, classes=2)
        figure(f"{data.name}: {INSPECT}, fitted to two classes", spread(values))
        values = accuracies(data, vectors, codes, groups, classes=3)
        mean = statistics.mean(values)
        figure(
            f"{data.name}: {INSPECT}, fitted to three classes",
            spread(values),
            f"at least {data.bounds[0]}",
            mean >= data.bounds[0],
        )
        vectors, codes = features_of(data, open_embedder(THREE, cache), cache)
        values = accuracies(data, vectors, codes, cards()[THREE].groups, classes=3)
        mean = statistics.mean(values)
        figure(
            f"{data.name}: {THREE}, fitted to three classes",
            spread(values),
            f"at least {data.bounds[1]}",
            mean >= data.bounds[1],
        )
        for row in sorted(rows, key=lambda row: -float(row[f"{data.name}_acc"])):
            other = float(row[f"{data.name}_acc"])
            verdict = "above" if mean > other else "equal" if mean == other else "below"
            figure(f"  published, one draw: {row['encoder']}", f"{other:.3f}", f"ours is {verdict}")


def throughput(cache: Path) -> None:
    title(f"images per second, {TIMED_IMAGES} textile photographs, from file to features")
    files = sorted(Path(textile_simulated_root()).glob("*/*.jpg"))[:TIMED_IMAGES]
    for name in (PLAIN, INSPECT, THREE):
        embedder = open_embedder(name, cache)
        with tempfile.TemporaryDirectory() as folder:
            kept = FeatureCache(Path(folder), embedder.fingerprint, embedder.dimension)
            spent = seconds(lambda: list(embed_files(files, embedder, kept)))  # noqa: B023 - called here
            kept.close()
        figure(name, f"{len(files) / spent:.0f}")


def fit_at_scale(count: int, dimension: int) -> None:
    """Fit a large collection in a process of its own, so that the peak is its own."""
    rng = np.random.default_rng(0)
    codes = rng.integers(10, size=count)
    vectors = rng.standard_normal((count, dimension), dtype=np.float32)
    vectors += 0.2 * rng.standard_normal((10, dimension), dtype=np.float32)[codes]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = [slice(start, start + dimension // 48) for start in range(0, dimension, dimension // 48)]
    spent = seconds(lambda: fit_metric(vectors, codes, groups=groups))
    figure(f"fit, {count:,} × {dimension:,}, seconds", f"{spent:.0f}", "at most 120", spent <= 120)
    peak = peak_memory_gib()
    figure("peak memory, GiB", f"{peak:.2f}", "at most 8", peak <= 8)


def main() -> None:
    # Features stay in the user's cache, so that a second run is quick.
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    protocol(cache)
    throughput(cache)
    if not SHORT:
        title("a fit of a large collection")
        in_own_process(fit_at_scale, 20_000, 5328)


if __name__ == "__main__":
    main()
