"""Scoring: how unlike the normal pictures an image is, where, and how usual that is among normal ones."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.anomaly.fitting import memory_of, no_cache, no_memory, patches_for
from lookalike.errors import InvalidArgument
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.embedding import embed_files
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lookalike.embedders.models import Models
    from lookalike.ingest.embedding import EmbeddedFile, Source
    from lookalike.sources.frames import Place
    from lookalike.stores.store import Store

FALSE_ALARM = 0.01
"""Part of normal pictures that may be called anomalous, where nothing else is asked for."""

PARTS = ("small", "large", "whole", "layout")
"""What a score is the highest of: the worst small places, the worst large ones, the picture as a whole, and
what lies where, against the normal picture most like it."""

# Of these, those that are of places.
_PLACES = 2
# Of the peak of a map, what belongs to its place.
_NEAR_PEAK = 0.7
# Of the peak of a place, what is its box's: on pasted defects boxes and masks have an intersection over union
# of 0.68 (textile) and 0.58 (extrusion), without it 0.35 and 0.56.
_CORE = 0.4
# Boxes of a picture that are told, the strongest first.
_BOXES = 20


class Box(NamedTuple):
    """A place that stands out: all of it as parts of the picture's width and height, 0 … 1."""

    left: float
    top: float
    right: float
    bottom: float
    peak: float
    """The highest value of the map in it."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How unlike the normal pictures one picture is, and where."""

    path: Place
    """Of the image; of an upload, what it was called."""
    score: float
    """In deviations of normal pictures that were held out: the highest of `parts`."""
    p_value: float
    """How usual such a score is among normal pictures, held out."""
    threshold: float
    """Score above which a picture is called anomalous."""
    false_alarm: float
    """Part of normal pictures that are above the threshold, as measured on those that were held out."""
    parts: dict[str, float]
    """What the score is the highest of, by the names of `PARTS`."""
    anomaly_map: NDArray[np.float32]
    """Shape (56, 56), over the whole picture: in deviations of normal patches."""
    peak_threshold: float
    """Value of the map that normal pictures, held out, have nowhere, but for `false_alarm` of them."""
    boxes: tuple[Box, ...]
    """Where the map is above `peak_threshold`, the strongest first, or else the oddest place of a picture
    that is anomalous for its places; none in one that is odd all over."""
    known: bool
    """Whether it is one of the normal pictures, and was judged by the others."""

    @property
    def anomalous(self) -> bool:
        """Whether the score is above the threshold."""
        return self.score > self.threshold

    def line(self) -> dict[str, object]:
        """Return it as JSON has it, without the map."""
        return {
            "anomalous": self.anomalous,
            "score": self.score,
            "threshold": self.threshold,
            "p_value": self.p_value,
            "false_alarm": self.false_alarm,
            "parts": self.parts,
            "boxes": [box._asdict() for box in self.boxes],
            "known": self.known,
        }


