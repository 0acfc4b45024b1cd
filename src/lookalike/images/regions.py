"""A region of an image, as an image of its own."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

from lookalike.errors import InvalidArgument
from lookalike.images import decoding
from lookalike.images.levels import AUTO, Range
from lookalike.images.limits import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

Box: TypeAlias = "tuple[float, float, float, float]"
"""From the left, from the top, width and height."""

WHOLE = 1 << 20
"""What an image is decoded for: at least so many pixels on the shorter side, so never smaller than it is."""


def check_box(box: Box, *, parts: bool = False) -> None:
    """Refuse what is no box, before an image is read for it.

    Args:
        box: in pixels of the upright image.
        parts: whether it is in parts of width and height instead, 0 … 1.

    Raises:
        InvalidArgument: a number is not finite, or width or height is not above 0; or a part is above 1.
    """
    left, top, width, height = box
    said = ",".join(f"{number:g}" for number in box)
    if not all(map(math.isfinite, box)) or width <= 0 or height <= 0 or left < 0 or top < 0:
        raise InvalidArgument(f"a box is left,top,width,height, not below 0 and not empty; {said} is not")
    if parts and max(box) > 1:
        raise InvalidArgument(f"a box in parts of width and height has numbers from 0 to 1; {said} has not")


def crop(
    data: bytes,
    name: str,
    box: Box,
    *,
    parts: bool = False,
    max_pixels: int = MAX_PIXELS,
    levels: Range = AUTO,
) -> bytes:
    """Cut a region out of an image, and return it as a PNG, upright; what lies outside the image is left out.

    Args:
        data: the whole file.
        name: what an error calls it.
        box: in pixels of the upright image; at least one pixel of it has to be in the image.
        parts: whether it is in parts of width and height instead, 0 … 1.
        max_pixels: an image with more pixels is refused.
        levels: which samples of more than 8 bits become black and white.

    Raises:
        InvalidArgument: the box is none, or is outside of the image.
        UnusableImage: see `decoding.decode`.
    """
    check_box(box, parts=parts)
    image = decoding.decode(data, name, at_least=WHOLE, max_pixels=max_pixels, levels=levels)
    place = _pixels(image, box, parts=parts)
    if place[0] >= place[2] or place[1] >= place[3]:
        raise InvalidArgument(
            f"the box {','.join(f'{number:g}' for number in box)} lies outside of {name}, which has "
            f"{image.width} × {image.height} pixels"
        )
    written = BytesIO()
    # A picture that is thrown away at once is not worth the time that strong compression takes.
    image.crop(place).save(written, "PNG", compress_level=1)
    return written.getvalue()


def _pixels(image: Image, box: Box, *, parts: bool) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in whole pixels of an image, all that the box touches."""
    left, top, width, height = box
    scale = (image.width, image.height) if parts else (1, 1)
    right, bottom = (left + width) * scale[0], (top + height) * scale[1]
    # Beside the last bit of a division, a box that ends with a pixel touches no other.
    return (
        math.floor(left * scale[0] + 1e-6),
        math.floor(top * scale[1] + 1e-6),
        min(image.width, math.ceil(right - 1e-6)),
        min(image.height, math.ceil(bottom - 1e-6)),
    )
