"""The integrity check of a store: vectors, labels, counts, both sides of fitted collections, structures."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import LookalikeError, SpaceMismatch, StoreCorrupt
from lookalike.ingest.embedding import embed_files, read_digest
from lookalike.integrity.finding import Finding
from lookalike.label_normalisation import labels_digest
from lookalike.metric_learning.fitted import fitting_of, is_fitted, plain_name
from lookalike.metric_learning.sides import Sides
from lookalike.progress import silent
from lookalike.stores.checks import LENGTH_TOLERANCE
from lookalike.types import Skipped
from lookalike.uris import local_path
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from lookalike.progress import Progress
    from lookalike.session import Session
    from lookalike.stores.damage import Damage
    from lookalike.types import CollectionInfo, Features, Record, Stamp

_RESTORE = "restore the store from a copy, or index into a new one"


def check_store(
    session: Session, *, repair: bool = False, progress: Progress = silent
) -> tuple[list[Finding], int]:
    """Verify all that a store holds: vectors, labels, counts and structures.

    Args:
        session: the store, and what embeds again.
        repair: whether what can be mended is.
        progress: called with records read and records to read.

    Returns:
        What was found, and how many records were read.

    Raises:
        StoreError: the store cannot be read at all, and not because it is damaged.
    """
    url = session.store.url
    try:
        collections = session.store.collections()
    except StoreCorrupt as error:
        return [Finding(url, error.reason, todo=_RESTORE)], 0
    check = _StoreCheck(session, collections, repair, progress)
    for collection in collections:
        try:
            check.check(collection)
        except StoreCorrupt as error:
            check.findings.append(Finding(url, error.reason, collection.name, todo=_RESTORE))
    check.check_structure()
    return check.findings, check.read


class _StoreCheck:
    """One pass over the collections of a store."""

    def __init__(
        self, session: Session, collections: list[CollectionInfo], repair: bool, progress: Progress
    ) -> None:
        self.findings: list[Finding] = []
        self.read = 0
        self._session = session
        self._store = session.store
        self._collections = {each.name: each for each in collections}
        self._fitted = {plain_name(each): each for each in collections if is_fitted(each)}
        self._repair = repair
        self._progress = progress
        self._total = sum(each.count for each in collections)

    def check(self, collection: CollectionInfo) -> None:
        """Check the records of a collection, and what its two sides have to do with each other."""
        name = collection.name
        stamps = {stamp.id: stamp for stamp in self._store.stamps(name).values()}
        seen = 0
        for records, vectors in self._store.scan(name):
            lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
            for record, length in zip(records, lengths, strict=True):
                self._check_record(collection, record, float(length), stamps.get(record.id))
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
        if is_fitted(collection):
            self._check_sides(collection)

    def check_structure(self) -> None:
        """Check what a store has beside its records; what repeats a record's labels is written anew."""
        for fault in self._store.check():
            finding = Finding(self._store.url, fault.reason, fault.collection, fault.id, todo=_RESTORE)
            if fault.collection is not None and fault.id is not None:
                finding = replace(finding, todo="`lookalike check --repair` writes it anew")
                records = self._store.get(fault.collection, [fault.id]) if self._repair else []
                for record in records:
                    self._store.relabel(fault.collection, [(record.id, record.fields, record.metadata)])
                    finding = replace(finding, mended=True, path=_path(record))
            self.findings.append(finding)

    def _check_record(
        self, collection: CollectionInfo, record: Record, length: float, stamp: Stamp | None
    ) -> None:
        finding = Finding(self._store.url, "", collection.name, record.id, _path(record))
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
        finding = Finding(self._store.url, damage.reason, collection.name, damage.id, damage.path or None)
        record = self._sound(collection, damage.id)
        if record is None:
            self.findings.append(replace(finding, todo=_again(collection, damage)))
            return
        todo = "`lookalike check --repair` embeds it again"
        if self._repair:
            try:
                features = self._features(collection, record)
                fitted = self._fitted.get(collection.name, collection)
                plain = self._collections[plain_name(fitted)]
                if features is not None:
                    Sides(self._store, fitted.name, plain.space).put([record], normalise(features[None]))
                    self.findings.append(replace(finding, mended=True, path=_path(record)))
                    return
                todo = f"its file is not there as it was: {_again(collection, damage)}"
            except (LookalikeError, KeyError) as error:
                todo = str(error)
        self.findings.append(replace(finding, todo=todo))

    def _sound(self, collection: CollectionInfo, identity: str) -> Record | None:
        """Return what a damaged record says beside its vector, from either side of a fitted collection."""
        fitted = self._fitted.get(collection.name, collection)
        for name in dict.fromkeys((collection.name, plain_name(fitted), fitted.name)):
            with suppress(LookalikeError):
                found = self._store.get(name, [identity])
                if found:
                    return found[0]
        return None

    def _features(self, collection: CollectionInfo, record: Record) -> Features | None:
        """Return the features of a record's file: those kept, or of the file while it is as it was."""
        fitted = self._fitted.get(collection.name, collection)
        plain = self._collections[plain_name(fitted)]
        kept = self._session.kept_features(plain.space.embedder_fingerprint, plain.space.dimension)
        features = kept.get(record.digest)
        if features is not None:
            return features
        path = local_path(record.uri)
        if path is None or read_digest(path) != record.digest:
            return None
        for file in embed_files([path], self._session.embedder_of(plain), kept):
            if not isinstance(file, Skipped) and file.digest == record.digest:
                return file.features
        return None

    def _check_sides(self, fitted: CollectionInfo) -> None:
        """Check that a fitted collection has its fit, and the records of its plain side."""
        url = self._store.url
        try:
            fitting_of(self._store, fitted)
        except StoreCorrupt as error:
            todo = f"`lookalike fit --undo --collection {shlex.quote(fitted.name)}`, and fit it again"
            self.findings.append(Finding(url, error.reason, fitted.name, todo=todo))
            return
        except SpaceMismatch:  # it is being fitted
            return
        plain = self._collections.get(plain_name(fitted))
        if plain is None:
            said = "its plain vectors are not there: it can be searched, and no more be fitted"
            self.findings.append(Finding(url, said, fitted.name, todo="index into a new collection"))
            return
        here, there = (
            {stamp.id: stamp for stamp in self._store.stamps(each.name).values()} for each in (plain, fitted)
        )
        damaged = self._store.damage.ids(plain.name) | self._store.damage.ids(fitted.name)
        differ = {one for one in here.keys() | there.keys() if here.get(one) != there.get(one)} - damaged
        if differ:
            if self._repair:
                Sides(self._store, fitted.name, plain.space).level()
            said = f"{len(differ):,} of its records differ from those of its plain side {plain.name!r}"
            todo = "" if self._repair else "`lookalike check --repair` makes it level"
            self.findings.append(Finding(url, said, fitted.name, mended=self._repair, todo=todo))


def _path(record: Record) -> str:
    path = local_path(record.uri)
    return record.uri if path is None else str(path)


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
