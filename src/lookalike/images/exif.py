"""TIFF directories, as TIFF files and EXIF blocks have them (TIFF 6.0, section 2; libtiff's tiff.h)."""

from __future__ import annotations

import re
import struct
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

UPRIGHT = 1
"""The EXIF orientation of an image that is stored as it is to be seen (Exif 2.32, section 4.6.4, tag 274)."""

ORIENTATION = 274
"""The tag that tells it; TIFF 6.0 has the same."""

MOST_ENTRIES = 4096
"""Entries of a directory that are read; libtiff takes one of more for no directory (tif_dirread.c)."""

_MODEL, _EXIF_DIRECTORY = 272, 34665
# Exif 2.32, table 7: when the picture was taken, the fraction of that second; table 9: the serial number.
_TAKEN, _FRACTION, _SERIAL = 36867, 37521, 42033
_TELLING = frozenset({_MODEL, _TAKEN, _FRACTION, _SERIAL})
_TIFF = (b"II*\0", b"MM\0*")
_MARK = b"Exif\0\0"
# Bytes at the beginning of a HEIC or AVIF in which the block is looked for, and parts of any other file.
_HEAD, _MOST_PARTS = 1 << 16, 1000
_ASCII, _LONGEST_TEXT = 2, 200
_SCAN = 0xDA
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)")

BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8,
}  # fmt: skip
"""Bytes of a value by its type: TIFF 6.0, section 2 (1 … 12), and those of BigTIFF in libtiff's tiff.h."""

# How struct writes those types that are numbers; a rational is two.
_CODES = {
    1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 11: "f", 12: "d", 13: "L", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
# As an attribute or as an element; XMP specification part 1, section 7, and part 2 for the tiff namespace.
_XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|\s*>)\s*([1-8])\s*["'<]""")


class Entry(NamedTuple):
    """One tag."""

    tag: int
    kind: int
    length: int
    """Values, not bytes."""
    value: bytes
    """The value, or where it lies if it is longer than this field."""
    raw: bytes


class Directory(NamedTuple):
    """Where a directory lies and how its numbers are written."""

    order: str
    big: bool
    start: int

    @classmethod
    def first(cls, data: bytes) -> Directory:
        """Find the first directory of a TIFF or BigTIFF structure, which EXIF is too."""
        order = "<" if data[:2] == b"II" else ">"
        big = struct.unpack_from(order + "H", data, 2) == (43,)
        (start,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
        return cls(order, big, start).checked(data)

    def checked(self, data: bytes) -> Directory:
        """Return the directory; EOFError where it begins beyond the end of the data."""
        if self.start > len(data):
            raise EOFError
        return self

    def after(self, data: bytes) -> Directory | None:
        """Return the directory that follows; None where there is none, or it lies outside."""
        count = self.count(data)
        position = self.start + (8 + 20 * count if self.big else 2 + 12 * count)
        if position + (8 if self.big else 4) > len(data):
            return None
        (start,) = struct.unpack_from(self.order + ("Q" if self.big else "L"), data, position)
        return self._replace(start=start) if 0 < start < len(data) else None

    def values(self, entry: Entry, data: bytes) -> tuple[float, ...]:
        """Return the numbers of an entry, wherever they lie; none for texts, rationals and unknown types.

        Raises:
            EOFError: they lie beyond the end of the data.
        """
        code = _CODES.get(entry.kind)
        if code is None:
            return ()
        return struct.unpack(f"{self.order}{entry.length}{code}", self.content(entry, data))

    def content(self, entry: Entry, data: bytes) -> bytes:
        """Return the bytes of an entry's value, wherever they lie; none for a type that is not known.

        Raises:
            EOFError: they lie beyond the end of the data.
        """
        size = entry.length * BYTES.get(entry.kind, 0)
        if size <= len(entry.value):
            return entry.value[:size]
        (offset,) = struct.unpack(self.order + ("Q" if self.big else "L"), entry.value)
        if offset + size > len(data):
            raise EOFError
        return data[offset : offset + size]

    def count(self, data: bytes) -> int:
        """Return how many entries it says it has."""
        return int(struct.unpack_from(self.order + ("Q" if self.big else "H"), data, self.start)[0])

    def entries(self, data: bytes) -> Iterator[Entry]:
        """Yield the entries in their order, `MOST_ENTRIES` of them at most.

        struct.error where the data end before they do.
        """
        layout = struct.Struct(self.order + ("HHQ8s" if self.big else "HHL4s"))
        position = self.start + (8 if self.big else 2)
        for _ in range(min(self.count(data), MOST_ENTRIES)):
            tag, kind, length, value = layout.unpack_from(data, position)
            yield Entry(tag, kind, length, value, data[position : position + layout.size])
            position += layout.size

    def packed(self, entries: list[Entry]) -> bytes:
        """Return a directory of these entries that no other follows."""
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(entries))
        return count + b"".join(entry.raw for entry in entries) + bytes(8 if self.big else 4)

    def number(self, entry: Entry) -> int:
        """Return a single number that is stored in the entry itself; 0 for any other value."""
        code = {1: "B", 3: "H", 4: "L", 16: "Q"}.get(entry.kind, "")
        if not code or (code == "Q" and not self.big):
            return 0
        return int(struct.unpack_from(self.order + code, entry.value)[0])

    def numbers(self, data: bytes, entry: Entry, kind: str) -> NDArray[np.unsignedinteger]:
        """Return the numbers of an entry, shape (length,).

        Args:
            data: the whole file.
            entry: of this directory.
            kind: how each is stored: NumPy's name of an unsigned integer, without its order.

        Raises:
            EOFError: they lie beyond the end of the file.
        """
        dtype = np.dtype(self.order + kind)
        size = entry.length * dtype.itemsize
        if size <= len(entry.value):
            return np.frombuffer(entry.value, dtype, entry.length)
        (offset,) = struct.unpack(self.order + ("Q" if self.big else "L"), entry.value)
        if offset + size > len(data):
            raise EOFError
        return np.frombuffer(data, dtype, entry.length, offset)

    def orientation(self, entry: Entry) -> int:
        """Return the orientation that an entry tells, 1 … 8; UPRIGHT where it makes no sense."""
        value = self.number(entry)
        return value if 1 <= value <= 8 else UPRIGHT


