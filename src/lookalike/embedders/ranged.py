"""Embedders with a range of samples of their own for deep pictures: `efficientnet-lite0@0:4095`.

Pictures of more than 8 bits give other features with another range, so the range is part of the embedder's
name and fingerprint. A collection's queries are then decoded as its pictures were, features of two ranges
never meet in a cache, and no store has to know.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.embedders.protocol import Card, Described, Embedder, TextEmbedder
from lookalike.images.levels import AUTO, Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from lookalike.types import Features

_RANGED = re.compile(r"(.+)@(full|-?[0-9][^:@/]*:-?[0-9][^:@/]*)")


def split_name(name: str) -> tuple[str, Range]:
    """Return the name of a model without its range, and the range that its pictures are decoded by.

    Raises:
        InvalidArgument: the range is none.
    """
    match = _RANGED.fullmatch(name)
    return (name, AUTO) if match is None else (match[1], Range.parse(match[2]))


def ranged_name(name: str, levels: Range) -> str:
    """Return the name of a model whose pictures are decoded by a range; what it said of one is replaced."""
    plain, _ = split_name(name)
    return plain if levels == AUTO else f"{plain}@{levels}"


def range_of(embedder: Embedder) -> Range:
    """Return the range that pictures for an embedder are decoded by."""
    return embedder.levels if isinstance(embedder, RangedEmbedder) else AUTO


def with_range(embedder: Embedder, levels: Range) -> Embedder:
    """Return an embedder whose pictures are decoded by a range; a `TextEmbedder` where it was one."""
    if levels == AUTO:
        return embedder
    return (RangedTextEmbedder if isinstance(embedder, TextEmbedder) else RangedEmbedder)(embedder, levels)


class RangedEmbedder:
    """An embedder with the range of samples that its pictures are decoded by."""

    def __init__(self, embedder: Embedder, levels: Range) -> None:
        """Name it.

        Args:
            embedder: what embeds.
            levels: not AUTO.
        """
        self.plain = embedder
        self.levels = levels
        self.name = ranged_name(embedder.name, levels)
        self.fingerprint = hashlib.sha256(f"{embedder.fingerprint}@{levels}".encode()).hexdigest()
        self.dimension = embedder.dimension
        self.input_size = embedder.input_size
        self.batch_size = embedder.batch_size

    @property
    def card(self) -> Card:
        """Return the card, under this name."""
        if isinstance(self.plain, Described):
            return replace(self.plain.card, name=self.name)
        return Card(self.name, self.dimension, "", 0, "", "")

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images: see `Embedder.embed`."""
        return self.plain.embed(images)


class RangedTextEmbedder(RangedEmbedder):
    """A `RangedEmbedder` that also reads texts."""

    @property
    def _texts(self) -> TextEmbedder:
        assert isinstance(self.plain, TextEmbedder)  # noqa: S101 `with_range` has looked
        return self.plain

    @property
    def text_fingerprint(self) -> str:
        """That of the plain embedder: texts have no range."""
        return self._texts.text_fingerprint

    @property
    def vocabulary(self) -> str | None:
        """One plain sentence on what it cannot understand."""
        return self._texts.vocabulary

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """Embed texts: see `TextEmbedder.embed_texts`."""
        return self._texts.embed_texts(texts)
