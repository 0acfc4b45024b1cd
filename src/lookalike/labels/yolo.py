"""Labels in YOLO's format: a text file for each image, with a class number and a box in each line.

https://docs.ultralytics.com/datasets/detect/ says where they lie and what names.yaml holds; Darknet's
obj.names and labelImg's classes.txt have a name in each line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.labels.fields import storable
from lookalike.labels.labelling import Claim, Label, Unusable, skip
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lookalike.labels.image_names import ImageNames
    from lookalike.sources.objects import Location

_LISTS = frozenset({"classes.txt", "obj.names", "labels.names", "predefined_classes.txt", "_darknet.labels"})
"""Files with a name in each line: of labelImg and Label Studio, of Darknet, of Roboflow."""
_YAML = (".yaml", ".yml")
_MAX_YAML = 1 << 20
_LOOKED_AT = 20
"""Files that are looked into to tell whether text files are YOLO's."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of classes that one file lists."""

    path: Location
    by_number: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class YoloFiles:
    """What looks like a data set of YOLO."""

    labels: list[Location]
    names: list[Names]
    flaws: list[Skipped]
    """Files of names that cannot be read."""


def find_yolo(
    names: ImageNames, others: Iterable[Location], read_text: Callable[[Location], str]
) -> YoloFiles | None:
    """Return the text files that are called as images are and hold numbers, None where there are none."""
    listed = list(others)
    paths = [
        path
        for path in listed
        if path.suffix.lower() == ".txt" and path.name.lower() not in _LISTS and names.has_stem(path.stem)
    ]
    if not any(_is_yolo(path, read_text) for path in paths[:_LOOKED_AT]):
        return None
    found: list[Names] = []
    flaws: list[Skipped] = []
    for path in listed:
        try:
            if path.name.lower() in _LISTS or path.suffix.lower() == ".names":
                found.append(Names(path, _listed(read_text(path))))
            elif path.suffix.lower() in _YAML and (by_number := _yaml_names(path, read_text)):
                found.append(Names(path, by_number))
        except Unusable as error:
            flaws.append(Skipped(str(path), str(error)))
    return YoloFiles(paths, found, flaws)


def read_yolo(
    names: ImageNames, files: YoloFiles, read_text: Callable[[Location], str]
) -> tuple[list[Claim], list[Skipped], list[Remark]]:
    """Read labels from files of YOLO.

    The field is `label`, the names of the classes in the file, by the list of names that is nearest above it;
    where there is none, their numbers. A file without a line says that nothing is in the image. The
    metadata is `objects`, the lines: `class`, and `numbers` as they are.

    Args:
        names: the images below the folder that was walked.
        files: as `find_yolo` has found them.
        read_text: reads one.

    Returns:
        The labels with their images; what cannot be used, with the reason; and what was assumed.
    """
    claims: list[Claim] = []
    skipped: list[Skipped] = list(files.flaws)
    unnamed = 0
    for path in files.labels:
        directories = names.directories(path)
        near = _nearest(path, files.names)
        unnamed += near is None
        try:
            objects = _objects(read_text(path), near)
            match = names.find_stem(path.stem, tuple("images" if d == "labels" else d for d in directories))
        except Unusable as error:
            skipped.append(skip(path, "", str(error)))
            continue
        labels = sorted({storable(each["class"]) for each in objects})
        label = Label({"label": ", ".join(labels)} if labels else {}, {"objects": objects})
        claims.append(match.claim(label, path))
    remarks = []
    if unnamed:
        text = f"{unnamed:,} files of YOLO have no data.yaml, classes.txt or obj.names"
        remarks.append(Remark("", f"{text}: classes are called by their numbers"))
    return claims, skipped, remarks


def _nearest(path: Location, names: Sequence[Names]) -> Names | None:
    """Return the list of names whose folder has most in common with that of a file."""

    def shared(one: Names) -> int:
        above = one.path.parent.parts
        return sum(1 for a, b in zip(above, path.parent.parts, strict=False) if a == b) - len(above)

    # Of folders above the file the innermost, which lacks nothing; else the one that lacks least.
    return max(names, key=lambda one: (shared(one), len(one.path.parent.parts)), default=None)


def _is_yolo(path: Location, read_text: Callable[[Location], str]) -> bool:
    try:
        return bool(_objects(read_text(path), None))
    except Unusable:
        return False


def _objects(text: str, names: Names | None) -> list[dict[str, Any]]:
    """Return the lines of a file: a class and at least four numbers each."""
    found: list[dict[str, Any]] = []
    for n, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 5:
            raise Unusable(f"line {n}: {len(words)} numbers, not a class and a box of four")
        try:
            numbers = [float(word) for word in words]
        except ValueError as error:
            raise Unusable(f"line {n}: not a class and a box, which are numbers") from error
        if not all(map(math.isfinite, numbers)) or numbers[0] < 0 or not numbers[0].is_integer():
            raise Unusable(f"line {n}: {words[0]} is no class, which is counted from 0")
        number = int(numbers[0])
        name = str(number)
        if names is not None:
            if number not in names.by_number:
                known = len(names.by_number)
                raise Unusable(f"line {n}: class {number}, and {names.path.name} has {known} names, from 0")
            name = names.by_number[number]
        found.append({"class": name, "numbers": numbers[1:]})
    return found


def _listed(text: str) -> dict[int, str]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise Unusable("lists no names of classes")
    return {n: line or str(n) for n, line in enumerate(lines)}


def _yaml_names(path: Location, read_text: Callable[[Location], str]) -> dict[int, str]:
    """Return `names` of a file in YAML, a list or an object by number; nothing where it has none."""
    try:
        if path.stat().st_size > _MAX_YAML:
            return {}
    except OSError:
        return {}
    text = read_text(path)
    if "names" not in text:
        return {}
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Unusable(f"not YAML: {reason}") from error
    given = content.get("names") if isinstance(content, dict) else None
    pairs = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    found: dict[int, str] = {}
    for number, name in pairs:
        if isinstance(name, str | int | float | bool) and str(number).isdecimal() and len(str(number)) < 10:
            found[int(number)] = str(name)
    return found
