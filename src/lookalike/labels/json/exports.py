"""Exports of labelling tools: labelme, Label Studio, Datumaro (which CVAT writes), VGG Image Annotator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.labels.fields import scalar_fields
from lookalike.labels.json.annotations import (
    Category,
    annotation_fields,
    annotation_list,
    attribute_fields,
    merged_fields,
)
from lookalike.labels.json.documents import kind
from lookalike.labels.json.entry import Entry
from lookalike.labels.json.label_studio import is_task, task_fields, task_names
from lookalike.labels.json.names import name_in
from lookalike.labels.labelling import Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.labels.json.annotations import Categories


def is_export(content: Any) -> bool:
    """Tell whether a file is an export of one of these tools: no other JSON file looks like that."""
    if isinstance(content, list):
        return any(is_task(each) for each in content)
    return isinstance(content, dict) and (is_labelme(content) or is_datumaro(content) or is_task(content))


def is_labelme(content: Mapping[str, Any]) -> bool:
    """Tell whether an object is a file of labelme, https://github.com/wkentaro/labelme."""
    return isinstance(content.get("shapes"), list) and "imagePath" in content


def labelme_entry(content: Mapping[str, Any]) -> Entry:
    """Return the entry of labelme: `shapes` with a label each, and `flags` of the whole image."""
    shapes = [(f"shapes[{n}]", shape) for n, shape in enumerate(content["shapes"])]
    kept = [
        (place, {"label": each.get("label"), "attributes": each.get("attributes")})
        if isinstance(each, dict)
        else (place, each)
        for place, each in shapes
    ]
    fields = annotation_fields(kept, None)
    given = content.get("flags")
    flags = scalar_fields(given) if isinstance(given, dict) else {}
    true = [name for name, value in flags.items() if value is True]
    if not shapes and true:
        fields["label"] = ", ".join(sorted(true))
    # The whole picture stands in the file once more, in base64.
    metadata = {key: value for key, value in content.items() if key != "imageData"}
    name = content["imagePath"]
    names = (name,) if isinstance(name, str) and name.strip() else ()
    return Entry("", names, {**flags, **fields}, metadata)


def is_datumaro(content: Mapping[str, Any]) -> bool:
    """Tell whether an object is a file of Datumaro, which CVAT exports as well."""
    items = content.get("items")
    return (
        isinstance(items, list)
        and isinstance(content.get("categories"), dict)
        and any(isinstance(item, dict) and "annotations" in item for item in items)
    )


def datumaro_entries(content: Mapping[str, Any]) -> list[Entry]:
    """Return the entries of Datumaro: `items`, whose annotations point into `categories` by position."""
    table = content["categories"].get("label")
    listed = table.get("labels") if isinstance(table, dict) else None
    categories: Categories = {}
    for n, each in enumerate(listed if isinstance(listed, list) else []):
        name = each.get("name") if isinstance(each, dict) else each
        if isinstance(name, str):
            categories[n] = Category(name, None)
    entries = []
    for n, item in enumerate(content["items"]):
        place = f"items[{n}]"
        if not isinstance(item, dict):
            entries.append(Entry(place, (), flaw=f"is {kind(item)}, not an object"))
            continue
        image = item.get("image")
        names = [
            image[key] for key in ("path",) if isinstance(image, dict) and isinstance(image.get(key), str)
        ]
        if isinstance(item.get("id"), str | int):
            names.append(str(item["id"]))
        try:
            annotations = [(f"{place}.{at}", each) for at, each in annotation_list(item)]
            fields = annotation_fields(annotations, categories)
            attributes = attribute_fields(item.get("attr", {}), f"{place}.attr")
        except Unusable as error:
            entries.append(Entry(place, (), flaw=str(error)))
        else:
            attributes.pop("frame", None)
            entries.append(
                Entry(place, tuple(name for name in names if name.strip()), {**attributes, **fields}, item)
            )
    return entries


def task_entry(content: Mapping[str, Any], place: str) -> Entry:
    """Return the entry of a task of Label Studio."""
    try:
        return Entry(place, task_names(content), task_fields(content), content)
    except Unusable as error:
        return Entry(place, (), flaw=str(error))


def is_via(value: Mapping[str, Any]) -> bool:
    """Tell whether an object is an entry of VGG Image Annotator (robots.ox.ac.uk/~vgg/software/via)."""
    return isinstance(value.get("regions"), list | dict) and "file_attributes" in value


def via_entry(value: Mapping[str, Any], place: str) -> Entry:
    """Return what VGG Image Annotator says: `regions` with `region_attributes`, and `file_attributes`."""
    regions = value["regions"]
    listed = regions if isinstance(regions, list) else list(regions.values())
    try:
        given = [
            value.get("file_attributes"),
            *(r.get("region_attributes") for r in listed if isinstance(r, dict)),
        ]
        fields = merged_fields([attribute_fields(_chosen(each), place) for each in given])
    except Unusable as error:
        return Entry(place, (), flaw=str(error))
    return Entry(place, (name_in(value) or "",), fields, value)


def _chosen(attributes: Any) -> Any:
    """Return attributes with the options that were ticked instead of all that could be: `{"hole": true}`."""
    if not isinstance(attributes, dict):
        return {}
    ticked = {
        name: [option for option, chosen in value.items() if chosen is True]
        for name, value in attributes.items()
        if isinstance(value, dict) and value and all(isinstance(each, bool) for each in value.values())
    }
    return {**attributes, **{name: ", ".join(sorted(options)) or None for name, options in ticked.items()}}
