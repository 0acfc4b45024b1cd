"""Overlays: a picture with its anomaly map over it, and boxes around what stands out."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from lookalike.errors import UnusableImage
from lookalike.images.decoding import decode
from lookalike.images.levels import AUTO, Range
from lookalike.images.limits import MAX_PIXELS
from lookalike.sources.locations import picture_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lookalike.anomaly.scoring import Anomaly
    from lookalike.sources.frames import Place

    Box = tuple[float, float, float, float]
    """Left, top, right and bottom, as parts of a picture's width and height."""

LONGEST = 1024
"""Longer side of an overlay, in pixels; nothing is enlarged beyond `SHORTEST`."""
SHORTEST = 448
"""Longer side of the overlay of a small picture: on one of 85 pixels nobody would see a box."""

# From yellow to red, over a picture in grey: hue says how far, and grey takes no hue for itself.
_LOW = np.array([255, 220, 0], np.float32)
_HIGH = np.array([220, 0, 0], np.float32)
# Of the map's colour over the picture's grey, at most.
_OPACITY = 0.65
ODD = (255, 0, 0)
"""Colour of boxes around what stands out."""


def overlay(
    picture: str | Place | bytes,
    found: Anomaly,
    *,
    max_pixels: int = MAX_PIXELS,
    levels: Range = AUTO,
) -> bytes:
    """Draw the anomaly map of a picture over it, as PNG.

    Nothing is coloured below half of what normal pictures reach; all is red from twice that on.

    Args:
        picture: a file, an object, or its bytes.
        found: its map and boxes.
        max_pixels: an image with more pixels is refused.
        levels: which samples of more than 8 bits become black and white.

    Raises:
        UnusableImage: it cannot be read: see `decoding.decode`.
    """
    image = opened(picture, max_pixels=max_pixels, levels=levels)
    drawn = with_map(image, found.anomaly_map, found.peak_threshold)
    # A picture that is odd all over is framed: no place of it stands out.
    whole = found.anomalous and not found.boxes
    frame(drawn, [(0, 0, 1, 1)] if whole else [box[:4] for box in found.boxes], ODD)
    return as_png(drawn)


def opened(
    picture: str | Place | bytes, *, max_pixels: int = MAX_PIXELS, levels: Range = AUTO
) -> Image.Image:
    """Return a picture to draw on: its longer side has `SHORTEST` to `LONGEST` pixels; see `overlay`."""
    name = "image" if isinstance(picture, bytes) else str(picture)
    try:
        data = picture if isinstance(picture, bytes) else picture_place(picture).read_bytes()
    except OSError as error:
        raise UnusableImage(name, f"cannot be read: {error.strerror}") from error
    image = decode(data, name, at_least=LONGEST, max_pixels=max_pixels, levels=levels)
    scale = min(1, LONGEST / max(image.size))
    scale = max(scale, SHORTEST / max(image.size))
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.BICUBIC)  # type: ignore[arg-type]  # two sides


def with_map(image: Image.Image, anomaly_map: NDArray[np.float32], threshold: float) -> Image.Image:
    """Return a picture in grey, coloured where its map is above half of a threshold."""
    grey = np.asarray(image.convert("L"), np.float32)[..., None]
    values = np.asarray(Image.fromarray(anomaly_map, "F").resize(image.size, Image.Resampling.BILINEAR))
    heat = np.clip((values - threshold / 2) / (1.5 * threshold), 0, 1)[..., None]
    colour = _LOW + (_HIGH - _LOW) * heat
    opacity = _OPACITY * np.minimum(1, 2 * heat)
    return Image.fromarray((grey * (1 - opacity) + colour * opacity).astype(np.uint8), "RGB")


def frame(image: Image.Image, boxes: Iterable[Box], colour: tuple[int, int, int]) -> None:
    """Draw boxes into a picture."""
    draw = ImageDraw.Draw(image)
    width = max(2, max(image.size) // 200)
    for box in boxes:
        left, top, right, bottom = (part * side for part, side in zip(box, image.size * 2, strict=True))
        # In a picture that is a line a box may be narrower than a pixel.
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=width)


def as_png(image: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG."""
    written = BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()
