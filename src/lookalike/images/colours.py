"""Colour management: the colours of a file to sRGB, by ICC profile or the gamma of a PNG."""

from __future__ import annotations

import functools
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

LONGEST_PROFILE = 4 << 20
"""A profile of more bytes is not used; those of printing presses have 0.5 to 3 MB."""

# A profile that changes no colour by more is that of sRGB, by whatever name, and is not applied.
_SAME = 3
# The gamma of a PNG of sRGB is 1/2.2 (PNG specification, section 11.3.2.2); so near to it nothing is changed.
_SRGB_GAMMA = 1 / 2.2
_NEAR = 0.05

UNUSABLE = "its colour profile cannot be used; its colours were taken for those of sRGB"
"""What is said of a profile that is damaged, or not for such an image."""


def to_srgb(
    image: Image.Image, profile: bytes | None, gamma: float | None = None
) -> tuple[Image.Image, bool]:
    """Return an image in the colours of sRGB, and whether the profile could be used.

    Args:
        image: of mode L, RGB or CMYK.
        profile: an ICC profile, or None.
        gamma: the exponent by which the samples were made from light, which counts without a profile.

    Returns:
        Of mode RGB or, where nothing changes, as it was. CMYK without a profile stays CMYK.
    """
    if profile is not None:
        if (
            image.mode == "L" and profile[16:20] == b"RGB "
        ):  # as programs write it that made grey of a picture
            image = image.convert("RGB")
        try:
            transform = _transform(profile, image.mode)
        except Exception:  # noqa: BLE001 littlecms tells all kinds of damage by several classes
            return image, False
        return (image if transform is None else transform.apply(image)), True
    if gamma is not None and abs(gamma - _SRGB_GAMMA) > _NEAR * _SRGB_GAMMA and image.mode != "CMYK":
        return image.point(_table(gamma) * len(image.getbands())), True
    return image, True


def inflate_profile(chunk: bytes) -> bytes | None:
    """Return the profile in an iCCP chunk (PNG specification, section 11.3.2.3); None where it is damaged."""
    _, _, rest = chunk.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], LONGEST_PROFILE)
    except zlib.error:
        return None
    return profile if inflate.eof else None


@functools.lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Return what brings such colours to sRGB; None where they are nearly the same already.

    Raises:
        Exception: the profile is damaged, or for other colours.
    """
    from PIL import ImageCms

    if len(profile) > LONGEST_PROFILE:
        raise ValueError
    source = ImageCms.getOpenProfile(BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "CMYK":
        return transform
    if mode == "L":
        samples = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        steps = np.linspace(0, 255, 9).astype(np.uint8)
        samples = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3))
    before = np.asarray(samples.convert("RGB")).astype(int)
    change = np.abs(np.asarray(transform.apply(samples)).astype(int) - before).max()
    return None if change <= _SAME else transform


def _table(gamma: float) -> list[int]:
    """Return sRGB's level for each sample: what a decoder does with gAMA (PNG specification, 13.13)."""
    exponent = _SRGB_GAMMA / gamma
    return [round(255 * (sample / 255) ** exponent) for sample in range(256)]
