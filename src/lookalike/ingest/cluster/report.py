"""The report of a run on many machines: counts of everything, and lists that do not grow with the images."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lookalike.ingest.cluster.tasks import Task
from lookalike.ingest.index_report import IndexReport, label_trouble
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.ingest.cluster.listing import RootListing
    from lookalike.ingest.cluster.tasks import Completion, TaskReport
    from lookalike.sources.objects import Location
    from lookalike.types import Skipped

LISTED = 1000
"""Of what is counted, so many are named."""

_COUNTS = (
    *("added", "updated", "relabelled", "unchanged", "removed", "verified", "differing", "embedded", "films"),
)
_LISTS = ("skipped", "unlabelled", "told_apart", "overruled")


class ReportSum:
    """Sums up what became of tasks."""

    def __init__(self, report: IndexReport) -> None:
        """Begin.

        Args:
            report: that it goes to.
        """
        self.report = report
        self._used: Counter[Location] = Counter()
        """By root, rows of tables and JSON files that have named an image."""
        self._rows: Counter[Location] = Counter()
        """By root, rows of tables."""
        self._unused: list[Skipped] = []
        """Labels that could not be used, as far as the driver has read them."""
        self._expected = False
        """Whether there are files of labels."""
        self.problems: dict[str, None] = {}
        self._assumed: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._unnamed = 0
        self._remarks: dict[Remark, None] = {}

    def add(self, task: Task | Completion, done: TaskReport) -> None:
        """Take what became of one task."""
        one = done.report
        for name in _COUNTS:
            setattr(self.report, name, getattr(self.report, name) + getattr(one, name))
        for name in _LISTS:
            self.keep(name, getattr(one, name))
        self.report.labels = sorted({*self.report.labels, *one.labels})
        for text, (path, count) in done.assumed.items():
            if text in self._assumed or len(self._assumed) < LISTED:
                self._assumed[text] += count
                self._examples.setdefault(text, path)
            else:
                self._unnamed += count
        for remark in one.remarks:
            if len(self._remarks) < LISTED:
                self._remarks[remark] = None
        if isinstance(task, Task):
            self._used[task.root] += done.used
            self._rows[task.root] = done.rows
        self.problems.update(dict.fromkeys(done.problems))

    def add_listing(self, listing: RootListing) -> None:
        """Take what was seen below a root, when its tasks are done."""
        report = self.report
        self.keep("skipped", [*listing.skipped, *listing.unused])
        report.beyond["skipped"] = report.beyond.get("skipped", 0) + listing.more_skipped
        self.keep("told_apart", list(map(str, listing.told_apart)))
        unread = listing.unread(self._used[listing.root], self._rows[listing.root])
        report.remarks += [*listing.remarks, *unread]
        report.left_out += listing.left_out
        report.other_files += listing.other_files
        self._unused += listing.unused
        self._expected |= listing.labels.expected and listing.labels.mode != "folders"

    def keep(self, name: str, found: Sequence[object]) -> None:
        """Put something onto a list of the report as far as there is room, and count the rest."""
        kept = getattr(self.report, name)
        room = max(0, LISTED - len(kept))
        kept += found[:room]
        if len(found) > room:
            self.report.beyond[name] = self.report.beyond.get(name, 0) + len(found) - room

    def end(self, images: int) -> None:
        """Say what was assumed, and whether labels failed.

        Args:
            images: how many there were.
        """
        report = self.report
        report.remarks += self._remarks
        for text, count in self._assumed.items():
            more = f" (and {count - 1:,} more)" if count > 1 else ""
            report.remarks.append(Remark(self._examples[text], text + more))
        if self._unnamed:
            report.remarks.append(Remark("", f"more was assumed, of {self._unnamed:,} images"))
        report.remarks += [Remark("", problem) for problem in self.problems]
        unlabelled = report.count("unlabelled")
        report.labels_failed = self._expected and 0 < report.images <= unlabelled
        report.label_trouble = label_trouble(
            images,
            report.unlabelled,
            self._unused,
            failed=report.labels_failed,
            more=report.beyond.get("unlabelled", 0),
        )
