"""Reading the labels of a folder: which sources there are, which one counts, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, LabelsInvalid
from lookalike.file_names import display
from lookalike.labels.encodings import Encodings
from lookalike.labels.folders import read_folders, with_split
from lookalike.labels.image_names import ImageNames
from lookalike.labels.json.annotations import members
from lookalike.labels.json.coco import is_coco, lesser_files, read_coco
from lookalike.labels.json.documents import read_documents
from lookalike.labels.json.files import (
    LabelFile,
    looks_like_labels,
    names_image,
    read_json_files,
    read_label_file,
)
from lookalike.labels.labelling import Claim, Labelling, settle
from lookalike.labels.tables.other_tables import find_other_tables, is_like_labels, not_used
from lookalike.labels.tables.sheets import claim_rows, is_table, read_tables
from lookalike.labels.unrecognised_files import unknown_json, unknown_texts
from lookalike.labels.xml.files import XmlFile, read_xml_documents, read_xml_files, xml_forms
from lookalike.labels.yolo import YoloFiles, find_yolo, read_yolo
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.labels.json.documents import Document
    from lookalike.labels.tables.other_tables import OtherTable
    from lookalike.sources.objects import Location

MODES = ("auto", "folders", "json", "table", "xml", "yolo", "none")


_NO_TABLE = (
    "no metadata.csv, .tsv, .jsonl or .parquet is there, no other table with a column file_name that names "
    "images, and no COCO file; JSON files of one image each are read by --labels json"
)


def read_labels(
    root: Location,
    images: Sequence[Location],
    others: Sequence[Location],
    mode: str,
    encoding: str | None = None,
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
        claims, remarks = read_folders(root, images)
        return settle(mode, images, claims, remarks=remarks)
    sources = _find(root, images, others, encodings)
    chosen = _choose(root, sources, mode)
    reading = _read(root, images, sources, chosen)
    if chosen == "folders" and not _tell_apart(reading.claims, images, sources):
        chosen = "other" if sources.other_tables else "folders" if reading.claims else "none"
        if chosen != "folders":
            kept = reading.remarks if chosen == "none" else []
            reading = _read(root, images, sources, chosen)
            reading.remarks.extend(kept)
    unread = [*_passed_over(reading.documents, sources.files, reading.why), *sources.useless]
    if chosen != "other":
        unread += not_used(sources.other_tables, reading.why)
    unknown, said = _unknown(sources, reading, {each.path for each in (*unread, *sources.broken)}, chosen)
    unread += unknown
    skipped = [*reading.skipped, *unread, *sources.broken]
    claims = reading.claims
    if chosen in ("coco", "json", "xml", "yolo", "other"):
        claims = [with_split(root, claim) for claim in claims]
    return settle(
        "table" if chosen in ("coco", "other") else chosen,
        images,
        claims,
        skipped,
        remarks=[*encodings.remarks(), *reading.remarks, *said, *_other_forms(sources, chosen)],
        expected=chosen not in ("folders", "none") or (chosen == "none" and bool(unread)),
    )


@dataclass(frozen=True)
class _Sources:
    """The files that labels may stand in."""

    names: ImageNames
    encodings: Encodings
    tables: list[Location]
    """Those called metadata."""
    other_tables: list[OtherTable]
    useless: list[Skipped]
    """Other tables that are called like labels, and are none."""
    other_encodings: Encodings
    documents: list[Document]
    broken: list[Skipped]
    """JSON files that are no JSON."""
    others: Sequence[Location]

    @cached_property
    def coco(self) -> list[Document]:
        """The JSON files that are COCO's."""
        return [document for document in self.documents if is_coco(document.content)]

    @cached_property
    def files(self) -> list[LabelFile]:
        """What the JSON files that are not COCO's say of which images."""
        return [read_label_file(document) for document in self.documents if not is_coco(document.content)]

    @cached_property
    def form_encodings(self) -> Encodings:
        """Of XML files and YOLO's: what is assumed of them concerns nobody unless they are chosen."""
        return self.encodings.fresh()

    @cached_property
    def xml(self) -> list[XmlFile]:
        """The XML files; they are read when it is asked for."""
        paths = (path for path in self.others if path.suffix.lower() == ".xml")
        return read_xml_documents(paths, self.form_encodings.text)

    @cached_property
    def yolo(self) -> YoloFiles | None:
        """What looks like a data set of YOLO."""
        return find_yolo(self.names, self.others, self.form_encodings.text)


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


