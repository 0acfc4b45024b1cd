"""The nearest neighbours of images, texts and records, each of which becomes a plain vector first."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.ranged import split_name
from lookalike.errors import (
    CollectionEmpty,
    FieldNotFound,
    ImageNotFound,
    InvalidArgument,
    SpaceMismatch,
    UnusableImage,
    VectorNotFound,
)
from lookalike.file_names import display
from lookalike.images.limits import MAX_PIXELS
from lookalike.images.regions import check_box, crop
from lookalike.ingest.embedding import MAX_BYTES, embed_files
from lookalike.metric_learning.fitted import plain_of, plain_vector
from lookalike.search.query import Embedding, Image, RecordId, Text, Vector
from lookalike.sources.locations import content, picture_place, readable_location
from lookalike.sources.uploads import Upload
from lookalike.stores.query import Query
from lookalike.types import Skipped
from lookalike.uris import uri_text
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.models import Models
    from lookalike.embedders.protocol import Embedder
    from lookalike.images.levels import Range
    from lookalike.ingest.embedding import Source
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Neighbour, Record, Space, VectorInfo, Vectors, Where

_T = TypeVar("_T")

TRIES = 100
"""Exchanges of vectors that one question may meet, before a mismatch is taken for a lasting one."""


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


def ask_vector(
    store: Store,
    collection: CollectionInfo,
    using: str | None,
    question: Callable[[CollectionInfo, VectorInfo], _T],
) -> tuple[_T, CollectionInfo, VectorInfo]:
    """Ask a collection, and once more wherever another process exchanged its vectors meanwhile.

    Args:
        store: where it lives.
        collection: as it was when the question was put together.
        using: the name of the vector that is asked, by default the default one at the time.
        question: asks the collection and its vector as they are; raises SpaceMismatch or VectorNotFound
            where they have changed while it asked.

    Returns:
        The answer, and the collection and the vector that gave it.

    Raises:
        SpaceMismatch: the vector is one of another model by now, which the question was not embedded by.
    """
    meant: Space | None = None
    for left in reversed(range(TRIES)):
        try:
            vector = collection.vector(using)
            meant = meant or vector.space
            if vector.space.embedder_fingerprint == meant.embedder_fingerprint:
                return question(collection, vector), collection, vector
        except (SpaceMismatch, VectorNotFound):
            if not left:
                raise
            # Also where they are the same again: a fit may have been undone and done meanwhile.
            collection = store.collection(collection.name)
        else:
            break
    # Features of one model among vectors of another would be compared in silence.
    raise SpaceMismatch(collection.name, str(vector.space), str(meant))


def embed_images(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    vector: VectorInfo,
    images: Iterable[Image | RecordId | Vector | Skipped],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[PlainVector | Skipped]:
    """Make plain vectors of images, many at a time.

    Args:
        spaces: of the store with the collection.
        models: with the embedder of the vector.
        collection: as the store has it.
        vector: a plain one of the collection, whose embedder is asked.
        images: files, uploads, images that were embedded before, records, or regions of them, and vectors;
            what was skipped before stays so.
        max_pixels: images with more pixels are skipped.

    Yields:
        One value for each image, in order.

    Raises:
        ImageNotFound: no record has that id.
        SpaceMismatch: an image was embedded by another model, or the collection by another version of its.
        InvalidArgument: a vector has other dimensions, or no direction.
    """
    levels = split_name(vector.space.embedder)[1]
    whole = (_region(spaces, collection, each, max_pixels, levels) for each in images)
    for new, group in groupby(whole, lambda each: isinstance(each, Image) and each.embedding is None):
        if new:
            embedder = models.embedder_of(collection, vector)
            pictures = (each.picture for each in group if isinstance(each, Image))
            sources = [
                Upload("image", one) if isinstance(one, bytes) else picture_place(one) for one in pictures
            ]
            yield from embed_paths(sources, embedder, models.features(embedder), max_pixels)
            continue
        for each in group:
            if isinstance(each, RecordId):
                yield recorded_vector(spaces, models, collection, vector, each.id)
            elif isinstance(each, Vector):
                yield _given(vector, each)
            elif isinstance(each, Image) and each.embedding is not None:
                yield _embedded(collection, vector, str(each.picture), each.embedding)
            elif isinstance(each, Skipped):
                yield each


def _region(
    spaces: Spaces,
    collection: CollectionInfo,
    image: Image | RecordId | Vector | Skipped,
    max_pixels: int,
    levels: Range,
) -> Image | RecordId | Vector | Skipped:
    """Return the region of an image that is meant as an image of its own; a whole one as it is."""
    if isinstance(image, Skipped | Vector) or image.box is None:
        return image
    check_box(image.box)
    record: Record | None = None
    if isinstance(image, RecordId):
        record = next(iter(spaces.store.get(collection.name, [image.id])), None)
        if record is None:
            raise ImageNotFound(collection.name, image.id)
        place = readable_location(record.uri)
        if place is None:
            return Skipped(uri_text(record.uri), "it is no file on this machine")
    elif isinstance(image.picture, bytes):
        return Image(crop(image.picture, "image", image.box, max_pixels=max_pixels, levels=levels))
    else:
        place = picture_place(image.picture)
    try:
        data = content(place, MAX_BYTES).data
        if record is not None and not record.is_file(hashlib.sha256(data).hexdigest()):
            return Skipped(str(place), "has changed since it was indexed")
        return Image(crop(data, str(place), image.box, max_pixels=max_pixels, levels=levels))
    except UnusableImage as error:
        return Skipped(str(place), error.reason)
    except OSError as error:
        return Skipped(str(place), f"cannot be read: {error.strerror or display(str(error))}")


def embed_paths(
    sources: Iterable[Source], embedder: Embedder, cache: FeatureCache, max_pixels: int = MAX_PIXELS
) -> Iterator[PlainVector | Skipped]:
    """Make plain vectors of files and uploads: see `embed_files`."""
    for file in embed_files(sources, embedder, cache, max_pixels=max_pixels):
        if isinstance(file, Skipped):
            yield file
        else:
            yield PlainVector(str(file.path), normalise(file.features[None])[0], file.digest)


def reading_vector(models: Models, collection: CollectionInfo, using: str | None = None) -> VectorInfo:
    """Return the plain vector of a collection whose embedder reads texts.

    Args:
        models: open the embedders.
        collection: as the store has it.
        using: the name of the vector that is meant; None: the default one, or else the first declared that
            has such an embedder.

    Raises:
        VectorNotFound: the collection has none of that name.
        Unanswerable: no embedder reads texts; the line says which do.
    """
    first = plain_vector(collection, using)
    others = [each for each in collection.vectors if using is None and each.ready and not each.fitted]
    for vector in (first, *others):
        if isinstance(models.embedder_of(collection, vector), TextEmbedder):
            return vector
    models.text_embedder_of(collection, first)
    raise AssertionError(first)


def embed_texts(
    models: Models, collection: CollectionInfo, vector: VectorInfo, texts: Sequence[Text]
) -> list[PlainVector]:
    """Make plain vectors of texts.

    Args:
        models: with the embedder of the vector.
        collection: as the store has it.
        vector: a plain one of the collection, whose embedder is asked.
        texts: what is embedded.

    Raises:
        Unanswerable: the embedder reads no texts.
        ExtraMissing: its text side needs a package that is not installed.
        SpaceMismatch: a text was embedded by another model, or the collection by another version of its.
    """
    new = [text.text for text in texts if text.embedding is None]
    rows = iter(normalise(models.text_embedder_of(collection, vector).embed_texts(new)) if new else ())
    return [
        PlainVector(text.text, next(rows), None)
        if text.embedding is None
        else _embedded(collection, vector, text.text, text.embedding)
        for text in texts
    ]


def recorded_vector(
    spaces: Spaces, models: Models, collection: CollectionInfo, vector: VectorInfo, identity: str
) -> PlainVector:
    """Return a plain vector of a record, from the kept features or from the store.

    Raises:
        ImageNotFound: no record has that id.
    """
    kept = models.kept_features(vector.space.embedder_fingerprint, vector.space.dimension)
    for record in spaces.store.get(collection.name, [identity]):
        features = kept.get(record.digest)
        if features is not None:
            return PlainVector(uri_text(record.uri), normalise(features[None])[0], record.digest)
    records, vectors = spaces.store.vectors_of(collection.name, [identity], vector.name)
    for record, row in zip(records, vectors[vector.space], strict=True):
        return PlainVector(uri_text(record.uri), row, record.digest)
    raise ImageNotFound(collection.name, identity)


def _given(vector: VectorInfo, term: Vector) -> PlainVector:
    """Return a vector that was computed elsewhere, of length 1."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(term.numbers, np.float64).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"a vector is a list of numbers: {error}") from error
    if numbers.shape != (vector.space.dimension,):
        raise InvalidArgument(
            f"a vector of shape {numbers.shape} cannot be compared with {vector.name!r}: {vector.space}"
        )
    if not np.isfinite(numbers).all() or not numbers.any():
        raise InvalidArgument("a vector of zeros, or with numbers that are not finite, has no direction")
    return PlainVector("the vector", normalise(numbers[None])[0], None)


