"""Labels: what is known of each image, read from folders, JSON files or tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, LabelsInvalid
from lookalike.labels.annotations import members
from lookalike.labels.coco import is_coco, read_coco
from lookalike.labels.documents import read_documents
from lookalike.labels.folders import read_folders, with_split
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json_files import looks_like_labels, names_image, read_json_files, read_label_file
from lookalike.labels.labelling import Label, Labelling, settle
from lookalike.labels.tables import TABLE_NAMES, read_tables
from lookalike.records import Remark, Skipped, display

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.labels.documents import Document

__all__ = ["MODES", "Label", "Labelling", "read_labels"]

MODES = ("auto", "folders", "json", "table", "none")


_NO_TABLE = (
    "no metadata.csv, .jsonl or .parquet is there, and no COCO file; "
    "JSON files of one image each are read by --labels json"
)


def read_labels(root: Path, images: Sequence[Path], others: Sequence[Path], mode: str) -> Labelling:
    """Read the labels of all images below a folder.

    Args:
        root: absolute path of the folder that was walked, or of a single image, which has no label.
        images: paths of the images below it, sorted, each beginning with `root` as it is spelt.
        others: such paths of all other files below it, sorted; labels are looked for among them.
        mode: where the labels stand. `folders`: the directories; `json`: a JSON file for each image;
            `table`: metadata.csv, .jsonl or .parquet, or, where there is none, COCO files; `none`: nowhere;
            `auto`: the first of table, json, folders that is there, else none. A COCO file of one image is
            a JSON file for one image where there are more such files.

    Returns:
        Every image, with a label or without, and every label that cannot be used.

    Raises:
        InvalidArgument: no such mode, or a path that does not begin with `root`.
        LabelsInvalid: `json` or `table` was asked for and there is none; a table cannot be read at all, or
            has no column file_name.
        ExtraMissing: a Parquet file, and no pyarrow to read it.
    """
    if mode not in MODES:
        raise InvalidArgument(f"no labels {mode!r}: one of {', '.join(MODES)}")
    if mode == "none" or not root.is_dir():
        return settle("none", images, [])
    for path in (*images, *others):
        if not path.is_relative_to(root):
            raise InvalidArgument(f"{display(path)} is not below {display(root)}")
    if mode == "folders":
        claims, said = read_folders(root, images)
        return settle(mode, images, claims, remarks=said)
    tables = [path for path in others if path.name in TABLE_NAMES]
    remarks: list[Remark] = []
    documents, broken = read_documents(path for path in others if path.suffix.lower() == ".json")
    if mode == "auto":
        mode = _detect(root, images, tables, documents)
    elif mode == "table" and not tables and not any(is_coco(document.content) for document in documents):
        raise LabelsInvalid(display(root), _NO_TABLE)
    elif mode == "json" and not documents and not broken:
        raise LabelsInvalid(display(root), "no JSON file is there")
    if mode == "table" and tables:
        claims, skipped = read_tables(root, images, tables)
        skipped += _passed_over(documents, f"the labels are taken from {display(tables[0].name)}")
    elif mode == "table":
        claims, skipped = read_coco(root, images, [d for d in documents if is_coco(d.content)])
        others_than_coco = [d for d in documents if not is_coco(d.content)]
        skipped += _passed_over(
            others_than_coco, "no COCO file; labels of one image are read by --labels json"
        )
    elif mode == "json":
        claims, skipped = read_json_files(root, images, documents)
    else:
        claims, remarks = read_folders(root, images)
        skipped = _passed_over(documents, "the labels are the folders")
        mode = "folders" if claims else "none"
    if mode in ("json", "table") and not tables:
        claims = [with_split(root, claim) for claim in claims]
    return settle(mode, images, claims, [*broken, *skipped], remarks=remarks)


def _detect(root: Path, images: Sequence[Path], tables: Sequence[Path], documents: Sequence[Document]) -> str:
    coco = [document for document in documents if is_coco(document.content)]
    many = [document for document in coco if len(members(document.content["images"])) > 1]
    if tables or many:
        return "table"
    names = ImageNames(root, images)
    labels = [document for document in documents if _is_label(root, names, document)]
    if len(labels) == 1 and is_coco(labels[0].content):
        return "table"
    return "json" if labels else "folders"


def _is_label(root: Path, names: ImageNames, document: Document) -> bool:
    """Tell whether a JSON file is a label: in a form that nothing else has, or by naming an image that is there."""
    file = read_label_file(document)
    if file.flaw:
        return False
    return file.is_export or looks_like_labels(document.content) or names_image(root, names, file)


def _passed_over(documents: Sequence[Document], reason: str) -> list[Skipped]:
    """Report the JSON files that look like labels and are not read as such; others are no labels."""
    found = []
    for document in documents:
        if looks_like_labels(document.content):
            flaw = "" if is_coco(document.content) else read_label_file(document).flaw
            found.append(Skipped(str(document.path), flaw or f"not used: {reason}"))
        elif read_label_file(document).is_export:
            found.append(Skipped(str(document.path), f"not used: {reason}"))
    return found
