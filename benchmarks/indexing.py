"""Indexing beside the bare model, indexing again, and a cold search."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import figure, median_ratio, seconds, title
from lookalike.database import Database
from lookalike.embedders.models import DEFAULT_MODEL

ROUNDS = 5


def bare_model(session: Any, images: list[NDArray[np.uint8]], threads: int) -> None:
    """Run nothing but the model, on images that are decoded, resized and in memory."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda image: session.run(["features"], {"image": image[None]}), images))


def command(*words: str, store: Path, cache: Path) -> None:
    program = Path(sys.executable).with_name("lookalike")
    words = (*words, "--store", f"sqlite:///{store}", "--cache", str(cache))
    subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    title("indexing 2,000 textile photographs, 250 × 250 pixels")
    root = textile_simulated_root()
    files = sorted(root.glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models-only"
        with Database(f"sqlite:///{folder}/none.db", cache=models) as database:
            database.embedder(DEFAULT_MODEL)
        (graph,) = (models / "models").glob("*.onnx")
        # As the pipeline runs it: one thread a call, a call a core. And as one would without thinking.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        single = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        default = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        cores = len(os.sched_getaffinity(0))
        images = [np.asarray(Image.open(file).convert("RGB").resize((224, 224))) for file in files]
        runs = []
        for number in range(ROUNDS):
            cache = Path(folder) / f"cache{number}"
            cache.mkdir()
            (cache / "models").symlink_to(models / "models")
            bare = seconds(lambda: bare_model(default, images, 1))
            best_bare = seconds(lambda: bare_model(single, images, cores))
            with Database(f"sqlite:///{folder}/{number}.db", cache=cache) as database:
                database.embedder(DEFAULT_MODEL)
                whole = seconds(lambda: database["textile"].index([root]))
            runs.append((bare, best_bare, whole))
        best = [min(column) for column in zip(*runs, strict=True)]
        names = ("bare model, ONNX Runtime's defaults", "bare model, a call a core", "lookalike index")
        for name, spent in zip(names, best, strict=True):
            figure(f"{name}, images per second", f"{len(files) / spent:.0f}")
        ratio = median_ratio([(default, whole) for default, _, whole in runs])
        figure("index / bare model, defaults (median of 5 in turn)", f"{ratio:.2f}", "≥ 0.85", ratio >= 0.85)
        ratio = median_ratio([(single, whole) for _, single, whole in runs])
        figure("index / bare model, a call a core (median of 5 in turn)", f"{ratio:.2f}")

        store, cache = Path(folder) / "0.db", Path(folder) / "cache0"
        again = min(
            seconds(lambda: command("index", str(root), "-c", "textile", store=store, cache=cache))
            for _ in range(ROUNDS)
        )
        figure("index again, nothing changed, whole process, s", f"{again:.2f}", "≤ 3", again <= 3)
        stranger = Path(folder) / "stranger.png"
        Image.open(files[0]).transpose(Image.Transpose.ROTATE_90).save(stranger)
        times = []
        for number in range(ROUNDS):
            fresh = Path(folder) / f"search{number}"
            fresh.mkdir()
            (fresh / "models").symlink_to(models / "models")
            times.append(
                seconds(
                    lambda: command("search", str(stranger), "-c", "textile", store=store, cache=fresh)  # noqa: B023
                )
            )
        figure(
            "cold search of a new picture, whole process, s",
            f"{max(times):.2f}",
            "at most 1.5",
            max(times) <= 1.5,
        )


if __name__ == "__main__":
    main()
