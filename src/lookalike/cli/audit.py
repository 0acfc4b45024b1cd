"""The command audit: looks for wrong labels, near-duplicates, outliers and pictures of poor quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.options import (
    Settings,
    collection_options,
    option,
    using_option,
)
from lookalike.cli.output import (
    SHOWN_FINDINGS,
    counted,
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
from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from lookalike.audit.findings import Audit, Duplicates
    from lookalike.audit.picture_quality import PictureQuality
    from lookalike.types import Neighbour, Scalar


@click.command()
@click.option(
    "--by",
    metavar="FIELD",
    help="The field that holds the label; without it all is looked for that needs no label.",
)
@option(
    "--split",
    metavar="FIELD",
    help="The field that tells training images from test images.",
    default_text="one with such names for values",
)
@option("-k", type=int, default=5, metavar="N", help="How many neighbours vote, as evidence.")
@click.option("--all", "everything", is_flag=True, help="Show all of every list.")
@report_option("Write a report with pictures, one HTML file that opens offline.")
@using_option
@collection_options
def audit(
    settings: Settings,
    by: str | None,
    split: str | None,
    k: int,
    everything: bool,
    report: Path | None,
    using: str | None,
    collection: str,
    form: str,
) -> None:
    """Look for wrong labels, duplicates and poor pictures.

    Also for outliers and small classes. Each label is held against the nearest other images, in a fitted
    collection with the metric fitted anew in folds, and each finding comes with the images that speak for it.
    """
    from lookalike.audit.findings import audit_lines

    with settings.open() as database:
        handle = database[collection]
        fields = handle.info().fields
        with progress_bar("auditing", quiet=settings.quiet) as progress:
            found = handle.audit(by, split=split, using=using, k=k, look=True, progress=progress)
        trouble = None
        if report is not None:
            from lookalike.report.audit_report import write_audit_report

            trouble = try_to_write(
                write_audit_report, report, found, handle, using=using, quiet=settings.quiet
            )
    if form == "jsonl":
        for line in audit_lines(found):
            print_line(line)
    else:
        _print_audit(found, fields, None if everything else SHOWN_FINDINGS)
        if report is not None and trouble is None:
            print_text(f"report: {display(report)}")
    if trouble is not None:
        raise trouble


def _print_audit(found: Audit, fields: Collection[str], shown: int | None) -> None:
    if found.by is None:
        print_text(f"audit without labels: {counted(found.images, 'image')}")
        if fields:
            names = ", ".join(display(name) for name in sorted(fields))
            print_text(f"--by FIELD holds labels against the neighbours, too: the fields are {names}")
    else:
        print_text(
            f"audit by {display(found.by)}: {counted(found.images, 'image')}, answers by {found.method}"
        )
        _print_suspects(found, found.by, shown)
    if found.duplicates:
        _print_duplicates(found, found.duplicates, shown)
    elif found.by is None:
        print_text("no near-duplicates")
    if found.chains:
        from lookalike.vectors.near_duplicates import chains_text

        print_text(chains_text(found.chains))
    straddling = [group for group in found.straddling if group not in found.duplicates[:shown]]
    if straddling:
        print_text(
            f"near-duplicates in two values of {display(str(found.split))} at once, beside those above:"
        )
        _print_duplicates(found, straddling, shown)
    if found.outliers:
        print_table(
            ("outlier", *([] if found.by is None else [found.by]), "deviations", "nearest", "similarity"),
            [
                (
                    short_path(each.record.uri),
                    *([] if found.by is None else [each.label]),
                    each.deviation,
                    short_path(each.nearest.record.uri),
                    each.nearest.similarity,
                )
                for each in found.outliers[:shown]
            ],
        )
        print_rest(len(found.outliers), shown, "outliers")
    elif found.by is None:
        print_text("no outliers")
    if found.small_classes:
        print_table(
            ("too small to judge", "images", "right answers may be as few as"),
            [(each.label, each.count, each.floor) for each in found.small_classes[:shown]],
        )
        print_rest(len(found.small_classes), shown, "small classes")
    print_left_out(found.left_out, shown, what="images left out")
    if found.pictures is not None:
        _print_pictures(found.pictures, shown)


def _print_pictures(pictures: PictureQuality, shown: int | None) -> None:
    kinds = [(kind, pictures.count(kind.name)) for kind in pictures.kinds]
    if any(count for _, count in kinds):
        rows = [(kind.name, count, kind.measure, kind.threshold) for kind, count in kinds if count]
        print_table((f"of {pictures.measured:,} pictures", "are so", "measure", "threshold"), rows)
    else:
        names = ", ".join(kind.name for kind, _ in kinds)
        print_text(f"none of {counted(pictures.measured, 'picture')} is {names}")
    for kind, count in kinds:
        if count:
            some = [each for each in pictures.findings if each.kind == kind.name]
            rows_of = [(short_path(each.record.uri), each.value) for each in some[:shown]]
            print_table((kind.name, "measure"), rows_of)
            print_rest(count, shown, f"{kind.name} pictures")
    print_left_out(pictures.unread, shown, heading="not measured", what="pictures not measured")


def _print_suspects(found: Audit, by: str, shown: int | None) -> None:
    contradicted = found.contradicted
    print_text(
        f"{counted(len(contradicted), 'label')} of {len(found.suspects):,} contradicted by the neighbours"
    )
    if contradicted:
        print_table(
            ("suspect", by, "more like", "score", "neighbours"),
            [
                (
                    short_path(each.record.uri),
                    each.label,
                    each.suggested,
                    each.score,
                    _evidence(each.neighbours, by),
                )
                for each in contradicted[:shown]
            ],
        )
        print_rest(len(contradicted), shown, "suspects")


def _print_duplicates(found: Audit, groups: Sequence[Duplicates], shown: int | None) -> None:
    rows = []
    for group in groups[:shown]:
        values: list[tuple[Scalar | None, ...]] = [group.labels] if found.by is not None else []
        values += [group.splits] if found.split else []
        what = [
            what for what, so in (("labels differ", group.disagree), ("splits differ", group.straddle)) if so
        ]
        names = [short_path(record.uri) for record in group.records]
        rows.append(
            (
                ", ".join(names[:2]) + (f" and {len(names) - 2:,} more" if len(names) > 2 else ""),
                *(_distinct(each) for each in values),
                group.similarity,
                ", ".join([*(["same bytes"] if group.identical else []), *what]),
            )
        )
    heads = [name for name in (found.by, found.split) if name is not None]
    print_table(("near-duplicates", *heads, "similarity", ""), rows)
    print_rest(len(groups), shown, "groups of near-duplicates")


def _distinct(values: Sequence[Scalar | None]) -> str:
    return ", ".join(dict.fromkeys(text_of(value) for value in values if value is not None))


def _evidence(neighbours: Sequence[Neighbour], by: str) -> str:
    """Return the labels of the neighbours and the nearest of them."""
    if not neighbours:
        return ""
    counts: dict[str, int] = {}
    for neighbour in neighbours:
        label = text_of(neighbour.record.fields[by])
        counts[label] = counts.get(label, 0) + 1
    votes = ", ".join(f"{count} {label}" for label, count in counts.items())
    return f"{votes}; nearest {short_path(neighbours[0].record.uri)}"
