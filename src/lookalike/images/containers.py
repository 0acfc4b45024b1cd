"""Image containers (PNG, GIF, WebP, HEIC, JPEG 2000, PNM): their headers, cut down to what a decoder needs.

Pillow reads every text, animation and camera note in a file, and where one is damaged it speaks through
`warnings` or gives up on the picture. Warnings cannot be silenced for one thread only (before Python 3.14),
so the parts that are no pixels are taken out here, and Pillow never sees them.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.images import exif
from lookalike.images.colours import inflate_profile
from lookalike.images.levels import Stated
from lookalike.images.samples import Colours

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.images.levels import Samples


class Damaged(Exception):
    """A file that breaks the rules of its format; the text says which, in a few words."""


class Unread(Exception):
    """A file that is as it should be, and of a kind that is not read; the text says which, and what to do."""


class Container(NamedTuple):
    """An image file cut down for its decoder, with what its header says."""

    stream: BytesIO
    orientation: int | None = None
    """EXIF orientation, 1 … 8; None: the file does not tell, or its decoder will."""
    size: tuple[int, int] | None = None
    """Width and height, where the decoder would allocate before it tells them."""
    colours: Colours = Colours()
    stated: Stated = Stated()
    low_bytes: Callable[[], BytesIO] | None = None
    """Of 16-bit samples that the decoder cuts to their high bytes: the same image of their low bytes."""
    planes: Callable[[], Planes] | None = None
    """What reads samples that the decoder would not, or not right."""
    cut: bool = False
    """Whether the decoder cuts colours of 16 bits to their high bytes, and nothing here has the low ones."""


class Planes(NamedTuple):
    """Samples of an image as they are stored."""

    samples: Samples
    """Shape (height, width, colours): 1 of grey, 3 of RGB, 4 of CMYK."""
    alpha: Samples | None
    """Shape (height, width), of the type of the samples."""
    inverted: bool
    """Whether 0 is white."""
    premultiplied: bool
    lab: bool = False
    """Whether they are CIELAB of 8 or 16 bits, a and b signed."""


_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_TELLING = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0", b"Raw profile type APP1\0")
_SAID = (b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"sBIT")
_LONGEST_TEXT = 1 << 20
# Of texts that may tell a rotation so many are looked at: each may be a kilobyte that becomes a megabyte.
_MOST_TEXTS = 16


def png(data: bytes) -> Container:
    """Keep the chunks of a PNG that make up its picture, with their checksums checked.

    Chunks, checksums and colour types: PNG specification, third edition, sections 5.3, 5.5 and 11. A file
    that ends with its last chunk of pixels, and lacks only the end marker, is taken as it is: whether all
    pixels are there is seen when they are decoded.

    Args:
        data: the whole file, signature checked.

    Returns:
        The file without animation, texts and colour profiles, and what these say.

    Raises:
        EOFError: it ends inside of a chunk.
        Damaged: a checksum does not match.
    """
    view = memoryview(data)
    parts: list[bytes | memoryview] = [view[:8]]
    pixels: list[memoryview] = []
    said: dict[bytes, bytes] = {}
    xmp, texts = None, 0
    position, name = 8, b""
    while name != b"IEND":
        if position == len(data) and pixels:
            parts.append(_chunk(b"IEND", b""))
            break
        length, name = struct.unpack_from(">L4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise EOFError
        body = view[position + 8 : end - 4]
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
                raise Damaged("a checksum does not match")
            parts.append(_transparency(data, body) if name == b"tRNS" else view[position:end])
            if name == b"IDAT":
                pixels.append(body)
        elif name in _TEXTS and texts < _MOST_TEXTS and bytes(body[:32]).startswith(_TELLING):
            texts += 1
            xmp = _text_orientation(name, bytes(body)) or xmp
        elif name in _SAID:
            said.setdefault(name, bytes(body))
        position = end
    depth, colour = data[24], data[25]
    deep = depth == 16
    significant = said.get(b"sBIT", b"")[: 1 if colour in (0, 4) else 3]  # alpha has its own
    return Container(
        BytesIO(b"".join(parts)),
        exif.orientation(said.get(b"eXIf", b"")) or xmp,
        colours=_png_colours(said),
        stated=Stated(_significant_bits(significant) if deep else None),
        low_bytes=functools.partial(_low_bytes, data[:33], pixels) if deep and colour in (2, 4, 6) else None,
    )


def _png_colours(said: dict[bytes, bytes]) -> Colours:
    """Return what chunks say of colours: section 4.3 tells which of several counts."""
    if b"cICP" in said:
        return Colours()  # what is no sRGB there is meant for screens with more light, and has no profile
    if b"iCCP" in said:
        return Colours(inflate_profile(said[b"iCCP"]) or b"")
    gamma = int.from_bytes(said.get(b"gAMA", b"")[:4], "big") / 100_000
    return Colours(None, gamma if gamma and b"sRGB" not in said else None)


def _significant_bits(body: bytes) -> int | None:
    """Return how many bits of 16 an sBIT chunk says count; None where all do."""
    bits = max(body, default=16)
    return bits if 8 < bits < 16 else None


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


def _transparency(data: bytes, body: memoryview) -> bytes:
    """Return the tRNS chunk for samples as Pillow unpacks them: 2 and 4 bits as 8, 16-bit RGB as high byte.

    Pillow (to 13.0, PngImagePlugin) compares the chunk as it stands in the file with the unpacked samples.
    """
    depth, colour = data[24], data[25]
    values = bytes(body)
    if colour == 0 and depth in (2, 4):
        values = struct.pack(">H", struct.unpack(">H", values)[0] * 255 // (2**depth - 1))
    elif colour == 2 and depth == 16:
        values = struct.pack(">3H", *(value >> 8 for value in struct.unpack(">3H", values)))
    return _chunk(b"tRNS", values)


def _text_orientation(name: bytes, body: bytes) -> int | None:
    """Return the orientation in a text: XMP, or EXIF as ImageMagick wrote it before there was eXIf."""
    keyword, _, rest = body.partition(b"\0")
    if keyword == b"XML:com.adobe.xmp" and name == b"iTXt":
        # A flag for compression, its method, language, translated keyword, text: section 11.3.3.4.
        compressed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
        return exif.xmp_orientation(_inflated(text) if compressed else text)
    if keyword in (b"Raw profile type exif", b"Raw profile type APP1") and name in (b"tEXt", b"zTXt"):
        lines = (_inflated(rest[1:]) if name == b"zTXt" else rest).split(b"\n")
        try:  # an empty line, the name, the length, and then hexadecimal digits
            return exif.orientation(bytes.fromhex(b"".join(lines[3:]).decode("ascii")))
        except ValueError:
            return None
    return None


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _LONGEST_TEXT)
    except zlib.error:
        return b""


# The passes of an interlaced PNG (section 8.1): where each begins, and how far apart its pixels are.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _low_bytes(head: bytes, pixels: list[memoryview]) -> BytesIO:
    """Return a PNG of 8 bits whose samples are the low bytes of one of 16.

    Filters (section 9.2) compare a byte with that of the pixel before it or above, byte by byte: the low
    bytes of a filtered row are the filtered row of the low bytes.

    Args:
        head: signature and IHDR chunk; of more than one channel.
        pixels: the contents of the IDAT chunks.

    Raises:
        EOFError: they are not all there.
    """
    width, height, _, colour, compression, filters, interlaced = struct.unpack(">LL5B", head[16:29])
    channels = {2: 3, 4: 2, 6: 4}[colour]
    sizes = [(width, height)]
    if interlaced:
        sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES]
    sizes = [(columns, rows) for columns, rows in sizes if columns > 0 and rows > 0]
    total = sum(rows * (1 + 2 * channels * columns) for columns, rows in sizes)
    inflate = zlib.decompressobj()
    parts, left = [], total
    for each in pixels:
        parts.append(inflate.decompress(each, max(left, 1)))
        left -= len(parts[-1])
    rows_of_all = np.frombuffer(b"".join(parts), np.uint8)[:total]
    if rows_of_all.size < total:
        raise EOFError
    lows, start = [], 0
    for columns, rows in sizes:
        length = rows * (1 + 2 * channels * columns)
        filtered = rows_of_all[start : start + length].reshape(rows, -1)
        lows.append(np.concatenate([filtered[:, :1], filtered[:, 2::2]], axis=1).tobytes())
        start += length
    header = struct.pack(">LL5B", width, height, 8, colour, compression, filters, interlaced)
    body = zlib.compress(b"".join(lows), 1)
    return BytesIO(head[:8] + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b""))


def gif(data: bytes) -> Container:
    """Cut a GIF to its first frame (GIF89a specification, sections 18 to 23).

    Args:
        data: the whole file, signature checked.

    Returns:
        Screen, palette, transparency and frame; the screen holds the whole frame. And its size.

    Raises:
        IndexError: the file ends before its first frame.
        Damaged: there is no frame, or something that is no GIF block.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    blocks = position = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    control = b""
    while data[position] != 0x2C:
        start = position
        if data[start] == 0x21:
            position += 2
            while data[position]:
                position += 1 + data[position]
            if data[start + 1] == 0xF9 and position - start == 7:
                # The disposal method speaks of the second frame, and Pillow would allocate for it.
                control = data[start : start + 3] + bytes([data[start + 3] & 0b11100011])
                control += data[start + 4 : position + 1]
        elif data[start]:
            raise Damaged("no frame in it" if data[start] == 0x3B else "a block of no known kind")
        position += 1
    left, top, frame_width, frame_height = struct.unpack_from("<4H", data, position + 1)
    width, height = max(width, left + frame_width), max(height, top + frame_height)
    if max(width, height) > 0xFFFF:
        raise Damaged("its first frame lies outside of it")
    screen = data[:6] + struct.pack("<HH", width, height) + data[10:blocks]
    return Container(BytesIO(screen + control + data[position:]), size=(width, height))


