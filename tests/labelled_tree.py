"""Builds folders of images and label files; what the images hold does not matter to labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lookalike.labels.labelling import Labelling
from lookalike.labels.reading import read_labels

if TYPE_CHECKING:
    from pathlib import Path


def tree(root: Path, files: dict[str, Any]) -> Path:
    """Write files below `root`: bytes and strings as they are, anything else as JSON, None as an image."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            content = b""
        elif not isinstance(content, bytes | str):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def read(root: Path, mode: str) -> Labelling:
    """Read the labels of a folder as it is found on disk."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    images = [path for path in files if path.suffix.lower() == ".jpg"]
    labelling = read_labels(root, images, [path for path in files if path not in set(images)], mode)
    assert sorted([*labelling.labels, *labelling.unlabelled]) == images, "an image is lost"
    return labelling


def fields(root: Path, labelling: Labelling) -> dict[str, dict[str, Any]]:
    """Return the fields of each labelled image by its path below `root`."""
    return {str(image.relative_to(root)): dict(label.fields) for image, label in labelling.labels.items()}


def reasons(root: Path, labelling: Labelling) -> list[tuple[str, str]]:
    """Return what was skipped, by path below `root`."""
    return [(skipped.path.removeprefix(f"{root}/"), skipped.reason) for skipped in labelling.skipped]


def remarks(labelling: Labelling) -> list[str]:
    """Return what was assumed."""
    return [remark.text for remark in labelling.remarks]


def label(name: str, **attributes: Any) -> dict[str, Any]:
    """Return a label file for one image."""
    return {"images": [{"file_name": name}], "annotations": [{"attributes": attributes}]}
