"""JPEG markers (ISO/IEC 10918-1, annex B): frame, scans, and a head without idle bytes.

Pillow reads what comes before the first scan byte by byte in Python where it is no segment, and a segment's
content in loops of its own, so a file of fill bytes costs it seconds. Here bytes are passed over by `re`.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

MOST_SEGMENTS = 4096
"""Segments above which a JPEG is refused: before its first scan, or between its scans.

A camera writes some ten; a colour profile has 255 at most (ICC.1:2022, annex B.4), and an extended XMP packet
or a depth map of 10 MB has 160 of 64 kB.
"""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _QUANTIZATION, _HUFFMAN, _ARITHMETIC, _RESTART = 0xDA, 0xD9, 0xDB, 0xC4, 0xCC, 0xDD
_EXIF, _PROFILE, _ADOBE = 0xE1, 0xE2, 0xEE
# What says nothing of the pixels may stay up to here: most heads are so left as they are.
_PLAIN_SEGMENTS, _PLAIN_BYTES = 64, 1 << 20
# Segments of EXIF or XMP, and of a colour profile, that are kept of a head which is cleaned.
_MOST_NOTES = 64
_MOST_PROFILES = 255

_MARKER = re.compile(rb"\xff([\x01-\xfe])")
# Within a scan: restart markers (D0 … D7) and escaped bytes (FF00) are its own.
_AFTER_SCAN = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length


# ISO/IEC 14495-1, annex C: the frame header of JPEG-LS.
_JPEG_LS = 0xF7


class TooManySegments(Exception):
    """More segments than any encoder writes; the text says so."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_SEGMENTS:,} segments")


class Frame(NamedTuple):
    """What a frame header (SOF) says."""

    kind: int
    """The code of its marker, 0xC0 … 0xCF."""
    width: int
    height: int
    components: int
    samples: float
    """Samples a pixel as they are stored: 1.5 where colour has half the resolution."""

    @property
    def is_progressive(self) -> bool:
        """Whether its coefficients are kept until all scans have been read."""
        return self.kind in (0xC2, 0xC6, 0xCA, 0xCE)

    @property
    def is_unusual(self) -> bool:
        """Whether it is coded arithmetically or without loss, which takes longer."""
        return self.kind not in (0xC0, 0xC1, 0xC2)


class Head(NamedTuple):
    """What comes before the first scan."""

    frame: Frame
    scan: int
    """Where the first scan's marker lies."""
    first: int
    """Components of the first scan."""
    segments: list[tuple[int, int, int]]
    """The code, the beginning and the end of each."""
    idle: int
    """Bytes between them that belong to none."""


def head(data: bytes) -> Head:
    """Read a JPEG up to its first scan.

    Args:
        data: the whole file, signature checked.

    Raises:
        EOFError, struct.error: it has no scan, or no frame before it.
        TooManySegments: it has more than `MOST_SEGMENTS` before it.
    """
    frame: Frame | None = None
    segments: list[tuple[int, int, int]] = []
    position, idle = 2, 0
    while (found := _MARKER.search(data, position)) is not None:
        start, code = found.start(), found[1][0]
        idle += start - position
        if code == _SCAN:
            if frame is None:
                raise EOFError
            return Head(frame, start, data[start + 4], segments, idle)
        if code == _END:
            break
        end = start + 2
        if code not in _ALONE:
            end += int.from_bytes(data[end : end + 2], "big")
        if code in _FRAMES and frame is None:
            frame = _frame(code, data, start)
        segments.append((code, start, end))
        if len(segments) > MOST_SEGMENTS:
            raise TooManySegments
        position = end
    raise EOFError


def unread_kind(data: bytes) -> str | None:
    """Return what a JPEG is whose samples no decoder here reads; None for any other.

    Args:
        data: the whole file, signature checked.
    """
    position, seen = 2, 0
    while seen <= MOST_SEGMENTS and (found := _MARKER.search(data, position)) is not None:
        start, code = found.start(), found[1][0]
        if code == _JPEG_LS:
            return "JPEG-LS"
        if code in _FRAMES:
            bits = data[start + 4] if start + 4 < len(data) else 8
            return None if bits == 8 else f"JPEG of {bits} bits a sample"
        if code in (_SCAN, _END):
            return None
        position = start + 2 + (0 if code in _ALONE else int.from_bytes(data[start + 2 : start + 4], "big"))
        seen += 1
    return None


