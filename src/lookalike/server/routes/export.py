"""The route that sends a collection, or a part of it, as CSV or JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError

from lookalike.errors import InvalidArgument
from lookalike.schemas.values import Id, Where
from lookalike.server.service import InjectedService

if TYPE_CHECKING:
    from collections.abc import Iterator

router = APIRouter(tags=["collections"])

_WHERE: TypeAdapter[dict[str, list[str | int | float | bool]]] = TypeAdapter(Where)
_MEDIA = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_TEXT = {"schema": {"type": "string"}}


@router.get(
    "/v1/collections/{name}/export",
    response_class=StreamingResponse,
    responses={200: {"description": "The images", "content": dict.fromkeys(_MEDIA.values(), _TEXT)}},
)
async def export(
    name: str,
    service: InjectedService,
    form: Annotated[Literal["csv", "jsonl"], Query(alias="format")] = "csv",
    where: Annotated[
        str | None,
        Query(
            max_length=10_000,
            description="As everywhere, as JSON.",
            examples=['{"part": ["tank", "hull"]}'],
        ),
    ] = None,
    id: Annotated[  # noqa: A002 as the contract calls it
        list[Id] | None,
        Query(max_length=1000, description="Instead of a filter: these images alone, in this order."),
    ] = None,
    vectors: Annotated[bool, Query(description="Send the vectors, too.")] = False,
) -> StreamingResponse:
    """Send the images of a collection as a table: a row for each, with its id, name and fields.

    It is read while it is sent; the end of a connection ends it.
    """
    try:
        conditions = None if where is None else _WHERE.validate_json(where)
    except ValidationError as error:
        raise InvalidArgument(f"where is no filter in JSON: {error.errors()[0]['msg']}") from error

    def begin() -> tuple[str, Iterator[bytes]]:
        found = service.collection(name)
        lines = service.database[found.name].export_lines(
            form, where=conditions or None, ids=id, vectors=vectors, name_of=service.roots.name
        )
        return found.name, lines

    collection, lines = await service.store_pool.run(begin)
    file = quote(f"{collection}.{form}", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{file}", "Cache-Control": "no-store"}
    return StreamingResponse(lines, headers=headers, media_type=_MEDIA[form])
