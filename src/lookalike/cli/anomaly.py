"""The command anomaly: defects found, and shown, by pictures of good parts alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import (
    Settings,
    collection_option,
    format_option,
    global_options,
    max_pixels_option,
    model_options,
    option,
    parse_where,
    read_paths,
)
from lookalike.cli.output import (
    OutputNames,
    box_text,
    counted,
    print_line,
    print_table,
    print_text,
    verdict_text,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.cli.reports import report_option, trouble_of
from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.output_files import write_file
from lookalike.sources.locations import full
from lookalike.types import Skipped

if TYPE_CHECKING:
    from lookalike.anomaly.evaluation import AnomalyEvaluation, Figure
    from lookalike.anomaly.fitting import MemoryReport
    from lookalike.anomaly.scoring import Anomaly

_false_alarm_option = option(
    "--false-alarm",
    type=float,
    metavar="R",
    help="Part of the normal pictures that may be called anomalous.",
    default_text="0.01",
)


@click.group()
def anomaly() -> None:
    """Find defects by pictures of good parts alone.

    `fit` learns from these what is normal, `score` judges pictures by it and shows where they differ,
    `evaluate` measures how well that goes.
    """


@anomaly.command()
@click.option(
    "--normal",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Which images are of good parts; several fields must all match.",
)
@click.option(
    "--group",
    metavar="FIELD",
    help="Images of one value of this field are never compared when distances are calibrated: the "
    "exposures of one part, say; `series`, where there is no such field: those of one series, as names and "
    "times tell them.",
)
@option(
    "--network",
    type=click.Choice(["efficientnet-lite0", "vit-small"]),
    default="efficientnet-lite0",
    help="Whose patches are compared; vit-small is not part of lookalike and takes longer.",
)
@click.option("--undo", is_flag=True, help="Forget what is normal.")
@collection_option
@format_option
@global_options
@model_options
def fit(
    settings: Settings,
    normal: tuple[str, ...],
    group: str | None,
    network: str,
    collection: str,
    form: str,
    *,
    undo: bool,
) -> None:
    """Learn from a collection's pictures of good parts what is normal, and keep that with it."""
    if undo == bool(normal):
        raise InvalidArgument("anomaly fit needs either --normal FIELD=VALUE or --undo")
    with settings.open() as database:
        handle = database[collection]
        if undo:
            handle.anomaly.undo_fit()
            if form == "jsonl":
                print_line({"type": "undone", "collection": collection})
            else:
                print_text(f"{display(collection)}: what is normal is forgotten")
            return
        with progress_bar("fitting", quiet=settings.quiet) as progress:
            report = handle.anomaly.fit(parse_where(normal), group=group, network=network, progress=progress)
    for each in report.left_out:
        warn(f"{each.path}: {each.reason}", quiet=settings.quiet)
    if report.warning is not None:
        warn(report.warning, quiet=settings.quiet)
    if form == "jsonl":
        print_line({"type": "summary", **report.line()})
    else:
        _print_report(report)


@anomaly.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Write each picture there with its anomaly map over it, as PNG.",
)
@_false_alarm_option
@max_pixels_option
@collection_option
@format_option
@global_options
@model_options
def score(
    settings: Settings,
    images: tuple[str, ...],
    overlay: Path | None,
    false_alarm: float | None,
    max_pixels: int,
    collection: str,
    form: str,
) -> int:
    """Tell how unlike the normal pictures each IMAGE is, and where.

    A picture is anomalous where its score is above a threshold that at most the part --false-alarm of normal
    pictures exceeds, as measured on normal pictures that were held out. `-` reads paths from stdin.
    """
    paths = read_paths(images)
    if overlay is not None:
        overlay.mkdir(parents=True, exist_ok=True)
    code = 0
    with settings.open() as database:
        handle = database[collection]
        scorer = handle.anomaly.scorer(false_alarm=false_alarm, max_pixels=max_pixels)
        names = OutputNames()
        for found in scorer.score(paths):
            if isinstance(found, Skipped):
                warn(f"{found.path}: {found.reason}", quiet=settings.quiet)
                code = 1
                continue
            drawn = None
            if overlay is not None:
                drawn = overlay / names.of(found.path)
                write_file(drawn, handle.overlay(found.path, found, max_pixels=max_pixels))
            if form == "jsonl":
                print_line(_score_line(found, drawn))
            else:
                _print_score(found, drawn)
        for problem in database.problems:
            warn(problem, quiet=settings.quiet)
    return code


