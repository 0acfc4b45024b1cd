"""Held-out predictions of a collection's own images, by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.types import Scalar


class Predicted(NamedTuple):
    """The label that an image got from neighbours which did not include it."""

    label: Scalar
    confidence: float | None
    """How probable it is that this is right, 0 … 1; None where it cannot be measured."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `evaluate` answered for each image of a collection."""

    by: str
    """The field."""
    of: Mapping[str, Predicted]
    """By id; images that were left out, or are in no sample, are not there."""
    method: str
    """How it was got, in words."""
    accuracy: float
    """Part of these that are right."""
    refusal: str | None
    """Why no confidence can be told; None where it can."""

    @classmethod
    def from_evaluation(cls, evaluation: Evaluation) -> Predictions:
        """Return the predictions that an evaluation is made of."""
        held, reliability = evaluation.held, evaluation.reliability
        sure = [None] * len(held.rows) if reliability is None else reliability.confidence.tolist()
        found = {
            evaluation.records[row].id: Predicted(held.labels[label], confidence)
            for row, label, confidence in zip(held.rows.tolist(), held.predicted.tolist(), sure, strict=True)
        }
        return cls(
            evaluation.by, found, evaluation.method, evaluation.accuracy, evaluation.reliability_refusal
        )