def _embedded(collection: CollectionInfo, vector: VectorInfo, name: str, embedding: Embedding) -> PlainVector:
    if embedding.made_by != vector.space.embedder_fingerprint:
        raise SpaceMismatch(collection.name, str(vector.space), "the model that it had before")
    return PlainVector(name, normalise(embedding.features[np.newaxis])[0], embedding.digest)


@dataclass(frozen=True, slots=True)
class NearestOptions:
    """Among which records neighbours are looked for."""

    where: Where | None = None
    """Only records that match."""
    exclude: Collection[str] = ()
    """Ids that are left out."""
    having: str | None = None
    """Only records that have this field."""
    approximate: bool = False
    """Use the approximate index of the vector, if it has one."""


def nearest(
    spaces: Spaces,
    collection: CollectionInfo,
    using: str | None,
    plain: Vectors,
    k: int,
    options: NearestOptions,
) -> tuple[list[Neighbour], CollectionInfo, VectorInfo]:
    """Find the neighbours of one plain vector, also while another process fits the collection.

    Args:
        spaces: of the store with the collection.
        collection: as it was when the plain vector was made.
        using: the name of the vector that is searched, by default the default one.
        plain: shape (d,).
        k: how many neighbours.
        options: among which records.

    Returns:
        The neighbours, most similar first, and the collection and the vector as they were then.
    """

    def ask(collection: CollectionInfo, vector: VectorInfo) -> list[Neighbour]:
        return _ask(spaces, collection, vector, spaces.project(collection, vector, plain[None]), k, options)

    return ask_vector(spaces.store, collection, using, ask)


