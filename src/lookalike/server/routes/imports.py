"""Routes that import vectors that others computed: send the file, start the job, read its report."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from lookalike.embedders.unknown import is_unknown
from lookalike.errors import InvalidArgument, LookalikeError
from lookalike.file_names import display
from lookalike.progress import silent
from lookalike.schemas.imports import Imported, ImportedSpace, ImportJob, ImportQuery, RowsTold
from lookalike.schemas.jobs import Job, JobId
from lookalike.schemas.values import Unusable
from lookalike.server.auth.access_control import WriteAccess
from lookalike.server.http.json_limits import check_json_size
from lookalike.server.http.multipart import read_parts
from lookalike.server.http.problems import Refused
from lookalike.server.http.request_bodies import invalid_part, media_type
from lookalike.server.routes.jobs import ACCEPTED, accepted
from lookalike.server.routes.models import shown_model, usable_model
from lookalike.server.service import InjectedService, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.progress import Progress
    from lookalike.server.http.multipart import Part
    from lookalike.stores.attached.foreign import LeftOut
    from lookalike.transfer.imports.vector_import import ImportReport

router = APIRouter(tags=["index"])

# What is packed, or may be, takes more memory than it was sent in.
_SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".npy")
_LONGEST_NAME = 200
_FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {
                "file": {"type": "string", "format": "binary", "description": "Parquet, CSV, JSON or .npy."},
                "ids": {
                    "type": "string",
                    "format": "binary",
                    "description": "Of a .npy, the file that names its rows: .npy, .txt, or a table.",
                },
                "query": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "description": "ImportQuery as JSON.",
                    "examples": ['{"model": "efficientnet-lite0"}'],
                },
            },
        }
    }
}


class _Files:
    """Files that were sent, on disk for as long as a job may read them."""

    def __init__(self, file: Part, ids: Part | None) -> None:
        folder = tempfile.mkdtemp(prefix="lookalike-import-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = Path(folder)
        self.file = self.folder / _name_of(file)
        self.file.write_bytes(file.content)
        self.ids: Path | None = None
        if ids is not None:
            (self.folder / "ids").mkdir()
            self.ids = self.folder / "ids" / _name_of(ids, (".txt",))
            self.ids.write_bytes(ids.content)


@router.post(
    "/v1/collections/{name}/imports",
    **ACCEPTED,
    dependencies=[WriteAccess],
    openapi_extra={"requestBody": {"required": True, "content": _FORM}},
)
async def import_(name: str, request: Request, response: Response, service: InjectedService) -> Job:
    """Take the vectors in a file that is sent into a collection, which is made if it is missing.

    Nothing that rows name as their picture is opened. The same file again changes nothing, and goes on where
    a job was cancelled.
    """
    if media_type(request) != "multipart/form-data":
        raise Refused(415, "vectors are sent as multipart/form-data, in a part called `file`")
    parts = {part.name: part for part in await read_parts(request, 2)}
    file, ids = parts.get("file"), parts.get("ids")
    if file is None or file.filename is None:
        raise InvalidArgument("nothing to import: send a file in a part called `file`, with its name")
    text = parts["query"].content if "query" in parts else b"{}"
    check_json_size(text)
    try:
        query = ImportQuery.model_validate_json(text or b"{}")
    except ValidationError as error:
        raise invalid_part("query", error) from error
    sent = [part for part in (file, ids) if part is not None]
    asked = ImportJob(
        **dict(query),
        file=_name_of(file),
        sha256=[hashlib.sha256(part.content).hexdigest() for part in sent],
    )

    def prepare() -> tuple[str, _Import]:
        service.check_served(name)
        work = _Import(service, name, query, _Files(file, ids))
        work.check()
        return name, work

    collection, work = await service.store_pool.run(prepare)
    return accepted(service.jobs.put("import", collection, asked, work.run), response)


@router.get("/v1/jobs/{id}/import")
async def imported(id: JobId, service: InjectedService) -> Imported:  # noqa: A002 as the contract calls it
    """Tell what became of every row, when the job is done."""
    found: Imported = service.jobs.result(id, "import")[1]
    return found


class _Import:
    """An import that a job makes."""

    def __init__(self, service: Service, name: str, query: ImportQuery, files: _Files) -> None:
        self._service = service
        self._name = name
        self._query = query
        self._files = files

    def check(self) -> None:
        """Refuse what can be told from the first rows to be no import.

        Raises:
            LookalikeError: as `Collection.import_vectors` says.
            Refused: a model that is not served, or a folder that is not below a root.
        """
        for space in self._made(dry_run=True).spaces.values():
            # The file may say itself what made its vectors, and a model may be called by a path.
            if not is_unknown(space):
                usable_model(self._service, space.embedder)

    def run(self, progress: Progress) -> Imported:
        """Import, and return what became of the rows."""
        try:
            return _shown(self._service, self._made(dry_run=self._query.dry_run, progress=progress))
        finally:
            # Also where it was cancelled: what is written is written.
            self._service.changed(self._name)

    def _made(self, *, dry_run: bool, progress: Progress = silent) -> ImportReport:
        query, service = self._query, self._service
        base = None if query.folder is None else service.folders.find(query.folder.root, query.folder.path)
        try:
            return service.database[self._name].import_vectors(
                self._files.file,
                **query.model_dump(exclude={"folder", "model", "dry_run"}),
                model=None if query.model is None else usable_model(service, query.model),
                ids=self._files.ids,
                base=None if base is None else str(base),
                max_pixels=service.settings.max_pixels,
                sent=True,
                dry_run=dry_run,
                progress=progress,
            )
        except LookalikeError as error:
            # Its line is shown to whoever asks for the job.
            error.args = (str(error).replace(f"{self._files.folder}/", ""),)
            raise


def _name_of(part: Part, more: Sequence[str] = ()) -> str:
    """Return the name of a file that was sent, which says what it is.

    Raises:
        InvalidArgument: it is of a form that is not taken here.
    """
    name = display(PurePath((part.filename or "").replace("\\", "/")).name)[-_LONGEST_NAME:]
    if not name.lower().endswith((*_SUFFIXES, *more)) or name.startswith("."):
        raise InvalidArgument(
            f"{name or 'a file without a name'}: files whose names end in {', '.join(_SUFFIXES)} are taken "
            f"here; `lookalike import` takes others, and folders"
        )
    return name.replace("/", "_")


def _shown(service: Service, report: ImportReport) -> Imported:
    def told(rows: Sequence[LeftOut]) -> list[RowsTold]:
        return [RowsTold(reason=each.reason, count=each.count, example=each.example) for each in rows]

    return Imported(
        collection=report.collection,
        form=report.form,
        columns=dict(report.columns),
        spaces=[
            ImportedSpace(vector=name, model=shown_model(service, space.embedder), dimension=space.dimension)
            for name, space in report.spaces.items()
        ],
        rows=report.rows,
        added=report.added,
        updated=report.updated,
        unchanged=report.unchanged,
        left_out=told(report.left_out),
        counted=told(report.counted),
        skipped=[Unusable(name=display(each.path), skipped=display(each.reason)) for each in report.skipped],
        verified=report.verified,
        similarity=report.similarity,
        doubtful=report.doubtful,
        remarks=list(report.remarks),
    )
