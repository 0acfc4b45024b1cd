"""The command compare: ranks embedders, metrics and k by cross-validation."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import (
    Settings,
    collection_options,
    option,
)
from lookalike.cli.output import (
    counted,
    print_left_out,
    print_left_out_lines,
    print_line,
    print_table,
    print_text,
)
from lookalike.cli.progress_bar import progress_bar
from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.comparison.comparison import Comparison, RankedCandidate


@click.command()
@click.option("--by", required=True, metavar="FIELD", help="The field that holds the label.")
@option(
    "--models",
    metavar="NAME,…",
    help="The embedders, see `lookalike models`.",
    default_text="those that are part of lookalike",
)
@option("-k", "ks", default="1,5", metavar="N,…", help="Numbers of neighbours.")
@click.option(
    "--finetune",
    multiple=True,
    metavar="timm:NAME",
    help="Train this network end to end in the same folds; may be given several times.",
)
@option(
    "--epochs",
    type=int,
    metavar="N",
    help="That it is trained for at most.",
    default_text="20, and for few images as many as 500 updates take, at most 100",
)
@option("--seed", type=int, default=0, metavar="N", help="Of the folds, and of what is drawn in training.")
@collection_options
def compare(
    settings: Settings,
    by: str,
    models: str | None,
    ks: str,
    finetune: tuple[str, ...],
    epochs: int | None,
    seed: int,
    collection: str,
    form: str,
) -> None:
    """Rank embedders, metrics and k by cross-validation.

    Each image of the collection is held out once, in the same folds for all; the collection stays as it is.
    With --finetune, networks that are trained in each fold are ranked among them.
    """
    numbers = [_number(k) for k in ks.split(",")]
    names = [name.strip() for name in models.split(",")] if models is not None else []
    if epochs is not None and not finetune:
        raise InvalidArgument("--epochs says nothing without --finetune")
    with settings.open() as database, progress_bar("comparing", quiet=settings.quiet) as progress:
        comparison = database[collection].compare(
            by,
            models=names,
            ks=numbers,
            finetune=finetune,
            epochs=epochs,
            seed=seed,
            progress=progress,
        )
    if form == "jsonl":
        _print_comparison_lines(comparison)
    else:
        _print_comparison(comparison)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidArgument(f"-k {text!r}: write whole numbers, with commas between them") from error


def _print_comparison(comparison: Comparison) -> None:
    first = comparison.places[0]
    trained = any(place.fine_tuned for place in comparison.places)
    print_text(
        f"{comparison.folds}-fold by {comparison.by}, {counted(first.images, 'image')}, near-duplicates kept "
        f"together, metrics refitted {'and networks trained ' if trained else ''}in each fold"
    )
    print_table(
        ("", "model", "metric", "k", "accuracy", "95 % Wilson", "macro F1", "training min", "images/s"),
        [
            (
                rank,
                place.model,
                place.metric,
                place.k,
                place.accuracy,
                f"{place.interval.low:.4f} … {place.interval.high:.4f}",
                place.macro_f1,
                f"{place.training_seconds / 60:.2f}",
                "" if place.images_per_second is None else f"{place.images_per_second:.1f}",
            )
            for rank, place in enumerate(comparison.places, 1)
        ],
    )
    for rank in _tested(comparison.places):
        test = comparison.places[rank - 1].test
        if test is not None:
            differ = "differ" if test.p_value < 0.05 else "may be equally good"
            print_text(
                f"1 and {rank} {differ}: only 1 is right on {counted(test.first_only, 'image')}, only {rank} "
                f"on {test.second_only:,} (McNemar's exact test, p = {test.p_value:.4f})"
            )
    print_left_out(comparison.left_out)


def _tested(places: Sequence[RankedCandidate]) -> list[int]:
    """Return the ranks tested against the first: the second, trained networks, the best other."""
    trained = [place.fine_tuned for place in places]
    told = {2} | {rank for rank, each in enumerate(trained, 1) if each}
    if trained[0]:
        told.add(1 + trained.index(False))
    return sorted(rank for rank in told if 1 < rank <= len(places))


def _print_comparison_lines(comparison: Comparison) -> None:
    test = comparison.test
    print_line(
        {
            "type": "summary",
            "by": comparison.by,
            "folds": comparison.folds,
            "images": comparison.places[0].images,
            "left_out": len(comparison.left_out),
            "test": None if test is None else {"method": "McNemar, exact", **asdict(test)},
        }
    )
    for rank, place in enumerate(comparison.places, 1):
        line = {"type": "place", "rank": rank, **asdict(place), "accuracy": place.accuracy}
        line["interval"] = list(place.interval)
        # JSON has no NaN.
        line["images_per_second"] = place.images_per_second
        if place.images_per_second is None:
            line["milliseconds"] = None
        print_line(line)
    print_left_out_lines(comparison.left_out)
