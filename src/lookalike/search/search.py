"""Searches: the images of a collection that are most like images, records and texts, or sums of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from lookalike.errors import InvalidArgument, SpaceMismatch, Unanswerable, UnusableImage
from lookalike.images.limits import MAX_PIXELS
from lookalike.label_normalisation import kept_filter
from lookalike.metric_learning.fitted import plain_of
from lookalike.progress import silent
from lookalike.search.background import (
    FALSE_ALARM,
    LEAST,
    Cutoff,
    background_vectors,
    check_rate,
    image_cutoff,
    read_sample,
    text_cutoff,
)
from lookalike.search.hits import Hit, SearchResult, fused_hits
from lookalike.search.neighbours import (
    answerable,
    ask_vector,
    embed_images,
    embed_texts,
    reading_vector,
)
from lookalike.search.nonsense import COUNT, NonsenseCutoff, NonsenseCutoffs, nonsense_cutoff, nonsense_texts
from lookalike.search.query import Text
from lookalike.stores.query import Query
from lookalike.types import Skipped
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.embedders.models import Models
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.search.neighbours import PlainVector
    from lookalike.search.query import Summand, Terms
    from lookalike.types import CollectionInfo, Neighbour, Record, VectorInfo, Vectors, Where

LeastSimilarity: TypeAlias = float | Literal["auto"] | None
"""What a hit must reach, −1 … 1; `auto` sets this against the collection's background; None: nothing."""

