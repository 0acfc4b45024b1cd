"""Connections to `lookalike serve` as strangers keep them: what comes over the socket, byte by byte."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from lookalike.errors import InvalidArgument
from lookalike.server.auth.keys import new_key
from lookalike.server.connections import RequestScheduler
from lookalike.server.sockets import check_proxies
from tests.service import COLLECTION, InProcess, Server, server_process, until

Start = Callable[..., Server]
Make = Callable[..., InProcess]

SEARCH = f"/v1/collections/{COLLECTION}/search"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
EVIL = "evil.example"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, filled_store: Path, cache: Path) -> Iterator[Server]:
    """A service that the tests of this file share; nothing that it is sent may leave a traceback."""
    folder = tmp_path_factory.mktemp("connections")
    words = ("--max-mb", "4", "--memory", "4", "--store", f"sqlite:///{filled_store}", "--cache", cache)
    with server_process(folder, *words, ready=True) as server:
        yield server
        server.stop()
        said = server.log.read_text()
        assert "Traceback" not in said
        assert '"level": "ERROR"' not in said


def connected(server: Server, sent: bytes = b"") -> socket.socket:
    """Return a connection on which something was sent."""
    connection = socket.create_connection((server.host, server.port), timeout=30)
    connection.sendall(sent)
    return connection


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes; that it resets the connection is an error."""
    parts = []
    while part := connection.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def search(*lines: bytes, body: bytes = b"{}") -> bytes:
    """Return a search with headers, after which the connection is closed."""
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close"
    return b"\r\n".join([head.encode(), *lines, b"", body])


QUESTION = b'{"terms": [{"text": "blue"}]}'
WHOLE = search(b"Content-Length: %d" % len(QUESTION), body=QUESTION).replace(b"\r\nConnection: close", b"")


# --- how long a body is


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: " + b"9" * 5_000],
        [b"Content-Length: " + b"0" * 4_999 + b"2"],
        [b"Content-Length: " + b"0" * 30 + b"2"],
        [b"Content-Length: 18446744073709551618"],
        [b"Content-Length: -1"],
        [b"Content-Length: +2"],
        [b"Content-Length: 2, 2"],
        [b"Content-Length: 2", b"Content-Length: 2"],
        [b"Content-Length: 2", b"Content-Length: 3"],
        [b"Content-Length: 2", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 2"],
        ["Content-Length: ٢".encode()],
        [b"Content-Length: \xb2"],
        [b"Content-Length:"],
        [b"Content-Length: 0x2"],
        [b"Content-Length: 2e0"],
        [b"Content-Length: 2_0"],
        [b"Content-Length: 2 0"],
        [b"Content-Length : 2"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: gzip, chunked"],
    ],
    ids=lambda lines: b"; ".join(lines)[:60].decode("latin-1"),
)
def test_a_length_that_nobody_can_rely_on_is_a_bad_request(running: Server, lines: list[bytes]) -> None:
    with connected(running, search(*lines)) as client:
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"application/problem+json" in answer


def test_space_around_a_length_means_nothing(running: Server) -> None:
    for line in (b"Content-Length: \t 2 \t", b"content-length:2"):
        with connected(running, search(line)) as client:
            assert b"nothing to search for" in received(client)


def test_a_length_of_any_size_is_measured(running: Server) -> None:
    for length in (5 << 20, 1 << 40, 2**63):
        with connected(running, search(b"Content-Length: %d" % length)) as client:
            assert received(client).startswith(b"HTTP/1.1 413 ")


def test_a_chunk_that_cannot_be_read_is_told_so(running: Server) -> None:
    for chunk in (b"x\r\n", b"5;" + b"\0\r\n", b"1" * 40 + b"\r\n", b"-1\r\n", b"2\r\n{}}}\r\n0\r\n\r\n"):
        with connected(running, search(b"Transfer-Encoding: chunked", body=chunk)) as client:
            assert received(client).startswith(b"HTTP/1.1 400 ")


