"""The application: its requests, and what goes with every answer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from lookalike import __version__
from lookalike.schemas.values import Problem
from lookalike.server.auth import login
from lookalike.server.auth.guard import Guard, check_origins
from lookalike.server.auth.keys import open_keys
from lookalike.server.auth.login import Sessions
from lookalike.server.description import Described
from lookalike.server.http.answers import JsonAnswer
from lookalike.server.http.problems import PROBLEM, answer_with_problems
from lookalike.server.middleware.envelope import Envelope
from lookalike.server.middleware.limits import Held, Limits
from lookalike.server.middleware.metrics import Metrics
from lookalike.server.routes import (
    audits,
    classifying,
    collections,
    elastic,
    embeddings,
    evaluations,
    health,
    images,
    indexings,
    job_requests,
    maps,
    models,
    page,
    pictures,
    searching,
)
from lookalike.server.routes.health import Readiness
from lookalike.server.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lookalike.server.settings import Settings
    from lookalike.session import Session

_DESCRIPTION = """Finds and classifies images by their lookalikes.

Errors are problem details (RFC 9457)."""

# One after the other is tried: what is asked most comes first.
_ROUTERS = (
    searching.router,
    classifying.router,
    collections.router,
    embeddings.router,
    models.router,
    elastic.router,
    login.router,
    health.router,
    images.router,
    pictures.router,
    page.router,
    job_requests.router,
    evaluations.router,
    audits.router,
    maps.router,
    indexings.router,
)


def make_app(session: Session, settings: Settings) -> FastAPI:
    """Return the ASGI application over a store.

    Args:
        session: the store and the models; whoever opened it closes it, after the application has ended.
        settings: limits and places.

    Raises:
        InvalidArgument, PathNotFound: keys or origins are not as they should be.
    """
    keys = open_keys(settings)
    check_origins(settings.origins)
    service = Service(session, settings)
    readiness = Readiness(service)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        readiness.start()
        try:
            yield
        finally:
            readiness.close()
            service.close()

    app = Described(
        title="lookalike",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # They would lead to whatever host a request names.
        redirect_slashes=False,
        default_response_class=JsonAnswer,
        # Their pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses={"default": {"description": "A problem", "content": {PROBLEM: {"schema": _schema()}}}},
    )
    app.state.service = service
    app.state.readiness = readiness
    app.state.sessions = None if keys is None else Sessions(keys)
    _wrap(app, settings)
    answer_with_problems(app)
    for router in _ROUTERS:
        app.include_router(router)
    return app


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Put around the application what goes with every request, the innermost first."""
    held = Held(settings.memory)
    app.state.metrics = Metrics(app.state.service, held)
    app.add_middleware(Limits, settings=settings, held=held)
    app.add_middleware(Guard, settings=settings, sessions=app.state.sessions)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.lower() for origin in settings.origins],
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["Location", "Retry-After", "X-Request-Id"],
        )
    app.add_middleware(Envelope, metrics=app.state.metrics)


def _schema() -> dict[str, object]:
    return Problem.model_json_schema()
