"""Preprocessing: an image of any size becomes the input of a network, as the libraries that train them do it.

Resizing and cropping follow, step by step, what torchvision 0.29 (`Resize`, `CenterCrop`), timm 1.0
(`ResizeKeepRatio`, `CenterCropOrPad`) and the Pillow back end of transformers 5 do to a Pillow image; the
tests in tests/torch hold the results against all of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from PIL import Image

from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

Resize: TypeAlias = Literal["shortest", "squash", "longest"]
Rounding: TypeAlias = Literal["floor", "round"]
Layout: TypeAlias = Literal["NCHW", "NHWC"]

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's filters by the names that model cards use."""

# An image so many times as long as wide is cropped before it is resized: resized whole, a strip of
# 1 × 5,000 pixels would take 750 MB.
_STRIP = 8


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes the input of a network; equal values give equal numbers."""

    size: tuple[int, int]
    """Height and width of the input, in pixels."""
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    resize: Resize = "shortest"
    """shortest: the shorter side becomes that of `resize_to`, and the middle is cut out; squash: both sides
    do, whatever the proportions; longest: the longer one does, and the rest is filled with `fill`."""
    resize_to: tuple[int, int] | None = None
    """Height and width that are resized to before the middle is cut out; None: `size`."""
    crop: Rounding = "round"
    """Where the middle begins if an odd number of pixels is left over: transformers rounds down,
    torchvision to the even number."""
    interpolation: str = "bicubic"
    scale: float = 1 / 255
    """Pixels, 0 … 255, are multiplied by this before the mean is subtracted."""
    fill: tuple[int, int, int] = (0, 0, 0)
    layout: Layout = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"

    @property
    def input_size(self) -> int:
        """Shorter side that an image is resized to, in pixels."""
        return min(self.resize_to or self.size)

    @property
    def recipe(self) -> str:
        """All of it as one line, for a fingerprint."""
        return json.dumps(asdict(self), sort_keys=True)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the input for one image, float32 of shape (3, height, width), or as `layout` says.

        Raises:
            InvalidArgument: the image is not of mode RGB, or empty.
        """
        pixels = self.pixels(image)
        mean, deviation = np.asarray(self.mean), np.asarray(self.deviation)
        factor = (self.scale / deviation).astype(np.float32)
        offset = (-mean / deviation).astype(np.float32)
        if self.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        if self.layout == "NHWC":
            scaled: NDArray[np.float32] = np.multiply(pixels, factor, dtype=np.float32)
            scaled += offset
            return scaled
        planes = np.multiply(
            np.ascontiguousarray(pixels.transpose(2, 0, 1)), factor[:, None, None], dtype=np.float32
        )
        planes += offset[:, None, None]
        return planes

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the image resized and cropped, uint8 of shape (height, width, 3), RGB."""
        if image.mode != "RGB" or 0 in image.size:
            raise InvalidArgument(f"no RGB image: mode {image.mode}, {image.width} × {image.height} pixels")
        if self.resize == "longest":
            return self._padded(image)
        height, width = self.size
        filtered = RESAMPLING[self.interpolation]
        whole = self._resized_size(image)
        left, top = (self._start(whole[0] - width), self._start(whole[1] - height))
        if whole == (width, height):
            return np.asarray(image if image.size == whole else image.resize(whole, filtered))
        if max(whole) > _STRIP * max(self.size):
            across, down = image.width / whole[0], image.height / whole[1]
            box = (left * across, top * down, (left + width) * across, (top + height) * down)
            return np.asarray(image.resize((width, height), filtered, box=box))
        resized = image if image.size == whole else image.resize(whole, filtered)
        return np.asarray(resized.crop((left, top, left + width, top + height)))

    def _resized_size(self, image: Image.Image) -> tuple[int, int]:
        """Return the width and height before the middle is cut out."""
        height, width = self.resize_to or self.size
        if self.resize == "squash":
            return width, height
        short, long = sorted(image.size)
        longer = int(height * long / short)
        return (height, longer) if image.width <= image.height else (longer, height)

    def _start(self, left_over: int) -> int:
        return left_over // 2 if self.crop == "floor" else round(left_over / 2)

    def _padded(self, image: Image.Image) -> NDArray[np.uint8]:
        height, width = self.resize_to or self.size
        ratio = max(image.height / height, image.width / width)
        # A strip so thin that nothing would be left of it keeps one pixel.
        size = (max(1, round(image.width / ratio)), max(1, round(image.height / ratio)))
        resized = image if image.size == size else image.resize(size, RESAMPLING[self.interpolation])
        left_over = (self.size[1] - size[0], self.size[0] - size[1])
        canvas = Image.new("RGB", (self.size[1], self.size[0]), self.fill)
        left, top = (n // 2 if n > 0 else -self._start(-n) for n in left_over)
        canvas.paste(resized, (left, top))
        return np.asarray(canvas)


@dataclass(frozen=True, slots=True)
class View:
    """A view of an image (its size, and whether mirrored too); features of several are laid end to end."""

    preprocessing: Preprocessing
    mirrored: bool = False
    """Whether the mirror image is read too, and the features averaged."""

    @property
    def recipe(self) -> str:
        """All of it as one line, for a fingerprint."""
        return self.preprocessing.recipe + (" and mirrored" if self.mirrored else "")

    def inputs(self, image: Image.Image) -> list[NDArray[np.float32]]:
        """Return the one or two inputs whose features are averaged."""
        first = self.preprocessing(image)
        if not self.mirrored:
            return [first]
        return [first, np.ascontiguousarray(np.flip(first, axis=1 if self._last_is_colour else 2))]

    @property
    def _last_is_colour(self) -> bool:
        return self.preprocessing.layout == "NHWC"
