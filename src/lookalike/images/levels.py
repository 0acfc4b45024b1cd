"""Scaling of deep samples to 8 bits: which value becomes black and which white.

A file seldom says how bright its samples are meant to be. A camera of 12 bits writes 0 … 4,095 into 16 bits,
a thermal camera a narrow band somewhere in them, a map of heights floats with a value that stands for no
data. A viewer for such files chooses a range by what it finds, and so does `AUTO`, by one rule for all:

1. What is no number, infinite, or stands for no data does not count; nor does the 2,000th part of the samples
   at either end (dead and hot pixels).
2. What the file says of its range holds, if its samples keep to it.
3. Otherwise black is 0 and white the smallest of 255, 1,023, 4,095, 16,383 and 65,535 that no sample exceeds
   (for floats: 1; and 255 or 65,535 if they come to more than half of it). So the pictures of one camera are
   alike.
4. Where samples are negative or above that, or take up less than a fifth of that range (an eighth of 255, or
   of bits that the file tells), the darkest that counts becomes black and the brightest white.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Samples = np.ndarray[Any, np.dtype[np.number[Any]]]

_SPARED = 2000
_NARROW = 5
# Pictures of 8 bits are not stretched either; and who says how many bits there are means their range.
_NARROW_IF_TOLD = 8
_WHITES = (255, 1023, 4095, 16383, 65535)
_FLOAT_WHITES = (1, 255, 65535)
# What stands for no data by convention: of ESRI grids, of SRTM and other heights in 16 bits, the least number
# of 32 bits, and netCDF's NC_FILL_FLOAT (netcdf.h) and the 1e20 of CF. The largest float32 comes in addition.
_NO_DATA = (-9999.0, -99999.0, -32768.0, -32767.0, -2147483648.0, 9.969209968386869e36, 1e20)
_LARGEST = 3.4e38
# A value is taken for one that stands for no data only among so many others; fewer samples tell no depth.
_ENOUGH = 32
# Of larger pictures every n-th sample is looked at to find the range; all are scaled.
_LOOKED_AT = 1 << 20
_RANGE = re.compile(r"([^:]+):([^:]+)")


@dataclass(frozen=True, slots=True)
class Range:
    """The range of samples from black to white: by what is found, that of the type, or as it was given."""

    low: float | None = None
    """What becomes black; None: see `full`."""
    high: float | None = None
    full: bool = False
    """Whether, where nothing was given, it is that of the type: of floats 0 to 1."""

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read `auto`, `full` or LOW:HIGH.

        Raises:
            InvalidArgument: it is none of them.
        """
        if text in ("auto", "full"):
            return cls(full=text == "full")
        match = _RANGE.fullmatch(text)
        try:
            low, high = (float(part) for part in match.groups()) if match else (0.0, 0.0)
        except ValueError:
            low = high = 0.0
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InvalidArgument(f"range {text!r}: write auto, full or LOW:HIGH, two numbers such as 0:4095")
        return cls(low + 0.0, high + 0.0)

    def __str__(self) -> str:
        """Return what `parse` reads; equal ranges are written alike."""
        if self.low is None or self.high is None:
            return "full" if self.full else "auto"
        return f"{_number(self.low)}:{_number(self.high)}"


AUTO = Range()
FULL = Range(full=True)


class NoNumber(ValueError):
    """Not one sample is a number."""


class Stated(NamedTuple):
    """What a file says of its samples."""

    bits: int | None = None
    """That count, if they are fewer than the type has."""
    low: float | None = None
    high: float | None = None
    no_data: float | None = None


class Scaled(NamedTuple):
    """Samples as 8 bits."""

    levels: NDArray[np.uint8]
    """Of the shape of the samples."""
    note: str | None
    """What was assumed, for the user; None where the file or the user said it."""


def scale(samples: Samples, wanted: Range, stated: Stated = Stated()) -> Scaled:  # noqa: B008 a constant
    """Return samples as 8 bits: linear, rounded; what is no number becomes black.

    Args:
        samples: of any shape, not empty: integers of 8 to 64 bits, or floats. All are scaled alike.
        wanted: the range.
        stated: what the file says of it.

    Raises:
        NoNumber: not one of them is a number.
    """
    values, counts = _counted(samples, stated.no_data)
    if not values.size:
        raise NoNumber("not one of its samples is a number")
    low, high, note = _choose(samples, values, counts, wanted, stated)
    if samples.dtype in (np.uint8, np.uint16):
        table = _levels(np.arange(2 ** (8 * samples.dtype.itemsize), dtype=np.float64), low, high)
        return Scaled(table[samples], note)
    return Scaled(_levels(samples, low, high), note)


