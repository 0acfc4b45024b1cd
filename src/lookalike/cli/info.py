"""The command info: the vectors of a collection, its fields and their values."""

from __future__ import annotations

from dataclasses import asdict
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
)
from lookalike.file_names import display

if TYPE_CHECKING:
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.stores.attached.description import Attachment
    from lookalike.stores.attached.foreign import Tally
    from lookalike.types import VectorStatus


@click.command()
@collection_option
@format_option
@global_options
def info(settings: Settings, collection: str, form: str) -> None:
    """Describe a collection: vectors, fields and values.

    Each field comes with how often each of its values stands.
    """
    with settings.open() as database:
        handle = database[collection]
        found, fitting, vectors = handle.info(), handle.fitting(), handle.vectors.status()
        values = {**{field: [] for field in found.fields}, **handle.values()}
        since = handle.added_since_fit()
        url = database.url
        table = next((one for one in database.attached() if one.name == found.name), None)
        tally = None if table is None else database.tally(found.name)
    if form == "jsonl":
        print_line(
            {
                "type": "collection",
                "store": url,
                "cache": str(settings.cache),
                **collection_line(found),
                "vectors": [_vector_line(each) for each in vectors],
                "approximation": approximation_line(found.approximation),
                **({} if table is None else {"table": table.table, "writable": table.writable}),
                **({} if tally is None else {"left_out": {one.reason: one.count for one in tally.left_out}}),
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
            *(_fit_rows(fitting, since) if fitting is not None else ()),
            *(_table_rows(table, tally) if table is not None and tally is not None else ()),
            ("cache", settings.cache),
        ],
    )
    columns = ("vector", "state", "model", "dimensions", "numbers", "approximate index")
    print_table(columns, map(_vector_row, vectors))
    rows = []
    for field, counts in values.items():
        shown = ", ".join(f"{text_of(value)} {images}" for value, images in counts[:5])
        images = sum(each.images for each in counts)
        rows.append((field, images, len(counts), shown + (", …" if len(counts) > 5 else "")))
    if rows:
        print_table(("field", "images", "values", "most frequent"), rows)


def _table_rows(table: Attachment, tally: Tally) -> list[tuple[str, str]]:
    changes = "corrections and removals are written" if table.writable else "it is only read"
    left_out = (("left out", str(one)) for one in tally.left_out)
    return [("attached", f"the table {table.table}, {changes}"), *left_out]


def _vector_line(status: VectorStatus) -> dict[str, object]:
    vector = asdict(status.vector)
    return {**vector, "default": status.default, "lacking": status.lacking, "bytes": status.bytes}


def _vector_row(status: VectorStatus) -> tuple[object, ...]:
    vector = status.vector
    lacking = f"not complete: {counted(status.lacking, 'image')} to go"
    state = lacking if not vector.ready else "default" if status.default else "ready"
    index = approximation_text(vector.approximation) if vector.approximation else "none"
    size = f"{status.bytes / 1e6:,.1f} MB" if status.bytes >= 1e5 else f"{status.bytes / 1e3:,.1f} kB"
    return vector.name, state, vector.space.embedder, vector.space.dimension, size, index


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