@anomaly.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[FOLDER]")
@option("--good", default="good", metavar="NAME", help="In FOLDER, the folder with the normal images.")
@option(
    "--masks",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIRECTORY",
    help="Where masks are, KIND/NAME.",
    default_text="ground_truth, as MVTec AD has it, or beside the images",
)
@_false_alarm_option
@report_option("Write all of it, with defects found and missed and their maps, to one HTML file.")
@collection_option
@format_option
@global_options
@model_options
def evaluate(
    settings: Settings,
    folder: Path | None,
    good: str,
    masks: Path | None,
    false_alarm: float | None,
    report: Path | None,
    collection: str,
    form: str,
) -> None:
    """Measure how well defects are told from normal pictures, and how well they are found.

    The images are those of FOLDER, with a folder for each kind of defect (`test/KIND/NAME`, as MVTec AD has
    it), or else those of the collection. A normal picture that the memory was made of is judged by the
    others.
    """
    with settings.open() as database:
        handle = database[collection]
        with progress_bar("scoring", quiet=settings.quiet) as progress:
            found, skipped = handle.anomaly.evaluate(
                folder, good=good, masks=masks, false_alarm=false_alarm, progress=progress
            )
        trouble = None
        if report is not None:
            from lookalike.report.anomaly_report import write_anomaly_report

            model = handle.info().space.embedder
            trouble = trouble_of(
                lambda: write_anomaly_report(
                    report, found, skipped, handle.overlay, collection=handle.name, model=model
                ),
                quiet=settings.quiet,
            )
        for problem in database.problems:
            warn(problem, quiet=settings.quiet)
    for each in skipped:
        warn(f"{each.path}: {each.reason}", quiet=settings.quiet)
    if form == "jsonl":
        for image in found.judged:
            print_line({"type": "image", **image.line()})
        for each in skipped:
            print_line({"type": "skipped", "path": str(each.path), "reason": each.reason})
        print_line({"type": "summary", **found.line(), "skipped": len(skipped)})
    else:
        _print_evaluation(found)
    if trouble is not None:
        raise trouble
    if report is not None:
        warn(f"the report is in {report}", quiet=settings.quiet)


def _print_report(report: MemoryReport) -> None:
    kept_apart = "" if report.lots == report.pictures else f" in {counted(report.lots, 'group')}"
    print_text(
        f"{display(report.collection)}: learned what is normal from {counted(report.pictures, 'picture')}"
        f"{kept_apart} with {report.normal} ({report.size / 1e6:.1f} MB, {report.seconds:.1f} s)"
    )
    if report.series_apart:
        print_text("no series were found" if report.series is None else report.series.text)
    if report.not_drawn:
        print_text(f"{counted(report.not_drawn, 'more picture')} of the kind were not needed")
    print_text(
        f"so many can promise a false-alarm rate of {report.least_rate:.4f} at best; "
        f"judge pictures by it: `lookalike anomaly score IMAGE`; how well that goes: "
        f"`lookalike anomaly evaluate`"
    )


def _score_line(found: Anomaly, drawn: Path | None) -> dict[str, object]:
    """Return the score of one image as a JSON line."""
    return {
        "path": str(found.path),
        "uri": full(found.path).as_uri(),
        **found.line(),
        **({} if drawn is None else {"overlay": str(drawn)}),
    }


def _print_score(found: Anomaly, drawn: Path | None) -> None:
    print_text(f"{display(found.path)}: {verdict_text(found)}")
    if found.anomalous:
        print_text("  " + ", ".join(f"{name} {value:.1f}" for name, value in found.parts.items()))
    if found.known:
        print_text("  it is one of the normal pictures, and was judged by the others")
    for box in found.boxes[:3]:
        print_text(f"  at {box_text(box)}")
    if drawn is not None:
        print_text(f"  {display(drawn)}")


def _print_evaluation(found: AnomalyEvaluation) -> None:
    print_text(
        f"{counted(found.normal, 'normal image')}, {found.defective:,} with defects; "
        f"promised: {found.false_alarm:.4g} false alarms"
    )
    for count, total, what, interval in (
        (found.false_alarms, found.normal, "normal ones", found.false_alarm_interval),
        (found.found, found.defective, "defects", found.found_interval),
    ):
        print_text(
            f"called anomalous: {count:,} of the {total:,} {what} "
            f"({count / total:.4f}, 95 % Wilson interval {interval.low:.4f} … {interval.high:.4f})"
        )
    figures: list[tuple[str, Figure | None]] = [
        ("image AUROC", found.image_auroc),
        ("pixel AUROC", found.pixel_auroc),
        ("PRO up to 0.3 false positives", found.pro),
        ("peak on the defect", found.peak_on_defect),
    ]
    print_table(
        ("figure", "value", "95 % interval"),
        [
            (name, figure.value, f"{figure.interval.low:.4f} … {figure.interval.high:.4f}")
            for name, figure in figures
            if figure is not None
        ],
    )
    print_table(
        ("defect", "images", "called anomalous", "image AUROC"),
        [(one.kind, one.images, one.anomalous, one.auroc) for one in found.kinds],
    )
    if not found.masks:
        print_text("no masks were found, so how well defects are located is not measured: --masks names them")
    elif found.masks < found.defective:
        print_text(f"masks: {found.masks:,} of the {found.defective:,} images with defects have one")
