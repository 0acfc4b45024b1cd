"""Exact search beside the bare matrix product, and approximate search; others beside it: benchmarks/large.py.

No million of real embeddings is to be had here. Vectors are made from those of real photographs: two of one
data set are mixed, and differences between random ones are added, so that they lie as close together and vary
as real ones do, in 512 numbers (their principal components). Queries are made in the same way, and are in no
store.

Sizes come from LOOKALIKE_BENCH_EXACT and LOOKALIKE_BENCH_APPROXIMATE (200,000 each).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from benchmarks.figures import figure, in_own_process, median_ratio, peak_memory_gib, seconds, title
from benchmarks.inspection import PLAIN, data_sets, features_of
from lookalike.embedders.registry import open_embedder
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.types import Fields, Record, Space, Vectors
from lookalike.uris import record_id
from lookalike.vectors.nearest import nearest_rows

DIMENSION = 512
EXACT = int(os.environ.get("LOOKALIKE_BENCH_EXACT", "200_000"))
APPROXIMATE = int(os.environ.get("LOOKALIKE_BENCH_APPROXIMATE", "200_000"))
QUERIES = 200
BATCH = 500
K = 10
ROUNDS = 31
BLOCK = 10_000
SPACE = Space("made-up", "0" * 64, DIMENSION)


def real_vectors(cache: Path) -> list[Vectors]:
    """Return the vectors of real photographs, a matrix a data set, in principal components."""
    embedder = open_embedder(PLAIN, cache)
    found = [features_of(data, embedder, cache)[0] for data in data_sets()]
    _, _, axes = np.linalg.svd(np.concatenate(found), full_matrices=False)
    return [vectors @ axes[:DIMENSION].T for vectors in found]


def make(real: list[Vectors], count: int, seed: int) -> Vectors:
    """Make unit vectors of the structure of real ones."""
    rng = np.random.default_rng(seed)
    out = np.empty((count, DIMENSION), np.float32)
    for start in range(0, count, BLOCK):
        part = out[start : start + BLOCK]
        pool = real[rng.integers(len(real))]
        one, two, *others = pool[rng.integers(len(pool), size=(6, len(part)))]
        share = rng.random((len(part), 1), dtype=np.float32)
        part[:] = one + share * (two - one) + 0.3 * (others[0] - others[1] + others[2] - others[3])
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    rng.shuffle(out)
    return out


def write_store(url: str, vectors: Vectors, fields: Callable[[int], Fields] = lambda _row: {}) -> None:
    """Put the vectors into a new store; row n has the URI file:///n, and the fields of n."""
    with open_store(url) as store:
        store.create("made", SPACE)
        for start in range(0, len(vectors), BLOCK):
            uris = {row: f"file:///{row}" for row in range(start, min(start + BLOCK, len(vectors)))}
            records = [
                Record(record_id(uri), uri, "0" * 64, fields(row), {}, 1, 1) for row, uri in uris.items()
            ]
            store.put("made", records, {SPACE: vectors[start : start + BLOCK]})


def exact(url: str, vectors: Vectors, queries: Vectors) -> None:
    title(f"exact search, {len(vectors):,} × {DIMENSION}, one file of SQLite, warm")
    with open_store(url) as store:
        figure(
            "reading all vectors, s", f"{seconds(lambda: store.nearest('made', Query(queries[:1], K))):.1f}"
        )
        pairs = []
        for row in range(ROUNDS):
            one = queries[row : row + 1]
            bare = seconds(lambda: one @ vectors.T)  # noqa: B023 called at once
            pairs.append((seconds(lambda: store.nearest("made", Query(one, K))), bare))  # noqa: B023
        figure("one query, ms", f"{statistics.median(whole for whole, _ in pairs) * 1e3:.1f}")
        ratio = median_ratio(pairs)
        figure(
            f"store.nearest / bare product (median of {ROUNDS})", f"{ratio:.2f}", "at most 1.3", ratio <= 1.3
        )
        pairs = []
        for _ in range(5):
            bare = seconds(lambda: queries @ vectors.T)
            pairs.append((seconds(lambda: store.nearest("made", Query(queries, K))), bare))
        whole = statistics.median(spent for spent, _ in pairs) / len(queries)
        figure(f"{len(queries)} queries at once, ms a query", f"{whole * 1e3:.2f}")
        ratio = median_ratio(pairs)
        figure("store.nearest / bare product (median of 5)", f"{ratio:.2f}", "at most 1.3", ratio <= 1.3)


