"""Models that were opened: embedders and the caches of their features, each opened once."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.protocol import TextEmbedder
from lookalike.embedders.ranged import ranged_name, split_name, with_range
from lookalike.embedders.registry import cards, families, groups_of, known_cards, open_embedder
from lookalike.embedders.unknown import is_unknown
from lookalike.errors import EmbedderUnknown, ModelNotFound, SpaceMismatch, Unanswerable
from lookalike.types import Space

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.protocol import Device, Embedder
    from lookalike.types import CollectionInfo, VectorInfo

DEFAULT_MODEL = "efficientnet-lite0"
"""The embedder where none is named and no collection says."""

PATCH_NETWORKS = ("efficientnet-lite0", "vit-small")
"""Networks that anomalies are told by, the default first: see `Models.patches`."""


class Models:
    """Embedders and their feature caches, opened once and closed together; threads may share them."""

    def __init__(self, cache: Path, weights: Path | None = None, device: Device = "auto") -> None:
        """Open nothing yet.

        Args:
            cache: the user's cache folder, for models and features.
            weights: a folder with the weights of models of the hub; None: the hub's own cache.
            device: where models run.
        """
        self.cache = cache
        self.weights = weights
        self.device = device
        self._embedders: dict[str, Embedder] = {}
        self._features: dict[str, FeatureCache] = {}
        self._opening = threading.RLock()

    def close(self) -> None:
        """Close the feature caches, and let go of the models: whoever held this may be collected late."""
        for cache in self._features.values():
            cache.close()
        self._embedders.clear()

    @property
    def problems(self) -> list[str]:
        """Why features are not kept, or were computed again, one line for each cache."""
        found = []
        for cache in list(self._features.values()):
            if cache.problem is not None and cache.path.is_relative_to(os.devnull):
                found.append("features are not kept: no home folder is known (HOME), name one with --cache")
            elif cache.problem is not None:
                found.append(f"features are not kept ({cache.path}: {cache.problem})")
            damaged = cache.replaced + len(cache.damaged)
            if damaged:
                said = "1 image was" if damaged == 1 else f"{damaged:,} images were"
                found.append(f"{said} embedded again: the features kept in {cache.path} were damaged")
        return found

    def embedder(self, model: str, *, download: bool = False) -> Embedder:
        """Return the embedder called `model`.

        Args:
            model: see `open_embedder`.
            download: whether weights that are not on this machine may be fetched from the hub.
        """
        with self._opening:
            if model not in self._embedders:
                self._embedders[model] = open_embedder(
                    model, self.cache, weights=self.weights, device=self.device, download=download
                )
            return self._embedders[model]

    def use(self, embedder: Embedder) -> None:
        """Take an embedder that was opened elsewhere, under its name."""
        with self._opening:
            self._embedders[embedder.name] = embedder

    def patches(self, model: str, network: str = PATCH_NETWORKS[0]) -> Embedder:
        """Return what makes patch features of pictures, decoded as they are for an embedder.

        Args:
            model: the embedder's name, of which the range counts.
            network: one of `PATCH_NETWORKS`.

        Raises:
            ModelNotFound: there is no such network.
            WeightsMissing: the package with its weights is not installed.
        """
        from lookalike.embedders.builtin.efficientnet_lite_patches import EfficientNetLite0Patches
        from lookalike.embedders.builtin.vit_patches import VitPatches

        if network not in PATCH_NETWORKS:
            raise ModelNotFound(network, list(PATCH_NETWORKS))
        made = EfficientNetLite0Patches if network == PATCH_NETWORKS[0] else VitPatches
        _, levels = split_name(model)
        name = ranged_name(made.name, levels)
        with self._opening:
            if name not in self._embedders:
                self._embedders[name] = with_range(made(self.cache, self.device), levels)
            return self._embedders[name]

    def embedder_among(self, model: str) -> Embedder:
        """Return one of several embedders: one that carries its weights leaves the weights to the others."""
        if self.weights is not None and split_name(model)[0] in cards():
            return open_embedder(model, self.cache, device=self.device)
        return self.embedder(model)

    def embedder_of(self, collection: CollectionInfo, vector: VectorInfo | None = None) -> Embedder:
        """Return the embedder that a vector of a collection was made by, by default the default one.

        Raises:
            SpaceMismatch: it was made by another version of it.
            EmbedderUnknown: nobody has said which embedder that is.
        """
        made = (vector or collection.vector()).space
        if is_unknown(made):
            raise EmbedderUnknown(collection.name, made.embedder)
        embedder = self.embedder(made.embedder)
        if made.embedder_fingerprint != embedder.fingerprint:
            space = Space(embedder.name, embedder.fingerprint, embedder.dimension)
            raise SpaceMismatch(collection.name, str(made), str(space))
        return embedder

    def text_embedder(self, embedder: Embedder, what: str) -> TextEmbedder:
        """Return the text side of an embedder.

        Args:
            embedder: a model.
            what: the beginning of the line that says that it has none.

        Raises:
            Unanswerable: it has none; the line says which models have one.
        """
        if isinstance(embedder, TextEmbedder):
            return embedder
        able = ", ".join(
            card.name for card in known_cards(self.cache).values() if "texts" in card.capabilities
        )
        raise Unanswerable(
            f"{what} in words: {embedder.name} reads no texts. Those that do are {able} and onnx:PATH with a "
            f"text side; `lookalike index PATH --collection NAME --model MODEL` makes a collection of one"
        )

    def text_embedder_of(self, collection: CollectionInfo, vector: VectorInfo | None = None) -> TextEmbedder:
        """Return the text side of the embedder of a collection's vector, by default of the default one.

        Raises:
            SpaceMismatch: the collection was made by another version of its embedder.
            Unanswerable: the embedder reads no texts.
        """
        what = f"collection {collection.name!r} cannot be asked"
        return self.text_embedder(self.embedder_of(collection, vector), what)

    def features(self, embedder: Embedder) -> FeatureCache:
        """Return the feature cache of an embedder."""
        return self.kept_features(embedder.fingerprint, embedder.dimension)

    def kept_features(self, fingerprint: str, dimension: int) -> FeatureCache:
        """Return the feature cache of the embedder of that fingerprint, which need not be opened."""
        with self._opening:
            if fingerprint not in self._features:
                self._features[fingerprint] = FeatureCache(self.cache, fingerprint, dimension)
            return self._features[fingerprint]

    def groups(self, model: str) -> tuple[slice, ...]:
        """Return the ranges of columns that belong together in the features of an embedder."""
        plain, _ = split_name(model)
        if ":" in plain and plain.partition(":")[0] in families():
            return groups_of(self.embedder(model))
        card = cards().get(plain)
        return () if card is None else card.groups