class Captured(NamedTuple):
    """When and by what a picture was taken, as its EXIF says."""

    time: str
    """Of the camera's clock, as in ISO 8601: 2026-01-31T08:30:00, with a fraction where it is known."""
    camera: str
    """Its model and serial number, as far as they are told."""


def captured(data: bytes) -> Captured | None:
    """Return when and by what the picture in a file was taken; None where it does not tell."""
    try:
        block = _block(data)
        directory = Directory.first(block)
        said = _texts(directory, block)
        for entry in directory.entries(block):
            start = directory.number(entry)
            if entry.tag == _EXIF_DIRECTORY and 0 < start < len(block):
                said |= _texts(directory._replace(start=start), block)
    except (EOFError, IndexError, struct.error):
        return None
    time = _TIME.fullmatch(said.get(_TAKEN, ""))
    if time is None:
        return None
    fraction = said.get(_FRACTION, "")
    text = f"{time[1]}-{time[2]}-{time[3]}T{time[4]}" + (f".{fraction[:6]}" if fraction.isdecimal() else "")
    return Captured(text, " ".join(said[tag] for tag in (_MODEL, _SERIAL) if said.get(tag)))


def _block(data: bytes) -> bytes:
    """Return the EXIF block of a file as a TIFF structure; empty where none is found."""
    if data[:4] in _TIFF:
        return data
    if data[4:8] == b"ftyp":
        parts = data[:_HEAD].split(_MARK)[1:]
        return next((part for part in parts if part[:4] in _TIFF), b"")
    for name, start, end in islice(_parts(data), _MOST_PARTS):
        if name in (b"\xff\xe1", b"eXIf", b"EXIF"):
            block = data[start:end].removeprefix(_MARK)
            if block[:4] in _TIFF:
                return block
    return b""


def _parts(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, beginning and end of each segment of a JPEG before its scans, or chunk of a PNG or WebP."""
    if data[:2] == b"\xff\xd8":
        at = 2
        while data[at : at + 1] == b"\xff" and data[at + 1] != _SCAN:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            yield data[at : at + 2], at + 4, end
            at = end
    png = data[:8] == b"\x89PNG\r\n\x1a\n"
    if png or data[:4] == b"RIFF":
        layout = struct.Struct(">L4s" if png else "<4sL")
        at = 8 if png else 12
        while at + 8 <= len(data):
            first, second = layout.unpack_from(data, at)
            size, name = (first, second) if png else (second, first)
            yield name, at + 8, at + 8 + size
            at += 12 + size if png else 8 + size + size % 2


def _texts(directory: Directory, data: bytes) -> dict[int, str]:
    """Return the texts of a directory by their tags, those that tell when and by what a picture was taken."""
    found = {}
    for entry in directory.entries(data):
        if entry.kind == _ASCII and entry.tag in _TELLING and entry.length <= _LONGEST_TEXT:
            text = directory.content(entry, data).split(b"\0")[0].decode("ascii", "replace")
            found[entry.tag] = " ".join(text.split())
    return found


def orientation(block: bytes) -> int | None:
    """Return the orientation that an EXIF block tells, 1 … 8; None where it tells none or is damaged."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        directory = Directory.first(block)
        for entry in directory.entries(block):
            if entry.tag == ORIENTATION:
                return directory.orientation(entry)
    except (EOFError, struct.error):
        pass
    return None


def xmp_orientation(packet: bytes) -> int | None:
    """Return the orientation that an XMP packet tells, 1 … 8; None where it tells none."""
    match = _XMP.search(packet)
    return None if match is None else int(match[1])
