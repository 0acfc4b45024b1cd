"""The server process: runs the application in uvicorn, and stops gracefully."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.errors import ExtraMissing, InvalidArgument

try:
    import uvicorn
    import uvloop  # noqa: F401 which uvicorn imports only when it starts

    from lookalike.server.app import make_app
    from lookalike.server.connections import Connection, close_slow, connection_limit
    from lookalike.server.logs import log_as_json
except ModuleNotFoundError as error:
    raise ExtraMissing("the service", "serve") from error

from lookalike.server.sockets import LOOPBACK, accept_all, check_proxies, is_loopback, listen, resolve, url

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import FrameType

    from lookalike.database import Database
    from lookalike.server.settings import Settings

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 + SIGINT, as shells report it."""

# Once no new connection is let in, so long those that are may still send a request that was on its way.
_ON_ITS_WAY = 0.25
# Of the seconds that a stop may take, this part is for answers; what is not done by then is refused.
_FOR_ANSWERS = 0.8
# Between two looks at connections.
_LOOK = 1.0


def serve(
    database: Database, settings: Settings, port: int, *, quiet: bool, announce: Callable[[str], None]
) -> int:
    """Serve until a signal says stop; what was accepted is answered first.

    Args:
        database: the store and the models.
        settings: limits and places.
        port: 0 for any that is free.
        quiet: log only what went wrong.
        announce: called with the service's address once it answers.

    Returns:
        The exit code: 0 after SIGTERM, 130 after Ctrl-C.

    Raises:
        InvalidArgument: other machines reach the address, and there are no keys; or an option is not usable.
        CollectionNotFound, ModelNotFound: a collection or a model that is to be served.
        CannotListen: another process listens there, say.
    """
    addresses = resolve(settings.host)
    if not is_loopback(addresses) and settings.keys_file is None and not settings.keys.strip():
        raise InvalidArgument(
            f"--host {settings.host}: other machines reach this address, so keys are needed: `lookalike key "
            "NAME --write --keys FILE` makes one, and `lookalike serve --keys FILE` asks for them"
        )
    app = make_app(database, settings)
    for name in settings.collections:
        database[name].info()
    for model in settings.models:
        database.embedder(model)
    sockets = listen(settings.host, addresses, port)
    log_as_json(quiet=quiet)
    server = _Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=connection_limit(),
            forwarded_allow_ips=list(check_proxies(settings.proxies)) or list(LOOPBACK),
        ),
        settings.body_seconds,
        lambda: announce(url(settings.host, sockets[0].getsockname()[1])),
    )
    server.run(sockets)
    return INTERRUPTED if server.interrupted else 0


class _Server(uvicorn.Server):
    """uvicorn's server with a graceful stop that loses no accepted request."""

    def __init__(self, config: uvicorn.Config, seconds: float, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._seconds = seconds
        self._announce = announce
        self.interrupted = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM; uvicorn would raise the signal again at the end."""
        before = {each: signal.signal(each, self._stop) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.should_exit:
                # Nothing is flushed and nobody waited for: what was acknowledged survives even kill -9.
                os._exit(INTERRUPTED)
            self.interrupted = True
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        self._look()
        self._announce()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        close_slow(self.server_state.connections, loop.time(), self._seconds)
        loop.call_later(_LOOK, self._look)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, answer the open requests, and end."""
        self.config.app.state.readiness.stop()  # type: ignore[union-attr]
        # Whom the kernel let in already comes in, and then nobody does, before anything else happens.
        at_the_door = accept_all(sockets or ())
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in at_the_door:
            await loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(_ON_ITS_WAY)
        service = self.config.app.state.service  # type: ignore[union-attr]
        end = loop.call_later(_FOR_ANSWERS * self._seconds, service.abort)
        try:
            await super().shutdown(sockets)
        finally:
            end.cancel()

    def _protocol(self) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state)
