"""Commands that put labels on images and judge how well that works: classify, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from lookalike.cli.classifications import (
    classified_line,
    classify_by_names,
    print_classified,
    refuse_beside,
)
from lookalike.cli.evaluations import print_evaluation
from lookalike.cli.options import (
    Settings,
    approximate_option,
    collection_option,
    format_option,
    global_options,
    max_pixels_option,
    model_options,
    parse_where,
    read_paths,
    where_option,
)
from lookalike.cli.output import (
    approximation_line,
    counted,
    print_how_searched,
    print_line,
    progress_bar,
    text_of,
    warn,
)
from lookalike.errors import InvalidArgument, OutputFailed, Unanswerable
from lookalike.evaluation.novelty import FALSE_ALARM
from lookalike.label_normalisation import kept_name
from lookalike.types import Skipped

if TYPE_CHECKING:
    from lookalike.evaluation.evaluate import Options
    from lookalike.evaluation.heldout import Ks
    from lookalike.evaluation.judge import Judge


def _read_votes(_context: click.Context, _option: click.Parameter, value: str) -> Ks:
    """Read a number of neighbours, or `auto`."""
    if value == "auto":
        return "auto"
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor auto.") from None


by_option = click.option("--by", required=True, metavar="FIELD", help="The field that holds the label.")
votes_option = click.option(
    "-k",
    callback=_read_votes,
    default="5",
    metavar="N",
    help="How many neighbours vote; `auto` chooses by cross-validation. [default: 5]",
)
max_error_option = click.option(
    "--max-error",
    type=float,
    metavar="E",
    help="Answer only where the held-out answers of the collection promise an error of at most this.",
)
coverage_option = click.option(
    "--coverage",
    type=float,
    metavar="P",
    help="Give label sets that contain the true label this often, for every label.",
)
false_alarm_option = click.option(
    "--false-alarm",
    type=float,
    metavar="R",
    help="Call pictures unlike anything in the collection unknown, and so this part of the known ones; "
    f"0 for never. [default: {FALSE_ALARM:g}]",
)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--by", metavar="FIELD", help="The field that holds the label; this or --labels is needed.")
@click.option(
    "--labels",
    metavar="NAME,...",
    help="Choose among these labels by their names alone, with a model that reads texts.",
)
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="For --labels: a text with {} for the label, several are averaged. [default: a photo of a {}]",
)
@click.option("--model", metavar="NAME", help="For --labels: the model, by default that of the collection.")
@votes_option
@max_error_option
@coverage_option
@false_alarm_option
@approximate_option
@where_option
@max_pixels_option
@collection_option
@format_option
@global_options
@model_options
def classify(
    settings: Settings,
    images: tuple[str, ...],
    by: str | None,
    labels: str | None,
    templates: tuple[str, ...],
    model: str | None,
    k: Ks,
    max_error: float | None,
    coverage: float | None,
    false_alarm: float | None,
    conditions: tuple[str, ...],
    max_pixels: int,
    collection: str,
    form: str,
    *,
    approximate: bool,
) -> int:
    """Give each IMAGE the label that most of its nearest neighbours have, or whose name fits best.

    Each of the k nearest images that have the label has one vote; a draw goes to the label whose nearest
    neighbour is nearest. An image that is in the collection itself has no vote on itself. How sure the answer
    is comes from the collection's own images, each answered by the others. With --labels, no labelled image
    is needed. `-` reads paths from stdin, one a line.
    """
    paths = read_paths(images)
    if labels is not None:
        refuse_beside(
            "--labels", "by", "k", "max_error", "coverage", "false_alarm", "approximate", "conditions"
        )
        return classify_by_names(
            settings, paths, labels, templates, model=model, collection=collection, max_pixels=max_pixels,
            form=form,
        )  # fmt: skip
    if by is None:
        raise InvalidArgument(
            "--by FIELD takes the label from the neighbours, --labels NAME,… from names: one is needed"
        )
    refuse_beside("--by", "templates", "model")
    where = parse_where(conditions)
    code = 0
    with settings.open() as session:
        by = kept_name(by, session.store.collection(collection))
        with progress_bar("judging", quiet=settings.quiet) as progress:
            judge = session.judge(
                collection, by, k=k, where=where, max_error=max_error, coverage=coverage,
                false_alarm=false_alarm, progress=progress,
            )  # fmt: skip
        if judge is not None:
            k = judge.judgement.k
            _tell_promises(judge, by, quiet=settings.quiet)
        if k == "auto":
            raise Unanswerable("too few labelled images to choose k by cross-validation: name a number")
        if approximate and form == "table":
            print_how_searched(session.store.collection(collection).approximation)
        found = session.classify(
            *(collection, paths, by, k, where), judge=judge, approximate=approximate, max_pixels=max_pixels
        )
        for answer in found:
            if isinstance(answer, Skipped):
                warn(f"{answer.path}: {answer.reason}", quiet=settings.quiet)
                code = 1
                continue
            voters = len(answer.prediction.neighbours)
            if voters < k:
                warn(
                    f"{answer.path}: {counted(voters, 'labelled image')} found, fewer than the {k} asked for",
                    quiet=settings.quiet,
                )
            if form == "jsonl":
                line = classified_line(answer, by)
                if approximate:
                    line["approximation"] = approximation_line(answer.approximation)
                print_line(line)
            else:
                print_classified(answer, by)
        for problem in session.problems:
            warn(problem, quiet=settings.quiet)
    return code


def _tell_promises(judge: Judge, by: str, *, quiet: bool) -> None:
    """Say on stderr what the promises cost, once for all images."""
    selection = judge.selection
    if selection is not None:
        warn(
            f"an error of at most {selection.max_error:g} leaves {selection.share:.4f} of the answers: "
            f"{selection.answered:,} of {selection.total:,} held-out ones, {selection.wrong:,} of them wrong",
            quiet=quiet,
        )
    if judge.always:
        names = ", ".join(text_of(label) for label in judge.always)
        warn(f"too few images for that coverage, so in every set: {by} = {names}", quiet=quiet)


@click.command()
@by_option
@click.option(
    "--within", metavar="FIELD", help="Compare an image only with those of the same value of this field."
)
@votes_option
@click.option(
    "--group", metavar="FIELD", help="Never compare an image with those of the same value of this field."
)
@click.option(
    "--folds", type=int, default=5, metavar="N", help="Folds, for a fitted metric or -k auto. [default: 5]"
)
@click.option("--repeats", type=int, default=3, metavar="N", help="How often folds are drawn. [default: 3]")
@click.option("--seed", type=int, default=0, metavar="N", help="Of the first drawing. [default: 0]")
@max_error_option
@coverage_option
@false_alarm_option
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write all of it, with pictures, to one HTML file.",
)
@click.option("--all", "everything", is_flag=True, help="Show every mistake and every image left out.")
@collection_option
@format_option
@global_options
@model_options
def evaluate(
    settings: Settings,
    by: str,
    report: Path | None,
    collection: str,
    form: str,
    *,
    everything: bool,
    **options: Unpack[Options],
) -> None:
    """Measure how often the neighbours are right, on the collection's own images.

    Each image is classified by others, and its own label is looked at only afterwards: by all others, or,
    where a metric was fitted or k is to be chosen, by those of other folds. Near-duplicates are kept
    together.
    """
    if report is not None:
        from lookalike.report import check_report

        check_report(report)
    with settings.open() as session:
        with progress_bar("evaluating", quiet=settings.quiet) as progress:
            evaluation = session.evaluate(collection, by, progress=progress, **options)
        trouble = None
        if report is not None:
            from lookalike.report.evaluation_report import write_evaluation_report

            try:
                with progress_bar("writing the report", quiet=settings.quiet):
                    model = session.store.collection(collection).space.embedder
                    write_evaluation_report(
                        report, evaluation, *session.read(collection), collection=collection, model=model
                    )
            except OutputFailed as error:  # the figures took their time, and are shown all the same
                trouble = error
    if form == "jsonl":
        from lookalike.evaluation.evaluation import evaluation_lines

        for line in evaluation_lines(evaluation):
            print_line(line)
    else:
        print_evaluation(evaluation, everything=everything)
    if trouble is not None:
        raise trouble
    if report is not None:
        warn(f"the report is in {report}", quiet=settings.quiet)
