"""A small embedder for tests of what happens around one, and pictures for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lookalike.types import Features

CELLS = 3


class MeanColours:
    """The mean colour of each of 3 x 3 cells, 0 … 1: a real embedder, and fast; black is all zeros."""

    name = "mean-colours"
    fingerprint = "c0" * 32
    dimension = 3 * CELLS * CELLS
    input_size = CELLS

    def __init__(self, batch_size: int = 1) -> None:
        self.batch_size = batch_size
        self.calls: list[int] = []
        """Images of each call of `embed`."""
        self._lock = threading.Lock()

    def embed(self, images: Sequence[Image.Image]) -> Features:
        with self._lock:
            self.calls.append(len(images))
        return np.stack([mean_colours(image) for image in images])

    @property
    def embedded(self) -> int:
        return sum(self.calls)


def mean_colours(image: Image.Image) -> Features:
    rows = np.array_split(np.asarray(image, np.float64) / 255, CELLS, axis=0)
    cells = [cell for row in rows for cell in np.array_split(row, CELLS, axis=1)]
    return np.concatenate([cell.mean(axis=(0, 1)) for cell in cells]).astype(np.float32)


def picture(seed: int) -> Image.Image:
    """Return an image of 12 x 12 pixels that differs from seed to seed."""
    return Image.fromarray(np.random.default_rng(seed).integers(1, 256, (12, 12, 3), np.uint8))


def save(path: Path, seed: int) -> Path:
    """Write the picture of a seed to `path`, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path, "png")
    return path
