"""Routes that suggest which images to label next: start the job, read what it chose."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from lookalike.schemas.jobs import Job, JobId
from lookalike.schemas.suggest import SuggestAnswer, Suggestion, SuggestQuery
from lookalike.server.routes.jobs import ACCEPTED, accepted, check_answerable
from lookalike.server.routes.votes import read_records
from lookalike.server.service import InjectedService, Service
from lookalike.types import Neighbour

if TYPE_CHECKING:
    from lookalike.active_learning.suggest import Suggestions
    from lookalike.progress import Progress

router = APIRouter(tags=["suggest"])


@router.post("/v1/collections/{name}/suggestions", **ACCEPTED)
async def suggest(name: str, query: SuggestQuery, response: Response, service: InjectedService) -> Job:
    """Choose which images to label next: uncertain ones, typical ones, and different from each other."""
    collection = await service.store_pool.run(lambda: service.collection(name))
    check_answerable(collection, *query.where)
    act = partial(_suggest, service, collection.name, query)
    return accepted(service.jobs.put("suggest", collection.name, query, act), response)


@router.get("/v1/jobs/{id}/suggestions")
async def suggested(id: JobId, service: InjectedService) -> SuggestAnswer:  # noqa: A002 as the contract calls it
    """Return what was chosen; images that were removed since are left out."""
    job, found = service.jobs.result(id, "suggest")
    return await service.store_pool.run(lambda: _answer(service, job.collection, found))


def _suggest(service: Service, name: str, query: SuggestQuery, progress: Progress) -> Suggestions:
    return service.database[name].suggest(
        query.by,
        count=query.count,
        where=query.where or None,
        using=query.using,
        seed=query.seed,
        progress=progress,
    )


def _answer(service: Service, collection: str, found: Suggestions) -> SuggestAnswer:
    labelled = [each.nearest.record.id for each in found.images if each.nearest is not None]
    records = read_records(service, collection, [*(each.record.id for each in found.images), *labelled])
    suggestions = []
    for each in found.images:
        record = records.get(each.record.id)
        if record is None:
            continue
        nearest = None if each.nearest is None else records.get(each.nearest.record.id)
        hits = (
            [] if nearest is None or each.nearest is None else [Neighbour(nearest, each.nearest.similarity)]
        )
        shown = service.neighbours(hits)
        suggestions.append(
            Suggestion(
                image=service.image(record),
                covers=each.covers,
                uncertainty=each.uncertainty,
                nearest=shown[0] if shown else None,
            )
        )
    return SuggestAnswer(
        by=found.by,
        labelled=found.labelled,
        unlabelled=found.unlabelled,
        drawn=found.drawn,
        compared=found.compared,
        series=found.series,
        suggestions=suggestions,
    )
