"""Annotations in JSON label files: categories, labels and attributes become fields.

Their form is COCO's, https://cocodataset.org/#format-data, to which many tools add `attributes`, an object in
each annotation (https://openvinotoolkit.github.io/datumaro/stable/docs/data-formats/formats/coco.html), and
what deliveries make of it: one object where COCO has a list, an object by id, other names for the same
thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lookalike.labels.data_folders import is_data_folder
from lookalike.labels.fields import scalar, scalar_fields, storable
from lookalike.labels.json.documents import kind
from lookalike.labels.json.names import NAME_KEYS, name_in, plain_key
from lookalike.labels.labelling import Unusable
from lookalike.sources.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.types import Scalar

_LABEL_KEYS = frozenset({
    "label", "labels", "class", "classname", "classlabel", "category", "categoryname", "objectclass",
    "classtitle", "라벨", "레이블", "라벨명", "클래스", "클래스명", "분류",
})  # fmt: skip
"""Keys of an annotation whose value says what it is of, as `plain_key` has them."""
_TAG_KEYS = ("tags", "keywords")
"""Keys whose values are labels where no other key holds one; what only says the part is none."""
_ID_KEYS = ("categoryid", "classid", "labelid")
"""Keys whose value stands in the table of categories."""
_BOOKKEEPING = frozenset({
    "id", "imageid", "annotationid", "objectid", "instanceid", "groupid", "trackid", "width", "height",
    "area", "iscrowd", "bbox", "boundingbox", "segmentation", "points", "polygon", "score", "confidence",
    "x", "y", "w", "h", "xmin", "ymin", "xmax", "ymax", "x1", "y1", "x2", "y2", "left", "top",
    "numkeypoints", "ignore", "difficult", "truncated", "shapetype", "type", "imageheight", "imagewidth",
    "size", "depth", "license", "datecaptured", "flickrurl", "cocourl", "version", "created", "updated",
})  # fmt: skip
"""Keys of annotations and images that are no labels: places, sizes, and what tools note for themselves."""
_NAMES_OF_PAIRS = (("name", "value"), ("key", "value"), ("attribute", "value"), ("code", "value"))


@dataclass(frozen=True, slots=True)
class Category:
    """A class of things in the images."""

    name: str
    supercategory: str | None


Categories = dict["int | str", Category]


def members(value: Any) -> list[tuple[str, Any]]:
    """Return the members of a list, or of an object that stands for one, with the places they have.

    An object of objects is read as a list by id, each member with its key as `id` unless it has one; any
    other object is the only member; null and what is absent are none.

    Raises:
        Unusable: it is something else; the text has no subject.
    """
    if value is None:
        return []
    if isinstance(value, list):
        return [(f"[{n}]", each) for n, each in enumerate(value)]
    if not isinstance(value, dict):
        raise Unusable(f"is {kind(value)}, not a list")
    if value and all(isinstance(each, dict) for each in value.values()) and not _is_annotation(value):
        return [(f"[{key!r}]", {"id": key, **each}) for key, each in value.items()]
    return [("", value)] if value else []


def _is_annotation(value: Mapping[str, Any]) -> bool:
    keys = {plain_key(key) for key in value}
    return bool(keys & (_LABEL_KEYS | {"attributes", *_ID_KEYS})) or name_in(value) is not None


def named_images(content: Any) -> list[tuple[str, Any]]:
    """Return the members of `images` of a JSON file with their places, at least one.

    Raises:
        Unusable: there is none.
    """
    if not isinstance(content, dict) or "images" not in content:
        raise Unusable("names no image: there is no images[].file_name")
    if content["images"] is None:
        raise Unusable("images is null, not a list")
    try:
        found = members(content["images"])
    except Unusable as error:
        raise Unusable(f"images {error}") from error
    if not found:
        raise Unusable("names no image: images is empty")
    return [(f"images{place}", image) for place, image in found]


def annotation_list(content: Mapping[str, Any], key: str = "annotations") -> list[tuple[str, Any]]:
    """Return the members of `annotations` of a JSON file with their places, none where it has none.

    Raises:
        Unusable: it is neither a list nor an object.
    """
    annotations = content.get(key, [])
    if annotations is None:
        raise Unusable(f"{key} is null, not a list")
    if (
        isinstance(annotations, dict)
        and annotations
        and all(isinstance(each, list) for each in annotations.values())
    ):
        # By the id, or the name, of the image.
        return [
            (f"{key}[{image!r}][{n}]", {"image_id": image, **one} if isinstance(one, dict) else one)
            for image, each in annotations.items()
            for n, one in enumerate(each)
        ]
    try:
        return [(f"{key}{place}", each) for place, each in members(annotations)]
    except Unusable as error:
        raise Unusable(f"{key} {error}") from error


def identifier(value: object, place: str) -> int | str:
    """Return an id, which may be a number or a string: `"7"` and `7.0` are 7.

    Raises:
        Unusable: it is something else.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    if isinstance(value, str):
        text = value.strip()
        # What is written back as it was read; 64 bits have 20 digits at most.
        if len(text) <= 20 and text.isascii() and text.lstrip("-").isdigit() and str(int(text)) == text:
            return int(text)
        return text.removesuffix(".0") if text.removesuffix(".0").isdigit() and text.isascii() else text
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Unusable(f"{place} is {kind(value)}, not a number or string")


