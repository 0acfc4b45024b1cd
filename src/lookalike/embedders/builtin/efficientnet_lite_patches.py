"""Patch features of EfficientNet-Lite0: what it sees at each place of an image, and over the whole of it.

Read for anomaly maps (see `lookalike.anomaly`). Defects are small and low in the network, so the fine patches
come from blocks 2 and 4, eight pixels apart; what is wrong in shape shows in blocks 7 and 10, sixteen pixels
apart; what is wrong everywhere, a weave that is too coarse, shows in no patch and in the statistics over all
of them. docs/anomaly.md has the figures of what was tried.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from lookalike.embedders.builtin.efficientnet_lite import WEIGHTS_SHA256, open_graph, resized
from lookalike.embedders.builtin.patches import LITE0, Patches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

    from lookalike.embedders.builtin.efficientnet_lite_graph import Weights
    from lookalike.embedders.protocol import Device
    from lookalike.types import Features

SIDE = 448
"""Pixels a side that every image is resized to."""

# Whoever changes a number that comes out changes this text.
_RECIPE = (
    f"patches graph 1; whole image to {SIDE} x {SIDE} by Pillow bicubic, reducing gap 3; "
    "(pixel - 127) / 128; 3 x 3 means of blocks 2 4 and 7 10; mean and log deviation of blocks 2 4 7 10 14"
)


class EfficientNetLite0Patches:
    """Patch features as an embedder, one row for each image: see `protocol.Embedder`, `patches_of`."""

    name = "efficientnet-lite0-patches"
    dimension = sum(LITE0.sizes)
    input_size = SIDE
    batch_size = 1
    fingerprint = hashlib.sha256(f"{WEIGHTS_SHA256}; {_RECIPE}".encode()).hexdigest()

    def __init__(self, cache: Path, device: Device = "cpu") -> None:
        """Open the embedder.

        Args:
            cache: the user's cache folder; the graph is kept in its folder `models`.
            device: where it runs.

        Raises:
            WeightsInvalid: the weights are damaged, and no graph was built from them yet.
        """

        def build(weights: Weights) -> bytes:
            from lookalike.embedders.builtin.efficientnet_lite_graph import build_patch_graph

            return build_patch_graph(weights)

        path = cache / "models" / f"{self.name}-{self.fingerprint[:12]}.onnx"
        self._session = open_graph(path, build, device)

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images of any sizes.

        Args:
            images: of mode RGB, none of them empty.

        Returns:
            float32 of shape (len(images), dimension), in the order given: for `patches_of`.

        Raises:
            InvalidArgument: an image is not of mode RGB, or empty.
        """
        features = np.empty((len(images), self.dimension), np.float32)
        for row, image in zip(features, images, strict=True):
            found = self._session.run(list(Patches._fields), {"image": resized(image, SIDE)[np.newaxis]})
            np.concatenate([part.ravel() for part in found], out=row)
        return features