def plain_similarity(
    spaces: Spaces, collection: CollectionInfo, vector: VectorInfo, plain: Vectors, options: NearestOptions
) -> float:
    """Return the plain similarity of a vector to the nearest image, −1 … 1; −inf where there is none.

    A fitted metric looks only at what tells the labels apart; how strange a picture is, it cannot see.

    Args:
        spaces: of the store with the collection.
        collection: as it was when neighbours were found.
        vector: the fitted one that was searched.
        plain: shape (d,).
        options: among which records.
    """
    return best_similarity(_ask(spaces, collection, plain_of(collection, vector), plain[None], 1, options))


def _ask(
    spaces: Spaces,
    collection: CollectionInfo,
    vector: VectorInfo,
    queries: Vectors,
    k: int,
    options: NearestOptions,
) -> list[Neighbour]:
    query = Query(
        queries, k, using=vector.name, space=vector.space, where=options.where, exclude=[options.exclude],
        having=options.having, approximate=options.approximate,
    )  # fmt: skip
    (found,) = spaces.store.nearest(collection.name, query)
    return found


def best_similarity(neighbours: Sequence[Neighbour]) -> float:
    """Return the similarity of the nearest of neighbours; −inf where there are none."""
    return neighbours[0].similarity if neighbours else -math.inf
