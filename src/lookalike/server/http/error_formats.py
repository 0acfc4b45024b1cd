"""Problem details translated into the error formats of OpenAI and Elasticsearch.

Everything that the service refuses is a problem (RFC 9457) first; clients of OpenAI and of Elasticsearch read
their own shapes, and tell people what stands in them.

Sources: `_make_status_error` and `_exceptions.py` of OpenAI's Python client;
https://www.elastic.co/guide/en/elasticsearch/reference/8.19/common-options.html and
`ElasticsearchException.generateFailureXContent`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse, Response

from lookalike.file_names import display
from lookalike.schemas.elasticsearch import Cause, ElasticError, ElasticProblem
from lookalike.schemas.embeddings import OpenAIError, OpenAIProblem
from lookalike.schemas.values import Problem
from lookalike.server.http.elastic_requests import ELASTIC_HEADERS, is_elastic

if TYPE_CHECKING:
    from starlette.types import Scope

_OPENAI = ("/v1/embeddings", "/v1/models")

# What OpenAI calls errors that we have other names for.
_OPENAI_CODES = {
    "ModelNotServed": "model_not_found",
    "TextTooLong": "context_length_exceeded",
}
_ELASTIC_TYPES = {
    400: "illegal_argument_exception",
    401: "security_exception",
    403: "security_exception",
    404: "resource_not_found_exception",
}
# Documents, whose ids may have a slash, and models: what is not there is not found.
_DOCUMENT = re.compile(r"/[^/]+/_(doc|source)/.+|/_ml/.+")
_LONGEST = 200  # of an address that is told
_ELASTIC_KINDS = {"IndexNotFound": "index_not_found_exception"}


def in_client_format(scope: Scope, response: Response) -> Response:
    """Translate a problem into the error format that clients of a path expect.

    Args:
        scope: of the request.
        response: a problem, or anything else, which stays as it is; so does a problem of another path.
    """
    if response.media_type != "application/problem+json":
        return response
    path = scope["path"]
    shape = _openai if _is(path, _OPENAI) else _elastic if is_elastic(scope) else None
    if shape is None:
        return response
    problem = Problem.model_validate(json.loads(bytes(response.body)))
    # Both know no 422 of their own: what cannot be read is a bad request.
    status = 400 if response.status_code == 422 else response.status_code
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("content-type", "content-length")
    }
    if shape is _elastic and problem.error == "NotFound" and not _DOCUMENT.fullmatch(path):
        status, problem = 400, _no_handler(scope, problem)
    return shape(problem, status, headers)


def _no_handler(scope: Scope, problem: Problem) -> Problem:
    """Return what is said of an address that there is not, as Elasticsearch says it, whose status that is."""
    uri = display(scope["path"][:_LONGEST])
    said = (
        f"no handler found for uri [{uri}] and method [{scope['method']}]: lookalike answers searches, and "
    )
    return problem.model_copy(update={"detail": f"{said}writes nothing"})


def _is(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def _openai(problem: Problem, status: int, headers: dict[str, str]) -> Response:
    places = [each["at"] for each in (problem.model_extra or {}).get("errors", [])]
    parts = places[0].split("/") if places else []
    body = OpenAIProblem(
        error=OpenAIError(
            message=problem.detail,
            type="server_error" if status >= 500 else "invalid_request_error",
            # "body/input/list[str]/3": the first is where in the request, the second the parameter.
            param=parts[1] if len(parts) > 1 else None,
            code=_OPENAI_CODES.get(problem.error, problem.error or None),
        )
    )
    return JSONResponse(body.model_dump(mode="json"), status, headers)


def _elastic(problem: Problem, status: int, headers: dict[str, str]) -> Response:
    kind = _ELASTIC_KINDS.get(problem.error, _ELASTIC_TYPES.get(status, "status_exception"))
    error = ElasticError(
        type=kind, reason=problem.detail, root_cause=[Cause(type=kind, reason=problem.detail)]
    )
    body = ElasticProblem(error=error, status=status)
    return JSONResponse(body.model_dump(mode="json"), status, {**headers, **ELASTIC_HEADERS})
