"""Near-duplicates: images that show the same thing, re-saved, slightly changed, or a moment later.

Cosine similarities mean different things in different embedders and collections: two photographs of one cloth
are at 0.99 where two of different machines are at 0.8. So the threshold is taken from the collection itself:
a pair is near-duplicate if it is at most `RATIO` times as far apart (1 − cosine similarity) as an image
usually is from its tenth nearest.

Measured with plain efficientnet-lite0 vectors, on 2,000 textile photographs (conformal-clip-data 0.1.4,
simulated, all of them different pictures) and 1,348 frames of extrusion videos (fmegahed/qe_genai): the
thresholds are distances of 0.0035 and 0.067. No two textile photographs are nearer than 0.0051, while copies
saved again as JPEG of quality 75 or 95, as WebP of quality 80, or 5 % brighter, are at most 0.0031 away. The
pairs of frames below 0.067 are the same file twice or the same scene a moment later. Not found: copies that
are cropped, at half the size, or saved so badly (JPEG of quality 50) that the model sees another texture.
With efficientnet-lite0-inspect the textile threshold is 0.0013; its different pictures are at least 0.0038
apart, those saved again or 5 % brighter at most 0.0010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument
from lookalike.progress import divided, silent
from lookalike.ranking import nearest_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.progress import Progress
    from lookalike.records import Vectors

RATIO = 0.25
"""Part of the usual distance to the tenth nearest below which two images are near-duplicates (see above)."""

_TENTH = 10
# Images whose tenth nearest is looked for; the median of so many is known to a few per cent.
_SAMPLE = 1_000
# What float32 products of unit vectors err by, so that equal vectors count as equal.
_ROUNDING = 4e-6
# A block in which every pair is near takes four times as much again for its pairs.
_BLOCK_BYTES = 16 << 20


def near_duplicate_groups(
    vectors: Vectors, digests: Sequence[str], progress: Progress = silent
) -> NDArray[np.intp]:
    """Put images into groups: same bytes, near-duplicates, and what these connect.

    Args:
        vectors: plain (not fitted) vectors, float32 of shape (n, d), each row of length 1.
        digests: SHA-256 of each image's file, n of them.
        progress: called with pairs compared and pairs to compare.

    Returns:
        Shape (n,): the number of each row's group, 0 … groups − 1, numbered by their first rows. An image
        without near-duplicates is a group of its own. Takes n² · d multiplications; memory beside the
        arguments is bounded: some 100 MB.

    Raises:
        InvalidArgument: not as many digests as vectors.
    """
    # SciPy's graphs take a while to load, which no search should wait for.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(vectors)
    if len(digests) != count:
        raise InvalidArgument(f"{count} vectors need as many digests, not {len(digests)}")
    if not count:
        return np.empty(0, dtype=np.intp)
    groups: NDArray[np.intp] = np.unique(np.array(digests), return_inverse=True)[1]
    every = np.arange(count)
    usual, pairs = divided(progress, [min(count, _SAMPLE) * count, count * count // 2 + 1])
    threshold = near_duplicate_threshold(vectors, usual)
    for rows, columns in _near_pairs(vectors, threshold, pairs):
        if (groups[rows] == groups[columns]).all():
            continue
        # What was connected so far goes in as one edge a row: to its group, a node behind those of the rows.
        starts, ends = np.concatenate([rows, every]), np.concatenate([columns, count + groups])
        graph = coo_array((np.ones(len(starts), dtype=bool), (starts, ends)), shape=(2 * count, 2 * count))
        components = connected_components(graph, directed=False)[1][:count]
        groups = np.unique(components, return_inverse=True)[1]
    return _numbered_by_first_row(groups)


def _numbered_by_first_row(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the same groups, numbered in the order of their first rows."""
    _, firsts, inverse = np.unique(groups, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), dtype=np.intp)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    return ranks[inverse]


def near_duplicate_threshold(vectors: Vectors, progress: Progress = silent) -> float:
    """Return the cosine similarity from which two images of a collection are near-duplicates.

    The tenth nearest and not the nearest sets the scale, so that a collection that holds every picture twice
    is still found out; where more than half of the images have ten copies or more, only equal vectors are.

    Args:
        vectors: plain (not fitted) vectors, float32 of shape (n, d), each row of length 1.
        progress: called with images of a sample done and to do.

    Returns:
        At most 1; above 1 where fewer than three images give no scale.
    """
    count = len(vectors)
    if count < 3:
        return 2.0
    sample = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.intp))
    tenth = min(_TENTH, count - 1)
    itself = [[row] for row in sample.tolist()]
    similarities = nearest_rows(vectors[sample], vectors, tenth, itself, progress=progress)[1]
    usual = 1.0 - float(np.median(similarities[:, tenth - 1]))
    return 1.0 - max(RATIO * usual, _ROUNDING)


def _near_pairs(
    vectors: Vectors, threshold: float, progress: Progress
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pairs of rows that are at least so similar, each pair once, block by block."""
    count = len(vectors)
    step = max(1, _BLOCK_BYTES // (4 * count))
    # One buffer for all blocks: for a new one each time the kernel has to find clean memory.
    buffer = np.empty(min(step, count) * count, np.float32)
    near = np.empty(buffer.shape, bool)
    for start in range(0, count, step):
        shape = (min(step, count - start), count - start)
        room = slice(0, shape[0] * shape[1])
        some = np.matmul(vectors[start : start + step], vectors[start:].T, out=buffer[room].reshape(shape))
        places = np.flatnonzero(np.greater_equal(some.ravel(), threshold, out=near[room]))
        rows, columns = np.divmod(places, shape[1])
        later = columns > rows
        yield rows[later] + start, columns[later] + start
        # Each is compared with those behind it.
        progress(count**2 - max(0, count - start - step) ** 2, count**2)
