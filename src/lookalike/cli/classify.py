"""The command classify: labels from the neighbours, or by the names of the labels alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.classification_evidence import (
    evidence_line,
    explain_answers,
    print_evidence,
    score_anomalies,
)
from lookalike.cli.classified_by_names import classify_by_names
from lookalike.cli.classified_films import print_film
from lookalike.cli.messages import warn
from lookalike.cli.options import (
    Settings,
    approximate_option,
    collection_options,
    coverage_option,
    false_alarm_option,
    max_error_option,
    max_pixels_option,
    option,
    parse_where,
    read_paths,
    using_option,
    votes_option,
    where_option,
)
from lookalike.cli.output import (
    approximation_line,
    counted,
    neighbour_line,
    print_how_searched,
    print_line,
    print_table,
    print_text,
    short_path,
    text_of,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.images.film_sampling import Sampling
from lookalike.images.films import check_films
from lookalike.search.expressions import named_id
from lookalike.search.query import Image, RecordId
from lookalike.sources.frames import FramePath
from lookalike.sources.locations import full
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.collection import Collection
    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.sources.frames import Place
    from lookalike.types import Prediction


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--by", metavar="FIELD", help="The field that holds the label; this or --labels is needed.")
@click.option(
    "--labels",
    metavar="NAME,...",
    help="Choose among these labels by their names alone, with a model that reads texts.",
)
@option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="For --labels: a text with {} for the label, several are averaged.",
    default_text="a photo of a {}",
)
@click.option("--model", metavar="NAME", help="For --labels: the model, by default that of the collection.")
@votes_option
@max_error_option
@coverage_option
@false_alarm_option
@approximate_option
@click.option(
    "--refresh",
    is_flag=True,
    help="Judge the collection anew if images came, went or were relabelled since. It is done anyway where "
    "it takes less than a second.",
)
@click.option(
    "--frames",
    metavar="HOW",
    help="Each IMAGE is a film: tell the labels of its frames, one a `scene`, or `every:1s`, `every:500ms`, "
    "`every:2min`, and from when to when.",
)
@click.option(
    "--explain",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Tell which regions of each picture its voters lack, and which pair of regions speaks most for the "
    "label, and write that there as PNG. It takes a second or two a picture.",
)
@where_option
@max_pixels_option
@using_option
@collection_options
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
    frames: str | None,
    folder: Path | None,
    conditions: tuple[str, ...],
    max_pixels: int,
    using: str | None,
    collection: str,
    form: str,
    *,
    approximate: bool,
    refresh: bool,
) -> int:
    """Give each IMAGE the label of its nearest neighbours.

    Each of the k nearest images that have a label has one vote; a draw goes to the label whose nearest
    neighbour is nearest. An image that is in the collection itself has no vote on itself. How sure the answer
    is comes from the collection's own images, each answered by the others. With --labels, the name that
    fits best is chosen, and no labelled image is needed. `-` reads paths from stdin, one a line.
    """
    paths = read_paths(images)
    if labels is not None:
        _refuse_beside(
            "--labels",
            "by",
            "k",
            "using",
            "max_error",
            "coverage",
            "false_alarm",
            "approximate",
            "refresh",
            "frames",
            "folder",
            "conditions",
        )
        return classify_by_names(
            settings, paths, labels, templates, model=model, collection=collection, max_pixels=max_pixels,
            form=form,
        )  # fmt: skip
    if by is None:
        raise InvalidArgument(
            "--by FIELD takes the label from the neighbours, --labels NAME,… from names: one is needed"
        )
    _refuse_beside("--by", "templates", "model")
    if frames is not None:
        _check_frames(frames, paths)
    code = 0
    with settings.open() as database:
        handle = database[collection]
        with progress_bar("judging", quiet=settings.quiet) as progress:
            classifier = handle.classifier(
                by, k=k, where=parse_where(conditions), using=using, max_error=max_error,
                coverage=coverage, false_alarm=false_alarm, approximate=approximate, max_pixels=max_pixels,
                refresh=refresh or None, progress=progress,
            )  # fmt: skip
        by, k = classifier.by, classifier.k
        _print_remarks(classifier, form, quiet=settings.quiet)
        if approximate and form == "table":
            print_how_searched(handle.info().vector(using).approximation)
        if frames is not None:
            return _classify_films(handle, classifier, paths, frames, using, max_pixels, form, settings)
        asked = [_asked(path) for path in paths]
        found = explain_answers(classifier.classify(asked), handle, classifier, folder, max_pixels)
        for (answer, explained), anomaly in zip(
            found, score_anomalies(handle, paths, max_pixels, quiet=settings.quiet), strict=False
        ):
            for each in (answer, explained):
                if isinstance(each, Skipped):
                    warn(f"{each.path}: {each.reason}", quiet=settings.quiet)
                    code = 1
            if isinstance(answer, Skipped):
                continue
            voters = len(answer.prediction.neighbours)
            if voters < k:
                warn(
                    f"{answer.path}: {counted(voters, 'labelled image')} found, fewer than the {k} asked for",
                    quiet=settings.quiet,
                )
            if form == "jsonl":
                searched = {"approximation": approximation_line(answer.approximation)} if approximate else {}
                judged = None if classifier.age is None else asdict(classifier.age)
                line = _classified_line(answer, by) | {"judged": judged} | searched
                print_line(line | evidence_line(anomaly, explained))
            else:
                _print_classified(answer, by)
                print_evidence(anomaly, explained)
    return code


def _asked(path: Place) -> Image | RecordId:
    """Return what is classified: a picture, or what is in the collection already and named as `id:7`."""
    identity = named_id(str(path))
    return Image(str(path)) if identity is None else RecordId(identity)


def _print_remarks(classifier: Classifier, form: str, *, quiet: bool) -> None:
    for remark in classifier.remarks:
        warn(remark, quiet=quiet)
    if classifier.age is not None and not classifier.age.current and form == "table":
        warn("`lookalike classify --refresh` judges it anew", quiet=quiet)


def _check_frames(frames: str, paths: Sequence[Place]) -> None:
    """Refuse, before any work, what `--frames` cannot do."""
    _refuse_beside("--frames", "folder")
    Sampling.parse(frames)
    check_films()
    if any(isinstance(path, FramePath) for path in paths):
        raise InvalidArgument("--frames takes frames of films: name the film, or leave --frames out")


def _classify_films(
    handle: Collection,
    classifier: Classifier,
    paths: Sequence[Place],
    frames: str,
    using: str | None,
    max_pixels: int,
    form: str,
    settings: Settings,
) -> int:
    """Print the labels of films: from when to when, or as JSON a line a frame."""
    code = 0
    for film in paths:
        if isinstance(film, FramePath):
            continue
        answers = []
        for answer in classifier.classify(handle.frames(film, frames, using=using, max_pixels=max_pixels)):
            if isinstance(answer, Skipped):
                warn(f"{answer.path}: {answer.reason}", quiet=settings.quiet)
                code = 1
            elif form == "jsonl":
                print_line(_classified_line(answer, classifier.by))
            elif isinstance(answer.path, FramePath):
                answers.append((answer.path.moment, answer.prediction))
        if answers:
            print_film(short_path(film), classifier.by, answers)
    return code


# Begins the URI of what has no picture: a row of an attached table or of an import.
_ROW = "row:"


def _classified_line(answer: Classified, by: str) -> dict[str, object]:
    """Return the prediction for one image as a JSON line."""
    prediction, text = answer.prediction, str(answer.path)
    return {
        "path": text,
        "uri": text if text.startswith(_ROW) else full(answer.path).as_uri(),
        "by": by,
        "label": prediction.label,
        "share": prediction.share,
        "confidence": prediction.confidence,
        "exemplars": prediction.exemplars,
        "caution": prediction.caution,
        "usual": prediction.usual,
        "doubtful": prediction.doubtful,
        "runner_up": None
        if prediction.runner_up is None
        else dict(zip(("label", "share"), prediction.runner_up, strict=True)),
        "p_value": prediction.p_value,
        "reason": prediction.reason,
        **({} if prediction.label_set is None else {"label_set": list(prediction.label_set)}),
        "votes": [{"label": label, "share": share} for label, share in prediction.votes],
        "neighbours": [neighbour_line(neighbour) for neighbour in prediction.neighbours],
        "itself": answer.itself,
    }


def _print_classified(answer: Classified, by: str) -> None:
    """Print the prediction for one image, and the neighbours that voted."""
    prediction = answer.prediction
    label = "unknown" if prediction.label is None else text_of(prediction.label)
    voters = len(prediction.neighbours)
    votes = round(prediction.share * voters)
    if prediction.reason is not None:
        label = f"unknown, nearest to {text_of(prediction.votes[0][0])}"
    sure = "" if prediction.confidence is None else f", confidence {prediction.confidence:.4f}"
    print_text(f"{display(answer.path)}: {by} = {label} ({votes} of {voters} neighbours){sure}")
    if prediction.reason is not None:
        print_text(f"  {prediction.reason}")
    if prediction.doubtful and prediction.reason is None:
        print_text(f"  doubtful: {_doubt(prediction, by)}")
    if prediction.caution is not None:
        print_text(f"  {prediction.caution}")
    if prediction.label_set is not None:
        names = ", ".join(text_of(each) for each in prediction.label_set)
        print_text(f"  labels that fit: {names or 'none'}")
    if answer.itself:
        print_text("  it is in the collection itself, and had no vote")
    if not voters:
        return
    print_table(
        ("", "similarity", by, "image"),
        [
            (rank, n.similarity, n.record.fields[by], short_path(n.record.uri))
            for rank, n in enumerate(prediction.neighbours, 1)
        ],
    )


def _doubt(prediction: Prediction, by: str) -> str:
    """Say why a prediction is doubtful, and what comes next."""
    usual, next_one = prediction.usual or 0.0, prediction.runner_up
    said = (
        f"right answers of {by} = {text_of(prediction.label)} usually have at least {usual:.4f}"
        if prediction.confidence is not None and prediction.confidence < usual
        else "it is more probably wrong than right"
    )
    if next_one is None:
        return said
    votes = round(next_one[1] * len(prediction.neighbours))
    return f"{said}; next is {text_of(next_one[0])} ({votes} of {len(prediction.neighbours)})"


def _refuse_beside(option: str, *names: str) -> None:
    """Refuse parameters of the running command that have no effect beside an option.

    Args:
        option: the option, as it is typed.
        names: of the parameters, as Python has them.

    Raises:
        InvalidArgument: one of them was given on the command line.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source == click.core.ParameterSource.COMMANDLINE:
            raise InvalidArgument(f"{parameter.opts[-1]} says nothing beside {option}")
