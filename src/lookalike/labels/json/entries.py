"""Entries of a JSON file: what it says of which image, in the forms that tools and deliveries write.

Known are one image a file, whatever holds its name; lists and objects of many; and the exports of labelme,
Label Studio, Datumaro (which CVAT writes) and VGG Image Annotator. COCO files of many images are `coco`'s.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lookalike.labels.data_folders import is_data_folder
from lookalike.labels.json.annotations import (
    annotation_fields,
    annotation_list,
    attribute_fields,
    merged_fields,
    named_images,
    other_scalars,
    read_categories,
)
from lookalike.labels.json.documents import kind
from lookalike.labels.json.entry import Entry
from lookalike.labels.json.exports import (
    datumaro_entries,
    is_datumaro,
    is_labelme,
    is_via,
    labelme_entry,
    task_entry,
    via_entry,
)
from lookalike.labels.json.label_studio import is_task
from lookalike.labels.json.names import file_name, name_in, plain_key
from lookalike.labels.labelling import Unusable
from lookalike.sources.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lookalike.labels.json.annotations import Categories
    from lookalike.types import Scalar


_ABOUT_IMAGE = frozenset({
    "image", "img", "imageinfo", "imginfo", "imagedata", "info", "meta", "metadata", "description",
    "file", "sourcedatainfo", "rawdatainfo", "source", "picture", "photo", "이미지", "이미지정보",
})  # fmt: skip
"""Keys of objects that name the image of a file, as `plain_key` has them."""
_ANNOTATIONS = ("annotations", "annotation", "objects", "object", "regions", "instances", "labels", "items")
"""Keys of what is said of the image, as `plain_key` has them; the first that holds objects counts."""
_LISTS = (
    "data", "images", "items", "records", "samples", "files", "annotations", "results", "rows",
    "_via_img_metadata",
)  # fmt: skip
"""Keys whose list, or object, has an entry for each image."""


def json_entries(content: Any) -> list[Entry]:
    """Return what a JSON file says of each image that it names.

    Args:
        content: of a file that is no COCO file of many images.

    Raises:
        Unusable: it names no image, or is a COCO file.
    """
    if isinstance(content, list):
        return _of_list(content, "")
    if not isinstance(content, dict):
        raise Unusable(_NAMES_NONE)
    if exported := _exported(content):
        return exported
    if "images" in content and not _is_list_of_entries(content):
        named = named_images(content)
        if len(named) > 1:
            raise Unusable(f"names {len(named)} images: such a file (COCO) is read by --labels table")
        place, image = named[0]
        name = image if isinstance(image, str) and "." in image else file_name(image, place)
        return [_one(content, name, image, place)]
    if table := _columns(content):
        return table
    for key, about in _about_image(content):
        if (told := about if isinstance(about, str) else name_in(about, own=True)) is not None:
            return [_one(content, told, about, key)]
    if (given := name_in(content) or _own_name(content)) is not None:
        return [_one(content, given, {}, "")]
    many = _many(content)
    if many:
        return many
    if not _annotations(content)[0] and not _image_fields(content, None, ""):
        raise Unusable(_NAMES_NONE)
    return [Entry("", (), _one(content, "", {}, "").fields, content, flaw=_NAMES_NONE)]


_NAMES_NONE = "names no image: there is no images[].file_name"


def names_no_image(entry: Entry) -> bool:
    """Tell whether all that an entry lacks is the name of its image, which the file's own may be."""
    return entry.flaw == _NAMES_NONE


def _own_name(content: Mapping[str, Any]) -> str | None:
    """Return the name of an image that stands under a key which may hold any name, or None."""
    name = name_in(content, own=True)
    return name if name is not None and _names_image(name) else None


def _exported(content: Mapping[str, Any]) -> list[Entry]:
    if is_labelme(content):
        return [labelme_entry(content)]
    if is_datumaro(content):
        return datumaro_entries(content)
    if is_fiftyone(content):
        return _fiftyone(content)
    return [task_entry(content, "")] if is_task(content) else []


