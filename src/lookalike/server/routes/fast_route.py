"""Routes that bypass FastAPI's parameter resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request, Response
from fastapi.routing import APIRoute

from lookalike.server.service import service_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class FastRoute(APIRoute):
    """A hot route whose function reads the request and writes the response itself.

    The function takes the name in the path, the request and the service. FastAPI describes it as any other;
    it only does not look anew for each request where the function's arguments come from.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return what answers a request (https://fastapi.tiangolo.com/how-to/custom-request-and-route/)."""
        answer = self.endpoint

        async def handle(request: Request) -> Response:
            response: Response = await answer(request.path_params["name"], request, service_of(request))
            return response

        return handle