class AnomalyScorer:
    """Scores images by a collection's memory of normal pictures; threads may share it."""

    def __init__(
        self,
        store: Store,
        models: Models,
        name: str,
        *,
        false_alarm: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Read the memory.

        Args:
            store: where the collection lives.
            models: with the cache folder.
            name: the collection.
            false_alarm: part of normal pictures that may be called anomalous, 0 … 1; None: `FALSE_ALARM`, or
                the lowest that so few pictures can promise.
            max_pixels: images with more pixels are skipped.

        Raises:
            CollectionNotFound: there is none of that name.
            InvalidArgument: a rate out of its range, or lower than the memory can promise.
            Unanswerable: the collection has no memory.
        """
        collection = store.collection(name)
        memory = memory_of(store, models, collection)
        if memory is None:
            raise no_memory(collection.name)
        self.memory = memory
        self.embedder = patches_for(memory, models, collection)
        """What makes the patches of pictures."""
        self.cache = no_cache(self.embedder)
        """Where none of them are kept."""
        self._max_pixels = max_pixels
        self.false_alarm = promised_rate(len(memory.held_peaks), false_alarm)
        """The rate that is promised."""
        self.threshold = quantile_threshold(memory.held_scores, self.false_alarm)
        self.peak_threshold = quantile_threshold(memory.held_peaks, self.false_alarm)

    def score(self, images: Iterable[Source | Skipped]) -> Iterator[Anomaly | Skipped]:
        """Score images; a normal picture of the memory is judged by the others.

        Args:
            images: files or uploads; what was skipped before stays so.

        Yields:
            One value for each image, in order.
        """
        skipped: list[Skipped | None] = []

        def sources() -> Iterator[Source]:
            for each in images:
                skipped.append(each if isinstance(each, Skipped) else None)
                if not isinstance(each, Skipped):
                    yield each

        told = 0
        files = embed_files(sources(), self.embedder, self.cache, max_pixels=self._max_pixels)
        with closing(files):
            for file in files:
                while (before := skipped[told]) is not None:
                    yield before
                    told += 1
                told += 1
                yield file if isinstance(file, Skipped) else self.judge(file)
        yield from (each for each in skipped[told:] if each is not None)

    def judge(self, file: EmbeddedFile) -> Anomaly:
        """Score one image whose patches are known."""
        memory = self.memory
        parts, found = memory.judge(file.features, file.digest)
        score = float(parts.max())
        reached = int((memory.held_scores >= score).sum())
        known = file.digest in memory.digests
        # Held-out scores of a normal picture include its own.
        p_value = (reached if known else reached + 1) / (len(memory.held_peaks) + (0 if known else 1))
        boxes = boxes_of(found, self.peak_threshold)
        if not boxes and score > self.threshold and parts.argmax() < _PLACES:
            # Many places that are a little odd add up: then the oddest one is shown.
            boxes = boxes_of(found, _NEAR_PEAK * float(found.max()))[:1]
        return Anomaly(
            file.path, score, p_value, self.threshold, self.false_alarm,
            dict(zip(PARTS, map(float, parts), strict=True)),
            found, self.peak_threshold, boxes, known,
        )  # fmt: skip


def promised_rate(pictures: int, wanted: float | None) -> float:
    """Return the false-alarm rate that is promised.

    Args:
        pictures: that were held out.
        wanted: 0 … 1; None: `FALSE_ALARM`, or the lowest that can be.

    Raises:
        InvalidArgument: a rate out of its range, or lower than so few pictures can promise.
    """
    least = 1 / (pictures + 1)
    if wanted is None:
        return max(FALSE_ALARM, least)
    if not 0 < wanted < 1:
        raise InvalidArgument(f"a false-alarm rate is above 0 and below 1, not {wanted:g}")
    if wanted < least:
        raise InvalidArgument(
            f"{pictures} normal pictures can promise a false-alarm rate of {math.ceil(least * 1e4) / 1e4:g} "
            f"at best, not {wanted:g}: more of them, or a higher rate"
        )
    return wanted


def quantile_threshold(held: NDArray[np.float32], rate: float) -> float:
    """Return what at most this part of normal values exceed, as those that were held out promise.

    Split conformal prediction's quantile (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
    World", 2005): one more value of the same kind exceeds the k-th highest of n with a probability of
    k / (n + 1).
    """
    above = int(rate * (len(held) + 1) + 1e-9)
    return float(np.sort(held)[-above])


def boxes_of(anomaly_map: NDArray[np.float32], threshold: float) -> tuple[Box, ...]:
    """Return the boxes around places above a threshold, the strongest first.

    A strong defect raises the map around it too: of each place that is above the threshold, what is below
    `_CORE` of its peak is left out.
    """
    # SciPy takes long to import, and few pictures have boxes.
    above = anomaly_map > threshold
    if not above.any():
        return ()
    from scipy.ndimage import find_objects, label

    marked, _ = label(above, np.ones((3, 3)))
    rows, columns = anomaly_map.shape
    found = []
    for number, (y, x) in enumerate(find_objects(marked), 1):
        values = np.where(marked[y, x] == number, anomaly_map[y, x], -np.inf)
        peak = float(values.max())
        core = values > max(threshold, _CORE * peak)
        down, across = (np.flatnonzero(core.any(axis=axis)) for axis in (1, 0))
        left, top = x.start + across[0], y.start + down[0]
        right, bottom = x.start + across[-1] + 1, y.start + down[-1] + 1
        found.append(
            Box(float(left / columns), float(top / rows), float(right / columns), float(bottom / rows), peak)
        )
    return tuple(sorted(found, key=lambda box: -box.peak)[:_BOXES])
