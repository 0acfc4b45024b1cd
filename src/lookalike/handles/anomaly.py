"""Anomaly detection in a collection: good parts teach what is normal, and images are scored by that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.anomaly.fitting import fit_memory, forget_memory, kept_memory
from lookalike.anomaly.samples import evaluate_samples
from lookalike.anomaly.scoring import AnomalyScorer
from lookalike.handles.arguments import pictures_of
from lookalike.images.limits import MAX_PIXELS
from lookalike.progress import silent
from lookalike.search.query import alternatives

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lookalike.anomaly.evaluation import AnomalyEvaluation
    from lookalike.anomaly.fitting import MemoryReport
    from lookalike.anomaly.scoring import Anomaly
    from lookalike.handles.arguments import Picture
    from lookalike.opened import Opened
    from lookalike.progress import Progress
    from lookalike.search.query import Conditions
    from lookalike.types import Skipped


class AnomalyDetection:
    """The handle of anomaly detection in a collection: `collection.anomaly`."""

    def __init__(self, opened: Opened, name: str) -> None:
        """Name a collection: see `Collection`."""
        self._store = opened.store
        self._models = opened.models
        self._name = name

    def fit(
        self,
        normal: Conditions,
        *,
        group: str | None = None,
        network: str = "efficientnet-lite0",
        progress: Progress = silent,
    ) -> MemoryReport:
        """Learn from pictures of good parts what is normal, and keep that with the collection.

        Args:
            normal: which images are of good parts.
            group: a field; images of one value of it are never compared when distances are calibrated;
                `series`, where there is no such field: images of one series, as they are found. Without it,
                the report's `warning` tells where there are series.
            network: whose patches are compared: `efficientnet-lite0`, or `vit-small`, which another package
                brings and which takes longer.
            progress: called with images done and images to do.

        Raises:
            FieldNotFound: no record has a field of `normal`, or `group`.
            ModelNotFound: there is no such network.
            Unanswerable: fewer than five normal pictures can be read, or fall into fewer groups.
            WeightsMissing: the package with the network's weights is not installed.
        """
        where = alternatives(normal) or {}
        return fit_memory(
            self._store, self._models, self._name, where, group=group, network=network, progress=progress
        )

    def undo_fit(self) -> None:
        """Forget what is normal.

        Raises:
            Unanswerable: that was not learned.
        """
        forget_memory(self._store, self._name)

    def is_fitted(self) -> bool:
        """Tell whether it has learned what is normal: see `fit`."""
        return kept_memory(self._store, self._store.collection(self._name)) is not None

    def scorer(self, *, false_alarm: float | None = None, max_pixels: int = MAX_PIXELS) -> AnomalyScorer:
        """Prepare to score images by how unlike normal ones they are; the memory is read once.

        Args:
            false_alarm: part of normal pictures that may be called anomalous, above 0 and below 1; None:
                0.01, or the lowest that so few normal pictures can promise.
            max_pixels: images with more pixels are skipped.

        Raises:
            InvalidArgument: a rate out of its range, or lower than the normal pictures can promise.
            Unanswerable: nothing was learned of what is normal: see `fit`.
        """
        return AnomalyScorer(
            self._store, self._models, self._name, false_alarm=false_alarm, max_pixels=max_pixels
        )

    def score(
        self,
        images: Picture | Iterable[Picture],
        *,
        false_alarm: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Anomaly | Skipped]:
        """Score images by how unlike normal ones they are, and where: see `scorer`.

        Args:
            images: paths or bytes.
            false_alarm: part of normal pictures that may be called anomalous.
            max_pixels: images with more pixels are skipped.

        Yields:
            One value for each image, in order.
        """
        scorer = self.scorer(false_alarm=false_alarm, max_pixels=max_pixels)
        return scorer.score(pictures_of(images))

    def evaluate(
        self,
        folder: str | Path | None = None,
        *,
        good: str = "good",
        masks: str | Path | None = None,
        false_alarm: float | None = None,
        progress: Progress = silent,
    ) -> tuple[AnomalyEvaluation, list[Skipped]]:
        """Measure how well defects are told from normal pictures, and how well they are found.

        A normal picture that the memory was made of is judged by the others.

        Args:
            folder: with a folder of images for each kind of defect, `test/KIND/NAME` as MVTec AD has it;
                None: the collection's own images, normal where they match what the memory was made of.
            good: in `folder`, the name of the folder of normal images.
            masks: a folder with masks, `KIND/NAME`; None: where MVTec AD has them, `ground_truth`, or beside
                the images.
            false_alarm: part of normal pictures that may be called anomalous.
            progress: called with images done and images to do.

        Returns:
            The figures, and the images that could not be read.

        Raises:
            PathNotFound: there is no such folder.
            Unanswerable: nothing was learned of what is normal; or all images are normal, or none is.
            UnusableImage: a mask cannot be read.
        """
        return evaluate_samples(
            self.scorer(false_alarm=false_alarm), self._store, self._name,
            None if folder is None else Path(folder), good, None if masks is None else Path(masks), progress,
        )  # fmt: skip
