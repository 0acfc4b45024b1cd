"""The route that lists images in an order."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from lookalike.errors import LookalikeError
from lookalike.schemas.browse import BrowseAnswer, BrowsedGroup, BrowsedImage, BrowseQuery
from lookalike.server.http.problems import Refused
from lookalike.server.http.responses import json_response
from lookalike.server.routes.image_files import small
from lookalike.server.service import InjectedService, Service

if TYPE_CHECKING:
    from lookalike.search.listing import Listing
    from lookalike.types import CollectionInfo, Record

router = APIRouter(tags=["images"])

_SIZE = 256
"""Of thumbnails that are made ahead, in pixels: those of the page."""


@router.post("/v1/collections/{name}/browse", response_model=BrowseAnswer)
async def browse(name: str, query: BrowseQuery, service: InjectedService) -> Response:
    """List images in an order, from any place on; others' changes show after a minute."""
    return await service.store_pool.run(lambda: json_response(_browse(service, name, query)))


def _browse(service: Service, name: str, query: BrowseQuery) -> BrowseAnswer:
    found = service.collection(name)
    by = query.by if query.order in ("label", "uncertain") else None
    listing, version = service.listings.get(found.name, query.order, by, query.where)
    records = listing.read(query.offset, query.limit)
    _make_thumbnails(service, found, listing, query.offset)
    names = service.roots.names(records)
    sure = listing.confidence([record.id for record in records])
    wanted = None if query.fields is None else set(query.fields)
    images = [
        BrowsedImage(
            id=record.id,
            name=shown,
            fields={
                field: value for field, value in record.fields.items() if wanted is None or field in wanted
            },
            time=iso_time(taken),
            confidence=confidence,
        )
        for record, shown, taken, confidence in zip(records, names, listing.times(records), sure, strict=True)
    ]
    groups = []
    if query.offset == 0:
        groups = [
            BrowsedGroup(value=each.value, start=each.start, count=each.count) for each in listing.groups
        ]
    return BrowseAnswer(images=images, total=len(listing), version=version, groups=groups)


def _make_thumbnails(service: Service, collection: CollectionInfo, listing: Listing, start: int) -> None:
    """Let the thumbnails of a collection be made, those first that are looked at next."""

    def make(record: Record) -> bool:
        with suppress(Refused, LookalikeError, OSError):
            small(service, collection, record, _SIZE)
        return not service.thumbnail_file.full

    def ids() -> list[str]:
        return listing.ids(start) + listing.ids(0, start)

    handle = service.database[collection.name]
    service.thumbnail_maker.want(collection.name, len(listing), ids, handle.records.get, make)


def iso_time(seconds: float | None) -> str | None:
    """Return seconds since 1970 in ISO 8601, UTC; None where they are unknown or of a year beyond 9999."""
    if seconds is None:
        return None
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}Z"
    except (OverflowError, ValueError, OSError):
        return None
