"""What an indexing run says at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookalike.left_out import LeftOut
    from lookalike.records import Remark, Skipped


@dataclass(slots=True)
class IndexReport:
    """What became of every file below the paths: added, updated, relabelled, unchanged or skipped."""

    collection: str
    labels: list[str] = field(default_factory=list)
    """How the labels of each path were read: folders, json, table or none."""
    added: int = 0
    updated: int = 0
    """The file had changed."""
    relabelled: int = 0
    """The file is the same, what is known of it had changed."""
    unchanged: int = 0
    removed: int = 0
    """Records whose file is gone (`prune`)."""
    embedded: int = 0
    """Images that went through the model; the others' features were known."""
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
    other_files: int = 0
    """Files below the paths that are neither images nor labels."""
    seconds: float = 0.0

    @property
    def images(self) -> int:
        """Images that are in the collection after this run because of these paths."""
        return self.added + self.updated + self.relabelled + self.unchanged
