"""Completing declared vectors that records lack, after a further model was added, or a run was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import SpaceMismatch, VectorIncomplete
from lookalike.ingest.embedding import EmbeddedFile, Encoder, embed_files, read_digest
from lookalike.ingest.removals import is_below
from lookalike.metric_learning.fitted import fitting_of, plain_of
from lookalike.metric_learning.fitting import complete as complete_fit
from lookalike.progress import silent
from lookalike.sources.frames import place_of
from lookalike.sources.locations import location_of, readable_location
from lookalike.sources.objects import ObjectPath
from lookalike.stores.batches import chunks
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lookalike.embedders.models import Models
    from lookalike.progress import Progress
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Features, Record, Space, VectorInfo

_BATCH = 256


def complete_vectors(
    store: Store, name: str, models: Models, progress: Progress = silent, roots: Collection[Location] = ()
) -> list[VectorIncomplete]:
    """Give records the vectors that they lack, and make each vector ready that no record lacks any more.

    Vectors of another model come from kept features, or from the files while they are as they were indexed;
    fitted ones from the plain vectors that they are made of.

    Args:
        store: where the collection lives.
        name: the collection.
        models: opens the embedders.
        progress: told with images embedded and images to embed.
        roots: what is indexed; objects below it are read, whatever the environment says.

    Returns:
        What is incomplete still, a vector each: files of records are not there as they were.
    """
    incomplete = []
    # Plain ones first: fitted ones are made of them. Ready ones too: where a store has no transaction over
    # what it declares and what it writes, a writer that was killed beside a fit has left a record without it.
    collection = store.collection(name)
    for vector in sorted(collection.vectors, key=lambda one: one.fitted):
        try:
            if vector.ready and not store.lacking(name, vector.space, 1):
                continue
            fitting = fitting_of(store, collection, vector)
            if fitting is None:
                _embed_lacking(store, collection, vector, models, progress, frozenset(roots))
                store.finish_vector(name, vector.space)
            else:
                plain = plain_of(store.collection(name), vector)
                complete_fit(store, name, vector.space, fitting.metric, plain.name)
            if vector.ready and (lacking := store.lacking(name, vector.space)):
                incomplete.append(VectorIncomplete(collection.name, vector.name, len(lacking)))
        except SpaceMismatch:
            if vector.space in {each.space for each in store.collection(name).vectors}:
                raise
            # Another process has dropped it meanwhile.
        except VectorIncomplete as error:
            incomplete.append(error)
    return incomplete


def _embed_lacking(
    store: Store,
    collection: CollectionInfo,
    vector: VectorInfo,
    models: Models,
    progress: Progress,
    roots: Collection[Location],
) -> None:
    """Give a model's vector to the records that lack it, as far as their pictures are at hand."""
    lacking = store.lacking(collection.name, vector.space)
    if not lacking:
        return
    embedder = models.embedder_of(collection, vector)
    encoder = Encoder(embedder, models.features(embedder))
    done = 0
    progress(0, len(lacking))
    for ids in chunks(lacking, _BATCH):
        embed_lacking(store, collection.name, vector.space, encoder, ids, roots)
        done += len(ids)
        progress(done, len(lacking))


def embed_lacking(
    store: Store,
    name: str,
    space: Space,
    encoder: Encoder,
    ids: Sequence[str],
    roots: Collection[Location],
    workers: int | None = None,
) -> None:
    """Give a model's vector to some records that lack it, as far as their pictures are at hand.

    Args:
        store: where the collection lives.
        name: the collection.
        space: of the vector.
        encoder: of that model.
        ids: of the records.
        roots: what is indexed; objects below it are read, whatever the environment says.
        workers: threads; None: one for each core.
    """
    found: dict[str, tuple[Record, Features]] = {}
    files: dict[Place, Record] = {}
    for record in store.get(name, ids):
        features = encoder.cache.get(record.digest)
        film = location_of(record.uri)
        below = film is not None and is_below(film, roots)
        path = place_of(record.uri) if below else readable_location(record.uri)
        if features is not None:
            found[record.id] = record, features
        # An object is not read twice: its digest is compared below.
        elif path is not None and (isinstance(path, ObjectPath) or read_digest(path) == record.digest):
            files[path] = record
    for file in embed_files(files, encoder.embedder, encoder.cache, workers=workers):
        if isinstance(file, EmbeddedFile) and file.digest == files[file.path].digest:
            record = files[file.path]
            found[record.id] = record, file.features
    if found:
        records = [record for record, _ in found.values()]
        rows = normalise(np.stack([features for _, features in found.values()]))
        store.fill(name, space, records, rows)
