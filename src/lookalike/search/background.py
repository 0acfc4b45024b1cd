"""How similar things are in a collection that have nothing to do with each other: what a hit must exceed.

**Texts.** Most texts of `background_texts` are about something that a given collection does not show. For
each, the similarity of its best image is standardised by the mean and the spread of its similarities to all
images, because some texts are near to everything, and others to nothing. The cutoff of a query is where
that figure of the background, at a rate of false alarms r, has its quantile 1 − r, taken as in split
conformal prediction (V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005):
if the query is about nothing in the collection and is otherwise a text like these, something is found with
a probability of at most r.

Background texts whose thing is in the collection after all would raise the cutoff, and hide what is there. So
the quantile is taken from the lower half too, which they hardly change: of the Gumbel distribution, the law
of the best of many (E. J. Gumbel, "Statistics of Extremes", 1958), through its tenth and its median. The
lower of both is the cutoff. What this keeps of the rate was measured: docs/words.md.

**Images.** No image is at hand that has nothing to do with a collection. Its own images are asked instead:
the cutoff is the similarity that a part r of all other images exceeds, for its typical (median) image. A
hit is so more similar than images of this collection mostly are to each other. The rate is that of single
pairs: no promise is made of how often an image of something else finds anything; docs/words.md has figures.

**Images and texts, added or subtracted,** are asked as images are: own images and background texts with the
same signs.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.embedders.onnx.graph_cache import built_once
from lookalike.errors import InvalidArgument, Unanswerable
from lookalike.search.background_texts import texts
from lookalike.vectors.metric import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from lookalike.embedders.protocol import TextEmbedder
    from lookalike.types import Vectors

FALSE_ALARM = 0.01
"""By default one text in a hundred whose thing is not there finds something."""

SAMPLE = 10_000
"""Images that are looked at, drawn at random."""

LEAST = 10
"""Fewer images have no spread that could be told."""

OTHERS = 20
"""The spread of a text's similarities is estimated as if that of the others were seen on so many images more:
from 20 pictures the texts that are there then stand out more often (0.72 of pairs of a text that is there
and one that is not are in order, 0.67 without; pictures of tuxpaint-stamps-default 2022.06.04), from 785
alike."""

# Own images that are asked; the median of so many is known to a few per cent.
_QUERIES = 500
# Other images that exceed the cutoff of an own image at least: a quantile further out is chance.
_ABOVE = 5
# Texts at once, between two reports of progress.
_STEP = 16


@dataclass(frozen=True, slots=True)
class Cutoff:
    """The least similarity that counts."""

    similarity: float
    rate: float | None = None
    """The rate of false alarms it was set for; None where the user named the similarity, or it is where
    nonsense ends."""
    images: int = 0
    """Images of the collection that it was set by."""
    texts: int = 0
    """Background texts that it was set by."""


def check_rate(rate: float) -> None:
    """Refuse a rate of false alarms that cannot be kept.

    Raises:
        InvalidArgument: it is not between 0 and 1, or so small that the background texts cannot tell it.
    """
    least = 1 / (len(texts()) + 1)
    if not least <= rate < 1:
        raise InvalidArgument(
            f"the rate of false alarms must be at least {least:.4f}, which is what {len(texts())} texts can "
            f"tell, and below 1, not {rate:g}"
        )


def background_vectors(
    embedder: TextEmbedder,
    cache: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    listed: Sequence[str] | None = None,
) -> Vectors:
    """Return the vectors of the background texts, which are embedded once for each text side.

    Args:
        embedder: the text side.
        cache: the user's cache folder.
        progress: called with texts done and texts to do, where they are embedded now.
        listed: other texts; None: those of `background_texts`.

    Returns:
        float32 of shape (texts, dimension), each row of length 1.

    Raises:
        ExtraMissing: the text side needs a package that is not installed.
    """
    listed = texts() if listed is None else listed

    def build() -> bytes:
        parts = []
        for start in range(0, len(listed), _STEP):
            progress(start, len(listed))
            parts.append(embedder.embed_texts(listed[start : start + _STEP]))
        return normalise(np.concatenate(parts)).astype("<f4").tobytes()

    name = hashlib.sha256("\n".join((embedder.text_fingerprint, *listed)).encode()).hexdigest()
    content = built_once(cache / "background" / f"{name[:32]}.f4", build)
    return np.frombuffer(content, "<f4").reshape(len(listed), -1).astype(np.float32, copy=False)


def read_sample(batches: Iterable[Vectors]) -> Vectors:
    """Return the first vectors of a collection, at most `SAMPLE`.

    Args:
        batches: the collection's vectors, in a random order.

    Raises:
        Unanswerable: they are too few to say anything.
    """
    taken: list[Vectors] = []
    count = 0
    for rows in batches:
        taken.append(rows[: SAMPLE - count])
        count += len(taken[-1])
        if count == SAMPLE:
            break
    if count < LEAST:
        raise Unanswerable(
            f"{count} images are too few to tell what is unlike them (at least {LEAST} are needed): "
            f"name a number, --min-similarity 0.5 for example"
        )
    return np.concatenate(taken)


def text_cutoff(
    query: Vectors, signs: Sequence[int], background: Vectors, sample: Vectors, count: int, rate: float
) -> float:
    """Return the similarity that a text's hits must reach.

    Args:
        query: shape (d,): the text, or the sum of several, of length 1.
        signs: 1 or −1 for each text that was summed up.
        background: as `background_vectors` has them.
        sample: shape (m, d): images of the collection, at least two.
        count: images in the collection.
        rate: of false alarms.

    Raises:
        InvalidArgument: the rate is out of range.
        Unanswerable: all images are the same to all texts.
    """
    check_rate(rate)
    similarities = sums_of(background, signs) @ sample.T
    usual = float(similarities.var(axis=1).mean())
    if usual <= 0:
        raise Unanswerable("all images are the same to every text: there is nothing to tell apart")

    def standard(found: Vectors) -> Vectors:
        n = found.shape[1]
        spread: Vectors = np.sqrt((n * found.var(axis=1) + OTHERS * usual) / (n + OTHERS))
        return spread

    def quantile(found: Vectors) -> float:
        outstanding = np.sort((found.max(axis=1) - found.mean(axis=1)) / standard(found))
        place = math.ceil((len(outstanding) + 1) * (1 - rate) - 1e-9)
        return min(float(outstanding[min(place, len(outstanding)) - 1]), _gumbel(outstanding, rate))

    height = quantile(similarities)
    if count > len(sample):
        # The best of many is better than the best of a sample. It grows with the logarithm at most, as it
        # would for an exponential tail; that of a normal distribution is lighter.
        fourth = quantile(similarities[:, : len(sample) // 4])
        height += max(height - fourth, 0.0) * math.log(count / len(sample)) / math.log(4)
    own = (query @ sample.T)[np.newaxis]
    return float(own.mean() + height * standard(own)[0])


def _gumbel(values: Vectors, rate: float) -> float:
    """Return the quantile 1 − rate of the Gumbel distribution through the values' tenth and median."""
    low, middle = np.quantile(values, [0.1, 0.5])
    reduced = [-math.log(-math.log(part)) for part in (0.1, 0.5, 1 - rate)]
    return float(middle + (middle - low) * (reduced[2] - reduced[1]) / (reduced[1] - reduced[0]))


