"""What `classify --frames` prints of films: which label from when to when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.cli.output import print_table, print_text, text_of
from lookalike.images.film_sampling import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Prediction, Scalar


@dataclass(slots=True)
class Stretch:
    """Frames that follow each other and have one label."""

    label: Scalar | None
    """None where they are unknown."""
    first: int
    """When the first one is shown, in milliseconds."""
    last: int
    predictions: list[Prediction] = field(default_factory=list)

    @property
    def confidence(self) -> float | None:
        """The mean of their confidences; None where one has none."""
        sure = [each.confidence for each in self.predictions if each.confidence is not None]
        return sum(sure) / len(sure) if sure and len(sure) == len(self.predictions) else None


def stretches(answers: Sequence[tuple[int, Prediction]]) -> list[Stretch]:
    """Return the stretches of a film.

    Args:
        answers: when each frame is shown, in milliseconds, rising, and its prediction.
    """
    from lookalike.vectors.vote import label_key

    def key(label: Scalar | None) -> object:
        return None if label is None else label_key(label)

    found: list[Stretch] = []
    for moment, prediction in answers:
        label = prediction.label
        if not found or key(found[-1].label) != key(label):
            found.append(Stretch(label, moment, moment))
        found[-1].last = moment
        found[-1].predictions.append(prediction)
    return found


def print_film(name: str, by: str, answers: Sequence[tuple[int, Prediction]]) -> None:
    """Print the labels of a film, a line a stretch."""
    print_text(f"{name}: {len(answers):,} frames by {by}")
    print_table(
        ("from", "to", by, "frames", "confidence"),
        [
            (
                clock_text(each.first),
                clock_text(each.last),
                "unknown" if each.label is None else text_of(each.label),
                len(each.predictions),
                each.confidence,
            )
            for each in stretches(answers)
        ],
    )
