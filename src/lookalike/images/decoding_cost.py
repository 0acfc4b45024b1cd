"""The cost of decoding an image, estimated from its header: memory, and whether it may take long.

Pixels are only half of it. A progressive JPEG is read once a scan, and a scan may be 29 bytes; a WebP takes
16 bytes a pixel; a run-length coded bitmap is unpacked in Python. What is plainly beyond what encoders write
is refused here; what may take long, or cannot be told from the header, is decoded where it can be ended
(`lookalike.images.decoder_pool`). Nothing here takes longer than the file is long, and loops have a limit.
"""

from __future__ import annotations

import re
import struct
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.images import jpeg_markers
from lookalike.images.containers import Damaged, webp_size
from lookalike.images.exif import MOST_ENTRIES, Directory
from lookalike.images.formats import format_of

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SCANS = 256
"""Scans of a JPEG, as nvImageCodec has it (NVIMGCODEC_MAX_JPEG_SCANS).

libjpeg's own script has 10, of CMYK 18 (jcparam.c, jpeg_simple_progression).
"""

SCANS_OF_ALL_PIXELS = 32
"""So many times the limit of pixels are the pixels of all scans: nearly twice what libjpeg writes at most."""

BYTES_A_PIXEL = 12
"""Memory for each pixel of the limit of pixels: of 8 bits, turned, with a colour profile it takes as many."""

LEAST_MEMORY = 1 << 26
"""64 MiB: below, memory is no reason to refuse an image, however low the limit of pixels is."""

MOST_CHUNKS = 1 << 17
"""Chunks of a PNG, strips or tiles of a TIFF: 1 GiB of 8 KiB each, as libpng and libtiff write them."""

MOST_BLOCKS = 1 << 16
"""Sub-blocks of a GIF before its first frame; 16 MiB of notes have as many, of 255 bytes each."""

MOST_PAGES = 64
"""Pages of a TIFF that are looked at for the largest one; where there are more, it is decoded apart."""

# Above these an image is decoded apart. Each takes about a second of a core at most, measured at 2.5 GHz.
_QUICK_JPEG = 1 << 28  # pixels times scans
_QUICK_BYTES = 1 << 28  # of samples, unpacked: PNG, TIFF
# WebP is decoded with Python's lock held: a quarter of a second.
_QUICK_WEBP = 1 << 22
# Before its pixels a PNG says in so many bytes, nearly always, whether it has a transparent colour.
_HEAD = 1 << 16
# Bytes a pixel: of a picture with transparency, itself, its colours, its alpha, and what it is laid onto; of
# a PNG of 16-bit colours; of a WebP, whose decoder, that of animations, has two canvases beside the frame.
# Measured with 16 megapixels, as all estimates here.
_WITH_ALPHA, _DEEP_PNG, _WEBP, _WEBP_WITH_ALPHA = 14, 28, 16, 22
# Rows of a TIFF.
_MOST_ROWS = 1 << 16
# Coded arithmetically or without loss, a JPEG takes so many times as long.
_UNUSUAL = 8

# TIFF 6.0 and libtiff's tiff.h. Compressions whose time goes by the bytes in and the pixels out: none, the
# three of fax, LZW, deflate (two numbers), packbits.
_PLAIN_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 8, 32773, 32946})
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _SUB_PAGES = 256, 257, 258, 259, 277, 278, 330
_OFFSETS, _COUNTS = (273, 324), (279, 325)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_FORMATS_OF_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8"}
# A colour map of 16 bits has 3 × 65,536 values.
_MOST_VALUES = 3 << 16


class TooCostly(Exception):
    """The image is beyond a limit; the text says of what, in a few words."""


class Cost(NamedTuple):
    """What decoding takes."""

    memory: int
    """Bytes at the peak, estimated."""
    apart: bool
    """Whether it may take longer than about a second, or longer than can be told."""


class Limits(NamedTuple):
    """What decoding may take."""

    pixels: int
    """Width times height."""
    input_size: int
    """Shorter side that a JPEG is at least decoded to, in pixels."""

    @property
    def memory(self) -> int:
        """Bytes."""
        return max(LEAST_MEMORY, BYTES_A_PIXEL * self.pixels)


