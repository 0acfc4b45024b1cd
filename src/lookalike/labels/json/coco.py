"""Labels from COCO files: one JSON file for many images, https://cocodataset.org/#format-data."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lookalike.labels.data_folders import split_in
from lookalike.labels.json.annotations import (
    annotation_fields,
    annotation_list,
    identifier,
    members,
    named_images,
    read_categories,
)
from lookalike.labels.json.documents import kind
from lookalike.labels.json.names import file_name
from lookalike.labels.labelling import Claim, Label, Unusable, skip
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lookalike.labels.image_names import ImageNames
    from lookalike.labels.json.annotations import Category
    from lookalike.labels.json.documents import Document

_RANKS = ("captions", "keypoints", "panoptic", "instances")
"""What the files of one data set are about. A label of a later one counts: keypoints are of persons alone,
and a panoptic file has the background, too."""


def is_coco(content: Any) -> bool:
    """Tell whether a JSON file is COCO's: several images, or categories that annotations refer to."""
    if not isinstance(content, dict) or not isinstance(content.get("images"), list | dict):
        return False
    try:
        images = members(content["images"])
    except Unusable:
        return False
    if len(images) > 1:
        return "annotations" in content or "categories" in content or not _has_labels(images)
    annotations = content.get("annotations")
    return (
        isinstance(content.get("categories"), list)
        and isinstance(annotations, list)
        and any(
            isinstance(annotation, dict) and ("category_id" in annotation or "segments_info" in annotation)
            for annotation in annotations
        )
    )


def _has_labels(images: list[tuple[str, Any]]) -> bool:
    """Tell whether images have more than COCO's names, ids and sizes: such a file is a list of one's own."""
    own = ("label", "labels", "annotations", "attributes", "class", "category", "tags", "regions", "objects")
    return any(isinstance(image, dict) and any(key in image for key in own) for _, image in images)


def read_coco(names: ImageNames, documents: Iterable[Document]) -> tuple[list[Claim], list[Skipped]]:
    """Read labels from COCO files.

    The fields of an image are `label`, the names of its categories; `supercategory`, where all of these
    have one; the scalar attributes of its annotations; and `split`, where the file
    is called after one (`instances_val2017.json`). The metadata is its entry, as `image`, and its
    `annotations`. An image is found by name, as with `read_json_files`; COCO does not say which folder the
    names are relative to. Ids are numbers or strings, and `"7"` is 7.

    Args:
        names: the images below the folder that was walked.
        documents: JSON files below it, by path, that `is_coco` admits.

    Returns:
        The labels with their images, and what cannot be used with the reason, in the order of the files.
    """
    claims: list[Claim] = []
    skipped: list[Skipped] = []
    for document in documents:
        try:
            _read_file(names, document, claims, skipped)
        except Unusable as error:
            skipped.append(Skipped(str(document.path), str(error)))
    return claims, skipped


def lesser_files(documents: Iterable[Document]) -> list[Remark]:
    """Say which files' categories count only for images of which another file says nothing."""
    ranks = {document.path: _rank(document.content, _annotations_of(document)) for document in documents}
    best = max(ranks.values(), default=0)
    return [
        Remark(str(path), f"is of {_RANKS[rank]}: its categories count where no other COCO file has any")
        for path, rank in ranks.items()
        if 0 < rank < best
    ]


def _annotations_of(document: Document) -> dict[int | str | None, list[tuple[str, Mapping[str, Any]]]]:
    try:
        return _by_image(annotation_list(document.content), only=False)[0]
    except Unusable:
        return {}


