"""Which hits of a text are weak: no more like it than words that mean nothing find in the same collection.

Words that mean nothing have a nearest image, too. For each of `nonsense_texts` the similarity of its best
image is standardised by the mean and the spread of its similarities to all images, because some texts are
near to everything, and others to nothing. The cutoff of a query is where that figure of nonsense has its
quantile 1 − `RATE`, taken as in split conformal prediction (V. Vovk, A. Gammerman and G. Shafer,
"Algorithmic Learning in a Random World", 2005): so often nonsense still finds something. Nothing is assumed
of what the collection shows, so that a collection of everything loses as few right pictures as one of
cloth; words for real things that are not there find something more often than nonsense does. docs/words.md
has figures, and `python -m benchmarks words` prints them.

What a cutoff needs of a collection is the mean and the covariance of its vectors, which are kept: no search
reads them again while as many images are there.
"""

from __future__ import annotations

import hashlib
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import Unanswerable
from lookalike.search.background import OTHERS, sums_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.types import Space, Vectors

RATE = 0.03
"""Part of texts without a meaning that find something all the same; measured on others than these it is 0.01
to 0.02, and at least half of the right pictures of a word stay: docs/words.md."""

COUNT = 300
"""Of texts without a meaning: their quantile is known to about a hundredth."""

# What no rounding of a similarity reaches: texts that mean nothing to a model may be one and the same to it.
_MARGIN = 1e-3
_CONSONANTS, _VOWELS = "bcdfghjklmnpqrstvwxz", "aeiouy"
_HANGUL = 0xAC00, 11172
# Of 6.6 MB each at 1,280 numbers.
_KEPT = 8


def nonsense_texts(count: int = COUNT, seed: str = "lookalike") -> tuple[str, ...]:
    """Return texts that mean nothing, in a fixed order: speakable ones, letters, and syllables of Hangul.

    Args:
        count: how many.
        seed: of their letters.
    """
    return tuple(_nonsense(f"{seed} {number}", number % 3) for number in range(count))


def _nonsense(seed: str, kind: int) -> str:
    digits = iter(hashlib.sha512(seed.encode()).digest())
    if kind == 2:
        first, syllables = _HANGUL
        length = 2 + next(digits) % 4
        return "".join(chr(first + (256 * next(digits) + next(digits)) % syllables) for _ in range(length))
    words = []
    for _ in range(1 + next(digits) % 2):
        letters = ""
        for place in range(4 + next(digits) % 5):
            among = (_CONSONANTS, _VOWELS)[place % 2] if kind == 0 else "abcdefghijklmnopqrstuvwxyz"
            letters += among[next(digits) % len(among)]
        words.append(letters)
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class NonsenseCutoff:
    """What is kept of a collection to tell which hits of a text are weak."""

    images: int
    """That were looked at."""
    mean: Vectors
    """Shape (d,), of their vectors."""
    covariance: Vectors
    """Shape (d, d)."""
    usual: float
    """The variance of similarities to one text, as is usual of texts that mean nothing."""
    height: float
    """The standardised similarity that a hit must exceed."""
    least: float
    """What a hit must reach in any case: 0, what points away is not alike; −1 where texts are taken away."""

    def similarity(self, query: Vectors) -> float:
        """Return the similarity that the hits of a text, or of a sum of texts, must reach.

        Args:
            query: shape (d,), of length 1.
        """
        variance = float(query @ self.covariance @ query)
        spread = math.sqrt((self.images * max(variance, 0.0) + OTHERS * self.usual) / (self.images + OTHERS))
        return max(self.least, float(query @ self.mean) + self.height * spread)


def nonsense_cutoff(
    nonsense: Vectors, signs: Sequence[int], sample: Vectors, count: int, rate: float = RATE
) -> NonsenseCutoff:
    """Return what tells which hits of texts are weak.

    Args:
        nonsense: shape (n, d): vectors of texts that mean nothing.
        signs: 1 or −1 for each text of the queries, which are summed up.
        sample: shape (m, d): images of the collection, at least two.
        count: images in the collection.
        rate: part of nonsense that finds something.

    Raises:
        Unanswerable: all images are the same to all texts.
    """
    asked = sums_of(nonsense, signs)
    similarities = asked @ sample.T
    usual = float(similarities.var(axis=1).mean())
    if usual <= 0:
        raise Unanswerable("all images are the same to every text: there is nothing to tell apart")

    def height(found: Vectors) -> float:
        n = found.shape[1]
        spread = np.sqrt((n * found.var(axis=1) + OTHERS * usual) / (n + OTHERS))
        outstanding = np.sort((found.max(axis=1) - found.mean(axis=1)) / spread)
        place = math.ceil((len(outstanding) + 1) * (1 - rate) - 1e-9)
        return float(outstanding[min(place, len(outstanding)) - 1])

    reached = height(similarities)
    if count > len(sample):  # as for `background.text_cutoff`
        fourth = height(similarities[:, : len(sample) // 4])
        reached += max(reached - fourth, 0.0) * math.log(count / len(sample)) / math.log(4)
    mean = sample.mean(axis=0)
    centred = sample - mean
    covariance = centred.T @ centred / len(sample)
    least = 0.0 if min(signs) > 0 else -1.0
    return NonsenseCutoff(len(sample), mean, covariance, usual, reached + _MARGIN, least)


class NonsenseCutoffs:
    """The cutoffs of the collections that were asked last; threads may share it."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, Space, int, tuple[int, ...]], NonsenseCutoff] = {}

    def get(
        self, name: str, space: Space, count: int, signs: Sequence[int], make: Callable[[], NonsenseCutoff]
    ) -> NonsenseCutoff:
        """Return the cutoff of a collection, made now where it is not kept for so many images.

        Args:
            name: the collection.
            space: of the vector that is searched.
            count: images in the collection.
            signs: see `nonsense_cutoff`.
            make: makes it.
        """
        key = name.casefold(), space, count, tuple(signs)
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                found = make()
                while len(self._kept) >= _KEPT:
                    self._kept.pop(next(iter(self._kept)))
            self._kept[key] = found  # the last that was asked comes last
            return found
