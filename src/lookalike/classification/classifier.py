"""Classification: the label that most of an image's nearest neighbours have, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lookalike.errors import Unanswerable
from lookalike.evaluation.calibrator import Calibrator, check_promises
from lookalike.evaluation.judgement import JudgeOptions, open_judgement
from lookalike.evaluation.novelty import FALSE_ALARM
from lookalike.file_names import display
from lookalike.images.limits import MAX_PIXELS
from lookalike.label_normalisation import kept_filter, kept_name
from lookalike.metric_learning.fitted import plain_vector
from lookalike.progress import silent
from lookalike.search.field_values import count_values
from lookalike.search.neighbours import (
    NearestOptions,
    answerable,
    best_similarity,
    embed_images,
    nearest,
    plain_similarity,
)
from lookalike.sources.locations import named_place
from lookalike.types import Skipped
from lookalike.vectors.vote import label_key, vote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.embedders.models import Models
    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.evaluation.judgement import Age, Related
    from lookalike.evaluation.sample import Sample
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.search.neighbours import PlainVector
    from lookalike.search.query import Image, RecordId
    from lookalike.sources.frames import Place
    from lookalike.types import Approximation, CollectionInfo, Neighbour, Prediction, Scalar, Where

_NOT_JUDGED = (
    "no confidence is given: {:,} images are judged only where that is asked for, by --refresh or by a "
    "promise such as --max-error"
)


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """How images are classified."""

    by: str
    """The field that holds the label."""
    k: Ks = 5
    """Neighbours that vote; `auto` chooses by cross-validation."""
    where: Where | None = None
    """Only records that match vote."""
    using: str | None = None
    """The vector that is searched; None: the default one."""
    max_error: float | None = None
    """Answer only where the held-out answers promise at most this error, 0 … 1."""
    coverage: float | None = None
    """Give label sets that contain the true label this often, 0 … 1."""
    false_alarm: float | None = None
    """Rate at which a known image may be called unknown, 0 … 1; None: `novelty.FALSE_ALARM`."""
    approximate: bool = False
    """Use the approximate index of the vector, if it has one."""
    max_pixels: int = MAX_PIXELS
    """Images with more pixels are skipped."""
    refresh: bool | None = None
    """Judge the collection anew wherever something has changed; None: only where that is quick; False: only
    where the judgement that is there cannot be used."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The prediction for one image."""

    path: Place
    """Of the image; of an upload, what it was called."""
    prediction: Prediction
    itself: int
    """Records of the very same bytes, which had no vote."""
    plain: PlainVector = field(repr=False, compare=False)
    """What was classified."""
    approximation: Approximation | None = None
    """What the neighbours were searched with; None where the search was exact."""


