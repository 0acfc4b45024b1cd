"""Labels from folder names: each directory is a field, the innermost that names a class is the label."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.labels.data_folders import is_data_folder, is_thing, split_of
from lookalike.labels.fields import category_fields, storable
from lookalike.labels.image_names import directories_below
from lookalike.labels.labelling import Claim, Label
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.labels.image_names import Directories
    from lookalike.sources.objects import Location

_FOLDERS_NAMED = 3


def read_folders(root: Location, images: Sequence[Location]) -> tuple[list[Claim], list[Remark]]:
    """Label each image by its directories.

    A directory that only says what kind of data it holds, such as `images`, `train` or 원천, is no label: see
    `data_folders`. Then the next one above it is, unless that is the same for all images.

    Args:
        root: the folder that was walked.
        images: absolute paths below `root`.

    Returns:
        A label for each image that is in a directory below `root` which says something, in the order given:
        fields category1, category2, … from the outside in, unless all that they would say is the label;
        `label`, where a directory names a class; `split`, where one says train, val or test; no metadata. And
        what was not taken for a label.
    """
    found = [(image, directories_below(root, image)) for image in images]
    labels, remarks = folder_labels(Counter(directories for _, directories in found))
    return [
        Claim(image, labels[directories], image) for image, directories in found if directories in labels
    ], remarks


def folder_labels(images: Mapping[Directories, int]) -> tuple[dict[Directories, Label], list[Remark]]:
    """Return the labels that directories give: see `read_folders`.

    Args:
        images: how many there are in each directory.

    Returns:
        A label of each directory that says something, and what was not taken for one.
    """
    classes = _classes(list(images))
    labels = {directories: _label(directories, classes) for directories in images}
    # What is skipped leaves a name that tells images apart, or none.
    skipped = {directories for directories, label in labels.items() if label != directories}
    if len(set(labels.values())) == 1 and len(labels) == len(skipped):
        labels = dict.fromkeys(labels, ())
    # One level of folders that are all classes: category1 would be the label once more.
    flat = all(len(directories) <= 1 and label == directories for directories, label in labels.items())
    found = {}
    unnamed: Counter[str] = Counter()
    for directories, count in images.items():
        label = labels[directories]
        split = next(
            (part for d in reversed(directories) if d not in label[-1:] and (part := split_of(d))), None
        )
        if directories and not label:
            unnamed[directories[-1]] += count
        if not label and split is None:
            continue
        fields = {} if flat else category_fields(directories)
        if label:
            fields["label"] = storable(label[-1])
        if split is not None:
            fields["split"] = split
        found[directories] = Label(fields, {})
    return found, _remarks(unnamed)


def _label(directories: Directories, classes: set[Directories]) -> Directories:
    """Return the directories down to the innermost that names a class; none where there is none."""
    for count in range(len(directories), 0, -1):
        if not is_data_folder(directories[count - 1]) or directories[:count] in classes:
            return directories[:count]
    return ()


def _classes(found: Sequence[Directories]) -> set[Directories]:
    """Return the directories whose name may be a thing and that stand among classes: train by bus and car."""
    beside: dict[Directories, set[str]] = {}
    for directories in set(found):
        if directories:
            beside.setdefault(directories[:-1], set()).add(directories[-1])
    return {
        (*above, name)
        for above, names in beside.items()
        for name in names
        if is_thing(name)
        and len(names) > 2
        and not any(is_data_folder(other) for other in names if other != name)
    }


def _remarks(unnamed: Counter[str]) -> list[Remark]:
    if not unnamed:
        return []
    some = ", ".join(f"{name} ({count:,})" for name, count in unnamed.most_common(_FOLDERS_NAMED))
    more = len(unnamed) - _FOLDERS_NAMED
    others = f" and {more} more folders" if more > 0 else ""
    text = (
        f"no label is taken from the folders {some}{others}: such names only say what kind of data is there"
    )
    return [Remark("", text)]


def with_split(root: Location, claim: Claim) -> Claim:
    """Return a label with the field `split`, where a directory of its image or of its file says it."""
    if "split" in claim.label.fields:
        return claim
    for path in (claim.image, claim.source):
        for directory in reversed(directories_below(root, path)):
            if (split := split_of(directory)) is not None:
                label = Label({**claim.label.fields, "split": split}, claim.label.metadata)
                return replace(claim, label=label)
    return claim
