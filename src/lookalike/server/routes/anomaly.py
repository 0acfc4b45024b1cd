"""The route that holds pictures against the normal ones of a collection."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.anomaly import AnomalyAnswer, AnomalyBox, AnomalyParts, AnomalyQuery, AnomalyScore
from lookalike.schemas.values import Unusable
from lookalike.server.http.request_bodies import body_schema, read_data_url, read_query
from lookalike.server.http.responses import json_response
from lookalike.server.routes.fast_route import FastRoute
from lookalike.server.routes.image_files import read_image
from lookalike.server.service import InjectedService, Service
from lookalike.sources.uploads import Upload
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.anomaly.scoring import AnomalyScorer
    from lookalike.ingest.embedding import EmbeddedFile

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
    if not pictures and not query.ids:
        raise InvalidArgument("nothing to score: send a picture or an id")
    if len(pictures) + len(query.ids) > service.settings.max_images:
        raise InvalidArgument(f"at most {service.settings.max_images} pictures a request")
    scorer = await service.store_pool.run(lambda: _scorer(service, name, query.false_alarm))

    async def scores(some: Sequence[Upload]) -> list[AnomalyScore | Unusable]:
        files = await service.embedding_queue.pictures(some, scorer.embedder, scorer.cache)
        pairs = list(zip(some, files, strict=True))
        return await service.store_pool.run(
            lambda: [_score(service, name, query, scorer, *pair) for pair in pairs]
        )

    found = await scores(pictures) if pictures else []
    # One after another: a request brings no bytes of them, and so nothing limits how many there are.
    for identity in query.ids:
        read = await service.image_pool.run(partial(_read, service, name, identity))
        found += [read] if isinstance(read, Unusable) else await scores([read])
    return json_response(
        AnomalyAnswer(false_alarm=scorer.false_alarm, normal=len(scorer.memory.held_peaks), scores=found)
    )


def _scorer(service: Service, name: str, false_alarm: float | None) -> AnomalyScorer:
    """Read the memory; blocks."""
    collection = service.collection(name)
    return service.database[collection.name].anomaly.scorer(
        false_alarm=false_alarm, max_pixels=service.settings.max_pixels
    )


def _read(service: Service, name: str, identity: str) -> Upload | Unusable:
    """Read the file of an image of the collection; blocks."""
    collection, record = service.record(name, identity)
    return read_image(service, collection.name, record)


def _score(
    service: Service,
    name: str,
    query: AnomalyQuery,
    scorer: AnomalyScorer,
    picture: Upload,
    file: EmbeddedFile | Skipped,
) -> AnomalyScore | Unusable:
    """Score a picture, and draw what was asked for; blocks."""
    if isinstance(file, Skipped):
        return Unusable(name=file.path, skipped=file.reason)
    found = scorer.judge(file)
    drawn = None
    if query.overlay:
        png = service.database[name].overlay(picture.data, found, max_pixels=service.settings.max_pixels)
        drawn = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return AnomalyScore(
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