def read_categories(categories: Any) -> Categories:
    """Return the categories of a file by id.

    They are a list of objects with an id and a name, as COCO has them; or one object: of names by id, of
    ids by name, or of objects by id; or a list of names, whose ids count from 0.

    Raises:
        Unusable: they are something else.
    """
    found: Categories = {}
    if isinstance(categories, dict):
        for key, value in categories.items():
            if isinstance(value, str):
                found[identifier(key, "")] = Category(value, None)
            elif isinstance(value, int) and not isinstance(value, bool):
                found[value] = Category(key, None)
            elif isinstance(value, dict) and isinstance(value.get("name"), str):
                above = value.get("supercategory")
                found[identifier(value.get("id", key), f"categories[{key!r}].id")] = Category(
                    value["name"], above if isinstance(above, str) and above else None
                )
            else:
                raise Unusable(f"categories[{key!r}] is {kind(value)}, not a name")
        return found
    if not isinstance(categories, list):
        raise Unusable(f"categories is {kind(categories)}, not a list")
    if categories and all(isinstance(category, str) for category in categories):
        return {n: Category(name, None) for n, name in enumerate(categories)}
    for n, category in enumerate(categories):
        place = f"categories[{n}]"
        if not isinstance(category, dict):
            raise Unusable(f"{place} is {kind(category)}, not an object")
        key = identifier(category.get("id"), f"{place}.id")
        name, above = category.get("name"), category.get("supercategory")
        if not isinstance(name, str):
            raise Unusable(f"{place}.name is {kind(name)}, not a string")
        found[key] = Category(name, above if isinstance(above, str) and above else None)
    return found


def annotation_fields(
    annotations: Iterable[tuple[str, Any]],
    categories: Mapping[int | str, Category] | None,
    *,
    others: bool = True,
) -> dict[str, Scalar]:
    """Return the fields that the annotations of one image give.

    Args:
        annotations: with their place in the file.
        categories: by id; None to leave ids of categories alone.
        others: whether an annotation that is alone and has no attributes gives its other scalars.

    Returns:
        `label`, the names of the categories and what annotations call their label or class; `supercategory`,
        where all categories have one; and the attributes, which win over both. Different values of one
        field are sorted and joined by a comma; members of nested attributes are called by both names,
        `defect_size`; null is left out.

    Raises:
        Unusable: an annotation is no object, its attributes are none, or its category is not listed.
    """
    listed = list(annotations)
    given: list[Category] = []
    labels: list[str] = []
    values: list[dict[str, Scalar]] = []
    for place, annotation in listed:
        if not isinstance(annotation, dict):
            raise Unusable(f"{place} is {kind(annotation)}, not an object")
        if categories is not None:
            given += _categories_of(annotation, categories, place)
        labels += _labels_of(annotation, categories)
        attributes = annotation.get("attributes", annotation.get("attribute", {}))
        values.append(attribute_fields(attributes, f"{place}.attributes"))
        if others and len(listed) == 1 and not attributes:
            values.append(other_scalars(annotation))
    fields: dict[str, Scalar] = {}
    if given or labels:
        fields["label"] = _joined([*(category.name for category in given), *labels])
    if given and all(category.supercategory for category in given):
        fields["supercategory"] = _joined(category.supercategory or "" for category in given)
    return {**fields, **merged_fields(values)}


