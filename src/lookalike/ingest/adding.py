"""Adding single pictures, each with its labels, as records of a collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import UnusableImage
from lookalike.ingest.embedding import embed_files
from lookalike.ingest.record_writer import RecordWriter
from lookalike.labels.labelling import Label
from lookalike.metric_learning.corrections import (
    Marks,
    check_count,
    check_labels,
    delivered,
    delivered_again,
    stored,
)
from lookalike.types import Skipped
from lookalike.uris import (
    record_id,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.embedders.models import Models
    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Features, Record


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to add."""

    file: EmbeddedFile
    """As it is kept: its path is absolute, the file is there, and the features are those of one model."""
    made_by: str
    """Fingerprint of that model: any that the collection has vectors of saves embedding it again."""
    name: str
    """What it is called by whoever adds it."""
    label: Label


def add(store: Store, models: Models, name: str, pictures: Sequence[Picture]) -> list[Record]:
    """Add pictures to a collection, with all vectors that it declares; on return they survive a kill.

    A picture that is there already, at the same path, stays one record: fields and metadata that are
    delivered now are added to what it has or take its place, apart from what people have put right since, see
    `corrections.delivered_again`. So the same call again changes nothing.

    Args:
        store: where the collection lives.
        models: opens the further models that the collection has vectors of.
        name: the collection.
        pictures: the same path may be there several times.

    Returns:
        A record a picture, in order.

    Raises:
        CollectionNotFound: there is none of that name.
        InvalidArgument: labels that no image may have.
        UnusableImage: a further model makes nothing of a picture.
        SpaceMismatch: the collection has got vectors of other models meanwhile.
    """
    ids = [record_id(picture.file.path.as_uri()) for picture in pictures]
    records = {record.id: record for record in store.get(name, list(dict.fromkeys(ids)))}
    files = {}
    for identity, picture in zip(ids, pictures, strict=True):
        known = records.get(identity)
        if known is None:
            label = stored(picture.label, Marks(picture.name))
        else:
            before, now = delivered(known), picture.label
            both = Label({**before.fields, **now.fields}, {**before.metadata, **now.metadata})
            label, _ = delivered_again(known, both, picture.name)
        check_labels(picture.label.fields)
        check_count(label.fields, 0 if known is None else len(known.fields))
        records[identity] = picture.file.record(picture.file.path.as_uri(), label)
        files[identity] = picture.file
    if files:
        made_by = {picture.made_by for picture in pictures}
        features = _features(store.collection(name), models, list(files.values()), made_by)
        RecordWriter(store, name).put([records[identity] for identity in files], features)
    return [records[identity] for identity in ids]


def _features(
    collection: CollectionInfo, models: Models, files: Sequence[EmbeddedFile], made_by: set[str]
) -> dict[str, Features]:
    """Return what each model of a collection makes of the files, by the model's fingerprint."""
    found = {}
    if len(made_by) == 1:
        found[made_by.pop()] = np.stack([file.features for file in files])
    for vector in collection.vectors:
        if vector.space.embedder_fingerprint in found:
            continue
        embedder = models.embedder_of(collection, vector)
        again_by = embed_files([file.path for file in files], embedder, models.features(embedder))
        rows = []
        for file, again in zip(files, again_by, strict=True):
            if isinstance(again, Skipped):
                raise UnusableImage(again.path, again.reason)
            if again.digest != file.digest:
                raise UnusableImage(str(file.path), "was changed while it was read")
            rows.append(again.features)
        found[vector.space.embedder_fingerprint] = np.stack(rows)
    return found
