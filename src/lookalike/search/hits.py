"""What a search finds: records, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lookalike.search.fusion import fuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.search.background import Cutoff
    from lookalike.types import Approximation, Neighbour, Record

RemarkKind = Literal["vocabulary", "unread", "plain", "recall"]
"""What a remark on an answer is about: words that the model does not know, a default vector whose model reads
no words, words beside a fit, the recall of words."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that was found, and how."""

    record: Record
    similarity: float | None
    """−1 … 1; None where the vectors did not find it."""
    score: float | None = None
    """What a hybrid search ranks by: see `fusion`."""
    by_vectors: int | None = None
    """Its place among the nearest, from 1; None where it is not among them."""
    by_words: int | None = None
    """Its place among those whose words match, from 1; None where they do not, or were not asked."""
    weak: bool | None = None
    """Whether it is no more like the words than what nonsense finds, see `nonsense`; None where words were
    not asked alone, or the collection is too small to tell."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What was found, and how it was looked for."""

    hits: list[Hit]
    approximation: Approximation | None
    """What was searched with; None where the search was exact."""
    vocabulary: str | None = None
    """What the text side cannot understand, in a sentence; None where no text was asked, or none is known."""
    texts: bool = False
    """Whether texts were among what was searched for."""
    using: str = ""
    """The vector that was searched."""
    model: str = ""
    """The embedder that it was made by."""
    unread: str | None = None
    """The vector that was meant, where its embedder reads no texts and that of `using` was asked instead."""
    plain: bool = False
    """Whether the plain vectors of a fitted collection were searched."""
    itself: int = 0
    """Records that are terms of a sum, and were left out."""
    cutoff: Cutoff | None = None
    best: float | None = None
    """The highest similarity, also below the cutoff; None where nothing matches."""

    @property
    def remarks(self) -> list[str]:
        """What is to be known of this answer, in whole sentences."""
        return list(self.remarks_by_kind.values())

    @property
    def remarks_by_kind(self) -> dict[RemarkKind, str]:
        """The remarks by what they are about, for whoever says them in another language."""
        said: dict[RemarkKind, str] = {}
        if self.vocabulary is not None:
            said["vocabulary"] = f"words are read by {self.model}. {self.vocabulary}"
        if self.unread is not None:
            said["unread"] = (
                f"searched by the vector {self.using!r}, of {self.model}: the model of {self.unread!r}, the "
                "default vector, reads no words"
            )
        if self.plain:
            said["plain"] = (
                "the collection is fitted to images, and a fit does not know where words lie: they are "
                "looked for among its plain vectors"
            )
        if self.texts and self.approximation is not None:
            said["recall"] = (
                "the recall was measured with images; words are far from all of them, and may find less: "
                "the exact search finds all"
            )
        return said


def fused_hits(found: Sequence[Neighbour], by_words: Sequence[Record]) -> list[Hit]:
    """Return the hits of both rankings, best first."""
    records = {record.id: record for record in by_words}
    records.update({each.record.id: each.record for each in found})
    similarities = {each.record.id: each.similarity for each in found}
    return [
        Hit(records[one.id], similarities.get(one.id), one.score, one.places[0], one.places[1])
        for one in fuse([[each.record.id for each in found], [record.id for record in by_words]])
    ]
