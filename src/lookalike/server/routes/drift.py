"""Routes that compare new images with a collection: start the job, read what it found."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.drift import DriftAnswer, DriftQuery, DriftSummary, LabelShare, SentDriftQuery
from lookalike.schemas.drift import Driver as ShownDriver
from lookalike.schemas.jobs import Job, JobId
from lookalike.schemas.values import Unusable
from lookalike.search.query import Embedding, Image
from lookalike.server.http.problems import Refused
from lookalike.server.http.request_bodies import body_schema, read_query
from lookalike.server.routes.jobs import ACCEPTED, accepted, check_answerable
from lookalike.server.routes.votes import read_records
from lookalike.server.service import InjectedService, Service
from lookalike.types import SERIES, Neighbour, Skipped
from lookalike.uris import SENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.drift.drift import Drift, Driver
    from lookalike.progress import Progress

router = APIRouter(tags=["drift"])


_EXAMPLE = {"new": {"day": ["2026-01-31"]}, "by": "label"}


@router.post(
    "/v1/collections/{name}/drifts",
    **ACCEPTED,
    openapi_extra=body_schema(
        DriftQuery, example=_EXAMPLE, pictures="The new pictures, where `new` names none of the collection."
    ),
)
async def drift(name: str, request: Request, response: Response, service: InjectedService) -> Job:
    """Test whether pictures that are sent, or some images of a collection, are still what it was judged on.

    A two-sample test by permutation tells whether they are drawn from one distribution with the others.
    """
    query, uploads = await read_query(request, DriftQuery, service.settings)
    if bool(query.new) == bool(uploads):
        raise InvalidArgument(
            "say which images are the new ones: send pictures, or a field and its values as `new`; not both"
        )
    collection = await service.store_pool.run(lambda: service.collection(name))
    group = None if query.group == SERIES else query.group
    check_answerable(collection, query.by, group, *query.new, *query.where)
    images: list[Image] = []
    skipped: list[Unusable] = []
    asked = query
    if uploads:
        model = await service.embedders.get(name, query.using)
        files = await service.embedding_queue.pictures(uploads, model.embedder, model.cache)
        for upload, file in zip(uploads, files, strict=True):
            if isinstance(file, Skipped):
                skipped.append(Unusable(name=upload.name, skipped=file.reason))
            else:
                made = Embedding(file.features, model.embedder.fingerprint, file.digest)
                images.append(Image(str(file.path), made))
        if not images:
            raise Refused(422, f"none of the pictures can be used: {skipped[0].skipped}")
        digests = [str(each.embedding.digest) for each in images if each.embedding is not None]
        asked = SentDriftQuery(**query.model_dump(), pictures=digests)
    act = partial(_drift, service, collection.name, query, images, skipped)
    return accepted(service.jobs.put("drift", collection.name, asked, act), response)


@router.get("/v1/jobs/{id}/drift")
async def drifted(id: JobId, service: InjectedService) -> DriftAnswer:  # noqa: A002 as the contract calls it
    """Return a comparison that is done; images that were removed since are left out."""
    job, found = service.jobs.result(id, "drift")
    return await service.store_pool.run(lambda: _answer(service, job.collection, *found))


def _drift(
    service: Service,
    name: str,
    query: DriftQuery,
    images: Sequence[Image],
    skipped: Sequence[Unusable],
    progress: Progress,
) -> tuple[Drift, Sequence[Unusable]]:
    found = service.database[name].drift(
        images or None,
        new_where=query.new or None,
        where=query.where or None,
        by=query.by,
        group=query.group,
        using=query.using,
        false_alarm=query.false_alarm,
        seed=query.seed,
        progress=progress,
    )
    return found, skipped


def _answer(service: Service, collection: str, found: Drift, skipped: Sequence[Unusable]) -> DriftAnswer:
    names = DriftSummary.model_fields
    return DriftAnswer(
        summary=DriftSummary(**{name: getattr(found, name) for name in names}),
        shares=[LabelShare(label=each.label, before=each.before, now=each.now) for each in found.shares],
        drivers=_shown(service, collection, found.drivers),
        missing=_shown(service, collection, found.missing),
        skipped=list(skipped),
    )


def _shown(service: Service, collection: str, images: Sequence[Driver]) -> list[ShownDriver]:
    ids = (each for one in images for each in (one.record.id, one.nearest.record.id))
    records = read_records(service, collection, ids)
    found = []
    for each in images:
        record, nearest = records.get(each.record.id), records.get(each.nearest.record.id)
        sent = each.record.uri.startswith(SENT)
        if record is None and not sent:
            continue
        image = None if record is None or sent else service.image(record)
        near = [] if nearest is None else [Neighbour(nearest, each.nearest.similarity)]
        hits = service.neighbours(near)
        name = each.record.uri.removeprefix(SENT) if image is None else image.name
        found.append(
            ShownDriver(image=image, name=name, witness=each.witness, nearest=hits[0] if hits else None)
        )
    return found