def _read_file(names: ImageNames, document: Document, claims: list[Claim], skipped: list[Skipped]) -> None:
    content = document.content
    categories = read_categories(content.get("categories", []))
    named = named_images(content)
    directories = names.directories(document.path)
    annotations, astray = _by_image(annotation_list(content), only=len(named) == 1)
    skipped += [Skipped(str(document.path), reason) for reason in astray]
    times = Counter(_key(image) for _, image in named)
    rank = _rank(content, annotations)
    split = split_in(document.path.stem)
    for place, image in named:
        try:
            name = file_name(image, place)
            own = [*_own_annotations(image, place), *annotations.get(None, [])]
            key = None if own and _key(image) is None else _unique_key(image, place, times)
            label = _label(
                image, [*(annotations.get(key, []) if key is not None else []), *own], categories, split
            )
            match = names.find(name, directories)
        except Unusable as error:
            reason = str(error)
            skipped.append(skip(document.path, "" if place in reason else place, reason))
        else:
            claims.append(match.claim(label, document.path, place, rank))
    for key, of_one_image in annotations.items():
        if key not in times and key is not None:
            reason = f"{of_one_image[0][0]}.image_id is {key!r}, which is not among the images"
            skipped.append(Skipped(str(document.path), reason))


def _rank(content: Mapping[str, Any], annotations: Mapping[Any, list[tuple[str, Mapping[str, Any]]]]) -> int:
    some = [annotation for listed in annotations.values() for _, annotation in listed][:100]
    if some and all("caption" in each and each.get("category_id") is None for each in some):
        return _RANKS.index("captions")
    categories = content.get("categories")
    if (
        isinstance(categories, list)
        and categories
        and all(isinstance(each, dict) and "keypoints" in each for each in categories)
    ):
        return _RANKS.index("keypoints")
    return _RANKS.index("panoptic" if any("segments_info" in each for each in some) else "instances")


def _own_annotations(image: Any, place: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return annotations that stand within the entry of their image."""
    if not isinstance(image, dict) or not isinstance(image.get("annotations"), list):
        return []
    return [(f"{place}.{at}", each) for at, each in annotation_list(image) if isinstance(each, dict)]


def _unique_key(image: Mapping[str, Any], place: str, times: Mapping[int | str | None, int]) -> int | str:
    key = identifier(image.get("id"), f"{place}.id")
    if times[key] > 1:
        raise Unusable(f"the id {key!r} is given to {times[key]} images")
    return key


def _key(image: Any) -> int | str | None:
    try:
        return identifier(image.get("id"), "") if isinstance(image, dict) else None
    except Unusable:
        return None


def _by_image(
    annotations: list[tuple[str, Any]], *, only: bool
) -> tuple[dict[int | str | None, list[tuple[str, Mapping[str, Any]]]], list[str]]:
    """Return annotations with their places by image id, and the reasons why some belong to none.

    Where there is one image only, those without an id are its own: None.
    """
    found: dict[int | str | None, list[tuple[str, Mapping[str, Any]]]] = {}
    astray: list[str] = []
    for place, annotation in annotations:
        if not isinstance(annotation, dict):
            astray.append(f"{place} is {kind(annotation)}, not an object")
            continue
        if only and annotation.get("image_id") is None:
            found.setdefault(None, []).append((place, annotation))
            continue
        try:
            key = identifier(annotation.get("image_id"), f"{place}.image_id")
        except Unusable as error:
            astray.append(str(error))
        else:
            found.setdefault(key, []).append((place, annotation))
    return found, astray


def _label(
    image: Mapping[str, Any],
    annotations: list[tuple[str, Mapping[str, Any]]],
    categories: Mapping[int | str, Category],
    split: str | None,
) -> Label:
    fields = annotation_fields(_with_segments(annotations), categories, others=False)
    if split is not None:
        fields.setdefault("split", split)
    return Label(fields, {"image": image, "annotations": [annotation for _, annotation in annotations]})


def _with_segments(
    annotations: list[tuple[str, Mapping[str, Any]]],
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return annotations with the segments of panoptic ones, which have the categories."""
    found = []
    for place, annotation in annotations:
        found.append((place, annotation))
        segments = annotation.get("segments_info")
        if isinstance(segments, list):
            found += [(f"{place}.segments_info[{n}]", each) for n, each in enumerate(segments)]
    return found
