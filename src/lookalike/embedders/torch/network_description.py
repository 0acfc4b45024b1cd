"""The description of a torch network, its preprocessing and its text side, for an embedder or an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.embedders.preprocessing import View
    from lookalike.embedders.protocol import Card


@dataclass(frozen=True, slots=True)
class Texts:
    """The text side of a network."""

    network: Any
    """Takes token numbers and, where `masked`, the mask, each of shape (texts, tokens); gives features."""
    tokenize: Callable[[str], tuple[Sequence[int], Sequence[int]]]
    """Returns the numbers of a text's tokens and the mask."""
    length: int
    """Tokens at most."""
    weights: str
    """Digest of the weights and the tokenizer."""
    tokenizer: str | None = None
    """The same tokenizer as a tokenizer.json; None where it cannot be written as one."""
    masked: bool = True
    pad_to: int | None = None
    pad_token: str | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A network with all that an embedder or an export needs to know of it."""

    name: str
    module: Any
    """Takes a batch of planes, float32 of shape (images, 3, height, width); gives features."""
    views: tuple[View, ...]
    dimension: int
    weights: str
    """Digest of the weights of the image side."""
    recipe: str
    """What is done beyond applying the weights and preprocessing, as one line for a fingerprint."""
    card: Card
    texts: Texts | None = None