def webp(data: bytes) -> Container:
    """Read the size of a WebP.

    Args:
        data: the whole file, signature checked.

    Returns:
        The file as it is, and its size; the EXIF chunk is left to Pillow, which hands it over unread.

    Raises:
        EOFError: it is shorter than it says.
        Damaged: its first chunk is none that a WebP begins with.
    """
    (length,) = struct.unpack_from("<L", data, 4)
    if len(data) < max(8 + length, 30):
        raise EOFError
    return Container(BytesIO(data), size=webp_size(data))


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP (RFC 9649, sections 2.5 to 2.7 and 3.4).

    Args:
        data: its first 30 bytes, or more.

    Raises:
        Damaged: its first chunk is none that a WebP begins with.
        struct.error: the file ends before its size.
    """
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind != b"VP8 ":
        raise Damaged("its first chunk is of no known kind")
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def heic(data: bytes) -> Container:
    """Refuse a HEIC that is cut off: libheif would give what there is of it.

    Raises:
        EOFError: a box ends beyond the end of the file (ISO/IEC 14496-12, section 4.2).
    """
    position = 0
    while position < len(data):
        size, name = struct.unpack_from(">L4s", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size == 0:  # to the end of the file
            break
        if size < 8:
            if position == 0:
                raise Damaged("its first box has no size")
            break  # what some programs leave behind
        if position + size > len(data):
            if name in (b"ftyp", b"meta", b"mdat"):
                raise EOFError
            break
        position += size
    return Container(BytesIO(data))


def jpeg2000(data: bytes) -> Container:
    """Read how many bits the samples of a JPEG 2000 have (ISO/IEC 15444-1, annex A.5.1).

    Pillow fills 16 bits with those of fewer: their white is then that of 16 bits. Of colours it keeps the
    high bytes.
    """
    place = data.find(b"\xffO\xffQ")
    bits = (data[place + 42] & 0x7F) + 1 if 0 <= place < len(data) - 42 else 16
    return Container(BytesIO(data), stated=Stated(high=65535.0 if 8 < bits < 16 else None), cut=bits == 16)


# Magic number, width, height and white, and one blank before the samples.
_PNM_HEADER = re.compile(
    rb"P([56])(?:\s|#[^\n]*\n)++(\d{1,10})(?:\s|#[^\n]*\n)++(\d{1,10})(?:\s|#[^\n]*\n)++(\d{1,5})\s"
)


def pnm(data: bytes) -> Container:
    """Find the samples of a PGM or PPM of more than 8 bits (netpbm's pgm(5) and ppm(5)).

    Pillow would scale them to 16 bits, or cut colours to their high bytes; of other PNM it reads all.
    """
    found = _PNM_HEADER.match(data)
    white = 0 if found is None else int(found[4])
    if found is None or not 255 < white <= 65535:
        return Container(BytesIO(data))
    width, height, channels = int(found[2]), int(found[3]), 1 if found[1] == b"5" else 3
    return Container(
        BytesIO(data),
        size=(width, height),
        stated=Stated(high=float(white) if white < 65535 else None),
        planes=functools.partial(_pnm_planes, data, found.end(), (height, width, channels)),
    )


def _pnm_planes(data: bytes, start: int, shape: tuple[int, int, int]) -> Planes:
    height, width, channels = shape
    count = height * width * channels
    if count < 1 or start + 2 * count > len(data):
        raise EOFError
    samples = np.frombuffer(data, ">u2", count, start).astype(np.uint16).reshape(shape)
    return Planes(samples, None, inverted=False, premultiplied=False)
