"""COCO: images, categories and annotations in one JSON file, https://cocodataset.org/#format-data."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import IO, TYPE_CHECKING, Any

from lookalike.transfer.exports.pictures import size_of
from lookalike.types import Skipped
from lookalike.uris import uri_text
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.transfer.exports.rows import Rows
    from lookalike.types import Record, Scalar


def write_coco(rows: Rows, by: str, file: IO[bytes]) -> tuple[int, list[Skipped], list[str]]:
    """Write a COCO file: every image with one label has an annotation of that category.

    The box of an annotation is the whole picture, or that of the one annotation that COCO delivered for it;
    its attributes are the other fields. Names of files are relative to the folder that all pictures are
    below, which `info.image_root` names. Memory: the document.

    Args:
        rows: without vectors.
        by: the field whose values are the categories.
        file: to write to.

    Returns:
        How many images it has; the pictures that are left out because nobody knows their size; and what is to
        be known of it.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    labels: dict[str, Scalar] = {}
    labelled: list[str] = []
    skipped: list[Skipped] = []
    for records in rows.records():
        for record in records:
            size = size_of(record)
            if isinstance(size, Skipped):
                skipped.append(size)
                continue
            width, height = size
            image: dict[str, Any] = {"id": len(images) + 1, "file_name": uri_text(record.uri)}
            image |= {"width": width, "height": height, "lookalike_id": record.id}
            images.append(image)
            label = record.fields.get(by)
            if label is not None:
                labels.setdefault(label_text(label), label)
                labelled.append(label_text(label))
                annotations.append(_annotation(record, by, len(annotations) + 1, image))
    names = sorted(labels, key=lambda name: label_key(labels[name]))
    numbers = {name: number for number, name in enumerate(names, 1)}
    for annotation, name in zip(annotations, labelled, strict=True):
        annotation["category_id"] = numbers[name]
    root = _root([image["file_name"] for image in images])
    for image in images:
        image["file_name"] = image["file_name"][len(root) :]
    document = {
        "info": {"description": f"collection {rows.collection.name}, field {by}", "image_root": root},
        "licenses": [],
        "images": images,
        "categories": [{"id": numbers[name], "name": name, "supercategory": ""} for name in names],
        "annotations": annotations,
    }
    # Escapes: a name of a file need be no UTF-8.
    for piece in json.JSONEncoder().iterencode(document):
        file.write(piece.encode())
    without = len(images) - len(annotations)
    remarks = [f"names of files are relative to {root}"] if root else []
    if without:
        remarks.append(f"without a category, as they have no {by!r}: {without:,}")
    return len(images), skipped, remarks


def label_text(label: Scalar) -> str:
    """Return a label as the name of a category or a folder."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _annotation(record: Record, by: str, number: int, image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotation of an image; its category is given later, when all are known."""
    box: list[float] = [0, 0, image["width"], image["height"]]
    delivered = record.metadata.get("annotations")
    only = delivered[0] if isinstance(delivered, list) and len(delivered) == 1 else None
    shape: dict[str, Any] = {"segmentation": [], "iscrowd": 0}
    if isinstance(only, dict) and _is_box(only.get("bbox")):
        box = only["bbox"]
        shape |= {key: only[key] for key in shape if key in only}
    attributes = {name: value for name, value in record.fields.items() if name != by}
    made = {"id": number, "image_id": image["id"], "category_id": 0, "bbox": box, "area": box[2] * box[3]}
    return made | shape | {"attributes": attributes}


def _is_box(box: object) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in box)
    )


def _root(names: list[str]) -> str:
    """Return the folder that all files are below, with a slash at its end; empty where there is none."""
    folders = {name.rpartition("/")[0] for name in names}
    levels = zip(*(folder.split("/") for folder in folders), strict=False)
    common = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
    return "/".join([*common, ""]) if common else ""
