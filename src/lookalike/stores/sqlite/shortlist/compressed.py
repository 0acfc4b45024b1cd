"""Vectors at four bits a number, which say quickly who may be near a query; the exact vectors then decide.

turbovec (TurboQuant: arxiv.org/abs/2504.19874) turns every vector by one random rotation and rounds each
number. Its error grows with the length of what it rounds. Photographs of one kind have vectors that lie close
together, and differ by less than that error: so it is given what is left when the nearest of a few centres is
taken away, and the centre's part of the scalar product is added again. What is in here can always be made
again from the vectors.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ExtraMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.types import Vectors

BITS = 4
"""Bits a number. With two, 200 candidates have four in five of the ten nearest where vectors lie close
together; with four, 100 have 998 in 1,000 (300,000 vectors made as benchmarks/search.py makes them)."""

KIND = f"turbovec-{BITS}bit"

LONGEST = 16_384
"""Numbers in a vector, at most (turbovec 1.1.2)."""

SAMPLE = 8192
"""Vectors that the centres are found from."""

# Beyond 32,768 turbovec 1.1.2 looks at one bit a number first and misses who is near (measured: found at 100
# candidates, 1.000 of the ten nearest among 30,000, 0.904 among 40,000); so it gets several indexes.
_SEGMENT = 30_000
_CENTRES = 8
# Fewer vectors a centre say little of where it lies.
_LEAST_A_CENTRE = 64
_ROUNDS = 10
# turbovec wants dimensions of a multiple of eight; zeros change no scalar product.
_WIDTH = 8


def engine() -> str:
    """Return which program makes the shortlists, with its version.

    Raises:
        ExtraMissing: turbovec is not installed.
    """
    return f"turbovec {_turbovec().__version__}"


class Shortlist:
    """Compressed vectors under the numbers of their records."""

    def __init__(self, centres: Vectors) -> None:
        """Make an empty one.

        Args:
            centres: float32 of shape (any, dimension), see `find_centres`.

        Raises:
            ExtraMissing: turbovec is not installed.
        """
        self._centres = centres
        self._lengths = np.einsum("ij,ij->i", centres, centres) / 2
        self._segments: list[_Segment] = []
        self._split: tuple[NDArray[np.int64], list[NDArray[np.int64]]] | None = None
        _turbovec()

    def __len__(self) -> int:
        return sum(len(segment) for segment in self._segments)

    def add(self, numbers: NDArray[np.int64], vectors: Vectors) -> None:
        """Add vectors, float32 of shape (len(numbers), dimension), under numbers that it does not have."""
        self._split = None
        nearest = np.argmax(vectors @ self._centres.T - self._lengths, axis=1)
        for centre in np.unique(nearest):
            rows = np.flatnonzero(nearest == centre)
            while len(rows):
                segment = self._room(int(centre))
                some, rows = np.split(rows, [_SEGMENT - len(segment)])
                segment.add(numbers[some], _padded(vectors[some] - self._centres[centre]))

    def remove(self, number: int) -> None:
        """Remove the vector of a number, if there is one."""
        self._split = None
        for segment in self._segments:
            if segment.remove(number):
                return

    def search(
        self, queries: Vectors, count: int, allowed: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Return who seems nearest to each query, in no order.

        Args:
            queries: float32 of shape (queries, dimension).
            count: numbers a query, at least 1.
            allowed: only these numbers, rising, none twice, all of which it has.

        Returns:
            Numbers, of shape (queries, count), or narrower where fewer are there.

        Raises:
            KeyError: it does not have one that is allowed.
        """
        parts = None if allowed is None else self._parts(allowed)
        padded, offsets = _padded(queries), queries @ self._centres.T
        scores = [np.empty((len(queries), 0), np.float32)]
        numbers = [np.empty((len(queries), 0), np.int64)]
        for place, segment in enumerate(self._segments):
            only = None if parts is None else parts[place]
            if len(segment) and (only is None or len(only)):
                rough, found = segment.search(padded, count, only)
                scores.append(rough + offsets[:, [segment.centre]])
                numbers.append(found)
        rough, found = np.concatenate(scores, axis=1), np.concatenate(numbers, axis=1)
        if found.shape[1] <= count:
            return found
        best = np.argpartition(rough, -count, axis=1)[:, -count:]
        return np.take_along_axis(found, best, axis=1)

    def to_bytes(self) -> bytes:
        """Return all of it as bytes, for `from_bytes` of the same engine."""
        full = [segment for segment in self._segments if len(segment)]
        contents = [segment.to_bytes() for segment in full]
        head = {
            "centres": self._centres.shape,
            "segments": [
                [segment.centre, len(segment), len(content)]
                for segment, content in zip(full, contents, strict=True)
            ],
        }
        return b"".join([json.dumps(head).encode(), b"\n", self._centres.astype("<f4").tobytes(), *contents])

    @classmethod
    def from_bytes(cls, content: bytes) -> Shortlist:
        """Return what `to_bytes` wrote; bytes that were changed since are not all told from others.

        Raises:
            ExtraMissing: turbovec is not installed.
            KeyError, TypeError, ValueError: these are other bytes.
        """
        line, _, rest = content.partition(b"\n")
        head = json.loads(line)
        count, dimension = head["centres"]
        at = 4 * count * dimension
        made = cls(np.frombuffer(rest[:at], "<f4").reshape(count, dimension).astype(np.float32))
        for centre, size, length in head["segments"]:
            made._segments.append(_Segment.from_bytes(centre, size, rest[at : at + length]))
            at += length
        return made

    def _room(self, centre: int) -> _Segment:
        for segment in reversed(self._segments):
            if segment.centre == centre and len(segment) < _SEGMENT:
                return segment
        dimension = self._centres.shape[1]
        index = _turbovec().IdMapIndex(dim=dimension + -dimension % _WIDTH, bit_width=BITS)
        self._segments.append(_Segment(centre, index, np.empty(0, np.int64)))
        return self._segments[-1]

    def _parts(self, allowed: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return which of those allowed are in each segment; for the last filter it is remembered."""
        split = self._split
        if split is None or split[0] is not allowed:
            known = (segment.numbers() for segment in self._segments)
            split = (allowed, [np.intersect1d(allowed, some, assume_unique=True) for some in known])
            if sum(len(part) for part in split[1]) < len(allowed):
                raise KeyError
            self._split = split
        return split[1]


class _Segment:
    """Vectors around one centre, not too many of them."""

    def __init__(self, centre: int, index: Any, numbers: NDArray[np.int64]) -> None:
        self.centre = centre
        self._index = index
        self._numbers = [numbers]

    def __len__(self) -> int:
        return len(self._index)

    def add(self, numbers: NDArray[np.int64], vectors: Vectors) -> None:
        self._index.add_with_ids(vectors, numbers.astype(np.uint64))
        self._numbers.append(numbers)

    def remove(self, number: int) -> bool:
        if not self._index.remove(number):
            return False
        numbers = self.numbers()
        self._numbers = [np.delete(numbers, np.searchsorted(numbers, number))]
        return True

    def numbers(self) -> NDArray[np.int64]:
        """Return all numbers, rising."""
        if len(self._numbers) > 1:
            self._numbers = [np.sort(np.concatenate(self._numbers))]
        return self._numbers[0]

    def search(
        self, queries: Vectors, count: int, only: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        allowed = None if only is None or len(only) == len(self) else only.astype(np.uint64)
        scores, numbers = self._index.search(queries, k=count, allowlist=allowed)
        return scores, numbers.astype(np.int64)

    def to_bytes(self) -> bytes:
        content: bytes = self._index.to_bytes()
        return self.numbers().astype("<i8").tobytes() + content

    @classmethod
    def from_bytes(cls, centre: int, size: int, content: bytes) -> _Segment:
        numbers = np.frombuffer(content[: 8 * size], "<i8").astype(np.int64)
        return cls(centre, _turbovec().IdMapIndex.from_bytes(content[8 * size :]), numbers)


def find_centres(sample: Vectors) -> Vectors:
    """Return where vectors crowd, by Lloyd's algorithm: of the same sample always the same.

    Args:
        sample: some of the vectors, drawn at random: float32 of shape (at least 1, dimension).

    Returns:
        float32 of shape (1 … 8, dimension): one where the sample is small, its mean.
    """
    count = max(1, min(_CENTRES, len(sample) // _LEAST_A_CENTRE))
    centres = sample[np.random.default_rng(0).choice(len(sample), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest = np.argmax(sample @ centres.T - np.einsum("ij,ij->i", centres, centres) / 2, axis=1)
        for place in np.unique(nearest):
            centres[place] = sample[nearest == place].mean(axis=0)
    return centres


def _padded(vectors: Vectors) -> Vectors:
    padding = -vectors.shape[1] % _WIDTH
    return np.pad(vectors, ((0, 0), (0, padding))) if padding else np.ascontiguousarray(vectors)


def check_installed() -> None:
    """Import what makes shortlists.

    Raises:
        ExtraMissing: turbovec is not installed.
    """
    _turbovec()


def _turbovec() -> Any:
    try:
        import turbovec
    except ImportError as error:
        raise ExtraMissing("approximate search in SQLite", "approximate") from error
    return turbovec
