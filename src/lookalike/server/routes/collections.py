"""Routes of collections: list, describe, create, delete, count values."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, Response

from lookalike.errors import LookalikeError, TableGone, Unanswerable
from lookalike.schemas.collections import (
    Collection,
    CollectionChange,
    Collections,
    Deleted,
    NewCollection,
    Values,
    Vector,
)
from lookalike.server.auth.access_control import WriteAccess
from lookalike.server.http.problems import Refused
from lookalike.server.routes.models import shown_model, usable_model
from lookalike.server.service import InjectedService, Service, shown_approximation
from lookalike.stores.checks import same_name
from lookalike.types import VectorStatus
from lookalike.uris import local_path

if TYPE_CHECKING:
    from lookalike.types import CollectionInfo

router = APIRouter(tags=["collections"])


@router.get("/v1/collections")
async def collections(service: InjectedService) -> Collections:
    """List the collections that are served."""
    return await service.store_pool.run(
        lambda: Collections(collections=[described(service, each) for each in service.served()])
    )


@router.get("/v1/collections/{name}")
async def collection(name: str, service: InjectedService) -> Collection:
    """Describe a collection."""

    def act() -> Collection:
        try:
            return described_alone(service, service.collection(name))
        except TableGone as error:
            (found,) = [each for each in service.served() if each.name == error.collection]
            return described(service, found)

    return await service.store_pool.run(act)


@router.get("/v1/collections/{name}/values")
async def values(name: str, service: InjectedService) -> Values:
    """Count the images of a collection by the values of each field; others' changes show after a minute."""
    found = await service.store_pool.run(lambda: service.collection(name))
    return await service.field_counts.get(found.name, service.store_pool)


@router.post("/v1/collections", status_code=HTTPStatus.CREATED, dependencies=[WriteAccess])
async def create(wanted: NewCollection, response: Response, service: InjectedService) -> Collection:
    """Make an empty collection."""
    served = {same_name(name) for name in service.settings.collections}
    if served and same_name(wanted.name) not in served:
        raise Refused(403, "only collections that `lookalike serve --collection` names are served here")

    def act() -> Collection:
        model = usable_model(service, wanted.model)
        return described_alone(
            service, service.database.create(wanted.name, model, index_name=wanted.index_name).info()
        )

    made = await service.write_pool.run(act)
    response.headers["Location"] = f"/v1/collections/{quote(made.name, safe='')}"
    return made


@router.patch("/v1/collections/{name}", dependencies=[WriteAccess])
async def change(name: str, wanted: CollectionChange, service: InjectedService) -> Collection:
    """Choose the default vector of a collection; every vector stays."""

    def act() -> Collection:
        found = service.database[service.collection(name).name].vectors.set_default(wanted.default)
        service.changed(found.name)
        return described_alone(service, found)

    return await service.write_pool.run(act)


@router.delete("/v1/collections/{name}", dependencies=[WriteAccess])
async def delete(name: str, service: InjectedService) -> Deleted:
    """Delete a collection, and the pictures that were added to it here; no other file is touched."""

    def act() -> Deleted:
        found = service.collection(name)
        handle = service.database[found.name]
        added = []
        if service.uploads is not None:
            paths = map(local_path, handle.records.uris())
            added = [path for path in paths if path is not None and service.uploads.holds(path)]
        deleted = handle.delete()
        service.changed(found.name)
        service.delete_added(added)
        return Deleted(deleted=deleted.count)

    return await service.write_pool.run(act)


def described_alone(service: Service, found: CollectionInfo) -> Collection:
    """Return one collection as the service names it; blocks."""
    # Some megabytes are read to tell, which a list of all collections has no use for.
    normal = service.database[found.name].anomaly.is_fitted()
    return described(service, found).model_copy(update={"normal": normal})


def described(service: Service, found: CollectionInfo) -> Collection:
    """Describe a collection; blocks."""
    texts, problem = False, None
    handle = service.database[found.name]
    try:
        handle.vectors.embedder()
        with suppress(Unanswerable):
            texts = bool(handle.vectors.text_embedder())
    except LookalikeError as error:
        # Its text may say where on this machine something is missing.
        problem = type(error).__name__
    if found.problem is not None:
        problem = type(found.problem).__name__
    fitting = None if found.problem is not None else handle.fitting()
    return Collection(
        name=found.name,
        count=found.count,
        model=shown_model(service, found.space.embedder),
        dimension=found.space.dimension,
        fingerprint=found.space.embedder_fingerprint,
        fields=list(found.fields),
        vectors=[
            described_vector(service, each)
            for each in (handle.vectors.status() if found.problem is None else _not_counted(found))
        ],
        default=found.default,
        fitted_by=None if fitting is None else fitting.by,
        texts=texts,
        approximation=shown_approximation(found.approximation),
        problem=problem,
        attached=found.attached,
        writable=found.writable,
    )


def _not_counted(found: CollectionInfo) -> list[VectorStatus]:
    return [VectorStatus(each, each.name == found.default, 0, 0) for each in found.vectors]


def described_vector(service: Service, found: VectorStatus) -> Vector:
    """Describe a vector; blocks."""
    vector = found.vector
    return Vector(
        name=vector.name,
        model=shown_model(service, vector.space.embedder),
        dimension=vector.space.dimension,
        fitted=vector.fitted,
        ready=vector.ready,
        default=found.default,
        lacking=found.lacking,
        bytes=found.bytes,
        approximation=shown_approximation(vector.approximation),
    )
