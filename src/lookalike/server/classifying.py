"""Requests that classify images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from lookalike.errors import FieldNotFound, InvalidArgument, Unanswerable
from lookalike.pipeline import EmbeddedFile
from lookalike.records import Skipped
from lookalike.schemas.classifying import ClassifyAnswer, ClassifyQuery, Prediction, Vote
from lookalike.schemas.values import Approximation, Unusable
from lookalike.server.service import Service, Serving
from lookalike.server.uploads import described, read_data_url, read_question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.answering import Classified
    from lookalike.records import Collection

router = APIRouter(tags=["classify"])

_EXAMPLE = {"by": "label", "ids": ["9f86d081884c7d659a2feaa0c55ad015"], "k": 5}


@router.post(
    "/v1/collections/{name}/classify",
    openapi_extra=described(ClassifyQuery, example=_EXAMPLE, pictures="Pictures, after those of the query."),
)
async def classify(name: str, request: Request, service: Serving) -> ClassifyAnswer:
    """Label pictures by their nearest labelled neighbours, which are shown as evidence."""
    query, uploads = await read_question(request, ClassifyQuery, service.settings)
    pictures = [read_data_url(url, f"picture {place}") for place, url in enumerate(query.images)]
    pictures += uploads
    if not pictures and not query.ids:
        raise InvalidArgument("nothing to classify: send a picture or an id")
    if len(pictures) + len(query.ids) > service.settings.max_images:
        raise InvalidArgument(f"at most {service.settings.max_images} pictures a request")
    collection = await service.work(lambda: service.collection(name))
    if query.by not in collection.fields:
        raise FieldNotFound(query.by, collection.fields)
    embedder = await service.work(lambda: service.session.embedder_of(collection))
    files = list(
        await service.embedding.pictures(pictures, embedder, service.session.features(embedder))
        if pictures
        else ()
    )
    return await service.work(lambda: _classify(service, collection, query, files))


def _classify(
    service: Service, collection: Collection, query: ClassifyQuery, files: Sequence[EmbeddedFile | Skipped]
) -> ClassifyAnswer:
    judge = service.judges.get(
        collection.name, query.by, query.k, query.where, query.max_error, query.coverage, query.false_alarm
    )
    k = query.k if judge is None else judge.judgement.k
    if k == "auto":
        raise Unanswerable("too few labelled images to choose k by cross-validation: name a number")
    recorded = [service.session.recorded(collection, identity) for identity in query.ids]
    answers = service.session.classify_embedded(
        collection, [*files, *recorded], query.by, k, query.where, judge=judge, approximate=query.approximate
    )
    names = [None] * len(files) + [service.roots.name_of(file.path) for file in recorded]
    found = collection.approximation if query.approximate else None
    remarks = []
    if judge is not None and judge.selection is not None:
        chosen = judge.selection
        remarks.append(
            f"an error of at most {chosen.max_error:g} leaves {chosen.share:.4f} of the answers: "
            f"{chosen.answered:,} of {chosen.total:,} held-out ones, {chosen.wrong:,} of them wrong"
        )
    return ClassifyAnswer(
        by=query.by,
        k=k,
        predictions=[
            Unusable(name=each.path, skipped=each.reason)
            if isinstance(each, Skipped)
            else _prediction(service, each, name)
            for each, name in zip(answers, names, strict=True)
        ],
        approximation=None if found is None else Approximation(**asdict(found)),
        remarks=remarks,
    )


def _prediction(service: Service, answer: Classified, name: str | None) -> Prediction:
    found = answer.prediction
    return Prediction(
        name=name or str(answer.path),
        label=found.label,
        share=found.share,
        confidence=found.confidence,
        p_value=found.p_value,
        reason=found.reason,
        label_set=None if found.label_set is None else list(found.label_set),
        votes=[Vote(label=label, share=share) for label, share in found.votes],
        neighbours=[service.neighbour(each) for each in found.neighbours],
        itself=answer.itself,
    )
