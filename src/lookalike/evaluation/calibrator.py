"""Confidence, p-values and label sets for new predictions; those that break a promise are rejected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument
from lookalike.evaluation.confidence import FEW_EXEMPLARS, answer_scores, images_and_right, shrunk
from lookalike.evaluation.novelty import FALSE_ALARM, check_rate, p_values
from lookalike.file_names import display
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.calibration_set import CalibrationSet
    from lookalike.evaluation.confidence import Scores
    from lookalike.evaluation.selective import Selection
    from lookalike.types import Neighbour, Prediction, Scalar


def check_promises(max_error: float | None, coverage: float | None, false_alarm: float | None) -> None:
    """Refuse promises outside their range before any work is done for them.

    Raises:
        InvalidArgument: one is.
    """
    for number, what in ((max_error, "the error allowed"), (coverage, "the coverage")):
        if number is not None and not 0 < number < 1:
            raise InvalidArgument(f"{what} must be above 0 and below 1, not {number:g}")
    if false_alarm is not None:
        check_rate(false_alarm)


USUAL = 0.05
"""Part of the right held-out answers of a label that are less sure than usual."""
LEAST_CONFIDENCE = 0.5
"""Below it an answer is more probably wrong than right."""


def usual_confidence(calibration_set: CalibrationSet) -> Scores:
    """Return the confidence that right answers usually have at least, for each label.

    It is the quantile `USUAL` of its right held-out answers, and of all labels' together where a label has
    fewer than `FEW_EXEMPLARS`.

    Args:
        calibration_set: of the collection.

    Returns:
        Shape (labels,), 0 … 1; 0 where no answer was right.
    """
    right = calibration_set.right
    sure, truth = calibration_set.confidence[right], calibration_set.truth[right]
    found = np.full(len(calibration_set.labels), np.quantile(sure, USUAL) if len(sure) else 0.0)
    counts = np.bincount(truth, minlength=len(found))
    for code in np.flatnonzero(counts >= FEW_EXEMPLARS):
        found[code] = np.quantile(sure[truth == code], USUAL)
    return found


class Calibrator:
    """Calibrates predictions for new images, and rejects those that break a promise."""

    def __init__(
        self,
        calibration_set: CalibrationSet,
        *,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float = FALSE_ALARM,
    ) -> None:
        """Work out the thresholds for the promises.

        Args:
            calibration_set: of the collection that the predictions come from.
            max_error: answers less sure than this needs are *unknown*.
            coverage: label sets contain the true label this often, for every label.
            false_alarm: pictures unlike anything are *unknown*; this part of the known ones is too. 0 is off.

        Raises:
            InvalidArgument: a number outside its range.
            Unanswerable: the error cannot be promised.
        """
        check_rate(false_alarm)
        self.calibration_set = calibration_set
        labels = calibration_set.labels
        self._codes = {label_key(label): code for code, label in enumerate(labels)}
        self._images, self._right = images_and_right(
            calibration_set.truth, calibration_set.right, len(labels)
        )
        self._usual = usual_confidence(calibration_set)
        self.false_alarm = false_alarm
        self.max_error = max_error
        self.coverage = coverage
        self.selection: Selection | None = None
        if max_error is not None:
            from lookalike.evaluation.selective import select

            self.selection = select(calibration_set.confidence, calibration_set.right, max_error)
        self.thresholds: Scores | None = None
        if coverage is not None:
            from lookalike.evaluation.conformal import label_thresholds

            self.thresholds = label_thresholds(
                calibration_set.own_scores, calibration_set.truth, len(calibration_set.labels), coverage
            )

    @property
    def always(self) -> tuple[Scalar, ...]:
        """Labels with too few images for the coverage: they are in every set."""
        if self.thresholds is None:
            return ()
        pairs = zip(self.calibration_set.labels, self.thresholds.tolist(), strict=True)
        return tuple(label for label, threshold in pairs if threshold == np.inf)

    def __call__(
        self,
        prediction: Prediction,
        by: str,
        nearest: Callable[[Sequence[Scalar]], float],
        closest: float,
    ) -> Prediction:
        """Return the prediction with its confidence, and *unknown* with the reason where a promise asks it.

        Args:
            prediction: as `vote` has it.
            by: the field that holds the label.
            nearest: the similarity to the nearest record that has one of some labels; −inf where none has.
            closest: the similarity of the plain vectors to the nearest record.
        """
        if not prediction.votes:
            return prediction
        winner = prediction.votes[0][0]
        labels = self.calibration_set.labels
        agree = [label_key(voter.record.fields[by]) == label_key(winner) for voter in prediction.neighbours]
        own = prediction.neighbours[agree.index(True)].similarity
        if all(agree):
            other = nearest([label for label in labels if label_key(label) != label_key(winner)])
        else:
            other = prediction.neighbours[agree.index(False)].similarity
        scores = answer_scores(np.array([own]), np.array([other]), np.array([prediction.share]))
        confidence, exemplars, caution = self._confidence(scores, winner, by)
        p_value = float(p_values(np.array([closest]), self.calibration_set.nearest)[0])
        reason = None
        if p_value <= self.false_alarm:
            reason = (
                f"unlike anything in the collection: only {p_value:.2g} of its images have no nearer "
                f"neighbour than {closest:.4f} in plain similarity"
            )
        elif self.selection is not None and confidence is None:
            reason = f"{caution}, which an error of at most {self.max_error:g} needs"
        elif self.selection is not None and confidence is not None and confidence < self.selection.threshold:
            reason = (
                f"confidence {confidence:.4f} is below the {self.selection.threshold:.4f} "
                f"that an error of at most {self.max_error:g} needs"
            )
        label_set = None
        if self.thresholds is not None:
            similarities = np.array([[nearest([label]) for label in labels]], dtype=np.float32)
            label_set = self._label_set(similarities, self.thresholds, prediction, by)
        usual = None if confidence is None else float(self._usual[self._codes[label_key(winner)]])
        doubtful = None if confidence is None or usual is None else confidence < max(usual, LEAST_CONFIDENCE)
        return replace(
            prediction,
            label=None if reason else prediction.label,
            confidence=confidence,
            p_value=p_value,
            reason=reason,
            label_set=label_set,
            exemplars=exemplars,
            caution=caution,
            usual=usual,
            doubtful=doubtful,
            runner_up=prediction.votes[1] if doubtful and len(prediction.votes) > 1 else None,
        )

    def _confidence(self, scores: Scores, label: Scalar, by: str) -> tuple[float | None, int, str | None]:
        """Return the confidence in a label, the held-out images it rests on, and why these are few."""
        code = self._codes.get(label_key(label))
        named = f"{display(by)} = {display(str(label))}"
        if code is None:
            return None, 0, f"no held-out answers for {named} yet"
        images, right = self._images[code : code + 1], self._right[code : code + 1]
        judged = self.calibration_set.calibration.confidence(scores)
        confidence, count = float(shrunk(judged, images, right)[0]), int(images[0])
        if count >= FEW_EXEMPLARS:
            return confidence, count, None
        return (
            confidence,
            count,
            f"few exemplars: {count} of {named}, {int(right[0])} answered right by others",
        )

    def _label_set(
        self, similarities: NDArray[np.float32], thresholds: Scores, prediction: Prediction, by: str
    ) -> tuple[Scalar, ...]:
        from lookalike.evaluation.conformal import label_scores

        within = label_scores(similarities)[0] <= thresholds
        labels = self.calibration_set.labels
        found = [(float(similarities[0, code]), labels[code]) for code in np.flatnonzero(within).tolist()]
        # Labels that came after the judgement are in every set, as those with too few images are.
        for label, _ in prediction.votes:
            if label_key(label) not in self._codes:
                own = (n.similarity for n in prediction.neighbours if _has(n, by, label))
                found.append((max(own), label))
        return tuple(label for _, label in sorted(found, key=lambda each: -each[0]))


def _has(neighbour: Neighbour, by: str, label: Scalar) -> bool:
    return label_key(neighbour.record.fields[by]) == label_key(label)