def measure(
    name: str,
    queries: Vectors,
    truth: NDArray[np.intp],
    ask: Callable[[Vectors], Any],
    before: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Ask one query after the other; print latency and recall, and return them."""
    ask(queries[:1])
    times, hits = [], 0
    for query, best in zip(queries, truth, strict=True):
        started = clock()
        found = ask(query[None])
        times.append(clock() - started)
        hits += len({int(row) for row in found} & set(best.tolist()))
    latency, recall = statistics.median(times) * 1e3, hits / truth.size
    figure(f"{name}: ms a query (median), recall@{K}", f"{latency:.2f}, {recall:.4f}")
    figure(f"{name}: memory beyond the start, GiB (peak)", f"{peak_memory_gib() - before:.2f}")
    return latency, recall


def shortlist(url: str, folder: Path, count: int, _dimension: int) -> None:
    """Build and search the shortlist of a store, in a process of its own."""
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / f"truth-{count}.npy")
    before = peak_memory_gib()
    with open_store(url) as store:
        figure("lookalike: build and measure, s", f"{seconds(lambda: store.build_index('made')):.1f}")
        approximation = store.collection("made").approximation
        assert approximation is not None
        figure(
            f"lookalike: its own recall@{approximation.k} on {approximation.queries}",
            f"{approximation.recall:.4f}",
        )
    size = sum(file.stat().st_size for file in Path(url.removeprefix("sqlite:///") + ".shortlist").iterdir())
    figure("lookalike: shortlist on disk, MB", f"{size / 1e6:.0f}")
    with open_store(url) as store:

        def ask(query: Vectors) -> list[str]:
            (hits,) = store.nearest("made", Query(query, K, approximate=True))
            return [hit.record.uri.rpartition("/")[2] for hit in hits]

        spent = seconds(lambda: ask(queries[:1]))
        figure("lookalike: first query of a process, s", f"{spent:.2f}")
        latency, recall = measure("lookalike", queries, truth, ask, before)
        figure("lookalike: ms a query", f"{latency:.1f}", "at most 5", latency <= 5)
        figure(f"lookalike: recall@{K}", f"{recall:.4f}", "at least 0.99", recall >= 0.99)
        spent = seconds(lambda: store.nearest("made", Query(queries, K, approximate=True))) / len(queries)
        figure(f"lookalike: {len(queries)} queries at once, ms a query", f"{spent * 1e3:.2f}")


def main() -> None:
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    real = real_vectors(cache)
    names = " and ".join(f"{len(vectors):,}" for vectors in real)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        most = max(EXACT, APPROXIMATE)
        title(f"vectors made from those of {names} real photographs ({PLAIN}, {DIMENSION} components)")
        vectors, queries = make(real, most, seed=0), make(real, BATCH, seed=1)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries[:QUERIES])
        for count in {EXACT, APPROXIMATE}:
            np.save(folder / f"truth-{count}.npy", nearest_rows(queries[:QUERIES], vectors[:count], K)[0])
        cosines = queries[:QUERIES] @ vectors[:BLOCK].T
        figure(
            "cosine of two of them, mean and standard deviation", f"{cosines.mean():.3f}, {cosines.std():.3f}"
        )
        urls = {count: f"sqlite:///{folder}/{count}.db" for count in (EXACT, APPROXIMATE)}
        for count, url in urls.items():
            spent = seconds(lambda: write_store(url, vectors[:count]))  # noqa: B023 called at once
            figure(f"writing {count:,} records, a second", f"{count / spent:,.0f}")
        exact(urls[EXACT], vectors[:EXACT], queries)
        for count in dict.fromkeys((EXACT, APPROXIMATE)):
            title(f"approximate search, {count:,} × {DIMENSION}, one query after the other")
            in_own_process(partial(shortlist, urls[count], folder), count, DIMENSION)


if __name__ == "__main__":
    main()
