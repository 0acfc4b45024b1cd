"""The nearest neighbours of images, texts and records, each of which becomes a plain vector first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import CollectionEmpty, FieldNotFound, ImageNotFound, SpaceMismatch
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.embedding import Upload, embed_files
from lookalike.search.query import Embedding, Image, RecordId, Text
from lookalike.types import Skipped
from lookalike.uris import uri_text
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from lookalike.embedders.models import Models
    from lookalike.ingest.embedding import Source
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Neighbour, Record, Vectors, Where


@dataclass(frozen=True, slots=True)
class PlainVector:
    """An image, a text or a record as a vector that no fitted metric has changed."""

    name: str
    """The path of an image, or the text."""
    vector: Vectors
    """Shape (d,), of length 1."""
    digest: str | None
    """SHA-256 of the bytes of an image; None for a text."""


def answerable(store: Store, name: str, where: Where | None, *fields: str) -> CollectionInfo:
    """Return a collection that can be asked.

    Args:
        store: where it lives.
        name: the collection.
        where: the filter, its fields as the collection has them: see `kept_filter`.
        fields: others that it must have.

    Raises:
        CollectionNotFound: there is none of that name.
        CollectionEmpty: it has no records.
        FieldNotFound: no record has a field of `where`, or one of `fields`.
    """
    collection = store.collection(name)
    if not collection.count:
        raise CollectionEmpty(name)
    for field in (*(where or ()), *fields):
        if field not in collection.fields:
            raise FieldNotFound(field, collection.fields)
    return collection


def embed_images(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    images: Iterable[Image | RecordId | Skipped],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[PlainVector | Skipped]:
    """Make plain vectors of images, many at a time.

    Args:
        spaces: of the store with the collection.
        models: with the collection's embedder.
        collection: whose embedder is asked.
        images: files, uploads, images that were embedded before, and records; what was skipped before stays
            so.
        max_pixels: images with more pixels are skipped.

    Yields:
        One value for each image, in order.

    Raises:
        ImageNotFound: no record has that id.
        SpaceMismatch: an image was embedded by another model, or the collection by another version of its.
    """
    for new, group in groupby(images, lambda each: isinstance(each, Image) and each.embedding is None):
        if new:
            embedder = models.embedder_of(collection)
            sources = (_source(each) for each in group if isinstance(each, Image))
            files = embed_files(sources, embedder, models.features(embedder), max_pixels=max_pixels)
            for file in files:
                if isinstance(file, Skipped):
                    yield file
                else:
                    yield PlainVector(str(file.path), normalise(file.features[None])[0], file.digest)
            continue
        for each in group:
            if isinstance(each, RecordId):
                yield recorded_vector(spaces, models, collection, each.id)
            elif isinstance(each, Image) and each.embedding is not None:
                yield _embedded(collection, str(each.picture), each.embedding)
            elif isinstance(each, Skipped):
                yield each


def embed_texts(models: Models, collection: CollectionInfo, texts: Sequence[Text]) -> list[PlainVector]:
    """Make plain vectors of texts.

    Raises:
        Unanswerable: the collection's embedder reads no texts.
        ExtraMissing: its text side needs a package that is not installed.
        SpaceMismatch: a text was embedded by another model, or the collection by another version of its.
    """
    new = [text.text for text in texts if text.embedding is None]
    rows = iter(normalise(models.text_embedder_of(collection).embed_texts(new)) if new else ())
    return [
        PlainVector(text.text, next(rows), None)
        if text.embedding is None
        else _embedded(collection, text.text, text.embedding)
        for text in texts
    ]


def recorded_vector(spaces: Spaces, models: Models, collection: CollectionInfo, identity: str) -> PlainVector:
    """Return the plain vector of a record, from the kept features or from the store.

    Raises:
        ImageNotFound: no record has that id.
    """
    record, vector = _recorded(spaces, models, collection, identity)
    return PlainVector(uri_text(record.uri), vector, record.digest)


def _recorded(
    spaces: Spaces, models: Models, collection: CollectionInfo, identity: str
) -> tuple[Record, Vectors]:
    plain = spaces.plain(collection)
    found = spaces.store.get(plain.name, [identity])
    if found:
        (record,) = found
        kept = models.kept_features(plain.space.embedder_fingerprint, plain.space.dimension)
        features = kept.get(record.digest)
        if features is not None:
            return record, normalise(features[None])[0]
        for records, vectors in spaces.store.scan(plain.name):
            # In order of id.
            if records[-1].id >= identity:
                for row, other in enumerate(records):
                    if other.id == identity:
                        return other, vectors[row]
                break
    raise ImageNotFound(collection.name, identity)


def _embedded(collection: CollectionInfo, name: str, embedding: Embedding) -> PlainVector:
    if embedding.made_by != collection.space.embedder_fingerprint:
        raise SpaceMismatch(collection.name, str(collection.space), "the model that it had before")
    return PlainVector(name, normalise(embedding.features[np.newaxis])[0], embedding.digest)


def _source(image: Image) -> Source:
    picture = image.picture
    return Upload("image", picture) if isinstance(picture, bytes) else Path(picture)


def nearest(
    spaces: Spaces,
    collection: CollectionInfo,
    vector: Vectors,
    k: int,
    where: Where | None = None,
    exclude: Collection[str] = (),
    having: str | None = None,
    *,
    approximate: bool = False,
) -> tuple[list[Neighbour], CollectionInfo]:
    """Find the neighbours of one plain vector, also while another process fits the collection.

    Args:
        spaces: of the store with the collection.
        collection: as it was when the vector was made.
        vector: shape (d,), plain.
        k: how many neighbours.
        where: only records that match.
        exclude: ids that are left out.
        having: only records that have this field.
        approximate: use the collection's approximate index, if it has one.

    Returns:
        The neighbours, most similar first, and the collection as it was when they were found.
    """

    def ask(collection: CollectionInfo) -> list[Neighbour]:
        query = spaces.project(collection, vector[None])
        (found,) = spaces.store.nearest(
            *(collection.name, query, k, where, [exclude], having),
            space=collection.space,
            approximate=approximate,
        )
        return found

    return spaces.ask(collection, ask)


def plain_similarity(
    spaces: Spaces,
    collection: CollectionInfo,
    vector: Vectors,
    where: Where | None,
    exclude: Collection[str],
    having: str,
    *,
    approximate: bool,
) -> float:
    """Return the plain similarity of a vector to the nearest image, −1 … 1; −inf where there is none.

    A fitted metric looks only at what tells the labels apart; how strange a picture is, it cannot see.
    """
    plain = spaces.plain(collection)
    found = spaces.store.nearest(
        plain.name, vector[None], 1, where, [exclude], having, approximate=approximate
    )
    return best_similarity(found[0])


def best_similarity(neighbours: Sequence[Neighbour]) -> float:
    """Return the similarity of the nearest of neighbours; −inf where there are none."""
    return neighbours[0].similarity if neighbours else -math.inf
