"""Metrics: features to vectors of length 1, whose dot product is the similarity.

`normalise` gives plain vectors. A fitted metric takes plain vectors on, by a linear map that was learnt from
labels: images of one class come closer together, classes apart.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.vectors.discriminant import discriminant_map
from lookalike.vectors.product_threads import one_product_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.types import Features, Vectors
    from lookalike.vectors.vote import Codes

    Fit: TypeAlias = Callable[[Vectors, Codes, Codes], "Metric"]
    """Plain vectors (n, d), labels 0 … C − 1 and lots of some images → a metric fitted to them."""

# Names the layout of the bytes; another layout gets another number.
_FORMAT = 1
# A row's float64 copy of a block of 512 × 5,328 features is 21 MiB.
_BLOCK_ROWS = 512
# What zipfile, zlib and NumPy raise on bytes that make no sense.
_UNREADABLE = (
    AttributeError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class Metric(Protocol):
    """Takes plain vectors into a space of its own."""

    @property
    def dimension(self) -> int:
        """Numbers per projected vector."""
        ...

    def project(self, vectors: Vectors) -> Vectors:
        """Project plain vectors.

        Args:
            vectors: float32 of shape (n, d), each row of length 1.

        Returns:
            float32 of shape (n, dimension), in the same order, each row of length 1.
        """
        ...


def normalise(features: Features) -> Vectors:
    """Divide each row by its length, so that dot products are cosine similarities.

    Args:
        features: shape (n, dimension), finite.

    Returns:
        float32 of the same shape and order, each row of length 1; a row of zeros stays zeros, for it has no
        direction.
    """
    wide = features.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return unit.astype(np.float32)


class FittedMetric:
    """A linear map that was fitted to labels: (vector − mean) · matrix, then length 1."""

    def __init__(self, mean: NDArray[np.float32], matrix: NDArray[np.float32]) -> None:
        """Take the map; `fit_metric` learns one.

        Args:
            mean: shape (d,), of the plain vectors.
            matrix: shape (d, dimension).

        Raises:
            InvalidArgument: the two do not fit together, or are not finite.
        """
        if mean.ndim != 1 or matrix.ndim != 2 or len(mean) != len(matrix) or 0 in matrix.shape:
            raise InvalidArgument(f"no metric: mean of shape {mean.shape}, matrix of shape {matrix.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(matrix).all()):
            raise InvalidArgument("no metric: it holds numbers that are not finite")
        self._mean = np.ascontiguousarray(mean, np.float32)
        self._matrix = np.ascontiguousarray(matrix, np.float32)

    @property
    def dimension(self) -> int:
        """Numbers per projected vector."""
        return int(self._matrix.shape[1])

    @property
    def input_dimension(self) -> int:
        """Numbers per plain vector."""
        return len(self._mean)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of `to_bytes()`, 64 hexadecimal digits."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def project(self, vectors: Vectors) -> Vectors:
        """Project plain vectors; see `Metric.project`.

        A vector that equals the mean has no direction left; it gets that of the first axis.

        Raises:
            InvalidArgument: the vectors are of another dimension.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.input_dimension:
            raise InvalidArgument(
                f"this metric is fitted to {self.input_dimension} dimensions, these vectors have shape "
                f"{vectors.shape}"
            )
        projected = np.empty((len(vectors), self.dimension), np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            np.matmul(vectors[block] - self._mean, self._matrix, out=projected[block])
            projected[block] = normalise(projected[block])
        projected[~projected.any(axis=1), 0] = 1
        return projected

    def to_bytes(self) -> bytes:
        """Return the metric as a NumPy archive (.npz), the same bytes for the same metric."""
        buffer = io.BytesIO()
        # np.savez would write the time of day into the archive.
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            arrays: dict[str, NDArray[Any]] = {
                "format": np.array(_FORMAT, "<i4"),
                "mean": self._mean.astype("<f4"),
                "matrix": self._matrix.astype("<f4"),
            }
            for name, array in arrays.items():
                part = io.BytesIO()
                np.lib.format.write_array(part, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> FittedMetric:
        """Return the metric that `to_bytes` wrote.

        Raises:
            InvalidArgument: the bytes are damaged, or of a later version.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                version, mean, matrix = (archive[name] for name in ("format", "mean", "matrix"))
        except _UNREADABLE as error:
            raise InvalidArgument("a damaged metric: fit again") from error
        if version.shape != () or version != _FORMAT:
            raise InvalidArgument("this metric was fitted by another version of lookalike: fit again")
        if mean.dtype != np.dtype("<f4") or matrix.dtype != np.dtype("<f4"):
            raise InvalidArgument("a damaged metric: fit again")
        return cls(mean, matrix)


def fit_metric(
    vectors: Vectors,
    codes: NDArray[np.intp],
    *,
    groups: Sequence[slice] | None = None,
    lots: NDArray[np.intp] | None = None,
    seed: int = 0,
    beat: Callable[[], None] = lambda: None,
) -> FittedMetric:
    """Learn a metric from labelled vectors, in closed form; see `lookalike.vectors.discriminant`.

    Args:
        vectors: plain vectors, float32 of shape (n, d), each row of length 1.
        codes: shape (n,): the class of each row, from 0; classes without a row may be left out.
        groups: columns that belong together, in order and without gaps (`Card.groups`); they are weighed by
            what they tell about the classes. By default all belong together.
        lots: shape (n,): rows of the same number are never used to judge one another when weights and
            shrinkage are chosen. By default each row is a lot of its own.
        seed: decides which images are looked at to choose them, where there are more than 500.
        beat: called between the steps, of which the longest takes 3 of 4 seconds for 80,000 vectors of 1,280
            dimensions, on one core; what it raises ends the fit.

    Returns:
        A metric of at most 1,024 dimensions; the same for the same arguments, and for other orders of rows
        or other numbers for the classes up to rounding.

    Raises:
        Unanswerable: fewer than two classes, or no class has two images.
        InvalidArgument: the arguments do not fit together.
    """
    codes, groups, lots = checked_lesson(vectors, codes, groups, lots)
    with one_product_thread(len(vectors)):
        return FittedMetric(*discriminant_map(vectors, codes, groups, lots, seed, beat))


def checked_lesson(
    vectors: Vectors,
    codes: NDArray[np.intp],
    groups: Sequence[slice] | None,
    lots: NDArray[np.intp] | None,
) -> tuple[NDArray[np.intp], Sequence[slice], NDArray[np.intp]]:
    """Return classes numbered without gaps, groups and lots, if a metric can be learned from them.

    Args and errors are as for `fit_metric`.
    """
    if vectors.ndim != 2 or codes.shape != (len(vectors),) or (codes < 0).any():
        raise InvalidArgument(f"vectors of shape {vectors.shape} do not go with codes of {codes.shape}")
    if lots is not None and lots.shape != codes.shape:
        raise InvalidArgument(f"lots of shape {lots.shape} do not go with codes of {codes.shape}")
    groups = [slice(0, vectors.shape[1])] if groups is None else groups
    ends = [0, *(group.stop for group in groups)]
    if [group.start for group in groups] != ends[:-1] or ends[-1] != vectors.shape[1]:
        raise InvalidArgument(f"the groups of columns do not add up to {vectors.shape[1]} dimensions")
    if not np.isfinite(vectors).all():
        raise InvalidArgument("the vectors hold numbers that are not finite")
    present, dense, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if len(present) < 2:
        raise Unanswerable("a metric tells classes apart: it needs images of at least two")
    if counts.max() < 2:
        raise Unanswerable(
            "every image is the only one of its class; a metric needs a class of at least two images"
        )
    if lots is None:
        lots = np.arange(len(codes))
    return dense.astype(np.intp), groups, lots
