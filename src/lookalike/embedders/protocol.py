"""The protocols of embedders: images, and for some also texts, to features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from lookalike.types import Features

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
"""Where a model runs; auto: on the GPU where the installed runtime has one, otherwise on the CPU."""

Capability: TypeAlias = Literal["images", "texts"]


class Embedder(Protocol):
    """A model that turns images into features; `embed` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """Name under which `open_embedder` finds it."""
        ...

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits over weights, graph and preprocessing: equal only if the features are."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers per image."""
        ...

    @property
    def input_size(self) -> int:
        """Shorter side, in pixels, below which a decoded image would lose what the model can see."""
        ...

    @property
    def batch_size(self) -> int:
        """Images per call of `embed` that give the best throughput here."""
        ...

    def embed(self, images: Sequence[Image]) -> Features:
        """Embed images of any sizes.

        Args:
            images: decoded, of mode RGB, none of them empty.

        Returns:
            float32 of shape (len(images), dimension), finite, not normalised, in the order given.
        """
        ...


@runtime_checkable
class TextEmbedder(Protocol):
    """An embedder that also turns texts into features, in the space of its image features."""

    @property
    def text_fingerprint(self) -> str:
        """64 hexadecimal digits over weights and tokenizer of the text side alone."""
        ...

    @property
    def vocabulary(self) -> str | None:
        """One plain sentence on what it cannot understand, for the user; None where nothing is known."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """Embed texts; may be called from several threads at once.

        Args:
            texts: of any length; what exceeds the model's context is cut off.

        Returns:
            float32 of shape (len(texts), dimension), finite, not normalised, in the order given: in the
            space of the image features.

        Raises:
            ExtraMissing: the package that splits texts into tokens is not installed.
            InvalidArgument: a text is blank.
        """
        ...


@dataclass(frozen=True, slots=True)
class Card:
    """The description of an embedder: dimension, licence, size, source and capabilities."""

    name: str
    dimension: int
    licence: str
    parameters: int
    """Numbers in the weights."""
    summary: str
    source: str
    """Where the weights and their licence are described."""
    groups: tuple[slice, ...] = ()
    """Columns of the features that belong together, in order and without gaps; empty: all do."""
    size: int | None = None
    """Bytes in the weights; None where no document says."""
    revision: str | None = None
    """The hub's commit that is used unless another is here already; None: not pinned, or from no hub."""
    capabilities: tuple[Capability, ...] = ("images",)
    here: bool = True
    """Whether it can be opened without a network."""
    images_per_second: float | None = None
    """As measured on this machine; None where it was not."""


@runtime_checkable
class Described(Protocol):
    """An embedder that carries its own card: every one that `open_embedder` opens."""

    @property
    def card(self) -> Card:
        """Return the card."""
        ...
