"""Small ONNX graphs with weights made at random, for tests of whatever reads ONNX models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIMENSION = 10
IMAGENET: dict[str, Any] = {"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}
"""What timm's constants say of ImageNet."""


def image_encoder(
    path: Path, *, side: int = 32, batch: int | str = "images", nhwc: bool = False, output: str = "features",
    shape: str = "rows", type_: int = TensorProto.FLOAT, extra: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Write patches → projection → tanh → mean → projection; `shape` says how the output comes."""
    draws = np.random.default_rng(4)
    constants = {
        "patches": draws.normal(0, 0.05, (16, 3, 8, 8)).astype(np.float32),
        "last": draws.normal(0, 1, (16, DIMENSION)).astype(np.float32),
        "axes": np.array([1], np.int64),
    }
    nodes = [helper.make_node("Cast", ["pixel_values"], ["floats"], to=TensorProto.FLOAT)]
    if nhwc:
        nodes.append(helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node("Conv", ["planes" if nhwc else "floats", "patches"], ["maps"], strides=[8, 8]),
        helper.make_node("Tanh", ["maps"], ["curved"]),
        helper.make_node("Flatten", ["curved"], ["flat"], axis=2),
        helper.make_node("Shape", ["curved"], ["sizes"], end=2),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Concat", ["sizes", "rest"], ["three"], axis=0),
        helper.make_node("Reshape", ["curved", "three"], ["joined"]),
        helper.make_node("Transpose", ["joined"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["tokens", "last"], ["each" if shape == "rows" else output]),
    ]
    nodes = [node for node in nodes if node.output[0] != "flat"]
    if shape == "rows":
        nodes.append(helper.make_node("ReduceMean", ["each"], [output], axes=[1], keepdims=0))
        del constants["axes"]
    inputs = [
        helper.make_tensor_value_info(
            "pixel_values", type_, [batch, side, side, 3] if nhwc else [batch, 3, side, side]
        )
    ]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in extra]
    dims = [batch, DIMENSION] if shape == "rows" else [batch, None, DIMENSION]
    return _save(path, nodes, inputs, output, dims, constants)


def text_encoder(
    path: Path, *, vocabulary: int, length: int | str = "tokens", mask: bool = False, width: int = DIMENSION
) -> Path:
    """Write embeddings → mean over the tokens, weighed by the mask if there is one → projection."""
    draws = np.random.default_rng(5)
    constants: dict[str, Any] = {
        "words": draws.normal(0, 1, (vocabulary, 8)).astype(np.float32),
        "last": draws.normal(0, 1, (8, width)).astype(np.float32),
        "axis": np.array([2], np.int64),
    }
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["embedded"])]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", length])]
    if mask:
        inputs.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["texts", length]))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["kept"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["kept", "axis"], ["column"]),
            helper.make_node("Mul", ["embedded", "column"], ["masked"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["embedded"], ["masked"]))
        del constants["axis"]
    nodes += [
        helper.make_node("ReduceSum", ["masked", "over"], ["summed"], keepdims=0),
        helper.make_node("MatMul", ["summed", "last"], ["text_embeds"]),
    ]
    constants["over"] = np.array([1], np.int64)
    return _save(path, nodes, inputs, "text_embeds", ["texts", width], constants)


def _save(
    path: Path, nodes: Any, inputs: Any, output: str, dims: Sequence[Any], constants: Mapping[str, Any]
) -> Path:
    graph = helper.make_graph(
        nodes,
        "small",
        inputs,
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, dims)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def write_card(path: Path, **values: Any) -> Path:
    """Write a card with ImageNet's mean and deviation, and what else is said; None leaves an entry out."""
    entries = {**IMAGENET, **values}
    path.write_text(json.dumps({key: value for key, value in entries.items() if value is not None}))
    return path
