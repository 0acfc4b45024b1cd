"""A run of `index`: its jobs, progress and shared state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lookalike.stores.batches import chunks
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.images.film_sampling import Sampling
    from lookalike.ingest.embedding import EmbeddedFile, Encoder
    from lookalike.ingest.index_report import IndexReport
    from lookalike.ingest.record_writer import RecordWriter
    from lookalike.ingest.removals import Disk
    from lookalike.labels.labelling import Label
    from lookalike.progress import Progress
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.stores.store import Store
    from lookalike.types import Features, Record, Stamp

BATCH_RECORDS = 256
"""Records that are written at once: a few hundredths of a second, and what a kill costs at most."""
# Records that are read, and labels that are written, at once.
_READ_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """An image to embed, or to move."""

    path: Place
    uri: str
    label: Label
    known: bool
    """Whether there is a record of its path."""
    size: int
    """Bytes; −1 where nobody looked."""
    sampling: str | None = None
    """Of a frame, how the frames of its film are chosen."""
    frames: int | None = None
    """Of the first frame of a film, how many it has."""

    @property
    def id(self) -> str:
        """The id of its record."""
        return record_id(self.uri)


class StepProgress:
    """The progress of a run whose steps follow one another, each as long as it turns out to be."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._before = 0
        self._total = 0

    def __call__(self, done: int, total: int) -> None:
        """Tell how far the present step is."""
        self._total = self._before + total
        self._progress(self._before + done, self._total)

    def end(self) -> None:
        """End the step: what follows comes on top of it."""
        self._before = self._total


@dataclass(frozen=True, slots=True)
class IndexRun:
    """What the steps of one run share: images, records, embedder, report and progress."""

    store: Store
    name: str
    """Of the collection."""
    encoders: Sequence[Encoder]
    """One for each model that the collection has vectors of."""
    wanted: Mapping[Location, Label]
    """Every image that is there, with its label, in order."""
    stamps: Mapping[str, Stamp]
    """Of the collection as the run found it, by URI."""
    max_pixels: int
    report: IndexReport
    progress: StepProgress
    disk: Disk
    roots: frozenset[Location]
    """What is indexed; no object beside it is asked for."""
    writer: RecordWriter
    films: Mapping[Location, Sampling] = field(default_factory=dict)
    """Those of `wanted` that are films, with which frames of them are taken."""
    workers: int | None = None
    """Threads that embed; None: one for each core."""

    def records(self, ids: Sequence[str]) -> Iterator[Record]:
        """Yield the records of these ids that are there, in order; read bit by bit."""
        for some in chunks(ids, _READ_RECORDS):
            yield from self.store.get(self.name, some)

    def features(self, files: Sequence[EmbeddedFile]) -> dict[str, Features]:
        """Return what the models made of one file, by their fingerprints."""
        made = zip(self.encoders, files, strict=True)
        return {encoder.embedder.fingerprint: file.features for encoder, file in made}

    def put(self, records: Sequence[Record], features: Sequence[Mapping[str, Features]]) -> None:
        """Add or replace records.

        Args:
            records: no id twice.
            features: of each record by each model, by the model's fingerprint: shape (dimension,).
        """
        rows = {
            encoder.embedder.fingerprint: np.stack([each[encoder.embedder.fingerprint] for each in features])
            for encoder in self.encoders
        }
        self.writer.put(records, rows)
