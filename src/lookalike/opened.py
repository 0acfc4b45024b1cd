"""A store, a cache folder, and the embedders that were opened: each once, and given back together."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.ranged import split_name
from lookalike.embedders.registry import FAMILIES, cards, groups_of, open_embedder
from lookalike.stores.registry import TIMEOUT, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.protocol import Device, Embedder


class Opened:
    """A store, a cache folder, and the embedders that were opened; threads may share it."""

    def __init__(
        self,
        store: str,
        cache: Path,
        timeout: float = TIMEOUT,
        *,
        weights: Path | None = None,
        device: Device = "auto",
    ) -> None:
        """Open a store.

        Args:
            store: its URL, see `open_store`.
            cache: the user's cache folder, for models and features.
            timeout: seconds to wait for another process's lock.
            weights: a folder with the weights of models of the hub; None: the hub's own cache.
            device: where models run.

        Raises:
            InvalidArgument: no store speaks that URL.
            StoreError: the store cannot be opened.
        """
        self.store = open_store(store, timeout)
        self.cache = cache
        self._weights = weights
        self._device = device
        self._embedders: dict[str, Embedder] = {}
        self._features: dict[str, FeatureCache] = {}
        self._opening = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the store and the caches."""
        for cache in self._features.values():
            cache.close()
        self.store.close()

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be: caches that cannot be kept, one line each."""
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
        """Return the embedder called `model`, opened once.

        Args:
            model: see `open_embedder`.
            download: whether weights that are not on this machine may be fetched from the hub.
        """
        with self._opening:
            if model not in self._embedders:
                self._embedders[model] = open_embedder(
                    model, self.cache, weights=self._weights, device=self._device, download=download
                )
            return self._embedders[model]

    def features(self, embedder: Embedder) -> FeatureCache:
        """Return the feature cache of an embedder, opened once."""
        return self.kept_features(embedder.fingerprint, embedder.dimension)

    def kept_features(self, fingerprint: str, dimension: int) -> FeatureCache:
        """Return the feature cache of the embedder of that fingerprint, which need not be opened."""
        with self._opening:
            if fingerprint not in self._features:
                self._features[fingerprint] = FeatureCache(self.cache, fingerprint, dimension)
            return self._features[fingerprint]

    def groups(self, model: str) -> tuple[slice, ...]:
        """Return the ranges of columns that belong together in the features of an embedder."""
        if model.partition(":")[0] in FAMILIES:
            return groups_of(self.embedder(model))
        card = cards().get(split_name(model)[0])
        return () if card is None else card.groups
