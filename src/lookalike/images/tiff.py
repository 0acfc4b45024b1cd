"""TIFF: the full picture among its directories, cut down for Pillow, or its samples as they are stored.

Pillow's decoder knows samples of 8 bits, and a few kinds of others. Every other kind that TIFF 6.0 describes
is read as bytes: a directory is written that calls the rows of the same strips or tiles grey of 8 bits, which
Pillow (with libtiff, where they are compressed) gives back as they are, and NumPy makes samples of them.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import MAX_SAMPLESPERPIXEL, OPEN_INFO, TiffImageFile

from lookalike.images import exif
from lookalike.images.containers import Container, Damaged, Planes, Unread
from lookalike.images.exif import BYTES, Directory, Entry
from lookalike.images.levels import Stated
from lookalike.images.samples import Colours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lookalike.images.levels import Samples

# TIFF 6.0, appendix A; those of Adobe Photoshop and of GDAL, and of the DNG specification, follow.
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_FILL_ORDER, _DESCRIPTION, _STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_BYTES = 266, 270, 273, 277, 278, 279
_MIN, _MAX, _PLANAR, _PREDICTOR = 280, 281, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_SUBDIRECTORIES, _EXTRA, _FORMAT, _SMIN, _SMAX = 330, 338, 339, 340, 341
_XMP, _PROFILE, _NO_DATA, _DNG = 700, 34675, 42113, 50706

# The tags that say how pixels are stored, of one value and of several.
_SINGLE = {256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323, 332, 512, 513, 514, 515, 531}
_SEVERAL = {258, 273, 279, 320, 324, 325, 338, 339, 347, 519, 520, 521, 529, 530, 532}

# Compressions that give back bytes: none, LZW, both numbers of Deflate, PackBits, LZMA, Zstandard.
_OF_BYTES = {1, 5, 8, 32773, 32946, 34925, 50000}
_OTHERS = {
    6: "old-style JPEG", 7: "JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000",
    34887: "LERC", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
# Colours by PhotometricInterpretation, of those that are read as samples.
_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4, 8: 3}
_YCBCR, _LAB = 6, 8
# What Pillow knows of; the others are LogL, LogLuv, ICCLab, ITULab and depth or masks.
_KNOWN = {0, 1, 2, 3, 5, _YCBCR, _LAB}
_SUBSAMPLING = 530
_RAW = {32803, 34892}  # a colour filter array, and LinearRaw of DNG
_REDUCED, _MASK = 1, 4
_MOST_SAMPLES = 64
_MOST_DIRECTORIES = 64
# Bytes of samples a pixel above which nobody asks for a picture.
_MOST_BYTES = 32
# ImageJ writes some hundred bytes about the range; long metadata may follow.
_DESCRIBED = 1 << 16
_IMAGEJ = re.compile(rb"\AImageJ=.*?^min=([-+.\deE]+)\s*^max=([-+.\deE]+)", re.DOTALL | re.MULTILINE)


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        # Pillow allocates behind its own check of size, which warns; `decode` has checked by now.
        if self._im is None:
            self.im = Image.new(self.mode, (self.tag_v2[256], self.tag_v2[257])).im
        super().load_prepare()


PLUGIN = _Tiff


class _Page(NamedTuple):
    """One directory and what it says."""

    directory: Directory
    entries: dict[int, Entry]
    data: bytes

    def numbers(self, tag: int) -> tuple[Any, ...]:
        entry = self.entries.get(tag)
        return () if entry is None else self.directory.values(entry, self.data)

    def number(self, tag: int, default: int) -> int:
        found = self.numbers(tag)
        return int(found[0]) if found else default

    def content(self, tag: int) -> bytes:
        """Return the bytes of what is no pixel; nothing where they lie outside."""
        entry = self.entries.get(tag)
        try:
            return b"" if entry is None else self.directory.content(entry, self.data)
        except EOFError:
            return b""

    @property
    def part(self) -> int:
        """What it is of the picture, by NewSubfileType or the older SubfileType: 0 for the full picture."""
        if self.number(_OLD_SUBFILE, 1) == 2:
            return _REDUCED
        return self.number(_SUBFILE, 0) & (_REDUCED | _MASK)


def tiff(data: bytes) -> Container:
    """Find the full picture of a TIFF, and cut its directory down to what says how its pixels are stored.

    It is the first directory that is not marked as a reduced picture or a mask; those below a directory
    (SubIFDs) come after all others.

    Args:
        data: the whole file, signature checked.

    Returns:
        That page, and what the file says of its orientation, colours and range.

    Raises:
        EOFError, struct.error: a tag that is needed lies beyond the end of the file.
        Damaged: a tag that is needed makes no sense.
        Unread: it is a camera's raw picture, or of a kind that is not read.
    """
    pages = list(_pages(data))
    if any(page.number(_PHOTOMETRIC, 0) in _RAW or _DNG in page.entries for page in pages):
        raise Unread("a camera's raw picture (DNG, NEF, ARW or the like): export it as JPEG, TIFF or PNG")
    page = next((page for page in pages if not page.part), pages[0])
    needed = _needs_samples(page)
    _check_colours(page, needed=needed)
    if not needed and page.number(_SAMPLES, 1) > MAX_SAMPLESPERPIXEL:  # Pillow would log an error
        raise Damaged(f"more than {MAX_SAMPLESPERPIXEL} samples a pixel")
    order = exif.UPRIGHT
    told = page.entries.get(exif.ORIENTATION)
    order = page.directory.orientation(told) if told else exif.xmp_orientation(page.content(_XMP)) or order
    profile = page.content(_PROFILE) or None
    return Container(
        _cut(page),
        order,
        (page.number(_WIDTH, 0), page.number(_HEIGHT, 0)),
        colours=Colours(profile),
        stated=_stated(page),
        planes=functools.partial(_planes, page) if needed else None,
    )


def _pages(data: bytes) -> Iterator[_Page]:
    """Yield the directories in their order, each once, and then those below them."""
    directory: Directory | None = Directory.first(data)
    below: list[int] = []
    seen: set[int] = set()
    first = True
    while directory is not None and directory.start not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(directory.start)
        try:
            entries: dict[int, Entry] = {}
            for entry in directory.entries(data):
                entries.setdefault(entry.tag, entry)
            page = _Page(directory, entries, data)
            page.part  # noqa: B018 raises where a tag of the directory lies outside
            following = directory.after(data)
        except (EOFError, struct.error):
            if first:
                raise
            break
        yield page
        first = False
        with contextlib.suppress(EOFError):
            below += [int(start) for start in page.numbers(_SUBDIRECTORIES)]
        while following is None and below:
            start = below.pop(0)
            following = directory._replace(start=start) if 0 < start < len(data) else None
        directory = following


def _cut(page: _Page) -> BytesIO:
    """Return the file with a first directory of nothing but what says how the page's pixels are stored."""
    directory, data = page.directory, page.data
    kept: list[Entry] = []
    outside = 0
    for entry in page.entries.values():
        if entry.tag not in _SINGLE | _SEVERAL or entry.length == 0:
            continue
        if entry.kind not in BYTES or (entry.tag in _SINGLE and entry.length > 1):
            raise Damaged(f"tag {entry.tag} is of the wrong type or length")
        if entry.tag == _SAMPLES and directory.number(entry) > _MOST_SAMPLES:
            raise Damaged(f"more than {_MOST_SAMPLES} samples a pixel")
        size = entry.length * BYTES[entry.kind]
        if size > len(entry.value):
            outside += size
            (offset,) = struct.unpack(directory.order + ("Q" if directory.big else "L"), entry.value)
            if offset + size > len(data) or outside > len(data):
                raise EOFError
        kept.append(entry)
    stream = BytesIO(data)
    if directory.start != Directory.first(data).start:
        stream.seek(8 if directory.big else 4)
        stream.write(struct.pack(directory.order + ("Q" if directory.big else "L"), directory.start))
    stream.seek(directory.start)
    stream.write(directory.packed(kept))
    stream.seek(0)
    return stream


