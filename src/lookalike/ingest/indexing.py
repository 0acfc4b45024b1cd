"""Indexing: folders of images, with what is known of them, become records of a collection."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import PathNotFound, Unanswerable
from lookalike.file_names import display, read_name
from lookalike.images import decoding
from lookalike.ingest.embedding import EmbeddedFile, embed_files, file_time, read_digests
from lookalike.ingest.index_report import IndexReport, label_trouble
from lookalike.ingest.moves import lost_records, pair
from lookalike.ingest.removals import Disk, Removal, check_emptied, disagree, find_gone, is_below
from lookalike.label_normalisation import labels_digest
from lookalike.labels.alike import alike_labels
from lookalike.labels.labelling import Label
from lookalike.labels.reading import read_labels
from lookalike.metric_learning.corrections import indexed_again, marks_of, moved, stored
from lookalike.metric_learning.sides import Sides
from lookalike.progress import silent
from lookalike.sources.files import Found, absolute, find
from lookalike.sources.other_files import other_file_remarks
from lookalike.sources.patterns import LeftOut, Patterns, merged, unused_patterns
from lookalike.stores.batches import chunks
from lookalike.types import (
    Record,
    Remark,
    Skipped,
    Space,
    Stamp,
)
from lookalike.uris import (
    file_uri,
    local_path,
    record_id,
)
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Embedder
    from lookalike.ingest.moves import Move
    from lookalike.ingest.removals import Agree
    from lookalike.progress import Progress
    from lookalike.stores.protocol import Store
    from lookalike.types import Vectors

__all__ = ["NO_LABEL", "IndexReport", "index", "record_of"]

NO_LABEL = Label({}, {})

# A write of this many records takes a few hundredths of a second; what a kill costs is at most this much, or
# what was embedded in this many seconds.
_WRITE_RECORDS = 256
_WRITE_SECONDS = 2.0
# Images that the same was assumed of are named each where there are no more.
_NAMED = 5
# Labels that are written, and records that are read, at once.
_RELABELLED = 1000


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    uri: str
    label: Label
    known: bool
    size: int


@dataclass(frozen=True, slots=True)
class _Found:
    """What is below the roots."""

    wanted: dict[Path, Label]
    """Every image with its label, in order."""
    imageless: list[Path]
    """Roots that are there and without an image."""
    gone: list[Path]
    """Roots that are not there."""


class _Part:
    """Tells how far the parts of a run are, one after another, as one: never less than before."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._before = 0
        self._total = 0

    def __call__(self, done: int, total: int) -> None:
        self._total = self._before + total
        self._progress(self._before + done, self._total)

    def end(self) -> None:
        """End the part: what follows comes on top of it."""
        self._before = self._total


