"""Indexing films: their frames become records, and go where their film goes.

A film has been indexed when its first frame has: that one is written last, and says how many there are. So a
film over which a run was killed is read again, and nothing else has to be remembered. What is embedded once
is known by the frame's digest, and is not embedded again.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from lookalike.errors import UnusableImage
from lookalike.file_names import display
from lookalike.images.films import open_film
from lookalike.ingest.embedding import EmbeddedFile, embed_files_by
from lookalike.ingest.film_labels import frame_label
from lookalike.ingest.run import BATCH_RECORDS, Job
from lookalike.label_normalisation import labels_digest
from lookalike.metric_learning.corrections import marks_of, stored, with_sampling
from lookalike.sources.frames import FramePath, film_status, place_of, read_frames
from lookalike.types import Remark, Skipped
from lookalike.uris import split_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.run import IndexRun
    from lookalike.labels.labelling import Label
    from lookalike.sources.frames import FrameRead, Place
    from lookalike.sources.objects import Location
    from lookalike.sources.source import Status
    from lookalike.types import Record, Stamp

Put: TypeAlias = "Callable[[list[tuple[Job, list[EmbeddedFile]]], Mapping[Place, Record]], None]"
"""Writes some records, given what they were at other places."""

# The size of its film, when it is shown, its digest.
_Key: TypeAlias = tuple[int, int, str]

# What is embedded in this many seconds is written: what a kill costs at most.
_WRITE_SECONDS = 2.0


@dataclass(slots=True)
class FilmJob:
    """A film to read."""

    path: Location
    label: Label
    """Of the film."""
    sampling: Sampling
    """Which frames are taken."""
    status: Status
    known: Mapping[int, Stamp]
    """Of the frames that have records, by when they are shown."""
    refused: str | None = None
    """Why it cannot be read at all."""
    fault: str | None = None
    """Why there are no more frames of it."""
    expected: int = 0
    """Frames that it may have; known when it is open."""


def sort_films(run: IndexRun, *, verify: bool) -> tuple[list[FilmJob], dict[str, tuple[Place, Label]]]:
    """Sort out films that have not changed.

    Args:
        run: of which it is a step.
        verify: also read those whose size and date are the same, and compare their frames.

    Returns:
        The films to read, and the frames to relabel, by id: their places and their films' labels.
    """
    known = known_frames(run.stamps) if run.films else {}
    jobs: list[FilmJob] = []
    relabel: dict[str, tuple[Place, Label]] = {}
    for path, sampling in run.films.items():
        label = run.wanted[path]
        try:
            status = film_status(path)
        except UnusableImage as error:
            run.report.skipped.append(Skipped(str(path), error.reason))
            continue
        except OSError as error:
            run.report.skipped.append(Skipped(str(path), f"cannot be read: {error.strerror}"))
            continue
        frames = known.get(path.as_uri(), {})
        as_before = bool(frames) and all(
            (stamp.size, stamp.modified_ns) == tuple(status) for stamp in frames.values()
        )
        differing = _differing(run, frames, label, sampling) if as_before else None
        if differing is None:
            jobs.append(FilmJob(path, label, sampling, status, frames))
            continue
        run.report.films += 1
        if verify:
            run.report.verified += len(frames)
            job = FilmJob(path, label, sampling, status, frames)
            if not _are_same(run, job):
                jobs.append(job)
                run.report.films -= 1
                continue
        run.report.unchanged += len(frames) - len(differing)
        for moment in differing:
            relabel[frames[moment].id] = FramePath(path, moment), frame_label(label, moment)
    return jobs, relabel


def known_frames(stamps: Mapping[str, Stamp]) -> dict[str, dict[int, Stamp]]:
    """Return the stamps of frames among some, by the URI of their film and when they are shown."""
    found: dict[str, dict[int, Stamp]] = {}
    for uri, stamp in stamps.items():
        if "#" in uri and (frame := split_frame(uri)) is not None:
            found.setdefault(frame[0], {})[round(float(frame[1]) * 1000)] = stamp
    return found


def _differing(
    run: IndexRun, frames: Mapping[int, Stamp], label: Label, sampling: Sampling
) -> list[int] | None:
    """Return the frames whose labels differ; None where the film has to be read.

    That is where the frames were chosen otherwise, or are not all there.
    """
    first = min(frames)
    differing = []
    for moment, stamp in frames.items():
        count = len(frames) if moment == first else None
        now = with_sampling(stored(frame_label(label, moment)), str(sampling), count)
        if labels_digest(now.fields, now.metadata) != stamp.labels_digest:
            differing.append(moment)
    if first in differing:
        for record in run.store.get(run.name, [frames[first].id]):
            marks = marks_of(record)
            if (marks.sampling, marks.frames) == (str(sampling), len(frames)):
                return differing
        return None
    return differing


def _are_same(run: IndexRun, job: FilmJob) -> bool:
    """Read a film whose size and date are the same, and tell whether its frames are."""
    ids = {stamp.id: moment for moment, stamp in job.known.items()}
    left = {ids[record.id]: record.digest for record in run.records(list(ids))}
    for frame in _frames(run, job):
        if left.pop(frame.path.moment, None) != hashlib.sha256(frame.picture).hexdigest():
            run.report.differing += 1
            return False
    return not left and job.refused is None


def _frames(run: IndexRun, job: FilmJob) -> Iterator[FrameRead]:
    """Yield the frames of a film that are taken; what is wrong with it is noted in the job."""
    try:
        with job.path.open("rb") as file, open_film(file, str(job.path), run.max_pixels) as film:
            if film.duration is not None:
                job.expected = film.duration // (job.sampling.step or 10_000) + 1
            yield from read_frames(job.path, film, job.sampling, job.status)
            job.fault = film.fault
    except UnusableImage as error:
        job.refused = error.reason
    except OSError as error:
        job.refused = f"cannot be read: {error.strerror or display(str(error))}"


def write_films(run: IndexRun, jobs: Sequence[FilmJob], lost: Mapping[_Key, Record], put: Put) -> None:
    """Embed the frames of films and write them, bit by bit, also when it is interrupted.

    Records of frames that are not among them any more are removed: they were of the film as it was, or were
    chosen otherwise. Records of a film that is gone follow it where a frame has the same pixels at the same
    time, with what people have said of it.

    Args:
        run: of which it is a step.
        jobs: the films.
        lost: see `lost_frames`.
        put: writes some records, beside those of the same pictures that were elsewhere.
    """
    writer = _FrameWriter(run, {job.path: job for job in jobs}, lost, put)
    frames = chain.from_iterable(_frames(run, job) for job in jobs)
    with closing(
        embed_files_by(frames, run.encoders, max_pixels=run.max_pixels, workers=run.workers)
    ) as outcomes:
        try:
            for done, outcome in enumerate(outcomes, 1):
                if isinstance(outcome, Skipped):
                    run.report.skipped.append(outcome)
                elif writer.take(outcome):
                    run.progress(done, max(done, sum(job.expected or 1 for job in jobs)))
            writer.finish()
        finally:
            # Also when interrupted: what is embedded is kept.
            writer.flush()
    for job in jobs:
        if job.refused is not None:
            run.report.skipped.append(Skipped(str(job.path), job.refused))
        elif job.fault is not None:
            text = f"{job.fault}: the frames that there are, are taken"
            run.report.remarks.append(Remark(str(job.path), text))
    run.report.remarks += writer.remarks()


class _FrameWriter:
    """Writes the frames of films, of each film the first one last."""

    def __init__(
        self,
        run: IndexRun,
        films: Mapping[Location, FilmJob],
        lost: Mapping[_Key, Record],
        put: Put,
    ) -> None:
        self._run = run
        self._films = films
        self._lost = lost
        self._put = put
        self._ready: list[tuple[Job, list[EmbeddedFile]]] = []
        self._carried: dict[Place, Record] = {}
        self._notes: dict[str, dict[Location, None]] = {}
        self._last = time.monotonic()
        self._film: FilmJob | None = None
        self._first: tuple[Job, list[EmbeddedFile]] | None = None
        self._moments: set[int] = set()

    def take(self, files: list[EmbeddedFile]) -> bool:
        """Take the next frame, and tell whether some were written."""
        place = files[0].path
        if not isinstance(place, FramePath):
            raise TypeError(f"no frame: {place}")
        if self._film is None or self._film.path != place.film:
            self.finish()
            self._film = self._films[place.film]
        film = self._film
        for note in files[0].notes:
            self._notes.setdefault(note, {})[place.film] = None
        known = place.moment in film.known
        frame = Job(
            *(place, place.as_uri(), frame_label(film.label, place.moment), known, film.status.size),
            sampling=str(film.sampling),
        )
        before = self._lost.get((film.status.size, place.moment, files[0].digest))
        if before is not None and not known:
            self._carried[place] = before
        self._moments.add(place.moment)
        if self._first is None:
            self._first = frame, files
        else:
            self._ready.append((frame, files))
        if len(self._ready) < BATCH_RECORDS and time.monotonic() - self._last < _WRITE_SECONDS:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write what waits."""
        # Taken first: what the store refuses is not offered to it again.
        batch, self._ready = self._ready, []
        if batch:
            self._put(batch, self._carried)
        self._last = time.monotonic()

    def finish(self) -> None:
        """Write the first frame of the film, after all others, and remove what is of it no more."""
        if self._film is None or self._first is None:
            return
        self.flush()
        run, film = self._run, self._film
        stale = [stamp.id for moment, stamp in film.known.items() if moment not in self._moments]
        run.report.removed += run.store.remove(run.name, stale) if stale else 0
        frame, files = self._first
        self._ready.append((replace(frame, frames=len(self._moments)), files))
        self.flush()
        moved = [record.id for record in self._carried.values()]
        run.report.moved += run.store.remove(run.name, moved) if moved else 0
        run.report.added -= len(moved)
        run.report.films += 1
        self._film, self._first, self._moments, self._carried = None, None, set(), {}

    def remarks(self) -> list[Remark]:
        """Return what was assumed of films."""
        return [
            Remark(str(first), f"{note} (and {len(more):,} more)" if more else note)
            for note, (first, *more) in self._notes.items()
        ]


def lost_frames(run: IndexRun, jobs: Sequence[FilmJob]) -> dict[_Key, Record]:
    """Return the records of frames whose film is gone and had the size of a new one.

    They are found by that size, when they are shown, and their digest.
    """
    sizes = {job.status.size for job in jobs if not job.known}
    ids = []
    for uri, stamp in run.stamps.items() if sizes else ():
        if stamp.size not in sizes or "#" not in uri:
            continue
        place = place_of(uri)
        if not isinstance(place, FramePath) or place.film in run.wanted:
            continue
        if run.disk.is_gone(place.film) and not run.disk.is_unmounted(place.film):
            ids.append(stamp.id)
    found = {}
    for record in run.records(ids):
        place = place_of(record.uri)
        if isinstance(place, FramePath):
            found[record.size, place.moment, record.digest] = record
    return found
