"""Checking a store: every vector and label, the counts, the fits, and what is kept beside the records."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import (
    InvalidArgument,
    LookalikeError,
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreUnreachable,
    TableGone,
)
from lookalike.ingest.embedding import embed_files, read_digest
from lookalike.ingest.record_writer import RecordWriter
from lookalike.integrity.finding import Finding
from lookalike.label_normalisation import labels_digest
from lookalike.metric_learning.fitted import fitting_of
from lookalike.progress import silent
from lookalike.sources.locations import readable_location
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.stores.stamp_table import read_stamps_by_id
from lookalike.stores.verification import LOST_VECTOR
from lookalike.types import Skipped
from lookalike.uris import local_path, uri_text

if TYPE_CHECKING:
    from lookalike.embedders.models import Models
    from lookalike.progress import Progress
    from lookalike.stores.damage import Damage
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Features, Record, Stamp

_RESTORE = "restore the store from a copy, or index into a new one"


def check_store(
    store: Store, models: Models, *, repair: bool = False, progress: Progress = silent
) -> tuple[list[Finding], int]:
    """Verify all that a store holds: vectors, labels, counts and structures.

    Args:
        store: what is read.
        models: what embeds again.
        repair: whether what can be mended is.
        progress: called with records read and records to read.

    Returns:
        What was found, and how many records were read.

    Raises:
        StoreError: the store cannot be read at all, and not because it is damaged.
    """
    url = store.url
    try:
        collections = store.collections()
    except StoreCorrupt as error:
        return [Finding(url, error.reason, todo=_RESTORE)], 0
    check = _StoreCheck(store, models, collections, repair, progress)
    for collection in collections:
        try:
            check.check(collection)
        except StoreCorrupt as error:
            check.findings.append(Finding(url, error.reason, collection.name, todo=_RESTORE))
        except (StoreError, TableGone) as error:
            # A table of others that its owner has altered; a server that has gone is told of as always.
            gone = isinstance(error, StoreUnreachable | StoreBusy)
            if gone or not _is_attached(store, collection.name):
                raise
            todo = f"attach it again, or forget it: `lookalike detach {shlex.quote(collection.name)}`"
            reason = error.reason if isinstance(error, StoreError) else f"the table {error.table} is gone"
            check.findings.append(Finding(url, reason, collection.name, todo=todo))
    check.check_structure()
    return check.findings, check.read


def _is_attached(store: Store, name: str) -> bool:
    with suppress(InvalidArgument):  # a store that attaches none
        return store.attached.has(name)
    return False


class _StoreCheck:
    """One pass over the collections of a store."""

    def __init__(
        self,
        store: Store,
        models: Models,
        collections: list[CollectionInfo],
        repair: bool,
        progress: Progress,
    ) -> None:
        self.findings: list[Finding] = []
        self.read = 0
        self._without_vector: list[tuple[str, str]] = []
        self._store = store
        self._models = models
        self._repair = repair
        self._progress = progress
        self._total = sum(each.count for each in collections)

    def check(self, collection: CollectionInfo) -> None:
        """Check the records of a collection with all their vectors, and its fit."""
        name = collection.name
        stamps = read_stamps_by_id(self._store, name)
        seen = 0
        for records, vectors in self._store.scan_vectors(name):
            lengths = [np.linalg.norm(rows.astype(np.float64), axis=1) for rows in vectors.values()]
            for row, record in enumerate(records):
                self._check_record(
                    collection, record, [float(one[row]) for one in lengths], stamps.get(record.id)
                )
            seen += len(records)
            self._progress(min(self.read + seen, self._total), self._total)
        self.read += seen
        damaged = self._store.damage.found(name)
        now = self._store.collection(name)
        if now.count == collection.count and seen + len(damaged) != now.count:
            said = f"it counts {now.count:,} records, and {seen + len(damaged):,} are there"
            self.findings.append(Finding(self._store.url, said, name, todo=_RESTORE))
        for damage in damaged:
            self._mend(collection, damage)
        self._check_vectors(now)

    def check_structure(self) -> None:
        """Check what a store has beside its records; what repeats a record's labels is written anew."""
        for fault in self._store.check():
            # Records that lack a vector were found by reading them, and are told one by one.
            if fault.id is None and any(
                name == fault.collection and one in fault.reason for name, one in self._without_vector
            ):
                continue
            todo = fault.todo or _RESTORE
            finding = Finding(self._store.url, fault.reason, fault.collection, fault.id, todo=todo)
            if fault.collection is not None and fault.id is not None:
                finding = replace(finding, todo="`lookalike check --repair` writes it anew")
                records = self._store.get(fault.collection, [fault.id]) if self._repair else []
                for record in records:
                    self._store.relabel(fault.collection, [(record.id, record.fields, record.metadata)])
                    finding = replace(finding, mended=True, path=_path(record))
            self.findings.append(finding)

    def _check_record(
        self, collection: CollectionInfo, record: Record, lengths: list[float], stamp: Stamp | None
    ) -> None:
        finding = Finding(self._store.url, "", collection.name, record.id, _path(record))
        for length in lengths:
            if not abs(length - 1) <= LENGTH_TOLERANCE:
                said = f"its vector has length {length:.6g}, not 1"
                self.findings.append(replace(finding, damage=said, todo=_index(collection, record)))
        if stamp is not None and stamp.labels_digest != labels_digest(record.fields, record.metadata):
            if self._repair:
                self._store.relabel(collection.name, [(record.id, record.fields, record.metadata)])
            said = "the digest of its labels is not theirs"
            todo = "" if self._repair else "`lookalike check --repair` writes it anew"
            self.findings.append(replace(finding, damage=said, mended=self._repair, todo=todo))

    def _mend(self, collection: CollectionInfo, damage: Damage) -> None:
        """Say what is damaged; put the record again where its labels are whole and its picture is at hand."""
        finding = Finding(self._store.url, damage.reason, collection.name, damage.id, damage.path or None)
        if damage.reason in [LOST_VECTOR.format(vector.name) for vector in collection.vectors]:
            self._without_vector.append((collection.name, damage.id))
        found = self._store.get(collection.name, [damage.id])
        if not found:
            self.findings.append(replace(finding, todo=_again(collection, damage)))
            return
        (record,) = found
        todo = "`lookalike check --repair` embeds it again"
        if self._repair:
            try:
                features = self._features(collection, record)
                if features is not None:
                    RecordWriter(self._store, collection.name).put([record], features)
                    self.findings.append(replace(finding, mended=True, path=_path(record)))
                    return
                todo = f"its file is not there as it was: {_again(collection, damage)}"
            except LookalikeError as error:
                todo = str(error)
        self.findings.append(replace(finding, todo=todo))

    def _features(self, collection: CollectionInfo, record: Record) -> dict[str, Features] | None:
        """Return a file's features by each model: those kept, or of the file while it is as it was."""
        found: dict[str, Features] = {}
        for vector in collection.vectors:
            fingerprint = vector.space.embedder_fingerprint
            if fingerprint in found or vector.fitted:
                continue
            kept = self._models.kept_features(fingerprint, vector.space.dimension)
            features = kept.get(record.digest)
            path = readable_location(record.uri)
            if features is None and path is not None and read_digest(path) == record.digest:
                for file in embed_files([path], self._models.embedder_of(collection, vector), kept):
                    if not isinstance(file, Skipped) and file.digest == record.digest:
                        features = file.features
            if features is None:
                return None
            found[fingerprint] = features[None]
        return found

    def _check_vectors(self, collection: CollectionInfo) -> None:
        """Check that fits can be read, and say which vectors records lack."""
        url, name = self._store.url, shlex.quote(collection.name)
        for vector in collection.vectors:
            try:
                fitting_of(self._store, collection, vector)
            except StoreCorrupt as error:
                todo = f"`lookalike fit --undo --collection {name}`, and fit it again"
                self.findings.append(Finding(url, error.reason, collection.name, todo=todo))
                continue
            except SpaceMismatch:  # it is being fitted
                continue
            lacking = len(self._store.lacking(collection.name, vector.space))
            if not vector.ready and lacking:
                said = f"its vector {vector.name!r} is not complete: {lacking:,} records lack it"
                todo = f"`lookalike index PATH --collection {name}` completes it"
                self.findings.append(Finding(url, said, collection.name, todo=todo))


def _path(record: Record) -> str:
    return uri_text(record.uri)


def _index(collection: CollectionInfo, record: Record) -> str:
    path = local_path(record.uri)
    folder = "PATH" if path is None else shlex.quote(str(path.parent))
    return f"`lookalike index {folder} --collection {shlex.quote(collection.name)}`"


def _again(collection: CollectionInfo, damage: Damage) -> str:
    """Return the commands that bring a record in anew: its labels are in the label files only."""
    folder = shlex.quote(damage.path.rpartition("/")[0]) if damage.path.startswith("/") else "PATH"
    name = shlex.quote(collection.name)
    return (
        f"`lookalike delete {name} {damage.id}`, then `lookalike index {folder} --collection {name}` where "
        f"its file and its labels are"
    )