def image_cutoff(
    images: Sequence[int], others: Sequence[int], background: Vectors | None, sample: Vectors, rate: float
) -> float:
    """Return the similarity that the hits of an image, or of a sum with images in it, must reach.

    Args:
        images: 1 or −1 for each image that was summed up; at least one.
        others: 1 or −1 for each text that was summed up.
        background: as `background_vectors` has them; needed only where there are texts.
        sample: shape (m, d): images of the collection, more than there are in the sum.
        rate: the part of all other images that is above the cutoff, for the typical image.

    Raises:
        InvalidArgument: the rate is out of range.
    """
    check_rate(rate)
    draws = np.random.default_rng(0)
    count = len(sample)
    if len(images) >= count:
        raise InvalidArgument(f"{len(images)} images are added up, and the collection has {count:,}")
    own = np.array(
        [draws.choice(count, len(images), replace=False) for _ in range(_QUERIES)]
        if count > _QUERIES or len(images) > 1
        else [[row] for row in range(count)]
    )
    summed = np.tensordot(np.asarray(images, np.float32), sample[own], axes=(0, 1))
    if others and background is not None:
        chosen = draws.integers(len(background), size=(len(own), len(others)))
        summed += np.tensordot(np.asarray(others, np.float32), background[chosen], axes=(0, 1))
    similarities = normalise(summed) @ sample.T
    similarities[np.arange(len(own))[:, np.newaxis], own] = -np.inf
    rest = count - len(images)
    above = min(rest, max(_ABOVE, math.floor(rate * rest)))
    reached = np.partition(similarities, count - above, axis=1)[:, count - above]
    return float(np.median(reached))


def sums_of(vectors: Vectors, signs: Sequence[int]) -> Vectors:
    """Return as many sums of vectors, chosen at random, each of length 1, with the given signs."""
    if len(signs) == 1:
        return signs[0] * vectors
    draws = np.random.default_rng(0)
    chosen = np.array([draws.choice(len(vectors), len(signs), replace=False) for _ in range(len(vectors))])
    return normalise(np.tensordot(np.asarray(signs, np.float32), vectors[chosen], axes=(0, 1)))
