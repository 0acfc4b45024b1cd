"""The route that classifies images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter, Request, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.classify import ClassifyAnswer, ClassifyQuery, Judged, Prediction, Vote
from lookalike.schemas.values import Unusable
from lookalike.search.query import Embedding, Image, RecordId
from lookalike.server.http.request_bodies import body_schema, read_data_url, read_query
from lookalike.server.http.responses import json_response
from lookalike.server.routes.explanations import MOST_EXPLAINED, explain
from lookalike.server.routes.fast_route import FastRoute
from lookalike.server.service import InjectedService, Service, shown_approximation
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.classification.classifier import Classified, Classifier
    from lookalike.embedders.protocol import Embedder
    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.sources.uploads import Upload
    from lookalike.types import Record

router = APIRouter(tags=["classify"], route_class=FastRoute)

_EXAMPLE = {"by": "label", "ids": ["9f86d081884c7d659a2feaa0c55ad015"], "k": 5}


@router.post(
    "/v1/collections/{name}/classify",
    response_model=ClassifyAnswer,
    openapi_extra=body_schema(
        ClassifyQuery, example=_EXAMPLE, pictures="Pictures, after those of the query."
    ),
)
async def classify(name: str, request: Request, service: InjectedService) -> Response:
    """Label pictures by their nearest labelled neighbours, which are shown as evidence."""
    query, uploads = await read_query(request, ClassifyQuery, service.settings)
    pictures = [read_data_url(url, f"picture {place}") for place, url in enumerate(query.images)]
    pictures += uploads
    if not pictures and not query.ids:
        raise InvalidArgument("nothing to classify: send a picture or an id")
    if len(pictures) + len(query.ids) > service.settings.max_images:
        raise InvalidArgument(f"at most {service.settings.max_images} pictures a request")
    if query.explain and len(pictures) + len(query.ids) > MOST_EXPLAINED:
        raise InvalidArgument(f"at most {MOST_EXPLAINED} pictures a request are explained")

    async def answer() -> Response:
        images: list[Image | RecordId | Skipped] = []
        if pictures:
            model = await service.embedders.get(name, query.using)
            files = await service.embedding_queue.pictures(pictures, model.embedder, model.cache)
            images += [_image(file, model.embedder) for file in files]
        images += map(RecordId, query.ids)
        if query.explain:
            return json_response(await _explained(service, name, query, pictures, images))
        return await service.store_pool.run(
            lambda: json_response(_classify(service, name, query, images).answer)
        )

    return await service.embedders.checked(name, answer)


def _image(file: EmbeddedFile | Skipped, embedder: Embedder) -> Image | Skipped:
    if isinstance(file, Skipped):
        return file
    return Image(str(file.path), Embedding(file.features, embedder.fingerprint, file.digest))


class _Answered(NamedTuple):
    """An answer, and what it was made of."""

    answer: ClassifyAnswer
    classifier: Classifier
    found: list[Classified | Skipped]
    records: dict[str, Record]
    """Those of the question, by id."""


async def _explained(
    service: Service,
    name: str,
    query: ClassifyQuery,
    pictures: Sequence[Upload],
    images: Sequence[Image | RecordId | Skipped],
) -> ClassifyAnswer:
    """Classify, and explain each answer."""
    answered = await service.store_pool.run(lambda: _classify(service, name, query, images))
    sources = [*pictures, *(answered.records.get(identity) for identity in query.ids)]
    predictions: list[Prediction | Unusable] = []
    for prediction, found, source in zip(answered.answer.predictions, answered.found, sources, strict=True):
        if isinstance(prediction, Prediction) and not isinstance(found, Skipped) and source is not None:
            explanation = await explain(service, name, answered.classifier, found, source)
            prediction = prediction.model_copy(update={"explanation": explanation})
        predictions.append(prediction)
    return answered.answer.model_copy(update={"predictions": predictions})


def _classify(
    service: Service, name: str, query: ClassifyQuery, images: Sequence[Image | RecordId | Skipped]
) -> _Answered:
    """Classify, and write down what was found; blocks."""
    collection = service.collection(name)
    classifier = service.classifiers.get(
        *(collection, query.by, query.k, query.where, query.using),
        *(query.max_error, query.coverage, query.false_alarm),
        approximate=query.approximate,
    )  # fmt: skip
    age = classifier.age
    answers = list(classifier.classify(images))
    names: list[str | None] = [None] * (len(images) - len(query.ids))
    records: dict[str, Record] = {}
    if query.ids:
        records = {each.id: each for each in service.database[collection.name].records.get(query.ids)}
        known = {identity: service.roots.name(record) for identity, record in records.items()}
        names += [known.get(identity) for identity in query.ids]
    found = collection.vector(query.using).approximation if query.approximate else None
    answer = ClassifyAnswer(
        by=classifier.by,
        k=classifier.k,
        predictions=[
            Unusable(name=each.path, skipped=each.reason)
            if isinstance(each, Skipped)
            else _prediction(service, each, name)
            for each, name in zip(answers, names, strict=True)
        ],
        approximation=shown_approximation(found),
        judged=None if age is None else Judged(**asdict(age)),
        remarks=classifier.remarks,
    )
    return _Answered(answer, classifier, answers, records)


def _prediction(service: Service, answer: Classified, name: str | None) -> Prediction:
    found = answer.prediction
    return Prediction(
        name=name or str(answer.path),
        label=found.label,
        share=found.share,
        confidence=found.confidence,
        exemplars=found.exemplars,
        caution=found.caution,
        usual=found.usual,
        doubtful=found.doubtful,
        runner_up=None
        if found.runner_up is None
        else Vote(label=found.runner_up[0], share=found.runner_up[1]),
        p_value=found.p_value,
        reason=found.reason,
        label_set=None if found.label_set is None else list(found.label_set),
        votes=[Vote(label=label, share=share) for label, share in found.votes],
        neighbours=service.neighbours(found.neighbours),
        itself=answer.itself,
    )
