"""Decoding: the bytes of a file to pixels, upright, RGB."""

from __future__ import annotations

import ctypes
import functools
import struct
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, _imaging
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.images import decoder_pool, decoding_cost, exif, jpeg_markers, samples, unsupported_formats
from lookalike.images.containers import Container, Damaged, Unread
from lookalike.images.formats import format_of
from lookalike.images.levels import AUTO, FULL, NoNumber, Range, lies_high, scale
from lookalike.images.limits import MAX_PIXELS
from lookalike.images.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from lookalike.images.containers import Planes
    from lookalike.images.formats import Format

MEMORY = 1 << 30
"""1 GiB: what images that are decoded at the same time take together, as estimated; the next one waits."""

# Images of less are not counted: two megapixels or so for each thread.
_LITTLE_MEMORY = 1 << 25
_MEMORY = MemoryBudget(MEMORY, _LITTLE_MEMORY)

SPARE = 2
"""A JPEG is decoded to at least so many times the model's input, so that the resize still averages."""


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
_ON_THEIR_SIDE = (5, 6, 7, 8)


class Decoded(NamedTuple):
    """An image and what was assumed."""

    image: Image.Image
    """Mode RGB, 8 bits a sample, of at least one pixel."""
    notes: tuple[str, ...] = ()
    """For the user, each in a few words: the same words for the same assumption."""


def decode(
    data: bytes, path: str, *, at_least: int, max_pixels: int = MAX_PIXELS, levels: Range = AUTO
) -> Image.Image:
    """Decode one image: see `decode_noted`, whose image it returns."""
    return decode_noted(data, path, at_least=at_least, max_pixels=max_pixels, levels=levels).image


def decode_noted(
    data: bytes, path: str, *, at_least: int, max_pixels: int = MAX_PIXELS, levels: Range = AUTO
) -> Decoded:
    """Decode one image, whatever its name says it is; may be called from several threads at once.

    JPEG, PNG, WebP, BMP, TIFF (the full picture, see `tiff`), GIF (first frame), HEIC, AVIF, JPEG 2000 and
    PNM. The rotation that EXIF, or else XMP, tells is applied. Colours become those of sRGB where the file
    has an ICC profile, or a PNG its gamma; CMYK without one is converted plainly (in a JPEG, inverted as
    Adobe writes it). Samples of more than 8 bits are scaled to 8 as `levels` says; RGB of 16 bits in a PNG
    that fills them keeps the high byte. Transparent pixels are laid onto white, or onto black where the
    drawing would vanish on white. Nothing is printed and nothing warns.

    Args:
        data: the whole file.
        path: what the error calls it.
        at_least: shorter side in pixels, at least 1, that the caller is going to resize to. A JPEG is decoded
            at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least SPARE times that.
        max_pixels: width times height, at least 1, above which the image is refused before it is decoded.
        levels: which samples of more than 8 bits become black and white.

    Raises:
        UnusableImage: no image of these formats, empty, truncated, damaged, too large, or too costly.
        DecodingStopped: the program stops, and this image may take long.
        InvalidArgument: `at_least` or `max_pixels` is below 1.
    """
    if at_least < 1 or max_pixels < 1:
        raise InvalidArgument(f"at_least ({at_least}) and max_pixels ({max_pixels}) must be at least 1")
    if not data:
        raise UnusableImage(path, "empty file")
    form = format_of(data)
    if form is None:
        raise UnusableImage(path, unsupported_formats.describe(data))
    try:
        expected = decoding_cost.estimate(data, decoding_cost.Limits(max_pixels, at_least))
    except decoding_cost.TooCostly as error:
        raise UnusableImage(path, str(error)) from error
    with _MEMORY.lend(expected.memory):
        if expected.apart:
            options = {"at_least": at_least, "max_pixels": max_pixels, "levels": str(levels)}
            return Decoded(*decoder_pool.POOL.decode(data, path, options, expected.memory))
        return decode_here(data, path, at_least=at_least, max_pixels=max_pixels, levels=levels)


def may_take_long(data: bytes, at_least: int, max_pixels: int = MAX_PIXELS) -> bool:
    """Tell whether a file would be decoded in a process of its own; one that would be refused would not.

    Args:
        data: the whole file, of any kind.
        at_least: see `decode_noted`.
        max_pixels: see `decode_noted`.
    """
    if format_of(data) is None:
        return False
    try:
        return decoding_cost.estimate(data, decoding_cost.Limits(max_pixels, at_least)).apart
    except decoding_cost.TooCostly:
        return False


