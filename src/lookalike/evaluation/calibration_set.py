"""The calibration set of a collection: what is kept of held-out predictions to calibrate new ones.

It is kept as part of a `judgement`; what new predictions get of it is in `calibrator`.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.evaluation.confidence import LogisticCalibration
from lookalike.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lookalike.evaluation.confidence import Scores
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions
    from lookalike.progress import Progress
    from lookalike.types import Scalar
    from lookalike.vectors.vote import Codes

# Of the file format and of all that is computed into it: another number, and old files are not read.
_VERSION = 5


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """What is kept of n held-out predictions."""

    method: str
    k: int
    """Neighbours that vote."""
    labels: tuple[Scalar, ...]
    calibration: LogisticCalibration
    confidence: Scores
    """(n,): cross-fitted."""
    right: NDArray[np.bool_]
    """(n,)"""
    truth: Codes
    """(n,): places in `labels`."""
    own_scores: Scores
    """(n,): how ill the true label fits."""
    nearest: Scores
    """(n,): plain similarity to the nearest image, rising."""

    def to_bytes(self) -> bytes:
        """Return it as a file's content: NumPy's npz, without pickled objects."""
        out = io.BytesIO()
        text = json.dumps({"method": self.method, "k": self.k, "labels": list(self.labels)})
        np.savez(
            out,
            version=np.array(_VERSION),
            text=np.frombuffer(text.encode(), dtype=np.uint8),
            calibration=self.calibration.to_numbers(),
            confidence=self.confidence,
            right=self.right,
            truth=self.truth,
            own_scores=self.own_scores,
            nearest=self.nearest,
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> CalibrationSet | None:
        """Return what `to_bytes` wrote; None where that is damaged or of another version."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                if int(file["version"]) != _VERSION:
                    return None
                text = json.loads(file["text"].tobytes())
                return cls(
                    str(text["method"]),
                    int(text["k"]),
                    tuple(text["labels"]),
                    LogisticCalibration.from_numbers(file["calibration"]),
                    file["confidence"],
                    file["right"],
                    file["truth"],
                    file["own_scores"],
                    file["nearest"],
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None


def calibration_set_of(
    held: HeldOutPredictions, *, seed: int = 0, progress: Progress = silent
) -> CalibrationSet:
    """Return the calibration set of held-out predictions.

    Args:
        held: the predictions.
        seed: of the folds in which confidence is cross-fitted.
        progress: as for `cross_fitted_confidence`.

    Raises:
        Unanswerable: there are too many labels.
    """
    # scikit-learn takes a second to load, which a calibration set from the cache need not wait for.
    from lookalike.evaluation.calibration import cross_fitted_confidence, fit_calibration, held_out_scores
    from lookalike.evaluation.conformal import label_scores

    scores = held_out_scores(held)
    if held.class_similarities is None:
        raise Unanswerable("too many labels to judge")
    every_score = label_scores(held.class_similarities)
    return CalibrationSet(
        held.method,
        held.k,
        held.labels,
        fit_calibration(scores, held.right),
        cross_fitted_confidence(
            scores,
            held.right,
            held.lots,
            truth=held.truth,
            named=held.predicted,
            ranks=held.ranks,
            seed=seed,
            progress=progress,
        ),
        held.right,
        held.truth,
        every_score[np.arange(len(held.truth)), held.truth],
        np.sort(held.plain_nearest),
    )
