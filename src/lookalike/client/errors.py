"""The errors of the client.

    ServiceError
    ├── ServiceUnreachable    no answer: nobody listens there, the connection broke, or it took too long
    ├── ServiceBusy           503, also after the last try
    ├── AccessDenied          401 or 403: no key, an unknown one, or one that may not write
    ├── ServiceRefused        400, 413, 415 or 422: the request is off; an InvalidArgument, too
    ├── ResourceNotFound      404: no such collection, image, job or model; a NotFound, too
    ├── ServiceUnanswerable   409: the data cannot answer that; an Unanswerable, too
    ├── JobFailed             a job that was waited for failed or was cancelled
    └── JobUnfinished         it goes on, and the time to wait is over

All are LookalikeErrors, and what catches `NotFound` of a store here catches that of a service there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, LookalikeError, NotFound, Unanswerable

if TYPE_CHECKING:
    from lookalike.schemas.jobs import Job


class ServiceError(LookalikeError):
    """A request that was not answered as it was meant to be."""

    def __init__(self, detail: str, *, status: int | None = None, error: str = "") -> None:
        """Say what the service said.

        Args:
            detail: in a sentence.
            status: of HTTP; None: there was no answer.
            error: the name of the error there, `CollectionNotFound` for example; see `lookalike.errors`.
        """
        self.detail = detail
        self.status = status
        self.error = error
        super().__init__(detail)


class ServiceUnreachable(ServiceError):
    """Nobody answers at that address, or not in time."""


class ServiceBusy(ServiceError):
    """The service has too much to do, also after the last try."""


class AccessDenied(ServiceError):
    """A key is needed, or this one does not do."""


class ServiceRefused(ServiceError, InvalidArgument):
    """The service does not take what was sent."""


class ResourceNotFound(ServiceError, NotFound):
    """What was named is not there."""


class ServiceUnanswerable(ServiceError, Unanswerable):
    """The data that is there cannot answer the question."""


class JobFailed(ServiceError):
    """A job that failed or was cancelled."""

    def __init__(self, job: Job) -> None:
        """Say why, as the job does."""
        self.job = job
        problem = job.problem
        if problem is None:
            super().__init__(f"the job is {job.state}")
        else:
            super().__init__(problem.detail, status=problem.status, error=problem.error)


class JobUnfinished(ServiceError):
    """A job that was not waited for any longer."""

    def __init__(self, job: Job) -> None:
        """Say how far it is."""
        self.job = job
        super().__init__(f"the job {job.id} goes on: {job.done:,} of {job.total:,}")


_KINDS: dict[int, type[ServiceError]] = {
    400: ServiceRefused,
    401: AccessDenied,
    403: AccessDenied,
    404: ResourceNotFound,
    409: ServiceUnanswerable,
    413: ServiceRefused,
    415: ServiceRefused,
    422: ServiceRefused,
    503: ServiceBusy,
}


def service_error(status: int, detail: str, error: str) -> ServiceError:
    """Return the error for a status of HTTP."""
    return _KINDS.get(status, ServiceError)(detail, status=status, error=error)
