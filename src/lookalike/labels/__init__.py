"""Labels: what is known of each image, read from folders, JSON files or tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, LabelsInvalid
from lookalike.labels.alike import alike_labels
from lookalike.labels.annotations import file_name, named_images
from lookalike.labels.coco import is_coco, read_coco
from lookalike.labels.documents import read_documents
from lookalike.labels.encodings import Encodings
from lookalike.labels.folders import read_folders
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json_files import read_json_files
from lookalike.labels.labelling import Claim, Label, Labelling, Unusable, settle
from lookalike.labels.other_tables import find_other_tables, not_used
from lookalike.labels.tables import claim_rows, is_table, read_tables
from lookalike.records import Remark, Skipped, display

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.labels.documents import Document
    from lookalike.labels.other_tables import OtherTable

__all__ = ["MODES", "Label", "Labelling", "alike_labels", "read_labels"]

MODES = ("auto", "folders", "json", "table", "none")


_NO_TABLE = (
    "no metadata.csv, .tsv, .jsonl or .parquet is there, no other table with a column file_name that names "
    "images, and no COCO file; JSON files of one image each are read by --labels json"
)


def read_labels(
    root: Path, images: Sequence[Path], others: Sequence[Path], mode: str, encoding: str | None = None
) -> Labelling:
    """Read the labels of all images below a folder.

    Args:
        root: absolute path of the folder that was walked, or of a single image, which has no label.
        images: paths of the images below it, sorted, each beginning with `root` as it is spelt.
        others: such paths of all other files below it, sorted; labels are looked for among them.
        mode: where the labels stand. `folders`: the directories; `json`: a JSON file for each image;
            `table`: metadata.csv, .tsv, .jsonl or .parquet, or, where there is none, COCO files, or other
            tables; `none`: nowhere; `auto`: the first of table, json, folders that is there, else a table of
            another name, else none. A COCO file of one image is a JSON file for one image where there are
            more such files.
        encoding: of label files that are no Unicode by their marks; None to guess.

    Returns:
        Every image, with a label or without, and every label that cannot be used.

    Raises:
        InvalidArgument: no such mode or encoding, or a path that does not begin with `root`.
        LabelsInvalid: `json` or `table` was asked for and there is none; a table called metadata cannot be
            read at all, or has no column that names images.
        ExtraMissing: a Parquet file, and no pyarrow to read it.
    """
    if mode not in MODES:
        raise InvalidArgument(f"no labels {mode!r}: one of {', '.join(MODES)}")
    encodings = Encodings(images, encoding, root)
    if mode == "none" or not root.is_dir():
        return settle("none", images, [])
    for path in (*images, *others):
        if not path.is_relative_to(root):
            raise InvalidArgument(f"{display(path)} is not below {display(root)}")
    if mode == "folders":
        return settle(mode, images, read_folders(root, images))
    sources = _find(root, images, others, encodings)
    chosen = _choose(root, sources, mode)
    reading = _read(root, images, sources, chosen)
    if chosen == "folders" and not reading.claims:
        chosen = "other" if sources.other_tables else "none"
        reading = _read(root, images, sources, chosen)
    unread = [*_passed_over(reading.documents, reading.why), *sources.useless]
    if chosen != "other":
        unread += not_used(sources.other_tables, reading.why)
    skipped = [*reading.skipped, *unread, *sources.broken]
    return settle(
        "table" if chosen in ("coco", "other") else chosen,
        images,
        reading.claims,
        skipped,
        remarks=[*encodings.remarks(), *reading.remarks],
        expected=chosen not in ("folders", "none") or (chosen == "none" and bool(unread)),
    )


@dataclass(frozen=True, slots=True)
class _Sources:
    """The files that labels may stand in."""

    names: ImageNames
    encodings: Encodings
    tables: list[Path]
    """Those called metadata."""
    other_tables: list[OtherTable]
    useless: list[Skipped]
    """Other tables that are called like labels, and are none."""
    other_encodings: Encodings
    documents: list[Document]
    broken: list[Skipped]
    """JSON files that are no JSON."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read from those of them that were chosen."""

    claims: list[Claim]
    skipped: list[Skipped] = field(default_factory=list)
    documents: Sequence[Document] = ()
    """JSON files that were not read."""
    why: str = ""
    """The reason of that."""
    remarks: list[Remark] = field(default_factory=list)


