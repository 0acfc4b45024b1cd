"""From samples of any depth, and any colour model, to 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile


def rgb(image: Image.Image, *, opaque: bool) -> Image.Image:
    """Return 8-bit RGB of an image of at most 8 bits a sample, transparency laid onto white.

    Args:
        image: decoded, of any mode of Pillow's but the deep ones.
        opaque: take an image whose every pixel is invisible for one whose transparency was never set.

    Returns:
        An image of mode RGB.
    """
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if opaque and layer.getchannel("A").getextrema() == (0, 0):
            layer.putalpha(255)
        image = Image.new("RGB", image.size, "white")
        image.paste(layer, mask=layer)
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return image


# Whatever bits a float has (a signalling NaN, the largest number): NumPy would warn of each.
@np.errstate(all="ignore")
def deep_grey(image: ImageFile) -> NDArray[np.uint8] | None:
    """Return grey of more than 8 bits as 8 bits, shape (height, width); None for any other image.

    Pillow would clip such samples when it converts them. Linear scaling with rounding, as section 9.1 of the
    PNG specification 1.2 has it.
    """
    if not (image.mode.startswith("I;16") or image.mode in ("I", "F")):
        return None
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    samples = np.asarray(image)
    if image.mode.startswith("I;16"):
        (bits,) = tags.get(258, (16,))
        white = 2**bits - 1
        wide = samples.astype(np.uint32)
        wide *= 255
        wide += white // 2
        wide //= white
        levels = wide.astype(np.uint8)
        if (transparent := image.info.get("transparency")) is not None:
            levels[samples == transparent] = 255
    else:
        if image.mode == "I" and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
            samples = samples.view(np.uint32)  # Pillow reads them as signed
        levels = _stretched(samples)
    # TIFF's PhotometricInterpretation 0, white is zero: Pillow minds it up to 8 bits only.
    return ~levels if tags.get(262) == 0 else levels


def _stretched(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = samples.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = finite.min(), finite.max()
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values -= low
    values /= (high - low) or 1.0
    values *= 255
    np.nan_to_num(values, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.rint(values).astype(np.uint8)
