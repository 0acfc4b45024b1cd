"""The vectors of a collection, by name: read, searched, added, dropped, indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import InvalidArgument, SpaceMismatch, VectorNotFound
from lookalike.ingest.completion import complete_vectors
from lookalike.ingest.declaration import check_vector_name, declare, is_declared
from lookalike.label_normalisation import kept_filter
from lookalike.metric_learning.drawing import read_evenly
from lookalike.metric_learning.fitted import read
from lookalike.progress import silent
from lookalike.search.neighbours import reading_vector
from lookalike.search.query import alternatives
from lookalike.stores.query import Query
from lookalike.types import Space, VectorStatus
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.embedders.protocol import Embedder, TextEmbedder
    from lookalike.opened import Opened
    from lookalike.progress import Progress
    from lookalike.search.query import Conditions, Embedding
    from lookalike.types import Approximation, CollectionInfo, Neighbour, Record, Vectors, Where


class NamedVectors:
    """The handle of a collection's vectors: `collection.vectors`.

    A record has one vector or several, each by a name and of one space: see `CollectionInfo`. Every method
    may raise VectorNotFound, where the collection has none of a name.
    """

    def __init__(self, opened: Opened, name: str) -> None:
        """Name a collection: see `Collection`."""
        self._store = opened.store
        self._models = opened.models
        self._spaces = opened.spaces
        self._name = name

    def status(self) -> list[VectorStatus]:
        """Return the vectors in order of declaration, how many records lack each, and its numbers' bytes."""
        collection = self._info()
        found = []
        for vector in collection.vectors:
            lacking = 0
            if not vector.ready:
                try:
                    lacking = len(self._store.lacking(self._name, vector.space))
                except SpaceMismatch:  # dropped meanwhile
                    continue
            there = max(0, collection.count - lacking)
            default = vector.ready and vector.name == collection.default
            found.append(VectorStatus(vector, default, lacking, 4 * vector.space.dimension * there))
        return found

    def read(
        self,
        where: Conditions | None = None,
        *,
        using: str | None = None,
        plain: bool = False,
        most: int | None = None,
        progress: Progress = silent,
    ) -> tuple[list[Record], Vectors]:
        """Return records and one vector of each, in order of id.

        Args:
            where: only records that match.
            using: the vector; None: the default one.
            plain: instead of a fitted vector the one that it was made of; of all records.
            most: at most so many of all records, evenly spaced; None: all.
            progress: called with records read and records to read.

        Returns:
            The records; and float32 of shape (records, dimension), each row of length 1.

        Raises:
            MemoryTooSmall: they do not fit into memory.
        """
        collection = self._info()
        if plain:
            return self._spaces.read_plain(collection, using, progress)
        vector = collection.vector(using)
        if most is not None and where is None and collection.count > most:
            return read_evenly(self._store, collection, vector, most, progress)
        return read(self._store, collection, vector, self._filter(where), progress)

    def scan(
        self, where: Conditions | None = None, *, using: str | None = None
    ) -> Iterator[tuple[list[Record], Vectors]]:
        """Yield all matching records with one vector of each, in order of id, at most 1,000 at a time.

        Args:
            where: only records that match.
            using: the vector; None: the default one.
        """
        return self._store.scan(self._name, self._filter(where), using=using)

    def nearest(
        self,
        vector: Vectors | Sequence[float],
        *,
        k: int = 10,
        using: str | None = None,
        where: Conditions | None = None,
    ) -> list[Neighbour]:
        """Find the records whose vectors are most like one that was computed elsewhere.

        Args:
            vector: of the space of the vector that is searched, of any length but 0.
            k: how many.
            using: the vector that is searched; None: the default one.
            where: only records that match.

        Returns:
            The nearest by cosine similarity, most similar first, then by id.

        Raises:
            InvalidArgument: the numbers are no vector, or k is below 1.
            SpaceMismatch: it has another dimension.
        """
        row = np.asarray(vector, np.float64)
        if row.ndim != 1 or not np.isfinite(row).all() or not row.any():
            raise InvalidArgument("a vector has finite numbers, which are not all 0")
        unit = normalise((row / np.abs(row).max())[None].astype(np.float32))
        (found,) = self._store.nearest(self._name, Query(unit, k, using, where=self._filter(where)))
        return found

    def project(self, embedding: Embedding, using: str | None = None) -> Vectors:
        """Return what an embedder made of an image or a text as a vector of the collection: see `nearest`.

        Args:
            embedding: its features, by the embedder of that vector.
            using: the vector; None: the default one.

        Returns:
            Shape (dimension,), of length 1.

        Raises:
            SpaceMismatch: the vector is of another embedder.
        """
        collection = self._info()
        vector = collection.vector(using)
        if embedding.made_by != vector.space.embedder_fingerprint:
            raise SpaceMismatch(collection.name, str(vector.space), "those of another model")
        plain = normalise(embedding.features[None])
        row: Vectors = self._spaces.project(collection, vector, plain)[0]
        return row

    def embedder(self, using: str | None = None, *, reading: bool = False) -> Embedder:
        """Return the embedder that a vector was made by, by default the default one.

        Args:
            using: the name of the vector.
            reading: for a search with texts, which may go to a vector of another embedder.

        Raises:
            Unanswerable: no embedder of its vectors reads texts.
            SpaceMismatch: it was made by another version of the embedder.
        """
        found = self._info()
        vector = reading_vector(self._models, found, using) if reading else found.vector(using)
        return self._models.embedder_of(found, vector)

    def text_embedder(self, using: str | None = None) -> TextEmbedder:
        """Return the embedder that texts are read by: see `Collection.search`.

        Raises:
            Unanswerable: no embedder of its vectors reads texts; the line says which do.
        """
        collection = self._info()
        return self._models.text_embedder_of(collection, reading_vector(self._models, collection, using))

    def check(self, name: str, model: str) -> None:
        """Refuse a further vector that cannot be added, before the work begins: see `add`."""
        embedder = self._models.embedder(model)
        space = Space(embedder.name, embedder.fingerprint, embedder.dimension)
        check_vector_name(name)
        is_declared(self._info(), space, name)

    def add(self, name: str, model: str, *, progress: Progress = silent) -> VectorStatus:
        """Give every image a further vector, of another embedder, from kept features or from its file.

        Interrupted at any moment, it leaves a collection that answers as before, and that the same call or
        the next `Collection.index` completes. Images that are added meanwhile have it already.

        Args:
            name: 1 … 64 of a-z, 0-9, `_` and `-`, of which the first is a letter.
            model: the embedder; its weights have to be on this machine.
            progress: called with images embedded and images to embed.

        Returns:
            The vector; not ready where images lack it, because their files are not there as they were.

        Raises:
            SpaceMismatch: another vector has that name.
            InvalidArgument: the name cannot be used, or the collection has these vectors under another.
            ModelNotFound, WeightsMissing, ExtraMissing: of the embedder.
        """
        self.check(name, model)
        embedder = self._models.embedder(model)
        space = Space(embedder.name, embedder.fingerprint, embedder.dimension)
        declare(self._store, self._name, space, name)
        complete_vectors(self._store, self._name, self._models, progress)
        for each in self.status():
            if each.vector.space == space:
                return each
        raise VectorNotFound(self._name, name, [])  # dropped meanwhile

    def drop(self, name: str) -> CollectionInfo:
        """Drop a vector of all records, and return the collection.

        Where it was the default one, the first declared that is left becomes that.

        Raises:
            InvalidArgument: no other is there, or one was fitted to it.
        """
        collection = self._info()
        named = [vector for vector in collection.vectors if vector.name == name]
        if not named:
            collection.vector(name)
        for vector in named:
            collection = self._store.drop_vector(self._name, vector.space)
        return collection

    def set_default(self, name: str) -> CollectionInfo:
        """Make a vector the default one, and return the collection.

        Raises:
            VectorNotFound: also where records lack it still.
        """
        return self._store.set_default(self._name, name)

    def build_index(self, using: str | None = None) -> Approximation:
        """Build the approximate index of a vector, or bring it up to date, and measure how much it finds.

        Args:
            using: the vector; None: the default one.

        Raises:
            ExtraMissing: the store needs a package for it that is not installed.
            Unanswerable: the collection is empty, or its vectors are too long for the store's indexes.
        """
        return self._spaces.build_index(self._info(), using)

    def _info(self) -> CollectionInfo:
        return self._store.collection(self._name)

    def _filter(self, where: Conditions | None) -> Where | None:
        return kept_filter(alternatives(where), self._info())
