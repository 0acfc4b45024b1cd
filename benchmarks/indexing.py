"""Indexing beside the bare model, indexing again, and a cold search."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import figure, median_ratio, seconds, title
from lookalike.database import Database
from lookalike.embedders.models import DEFAULT_MODEL

ROUNDS = 5
# Of the 2,000 photographs so many are compared, by ratios of runs in turn: a few seconds each are enough.
COMPARED = 400
SIDE = 224
INDEX = "lookalike index"


class Limit:
    """Decoding, resizing and inference by bare calls alone: each step for all images, a call a core."""

    def __init__(self, session: Any, contents: list[bytes]) -> None:
        self._session = session
        self._contents = contents

    def __call__(self) -> None:
        """Take all images through the three steps."""
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            images = list(pool.map(self._decoded, self._contents))
            inputs = list(pool.map(resized, images))
            list(pool.map(lambda image: self._session.run(["features"], {"image": image}), inputs))

    @staticmethod
    def _decoded(content: bytes) -> Image.Image:
        image = Image.open(BytesIO(content))
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        image.load()
        return image


def resized(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0))[np.newaxis]


def bare_model(session: Any, inputs: list[NDArray[np.uint8]], threads: int) -> None:
    """Run nothing but the model, on images that are decoded, resized and in memory."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda image: session.run(["features"], {"image": image}), inputs))


def plain_loop(session: Any, files: list[Path]) -> None:
    """Embed files as one would write it with Pillow and ONNX Runtime, without a second thought."""
    for file in files:
        image = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        session.run(["features"], {"image": np.asarray(image)[np.newaxis]})


def command(*words: str, store: Path, cache: Path) -> None:
    program = Path(sys.executable).with_name("lookalike")
    words = (*words, "--store", f"sqlite:///{store}", "--cache", str(cache))
    subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)


class Spent(NamedTuple):
    """What one call took."""

    seconds: float
    cpu: float
    """Of all threads together."""


def spent(call: Callable[[], object]) -> Spent:
    before = time.process_time()
    took = seconds(call)
    return Spent(took, time.process_time() - before)


def main() -> None:
    root = textile_simulated_root()
    files = sorted(root.glob("*/*.jpg"))
    compared = files[:: len(files) // COMPARED]
    title(f"indexing {len(compared)} textile photographs, 250 × 250 pixels")
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
        inputs = [resized(Image.open(file).convert("RGB")) for file in compared]
        limit = Limit(single, [file.read_bytes() for file in compared])
        acts: dict[str, Callable[[], object]] = {
            "bare model, ONNX Runtime's defaults": lambda: bare_model(default, inputs, 1),
            "bare model, a call a core": lambda: bare_model(single, inputs, cores),
            "loop of Pillow and ONNX Runtime": lambda: plain_loop(default, compared),
            "decode, resize and model, a call a core": limit,
        }
        runs: dict[str, list[Spent]] = {name: [] for name in (*acts, INDEX)}
        for number in range(ROUNDS):
            for name, act in acts.items():
                runs[name].append(spent(act))
            cache = Path(folder) / f"cache{number}"
            cache.mkdir()
            (cache / "models").symlink_to(models / "models")
            with Database(f"sqlite:///{folder}/{number}.db", cache=cache) as database:
                database.embedder(DEFAULT_MODEL)
                runs[INDEX].append(spent(lambda: database["textile"].index(compared)))
        for name, each in runs.items():
            figure(f"{name}, images per second", f"{len(compared) / min(one.seconds for one in each):.0f}")
        fastest = min(one.cpu for one in runs[INDEX])
        figure("index, images per second of a core", f"{len(compared) / fastest:.0f}")

        def ratio(name: str, kind: str) -> float:
            turns = zip(runs[name], runs[INDEX], strict=True)
            return median_ratio([(getattr(one, kind), getattr(whole, kind)) for one, whole in turns])

        first, second, loop, all_three = acts
        figure(
            "index / bare model, defaults (median of 5 in turn)",
            f"{(found := ratio(first, 'seconds')):.2f}",
            "≥ 0.85",
            found >= 0.85,
        )
        figure("index / bare model, a call a core (median of 5 in turn)", f"{ratio(second, 'seconds'):.2f}")
        figure("index / that loop (median of 5 in turn)", f"{ratio(loop, 'seconds'):.2f}")
        figure(
            "index / decode, resize, model: processor time",
            f"{(found := ratio(all_three, 'cpu')):.2f}",
            "≥ 0.97",
            found >= 0.97,
        )

        store, cache = Path(folder) / "0.db", Path(folder) / "cache0"
        command("index", str(root), "-c", "textile", store=store, cache=cache)
        again = min(
            seconds(lambda: command("index", str(root), "-c", "textile", store=store, cache=cache))
            for _ in range(ROUNDS)
        )
        figure(f"index again, {len(files):,} unchanged, whole process, s", f"{again:.2f}", "≤ 3", again <= 3)
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