def _frame(code: int, data: bytes, start: int) -> Frame:
    height, width, components = struct.unpack_from(">HHB", data, start + 5)
    factors = [data[start + 11 + 3 * each] for each in range(components)]
    if not factors:
        raise EOFError
    areas = [(each >> 4) * (each & 15) for each in factors]
    largest = max(each >> 4 for each in factors) * max(each & 15 for each in factors)
    return Frame(code, width, height, components, sum(areas) / max(1, largest))


def scans(data: bytes, start: int, most: int) -> int:
    """Count the scans of a JPEG, as far as `most` + 1.

    Args:
        data: the whole file.
        start: where the marker of its first scan lies.
        most: the count from which on it does not matter how many there are.

    Raises:
        TooManySegments: there are more than `MOST_SEGMENTS` segments between them.
    """
    # Whatever lies in comments or behind the end is counted too: that may be too many, never too few.
    counted = data.count(b"\xff\xda", start)
    if counted <= most:
        return counted
    counted = others = 0
    position = start
    while counted <= most and (found := _AFTER_SCAN.search(data, position)) is not None:
        code = found[1][0]
        position = found.end()
        if code == _END:
            break
        if code in _ALONE:
            continue
        counted += code == _SCAN
        others += code != _SCAN
        if others > MOST_SEGMENTS:
            raise TooManySegments
        position += int.from_bytes(data[position : position + 2], "big")
    return counted


def cleaned(data: bytes) -> bytes:
    """Return a JPEG without idle bytes before its first scan, and without notes if it has very many.

    Args:
        data: the whole file, signature checked.

    Returns:
        The same object where there is nothing to take out, or where it cannot be read.
    """
    try:
        found = head(data)
    except (EOFError, IndexError, struct.error, TooManySegments):
        return data
    if not found.idle and len(found.segments) <= _PLAIN_SEGMENTS and found.scan <= _PLAIN_BYTES:
        return data
    view = memoryview(data)
    parts: list[bytes | memoryview] = [view[:2]]
    notes = profiles = 0
    for code, start, end in found.segments:
        if code == _EXIF:
            notes += 1
            kept = notes <= _MOST_NOTES
        elif code == _PROFILE:
            profiles += 1
            kept = profiles <= _MOST_PROFILES
        else:
            kept = code in _FRAMES or code in (_QUANTIZATION, _HUFFMAN, _ARITHMETIC, _RESTART, _ADOBE, 0xE0)
        if kept:
            parts.append(view[start:end])
    parts.append(view[found.scan :])
    return b"".join(parts)


# What follows the bits of a scan: FF and neither a stuffed 0, nor fill, nor a restart (ITU-T T.81, B.1.1.2).
_AFTER_BITS = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


def has_all_scans(data: bytes) -> bool:
    """Say whether a JPEG's scans hold every coefficient of every component to its last bit.

    ITU-T T.81, B.2.3 and G.1: a progressive JPEG sends ranges of coefficients (Ss to Se), and more of their
    bits with each scan, down to Al = 0. Of others one scan holds all.

    Args:
        data: from its beginning to the end of its last scan; the bits of the scans are not looked at.
    """
    left: set[tuple[int, int]] = set()
    progressive = False
    position = 2
    while position + 4 <= len(data):
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if data[position] != 0xFF or len(body) < length - 2:
            return False
        position += 2 + length
        if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) and len(body) >= 6:
            progressive = marker in (0xC2, 0xCA)
            left = {(one, n) for one in body[6::3] for n in (range(64) if progressive else (0,))}
        elif marker == 0xDA and body:
            count = body[0]
            first, last, bits = (body[-3], body[-2], body[-1] & 15) if progressive else (0, 0, 0)
            if bits == 0:
                left -= {(one, n) for one in body[1 : 1 + 2 * count : 2] for n in range(first, last + 1)}
            found = _AFTER_BITS.search(data, position)
            if found is None:
                return not left
            position = found.end() - 2
    return False
