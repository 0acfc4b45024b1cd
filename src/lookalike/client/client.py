"""The client: what can be asked of a service in one call."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Any, Literal

from lookalike.client.connection import question
from lookalike.client.images import Images
from lookalike.client.terms import Id, Minus, data_url, read_picture
from lookalike.schemas.classify import ClassifyAnswer, ClassifyQuery
from lookalike.schemas.embeddings import EmbeddingsAnswer, EmbeddingsRequest, Model, Models
from lookalike.schemas.search import SearchAnswer, SearchQuery
from lookalike.schemas.service import ServiceInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.client.terms import Picture, Term
    from lookalike.schemas.values import Value

    Where = Mapping[str, Sequence[Value]]


class Client(Images):
    """A service of lookalike; threads may share it. See `Connection` for its arguments.

    Every call raises a `ServiceError` where the service does not answer as it should: see `client.errors`.
    Answers are the models of `lookalike.schemas`.
    """

    def service(self) -> ServiceInfo:
        """Return what the service is, and what this client's key may do there."""
        return self._ask(ServiceInfo, "GET", "v1", "service")

    def search(
        self,
        collection: str,
        *terms: Term,
        k: int = 10,
        offset: int = 0,
        where: Where | None = None,
        hybrid: bool = False,
        min_similarity: float | Literal["auto"] | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
    ) -> SearchAnswer:
        """Find the images of a collection that are most like a picture, an image, a text, or a sum of them.

        Args:
            collection: its name.
            terms: pictures (paths of this machine, or bytes), `Id`s of the collection, texts, and `Minus` of
                any of them; they are added up.
            k: hits a page, 1 … 1,000.
            offset: hits to pass over.
            where: only images that match: every field named must have one of its values.
            hybrid: find the words in labels, names, fields and captions too, and fuse both rankings.
            min_similarity: leave out what is less similar, −1 … 1; `auto` sets this against the collection.
            false_alarm: for `auto`: how often something may be found that is not there, 0 … 1.
            approximate: use the collection's approximate index, if it has one.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a number is out of its range.
        """
        pictures: list[tuple[str, bytes]] = []
        asked = question(
            SearchQuery,
            {
                "terms": [_term(term, pictures) for term in terms],
                "k": k,
                "offset": offset,
                "where": where,
                "hybrid": hybrid,
                "min_similarity": min_similarity,
                "false_alarm": false_alarm,
                "approximate": approximate,
            },
        )
        return self._put(SearchAnswer, asked, pictures, "v1", "collections", collection, "search")

    def classify(
        self,
        collection: str,
        *pictures: Picture | Id,
        by: str,
        k: int | Literal["auto"] = 5,
        where: Where | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
    ) -> ClassifyAnswer:
        """Label pictures by their nearest labelled neighbours, which are the evidence.

        Args:
            collection: its name.
            pictures: paths of this machine, bytes, or `Id`s of the collection.
            by: the field that holds the label.
            k: neighbours that vote, 1 … 1,000; `auto` chooses by cross-validation.
            where: only images that match vote.
            max_error: answer only where the held-out answers promise at most this error, 0 … 1.
            coverage: give label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known pictures that may be called unknown, 0 … 1.
            approximate: use the collection's approximate index, if it has one.

        Returns:
            A prediction for each picture, in the order given, or the reason why there is none.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a number is out of its range.
        """
        asked = question(
            ClassifyQuery,
            {
                "by": by,
                "ids": [each.id for each in pictures if isinstance(each, Id)],
                "k": k,
                "where": where,
                "max_error": max_error,
                "coverage": coverage,
                "false_alarm": false_alarm,
                "approximate": approximate,
            },
        )
        sent = [read_picture(each) for each in pictures if not isinstance(each, Id)]
        answer = self._put(ClassifyAnswer, asked, sent, "v1", "collections", collection, "classify")
        # The service answers pictures first and ids then.
        first, then = iter(answer.predictions[: len(sent)]), iter(answer.predictions[len(sent) :])
        ordered = [next(then if isinstance(each, Id) else first) for each in pictures]
        return answer.model_copy(update={"predictions": ordered})

    def embed(self, model: str, *inputs: Picture | str) -> list[list[float]]:
        """Return the vectors of pictures and texts.

        Args:
            model: one of `models()`.
            inputs: pictures (paths of this machine, or bytes) and texts.

        Returns:
            One vector of length 1 for each, in the order given.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
        """
        sent = [each if isinstance(each, str) else data_url(each) for each in inputs]
        given = {"input": sent, "model": model, "encoding_format": "base64"}
        answer = self._ask(
            EmbeddingsAnswer, "POST", "v1", "embeddings", body=question(EmbeddingsRequest, given)
        )
        return [_numbers(each.embedding) for each in answer.data]

    def models(self) -> list[Model]:
        """Return the models that may be asked for vectors."""
        return self._ask(Models, "GET", "v1", "models").data


def _term(term: Term, pictures: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Return a term as the service has it; a picture is added to those that are sent."""
    if isinstance(term, Minus):
        return {**_term(term.term, pictures), "sign": -1}
    if isinstance(term, Id):
        return {"id": term.id}
    if isinstance(term, str):
        return {"text": term}
    pictures.append(read_picture(term))
    return {"image": len(pictures) - 1}


def _numbers(vector: list[float] | str) -> list[float]:
    if isinstance(vector, list):
        return vector
    numbers = array("f", base64.b64decode(vector))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
