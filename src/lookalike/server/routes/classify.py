"""The route that classifies images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from lookalike.errors import FieldNotFound, InvalidArgument, SpaceMismatch, Unanswerable
from lookalike.ingest.embedding import EmbeddedFile
from lookalike.label_normalisation import kept_filter, kept_name
from lookalike.schemas.classify import ClassifyAnswer, ClassifyQuery, Prediction, Vote
from lookalike.schemas.values import Approximation, Unusable
from lookalike.server.http.request_bodies import body_schema, read_data_url, read_query
from lookalike.server.http.responses import json_response
from lookalike.server.routes.fast_route import FastRoute
from lookalike.server.service import InjectedService, Service
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.answering import Classified
    from lookalike.evaluation.calibrator import Calibrator

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

    async def answer() -> Response:
        files: list[EmbeddedFile | Skipped] = []
        made_by = None
        if pictures:
            maker = await service.embedders.get(name)
            made_by = maker.embedder.fingerprint
            files = await service.embedding_queue.pictures(pictures, maker.embedder, maker.cache)
        return await service.store_pool.run(
            lambda: json_response(_classify(service, name, query, files, made_by))
        )

    return await service.embedders.checked(name, answer)


def _classify(
    service: Service,
    name: str,
    query: ClassifyQuery,
    files: Sequence[EmbeddedFile | Skipped],
    made_by: str | None,
) -> ClassifyAnswer:
    """Classify, and write down what was found; `made_by` is the fingerprint of what embedded; blocks."""
    collection = service.collection(name)
    if made_by not in (None, collection.space.embedder_fingerprint):
        raise SpaceMismatch(name, str(collection.space), "the model that it had before")
    by, where = kept_name(query.by, collection), kept_filter(query.where, collection) or {}
    if by not in collection.fields:
        raise FieldNotFound(by, collection.fields)
    judge = service.calibrations.get(
        collection.name, by, query.k, where, query.max_error, query.coverage, query.false_alarm
    )
    k = query.k if judge is None else judge.calibration_set.k
    if k == "auto":
        raise Unanswerable("too few labelled images to choose k by cross-validation: name a number")
    recorded = [service.session.recorded(collection, identity) for identity in query.ids]
    answers = service.session.classify_embedded(
        collection, [*files, *recorded], by, k, where, judge=judge, approximate=query.approximate
    )
    names: list[str | None] = [None] * len(files)
    if query.ids:
        records = service.session.store.get(collection.name, query.ids)
        known = {record.id: service.roots.name(record) for record in records}
        names += [known.get(identity) for identity in query.ids]
    found = collection.approximation if query.approximate else None
    return ClassifyAnswer(
        by=by,
        k=k,
        predictions=[
            Unusable(name=each.path, skipped=each.reason)
            if isinstance(each, Skipped)
            else _prediction(service, each, name)
            for each, name in zip(answers, names, strict=True)
        ],
        approximation=None if found is None else Approximation(**asdict(found)),
        remarks=[] if judge is None else _remarks(judge),
    )


def _remarks(judge: Calibrator) -> list[str]:
    """Return what promises cost."""
    remarks = []
    chosen = judge.selection
    if chosen is not None:
        remarks.append(
            f"an error of at most {chosen.max_error:g} leaves {chosen.share:.4f} of the answers: "
            f"{chosen.answered:,} of {chosen.total:,} held-out ones, {chosen.wrong:,} of them wrong"
        )
    if judge.always:
        labels = ", ".join(str(label) for label in judge.always)
        remarks.append(f"too few images for that coverage, so in every set: {labels}")
    return remarks


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
        neighbours=service.neighbours(found.neighbours),
        itself=answer.itself,
    )
