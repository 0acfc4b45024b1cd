"""A store, a cache folder, and the embedders that were opened: each once, and given back together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lookalike.embedders.models import Models
from lookalike.stores.registry import TIMEOUT, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.feature_cache import FeatureCache
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
        self.models = Models(cache, weights, device)
        self._weights = weights
        self._device = device
        self._embedders = self.models._embedders  # noqa: SLF001

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the store and the caches."""
        self.models.close()
        self.store.close()

    @property
    def problems(self) -> list[str]:
        """See `Models.problems`."""
        return self.models.problems

    def embedder(self, model: str, *, download: bool = False) -> Embedder:
        """See `Models.embedder`."""
        return self.models.embedder(model, download=download)

    def features(self, embedder: Embedder) -> FeatureCache:
        """Return the feature cache of an embedder, opened once."""
        return self.models.features(embedder)

    def kept_features(self, fingerprint: str, dimension: int) -> FeatureCache:
        """See `Models.kept_features`."""
        return self.models.kept_features(fingerprint, dimension)

    def groups(self, model: str) -> tuple[slice, ...]:
        """See `Models.groups`."""
        return self.models.groups(model)
