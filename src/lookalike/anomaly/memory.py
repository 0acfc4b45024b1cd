"""The memory of normal pictures: their patches, what they are as a whole, and how far they are apart.

A patch is judged by its distance to the nearest patch of a normal picture (Roth et al., "Towards Total Recall
in Industrial Anomaly Detection", CVPR 2022, arXiv 2106.08265: PatchCore), in a space that the normal patches'
own covariance whitens (as Defard et al. measure, "PaDiM", ICPR 2020, arXiv 2011.08785): what varies from one
normal patch to the next counts little. A picture as a whole is judged by statistics over it, and the nearest
normal ones: a weave that is too coarse everywhere has no patch that stands out. Its layout is judged place by
place, against the one normal picture that is most like it: a strand that is pinched has nothing in it that no
normal picture has somewhere, but no normal picture has all of it (as in Cohen and Hoshen, "Sub-Image Anomaly
Detection with Deep Pyramid Correspondences", 2020, arXiv 2005.02357).

How far is far is learned from the normal pictures themselves, each held out: its distances are those to the
patches of the others, or of other lots. All distances are in deviations of these: first of the normal
pictures that are most like it, since some kinds of normal pictures differ more than others (as Breunig et al.
scale distances, "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000), then of all.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from lookalike.checksums import CHECKSUM_BYTES, content_checksum
from lookalike.embedders.builtin.patches import patches_of
from lookalike.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.progress import Progress
    from lookalike.vectors.vote import Codes

    Floats = NDArray[np.float32]

LEAST = 5
"""Normal pictures, or lots of them, below which nothing can be learned of how far they are apart."""

_KIND = b"lookalike anomaly memory "
_MAGIC = _KIND + b"2\n"

# Patches that the covariance is taken of, and those out of which the memory is chosen.
_SAMPLE = 40_000
_CANDIDATES = 12_000
# Patches that are kept of each kind. docs/anomaly.md has what more and fewer of them brought.
_KEPT = 2_000
# Part of the identity in the covariance (of z-scores) that whitens patches.
_SHRINKAGE = 0.05
# Of a picture's patches, those that stand for the worst of it: 31 of 3,136, 7 of 784.
_WORST = 0.01
_FOLDS = 5
# A layout is some 50 to 64 cells, of so many numbers each, and judged by this part of them, the worst.
_CELLS = 8
_LAYOUT_NUMBERS = 64
_WORST_CELLS = 0.2
# Normal pictures most like a picture that say what is usual for it, and how many all of them count for.
_ALIKE = 10
_ALIKE_PRIOR = 5
# The deviation at a place is drawn towards that of all places, as if so many pictures had said that.
_PRIOR = 20
_LEAST_DEVIATION = 1e-6


class Scaling(NamedTuple):
    """A scale on which normal vectors vary by one in every number."""

    mean: Floats
    """Shape (d,)."""
    deviation: Floats
    """Shape (d,)."""

    def __call__(self, rows: Floats) -> Floats:
        """Return rows of shape (n, d) as z-scores."""
        found: Floats = (rows - self.mean) / self.deviation
        return found


def scaling(rows: Floats) -> Scaling:
    """Learn the scale of rows, shape (n, d)."""
    return Scaling(rows.mean(axis=0), rows.std(axis=0) + np.float32(_LEAST_DEVIATION))


class Whitening(NamedTuple):
    """A linear map after which normal vectors vary by one in every direction."""

    mean: Floats
    """Shape (d,)."""
    matrix: Floats
    """Shape (d, d)."""

    def __call__(self, rows: Floats) -> Floats:
        """Return rows of shape (n, d), whitened."""
        white: Floats = np.matmul(rows - self.mean, self.matrix)
        return white


def whitening(rows: Floats, shrinkage: float) -> Whitening:
    """Learn what whitens rows, shape (n, d): z-scores, then their covariance, shrunk towards the identity."""
    scale = scaling(rows)
    scores = scale(rows).astype(np.float64)
    covariance = (1 - shrinkage) * (scores.T @ scores) / len(rows)
    covariance[np.diag_indices_from(covariance)] += shrinkage
    variances, directions = np.linalg.eigh(covariance)
    matrix = directions / np.sqrt(variances) / scale.deviation[:, None]
    return Whitening(scale.mean, matrix.astype(np.float32))


def nearest_distances(rows: Floats, known: Floats) -> Floats:
    """Return the Euclidean distance of each row, shape (n, d), to the nearest of those known, (m, d)."""
    squares = rows @ known.T
    squares *= -2
    squares += np.einsum("ij,ij->i", known, known)
    nearest = squares.min(axis=1) + np.einsum("ij,ij->i", rows, rows)
    distances: Floats = np.sqrt(np.maximum(nearest, 0))
    return distances


def coreset(rows: Floats, count: int) -> NDArray[np.intp]:
    """Choose rows, shape (n, d), so that none is far from one that is chosen: the farthest one is next.

    Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach" (ICLR 2018,
    arXiv 1708.00489), algorithm 1; its first row is the one farthest from the mean, so that nothing is drawn.

    Returns:
        Places of at most `count` different rows.
    """
    squares = np.einsum("ij,ij->i", rows, rows)
    chosen = [int(squares.argmax())]
    away = np.full(len(rows), np.inf, np.float32)
    while len(chosen) < min(count, len(rows)):
        last = chosen[-1]
        np.minimum(away, squares - 2 * (rows @ rows[last]) + squares[last], out=away)
        away[last] = -np.inf
        chosen.append(int(away.argmax()))
    return np.array(chosen)


@dataclass(frozen=True, slots=True)
class LayoutMemory:
    """What normal pictures have at each place, as few numbers as tell them apart (principal components)."""

    mean: Floats
    """Shape (d,)."""
    directions: Floats
    """Shape (d, m)."""
    cells: Floats
    """Shape (pictures, places, m)."""

    def cells_of(self, patches: Floats) -> Floats:
        """Return what a picture, patches of shape (h, w, d), has at each place, shape (places, m)."""
        found: Floats = np.matmul(_pooled(patches) - self.mean, self.directions)
        return found

    def distance(self, cells: Floats, others: NDArray[np.bool_] | None = None) -> float:
        """Return how far a picture is from the normal one most like it: the mean over its worst places.

        Args:
            cells: of the picture.
            others: shape (pictures,): which normal pictures count; None: all.
        """
        known = self.cells if others is None else self.cells[others]
        away = np.sqrt(np.square(known - cells).sum(axis=2))
        count = max(1, round(_WORST_CELLS * away.shape[1]))
        return float(np.partition(away, -count, axis=1)[:, -count:].mean(axis=1).min())


@dataclass(frozen=True, slots=True)
class PatchMemory:
    """Normal patches of one kind, fine or coarse, and how far held-out ones are from them."""

    whitening: Whitening
    patches: Floats
    """Shape (m, d), whitened."""
    lots: Codes
    """Shape (m,): of which lot of pictures each is."""
    typical: Floats
    """Shape (h, w): the mean distance of held-out patches at each place."""
    deviation: Floats
    """Shape (h, w): its standard deviation."""

    def distances(self, patches: Floats, lot: int | None = None) -> Floats:
        """Return how far patches, shape (h, w, d), are from the nearest normal ones, shape (h, w).

        Args:
            patches: of one picture.
            lot: that the picture is of, whose patches do not count; None where it is of none.
        """
        known = self.patches if lot is None else self.patches[self.lots != lot]
        white = self.whitening(patches.reshape(-1, patches.shape[2]))
        return nearest_distances(white, known).reshape(patches.shape[:2])

    def standardised(self, distances: Floats) -> Floats:
        """Return distances, shape (…, h, w), in deviations from what is typical of the place."""
        found: Floats = (distances - self.typical) / self.deviation
        return found


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is kept of the normal pictures, and their own held-out scores."""

    fine: PatchMemory
    coarse: PatchMemory
    whole_scaling: Scaling
    wholes: Floats
    """Shape (pictures, d): what describes each picture as a whole, as z-scores."""
    layout: LayoutMemory
    digests: tuple[str, ...]
    """SHA-256 of each picture's file, in the order of `wholes`."""
    lots: Codes
    """Shape (pictures,)."""
    held_raw: Floats
    """Shape (pictures, 4): the parts of each picture, held out, as they were measured."""
    scales: Floats
    """Shape (4, 2): mean and deviation of these, in deviations of the pictures most like each."""
    held_parts: Floats
    """Shape (pictures, 4): the parts of each picture, held out, standardised."""
    held_peaks: Floats
    """Shape (pictures,): the highest value of each picture's map, held out."""
    facts: dict[str, Any]
    """What it was made of, as JSON: the filter `normal`, the field `group`, by what and when."""

    @property
    def held_scores(self) -> Floats:
        """The scores of the normal pictures, held out, shape (pictures,)."""
        found: Floats = self.held_parts.max(axis=1)
        return found

    def judge(self, features: Floats, digest: str | None = None) -> tuple[Floats, Floats]:
        """Judge a picture, as held out where it is one of the normal ones.

        Args:
            features: one row of an embedder of patches.
            digest: SHA-256 of its file.

        Returns:
            The parts, shape (4,): the worst fine patches, the worst coarse ones, the whole, the layout; each
            in deviations of held-out normal pictures. And the map, shape (56, 56), in deviations of patches.
        """
        patches = patches_of(features)
        place = self.digests.index(digest) if digest in self.digests else None
        lot = None if place is None else int(self.lots[place])
        maps = [
            level.standardised(level.distances(rows, lot))
            for level, rows in ((self.fine, patches.fine), (self.coarse, patches.coarse))
        ]
        if place is not None:
            return self.held_parts[place], joined_map(*maps)
        away = distances_to(self.whole_scaling(patches.whole), self.wholes)
        layout = self.layout.distance(self.layout.cells_of(patches.coarse))
        parts = np.array([worst(maps[0]), worst(maps[1]), away.min(), layout])
        found = locally(parts, self.held_raw, away)
        return (found - self.scales[:, 0]) / self.scales[:, 1], joined_map(*maps)

    def to_bytes(self) -> bytes:
        """Return it as bytes: a line that says what it is, a ZIP of arrays, and the checksum of both."""
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            # A date of its own would make the bytes of the same memory differ.
            def add(name: str, content: bytes) -> None:
                archive.writestr(zipfile.ZipInfo(name), content)

            add("facts.json", json.dumps({"facts": self.facts, "digests": self.digests}).encode())
            for name, array in self._arrays().items():
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                add(f"{name}.npy", buffer.getvalue())
        content = _MAGIC + stream.getvalue()
        return content + content_checksum(content)

    @classmethod
    def from_bytes(cls, data: bytes) -> Memory:
        """Return what `to_bytes` made the bytes of.

        Raises:
            ValueError: the bytes are not those, or damaged.
        """
        content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        if not reads(data) or content_checksum(content) != checksum:
            raise ValueError("its checksum differs")
        try:
            with zipfile.ZipFile(io.BytesIO(content[len(_MAGIC) :])) as archive:
                said = json.loads(archive.read("facts.json"))

                def array(name: str) -> NDArray[np.generic]:
                    found: NDArray[np.generic] = np.load(
                        io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False
                    )
                    return found

                def floats(name: str) -> Floats:
                    return array(name).astype(np.float32)

                levels = [
                    PatchMemory(
                        Whitening(floats(f"{name}_mean"), floats(f"{name}_matrix")),
                        floats(f"{name}_patches"),
                        array(f"{name}_lots").astype(np.intp),
                        floats(f"{name}_typical"),
                        floats(f"{name}_deviation"),
                    )
                    for name in ("fine", "coarse")
                ]
                return cls(
                    levels[0],
                    levels[1],
                    Scaling(floats("whole_mean"), floats("whole_deviation")),
                    floats("wholes"),
                    LayoutMemory(floats("layout_mean"), floats("layout_directions"), floats("layout_cells")),
                    tuple(said["digests"]),
                    array("lots").astype(np.intp),
                    floats("held_raw"),
                    floats("scales"),
                    floats("held_parts"),
                    floats("held_peaks"),
                    said["facts"],
                )
        except (KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"it does not read: {error}") from error

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        found: dict[str, NDArray[np.generic]] = {
            "whole_mean": self.whole_scaling.mean,
            "whole_deviation": self.whole_scaling.deviation,
            # Half precision: distances between neighbours are thousands of times its steps.
            "wholes": self.wholes.astype(np.float16),
            "layout_mean": self.layout.mean,
            "layout_directions": self.layout.directions,
            "layout_cells": self.layout.cells.astype(np.float16),
            "lots": self.lots.astype(np.int32),
            "held_raw": self.held_raw,
            "scales": self.scales,
            "held_parts": self.held_parts,
            "held_peaks": self.held_peaks,
        }
        for name, level in (("fine", self.fine), ("coarse", self.coarse)):
            found |= {
                f"{name}_mean": level.whitening.mean,
                f"{name}_matrix": level.whitening.matrix,
                f"{name}_patches": level.patches.astype(np.float16),
                f"{name}_lots": level.lots.astype(np.int32),
                f"{name}_typical": level.typical,
                f"{name}_deviation": level.deviation,
            }
        return found


