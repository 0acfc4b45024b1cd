"""Sentences to pictures without CLIP: recall on captioned stamps of Tux Paint, weak hits, and the time."""

from __future__ import annotations

import os
import re
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from PIL import Image

import lookalike.embedders.builtin
from benchmarks.figures import figure, seconds, title
from lookalike.embedders.builtin.efficientnet_lite import EfficientNetLite0
from lookalike.search.background import background_vectors
from lookalike.search.nonsense import NonsenseCutoff, nonsense_cutoff, nonsense_texts
from lookalike.types import Vectors
from lookalike.vectors.metric import normalise

# Where the Debian package tuxpaint-stamps-default puts them, or where it was unpacked.
STAMPS = Path(os.environ.get("LOOKALIKE_STAMPS", "/usr/share/tuxpaint/stamps"))


class Stamp(NamedTuple):
    """A picture and its captions."""

    picture: Path
    english: str
    korean: str | None


def stamps(folder: Path) -> list[Stamp]:
    """Read the caption beside each picture: English in the first line, then lines as `ko.utf8=…`."""
    found = []
    for picture in sorted(folder.rglob("*.png")):
        caption = picture.with_suffix(".txt")
        if caption.exists():
            lines = caption.read_text(encoding="utf-8", errors="replace").splitlines()
            korean = [line.removeprefix("ko.utf8=").strip() for line in lines if line.startswith("ko.utf8=")]
            found.append(Stamp(picture, lines[0].strip(), korean[0] if korean and korean[0] else None))
    return found


def on_white(path: Path) -> Image.Image:
    with Image.open(path) as image:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def ranks(
    queries: NDArray[np.float32], features: NDArray[np.float32], wanted: list[int]
) -> NDArray[np.int64]:
    """Return how many pictures come before the wanted one; equal ones count as before."""
    likeness = queries @ features.T
    own = likeness[np.arange(len(wanted)), wanted]
    found: NDArray[np.int64] = (likeness >= own[:, np.newaxis]).sum(axis=1) - 1
    return found


def named_stamps(found: list[Stamp]) -> dict[str, list[int]]:
    """Return the right pictures of words: of names of ImageNet's classes, English and Korean.

    A picture is right where its English caption has the name, or its plural, as whole words.
    """
    captions = [re.findall(r"[a-z]+", stamp.english.lower()) for stamp in found]
    right: dict[str, list[int]] = {}
    for english, korean in class_names():
        words = re.findall(r"[a-z]+", english.lower())
        several = [*words[:-1], f"{words[-1]}s"]
        rows = [
            row
            for row, caption in enumerate(captions)
            if any(caption[at : at + len(words)] in (words, several) for at in range(len(caption)))
        ]
        if rows:
            right[english] = right[korean] = rows
    return right


def class_names() -> list[tuple[str, str]]:
    """Return the first English and Korean name of each class of ImageNet."""
    data = Path(lookalike.embedders.builtin.__file__).parent / "data" / "classes.tsv"
    rows = [line.split("\t") for line in data.read_text(encoding="utf-8").splitlines()[1:]]
    return [(english.split(",")[0].strip(), korean.split(",")[0].strip()) for _, english, korean in rows]


def weak_hits(model: EfficientNetLite0, found: list[Stamp], drawings: Vectors, cache: Path) -> None:
    """Print which part of the right pictures of words is not weak, and how often nonsense finds something."""
    title("words: which hits are weak")
    nonsense = background_vectors(model, cache, listed=nonsense_texts())
    others = normalise(model.embed_texts(nonsense_texts(300, "benchmark")))
    names = normalise(model.embed_texts([name for pair in class_names()[::5] for name in pair]))
    right = named_stamps(found)
    words = normalise(model.embed_texts(list(right)))
    with lookalike.open(f"sqlite:///{cache / 'words.db'}", cache=cache) as database:
        database["textile"].index(textile_simulated_root())
        _, textile = database["textile"].vectors.read()
    some = np.sort(np.random.default_rng(0).choice(len(drawings), 309, replace=False))
    for what, sample in (("stamps", drawings), ("309 stamps", drawings[some]), ("textile", textile)):
        cutoff = nonsense_cutoff(nonsense, [1], sample, len(sample))

        def finds(queries: Vectors, cutoff: NonsenseCutoff = cutoff, sample: Vectors = sample) -> float:
            limits = np.array([cutoff.similarity(query) for query in queries])
            return float(((queries @ sample.T).max(axis=1) >= limits).mean())

        share = finds(others)
        figure(f"nonsense that finds something in {what}", f"{share:.3f}", "≤ 0.05", share <= 0.05)
        figure(f"names of classes that find something in {what}", f"{finds(names):.3f}")
        if what != "textile":
            place = {
                int(row): at for at, row in enumerate(range(len(drawings)) if what == "stamps" else some)
            }
            shares = []
            for word, rows in zip(words, right.values(), strict=True):
                there = [place[row] for row in rows if row in place]
                if there:
                    shares.append(float((sample[there] @ word >= cutoff.similarity(word)).mean()))
            kept = float(np.mean(shares))
            counted = f"{len(shares)} words with pictures in {what}"
            figure(f"right pictures that are not weak, {counted}", f"{kept:.3f}", "≥ 0.5", kept >= 0.5)


def main() -> None:
    title("words: a stamp's caption finds the stamp, among all stamps of Tux Paint")
    found = stamps(STAMPS)
    if not found:
        print("  skipped: no stamps; apt-get install tuxpaint-stamps-default, or LOOKALIKE_STAMPS=FOLDER")
        return
    with tempfile.TemporaryDirectory() as cache:
        model = EfficientNetLite0(Path(cache))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            rows = threads.map(lambda stamp: model.embed([on_white(stamp.picture)])[0], found)
            features = np.stack(list(rows))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        weak_hits(model, found, features, Path(cache))
    # The bounds are the prototype's: names of the classes alone, in English.
    for language, bound in (("english", 0.25), ("korean", 0.13)):
        captions = [(number, getattr(stamp, language)) for number, stamp in enumerate(found)]
        captions = [(number, caption) for number, caption in captions if caption]
        queries = model.embed_texts([caption for _, caption in captions])
        before = ranks(queries, features, [number for number, _ in captions])
        what = f"{language}, {len(captions)} captions, {len(found)} pictures"
        recall = float((before < 10).mean())
        figure(f"recall@10, {what}", f"{recall:.3f}", f"> {bound}", recall > bound)
        figure(f"recall@1, {what}", f"{(before < 1).mean():.3f}")
    figure("recall@10 by chance", f"{10 / len(found):.3f}")
    times = [seconds(lambda: model.embed_texts(["a mountain covered in snow"])) for _ in range(50)]
    spent = 1000 * statistics.median(times)
    figure("one sentence, warm, median of 50, ms", f"{spent:.0f}", "≤ 20", spent <= 20)


if __name__ == "__main__":
    main()
