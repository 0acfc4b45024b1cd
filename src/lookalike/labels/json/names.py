"""Keys of JSON label files: which of them hold the name of an image."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lookalike.labels.json.documents import kind
from lookalike.labels.labelling import Unusable

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_KEYS = (
    "filename", "imagefilename", "imgfilename", "imagename", "imgname", "imagepath", "imgpath",
    "filepath", "imagefile", "imgfile", "originalfilename", "sourcefilename", "sourcedataid", "imageid",
    "imgid", "파일명", "파일이름", "이미지명", "이미지파일명", "이미지",
    "image", "img", "cocourl", "imageurl", "url",
)  # fmt: skip
"""Keys that hold the name of an image, as `plain_key` has them, the surest first. AI Hub's deliveries alone
use file_name, fileName, filename, FILE_NAME, image_name, img_name, image and source_data_ID."""
_OWN_NAME_KEYS = ("name", "path", "file", "identifier", "id")
"""The same within an object that is about an image and nothing else."""


@lru_cache(maxsize=4096)
def plain_key(key: str) -> str:
    """Return a key without case, blanks and signs: `FILE_NAME`, `fileName` and `file name` are one."""
    return "".join(c for c in key.casefold() if c.isalnum())


def name_in(value: Mapping[str, Any], *, own: bool = False) -> str | None:
    """Return the name of an image that an object gives; None where it gives none.

    Args:
        value: an object of a JSON file.
        own: whether it is about the image and nothing else, so that `name` is its name.
    """
    by_key: dict[str, Any] = {}
    for key, each in value.items():
        by_key.setdefault(plain_key(key), each)
    for key in (*NAME_KEYS, *(_OWN_NAME_KEYS if own else ())):
        name = by_key.get(key)
        if not isinstance(name, str) or not name.strip("/\\ "):
            continue
        if key in ("imageid", "imgid", "id", "url") and "." not in name:
            continue
        extension = by_key.get("fileextension", by_key.get("extension"))
        if key == "sourcedataid" and isinstance(extension, str) and "." not in name:
            return f"{name}.{extension.lstrip('.')}"
        return name
    return None


def file_name(image: Any, place: str) -> str:
    """Return the file name of one member of `images`.

    Raises:
        Unusable: it has none.
    """
    if not isinstance(image, dict):
        raise Unusable(f"{place} is {kind(image)}, not an object")
    name = image.get("file_name")
    if isinstance(name, str) and name.strip("/\\ "):
        return name
    if (found := name_in(image, own=True)) is not None:
        return found
    if "file_name" not in image:
        raise Unusable(f"names no image: {place} has no file_name")
    if not isinstance(name, str):
        raise Unusable(f"{place}.file_name is {kind(name)}, not a string")
    raise Unusable(f"{place}.file_name is empty")
