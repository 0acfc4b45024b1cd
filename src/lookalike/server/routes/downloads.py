"""The route that gives chosen images as a file: a table, or an archive of links."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from lookalike.column_names import field_columns
from lookalike.schemas.downloads import DownloadQuery
from lookalike.server.http.csv_answers import CSV, csv_response, csv_text
from lookalike.server.service import InjectedService, Service
from lookalike.uris import uri_text

if TYPE_CHECKING:
    from collections.abc import Iterable

router = APIRouter(tags=["images"])

_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            **CSV[200]["content"],
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        }
    }
}
# What Windows lets no name have, and a name may be 255 bytes long nearly everywhere.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"\\|?*\x7f]')
_LONGEST = 240


@router.post("/v1/collections/{name}/downloads", response_class=Response, responses=_FILES)
async def download(name: str, query: DownloadQuery, request: Request, service: InjectedService) -> Response:
    """Give images with their fields as a table, or as an archive of links; unknown ids are left out."""
    address = query.address or str(request.base_url).rstrip("/")
    return await service.store_pool.run(lambda: _download(service, name, query, address))


def _download(service: Service, name: str, query: DownloadQuery, address: str) -> Response:
    handle = service.database[service.collection(name).name]
    found = {record.id: record for record in handle.records.get(list(dict.fromkeys(query.ids)))}
    records = [found[each] for each in dict.fromkeys(query.ids) if each in found]
    names = service.roots.names(records)
    links = [
        f"{address}/v1/collections/{quote(name, '')}/images/{quote(each.id, '')}/original" for each in records
    ]
    own = ["id", "name", "uri", "link"]
    fields = field_columns({field for record in records for field in record.fields}, own)
    rows = [
        {
            "id": record.id,
            "name": shown,
            # Where files lie on this machine is not told.
            "uri": None if record.uri.startswith("file:") else uri_text(record.uri),
            "link": link,
            **{fields[field]: value for field, value in record.fields.items()},
        }
        for record, shown, link in zip(records, names, links, strict=True)
    ]
    table = csv_text([*own, *fields.values()], rows, head=True)
    if query.format == "csv":
        return csv_response("images", table)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.csv", table)
        for path, link in zip(_paths(names), links, strict=True):
            # What Windows, macOS and most desktops open with the browser.
            archive.writestr(path, f"[InternetShortcut]\r\nURL={link}\r\n")
    headers = {"Content-Disposition": 'attachment; filename="images.zip"'}
    return Response(file.getvalue(), headers=headers, media_type="application/zip")


def _paths(names: Iterable[str]) -> list[str]:
    """Return a path in the archive for each name: below its folder, and each once."""
    taken: set[str] = set()
    last: dict[str, int] = {}  # of each name: ten thousand may be called alike
    paths = []
    for name in names:
        clean = _NOT_IN_NAMES.sub("_", name.encode("utf-8", "replace").decode())
        parts = [_part(part) for part in PurePosixPath(clean).parts if part != "/"]
        wanted = path = "/".join(parts) or "_"
        number = last.get(wanted.casefold(), 1)
        while path.casefold() in taken:
            number += 1
            path = f"{wanted}-{number}"
        last[wanted.casefold()] = number
        taken.add(path.casefold())
        paths.append(f"{path}.url")
    return paths


def _part(name: str) -> str:
    """Return the name of a file or folder, its end where it is too long."""
    return name.encode()[-_LONGEST:].decode(errors="ignore").rstrip(". ") or "_"