class Classifier:
    """Labels images by their nearest labelled neighbours; threads may share it.

    It holds the judgement that it was made with: later changes of the collection are in the neighbours, and
    not in the confidence. Vectors of a later fit get none.
    """

    def __init__(
        self,
        spaces: Spaces,
        models: Models,
        name: str,
        options: ClassifyOptions,
        progress: Progress = silent,
    ) -> None:
        """Work out how sure predictions are, from the collection's own images, each answered by the others.

        Of more than `judgement.JUDGED_IMAGES` a sample is answered. Nothing is said of that where there are
        too few labels; nor, as `remarks` say, of more than `judgement.SAMPLED_IMAGES`, unless a promise or
        `refresh` asks for it.

        Args:
            spaces: of the store with the collection.
            models: with the collection's embedder.
            name: the collection.
            options: the field, the voters, and what is promised.
            progress: called with images read and compared and those to do; never where the cache knows.

        Raises:
            CollectionNotFound, FieldNotFound: of the collection, of `where` or of `by`.
            InvalidArgument: a promise is out of its range.
            Unanswerable: the collection is empty; or was promised something that it cannot tell.
        """
        self._spaces = spaces
        self._models = models
        self._options = options
        collection = spaces.store.collection(name)
        self.name = collection.name
        """The collection."""
        self.by = kept_name(options.by, collection)
        """The field, as the collection has it."""
        self._where = kept_filter(options.where, collection) or None
        self._judged = collection.vector(options.using).space
        self.age: Age | None = None
        """What has changed since the collection was judged; None where it is not."""
        self.related: Related | None = None
        """Series among the images that it was judged on; None where none were found."""
        self.sample: Sample | None = None
        """The images that it was judged on; None for all."""
        self._unjudged: int | None = None
        self.calibrator = self._calibrator(collection, progress)
        """What puts confidence on the predictions; None where nothing can be said."""
        k = options.k if self.calibrator is None else self.calibrator.calibration_set.k
        if k == "auto":
            raise Unanswerable("too few labelled images to choose k by cross-validation: name a number")
        self.k = k
        """Neighbours that vote."""

    @property
    def remarks(self) -> list[str]:
        """What the promises cost, how old the judgement is, and of what, in whole sentences."""
        calibrator = self.calibrator
        if calibrator is None:
            return [] if self._unjudged is None else [_NOT_JUDGED.format(self._unjudged)]
        said = [] if self.age is None or self.age.current else [self.age.text]
        if self.sample is not None:
            said.append(
                f"confidence is judged on {self.sample.images:,} images, drawn at random from "
                f"{self.sample.eligible:,}; series were not looked for"
            )
        said += [] if self.related is None else [self.related.text]
        chosen = calibrator.selection
        if chosen is not None:
            said.append(
                f"an error of at most {chosen.max_error:g} leaves {chosen.share:.4f} of the answers: "
                f"{chosen.answered:,} of {chosen.total:,} held-out ones, {chosen.wrong:,} of them wrong"
            )
        if calibrator.always:
            labels = ", ".join(display(str(label)) for label in calibrator.always)
            said.append(f"too few images for that coverage, so in every set: {display(self.by)} = {labels}")
        return said

    def classify(self, images: Iterable[Image | RecordId | Skipped]) -> Iterator[Classified | Skipped]:
        """Label images. A record of the very same bytes has no vote: it would only repeat its own label.

        Args:
            images: what `embed_images` takes.

        Yields:
            One value for each image, in order.

        Raises:
            CollectionNotFound, FieldNotFound: of the collection, of `where` or of `by`.
            Unanswerable: the collection is empty.
            ImageNotFound: no record has that id.
            SpaceMismatch: the collection, or an image, was embedded by another version of its embedder.
        """
        spaces, options = self._spaces, self._options
        collection = answerable(spaces.store, self.name, self._where, self.by)
        plain = plain_vector(collection, options.using)
        for each in embed_images(spaces, self._models, collection, plain, images, options.max_pixels):
            yield each if isinstance(each, Skipped) else self._classified(collection, each)

    def runners_up(self, answer: Classified, k: int) -> list[Neighbour]:
        """Return the nearest images of the label that comes next to the one with the most votes.

        It is the one with the second most votes, or, where nobody voted for another, that of the nearest
        image which has another one.

        Args:
            answer: of this classifier.
            k: how many images; none has the bytes of the one that was classified.

        Returns:
            Most similar first; none where no other label is there.
        """
        votes = answer.prediction.votes
        labels = [label for label, _ in votes[1:2]]
        if not labels and votes:
            labels = [label for label in self._labels if label_key(label) != label_key(votes[0][0])]
        if not labels:
            return []
        spaces, options = self._spaces, self._options
        collection = answerable(spaces.store, self.name, self._where, self.by)
        same = spaces.store.ids_by_digest(collection.name, answer.plain.digest or "")

        def of_labels(labels: Sequence[Scalar], k: int) -> list[Neighbour]:
            among = NearestOptions(
                {**(self._where or {}), self.by: labels}, same, approximate=options.approximate
            )
            return nearest(spaces, collection, options.using, answer.plain.vector, k, among)[0]

        if len(labels) > 1:
            labels = [each.record.fields[self.by] for each in of_labels(labels, 1)]
        return of_labels(labels, k) if labels else []

    @cached_property
    def _labels(self) -> Sequence[Scalar]:
        """The labels that records have which may vote."""
        if self.calibrator is not None:
            return self.calibrator.calibration_set.labels
        found = count_values(self._spaces.store.scan_records(self.name, self._where))
        return [each.value for each in found.get(self.by, ())]

    def _classified(self, collection: CollectionInfo, image: PlainVector) -> Classified:
        spaces, using, approximate = self._spaces, self._options.using, self._options.approximate
        same = spaces.store.ids_by_digest(collection.name, image.digest or "")
        among = NearestOptions(self._where, same, self.by, approximate)
        neighbours, asked, vector = nearest(spaces, collection, using, image.vector, self.k, among)
        prediction = vote(neighbours, self.by)
        if self.calibrator is not None and vector.space != self._judged:
            caution = "the collection was fitted anew since it was judged: ask again for a confidence"
            prediction = replace(prediction, caution=caution)
            if self._promised:
                prediction = replace(prediction, label=None, reason=caution)
        elif self.calibrator is not None:

            def nearest_of(labels: Sequence[Scalar]) -> float:
                if not labels:
                    return -math.inf
                of_labels = replace(among, where={**(self._where or {}), self.by: labels}, having=None)
                return best_similarity(nearest(spaces, collection, using, image.vector, 1, of_labels)[0])

            closest = best_similarity(neighbours)
            if vector.fitted:
                closest = plain_similarity(spaces, asked, vector, image.vector, among)
            prediction = self.calibrator(prediction, self.by, nearest_of, closest)
        used = collection.vector(using).approximation if approximate else None
        answer = Classified(named_place(image.name), prediction, len(same), image, used)
        if not prediction.doubtful or prediction.runner_up is not None:
            return answer
        # Nobody voted for another: it is the label of the nearest image that has another.
        second = self.runners_up(answer, 1)
        runner_up = (second[0].record.fields[self.by], 0.0) if second else None
        return replace(answer, prediction=replace(prediction, runner_up=runner_up))

    @property
    def _promised(self) -> bool:
        options = self._options
        promises = options.max_error, options.coverage, options.false_alarm
        return options.k == "auto" or any(promise is not None for promise in promises)

    def _calibrator(self, collection: CollectionInfo, progress: Progress) -> Calibrator | None:
        options = self._options
        check_promises(options.max_error, options.coverage, options.false_alarm)
        try:
            collection = answerable(self._spaces.store, self.name, self._where, self.by)
            self._judged = collection.vector(options.using).space
            judgement = open_judgement(
                self._spaces, self._models, collection,
                JudgeOptions(self.by, options.using, options.k, self._where),
                refresh=options.refresh, asked=self._promised or bool(options.refresh), progress=progress,
            )  # fmt: skip
        except Unanswerable:
            if self._promised:
                raise
            return None
        if judgement is None:
            self._unjudged = collection.count
            return None
        self.age, self.related, self.sample = judgement.age, judgement.related, judgement.sample
        rate = FALSE_ALARM if options.false_alarm is None else options.false_alarm
        return Calibrator(
            judgement.calibration_set,
            max_error=options.max_error,
            coverage=options.coverage,
            false_alarm=rate,
        )
