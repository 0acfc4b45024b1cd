"""Compressed vectors in cells: they say who may be near a query, and the exact vectors decide.

A vector is in the cell of the nearest of many centres, and a query is compared with those of the nearest
cells only (an inverted file: Jégou et al. 2011, doi.org/10.1109/TPAMI.2010.57). There it is known by the
signs of its difference from the centre, after a rotation by chance (RaBitQ: arxiv.org/abs/2405.12497; of
more bits, for short vectors: arxiv.org/abs/2409.09913), which faiss holds and compares. Those that seem
nearest by their signs are compared by more bits, see `residual_codes`, and the nearest of these by the exact
vectors. How many are compared in each of the three ways is found with vectors of the collection whose
neighbours are known. What is in here can always be made again from the vectors.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import ceil, inf, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import ExtraMissing
from lookalike.stores.recall import K
from lookalike.stores.sqlite.shortlist.residual_codes import ResidualCodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.types import Vectors

KIND = "ivf-rabitq"

# As many are always compared: it takes less than the rest of a search.
_LEAST_COMPARED = 20_000
# Of so many of them at least, and at most, more bits decide, and of so many the exact vectors.
_FEWEST_REFINED, _FEWEST, _MOST = 100, 14, 1000
# Candidates a query where all vectors are compared, at least.
_FEWEST_OF_ALL = 100
# The part of known neighbours that is to lie in the cells, and the part of these that is to be left by codes.
_IN_CELLS, _LEFT = 0.999, 0.9995
# Where the nearest are farther away than the vectors' own neighbours are, as those of sentences are and those
# that a filter leaves, codes tell them apart less well: so many times more are compared, and as many times
# more are candidates. Of 300,000, and queries as far away as sentences, 0.95 of the neighbours were among the
# candidates so.
_FARTHER = 6
# Cells a root of the number of vectors, vectors a cell to find its centre from, and rounds of that. Of a
# million, 2 cells, 32 vectors and 6 rounds are made in two thirds of the time, and a fifth to a half more
# vectors are to be looked at; 4 cells save another twentieth of these, which the centres cost.
_CELLS_A_ROOT = 3
_SAMPLE_A_CELL = 64
_ROUNDS = 8
_LEAST_A_CELL = 64
# The error of a code falls with its numbers and with the bits of each, so short vectors get more bits. Of a
# million of 512 numbers, two bits took 1.4 times as long to search as one, and 8 times as long to make.
_CODE_BITS = 512
_MOST_BITS = 8
# Times as many vectors as when it was made: then their cells are too large.
_OUTGROWN = 4
# Below so many queries a product is quicker without BLAS, whose threads wait for each other.
_FEW_QUERIES = 8


def engine() -> str:
    """Return which program makes the shortlists, with its version.

    Raises:
        ExtraMissing: faiss is not installed.
    """
    return f"faiss {_faiss().__version__}"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of a shortlist is looked at for the ten nearest."""

    share: float = 1.0
    """Part of the vectors that a query is compared with, 0 … 1."""
    refined: int = _FEWEST_OF_ALL
    """How many of these are decided about by more bits."""
    candidates: int = _FEWEST_OF_ALL
    """How many of these are decided about by the exact vectors."""
    reach: float = inf
    """The squared distance, as codes tell it, within which nearly all vectors have ten others."""
    calibrated_on: int = 0
    """How many vectors there were when this was found."""


class _Matching(NamedTuple):
    """Which vectors a search is among."""

    sizes: NDArray[np.int64]
    """How many there are in each cell."""
    selector: Any
    """What tells them to faiss; None where all match."""


