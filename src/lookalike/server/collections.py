"""Requests about collections."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter

from lookalike.embedders import TextEmbedder
from lookalike.errors import LookalikeError
from lookalike.schemas.collections import Collection, Collections
from lookalike.schemas.values import Approximation
from lookalike.server.service import Service, Serving

if TYPE_CHECKING:
    from lookalike.records import Collection as Stored

router = APIRouter(tags=["collections"])


@router.get("/v1/collections")
async def collections(service: Serving) -> Collections:
    """List the collections that are served."""
    return await service.work(
        lambda: Collections(collections=[_described(service, each) for each in service.served()])
    )


@router.get("/v1/collections/{name}")
async def collection(name: str, service: Serving) -> Collection:
    """Describe a collection."""
    return await service.work(lambda: _described(service, service.collection(name)))


def _described(service: Service, found: Stored) -> Collection:
    try:
        texts = isinstance(service.session.embedder_of(found), TextEmbedder)
    except LookalikeError:  # its model is not here: it can be looked at, not asked
        texts = False
    fitting = service.session.fitting(found.name)
    index = found.approximation
    return Collection(
        name=found.name,
        count=found.count,
        model=found.space.embedder,
        dimension=found.space.dimension,
        fingerprint=found.space.embedder_fingerprint,
        fields=list(found.fields),
        fitted_by=None if fitting is None else fitting.by,
        texts=texts,
        approximation=None if index is None else Approximation(**asdict(index)),
    )
