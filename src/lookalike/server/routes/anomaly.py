"""The route that holds pictures against the normal ones of a collection."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.anomaly import AnomalyAnswer, AnomalyBox, AnomalyParts, AnomalyQuery, AnomalyScore
from lookalike.schemas.values import Unusable
from lookalike.server.http.request_bodies import body_schema, read_data_url, read_query
from lookalike.server.http.responses import json_response
from lookalike.server.routes.fast_route import FastRoute
from lookalike.server.service import InjectedService, Service
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.anomaly.scoring import AnomalyScorer
    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.sources.uploads import Upload

router = APIRouter(tags=["anomaly"], route_class=FastRoute)


@router.post(
    "/v1/collections/{name}/anomaly",
    response_model=AnomalyAnswer,
    openapi_extra=body_schema(
        AnomalyQuery,
        example={"false_alarm": 0.05, "overlay": True},
        pictures="Pictures, after those of the query.",
    ),
)
async def anomaly(name: str, request: Request, service: InjectedService) -> Response:
    """Tell how unlike the normal pictures of a collection pictures are, and where."""
    query, uploads = await read_query(request, AnomalyQuery, service.settings)
    pictures = [read_data_url(url, f"picture {place}") for place, url in enumerate(query.images)]
    pictures += uploads
    if not pictures:
        raise InvalidArgument("nothing to score: send a picture")
    if len(pictures) > service.settings.max_images:
        raise InvalidArgument(f"at most {service.settings.max_images} pictures a request")
    scorer = await service.store_pool.run(lambda: _scorer(service, name, query.false_alarm))
    files = await service.embedding_queue.pictures(pictures, scorer.embedder, scorer.cache)
    return await service.store_pool.run(
        lambda: json_response(_scores(service, name, query, scorer, pictures, files))
    )


def _scorer(service: Service, name: str, false_alarm: float | None) -> AnomalyScorer:
    """Read the memory; blocks."""
    collection = service.collection(name)
    return service.database[collection.name].anomaly_scorer(
        false_alarm=false_alarm, max_pixels=service.settings.max_pixels
    )


def _scores(
    service: Service,
    name: str,
    query: AnomalyQuery,
    scorer: AnomalyScorer,
    pictures: Sequence[Upload],
    files: Sequence[EmbeddedFile | Skipped],
) -> AnomalyAnswer:
    """Score pictures, and draw what was asked for; blocks."""
    scores: list[AnomalyScore | Unusable] = []
    for picture, file in zip(pictures, files, strict=True):
        if isinstance(file, Skipped):
            scores.append(Unusable(name=file.path, skipped=file.reason))
            continue
        found = scorer.judge(file)
        drawn = None
        if query.overlay:
            png = service.database[name].overlay(picture.data, found, max_pixels=service.settings.max_pixels)
            drawn = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        scores.append(
            AnomalyScore(
                name=str(found.path),
                anomalous=found.anomalous,
                score=found.score,
                threshold=found.threshold,
                p_value=found.p_value,
                parts=AnomalyParts(**found.parts),
                boxes=[AnomalyBox(**box._asdict()) for box in found.boxes],
                known=found.known,
                overlay=drawn,
            )
        )
    return AnomalyAnswer(false_alarm=scorer.false_alarm, normal=len(scorer.memory.held_peaks), scores=scores)
