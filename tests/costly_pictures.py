"""Pictures that are small and cost much: one function for each kind."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    """Return an image as a file."""
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def sized(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose frame header says another size."""
    start = next(jpeg.index(bytes([0xFF, code])) for code in (0xC0, 0xC2) if bytes([0xFF, code]) in jpeg)
    return jpeg[: start + 5] + struct.pack(">HH", height, width) + jpeg[start + 9 :]


def jpeg(*, progressive: bool = False) -> bytes:
    """Return a small red JPEG."""
    return saved(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=progressive)


def jpeg_of_scans(width: int, height: int, count: int, between: bytes = b"") -> bytes:
    """Return a progressive JPEG of many scans of some 29 bytes, with something between them."""
    whole = sized(jpeg(progressive=True), width, height)
    start = whole.index(b"\xff\xda")
    end = whole.index(b"\xff", start + 14)
    return whole[:start] + (whole[start:end] + between) * count + b"\xff\xd9"


def baseline_of_scans(width: int, height: int, count: int) -> bytes:
    """Return a baseline JPEG that gives each component a scan, and the first again and again."""
    whole = sized(jpeg(), width, height)
    start = whole.index(b"\xff\xda")
    body = whole[start + 14 : -2]
    scans = [
        b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1 + each % 3, 0, 0, 63, 0) + body for each in range(count)
    ]
    return whole[:start] + b"".join(scans) + b"\xff\xd9"


def jpeg_with(before_scan: bytes) -> bytes:
    """Return a JPEG with something behind its first marker."""
    whole = jpeg()
    return whole[:2] + before_scan + whole[2:]


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, rows: bytes, *, between: bytes = b"", colour: int = 2, depth: int = 8
) -> bytes:
    """Return a PNG with something between its header and its rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + between + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    )


def gif_of_blocks(count: int) -> bytes:
    """Return a GIF with a comment of so many blocks of one byte."""
    whole = saved(Image.new("P", (8, 8)), "GIF")
    start = whole.index(b",", 13 + (3 << ((whole[10] & 7) + 1) if whole[10] & 0x80 else 0))
    return whole[:start] + b"\x21\xfe" + b"\x01x" * count + b"\0" + whole[start:]


def bmp_of_runs(width: int, height: int) -> bytes:
    """Return a run-length coded BMP of a run of one pixel a row: Pillow fills each row byte by byte."""
    rows = (b"\x01\x01\x00\x00") * height + b"\x00\x01"
    offset = 14 + 40 + 1024
    head = b"BM" + struct.pack("<LHHL", offset + len(rows), 0, 0, offset)
    info = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return head + info + bytes(1024) + rows


def tiff(
    tags: list[tuple[int, int, int, int]], body: bytes = b"", *, following: int = 0, start: int = 8
) -> bytes:
    """Return a TIFF of one directory.

    Args:
        tags: tag, type, count and value of each.
        body: what comes after the directory.
        following: where the next directory begins.
        start: where this one does.
    """
    entries = b"".join(struct.pack("<HHLL", *each) for each in tags)
    head = b"II*\0" + struct.pack("<L", start)
    return (
        head.ljust(start, b"\0")
        + struct.pack("<H", len(tags))
        + entries
        + struct.pack("<L", following)
        + body
    )


def snan() -> bytes:
    """Return a float TIFF of which one pixel is a signalling NaN."""
    return saved(
        Image.fromarray(np.array([[0x7F800001, 0x3F000000], [0, 0]], np.uint32).view(np.float32)), "TIFF"
    )


def webp(width: int, height: int) -> bytes:
    """Return a black WebP of 34 bytes, whatever its size.

    RFC 9649, section 3.4: 14 bits of width and height, less one.
    """
    small = saved(Image.new("RGB", (8, 8)), "WEBP", lossless=True, method=0)
    bits = int.from_bytes(small[21:25], "little") >> 28 << 28
    return small[:21] + (bits | (height - 1) << 14 | (width - 1)).to_bytes(4, "little") + small[25:]
