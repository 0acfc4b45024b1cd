"""Explanations of classifications, on pasted defects whose place is known: what no voter has, and the pair.

Voters are drawn and not searched for, so that only the maps are judged: five good pictures for a defect that
nobody has seen, five others of its kind against five good ones for the pair.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from platformdirs import user_cache_path

from benchmarks.anomaly import paste
from benchmarks.figures import figure, title
from benchmarks.inspection import DataSet, data_sets
from lookalike.anomaly.scoring import boxes_of
from lookalike.classification.correspondence import best_match, novelty, whitened
from lookalike.embedders.builtin.efficientnet_lite_patches import EfficientNetLite0Patches
from lookalike.embedders.builtin.patches import Patches, patches_of

GOOD, EACH, VOTERS = 24, 8, 5
# Scratch, blob, hole and colour; a patch from elsewhere has nothing in common with another one.
KINDS = range(4)
FINE = 56


def measure(data: DataSet, embedder: EfficientNetLite0Patches) -> None:
    """Print how often boxes and pairs are where the defects are."""
    files = sorted((data.root / data.classes[0]).iterdir())[: GOOD + VOTERS + len(KINDS) * EACH]

    def patches(image: Image.Image) -> Patches:
        return patches_of(embedder.embed([image])[0])

    pictures = [Image.open(file).convert("RGB") for file in files]
    good = [patches(each) for each in pictures[: GOOD + VOTERS]]
    random = np.random.default_rng(0)

    def drawn(some: list[Patches], without: int | None = None) -> list[int]:
        return [int(place) for place in random.permutation(len(some)) if place != without][:VOTERS]

    false = 0
    for place in range(GOOD):
        image, *voters = whitened([good[place], *(good[each] for each in drawn(good, place))])
        found, peaks = novelty(image, voters)
        false += bool(boxes_of(found, float(peaks.max())))
    boxed = peak = pair = 0
    started = time.process_time()
    for kind in KINDS:
        numbers = [kind + 5 * number for number in range(EACH)]
        made = [
            paste(pictures[GOOD + VOTERS + kind * EACH + at], number) for at, number in enumerate(numbers)
        ]
        masks = [np.asarray(mask.resize((FINE, FINE), Image.Resampling.BOX)) > 0 for _, mask, _ in made]
        own = [patches(image) for image, _, _ in made]
        for place in range(EACH):
            others = [good[each] for each in drawn(good)]
            image, *voters = whitened([own[place], *others])
            found, peaks = novelty(image, voters)
            boxed += bool(boxes_of(found, float(peaks.max())))
            row, column = divmod(int(found.argmax()), FINE)
            peak += is_on(masks[place], row, column, 1)
            same = drawn(own, place)
            image, *both = whitened([own[place], *(own[each] for each in same), *others])
            match = best_match(image, both[:VOTERS], both[VOTERS:])
            pair += (
                match is not None
                and is_on(masks[place], match.row, match.column, 2)
                and is_on(masks[same[match.image]], match.other_row, match.other_column, 2)
            )
    tested = len(KINDS) * EACH
    title(f"{data.name}: explanations of {tested} pictures with a pasted defect, {VOTERS} voters")
    figure("unseen defects that have a box", f"{boxed} of {tested}")
    figure("the highest value lies on the defect", f"{peak} of {tested}")
    rate = 1 / (VOTERS + 1)
    figure("good pictures that have a box", f"{false} of {GOOD}", f"≤ {rate:.2f} promised")
    figure("the pair lies on the defects of both pictures", f"{pair} of {tested}")
    figure("CPU seconds for both", f"{(time.process_time() - started) / tested:.2f}")


def is_on(mask: NDArray[np.bool_], row: int, column: int, size: int) -> bool:
    """Tell whether a patch, of `size` places a side and with those around it, touches a defect."""
    rows, columns = (slice(max(0, (at - 1) * size), (at + 2) * size) for at in (row, column))
    return bool(mask[rows, columns].any())


def main() -> None:
    embedder = EfficientNetLite0Patches(Path(user_cache_path("lookalike")), "cpu")
    for data in data_sets():
        measure(data, embedder)
