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

Near-duplicate is no equivalence: in a film each frame is near the next, and the last is nothing like the
first. On 6,886 real drawings, what such pairs connect was one chain of 1,372 shapes with a least similarity
of 0.22, and keeping it together pulled the accuracy from 0.81 to 0.63. So a group is a clique: each of its
images is a near-duplicate of each other one. What pairs connect beyond that is taken apart by complete
linkage, the nearest joined first, so that copies stay together wherever a chain is cut; and it is told, as a
`Chain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument
from lookalike.progress import divided, silent
from lookalike.vectors.groupings import join_groups, numbered_by_first_row
from lookalike.vectors.nearest import nearest_rows
from lookalike.vectors.product_threads import one_product_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.progress import Progress
    from lookalike.types import Vectors

RATIO = 0.25
"""Part of the usual distance to the tenth nearest below which two images are near-duplicates (see above)."""

_TENTH = 10
# Images whose tenth nearest is looked for; the median of so many is known to a few per cent.
_SAMPLE = 1_000
# What float32 products of unit vectors err by, so that equal vectors count as equal.
_ROUNDING = 4e-6
# A block in which every pair is near takes four times as much again for its pairs.
_BLOCK_BYTES = 16 << 20
# Images that complete linkage takes at once, as it wants the distances of all pairs; more are divided, and
# the groups of the parts joined.
_LINKED = 2048


@dataclass(frozen=True, slots=True)
class Chain:
    """Images that near-duplicates connect though they are not all near-duplicates of each other."""

    images: int
    groups: int
    """How many groups it was taken apart into, at least 2."""
    similarity: float
    """The least between two of its images, −1 … 1."""


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """The groups of near-duplicates of a collection, and the threshold."""

    groups: NDArray[np.intp]
    """Shape (n,): the number of each row's group, 0 … groups − 1, numbered by their first rows. An image
    without near-duplicates is a group of its own."""
    threshold: float
    """The cosine similarity from which two images are near-duplicates: any two of a group are at least so
    similar, or have the same bytes. Above 1 where fewer than three images give no scale."""
    chains: tuple[Chain, ...]
    """What was taken apart, the largest first."""


def chains_text(chains: Sequence[Chain]) -> str:
    """Return in words what was taken apart, the largest first; at least one."""
    several = len(chains) > 1
    return (f"{len(chains):,} chains" if several else "a chain") + (
        f" of near-duplicates {'were' if several else 'was'} taken apart into groups in which each is a "
        f"near-duplicate of each other{'; the largest' if several else ''}: {chains[0].images:,} images, "
        f"{chains[0].groups:,} groups, least similarity {chains[0].similarity:.4f}"
    )


def near_duplicate_groups(
    vectors: Vectors, digests: Sequence[str], progress: Progress = silent
) -> NDArray[np.intp]:
    """Return the groups of `find_near_duplicates` alone."""
    return find_near_duplicates(vectors, digests, progress).groups


def find_near_duplicates(
    vectors: Vectors, digests: Sequence[str], progress: Progress = silent
) -> NearDuplicates:
    """Put images into groups of near-duplicates of each other: same bytes, or nearer than the threshold.

    Args:
        vectors: plain (not fitted) vectors, float32 of shape (n, d), each row of length 1.
        digests: SHA-256 of each image's file, n of them.
        progress: called with pairs compared and pairs to compare.

    Returns:
        The groups: given the threshold, for which a thousand rows at equal steps are looked at, they do not
        depend on the order of the rows. Takes n² · d multiplications, and for a chain of m images a few times
        m² · d more; memory beside the arguments is bounded: some 100 MB.

    Raises:
        InvalidArgument: not as many digests as vectors.
    """
    count = len(vectors)
    if len(digests) != count:
        raise InvalidArgument(f"{count} vectors need as many digests, not {len(digests)}")
    if not count:
        return NearDuplicates(np.empty(0, dtype=np.intp), 2.0, ())
    files: NDArray[np.intp] = np.unique(np.array(digests), return_inverse=True)[1]
    usual, pairs, taking = divided(progress, [min(count, _SAMPLE) * count, count * count // 2, count + 1])
    with one_product_thread(count):
        threshold = near_duplicate_threshold(vectors, usual)
        connected, near = _connected(vectors, files, threshold, pairs)
    sizes = np.bincount(connected)
    # Where each is near each other there is nothing to take apart, however many they are.
    loose = np.bincount(connected, near < sizes[connected] - 1) > 0
    order = np.argsort(connected, kind="stable")
    starts = np.cumsum(sizes) - sizes
    groups = connected.copy()
    made = len(sizes)
    chains: list[Chain] = []
    todo, done = int(sizes[loose].sum()), 0
    for number in np.flatnonzero(loose).tolist():
        members = order[starts[number] : starts[number] + sizes[number]]
        apart, chain = _taken_apart(vectors, files, members, threshold)
        groups[members] = made + apart
        made += int(apart.max()) + 1
        chains += [chain] if chain else []
        done += len(members)
        taking(done, todo + 1)
    taking(1, 1)
    chains.sort(key=lambda chain: (-chain.images, -chain.groups, chain.similarity))
    return NearDuplicates(numbered_by_first_row(groups), threshold, tuple(chains))


def _connected(
    vectors: Vectors, files: NDArray[np.intp], threshold: float, progress: Progress
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the number of what each row is connected with, and how many rows each is near."""
    count = len(vectors)
    connected = files
    near = np.zeros(count, dtype=np.intp)
    for rows, columns in _near_pairs(vectors, threshold, progress):
        near += np.bincount(rows, minlength=count) + np.bincount(columns, minlength=count)
        if (connected[rows] != connected[columns]).any():
            connected = join_groups(connected, (rows, columns))
    return connected, near


def _taken_apart(
    vectors: Vectors, files: NDArray[np.intp], members: NDArray[np.intp], threshold: float
) -> tuple[NDArray[np.intp], Chain | None]:
    """Return the group of each of some connected rows, numbered from 0, and the chain that they were."""
    # One row of each file, in the order of the digests: that of the rows makes no difference.
    distinct, firsts, places = np.unique(files[members], return_index=True, return_inverse=True)
    if len(distinct) == 1:
        return np.zeros(len(members), dtype=np.intp), None
    rows = members[firsts]
    groups = _cliques(vectors, rows, np.float32(threshold))
    found = int(groups.max()) + 1
    if found == 1:
        return groups[places], None
    return groups[places], Chain(len(members), found, _least(vectors, rows))


def _cliques(vectors: Vectors, rows: NDArray[np.intp], threshold: np.float32) -> NDArray[np.intp]:
    """Return the groups of rows of which any two are at least so similar, the nearest joined first."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(rows) < 2:
        return np.zeros(len(rows), dtype=np.intp)
    if len(rows) > _LINKED:
        return _joined(vectors, rows, threshold)
    own = vectors[rows]
    distances = 1.0 - (own @ own.T).astype(np.float64)
    # The product of two rows may differ by a bit from that of the same two the other way round.
    distances = np.maximum(distances, distances.T)
    np.fill_diagonal(distances, 0.0)
    tree = linkage(np.maximum(squareform(distances, checks=False), 0.0), "complete")
    found: NDArray[np.intp] = fcluster(tree, 1.0 - float(threshold), "distance").astype(np.intp) - 1
    return found


def _joined(vectors: Vectors, rows: NDArray[np.intp], threshold: np.float32) -> NDArray[np.intp]:
    """Divide rows into two, take each part apart, and join the groups that are near as wholes.

    Within a part no two groups can be joined any more, so a group goes with one of the other part at most.
    """
    first = _halved(vectors, rows)
    halves = np.flatnonzero(first), np.flatnonzero(~first)
    left, right = (_cliques(vectors, rows[half], threshold) for half in halves)
    least = np.full((int(left.max()) + 1, int(right.max()) + 1), np.inf, np.float32)
    for some in _pieces(left):
        for others in _pieces(right):
            products = vectors[rows[halves[0][some]]] @ vectors[rows[halves[1][others]]].T
            ours, our_starts = np.unique(left[some], return_index=True)
            theirs, their_starts = np.unique(right[others], return_index=True)
            nearer = np.minimum.reduceat(np.minimum.reduceat(products, our_starts), their_starts, axis=1)
            place = np.ix_(ours, theirs)
            least[place] = np.minimum(least[place], nearer)
    groups = np.empty(len(rows), dtype=np.intp)
    groups[halves[0]] = left
    numbers = np.arange(least.shape[1]) + least.shape[0]
    taken = np.zeros(least.shape[0], dtype=bool)
    ours, theirs = np.nonzero(least >= threshold)
    for place in np.argsort(-least[ours, theirs], kind="stable").tolist():
        one, other = ours[place], theirs[place]
        if not taken[one] and numbers[other] >= least.shape[0]:
            taken[one] = True
            numbers[other] = one
    groups[halves[1]] = numbers[right]
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)


def _pieces(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the places of rows in order of their groups, in pieces."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, range(_LINKED, len(order), _LINKED))


def _halved(vectors: Vectors, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell which rows lie at one end of where some reach farthest, cut where the fewest are near the cut."""
    end = vectors[rows[np.argmin(_products(vectors, rows, _mean(vectors, rows)))]]
    other = vectors[rows[np.argmin(_products(vectors, rows, end))]]
    along = _products(vectors, rows, other - end)
    order = np.argsort(along, kind="stable")
    third = len(rows) // 3
    gaps = np.diff(along[order])[third : len(rows) - third]
    first = np.zeros(len(rows), dtype=bool)
    first[order[: third + int(np.argmax(gaps)) + 1]] = True
    return first


def _mean(vectors: Vectors, rows: NDArray[np.intp]) -> Vectors:
    """Return the mean of some rows."""
    total = sum(vectors[some].sum(axis=0, dtype=np.float64) for some in _runs(rows))
    mean: Vectors = np.asarray(total / len(rows), dtype=np.float32)
    return mean


def _products(vectors: Vectors, rows: NDArray[np.intp], direction: Vectors) -> Vectors:
    """Return the product of each of some rows with a direction."""
    return np.concatenate([vectors[some] @ direction for some in _runs(rows)])


def _runs(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return np.split(rows, range(_LINKED, len(rows), _LINKED))


def _least(vectors: Vectors, rows: NDArray[np.intp]) -> float:
    """Return the least similarity between two of some rows."""
    runs = _runs(rows)
    return float(min((vectors[some] @ vectors[other].T).min() for some in runs for other in runs))


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
    return threshold_of(similarities[:, tenth - 1])


def threshold_of(tenth: NDArray[np.float64]) -> float:
    """Return the threshold of a collection, by the similarities of some images to their tenth nearest."""
    usual = 1.0 - float(np.median(tenth))
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
