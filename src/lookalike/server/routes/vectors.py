"""Routes of a collection's named vectors: add one by a further model, drop one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from lookalike.schemas.collections import Collection, NewVector, Vector
from lookalike.schemas.jobs import Job, JobId
from lookalike.server.auth.access_control import WriteAccess
from lookalike.server.routes.collections import described_alone, described_vector
from lookalike.server.routes.jobs import ACCEPTED, accepted
from lookalike.server.routes.models import usable_model
from lookalike.server.service import InjectedService

if TYPE_CHECKING:
    from lookalike.progress import Progress

router = APIRouter(tags=["collections"])


@router.post("/v1/collections/{name}/vectors", **ACCEPTED, dependencies=[WriteAccess])
async def add(name: str, wanted: NewVector, response: Response, service: InjectedService) -> Job:
    """Give every image of a collection a further vector, of another model.

    From kept features, or from the image's file where it lies on the service's machine as it was indexed. A
    job that is cancelled leaves a collection that answers as before, and that the same job completes.
    """

    def check() -> tuple[str, str]:
        found = service.collection(name)
        model = usable_model(service, wanted.model)
        # Before a job is made: a name that is taken, a model that is not here.
        service.database[found.name].vectors.check(wanted.name, model)
        return found.name, model

    collection, model = await service.store_pool.run(check)

    def act(progress: Progress) -> Vector:
        try:
            made = service.database[collection].vectors.add(wanted.name, model, progress=progress)
        finally:
            service.changed(collection)
        return described_vector(service, made)

    return accepted(service.jobs.put("vector", collection, wanted, act), response)


@router.get("/v1/jobs/{id}/vector")
async def vector(id: JobId, service: InjectedService) -> Vector:  # noqa: A002 as the contract calls it
    """Tell what a job made of a further vector: not ready where images lack it, whose files are gone."""
    found: Vector = service.jobs.result(id, "vector")[1]
    return found


@router.delete("/v1/collections/{name}/vectors/{vector}", dependencies=[WriteAccess])
async def drop(name: str, vector: str, service: InjectedService) -> Collection:
    """Drop a vector of all images; not the last one, nor one that another was fitted to."""

    def act() -> Collection:
        found = service.database[service.collection(name).name].vectors.drop(vector)
        service.changed(found.name)
        return described_alone(service, found)

    return await service.write_pool.run(act)