def merged_fields(given: Sequence[Mapping[str, Scalar]]) -> dict[str, Scalar]:
    """Return the fields of several annotations of one image: different values are sorted and joined."""
    if len(given) == 1:
        return dict(given[0])
    by_name: dict[str, dict[str, Scalar]] = {}
    for fields in given:
        for name, value in fields.items():
            by_name.setdefault(name, {}).setdefault(_text(value), value)
    return {
        name: _joined(by_text) if len(by_text) > 1 else next(iter(by_text.values()))
        for name, by_text in by_name.items()
    }


def attribute_fields(attributes: Any, place: str) -> dict[str, Scalar]:
    """Return attributes as fields: an object, nested or not, or a list of pairs of a name and a value.

    Raises:
        Unusable: they are something else.
    """
    if attributes is None:
        return {}
    if isinstance(attributes, list):
        return merged_fields([_pair(each, f"{place}[{n}]") for n, each in enumerate(attributes)] or [{}])
    if not isinstance(attributes, dict):
        raise Unusable(f"{place} is {kind(attributes)}, not an object")
    return _flat(attributes)


def _pair(value: Any, place: str) -> dict[str, Scalar]:
    if not isinstance(value, dict):
        raise Unusable(f"{place} is {kind(value)}, not an object")
    for name, other in _NAMES_OF_PAIRS:
        if isinstance(value.get(name), str) and other in value:
            return scalar_fields({value[name]: value[other]})
    return _flat(value)


def _flat(attributes: Mapping[str, Any]) -> dict[str, Scalar]:
    fields = scalar_fields(attributes)
    for name, value in attributes.items():
        if not isinstance(value, dict):
            continue
        inner = _flat(value)
        # {"quality": {"value": "good"}} says quality = good.
        if set(inner) == {"value"}:
            fields.setdefault(storable(name), inner["value"])
            continue
        for inner_name, each in inner.items():
            fields.setdefault(storable(f"{name}_{inner_name}"), each)
    return fields


def other_scalars(value: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return the scalars of an object that are neither its label nor what tools note for themselves."""
    left = {
        key: each
        for key, each in value.items()
        if plain_key(key) not in _BOOKKEEPING
        and plain_key(key) not in _LABEL_KEYS
        and plain_key(key) not in _ID_KEYS
        and plain_key(key) not in NAME_KEYS
        and not isinstance(each, list)
        and not (isinstance(each, str) and PurePosixPath(each).suffix.lower() in SUFFIXES)
    }
    return scalar_fields(left)


@lru_cache(maxsize=4096)
def _role(key: str) -> str:
    """Return what a key of an annotation holds: its `label` in words, the `id` of a category, or nothing."""
    plain = plain_key(key)
    return "label" if plain in _LABEL_KEYS else "id" if plain in _ID_KEYS else ""


def _categories_of(
    annotation: Mapping[str, Any], categories: Mapping[int | str, Category], place: str
) -> list[Category]:
    for key, value in annotation.items():
        if _role(key) != "id" or value is None:
            continue
        if not categories and plain_key(key) != "categoryid":
            continue
        identity = identifier(value, f"{place}.{key}")
        if identity in categories:
            return [categories[identity]]
        if plain_key(key) == "categoryid":
            raise Unusable(f"{place}.{key} is {identity!r}, which is not among the categories")
    return []


def _labels_of(annotation: Mapping[str, Any], categories: Mapping[int | str, Category] | None) -> list[str]:
    """Return what an annotation calls its label or class, in words or by a number that is listed."""
    found: list[str] = []
    for key, value in annotation.items():
        role = _role(key)
        if not role:
            continue
        if role == "label":
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict):
                    each = each.get("name", each.get("label", each.get("value")))
                if isinstance(each, int) and not isinstance(each, bool) and categories and each in categories:
                    each = categories[each].name
                if isinstance(each, bool | float) or each is None or isinstance(each, list | dict):
                    continue
                found.append(str(scalar(each)))
        elif isinstance(value, str) and not categories and not value.strip().isdigit():
            found.append(value)
    return [text for text in found if text] or _tags(annotation)


def _tags(annotation: Mapping[str, Any]) -> list[str]:
    """Return the tags of an image: a list of texts, or of objects with a name, as Supervisely has them."""
    found = []
    for key, value in annotation.items():
        for each in value if plain_key(key) in _TAG_KEYS and isinstance(value, list) else ():
            text = each.get("name") if isinstance(each, dict) and not each.get("value") else each
            if isinstance(text, str) and text.strip() and not is_data_folder(text):
                found.append(text)
    return found


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(sorted({storable(text) for text in texts}))