def estimate(data: bytes, limits: Limits) -> Cost:
    """Tell what decoding an image will cost.

    Args:
        data: the whole file, of any format.
        limits: what it may cost.

    Returns:
        The cost; of a format that is not known here, or of a header that cannot be read: all the memory there
        may be, and apart.

    Raises:
        TooCostly: it is beyond a limit.
    """
    form = format_of(data)
    try:
        cost = Cost(limits.memory, apart=True) if form is None else _READERS[form.name](data, limits)
    except (
        Damaged,
        EOFError,
        IndexError,
        ValueError,
        struct.error,
    ):  # its decoder will say what is wrong with it
        return Cost(LEAST_MEMORY, apart=True)
    except jpeg_markers.TooManySegments as error:
        raise TooCostly(str(error)) from error
    if cost.memory > limits.memory:
        raise TooCostly(
            f"decoding it takes about {cost.memory / 1e6:,.0f} MB, more than the limit of "
            f"{limits.memory / 1e6:,.0f} MB ({BYTES_A_PIXEL} bytes for each of max-pixels)"
        )
    return cost


def check_pixels(width: int, height: int, most: int) -> None:
    """Refuse more pixels than are allowed.

    Raises:
        TooCostly: there are more.
    """
    if width * height > most:
        raise TooCostly(f"{width} × {height} pixels are more than the limit of {most:,} (max-pixels)")


def _jpeg(data: bytes, limits: Limits) -> Cost:
    head = jpeg_markers.head(data)
    frame = head.frame
    check_pixels(frame.width, frame.height, limits.pixels)
    pixels = frame.width * frame.height
    # libjpeg keeps the coefficients, of 2 bytes, where one scan is not all.
    several = frame.is_progressive or head.first < frame.components
    scans = 1
    if several:
        scans = jpeg_markers.scans(data, head.scan, MOST_SCANS)
        if scans > MOST_SCANS:
            raise TooCostly(f"more than {MOST_SCANS} scans")
        if scans * pixels > max(SCANS_OF_ALL_PIXELS * limits.pixels, _QUICK_JPEG):
            size = f"{frame.width} × {frame.height}"
            raise TooCostly(f"{scans} scans of {size} pixels, more than any encoder writes")
    # At 1/8 a smaller picture comes out, and one more where it is turned or its colours are converted.
    smaller = min(frame.width, frame.height) // max(1, 2 * limits.input_size)
    scale = next(each for each in (8, 4, 2, 1) if smaller >= each or each == 1)
    memory = 8 * pixels // scale**2 + (int(2 * frame.samples * pixels) if several else 0)
    work = pixels * scans * (_UNUSUAL if frame.is_unusual else 1)
    if not data.endswith(b"\xff\xd9"):
        # It may be cut off: whether it lacks more than its end is found out by decoding all of it twice more.
        memory, work = memory + 13 * pixels, 3 * work
    return Cost(memory, apart=work > _QUICK_JPEG)