def _about_image(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = [
        (key, value)
        for key, value in content.items()
        if plain_key(key) in _ABOUT_IMAGE
        and (isinstance(value, dict) or (isinstance(value, str) and "." in value))
    ]
    # What says no more than `image` comes before what also tells who took it.
    found.sort(key=lambda each: not plain_key(each[0]).startswith(("image", "img")))
    return [
        each
        for each in found
        if isinstance(each[1], dict) or plain_key(each[0]) in ("image", "img", "이미지")
    ]


def _one(content: Mapping[str, Any], name: str, about: Any, place: str) -> Entry:
    """Return the entry of a file, or a member of one, that is about one image."""
    categories = optional_categories(content)
    annotations, others = _annotations(content)
    fields: list[Mapping[str, Scalar]] = [annotation_fields(annotations, categories)]
    if isinstance(about, dict):
        fields.append(_image_fields(about, categories, place))
        try:
            inner = annotation_list(about)
        except Unusable:
            inner = []
        if inner:
            fields.append(annotation_fields([(f"{place}.{at}", one) for at, one in inner], categories))
    if not annotations:
        fields.append(_image_fields({k: v for k, v in content.items() if v is not about}, categories, ""))
        if not about:
            fields.append({k: v for k, v in other_scalars(content).items() if k not in others})
    elif "attributes" in content:
        fields.append(attribute_fields(content["attributes"], "attributes"))
    merged: dict[str, Scalar] = {}
    for each in fields:
        for key, value in each.items():
            merged.setdefault(key, value)
    return Entry("", (name,), merged, content)


def _image_fields(about: Mapping[str, Any], categories: Categories | None, place: str) -> dict[str, Scalar]:
    """Return what an object that is about an image says of it beside its name and size."""
    said = {
        key: value
        for key, value in about.items()
        if plain_key(key) not in ("annotations", "annotation", "categories", "info", "licenses")
    }
    return {
        name: value
        for name, value in annotation_fields([(place, said), ("", {})], categories).items()
        if name != "supercategory"
    }


def _annotations(content: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], set[str]]:
    """Return what a file says of its image, with places, and the key that it stands under."""
    keys = {plain_key(key): key for key in content}
    for plain in _ANNOTATIONS:
        key = keys.get(plain)
        if key is None:
            continue
        value = content[key]
        if plain in ("annotations", "annotation") or (
            isinstance(value, list | dict) and value and _holds_objects(value)
        ):
            return annotation_list(content, key), {key}
    for key, value in content.items():
        # "Learning Data Info.": {"annotation": [{"class_ID": …}]}
        if isinstance(value, dict) and plain_key(key) in ("learningdatainfo", "labelinginfo", "labelinfo"):
            inner, _ = _annotations(value)
            return [(f"{key}.{place}", each) for place, each in inner] or [(key, value)], {key}
    return [], set()


def _holds_objects(value: list[Any] | dict[str, Any]) -> bool:
    return isinstance(value, dict) or all(isinstance(each, dict) for each in value)


def optional_categories(content: Mapping[str, Any]) -> Categories | None:
    """Return COCO's categories; None where the file has none, or something else of that name."""
    for key in ("categories", "classes", "category"):
        try:
            if found := read_categories(content.get(key)):
                return found
        except Unusable:
            continue
    return None


def _of_list(values: list[Any], key: str) -> list[Entry]:
    """Return the entries of a list that has one for each image, or several."""
    entries = [_member(value, f"{key}[{n}]") for n, value in enumerate(values)]
    if not any(entry.names for entry in entries):
        raise Unusable("names no image: no member of the list has a file_name")
    return _gathered(entries)


def _member(value: Any, place: str, name: str | None = None) -> Entry:
    if is_task(value):
        return task_entry(value, place)
    if isinstance(value, str | int | list) and name is not None:
        value = {"label": str(value).lower() if isinstance(value, bool) else value}
    if not isinstance(value, dict):
        return Entry(place, (), flaw=f"is {kind(value)}, not an object")
    try:
        if name is None:
            (entry, *more) = json_entries(value)
            if more or entry.flaw:
                return Entry(place, (), flaw=entry.flaw or "names several images")
            return Entry(place, entry.names, entry.fields, entry.metadata)
        found = _one(value, name, {}, "")
        return Entry(place, found.names, found.fields, value)
    except Unusable as error:
        return Entry(place, (), flaw=str(error))


def _gathered(entries: list[Entry]) -> list[Entry]:
    """Return one entry for each image: a list may have one for each thing that is in it."""
    by_name: dict[tuple[str, ...], list[Entry]] = {}
    others = []
    for entry in entries:
        if entry.names and not entry.flaw:
            by_name.setdefault(entry.names, []).append(entry)
        else:
            others.append(entry)
    gathered = []
    for names, same in by_name.items():
        if len(same) == 1:
            gathered.append(same[0])
            continue
        metadata = {"entries": [entry.metadata for entry in same]}
        gathered.append(Entry(same[0].place, names, merged_fields([e.fields for e in same]), metadata))
    return [*gathered, *others]


