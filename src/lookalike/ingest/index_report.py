"""The report of an indexing run: what became of every file."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.file_names import display

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.sources.patterns import LeftOut
    from lookalike.types import Remark, Skipped

A_FEW = 3
"""So many labels that cannot be used, or images without one, are told at the end; more come first."""


@dataclass(slots=True)
class IndexReport:
    """What became of every file below the paths: added, updated, relabelled, unchanged or skipped."""

    collection: str
    labels: list[str] = field(default_factory=list)
    """How the labels of each path were read: folders, json, table, xml, yolo or none."""
    added: int = 0
    updated: int = 0
    """The file had changed."""
    relabelled: int = 0
    """The file is the same, what is known of it had changed."""
    unchanged: int = 0
    moved: int = 0
    """The file was elsewhere when it was indexed; its record went with it."""
    removed: int = 0
    """Records whose file is gone (`prune`), and of frames that are not taken of their film any more."""
    verified: int = 0
    """Files whose bytes were looked at although their size and date are the same (`verify`)."""
    differing: int = 0
    """Of these, the ones whose bytes are others; they count as updated, or as skipped, too."""
    embedded: int = 0
    """Images that went through the model; the others' features were known."""
    films: int = 0
    """Films that were read, or looked at and found as they were; their frames count as images."""
    skipped: list[Skipped] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    """Paths that were indexed with no label, although others have one."""
    told_apart: list[str] = field(default_factory=list)
    """Paths of a name that other images have too, whose labels found them by their folders."""
    overruled: list[str] = field(default_factory=list)
    """Paths of images whose labels a person had put right or confirmed, and whose file or label file says
    something else since: that counts now."""
    left_out: list[LeftOut] = field(default_factory=list)
    """What is named like an image and was not looked at, by reason: masks, thumbnails, hidden files, what a
    pattern leaves out."""
    remarks: list[Remark] = field(default_factory=list)
    """What was assumed, and what a person should look at."""
    label_trouble: str = ""
    """Where more than a few labels could not be used, or images have none: how many, with one example and the
    likely reason. Empty where all is well."""
    labels_failed: bool = False
    """There are files of labels, and not one image has got a label from them."""
    other_files: int = 0
    """Files below the paths that are neither images nor labels."""
    beyond: dict[str, int] = field(default_factory=dict)
    """Of lists that name the first thousand only, as on many machines: by the list's name, how many more."""
    seconds: float = 0.0

    def count(self, name: str) -> int:
        """Return how many there are of what a list of this name holds, those that it does not name too."""
        return len(getattr(self, name)) + self.beyond.get(name, 0)

    @property
    def images(self) -> int:
        """Images that are in the collection after this run because of these paths."""
        return self.added + self.updated + self.relabelled + self.unchanged + self.moved


def label_trouble(
    images: int, unlabelled: Sequence[str], unused: Sequence[Skipped], *, failed: bool, more: int = 0
) -> str:
    """Say that labels failed: nothing where they did for a few only.

    Args:
        images: how many there are.
        unlabelled: those that have no label although others have.
        unused: labels and label files that could not be used.
        failed: whether not one image has a label although there are label files.
        more: images without a label beyond those.
    """
    if not failed and len(unlabelled) + more <= A_FEW and len(unused) <= A_FEW:
        return ""
    if failed:
        said = f"no image has a label: {_number(images, 'image')}"
    else:
        said = f"labels are missing: {len(unlabelled) + more:,} of {_number(images, 'image')} without one"
    if unused:
        files = "label file" if len(unused) == 1 else "label files"
        said += f", {_number(len(unused), 'label')} or {files} could not be used"
        example = _typical(unused)
        # Nothing comes near to what is named: neither another ending nor another folder.
        elsewhere = re.search(r"there is no image '[^']*'$", example.reason)
        likely = "; they may be of images that are not below this folder" if failed and elsewhere else ""
        return f"{said}; for example {display(example.path)}: {example.reason}{likely}"
    if unlabelled:
        return f"{said}; for example {display(unlabelled[0])}, which no label names"
    return f"{said}; the label files name them and say nothing of them"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _typical(unused: Sequence[Skipped]) -> Skipped:
    """Return the first of those that the most are like, apart from names and numbers."""
    kinds = [re.sub(r"'[^']*'|\S*\.\w+|\d+", "", each.reason) for each in unused]
    (most, _), *_ = Counter(kinds).most_common(1)
    return unused[kinds.index(most)]
