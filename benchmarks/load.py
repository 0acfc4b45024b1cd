"""Puts load on an HTTP server for little processor time of its own: requests are made before."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """What became of the requests of one run."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    """Of each answer, in seconds."""
    errors: list[str] = field(default_factory=list)
    """First lines of answers other than 200, and what sockets said."""
    cpu_seconds: float = 0.0
    """That this process took."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


class _Client:
    """One connection that is kept, with one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.out = memoryview(b"")
        self.answer = bytearray()
        self.whole = 0
        self.kept = True
        self.started = 0.0


def post(path: str, kind: str, body: bytes) -> bytes:
    """Return a POST request as bytes.

    Args:
        path: of the address.
        kind: the content type.
        body: what is posted.
    """
    lines = [
        f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


def put_load(
    port: int, requests: Sequence[bytes], clients: int, seconds: float, *, most: int | None = None
) -> Outcome:
    """Ask a server over so many connections at once; each asks again as soon as it is answered.

    Args:
        port: of a server on this machine.
        requests: asked in turn, again from the first after the last.
        clients: connections.
        seconds: after which no more requests begin; those under way are waited for.
        most: requests.
    """
    selector = selectors.DefaultSelector()
    outcome = Outcome(0.0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    turn = 0
    for _ in range(clients):
        client = _Client(port)
        selector.register(client.socket, selectors.EVENT_READ, client)
    started = time.perf_counter()
    for key in list(selector.get_map().values()):
        _begin(selector, key.data, requests[turn % len(requests)])
        turn += 1
    while selector.get_map():
        for key, events in selector.select():
            client = key.data
            if events & selectors.EVENT_WRITE:
                _send(selector, client)
            if not events & selectors.EVENT_READ or not _received(client):
                continue
            now = time.perf_counter()
            if client.answer.startswith(b"HTTP/1.1 200 "):
                outcome.latencies.append(now - client.started)
            else:
                outcome.errors.append(bytes(client.answer.partition(b"\r\n")[0]).decode())
            goes_on = now - started < seconds and (most is None or turn < most)
            # Refused before all of it was sent: what is left would be taken for the next request (RFC 9110,
            # section 10.1.1, and RFC 9112, section 9.3), so that clients take another connection then.
            kept = client.kept and not client.out
            if not goes_on or not kept:
                selector.unregister(client.socket)
                client.socket.close()
            if goes_on and not kept:
                client = _Client(port)
                selector.register(client.socket, selectors.EVENT_READ, client)
            if goes_on:
                _begin(selector, client, requests[turn % len(requests)])
                turn += 1
    outcome.seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    outcome.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return outcome


def _begin(selector: selectors.BaseSelector, client: _Client, request: bytes) -> None:
    client.out = memoryview(request)
    client.answer.clear()
    client.whole = 0
    client.kept = True
    client.started = time.perf_counter()
    _send(selector, client)


def _send(selector: selectors.BaseSelector, client: _Client) -> None:
    """Send what the socket takes, and wait for it to take the rest."""
    try:
        client.out = client.out[client.socket.send(client.out) :]
    except BlockingIOError:
        pass
    except OSError:  # the answer, or its end, says why
        client.out, client.kept = memoryview(b""), False
    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.out else 0)
    if selector.get_key(client.socket).events != wanted:
        selector.modify(client.socket, wanted, client)


def _received(client: _Client) -> bool:
    """Read what is there, and tell whether the answer is complete, or there will be none."""
    try:
        part = client.socket.recv(1 << 18)
    except BlockingIOError:
        return False
    except OSError as error:
        part = b""
        client.answer[:] = str(error).encode()
    if not part:
        client.kept = False
        return True
    client.answer += part
    if not client.whole:
        head, blank, _ = client.answer.partition(b"\r\n\r\n")
        if not blank:
            return False
        client.kept = client.kept and b"connection: close" not in head.lower()
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        client.whole = len(head) + 4 + int(length or b"0")
    return len(client.answer) >= client.whole
