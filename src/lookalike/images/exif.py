"""TIFF directories, as TIFF files and EXIF blocks have them (TIFF 6.0, section 2; libtiff's tiff.h)."""

from __future__ import annotations

import re
import struct
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
