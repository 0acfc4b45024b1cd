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
from lookalike.sources.locations import location

if TYPE_CHECKING:
    from lookalike.anomaly.scoring import Anomaly
    from lookalike.sources.objects import Location

LONGEST = 1024
"""Longer side of an overlay, in pixels; nothing is enlarged beyond `SHORTEST`."""
SHORTEST = 448
"""Longer side of the overlay of a small picture: on one of 85 pixels nobody would see a box."""

# From yellow to red, over a picture in grey: hue says how far, and grey takes no hue for itself.
_LOW = np.array([255, 220, 0], np.float32)
_HIGH = np.array([220, 0, 0], np.float32)
# Of the map's colour over the picture's grey, at most.
_OPACITY = 0.65
_BOX = (255, 0, 0)


def overlay(
    picture: str | Location | bytes,
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
    name = "image" if isinstance(picture, bytes) else str(picture)
    try:
        data = picture if isinstance(picture, bytes) else location(picture).read_bytes()
    except OSError as error:
        raise UnusableImage(name, f"cannot be read: {error.strerror}") from error
    image = decode(data, name, at_least=LONGEST, max_pixels=max_pixels, levels=levels)
    scale = min(1, LONGEST / max(image.size))
    scale = max(scale, SHORTEST / max(image.size))
    size = tuple(max(1, round(side * scale)) for side in image.size)
    image = image.resize(size, Image.Resampling.BICUBIC)  # type: ignore[arg-type]  # two sides
    grey = np.asarray(image.convert("L"), np.float32)[..., None]
    values = np.asarray(Image.fromarray(found.anomaly_map, "F").resize(image.size, Image.Resampling.BILINEAR))
    low = found.peak_threshold / 2
    heat = np.clip((values - low) / (1.5 * found.peak_threshold), 0, 1)[..., None]
    colour = _LOW + (_HIGH - _LOW) * heat
    opacity = _OPACITY * np.minimum(1, 2 * heat)
    drawn = Image.fromarray((grey * (1 - opacity) + colour * opacity).astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(drawn)
    width = max(2, max(drawn.size) // 200)
    # A picture that is odd all over is framed: no place of it stands out.
    whole = found.anomalous and not found.boxes
    for box in [(0, 0, 1, 1)] if whole else [box[:4] for box in found.boxes]:
        left, top, right, bottom = (part * side for part, side in zip(box, drawn.size * 2, strict=True))
        draw.rectangle((left, top, right - 1, bottom - 1), outline=_BOX, width=width)
    written = BytesIO()
    drawn.save(written, "PNG", optimize=True)
    return written.getvalue()
