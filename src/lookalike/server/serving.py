"""The server process: uvicorn around the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import ExtraMissing

try:
    import uvicorn

    from lookalike.server.app import make_app
except ImportError as error:
    raise ExtraMissing("the service", "serve") from error

if TYPE_CHECKING:
    from lookalike.server.settings import Settings
    from lookalike.session import Session


def serve(session: Session, settings: Settings, host: str, port: int) -> None:
    """Serve until a signal says stop; what was accepted is answered first.

    Args:
        session: the store and the models.
        settings: limits and places.
        host: the address to listen on.
        port: 0 for any that is free.
    """
    uvicorn.run(make_app(session, settings), host=host, port=port, log_level="info")
