"""Problem details (RFC 9457) of errors."""

from __future__ import annotations

import http
import logging
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lookalike.errors import (
    LookalikeError,
    StoreBusy,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreNewer,
    StoreReadOnly,
    StoreUnreachable,
    WeightsInvalid,
    WeightsMissing,
    outcome,
)
from lookalike.file_names import display
from lookalike.schemas.values import Problem
from lookalike.server.http.error_formats import in_client_format
from lookalike.server.http.responses import JsonResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request, Response
    from starlette.types import Receive, Scope, Send

_LOG = logging.getLogger("lookalike.server")

PROBLEM = "application/problem+json"

# What everybody may read of errors whose own line names addresses and paths of the machine.
_SAID: dict[type[LookalikeError], str] = {
    StoreUnreachable: "the store does not answer; ask again in a moment",
    StoreDenied: "the store refuses what the service is allowed there",
    StoreBusy: "another process holds the store; ask again in a moment",
    StoreReadOnly: "the store may be read and not written",
    StoreFull: "no space is left where the store lives",
    StoreCorrupt: "the store is damaged",
    StoreNewer: "a later version of lookalike wrote the store",
    StoreError: "the store cannot do that",
    WeightsInvalid: "the weights of the model are not the ones they should be",
    WeightsMissing: "the weights of the model are not on the service's machine",
}

# What FastAPI and Starlette say of requests, in words that say what to do.
_CLEARER = {
    "Not Found": "nothing has this address: /openapi.json lists those there are",
    "Method Not Allowed": "this address does not take that method",
    "There was an error parsing the body": "the body cannot be read: it is no JSON in UTF-8",
    "Missing boundary in multipart.": "the content type of a multipart body names its boundary",
}
# Of what is wrong with a request, so much is listed, and of names that a client made up, so much is shown.
_MOST_ERRORS = 20
_LONGEST = 1_000

# The folders of an ONNX model where a line names it: `onnx:/srv/models/clip (512 dimensions, …)`.
_MODEL_FOLDER = re.compile(r"onnx:/(?:[^/(]*/)*")


class Refused(LookalikeError):
    """A request refused with an HTTP status of its own."""

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
    """503: the queue is full."""

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
    return _answer(_body(status, detail, error, **more), headers)


def problem_of(error: LookalikeError) -> Response:
    """Return an error as a problem response, without addresses and folders of this machine."""
    body = problem_body(error)
    if isinstance(error, Refused):
        return _answer(body, error.headers)
    return _answer(body, {"Retry-After": "1"} if body.status == http.HTTPStatus.SERVICE_UNAVAILABLE else {})


def problem_body(error: LookalikeError) -> Problem:
    """Return what `problem_of` says."""
    if isinstance(error, Refused):
        return _body(error.status, str(error), type(error).__name__)
    status = outcome(error).status
    said = next((_SAID[kind] for kind in type(error).__mro__ if kind in _SAID), None)
    if said is not None or status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.error("%s: %s", type(error).__name__, error)
        detail = f"{said or 'something went wrong'}; the service's log says more"
    else:
        detail = display(_without_folder(error))
    return _body(status, detail, type(error).__name__)


def _body(status: int, detail: str, error: str, **more: Any) -> Problem:
    return Problem(title=http.HTTPStatus(status).phrase, status=status, detail=detail, error=error, **more)


def _answer(body: Problem, headers: Mapping[str, str] | None) -> Response:
    return JsonResponse(body.model_dump(mode="json"), body.status, dict(headers or {}), media_type=PROBLEM)


def _without_folder(error: LookalikeError) -> str:
    """Return the line of an error; of a file or model of this machine, only the name."""
    path = getattr(error, "path", None)
    text = _MODEL_FOLDER.sub("onnx:", str(error))
    if isinstance(path, str | Path) and Path(path).is_absolute():
        return text.replace(str(path), Path(path).name)
    return text


async def answer_problem(error: LookalikeError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an ASGI request with an error, in the format that its client expects."""
    await in_client_format(scope, problem_of(error))(scope, receive, send)


def answer_with_problems(app: FastAPI) -> None:
    """Register the exception handlers that answer with problems; `instrumentation` answers the unexpected."""

    @app.exception_handler(LookalikeError)
    async def ours(request: Request, error: LookalikeError) -> Response:
        return in_client_format(request.scope, problem_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return in_client_format(request.scope, invalid_request(error.errors()))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        name = http.HTTPStatus(error.status_code).phrase.replace(" ", "")
        said = _CLEARER.get(error.detail, error.detail)
        headers = dict(error.headers or {})
        if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
            headers |= _allowed(request)
        return in_client_format(request.scope, problem(error.status_code, said, name, headers))


def _allowed(request: Request) -> dict[str, str]:
    """Return all methods of an address (RFC 9110, section 15.5.6); Starlette names those of one route."""
    template = getattr(request.scope.get("route"), "path_format", None)
    methods = request.app.openapi()["paths"].get(template, ())
    return {"Allow": ", ".join(method.upper() for method in methods)} if methods else {}


def invalid_request(errors: Any) -> Response:
    """Return validation errors of pydantic as a problem: the first few, without long names."""
    found = [
        {"at": "/".join(str(part)[:_LONGEST] for part in each["loc"]), "reason": str(each["msg"])[:_LONGEST]}
        for each in islice(errors, _MOST_ERRORS)
    ]
    first = f"{found[0]['at']}: {found[0]['reason']}" if found else "it is not as described"
    return problem(422, f"the request cannot be read: {first}", "InvalidRequest", errors=found)
