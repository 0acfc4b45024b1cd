"""Explanation of a classification: regions that no voter has, and the pair that speaks most for the label.

Both are found in patch features of EfficientNet-Lite0, whatever model the collection is of: they show where
images that were found alike are alike and where not, and not what the model has looked at.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lookalike.anomaly.fitting import no_cache, read_patches
from lookalike.anomaly.scoring import boxes_of, promised_rate, quantile_threshold
from lookalike.classification.correspondence import best_match, novelty, whitened
from lookalike.embedders.builtin.patches import patches_of
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.embedding import embed_files
from lookalike.types import Skipped
from lookalike.vectors.exclusions import LeftOut
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.anomaly.scoring import Box
    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.embedders.builtin.patches import Patches
    from lookalike.embedders.models import Models
    from lookalike.ingest.embedding import Source
    from lookalike.sources.frames import Place
    from lookalike.stores.store import Store
    from lookalike.types import Neighbour, Record, Scalar

    Floats = NDArray[np.float32]

MOST = 5
"""Voters that are looked at: so many for the label, and so many against it; the nearest ones."""

# A patch is a mean over 3 × 3 places of 28 × 28.
_REACH = 1


class Region(NamedTuple):
    """A rectangle, as parts of an image's width and height, 0 … 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class RegionPair:
    """A region of an image and one of a voter, which match, and which the runner-up's images have not."""

    region: Region
    """Of the image that was classified."""
    voter: Record
    voter_region: Region
    similarity: float
    """Cosine of the two regions' patches, −1 … 1."""
    runner_up_similarity: float
    """Cosine of the region and the one most like it in images of the runner-up; lower than `similarity`."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The images that one is held against to explain its classification."""

    voters: tuple[Neighbour, ...]
    """Those looked at, most similar first."""
    runners_up: tuple[Neighbour, ...]
    """The nearest images of the label that comes next, as many as voters for the first one."""

    @property
    def records(self) -> dict[str, Record]:
        """All of them by id, each once."""
        return {each.record.id: each.record for each in (*self.voters, *self.runners_up)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which regions of an image its voters lack, and which pair of regions speaks most for its label."""

    path: Place
    """Of the image; of an upload, what it was called."""
    label: Scalar | None
    """The label with the most votes, which is explained; None where nobody voted."""
    runner_up: Scalar | None
    """The label that comes next; None where there is no other."""
    novelty_map: NDArray[np.float32] | None
    """Shape (56, 56), over the whole image: how far its patches are from the voters', in deviations of what
    the voters' own have, each held out; None where fewer than two voters can be compared."""
    threshold: float | None
    """The highest value that a voter's own map, held out, has anywhere."""
    false_alarm: float | None
    """Part of the images like the voters whose map exceeds that."""
    boxes: tuple[Box, ...]
    """Where the map is above the threshold, the strongest first."""
    pair: RegionPair | None
    """None where no region matches better than among the images of the runner-up, or there are none."""
    compared: Compared
    left_out: tuple[LeftOut, ...]
    """Of these, the images whose file could not be read, or is another than when it was indexed."""
    remarks: tuple[str, ...]
    """What is to be known of it, in whole sentences."""

    def line(self) -> dict[str, object]:
        """Return it as JSON has it, without the map."""
        pair = self.pair
        return {
            "label": self.label,
            "runner_up": self.runner_up,
            "threshold": self.threshold,
            "false_alarm": self.false_alarm,
            "boxes": [box._asdict() for box in self.boxes],
            "pair": pair
            and {
                "region": pair.region._asdict(),
                "voter": pair.voter.id,
                "voter_region": pair.voter_region._asdict(),
                "similarity": pair.similarity,
                "runner_up_similarity": pair.runner_up_similarity,
            },
            "voters": [each.record.id for each in self.compared.voters],
            "runners_up": [each.record.id for each in self.compared.runners_up],
            "left_out": [{"id": each.record.id, "reason": each.reason} for each in self.left_out],
            "remarks": list(self.remarks),
        }


class Explainer:
    """Explains classifications by the patches of the images that voted; threads may share it."""

    def __init__(
        self, store: Store, models: Models, classifier: Classifier, *, max_pixels: int = MAX_PIXELS
    ) -> None:
        """Open what makes the patches.

        Args:
            store: where the collection lives.
            models: with the cache folder.
            classifier: whose answers are explained.
            max_pixels: images with more pixels are left out.

        Raises:
            CollectionNotFound: the collection is gone.
            WeightsInvalid: the weights of the patch features are damaged.
        """
        self._classifier = classifier
        self._max_pixels = max_pixels
        self.embedder = models.patches(store.collection(classifier.name).space.embedder)
        """What makes the patches of images."""
        self.cache = no_cache(self.embedder)
        """Where none of them are kept."""

    def compared(self, answer: Classified) -> Compared:
        """Return the images that are to be read to explain a classification."""
        if not answer.prediction.votes:
            return Compared((), ())
        by, winner = self._classifier.by, label_key(answer.prediction.votes[0][0])
        neighbours = answer.prediction.neighbours
        own = [each for each in neighbours if label_key(each.record.fields[by]) == winner][:MOST]
        others = [each for each in neighbours if label_key(each.record.fields[by]) != winner][:MOST]
        looked_at = {each.record.id for each in (*own, *others)}
        voters = tuple(each for each in neighbours if each.record.id in looked_at)
        return Compared(voters, tuple(self._classifier.runners_up(answer, len(own))))

    def explain(self, image: Source, answer: Classified) -> Explanation | Skipped:
        """Explain the classification of an image.

        Reads it and the files of at most fifteen others, ten where all voters agree.

        Args:
            image: that was classified.
            answer: what came of it.

        Returns:
            The explanation; or why the image itself cannot be read.
        """
        with closing(embed_files([image], self.embedder, self.cache, max_pixels=self._max_pixels)) as files:
            own = next(files)
        if isinstance(own, Skipped):
            return own
        compared = self.compared(answer)
        others = list(compared.records.values())
        patches: dict[str, Floats | str] = {
            record.id: file.reason if isinstance(file, Skipped) else file.features
            for record, file in read_patches(others, self.embedder, max_pixels=self._max_pixels)
        }
        return self.judge(answer, compared, own.features, patches)

    def judge(
        self, answer: Classified, compared: Compared, features: Floats, patches: Mapping[str, Floats | str]
    ) -> Explanation:
        """Explain a classification by patches that are known.

        Args:
            answer: the classification.
            compared: the images that it is held against.
            features: of the image, a row of `embedder`.
            patches: by id, the same of the others, or why there are none.
        """
        by, votes = self._classifier.by, answer.prediction.votes
        rows: dict[str, Floats] = {}
        left_out = []
        for record in compared.records.values():
            found = patches[record.id]
            if isinstance(found, str):
                left_out.append(LeftOut(record, found))
            else:
                rows[record.id] = found
        image, *others = whitened([patches_of(each) for each in (features, *rows.values())])
        known = dict(zip(rows, others, strict=True))
        voters = [each.record for each in compared.voters if each.record.id in known]
        remarks = []
        anomaly_map, threshold, rate = None, None, None
        boxes: tuple[Box, ...] = ()
        # Copies say nothing of how unlike pictures are that are alike.
        different = {each.digest: known[each.id] for each in voters}
        if len(different) > 1:
            anomaly_map, peaks = novelty(image, list(different.values()))
            rate = promised_rate(len(peaks), None)
            threshold = quantile_threshold(peaks, rate)
            boxes = boxes_of(anomaly_map, threshold)
        else:
            remarks.append(
                "fewer than two different voters can be compared: nothing tells how unlike pictures are "
                "that are alike"
            )
        some = [each for each in voters if label_key(each.fields[by]) == label_key(votes[0][0])]
        rivals = [each.record for each in compared.runners_up if each.record.id in known]
        pair = _pair(image, some, rivals, known)
        if not compared.runners_up:
            remarks.append("no image has another label: no pair of regions can speak for this one")
        elif not some or not rivals:
            remarks.append("no image of one of the two labels can be compared: no pair of regions")
        elif pair is None:
            remarks.append("no region is more like one of the label than like one of the runner-up")
        return Explanation(
            answer.path,
            votes[0][0] if votes else None,
            compared.runners_up[0].record.fields[by] if compared.runners_up else None,
            anomaly_map, threshold, rate, boxes, pair, compared, tuple(left_out), tuple(remarks),
        )  # fmt: skip


def _pair(
    image: Patches, some: Sequence[Record], rivals: Sequence[Record], known: Mapping[str, Patches]
) -> RegionPair | None:
    """Return the pair of regions that speaks most for some images against others."""
    # As many on both sides: among more images there is more that is alike.
    count = min(len(some), len(rivals))
    match = best_match(image, *([known[one.id] for one in side[:count]] for side in (some, rivals)))
    if match is None:
        return None
    shape = image.coarse.shape
    return RegionPair(
        region_at(match.row, match.column, shape),
        some[match.image],
        region_at(match.other_row, match.other_column, shape),
        match.similarity,
        match.rival,
    )


def region_at(row: int, column: int, shape: tuple[int, ...]) -> Region:
    """Return the region that a patch is of: its place and those around it."""
    rows, columns, *_ = shape
    return Region(
        max(0, column - _REACH) / columns, max(0, row - _REACH) / rows,
        min(columns, column + 1 + _REACH) / columns, min(rows, row + 1 + _REACH) / rows,
    )  # fmt: skip
