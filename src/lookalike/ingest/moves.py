"""Moved and renamed files: their records follow them, recognised by the digest of the file.

A record is taken to have moved where its file is gone for certain, and a file that has no record yet has the
same bytes. Only files of the size of one that is gone are read for that. Of several with the same bytes,
those belong together whose paths end alike, and each record moves once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.ingest.embedding import embed_files_by, read_digests
from lookalike.ingest.removals import is_below
from lookalike.ingest.run import BATCH_RECORDS
from lookalike.metric_learning.corrections import indexed_again, marks_of, moved
from lookalike.sources.folders import file_time
from lookalike.sources.locations import location_of
from lookalike.sources.objects import ObjectPath
from lookalike.stores.batches import chunks
from lookalike.types import Record, Skipped

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from lookalike.ingest.run import IndexRun, Job
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import ObjectStatus
    from lookalike.types import Features


@dataclass(frozen=True, slots=True)
class Move:
    """A record, and the path where its file is now."""

    path: Place
    record: Record


def _lost_records(run: IndexRun, sizes: Collection[int]) -> list[str]:
    """Return the ids of records whose file is gone and had one of some sizes, in bytes.

    A file that would lie on a mount point with nothing on it is not gone for certain.
    """
    disk = run.disk
    lost = []
    for uri, stamp in run.stamps.items() if sizes else ():
        if stamp.size not in sizes:
            continue
        path = location_of(uri)
        if path is None or path in run.wanted:
            continue
        if isinstance(path, ObjectPath) and not is_below(path, run.roots):
            continue
        if disk.is_gone(path) and not disk.is_unmounted(path):
            lost.append(stamp.id)
    return lost


def pair(lost: Iterable[Record], found: Mapping[Place, str]) -> list[Move]:
    """Return which record belongs to which file.

    Args:
        lost: records whose file is gone.
        found: the SHA-256 of files that have no record, by path.

    Returns:
        The moves, in the order of `found`; no record and no path is there twice.
    """
    records: dict[str, list[Record]] = {}
    for record in sorted(lost, key=lambda record: record.uri):
        records.setdefault(record.digest, []).append(record)
    paths: dict[str, list[Place]] = {}
    for path, digest in found.items():
        if digest in records:
            paths.setdefault(digest, []).append(path)
    moved: dict[Place, Record] = {}
    for digest, some in paths.items():
        moved |= _matched(some, records[digest])
    return [Move(path, moved[path]) for path in found if path in moved]


def _matched(paths: Sequence[Place], records: Sequence[Record]) -> dict[Place, Record]:
    """Match files and records of the same bytes: those whose paths share most of their ends come first."""
    matched: dict[Place, Record] = {}
    places = [(record, location_of(record.uri)) for record in records]
    left = [(record, path.parts) for record, path in places if path is not None]
    todo = list(paths)
    longest = max((len(parts) for _, parts in left), default=0)
    for length in range(longest, -1, -1):
        ends: dict[tuple[str, ...], list[Record]] = {}
        for record, parts in left:
            if len(parts) >= length:
                ends.setdefault(parts[len(parts) - length :], []).append(record)
        for path in todo:
            parts = path.parts
            same = ends.get(parts[len(parts) - length :]) if len(parts) >= length else None
            if same:
                matched[path] = same.pop(0)
        taken = {record.id for record in matched.values()}
        left = [(record, parts) for record, parts in left if record.id not in taken]
        todo = [path for path in todo if path not in matched]
        if not left or not todo:
            break
    return matched


def move_records(run: IndexRun, jobs: Sequence[Job]) -> tuple[list[Job], frozenset[str]]:
    """Let records follow files that were moved.

    Returns:
        The jobs that are left, and the ids that moved records had.
    """
    new = {job.path: job for job in jobs if not job.known}
    lost = list(run.records(_lost_records(run, {job.size for job in new.values()})))
    sizes = {record.size for record in lost}
    statuses = {job.path: _status(job.path) for job in new.values() if job.size in sizes}
    paths = [path for path, status in statuses.items() if status is not None]
    digests = zip(paths, read_digests(paths, run.progress), strict=True)
    found = {path: digest for path, digest in digests if isinstance(digest, str)}
    if paths:
        run.progress.end()
    moves = pair(lost, found)
    done: set[Place] = set()

    def put(some: Sequence[Move], features: Sequence[Mapping[str, Features]]) -> None:
        places = [(new[move.path], move.record, statuses[move.path]) for move in some]
        done.update(_put_moved(run, places, features))

    left: list[Move] = []
    for some in chunks(moves, BATCH_RECORDS):
        known = _known_features(run, [move.record for move in some])
        whole = [move for move in some if len(known[move.record.id]) == len(run.encoders)]
        if whole:
            put(whole, [known[move.record.id] for move in whole])
        left += [move for move in some if move not in whole]
    # Those that a model has not seen, or whose vectors are damaged.
    outcomes = embed_files_by([move.path for move in left], run.encoders, max_pixels=run.max_pixels)
    for move, files in zip(left, outcomes, strict=True):
        if not isinstance(files, Skipped) and files[0].digest == move.record.digest:
            run.report.embedded += not files[0].cached
            put([move], [run.features(files)])
    return [job for job in jobs if job.path not in done], frozenset(move.record.id for move in moves)


def _known_features(run: IndexRun, records: Sequence[Record]) -> dict[str, dict[str, Features]]:
    """Return what is known of records by id: features or plain vectors of each model, by its fingerprint."""
    found: dict[str, dict[str, Features]] = {record.id: {} for record in records}
    vectors = [one for one in run.store.collection(run.name).vectors if one.ready and not one.fitted]
    names = {one.space.embedder_fingerprint: one.name for one in vectors}
    for encoder in run.encoders:
        fingerprint = encoder.embedder.fingerprint
        kept = {record.id: encoder.cache.get(record.digest) for record in records}
        lost = [identity for identity, features in kept.items() if features is None]
        if lost and fingerprint in names:
            there, found_vectors = run.store.vectors_of(run.name, lost, names[fingerprint])
            (rows,) = found_vectors.values()
            kept |= {record.id: row for record, row in zip(there, rows, strict=True)}
        for identity, features in kept.items():
            if features is not None:
                found[identity][fingerprint] = features
    return found


def carry_corrections(run: IndexRun, jobs: Sequence[Job], moved_on: frozenset[str]) -> dict[Place, Record]:
    """Return the corrected records of pictures that now lie where another one lay: names were exchanged.

    Only where something was said are files read for it.

    Args:
        run: of which it is a step.
        jobs: what is left to embed.
        moved_on: ids of records that were moved.

    Returns:
        By the path of a file whose bytes are others than its record says, the record that was of these bytes.
    """
    known = {job.id: job for job in jobs if job.known}
    lost = _lost_records(run, {job.size for job in known.values()})
    recorded: dict[str, str] = {}
    said: list[Record] = []
    for record in run.records([*known, *(one for one in lost if one not in moved_on)]):
        recorded[record.id] = record.digest
        marks = marks_of(record)
        if marks.corrected or marks.confirmed:
            said.append(record)
    sizes = {record.size for record in said}
    paths = [job.path for job in jobs if job.size in sizes]
    if not paths:
        return {}
    digests = dict(zip(paths, read_digests(paths, run.progress), strict=True))
    run.progress.end()
    # Of a size that no picture has of which something was said, a file is another one than such a picture.
    as_it_was = {
        identity
        for identity, job in known.items()
        if identity in recorded and digests.get(job.path, "") == recorded[identity]
    }
    found = {
        job.path: digest
        for job in jobs
        if isinstance(digest := digests.get(job.path), str) and job.id not in as_it_was
    }
    return {move.path: move.record for move in pair([one for one in said if one.id not in as_it_was], found)}


def _status(path: Place) -> os.stat_result | ObjectStatus | None:
    try:
        return path.stat()
    except OSError:
        return None


def _put_moved(
    run: IndexRun,
    some: Sequence[tuple[Job, Record, os.stat_result | ObjectStatus | None]],
    features: Sequence[Mapping[str, Features]],
) -> set[Place]:
    """Put records where their files are now, then remove those of the old paths.

    At no moment is a record at neither place; the new one says which it came from until that is removed, so
    that a run which is killed in between is completed by the next.

    Returns:
        The paths whose records were moved; of others the record is not any more what it was.
    """
    # Read again: files were read meanwhile, and somebody may have put labels right, removed the record, or
    # moved it here.
    store, name = run.store, run.name
    now = {record.id: record for record in store.get(name, [known.id for _, known, _ in some])}
    there = {record.id for record in store.get(name, [job.id for job, _, _ in some])}
    records = []
    rows = []
    settled = []
    origins = []
    for row, (job, known, status) in enumerate(some):
        before = now.get(known.id)
        if before is None or before.digest != known.digest or job.id in there:
            continue
        label, given_up = indexed_again(before, job.label, before.digest)
        if given_up:
            run.report.overruled.append(str(job.path))
        marked, plain = moved(label, before.id), moved(label, None)
        modified_ns = 0 if status is None else file_time(status)
        records.append(
            Record(job.id, job.uri, before.digest, marked.fields, marked.metadata, before.size, modified_ns)
        )
        rows.append(row)
        settled.append((job.id, plain.fields, plain.metadata))
        origins.append(before.id)
    if records:
        run.put(records, [features[row] for row in rows])
        store.remove(name, origins)
        store.relabel(name, settled)
        run.report.moved += len(records)
    return {some[row][0].path for row in rows}