# How far down the two rankings of a hybrid search go, where no more are asked for.
_DEPTH = 100
# Sums of vectors of length 1 that are shorter have no direction beyond rounding.
_SHORTEST = 1e-4


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a search is made."""

    k: int = 10
    """How many hits."""
    using: str | None = None
    """The vector that is searched; None: the default one, or for texts one whose embedder reads them."""
    where: Where | None = None
    """Only records that match."""
    hybrid: bool = False
    """Fuse the nearest with the records whose own words match the texts that are added."""
    min_similarity: LeastSimilarity = None
    """Leave out what is less similar."""
    false_alarm: float | None = None
    """The rate at which `auto` may find what is not there, see `background`; None: the usual one."""
    approximate: bool = False
    """Use the collection's approximate index, if it has one."""
    max_pixels: int = MAX_PIXELS
    """An image with more pixels is refused."""

    def check(self) -> None:
        """Refuse numbers out of their range, before anything is embedded.

        Raises:
            InvalidArgument: a number is out of its range, or a rate is given beside a number.
        """
        if self.k < 1:
            raise InvalidArgument(f"k must be at least 1, not {self.k}")
        least = self.min_similarity
        if isinstance(least, int | float) and not -1 <= least <= 1:
            raise InvalidArgument(f"similarities are between −1 and 1, and {least:g} is not")
        if self.false_alarm is not None:
            if least != "auto":
                raise InvalidArgument("a rate of false alarms is for the least similarity auto")
            check_rate(self.false_alarm)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is searched for, how, and by which models."""

    spaces: Spaces
    models: Models
    summands: Sequence[Summand]
    options: SearchOptions
    cutoffs: NonsenseCutoffs
    progress: Progress

    @property
    def text_signs(self) -> list[int]:
        """The sign of each term that is a text."""
        return [sign for sign, term in self.summands if isinstance(term, Text)]

    @property
    def picture_signs(self) -> list[int]:
        """The sign of each term that is no text."""
        return [sign for sign, term in self.summands if not isinstance(term, Text)]


@dataclass(frozen=True, slots=True)
class _Found:
    """What the store answered."""

    nearest: list[Neighbour]
    by_words: list[Record]
    itself: list[str]
    """Ids of the records that are terms of the sum."""
    cutoff: Cutoff | None
    weak: float | None
    """The similarity below which hits are weak."""


def search(
    spaces: Spaces,
    models: Models,
    name: str,
    query: Terms,
    options: SearchOptions,
    cutoffs: NonsenseCutoffs,
    progress: Progress = silent,
) -> SearchResult:
    """Find the images of a collection that are most like a sum of images, records and texts.

    Each term is made of length 1 before it is added or subtracted. Where there are texts, plain vectors are
    searched, of an embedder that reads texts: a metric that was fitted to images does not know where texts
    lie. Records that are terms of a sum, or of the same bytes, are left out; a single term finds itself.

    Args:
        spaces: of the store with the collection.
        models: open the collection's embedders.
        name: the collection.
        query: what is searched for.
        options: how.
        cutoffs: what is kept of collections to tell which hits of words are weak.
        progress: called while background texts are embedded, with texts done and texts to do.

    Raises:
        CollectionNotFound, VectorNotFound, FieldNotFound: of the collection, of `using` or of `where`.
        ImageNotFound: no record has that id.
        UnusableImage: an image cannot be used.
        InvalidArgument: the terms cancel each other out, a number is out of its range, or `hybrid` without a
            text that is added.
        Unanswerable: the collection is empty, or too small for a cutoff; or its embedder reads no texts.
        ExtraMissing: the text side needs a package that is not installed.
        SpaceMismatch: the collection was made by another version of its embedder.
    """
    options.check()
    summands = query.summands
    if not summands:
        raise InvalidArgument("nothing to search for: name an image, or say in words what to find")
    words = " ".join(term.text for sign, term in summands if isinstance(term, Text) and sign > 0)
    if options.hybrid and not words:
        raise InvalidArgument("--hybrid needs words to look for, and no text is given that is added")
    where = kept_filter(options.where, spaces.store.collection(name))
    collection = answerable(spaces.store, name, where)
    wanted = _Asked(spaces, models, summands, options, cutoffs, progress)
    texts = bool(wanted.text_signs)
    meant = collection.vector(options.using)
    plain = reading_vector(models, collection, options.using) if texts else plain_of(collection, meant)
    using = plain.name if texts else options.using
    vectors = _embed(wanted, collection, plain)
    depth = max(options.k, _DEPTH) if options.hybrid else options.k

    def ask(collection: CollectionInfo, vector: VectorInfo) -> _Found:
        summed = _sum(wanted, collection, vector, vectors)
        itself = _itself(spaces, collection, vectors) if len(summands) > 1 else []
        asked = Query(
            summed, depth, using=vector.name, space=vector.space, where=where,
            exclude=[itself] if itself else None, approximate=options.approximate,
        )  # fmt: skip
        (nearest,) = spaces.store.nearest(collection.name, asked)
        by_words: list[Record] = []
        if options.hybrid:
            by_words = spaces.store.search_words(collection.name, words, depth + len(itself), where)
        weak = _nonsense(wanted, collection, vector)
        cutoff = _cutoff(wanted, collection, vector, summed, weak)
        limit = None if weak is None else weak.similarity(summed[0])
        return _Found(nearest, by_words, itself, cutoff, limit)

    found, collection, vector = ask_vector(spaces.store, collection, using, ask)
    model = meant.space.embedder_fingerprint
    nearest = found.nearest
    if found.cutoff is not None:
        nearest = [each for each in nearest if each.similarity >= found.cutoff.similarity]
    by_words = [record for record in found.by_words if record.id not in set(found.itself)][:depth]
    hits = [Hit(each.record, each.similarity) for each in nearest]
    if options.hybrid:
        hits = fused_hits(nearest, by_words)[: options.k]
    if found.weak is not None:
        hits = [
            replace(hit, weak=hit.by_words is None and (hit.similarity or 0) < found.weak) for hit in hits
        ]
    return SearchResult(
        hits,
        vector.approximation if options.approximate else None,
        models.text_embedder_of(collection, vector).vocabulary if texts else None,
        texts=texts,
        using=vector.name,
        model=vector.space.embedder,
        unread=meant.name if texts and model != vector.space.embedder_fingerprint else None,
        plain=texts and meant.fitted and plain_of(collection, meant).name == vector.name,
        itself=len(found.itself),
        cutoff=found.cutoff,
        best=found.nearest[0].similarity if found.nearest else None,
    )


def _embed(asked: _Asked, collection: CollectionInfo, vector: VectorInfo) -> list[PlainVector]:
    """Return each term as a plain vector."""
    images = [term for _, term in asked.summands if not isinstance(term, Text)]
    texts = [term for _, term in asked.summands if isinstance(term, Text)]
    embedded = embed_images(asked.spaces, asked.models, collection, vector, images, asked.options.max_pixels)
    seen = iter(list(embedded))
    read = iter(embed_texts(asked.models, collection, vector, texts))
    made = []
    for _, term in asked.summands:
        each = next(read if isinstance(term, Text) else seen)
        if isinstance(each, Skipped):
            raise UnusableImage(each.path, each.reason)
        if not each.vector.any():
            raise InvalidArgument(f"{each.name!r} says nothing to the model: say it in other words")
        made.append(each)
    return made


def _sum(
    asked: _Asked, collection: CollectionInfo, vector: VectorInfo, vectors: Sequence[PlainVector]
) -> Vectors:
    """Return the sum of the terms, shape (1, d), in the space of the vector that is searched."""
    summands = asked.summands
    rows = asked.spaces.project(collection, vector, np.stack([each.vector for each in vectors]))
    if len(summands) == 1 and summands[0].sign > 0:
        return rows
    total = np.array([sign for sign, _ in summands], np.float64) @ rows.astype(np.float64)
    if np.linalg.norm(total) < _SHORTEST:
        raise InvalidArgument("the terms cancel each other out: nothing is left to search for")
    return normalise(total[np.newaxis].astype(np.float32))


def _itself(spaces: Spaces, collection: CollectionInfo, vectors: Sequence[PlainVector]) -> list[str]:
    """Return the ids of the records that are terms themselves, by their bytes."""
    digests = {each.digest for each in vectors if each.digest is not None}
    return sorted({one for digest in digests for one in spaces.store.ids_by_digest(collection.name, digest)})


def _nonsense(asked: _Asked, collection: CollectionInfo, vector: VectorInfo) -> NonsenseCutoff | None:
    """Return what tells which hits of words are weak; None where there are others, or too few images."""
    signs = asked.text_signs
    if asked.picture_signs or collection.count < LEAST:
        return None

    def make() -> NonsenseCutoff:
        reader = asked.models.text_embedder_of(collection, vector)
        nonsense = background_vectors(reader, asked.models.cache, asked.progress, nonsense_texts())
        sample = _sample(asked, collection, vector, nonsense.shape[1])
        return nonsense_cutoff(nonsense, signs, sample, collection.count)

    try:
        return asked.cutoffs.get(collection.name, vector.space, collection.count, signs, make)
    except Unanswerable:  # all images are the same to every text
        return None


def _sample(asked: _Asked, collection: CollectionInfo, vector: VectorInfo, dimension: int) -> Vectors:
    """Return a sample of the vectors that are searched.

    Raises:
        SpaceMismatch: they have another dimension: a fit has exchanged them meanwhile.
    """
    sample = read_sample(asked.spaces.store.scan_sample(collection.name, using=vector.name))
    if sample.shape[1] != dimension:
        raise SpaceMismatch(collection.name, f"{sample.shape[1]} dimensions", str(vector.space))
    return sample


def _cutoff(
    asked: _Asked,
    collection: CollectionInfo,
    vector: VectorInfo,
    summed: Vectors,
    weak: NonsenseCutoff | None,
) -> Cutoff | None:
    """Return what hits must reach among the vectors that are searched."""
    options = asked.options
    least = options.min_similarity
    if least != "auto":
        return None if least is None else Cutoff(least)
    if weak is not None and options.false_alarm is None:
        return Cutoff(weak.similarity(summed[0]), None, weak.images, COUNT)
    rate = FALSE_ALARM if options.false_alarm is None else options.false_alarm
    sample = _sample(asked, collection, vector, summed.shape[1])
    pictures, texts = asked.picture_signs, asked.text_signs
    background = None
    if texts:
        reader = asked.models.text_embedder_of(collection, vector)
        background = background_vectors(reader, asked.models.cache, asked.progress)
    if pictures or background is None:
        reached = image_cutoff(pictures, texts, background, sample, rate)
    else:
        reached = text_cutoff(summed[0], texts, background, sample, collection.count, rate)
    return Cutoff(reached, rate, len(sample), 0 if background is None else len(background))
