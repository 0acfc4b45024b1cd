"""A cache of the embedders of collections, which spares most queries a look at the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lookalike.database import Database
    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Embedder
    from lookalike.server.workers.thread_pool import ThreadPool
    from lookalike.types import CollectionInfo


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CollectionEmbedder:
    """The embedder of a collection, and its feature cache."""

    embedder: Embedder
    cache: FeatureCache
    """Features that it gave before."""


class EmbedderCache:
    """The embedders of the collections that were asked.

    By now another collection may have the name. So whoever searches with features of an embedder says
    whose they are, and does all of it in `checked`.
    """

    def __init__(self, database: Database, pool: ThreadPool, find: Callable[[str], CollectionInfo]) -> None:
        """Remember nothing yet.

        Args:
            database: opens embedders.
            pool: runs what blocks.
            find: returns a collection that is served, by its name; blocks.
        """
        self._database = database
        self._pool = pool
        self._find = find
        self._known: dict[tuple[str, str | None, bool], CollectionEmbedder] = {}

    async def get(self, name: str, using: str | None = None, *, reading: bool = False) -> CollectionEmbedder:
        """Return what made a vector of a collection.

        Args:
            name: the collection.
            using: the vector; None for the default one.
            reading: whether texts are to be read, which may be for another vector's embedder.

        Raises:
            CollectionNotFound: there is none of that name, or it is not served.
            SpaceMismatch: it was made by another version of its embedder.
        """
        key = name, using, reading
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = await self._pool.run(lambda: self._open(*key))
        return found

    async def checked(self, name: str, answer: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `answer` returns, which is called again where the embedder is another by now."""
        try:
            return await answer()
        except SpaceMismatch:
            for key in [key for key in self._known if key[0] == name]:
                del self._known[key]
            return await answer()

    def _open(self, name: str, using: str | None, reading: bool) -> CollectionEmbedder:
        handle = self._database[self._find(name).name]
        embedder = handle.vectors.embedder(using, reading=reading)
        return CollectionEmbedder(embedder, self._database.features(embedder))
