"""TIFF files written tag by tag, for what Pillow does not write: any depth, order, planes and tiles."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CODES = {"u": 1, "i": 2, "f": 3}


@dataclass
class Page:
    """One directory and its samples."""

    samples: Array
    """Shape (height, width, samples a pixel)."""
    photometric: int = 1
    extra: tuple[int, ...] = ()
    deflate: bool = False
    predictor: int = 1
    planar: bool = False
    tile: int | None = None
    """Side of square tiles, a multiple of 16; None: strips of 5 rows."""
    bits: int | None = None
    """Of packed samples, 9 to 15; None: those of the type."""
    tags: dict[int, tuple[int, Sequence[float] | bytes]] = field(default_factory=dict)
    """Others: type and values."""


def write_tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """Return a file of these pages, one after another."""
    word, kind, room = ("Q", 16, 8) if big else ("L", 4, 4)
    magic = {"<": b"II", ">": b"MM"}[order]
    head = magic + struct.pack(order + ("HHHQ" if big else "HL"), *((43, 8, 0, 16) if big else (42, 8)))
    data = bytearray(head)
    for number, page in enumerate(pages):
        tags = _tags(page, order)
        pieces = list(_pieces(page, order))
        places, sizes = (324, 325) if page.tile else (273, 279)
        count = len(tags) + 2
        start = len(data)
        end = start + (8 + 20 * count + 8 if big else 2 + 12 * count + 4)
        body = bytearray()
        offsets = []
        for piece in pieces:
            body += bytes(len(body) % 2)
            offsets.append(end + len(body))
            body += piece
        tags |= {places: (kind, offsets), sizes: (kind, [len(piece) for piece in pieces])}
        entries = b""
        for tag, (form, values) in sorted(tags.items()):
            packed, length = _packed(order, form, values)
            if len(packed) > room:
                body += bytes(len(body) % 2)
                place = end + len(body)
                body += packed
                packed = struct.pack(order + word, place)
            entries += struct.pack(order + "HH" + word, tag, form, length) + packed.ljust(room, b"\0")
        last = number == len(pages) - 1
        body += bytes(len(body) % 2)
        following = 0 if last else end + len(body)
        data += struct.pack(order + ("Q" if big else "H"), count) + entries
        data += struct.pack(order + word, following) + body
    return bytes(data)


def _tags(page: Page, order: str) -> dict[int, tuple[int, Sequence[float] | bytes]]:
    height, width, count = page.samples.shape
    bits = page.bits or page.samples.dtype.itemsize * 8
    tags: dict[int, tuple[int, Sequence[float] | bytes]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * count), 259: (3, [8 if page.deflate else 1]),
        262: (3, [page.photometric]), 277: (3, [count]), 284: (3, [2 if page.planar else 1]),
        317: (3, [page.predictor]), 339: (3, [_CODES[page.samples.dtype.kind]] * count),
    }  # fmt: skip
    tags |= {322: (3, [page.tile]), 323: (3, [page.tile])} if page.tile else {278: (3, [5])}
    if page.extra:
        tags[338] = (3, page.extra)
    return tags | page.tags


def _packed(order: str, form: int, values: Sequence[float] | bytes) -> tuple[bytes, int]:
    if isinstance(values, bytes):
        return values, len(values)
    code = {3: "H", 4: "L", 11: "f", 12: "d", 16: "Q"}[form]
    return struct.pack(f"{order}{len(values)}{code}", *values), len(values)


def _pieces(page: Page, order: str) -> Iterator[bytes]:
    """Yield the strips or tiles."""
    samples = page.samples
    planes = np.split(samples, samples.shape[2], axis=2) if page.planar else [samples]
    for plane in planes:
        height, width, count = plane.shape
        across, tall = (page.tile, page.tile) if page.tile else (width, 5)
        for y in range(0, height, tall):
            for x in range(0, width, across):
                piece = plane[y : y + tall, x : x + across]
                if page.tile:
                    padded = np.zeros((tall, across, count), piece.dtype)
                    padded[: piece.shape[0], : piece.shape[1]] = piece
                    piece = padded
                data = _predicted(piece, page.predictor, page.bits, order)
                yield zlib.compress(data) if page.deflate else data


def _predicted(piece: Array, predictor: int, bits: int | None, order: str) -> bytes:
    size = piece.dtype.itemsize
    if bits is not None:
        rows = piece.reshape(len(piece), -1)[..., None] >> np.arange(bits - 1, -1, -1) & 1
        return np.packbits(rows.reshape(len(piece), -1).astype(np.uint8), axis=1).tobytes()
    if predictor == 2:
        words = np.ascontiguousarray(piece).view(f"u{size}")
        words = np.concatenate([words[:, :1], np.diff(words, axis=1)], axis=1)
        return words.astype(f"{order}u{size}").tobytes()
    if predictor == 3:
        height, _, count = piece.shape
        most_first = piece.reshape(height, -1).astype(f">f{size}").view(np.uint8).reshape(height, -1, size)
        mixed = most_first.transpose(0, 2, 1).reshape(height, -1, count)
        return np.concatenate([mixed[:, :1], np.diff(mixed, axis=1)], axis=1).tobytes()
    return piece.astype(f"{order}{piece.dtype.kind}{size}").tobytes()
