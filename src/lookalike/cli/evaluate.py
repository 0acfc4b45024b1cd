"""The command evaluate: how often the neighbours are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import (
    Settings,
    collection_options,
    coverage_option,
    false_alarm_option,
    max_error_option,
    option,
    using_option,
    votes_option,
)
from lookalike.cli.output import (
    SHOWN_FINDINGS,
    print_left_out,
    print_line,
    print_rest,
    print_table,
    print_text,
    short_path,
    text_of,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.cli.reports import report_option, try_to_write

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.evaluation.reliability import Reliability

# Beyond this many classes a confusion matrix no longer fits a terminal; its cells are listed instead.
_MATRIX_CLASSES = 12


@click.command()
@click.option("--by", required=True, metavar="FIELD", help="The field that holds the label.")
@click.option(
    "--within", metavar="FIELD", help="Compare an image only with those of the same value of this field."
)
@votes_option
@click.option(
    "--group",
    metavar="FIELD",
    help="Never compare an image with those of the same value of this field; `series`, where there is no "
    "such field: with those of its own series, as names and times tell them.",
)
@option("--folds", type=int, default=5, metavar="N", help="Folds, for a fitted metric or -k auto.")
@option("--repeats", type=int, default=3, metavar="N", help="How often folds are drawn.")
@option("--seed", type=int, default=0, metavar="N", help="Of the first drawing.")
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    metavar="N",
    help="Classify N images, drawn at random, by all others; by default all, or 10,000 where not all fit "
    "into memory.",
)
@max_error_option
@coverage_option
@false_alarm_option
@report_option("Write all of it, with pictures, to one HTML file.")
@click.option("--all", "everything", is_flag=True, help="Show every mistake and every image left out.")
@using_option
@collection_options
def evaluate(
    settings: Settings,
    by: str,
    report: Path | None,
    collection: str,
    form: str,
    *,
    everything: bool,
    **options: Any,
) -> None:
    """Measure how often the neighbours are right.

    Each of the collection's own images is classified by others, and its own label is looked at only
    afterwards: by all others, or, where a metric was fitted or k is to be chosen, by those of other folds.
    Near-duplicates are kept together.
    """
    with settings.open() as database:
        handle = database[collection]
        with progress_bar("evaluating", quiet=settings.quiet) as progress:
            evaluation = handle.evaluate(by, progress=progress, **options)
        trouble = None
        if report is not None:
            from lookalike.report.evaluation_report import write_evaluation_report

            trouble = try_to_write(
                write_evaluation_report,
                report,
                evaluation,
                handle,
                using=options["using"],
                quiet=settings.quiet,
            )
    if form == "jsonl":
        from lookalike.evaluation.evaluation import evaluation_lines

        for line in evaluation_lines(evaluation):
            print_line(line)
    else:
        _print_evaluation(evaluation, everything=everything)
    if trouble is not None:
        raise trouble
    if report is not None:
        warn(f"the report is in {report}", quiet=settings.quiet)


def _print_evaluation(evaluation: Evaluation, *, everything: bool) -> None:
    """Print an evaluation for people.

    Args:
        evaluation: what was found.
        everything: whether to list every mistake and every image left out, and the reliability of confidence.
    """
    shown = None if everything else SHOWN_FINDINGS
    within = f" within the same {evaluation.within}" if evaluation.within else ""
    low, high = evaluation.interval
    baseline = f"always the most common label: {evaluation.baseline:.4f}"
    # Where k was chosen, the method says so, and a line of its own tells which.
    votes = "" if evaluation.held.chosen else f", k = {evaluation.k}"
    print_text(f"{evaluation.method} by {evaluation.by}{within}{votes}")
    for warning in evaluation.warnings:
        print_text(warning)
    print_text(
        f"accuracy {evaluation.accuracy:.4f} ({evaluation.correct:,} of {evaluation.evaluated:,} images; "
        f"95 % Wilson interval {low:.4f} … {high:.4f}; {baseline})"
    )
    print_text(f"macro F1 {evaluation.macro_f1:.4f}, balanced accuracy {evaluation.balanced_accuracy:.4f}")
    for remark in evaluation.remarks:
        print_text(remark)
    print_table(
        (evaluation.by, "images", "precision", "recall", "F1"),
        [(f.label, f.support, f.precision, f.recall, f.f1) for f in evaluation.classes],
    )
    _print_confusion(evaluation, shown)
    _print_reliability(evaluation, everything=everything)
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
    print_left_out(evaluation.left_out, shown, what="images left out")


def _print_confusion(evaluation: Evaluation, shown: int | None) -> None:
    from lookalike.vectors.vote import label_key

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


def _print_reliability(evaluation: Evaluation, *, everything: bool) -> None:
    reliability = evaluation.reliability
    if reliability is None:
        print_text(f"no confidence can be given: {evaluation.reliability_refusal}")
        return
    print_text(f"confidence: Brier score {reliability.brier:.4f} (0 is perfect, 0.25 knows nothing)")
    if reliability.false_alarm:
        print_text(
            f"unlike anything, at a false-alarm rate of {reliability.false_alarm:g}: "
            f"{reliability.unknown:,} of {evaluation.evaluated:,} images"
        )
    selection = reliability.selection
    if selection is not None:
        print_text(
            f"error of at most {selection.max_error:g}: {selection.share:.4f} answered "
            f"({selection.answered:,} of {selection.total:,}, {selection.wrong:,} wrong), "
            f"from confidence {selection.threshold:.4f}"
        )
    elif reliability.refusal is not None:
        print_text(reliability.refusal)
    if everything:
        print_table(
            ("confidence", "images", "mean", "right"),
            [
                (f"{each.low:.1f} … {each.high:.1f}", each.count, each.confidence, each.right)
                for each in reliability.bins
            ],
        )
    _print_coverage(reliability, evaluation.by)


def _print_coverage(reliability: Reliability, by: str) -> None:
    coverage = reliability.coverage
    if coverage is None:
        return
    print_table(
        (by, "images", f"in their set, {coverage.promised:g} promised"),
        [(each.label, each.images, each.covered / each.images) for each in coverage.labels if each.images],
    )
    print_text(f"a set has {coverage.mean_size:.4f} labels on average")
    if always := [text_of(each.label) for each in coverage.labels if each.always]:
        print_text(f"too few images for that coverage, so in every set: {', '.join(always)}")
