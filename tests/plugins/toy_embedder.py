"""A model of another package: the colours of 8 x 8 cells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lookalike.embedders.protocol import Card, Device
from lookalike.errors import ModelNotFound
from lookalike.types import Features

CELLS = 8


class ToyEmbedder:
    """See `lookalike.embedders.protocol.Embedder`."""

    dimension = 3 * CELLS * CELLS
    input_size = CELLS
    batch_size = 4

    def __init__(self, name: str) -> None:
        self.name = name
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()
        self.card = Card(name, self.dimension, "Apache-2.0", 1, "Colours of cells.", "tests/plugins")

    def embed(self, images: Sequence[Image.Image]) -> Features:
        features = np.empty((len(images), self.dimension), np.float32)
        for row, image in zip(features, images, strict=True):
            cells = image.resize((CELLS, CELLS), Image.Resampling.BOX)
            row[:] = np.asarray(cells, np.float32).ravel() / 255 + 0.01
        return features


def open_toy(name: str, cache: Path, *, weights: Path | None, device: Device) -> ToyEmbedder:
    """Open `toy:colours`, the one model that there is."""
    if name != "toy:colours":
        raise ModelNotFound(name, ["toy:colours"])
    return ToyEmbedder(name)
