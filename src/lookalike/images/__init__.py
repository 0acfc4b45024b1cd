"""From the bytes of a file to its pixels: decoded once, upright, RGB."""

from __future__ import annotations

import ctypes
import functools
import struct
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, _imaging
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.images import containers, cost, decoder_pool, exif, jpeg_markers, samples
from lookalike.images.budget import MemoryBudget
from lookalike.images.containers import Container, Damaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile


MAX_PIXELS = 2**27
"""Pixels above which an image is refused, unless the caller says otherwise: 134,217,728.

At the 4 bytes that Pillow holds a colour pixel in, these are 512 MiB; a medium-format camera of 102
megapixels stays below (11,648 × 8,736). Pillow's own guard, `PIL.Image.MAX_IMAGE_PIXELS`, is 89,478,485.
"""

MEMORY = 1 << 30
"""1 GiB: what images that are decoded at the same time take together, as estimated; the next one waits."""

# Images of less are not counted: two megapixels or so for each thread.
_LITTLE_MEMORY = 1 << 25
_MEMORY = MemoryBudget(MEMORY, _LITTLE_MEMORY)

SPARE = 2
"""A JPEG is decoded to at least so many times the model's input, so that the resize still averages."""


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Read no resolution: a damaged EXIF block would make Pillow warn, and nobody asks."""


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        # Pillow allocates behind its own check of size, which warns; `decode` has checked by now.
        if self._im is None:
            self.im = Image.new(self.mode, (self.tag_v2[256], self.tag_v2[257])).im
        super().load_prepare()


class _Format(NamedTuple):
    name: str
    signed: Callable[[bytes], bool]
    parse: Callable[[bytes], Container]
    plugin: type[ImageFile]


def _plain(data: bytes) -> Container:
    return Container(BytesIO(data))


def _jpeg(data: bytes) -> Container:
    return Container(BytesIO(jpeg_markers.cleaned(data)))


# Pillow's own classes, and not Image.open: that warns, through the process-wide `warnings`, of large images
# and of formats it tried. The limit it warns from is a global of the program's, not of a library in it.
# A text may begin with "BM" too; a bitmap goes on with the size of one of the headers that Pillow reads.
_FORMATS = (
    _Format("JPEG", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg, _Jpeg),
    _Format("PNG", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), containers.png, PngImageFile),
    _Format(
        "WebP", lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", containers.webp, WebPImageFile
    ),
    _Format("GIF", lambda data: data[:6] in (b"GIF87a", b"GIF89a"), containers.gif, GifImageFile),
    _Format(
        "TIFF",
        lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        containers.tiff,
        _Tiff,
    ),
    _Format(
        "BMP",
        lambda data: (
            data[:2] == b"BM" and data[14:18] in {bytes([n, 0, 0, 0]) for n in (12, 40, 52, 56, 64, 108, 124)}
        ),
        _plain,
        BmpImageFile,
    ),
)


class FileType(NamedTuple):
    """What a file is, by its content."""

    media_type: str
    """As IANA registers it; of BMP, RFC 7903."""
    suffix: str
    """What the name of such a file ends in."""


_TYPES = {
    "JPEG": FileType("image/jpeg", ".jpg"),
    "PNG": FileType("image/png", ".png"),
    "WebP": FileType("image/webp", ".webp"),
    "GIF": FileType("image/gif", ".gif"),
    "TIFF": FileType("image/tiff", ".tif"),
    "BMP": FileType("image/bmp", ".bmp"),
}

SIGNED_BYTES = 32
"""So many bytes at the beginning of a file tell which of the formats it has."""

# What brings an image of each EXIF orientation upright (Exif 2.32, section 4.6.4, tag 274).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def file_type(data: bytes) -> FileType | None:
    """Return the type of a file; None where it has none of the six formats.

    Args:
        data: its content, or the first `SIGNED_BYTES` of it.
    """
    form = _format_of(data)
    return None if form is None else _TYPES[form.name]


def _format_of(data: bytes) -> _Format | None:
    return next((form for form in _FORMATS if form.signed(data)), None)


def decode(data: bytes, path: str, *, at_least: int, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one image, whatever its name says it is; may be called from several threads at once.

    JPEG, PNG, WebP, BMP, TIFF (first page) and GIF (first frame). Transparent pixels are laid onto white, the
    EXIF rotation is applied, CMYK becomes RGB without colour management (in a JPEG, inverted as Adobe writes
    it). 9 to 16 bits of grey are scaled to 8 by the range of their type. Grey of 32 bits, of floats, or
    signed, has no agreed white: the image's own smallest value becomes black and its largest white, unless
    they are floats from 0 to 1, where 1 is white. Colour of 16 bits keeps its high byte, as Pillow has it.
    Nothing is printed and nothing warns.

    Args:
        data: the whole file.
        path: what the error calls it.
        at_least: shorter side in pixels, at least 1, that the caller is going to resize to. A JPEG is decoded
            at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least SPARE times that.
        max_pixels: width times height, at least 1, above which the image is refused before it is decoded.

    Returns:
        Mode RGB, 8 bits a sample, of at least one pixel.

    Raises:
        UnusableImage: no image of these formats, empty, truncated, damaged, too large, or too costly to
        decode. DecodingStopped: the program stops, and this image may take long.
        InvalidArgument: `at_least` or `max_pixels` is below 1.
    """
    if at_least < 1 or max_pixels < 1:
        raise InvalidArgument(f"at_least ({at_least}) and max_pixels ({max_pixels}) must be at least 1")
    if not data:
        raise UnusableImage(path, "empty file")
    form = _format_of(data)
    if form is None:
        raise UnusableImage(path, "not an image: the content is neither JPEG, PNG, WebP, BMP, TIFF nor GIF")
    try:
        expected = cost.estimate(data, cost.Limits(max_pixels, at_least))
    except cost.TooCostly as error:
        raise UnusableImage(path, str(error)) from error
    options = {"at_least": at_least, "max_pixels": max_pixels}
    with _MEMORY.lend(expected.memory):
        if expected.apart:
            return decoder_pool.POOL.decode(data, path, options, expected.memory)
        return decode_here(data, path, **options)