def is_memory(data: bytes | None) -> bool:
    """Tell whether bytes are those of a memory, of any version of it."""
    return data is not None and data.startswith(_KIND)


def reads(data: bytes) -> bool:
    """Tell whether bytes are those of a memory of this version."""
    return data.startswith(_MAGIC)


def distances_to(row: Floats, known: Floats) -> Floats:
    """Return the Euclidean distances of a row, shape (d,), to those known, (m, d)."""
    found: Floats = np.sqrt(np.square(known - row).sum(axis=1))
    return found


def worst(distances: Floats) -> float:
    """Return the mean of the highest hundredth of a map."""
    values = distances.ravel()
    count = max(1, round(len(values) * _WORST))
    return float(np.partition(values, -count)[-count:].mean())


def joined_map(fine: Floats, coarse: Floats) -> Floats:
    """Return the mean of a fine map and a coarse one over the same picture, smoothed over 3 × 3 places."""
    enlarged = Image.fromarray(coarse.astype(np.float32), "F").resize(
        fine.shape[::-1], Image.Resampling.BILINEAR
    )
    padded = np.pad((fine + np.asarray(enlarged)) / 2, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth: Floats = ((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16).astype(np.float32)
    return smooth


def learn(
    features: NDArray[np.float16],
    digests: Sequence[str],
    lots: Codes,
    facts: dict[str, Any],
    progress: Progress = silent,
) -> Memory:
    """Make a memory of normal pictures.

    Args:
        features: shape (pictures, dimension), rows of an embedder of patches; they may be on disk.
        digests: SHA-256 of each picture's file.
        lots: shape (pictures,), numbers from 0: pictures of one lot are never compared in the calibration.
        facts: what `Memory.facts` says.
        progress: called with pictures held out and pictures to hold out.
    """
    random = np.random.default_rng(0)
    levels = [_patch_memory(features, lots, name, random) for name in ("fine", "coarse")]
    count = len(features)
    distances = [np.empty((count, *level.typical.shape), np.float32) for level in levels]
    wholes = np.empty((count, len(patches_of(features[0]).whole)), np.float32)
    cells = []
    for at in range(count):
        patches = patches_of(features[at].astype(np.float32))
        wholes[at] = patches.whole
        cells.append(_pooled(patches.coarse))
        for found, level, rows in zip(distances, levels, patches[:2], strict=True):
            found[at] = level.distances(rows, int(lots[at]))
        progress(at + 1, count)
    fine, fine_maps = _calibrated(levels[0], distances[0], lots)
    coarse, coarse_maps = _calibrated(levels[1], distances[1], lots)
    worsts = [[worst(each) for each in maps] for maps in (fine_maps, coarse_maps)]
    layout = _layout_memory(cells)
    layouts = [layout.distance(own, lots != lot) for own, lot in zip(layout.cells, lots, strict=True)]
    raw = np.array([*worsts, _held_out_wholes(wholes, lots), layouts], np.float32).T
    scale = scaling(wholes)
    scored = scale(wholes)
    parts = np.array(
        [
            locally(own, raw[lots != lot], distances_to(row, scored[lots != lot]))
            for own, lot, row in zip(raw, lots, scored, strict=True)
        ]
    )
    scales = np.array([parts.mean(axis=0), np.maximum(parts.std(axis=0), _LEAST_DEVIATION)]).T
    return Memory(
        fine,
        coarse,
        scale,
        scored,
        layout,
        tuple(digests),
        lots,
        raw,
        scales.astype(np.float32),
        ((parts - scales[:, 0]) / scales[:, 1]).astype(np.float32),
        np.array([joined_map(*pair).max() for pair in zip(fine_maps, coarse_maps, strict=True)], np.float32),
        facts,
    )


def _patch_memory(
    features: NDArray[np.float16], lots: Codes, name: str, random: np.random.Generator
) -> PatchMemory:
    """Choose the patches of one kind, which are not calibrated yet."""
    each = -(-_SAMPLE // len(features))
    sampled, owners = [], []
    for row, lot in zip(features, lots, strict=True):
        maps = getattr(patches_of(row), name)
        rows = maps.reshape(-1, maps.shape[2])
        places = np.sort(random.permutation(len(rows))[:each])
        sampled.append(rows[places].astype(np.float32))
        owners.append(np.full(len(places), lot))
    sample, owner = np.concatenate(sampled), np.concatenate(owners)
    white = whitening(sample, _SHRINKAGE)
    among = np.sort(random.permutation(len(sample))[:_CANDIDATES])
    candidates = white(sample[among])
    kept = np.sort(coreset(candidates, _KEPT))
    shape = maps.shape[:2]
    return PatchMemory(
        white, candidates[kept], owner[among][kept], np.zeros(shape, np.float32), np.ones(shape, np.float32)
    )


def _calibrated(
    level: PatchMemory, distances: NDArray[np.float32], lots: Codes
) -> tuple[PatchMemory, NDArray[np.float32]]:
    """Learn from held-out distances, shape (pictures, h, w), what is typical at each place.

    Returns:
        The memory with that; and the distances, in deviations from what is typical of other lots: a
        picture that had a part in what is typical looks more so than a new one will.
    """
    overall, variance = float(distances.mean()), float(distances.var())

    def usual(count: int, total: Floats, squares: Floats) -> tuple[Floats, Floats]:
        mean = total / count
        spread = np.maximum(squares / count - mean**2, 0)
        typical = (total + _PRIOR * overall) / (count + _PRIOR)
        deviation = np.sqrt((count * spread + _PRIOR * variance) / (count + _PRIOR))
        return typical.astype(np.float32), np.maximum(deviation, _LEAST_DEVIATION).astype(np.float32)

    count, total, squares = len(distances), distances.sum(axis=0), np.square(distances).sum(axis=0)
    standardised = np.empty_like(distances)
    for lot in np.unique(lots):
        own = distances[lots == lot]
        others, spread = usual(
            count - len(own), total - own.sum(axis=0), squares - np.square(own).sum(axis=0)
        )
        standardised[lots == lot] = (own - others) / spread
    typical, deviation = usual(count, total, squares)
    return PatchMemory(level.whitening, level.patches, level.lots, typical, deviation), standardised


def _pooled(patches: Floats) -> Floats:
    """Return the means over the cells of a map, shape (h, w, d), as (places, d): `_CELLS` a side at most."""
    side, _, numbers = patches.shape
    step = -(-side // _CELLS)
    cells: Floats = patches.reshape(side // step, step, side // step, step, numbers).mean(axis=(1, 3))
    return cells.reshape(-1, numbers)


def _layout_memory(cells: Sequence[Floats]) -> LayoutMemory:
    """Make the memory of pictures that have these cells, each (places, d)."""
    stacked = np.stack(cells)
    rows = stacked.reshape(-1, stacked.shape[2])
    mean = rows.mean(axis=0)
    centred = rows - mean
    _, directions = np.linalg.eigh(centred.T @ centred / len(rows))
    directions = directions[:, ::-1][:, :_LAYOUT_NUMBERS].astype(np.float32)
    return LayoutMemory(mean, directions, np.matmul(stacked - mean, directions))


def locally(parts: Floats, usual: Floats, away: Floats) -> Floats:
    """Return the parts of a picture, shape (4,), in deviations of the normal pictures that are most like it.

    Args:
        parts: of the picture.
        usual: shape (pictures, 4): those of normal pictures, held out.
        away: shape (pictures,): how far each of these is from the picture as a whole.
    """
    alike = usual[np.argsort(away, kind="stable")[:_ALIKE]]
    count = len(alike) + _ALIKE_PRIOR
    mean = (alike.sum(axis=0) + _ALIKE_PRIOR * usual.mean(axis=0)) / count
    spread = len(alike) * alike.var(axis=0) + _ALIKE_PRIOR * usual.var(axis=0)
    found: Floats = (parts - mean) / np.maximum(np.sqrt(spread / count), _LEAST_DEVIATION)
    return found


def _held_out_wholes(wholes: Floats, lots: Codes) -> NDArray[np.float64]:
    """Return how far each picture, as a whole, is from those of other lots, scaled without its own."""
    folds = np.unique(lots, return_inverse=True)[1] % _FOLDS
    found = np.empty(len(wholes))
    for fold in np.unique(folds):
        out = folds == fold
        scale = scaling(wholes[~out])
        found[out] = nearest_distances(scale(wholes[out]), scale(wholes[~out]))
    return found
