"""Images per second of each model that can run here, files to vectors, beside its bare runtime."""

# ruff: noqa: SLF001 the bare runtime is what lies below an embedder

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from conformal_clip_data import textile_simulated_root
from PIL import Image

from benchmarks.figures import figure, median_ratio, seconds, title
from lookalike.embedders.builtin.efficientnet_lite import EfficientNetLite0, resized
from lookalike.embedders.builtin.efficientnet_lite_inspect import EfficientNetLite0Inspect
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.onnx.embedder import OnnxEmbedder
from lookalike.embedders.protocol import Embedder
from lookalike.embedders.registry import cards, known_cards, open_embedder
from lookalike.ingest.embedding import embed_files

ROUNDS = 5
BOUND = 0.85
# About as many seconds a round, whatever the model.
SECONDS = 2.0
CLIP = Path(__file__).parents[1] / "tests" / "data" / "clip"


def bare(embedder: Embedder, image: Image.Image) -> Callable[[], object]:
    """Return what infers one image that is decoded and resized, and nothing else."""
    engine: Any = embedder
    if isinstance(embedder, EfficientNetLite0):
        pixels = resized(image, embedder.input_size)[np.newaxis]
        return lambda: engine._session.run(["features"], {"image": pixels})
    if isinstance(embedder, EfficientNetLite0Inspect):
        small, large = (resized(image, side)[np.newaxis] for side in (224, 448))
        mirrored = np.ascontiguousarray(small[:, :, ::-1])
        return lambda: [engine._session.run(["statistics"], {"image": x}) for x in (small, mirrored, large)]
    views = engine._model.views if isinstance(embedder, OnnxEmbedder) else engine.network.views
    inputs = [np.stack([each]) for view in views for each in view.inputs(image)]
    return lambda: [engine._infer(each) for each in inputs]


def as_installed(embedder: EfficientNetLite0, image: Image.Image) -> Callable[[], object]:
    """Return what infers one image as ONNX Runtime does it unless told otherwise: one call on all cores."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(embedder._models / f"{embedder._file_stem}.onnx"), providers=["CPUExecutionProvider"]
    )
    pixels = resized(image, embedder.input_size)[np.newaxis]
    return lambda: session.run(["features"], {"image": pixels})


def through(embedder: Embedder, files: list[Path]) -> None:
    """Take files to vectors as `index` does, none of which is known before."""
    with tempfile.TemporaryDirectory() as folder:
        features = FeatureCache(Path(folder), embedder.fingerprint, embedder.dimension)
        assert len(list(embed_files(files, embedder, features))) == len(files)
        features.close()


def measure(name: str, cache: Path, files: list[Path], **options: Any) -> None:
    """Measure one model: what the pipeline reaches, and what its runtime does with all cores at it."""
    embedder = open_embedder(name, cache, device="cpu", **options)
    image = Image.open(files[0]).convert("RGB")
    infer = bare(embedder, image)
    default = as_installed(embedder, image) if isinstance(embedder, EfficientNetLite0) else None
    infer()
    count = max(16, min(len(files), int(SECONDS / seconds(infer))))
    cores = len(os.sched_getaffinity(0))
    runs = []
    for _ in range(ROUNDS):
        with ThreadPoolExecutor(cores) as pool:
            alone = seconds(lambda: list(pool.map(lambda _: infer(), range(count))))
        whole = seconds(lambda: through(embedder, files[:count]))
        usual = alone if default is None else seconds(lambda: [default() for _ in range(count)])
        runs.append((alone, whole, usual))
    ratio = median_ratio([(alone, whole) for alone, whole, _ in runs])
    label = name if len(name) < 40 else f"{name.partition(':')[0]}:…{name[-30:]}"
    figure(f"{label}, bare, images per second", f"{count / min(run[0] for run in runs):.0f}")
    figure(f"{label}, files to vectors", f"{count / min(run[1] for run in runs):.0f}")
    # A model of a few microseconds an image shows the decoding of files, and is held against nothing.
    small = count / min(run[0] for run in runs) > 5 * 400
    if small or default is not None:
        figure(f"{label}, files / bare (median of {ROUNDS} in turn)", f"{ratio:.2f}")
    else:
        figure(
            f"{label}, files / bare (median of {ROUNDS} in turn)", f"{ratio:.2f}", "≥ 0.85", ratio >= BOUND
        )
    if default is not None:
        ratio = median_ratio([(usual, whole) for _, whole, usual in runs])
        figure(
            f"{label}, files / bare with ONNX Runtime's defaults", f"{ratio:.2f}", "≥ 0.85", ratio >= BOUND
        )


def main() -> None:
    title("models: files of 250 × 250 pixels to vectors, beside the bare runtime with a call a core")
    files = sorted(textile_simulated_root().glob("*/*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        for name in cards():
            measure(name, cache, files)
        measure(f"onnx:{CLIP}", cache, files)
        for card in known_cards(cache).values():
            if card.here and card.name not in cards():
                measure(card.name, cache, files)
        if find_spec("timm") is None:
            figure("models of torch", "not here", "make test-torch")
            return
        # Their weights say nothing of the speed: made at random where the hub's are not here.
        from tests.torch import weights as made

        for name in ("densenet121.tv_in1k", "vit_small_patch14_dinov2.lvd142m"):
            made.timm_folder(cache / name, name)
            measure(f"timm:{name}", cache, files, weights=cache / name)
        clip = cache / "clip"
        made.open_clip_folder(clip, "ViT-B-32", quick_gelu=True)
        measure("open_clip:ViT-B-32/openai", cache, files, weights=clip)


if __name__ == "__main__":
    main()
