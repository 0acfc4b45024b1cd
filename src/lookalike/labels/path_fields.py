"""Fields from paths: what a regular expression finds in the path of an image is a field of its label."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.file_names import display, readable
from lookalike.labels.fields import storable
from lookalike.labels.labelling import Label
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.sources.objects import Location
    from lookalike.types import Fields

GROUP = "group"
"""The field that a regular expression without a named group makes."""


def add_path_fields(
    labels: Mapping[Location, Label],
    roots: Mapping[Location, Location],
    regexes: Mapping[Location, str | None],
) -> tuple[dict[Location, Label], list[Remark]]:
    """Add to each image's label what a regular expression finds in its path.

    It is looked for from the folder that is indexed, whose own name belongs to it, to the image. A named
    group makes a field of its name, else the first group, or all that is found, makes the field `group`; a
    field of that name from elsewhere gives way.

    Args:
        labels: by image.
        roots: the folder that each image was found below.
        regexes: for each folder, in Python's syntax; None: nothing is looked for.

    Returns:
        The labels, and what to say of images whose paths do not match.

    Raises:
        InvalidArgument: one is no regular expression.
    """
    patterns = {regex: _compiled(regex) for regex in regexes.values() if regex is not None}
    found = dict(labels)
    looked: Counter[str] = Counter()
    unmatched: dict[str, list[Location]] = {}
    for image, label in labels.items():
        regex = regexes.get(roots[image])
        if regex is None:
            continue
        looked[regex] += 1
        fields = _fields(patterns[regex], readable(image.relative_to(roots[image].parent).as_posix()))
        if fields:
            found[image] = Label({**label.fields, **fields}, label.metadata)
        else:
            unmatched.setdefault(regex, []).append(image)
    remarks = []
    for regex, images in unmatched.items():
        some = f"{len(images):,} of {looked[regex]:,} paths" if len(images) < looked[regex] else "any path"
        remarks.append(Remark(str(images[0]), f"--group-by {display(regex)!r} does not match {some}"))
    return found, remarks


def _compiled(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise InvalidArgument(f"--group-by {display(regex)!r} is no regular expression: {error}") from None


def _fields(pattern: re.Pattern[str], path: str) -> Fields:
    match = pattern.search(path)
    if match is None:
        return {}
    named = match.groupdict() if pattern.groupindex else {GROUP: match[1 if pattern.groups else 0]}
    return {storable(name): storable(value) for name, value in named.items() if value and storable(value)}
