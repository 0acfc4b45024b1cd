"""Queries and images from JSON and multipart request bodies."""

from __future__ import annotations

import binascii
import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_to_bytes

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.server.http.json_limits import check_json_size
from lookalike.server.http.multipart import read_body, read_parts
from lookalike.server.http.problems import Refused
from lookalike.sources.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import Request

    from lookalike.server.http.multipart import Part
    from lookalike.server.settings import Settings

_Q = TypeVar("_Q", bound=BaseModel)

# Of the name that a client gave a file, so much is kept.
_LONGEST_NAME = 200


def read_data_url(url: str, name: str) -> Upload:
    """Decode the image in a `data:` URL (RFC 2397).

    Args:
        url: as it was sent; any other scheme is refused, and nothing is ever fetched.
        name: what errors call it.

    Raises:
        InvalidArgument: no data URL, or damaged base64.
    """
    head, comma, text = url.partition(",")
    if not head.startswith("data:") or not comma:
        raise InvalidArgument(f"{name}: a picture is sent as data:image/…;base64,…; no address is fetched")
    if not head.endswith(";base64"):
        return Upload(name, unquote_to_bytes(text))
    try:
        return Upload(name, binascii.a2b_base64(text, strict_mode=True))
    except ValueError as error:
        raise InvalidArgument(f"{name}: damaged base64") from error


async def read_query(request: Request, model: type[_Q], settings: Settings) -> tuple[_Q, list[Upload]]:
    """Read the query and the uploaded images of a request.

    A JSON body is the question itself. A multipart body has it as JSON in the part `query`, which may be
    missing where all of it has defaults, and pictures in parts `image`.

    Args:
        request: of one of these content types.
        model: what the question is read as.
        settings: limits.

    Raises:
        Refused: of another content type, or too many pictures.
        RequestValidationError: the question is not as described.
    """
    kind = media_type(request)
    uploads: list[Upload] = []
    if kind == "multipart/form-data":
        parts = await read_parts(request, settings.max_images)
        text: Any = next((part.content for part in parts if part.name == "query"), b"") or b"{}"
        check_json_size(text)
        uploads = read_pictures(parts)
    elif kind in ("application/json", ""):
        text = await read_body(request)
    else:
        raise Refused(415, f"a request is application/json or multipart/form-data, not {display(kind)}")
    try:
        return model.model_validate_json(text), uploads
    except ValidationError as error:
        raise invalid_part("query", error) from error


def media_type(request: Request) -> str:
    """Return the media type of a request's body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def invalid_part(name: str, error: ValidationError) -> RequestValidationError:
    """Return what pydantic says of a part of a request."""
    return RequestValidationError(
        [{**each, "loc": (name, *each["loc"])} for each in error.errors(include_url=False)]
    )


def read_pictures(parts: Sequence[Part]) -> list[Upload]:
    """Return the parts of a form that are pictures: those called `image`."""
    pictures = [part for part in parts if part.name == "image"]
    return [
        Upload(display(part.filename or f"image {place}")[:_LONGEST_NAME], part.content)
        for place, part in enumerate(pictures)
    ]


def body_schema(model: type[BaseModel], *, example: dict[str, Any], pictures: str) -> dict[str, Any]:
    """Return the OpenAPI description of a body that `read_query` reads.

    Args:
        model: of the question.
        example: a question.
        pictures: what the pictures of a multipart request are for.
    """
    query = {"$ref": f"#/components/schemas/{model.__name__}"}
    form = form_schema(pictures, query=(f"{model.__name__} as JSON.", example))
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": query, "example": example}, **form},
        }
    }


def form_schema(pictures: str, **parts: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI description of a multipart request: parts of JSON, and images.

    Args:
        pictures: what the images are for.
        parts: of each part of JSON its description and an example.
    """
    image = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": pictures}
    described = {
        name: {
            "type": "string",
            "contentMediaType": "application/json",
            "description": description,
            "examples": [json.dumps(example)],
        }
        for name, (description, example) in parts.items()
    }
    return {
        "multipart/form-data": {"schema": {"type": "object", "properties": {**described, "image": image}}}
    }