def decode_here(data: bytes, path: str, *, at_least: int, max_pixels: int) -> Image.Image:
    """Decode one image in the calling thread, whatever it costs; see `decode`, which asks that first.

    Raises:
        UnusableImage: see `decode`.
    """
    form = _format_of(data)
    if form is None:
        raise UnusableImage(path, "not an image")
    try:
        return _decode(form, data, at_least, max_pixels)
    except Exception as error:  # Pillow raises nearly anything on damaged data
        raise UnusableImage(path, _reason(error, form.name)) from error


class _TooLarge(Exception):
    """The header claims more pixels than are allowed."""


class _Unread(Exception):
    """Pillow does not get past the header."""


def _decode(form: _Format, data: bytes, at_least: int, max_pixels: int) -> Image.Image:
    container = form.parse(data)
    _check(container.size, max_pixels)
    try:
        image = form.plugin(container.stream, "")
    except SyntaxError as error:
        raise _Unread from error
    _check(image.size, max_pixels)
    image.draft(None, (SPARE * at_least, SPARE * at_least))  # does something for a JPEG only
    if isinstance(image, TiffImageFile):
        _silence_libtiff()
    image.load()
    block = image.info.get("exif")  # of JPEG and WebP, unread
    orientation = exif.orientation(block) if block else container.orientation
    levels = samples.deep_grey(image)
    upright = Image.fromarray(levels) if levels is not None else image
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    # The fourth byte of a 32-bit BMP is often left at 0, which would make all of it invisible.
    return samples.rgb(upright, opaque=form.name == "BMP")


def _check(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size and size[0] * size[1] > max_pixels:
        raise _TooLarge(
            f"{size[0]} × {size[1]} pixels are more than the limit of {max_pixels:,} (max-pixels)"
        )


@functools.cache
def _silence_libtiff() -> None:
    """Stop libtiff from writing about damaged files to the process's stderr; Pillow raises in any case.

    TIFFSetErrorHandler(3tiff): a null handler suppresses the messages. The functions are looked up through
    Pillow's extension module, so they are those of the libtiff that Pillow is linked to. Where they cannot be
    found there, libtiff goes on writing.
    """
    try:
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
    except (AttributeError, OSError):
        pass


def _reason(error: Exception, name: str) -> str:
    """Say in a few words why a file of the format `name` could not be decoded."""
    if isinstance(error, _TooLarge):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"{name} of more pixels than Pillow allows for that format (twice PIL.Image.MAX_IMAGE_PIXELS)"
    if isinstance(error, MemoryError):
        return "not enough memory for that many pixels"
    if isinstance(error, EOFError | IndexError | struct.error) or "truncated" in str(error).lower():
        return f"truncated {name}"
    if isinstance(error, Damaged):
        return f"damaged {name}: {error}"
    if isinstance(error, _Unread):
        return f"damaged {name}, or of an unusual kind: its header cannot be read"
    return f"damaged {name}: its pixels cannot be decoded"