def lies_high(levels: NDArray[np.uint8]) -> bool:
    """Say whether samples of 16 bits need all of them by the rule, from their high bytes alone.

    Args:
        levels: the high bytes, of any shape.
    """
    counts = _numbers(levels)
    values = np.flatnonzero(counts)
    low, high = _ends(values.astype(np.float64), counts[values])
    return high > _WHITES[-2] >> 8 and high - low > 256 // _NARROW


def _levels(samples: Samples, low: float, high: float) -> NDArray[np.uint8]:
    levels = np.empty(samples.shape, np.uint8)
    for piece in _pieces(samples):
        # In float64 the difference of two float32 does not overflow. A signalling NaN is invalid in any sum.
        with np.errstate(all="ignore"):
            values = samples[piece].astype(np.float64)
            values -= low
            values /= (high - low) or 1.0
            values *= 255
        np.nan_to_num(values, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        np.clip(values, 0, 255, out=values)
        levels[piece] = np.rint(values, out=values)
    return levels


def _pieces(samples: Samples) -> Iterator[slice]:
    """Yield slices of the first axis of about `_LOOKED_AT` samples: in float64 all of them would be much."""
    rows = max(1, _LOOKED_AT // max(1, math.prod(samples.shape[1:])))
    for start in range(0, samples.shape[0], rows):
        yield slice(start, start + rows)


def _numbers(samples: Samples) -> NDArray[np.int64]:
    """Count how often each value occurs, shape (256 or 65,536,); NumPy makes int64 of all it counts."""
    numbers = np.zeros(2 ** (8 * samples.dtype.itemsize), np.int64)
    for piece in _pieces(samples):
        numbers += np.bincount(samples[piece].ravel(), minlength=numbers.size)
    return numbers


def _counted(samples: Samples, no_data: float | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the different values that count, sorted, and how many of each there are."""
    if samples.dtype in (np.uint8, np.uint16):
        numbers = _numbers(samples)
        found = np.flatnonzero(numbers)
        values, counts = found.astype(np.float64), numbers[found]
    else:
        flat = samples.ravel()
        flat = flat[:: -(-flat.size // _LOOKED_AT)]
        with np.errstate(all="ignore"):
            wide = flat.astype(np.float64)
        values, counts = np.unique(wide[np.isfinite(wide)], return_counts=True)
    if no_data is not None:
        kept = values != no_data
        values, counts = values[kept], counts[kept]
    return _known(values, counts)


def _known(
    values: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Leave out what stands for no data at either end."""
    for end, rest in ((0, slice(1, None)), (-1, slice(None, -1))):
        while values.size > 1 and _stands_for_none(values[end], values[rest], counts[rest]):
            values, counts = values[rest], counts[rest]
    return values, counts


def _stands_for_none(value: float, others: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
    """Say whether the smallest or largest value is no sample but a sign."""
    if abs(value) >= _LARGEST or value in _NO_DATA:
        return True
    low, high = _ends(others, counts)
    # Alone, and farther from all others than they are from each other.
    return others.size >= _ENOUGH and max(low - value, value - high) > high - low


def _ends(values: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the darkest and the brightest that count."""
    below = np.cumsum(counts)
    spared = below[-1] // _SPARED
    low = values[np.searchsorted(below, spared, side="right")]
    high = values[np.searchsorted(below, below[-1] - spared, side="left")]
    return float(low), float(high)


def _choose(
    samples: Samples,
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    wanted: Range,
    stated: Stated,
) -> tuple[float, float, str | None]:
    """Return what becomes black and white, and what was assumed."""
    kind, bits = samples.dtype.kind, samples.dtype.itemsize * 8
    if wanted.low is not None and wanted.high is not None:
        return wanted.low, wanted.high, None
    if wanted.full:
        return *_whole(kind, stated.bits or bits), None
    low, high = _ends(values, counts)
    if stated.high is not None and (stated.low or 0) <= low and high <= stated.high:
        return stated.low or 0, stated.high, None
    if kind == "u" and bits <= 16 and counts.sum() < _ENOUGH:
        return *_whole(kind, stated.bits or bits), None
    whites: tuple[int, ...] = _FLOAT_WHITES if kind == "f" else _WHITES
    if stated.bits is not None and high < 2**stated.bits:
        whites = (2**stated.bits - 1,)
    white = next((white for white in whites if high <= white), None)
    if low >= 0 and white is not None and (high > white / 2 or kind != "f" or white == 1):
        flat = low == high and (kind == "f" or bits <= 16)
        narrow = _NARROW_IF_TOLD if white == 255 or stated.bits is not None else _NARROW
        if flat or high - low >= white / narrow:
            known = white in (1, 2**bits - 1) or stated.bits is not None
            return 0, white, None if known else f"the range 0 to {white:,} was assumed"
    return low, high, "its own range, from its darkest to its brightest, was assumed"


def _whole(kind: str, bits: int) -> tuple[float, float]:
    if kind == "f":
        return 0.0, 1.0
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if kind == "i" else (0.0, 2.0**bits - 1)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
