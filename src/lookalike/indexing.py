"""Indexing: folders of images, with what is known of them, become records of a collection."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike import images
from lookalike.corrections import indexed_again, stored
from lookalike.errors import Unanswerable
from lookalike.file_names import read_name
from lookalike.index_report import IndexReport
from lookalike.labels import Label, read_labels
from lookalike.left_out import LeftOut, Patterns, merged, unused_patterns
from lookalike.metric import normalise
from lookalike.pipeline import EmbeddedFile, embed_files
from lookalike.records import (
    Record,
    Remark,
    Skipped,
    Space,
    Stamp,
    file_uri,
    labels_digest,
    record_id,
    uri_path,
)
from lookalike.sides import Sides
from lookalike.walk import Found, absolute, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lookalike.embedders.protocol import Embedder
    from lookalike.features import FeatureCache
    from lookalike.stores.protocol import Store

__all__ = ["NO_LABEL", "IndexReport", "index", "record_of"]

NO_LABEL = Label({}, {})

# A write of this many records takes a few hundredths of a second; what a kill costs is at most this much, or
# what was embedded in this many seconds.
_WRITE_RECORDS = 256
_WRITE_SECONDS = 2.0
# Labels that are written at once.
_RELABELLED = 1000


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    uri: str
    label: Label
    known: bool


def index(
    store: Store,
    name: str,
    paths: Sequence[Path],
    embedder: Embedder,
    cache: FeatureCache,
    *,
    labels: str = "auto",
    prune: bool = False,
    patterns: Mapping[Path, Patterns] | None = None,
    max_pixels: int = images.MAX_PIXELS,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> IndexReport:
    """Bring a collection up to date with the images below some paths.

    Files that did not change since they were indexed cost one look at their date and size. Interrupted at any
    moment, it leaves a collection that the same call completes. Of a fitted collection both sides are
    written, the plain one first; the metric stays as it was fitted. What people have put right stays, see
    `corrections`.

    A file is known by its absolute path, however that was spelt; links in it stay, so that a folder and a
    link to it are two. The record of a file that is no usable image any more stays as it was, and the file is
    reported as skipped.

    Args:
        store: where the collection lives.
        name: the collection, made if it is missing.
        paths: folders and files.
        embedder: the collection's own.
        cache: the features of that embedder.
        labels: auto, folders, json, table or none.
        prune: whether to remove records below the paths whose file is gone. Those of files that are left out
            stay as they are.
        patterns: what is left out below which of the paths; by default nothing.
        max_pixels: images with more pixels are skipped.
        progress: called with images done and images to do.

    Returns:
        What became of every file.

    Raises:
        PathNotFound: a path does not exist.
        Unanswerable: there is no image below a path, and nothing to prune.
        SpaceMismatch: the collection holds vectors of another embedder.
        InvalidArgument: the name is that of a fitted collection's plain side.
        LabelsInvalid: the labels cannot be read at all.
    """
    started = time.monotonic()
    report = IndexReport(name)
    roots = [absolute(path) for path in paths]
    sides = Sides(store, name, Space(embedder.name, embedder.fingerprint, embedder.dimension))
    by_root = {absolute(path): given for path, given in (patterns or {}).items()}
    wanted = _survey(roots, labels, by_root, report, may_be_empty=prune)
    if not wanted:
        store.collection(name)  # must be there: nothing can be put into a new one
    stamps = store.stamps(sides.open())
    try:
        jobs = _changed(sides, wanted, stamps, report)
        if report.left_out and (kept := _left_in(roots, wanted, stamps)):
            report.remarks.append(Remark("", _LEFT_IN.format(kept)))
        if prune:
            gone = _gone(roots, wanted, stamps)
            report.removed = sides.remove(gone) if gone else 0
        _write(sides, jobs, embedder, cache, max_pixels, report, progress)
    finally:
        # What a run before this one was killed over, or a fit that ran meanwhile did not see.
        sides.level()
    unused = {skipped.path for skipped in report.skipped}
    report.unlabelled = [path for path in report.unlabelled if path not in unused]
    report.seconds = time.monotonic() - started
    return report


_LEFT_IN = "{:,} of what is left out now was indexed before and stays; `lookalike delete` removes it"


def _survey(
    roots: Sequence[Path],
    mode: str,
    patterns: Mapping[Path, Patterns],
    report: IndexReport,
    *,
    may_be_empty: bool,
) -> dict[Path, Label]:
    """Return every image below the roots with its label, in order.

    Of several roots that an image is below, the first that has a label for it counts.
    """
    wanted: dict[Path, Label] = {}
    others: set[Path] = set()
    skipped: dict[Skipped, None] = {}
    unlabelled: dict[Path, None] = {}
    told_apart: dict[Path, None] = {}
    left_out: list[LeftOut] = []
    name_readings: dict[Path, str] = {}
    for root in roots:
        found = find(root, patterns.get(root))
        left_out += found.left_out
        alone = [each.example for each in found.left_out] == [str(root)]
        name_readings.update(_name_readings(root, found))
        if not found.images and not may_be_empty and not (alone and len(roots) > 1):
            files = f"; {len(found.others):,} other files are there" if found.others else ""
            first = "".join(f"; {each.path}: {each.reason}" for each in found.skipped[:1])
            raise Unanswerable(f"no image below {root}{_left_out_text(found.left_out)}{files}{first}")
        labelling = read_labels(root, found.images, found.others, mode)
        report.labels.append(labelling.mode)
        others.update(found.others)
        skipped.update(dict.fromkeys([*found.skipped, *labelling.skipped]))
        if labelling.labels:
            unlabelled.update(dict.fromkeys(labelling.unlabelled))
        told_apart.update(dict.fromkeys(labelling.told_apart))
        for image in found.images:
            if wanted.get(image, NO_LABEL) is NO_LABEL:
                wanted[image] = labelling.labels.get(image, NO_LABEL)
    report.left_out = merged(left_out)
    if not wanted and not may_be_empty:
        raise Unanswerable(f"no image is left{_left_out_text(report.left_out)}")
    report.remarks += [*unused_patterns(patterns.values()), *_assumed_names(name_readings)]
    report.other_files = len(others)
    report.told_apart += map(str, told_apart)
    report.skipped += skipped
    report.unlabelled += (str(image) for image in unlabelled if wanted[image] is NO_LABEL)
    return wanted


def _name_readings(root: Path, found: Found) -> dict[Path, str]:
    """Return images whose names, or those of their folders below the root, are no UTF-8 or were misread."""
    above = len(str(root.parent if found.images == [root] else root))
    readings = ((image, read_name(str(image)[above:]).encoding) for image in found.images)
    return {image: encoding for image, encoding in readings if encoding}


def _assumed_names(readings: Mapping[Path, str]) -> list[Remark]:
    counts = Counter(readings.values())
    first = {encoding: path for path, encoding in reversed(list(readings.items()))}
    return [
        Remark(
            str(first[encoding]),
            f"its name, or a folder's, was taken for {encoding}; images of such names: {count:,}",
        )
        for encoding, count in sorted(counts.items())
    ]


def _left_out_text(left_out: Sequence[LeftOut]) -> str:
    return "".join(f"; {each.count:,} left out: {each.reason}" for each in left_out)


def _left_in(roots: Sequence[Path], wanted: dict[Path, Label], stamps: dict[str, Stamp]) -> int:
    """Return how many records there are of files below the roots that are there and were not looked at."""
    folders = {str(root) for root in roots if root.is_dir()}
    count = 0
    for uri in stamps:
        if uri.startswith("file:") and (path := uri_path(uri)) not in wanted:
            count += any(str(parent) in folders for parent in path.parents) and path.is_file()
    return count


def _changed(
    sides: Sides, wanted: dict[Path, Label], stamps: dict[str, Stamp], report: IndexReport
) -> list[_Job]:
    """Sort out what has not changed, write labels that have, and return the images to embed."""
    jobs: list[_Job] = []
    relabel: dict[str, tuple[Path, Label]] = {}
    for path, label in wanted.items():
        uri = file_uri(path)
        stamp = stamps.get(uri)
        try:
            status = path.stat()
        except OSError as error:
            report.skipped.append(Skipped(str(path), f"cannot be read: {error.strerror}"))
            continue
        kept = stored(label)
        if stamp is None or (stamp.size, stamp.modified_ns) != (status.st_size, status.st_mtime_ns):
            jobs.append(_Job(path, uri, label, known=stamp is not None))
        elif stamp.labels_digest != labels_digest(kept.fields, kept.metadata):
            relabel[stamp.id] = path, label
        else:
            report.unchanged += 1
    ids = list(relabel)
    for start in range(0, len(ids), _RELABELLED):
        some = {one: relabel[one] for one in ids[start : start + _RELABELLED]}
        _relabel(sides, some, report)
        # Those that somebody has removed meanwhile.
        jobs += (_Job(path, file_uri(path), label, known=False) for path, label in some.values())
    return jobs


def _relabel(sides: Sides, labels: dict[str, tuple[Path, Label]], report: IndexReport) -> None:
    """Write labels that differ from what is recorded, apart from what people have put right.

    Args:
        sides: where to.
        labels: what the label files say, by id; those of records that are there are taken out.
        report: gets the counts.
    """
    changed = []
    for record in sides.get(list(labels)):
        path, label = labels.pop(record.id)
        kept, given_up = indexed_again(record, label, record.digest)
        if given_up:
            report.overruled.append(str(path))
        if labels_digest(kept.fields, kept.metadata) == labels_digest(record.fields, record.metadata):
            report.unchanged += 1
        else:
            changed.append((record.id, kept.fields, kept.metadata))
    if changed:
        sides.relabel(changed)
        report.relabelled += len(changed)


def _gone(roots: Sequence[Path], wanted: dict[Path, Label], stamps: dict[str, Stamp]) -> list[str]:
    """Return the ids of records below the roots whose file is no longer there."""
    gone = []
    for uri, stamp in stamps.items():
        path = uri_path(uri)
        if path not in wanted and any(path.is_relative_to(root) for root in roots) and _missing(path):
            gone.append(stamp.id)
    return gone


def _missing(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a folder that is closed to us: who knows what is in it
        return False
    return False


def _write(
    sides: Sides,
    jobs: list[_Job],
    embedder: Embedder,
    cache: FeatureCache,
    max_pixels: int,
    report: IndexReport,
    progress: Callable[[int, int], None],
) -> None:
    """Embed the jobs and put them in the store, a batch at a time."""
    ready: list[tuple[_Job, EmbeddedFile]] = []
    last = time.monotonic()
    progress(0, len(jobs))
    with closing(embed_files((job.path for job in jobs), embedder, cache, max_pixels=max_pixels)) as outcomes:
        try:
            for done, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), 1):
                if isinstance(outcome, Skipped):
                    report.skipped.append(outcome)
                else:
                    ready.append((job, outcome))
                if len(ready) >= _WRITE_RECORDS or time.monotonic() - last > _WRITE_SECONDS:
                    # Taken first: what the store refuses is not offered to it again below.
                    batch, ready = ready, []
                    _put(sides, batch, report)
                    last = time.monotonic()
                    progress(done, len(jobs))
        finally:
            # Also when interrupted: what is embedded is kept.
            _put(sides, ready, report)
    progress(len(jobs), len(jobs))


def _put(sides: Sides, ready: list[tuple[_Job, EmbeddedFile]], report: IndexReport) -> None:
    if not ready:
        return
    before = {one.id: one for one in sides.get([record_id(job.uri) for job, _ in ready if job.known])}
    records = []
    for job, file in ready:
        known = before.get(record_id(job.uri))
        if known is None:
            label = stored(job.label)
        else:
            label, given_up = indexed_again(known, job.label, file.digest)
            if given_up:
                report.overruled.append(str(job.path))
        records.append(record_of(job.uri, file, label))
    sides.put(records, normalise(np.stack([file.features for _, file in ready])))
    for job, file in ready:
        report.added += not job.known
        report.updated += job.known
        report.embedded += not file.cached


def record_of(uri: str, file: EmbeddedFile, label: Label) -> Record:
    """Return the record of a file.

    Args:
        uri: of the file.
        file: as it was read.
        label: as the record is to have it: see `corrections.stored`.
    """
    return Record(record_id(uri), uri, file.digest, label.fields, label.metadata, file.size, file.modified_ns)