def _find(root: Path, images: Sequence[Path], others: Sequence[Path], encodings: Encodings) -> _Sources:
    names = ImageNames(root, images)
    # What is assumed of tables that are only looked into concerns nobody.
    other_encodings = encodings.fresh()
    other_tables, useless = find_other_tables(others, names, other_encodings)
    documents, broken = read_documents((path for path in others if path.suffix.lower() == ".json"), encodings)
    tables = [path for path in others if is_table(path)]
    return _Sources(names, encodings, tables, other_tables, useless, other_encodings, documents, broken)


def _choose(root: Path, sources: _Sources, mode: str) -> str:
    """Return what is read: table (metadata), coco, json, folders or other (tables of other names).

    Raises:
        LabelsInvalid: what was asked for is not there.
    """
    any_coco = any(is_coco(document.content) for document in sources.documents)
    if mode == "auto":
        mode = _detect(sources.tables, sources.documents)
        any_coco = True
    if mode == "json" and not sources.documents and not sources.broken:
        raise LabelsInvalid(display(root), "no JSON file is there")
    if mode != "table" or sources.tables:
        return mode
    if any_coco:
        return "coco"
    if sources.other_tables:
        return "other"
    seen = [f"{display(each.path)} {each.reason}" for each in sources.useless[:1]]
    raise LabelsInvalid(display(root), "; ".join([_NO_TABLE, *seen]))


def _read(root: Path, images: Sequence[Path], sources: _Sources, chosen: str) -> _Reading:
    """Read the labels from what was chosen."""
    documents, names = sources.documents, sources.names
    if chosen == "table":
        claims, skipped, remarks = read_tables(sources.tables, names, sources.encodings)
        why = f"the labels are taken from {display(sources.tables[0].name)}"
        return _Reading(claims, skipped, documents, why, remarks)
    if chosen == "coco":
        coco = [document for document in documents if is_coco(document.content)]
        rest = [document for document in documents if not is_coco(document.content)]
        claims, skipped = read_coco(root, images, coco)
        return _Reading(claims, skipped, rest, "no COCO file; labels of one image are read by --labels json")
    if chosen == "json":
        claims, skipped = read_json_files(root, images, documents)
        return _Reading(claims, skipped, why="the labels are JSON files")
    if chosen == "folders":
        return _Reading(read_folders(root, images), [], documents, "the labels are the folders")
    if chosen == "none":
        return _Reading([], [], documents, "the labels are the folders")
    why = f"the labels are taken from {display(sources.other_tables[0].sheet.path.name)}"
    claims, skipped, remarks = [], [], []
    for table in sources.other_tables:
        found, unused, said = claim_rows(table.sheet, names)
        claims += found
        skipped += unused
        remarks += [Remark(str(table.sheet.path), f"read as a table of labels: {table}"), *said]
    paths = {table.sheet.path for table in sources.other_tables}
    return _Reading(claims, skipped, documents, why, [*sources.other_encodings.remarks(paths), *remarks])


def _detect(tables: Sequence[Path], documents: Sequence[Document]) -> str:
    labels = [document for document in documents if not _flaw(document)]
    if tables or any(len(document.content["images"]) > 1 for document in labels):
        return "table"
    if len(labels) == 1 and is_coco(labels[0].content):
        return "table"
    return "json" if labels else "folders"


def _flaw(document: Document) -> str:
    """Return why a JSON file names no image, or nothing where it does."""
    try:
        file_name(named_images(document.content)[0], "images[0]")
    except Unusable as error:
        return str(error)
    return ""


def _passed_over(documents: Sequence[Document], reason: str) -> list[Skipped]:
    """Report the JSON files that look like labels and are not read as such; others are no labels."""
    return [
        Skipped(str(document.path), _flaw(document) or f"not used: {reason}")
        for document in documents
        if isinstance(document.content, dict) and "images" in document.content
    ]
