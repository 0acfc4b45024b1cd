"""The embedders `onnx:PATH`: any ONNX image encoder, with its text side if it has one."""

from __future__ import annotations

import hashlib
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.embedders.file_digests import digest_of, external_data
from lookalike.embedders.onnx.folder import find_model
from lookalike.embedders.onnx.runtime import Graph, Port
from lookalike.embedders.protocol import Card, Described, Embedder, TextEmbedder
from lookalike.embedders.text.blank import refuse_blank
from lookalike.embedders.text.tokens import Tokens
from lookalike.embedders.views import embed_views
from lookalike.errors import WeightsInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.embedders.onnx.card import OnnxModel, TextSide
    from lookalike.embedders.protocol import Device
    from lookalike.types import Features

OUTPUTS = (
    "image_embeds",
    "text_embeds",
    "sentence_embedding",
    "pooler_output",
    "features",
    "last_hidden_state",
)
"""Outputs that are taken, in this order, where the card names none: those of transformers and ours."""

MOST_NUMBERS = 1 << 26
"""Of an image: 3 × 4,096 × 4,096 of its pixels, and what comes out, before tokens are pooled."""
TRY_SECONDS = 60.0
"""Within which a graph must have answered for one blank picture, when it is opened."""

_MOST_BATCH = 1024
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_WHOLE = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
# Images a call on a GPU: it idles on fewer.
_GPU_BATCH = 16


def open_onnx(path: Path, cache: Path, device: Device = "auto") -> OnnxEmbedder:
    """Open an ONNX image encoder.

    Args:
        path: an ONNX file with its card beside it, or a folder.
        cache: the user's cache folder.
        device: where it runs.

    Returns:
        An `OnnxTextEmbedder` where the model has a text side.

    Raises:
        PathNotFound: nothing is there.
        WeightsInvalid: the model, its card or a file of it cannot be used.
    """
    model = find_model(path)
    kind = OnnxEmbedder if model.text is None else OnnxTextEmbedder
    return kind(path, model, cache, device)


