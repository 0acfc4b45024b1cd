"""The nearest neighbours of files and records, also while another process fits the collection."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.registry import known_cards
from lookalike.errors import CollectionEmpty, FieldNotFound, ImageNotFound, SpaceMismatch, Unanswerable
from lookalike.ingest.embedding import EmbeddedFile, embed_files
from lookalike.metric_learning.fitted import fitting_of, is_fitted, plain_name
from lookalike.opened import Opened
from lookalike.stores.registry import TIMEOUT
from lookalike.types import Space
from lookalike.uris import uri_text
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from lookalike.embedders.protocol import Device, Embedder
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.types import CollectionInfo, Neighbour, Record, Skipped, Vectors, Where

TRIES = 100
"""Exchanges of names that one search may meet, before a mismatch is taken for a lasting one."""


def best_similarity(neighbours: Sequence[Neighbour]) -> float:
    """Return the similarity of the nearest of neighbours; −inf where there are none."""
    return neighbours[0].similarity if neighbours else -math.inf


class Neighbours(Opened):
    """What every question to a collection begins with."""

    def __init__(
        self,
        store: str,
        cache: Path,
        timeout: float = TIMEOUT,
        *,
        weights: Path | None = None,
        device: Device = "auto",
    ) -> None:
        """Open a store: see `Opened`."""
        super().__init__(store, cache, timeout, weights=weights, device=device)
        self._fittings: dict[str, Fitting] = {}

    def _ready(self, name: str, where: Where | None) -> CollectionInfo:
        """Return a collection that can answer, or say why it cannot."""
        collection = self.store.collection(name)
        if not collection.count:
            raise CollectionEmpty(name)
        for field in where or ():
            if field not in collection.fields:
                raise FieldNotFound(field, collection.fields)
        return collection

    def _embed(
        self, collection: CollectionInfo, paths: Iterable[Path], max_pixels: int
    ) -> Iterator[EmbeddedFile | Skipped]:
        embedder = self.embedder_of(collection)
        return embed_files(paths, embedder, self.features(embedder), max_pixels=max_pixels)

    def embedder_of(self, collection: CollectionInfo) -> Embedder:
        """Return the embedder that a collection was made by.

        Raises:
            SpaceMismatch: it was made by another version of it.
        """
        embedder = self.embedder(collection.space.embedder)
        made_by = collection.space.embedder_fingerprint
        if made_by != embedder.fingerprint:
            space = Space(embedder.name, embedder.fingerprint, embedder.dimension)
            raise SpaceMismatch(collection.name, str(collection.space), str(space))
        return embedder

    def reader_of(self, collection: CollectionInfo) -> TextEmbedder:
        """Return the text side of a collection's embedder.

        Raises:
            Unanswerable: it has none; the line says which models have one.
        """
        return self._reading(self.embedder_of(collection), f"collection {collection.name!r} cannot be asked")

    def _reading(self, embedder: Embedder, what: str) -> TextEmbedder:
        """Return the text side of an embedder.

        Args:
            embedder: a model.
            what: the beginning of the line that says that it has none.

        Raises:
            Unanswerable: it has none.
        """
        if isinstance(embedder, TextEmbedder):
            return embedder
        cards = known_cards(self.cache).values()
        able = ", ".join(card.name for card in cards if "texts" in card.capabilities)
        raise Unanswerable(
            f"{what} in words: {embedder.name} reads no texts. Those that do are {able} and onnx:PATH with a "
            f"text side; `lookalike index PATH --collection NAME --model MODEL` makes a collection of one"
        )

    def _recorded(self, collection: CollectionInfo, identity: str) -> tuple[Record, Vectors]:
        """Return a record and its plain vector, shape (d,), from the kept features or the store."""
        plain = self.store.collection(plain_name(collection))
        found = self.store.get(plain.name, [identity])
        if found:
            (record,) = found
            kept = self.kept_features(plain.space.embedder_fingerprint, plain.space.dimension)
            features = kept.get(record.digest)
            if features is not None:
                return record, normalise(features[None])[0]
            for records, vectors in self.store.scan(plain.name):
                # In order of id.
                if records[-1].id >= identity:
                    for row, other in enumerate(records):
                        if other.id == identity:
                            return other, vectors[row]
                    break
        raise ImageNotFound(collection.name, identity)

    def recorded(self, collection: CollectionInfo, identity: str) -> EmbeddedFile:
        """Return a record as an image that was embedded before.

        Raises:
            ImageNotFound: no record has that id.
        """
        record, vector = self._recorded(collection, identity)
        return EmbeddedFile(
            Path(uri_text(record.uri)), record.size, record.modified_ns, record.digest, vector, cached=True
        )

    def _nearest(
        self,
        collection: CollectionInfo,
        file: EmbeddedFile,
        k: int,
        where: Where | None,
        exclude: Sequence[Collection[str]] | None = None,
        having: str | None = None,
        *,
        approximate: bool = False,
    ) -> tuple[list[Neighbour], CollectionInfo]:
        """Find the neighbours of one file, also while another process fits the collection.

        Returns:
            The neighbours, and the collection as it was when they were found.
        """
        plain = normalise(file.features[None])
        tries = TRIES
        while True:
            try:
                found = self._fitting_of(collection)
                query = plain if found is None else found.metric.project(plain)
                (neighbours,) = self.store.nearest(
                    *(collection.name, query, k, where, exclude, having),
                    space=collection.space,
                    approximate=approximate,
                )
            except SpaceMismatch:
                # Also where the space is the same again: a fit may have been undone and done meanwhile.
                tries -= 1
                if not tries:
                    raise
                collection = self.store.collection(collection.name)
            else:
                return neighbours, collection

    def _closest(
        self,
        collection: CollectionInfo,
        file: EmbeddedFile,
        where: Where | None,
        same: Collection[str],
        by: str,
        *,
        approximate: bool,
    ) -> float:
        """Return the plain similarity of a file to the nearest image; −inf where there is none.

        A fitted metric looks only at what tells the labels apart; how strange a picture is, it cannot see.
        """
        plain = normalise(file.features[None])
        name = plain_name(collection)
        found = self.store.nearest(name, plain, 1, where, [same], by, approximate=approximate)[0]
        return best_similarity(found)

    def _fitting_of(self, collection: CollectionInfo) -> Fitting | None:
        if not is_fitted(collection):
            return None
        key = collection.space.metric_fingerprint
        if key not in self._fittings:
            self._fittings = {key: fitting_of(self.store, collection)}
        return self._fittings[key]
