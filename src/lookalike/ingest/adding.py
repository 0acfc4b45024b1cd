"""Adding single pictures, each with its labels, as records of a collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.labels.labelling import Label
from lookalike.metric_learning.corrections import (
    Marks,
    check_count,
    check_labels,
    delivered,
    delivered_again,
    stored,
)
from lookalike.metric_learning.sides import Sides
from lookalike.uris import file_uri, record_id
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.stores.store import Store
    from lookalike.types import Record, Space


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to add."""

    file: EmbeddedFile
    """As it is kept: its path is absolute, and the file is there."""
    name: str
    """What it is called by whoever adds it."""
    label: Label


def add(store: Store, name: str, space: Space, pictures: Sequence[Picture]) -> list[Record]:
    """Add pictures to a collection, on both sides of a fitted one; on return they survive a kill.

    A picture that is there already, at the same path, stays one record: fields and metadata that are
    delivered now are added to what it has or take its place, apart from what people have put right since, see
    `corrections.delivered_again`. So the same call again changes nothing.

    Args:
        store: where the collection lives.
        name: the collection.
        space: of its plain vectors.
        pictures: their features are of that space; the same path may be there several times.

    Returns:
        A record a picture, in order.

    Raises:
        CollectionNotFound: there is none of that name.
        InvalidArgument: labels that no image may have.
        SpaceMismatch: the collection holds vectors of another space.
    """
    sides = Sides(store, name, space)
    ids = [record_id(file_uri(picture.file.path)) for picture in pictures]
    records = {record.id: record for record in sides.get(list(dict.fromkeys(ids)))}
    rows = {}
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
        records[identity] = picture.file.record(file_uri(picture.file.path), label)
        rows[identity] = picture.file.features
    if rows:
        sides.put([records[identity] for identity in rows], normalise(np.stack(list(rows.values()))))
    return [records[identity] for identity in ids]