def test_an_encoded_body_is_not_read_as_if_it_were_none(running: Server) -> None:
    for encoding in ("gzip", "br", "zstd", "gzip, identity"):
        answer = httpx.post(f"{running.url}{SEARCH}", content=b"{}", headers={"Content-Encoding": encoding})
        assert answer.status_code == 415
        assert "Content-Encoding" in answer.json()["detail"]


# --- refused clients get their answer


def test_a_large_body_that_is_refused_does_not_cost_the_answer(running: Server) -> None:
    """As nginx sends it: `Connection: close`, and all of the body, whatever is answered meanwhile."""
    body = QUESTION + b" " * (3 << 20)
    request = search(b"Content-Length: %d" % len(body), body=body)

    def ask(_: int) -> bytes:
        with connected(running, request) as client:
            return received(client)

    # One body is held, and kept from its end, so that no other finds room.
    with connected(running, search(b"Content-Length: %d" % len(body), body=body[:-1])) as first:
        until(lambda: held(running) == len(body) - 1)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, range(64)))
        first.sendall(b" ")
        assert received(first).startswith(b"HTTP/1.1 200 ")
    assert Counter(answer[:12] for answer in answers) == {b"HTTP/1.1 503": 64}
    assert all(b"\r\nretry-after: 1\r\n" in answer for answer in answers)


def held(server: Server) -> int:
    """Return how many bytes of requests the service holds."""
    found = re.search(r"^lookalike_held_bytes (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    assert found
    return int(float(found[1]))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"Content-Length: %d" % (40 << 20), 413),
        (b"Content-Length: %d\r\nOrigin: https://evil.example" % (40 << 20), 403),
        (b"Content-Length: %d\r\nContent-Encoding: gzip" % (40 << 20), 415),
        (b"Content-Length: %d\r\nTransfer-Encoding: gzip" % (40 << 20), 400),
        (b"Content-Length: -1", 400),
    ],
)
def test_nor_does_one_that_is_refused_by_its_head(running: Server, line: bytes, status: int) -> None:
    with connected(running, search(line, body=b" " * (40 << 20))) as client:
        assert received(client).startswith(b"HTTP/1.1 %d " % status)


def test_what_is_sent_behind_the_last_request_does_not_cost_its_answer(running: Server) -> None:
    last = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with connected(running, last + HEALTH * 5_000) as client:
        answer = received(client)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b'{"status":"ok"}')


def test_a_client_that_goes_on_for_ever_is_not_read_for_ever(
    filled_store: Path, cache: Path, tmp_path: Path
) -> None:
    words = ("--max-seconds", "1", "--store", f"sqlite:///{filled_store}", "--cache", cache)
    with server_process(tmp_path, *words) as server, connected(server, search(b"Content-Length: -1")) as rude:
        with pytest.raises(OSError, match=r"reset|[Pp]ipe"):
            send_for_ever(rude)
        # And one that stays when it was told that the connection ends is closed as well.
        with connected(server, search(b"Content-Length: 2")) as silent:
            assert b"HTTP/1.1 400 " in received(silent)
            server.stop()
        assert server.code == 0


def send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b" " * 1_000)


# --- clients that hang up one half


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (HEALTH, 1),
        (HEALTH * 3, 3),
        (HEALTH * 1_000, 1_000),
        (WHOLE, 1),
        (WHOLE * 5, 5),
        (HEALTH + WHOLE + HEALTH + WHOLE[:-1], 3),
        (WHOLE + WHOLE[:-1], 1),
        (WHOLE + HEALTH[:10], 1),
        (WHOLE + WHOLE[:10], 1),
        (WHOLE[:-1], 0),
        (HEALTH[:10], 0),
        (b"", 0),
    ],
)
def test_who_sends_nothing_more_gets_the_answers_to_what_was_sent_whole(
    running: Server, sent: bytes, answers: int
) -> None:
    with connected(running, sent) as client:
        client.shutdown(socket.SHUT_WR)
        found = received(client)
    assert found.count(b"HTTP/1.1 200 OK\r\n") == found.count(b"HTTP/1.1 ") == answers