def decode_here(
    data: bytes, path: str, *, at_least: int, max_pixels: int = MAX_PIXELS, levels: Range = AUTO
) -> Decoded:
    """Decode one image in the calling thread, whatever it costs; `decode_noted` asks that first.

    Raises:
        UnusableImage: see `decode_noted`.
    """
    form = format_of(data)
    if form is None:
        raise UnusableImage(path, unsupported_formats.describe(data))
    try:
        return _decode(form, data, at_least, max_pixels, levels)
    except Exception as error:  # Pillow raises nearly anything on damaged data
        raise UnusableImage(path, _reason(error, form.name)) from error


def picture_size(data: bytes, path: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return width and height of an image in pixels, upright, from its header alone.

    Args:
        data: the whole file.
        path: what the error calls it.
        max_pixels: an image with more pixels is refused.

    Raises:
        UnusableImage: see `decode_noted`; what is behind the header is not looked at.
    """
    form = format_of(data)
    if form is None:
        raise UnusableImage(path, unsupported_formats.describe(data))
    try:
        container = form.parse(data)
        _check(container.size, max_pixels)
        orientation = container.orientation
        size = container.size
        if size is None or (orientation is None and container.planes is None):
            image = _opened(form, container, max_pixels)
            size = image.size
            orientation = _orientation(form, image) if orientation is None else orientation
    except Exception as error:  # as in `decode_here`
        raise UnusableImage(path, _reason(error, form.name)) from error
    width, height = size
    return (height, width) if orientation in _ON_THEIR_SIDE else (width, height)


class _TooLarge(Exception):
    """The header claims more pixels than are allowed."""


class _NoHeader(Exception):
    """Pillow does not get past the header."""


def _decode(form: Format, data: bytes, at_least: int, max_pixels: int, levels: Range) -> Decoded:
    container = form.parse(data)
    _check(container.size, max_pixels)
    colours, orientation = container.colours, container.orientation
    if container.planes is not None:
        _silence_libtiff()
        image, notes = _flat(container.planes(), levels, container)
    else:
        decoded = _loaded(form, container, at_least, max_pixels)
        if orientation is None:
            orientation = _orientation(form, decoded)
        profile = decoded.info.get("icc_profile")
        if profile and colours.profile is None:
            colours = colours._replace(profile=profile)
        image, notes = _of_8_bits(decoded, levels, container)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    # The fourth byte of a 32-bit BMP is often left at 0, which would make all of it invisible.
    upright, more = samples.rgb(image, colours, opaque=form.name == "BMP")
    return Decoded(upright, (*notes, *more))


def _loaded(form: Format, container: Container, at_least: int, max_pixels: int) -> ImageFile:
    """Open a file with its decoder and decode it."""

    def load(one: Container) -> ImageFile:
        image = _opened(form, one, max_pixels)
        image.draft(None, (SPARE * at_least, SPARE * at_least))  # does something for a JPEG only
        image.load()
        return image

    try:
        return load(container)
    except OSError:
        if form.name != "JPEG":
            raise
        data = container.stream.getvalue()
        begun = data.rstrip(_END_OF_IMAGE[:1])  # the first byte of an end marker may be there
        # Zeros at the end are what a download leaves of a file that it made room for; they decode as pixels.
        if data.endswith((_END_OF_IMAGE, bytes(8))) or not _lacks_only_its_end(form, begun):
            raise
        return load(Container(BytesIO(begun + _END_OF_IMAGE)))


def _opened(form: Format, container: Container, max_pixels: int) -> ImageFile:
    try:
        image = form.plugin(container.stream, "")
    except SyntaxError as error:
        raise _NoHeader from error
    _check(image.size, max_pixels)
    if isinstance(image, TiffImageFile):
        _silence_libtiff()
    return image


_END_OF_IMAGE = b"\xff\xd9"
_ANYTHING = bytes((73 * n + 29) % 251 for n in range(1024))


def _lacks_only_its_end(form: Format, data: bytes) -> bool:
    """Say whether a JPEG that breaks off has all of its pixels, and lacks no more than its end marker.

    Where pixels are missing, the decoder takes them from whatever comes next: then they differ with it. Where
    none are, it goes on to the end marker. That scans are missing altogether it does not mind.
    """
    if not jpeg_markers.has_all_scans(data):
        return False
    pictures = []
    for ending in (b"", _ANYTHING):
        image = form.plugin(BytesIO(data + ending + _END_OF_IMAGE), "")
        image.load()
        pictures.append(image.tobytes())
    return pictures[0] == pictures[1]


def _orientation(form: Format, image: ImageFile) -> int | None:
    """Return the orientation that a decoder found."""
    if form.name == "HEIC":  # libheif has turned it
        return None
    block = image.info.get("exif")
    told = exif.orientation(block) if block else None
    packet = image.info.get("xmp")
    # AVIF tells how it is turned in a property of its own, which Pillow hands on as EXIF.
    if told is None and isinstance(packet, bytes) and form.name != "AVIF":
        told = exif.xmp_orientation(packet)
    return told


def _of_8_bits(image: ImageFile, levels: Range, container: Container) -> tuple[Image.Image, list[str]]:
    """Return a decoded image as one of 8 bits a sample, and what was assumed of its range."""
    stated = container.stated
    if container.low_bytes is not None:
        high = np.asarray(image)
        colours = 3 if image.mode == "RGBA" else high.shape[2]
        if levels == FULL or (levels == AUTO and stated.bits is None and lies_high(high[:, :, :colours])):
            return image, []
        low = PngImageFile(container.low_bytes(), "")
        low.load()
        lows = np.asarray(low.convert(image.mode))[:, :, :colours]
        scaled = scale(high[:, :, :colours].astype(np.uint16) << 8 | lows, levels, stated)
        bands = Image.fromarray(scaled.levels)
        if image.mode == "RGBA":
            bands.putalpha(image.getchannel("A"))
        elif (key := image.info.get("transparency")) is not None:
            bands.putalpha(Image.fromarray(np.where((high == key).all(axis=2), 0, 255).astype(np.uint8)))
        return bands, _noted(scaled.note)
    if not (image.mode.startswith("I;16") or image.mode in ("I", "F")):
        if container.cut and levels != FULL and not lies_high(np.asarray(image.convert("RGB"))):
            raise Unread(
                "colours of 16 bits that do not fill them, of which only the high bytes could be read: "
                "export it as PNG or TIFF"
            )
        return image, []
    grey = np.asarray(image)
    if image.mode.startswith("I;16"):
        grey = grey.astype(np.uint16)
    scaled = scale(grey, levels, stated)
    flat = Image.fromarray(scaled.levels)
    if (transparent := image.info.get("transparency")) is not None:
        flat.putalpha(Image.fromarray(np.where(grey == transparent, 0, 255).astype(np.uint8)))
    return flat, _noted(scaled.note)


def _flat(planes: Planes, levels: Range, container: Container) -> tuple[Image.Image, list[str]]:
    """Return samples as they are stored as an image of 8 bits, and what was assumed of its range."""
    stored = planes.samples
    if planes.lab:
        high = (stored // 256 ** (stored.dtype.itemsize - 1)).astype(np.uint8)
        high ^= np.array([0, 0x80, 0x80], np.uint8)  # Pillow keeps a and b without signs
        return Image.merge("LAB", [Image.fromarray(band) for band in np.moveaxis(high, 2, 0)]), []
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[stored.shape[2]]
    plain = stored.dtype.kind == "u" and container.stated.bits is None
    # Ink has no highlights to be looked for, and 8 bits no range.
    if mode == "CMYK" or (plain and stored.dtype.itemsize == 1):
        levels = FULL
    scaled = scale(stored, levels, container.stated)
    shown = ~scaled.levels if planes.inverted else scaled.levels
    image = Image.merge(mode, [Image.fromarray(band) for band in np.moveaxis(shown, 2, 0)])
    if planes.alpha is not None and mode != "CMYK":
        image.putalpha(Image.fromarray(scale(planes.alpha, FULL, container.stated).levels))
        if planes.premultiplied:
            whole = image.convert("RGBA")
            image = Image.frombytes("RGBa", whole.size, whole.tobytes()).convert("RGBA")
    return image, _noted(scaled.note)


def _noted(note: str | None) -> list[str]:
    return (
        []
        if note is None
        else [f"more than 8 bits a sample: {note}; --range LOW:HIGH sets one for a collection"]
    )


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
    if isinstance(error, _TooLarge | Unread):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"{name} of more pixels than Pillow allows for that format (twice PIL.Image.MAX_IMAGE_PIXELS)"
    if isinstance(error, MemoryError):
        return "not enough memory for that many pixels"
    if isinstance(error, EOFError | IndexError | struct.error) or "truncated" in str(error).lower():
        return f"truncated {name}"
    if isinstance(error, Damaged | NoNumber):
        return f"damaged {name}: {error}"
    if isinstance(error, _NoHeader):
        return f"damaged {name}, or of an unusual kind: its header cannot be read"
    return f"damaged {name}: its pixels cannot be decoded"
