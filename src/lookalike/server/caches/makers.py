"""Which embedder a collection was made by, remembered: most questions then need the store only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lookalike.errors import SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Embedder
    from lookalike.server.workers.work import Work
    from lookalike.session import Session
    from lookalike.types import CollectionInfo


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Maker:
    """What embeds questions to a collection."""

    embedder: Embedder
    cache: FeatureCache
    """Features that it gave before."""


class Makers:
    """The makers of the collections that were asked.

    By now another collection may have the name. So whoever searches with the features that a maker gave says
    whose they are, and does all of it in `checked`.
    """

    def __init__(self, session: Session, work: Work, find: Callable[[str], CollectionInfo]) -> None:
        """Remember nothing yet.

        Args:
            session: opens embedders.
            work: runs what blocks.
            find: returns a collection that is served, by its name; blocks.
        """
        self._session = session
        self._work = work
        self._find = find
        self._known: dict[str, Maker] = {}

    async def get(self, name: str) -> Maker:
        """Return what made a collection.

        Raises:
            CollectionNotFound: there is none of that name, or it is not served.
            SpaceMismatch: it was made by another version of its embedder.
        """
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = await self._work(lambda: self._open(name))
        return found

    async def checked(self, name: str, answer: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `answer` returns, which is called again where the maker is another by now."""
        try:
            return await answer()
        except SpaceMismatch:
            self._known.pop(name, None)
            return await answer()

    def _open(self, name: str) -> Maker:
        embedder = self._session.embedder_of(self._find(name))
        return Maker(embedder, self._session.features(embedder))
