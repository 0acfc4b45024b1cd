"""The command drift: tests whether new images are still what a collection was judged on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.messages import warn
from lookalike.cli.options import (
    Settings,
    collection_option,
    format_option,
    global_options,
    model_options,
    option,
    parse_where,
    read_paths,
    using_option,
    where_option,
)
from lookalike.cli.output import (
    SHOWN_FINDINGS,
    counted,
    print_line,
    print_rest,
    print_table,
    print_text,
    short_path,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.cli.reports import report_option, try_to_write
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.drift.drift import Drift, Driver


@click.command()
@click.argument("new", nargs=-1, metavar="[NEW]...")
@click.option(
    "--new",
    "new_conditions",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Instead of NEW: the images of the collection whose field has this value are the new ones.",
)
@where_option
@click.option(
    "--by", metavar="FIELD", help="The field that holds the label, to tell how its mixture changed."
)
@click.option(
    "--group",
    metavar="FIELD",
    help="Exchange images with the same value of this field together; `series`, where there is no such "
    "field: those of one series, as names and times tell them.",
)
@click.option(
    "--group-by", metavar="REGEX", help="Make a field of what this finds in the paths of NEW, as in index."
)
@click.option(
    "--labels",
    type=click.Choice(["auto", "folders", "json", "table", "xml", "yolo", "none"]),
    default="auto",
    help="Where labels of NEW come from, as in index.",
)
@option(
    "--false-alarm",
    type=float,
    default=0.01,
    metavar="R",
    help="How often images that are like the collection may be called different.",
)
@option("--seed", type=int, default=0, metavar="N", help="Of the permutations.")
@click.option("--fail", is_flag=True, help="Exit with code 1 where the new images are different.")
@report_option("Write all of it, with pictures, to one HTML file that opens offline.")
@click.option("--all", "everything", is_flag=True, help="Show all images that speak for a difference.")
@using_option
@collection_option
@format_option
@global_options
@model_options
def drift(
    settings: Settings,
    new: tuple[str, ...],
    new_conditions: tuple[str, ...],
    conditions: tuple[str, ...],
    by: str | None,
    group: str | None,
    group_by: str | None,
    labels: str,
    false_alarm: float,
    seed: int,
    report: Path | None,
    using: str | None,
    collection: str,
    form: str,
    *,
    fail: bool,
    everything: bool,
) -> int:
    """Test whether new images are still as the collection's.

    NEW are folders or images, and `-` reads paths from stdin, one a line. A two-sample test by permutation
    tells whether they are drawn from one distribution with the collection's; the images that speak against it
    are shown.
    """
    with settings.open() as database:
        handle = database[collection]
        with progress_bar("comparing", quiet=settings.quiet) as progress:
            found = handle.drift(
                read_paths(new) if new else None,
                new_where=parse_where(new_conditions) or None,
                where=parse_where(conditions) or None,
                by=by,
                group=group,
                using=using,
                labels=labels,
                group_by=group_by,
                false_alarm=false_alarm,
                seed=seed,
                progress=progress,
            )
        trouble = None
        if report is not None:
            from lookalike.report.drift_report import write_drift_report

            trouble = try_to_write(
                write_drift_report, report, found, handle, using=using, quiet=settings.quiet
            )
    if form == "jsonl":
        from lookalike.drift.drift import drift_lines

        for line in drift_lines(found):
            print_line(line)
    else:
        _print_drift(found, None if everything else SHOWN_FINDINGS)
    if trouble is not None:
        raise trouble
    if report is not None:
        warn(f"the report is in {report}", quiet=settings.quiet)
    return int(fail and found.drifted)


def _print_drift(found: Drift, shown: int | None) -> None:
    print_text(found.text)
    said = [f"{counted(found.images, 'new image')} against {found.reference:,} of the collection"]
    if found.left_out:
        said.append(f"{counted(found.left_out, 'image')} not drawn, since a sample suffices")
    if found.known:
        said.append(f"{counted(found.known, 'new image')} in the collection already, left out there")
    print_text("; ".join(said))
    if found.by is not None:
        print_table(
            (found.by, "collection", "new, by its nearest"),
            [(each.label, each.before, each.now) for each in found.shares[:shown]],
        )
        print_rest(len(found.shares), shown, "labels")
    _print_images(found.drivers, "new image that is most unlike the collection", shown)
    _print_images(found.missing, "image of the collection that is most unlike the new ones", shown)
    if found.skipped:
        rows = [(display(each.path), each.reason) for each in found.skipped[:shown]]
        print_table(("skipped", "because"), rows)
        print_rest(len(found.skipped), shown)


def _print_images(images: Sequence[Driver], heading: str, shown: int | None) -> None:
    print_table(
        (heading, "witness", "nearest", "similarity"),
        [
            (
                short_path(each.record.uri),
                each.witness,
                short_path(each.nearest.record.uri),
                each.nearest.similarity,
            )
            for each in images[:shown]
        ],
    )
