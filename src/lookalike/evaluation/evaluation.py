"""The result of an evaluation: figures, mistakes and images left out, as values and as lines of JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lookalike.evaluation.confidence import FEW_EXEMPLARS
from lookalike.evaluation.figures import CONFIDENCE, ClassFigures, ConfusionCell, Interval, wilson_interval
from lookalike.evaluation.lots import joined_text
from lookalike.types import SERIES
from lookalike.vectors.near_duplicates import chains_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.evaluation.held_out_predictions import HeldOutPredictions
    from lookalike.evaluation.lots import Joined
    from lookalike.evaluation.reliability import Reliability
    from lookalike.evaluation.series import Series
    from lookalike.types import Neighbour, Prediction, Record, Scalar
    from lookalike.vectors.exclusions import LeftOut
    from lookalike.vectors.near_duplicates import Chain

# Labels of few exemplars that a remark names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Apart:
    """The accuracy with other images kept together than in the evaluation itself."""

    evaluated: int
    correct: int

    @property
    def accuracy(self) -> float:
        """Part of the evaluated images that got their own label, 0 … 1."""
        return self.correct / self.evaluated


@dataclass(frozen=True, slots=True)
class SeriesFigures:
    """Series that were found among the images, and the accuracy where each is kept together."""

    how: str
    """What tells them, in words."""
    images: int
    """Images in series of several."""
    series: int
    """How many such series there are."""
    largest: int
    """Images in the largest."""
    share: float
    """Part of the images whose nearest neighbour is of their own series, unless kept apart, 0 … 1."""
    expected: float
    """The same where names are exchanged at random within label and folder."""
    p_value: float
    """Of the permutation test that says so."""
    permutations: int
    together: Apart | None
    """The figure with series kept together; None where that leaves nothing to compare."""

    @classmethod
    def of(cls, found: Series, together: Apart | None = None) -> SeriesFigures:
        """Return the figures of series that were found."""
        sizes = found.sizes
        return cls(
            found.how, int(sizes.sum()), len(sizes), int(sizes.max()),
            found.share, found.expected, found.p_value, found.permutations, together,
        )  # fmt: skip

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        return (
            f"{self.images:,} of the images are in {self.series:,} series ({self.how}): the nearest "
            f"neighbour is of the same series for {self.share:.1%} of the images, by chance for "
            f"{self.expected:.1%} (p = {self.p_value:.3f}, {self.permutations:,} permutations within label "
            "and folder)"
        )


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image that its neighbours gave a wrong label."""

    record: Record
    label: Scalar
    """The true one."""
    prediction: Prediction
    cause: Neighbour
    """The most similar neighbour with the wrong label."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation: how the held-out images of a collection were classified."""

    method: str
    """How the predictions were made: `leave-one-out`, or in folds and what was done anew in each."""
    by: str
    within: str | None
    k: int
    """Neighbours that were asked to vote on each image; where k was chosen in folds, that for new images."""
    ks: tuple[tuple[int, int], ...]
    """Each k that was used, with the number of folds that used it."""
    group: str | None
    """The field whose lots were kept together."""
    near_duplicates: int
    """Evaluated images that have a near-duplicate in the collection, and were kept together with it."""
    chains: tuple[Chain, ...]
    """Near-duplicates that are not all near each other, and were taken apart; the largest first."""
    joined: tuple[Joined, ...]
    """Lots of several values of `group`, joined by near-duplicates that lie in more than one; the largest
    first."""
    frames: int
    """Images that are frames of one film with others, and were kept together."""
    apart: Apart | None
    """The accuracy without keeping anything together, where that differs in what was compared."""
    series: SeriesFigures | None
    """Series that were found where `group` names no field; None where there are none."""
    repeats: tuple[float, ...]
    """The accuracy of every repeat, as drawn; `accuracy` is the middle one."""
    classes: tuple[ClassFigures, ...]
    """One a label; booleans first, then numbers, then strings, each sorted."""
    confusion: tuple[ConfusionCell, ...]
    """The cells that are not 0, in the order of `classes`."""
    baseline: float
    """Accuracy of always naming the most common label; with `within`, the most common one of each part."""
    mistakes: tuple[Mistake, ...]
    """By uri."""
    left_out: tuple[LeftOut, ...]
    """By uri."""
    fewer_than_k: int
    """Evaluated images on which fewer than k neighbours voted, because there are no more."""
    alone_in_class: int
    """Evaluated images that share their label with none they were compared with: never right."""
    duplicates: int
    """Evaluated images of which a byte-identical copy was among those that voted."""
    reliability: Reliability | None
    """Of single predictions; None where `reliability_refusal` says why it cannot be measured."""
    reliability_refusal: str | None
    held: HeldOutPredictions = field(repr=False, compare=False)
    """The predictions themselves."""
    records: Sequence[Record] = field(repr=False, compare=False)
    """All records of the collection, in the order in which `held` counts them."""

    @property
    def total(self) -> int:
        """Images in the collection: those evaluated, left out, or outside of the sample."""
        if self.held.sample is not None:
            return self.held.sample.total
        return self.evaluated + len(self.left_out)

    @property
    def evaluated(self) -> int:
        """Images that were classified by the others."""
        return sum(figures.support for figures in self.classes)

    @property
    def correct(self) -> int:
        """Images that got their own label."""
        return self.evaluated - len(self.mistakes)

    @property
    def accuracy(self) -> float:
        """Part of the evaluated images that got their own label, 0 … 1."""
        return self.correct / self.evaluated

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy."""
        return wilson_interval(self.correct, self.evaluated)

    @property
    def macro_f1(self) -> float:
        """Mean of the classes' F1, each class counting alike."""
        present = [figures.f1 for figures in self.classes if figures.support]
        return sum(present) / len(present)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the classes' recall, each class counting alike."""
        present = [figures.recall for figures in self.classes if figures.support]
        return sum(present) / len(present)

    @property
    def remarks(self) -> list[str]:
        """How the figures were got, what was kept together and what flatters them, in words, a line each."""
        said = []
        if self.held.sample is not None and self.group is None:
            said.append("series were not looked for: that takes all images, and these are a sample")
        if len(self.repeats) > 1:
            each = ", ".join(f"{accuracy:.4f}" for accuracy in self.repeats)
            said.append(f"accuracy of each drawing of the folds: {each}")
        if self.held.chosen:
            part = "fold" if self.held.sample is None else "half"
            used = ", ".join(f"{k} in {_counted(folds, part)}" for k, folds in self.ks)
            said.append(f"k chosen: {used}; for new images {self.k}")
        if self.apart is not None:
            kept = [f"images of the same {self.group}"] if self.group else []
            if self.near_duplicates:
                kept.append(f"near-duplicates ({_counted(self.near_duplicates, 'image')})")
            if self.frames:
                kept.append(f"frames of one film ({_counted(self.frames, 'image')})")
            said.append(
                f"kept together: {' and '.join(kept)}; each image on its own, the accuracy would seem "
                f"{self.apart.accuracy:.4f} ({self.apart.correct:,} of {self.apart.evaluated:,})"
            )
        if self.chains:
            said.append(chains_text(self.chains))
        if self.joined:
            said.append(joined_text(self.joined, str(self.group)))
        for count, what in (
            (self.duplicates, "had a byte-identical copy among those that voted, which flatters the figure"),
            (
                self.alone_in_class,
                "without another of their label to be compared with, which cannot be right",
            ),
            (self.fewer_than_k, "had fewer than k neighbours"),
        ):
            if count:
                said.append(f"{_counted(count, 'image')} {what}")
        few = [
            f"{each.label} ({each.support:,})" for each in self.classes if 0 < each.support < FEW_EXEMPLARS
        ]
        if few:
            more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
            said.append(f"few exemplars, whose confidence is cautious: {', '.join(few[:_NAMED])}{more}")
        return said

    @property
    def warnings(self) -> list[str]:
        """What is to be read before the accuracy: that it may be that of recognising series, a line each."""
        series = self.series
        if series is None:
            sought = self.group == SERIES and all(SERIES not in record.fields for record in self.records)
            return ["no series were found: nothing more was kept together"] if sought else []
        if self.group == SERIES:
            return [series.text]
        if series.together is None:
            said = "kept together, they leave nothing to compare: what is recognised is a series, not a label"
        else:
            kept = series.together
            said = (
                f"with series kept together, the accuracy is {kept.accuracy:.4f} ({kept.correct:,} of "
                f"{kept.evaluated:,}): believe that; `--group {SERIES}` judges so"
            )
        return [series.text, said]

    @property
    def reasons(self) -> dict[str, int]:
        """How many images were left out for each reason, the most frequent first."""
        return dict(Counter(each.reason for each in self.left_out).most_common())


