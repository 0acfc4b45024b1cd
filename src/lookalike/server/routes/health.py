"""Routes for probes and metrics: /healthz, /readyz, /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from lookalike.schemas.service import Alive, Ready
from lookalike.server.middleware.metrics import CONTENT_TYPE, Metrics
from lookalike.server.readiness import NotReady, Readiness

router = APIRouter(tags=["service"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def alive() -> Alive:
    """Say that the process answers; asks for no key."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def ready(request: Request) -> Ready:
    """Say whether the store answers and the models are open; asks for no key."""
    readiness: Readiness = request.app.state.readiness
    reason = await readiness.problem()
    if reason is not None:
        raise NotReady(reason)
    return Ready(damaged=readiness.damaged)


@router.get("/metrics", response_class=Response)
async def figures(request: Request) -> Response:
    """Give Prometheus its figures."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), media_type=CONTENT_TYPE)
