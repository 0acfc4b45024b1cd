"""Beside the loop that people begin with: Keras's DenseNet121, image by image. `make bench-keras` runs it.

Keras has no weights in its package, and none are fetched: the network is DenseNet121 with random weights, and
takes as long as with others. The same network, with the same weights, is what lookalike runs on ONNX Runtime.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from conformal_clip_data import textile_simulated_root
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.figures import figure, median_ratio, seconds, title
from lookalike.database import Database
from lookalike.embedders.models import DEFAULT_MODEL
from lookalike.search.neighbours import PlainVector

ROUNDS = 3
# Pictures a round: enough for a second or two.
IMAGES = {"Keras": 16, "DenseNet121": 48, "Lite0": 320}
# Convolutions of 3 × 3 in each dense block of DenseNet121.
LAYERS = (6, 12, 24, 16)


class DenseNet:
    """DenseNet121 (Huang et al., CVPR 2017, arXiv 1608.06993, table 1), as an ONNX graph."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, value: NDArray[np.float32]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _convolved(self, x: str, name: str, stride: int = 1, padding: int = 0) -> str:
        (kernel,) = self._network.get_layer(name).get_weights()
        weight = self._constant(f"{name}/kernel", kernel.transpose(3, 2, 0, 1))
        return self._node("Conv", [x, weight], name, strides=[stride] * 2, pads=[padding] * 4)

    def _activated(self, x: str, name: str) -> str:
        layer = self._network.get_layer(name)
        weights = zip(("gamma", "beta", "mean", "variance"), layer.get_weights(), strict=True)
        inputs = [x, *(self._constant(f"{name}/{part}", value) for part, value in weights)]
        return self._node(
            "Relu", [self._node("BatchNormalization", inputs, name, epsilon=layer.epsilon)], f"{name}/relu"
        )

    def save(self, path: Path) -> None:
        """Write the graph, up to the mean of its last map, and the card beside it: `lookalike`'s `onnx:`."""
        x = self._activated(self._convolved("image", "conv1_conv", 2, 3), "conv1_bn")
        x = self._node("MaxPool", [x], "pool1", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        for stage, layers in enumerate(LAYERS, 2):
            for number in range(1, layers + 1):
                name = f"conv{stage}_block{number}"
                inner = self._convolved(self._activated(x, f"{name}_0_bn"), f"{name}_1_conv")
                inner = self._convolved(self._activated(inner, f"{name}_1_bn"), f"{name}_2_conv", padding=1)
                x = self._node("Concat", [x, inner], f"{name}_concat", axis=1)
            if stage - 1 < len(LAYERS):
                x = self._convolved(self._activated(x, f"pool{stage}_bn"), f"pool{stage}_conv")
                x = self._node("AveragePool", [x], f"pool{stage}", kernel_shape=[2, 2], strides=[2, 2])
        self._node(
            "Flatten", [self._node("GlobalAveragePool", [self._activated(x, "bn")], "mean")], "features"
        )
        graph = helper.make_graph(
            self._nodes,
            "densenet121",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["images", 3, 224, 224])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["images", 1024])],
            self._constants,
        )
        onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
        # As Keras does it: `load_img` takes the nearest pixels, `densenet.preprocess_input` ImageNet's mean.
        card = {
            "size": 224, "resize": "squash", "interpolation": "nearest",
            "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225],
        }  # fmt: skip
        path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")


def one_by_one(network: Any) -> Callable[[Path], NDArray[np.float32]]:
    """Return what embeds a file, as the examples of Keras do it."""
    from keras.applications.densenet import preprocess_input
    from keras.utils import img_to_array, load_img

    def embed(path: Path) -> NDArray[np.float32]:
        pixels = img_to_array(load_img(path, target_size=(224, 224)))
        features: NDArray[np.float32] = network.predict(preprocess_input(pixels[np.newaxis]), verbose=0)[0]
        return features

    return embed


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    title("beside Keras's DenseNet121, image by image, random weights: textile photographs, 250 × 250 pixels")
    try:
        from keras.applications import DenseNet121
    except ImportError:
        print("  skipped: no TensorFlow; `make bench-keras` installs it in an environment of its own")
        return
    network = DenseNet121(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    keras = one_by_one(network)
    files = sorted(textile_simulated_root().glob("*/*.jpg"))
    theirs = keras(files[0])
    spent: dict[str, list[float]] = {name: [] for name in IMAGES}
    with tempfile.TemporaryDirectory() as folder:
        DenseNet(network).save(Path(folder) / "densenet.onnx")
        models = {"DenseNet121": f"onnx:{folder}/densenet.onnx", "Lite0": DEFAULT_MODEL}
        with Database(f"sqlite:///{folder}/keras.db", cache=Path(folder) / "cache") as database:
            ours = next(database.embed([files[0]], model=models["DenseNet121"]))
            assert isinstance(ours, PlainVector)
            cosine = float(ours.vector @ theirs / np.linalg.norm(theirs))
            figure("cosine of both DenseNet121, one picture", f"{cosine:.6f}", "> 0.9999", cosine > 0.9999)
            for number in range(ROUNDS):
                some = {name: files[1 + number * count :][:count] for name, count in IMAGES.items()}
                acts: dict[str, Callable[[], object]] = {"Keras": partial(list, map(keras, some["Keras"]))}
                for name, model in models.items():
                    collection = database.create(f"{name}{number}", model=model)
                    acts[name] = partial(collection.index, some[name])
                for name, act in acts.items():
                    spent[name].append(seconds(act) / IMAGES[name])
    cores = len(os.sched_getaffinity(0))
    for name, each in spent.items():
        what = "the loop in Keras" if name == "Keras" else f"lookalike index, {name}"
        figure(f"{what}, images per second, {cores} cores", f"{1 / min(each):.1f}")
    for name, bound in (("Lite0", 40), ("DenseNet121", 3)):
        ratio = median_ratio(list(zip(spent["Keras"], spent[name], strict=True)))
        figure(f"{name}, so many times the loop's", f"{ratio:.1f}", f"at least {bound}", ratio >= bound)


if __name__ == "__main__":
    main()
