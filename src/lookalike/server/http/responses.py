"""JSON responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

if TYPE_CHECKING:
    from collections.abc import Mapping

# What pydantic writes for half a surrogate pair in a key: U+FFFD, in UTF-8.
_REPLACED = "\ufffd".encode()


class JsonResponse(JSONResponse):
    """JSON in UTF-8 that also carries unpaired surrogates.

    Labels and names of files may hold half a surrogate pair: a name that is no UTF-8, as Python reads it, or
    what some program left. UTF-8 cannot write these; JSON can, as escapes (RFC 8259, section 8.2).
    """

    def render(self, content: Any) -> bytes:
        """Return `content` as JSON."""
        how: dict[str, Any] = {
            "allow_nan": False,
            "separators": (",", ":"),
            "default": to_jsonable_python,
        }
        try:
            return json.dumps(content, ensure_ascii=False, **how).encode()
        except UnicodeEncodeError:
            return json.dumps(content, **how).encode()


def json_response(answer: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialise an answer as a response; may run in a thread, which spares the event loop.

    Args:
        answer: a model of ours.
        status: of HTTP.
        headers: that go with it.
    """
    try:
        text = answer.__pydantic_serializer__.to_json(answer)
    except PydanticSerializationError:  # half a surrogate pair
        text = _REPLACED
    if _REPLACED in text:
        return JsonResponse(answer.model_dump(), status, headers)
    return Response(text, status, headers, JsonResponse.media_type)


def not_modified(if_none_match: str | None, headers: Mapping[str, str]) -> Response | None:
    """Return a 304 where the client has what `ETag` names (RFC 9110, section 13.1.2: compared without `W/`).

    Args:
        if_none_match: the request's header.
        headers: of the answer, `ETag` among them where it has one.
    """
    known = [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]
    if "ETag" in headers and (headers["ETag"] in known or "*" in known):
        return Response(status_code=304, headers=headers)
    return None