def test_pictures_too(running: Server, strangers: list[Path]) -> None:
    picture = strangers[0].read_bytes()
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n%b\r\n--x--' % picture
    )
    request = search(b"Content-Length: %d" % len(body), body=body).replace(
        b"application/json", b"multipart/form-data; boundary=x"
    )
    with connected(running, request) as client:
        client.shutdown(socket.SHUT_WR)
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["hits"]


# --- many requests on one connection


def test_requests_behind_one_another_are_answered_in_order(running: Server) -> None:
    """In one piece and byte by byte; heads and bodies end anywhere in what the service reads at once."""
    names = [f"mine-{number}" for number in range(300)]
    requests = b"".join(
        (WHOLE if number % 50 == 0 else HEALTH).replace(
            b"\r\n\r\n", b"\r\nX-Request-Id: mine-%d\r\n\r\n" % number, 1
        )
        for number in range(300)
    )
    for size in (len(requests), 1_000, 7):
        with connected(running) as client, ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send_in_pieces, client, requests, size)
            found = received(client)
            sending.result()
        assert re.findall(rb"x-request-id: (\S+)", found) == [name.encode() for name in names]


def send_in_pieces(connection: socket.socket, content: bytes, size: int) -> None:
    for place in range(0, len(content), size):
        connection.sendall(content[place : place + size])
    connection.shutdown(socket.SHUT_WR)


def test_clients_that_ask_and_never_read_hold_up_nobody(running: Server) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(60):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            deaf.connect_ex((running.host, running.port))
            stack.callback(deaf.close)
            until(partial(sent_some, deaf, request * 2_000))
        before = answered(running, "/openapi.json")
        for _ in range(20):
            assert httpx.post(f"{running.url}{SEARCH}", content=QUESTION).status_code == 200
        # Of all that they asked, next to nothing was done before others were answered: they have not read it.
        assert answered(running, "/openapi.json") - before < 60 * 10
    until(lambda: httpx.get(f"{running.url}/metrics").text.count("lookalike_requests_in_flight 1.0") == 1)


def sent_some(connection: socket.socket, content: bytes) -> bool:
    try:
        return connection.send(content) > 0
    except BlockingIOError:
        return False


def answered(server: Server, route: str) -> float:
    """Return how often a route was answered."""
    text = httpx.get(f"{server.url}/metrics").text
    counts = re.findall(rf'lookalike_requests_total\{{method="GET",route="{route}".*\}} (\S+)', text)
    return sum(map(float, counts))


def test_requests_of_many_connections_take_turns() -> None:
    """Of what waits, one begins in a turn of the loop, and whoever comes meanwhile does so in between."""
    begun: list[str] = []

    async def main() -> None:
        turns = RequestScheduler()
        for number in range(3):
            turns.wait(partial(begun.append, f"behind {number}"))
        for number in range(3):
            await asyncio.sleep(0)
            begun.append(f"first {number}")
        await asyncio.sleep(0)

    asyncio.run(main())
    assert begun.index("first 0") < begun.index("behind 1") < begun.index("behind 2")
    assert begun.index("first 1") < begun.index("behind 2")


@pytest.mark.parametrize("how", ["leaves", "resets"])
def test_clients_that_leave_in_the_middle_leave_no_trace(running: Server, how: str) -> None:
    """At any moment: with requests that are answered, that wait, and that are not complete."""
    for _ in range(20):
        client = connected(running, (HEALTH * 20 + WHOLE) * 20 + WHOLE[:-1])
        if how == "resets":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    until(lambda: httpx.get(f"{running.url}/metrics").text.count("lookalike_requests_in_flight 1.0") == 1)
    assert held(running) == 0


def test_after_an_upgrade_that_is_none_the_connection_ends(running: Server) -> None:
    """What follows is no HTTP for the parser, and nobody would ever read it."""
    ask = HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    with connected(running, ask + HEALTH) as client:
        assert received(client).count(b"HTTP/1.1 200 ") == 1


# --- the name that a client calls the service by

