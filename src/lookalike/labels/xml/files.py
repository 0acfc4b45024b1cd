"""Labels from XML files: Pascal VOC's, one for each image, and CVAT's for images.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, section 4 and appendix;
https://docs.cvat.ai/docs/manual/advanced/xml_format/ (version 1.1).
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lookalike.file_names import display, readable
from lookalike.labels.data_folders import split_of
from lookalike.labels.fields import storable
from lookalike.labels.json.annotations import merged_fields
from lookalike.labels.labelling import Claim, Label, Unusable, skip
from lookalike.labels.tables.column_types import typed
from lookalike.labels.xml.documents import read_xml
from lookalike.sources.objects import read_ahead
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lookalike.labels.image_names import ImageNames, Match
    from lookalike.labels.xml.documents import Element
    from lookalike.sources.objects import Location
    from lookalike.types import Scalar


@dataclass(frozen=True, slots=True)
class XmlFile:
    """An XML file, or why it is none."""

    path: Location
    root: Element | None
    flaw: str = ""

    @property
    def form(self) -> str:
        """`Pascal VOC`, `CVAT`, or nothing."""
        if self.root is None:
            return ""
        if self.root.tag == "annotation" and (self.root.all("object") or self.root.all("filename")):
            return "Pascal VOC"
        tags = {child.tag for child in self.root.children}
        return "CVAT" if self.root.tag == "annotations" and tags & {"image", "track", "meta"} else ""


def read_xml_documents(paths: Iterable[Location], read_text: Callable[[Location], str]) -> list[XmlFile]:
    """Read XML files, each once."""
    found = []
    for path in read_ahead(paths):
        try:
            found.append(XmlFile(path, read_xml(path, read_text)))
        except Unusable as error:
            found.append(XmlFile(path, None, str(error)))
    return found


def read_xml_files(
    names: ImageNames, files: Iterable[XmlFile], splits: Iterable[Location] = ()
) -> tuple[list[Claim], list[Skipped], list[Remark]]:
    """Read labels from Pascal VOC's and CVAT's XML files.

    The fields of an image are `label`, the names of its objects or tags; their attributes; and `split`, where
    VOC's ImageSets or CVAT's subset says so. The metadata is the file, or CVAT's entry of the image.

    Args:
        names: the images below the folder that was walked.
        files: the XML files below it.
        splits: files that may be VOC's ImageSets.

    Returns:
        The labels with their images; what cannot be used, with the reason; and what was assumed.
    """
    claims: list[Claim] = []
    skipped: list[Skipped] = []
    other_names: list[tuple[Location, str, Location]] = []
    parts = _image_sets(splits)
    for file in files:
        if file.root is None:
            skipped.append(Skipped(str(file.path), file.flaw))
        elif file.form == "Pascal VOC":
            try:
                match, said = _voc_image(names, file.path, file.root)
            except Unusable as error:
                skipped.append(Skipped(str(file.path), str(error)))
                continue
            if said:
                other_names.append((file.path, said, match.image))
            label = _voc_label(file.root, parts.get(file.path.stem))
            claims.append(match.claim(label, file.path))
        elif file.form == "CVAT":
            _read_cvat(names, file.path, file.root, claims, skipped)
        else:
            reason = f"neither Pascal VOC nor CVAT: its root is <{display(file.root.tag)}>"
            skipped.append(Skipped(str(file.path), reason))
    return claims, skipped, _remarks(other_names)


def _voc_image(names: ImageNames, path: Location, annotation: Element) -> tuple[Match, str]:
    """Return the image of a file of Pascal VOC, and the name that it gives where that is another image's.

    Its own name counts: the tools of VOC find files by it, and `filename` is left as it was when images are
    renamed.
    """
    directories = names.directories(path)
    said = annotation.said("filename") or annotation.said("path")
    try:
        match = names.find_stem(path.stem, directories)
    except Unusable as error:
        if not said:
            raise
        try:
            return names.find(said, directories), ""
        except Unusable:
            pass
        try:
            return names.find_stem(_stem(said), directories), ""
        except Unusable:
            raise Unusable(f"{error}, which is its own name, and none {said!r}") from error
    if said and _stem(said) != readable(match.image.stem):
        with suppress(Unusable):
            if names.find(said, directories).image != match.image:
                return match, said
    return match, ""


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _remarks(other_names: list[tuple[Location, str, Location]]) -> list[Remark]:
    if not other_names:
        return []
    path, said, image = other_names[0]
    more = f", and so on in {len(other_names) - 1:,} more files" if len(other_names) > 1 else ""
    text = (
        f"names {display(said)!r} and is called as {display(image.name)!r} is, which it was taken for{more}"
    )
    return [Remark(str(path), text)]


def _voc_label(annotation: Element, split: str | None) -> Label:
    objects = annotation.all("object")
    labels = {storable(each.said("name")) for each in objects} - {""}
    fields: dict[str, Scalar] = {}
    if labels:
        fields["label"] = ", ".join(sorted(labels))
    given = []
    for each in objects:
        for attribute in (one for group in each.all("attributes") for one in group.all("attribute")):
            name = storable(attribute.said("name"))
            (value,) = typed([attribute.said("value")])
            if name and value is not None:
                given.append({name: value})
    fields.update(merged_fields(given))
    if split is not None:
        fields.setdefault("split", split)
    return Label(fields, {"annotation": annotation.plain()})


def _image_sets(paths: Iterable[Location]) -> dict[str, str]:
    """Return the parts of a data set that VOC's ImageSets/*/train.txt, val.txt and test.txt list, by stem."""
    found: dict[str, set[str]] = {}
    for path in paths:
        split = split_of(path.stem)
        if split is None or path.suffix != ".txt" or "ImageSets" not in path.parts:
            continue
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        for line in lines:
            if words := line.split():
                found.setdefault(words[0], set()).add(split)
    return {stem: next(iter(parts)) for stem, parts in found.items() if len(parts) == 1}


