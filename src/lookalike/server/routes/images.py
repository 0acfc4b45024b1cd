"""Routes of single images: add, show, correct, remove."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from lookalike.errors import InvalidArgument
from lookalike.ingest.adding import Picture
from lookalike.labels.json.documents import MAX_DEPTH, is_deep
from lookalike.labels.labelling import Label
from lookalike.metric_learning.corrections import MOST_FIELDS, check_labels, delivered, marks_of
from lookalike.schemas.images import Added, Correction, ImageDetails
from lookalike.schemas.values import Id, Unusable, Value
from lookalike.search.listing import moment
from lookalike.server.auth.access_control import WriteAccess
from lookalike.server.http.json_limits import check_json_size
from lookalike.server.http.multipart import Part, read_parts
from lookalike.server.http.problems import Refused
from lookalike.server.http.request_bodies import form_schema, invalid_part, media_type
from lookalike.server.http.responses import json_response
from lookalike.server.routes.browse import iso_time
from lookalike.server.routes.changes import undo_of
from lookalike.server.service import InjectedService, Service
from lookalike.server.storage.upload_folder import UploadFolder
from lookalike.sources.uploads import Upload
from lookalike.stores.checks import metadata_text
from lookalike.types import Skipped
from lookalike.uris import local_path, record_id, split_frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.types import Record

router = APIRouter(tags=["images"])

_T = TypeVar("_T")
_FIELDS: TypeAdapter[dict[str, Value] | list[dict[str, Value]]] = TypeAdapter(
    dict[str, Value] | list[dict[str, Value]]
)
_METADATA: TypeAdapter[dict[str, Any] | list[dict[str, Any]]] = TypeAdapter(
    dict[str, Any] | list[dict[str, Any]]
)
_FORM = form_schema(
    "Pictures.",
    fields=(
        "Fields: an object for all of them, or a list with one for each.",
        {"label": "rust", "checked": True},
    ),
    metadata=("What else is known of them, likewise; any JSON.", {"camera": "line 3"}),
)
_FORM["multipart/form-data"]["schema"]["required"] = ["image"]


@router.post(
    "/v1/collections/{name}/images",
    status_code=HTTPStatus.CREATED,
    response_model=Added,
    dependencies=[WriteAccess],
    openapi_extra={"requestBody": {"required": True, "content": _FORM}},
)
async def add(name: str, request: Request, service: InjectedService) -> Response:
    """Add pictures; what was answered 201 is on disk. The same picture again is the same image."""
    if service.uploads is None:
        raise Refused(501, "no pictures can be added: `lookalike serve --uploads DIRECTORY` allows it")
    uploads, labels = await _read(request, service)
    folder = service.uploads
    collection = await service.store_pool.run(lambda: service.collection(name))
    handle = service.database[collection.name]
    embedder = await service.store_pool.run(handle.vectors.embedder)
    files = await service.embedding_queue.pictures(uploads, embedder, service.database.features(embedder))
    skipped = [
        Unusable(name=upload.name, skipped=file.reason)
        for upload, file in zip(uploads, files, strict=True)
        if isinstance(file, Skipped)
    ]
    usable = [
        (upload, file, label)
        for upload, file, label in zip(uploads, files, labels, strict=True)
        if not isinstance(file, Skipped)
    ]
    if not usable:
        reasons = "; ".join(f"{each.name[:100]!r}: {each.skipped}" for each in skipped[:3])
        raise Refused(422, f"none of the pictures can be used: {reasons}")
    records, undo = await service.write_pool.run(
        lambda: _add(service, folder, name, usable, embedder.fingerprint)
    )
    answer = Added(
        images=[details(service, record) for record in records], skipped=skipped, undo=undo_of(undo)
    )
    return json_response(answer, HTTPStatus.CREATED)


@router.get("/v1/collections/{name}/images/{id}", response_model=ImageDetails)
async def image(name: str, id: Id, service: InjectedService) -> Response:  # noqa: A002 as the contract calls it
    """Tell all that is known of an image."""
    return await service.store_pool.run(lambda: json_response(details(service, service.record(name, id)[1])))


@router.patch("/v1/collections/{name}/images/{id}", response_model=ImageDetails, dependencies=[WriteAccess])
async def correct(
    name: str,
    id: Id,  # noqa: A002
    correction: Correction,
    service: InjectedService,
) -> Response:
    """Put fields of an image right, or confirm them; `lookalike index` keeps to that."""

    def act() -> Response:
        collection = service.collection(name)
        record = service.database[collection.name].correct(id, correction.fields, correction.confirm)
        service.changed(collection.name, [id])
        return json_response(details(service, record))

    return await service.write_pool.run(act)


@router.delete(
    "/v1/collections/{name}/images/{id}", status_code=HTTPStatus.NO_CONTENT, dependencies=[WriteAccess]
)
async def remove(name: str, id: Id, service: InjectedService) -> None:  # noqa: A002
    """Remove an image from a collection; its file is deleted only where it had been added here."""

    def act() -> None:
        collection, record = service.record(name, id)
        service.database[collection.name].remove([id])
        service.changed(collection.name, [id])
        path = local_path(record.uri)
        if path is not None:
            service.delete_added([path])

    await service.write_pool.run(act)


def details(service: Service, record: Record) -> ImageDetails:
    """Return all that a client may know of a record."""
    marks = marks_of(record)
    return ImageDetails(
        id=record.id,
        name=service.roots.name(record),
        fields=dict(record.fields),
        metadata=dict(delivered(record).metadata),
        digest=record.digest,
        size=record.size,
        time=None if (frame := split_frame(record.uri)) is None else float(frame[1]),
        taken=iso_time(moment(record)),
        corrected=dict(marks.corrected),
        confirmed=sorted(marks.confirmed),
    )


def _add(
    service: Service,
    folder: UploadFolder,
    name: str,
    usable: Sequence[tuple[Upload, EmbeddedFile, Label]],
    made_by: str,
) -> tuple[list[Record], str | None]:
    """Write pictures and then their records; where that fails, none of them. Returns what undoes it, too."""
    collection = service.collection(name)
    handle = service.database[collection.name]
    new: list[Path] = []
    try:
        pictures = []
        for upload, file, label in usable:
            path, is_new = folder.keep(collection.name, upload.data, file.digest)
            if is_new:
                new.append(path)
            kept = replace(file, path=path, modified_ns=path.stat().st_mtime_ns)
            pictures.append(Picture(kept, made_by, upload.name, label))
        before = handle.records.snapshot([record_id(each.file.path.as_uri()) for each in pictures])
        records = handle.add_embedded(pictures)
    except BaseException:
        service.delete_added(new)
        raise
    service.changed(collection.name, [record.id for record in records])
    return records, service.undo.put(before, {record.id: record for record in records})


async def _read(request: Request, service: Service) -> tuple[list[Upload], list[Label]]:
    """Return the pictures of a multipart request, and the labels of each."""
    if media_type(request) != "multipart/form-data":
        raise Refused(415, "pictures are sent as multipart/form-data, in parts called `image`")
    parts = await read_parts(request, service.settings.max_images + 2)
    pictures = [part for part in parts if part.name == "image" and part.filename is not None]
    uploads = [Upload(part.filename or f"image {place}", part.content) for place, part in enumerate(pictures)]
    fields = _json(parts, "fields", _FIELDS, len(uploads))
    metadata = _json(parts, "metadata", _METADATA, len(uploads))
    if not uploads:
        raise InvalidArgument("nothing to add: send pictures in parts called `image`, each with a file name")
    if len(uploads) > service.settings.max_images:
        raise InvalidArgument(f"at most {service.settings.max_images} pictures a request")
    for each, more in zip(fields, metadata, strict=True):
        check_labels(each)
        if is_deep(more):  # it could be kept, and not be written into an answer
            raise InvalidArgument(f"metadata: nested more than {MAX_DEPTH} levels deep")
        metadata_text("of this request", more)
    return uploads, [Label(*both) for both in zip(fields, metadata, strict=True)]


def _json(
    parts: Sequence[Part],
    name: str,
    model: TypeAdapter[dict[str, _T] | list[dict[str, _T]]],
    count: int,
) -> list[dict[str, _T]]:
    """Return what a part of a request says of each picture."""
    text = next((part.content for part in parts if part.name == name), b"")
    if not text:
        return [{} for _ in range(count)]
    check_json_size(text)
    try:
        said = json.loads(text)
        # Before pydantic notes all that is wrong: see `RequestModel`.
        if isinstance(said, list) and len(said) != count:
            raise InvalidArgument(f"{name}: a list of {len(said)} for {count} pictures")
        for each in said if isinstance(said, list) else [said]:
            if model is _FIELDS and isinstance(each, dict) and len(each) > MOST_FIELDS:
                raise InvalidArgument(f"{name}: at most {MOST_FIELDS:,} for one picture, not {len(each):,}")
        said = model.validate_python(said)
    except ValidationError as error:
        raise invalid_part(name, error) from error
    except RecursionError as error:
        raise InvalidArgument(f"{name}: nested more than {MAX_DEPTH} levels deep") from error
    except ValueError as error:
        raise RequestValidationError([{"loc": (name,), "msg": f"it is no JSON: {error}"}]) from error
    return [said] * count if isinstance(said, dict) else said
