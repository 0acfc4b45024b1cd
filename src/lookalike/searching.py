"""Searches: what in a collection is like images, records and texts, or sums of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lookalike.errors import CollectionNotFound, InvalidArgument, SpaceMismatch, UnusableImage
from lookalike.images import decoding
from lookalike.label_normalisation import kept_filter
from lookalike.metric_learning.fitted import is_fitted, plain_name
from lookalike.neighbours import TRIES, Neighbours
from lookalike.search.background import (
    Cutoff,
    background_vectors,
    check_rate,
    image_cutoff,
    read_sample,
    text_cutoff,
)
from lookalike.search.hits import Hit, SearchResult, fused_hits
from lookalike.types import Neighbour, Skipped
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lookalike.search.terms import Term
    from lookalike.types import Approximation, CollectionInfo, Vectors, Where

# How far down the two rankings of a hybrid search go, where no more are asked for.
_DEPTH = 100
# Sums of vectors of length 1 that are shorter have no direction beyond rounding.
_SHORTEST = 1e-4


@dataclass(frozen=True, slots=True)
class Found:
    """The neighbours of one image."""

    path: Path
    neighbours: list[Neighbour]
    approximation: Approximation | None = None
    """What was searched with; None where the search was exact."""


class _Vector(NamedTuple):
    """A term as a plain vector of length 1, shape (d,)."""

    term: Term
    vector: Vectors
    digest: str | None


class Searching(Neighbours):
    """What finds images in the collections of a store."""

    def search(
        self,
        name: str,
        path: Path,
        k: int,
        where: Where | None = None,
        *,
        approximate: bool = False,
        max_pixels: int = decoding.MAX_PIXELS,
    ) -> Found | Skipped:
        """Find the images of a collection that are most like the one at `path`.

        Args:
            name: the collection.
            path: an image.
            k: how many neighbours.
            where: only records that match.
            approximate: use the collection's approximate index, if it has one.
            max_pixels: an image with more pixels is skipped.

        Raises:
            CollectionNotFound, FieldNotFound: of the collection or of `where`.
            Unanswerable: the collection is empty.
            SpaceMismatch: the collection was made by another version of its embedder.
        """
        where = kept_filter(where, self.store.collection(name))
        collection = self._ready(name, where)
        for file in self._embed(collection, [path], max_pixels):
            if isinstance(file, Skipped):
                return file
            found, _ = self._nearest(collection, file, k, where, approximate=approximate)
            return Found(path, found, collection.approximation if approximate else None)
        raise AssertionError(path)

    def find(
        self,
        name: str,
        terms: Sequence[Term],
        k: int,
        where: Where | None = None,
        *,
        hybrid: bool = False,
        min_similarity: float | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
        max_pixels: int = decoding.MAX_PIXELS,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> SearchResult:
        """Find the images of a collection that are most like a sum of images, records and texts.

        Each term is made of length 1 before it is added or subtracted. Where there are texts, plain vectors
        are searched: a metric that was fitted to images does not know where texts lie. Records that are
        terms of a sum, or of the same bytes, are left out; a single term finds itself.

        Args:
            name: the collection.
            terms: see `queries.read_query`.
            k: how many hits.
            where: only records that match.
            hybrid: fuse the nearest with the records whose own words match the texts that are added.
            min_similarity: leave out what is less similar, −1 … 1.
            false_alarm: set that cutoff against the collection's background, at this rate: see `background`.
            approximate: use the collection's approximate index, if it has one.
            max_pixels: an image with more pixels is refused.
            progress: called while background texts are embedded, with texts done and texts to do.

        Raises:
            CollectionNotFound, FieldNotFound: of the collection or of `where`.
            ImageNotFound: no record has that id.
            UnusableImage: an image cannot be used.
            InvalidArgument: the terms cancel each other out, a number is out of its range, both cutoffs are
                given, or `hybrid` without a text that is added.
            Unanswerable: the collection is empty, or too small for a cutoff; or its embedder reads no texts.
            ExtraMissing: the text side needs a package that is not installed.
            SpaceMismatch: the collection was made by another version of its embedder.
        """
        _check(k, min_similarity, false_alarm)
        words = " ".join(term.value for term in terms if term.kind == "text" and term.sign > 0)
        if hybrid and not words:
            raise InvalidArgument("--hybrid needs words to look for, and no text is given that is added")
        where = kept_filter(where, self.store.collection(name))
        collection = self._ready(name, where)
        summands = self._vectors(collection, terms, max_pixels)
        texts = any(term.kind == "text" for term in terms)
        depth = max(k, _DEPTH) if hybrid else k
        tries = TRIES
        while True:
            try:
                side = collection
                if texts and is_fitted(collection):
                    side = self.store.collection(plain_name(collection))
                query = self._sum(side, summands)
                exclude = self._itself(side, summands) if len(terms) > 1 else []
                found = self.store.nearest(
                    *(side.name, query, depth, where, [exclude] if exclude else None),
                    space=side.space,
                    approximate=approximate,
                )[0]
                cutoff = None if min_similarity is None else Cutoff(min_similarity)
                if false_alarm is not None:
                    cutoff = self._cutoff(side, terms, query, false_alarm, progress)
                by_words = (
                    self.store.search_words(side.name, words, depth + len(exclude), where) if hybrid else []
                )
                break
            except (SpaceMismatch, CollectionNotFound):
                # Another process fits the collection, or undoes that.
                tries -= 1
                if not tries:
                    raise
                collection = self.store.collection(collection.name)
        best = found[0].similarity if found else None
        if cutoff is not None:
            found = [each for each in found if each.similarity >= cutoff.similarity]
        left_out = set(exclude)
        by_words = [record for record in by_words if record.id not in left_out][:depth]
        return SearchResult(
            fused_hits(found, by_words)[:k] if hybrid else [Hit(n.record, n.similarity) for n in found],
            side.approximation if approximate else None,
            self.reader_of(collection).vocabulary if texts else None,
            plain=texts and is_fitted(collection),
            itself=len(exclude),
            cutoff=cutoff,
            best=best,
        )

    def _vectors(self, collection: CollectionInfo, terms: Sequence[Term], max_pixels: int) -> list[_Vector]:
        """Return each term as a plain vector."""
        made: dict[int, _Vector] = {}
        todo: dict[str, list[int]] = {"image": [], "record": [], "text": []}
        for place, term in enumerate(terms):
            if term.made_by not in (None, collection.space.embedder_fingerprint):
                raise SpaceMismatch(collection.name, str(collection.space), "the model that it had before")
            if term.features is not None:
                made[place] = _Vector(term, normalise(term.features[np.newaxis])[0], term.digest)
            else:
                todo[term.kind].append(place)
        if todo["image"]:
            files = self._embed(collection, [terms[place].path for place in todo["image"]], max_pixels)
            for place, file in zip(todo["image"], files, strict=True):
                if isinstance(file, Skipped):
                    raise UnusableImage(file.path, file.reason)
                made[place] = _Vector(terms[place], normalise(file.features[np.newaxis])[0], file.digest)
        for place in todo["record"]:
            record, vector = self._recorded(collection, terms[place].value)
            made[place] = _Vector(terms[place], vector, record.digest)
        if todo["text"]:
            reader = self.reader_of(collection)
            rows = normalise(reader.embed_texts([terms[place].value for place in todo["text"]]))
            for place, row in zip(todo["text"], rows, strict=True):
                made[place] = _Vector(terms[place], row, None)
        for each in made.values():
            if not each.vector.any():
                raise InvalidArgument(f"{each.term.value!r} says nothing to the model: say it in other words")
        return [made[place] for place in range(len(terms))]

    def _sum(self, side: CollectionInfo, summands: Sequence[_Vector]) -> Vectors:
        """Return the query, shape (1, d), in the space of the collection that is searched."""
        rows = np.stack([each.vector for each in summands])
        fitting = self._fitting_of(side)
        if fitting is not None:
            rows = fitting.metric.project(rows)
        if len(summands) == 1 and summands[0].term.sign > 0:
            return rows
        signs = np.array([each.term.sign for each in summands], np.float64)
        total = signs @ rows.astype(np.float64)
        if np.linalg.norm(total) < _SHORTEST:
            raise InvalidArgument("the terms cancel each other out: nothing is left to search for")
        return normalise(total[np.newaxis].astype(np.float32))

    def _itself(self, side: CollectionInfo, summands: Sequence[_Vector]) -> list[str]:
        """Return the ids of the records that are terms themselves, by their bytes."""
        digests = {each.digest for each in summands if each.digest is not None}
        return sorted({one for digest in digests for one in self.store.ids_by_digest(side.name, digest)})

    def _cutoff(
        self,
        side: CollectionInfo,
        terms: Sequence[Term],
        query: Vectors,
        rate: float,
        progress: Callable[[int, int], None],
    ) -> Cutoff:
        """Return the cutoff for this kind of query in the collection that is searched."""
        sample = read_sample(vectors for _, vectors in self.store.scan(side.name))
        if sample.shape[1] != query.shape[1]:
            raise SpaceMismatch(side.name, f"{sample.shape[1]} dimensions", str(side.space))
        pictures = [term.sign for term in terms if term.kind != "text"]
        texts = [term.sign for term in terms if term.kind == "text"]
        background = background_vectors(self.reader_of(side), self.cache, progress) if texts else None
        if pictures or background is None:
            reached = image_cutoff(pictures, texts, background, sample, rate)
        else:
            reached = text_cutoff(query[0], texts, background, sample, side.count, rate)
        return Cutoff(reached, rate, len(sample), 0 if background is None else len(background))


def _check(k: int, min_similarity: float | None, false_alarm: float | None) -> None:
    """Refuse numbers out of their range, before anything is embedded."""
    if k < 1:
        raise InvalidArgument(f"k must be at least 1, not {k}")
    if min_similarity is not None and not -1 <= min_similarity <= 1:
        raise InvalidArgument(f"similarities are between −1 and 1, and {min_similarity:g} is not")
    if false_alarm is not None:
        if min_similarity is not None:
            raise InvalidArgument("a rate of false alarms is for --min-similarity auto, not for a number")
        check_rate(false_alarm)
