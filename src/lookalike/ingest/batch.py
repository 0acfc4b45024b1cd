"""A batch of images with their labels: what differs from the store is embedded, and put there.

A run on one machine is one batch, in the middle of which records move with their files; on many machines each
task is one.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from lookalike.ingest.embedding import EmbeddedFile, embed_files_by, read_digests
from lookalike.ingest.removals import Disk
from lookalike.ingest.run import BATCH_RECORDS, IndexRun, Job
from lookalike.label_normalisation import labels_digest
from lookalike.metric_learning.corrections import (
    indexed_again,
    marks_of,
    moved,
    stored,
    with_sampling,
)
from lookalike.sources.folders import file_time
from lookalike.sources.locations import location_of
from lookalike.stores.batches import chunks
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.labels.labelling import Label
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.types import Record, Stamp

# What is embedded in this many seconds is written: what a kill costs at most.
_WRITE_SECONDS = 2.0
# Images that the same was assumed of are named each where there are no more.
_NAMED = 5
# Labels that are written at once.
_RELABELLED = 1000


def index_batch(run: IndexRun, *, verify: bool) -> dict[str, list[str]]:
    """Bring the records of a run's images up to date, each by itself: no record moves.

    Args:
        run: with the stamps of these images at least.
        verify: read what looks the same, and compare digests.

    Returns:
        What was assumed when images were decoded, with the paths of these.
    """
    return write(run, sort_out(run, differing(run) if verify else frozenset()), {})


def differing(run: IndexRun) -> frozenset[Location]:
    """Read the files whose size and date are the same; return those whose bytes are not."""
    same: dict[str, Location] = {}
    for path in run.wanted:
        stamp = run.stamps.get(path.as_uri())
        if stamp is not None and _is_as_before(path, stamp):
            same[stamp.id] = path
    digests = {record.id: record.digest for record in run.records(list(same))}
    same = {identity: path for identity, path in same.items() if identity in digests}
    found_others = set()
    read = read_digests(list(same.values()), run.progress)
    for (identity, path), found in zip(same.items(), read, strict=True):
        run.report.verified += 1
        # What cannot be read is looked at again, and reported, where it would be embedded.
        if isinstance(found, Skipped) or found != digests[identity]:
            run.report.differing += not isinstance(found, Skipped)
            found_others.add(path)
    run.progress.end()
    return frozenset(found_others)


def _is_as_before(path: Location, stamp: Stamp) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (stamp.size, stamp.modified_ns) == (status.st_size, file_time(status))


def sort_out(run: IndexRun, changed: frozenset[Location]) -> list[Job]:
    """Sort out what has not changed, write labels that have, and return the images to embed."""
    report = run.report
    jobs: list[Job] = []
    relabelled: dict[str, tuple[Place, Label]] = {}
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
        if stamp is None or (stamp.size, stamp.modified_ns) != now or path in changed:
            jobs.append(Job(path, uri, label, known=stamp is not None, size=status.st_size))
        elif stamp.labels_digest != labels_digest(kept.fields, kept.metadata):
            relabelled[stamp.id] = path, label
        else:
            report.unchanged += 1
    # Those that somebody has removed meanwhile.
    removed = relabel(run, relabelled)
    jobs += (Job(path, path.as_uri(), label, known=False, size=-1) for path, label in removed.values())
    return jobs


def relabel(run: IndexRun, labels: Mapping[str, tuple[Place, Label]]) -> dict[str, tuple[Place, Label]]:
    """Write labels that differ from what is recorded, apart from what people have put right.

    Args:
        run: of which it is a step.
        labels: what the label files say, by id.

    Returns:
        Those of records that are not there any more.
    """
    left = {}
    for ids in chunks(list(labels), _RELABELLED):
        some = {one: labels[one] for one in ids}
        _relabel(run, some)
        left.update(some)
    return left


def _relabel(run: IndexRun, labels: dict[str, tuple[Place, Label]]) -> None:
    """Do so at once, and take those of records that are there out of `labels`."""
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


def write(run: IndexRun, jobs: Sequence[Job], carried: Mapping[Place, Record]) -> dict[str, list[str]]:
    """Embed the jobs and put them in the store, some at a time.

    Args:
        run: of which it is a step.
        jobs: images to embed.
        carried: records whose corrections go to an image: see `moves`.

    Returns:
        What was assumed when they were decoded, with their paths.
    """
    ready: list[tuple[Job, list[EmbeddedFile]]] = []
    assumed: dict[str, list[str]] = {}
    last = time.monotonic()
    run.progress(0, len(jobs))
    paths = [job.path for job in jobs]
    embedded = embed_files_by(paths, run.encoders, max_pixels=run.max_pixels, workers=run.workers)
    with closing(embedded) as outcomes:
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
                    put(run, batch, carried)
                    last = time.monotonic()
                    run.progress(done, len(jobs))
        finally:
            # Also when interrupted: what is embedded is kept.
            put(run, ready, carried)
    run.progress(len(jobs), len(jobs))
    return assumed


def assumptions(assumed: Mapping[str, Sequence[str]]) -> list[Remark]:
    """Return what to say of images that something was assumed of: a few are named, of many one."""
    remarks = []
    for note, paths in assumed.items():
        if len(paths) <= _NAMED:
            remarks += [Remark(path, note) for path in paths]
        else:
            remarks.append(Remark(paths[0], f"{note} (and {len(paths) - 1:,} more)"))
    return remarks


def put(run: IndexRun, ready: list[tuple[Job, list[EmbeddedFile]]], carried: Mapping[Place, Record]) -> None:
    """Put embedded images, with their labels and with what people have put right of them.

    Args:
        run: of which it is a step.
        ready: images, each with what every model makes of it.
        carried: see `write`.
    """
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
