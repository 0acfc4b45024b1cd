"""What the requests of one service share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from fastapi import Depends, Request

from lookalike.errors import CollectionNotFound
from lookalike.schemas.values import Hit, Image
from lookalike.server.embedding import EmbedQueue
from lookalike.server.judges import Judges
from lookalike.server.roots import Roots
from lookalike.server.work import Work

if TYPE_CHECKING:
    from lookalike.asking.hits import Hit as FoundHit
    from lookalike.records import Collection, Neighbour, Record
    from lookalike.server.settings import Settings
    from lookalike.session import Session


class Service:
    """A session, its limits, and the threads that work for requests."""

    def __init__(self, session: Session, settings: Settings) -> None:
        """Start the threads.

        Args:
            session: the store and the models; the service does not close it.
            settings: what it was told.
        """
        self.session = session
        self.settings = settings
        self.embedding = EmbedQueue(settings.queue, settings.max_pixels, settings.workers)
        self.work = Work(settings.threads, settings.queue)
        self.roots = Roots(settings.roots)
        self.judges = Judges(session)

    def close(self) -> None:
        """Finish what was accepted, and end the threads."""
        self.embedding.close()
        self.work.close()

    def served(self) -> list[Collection]:
        """Return the collections that are served, in order; blocks."""
        known = {each.name.casefold(): each for each in self.session.store.collections()}
        if not self.settings.collections:
            return list(known.values())
        return [known[name.casefold()] for name in self.settings.collections if name.casefold() in known]

    def collection(self, name: str) -> Collection:
        """Return a collection that is served; blocks.

        Raises:
            CollectionNotFound: there is none of that name, or it is not served.
        """
        names = [each.casefold() for each in self.settings.collections]
        if names and name.casefold() not in names:
            raise CollectionNotFound(name, self.settings.collections)
        return self.session.store.collection(name)

    def image(self, record: Record) -> Image:
        """Return what a client sees of a record."""
        return Image(id=record.id, name=self.roots.name(record), fields=dict(record.fields))

    def neighbour(self, neighbour: Neighbour) -> Hit:
        """Return what a client sees of a neighbour."""
        record = neighbour.record
        return Hit(
            id=record.id,
            name=self.roots.name(record),
            fields=dict(record.fields),
            similarity=neighbour.similarity,
        )

    def hit(self, hit: FoundHit) -> Hit:
        """Return what a client sees of a hit."""
        record = hit.record
        return Hit(
            id=record.id,
            name=self.roots.name(record),
            fields=dict(record.fields),
            similarity=hit.similarity,
            score=hit.score,
            by_vectors=hit.by_vectors,
            by_words=hit.by_words,
        )


def service_of(request: Request) -> Service:
    """Return the service that a request is for."""
    service: Service = request.app.state.service
    return service


Serving: TypeAlias = Annotated[Service, Depends(service_of)]
"""A parameter of a request's function: the service."""
