"""Evaluation of anomaly scores and maps, with the measures of the field, and an interval for each.

Images: area under the ROC curve, and how often normal and defective ones are called anomalous. Places, where
there are masks: area under the ROC curve over pixels; area under the per-region overlap up to 0.3 false
positives (PRO: Bergmann et al., "Uninformed Students", CVPR 2020, arXiv 1911.02357, section 4.2); and the
share of pictures with a defect whose map has its peak on one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lookalike.errors import Unanswerable, UnusableImage
from lookalike.evaluation.figures import Interval, wilson_interval
from lookalike.images.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lookalike.anomaly.scoring import Anomaly

    Map = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Times = NDArray[np.intp]
    """How often each picture counts."""

MOST_FALSE = 0.3
"""Part of the normal pixels that may be above the threshold in the area under PRO."""

# Pixels a side at which maps and masks are compared.
_SIDE = 224
_RESAMPLES = 200
_SEED = 0
# Thresholds over all pixels, and as many more among the highest of them.
_STEPS = 1_000
# Of so many pixels one says where thresholds lie; odd, so that it meets all columns.
_EVERY = 7
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".jpg")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and the interval that 95 of 100 draws of such pictures fall into."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class KindFigures:
    """How well one kind of defect is found."""

    kind: str
    images: int
    anomalous: int
    """Called so at the threshold."""
    auroc: float
    """Against all normal images."""


@dataclass(frozen=True, slots=True)
class AnomalyEvaluation:
    """How well a memory of normal pictures tells defects, and how well it shows where they are."""

    normal: int
    defective: int
    false_alarm: float
    """That was promised."""
    false_alarms: int
    """Normal images that were called anomalous."""
    found: int
    """Defective images that were."""
    image_auroc: Figure
    kinds: tuple[KindFigures, ...]
    masks: int
    """Defective images with a mask."""
    pixel_auroc: Figure | None
    """None, as what follows, where there are no masks."""
    pro: Figure | None
    peak_on_defect: Figure | None
    judged: tuple[Judged, ...] = field(default=(), compare=False, repr=False)
    """The images, each with its score and map."""

    def line(self) -> dict[str, object]:
        """Return it as JSON has it, without the images."""
        figures = asdict(replace(self, judged=()))
        del figures["judged"]
        return figures | {
            "false_alarm_interval": self.false_alarm_interval,
            "found_interval": self.found_interval,
        }

    @property
    def false_alarm_interval(self) -> Interval:
        """Of the false alarms."""
        return wilson_interval(self.false_alarms, self.normal)

    @property
    def found_interval(self) -> Interval:
        """Of the defects that were found."""
        return wilson_interval(self.found, self.defective)


@dataclass(frozen=True, slots=True)
class Judged:
    """One image of an evaluation."""

    anomaly: Anomaly
    kind: str | None
    """Of its defect; None for a normal image."""
    mask: Path | None = None
    """File with its mask, where there is one."""
    peak_on_defect: bool | None = None
    """Whether its map has its peak on a defect, once that is measured; None where it has no mask."""

    def line(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "path": str(self.anomaly.path),
            "kind": self.kind,
            "score": self.anomaly.score,
            "p_value": self.anomaly.p_value,
            "anomalous": self.anomaly.anomalous,
            "peak_on_defect": self.peak_on_defect,
        }


def evaluate_anomalies(judged: Sequence[Judged]) -> AnomalyEvaluation:
    """Measure scores and maps.

    Args:
        judged: images whose truth is known, in any order.

    Raises:
        Unanswerable: no normal image, or no defective one.
        UnusableImage: a mask cannot be read.
    """
    # In one order, however they came: the pictures that are drawn for the intervals go by their places.
    judged = sorted(
        judged, key=lambda one: (one.kind or "", one.anomaly.score, one.anomaly.anomaly_map.tobytes())
    )
    normal = [one.anomaly for one in judged if one.kind is None]
    defective = [one for one in judged if one.kind is not None]
    if not normal or not defective:
        missing = "defective" if normal else "normal"
        raise Unanswerable(f"there is no {missing} image: both kinds are needed to measure how they differ")
    usual = np.array([one.score for one in normal])
    odd = np.array([one.anomaly.score for one in defective])
    kinds = []
    for kind in sorted({one.kind for one in defective if one.kind is not None}):
        of_kind = [one.anomaly for one in defective if one.kind == kind]
        scores = np.array([one.score for one in of_kind])
        kinds.append(
            KindFigures(kind, len(of_kind), sum(one.anomalous for one in of_kind), _auroc(usual, scores))
        )
    masks = [None if one.mask is None else read_mask(one.mask) for one in defective]
    # An empty mask marks nothing.
    masks = [mask if mask is not None and mask.any() else None for mask in masks]
    masked = [
        (one.anomaly.anomaly_map, mask)
        for one, mask in zip(defective, masks, strict=True)
        if mask is not None
    ]
    places = _Places(normal, masked) if masked else None
    return AnomalyEvaluation(
        len(normal),
        len(defective),
        normal[0].false_alarm,
        sum(one.anomalous for one in normal),
        sum(one.anomaly.anomalous for one in defective),
        Figure(_auroc(usual, odd), _bootstrap(lambda a, b: _auroc(usual[a], odd[b]), len(usual), len(odd))),
        tuple(kinds),
        len(masked),
        None if places is None else places.pixel_auroc(),
        None if places is None else places.pro(),
        None if places is None else places.peak_on_defect(),
        tuple(
            replace(
                one,
                peak_on_defect=None if mask is None else _peaks_on(_resized(one.anomaly.anomaly_map), mask),
            )
            for one, mask in zip(judged, [*([None] * len(normal)), *masks], strict=True)
        ),
    )


def find_mask(image: Path, folder: Path | None = None) -> Path | None:
    """Return the mask of an image; None where there is none.

    MVTec AD has that of `test/KIND/NAME.png` in `ground_truth/KIND/NAME_mask.png`. The same is looked for
    below a folder that is named, or beside the image; and a mask may have the image's own name.

    Args:
        image: the file.
        folder: where masks are, with a folder for each kind or without.
    """
    kind = image.parent.name
    above = image.parent.parent.parent / "ground_truth" if folder is None else folder
    for place in (above / kind, image.parent if folder is None else above):
        for stem in (f"{image.stem}_mask", image.stem):
            for suffix in MASK_SUFFIXES:
                found = place / (stem + suffix)
                # Beside it, a file of its name may be another picture of the same thing.
                if found != image and found.is_file() and (place != image.parent or suffix == ".png"):
                    return found
    return None


def read_mask(path: Path) -> Mask:
    """Return a mask, shape (224, 224): what is not black is the defect, however few pixels of it there are.

    Raises:
        UnusableImage: it is no image.
    """
    try:
        image = decode(path.read_bytes(), str(path), at_least=_SIDE).convert("L")
    except OSError as error:
        raise UnusableImage(str(path), f"cannot be read: {error.strerror}") from error
    grey = np.asarray(image)
    # 0 and 1 in some data sets, 0 and 255 in others, and what JPEG makes of them.
    marked = Image.fromarray((grey > grey.max() // 2).astype(np.uint8) * 255, "L")
    side = (_SIDE, _SIDE)
    small: Mask = np.asarray(marked.resize(side, Image.Resampling.BOX)) >= 128
    return small if small.any() else np.asarray(marked.resize(side, Image.Resampling.BOX)) > 0


class _Places:
    """Maps of normal images, and maps with masks of defective ones, at one size."""

    def __init__(self, normal: Sequence[Anomaly], masked: Sequence[tuple[Map, Mask]]) -> None:
        from scipy.ndimage import label

        self._normal = [_resized(one.anomaly_map).ravel() for one in normal]
        self._maps = [_resized(found) for found, _ in masked]
        self._masks = [mask for _, mask in masked]
        self._regions = [label(mask, np.ones((3, 3)))[0] for mask in self._masks]
        some = np.concatenate([each.ravel()[::_EVERY] for each in (*self._normal, *self._maps)])
        # Equally many pixels lie between two thresholds, and fewer at the top, where the curves turn.
        levels = np.concatenate([np.linspace(0, 1, _STEPS), 1 - np.geomspace(1e-6, 1 / _STEPS, _STEPS)])
        self._edges = np.unique(np.quantile(some, levels))
        self._negatives = np.array([self._counts(pixels) for pixels in self._normal])
        pairs = list(zip(self._maps, self._masks, strict=True))
        self._outside = np.array([self._counts(found[~mask]) for found, mask in pairs])
        self._inside = np.array([self._counts(found[mask]) for found, mask in pairs])
        # The regions of a picture together: each counts as much as any other, however large it is.
        self._overlaps = np.array(
            [
                sum(_above(self._counts(found[regions == place])) for place in range(1, regions.max() + 1))
                for found, regions in zip(self._maps, self._regions, strict=True)
            ]
        )
        self._region_counts = np.array([regions.max() for regions in self._regions])

    def pixel_auroc(self) -> Figure:
        """Return the area under the ROC curve over all pixels; whole images are drawn for the interval."""

        def area(normal: Times, odd: Times) -> float:
            return float(np.trapezoid(_above(odd @ self._inside), self._false(normal, odd)))

        return self._figure(area)

    def pro(self) -> Figure:
        """Return the area under the per-region overlap up to `MOST_FALSE`, as a part of what it could be."""

        def area(normal: Times, odd: Times) -> float:
            false = self._false(normal, odd)
            overlap = odd @ self._overlaps / (odd @ self._region_counts)
            below = np.append(false[false < MOST_FALSE], MOST_FALSE)
            return float(np.trapezoid(np.interp(below, false, overlap), below) / MOST_FALSE)

        return self._figure(area)

    def peak_on_defect(self) -> Figure:
        """Return the share of pictures whose map has its peak on a defect."""
        hits = sum(_peaks_on(found, mask) for found, mask in zip(self._maps, self._masks, strict=True))
        return Figure(hits / len(self._maps), wilson_interval(hits, len(self._maps)))

    def _figure(self, area: Callable[[Times, Times], float]) -> Figure:
        """Return a figure of how often each normal and each defective picture counts, once or as drawn."""
        counts = len(self._normal), len(self._maps)

        def drawn(normal: NDArray[np.intp], odd: NDArray[np.intp]) -> float:
            return area(
                *(np.bincount(each, minlength=n) for each, n in zip((normal, odd), counts, strict=True))
            )

        return Figure(drawn(*map(np.arange, counts)), _bootstrap(drawn, *counts))

    def _false(self, normal: Times, odd: Times) -> NDArray[np.float64]:
        return _above(normal @ self._negatives + odd @ self._outside)

    def _counts(self, values: Map) -> NDArray[np.float64]:
        """Return how many values lie between the thresholds."""
        places = np.searchsorted(self._edges, values.ravel(), side="right")
        return np.bincount(places, minlength=len(self._edges) + 1).astype(np.float64)


def _above(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of the values above each threshold, from the highest down: 0 … 1."""
    found: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(counts[::-1])]) / counts.sum()
    return found


def _resized(found: Map) -> Map:
    small = Image.fromarray(found, "F").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    values: Map = np.asarray(small)
    return values


def _peaks_on(found: Map, mask: Mask) -> bool:
    return bool(mask.ravel()[found.argmax()])


def _auroc(usual: Iterable[float], odd: Iterable[float]) -> float:
    """Return the probability that an odd one is above a usual one, ties counting half (Mann and Whitney)."""
    below = np.sort(np.fromiter(usual, float))
    values = np.fromiter(odd, float)
    wins = np.searchsorted(below, values, side="left") + np.searchsorted(below, values, side="right")
    return float(wins.mean() / (2 * len(below)))


def _bootstrap(
    figure: Callable[[NDArray[np.intp], NDArray[np.intp]], float], normal: int, odd: int
) -> Interval:
    """Return the percentile interval of a figure, normal and defective images drawn anew each."""
    random = np.random.default_rng(_SEED)
    drawn = [
        figure(random.integers(normal, size=normal), random.integers(odd, size=odd))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(low), float(high))
