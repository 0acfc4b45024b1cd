"""Sentences to pictures without CLIP: recall on the captioned stamps of Tux Paint, and the time it takes."""

from __future__ import annotations

import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import figure, seconds, title
from lookalike.embedders.builtin.efficientnet_lite import EfficientNetLite0

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
