"""Routes that compare new images with a collection: start the job, read what it found."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.drift import DriftAnswer, DriftQuery, DriftSummary, LabelShare
from lookalike.schemas.drift import Driver as ShownDriver
from lookalike.schemas.jobs import Job, JobId
from lookalike.server.routes.jobs import ACCEPTED, accepted, check_answerable
from lookalike.server.routes.votes import read_records
from lookalike.server.service import InjectedService, Service
from lookalike.types import SERIES, Neighbour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.drift.drift import Drift, Driver
    from lookalike.progress import Progress

router = APIRouter(tags=["drift"])


@router.post("/v1/collections/{name}/drifts", **ACCEPTED)
async def drift(name: str, query: DriftQuery, response: Response, service: InjectedService) -> Job:
    """Test whether some images of a collection, such as today's, are still what it was judged on.

    A two-sample test by permutation tells whether they are drawn from one distribution with the others.
    """
    if not query.new:
        raise InvalidArgument("`new` says which images are the new ones: a field and its values")
    collection = await service.store_pool.run(lambda: service.collection(name))
    group = None if query.group == SERIES else query.group
    check_answerable(collection, query.by, group, *query.new, *query.where)
    act = partial(_drift, service, collection.name, query)
    return accepted(service.jobs.put("drift", collection.name, query, act), response)


@router.get("/v1/jobs/{id}/drift")
async def drifted(id: JobId, service: InjectedService) -> DriftAnswer:  # noqa: A002 as the contract calls it
    """Return a comparison that is done; images that were removed since are left out."""
    job, found = service.jobs.result(id, "drift")
    return await service.store_pool.run(lambda: _answer(service, job.collection, found))


def _drift(service: Service, name: str, query: DriftQuery, progress: Progress) -> Drift:
    return service.database[name].drift(
        new_where=query.new,
        where=query.where or None,
        by=query.by,
        group=query.group,
        using=query.using,
        false_alarm=query.false_alarm,
        seed=query.seed,
        progress=progress,
    )


def _answer(service: Service, collection: str, found: Drift) -> DriftAnswer:
    names = DriftSummary.model_fields
    return DriftAnswer(
        summary=DriftSummary(**{name: getattr(found, name) for name in names}),
        shares=[LabelShare(label=each.label, before=each.before, now=each.now) for each in found.shares],
        drivers=_shown(service, collection, found.drivers),
        missing=_shown(service, collection, found.missing),
    )


def _shown(service: Service, collection: str, images: Sequence[Driver]) -> list[ShownDriver]:
    ids = (each for one in images for each in (one.record.id, one.nearest.record.id))
    records = read_records(service, collection, ids)
    found = []
    for each in images:
        record, nearest = records.get(each.record.id), records.get(each.nearest.record.id)
        if record is not None:
            near = [] if nearest is None else [Neighbour(nearest, each.nearest.similarity)]
            hits = service.neighbours(near)
            found.append(
                ShownDriver(
                    image=service.image(record), witness=each.witness, nearest=hits[0] if hits else None
                )
            )
    return found
