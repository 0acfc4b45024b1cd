"""Leave-one-out beside the bare matrix product, and its memory at 100,000 images (30,000 with --short)."""

from __future__ import annotations

import numpy as np

from benchmarks.figures import SHORT, figure, in_own_process, median_ratio, peak_memory_gib, seconds, title
from lookalike.evaluation.evaluate import evaluate
from lookalike.types import Record, Vectors
from lookalike.uris import record_id

ROUNDS = 3
CLASSES = 10


def collection(count: int, dimension: int) -> tuple[list[Record], Vectors]:
    """Make unit vectors around ten centres, with records in order of id."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, dimension), dtype=np.float32)
    labels = rng.integers(CLASSES, size=count)
    vectors += 0.15 * rng.standard_normal((CLASSES, dimension), dtype=np.float32)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = sorted(record_id(f"file:///{number}") for number in range(count))
    records = [
        Record(name, f"file:///{number}", name * 2, {"label": str(label)}, {}, 1, 1)
        for number, (name, label) in enumerate(zip(ids, labels, strict=True))
    ]
    return records, vectors


def at_scale(count: int, dimension: int) -> None:
    """Evaluate a large collection in a process of its own, so that the peak is its own."""
    records, vectors = collection(count, dimension)
    before = peak_memory_gib()
    spent = seconds(lambda: evaluate(records, vectors, "label"))
    figure(f"{count:,} × {dimension:,}, seconds", f"{spent:.0f}")
    peak = peak_memory_gib()
    figure(f"peak memory, GiB ({before:.1f} before the evaluation)", f"{peak:.2f}", "at most 4", peak <= 4)


def main() -> None:
    title("leave-one-out, k = 5")
    records, vectors = collection(8000, 1280)
    pairs = []
    for _ in range(ROUNDS):
        bare = seconds(lambda: vectors @ vectors.T)
        whole = seconds(lambda: evaluate(records, vectors, "label"))
        pairs.append((whole, bare))
    ratio = median_ratio(pairs)
    figure("8,000 × 1,280, evaluate, seconds", f"{min(whole for whole, _ in pairs):.2f}")
    figure("evaluate / bare matrix product (median of 3)", f"{ratio:.2f}", "at most 3", ratio <= 3)
    in_own_process(at_scale, 30_000 if SHORT else 100_000, 1280)


if __name__ == "__main__":
    main()
