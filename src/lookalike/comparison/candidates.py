"""The embedders that a comparison opens for a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.comparison.compare import EmbedderCandidate
from lookalike.embedders.ranged import ranged_name, split_name
from lookalike.embedders.registry import cards, groups_of
from lookalike.images.levels import AUTO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.embedders.models import Models
    from lookalike.images.levels import Range


def open_candidates(models: Models, names: Sequence[str], levels: Range) -> dict[str, EmbedderCandidate]:
    """Open embedders to be compared.

    Args:
        models: open them.
        names: of the embedders; none: all that are part of lookalike.
        levels: by which the collection's pictures were decoded; an embedder with a range has its own.
    """
    named = [name if split_name(name)[1] != AUTO else ranged_name(name, levels) for name in names or cards()]
    opened = {name: models.embedder_among(name) for name in named}
    return {
        name: EmbedderCandidate(embedder, models.features(embedder), groups_of(embedder))
        for name, embedder in opened.items()
    }
