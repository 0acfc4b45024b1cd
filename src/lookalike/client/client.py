"""The client of a service: its collections, models and jobs."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Self

from lookalike.client.collection import RemoteCollection
from lookalike.client.connection import RETRIES, TIMEOUT, Connection, build_query
from lookalike.client.job import RemoteJob
from lookalike.client.pictures import data_url
from lookalike.schemas.collections import Collection, Collections, NewCollection
from lookalike.schemas.embeddings import EmbeddingsAnswer, EmbeddingsRequest, Model, Models
from lookalike.schemas.index import Folders
from lookalike.schemas.jobs import Job, Jobs
from lookalike.schemas.service import ServiceInfo
from lookalike.search.query import Text

if TYPE_CHECKING:
    from lookalike.search.query import Image, Picture


class Client:
    """A client of a lookalike service; thread-safe.

    Every call raises a `ServiceError` where the service does not answer as it should: see `client.errors`.
    Answers are the models of `lookalike.schemas`.
    """

    def __init__(
        self, url: str, *, key: str | None = None, timeout: float = TIMEOUT, retries: int = RETRIES
    ) -> None:
        """Say where the service is; nothing is sent yet.

        Args:
            url: its address, as `http://127.0.0.1:8000`, with a path where a proxy puts it below one.
            key: an API key, where the service asks for one.
            timeout: seconds in which an answer must have come.
            retries: times that a request is sent again where the connection is refused, and, if it changes
                nothing or may be repeated, where the service answers that it is busy.

        Raises:
            InvalidArgument: the address is none.
        """
        self._connection = Connection(url, key=key, timeout=timeout, retries=retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __getitem__(self, name: str) -> RemoteCollection:
        """Return the handle of a collection; nothing is sent yet."""
        return RemoteCollection(self._connection, name)

    def collections(self) -> list[Collection]:
        """Return the collections that are served."""
        return self._connection.request(Collections, "GET", "v1", "collections").collections

    def create(self, name: str, model: str, *, index_name: str | None = None) -> RemoteCollection:
        """Make an empty collection, and return its handle; a writing key is needed.

        Args:
            name: letters, digits, `_` and `-`.
            model: its embedder.
            index_name: a name for its index, where the service's store is Elasticsearch.

        Raises:
            InvalidArgument: a name is too long or too short.
        """
        body = build_query(NewCollection, {"name": name, "model": model, "index_name": index_name})
        made = self._connection.request(Collection, "POST", "v1", "collections", body=body, again=False)
        return self[made.name]

    def folders(self, root: str | None = None, path: str = "") -> Folders:
        """Return the folders that may be indexed there: the roots, or what lies in a folder below one.

        Args:
            root: its name; None for the roots.
            path: below it, parted by slashes.
        """
        return self._connection.request(Folders, "GET", "v1", "folders", query={"root": root, "path": path})

    def models(self) -> list[Model]:
        """Return the models that may be asked for vectors."""
        return self._connection.request(Models, "GET", "v1", "models").data

    def embed(self, model: str, *inputs: Image | Text | Picture) -> list[list[float]]:
        """Return the vectors of pictures and texts.

        Args:
            model: one of `models()`.
            inputs: images (paths of this machine, or bytes) and `Text`s.

        Returns:
            One vector of length 1 for each, in the order given.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
        """
        sent = [each.text if isinstance(each, Text) else data_url(each) for each in inputs]
        given = {"input": sent, "model": model, "encoding_format": "base64"}
        answer = self._connection.request(
            EmbeddingsAnswer, "POST", "v1", "embeddings", body=build_query(EmbeddingsRequest, given)
        )
        return [_numbers(each.embedding) for each in answer.data]

    def service(self) -> ServiceInfo:
        """Return what the service is, and what this client's key may do there."""
        return self._connection.request(ServiceInfo, "GET", "v1", "service")

    def jobs(self) -> list[Job]:
        """Return the jobs that wait, run, or ended last; the newest first."""
        return self._connection.request(Jobs, "GET", "v1", "jobs").jobs

    def job(self, identity: str) -> RemoteJob:
        """Return the handle of a job; nothing is sent yet."""
        return RemoteJob(self._connection, identity)


def _numbers(vector: list[float] | str) -> list[float]:
    if isinstance(vector, list):
        return vector
    numbers = array("f", base64.b64decode(vector))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
