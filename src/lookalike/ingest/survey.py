"""The survey of a run of `index`: which images are below the paths, and what labels they have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import PathNotFound, Unanswerable
from lookalike.file_names import display, read_name
from lookalike.ingest.index_report import label_trouble
from lookalike.ingest.removals import Disk, is_below
from lookalike.labels.labelling import Label
from lookalike.labels.reading import read_labels
from lookalike.labels.similar_labels import similar_label_remarks
from lookalike.sources.files import Found, find
from lookalike.sources.other_files import other_file_remarks
from lookalike.sources.patterns import LeftOut, Patterns, merged, unused_patterns
from lookalike.types import Remark, Skipped
from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lookalike.ingest.index_report import IndexReport
    from lookalike.types import Stamp

NO_LABEL = Label({}, {})

_TABLES_OF_PICTURES = (".parquet", ".arrow")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is below the paths that `index` was given."""

    wanted: dict[Path, Label]
    """Every image with its label, in order."""
    imageless: list[Path]
    """Paths that are there and without an image."""
    gone: list[Path]
    """Paths that are not there."""


def survey(
    roots: Sequence[Path],
    mode: str,
    encoding: str | None,
    patterns: Mapping[Path, Patterns],
    report: IndexReport,
    disk: Disk,
    *,
    prune: bool,
) -> Survey:
    """Return what is below some paths, and report what is left out, skipped or assumed.

    Of several paths that an image is below, the first that has a label for it counts.

    Args:
        roots: absolute paths of folders and files.
        mode: where the labels stand, see `read_labels`.
        encoding: of label files, see `read_labels`.
        patterns: what is left out below which of the paths.
        report: gets all that a person should know.
        disk: that says what is there.
        prune: whether paths may be gone or without an image.

    Raises:
        PathNotFound: a path does not exist; with `prune`, it is not certain that it is gone.
        Unanswerable: there is no image below a path, or all are left out.
        LabelsInvalid: the labels cannot be read at all.
    """
    wanted: dict[Path, Label] = {}
    imageless: list[Path] = []
    gone: list[Path] = []
    others: set[Path] = set()
    skipped: dict[Skipped, None] = {}
    unlabelled: dict[Path, None] = {}
    told_apart: dict[Path, None] = {}
    unused: dict[Skipped, None] = {}
    remarks: dict[Remark, None] = {}
    expected = False
    left_out: list[LeftOut] = []
    encodings: dict[Path, str] = {}
    for root in roots:
        try:
            found = find(root, patterns.get(root))
        except PathNotFound:
            if not prune:
                raise
            if not disk.is_gone(root):
                raise PathNotFound(
                    display(root),
                    "for a link on the way leads nowhere: is a disk not mounted? Nothing was removed",
                ) from None
            gone.append(root)
            continue
        left_out += found.left_out
        encodings.update(_name_encodings(root, found))
        if not found.images:
            imageless.append(root)
            alone = [each.example for each in found.left_out] == [str(root)]
            if not prune and not (alone and len(roots) > 1):
                raise _no_image(root, found)
        labelling = read_labels(root, found.images, found.others, mode, encoding)
        report.labels.append(labelling.mode)
        others.update(found.others)
        skipped.update(dict.fromkeys([*found.skipped, *labelling.skipped]))
        unused.update(dict.fromkeys(labelling.skipped))
        remarks.update(dict.fromkeys(labelling.remarks))
        expected = expected or labelling.expected
        if labelling.labels or labelling.expected:
            unlabelled.update(dict.fromkeys(labelling.unlabelled))
        told_apart.update(dict.fromkeys(labelling.told_apart))
        for image in found.images:
            if wanted.get(image, NO_LABEL) is NO_LABEL:
                wanted[image] = labelling.labels.get(image, NO_LABEL)
    report.left_out = merged(left_out)
    if not wanted and not prune:
        raise Unanswerable(f"no image is left{_left_out_text(report.left_out)}")
    report.remarks += [*unused_patterns(patterns.values()), *_assumed_names(encodings)]
    report.remarks += other_file_remarks(sorted(others))
    report.other_files = len(others)
    report.told_apart += map(str, told_apart)
    report.skipped += skipped
    report.unlabelled += (str(image) for image in unlabelled if wanted[image] is NO_LABEL)
    report.remarks += [*remarks, *similar_label_remarks(label.fields for label in wanted.values())]
    report.labels_failed = expected and bool(wanted) and not any(label.fields for label in wanted.values())
    report.label_trouble = label_trouble(
        len(wanted), report.unlabelled, list(unused), failed=report.labels_failed
    )
    return Survey(wanted, imageless, gone)


def _no_image(root: Path, found: Found) -> Unanswerable:
    """Return the refusal of a path without an image: it says what is there instead."""
    count = len(found.others)
    said = [f"{count:,} other files are there" if count > 1 else "1 other file is there"] if count else []
    said += [f"{each.path}: {each.text}" for each in other_file_remarks(found.others)[:3]]
    tables = [each for each in found.others if each.suffix.lower() in _TABLES_OF_PICTURES]
    said += [
        f"{each}: a table: pictures that stand in it are not read, save them as files" for each in tables[:1]
    ]
    said += [f"{each.path}: {each.reason}" for each in found.skipped[:1]]
    rest = "".join(f"; {each}" for each in said)
    return Unanswerable(f"no image below {root}{_left_out_text(found.left_out)}{rest}")


def check_gone(gone: Sequence[Path], name: str, stamps: Mapping[str, Stamp]) -> None:
    """Refuse roots that are gone and have no records: they were misspelt, or pruned before."""
    for root in gone:
        if not any((path := local_path(uri)) and is_below(path, (root,)) for uri in stamps):
            raise PathNotFound(
                display(root), f"and collection {name!r} has no record below it: there is nothing to prune"
            )


def _name_encodings(root: Path, found: Found) -> dict[Path, str]:
    """Return images whose names, or those of their folders below the root, are no UTF-8 or were misread."""
    above = len(str(root.parent if found.images == [root] else root))
    readings = ((image, read_name(str(image)[above:]).encoding) for image in found.images)
    return {image: encoding for image, encoding in readings if encoding}


def _assumed_names(encodings: Mapping[Path, str]) -> list[Remark]:
    counts = Counter(encodings.values())
    first = {encoding: path for path, encoding in reversed(list(encodings.items()))}
    return [
        Remark(
            str(first[encoding]),
            f"its name, or a folder's, was taken for {encoding}; images of such names: {count:,}",
        )
        for encoding, count in sorted(counts.items())
    ]


def _left_out_text(left_out: Sequence[LeftOut]) -> str:
    return "".join(f"; {each.count:,} left out: {each.reason}" for each in left_out)
