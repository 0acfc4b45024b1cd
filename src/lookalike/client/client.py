"""The client: one method for each request to a service."""

from __future__ import annotations

import base64
import json
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import BaseModel

from lookalike.client.connection import JSON, RETRIES, TIMEOUT, Connection, build_query, image_parts
from lookalike.client.errors import JobFailed, JobUnfinished
from lookalike.client.pictures import data_url, read_picture
from lookalike.schemas.audit import AuditQuery, DuplicateGroups, LeftOuts, Outliers, SmallClasses, Suspects
from lookalike.schemas.classify import ClassifyAnswer, ClassifyQuery
from lookalike.schemas.collections import Collection, Collections, Deleted, NewCollection, Values
from lookalike.schemas.embeddings import EmbeddingsAnswer, EmbeddingsRequest, Model, Models
from lookalike.schemas.evaluate import EvaluatedImages, EvaluateQuery, EvaluationAnswer
from lookalike.schemas.images import Added, Correction, ImageDetails
from lookalike.schemas.index import Indexing, IndexQuery
from lookalike.schemas.jobs import Job, Jobs
from lookalike.schemas.map import MapAnswer, MapQuery
from lookalike.schemas.search import SearchAnswer, SearchQuery
from lookalike.schemas.service import ServiceInfo
from lookalike.search.query import Image, RecordId, Text, alternatives, as_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lookalike.client.connection import Part
    from lookalike.search.query import Conditions, Picture, Summand, Terms, Value

    Fields = Mapping[str, Value]
    Classifiable = Picture | Image | RecordId

_M = TypeVar("_M", bound=BaseModel)

PAGE = 50
"""Images or entries of a page."""

