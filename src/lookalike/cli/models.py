"""The command models: the embedders that can be named."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import cache_option, format_option
from lookalike.cli.output import print_line, print_table

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@format_option
@cache_option
def models(form: str, cache: Path) -> None:
    """List the embedders, and whether their weights are here.

    Others are named by their family: onnx:PATH, timm:NAME, timm-inspect:NAME, open_clip:ARCH/TAG,
    sentence-transformers:NAME. Nothing is fetched to find out what is here.
    """
    from lookalike.embedders.registry import known_cards

    found = known_cards(cache).values()
    if form == "jsonl":
        for card in found:
            line = asdict(card)
            del line["groups"]
            print_line(line)
        return
    print_table(
        ("model", "reads", "dimensions", "parameters", "here", "images/s", "licence", "what it is"),
        [
            (
                card.name,
                ", ".join(card.capabilities),
                card.dimension,
                card.parameters,
                "yes" if card.here else "no",
                None if card.images_per_second is None else round(card.images_per_second),
                card.licence,
                card.summary,
            )
            for card in found
        ],
    )