def index(
    store: Store,
    name: str,
    paths: Sequence[Path],
    embedder: Embedder,
    cache: FeatureCache,
    *,
    labels: str = "auto",
    encoding: str | None = None,
    prune: bool = False,
    patterns: Mapping[Path, Patterns] | None = None,
    prune_empty: bool = False,
    agree: Agree = disagree,
    verify: bool = False,
    max_pixels: int = decoding.MAX_PIXELS,
    progress: Progress = silent,
) -> IndexReport:
    """Bring a collection up to date with the images below some paths.

    Files that did not change since they were indexed cost one look at their date and size. Interrupted at any
    moment, it leaves a collection that the same call completes. Of a fitted collection both sides are
    written, the plain one first; the metric stays as it was fitted. What people have put right stays, see
    `corrections`, also where a file was moved: see `moves`.

    A file is known by its absolute path, however that was spelt; links in it stay, so that a folder and a
    link to it are two. The record of a file that is no usable image any more stays as it was, and the file is
    reported as skipped.

    Args:
        store: where the collection lives.
        name: the collection, made if it is missing.
        paths: folders and files; with `prune`, also such as are gone and have records.
        embedder: the collection's own.
        cache: the features of that embedder.
        labels: auto, folders, json, table, xml, yolo or none.
        encoding: of label files that are no Unicode by their marks; None to guess.
        prune: whether to remove records below the paths whose file is gone. Those of files that are left out
            stay as they are.
        prune_empty: whether to do so too where it looks as though a disk were not mounted.
        agree: asked before more than a tenth of the collection is removed.
        verify: whether to read the files whose size and date are the same, and compare their digests.
        patterns: what is left out below which of the paths; by default nothing.
        max_pixels: images with more pixels are skipped.
        progress: told with images done and images to do.

    Returns:
        What became of every file.

    Raises:
        PathNotFound: a path does not exist, and there is nothing to prune below it.
        Unanswerable: there is no image below a path, and nothing to prune.
        FolderEmpty: there are records to prune, and it looks as though a disk were not mounted.
        RemovalUnconfirmed: more than a tenth of the collection would be removed, and nobody agreed.
        SpaceMismatch: the collection holds vectors of another embedder.
        InvalidArgument: the name is that of a fitted collection's plain side, or there is no such encoding.
        LabelsInvalid: the labels cannot be read at all.
    """
    started = time.monotonic()
    report = IndexReport(name)
    roots = [absolute(path) for path in paths]
    sides = Sides(store, name, Space(embedder.name, embedder.fingerprint, embedder.dimension))
    by_root = {absolute(path): given for path, given in (patterns or {}).items()}
    disk = Disk()
    found = _survey(roots, labels, encoding, by_root, report, disk, prune=prune)
    if not found.wanted:
        store.collection(name)  # must be there: nothing can be put into a new one
    stamps = store.stamps(sides.open())
    part = _Part(progress)
    try:
        _check_gone(found.gone, name, stamps)
        differing = _verify(sides, found.wanted, stamps, report, part) if verify else frozenset()
        jobs = _changed(sides, found.wanted, stamps, differing, report)
        jobs, origins = _move(
            sides, jobs, found.wanted, stamps, disk, embedder, cache, max_pixels, report, part
        )
        carried = _carry(sides, jobs, found.wanted, stamps, origins, disk, part)
        if report.left_out and (kept := _left_in(roots, found.wanted, stamps)):
            report.remarks.append(Remark("", _LEFT_IN.format(kept)))
        if prune:
            kept_back = origins | {record.id for record in carried.values()}
            left = {uri: stamp for uri, stamp in stamps.items() if stamp.id not in kept_back}
            report.removed = _prune(
                sides, name, frozenset(roots), found, left, disk, agree, len(stamps), prune_empty=prune_empty
            )
        _write(sides, jobs, carried, embedder, cache, max_pixels, report, part, among=bool(stamps))
        if prune and carried:
            gone = find_gone(frozenset(roots), found.wanted, stamps, disk)
            passed_on = [record.id for record in carried.values() if record.id in gone]
            report.removed += sides.remove(passed_on) if passed_on else 0
    finally:
        # What a run before this one was killed over, or a fit that ran meanwhile did not see.
        sides.level()
    unused = {skipped.path for skipped in report.skipped}
    report.unlabelled = [path for path in report.unlabelled if path not in unused]
    report.seconds = time.monotonic() - started
    return report


_TABLES_OF_PICTURES = (".parquet", ".arrow")
_LEFT_IN = "{:,} of what is left out now was indexed before and stays; `lookalike delete` removes it"