class Shortlist:
    """Compressed vectors under the numbers of their records."""

    def __init__(self, index: Any, codes: ResidualCodes, effort: Effort) -> None:
        """Take over what is in an index of faiss and beside it; see `around` and `from_parts`."""
        faiss = _faiss()
        self.effort = effort
        self._index = index
        self._codes = codes
        quantizer = faiss.downcast_index(index.quantizer)
        flat = faiss.vector_to_array(quantizer.codes).view(np.float32)
        self._centres: Vectors = flat.reshape(index.nlist, index.d)
        self._lengths = np.einsum("ij,ij->i", self._centres, self._centres)
        lists = index.invlists
        self._sizes = np.array([lists.list_size(cell) for cell in range(index.nlist)], np.int64)
        self._last: tuple[NDArray[np.int64], _Matching] | None = None

    @classmethod
    def around(cls, centres: Vectors) -> Shortlist:
        """Return an empty one.

        Args:
            centres: float32 of shape (any, dimension), see `find_centres`.

        Raises:
            ExtraMissing: faiss is not installed.
        """
        faiss = _faiss()
        count, dimension = centres.shape
        quantizer = faiss.IndexFlatL2(dimension)
        quantizer.add(_rotated(centres))
        bits = min(_MOST_BITS, -(-_CODE_BITS // dimension))
        index = faiss.IndexIVFRaBitQ(quantizer, dimension, count, faiss.METRIC_L2, True, bits)
        quantizer.this.disown()
        index.own_fields = True
        index.train(_rotated(centres))
        return cls(index, ResidualCodes(dimension), Effort())

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def is_outgrown(self) -> bool:
        """Whether there are so many more vectors than at first that it is to be made anew."""
        return len(self) > max(_LEAST_COMPARED, _OUTGROWN * self.effort.calibrated_on)

    def add(self, numbers: NDArray[np.int64], vectors: Vectors) -> None:
        """Add vectors, float32 of shape (len(numbers), dimension), under numbers that it does not have."""
        if not len(numbers):
            return
        pointer = _faiss().swig_ptr
        self._last = None
        rotated, numbers = _rotated(vectors), np.ascontiguousarray(numbers)
        cells = np.argmin(self._distances(rotated), axis=1)
        self._index.add_core(len(numbers), pointer(rotated), pointer(numbers), pointer(cells))
        self._codes.add(numbers, cells, rotated, self._centres)
        self._sizes += np.bincount(cells, minlength=len(self._sizes))

    def remove(self, numbers: NDArray[np.int64]) -> None:
        """Remove the vectors of these numbers that it has, none named twice."""
        cells = self._codes.cells_of(numbers)
        there = numbers[cells >= 0]
        if len(there):
            self._last = None
            self._sizes -= np.bincount(cells[cells >= 0], minlength=len(self._sizes))
            self._index.remove_ids(there)
            self._codes.remove(there)

    def candidate_count(self, k: int) -> int:
        """Return how many candidates are to be decided about, so that the k nearest are among them."""
        return -(-self.effort.candidates * max(k, K) // K)

    def search(
        self, queries: Vectors, count: int, allowed: NDArray[np.int64] | None = None
    ) -> list[NDArray[np.int64]]:
        """Return who seems nearest to each query, the nearest first.

        Args:
            queries: float32 of shape (queries, dimension).
            count: numbers a query, at least 1; the more there are, the more are compared.
            allowed: only these numbers, rising, none twice, all of which it has. The fewer, the larger the
                part of them that is compared: in more cells.

        Returns:
            For each query at least `count` numbers, or fewer where fewer are there.

        Raises:
            KeyError: it does not have one that is allowed.
        """
        matching = _Matching(self._sizes, None) if allowed is None else self._matching(allowed)
        there = int(matching.sizes.sum())
        if allowed is not None and there <= count:
            return [allowed] * len(queries)
        count = min(count, there)
        if not count or not len(queries):
            return [np.empty(0, np.int64)] * len(queries)
        more = max(1.0, count / self.effort.candidates)
        # Of a part f of the vectors the nearest lie as far away as 1 / f times as many of all do: as where
        # more are asked for, the root of that is taken in more cells.
        part = (there / len(self)) ** 0.5
        compared = part * max(_LEAST_COMPARED, self.effort.share * more**0.5 * len(self))
        refined = min(there, ceil(more * self.effort.refined))
        rotated = _rotated(queries)
        distances = self._distances(rotated)
        numbers = self._look(rotated, distances, refined, compared, matching)
        nearest, away = self._refine(rotated, distances, numbers, count)
        found = list(nearest)
        far = np.flatnonzero(away[:, min(K, count) - 1] > self.effort.reach)
        if len(far):
            count, refined = min(_FARTHER * count, there), min(_FARTHER * refined, there)
            numbers = self._look(rotated[far], distances[far], refined, _FARTHER * compared, matching)
            farther, _ = self._refine(rotated[far], distances[far], numbers, count)
            for place, row in zip(far, farther, strict=True):
                found[place] = row
        return found

    def calibrate(
        self, queries: Vectors, numbers: NDArray[np.int64], neighbours: Sequence[NDArray[np.int64]]
    ) -> None:
        """Find out how much is to be looked at, so that nearly all neighbours are found.

        Args:
            queries: vectors that it has, float32 of shape (queries, dimension).
            numbers: of these.
            neighbours: numbers of the exact nearest of each, itself left out.
        """
        few = len(self) <= _LEAST_COMPARED
        share = 1.0
        rotated = _rotated(queries)
        distances = self._distances(rotated)
        if not few:
            cells = np.argsort(distances, axis=1)
            held = self._sizes[cells]
            before = np.cumsum(held, axis=1) - held
            places = np.argsort(cells, axis=1)
            ahead = [
                before[row, places[row, self._codes.cells_of(some)]] for row, some in enumerate(neighbours)
            ]
            share = min(1.0, float(_quantile(ahead, _IN_CELLS) + 1) / len(self))
        compared = max(_LEAST_COMPARED, share * len(self))
        most = min(_MOST, len(self))
        found = self._look(rotated, distances, most, compared, _Matching(self._sizes, None))
        fewest = _FEWEST_OF_ALL if few else _FEWEST_REFINED
        refined = min(most, max(fewest, int(_quantile(_ranks(found, numbers, neighbours), _LEFT)) + 1))
        found, away = self._refine(rotated, distances, found[:, :refined], refined)
        fewest = _FEWEST_OF_ALL if few else _FEWEST
        candidates = max(fewest, int(_quantile(_ranks(found, numbers, neighbours), _LEFT)) + 1)
        # Each has itself beside the ten.
        reach = float(away[:, min(K, away.shape[1] - 1)].max()) if away.size else inf
        self.effort = Effort(share, refined, min(candidates, refined), reach, len(self))

    def to_parts(self) -> list[memoryview]:
        """Return all of it as bytes in parts, for `from_parts` of the same engine."""
        content = _faiss().serialize_index(self._index)
        return [
            memoryview(json.dumps(asdict(self.effort)).encode()),
            content.data,
            *self._codes.to_parts(),
        ]

    @classmethod
    def from_parts(cls, parts: Sequence[NDArray[np.uint8]]) -> Shortlist:
        """Return what `to_parts` wrote; bytes that were changed since are not all told from others.

        Raises:
            ExtraMissing: faiss is not installed.
            TypeError, ValueError: these are other bytes.
        """
        effort, content, *codes = parts
        try:
            index = _faiss().deserialize_index(content)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        made = cls(index, ResidualCodes.from_parts(index.d, codes), Effort(**json.loads(effort.tobytes())))
        if index.ntotal != len(made):
            raise ValueError("parts differ in length")
        return made

    def _distances(self, rotated: Vectors) -> Vectors:
        """Return the squared distance of unit vectors, rotated, from every centre."""
        # Of a few queries not by BLAS, whose threads wait for each other longer than it takes.
        alone = len(rotated) < _FEW_QUERIES
        products = np.einsum("qd,cd->qc", rotated, self._centres) if alone else rotated @ self._centres.T
        distances: Vectors = products
        distances *= -2
        distances += self._lengths + 1
        return distances

    def _look(
        self, rotated: Vectors, distances: Vectors, count: int, compared: float, matching: _Matching
    ) -> NDArray[np.int64]:
        """Return who seems nearest by signs, among at least so many in the nearest cells.

        Args:
            rotated: queries, float32 of shape (at least 1, dimension).
            distances: of each from every centre, squared.
            count: numbers a query, as many at least match.
            compared: vectors that match, in the cells that are looked at.
            matching: which ones match.

        Returns:
            Numbers, the nearest first, of shape (queries, count).
        """
        faiss = _faiss()
        pointer = faiss.swig_ptr
        cells = np.argsort(distances, axis=1)
        held = matching.sizes[cells]
        enough = np.cumsum(held, axis=1) - held >= max(count, compared)
        width = int((~enough).sum(axis=1).max())
        cells, held, enough = cells[:, :width], held[:, :width], enough[:, :width]
        cells = np.where(enough | (held == 0), -1, cells)
        to_centres = np.take_along_axis(distances, np.maximum(cells, 0), axis=1)
        away = np.empty((len(rotated), count), np.float32)
        numbers = np.empty((len(rotated), count), np.int64)
        how = faiss.IVFSearchParameters(nprobe=width, sel=matching.selector)
        given = len(rotated), pointer(rotated), count, pointer(cells), pointer(to_centres)
        self._index.search_preassigned_c(*given, pointer(away), pointer(numbers), False, how)
        return numbers

    def _refine(
        self, rotated: Vectors, distances: Vectors, numbers: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.int64], Vectors]:
        """Return who of some seems nearest by more bits, and how far away.

        Args:
            rotated: queries, float32 of shape (queries, dimension).
            distances: of each from every centre, squared.
            numbers: who is compared, of shape (queries, at least count).
            count: numbers a query.

        Returns:
            Numbers, the nearest first, and squared distances, both of shape (queries, count).
        """
        nearest = np.empty((len(rotated), count), np.int64)
        away = np.empty((len(rotated), count), np.float32)
        for row, some in enumerate(numbers):
            those = self._codes.distances(rotated[row], distances[row], some)
            order = np.argsort(those)[:count]
            nearest[row], away[row] = some[order], those[order]
        return nearest, away

    def _matching(self, allowed: NDArray[np.int64]) -> _Matching:
        """Return where those are that are allowed; for the last filter it is remembered."""
        if self._last is None or self._last[0] is not allowed:
            cells = self._codes.cells_of(allowed)
            if len(cells) and cells.min() < 0:
                raise KeyError
            bits = np.zeros(int(allowed.max(initial=-1)) + 1, bool)
            bits[allowed] = True
            selector = _faiss().IDSelectorBitmap(np.packbits(bits, bitorder="little"))
            self._last = allowed, _Matching(np.bincount(cells, minlength=len(self._sizes)), selector)
        return self._last[1]


def sample_size(count: int) -> int:
    """Return how many vectors, drawn at random, the centres of so many are to be found from."""
    return max(_SAMPLE_A_CELL * _cell_count(count), _LEAST_A_CELL)


def find_centres(sample: Vectors, count: int) -> Vectors:
    """Return where vectors crowd, by Lloyd's algorithm: of the same sample always the same.

    Args:
        sample: some of the vectors, drawn at random: float32 of shape (at least 1, dimension).
        count: of all vectors.

    Returns:
        float32 of shape (centres, dimension): one where there are few vectors, the mean of the sample.
    """
    cells = max(1, min(_cell_count(count), len(sample) // _SAMPLE_A_CELL))
    # Every vector of the sample counts, however few or many it has a centre.
    limits = {"min_points_per_centroid": 1, "max_points_per_centroid": len(sample)}
    found = _faiss().Kmeans(sample.shape[1], cells, niter=_ROUNDS, seed=1, **limits)
    found.train(np.ascontiguousarray(sample))
    centres: Vectors = found.centroids
    return centres


def _cell_count(count: int) -> int:
    return max(1, min(_CELLS_A_ROOT * isqrt(count), count // _LEAST_A_CELL))


def _ranks(
    found: NDArray[np.int64], numbers: NDArray[np.int64], neighbours: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """Return the places of neighbours in what was found for each of some; of those that were found.

    Args:
        found: numbers of shape (queries, any), the first places first.
        numbers: of the queries themselves, which take no place.
        neighbours: of each.
    """
    ranks = []
    for row, number, some in zip(found, numbers, neighbours, strict=True):
        others = row[row != number]
        by_number = np.argsort(others)
        at = np.minimum(np.searchsorted(others[by_number], some), len(others) - 1)
        there = others[by_number[at]] == some
        ranks.append(by_number[at[there]])
    return ranks


def _quantile(parts: Sequence[NDArray[np.int64]], part: float) -> float:
    """Return what nearly all of some figures are at most; 0 where there are none."""
    every = np.concatenate([np.empty(0, np.int64), *parts])
    return float(np.quantile(every, part, method="higher")) if len(every) else 0.0


def _rotated(vectors: Vectors) -> Vectors:
    """Return vectors, by row, after a rotation by chance that is the same for all of one dimension.

    Cosine transforms with random signs mix all numbers as a random matrix does, and hold no matrix
    (Ailon & Chazelle 2009, doi.org/10.1137/060673096).
    """
    from scipy.fft import dct

    for signs in _signs(vectors.shape[1]):
        vectors = dct(vectors * signs, axis=1, norm="ortho")
    return np.ascontiguousarray(vectors, np.float32)


@lru_cache(maxsize=8)
def _signs(dimension: int) -> Vectors:
    signs: Vectors = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (2, dimension))
    return signs


def check_installed() -> None:
    """Import what makes shortlists.

    Raises:
        ExtraMissing: faiss is not installed.
    """
    _faiss()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ExtraMissing("approximate search in SQLite", "approximate") from error
    return faiss
