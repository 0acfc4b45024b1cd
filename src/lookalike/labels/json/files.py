"""Labels from JSON files that name their images: one file for each image, or the export of a tool."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from lookalike.labels.data_folders import is_data_folder
from lookalike.labels.fields import category_fields, storable
from lookalike.labels.image_names import ImageNames, common_suffix
from lookalike.labels.json.entries import json_entries, names_no_image
from lookalike.labels.json.exports import is_export
from lookalike.labels.labelling import Claim, Label, Unusable, skip
from lookalike.sources.files import SUFFIXES
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lookalike.labels.image_names import Match
    from lookalike.labels.json.documents import Document
    from lookalike.labels.json.entry import Entry
    from lookalike.sources.objects import Location


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A JSON file, and what it says of which images."""

    path: Location
    content: Any
    entries: list[Entry] = field(default_factory=list)
    flaw: str = ""
    """Why there are no entries."""

    @property
    def is_one_image(self) -> bool:
        """Whether it is about one image, as a whole."""
        return len(self.entries) == 1 and not self.entries[0].place

    @property
    def is_export(self) -> bool:
        """Whether only a tool for labels writes such a file."""
        return is_export(self.content)

    @property
    def first_picture(self) -> str | None:
        """The first name of an image that it lists, or says something of; None where there is none."""
        names = (name for entry in self.entries if entry.fields or entry.place for name in entry.names)
        return next((name for name in names if PurePath(name).suffix.lower() in SUFFIXES), None)


def read_label_file(document: Document) -> LabelFile:
    """Return what a JSON file says of which images."""
    content = document.content
    try:
        return LabelFile(document.path, content, json_entries(content))
    except Unusable as error:
        return LabelFile(document.path, content, flaw=str(error))


def find_entry(names: ImageNames, file: LabelFile, entry: Entry) -> Match:
    """Return the image of an entry: by the names that it has, else, for a whole file, by the file's own name.

    Raises:
        Unusable: there is none of these names, or several.
    """
    if entry.flaw and not names_no_image(entry):
        raise Unusable(entry.flaw)
    directories = names.directories(file.path)
    given = [*entry.names]
    if not entry.place and (not given or file.is_export):
        given.append(file.path.stem)
    flaw = entry.flaw
    for name in given:
        try:
            return names.find(name, directories)
        except Unusable as error:
            flaw = flaw or str(error)
    raise Unusable(flaw)


def looks_like_labels(content: Any) -> bool:
    """Tell whether a file has `images`, as COCO's and deliveries have, whatever is in it."""
    return isinstance(content, dict) and "images" in content


def names_image(names: ImageNames, file: LabelFile) -> bool:
    """Tell whether a JSON file, in whatever form, names an image that is there."""
    for entry in file.entries:
        try:
            find_entry(names, file, entry)
        except Unusable:
            continue
        return True
    return False


def read_json_files(names: ImageNames, documents: Iterable[Document]) -> tuple[list[Claim], list[Skipped]]:
    """Read labels that stand in JSON files, wherever below the root.

    The fields of a file for one image are category1, category2, …: the directories that label and image
    have in common from the inside out, or, where there are none, the label's; and what its annotations say,
    which wins over a category of the same name. A file that lists COCO's categories, or calls something its
    label, gives the field `label`. The metadata is the whole file, with the directories as `categories`
    unless it has such a key. Of a file for many images, fields and metadata are what it says of each.

    Args:
        names: the images below the folder that was walked.
        documents: the JSON files below it, by path.

    Returns:
        The labels with their images, and the files that are none with the reason, in the order given.
    """
    claims: list[Claim] = []
    skipped: list[Skipped] = []
    for document in documents:
        file = read_label_file(document)
        if file.flaw:
            skipped.append(Skipped(str(file.path), file.flaw))
        for entry in file.entries:
            try:
                match = find_entry(names, file, entry)
            except Unusable as error:
                skipped.append(skip(file.path, entry.place, str(error)))
                continue
            label = (
                _label(names, file, entry, match)
                if file.is_one_image
                else Label(entry.fields, entry.metadata)
            )
            claims.append(match.claim(label, file.path, entry.place))
    return claims, skipped


def _label(names: ImageNames, file: LabelFile, entry: Entry, match: Match) -> Label:
    above = names.directories(file.path)
    directories = common_suffix(above, names.directories(match.image)) or above
    if all(map(is_data_folder, directories)):
        directories = ()
    fields = {**category_fields(directories), **entry.fields}
    delivered: Mapping[str, Any] = entry.metadata
    return Label(fields, {"categories": [storable(directory) for directory in directories], **delivered})