ODD = [
    *("/static", "/static/", "/static/AAAA", "/static//evil.example", "/static/../v1/service", "/healthz/"),
    *("//evil.example/static/a", "/v1", "/v1/", "/v1/collections/", "/v1//collections", "/docs", "/redoc"),
    *("/openapi.json/", "/%2e%2e/", "/static/%2f%2fevil", "/\\evil", "/v1/collections/textile/", "/_ml/"),
    *("/v1/jobs/", "/v1/models/", "/v1/login/", "/metrics/", "/readyz/", "/*", "/?next=//x", "/static/?a"),
]


@pytest.mark.parametrize("keys", [False, True])
def test_no_answer_has_the_host_of_its_request(make_service: Make, keys: bool) -> None:
    key, kept = new_key("any", "write")
    service = make_service(keys=str(kept) if keys else "")
    described = service.app.openapi()["paths"]
    paths = [
        *ODD,
        *(each + slash for each in described for slash in ("", "/")),
        *(each.replace("{name}", COLLECTION) for each in described if "{name}" in each),
    ]
    for given in ({}, {"Authorization": f"Bearer {key}"} if keys else {"X-Forwarded-Host": EVIL}):
        for path in paths:
            for method in ("GET", "HEAD", "POST", "OPTIONS"):
                headers = {"Host": EVIL, "X-Forwarded-Host": EVIL, "Forwarded": f"host={EVIL}", **given}
                answer = service.client.request(
                    method, f"http://127.0.0.1:8000{path}", headers=headers, follow_redirects=False
                )
                said = f"{path} {answer.headers} {answer.text}"
                assert EVIL not in f"{answer.headers} {answer.text}".replace(path, ""), said
                assert not answer.is_redirect, said
                assert answer.status_code != 500, said


def test_what_leads_on_is_said_without_a_host(make_service: Make) -> None:
    key, kept = new_key("any", "write")
    service = make_service(keys=str(kept))
    headers = {"Host": EVIL, "Authorization": f"Bearer {key}"}
    for path, query in (
        ("/v1/collections", {"name": "new", "model": "efficientnet-lite0"}),
        (f"/v1/collections/{COLLECTION}/maps", {"by": "label"}),
    ):
        answer = service.client.post(path, json=query, headers=headers)
        assert answer.headers["location"].startswith("/v1/")
        assert EVIL not in answer.text
    assert "servers" not in service.client.get("/openapi.json", headers=headers).json()


@pytest.mark.parametrize(
    "host", ["[", "a b", "a/b", "a?b", "a#b", "x@evil.example", "evil:99999999", "é", "a\\b"]
)
def test_a_host_that_is_none_is_a_bad_request(make_service: Make, host: str) -> None:
    key, kept = new_key("any", "write")
    client = make_service(keys=str(kept)).client
    authorization = (b"Authorization", f"Bearer {key}".encode())
    for path in ("/v1/service", "/none", "/v1/embeddings", "/static/x/"):
        answer = client.get(path, headers=[(b"Host", host.encode("latin-1")), authorization])
        assert answer.status_code == 400, path
    assert client.get("/none", headers=[(b"Host", b"any"), authorization]).json()["status"] == 404


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://evil.example/v1/service", "localhost", 403),
        ("http://evil.example/static/AAAA", "localhost", 403),
        ("http://localhost@evil.example/v1/service", "localhost", 403),
        ("http://localhost/v1/service", "localhost", 200),
        ("http://localhost/v1/service", "evil.example", 200),  # RFC 9112, section 3.2.2
        ("HTTP://evil.example:80/v1/service?a=b", "localhost", 403),
        ("//evil.example/static/AAAA", "localhost", 404),
        ("*", "localhost", 404),
    ],
)
def test_an_address_in_absolute_form_says_the_host(
    running: Server, target: str, host: str, status: int
) -> None:
    asked = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with connected(running, asked.encode()) as client:
        answer = received(client)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"location" not in answer.lower()
    assert b"//evil" not in answer


# --- who asked


