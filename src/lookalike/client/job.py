"""The handle of a job of a service: its progress, its end, and its result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from lookalike.client.connection import build_query
from lookalike.client.errors import JobFailed, JobUnfinished
from lookalike.schemas.audit import (
    DuplicateGroups,
    LeftOuts,
    Outliers,
    Pictures,
    SmallClasses,
    Suspects,
    Unread,
)
from lookalike.schemas.collections import Vector
from lookalike.schemas.drift import DriftAnswer
from lookalike.schemas.evaluate import EvaluatedImages, EvaluationAnswer
from lookalike.schemas.imports import Imported
from lookalike.schemas.index import Indexing
from lookalike.schemas.jobs import Job
from lookalike.schemas.map import MapAnswer
from lookalike.schemas.suggest import SuggestAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.client.connection import Connection

_M = TypeVar("_M", bound=BaseModel)

PAGE = 50
"""Images or entries of a page."""

# Seconds between two requests for the state of a job: at first, and when it takes long.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class RemoteJob:
    """A job of a service, whether this client began it or not; a cheap handle, thread-safe."""

    def __init__(self, connection: Connection, identity: str) -> None:
        """Name it; nothing is sent yet.

        Args:
            connection: to the service.
            identity: the job's id.
        """
        self.id = identity
        self._connection = connection
        self._path = ("v1", "jobs", identity)

    def info(self) -> Job:
        """Return its state and progress."""
        return self._connection.request(Job, "GET", *self._path)

    def cancel(self) -> Job:
        """Cancel a job."""
        return self._connection.request(Job, "DELETE", *self._path)

    def wait(
        self,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        *,
        timeout: float | None = None,
    ) -> Job:
        """Wait until a job is done.

        Args:
            progress: called with what is done and what there is to do, whenever that has changed.
            timeout: seconds after which to give up; None: never.

        Raises:
            JobFailed: it failed, or somebody cancelled it.
            JobUnfinished: it goes on, and the time is over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        known = (0, 0)
        pause = _FIRST_PAUSE
        while True:
            now = self.info()
            if (now.done, now.total) != known:
                known = (now.done, now.total)
                progress(*known)
            if now.state == "done":
                return now
            if now.state in ("failed", "cancelled"):
                raise JobFailed(now)
            if deadline is not None and time.monotonic() >= deadline:
                raise JobUnfinished(now)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def evaluation(self) -> EvaluationAnswer:
        """Return the figures of an evaluation."""
        return self._result(EvaluationAnswer, "evaluation")

    def images(
        self,
        *,
        label: int | None = None,
        predicted: int | None = None,
        wrong: bool = False,
        offset: int = 0,
        limit: int = PAGE,
    ) -> EvaluatedImages:
        """Return images of an evaluation with the neighbours that voted.

        Args:
            label: only images of this label: a place in its `classes`.
            predicted: only images that were given this one.
            wrong: only mistakes.
            offset: images to pass over.
            limit: images at most.
        """
        query = {"label": label, "predicted": predicted, "wrong": wrong, "offset": offset, "limit": limit}
        return self._result(EvaluatedImages, "evaluation", "images", **query)

    def suspects(self, *, contradicted: bool = True, offset: int = 0, limit: int = PAGE) -> Suspects:
        """Return the labels that an audit found to look wrong.

        Args:
            contradicted: only those that the neighbours contradict.
            offset: entries to pass over.
            limit: entries at most.
        """
        return self._audited(Suspects, "suspects", offset, limit, all=not contradicted)

    def duplicates(self, *, offset: int = 0, limit: int = PAGE) -> DuplicateGroups:
        """Return the near-duplicates that an audit found."""
        return self._audited(DuplicateGroups, "duplicates", offset, limit)

    def outliers(self, *, offset: int = 0, limit: int = PAGE) -> Outliers:
        """Return the images that an audit found to be unlike all others."""
        return self._audited(Outliers, "outliers", offset, limit)

    def small_classes(self, *, offset: int = 0, limit: int = PAGE) -> SmallClasses:
        """Return the labels that an audit found too few images of."""
        return self._audited(SmallClasses, "small_classes", offset, limit)

    def left_out(self, *, offset: int = 0, limit: int = PAGE) -> LeftOuts:
        """Return the images that an audit could not judge."""
        return self._audited(LeftOuts, "left_out", offset, limit)

    def drift(self) -> DriftAnswer:
        """Return what a comparison of new images with the others found."""
        return self._result(DriftAnswer, "drift")

    def suggestions(self) -> SuggestAnswer:
        """Return the images to label next that were chosen."""
        return self._result(SuggestAnswer, "suggestions")

    def pictures(self, *, offset: int = 0, limit: int = PAGE) -> Pictures:
        """Return the pictures that an audit found to be of poor quality."""
        return self._audited(Pictures, "pictures", offset, limit)

    def unread(self, *, offset: int = 0, limit: int = PAGE) -> Unread:
        """Return the images whose pictures an audit could not read."""
        return self._audited(Unread, "unread", offset, limit)

    def map(self) -> MapAnswer:
        """Return the map that was drawn."""
        return self._result(MapAnswer, "map")

    def indexing(self) -> Indexing:
        """Return what became of every file that was indexed again."""
        return self._result(Indexing, "indexing")

    def imported(self) -> Imported:
        """Return what became of every row of a file that was imported."""
        return self._result(Imported, "import")

    def vector(self) -> Vector:
        """Return the further vector that was made; not ready where images lack it."""
        return self._result(Vector, "vector")

    def _audited(self, kind: type[_M], part: str, offset: int, limit: int, **query: object) -> _M:
        return self._result(kind, "audit", list=part, offset=offset, limit=limit, **query)

    def _result(self, kind: type[_M], *path: str, **query: object) -> _M:
        return self._connection.request(kind, "GET", *self._path, *path, query=query)


def begin_job(
    connection: Connection,
    path: tuple[str, ...],
    kind: type[BaseModel],
    given: dict[str, Any],
    sent: Sequence[tuple[str, bytes]] = (),
) -> RemoteJob:
    """Ask a service to begin a job.

    Args:
        connection: to the service.
        path: of such jobs, in its parts.
        kind: of what is asked.
        given: what is asked.
        sent: names and bytes of pictures.

    Raises:
        InvalidArgument: what is given is not of that kind.
    """
    job = connection.post_query(Job, build_query(kind, given), sent, *path, again=False)
    return RemoteJob(connection, job.id)
