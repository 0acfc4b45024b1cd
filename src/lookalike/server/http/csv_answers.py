"""Answers as CSV files for spreadsheets (RFC 4180): a row for each image, a column for each field."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from fastapi import Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from lookalike.column_names import field_columns
from lookalike.output_files import plain_cell
from lookalike.schemas.values import Hit, Image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

Format: TypeAlias = Annotated[
    Literal["json", "csv"],
    Query(description="csv: all of it as a file for a spreadsheet, whatever the page."),
]
"""The query parameter of a route that answers in both forms."""
FORMAT = {
    "name": "format",
    "in": "query",
    "schema": {"enum": ["json", "csv"], "default": "json", "type": "string"},
    "description": "csv: the results as a file for a spreadsheet.",
}
"""The same for a route that reads its request itself."""
CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""The OpenAPI description of what such a route answers, beside its JSON."""

# Rows of a block: what is read and written at once.
_BLOCK = 500
# Spreadsheets of old take a file for UTF-8 only where it begins so; what reads UTF-8 leaves it out.
_MARK = "\ufeff"

Row: TypeAlias = "Mapping[str, object]"


class Columns:
    """The columns of a file for items of an answer."""

    def __init__(self, kind: type[BaseModel], fields: Iterable[str], before: Sequence[str] = ()) -> None:
        """Name them.

        Args:
            kind: the schema of the items; the `image` in it comes as its own columns.
            fields: of the collection: each is a column, called as `field_columns` says.
            before: columns that stand before them.
        """
        own = [*before, *_own_columns(kind)]
        place = own.index("fields") if "fields" in own else len(own)
        others = [name for name in own if name != "fields"]
        self._fields = field_columns(fields, others) if "fields" in own else {}
        self.names = [*others[:place], *self._fields.values(), *others[place:]]

    def row(self, item: BaseModel) -> dict[str, object]:
        """Return an item of an answer as a row: of other images in it, only what they are called."""
        row: dict[str, object] = {}
        for name in type(item).model_fields:
            value = getattr(item, name)
            if name == "image":
                row |= self.row(value)
            elif name == "fields":
                row |= {self._fields[field]: each for field, each in value.items() if field in self._fields}
            elif isinstance(value, list):
                row[name] = "; ".join(each.name for each in value)
            else:
                row[name] = value.name if isinstance(value, Hit) else value
        return row


def _own_columns(kind: type[BaseModel]) -> list[str]:
    """Return the names of an item's members, with those of its image in their place."""
    return [
        column
        for name in kind.model_fields
        for column in (_own_columns(Image) if name == "image" else [name])
    ]


def csv_text(columns: Sequence[str], rows: Iterable[Row], *, head: bool = False) -> bytes:
    """Return rows as CSV in UTF-8.

    Args:
        columns: of the file; a row may lack some, and what else it has is left out.
        rows: of texts, numbers, truth values and None.
        head: whether these are the first rows, above which the columns stand.
    """
    file = io.StringIO(newline="")
    if head:
        file.write(_MARK)
        csv.writer(file).writerow(map(_cell, columns))
    csv.writer(file).writerows([_cell(row.get(column)) for column in columns] for row in rows)
    # Names may hold half a surrogate pair, which UTF-8 cannot write.
    return file.getvalue().encode("utf-8", "backslashreplace")


def csv_response(name: str, text: bytes | AsyncIterator[bytes]) -> Response:
    """Answer with a file that a browser saves under a name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    kind = "text/csv; charset=utf-8"
    if isinstance(text, bytes):
        return Response(text, headers=headers, media_type=kind)
    return StreamingResponse(text, headers=headers, media_type=kind)


async def csv_of_pages(
    name: str, columns: Sequence[str], page: Callable[[slice], Awaitable[tuple[int, Sequence[Row]]]]
) -> Response:
    """Answer with all rows of a list, page by page: no more than one is held.

    Args:
        name: of the file, without its ending.
        columns: of it.
        page: gives the number of all rows, and those of a page.
    """
    # Before the answer begins: what cannot be read is still told as a problem.
    total, first = await page(slice(0, _BLOCK))

    async def text() -> AsyncIterator[bytes]:
        yield csv_text(columns, first, head=True)
        for start in range(_BLOCK, total, _BLOCK):
            yield csv_text(columns, (await page(slice(start, start + _BLOCK)))[1])

    return csv_response(name, text())


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else plain_cell(value)
