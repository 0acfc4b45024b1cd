"""Thumbnails of an image, as WebP."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from lookalike.images import decoding
from lookalike.images.levels import AUTO, Range
from lookalike.images.limits import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_jpeg(data: bytes, quality: int = 90) -> bytes:
    """Return a picture that is at hand, such as a frame of a film, as JPEG."""
    written = BytesIO()
    decoding.decode(data, "frame", at_least=1, max_pixels=MAX_PIXELS).save(written, "JPEG", quality=quality)
    return written.getvalue()


def thumbnails(
    data: bytes,
    name: str,
    sizes: Sequence[int],
    *,
    quality: int,
    max_pixels: int = MAX_PIXELS,
    levels: Range = AUTO,
) -> list[bytes]:
    """Return an image in several small sizes, as WebP, upright, and as it is embedded.

    Args:
        data: the whole file.
        name: what the error calls it.
        sizes: of the longer side in pixels, the largest first. Nothing is enlarged.
        quality: of WebP, 0 to 100.
        max_pixels: an image with more pixels is refused.
        levels: which samples of more than 8 bits become black and white.

    Raises:
        UnusableImage: see `decoding.decode`.
    """
    image = decoding.decode(data, name, at_least=sizes[0], max_pixels=max_pixels, levels=levels)
    made = []
    for size in sizes:
        # Pillow's thumbnail keeps the proportions and enlarges nothing.
        image.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
        written = BytesIO()
        image.save(written, "WEBP", quality=quality)
        made.append(written.getvalue())
    return made