def lines_of(server: Server) -> list[dict[str, Any]]:
    """Return what was logged of requests."""
    text = server.log.read_text()
    return [json.loads(line) for line in text.splitlines() if '"lookalike.access"' in line]


def test_the_log_says_who_asked(start_server: Start) -> None:
    key, kept = new_key("bench", "read")
    server = start_server(env={"LOOKALIKE_KEYS": str(kept)})
    spoof = "203.0.113.9"
    asked: list[dict[str, str]] = [
        {},
        {"Authorization": f"Bearer {key}"},
        {"X-Forwarded-For": spoof},
        {"X-Forwarded-For": f"198.51.100.1, {spoof}, 127.0.0.1"},
        {"X-Forwarded-For": "2001:DB8:0::9"},
        {"X-Forwarded-For": "[2001:db8::9]:443"},
        {"X-Forwarded-For": 'x"}\\n{"level": "\x1b[31m'.replace("\x1b", "")},
        {"X-Forwarded-For": "é" * 300},
        {"X-Forwarded-For": ""},
        {"Forwarded": f"for={spoof}", "X-Real-IP": spoof, "Client-IP": spoof},
    ]
    for headers in asked:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        httpx.get(f"{server.url}/v1/service", headers=sent)
    server.stop()
    lines = [line for line in lines_of(server) if line["route"] != "/readyz"][-len(asked) :]
    clients = [(line["client"], line.get("proxy"), line["key"]) for line in lines]
    assert clients == [
        ("127.0.0.1", None, None),
        ("127.0.0.1", None, "bench"),
        (spoof, "127.0.0.1", None),
        (spoof, "127.0.0.1", None),
        ("2001:db8::9", "127.0.0.1", None),
        ("2001:db8::9", "127.0.0.1", None),
        ("127.0.0.1", None, None),
        ("127.0.0.1", None, None),
        ("127.0.0.1", None, None),
        ("127.0.0.1", None, None),
    ]


def test_only_proxies_that_are_named_are_believed(start_server: Start) -> None:
    server = start_server("--allow-proxy", "10.0.0.0/8", "--allow-proxy", "2001:db8::1")
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    httpx.get(f"{server.url}/v1/service", headers=headers)
    server.stop()
    line = lines_of(server)[-1]
    assert (line["client"], "proxy" in line) == ("127.0.0.1", False)
    for wrong in ("*", "proxy.example", "10.0.0.0/99", "", "127.0.0.1/8"):
        with pytest.raises(InvalidArgument, match="--allow-proxy"):
            check_proxies([wrong])


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="a machine without IPv6")
def test_it_has_addresses_of_either_kind(start_server: Start) -> None:
    server = start_server("--host", "localhost")
    found = {each[4][0] for each in socket.getaddrinfo("localhost", server.port, type=socket.SOCK_STREAM)}
    for address in found:
        connection = http.client.HTTPConnection(str(address), server.port)
        connection.request("GET", "/v1/service")
        assert connection.getresponse().status == 200
        connection.close()
    server.stop()
    assert found <= {line["client"] for line in lines_of(server)}


def test_what_a_client_made_up_makes_no_line_of_its_own(running: Server) -> None:
    """Control characters in paths, agents and names; and garbage has an address too."""
    with connected(running, b"garbage\x1b[2J\r\n\r\n") as rude:
        assert received(rude).startswith(b"HTTP/1.1 400 ")
    for path in ("/%0d%0a%7b%22level%22:1%7d", "/v1/collections/%1b%5b2J%0a", "/static/%00%0a", "/%e2%80%a8"):
        agent = "\t\x9b2J\x85{}".encode("latin-1")
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: a\tb\r\n"
        with connected(running, request.encode() + b"User-Agent: " + agent + b"\r\n\r\n") as client:
            assert received(client).startswith(b"HTTP/1.1 40")
    text = running.log.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("lookalike serves")]
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", text)
    refused = [json.loads(line) for line in lines if '"refused"' in line]
    assert {(each["client"], each["status"]) for each in refused} >= {("127.0.0.1", 400)}
