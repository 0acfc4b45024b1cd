"""Copies of a picture that was saved again, where its vectors leave that in doubt: pixels are compared.

A model sees the traces of JPEG, and where a picture is noisy, a copy of quality 70 is further from it than
the threshold of near-duplicates. So of pairs up to twice as far apart both pictures are read. They are taken
for one if they agree where they are looked at coarsely, and in detail too: parts in one fixture agree
coarsely.

Measured as correlations of sketches of 64 × 64 pixels, blocks of 8 × 8 being the coarse part. Of 100 textile
photographs (conformal-clip-data 0.1.4), all of them different pictures, no two agree better than 0.59
coarsely and 0.16 in detail. With itself as a JPEG of quality 20 each agrees at least at 0.996 and 0.985, and
50 drawn scenes with noise at 0.997 and 0.976; the scenes at half the size at 0.998 and 0.991.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lookalike.audit.picture_quality import read_file
from lookalike.errors import UnusableImage
from lookalike.images import decoding
from lookalike.progress import divided, silent
from lookalike.vectors.groupings import group_members
from lookalike.vectors.near_duplicates import RATIO
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.audit.picture_quality import Read
    from lookalike.progress import Progress
    from lookalike.types import Record, Vectors
    from lookalike.vectors.near_duplicates import NearDuplicates
    from lookalike.vectors.vote import Codes

# As RATIO: part of the usual distance to the tenth nearest up to which pictures are looked at.
_DOUBT = 2 * RATIO
# Neighbours of each image that may be its copies; what was saved more often is found by another copy.
_NEAREST = 3
# Pixels of a sketch, and of the blocks whose means are its coarse part.
_SIDE = 64
_BLOCK = 8
# Correlations from which two sketches are of one picture, coarsely and in detail.
_COARSE, _DETAIL = 0.99, 0.95
# Shades of grey by which a sketch must vary in both: less is noise, and tells nothing.
_CONTRAST = 1.0
# Part by which the proportions of a copy may differ: half of 319 pixels is 159 or 160.
_PROPORTION = 0.03


class _Sketch:
    """A thumbnail of a picture, coarse and in detail, and its proportions."""

    __slots__ = ("coarse", "detail", "proportion")

    def __init__(self, picture: Image.Image) -> None:
        self.proportion = picture.width / picture.height
        small = picture.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        levels = np.asarray(small, np.float32).reshape(_SIDE // _BLOCK, _BLOCK, _SIDE // _BLOCK, _BLOCK, 3)
        means = levels.mean(axis=(1, 3), keepdims=True)
        self.coarse = _normalised(means)
        self.detail = _normalised(levels - means)

    def shows_the_same(self, other: _Sketch) -> bool:
        """Tell whether another sketch is of the same picture."""
        return (
            abs(self.proportion / other.proportion - 1) <= _PROPORTION
            and _agreement(self.coarse, other.coarse) >= _COARSE
            and _agreement(self.detail, other.detail) >= _DETAIL
        )


def join_resaved(
    records: Sequence[Record],
    vectors: Vectors,
    near: NearDuplicates,
    read: Read = read_file,
    progress: Progress = silent,
) -> Codes:
    """Join groups of near-duplicates whose pictures were saved again.

    Args:
        records: n records; a picture that cannot be read any more is no copy of another.
        vectors: plain, float32 of shape (n, d), each row of length 1.
        near: their groups.
        read: reads the file of a record.
        progress: called with images compared and images to compare.

    Returns:
        Shape (n,): the number of each row's group; from 0, no number left out.
    """
    count = len(records)
    comparing, reading = divided(progress, [count, count + 1])
    # Two images have no usual distance: their pictures alone tell.
    wide = 1.0 - (1.0 - near.threshold) / RATIO * _DOUBT if near.threshold <= 1 else -1.0
    pairs = _doubtful(vectors, near.groups, wide, comparing)
    sketches = _sketches(records, sorted({row for pair in pairs for row in pair}), read, reading)
    groups = near.groups.copy()
    for one, other in pairs:
        first, second = sketches[one], sketches[other]
        if first is None or second is None or groups[one] == groups[other]:
            continue
        if first.shows_the_same(second):
            ours, theirs = (np.flatnonzero(groups == groups[row]) for row in (one, other))
            # No chain here either.
            if (vectors[ours] @ vectors[theirs].T).min() >= wide:
                groups[theirs] = groups[one]
    reading(1, 1)
    joined: Codes = np.unique(groups, return_inverse=True)[1].astype(np.intp)
    return joined


def _doubtful(vectors: Vectors, groups: Codes, wide: float, progress: Progress) -> list[tuple[int, int]]:
    """Return the pairs of different groups that may be copies, the nearest first."""
    alike = [rows.tolist() for rows in group_members(groups)]
    excluded = [alike[group] for group in groups.tolist()]
    rows, similarities = nearest_rows(vectors, vectors, _NEAREST, excluded, progress=progress)
    found: dict[tuple[int, int], float] = {}
    for row, place in np.argwhere(np.nan_to_num(similarities, nan=-2.0) >= wide).tolist():
        other = int(rows[row, place])
        found[min(row, other), max(row, other)] = float(similarities[row, place])
    return sorted(found, key=lambda pair: (-found[pair], pair))


def _sketches(
    records: Sequence[Record], rows: Sequence[int], read: Read, progress: Progress
) -> dict[int, _Sketch | None]:
    """Read the pictures of some rows; None where that cannot be done."""
    found: dict[int, _Sketch | None] = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="sketch") as pool:
        for row, sketch in zip(rows, pool.map(lambda row: _sketch(records[row], read), rows), strict=True):
            found[row] = sketch
            progress(len(found), len(rows) + 1)
    return found


def _sketch(record: Record, read: Read) -> _Sketch | None:
    try:
        return _Sketch(decoding.decode(read(record), record.uri, at_least=_SIDE))
    except (UnusableImage, OSError, ValueError):
        return None


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return values less their mean, of length 1; None where they hardly vary."""
    values = (values - values.mean()).ravel()
    length = float(np.linalg.norm(values))
    return values / length if length >= _CONTRAST * np.sqrt(values.size) else None


def _agreement(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float:
    """Return the correlation of two sketches; 0 where one hardly varies."""
    return 0.0 if one is None or other is None else float(one @ other)
