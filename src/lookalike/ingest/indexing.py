"""Indexing: folders of images and their labels become records of a collection."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from lookalike.ingest.declaration import declare
from lookalike.ingest.embedding import EmbeddedFile, embed_files_by, read_digests
from lookalike.ingest.films import lost_frames, sort_films, write_films
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.moves import carry_corrections, move_records
from lookalike.ingest.record_writer import RecordWriter
from lookalike.ingest.removals import Disk, Removal, check_emptied, find_gone, is_below
from lookalike.ingest.run import BATCH_RECORDS, IndexRun, Job, StepProgress
from lookalike.ingest.survey import check_gone, survey
from lookalike.label_normalisation import labels_digest
from lookalike.metric_learning.corrections import (
    indexed_again,
    marks_of,
    moved,
    stored,
    with_sampling,
)
from lookalike.progress import silent
from lookalike.sources.folders import file_time
from lookalike.sources.locations import full, location_of
from lookalike.stores.batches import chunks
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.embedding import Encoder
    from lookalike.ingest.index_options import IndexOptions
    from lookalike.ingest.removals import Agree
    from lookalike.labels.labelling import Label
    from lookalike.progress import Progress
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.sources.patterns import Patterns
    from lookalike.stores.store import Store
    from lookalike.types import Record, Stamp

# What is embedded in this many seconds is written: what a kill costs at most.
_WRITE_SECONDS = 2.0
# Images that the same was assumed of are named each where there are no more.
_NAMED = 5
# Labels that are written at once.
_RELABELLED = 1000
_LEFT_IN = "{:,} of what is left out now was indexed before and stays; `lookalike delete` removes it"


def index(
    store: Store,
    name: str,
    paths: Sequence[Location],
    encoders: Sequence[Encoder],
    options: IndexOptions,
    patterns: Mapping[Location, Patterns] | None = None,
    progress: Progress = silent,
    *,
    folders: Sequence[Location] = (),
    group_by: Mapping[Location, str] | None = None,
    frames: Mapping[Location, Sampling] | None = None,
) -> IndexReport:
    """Bring a collection up to date with the images below some paths.

    Files that did not change since they were indexed cost one look at their date and size. Interrupted at any
    moment, it leaves a collection that the same call completes. Each record is written with all vectors that
    the collection declares; a metric stays as it was fitted. What people have put right stays, see
    `corrections`, also where a file was moved: see `moves`.

    A file is known by its absolute path, however that was spelt; links in it stay, so that a folder and a
    link to it are two. The record of a file that is no usable image any more stays as it was, and the file is
    reported as skipped.

    Args:
        store: where the collection lives.
        name: the collection, made if it is missing.
        paths: folders and files; with `prune`, also such as are gone and have records.
        encoders: one for each model that the collection has vectors of. The first is the one that a new
            collection is made by, or that is to make its further vector `options.vector`.
        options: how; the model, `exclude`, `include` and `as_before` of it are for `index_collection`, and
            `group_by` is for all paths.
        patterns: what is left out below which of the paths; by default nothing.
        progress: told with images done and images to do.
        folders: those that were indexed before, whose labels single files have.
        group_by: what makes fields of the paths below which of the paths, where `options` do not say.
        frames: which frames of films are taken below which of the paths, where `options` do not say.

    Returns:
        What became of every file.

    Raises:
        PathNotFound: a path does not exist, and there is nothing to prune below it.
        Unanswerable: there is no image below a path, and nothing to prune.
        FolderEmpty: there are records to prune, and it looks as though a disk were not mounted.
        RemovalUnconfirmed: more than a tenth of the collection would be removed, and nobody agreed.
        SpaceMismatch: the collection has no vector of the first model, or vectors of models that are not
            among them.
        InvalidArgument: there is no such encoding, or the name or that of the vector is not usable.
        LabelsInvalid: the labels cannot be read at all.
    """
    started = time.monotonic()
    prune = options.prune or options.prune_empty
    report = IndexReport(name)
    roots = [full(path) for path in paths]
    by_root = {full(path): given for path, given in (patterns or {}).items()}
    disk = Disk()
    sampled = (frames or {}) if options.frames is None else dict.fromkeys(roots, options.frames)
    found = survey(roots, options, by_root, report, disk, folders, group_by or {}, sampled)
    if not found.wanted:
        store.collection(name)  # must be there: nothing can be put into a new one
    declare(store, name, encoders[0].space, options.vector)
    stamps = store.stamps(name)
    steps = StepProgress(progress)
    run = IndexRun(
        *(store, name, encoders, found.wanted, stamps, options.max_pixels, report, steps, disk),
        frozenset(roots),
        RecordWriter(store, name),
        found.films,
    )
    check_gone(found.gone, name, stamps)
    jobs = _sort_out(run, _differing(run) if options.verify else frozenset())
    films, differing = sort_films(run, verify=options.verify)
    for ids in chunks(list(differing), _RELABELLED):
        _relabel(run, {one: differing[one] for one in ids})
    jobs, origins = move_records(run, jobs)
    carried = carry_corrections(run, jobs, origins)
    lost = lost_frames(run, films)
    if report.left_out and (kept := _left_in(roots, run)):
        report.remarks.append(Remark("", _LEFT_IN.format(kept)))
    if prune:
        kept_back = origins | {record.id for record in (*carried.values(), *lost.values())}
        left = {uri: stamp for uri, stamp in stamps.items() if stamp.id not in kept_back}
        gone = find_gone(run.roots, run.wanted, left, disk)
        if not options.prune_empty:
            check_emptied(found.imageless, gone, left, disk)
        report.removed = _remove(run, gone, options.agree)
    _write(run, jobs, carried)
    write_films(run, films, lost, partial(_put, run))
    if prune and (carried or lost):
        gone = find_gone(run.roots, run.wanted, stamps, disk)
        passed_on = [record.id for record in (*carried.values(), *lost.values()) if record.id in gone]
        report.removed += store.remove(name, passed_on) if passed_on else 0
    unused = {skipped.path for skipped in report.skipped}
    report.unlabelled = [path for path in report.unlabelled if path not in unused]
    report.seconds = time.monotonic() - started
    return report


def _differing(run: IndexRun) -> frozenset[Location]:
    """Read the files whose size and date are the same; return those whose bytes are not."""
    same: dict[str, Location] = {}
    for path in run.wanted:
        stamp = run.stamps.get(path.as_uri())
        if stamp is not None and _is_as_before(path, stamp):
            same[stamp.id] = path
    digests = {record.id: record.digest for record in run.records(list(same))}
    same = {identity: path for identity, path in same.items() if identity in digests}
    differing = set()
    read = read_digests(list(same.values()), run.progress)
    for (identity, path), found in zip(same.items(), read, strict=True):
        run.report.verified += 1
        # What cannot be read is looked at again, and reported, where it would be embedded.
        if isinstance(found, Skipped) or found != digests[identity]:
            run.report.differing += not isinstance(found, Skipped)
            differing.add(path)
    run.progress.end()
    return frozenset(differing)


def _is_as_before(path: Location, stamp: Stamp) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (stamp.size, stamp.modified_ns) == (status.st_size, file_time(status))


def _left_in(roots: Sequence[Location], run: IndexRun) -> int:
    """Return how many records there are of files below the roots that are there and were not looked at."""
    folders = {root for root in roots if root.is_dir()}
    paths = (path for uri in run.stamps if (path := location_of(uri)) is not None and path not in run.wanted)
    return sum(is_below(path, folders) and path.is_file() for path in paths)


def _sort_out(run: IndexRun, differing: frozenset[Location]) -> list[Job]:
    """Sort out what has not changed, write labels that have, and return the images to embed."""
    report = run.report
    jobs: list[Job] = []
    relabel: dict[str, tuple[Place, Label]] = {}
    for path, label in run.wanted.items():
        if path in run.films:
            continue
        uri = path.as_uri()
        stamp = run.stamps.get(uri)
        try:
            status = path.stat()
        except OSError as error:
            report.skipped.append(Skipped(str(path), f"cannot be read: {error.strerror}"))
            continue
        kept = stored(label)
        now = status.st_size, file_time(status)
        if stamp is None or (stamp.size, stamp.modified_ns) != now or path in differing:
            jobs.append(Job(path, uri, label, known=stamp is not None, size=status.st_size))
        elif stamp.labels_digest != labels_digest(kept.fields, kept.metadata):
            relabel[stamp.id] = path, label
        else:
            report.unchanged += 1
    for ids in chunks(list(relabel), _RELABELLED):
        some = {one: relabel[one] for one in ids}
        _relabel(run, some)
        # Those that somebody has removed meanwhile.
        jobs += (Job(path, path.as_uri(), label, known=False, size=-1) for path, label in some.values())
    return jobs


def _relabel(run: IndexRun, labels: dict[str, tuple[Place, Label]]) -> None:
    """Write labels that differ from what is recorded, apart from what people have put right.

    Args:
        run: of which it is a step.
        labels: what the label files say, by id; those of records that are there are taken out.
    """
    store, name, report = run.store, run.name, run.report
    changed = []
    arrived: list[str] = []
    for record in store.get(name, list(labels)):
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
        left = [record.id for record in store.get(name, arrived) if _is_gone(record, disk)]
        report.moved += store.remove(name, left) if left else 0
        report.unchanged += len(arrived) - len(left)
    if changed:
        store.relabel(name, changed)


def _is_gone(record: Record, disk: Disk) -> bool:
    path = location_of(record.uri)
    return path is not None and disk.is_gone(path)


def _remove(run: IndexRun, gone: dict[str, Location], agree: Agree) -> int:
    """Remove the records whose file is gone, and return how many there were."""
    removal = Removal(run.report.collection, len(gone), len(run.stamps))
    if removal.large:
        if not agree(removal):
            return 0
        # A disk may have been mounted while somebody thought about it.
        again = Disk()
        gone = {identity: path for identity, path in gone.items() if again.is_gone(path)}
    return run.store.remove(run.name, list(gone)) if gone else 0


def _write(run: IndexRun, jobs: Sequence[Job], carried: Mapping[Place, Record]) -> None:
    """Embed the jobs and put them in the store, a batch at a time."""
    ready: list[tuple[Job, list[EmbeddedFile]]] = []
    assumed: dict[str, list[str]] = {}
    last = time.monotonic()
    run.progress(0, len(jobs))
    paths = [job.path for job in jobs]
    with closing(embed_files_by(paths, run.encoders, max_pixels=run.max_pixels)) as outcomes:
        try:
            for done, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True), 1):
                if isinstance(outcome, Skipped):
                    run.report.skipped.append(outcome)
                else:
                    ready.append((job, outcome))
                    for note in outcome[0].notes:
                        assumed.setdefault(note, []).append(str(job.path))
                if len(ready) >= BATCH_RECORDS or time.monotonic() - last > _WRITE_SECONDS:
                    # Taken first: what the store refuses is not offered to it again below.
                    batch, ready = ready, []
                    _put(run, batch, carried)
                    last = time.monotonic()
                    run.progress(done, len(jobs))
        finally:
            # Also when interrupted: what is embedded is kept.
            _put(run, ready, carried)
    run.report.remarks += _assumptions(assumed)
    run.progress(len(jobs), len(jobs))


def _assumptions(assumed: Mapping[str, Sequence[str]]) -> list[Remark]:
    """Return what to say of images that something was assumed of: a few are named, of many one."""
    remarks = []
    for note, paths in assumed.items():
        if len(paths) <= _NAMED:
            remarks += [Remark(path, note) for path in paths]
        else:
            remarks.append(Remark(paths[0], f"{note} (and {len(paths) - 1:,} more)"))
    return remarks


def _put(run: IndexRun, ready: list[tuple[Job, list[EmbeddedFile]]], carried: Mapping[Place, Record]) -> None:
    if not ready:
        return
    # Also of those that are new, where there were records: another process may have moved one here meanwhile,
    # corrections and all.
    ids = [job.id for job, _ in ready if job.known or run.stamps]
    before = {one.id: one for one in run.store.get(run.name, ids)}
    passed_on = {record.id for record in carried.values()}
    records = []
    for job, (file, *_) in ready:
        known, carrier = before.get(job.id), carried.get(job.path)
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
            run.report.overruled.append(str(job.path))
        if job.sampling is not None:
            label = with_sampling(label, job.sampling, job.frames)
        records.append(file.record(job.uri, label))
    run.put(records, [run.features(files) for _, files in ready])
    for job, (file, *_) in ready:
        run.report.added += not job.known
        run.report.updated += job.known
        run.report.embedded += not file.cached
