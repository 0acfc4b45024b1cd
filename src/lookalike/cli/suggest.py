"""The command suggest: which images to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.options import (
    Settings,
    collection_option,
    format_option,
    global_options,
    option,
    parse_where,
    using_option,
    where_option,
)
from lookalike.cli.output import counted, print_line, print_table, print_text, short_path
from lookalike.cli.progress_bar import progress_bar
from lookalike.file_names import display

if TYPE_CHECKING:
    from lookalike.active_learning.suggest import Suggestions


@click.command()
@click.option("--by", required=True, metavar="FIELD", help="The field that is to hold the label.")
@option("-n", "count", type=int, default=20, metavar="N", help="How many images.")
@where_option
@option("--seed", type=int, default=0, metavar="N", help="Of what is drawn where there are very many.")
@using_option
@collection_option
@format_option
@global_options
def suggest(
    settings: Settings,
    by: str,
    count: int,
    conditions: tuple[str, ...],
    seed: int,
    using: str | None,
    collection: str,
    form: str,
) -> None:
    """Suggest which images to label next.

    Uncertain, typical and different ones: they are chosen among the images that have no value of the field,
    such that these are covered best.
    """
    from lookalike.active_learning.suggest import suggestion_lines

    with settings.open() as database, progress_bar("choosing", quiet=settings.quiet) as progress:
        found = database[collection].suggest(
            by, count=count, where=parse_where(conditions) or None, using=using, seed=seed, progress=progress
        )
    if form == "jsonl":
        for line in suggestion_lines(found):
            print_line(line)
    else:
        _print_suggestions(found)


def _print_suggestions(found: Suggestions) -> None:
    drawn = "" if found.drawn == found.unlabelled else f", of which {found.drawn:,} were looked at"
    compared = "" if found.compared is None else f", of which {found.compared:,} were compared with"
    print_text(
        f"{counted(found.unlabelled, 'image')} without a value of {display(found.by)}{drawn}; "
        f"{found.labelled:,} with one{compared}"
    )
    if found.series is not None:
        print_text(f"there are series ({display(found.series)}): one image of each at most")
    rows = []
    for each in found.images:
        nearest = each.nearest
        rows.append(
            (
                short_path(each.record.uri),
                each.covers,
                "" if each.uncertainty is None else each.uncertainty,
                "" if nearest is None else nearest.record.fields[found.by],
                "" if nearest is None else nearest.similarity,
            )
        )
    print_table(("label this", "stands for", "uncertainty", f"nearest {found.by}", "similarity"), rows)
