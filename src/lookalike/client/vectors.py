"""The vectors of a collection of a service, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.client.connection import build_query
from lookalike.client.job import RemoteJob, begin_job
from lookalike.schemas.collections import Collection, CollectionChange, NewVector

if TYPE_CHECKING:
    from lookalike.client.connection import Connection


class RemoteVectors:
    """The handle of a collection's vectors: `collection.vectors`; writing keys are needed."""

    def __init__(self, connection: Connection, path: tuple[str, ...]) -> None:
        """Name a collection by its path; nothing is sent."""
        self._connection = connection
        self._path = path

    def add(self, name: str, model: str) -> RemoteJob:
        """Begin to give every image a further vector; see `RemoteJob.vector`.

        Args:
            name: a-z, 0-9, `_` and `-`, a letter first.
            model: its embedder.

        Raises:
            InvalidArgument: a name is too long or too short.
        """
        given = {"name": name, "model": model}
        return begin_job(self._connection, (*self._path, "vectors"), NewVector, given)

    def drop(self, name: str) -> Collection:
        """Drop a vector of all images, and return the collection."""
        return self._connection.request(Collection, "DELETE", *self._path, "vectors", name, again=False)

    def set_default(self, name: str) -> Collection:
        """Make a vector the default one, and return the collection."""
        body = build_query(CollectionChange, {"default": name})
        return self._connection.request(Collection, "PATCH", *self._path, body=body)
