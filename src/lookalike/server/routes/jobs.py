"""Routes of jobs: list, show progress, cancel; the route that starts a kind of job is with its results."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request, Response

from lookalike.errors import CollectionEmpty, FieldNotFound, InvalidArgument
from lookalike.schemas.jobs import Job as ShownJob
from lookalike.schemas.jobs import JobId, Jobs
from lookalike.server.auth.access_control import check_may_write
from lookalike.server.service import InjectedService

if TYPE_CHECKING:
    from lookalike.server.workers.jobs import Job
    from lookalike.types import CollectionInfo

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# Kinds of jobs that write.
_WRITING = ("index", "import", "vector")
# Bytes that a vote takes while a job runs, and that all may take.
_VOTE = 16
_MOST_VOTES = 1 << 30

ACCEPTED: dict[str, Any] = {
    "status_code": HTTPStatus.ACCEPTED,
    "responses": {
        HTTPStatus.ACCEPTED.value: {
            "description": "The job waits or runs; the same question has the same job until it ends.",
            "headers": {
                "Location": {
                    "description": "Where to ask how far it is.",
                    "schema": {"type": "string", "examples": ["/v1/jobs/5f0c954a1d2b43e7"]},
                }
            },
        },
        HTTPStatus.SERVICE_UNAVAILABLE.value: {"description": "Too many jobs wait; see Retry-After."},
    },
}
"""The OpenAPI description of each route that starts a job."""


def accepted(job: Job, response: Response) -> ShownJob:
    """Answer a request that started a job."""
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return job.shown()


def check_answerable(collection: CollectionInfo, *fields: str | None) -> None:
    """Refuse at once what no job could answer.

    Args:
        collection: that is to be judged.
        fields: that it must have, where one is named.

    Raises:
        CollectionEmpty: it has no images.
        FieldNotFound: it has no such field.
    """
    if not collection.count:
        raise CollectionEmpty(collection.name)
    for field in fields:
        if field is not None and field not in collection.fields:
            raise FieldNotFound(field, collection.fields)


def check_votes(collection: CollectionInfo, k: int | Literal["auto"], repeats: int) -> None:
    """Refuse more votes than the service has memory for.

    Args:
        collection: that is to be judged.
        k: votes on each image.
        repeats: how often folds are drawn, where its metric is fitted.

    Raises:
        InvalidArgument: they are more.
    """
    drawings = repeats if collection.fitted else 1
    votes = 0 if k == "auto" else min(k, collection.count)
    most = _MOST_VOTES // (_VOTE * drawings * collection.count)
    if votes > most:
        raise InvalidArgument(
            f"k = {k} on {collection.count:,} images takes too much memory here: at most {most}, or "
            "`lookalike evaluate` and `lookalike audit`"
        )


@router.get("")
async def jobs(service: InjectedService) -> Jobs:
    """List the jobs that wait, run, or ended last."""
    return Jobs(jobs=[job.shown() for job in service.jobs.all()])


@router.get("/{id}")
async def job(id: JobId, service: InjectedService) -> ShownJob:  # noqa: A002 as the contract calls it
    """Tell how far a job is."""
    return service.jobs.get(id).shown()


@router.delete("/{id}")
async def cancel(id: JobId, request: Request, service: InjectedService) -> ShownJob:  # noqa: A002
    """Cancel a job; one that runs ends within seconds, one that has ended stays as it is.

    A job that writes needs a key that may.
    """
    if service.jobs.get(id).kind in _WRITING:
        check_may_write(request)
    return service.jobs.cancel(id).shown()
