"""The application: its requests, and what goes with every answer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from lookalike import __version__
from lookalike.schemas.values import Problem
from lookalike.server import classifying, collections, searching
from lookalike.server.problems import PROBLEM, answer_with_problems
from lookalike.server.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lookalike.server.settings import Settings
    from lookalike.session import Session

_DESCRIPTION = """Finds and classifies images by their lookalikes.

Errors are problem details (RFC 9457)."""

_ROUTERS = (collections.router, searching.router, classifying.router)


def make_app(session: Session, settings: Settings) -> FastAPI:
    """Return the ASGI application over a store.

    Args:
        session: the store and the models; whoever opened it closes it, after the application has ended.
        settings: limits and places.
    """
    service = Service(session, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            service.close()

    app = FastAPI(
        title="lookalike",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Their pages fetch scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses={"default": {"description": "A problem", "content": {PROBLEM: {"schema": _schema()}}}},
    )
    app.state.service = service
    answer_with_problems(app)
    for router in _ROUTERS:
        app.include_router(router)
    return app


def _schema() -> dict[str, object]:
    return Problem.model_json_schema()
