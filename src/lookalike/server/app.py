"""The ASGI application: routes and middleware."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from lookalike.schemas.values import Problem
from lookalike.server.auth.access_control import AccessControl, check_origins
from lookalike.server.auth.keys import open_keys
from lookalike.server.auth.sessions import LoginSessions
from lookalike.server.http.problems import PROBLEM, answer_with_problems
from lookalike.server.http.responses import JsonResponse
from lookalike.server.middleware.body_limits import BodyLimits, MemoryBudget
from lookalike.server.middleware.instrumentation import Instrumentation
from lookalike.server.middleware.metrics import Metrics
from lookalike.server.middleware.translation import Translation
from lookalike.server.openapi import DescribedApp
from lookalike.server.readiness import Readiness
from lookalike.server.routes import (
    anomaly,
    audit,
    browse,
    changes,
    classify,
    collections,
    downloads,
    drift,
    elastic_search,
    elasticsearch,
    embeddings,
    evaluate,
    export,
    health,
    image_files,
    images,
    imports,
    index,
    jobs,
    models,
    page,
    search,
    suggest,
    vectors,
)
from lookalike.server.routes import map as map_routes
from lookalike.server.routes import service as service_routes
from lookalike.server.service import Service
from lookalike.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lookalike.database import Database
    from lookalike.server.settings import Settings

_DESCRIPTION = """Finds and classifies images by their lookalikes.

Errors are problem details (RFC 9457)."""

# One after the other is tried: what is asked most comes first.
_ROUTERS = (
    search.router,
    classify.router,
    anomaly.router,
    downloads.router,
    collections.router,
    export.router,
    embeddings.router,
    models.router,
    elasticsearch.router,
    elastic_search.router,
    service_routes.router,
    health.router,
    images.router,
    browse.router,
    changes.router,
    image_files.router,
    page.router,
    jobs.router,
    evaluate.router,
    audit.router,
    drift.router,
    suggest.router,
    map_routes.router,
    imports.router,
    index.router,
    vectors.router,
    elastic_search.heads,
)


def make_app(database: Database, settings: Settings) -> FastAPI:
    """Return the ASGI application over a store.

    Args:
        database: the store and the models; whoever opened it closes it, after the application has ended.
        settings: limits and places.

    Raises:
        InvalidArgument, PathNotFound: keys or origins are not as they should be.
    """
    keys = open_keys(settings)
    check_origins(settings.origins)
    service = Service(database, settings)
    readiness = Readiness(service)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        readiness.start()
        try:
            yield
        finally:
            readiness.close()
            service.close()

    app = DescribedApp(
        title="lookalike",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # They would lead to whatever host a request names.
        redirect_slashes=False,
        default_response_class=JsonResponse,
        # Their pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses={"default": {"description": "A problem", "content": {PROBLEM: {"schema": _schema()}}}},
    )
    app.state.service = service
    app.state.readiness = readiness
    app.state.sessions = None if keys is None else LoginSessions(keys)
    _wrap(app, settings)
    answer_with_problems(app)
    for router in _ROUTERS:
        app.include_router(router)
    return app


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Add the middleware, the innermost first."""
    held = MemoryBudget(settings.memory)
    app.state.metrics = Metrics(app.state.service, held)
    app.add_middleware(BodyLimits, settings=settings, held=held)
    app.add_middleware(AccessControl, settings=settings, sessions=app.state.sessions)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.lower() for origin in settings.origins],
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["Location", "Retry-After", "X-Request-Id"],
        )
    app.add_middleware(Translation)
    app.add_middleware(Instrumentation, metrics=app.state.metrics)


def _schema() -> dict[str, object]:
    return Problem.model_json_schema()