def _survey(
    roots: Sequence[Path],
    mode: str,
    encoding: str | None,
    patterns: Mapping[Path, Patterns],
    report: IndexReport,
    disk: Disk,
    *,
    prune: bool,
) -> _Found:
    """Return what is below the roots; with `prune`, they may be empty or gone.

    Of several roots that an image is below, the first that has a label for it counts.
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
    name_readings: dict[Path, str] = {}
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
        alone = [each.example for each in found.left_out] == [str(root)]
        name_readings.update(_name_readings(root, found))
        if not found.images:
            imageless.append(root)
        if not found.images and not prune and not (alone and len(roots) > 1):
            count = len(found.others)
            files = f"; {count:,} other files are there" if count > 1 else "; 1 other file is there" * count
            files += "".join(f"; {each.path}: {each.text}" for each in other_file_remarks(found.others)[:3])
            files += "".join(
                f"; {each}: a table: pictures that stand in it are not read, save them as files"
                for each in [each for each in found.others if each.suffix.lower() in _TABLES_OF_PICTURES][:1]
            )
            first = "".join(f"; {each.path}: {each.reason}" for each in found.skipped[:1])
            raise Unanswerable(f"no image below {root}{_left_out_text(found.left_out)}{files}{first}")
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
    report.remarks += [*unused_patterns(patterns.values()), *_assumed_names(name_readings)]
    report.remarks += other_file_remarks(sorted(others))
    report.other_files = len(others)
    report.told_apart += map(str, told_apart)
    report.skipped += skipped
    report.unlabelled += (str(image) for image in unlabelled if wanted[image] is NO_LABEL)
    report.remarks += [*remarks, *alike_labels(label.fields for label in wanted.values())]
    report.labels_failed = expected and bool(wanted) and not any(label.fields for label in wanted.values())
    report.label_trouble = label_trouble(
        len(wanted), report.unlabelled, list(unused), failed=report.labels_failed
    )
    return _Found(wanted, imageless, gone)


def _check_gone(gone: Sequence[Path], name: str, stamps: Mapping[str, Stamp]) -> None:
    """Refuse roots that are gone and have no records: they were misspelt, or pruned before."""
    for root in gone:
        if not any((path := local_path(uri)) and is_below(path, (root,)) for uri in stamps):
            raise PathNotFound(
                display(root), f"and collection {name!r} has no record below it: there is nothing to prune"
            )


def _verify(
    sides: Sides,
    wanted: Mapping[Path, Label],
    stamps: Mapping[str, Stamp],
    report: IndexReport,
    progress: _Part,
) -> frozenset[Path]:
    """Read the files whose size and date are the same; return those whose bytes are not."""
    same: dict[str, Path] = {}
    for path in wanted:
        stamp = stamps.get(file_uri(path))
        if stamp is not None and _is_as_before(path, stamp):
            same[stamp.id] = path
    digests = {
        record.id: record.digest for some in chunks(list(same), _RELABELLED) for record in sides.get(some)
    }
    paths = [path for identity, path in same.items() if identity in digests]
    differing = set()
    for path, found in zip(paths, read_digests(paths, progress), strict=True):
        report.verified += 1
        # What cannot be read is looked at again, and reported, where it would be embedded.
        if isinstance(found, Skipped) or found != digests[record_id(file_uri(path))]:
            report.differing += not isinstance(found, Skipped)
            differing.add(path)
    progress.end()
    return frozenset(differing)


def _is_as_before(path: Path, stamp: Stamp) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (stamp.size, stamp.modified_ns) == (status.st_size, file_time(status))


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


def _left_in(roots: Sequence[Path], wanted: Mapping[Path, Label], stamps: Mapping[str, Stamp]) -> int:
    """Return how many records there are of files below the roots that are there and were not looked at."""
    folders = {root for root in roots if root.is_dir()}
    paths = (path for uri in stamps if (path := local_path(uri)) is not None and path not in wanted)
    return sum(is_below(path, folders) and path.is_file() for path in paths)


def _changed(
    sides: Sides,
    wanted: Mapping[Path, Label],
    stamps: Mapping[str, Stamp],
    differing: frozenset[Path],
    report: IndexReport,
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
        now = status.st_size, file_time(status)
        if stamp is None or (stamp.size, stamp.modified_ns) != now or path in differing:
            jobs.append(_Job(path, uri, label, known=stamp is not None, size=status.st_size))
        elif stamp.labels_digest != labels_digest(kept.fields, kept.metadata):
            relabel[stamp.id] = path, label
        else:
            report.unchanged += 1
    for ids in chunks(list(relabel), _RELABELLED):
        some = {one: relabel[one] for one in ids}
        _relabel(sides, some, report)
        # Those that somebody has removed meanwhile.
        jobs += (_Job(path, file_uri(path), label, known=False, size=-1) for path, label in some.values())
    return jobs


def _relabel(sides: Sides, labels: dict[str, tuple[Path, Label]], report: IndexReport) -> None:
    """Write labels that differ from what is recorded, apart from what people have put right.

    Args:
        sides: where to.
        labels: what the label files say, by id; those of records that are there are taken out.
        report: gets the counts.
    """
    changed = []
    arrived: list[str] = []
    for record in sides.get(list(labels)):
        path, label = labels.pop(record.id)
        kept, given_up = indexed_again(record, label, record.digest)
        if given_up:
            report.overruled.append(str(path))
        origin = marks_of(record).moved_from
        if origin is not None:  # a run before this one was killed over it
            kept = moved(kept, None)
            arrived.append(origin)
        elif labels_digest(kept.fields, kept.metadata) == labels_digest(record.fields, record.metadata):
            report.unchanged += 1
            continue
        else:
            report.relabelled += 1
        changed.append((record.id, kept.fields, kept.metadata))
    if arrived:
        disk = Disk()
        left = [record.id for record in sides.get(arrived) if _is_gone(record, disk)]
        report.moved += sides.remove(left) if left else 0
        report.unchanged += len(arrived) - len(left)
    if changed:
        sides.relabel(changed)


def _is_gone(record: Record, disk: Disk) -> bool:
    path = local_path(record.uri)
    return path is not None and disk.is_gone(path)


def _move(
    sides: Sides,
    jobs: Sequence[_Job],
    wanted: Mapping[Path, Label],
    stamps: Mapping[str, Stamp],
    disk: Disk,
    embedder: Embedder,
    cache: FeatureCache,
    max_pixels: int,
    report: IndexReport,
    progress: _Part,
) -> tuple[list[_Job], frozenset[str]]:
    """Let records follow files that were moved.

    Returns:
        The jobs that are left, and the ids that moved records had.
    """
    new = {job.path: job for job in jobs if not job.known}
    lost = lost_records({job.size for job in new.values()}, wanted, stamps, disk) if stamps else []
    records = [record for some in chunks(lost, _RELABELLED) for record in sides.get(some)]
    sizes = {record.size for record in records}
    statuses = {job.path: _status(job.path) for job in new.values() if job.size in sizes}
    paths = [path for path, status in statuses.items() if status is not None]
    found = {
        path: digest
        for path, digest in zip(paths, read_digests(paths, progress), strict=True)
        if isinstance(digest, str)
    }
    if paths:
        progress.end()
    moves = pair(records, found)
    origins = {move.record.id for move in moves}
    vectors: dict[str, Vectors] = {}
    for move in moves:
        features = cache.get(move.record.digest)
        if features is not None:
            vectors[move.record.id] = normalise(features[None])[0]
    done: set[Path] = set()

    def put(some: Sequence[tuple[Move, Vectors]]) -> None:
        places = [(new[move.path], move.record, statuses[move.path]) for move, _ in some]
        done.update(_put_moved(sides, places, np.stack([vector for _, vector in some]), report))

    known = [(move, vectors[move.record.id]) for move in moves if move.record.id in vectors]
    for some in chunks(known, _WRITE_RECORDS):
        put(some)
    todo = {move.record.id: move for move in moves if move.record.id not in vectors}
    if todo:
        for found_records, rows in sides.vectors(set(todo)):
            put([(todo[record.id], row) for record, row in zip(found_records, rows, strict=True)])
            for record in found_records:
                del todo[record.id]
    # Those whose vector is damaged.
    left = list(todo.values())
    files = embed_files((move.path for move in left), embedder, cache, max_pixels=max_pixels)
    for move, file in zip(left, files, strict=True):
        if not isinstance(file, Skipped) and file.digest == move.record.digest:
            report.embedded += not file.cached
            put([(move, normalise(file.features[None])[0])])
    return [job for job in jobs if job.path not in done], frozenset(origins)


def _carry(
    sides: Sides,
    jobs: Sequence[_Job],
    wanted: Mapping[Path, Label],
    stamps: Mapping[str, Stamp],
    moved_on: frozenset[str],
    disk: Disk,
    progress: _Part,
) -> dict[Path, Record]:
    """Return what people said of pictures that lie now where another one lay: names were shifted, exchanged.

    Only where something was said are files read for it.

    Args:
        sides: as everywhere.
        jobs: what is left to embed.
        wanted: files that are there.
        stamps: of the collection, by URI.
        moved_on: ids of records that were moved.
        disk: that says what is there.
        progress: told with the files that are read.

    Returns:
        By the path of a file whose bytes are others than its record says, the record that was of these bytes.
    """
    known = {record_id(job.uri): job for job in jobs if job.known}
    lost = lost_records({job.size for job in known.values()}, wanted, stamps, disk) if known else []
    ids = [*known, *(one for one in lost if one not in moved_on)]
    recorded: dict[str, str] = {}
    said: list[Record] = []
    for some in chunks(ids, _RELABELLED):
        for record in sides.get(some):
            recorded[record.id] = record.digest
            marks = marks_of(record)
            if marks.corrected or marks.confirmed:
                said.append(record)
    sizes = {record.size for record in said}
    paths = [job.path for job in jobs if job.size in sizes]
    if not paths:
        return {}
    digests = dict(zip(paths, read_digests(paths, progress), strict=True))
    progress.end()
    # Of a size that no picture has of which something was said, a file is another one than such a picture.
    as_it_was = {
        identity
        for identity, job in known.items()
        if identity in recorded and digests.get(job.path, "") == recorded[identity]
    }
    found = {
        job.path: digest
        for job in jobs
        if isinstance(digest := digests.get(job.path), str) and record_id(job.uri) not in as_it_was
    }
    return {move.path: move.record for move in pair([one for one in said if one.id not in as_it_was], found)}


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _put_moved(
    sides: Sides,
    some: Sequence[tuple[_Job, Record, os.stat_result | None]],
    vectors: Vectors,
    report: IndexReport,
) -> set[Path]:
    """Put records where their files are now, then remove those of the old paths.

    At no moment is a record at neither place; the new one says which it came from until that is removed, so
    that a run which is killed in between is completed by the next.

    Returns:
        The paths whose records were moved; of others the record is not any more what it was.
    """
    # Read again: files were read meanwhile, and somebody may have put labels right, removed the record, or
    # moved it here.
    now = {record.id: record for record in sides.get([known.id for _, known, _ in some])}
    there = {record.id for record in sides.get([record_id(job.uri) for job, _, _ in some])}
    records = []
    rows = []
    settled = []
    origins = []
    for row, (job, known, status) in enumerate(some):
        identity = record_id(job.uri)
        before = now.get(known.id)
        if before is None or before.digest != known.digest or identity in there:
            continue
        label, given_up = indexed_again(before, job.label, before.digest)
        if given_up:
            report.overruled.append(str(job.path))
        marked, plain = moved(label, before.id), moved(label, None)
        modified_ns = 0 if status is None else file_time(status)
        records.append(
            Record(identity, job.uri, before.digest, marked.fields, marked.metadata, before.size, modified_ns)
        )
        rows.append(row)
        settled.append((identity, plain.fields, plain.metadata))
        origins.append(before.id)
    if records:
        sides.put(records, vectors[rows])
        sides.remove(origins)
        sides.relabel(settled)
        report.moved += len(records)
    return {some[row][0].path for row in rows}


def _prune(
    sides: Sides,
    name: str,
    roots: frozenset[Path],
    found: _Found,
    stamps: Mapping[str, Stamp],
    disk: Disk,
    agree: Agree,
    total: int,
    *,
    prune_empty: bool,
) -> int:
    """Remove the records below the roots whose file is gone, and return how many there were."""
    gone = find_gone(roots, found.wanted, stamps, disk)
    if not prune_empty:
        check_emptied(found.imageless, gone, stamps, disk)
    removal = Removal(name, len(gone), total)
    if removal.large:
        if not agree(removal):
            return 0
        # A disk may have been mounted while somebody thought about it.
        again = Disk()
        gone = {identity: path for identity, path in gone.items() if again.is_gone(path)}
    return sides.remove(list(gone)) if gone else 0


def _write(
    sides: Sides,
    jobs: list[_Job],
    carried: Mapping[Path, Record],
    embedder: Embedder,
    cache: FeatureCache,
    max_pixels: int,
    report: IndexReport,
    progress: Progress,
    *,
    among: bool,
) -> None:
    """Embed the jobs and put them in the store, a batch at a time.

    `among` says whether the collection had records.
    """
    ready: list[tuple[_Job, EmbeddedFile]] = []
    assumed: dict[str, list[str]] = {}
    last = time.monotonic()
    progress(0, len(jobs))
    with closing(embed_files((job.path for job in jobs), embedder, cache, max_pixels=max_pixels)) as outcomes:
        try:
            for done, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), 1):
                if isinstance(outcome, Skipped):
                    report.skipped.append(outcome)
                else:
                    ready.append((job, outcome))
                    for note in outcome.notes:
                        assumed.setdefault(note, []).append(str(job.path))
                if len(ready) >= _WRITE_RECORDS or time.monotonic() - last > _WRITE_SECONDS:
                    # Taken first: what the store refuses is not offered to it again below.
                    batch, ready = ready, []
                    _put(sides, batch, carried, report, among=among)
                    last = time.monotonic()
                    progress(done, len(jobs))
        finally:
            # Also when interrupted: what is embedded is kept.
            _put(sides, ready, carried, report, among=among)
    report.remarks += _assumptions(assumed)
    progress(len(jobs), len(jobs))


def _assumptions(assumed: Mapping[str, Sequence[str]]) -> list[Remark]:
    """Return what to say of images that something was assumed of: a few are named, of many one."""
    remarks = []
    for note, paths in assumed.items():
        if len(paths) <= _NAMED:
            remarks += [Remark(path, note) for path in paths]
        else:
            remarks.append(Remark(paths[0], f"{note} (and {len(paths) - 1:,} more)"))
    return remarks


def _put(
    sides: Sides,
    ready: list[tuple[_Job, EmbeddedFile]],
    carried: Mapping[Path, Record],
    report: IndexReport,
    *,
    among: bool,
) -> None:
    if not ready:
        return
    # Also of those that are new: another process may have moved a record here meanwhile, corrections and all.
    ids = [record_id(job.uri) for job, _ in ready if job.known or among]
    before = {one.id: one for one in sides.get(ids)}
    passed_on = {record.id for record in carried.values()}
    records = []
    for job, file in ready:
        known, carrier = before.get(record_id(job.uri)), carried.get(job.path)
        label, given_up = stored(job.label), False
        if known is not None:
            label, given_up = indexed_again(known, job.label, file.digest)
            given_up = given_up and known.id not in passed_on
        if (
            carrier is not None
            and carrier.digest == file.digest
            and (not known or known.digest != file.digest)
        ):
            label, more = indexed_again(carrier, job.label, file.digest)
            given_up = given_up or more
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