class OnnxEmbedder(Embedder, Described):
    """An ONNX image encoder as an embedder; see `lookalike.embedders.registry.Embedder`."""

    def __init__(self, path: Path, model: OnnxModel, cache: Path, device: Device) -> None:
        """Open a model that was found.

        Args:
            path: where, as the user named it.
            model: what was found there.
            cache: the user's cache folder.
            device: where it runs.

        Raises:
            WeightsInvalid: the graph does not fit what its card says.
        """
        self._model = model
        self._cache = cache
        self._device = device
        self._graph = _open(model.graph, device)
        self._input = _port(model.graph, self._graph.inputs, model.input, "input")
        output = _port(model.graph, self._graph.outputs, model.output, "output")
        self._output = output.name
        for port in (self._input, output):
            _check_size(model.graph, port)
        if self._input.type not in _TYPES:
            raise WeightsInvalid(
                str(model.graph), f"its input {self._input.name} is {self._input.type}, not floats"
            )
        others = [port.name for port in self._graph.inputs if port.name != self._input.name]
        if others:
            raise WeightsInvalid(
                str(model.graph), f"needs the input {others[0]} too: this is no image encoder alone"
            )
        self._fixed: int | None = self._input.shape[0] if self._input.shape else None
        self._name = f"onnx:{path.resolve()}"
        files = [model.graph, *external_data(model.graph)]
        recipe = "; ".join([f"{self._output}, {model.pool}", *(view.recipe for view in model.views)])
        weights = digest_of(files, cache)
        self._fingerprint = hashlib.sha256(f"onnx 1; {weights}; {recipe}".encode()).hexdigest()
        # An inference tells the dimension where the graph leaves it open, and that the card fits the graph.
        blank = [np.zeros(_shape(view.preprocessing), np.float32) for view in model.views]
        widths = [self._infer(view[np.newaxis], tries=True).shape[1] for view in blank]
        self._dimension = int(sum(widths))
        if model.groups and sum(model.groups) != self._dimension:
            raise WeightsInvalid(
                str(path), f"its groups have {sum(model.groups):,} columns, its features {self._dimension:,}"
            )
        self._size = sum(file.stat().st_size for file in files)

    @property
    def name(self) -> str:
        """The path, made absolute, after `onnx:`."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Over the content of the graph and its preprocessing; the text side and the path have no part."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers per image."""
        return self._dimension

    @property
    def input_size(self) -> int:
        """Shorter side that images are resized to."""
        return max(view.preprocessing.input_size for view in self._model.views)

    @property
    def batch_size(self) -> int:
        """One on a CPU, where each core takes a call of its own."""
        if self._fixed is not None:
            return self._fixed
        return _GPU_BATCH if self._graph.on_gpu else 1

    @property
    def card(self) -> Card:
        """What the card beside the model says."""
        model, ends = self._model, list(accumulate(self._model.groups, initial=0))
        return Card(
            self.name, self.dimension, model.licence, model.parameters, model.summary, model.source,
            groups=tuple(slice(*pair) for pair in pairwise(ends)), size=self._size,
            capabilities=("images",) if model.text is None else ("images", "texts"),
        )  # fmt: skip

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images of any sizes.

        Args:
            images: of mode RGB, none of them empty.

        Returns:
            float32 of shape (len(images), dimension), in the order given; several views of an image lie end
            to end.

        Raises:
            InvalidArgument: an image is not of mode RGB, or empty.
            WeightsInvalid: the model gives something that is no finite number.
        """
        features = embed_views(images, self._model.views, self._infer, self._dimension, self.batch_size)
        return _finite(self._model.graph, features)

    def _infer(self, pixels: NDArray[np.float32], *, tries: bool = False) -> NDArray[np.float32]:
        """Run the graph on a batch, which is filled up where the graph takes a fixed number."""
        count = len(pixels)
        if self._fixed and count < self._fixed:
            pixels = np.concatenate([pixels, np.zeros((self._fixed - count, *pixels.shape[1:]), np.float32)])
        feeds = {self._input.name: pixels.astype(_TYPES[self._input.type], copy=False)}
        if tries:
            (found,) = self._graph.try_out([self._output], feeds, TRY_SECONDS)
        else:
            (found,) = self._graph.run([self._output], feeds)
        return _rows(self._model.graph, self._output, found, self._model.pool)[:count]


class OnnxTextEmbedder(OnnxEmbedder, TextEmbedder):
    """An ONNX image encoder with its text encoder; the text side is opened when the first text comes."""

    _knows_texts = False  # whether its graph has answered once

    @property
    def vocabulary(self) -> str | None:
        """Nothing is known of what it cannot understand."""
        return None

    @cached_property
    def text_fingerprint(self) -> str:
        """Over the content of the text graph and its tokenizer."""
        text = self._text
        weights = digest_of([text.graph, *external_data(text.graph), text.tokenizer], self._cache)
        return hashlib.sha256(f"onnx text 1; {weights}; {text.recipe}".encode()).hexdigest()

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """Embed texts, one after another: see `TextEmbedder.embed_texts`.

        Raises:
            ExtraMissing: the package tokenizers is not installed.
            InvalidArgument: a text is blank.
            WeightsInvalid: the text side cannot be used, or gives vectors of another dimension.
        """
        refuse_blank(texts)
        graph, tokens = self._text_graph, self._tokens
        port = _port(self._text.graph, graph.outputs, self._text.output, "output")
        _check_size(self._text.graph, port)
        output = port.name
        features = np.empty((len(texts), self.dimension), np.float32)
        for row, text in zip(features, texts, strict=True):
            feeds = self._feeds(graph, *tokens(text))
            if self._knows_texts:
                (found,) = graph.run([output], feeds)
            else:
                (found,) = graph.try_out([output], feeds, TRY_SECONDS)
                self._knows_texts = True
            vector = _rows(self._text.graph, output, found, None)[0]
            if len(vector) != self.dimension:
                raise WeightsInvalid(
                    str(self._text.graph), f"texts have {len(vector)} numbers, images {self.dimension}"
                )
            row[:] = vector
        return _finite(self._text.graph, features)

    @property
    def _text(self) -> TextSide:
        assert self._model.text is not None  # noqa: S101 `open_onnx` has looked
        return self._model.text

    @cached_property
    def _text_graph(self) -> Graph:
        return _open(self._text.graph, self._device)

    @cached_property
    def _tokens(self) -> Tokens:
        text = self._text
        sequence = _port(text.graph, self._text_graph.inputs, text.input or "input_ids", "input").shape
        # A graph of a fixed length wants every text filled up to it.
        fixed = sequence[1] if len(sequence) > 1 else None
        length = min(text.length, fixed) if fixed else text.length
        return Tokens(text.tokenizer, length, fixed or text.pad_to, text.pad_token)

    def _feeds(self, graph: Graph, numbers: Sequence[int], mask: Sequence[int]) -> dict[str, NDArray[Any]]:
        names = {self._text.input or "input_ids": numbers, self._text.mask or "attention_mask": mask}
        feeds = {}
        for port in graph.inputs:
            if port.name not in names or port.type not in _WHOLE:
                raise WeightsInvalid(
                    str(self._text.graph), f"no text encoder: it has an input {port.name} of {port.type}"
                )
            feeds[port.name] = np.asarray([names[port.name]], _WHOLE[port.type])
        return feeds


def _open(path: Path, device: Device) -> Graph:
    if missing := [file for file in external_data(path) if not file.is_file()]:
        raise WeightsInvalid(str(path), f"its tensors lie in {missing[0].name}, which is not beside it")
    return Graph(path, device, files=[path, *external_data(path)])


def _check_size(path: Path, port: Port) -> None:
    """Refuse what is larger than any features or pixels of an image are, as far as the graph says its size.

    Raises:
        WeightsInvalid: it is.
    """
    images, *each = port.shape or (1,)
    if prod(size for size in each if size is not None) > MOST_NUMBERS or (images or 1) > _MOST_BATCH:
        raise WeightsInvalid(
            str(path),
            f"its {port.name} has the shape {list(port.shape)}: more than {MOST_NUMBERS:,} numbers an image, "
            f"or {_MOST_BATCH:,} images",
        )


def _shape(preprocessing: Any) -> tuple[int, ...]:
    height, width = preprocessing.size
    return (height, width, 3) if preprocessing.layout == "NHWC" else (3, height, width)


def _port(path: Path, ports: Sequence[Port], name: str | None, kind: str) -> Port:
    """Return the port of a name, or the one to take where none is named."""
    known = {port.name: port for port in ports}
    if name is not None:
        if name not in known:
            raise WeightsInvalid(str(path), f"no {kind} {name!r}: it has {', '.join(known)}")
        return known[name]
    for usual in OUTPUTS if kind == "output" else ("pixel_values",):
        if usual in known:
            return known[usual]
    if len(ports) != 1:
        raise WeightsInvalid(
            str(path), f"which {kind} is meant? The card is to name one of {', '.join(known)}"
        )
    return ports[0]


def _rows(path: Path, output: str, found: NDArray[Any], pool: str | None) -> NDArray[np.float32]:
    """Return an output as images × numbers."""
    if found.ndim == 3 and pool is not None:
        found = found[:, 0] if pool == "first" else found.mean(axis=1)
    if found.ndim == 4 and found.shape[2:] == (1, 1):
        found = found[:, :, 0, 0]
    if found.ndim != 2 or 0 in found.shape:
        raise WeightsInvalid(
            str(path),
            f"its output {output} has the shape {list(found.shape)}, and not images × numbers; name another "
            "output in the card, or a pool: first or mean",
        )
    return found.astype(np.float32, copy=False)


def _finite(path: Path, features: Features) -> Features:
    if not np.isfinite(features).all():
        raise WeightsInvalid(str(path), "gives something that is no finite number")
    return features
