"""Comparing on a collection of a store: its images, and the embedders and networks that are opened for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.comparison.compare import CompareOptions, EmbedderCandidate, compare
from lookalike.comparison.finetuning.predictions import open_network_candidates
from lookalike.comparison.finetuning.recipe import Recipe
from lookalike.embedders.ranged import ranged_name, split_name
from lookalike.embedders.registry import cards, groups_of
from lookalike.images.levels import AUTO
from lookalike.label_normalisation import kept_name
from lookalike.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.comparison.comparison import Comparison
    from lookalike.embedders.models import Models
    from lookalike.images.levels import Range
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress


def compare_collection(
    spaces: Spaces,
    models: Models,
    name: str,
    by: str,
    options: CompareOptions,
    *,
    embedders: Sequence[str] = (),
    finetune: Sequence[str] = (),
    epochs: int | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Rank embedders, metrics and k on a collection's images, and networks that are trained: see `compare`.

    Args:
        spaces: of the store with the collection.
        models: open the embedders.
        name: the collection.
        by: the field that holds the label, as people write it.
        options: how.
        embedders: names; none: all that are part of lookalike.
        finetune: networks to be trained in the same folds, timm:NAME.
        epochs: that they are trained for at most; None: the recipe's.
        progress: called with steps done and steps to do.
    """
    # Before anything is asked or computed: they need packages and weights that may not be here.
    networks = open_network_candidates(
        finetune, models.cache, weights=models.weights, device=models.device, recipe=Recipe(epochs)
    )
    collection = spaces.store.collection(name)
    _, levels = split_name(collection.space.embedder)
    candidates = _open_candidates(models, embedders, levels)
    records, _ = spaces.read_plain(collection)
    return compare(
        records, candidates, kept_name(by, collection), options,
        networks=networks, levels=levels, folder=models.cache, progress=progress,
    )  # fmt: skip


def _open_candidates(models: Models, names: Sequence[str], levels: Range) -> dict[str, EmbedderCandidate]:
    """Open embedders; one without a range of its own decodes by `levels`, as the collection did."""
    named = [name if split_name(name)[1] != AUTO else ranged_name(name, levels) for name in names or cards()]
    opened = {name: models.embedder_among(name) for name in named}
    return {
        name: EmbedderCandidate(embedder, models.features(embedder), groups_of(embedder))
        for name, embedder in opened.items()
    }