def _is_list_of_entries(content: Mapping[str, Any]) -> bool:
    """Tell whether `images` has labels in its members, and there is nothing beside it that says more."""
    images = content["images"]
    if "annotations" in content or not isinstance(images, list | dict) or len(images) < 2:
        return False
    values = list(images.values()) if isinstance(images, dict) else images
    return all(
        isinstance(each, dict) and any(plain_key(key) not in _PLAIN_IMAGE for key in each) for each in values
    )


_PLAIN_IMAGE = frozenset({
    "id", "filename", "width", "height", "license", "flickrurl", "cocourl", "datecaptured", "filepath",
    "path",
})  # fmt: skip


def _many(content: Mapping[str, Any]) -> list[Entry]:
    """Return the entries of an object of many images: by their names, by ids, by labels, or under one key."""
    for key in _LISTS:
        value = content.get(key)
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            try:
                return _of_list(value, key)
            except Unusable:
                continue
        if isinstance(value, dict) and (entries := _by_key(value)):
            return entries
    return _by_key(content) or _by_label(content)


def _by_key(content: Mapping[str, Any]) -> list[Entry]:
    if not content:
        return []
    named = {key: _names_image(key) for key in content}
    if all(named.values()) and (
        all(_says_something(value) for value in content.values()) or _are_classes(content.values())
    ):
        return _gathered([_member(value, f"[{key!r}]", key) for key, value in content.items()])
    values = list(content.values())
    if all(isinstance(each, dict) and name_in(each) is not None for each in values):
        return _gathered([_via(each, f"[{key!r}]") for key, each in content.items()])
    return []


def _are_classes(values: Iterable[Any]) -> bool:
    """Tell whether numbers, or true and false, are classes of images, as sizes are not: some recur."""
    found = list(values)
    return all(isinstance(each, int) for each in found) and len(set(found)) < len(found)


def _by_label(content: Mapping[str, Any]) -> list[Entry]:
    """An object of lists: the images of each label, which is the key. Lists of the parts say no label."""
    if len(content) < 2 or all(map(is_data_folder, content)):
        return []
    labels: dict[str, list[str]] = {}
    for label, names in content.items():
        if not isinstance(names, list) or not all(isinstance(n, str) and _names_image(n) for n in names):
            return []
        for name in names:
            labels.setdefault(name, []).append(label)
    return [_member(found, f"[{name!r}]", name) for name, found in labels.items()]


def _columns(content: Mapping[str, Any]) -> list[Entry]:
    """A table by its columns, as pandas writes it: each a list, or an object of values by the row."""
    columns = list(content.values())
    if len(columns) < 2 or not all(isinstance(each, list | dict) and each for each in columns):
        return []
    if all(isinstance(each, dict) for each in columns):
        rows = list(columns[0])
        if any(list(each) != rows for each in columns):
            return []
        columns = [list(each.values()) for each in columns]
    if not all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        return []
    members = [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    if any(isinstance(value, list | dict) for member in members for value in member.values()):
        return []
    named = [n for n in members if name_in(n) is not None and _names_image(name_in(n) or "")]
    return _of_list(members, "") if len(named) == len(members) else []


def is_fiftyone(content: Any) -> bool:
    """Tell whether an object is labels.json of FiftyOneImageClassificationDataset.

    https://docs.voxel51.com/user_guide/dataset_creation/datasets.html: `labels` by the images' names without
    an ending, and `classes` that numbers point into.
    """
    return (
        isinstance(content, dict)
        and isinstance(content.get("labels"), dict)
        and set(content) <= {"labels", "classes"}
        and bool(content["labels"])
        and all(isinstance(each, str | int | list | dict | None) for each in content["labels"].values())
    )


def _fiftyone(content: Mapping[str, Any]) -> list[Entry]:
    classes = content.get("classes")
    return [
        _member(
            {"labels": value, "classes": classes} if not isinstance(value, dict) else value,
            f"labels[{name!r}]",
            name,
        )
        for name, value in content["labels"].items()
    ]


def _says_something(value: Any) -> bool:
    return isinstance(value, str | dict) or (
        isinstance(value, list) and all(isinstance(each, str | dict) for each in value)
    )


def _via(value: Mapping[str, Any], place: str) -> Entry:
    """Return the entry of VGG Image Annotator, or of any object that names an image."""
    return via_entry(value, place) if is_via(value) else _member(value, place)


def _names_image(key: str) -> bool:
    return PurePosixPath(key).suffix.lower() in SUFFIXES
