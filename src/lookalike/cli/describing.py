"""Commands that describe collections and models: collections, info, models."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lookalike.cli.options import Settings, cache_option, collection_option, format_option, global_options
from lookalike.cli.output import (
    approximation_line,
    approximation_text,
    counted,
    print_line,
    print_table,
    print_text,
    text_of,
)
from lookalike.file_names import display

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.metric_learning.fitted import Fitting
    from lookalike.types import CollectionInfo


@click.command()
@format_option
@global_options
def collections(settings: Settings, form: str) -> None:
    """List the collections of a store."""
    with settings.open() as session:
        found = session.store.collections()
        place = session.store.url
    if form == "jsonl":
        for collection in found:
            print_line(_collection_line(collection))
    elif found:
        columns = ("collection", "images", "model", "dimensions", "fields")
        print_table(
            columns,
            [(c.name, c.count, c.space.embedder, c.space.dimension, ", ".join(c.fields)) for c in found],
        )
    else:
        print_text(f"no collections in {place}; `lookalike index PATH` makes one")


def _collection_line(collection: CollectionInfo) -> dict[str, object]:
    return {
        "collection": collection.name,
        "images": collection.count,
        "fields": list(collection.fields),
        **asdict(collection.space),
    }


@click.command()
@collection_option
@format_option
@global_options
def info(settings: Settings, collection: str, form: str) -> None:
    """Describe a collection: its space, its fields and how often each value stands."""
    with settings.open() as session:
        found = session.store.collection(collection)
        fitting = session.fitting(collection)
        since = 0
        values: dict[str, dict[object, int]] = {field: {} for field in found.fields}
        for records, _ in session.store.scan(collection):
            for record in records:
                since += fitting is not None and record.digest not in fitting.digests
                for field, value in record.fields.items():
                    counts = values.setdefault(field, {})
                    counts[value] = counts.get(value, 0) + 1
        url = session.store.url
    if form == "jsonl":
        print_line(
            {
                "type": "collection",
                "store": url,
                "cache": str(settings.cache),
                **_collection_line(found),
                "approximation": approximation_line(found.approximation),
            }
        )
        if fitting is not None:
            print_line({"type": "fit", **_fit_line(fitting), "images_since": since})
        for field, counts in values.items():
            print_line(
                {"type": "field", "field": field, "images": sum(counts.values()), "values": len(counts)}
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
            ("approximate index", approximation_text(found.approximation) if found.approximation else "none"),
            ("cache", settings.cache),
        ],
    )
    rows = []
    for field, counts in values.items():
        common = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
        shown = ", ".join(f"{text_of(value)} {count}" for value, count in common[:5])
        rows.append((field, sum(counts.values()), len(counts), shown + (", …" if len(common) > 5 else "")))
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


@click.command()
@format_option
@cache_option
def models(form: str, cache: Path) -> None:
    """List the embedders: what they read, dimension, licence, and whether their weights are here.

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