def _counted(count: int, what: str) -> str:
    several = "halves" if what == "half" else f"{what}s"
    return f"{count:,} {what if count == 1 else several}"


def evaluation_lines(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield an evaluation as values that JSON can hold, each with its `type`.

    The order: one `summary`, then every `class`, `confusion` cell, `reliability` bin, `coverage` of a label,
    `mistake` and `left_out`.
    """
    apart = evaluation.apart
    yield {
        "type": "summary",
        "method": evaluation.method,
        "by": evaluation.by,
        "within": evaluation.within,
        "k": evaluation.k,
        "images": evaluation.total,
        "sample": None if evaluation.held.sample is None else asdict(evaluation.held.sample),
        "evaluated": evaluation.evaluated,
        "correct": evaluation.correct,
        "accuracy": evaluation.accuracy,
        "interval": list(evaluation.interval),
        "confidence": CONFIDENCE,
        "baseline": evaluation.baseline,
        "macro_f1": evaluation.macro_f1,
        "balanced_accuracy": evaluation.balanced_accuracy,
        "classes": len(evaluation.classes),
        "mistakes": len(evaluation.mistakes),
        "left_out": evaluation.reasons,
        "fewer_than_k": evaluation.fewer_than_k,
        "alone_in_class": evaluation.alone_in_class,
        "duplicates": evaluation.duplicates,
        "ks": {str(k): folds for k, folds in evaluation.ks},
        "repeats": list(evaluation.repeats),
        "group": evaluation.group,
        "near_duplicates": evaluation.near_duplicates,
        "frames": evaluation.frames,
        "chains": [asdict(chain) for chain in evaluation.chains],
        "joined": [asdict(each) for each in evaluation.joined],
        "apart": None if apart is None else {**asdict(apart), "accuracy": apart.accuracy},
        "series": _series_line(evaluation.series),
        **_reliability_summary(evaluation),
    }
    for figures in evaluation.classes:
        yield {
            "type": "class",
            "label": figures.label,
            "support": figures.support,
            "predicted": figures.predicted,
            "correct": figures.correct,
            "precision": figures.precision,
            "recall": figures.recall,
            "f1": figures.f1,
        }
    for cell in evaluation.confusion:
        yield {"type": "confusion", **asdict(cell)}
    reliability = evaluation.reliability
    for each_bin in reliability.bins if reliability else ():
        yield {"type": "reliability", **asdict(each_bin)}
    for covered in reliability.coverage.labels if reliability and reliability.coverage else ():
        yield {"type": "coverage", **asdict(covered)}
    for mistake in evaluation.mistakes:
        prediction = mistake.prediction
        yield {
            "type": "mistake",
            "id": mistake.record.id,
            "uri": mistake.record.uri,
            "label": mistake.label,
            "predicted": prediction.label,
            "share": prediction.share,
            "cause": _neighbour_line(mistake.cause, evaluation.by),
            "neighbours": [_neighbour_line(voter, evaluation.by) for voter in prediction.neighbours],
        }
    for each in evaluation.left_out:
        yield {"type": "left_out", "id": each.record.id, "uri": each.record.uri, "reason": each.reason}


def _reliability_summary(evaluation: Evaluation) -> dict[str, Any]:
    reliability = evaluation.reliability
    if reliability is None:
        return {"trust": evaluation.reliability_refusal}
    summary: dict[str, Any] = {
        "brier": reliability.brier,
        "false_alarm": reliability.false_alarm,
        "unknown": reliability.unknown,
    }
    if reliability.selection is not None:
        summary["max_error"] = {**asdict(reliability.selection), "share": reliability.selection.share}
    elif reliability.refusal is not None:
        summary["max_error"] = reliability.refusal
    if reliability.coverage is not None:
        summary["coverage"] = {
            "promised": reliability.coverage.promised,
            "mean_size": reliability.coverage.mean_size,
            "single": reliability.coverage.single,
        }
    return summary


def _series_line(series: SeriesFigures | None) -> dict[str, Any] | None:
    if series is None:
        return None
    together = series.together
    figures = None if together is None else {**asdict(together), "accuracy": together.accuracy}
    return {**asdict(series), "together": figures}


def _neighbour_line(neighbour: Neighbour, by: str) -> dict[str, Any]:
    return {
        "id": neighbour.record.id,
        "uri": neighbour.record.uri,
        "label": neighbour.record.fields[by],
        "similarity": neighbour.similarity,
    }