# Seconds between two requests for the state of a job: at first, and when it takes long.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


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

    def service(self) -> ServiceInfo:
        """Return what the service is, and what this client's key may do there."""
        return self._connection.request(ServiceInfo, "GET", "v1", "service")

    def search(
        self,
        collection: str,
        query: Terms | Picture,
        *,
        k: int = 10,
        offset: int = 0,
        where: Conditions | None = None,
        using: str | None = None,
        hybrid: bool = False,
        min_similarity: float | Literal["auto"] | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
    ) -> SearchAnswer:
        """Find the images of a collection that are most like an image, a text, a record, or a sum of them.

        Args:
            collection: its name.
            query: a path of this machine, the bytes of an image, a term, or a sum:
                `Text("red car") - Image("a.jpg")`.
            k: hits a page, 1 … 1,000.
            offset: hits to pass over.
            where: only images that match: every field named must have one of its values.
            using: the vector that is searched, by default the default one.
            hybrid: find the words in labels, names, fields and captions too, and fuse both rankings.
            min_similarity: leave out what is less similar, −1 … 1; `auto` sets this against the collection.
            false_alarm: for `auto`: how often something may be found that is not there, 0 … 1.
            approximate: use the collection's approximate index, if it has one.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a number is out of its range.
        """
        pictures: list[tuple[str, bytes]] = []
        asked = build_query(
            SearchQuery,
            {
                "terms": [_term(each, pictures) for each in as_query(query).summands],
                "k": k,
                "offset": offset,
                "where": alternatives(where),
                "using": using,
                "hybrid": hybrid,
                "min_similarity": min_similarity,
                "false_alarm": false_alarm,
                "approximate": approximate,
            },
        )
        return self._connection.post_query(
            SearchAnswer, asked, pictures, "v1", "collections", collection, "search"
        )

    def classify(
        self,
        collection: str,
        images: Classifiable | Iterable[Classifiable],
        by: str,
        *,
        k: int | Literal["auto"] = 5,
        where: Conditions | None = None,
        using: str | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
    ) -> ClassifyAnswer:
        """Label pictures by their nearest labelled neighbours, which are the evidence.

        Args:
            collection: its name.
            images: paths of this machine, bytes, or `RecordId`s of the collection.
            by: the field that holds the label.
            k: neighbours that vote, 1 … 1,000; `auto` chooses by cross-validation.
            where: only images that match vote.
            using: the vector that is searched, by default the default one.
            max_error: answer only where the held-out answers promise at most this error, 0 … 1.
            coverage: give label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known pictures that may be called unknown, 0 … 1.
            approximate: use the collection's approximate index, if it has one.

        Returns:
            A prediction for each image, in the order given, or the reason why there is none.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a number is out of its range.
        """
        several = list(_several(images))
        asked = build_query(
            ClassifyQuery,
            {
                "by": by,
                "ids": [each.id for each in several if isinstance(each, RecordId)],
                "k": k,
                "where": alternatives(where),
                "using": using,
                "max_error": max_error,
                "coverage": coverage,
                "false_alarm": false_alarm,
                "approximate": approximate,
            },
        )
        sent = [read_picture(each) for each in several if not isinstance(each, RecordId)]
        answer = self._connection.post_query(
            ClassifyAnswer, asked, sent, "v1", "collections", collection, "classify"
        )
        # The service answers pictures first and ids then.
        first, then = iter(answer.predictions[: len(sent)]), iter(answer.predictions[len(sent) :])
        ordered = [next(then if isinstance(each, RecordId) else first) for each in several]
        return answer.model_copy(update={"predictions": ordered})

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

    def models(self) -> list[Model]:
        """Return the models that may be asked for vectors."""
        return self._connection.request(Models, "GET", "v1", "models").data

    def collections(self) -> list[Collection]:
        """Return the collections that are served."""
        return self._connection.request(Collections, "GET", "v1", "collections").collections

    def collection(self, name: str) -> Collection:
        """Return one of them."""
        return self._connection.request(Collection, "GET", "v1", "collections", name)

    def create(self, name: str, model: str) -> Collection:
        """Make an empty collection; a writing key is needed.

        Args:
            name: letters, digits, `_` and `-`.
            model: its embedder.

        Raises:
            InvalidArgument: the name is too long or too short.
        """
        body = build_query(NewCollection, {"name": name, "model": model})
        return self._connection.request(Collection, "POST", "v1", "collections", body=body, again=False)

    def delete(self, name: str) -> int:
        """Delete a collection and return how many images it had; a writing key is needed."""
        return self._connection.request(Deleted, "DELETE", "v1", "collections", name, again=False).deleted

    def values(self, name: str) -> Values:
        """Return the values of every field of a collection, the most frequent first."""
        return self._connection.request(Values, "GET", "v1", "collections", name, "values")

    def add(
        self,
        collection: str,
        images: Picture | Iterable[Picture],
        *,
        fields: Fields | Sequence[Fields] = (),
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    ) -> Added:
        """Put pictures into a collection; a writing key is needed. The same picture again is the same image.

        Args:
            collection: its name.
            images: paths of this machine, or bytes; one, or several.
            fields: of all, or of each.
            metadata: of all, or of each.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
        """
        several = [images] if isinstance(images, str | Path | bytes) else images
        parts: list[Part] = [
            (name, (None, json.dumps(given), JSON))
            for name, given in (("fields", fields), ("metadata", metadata))
            if given
        ]
        parts += image_parts([read_picture(each) for each in several])
        return self._connection.request(Added, "POST", *_images(collection), parts=parts)

    def image(self, collection: str, identity: str) -> ImageDetails:
        """Return all that is known of an image."""
        return self._connection.request(ImageDetails, "GET", *_images(collection), identity)

    def correct(
        self,
        collection: str,
        identity: str,
        fields: Mapping[str, Value | None] | None = None,
        *,
        confirm: Sequence[str] = (),
    ) -> ImageDetails:
        """Put fields of an image right; a writing key is needed.

        Args:
            collection: its name.
            identity: of the image.
            fields: new values; None removes a field.
            confirm: fields that are right as they are, or as `fields` has them.

        Raises:
            InvalidArgument: a value is none that a field can have.
        """
        body = build_query(Correction, {"fields": dict(fields or {}), "confirm": list(confirm)})
        return self._connection.request(ImageDetails, "PATCH", *_images(collection), identity, body=body)

    def remove(self, collection: str, identity: str) -> None:
        """Take an image out of a collection; a writing key is needed."""
        self._connection.send("DELETE", *_images(collection), identity, again=False)

    def thumbnail(self, collection: str, identity: str, size: Literal[64, 128, 256, 512] = 256) -> bytes:
        """Return an image as a WebP of at most so many pixels a side."""
        answer = self._connection.send(
            "GET", *_images(collection), identity, "thumbnail", query={"size": size}
        )
        return answer.content

    def original(self, collection: str, identity: str) -> bytes:
        """Return the file of an image."""
        return self._connection.send("GET", *_images(collection), identity, "original").content

    def evaluate(
        self,
        collection: str,
        by: str,
        *,
        within: str | None = None,
        using: str | None = None,
        k: int | Literal["auto"] | None = None,
        group: str | None = None,
        folds: int | None = None,
        repeats: int | None = None,
        seed: int | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
    ) -> Job:
        """Begin to measure how often the neighbours are right; see `evaluation`.

        Args:
            collection: its name.
            by: the field that holds the label.
            within: compare an image only with those of the same value of this field.
            using: the vector that is judged, by default the default one.
            k: neighbours that vote; `auto` chooses; by default 5.
            group: never compare an image with those of the same value of this field.
            folds: for a fitted metric or k `auto`; by default 5.
            repeats: how often folds are drawn; by default 3.
            seed: of the first drawing; by default 0.
            max_error: find the confidence above which the error is at most this, 0 … 1.
            coverage: measure label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known pictures that may be called unknown, 0 … 1.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        given = {
            "by": by, "within": within, "using": using, "k": k, "group": group, "folds": folds,
            "repeats": repeats, "seed": seed, "max_error": max_error, "coverage": coverage,
            "false_alarm": false_alarm,
        }  # fmt: skip
        return self._begin(collection, "evaluations", EvaluateQuery, given)

    def audit(
        self, collection: str, by: str, *, split: str | None = None, using: str | None = None, k: int = 5
    ) -> Job:
        """Begin to look for what is wrong with labels and images; see `suspects` and those below it.

        Args:
            collection: its name.
            by: the field that holds the label.
            split: the field that tells training images from test images.
            using: the vector that is judged, by default the default one.
            k: neighbours that vote.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        asked = {"by": by, "split": split, "using": using, "k": k}
        return self._begin(collection, "audits", AuditQuery, asked)

    def draw(self, collection: str, by: str | None = None) -> Job:
        """Begin to draw the map of a collection, with the values of a field as labels; see `map`."""
        return self._begin(collection, "maps", MapQuery, {"by": by})

    def index(
        self,
        collection: str,
        *,
        labels: Literal["auto", "folders", "json", "table", "xml", "yolo", "none"] = "auto",
        prune: bool = False,
        yes: bool = False,
    ) -> Job:
        """Begin to index again what was indexed there; a writing key is needed; see `indexing`.

        Args:
            collection: its name.
            labels: where labels are read from.
            prune: remove images whose file is gone.
            yes: even where these are more than a tenth of the collection; else the job fails.
        """
        asked = {"labels": labels, "prune": prune, "yes": yes}
        return self._begin(collection, "indexings", IndexQuery, asked)

    def jobs(self) -> list[Job]:
        """Return the jobs that wait, run, or ended last; the newest first."""
        return self._connection.request(Jobs, "GET", "v1", "jobs").jobs

    def job(self, job: Job | str) -> Job:
        """Return a job as it is now."""
        return self._connection.request(Job, "GET", "v1", "jobs", _id(job))

    def cancel(self, job: Job | str) -> Job:
        """Cancel a job."""
        return self._connection.request(Job, "DELETE", "v1", "jobs", _id(job))

    def wait(
        self,
        job: Job | str,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        *,
        timeout: float | None = None,
    ) -> Job:
        """Wait until a job is done.

        Args:
            job: a job, or its id.
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
            now = self.job(job)
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

    def evaluation(self, job: Job | str) -> EvaluationAnswer:
        """Return the figures of an evaluation."""
        return self._result(EvaluationAnswer, job, "evaluation")

    def evaluated_images(
        self,
        job: Job | str,
        *,
        label: int | None = None,
        predicted: int | None = None,
        wrong: bool = False,
        offset: int = 0,
        limit: int = PAGE,
    ) -> EvaluatedImages:
        """Return images of an evaluation with the neighbours that voted.

        Args:
            job: an evaluation.
            label: only images of this label: a place in its `classes`.
            predicted: only images that were given this one.
            wrong: only mistakes.
            offset: images to pass over.
            limit: images at most.
        """
        query = {"label": label, "predicted": predicted, "wrong": wrong, "offset": offset, "limit": limit}
        return self._result(EvaluatedImages, job, "evaluation", "images", **query)

    def suspects(
        self, job: Job | str, *, contradicted: bool = True, offset: int = 0, limit: int = PAGE
    ) -> Suspects:
        """Return the labels that an audit found to look wrong.

        Args:
            job: an audit.
            contradicted: only those that the neighbours contradict.
            offset: entries to pass over.
            limit: entries at most.
        """
        return self._audited(Suspects, job, "suspects", offset, limit, all=not contradicted)

    def duplicates(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> DuplicateGroups:
        """Return the near-duplicates that an audit found."""
        return self._audited(DuplicateGroups, job, "duplicates", offset, limit)

    def outliers(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> Outliers:
        """Return the images that an audit found to be unlike all others."""
        return self._audited(Outliers, job, "outliers", offset, limit)

    def small_classes(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> SmallClasses:
        """Return the labels that an audit found too few images of."""
        return self._audited(SmallClasses, job, "small_classes", offset, limit)

    def left_out(self, job: Job | str, *, offset: int = 0, limit: int = PAGE) -> LeftOuts:
        """Return the images that an audit could not judge."""
        return self._audited(LeftOuts, job, "left_out", offset, limit)

    def map(self, job: Job | str) -> MapAnswer:
        """Return the map that was drawn."""
        return self._result(MapAnswer, job, "map")

    def indexing(self, job: Job | str) -> Indexing:
        """Return what became of every file that was indexed again."""
        return self._result(Indexing, job, "indexing")

    def _begin(self, collection: str, what: str, kind: type[BaseModel], given: dict[str, Any]) -> Job:
        path = ("v1", "collections", collection, what)
        return self._connection.request(Job, "POST", *path, body=build_query(kind, given), again=False)

    def _audited(
        self, kind: type[_M], job: Job | str, part: str, offset: int, limit: int, **query: object
    ) -> _M:
        return self._result(kind, job, "audit", list=part, offset=offset, limit=limit, **query)

    def _result(self, kind: type[_M], job: Job | str, *path: str, **query: object) -> _M:
        return self._connection.request(kind, "GET", "v1", "jobs", _id(job), *path, query=query)


def _term(summand: Summand, pictures: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Return a term as the service has it; a picture is added to those that are sent."""
    sign, term = summand
    if isinstance(term, RecordId):
        return {"id": term.id, "sign": sign}
    if isinstance(term, Text):
        return {"text": term.text, "sign": sign}
    pictures.append(read_picture(term))
    return {"image": len(pictures) - 1, "sign": sign}


def _several(images: Classifiable | Iterable[Classifiable]) -> Iterable[Classifiable]:
    return [images] if isinstance(images, str | Path | bytes | Image | RecordId) else images


def _numbers(vector: list[float] | str) -> list[float]:
    if isinstance(vector, list):
        return vector
    numbers = array("f", base64.b64decode(vector))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _images(collection: str) -> tuple[str, ...]:
    return ("v1", "collections", collection, "images")


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
