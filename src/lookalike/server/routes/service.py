"""Routes of the service itself: log in and out with a key, and what the service offers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from lookalike.errors import InvalidArgument
from lookalike.schemas.service import Limits, Login, ServiceInfo
from lookalike.server.auth.sessions import SECONDS, LoginSessions, cookie_name
from lookalike.server.http.problems import Refused
from lookalike.server.service import InjectedService
from lookalike.version import VERSION

router = APIRouter(tags=["service"])


@router.post("/v1/login", status_code=204)
async def log_in(login: Login, request: Request) -> Response:
    """Exchange a key for a cookie that scripts cannot read; for the page."""
    sessions: LoginSessions | None = request.app.state.sessions
    if sessions is None:
        raise InvalidArgument("this service asks for no key")
    key = sessions.keys.find(login.key)
    if key is None:
        raise Refused(401, "that key is not known", {"WWW-Authenticate": 'Bearer realm="lookalike"'})
    response = Response(status_code=204)
    response.set_cookie(
        cookie_name(request.scope),
        sessions.open(key),
        max_age=SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )
    return response


@router.delete("/v1/login", status_code=204)
async def log_out(request: Request) -> Response:
    """Take the cookie back."""
    response = Response(status_code=204)
    response.delete_cookie(
        cookie_name(request.scope),
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
    )
    return response


@router.get("/v1/service")
async def about(request: Request, service: InjectedService) -> ServiceInfo:
    """Say what this service is, what the one who asks may do, and how much a request may bring."""
    settings = service.settings
    return ServiceInfo(
        version=VERSION,
        may=request.state.may,
        keys=request.app.state.sessions is not None,
        uploads=settings.uploads is not None,
        limits=Limits(bytes=settings.max_bytes, pixels=settings.max_pixels, images=settings.max_images),
    )