def _find(
    root: Location, images: Sequence[Location], others: Sequence[Location], encodings: Encodings
) -> _Sources:
    names = ImageNames(root, images)
    # What is assumed of tables that are only looked into concerns nobody.
    other_encodings = encodings.fresh()
    other_tables, useless = find_other_tables(others, names, other_encodings)
    documents, broken = read_documents((path for path in others if path.suffix.lower() == ".json"), encodings)
    tables = [path for path in others if is_table(path)]
    return _Sources(
        names, encodings, tables, other_tables, useless, other_encodings, documents, broken, others
    )


def _choose(root: Location, sources: _Sources, mode: str) -> str:
    """Return what is read: table (metadata), coco, json, folders or other (tables of other names).

    Raises:
        LabelsInvalid: what was asked for is not there.
    """
    any_coco = bool(sources.coco)
    if mode == "auto":
        mode = _detect(sources)
        any_coco = True
    if mode == "json" and not sources.documents and not sources.broken:
        raise LabelsInvalid(display(root), "no JSON file is there")
    if mode == "xml" and not sources.xml:
        raise LabelsInvalid(display(root), "no XML file is there")
    if mode == "yolo" and sources.yolo is None:
        raise LabelsInvalid(
            display(root), "no text file is called as an image is and holds classes and boxes"
        )
    if mode != "table" or sources.tables:
        return mode
    if any_coco:
        return "coco"
    if sources.other_tables:
        return "other"
    seen = [f"{display(each.path)} {each.reason}" for each in sources.useless[:1]]
    raise LabelsInvalid(display(root), "; ".join([_NO_TABLE, *seen]))


def _read(root: Location, images: Sequence[Location], sources: _Sources, chosen: str) -> _Reading:
    """Read the labels from what was chosen."""
    documents, names = sources.documents, sources.names
    if chosen == "table":
        claims, skipped, remarks = read_tables(sources.tables, names, sources.encodings)
        why = f"the labels are taken from {display(sources.tables[0].name)}"
        return _Reading(claims, skipped, documents, why, remarks)
    if chosen == "coco":
        rest = [document for document in documents if not is_coco(document.content)]
        claims, skipped = read_coco(names, sources.coco)
        why = "no COCO file; labels of one image are read by --labels json"
        return _Reading(claims, skipped, rest, why, lesser_files(sources.coco))
    if chosen == "json":
        claims, skipped = read_json_files(names, documents)
        return _Reading(claims, skipped, why="the labels are JSON files")
    if chosen == "xml":
        claims, skipped, remarks = read_xml_files(names, sources.xml, sources.others)
        remarks += sources.form_encodings.remarks()
        return _Reading(claims, skipped, documents, "the labels are XML files", remarks)
    if chosen == "yolo" and sources.yolo is not None:
        claims, skipped, remarks = read_yolo(names, sources.yolo, sources.form_encodings.text)
        remarks += sources.form_encodings.remarks()
        return _Reading(claims, skipped, documents, "the labels are YOLO's text files", remarks)
    if chosen == "folders":
        claims, remarks = read_folders(root, images)
        return _Reading(claims, [], documents, "the labels are the folders", remarks)
    if chosen == "none":
        return _Reading([], [], documents, "the labels are the folders")
    why = f"the labels are taken from {display(sources.other_tables[0].sheet.path.name)}"
    claims, skipped, remarks = [], [], []
    taken: set[Location] = set()
    for table in sources.other_tables:
        found, unused, said = claim_rows(table.sheet, names)
        if taken & {claim.image for claim in found}:
            skipped += not_used([table], f"{why}, and it names the same images")
            continue
        taken.update(claim.image for claim in found)
        claims += found
        skipped += unused
        remarks += [Remark(str(table.sheet.path), f"read as a table of labels: {table}"), *said]
    paths = {table.sheet.path for table in sources.other_tables}
    return _Reading(claims, skipped, documents, why, [*sources.other_encodings.remarks(paths), *remarks])


def _detect(sources: _Sources) -> str:
    """Return the first of table, json, xml and yolo that is there, else folders."""
    coco = sources.coco
    if sources.tables or any(len(members(document.content["images"])) > 1 for document in coco):
        return "table"
    labels = [file for file in sources.files if _is_label(sources.names, file)]
    if len(coco) == 1 and not labels:
        return "table"
    if coco or labels:
        return "json"
    if xml_forms(sources.xml):
        return "xml"
    return "folders" if sources.yolo is None else "yolo"


