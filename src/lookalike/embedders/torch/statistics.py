"""Statistics of a network's layers as features, for inspection with any network.

Each channel is measured in units of its own, so that channels, layers and statistics come to one scale
before any label is known. efficientnet-lite0-inspect reads the units off its batch norms; here, where a
network may have none, they are what the channel does on drawn pictures whose spectrum falls as 1/f, as that
of photographs does (Field, "Relations between the statistics of natural images and the response properties of
cortical cells", J. Opt. Soc. Am. A 4, 1987).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.embedders.onnx.graph_cache import built_once
from lookalike.embedders.torch.networks import concatenated, function_module, gradients_off, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DIMENSION = 4096
"""Numbers per image at most: where Elasticsearch's dense_vector ends."""

STATISTICS = 3
_DRAWN = 4
_SEED = 20
# As in efficientnet_lite_graph: padding makes outliers along the rim; the largest of thousands of draws lies
# about 4 deviations above the mean; the logarithm of a map without any contrast is kept finite.
_BORDER = 28
_TYPICAL_MAXIMUM = 4
_LEAST_DEVIATION = 0.05


class _Units(NamedTuple):
    mean: Any
    """Shape (channels,)."""
    deviation: Any
    """Shape (channels,), above 0."""


def chosen_channels(widths: Sequence[int], resolutions: int) -> list[NDArray[np.int64]]:
    """Return which channels of each layer are read, sorted: all, or as many at random as there is room for.

    A random choice does about as well as principal components (Defard et al., "PaDiM", ICPR 2020, arXiv
    2011.08785, section III-C).

    Args:
        widths: channels of each layer.
        resolutions: how many times each layer is read.
    """
    room = DIMENSION // (len(widths) * STATISTICS * resolutions)
    draws = np.random.default_rng(_SEED)
    return [np.sort(draws.permutation(width)[:room]) for width in widths]


def statistics_network(
    network: Any, channels: Sequence[NDArray[np.int64]], side: int, mean: Sequence[float],
    deviation: Sequence[float],
    *, halved: bool, kept: Path,
) -> Any:  # fmt: skip
    """Return a module that gives the statistics of a network's layers.

    Args:
        network: gives a list of feature maps, each of shape (images, channels, height, width).
        channels: what `chosen_channels` returned.
        side: pixels of a side of its input.
        mean: of the preprocessing, for each colour, 0 … 1.
        deviation: of the preprocessing, for each colour, 0 … 1.
        halved: whether each image is read a second time at half its size.
        kept: a file for the units, which take seconds to find; its name says all that they depend on.

    Returns:
        A module; its features run by resolution (half, full), layer, statistic (mean, maximum, logarithm of
        the deviation) and channel.
    """
    picked = [tensor(chosen) for chosen in channels]

    def maps(planes: Any) -> list[list[Any]]:
        """Return the chosen channels by resolution and layer, without their borders."""
        looks = [planes]
        if halved:
            looks.insert(0, planes.reshape(-1, 3, side // 2, 2, side // 2, 2).mean(dim=(3, 5)))
        return [
            [_inner(layer[:, chosen]) for layer, chosen in zip(network(look), picked, strict=True)]
            for look in looks
        ]

    def measure() -> bytes:
        with gradients_off():
            drawn = _drawn_pictures(side) - np.asarray(mean)[:, None, None]
            drawn /= np.asarray(deviation)[:, None, None]
            # One after another: the maps of all of them at once would take gigabytes.
            raw = [maps(tensor(picture[np.newaxis].astype(np.float32))) for picture in drawn]
        found = [
            _units([of_picture[resolution][layer] for of_picture in raw])
            for resolution in range(1 + halved)
            for layer in range(len(picked))
        ]
        return np.concatenate([each.ravel() for each in found]).astype("<f4").tobytes()

    numbers = np.frombuffer(built_once(kept, measure), "<f4").astype(np.float32)
    widths = [len(chosen) for chosen in channels] * (1 + halved)
    ends = np.cumsum([2 * width for width in widths])
    flat = [_Units(*map(tensor, part.reshape(2, -1))) for part in np.split(numbers, ends[:-1])]
    units = [flat[start : start + len(picked)] for start in range(0, len(flat), len(picked))]

    def features(planes: Any) -> Any:
        parts: list[Any] = []
        for of_resolution, layers in zip(units, maps(planes), strict=True):
            for unit, layer in zip(of_resolution, layers, strict=True):
                parts += _statistics(layer, unit)
        return concatenated(parts)

    return function_module(network, features)


def _inner(layer: Any) -> Any:
    """Leave out the border of feature maps."""
    height, width = (int(n) for n in layer.shape[2:])
    top, left = (min(max(1, (n + _BORDER // 2) // _BORDER), (n - 1) // 2) for n in (height, width))
    return layer[:, :, top : height - top, left : width - left]


def _units(maps: Sequence[Any]) -> NDArray[np.float64]:
    """Return mean and deviation of each channel over the maps of several pictures, shape (2, channels)."""
    means = [layer.mean(dim=(0, 2, 3)).double() for layer in maps]
    squares = [(layer.double() ** 2).mean(dim=(0, 2, 3)) for layer in maps]
    mean = sum(means) / len(means)
    deviation = (sum(squares) / len(squares) - mean**2).clamp(min=0).sqrt()
    # A channel that is always off would be divided by nothing.
    floor = max(float(deviation.median()) * _LEAST_DEVIATION, 1e-6)
    return np.stack([mean.numpy(), deviation.clamp(min=floor).numpy()])


def _statistics(inner: Any, unit: _Units) -> list[Any]:
    mean = inner.mean(dim=(2, 3))
    spread = ((inner - mean[:, :, None, None]) ** 2).mean(dim=(2, 3)).sqrt()
    found = [
        (mean - unit.mean) / unit.deviation,
        (inner.amax(dim=(2, 3)) - unit.mean) / (_TYPICAL_MAXIMUM * unit.deviation),
        (spread / unit.deviation + _LEAST_DEVIATION).log(),
    ]
    return [statistic / int(inner.shape[1]) ** 0.5 for statistic in found]


def _drawn_pictures(side: int) -> NDArray[np.float64]:
    """Draw pictures of a spectrum that falls as 1/f, 0 … 1, of shape (pictures, 3, side, side)."""
    draws = np.random.default_rng(_SEED)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(draws.standard_normal((_DRAWN, 3, side, side))) / frequency
    # Colours of photographs go together: two thirds of each are grey.
    noise = (2 * noise.mean(axis=1, keepdims=True) * 3**0.5 + noise) / 3
    pictures = np.fft.irfft2(noise, s=(side, side))
    pictures /= pictures.std(axis=(1, 2, 3), keepdims=True)
    # ImageNet's pixels have a mean of about 0.45 and a deviation of about 0.225.
    clipped: NDArray[np.float64] = np.clip(0.45 + 0.225 * pictures, 0, 1)
    return clipped
