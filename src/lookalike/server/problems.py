"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

import http
import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lookalike.errors import LookalikeError, outcome
from lookalike.records import display
from lookalike.schemas.values import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request, Response

_LOG = logging.getLogger("lookalike.server")

PROBLEM = "application/problem+json"


class Refused(LookalikeError):
    """A request that is refused for a reason that only a service has."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Say why.

        Args:
            status: of HTTP.
            reason: in a sentence, with what to do.
            headers: that go with the answer.
        """
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(reason)


class Overloaded(Refused):
    """More is asked at once than can wait."""

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        """Say what is full.

        Args:
            reason: in a sentence.
            retry_after: seconds after which to ask again.
        """
        super().__init__(503, reason, {"Retry-After": str(retry_after)})


def problem(
    status: int, detail: str, error: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Return a problem as a response.

    Args:
        status: of HTTP.
        detail: in a sentence.
        error: the name of the error's class.
        headers: that go with it.
        more: members beside those of the RFC.
    """
    body = Problem(title=http.HTTPStatus(status).phrase, status=status, detail=detail, error=error, **more)
    return JSONResponse(body.model_dump(mode="json"), status, dict(headers or {}), media_type=PROBLEM)


def problem_of(error: LookalikeError) -> Response:
    """Return an error of ours as a response."""
    if isinstance(error, Refused):
        return problem(error.status, str(error), type(error).__name__, error.headers)
    status = outcome(error).status
    # What a person at the keyboard is told of the machine (paths, addresses) is not for everyone who asks.
    headers = {"Retry-After": "1"} if status == http.HTTPStatus.SERVICE_UNAVAILABLE else {}
    return problem(status, display(str(error)), type(error).__name__, headers)


def answer_with_problems(app: FastAPI) -> None:
    """Let an application answer every error with a problem."""

    @app.exception_handler(LookalikeError)
    async def ours(_request: Request, error: LookalikeError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return invalid_request(error.errors())

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        _LOG.error("unexpected error", exc_info=error, extra={"path": request.url.path})
        return problem(500, "something went wrong here, and the log says what", "InternalError")


def invalid_request(errors: Any) -> Response:
    """Return what pydantic says of a request as a problem."""
    found = [
        {"at": "/".join(str(part) for part in each["loc"]), "reason": str(each["msg"])} for each in errors
    ]
    first = f"{found[0]['at']}: {found[0]['reason']}" if found else "it is not as described"
    return problem(422, f"the request cannot be read: {first}", "InvalidRequest", errors=found[:20])
