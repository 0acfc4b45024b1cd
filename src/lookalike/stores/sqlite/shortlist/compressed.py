"""Vectors at a bit or two a number, in cells: they say who may be near a query, and the exact vectors decide.

A vector is in the cell of the nearest of many centres, and a query is compared with those of the nearest
cells only (an inverted file: Jégou et al. 2011, doi.org/10.1109/TPAMI.2010.57). There it is known by the
signs of its difference from the centre, after a rotation by chance (RaBitQ: arxiv.org/abs/2405.12497; of
more bits: arxiv.org/abs/2409.09913). faiss holds and compares them. How many are compared, and about how
many of them the exact vectors decide, is found with vectors of the collection whose neighbours are
known. What is in here can always be made again from the vectors.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import inf, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.errors import ExtraMissing
from lookalike.stores.recall import K

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.types import Vectors

KIND = "ivf-rabitq"

# As many are always compared: it takes less than the rest of a search.
_LEAST_COMPARED = 20_000
# Candidates a query, at least and at most; where all vectors are compared, at least the third.
_FEWEST, _MOST, _FEWEST_OF_ALL = 30, 1000, 100
# The part of known neighbours that is to lie in the cells, and the part of these that is to be a candidate.
_IN_CELLS, _AMONG_CANDIDATES = 0.997, 0.999
# Where the nearest are farther away than the vectors' own neighbours are, as those of sentences are and those
# that a filter leaves, codes tell them apart less well: so many times more are compared, and as many times
# more are candidates. Of 300,000, and queries as far away as sentences, 0.95 of the neighbours were among the
# candidates so.
_FARTHER = 6
# Cells a root of the number of vectors. Of a million, 4 took as long to search and twice as long to make.
_CELLS_A_ROOT = 2
_LEAST_A_CELL = 64
_SAMPLE_A_CELL = 32
_ROUNDS = 6
# The error of a code falls with its numbers and with the bits of each, so short vectors get more bits. Of
# 300,000 of 512 numbers, two bits took as long to search as one, with 30 candidates instead of 74; four took
# 1.6 times as long.
_CODE_BITS = 1024
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

    def __init__(self, index: Any, effort: Effort) -> None:
        """Take over what is in an index of faiss; see `around` and `from_bytes`."""
        faiss = _faiss()
        self.effort = effort
        self._index = index
        quantizer = faiss.downcast_index(index.quantizer)
        flat = faiss.vector_to_array(quantizer.codes).view(np.float32)
        self._centres: Vectors = flat.reshape(index.nlist, index.d)
        self._lengths = np.einsum("ij,ij->i", self._centres, self._centres)
        lists = index.invlists
        self._sizes = np.array([lists.list_size(cell) for cell in range(index.nlist)], np.int64)
        # The cell of each number, -1 where it is in none.
        self._cells = np.empty(0, np.int32)
        for cell in np.flatnonzero(self._sizes).tolist():
            numbers = faiss.rev_swig_ptr(lists.get_ids(cell), int(self._sizes[cell]))
            self._note(numbers, np.full(len(numbers), cell))
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
        return cls(index, Effort())

    def __len__(self) -> int:
        return int(self._index.ntotal)

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
        self._sizes += np.bincount(cells, minlength=len(self._sizes))
        self._note(numbers, cells)

    def remove(self, numbers: NDArray[np.int64]) -> None:
        """Remove the vectors of these numbers that it has, none named twice."""
        there = numbers[self._cells_of(numbers) >= 0]
        if len(there):
            self._last = None
            self._sizes -= np.bincount(self._cells[there], minlength=len(self._sizes))
            self._cells[there] = -1
            self._index.remove_ids(there)

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
        wider = max(1.0, count / self.effort.candidates) ** 0.5
        # Of a part f of the vectors the nearest lie as far away as 1 / f times as many of all do: as where
        # more are asked for, the root of that is taken in more cells.
        part = (there / len(self)) ** 0.5
        compared = part * max(_LEAST_COMPARED, self.effort.share * wider * len(self))
        rotated = _rotated(queries)
        distances = self._distances(rotated)
        numbers, away = self._look(rotated, distances, count, compared, matching)
        found = list(numbers)
        far = np.flatnonzero(away[:, min(K, count) - 1] > self.effort.reach)
        if len(far):
            count = min(_FARTHER * count, there)
            numbers, _ = self._look(rotated[far], distances[far], count, _FARTHER * compared, matching)
            for place, more in zip(far, numbers, strict=True):
                found[place] = more
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
            ahead = [before[row, places[row, self._cells[some]]] for row, some in enumerate(neighbours)]
            share = min(1.0, float(_quantile(ahead, _IN_CELLS) + 1) / len(self))
        compared = max(_LEAST_COMPARED, share * len(self))
        matching = _Matching(self._sizes, None)
        found, away = self._look(rotated, distances, min(_MOST, len(self)), compared, matching)
        ranks = []
        for row, number, some in zip(found, numbers, neighbours, strict=True):
            others = row[row != number]
            by_number = np.argsort(others)
            at = np.minimum(np.searchsorted(others[by_number], some), len(others) - 1)
            there = others[by_number[at]] == some
            # One that is in no cell looked at is no reason for more candidates.
            ranks.append(by_number[at[there]])
        fewest = _FEWEST_OF_ALL if few else _FEWEST
        candidates = max(fewest, min(_MOST, int(_quantile(ranks, _AMONG_CANDIDATES)) + 1))
        # Each has itself beside the ten.
        reach = float(away[:, min(K, away.shape[1] - 1)].max()) if away.size else inf
        self.effort = Effort(share, candidates, reach, len(self))

    def to_bytes(self) -> bytes:
        """Return all of it as bytes, for `from_bytes` of the same engine."""
        content: bytes = _faiss().serialize_index(self._index).tobytes()
        return json.dumps(asdict(self.effort)).encode() + b"\n" + content

    @classmethod
    def from_bytes(cls, content: bytes) -> Shortlist:
        """Return what `to_bytes` wrote; bytes that were changed since are not all told from others.

        Raises:
            ExtraMissing: faiss is not installed.
            TypeError, ValueError: these are other bytes.
        """
        at = content.index(b"\n") + 1
        try:
            index = _faiss().deserialize_index(np.frombuffer(content, np.uint8, offset=at))
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        return cls(index, Effort(**json.loads(content[:at])))

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
    ) -> tuple[NDArray[np.int64], Vectors]:
        """Return who seems nearest, and how far away, among at least so many in the nearest cells.

        Args:
            rotated: queries, float32 of shape (at least 1, dimension).
            distances: of each from every centre, squared.
            count: numbers a query, as many at least match.
            compared: vectors that match, in the cells that are looked at.
            matching: which ones match.

        Returns:
            Numbers, and squared distances as codes tell them, both of shape (queries, count).
        """
        faiss = _faiss()
        pointer = faiss.swig_ptr
        cells = np.argsort(distances, axis=1)
        held = matching.sizes[cells]
        looked_at = (np.cumsum(held, axis=1) - held < max(count, compared)) & (held > 0)
        width = int(np.flatnonzero(looked_at.any(axis=0))[-1]) + 1
        cells = np.ascontiguousarray(np.where(looked_at, cells, -1)[:, :width])
        to_centres = np.take_along_axis(distances, np.maximum(cells, 0), axis=1)
        away = np.empty((len(rotated), count), np.float32)
        numbers = np.empty((len(rotated), count), np.int64)
        how = faiss.IVFSearchParameters(nprobe=width, sel=matching.selector)
        given = len(rotated), pointer(rotated), count, pointer(cells), pointer(to_centres)
        self._index.search_preassigned_c(*given, pointer(away), pointer(numbers), False, how)
        return numbers, away

    def _note(self, numbers: NDArray[np.int64], cells: NDArray[Any]) -> None:
        spare = int(numbers.max()) + 1 - len(self._cells)
        if spare > 0:
            # With room for more, so that it is not copied with every record.
            more = np.full(spare + len(self._cells) // 8, -1, np.int32)
            self._cells = np.concatenate([self._cells, more])
        self._cells[numbers] = cells

    def _cells_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        known = numbers < len(self._cells)
        return np.where(known, self._cells[np.where(known, numbers, 0)] if known.any() else -1, -1)

    def _matching(self, allowed: NDArray[np.int64]) -> _Matching:
        """Return where those are that are allowed; for the last filter it is remembered."""
        if self._last is None or self._last[0] is not allowed:
            cells = self._cells_of(allowed)
            if len(cells) and cells.min() < 0:
                raise KeyError
            bits = np.zeros(len(self._cells), bool)
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