def _stated(page: _Page) -> Stated:
    """Return what a page says of its samples' range."""
    bits = max(page.numbers(_BITS), default=1)
    low = high = None
    for least, most in ((_SMIN, _SMAX), (_MIN, _MAX)):
        tops = page.numbers(most)
        # The default of MaxSampleValue is the whole type; who writes it says nothing by it.
        if tops and max(tops) not in (2**bits - 1, 0):
            low, high = float(min(page.numbers(least), default=0)), float(max(tops))
            break
    else:
        match = _IMAGEJ.match(page.content(_DESCRIPTION)[:_DESCRIBED])
        if match is not None:
            low, high = _float(match[1]), _float(match[2])
    if low is None or high is None or not low < high:
        low = high = None
    packed = int(bits) if bits not in (8, 16, 32, 64) else None
    return Stated(packed, low, high, _float(page.content(_NO_DATA).strip(b"\0 ")))


def _float(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _photometric(page: _Page) -> int:
    """Return the colour model; where none is told, what libtiff takes it for (tif_dirread.c)."""
    return page.number(_PHOTOMETRIC, 2 if page.number(_SAMPLES, 1) >= 3 else 1)


def _check_colours(page: _Page, *, needed: bool) -> None:
    """Refuse colours that would come out wrong.

    Raises:
        Unread: they are of a kind that is not read.
    """
    photometric, bits = _photometric(page), max(page.numbers(_BITS), default=1)
    if photometric not in _KNOWN:
        raise Unread(f"TIFF of an unusual colour model ({photometric}): export it as RGB")
    if bits > 8 and not needed:
        stored = _OTHERS.get(page.number(_COMPRESSION, 1))
        what = "in its colour model" if stored is None else f"compressed as {stored}"
        raise Unread(f"TIFF of {bits:.0f} bits a sample {what}: export it as RGB without compression")
    if photometric == _YCBCR and page.number(_COMPRESSION, 1) == 1:
        # Samples lie in groups, of 2 × 2 where nothing is said (TIFF 6.0, section 21); Pillow ignores it.
        told = page.numbers(_SUBSAMPLING)
        whole = 3 * page.number(_WIDTH, 0) * page.number(_HEIGHT, 0) <= sum(page.numbers(_STRIP_BYTES))
        if (told and set(told) != {1}) or not (told or whole):
            raise Unread("TIFF of YCbCr with fewer colours than pixels, not compressed: export it as RGB")


def _needs_samples(page: _Page) -> bool:
    """Say whether Pillow would not decode the page, or not right."""
    bits = page.numbers(_BITS) or (1,)
    formats = page.numbers(_FORMAT) or (1,)
    photometric = _photometric(page)
    if photometric not in _COLOURS or page.number(_COMPRESSION, 1) not in _OF_BYTES:
        return False
    if photometric == _LAB:
        return set(bits) == {16} or (page.number(_PLANAR, 1) == 2 and set(bits) == {8})
    if _PHOTOMETRIC not in page.entries and min(bits) >= 8:
        return True
    if max(bits) > 8 or set(formats) - {1, 4} or (page.number(_PLANAR, 1) == 2 and len(bits) > 1):
        return True
    if page.directory.big and page.directory.order == ">" and min(bits) == 8:
        return True  # Pillow (13.0) takes it for a TIFF that is not big
    order = b"II" if page.directory.order == "<" else b"MM"
    extra = page.numbers(_EXTRA)
    key = (order, photometric, (1,), page.number(_FILL_ORDER, 1), bits, extra)
    return key not in OPEN_INFO and len(bits) > 1


def _planes(page: _Page) -> Planes:
    """Read the samples of a page as they are stored.

    Raises:
        EOFError: they are not all there.
        Damaged: the directory contradicts itself.
        Unread: samples of a kind that is not read.
    """
    count = page.number(_SAMPLES, 1)
    bits = tuple(int(n) for n in page.numbers(_BITS) or (1,))
    formats = tuple(int(n) for n in page.numbers(_FORMAT) or (1,))
    if len(bits) == 1:
        bits *= count
    photometric = _photometric(page)
    colours = _COLOURS[photometric]
    if len(bits) != count or count < colours or len(formats) not in (1, count):
        raise Damaged("its tags disagree on how many samples a pixel has")
    if len({*bits}) > 1 or len({*formats}) > 1:
        raise Unread("TIFF of samples of several kinds")
    extra = page.numbers(_EXTRA)
    if not extra and photometric == 2 and count == 4:
        extra = (2,)  # as Pillow and others take a fourth sample of RGB that is not explained
    alpha = next(
        (colours + n for n, kind in enumerate(extra) if kind in (1, 2) and colours + n < count), None
    )
    wanted = [*range(colours), *([] if alpha is None else [alpha])]
    kind = _kind(bits[0], formats[0])
    if page.number(_PLANAR, 1) == 2 and count > 1:
        every = [_read(page, kind, 1, plane, count)[:, :, 0] for plane in wanted]
        samples = np.stack(every, axis=-1)
    else:
        samples = _read(page, kind, count, 0, 1)
        if wanted != [*range(count)]:  # else it would be a copy of all of it
            samples = samples[:, :, wanted]
    return Planes(
        samples[:, :, :colours],
        None if alpha is None else samples[:, :, colours],
        inverted=photometric == 0,
        lab=photometric == _LAB,
        premultiplied=alpha is not None and extra[alpha - colours] == 1,
    )


class _Kind(NamedTuple):
    bits: int
    code: str
    """u, i or f, as NumPy has it."""


def _kind(bits: int, form: int) -> _Kind:
    code = {1: "u", 2: "i", 3: "f", 4: "u"}.get(form)
    whole = bits in ((16, 32, 64) if code == "f" else (8, 16, 32, 64))
    if code is None or not (whole or (code == "u" and bits < 16)):
        raise Unread(f"TIFF of {bits}-bit samples of format {form}")
    return _Kind(bits, code)


def _read(page: _Page, kind: _Kind, count: int, plane: int, planes: int) -> Samples:
    """Read one plane.

    Args:
        page: where.
        kind: of its samples.
        count: samples a pixel in this plane.
        plane: which.
        planes: how many there are.

    Returns:
        Shape (height, width, count), of the machine's own byte order.
    """
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    tiled = _TILES in page.entries
    across = page.number(_TILE_WIDTH, 0) if tiled else width
    tall = page.number(_TILE_HEIGHT, 0) if tiled else min(page.number(_STRIP_ROWS, height), height)
    if min(width, height, across, tall) < 1 or across > 4 * width + 4096:
        raise Damaged("it has no pixels")
    row = -(-across * count * kind.bits // 8)
    columns = -(-width // across)
    if row * columns * height > _MOST_BYTES * width * height + (1 << 20):
        raise Unread(f"TIFF of {row * columns * height:,} bytes for {width * height:,} pixels")
    pieces = columns * -(-height // tall)
    places, sizes = (
        page.numbers(tag) for tag in ((_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES))
    )
    if not sizes and len(places) == 1 and page.number(_COMPRESSION, 1) == 1:
        sizes = (row * height,)
    if len(places) < pieces * planes or len(sizes) < len(places):
        raise Damaged("some of its strips are missing")
    part = slice(pieces * plane, pieces * (plane + 1))
    if page.number(_COMPRESSION, 1) == 1:
        # Pillow reads as much as it needs, whatever lies there.
        rows = [tall if tiled else min(tall, height - tall * n) for n in range(pieces)]
        if any(place + row * each > len(page.data) for place, each in zip(places[part], rows, strict=True)):
            raise EOFError
    stored = _stored(page, (row * columns, height), row, tall, places[part], sizes[part], tiled=tiled)
    cells = stored.reshape(height, columns, row)
    samples = _unpredicted(
        cells, kind, across * count, count, page.number(_PREDICTOR, 1), page.directory.order
    )
    return samples.reshape(height, columns * across, count)[:, :width]


def _stored(
    page: _Page,
    size: tuple[int, int],
    row: int,
    tall: int,
    places: tuple[Any, ...],
    sizes: tuple[Any, ...],
    *,
    tiled: bool,
) -> NDArray[np.uint8]:
    """Return the bytes of strips or tiles, uncompressed: shape (height, bytes in a row of the picture)."""
    data = page.data
    tags: dict[int, tuple[Any, ...]] = {
        _WIDTH: (size[0],), _HEIGHT: (size[1],), _BITS: (8,),
        _COMPRESSION: (page.number(_COMPRESSION, 1),), _PHOTOMETRIC: (1,),
        _FILL_ORDER: (page.number(_FILL_ORDER, 1),), _SAMPLES: (1,), _PLANAR: (1,),
    }  # fmt: skip
    if tiled:
        tags |= {_TILE_WIDTH: (row,), _TILE_HEIGHT: (tall,), _TILES: places, _TILE_BYTES: sizes}
    else:
        tags |= {_STRIPS: places, _STRIP_ROWS: (tall,), _STRIP_BYTES: sizes}
    # Whatever the file is, this one is a plain TIFF of little-endian numbers.
    start = len(data) + len(data) % 2
    after = start + 2 + 12 * len(tags) + 4
    directory, outside = [struct.pack("<H", len(tags))], []
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}L", *(int(value) for value in values))
        if len(packed) > 4:
            outside.append(packed)
            packed = struct.pack("<L", after)
            after += len(outside[-1])
        directory.append(struct.pack("<HHL", tag, 4, len(values)) + packed)
    stream = BytesIO(data)
    stream.write(b"II*\0" + struct.pack("<L", start))
    stream.seek(start)
    stream.write(b"".join([*directory, bytes(4), *outside]))
    stream.seek(0)
    with _Tiff(stream, "") as image:
        image.load()
        return np.asarray(image)


def _unpredicted(
    cells: NDArray[np.uint8], kind: _Kind, length: int, count: int, predictor: int, order: str
) -> Samples:
    """Return the samples of rows of strips or tiles, predictors undone as libtiff's tif_predict.c does it.

    Args:
        cells: shape (height, strips or tiles across, bytes in a row of one).
        kind: of the samples.
        length: samples in a row of one.
        count: samples a pixel.
        predictor: 1 none, 2 differences, 3 differences of the bytes of floats (TIFF Technical Note 3).
        order: of the bytes, `<` or `>`.
    """
    height, columns, row = cells.shape
    if kind.bits not in (8, 16, 32, 64):
        if predictor != 1:
            raise Damaged(f"a predictor for samples of {kind.bits} bits")
        return _unpacked(cells, kind.bits, length)
    size = kind.bits // 8
    if predictor == 3:
        if kind.code != "f":
            raise Damaged("a predictor for floats, but no floats")
        sums = np.cumsum(cells.reshape(height, columns, row // count, count), axis=2, dtype=np.uint8)
        planes = sums.reshape(height, columns, size, length)
        joined = np.ascontiguousarray(planes.transpose(0, 1, 3, 2)).view(f">f{size}")
        return joined[..., 0].astype(f"=f{size}")
    if predictor not in (1, 2):
        raise Damaged("a predictor of no known kind")
    words = cells.view(f"{order}u{size}").astype(f"=u{size}", copy=False)
    if predictor == 2:
        pixels = words.reshape(height, columns, length // count, count)
        words = np.cumsum(pixels, axis=2, dtype=words.dtype).reshape(height, columns, length)
    return words.view(f"=f{size}" if kind.code == "f" else f"={kind.code}{size}")


def _unpacked(cells: NDArray[np.uint8], bits: int, length: int) -> NDArray[np.uint16]:
    """Return samples of 1 to 15 bits that follow each other without gaps."""
    height, columns, _ = cells.shape
    samples = np.empty((height, columns, length), np.uint16)
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    for row in range(height):  # a row at a time: each bit becomes a byte
        each = np.unpackbits(cells[row], axis=1)[:, : length * bits].reshape(columns, length, bits)
        samples[row] = each @ weights
    return samples