def _png(data: bytes, limits: Limits) -> Cost:
    width, height, depth, colour = struct.unpack_from(">LLBB", data, 16)
    check_pixels(width, height, limits.pixels)
    _check_chunks(data)
    pixels = width * height
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 4)
    if depth == 16 and samples > 1:  # its low bytes are decoded as another picture
        return Cost(_DEEP_PNG * pixels, apart=8 * pixels * samples > _QUICK_BYTES)
    memory = (_WITH_ALPHA if colour in (4, 6) or b"tRNS" in data[:_HEAD] else 12) * pixels
    return Cost(memory, apart=pixels * depth * samples // 8 > _QUICK_BYTES)


def _check_chunks(data: bytes) -> None:
    position, chunks = 8, 0
    while position + 8 <= len(data):
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise TooCostly(f"more than {MOST_CHUNKS:,} chunks")


def _gif(data: bytes, limits: Limits) -> Cost:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    blocks = 0
    while data[position] == 0x21:
        position += 2
        while length := data[position]:
            position += 1 + length
            blocks += 1
            if blocks > MOST_BLOCKS:
                raise TooCostly(f"more than {MOST_BLOCKS:,} blocks before its first frame")
        position += 1
        blocks += 1
    if data[position] == 0x2C:
        left, top, frame_width, frame_height = struct.unpack_from("<4H", data, position + 1)
        width, height = max(width, left + frame_width), max(height, top + frame_height)
    check_pixels(width, height, limits.pixels)
    return Cost(12 * width * height, apart=width * height > _QUICK_BYTES)


def _webp(data: bytes, limits: Limits) -> Cost:
    kind = data[12:16]
    width, height = webp_size(data)
    check_pixels(width, height, limits.pixels)
    alpha = bool(data[20] & 0x10) if kind == b"VP8X" else kind == b"VP8L" and bool(data[24] & 0x10)
    each = _WEBP_WITH_ALPHA if alpha else _WEBP
    return Cost(each * width * height, apart=width * height > _QUICK_WEBP)


def _bmp(data: bytes, limits: Limits) -> Cost:
    (size,) = struct.unpack_from("<L", data, 14)
    if size == 12:
        width, height, compression = *struct.unpack_from("<HH", data, 18), 0
    else:
        width, height = (abs(each) for each in struct.unpack_from("<ll", data, 18))
        (compression,) = struct.unpack_from("<L", data, 30)
    check_pixels(width, height, limits.pixels)
    # Pillow unpacks run lengths (1 and 2) in Python.
    return Cost(12 * width * height, apart=compression in (1, 2) or width * height > _QUICK_BYTES)


class _Page(NamedTuple):
    """What a directory of a TIFF says of its page."""

    width: int
    height: int
    memory: int
    apart: bool


def _tiff(data: bytes, limits: Limits) -> Cost:
    todo, seen, pages = [Directory.first(data)], set[int](), list[_Page]()
    more = False
    while todo:
        directory = todo.pop()
        if directory.start in seen:
            continue
        if len(seen) == MOST_PAGES:
            more = True
            break
        seen.add(directory.start)
        try:
            page, following = _page(data, directory)
        except (EOFError, IndexError, struct.error):
            if len(seen) == 1:
                raise
            continue
        pages.append(page)
        todo += [directory._replace(start=start) for start in reversed(following) if 0 < start < len(data)]
    first = pages[0]
    usable = [page for page in pages if page.width * page.height <= limits.pixels]
    if not usable:
        check_pixels(first.width, first.height, limits.pixels)
    memory = max((page.memory for page in usable), default=first.memory)
    # Another page than the first may be the one that is shown, or not: it is tried where it can be ended.
    if first.memory <= limits.memory < memory:
        memory, more = limits.memory, True
    return Cost(memory, apart=more or any(page.apart for page in usable))


def _page(data: bytes, directory: Directory) -> tuple[_Page, list[int]]:
    """Read one directory; return its page and where others begin."""
    values: dict[int, np.ndarray[tuple[int], np.dtype[np.unsignedinteger]]] = {}
    tags = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _SUB_PAGES, *_OFFSETS, *_COUNTS}
    tags |= {_ROWS, _TILE_WIDTH, _TILE_HEIGHT}
    count = directory.count(data)
    if count > MOST_ENTRIES:
        raise TooCostly(f"more than {MOST_ENTRIES:,} tags")
    for entry in directory.entries(data):
        kind = _FORMATS_OF_NUMBERS.get(entry.kind)
        if entry.tag in (*_OFFSETS, *_COUNTS) and entry.length > MOST_CHUNKS:
            raise TooCostly(f"more than {MOST_CHUNKS:,} strips or tiles")
        if entry.kind not in (1, 2, 6, 7) and entry.length > _MOST_VALUES:
            raise TooCostly(f"a tag of more than {_MOST_VALUES:,} values")
        if entry.tag in tags and kind is not None and entry.length:
            values[entry.tag] = directory.numbers(data, entry, kind)

    def value(tag: int, otherwise: int) -> int:
        return int(values[tag][0]) if tag in values else otherwise

    width, height = value(_WIDTH, 0), value(_HEIGHT, 0)
    samples = value(_SAMPLES, 1)
    tile = value(_TILE_WIDTH, 0) * value(_TILE_HEIGHT, 0)
    sample_bytes = max(1, -(-int(values[_BITS].max()) // 8)) if _BITS in values else 1
    # A strip or tile is unpacked whole, and may be larger than its picture.
    strip = tile or width * min(height, value(_ROWS, height))
    pixels = width * height
    packed = sum(int(values[tag].sum(dtype=np.uint64)) for tag in _COUNTS if tag in values)
    unpacked = max(pixels, tile) * samples * sample_bytes
    # Strips that lie on top of each other, or of a codec that cannot be bounded, may take any time.
    plain = value(_COMPRESSION, 1) in _PLAIN_COMPRESSIONS and packed <= 2 * len(data)
    if sample_bytes > 1:
        # The samples, as they are unpacked, as they are given, as numbers, and while they are scaled.
        memory = 5 * unpacked + 4 * pixels
    else:
        memory = strip * samples + pixels * (_WITH_ALPHA if samples in (2, 4) else 8)
    # What has no whole bytes is unpacked row by row.
    apart = not plain or (1 + (sample_bytes > 1)) * unpacked > _QUICK_BYTES or height > _MOST_ROWS
    after = directory.after(data)
    following = [] if after is None else [after.start]
    following += [int(each) for each in values.get(_SUB_PAGES, ())[:MOST_PAGES]]
    return _Page(width, height, memory, apart), following


_EXTENT = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
_MOST_EXTENTS = 4096


def _heif(data: bytes, limits: Limits) -> Cost:
    """HEIC and AVIF: ISO/IEC 23008-12, 6.5.3, has the extent of each picture in a property `ispe`."""
    extents = [
        (int.from_bytes(found[1], "big"), int.from_bytes(found[2], "big"))
        for found in islice(_EXTENT.finditer(data), _MOST_EXTENTS)
    ]
    if not extents:
        return Cost(limits.memory, apart=True)
    width, height = max(extents, key=lambda each: each[0] * each[1])
    check_pixels(width, height, limits.pixels)
    # Planes of up to 16 bits, their conversion, and the picture with its copy.
    return Cost(min(limits.memory, 14 * width * height), apart=True)


def _jpeg2000(data: bytes, limits: Limits) -> Cost:
    """ISO/IEC 15444-1, annex A.5.1: the size and the number of components."""
    place = data.find(b"\xff\x4f\xff\x51")
    right, bottom, left, top = struct.unpack_from(">4L", data, place + 8)
    (components,) = struct.unpack_from(">H", data, place + 40)
    width, height = right - left, bottom - top
    if place < 0 or width < 1 or height < 1:
        raise EOFError
    check_pixels(width, height, limits.pixels)
    # OpenJPEG works with 4 bytes a sample.
    return Cost((4 * components + 8) * width * height, apart=True)


# Bytes of a header with some lines of comments.
_PNM_HEADER = 4096
_PNM = re.compile(rb"P([1-6f])(?:\s|#[^\n]*\n)++(\d{1,10})(?:\s|#[^\n]*\n)++(\d{1,10})(?:\s|#)")


def _pnm(data: bytes, limits: Limits) -> Cost:
    """Netpbm's pbm(5), pgm(5), ppm(5): P1 … P3 have decimal digits, which Pillow reads in Python."""
    found = _PNM.match(data)
    if found is None:
        raise EOFError
    width, height = int(found[2]), int(found[3])
    check_pixels(width, height, limits.pixels)
    in_python = found[1] in (b"1", b"2", b"3") or found.end() > _PNM_HEADER  # as the header always is
    return Cost(12 * width * height, apart=in_python or 6 * width * height > _QUICK_BYTES)


_READERS: dict[str, Callable[[bytes, Limits], Cost]] = {
    "JPEG": _jpeg, "PNG": _png, "WebP": _webp, "GIF": _gif, "TIFF": _tiff, "BMP": _bmp, "HEIC": _heif,
    "AVIF": _heif, "JPEG 2000": _jpeg2000, "PNM": _pnm,
}  # fmt: skip