def _read_cvat(
    names: ImageNames,
    path: Location,
    annotations: Element,
    claims: list[Claim],
    skipped: list[Skipped],
) -> None:
    directories = names.directories(path)
    entries = annotations.all("image")
    if tracks := len(annotations.all("track")):
        skipped.append(Skipped(str(path), f"has {tracks:,} tracks, of a video (CVAT): these are not read"))
    columns = _columns(entries)
    for n, entry in enumerate(entries):
        place = f"image {n + 1}"
        name = entry.attributes.get("name", "")
        try:
            match = names.find(name, directories)
        except Unusable as error:
            skipped.append(skip(path, place, str(error)))
            continue
        labels = {storable(each.attributes.get("label", "")) for each in entry.children} - {""}
        fields: dict[str, Scalar] = {"label": ", ".join(sorted(labels))} if labels else {}
        fields.update(merged_fields(columns[n]))
        if (split := split_of(entry.attributes.get("subset", ""))) is not None:
            fields.setdefault("split", split)
        label = Label(fields, {"image": entry.plain()})
        claims.append(match.claim(label, path, place))


def _columns(entries: Sequence[Element]) -> list[list[dict[str, Scalar]]]:
    """Return the attributes of each image, in the one type that all values of a name have in the file."""
    found: list[tuple[int, str, str]] = []
    for n, entry in enumerate(entries):
        for shape in entry.children:
            for attribute in shape.all("attribute"):
                name = storable(attribute.attributes.get("name", ""))
                if name and attribute.text.strip():
                    found.append((n, name, attribute.text.strip()))
    by_name: dict[str, list[str]] = {}
    for _, name, value in found:
        by_name.setdefault(name, []).append(value)
    values = {name: iter(typed(column)) for name, column in by_name.items()}
    fields: list[list[dict[str, Scalar]]] = [[] for _ in entries]
    for n, name, _ in found:
        scalar = next(values[name])
        if scalar is not None:
            fields[n].append({name: scalar})
    return fields


def xml_forms(files: Iterable[XmlFile]) -> Counter[str]:
    """Return how many files there are of each form."""
    return Counter(file.form for file in files if file.form)
