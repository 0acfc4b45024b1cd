"""Conversion of decoded samples of any colour model to 8-bit RGB, transparency laid onto a background."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from lookalike.images.colours import UNUSABLE, to_srgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

ON_BLACK = "nearly white on transparency: laid onto black"
"""What is said of a drawing that would vanish on white."""

BLANK = "blank: one colour, with nothing in it to compare"
"""What is said of an image without content."""

# Levels of 255 from white below which nobody sees a drawing on white.
_SEEN = 32
# A drawing of which no more than this part is seen on white vanishes there.
_VANISHING = 0.05
# Of fewer visible pixels nothing is drawn.
_ENOUGH = 16
# Of more pixels than that only every n-th row is looked at.
_LOOKED_AT = 1 << 22
# Of so many rows each is taken out alone, which needs less memory; more of them would take long.
_MOST_ROWS = 1 << 15
# Levels of 255 that the samples of one colour may differ by: rounding, and the noise of a lossy coder.
_SAME = 3


class Colours(NamedTuple):
    """What a file says of its colours."""

    profile: bytes | None = None
    """An ICC profile."""
    gamma: float | None = None
    """Of a PNG without one."""


def rgb(image: Image.Image, colours: Colours, *, opaque: bool) -> tuple[Image.Image, list[str]]:
    """Return 8-bit RGB of an image of at most 8 bits a sample, and what was assumed.

    Where it is transparent it is laid onto white; onto black if, of what is visible, hardly anything would be
    seen on white.

    Args:
        image: decoded, of any mode of Pillow's but the deep ones.
        colours: what the file says of them.
        opaque: take an image whose every pixel is invisible for one whose transparency was never set.

    Returns:
        An image of mode RGB, and notes for the user.
    """
    notes = []
    alpha = None
    if image.has_transparency_data:
        layer = image.convert("LA") if image.mode == "La" else image
        layer = layer if layer.mode == "RGBA" else layer.convert("RGBA")  # a copy of a large one is much
        alpha = layer.getchannel("A")
        lowest, highest = alpha.getextrema()
        if lowest == 255 or (opaque and highest == 0):
            alpha = None
        grey = image.mode in ("1", "L", "LA", "La") and colours.profile is not None
        image = layer.convert("L" if grey else "RGB")
        del layer
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image, used = to_srgb(image, colours.profile, colours.gamma)
    if not used:
        notes.append(UNUSABLE)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is not None:
        vanishes = _vanishes(image, alpha)
        if vanishes:
            notes.append(ON_BLACK)
        background = Image.new("RGB", image.size, "black" if vanishes else "white")
        background.paste(image, mask=alpha)
        image = background
    if _blank(image):
        notes.append(BLANK)
    return image, notes


def _vanishes(image: Image.Image, alpha: Image.Image) -> bool:
    """Say whether the visible part of an image would hardly be seen on white, although it is there."""
    visible = _some_rows(alpha).astype(np.uint32)
    total = int(visible.sum(dtype=np.uint64))
    # What white lets be seen of a pixel: how far its darkest channel is from white, where it is opaque.
    seen = visible * (255 - _some_rows(image).min(axis=2).astype(np.uint32)) >= 255 * _SEEN
    return total >= 255 * _ENOUGH and int(visible[seen].sum(dtype=np.uint64)) <= _VANISHING * total


def _some_rows(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image, or of a large one every n-th row."""
    step = 1 + image.width * image.height // _LOOKED_AT
    if step == 1 or image.height // step > _MOST_ROWS:
        return np.asarray(image)[::step]
    return np.concatenate(
        [np.asarray(image.crop((0, top, image.width, top + 1))) for top in range(0, image.height, step)]
    )


def _blank(image: Image.Image) -> bool:
    # Nearly every picture shows at a few places that it is not of one colour.
    width, height = image.size
    few: NDArray[np.uint8] = np.array(
        [image.getpixel((width * x // 4, height * y // 4)) for x in range(4) for y in range(4)]
    )
    if np.ptp(few.astype(int), axis=0).max() > _SAME:
        return False
    extremes: list[tuple[int, int]] = image.getextrema()  # type: ignore[assignment]  # a pair for each of R, G, B
    return max(high - low for low, high in extremes) <= _SAME
