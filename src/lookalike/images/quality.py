"""Measures of a picture's quality: brightness, contrast, information, sharpness, shape and size.

The definitions are those of cleanvision 0.3.7 (Cleanlab, Apache-2.0, issue_managers/image_property.py), but
that edges are not looked for on the rim, and that contrast is ours. cleanvision itself needs pandas, and each
measure is a line of NumPy or Pillow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from lookalike.images import decoding, jpeg_markers
from lookalike.images.formats import format_of
from lookalike.images.levels import AUTO, Range
from lookalike.images.limits import MAX_PIXELS

RECIPE = "picture quality 1: cleanvision 0.3.7 at 256 and 64 pixels"
"""Whoever changes a number that comes out changes this text."""

# Pixels of the longer side at which brightness and information are measured. cleanvision takes the whole
# picture; this is the tenth of the time for one of 12 megapixels, whose JPEG is then decoded at an eighth.
_SIDE = 256
# MAX_RESOLUTION_FOR_BLURRY_DETECTION of cleanvision.
_BLUR_SIDE = 64
# Weights of the squares of red, green and blue in `calculate_brightness` of cleanvision.
_WEIGHTS = (0.241, 0.691, 0.068)


class Quality(NamedTuple):
    """The measures of one picture."""

    width: float
    """Pixels, as the file has them."""
    height: float
    lowest: float
    """1st percentile of the pixels' brightness, 0 … 1."""
    low: float
    """5th percentile."""
    highest: float
    """99th percentile."""
    entropy: float
    """Shannon entropy of all samples' histogram, bits, 0 … 9.6."""
    edges: float
    """Standard deviation of what Pillow's FIND_EDGES makes of the grey picture, at most 64 pixels a side."""
    histogram: float
    """Standard deviation of the counts of the same picture's 256 shades: large where much is of one shade."""

    @property
    def shape(self) -> float:
        """The shorter side by the longer, 0 … 1."""
        return min(self.width, self.height) / max(self.width, self.height)

    @property
    def size(self) -> float:
        """Side in pixels of a square of the same area."""
        return float(np.sqrt(self.width * self.height))

    @property
    def contrast(self) -> float:
        """Difference of brightness between the 99th and the 1st percentile, 0 … 1."""
        return self.highest - self.lowest

    @property
    def sharpness(self) -> float:
        """Score of sharpness, 0 (blurred) … 1; a drawing with much of one shade counts as sharp."""
        flat = 1 - np.exp(-self.histogram / 100)
        return float(min(1 - np.exp(-self.edges / 100) + (flat if flat > _DRAWING else 0), 1))


# `color_threshold` of cleanvision: above it, few edges are no sign of blur.
_DRAWING = 0.18


def measure(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, levels: Range = AUTO) -> Quality:
    """Measure a picture as it is embedded: upright, in 8 bits a sample, sRGB.

    Args:
        data: the whole file.
        name: what the error calls it.
        max_pixels: an image with more pixels is refused.
        levels: which samples of more than 8 bits become black and white.

    Raises:
        UnusableImage: see `decoding.decode`.
    """
    image = decoding.decode(data, name, at_least=_SIDE // 2, max_pixels=max_pixels, levels=levels)
    form = format_of(data)
    size = image.size
    if form is not None and form.name == "JPEG":  # decoded at a part of its size
        frame = jpeg_markers.head(data).frame
        size = frame.width, frame.height
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    squares = np.square(np.asarray(image, np.float32))
    brightness = np.sqrt(squares @ np.array(_WEIGHTS, np.float32)) / 255
    lowest, low, highest = np.percentile(brightness, (1, 5, 99))
    entropy = image.entropy()
    image.thumbnail((_BLUR_SIDE, _BLUR_SIDE), Image.Resampling.BICUBIC)
    grey = image.convert("L")
    # Pillow leaves the rim as it is: it has no edges, but shades.
    edges = np.asarray(grey.filter(ImageFilter.FIND_EDGES), np.float32)[1:-1, 1:-1]
    sharp = edges.std() if edges.size else 0.0
    shades = np.std(grey.histogram())
    return Quality(*size, *map(float, (lowest, low, highest, entropy, sharp, shades)))
