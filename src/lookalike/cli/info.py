"""The command info: the space of a collection, its fields and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, collection_option, format_option, global_options
from lookalike.cli.output import (
    approximation_line,
    approximation_text,
    collection_line,
    counted,
    print_line,
    print_table,
    text_of,
    vector_text,
)
from lookalike.file_names import display

if TYPE_CHECKING:
    from lookalike.metric_learning.fitted import Fitting


@click.command()
@collection_option
@format_option
@global_options
def info(settings: Settings, collection: str, form: str) -> None:
    """Describe a collection: its space, its fields and how often each value stands."""
    with settings.open() as database:
        handle = database[collection]
        found, fitting = handle.info(), handle.fitting()
        values = {**{field: [] for field in found.fields}, **handle.values()}
        since = handle.added_since_fit()
        url = database.url
    if form == "jsonl":
        print_line(
            {
                "type": "collection",
                "store": url,
                "cache": str(settings.cache),
                **collection_line(found),
                "approximation": approximation_line(found.approximation),
            }
        )
        if fitting is not None:
            print_line({"type": "fit", **_fit_line(fitting), "images_since": since})
        for field, counts in values.items():
            print_line(
                {
                    "type": "field",
                    "field": field,
                    "images": sum(each.images for each in counts),
                    "values": len(counts),
                }
            )
        return
    print_table(
        ("", ""),
        [
            ("store", url),
            ("collection", found.name),
            ("images", str(found.count)),
            ("model", found.space.embedder),
            ("dimensions", str(found.space.dimension)),
            ("fingerprint", found.space.embedder_fingerprint),
            ("metric", found.space.metric_fingerprint),
            ("vectors", "; ".join(map(vector_text, found.vectors))),
            ("default vector", found.default),
            *(_fit_rows(fitting, since) if fitting is not None else ()),
            ("approximate index", approximation_text(found.approximation) if found.approximation else "none"),
            ("cache", settings.cache),
        ],
    )
    rows = []
    for field, counts in values.items():
        shown = ", ".join(f"{text_of(value)} {images}" for value, images in counts[:5])
        images = sum(each.images for each in counts)
        rows.append((field, images, len(counts), shown + (", …" if len(counts) > 5 else "")))
    if rows:
        print_table(("field", "images", "values", "most frequent"), rows)


def _fit_line(fitting: Fitting) -> dict[str, object]:
    return {
        "by": fitting.by,
        "at": fitting.at,
        "images": fitting.images,
        "classes": fitting.classes,
        "dimension": fitting.metric.dimension,
        "fingerprint": fitting.metric.fingerprint,
    }


def _fit_rows(fitting: Fitting, since: int) -> list[tuple[str, str]]:
    learned = f"{counted(fitting.images, 'image')} of {fitting.classes} classes"
    return [
        ("fitted", f"by {display(fitting.by)}, {fitting.at}, from {learned}"),
        ("added since the fit", str(since)),
    ]
