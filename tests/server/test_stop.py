"""How the service ends: what was accepted is answered, and nobody can hold it up."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from lookalike.server.sockets import accept_all
from tests.service import COLLECTION, Server, until

Start = Callable[..., Server]

CLASSIFY = f"/v1/collections/{COLLECTION}/classify"


def figure(server: Server, name: str) -> float:
    """Return one of the service's figures."""
    text = httpx.get(f"{server.url}/metrics").text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def refused(server: Server) -> bool:
    """Tell whether nobody listens."""
    try:
        socket.create_connection((server.host, server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def begun(server: Server, head: bytes) -> socket.socket:
    """Return a connection on which a request was begun."""
    connection = socket.create_connection((server.host, server.port), timeout=30)
    connection.sendall(head)
    return connection


UNFINISHED = (
    f"POST {CLASSIFY} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    'Content-Length: 1000\r\n\r\n{"by":'
).encode()


def test_what_was_accepted_is_answered_before_the_end(
    start_server: Start, textile_files: dict[str, list[Path]]
) -> None:
    server = start_server()
    count, pictures = 6, 20
    files = [file for name in sorted(textile_files) for file in textile_files[name]]
    # With something behind the picture, its features are not known yet.
    contents = [file.read_bytes() + bytes([turn]) for turn in range(2) for file in files]
    clients = [httpx.Client(base_url=server.url, timeout=60) for _ in range(count)]

    def ask(number: int) -> httpx.Response:
        parts = [("image", content) for content in contents[number * pictures : (number + 1) * pictures]]
        with clients[number] as client:
            return client.post(CLASSIFY, data={"query": '{"by": "label", "k": 3}'}, files=parts)

    with (
        begun(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),  # then it stays, idle
        ThreadPoolExecutor(count) as pool,
    ):
        asked = [pool.submit(ask, number) for number in range(count)]
        # They are all in the house (and /metrics itself is one), and some have not even begun.
        until(
            lambda: (
                figure(server, "lookalike_requests_in_flight") == count + 1
                and figure(server, "lookalike_embed_waiting") > 0
            )
        )
        server.process.send_signal(signal.SIGTERM)
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [200] * count
    for answer in answers:
        predictions = answer.json()["predictions"]
        assert len(predictions) == pictures
        assert all(each["neighbours"] for each in predictions)
    assert server.process.wait(30) == 0
    assert refused(server)


def test_whoever_is_let_in_is_answered_up_to_the_last(start_server: Start) -> None:
    """Clients connect anew for each request, as fast as they can, until nobody lets them in."""
    server = start_server("--quiet")
    answers: list[list[bytes]] = [[] for _ in range(8)]

    def hammer(mine: list[bytes]) -> None:
        while True:
            try:
                connection = socket.create_connection((server.host, server.port), timeout=30)
            except (ConnectionRefusedError, ConnectionResetError):
                return
            with connection, connection.makefile("rb") as answer:
                connection.sendall(
                    b"GET /v1/service HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                mine.append(answer.readline())

    with ThreadPoolExecutor(len(answers)) as pool:
        ended = [pool.submit(hammer, mine) for mine in answers]
        until(lambda: all(len(mine) > 20 for mine in answers))
        server.process.send_signal(signal.SIGTERM)
        for each in ended:
            each.result()
    assert {line for mine in answers for line in mine} == {b"HTTP/1.1 200 OK\r\n"}
    assert server.process.wait(30) == 0


class _LastMoment(socket.socket):
    """A socket to which somebody comes just when nobody waits any more."""

    late: socket.socket
    let_in: bool

    def accept(self) -> tuple[socket.socket, object]:
        try:
            return super().accept()
        except BlockingIOError:
            self.late = socket.socket()
            self.late.setblocking(False)
            self.late.connect_ex(self.getsockname())
            # Over the loopback who is let in is let in at once: TCP_ESTABLISHED of linux/tcp.h.
            self.let_in = self.late.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x01"
            raise


def test_who_comes_at_the_last_moment_is_not_let_in_and_thrown_out() -> None:
    with _LastMoment() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        with socket.create_connection(listening.getsockname()) as early:
            (accepted,) = accept_all([listening])
            with accepted, listening.late:
                assert not listening.let_in
                accepted.sendall(b"let in")
                assert early.recv(100) == b"let in"


def test_after_the_signal_nobody_is_let_in(start_server: Start) -> None:
    server = start_server("--max-seconds", "30")
    with begun(server, UNFINISHED) as slow:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refused(server))
        assert server.process.poll() is None, "it did not wait for the request"
        slow.sendall(b" " * 993 + b"}")  # it arrives after all, and is answered
        assert slow.recv(1000).startswith(b"HTTP/1.1 422 ")
        assert server.process.wait(30) == 0


def test_a_request_that_never_arrives_holds_the_process_no_longer_than_the_limit(start_server: Start) -> None:
    server = start_server("--max-seconds", "1")
    with (
        begun(server, UNFINISHED) as slow,
        begun(server, b"GET /healthz HTT"),
        begun(server, b""),
    ):
        until(lambda: figure(server, "lookalike_requests_in_flight") == 2)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 15
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_ctrl_c_ends_it_as_everywhere(start_server: Start) -> None:
    server = start_server()
    assert server.stop(signal.SIGINT) == 130
    assert "Traceback" not in server.log.read_text()


def test_a_second_ctrl_c_ends_it_at_once(start_server: Start) -> None:
    server = start_server("--max-seconds", "600")
    with begun(server, UNFINISHED):
        until(lambda: figure(server, "lookalike_requests_in_flight") == 2)
        server.process.send_signal(signal.SIGINT)
        until(lambda: refused(server))
        server.process.send_signal(signal.SIGTERM)  # changes nothing
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 130


def test_after_a_kill_it_starts_again_on_the_same_port(
    start_server: Start, store_url: str, cache: Path
) -> None:
    server = start_server()
    before = httpx.get(f"{server.url}/v1/collections").json()
    server.process.kill()
    server.process.wait()
    words = ["serve", "--port", str(server.port), "--store", store_url, "--cache", str(cache)]
    with subprocess.Popen(
        [Path(sys.executable).with_name("lookalike"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as again:
        try:
            assert again.stdout is not None
            assert again.stdout.readline() == f"lookalike serves {server.url}\n"
            assert httpx.get(f"{server.url}/v1/collections").json() == before
            again.terminate()
            assert again.wait(30) == 0
        finally:
            again.kill()
