"""Routes that project a collection onto two dimensions: start the job, read the map."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from fastapi import APIRouter, Response

from lookalike.progress import divided
from lookalike.schemas.jobs import Job, JobId
from lookalike.schemas.map import MapAnswer, MapQuery
from lookalike.server.http.responses import json_response
from lookalike.server.routes.jobs import ACCEPTED, accepted, check_answerable
from lookalike.server.service import InjectedService, Service
from lookalike.vectors.projection import plane
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.progress import Progress
    from lookalike.types import Scalar

router = APIRouter(tags=["map"])

MOST_POINTS = 10_000
"""That are drawn; more cannot be told apart in a page, nor sent quickly."""
MOST_LABELS = 50
"""That points are told apart by."""
# Of coordinates: vectors have length 1, and a picture a few thousand pixels.
_DIGITS = 5


@router.post("/v1/collections/{name}/maps", **ACCEPTED)
async def draw(name: str, query: MapQuery, response: Response, service: InjectedService) -> Job:
    """Lay a collection onto the plane in which its images differ most: their first principal components.

    Of a fitted collection those of the fitted vectors.
    """
    collection = await service.store_pool.run(lambda: service.collection(name))
    check_answerable(collection, query.by)
    act = partial(_draw, service, collection.name, query)
    return accepted(service.jobs.put("map", collection.name, query, act), response)


@router.get("/v1/jobs/{id}/map", response_model=MapAnswer)
async def drawn(id: JobId, service: InjectedService) -> Response:  # noqa: A002 as the contract calls it
    """Return a map that is done, as the job read it."""
    _, body = service.jobs.result(id, "map")
    return Response(body, media_type="application/json")


def _draw(service: Service, name: str, query: MapQuery, progress: Progress) -> bytes:
    count = service.database[name].info().count
    reading, laying = divided(progress, [count, min(count, MOST_POINTS) + 1])
    records, vectors = service.database[name].vectors.read(most=MOST_POINTS, progress=reading)
    points, variance = plane(vectors)
    labels = [None if query.by is None else label_of(record, query.by) for record in records]
    codes, names = frequent(labels, MOST_LABELS)
    x, y = np.round(points.T.astype(np.float64), _DIGITS).tolist()
    answer = MapAnswer(
        ids=[record.id for record in records],
        names=[service.roots.name(record) for record in records],
        x=x,
        y=y,
        label=codes,
        labels=names,
        variance=variance,
        images=count,
        drawn=len(records),
    )
    laying(1, 1)
    return bytes(json_response(answer).body)


def frequent(labels: Sequence[Scalar | None], most: int) -> tuple[list[int], list[Scalar]]:
    """Number labels.

    Args:
        labels: None where there is none.
        most: labels that get a number, the most frequent ones.

    Returns:
        The number of each, −1 where it has none; and what the numbers stand for: booleans first, then
        numbers, then strings, each sorted.
    """
    known = {label_key(label): label for label in labels if label is not None}
    counts = Counter(label_key(label) for label in labels if label is not None)
    kept = sorted(sorted(counts, key=lambda key: (-counts[key], key))[:most])
    codes = {key: code for code, key in enumerate(kept)}
    return (
        [-1 if label is None else codes.get(label_key(label), -1) for label in labels],
        [known[key] for key in kept],
    )
