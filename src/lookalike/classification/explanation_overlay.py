"""The overlay of an explanation: an image with its novelty map beside a voter, and the regions that match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from lookalike.anomaly.overlays import ODD, as_png, frame, opened, with_map
from lookalike.images.levels import AUTO, Range
from lookalike.images.limits import MAX_PIXELS

if TYPE_CHECKING:
    from lookalike.classification.explanation import Explanation
    from lookalike.sources.frames import Place

ALIKE = (0, 110, 255)
"""Colour of the regions that match; those who do not tell red from green tell it from red."""

# Pixels between the two pictures.
_GAP = 16


def explanation_overlay(
    picture: str | Place | bytes,
    found: Explanation,
    voter: str | Place | bytes | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    levels: Range = AUTO,
) -> bytes:
    """Draw an explanation over the image that was classified, as PNG.

    Regions that no voter has are coloured, and in red boxes where they are above the threshold; the region
    that speaks most for the label is in a blue one.

    Args:
        picture: the image: a file, or its bytes.
        found: its explanation.
        voter: the file or the bytes of `found.pair.voter`, which is drawn beside it with its own blue box.
        max_pixels: an image with more pixels is refused.
        levels: which samples of more than 8 bits become black and white.

    Raises:
        UnusableImage: one of them cannot be read: see `decoding.decode`.
    """
    image = opened(picture, max_pixels=max_pixels, levels=levels)
    if found.novelty_map is None or found.threshold is None:
        drawn = image.convert("L").convert("RGB")
    else:
        drawn = with_map(image, found.novelty_map, found.threshold)
    frame(drawn, [box[:4] for box in found.boxes], ODD)
    if found.pair is None:
        return as_png(drawn)
    frame(drawn, [found.pair.region], ALIKE)
    if voter is None:
        return as_png(drawn)
    other = opened(voter, max_pixels=max_pixels, levels=levels)
    frame(other, [found.pair.voter_region], ALIKE)
    both = Image.new(
        "RGB", (drawn.width + _GAP + other.width, max(drawn.height, other.height)), (255, 255, 255)
    )
    both.paste(drawn, (0, 0))
    both.paste(other, (drawn.width + _GAP, 0))
    return as_png(both)
