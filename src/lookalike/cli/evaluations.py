"""An evaluation as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.cli.output import counted, print_rest, print_table, print_text, short_path, text_of
from lookalike.evaluation.lots import joined_text
from lookalike.vectors.near_duplicates import chains_text
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.evaluation.trust import Trust

# Rows of a list that are shown unless all are asked for.
SHOWN = 10
# Beyond this many classes a confusion matrix no longer fits a terminal; its cells are listed instead.
_MATRIX_CLASSES = 12


def print_evaluation(evaluation: Evaluation, *, everything: bool) -> None:
    """Print an evaluation for people.

    Args:
        evaluation: what was found.
        everything: whether to list every mistake and every image left out, and the reliability of confidence.
    """
    shown = None if everything else SHOWN
    within = f" within the same {evaluation.within}" if evaluation.within else ""
    low, high = evaluation.interval
    baseline = f"always the most common label: {evaluation.baseline:.4f}"
    # Where k was chosen, the method says so, and a line of its own tells which.
    votes = "" if evaluation.held.chosen else f", k = {evaluation.k}"
    print_text(f"{evaluation.method} by {evaluation.by}{within}{votes}")
    print_text(
        f"accuracy {evaluation.accuracy:.4f} ({evaluation.correct:,} of {evaluation.evaluated:,} images; "
        f"95 % Wilson interval {low:.4f} … {high:.4f}; {baseline})"
    )
    print_text(f"macro F1 {evaluation.macro_f1:.4f}, balanced accuracy {evaluation.balanced_accuracy:.4f}")
    _print_method(evaluation)
    for count, what in (
        (
            evaluation.duplicates,
            "had a byte-identical copy among those that voted, which flatters the figure",
        ),
        (
            evaluation.alone_in_class,
            "without another of their label to be compared with, which cannot be right",
        ),
        (evaluation.fewer_than_k, "had fewer than k neighbours"),
    ):
        if count:
            print_text(f"{counted(count, 'image')} {what}")
    print_table(
        (evaluation.by, "images", "precision", "recall", "F1"),
        [(f.label, f.support, f.precision, f.recall, f.f1) for f in evaluation.classes],
    )
    _print_confusion(evaluation, shown)
    _print_trust(evaluation, everything=everything)
    if evaluation.mistakes:
        print_table(
            ("mistake", evaluation.by, "predicted", "share", "because of", "similarity"),
            [
                (
                    short_path(m.record.uri),
                    m.label,
                    m.prediction.label,
                    m.prediction.share,
                    short_path(m.cause.record.uri),
                    m.cause.similarity,
                )
                for m in evaluation.mistakes[:shown]
            ],
        )
        print_rest(len(evaluation.mistakes), shown, "mistakes")
    if evaluation.left_out:
        print_table(
            ("left out", "because"),
            [(short_path(each.record.uri), each.reason) for each in evaluation.left_out[:shown]],
        )
        print_rest(len(evaluation.left_out), shown, "images left out")


def _print_confusion(evaluation: Evaluation, shown: int | None) -> None:
    labels = [figures.label for figures in evaluation.classes]
    cells = {(label_key(c.label), label_key(c.predicted)): c.count for c in evaluation.confusion}
    if len(labels) <= _MATRIX_CLASSES:
        keys = [label_key(label) for label in labels]
        rows = [
            (label, *(cells.get((key, other), 0) for other in keys))
            for label, key in zip(labels, keys, strict=True)
        ]
        print_table((f"{evaluation.by} \\ predicted", *map(str, labels)), rows)
        return
    wrong = sorted(
        (c for c in evaluation.confusion if label_key(c.label) != label_key(c.predicted)),
        key=lambda c: -c.count,
    )
    print_table(
        (evaluation.by, "predicted", "images"), [(c.label, c.predicted, c.count) for c in wrong[:shown]]
    )
    print_rest(len(wrong), shown, "confusions")


def _print_method(evaluation: Evaluation) -> None:
    """Say what was kept together, what the folds chose, and how far they agree."""
    if len(evaluation.repeats) > 1:
        each = ", ".join(f"{accuracy:.4f}" for accuracy in evaluation.repeats)
        print_text(f"accuracy of each drawing of the folds: {each}")
    if evaluation.held.chosen:
        used = ", ".join(f"{k} in {counted(folds, 'fold')}" for k, folds in evaluation.ks)
        print_text(f"k chosen: {used}; for new images {evaluation.k}")
    apart = evaluation.apart
    if apart is not None:
        kept = [f"images of the same {evaluation.group}"] if evaluation.group else []
        if evaluation.near_duplicates:
            kept.append(f"near-duplicates ({counted(evaluation.near_duplicates, 'image')})")
        print_text(
            f"kept together: {' and '.join(kept)}; each image on its own, the accuracy would seem "
            f"{apart.accuracy:.4f} ({apart.correct:,} of {apart.evaluated:,})"
        )
    if evaluation.chains:
        print_text(chains_text(evaluation.chains))
    if evaluation.joined:
        print_text(joined_text(evaluation.joined, str(evaluation.group)))


def _print_trust(evaluation: Evaluation, *, everything: bool) -> None:
    trust = evaluation.trust
    if trust is None:
        print_text(f"no confidence can be given: {evaluation.no_trust}")
        return
    print_text(f"confidence: Brier score {trust.brier:.4f} (0 is perfect, 0.25 knows nothing)")
    if trust.false_alarm:
        print_text(
            f"unlike anything, at a false-alarm rate of {trust.false_alarm:g}: "
            f"{trust.unknown:,} of {evaluation.evaluated:,} images"
        )
    selection = trust.selection
    if selection is not None:
        print_text(
            f"error of at most {selection.max_error:g}: {selection.share:.4f} answered "
            f"({selection.answered:,} of {selection.total:,}, {selection.wrong:,} wrong), "
            f"from confidence {selection.threshold:.4f}"
        )
    elif trust.refusal is not None:
        print_text(trust.refusal)
    if everything:
        print_table(
            ("confidence", "images", "mean", "right"),
            [
                (f"{each.low:.1f} … {each.high:.1f}", each.count, each.confidence, each.right)
                for each in trust.reliability
            ],
        )
    _print_coverage(trust, evaluation.by)


def _print_coverage(trust: Trust, by: str) -> None:
    coverage = trust.coverage
    if coverage is None:
        return
    print_table(
        (by, "images", f"in their set, {coverage.promised:g} promised"),
        [(each.label, each.images, each.covered / each.images) for each in coverage.labels if each.images],
    )
    print_text(f"a set has {coverage.mean_size:.4f} labels on average")
    if always := [text_of(each.label) for each in coverage.labels if each.always]:
        print_text(f"too few images for that coverage, so in every set: {', '.join(always)}")
