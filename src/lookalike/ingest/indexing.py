"""Indexing: folders of images and their labels become records of a collection."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from lookalike.ingest.batch import assumptions, differing, put, relabel, sort_out, write
from lookalike.ingest.declaration import declare
from lookalike.ingest.films import lost_frames, sort_films, write_films
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.moves import carry_corrections, move_records
from lookalike.ingest.record_writer import RecordWriter
from lookalike.ingest.removals import Disk, Removal, check_emptied, find_gone, is_below
from lookalike.ingest.run import IndexRun, StepProgress
from lookalike.ingest.survey import check_gone, survey
from lookalike.progress import silent
from lookalike.sources.locations import full, location_of
from lookalike.stores.stamp_table import read_stamps
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.embedding import Encoder
    from lookalike.ingest.index_options import IndexOptions
    from lookalike.ingest.removals import Agree
    from lookalike.progress import Progress
    from lookalike.sources.objects import Location
    from lookalike.sources.patterns import Patterns
    from lookalike.stores.store import Store

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
    begin: Callable[[], None] = lambda: None,
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
        begin: called when the collection is there, before any record is written.

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
    begin()
    stamps = read_stamps(store, name)
    steps = StepProgress(progress)
    run = IndexRun(
        *(store, name, encoders, found.wanted, stamps, options.max_pixels, report, steps, disk),
        frozenset(roots),
        RecordWriter(store, name),
        found.films,
    )
    check_gone(found.gone, name, stamps)
    jobs = sort_out(run, differing(run) if options.verify else frozenset())
    films, others = sort_films(run, verify=options.verify)
    relabel(run, others)
    jobs, origins = move_records(run, jobs)
    carried = carry_corrections(run, jobs, origins)
    lost = lost_frames(run, films)
    if report.left_out and (kept := _left_in(roots, run)):
        report.remarks.append(Remark("", _LEFT_IN.format(kept)))
    if prune:
        kept_back = origins | {record.id for record in (*carried.values(), *lost.values())}
        left = stamps
        if kept_back:
            left = {uri: stamp for uri, stamp in stamps.items() if stamp.id not in kept_back}
        gone = find_gone(run.roots, run.wanted, left, disk)
        if not options.prune_empty:
            check_emptied(found.imageless, gone, left, disk)
        report.removed = _remove(run, gone, options.agree)
    report.remarks += assumptions(write(run, jobs, carried))
    write_films(run, films, lost, partial(put, run))
    if prune and (carried or lost):
        gone = find_gone(run.roots, run.wanted, stamps, disk)
        passed_on = [record.id for record in (*carried.values(), *lost.values()) if record.id in gone]
        report.removed += store.remove(name, passed_on) if passed_on else 0
    unused = {skipped.path for skipped in report.skipped}
    report.unlabelled = [path for path in report.unlabelled if path not in unused]
    report.seconds = time.monotonic() - started
    return report


def _left_in(roots: Sequence[Location], run: IndexRun) -> int:
    """Return how many records there are of files below the roots that are there and were not looked at."""
    folders = {root for root in roots if root.is_dir()}
    paths = (path for uri in run.stamps if (path := location_of(uri)) is not None and path not in run.wanted)
    return sum(is_below(path, folders) and path.is_file() for path in paths)


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