def _tell_apart(claims: Sequence[Claim], images: Sequence[Location], sources: _Sources) -> bool:
    """Tell whether the folders' names are labels: some are, and they are not one that all images have.

    One folder of all images, such as img_align_celeba, names no class where a table is like labels.
    """
    labels = [claim.label.fields["label"] for claim in claims if "label" in claim.label.fields]
    all_alike = len(images) > 1 and len(labels) == len(images) and len(set(labels)) == 1
    return bool(labels) and not (all_alike and any(map(is_like_labels, sources.other_tables)))


def _is_label(names: ImageNames, file: LabelFile) -> bool:
    """Tell whether a JSON file is a label: it has a form of its own, or names an image that is there."""
    if file.flaw:
        return False
    return file.is_export or looks_like_labels(file.content) or names_image(names, file)


def _passed_over(documents: Sequence[Document], files: Sequence[LabelFile], reason: str) -> list[Skipped]:
    """Report the JSON files that look like labels and are not read as such; others are no labels."""
    found = []
    read = {file.path: file for file in files}
    for document in documents:
        file = read.get(document.path) or LabelFile(document.path, None)  # COCO's are not among them
        if looks_like_labels(document.content) or file.is_export:
            found.append(Skipped(str(document.path), file.flaw or f"not used: {reason}"))
        elif (name := file.first_picture) is not None:
            why = f"there is no image {display(name)!r}, nor the others that it names"
            found.append(Skipped(str(document.path), f"looks like labels and is not used: {why}"))
    return found


def _unknown(
    sources: _Sources, reading: _Reading, reported: set[str], chosen: str
) -> tuple[list[Skipped], list[Remark]]:
    """Report the files that name images and are neither read nor reported otherwise."""
    documents = [document for document in reading.documents if str(document.path) not in reported]
    skipped, remarks = unknown_json(documents, sources.names)
    read = {*sources.tables, *(table.sheet.path for table in sources.other_tables)}
    if chosen == "yolo" and sources.yolo is not None:
        read.update(sources.yolo.labels)
    others = (path for path in sources.others if path not in read and str(path) not in reported)
    return [*skipped, *unknown_texts(others, sources.names)], remarks


def _other_forms(sources: _Sources, chosen: str) -> list[Remark]:
    """Say which labels of other forms are there, and not used."""
    remarks = []
    if chosen in ("table", "coco", "json", "other", "yolo", "none"):
        files = sources.xml
        for form, count in sorted(xml_forms(files).items()):
            first = next(file.path for file in files if file.form == form)
            text = f"looks like {form}'s, as {count:,} XML files do: not used; --labels xml reads them"
            remarks.append(Remark(str(first), text))
    if chosen in ("table", "coco", "json", "xml", "other") and (yolo := sources.yolo) is not None:
        count = len(yolo.labels)
        text = f"looks like YOLO's, as {count:,} text files do: not used; --labels yolo reads them"
        remarks.append(Remark(str(yolo.labels[0]), text))
    return [*remarks, *_unread(sources, chosen)]


_SIDE_SUFFIXES = frozenset(
    {".txt", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".mat", ".npy", ".npz", ".ann", ".lab"}
)
"""What files of labels end in that stand beside their images; JSON is looked into, and said by itself."""
_READ_BY = {".xml": "xml", ".txt": "yolo"}


def _unread(sources: _Sources, chosen: str) -> list[Remark]:
    """Say that files are called as images are and were not read: they may be labels of another form."""
    found: dict[str, list[Location]] = {}
    for path in sources.others:
        suffix = path.suffix.lower()
        if suffix in _SIDE_SUFFIXES and _READ_BY.get(suffix) != chosen and sources.names.has_stem(path.stem):
            found.setdefault(suffix, []).append(path)
    remarks = []
    for suffix, paths in sorted(found.items()):
        flaws = {file.path: file.flaw for file in sources.xml if file.flaw} if suffix == ".xml" else {}
        known = suffix == ".xml" and bool(xml_forms(sources.xml))
        if len(paths) > 1 and not known and not (suffix == ".txt" and sources.yolo is not None):
            flaw = f" ({flaws[paths[0]]})" if paths[0] in flaws else ""
            text = f"is called as an image is, as {len(paths):,} {suffix} files are: not read{flaw}"
            remarks.append(Remark(str(paths[0]), text))
    return remarks
