"""The command index: adds images to a collection, and brings it up to date."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

from lookalike.cli.options import (
    Settings,
    collection_option,
    format_option,
    global_options,
    max_pixels_option,
    model_options,
    read_paths,
)
from lookalike.cli.output import (
    SHOWN,
    approximation_text,
    counted,
    print_line,
    print_rest,
    print_table,
    print_text,
    short_name,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.ingest.removals import disagree

if TYPE_CHECKING:
    from lookalike.cli.progress_bar import Bar
    from lookalike.ingest.index_report import IndexReport
    from lookalike.ingest.removals import Agree, Removal


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@collection_option
@click.option(
    "--labels",
    type=click.Choice(["auto", "folders", "json", "table", "xml", "yolo", "none"]),
    default="auto",
    help="Where labels come from: the folders' names, a JSON file an image, a table (metadata.csv, .tsv, "
    ".jsonl, .parquet or COCO), XML (Pascal VOC, CVAT), YOLO's text files, nowhere, or (auto) whichever of "
    "these is there.",
)
@click.option(
    "--group-by",
    metavar="REGEX",
    help="Look for this in each image's path below PATH, and make a field of what it finds: of the name of a "
    "group (?P<part>…), else `group`; for --group of evaluate.",
)
@click.option(
    "--encoding",
    metavar="NAME",
    help="The encoding of label files that are no Unicode: cp949, gb18030, cp932, big5, cp1252 … By default "
    "it is guessed, and said.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="The embedder of a new collection, or with --as of a further vector, see `lookalike models`.",
)
@click.option(
    "--as",
    "vector",
    metavar="NAME",
    help="What the vectors of --model are called, beside others of the same images. [default: image]",
)
@click.option(
    "--range",
    "levels",
    metavar="RANGE",
    help="Which samples become black and white in pictures of more than 8 bits: auto, full, or LOW:HIGH such "
    "as 0:4095; of a new collection, by default auto.",
)
@click.option(
    "--frames",
    metavar="HOW",
    help="Take frames of films, too: one a `scene`, or `every:1s`, `every:500ms`, `every:2min`. By default "
    "films are left out.",
)
@click.option(
    "--path-base",
    metavar="FOLDER",
    help="What relative paths of images are relative to, for applications over Elasticsearch: a folder above "
    "PATH. [default: PATH]",
)
@click.option(
    "--index-name",
    metavar="NAME",
    help="What applications call the collection's index, in a store on Elasticsearch. [default: "
    "lookalike-COLLECTION]",
)
@click.option(
    "--manifest",
    metavar="FILE|URI",
    help="Take the objects below PATH from this list, and do not ask the server for one: a key a line, a CSV "
    "or Parquet table, or the manifest.json of an S3 Inventory.",
)
@click.option(
    "--workers",
    type=click.Choice(["ray"]),
    help="Embed on the cluster of RAY_ADDRESS, or with processes of this machine where there is none.",
)
@click.option(
    "--actors",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes of --workers do so, a model each. [default: one for each GPU, else each CPU]",
)
@click.option("--prune", is_flag=True, help="Remove what is gone: records below PATH whose file is missing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before --prune removes more than a tenth.")
@click.option(
    "--prune-empty",
    is_flag=True,
    help="Prune also where a folder is empty that had images, as that of a disk is which is not mounted.",
)
@click.option(
    "--verify", is_flag=True, help="Read the files whose size and date are the same, and compare their bytes."
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files that match, as in .gitignore, relative to PATH: bad, '*.png', /raw/**/old. May be "
    "given several times.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Take only images that match; what the pattern names is taken although it is left out otherwise: "
    "ground_truth, .hidden. May be given several times; --exclude wins.",
)
@click.option(
    "--approximate",
    is_flag=True,
    help="Then build the approximate index, or bring it up to date, and measure how much it finds.",
)
@max_pixels_option
@format_option
@global_options
@model_options
def index(
    settings: Settings,
    paths: tuple[str, ...],
    collection: str,
    labels: str,
    group_by: str | None,
    encoding: str | None,
    model: str | None,
    vector: str | None,
    levels: str | None,
    frames: str | None,
    path_base: str | None,
    index_name: str | None,
    manifest: str | None,
    exclude: tuple[str, ...],
    include: tuple[str, ...],
    max_pixels: int,
    workers: Literal["ray"] | None,
    actors: int | None,
    form: str,
    *,
    prune: bool,
    yes: bool,
    prune_empty: bool,
    verify: bool,
    approximate: bool,
) -> int:
    """Add the images below PATH to a collection, or update it.

    Files that did not change cost a look at their date; the record of a file that was moved goes with it. `-`
    reads paths from stdin, one a line.
    """
    from lookalike.images.levels import Range

    named = read_paths(paths)
    with settings.open() as database:
        if approximate:
            database.check_approximate()
        with progress_bar("embedding", quiet=settings.quiet, unit="images") as progress:
            report = database[collection].index(
                named,
                model=model,
                vector=vector,
                levels=None if levels is None else Range.parse(levels),
                labels=labels,
                group_by=group_by,
                encoding=encoding,
                prune=prune or prune_empty,
                prune_empty=prune_empty,
                agree=_agree(progress, yes=yes),
                verify=verify,
                exclude=exclude,
                include=include,
                max_pixels=max_pixels,
                frames=frames,
                path_base=path_base,
                index_name=index_name,
                manifest=manifest,
                workers=workers,
                actors=actors,
                progress=progress,
            )
        # What was indexed is told before, as it stays whatever becomes of the approximate index.
        if form == "jsonl":
            _print_report_lines(report)
        else:
            _print_report(report)
            if vector is not None and database[collection].info().vector(vector).ready:
                print_text(f"the vector {vector} is there for all images: `--using {vector}` asks it")
        if approximate:
            with progress_bar("building the approximate index", quiet=settings.quiet):
                found = database[collection].vectors.build_index(vector)
            if form == "jsonl":
                print_line({"type": "approximation", **asdict(found)})
            else:
                print_text(f"approximate index: {approximation_text(found)}")
    return 0 if (report.images or report.removed) and not report.labels_failed else 1


def _agree(progress: Bar, *, yes: bool) -> Agree:
    """Return the question whether so many records may be removed, as `index` takes it."""

    def agree(removal: Removal) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            return disagree(removal)
        question = (
            f"The files of {removal.count:,} of {removal.total:,} records of {removal.collection!r} are "
            "gone: remove these records?"
        )
        with progress.hidden():
            said = click.confirm(question, err=True)
        if not said:
            print_text("nothing was removed")
        return said

    return agree


def _print_report(report: IndexReport) -> None:
    if report.label_trouble:
        print_text(report.label_trouble)
    counts = [
        ("added", report.added),
        ("updated", report.updated),
        ("relabelled", report.relabelled),
        ("unchanged", report.unchanged),
        ("moved", report.moved),
        ("removed", report.removed),
        ("skipped", report.count("skipped")),
        ("without a label", report.count("unlabelled")),
    ]
    said = ", ".join(f"{count:,} {what}" for what, count in counts if count) or "nothing to do"
    labels = " and ".join(sorted(set(report.labels)))
    read = f"labels: {labels}; " if labels else ""
    print_text(f"{report.collection}: {said} ({read}{report.seconds:.1f} s)")
    if report.verified:
        said = f"{report.differing:,}" if report.differing else "none"
        print_text(
            f"{counted(report.verified, 'file')} of the same size and date read: {said} with other bytes"
        )
    if report.films:
        print_text(f"images of {counted(report.films, 'film')} are frames")
    if report.embedded:
        print_text(f"{counted(report.embedded, 'image')} went through the model")
    for each in report.left_out:
        example = short_name(each.example)
        print_text(f"left out: {counted(each.count, 'image')} {each.reason}, such as {example}")
    for remark in report.remarks:
        print_text(f"{short_name(remark.path)}: {remark.text}" if remark.path else remark.text)
    if report.skipped:
        rows = [(short_name(skipped.path), skipped.reason) for skipped in report.skipped[:SHOWN]]
        print_table(("skipped", "because"), rows)
        print_rest(report.count("skipped"), SHOWN)
    for heading, name in (
        ("indexed without a label", "unlabelled"),
        ("one of several of its name, found for its label by the folders", "told_apart"),
        ("corrected or confirmed before, and different now: what the files say counts", "overruled"),
    ):
        if paths := getattr(report, name):
            print_table((heading,), [(short_name(path),) for path in paths[:SHOWN]])
            print_rest(report.count(name), SHOWN)


def _print_report_lines(report: IndexReport) -> None:
    if report.label_trouble:
        failed = report.labels_failed
        print_line({"type": "label_trouble", "text": report.label_trouble, "all_failed": failed})
    for skipped in report.skipped:
        print_line({"type": "skipped", **asdict(skipped)})
    for left_out in report.left_out:
        print_line({"type": "left_out", **asdict(left_out)})
    for remark in report.remarks:
        print_line({"type": "remark", **asdict(remark)})
    for path in report.unlabelled:
        print_line({"type": "unlabelled", "path": path})
    for path in report.told_apart:
        print_line({"type": "told_apart", "path": path})
    for path in report.overruled:
        print_line({"type": "overruled", "path": path})
    summary = asdict(report)
    for name in ("skipped", "unlabelled", "told_apart", "overruled", "remarks"):
        summary[name] = len(summary[name]) + report.beyond.get(name, 0)
    del summary["beyond"]
    summary["left_out"] = sum(each.count for each in report.left_out)
    print_line({"type": "summary", **summary})
