"""`lookalike serve` as a process: how it starts, what it logs, and clients that are slow, large or rude."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from lookalike.server.auth.keys import new_key
from lookalike.server.sockets import is_loopback, resolve
from tests.forked_programs import run_command
from tests.service import COLLECTION, Server, server_process, until

Start = Callable[..., Server]

LOOKALIKE = Path(sys.executable).with_name("lookalike")
SEARCH = f"/v1/collections/{COLLECTION}/search"


def figure(server: Server, name: str) -> float:
    """Return one of the service's figures."""
    found = re.search(rf"^{name} (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def connected(server: Server, sent: bytes = b"") -> socket.socket:
    """Return a connection on which something was sent."""
    connection = socket.create_connection((server.host, server.port), timeout=30)
    connection.sendall(sent)
    return connection


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def head(length: int | str, path: str = SEARCH, more: str = "") -> bytes:
    """Return the head of a request with a body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


# --- how it starts


def run(*words: str | Path, cache: Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command that does not begin to serve; return its code and what it says."""
    code, out, err = run_command([*words, "--cache", cache], env or os.environ)
    assert out == ""
    assert "Traceback" not in err
    return code, err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_another_address_needs_keys(host: str, store_url: str, cache: Path) -> None:
    code, said = run("serve", "--host", host, "--port", "0", "--store", store_url, cache=cache)
    assert code == 2
    assert f"--host {host}" in said
    assert "`lookalike key NAME --write --keys FILE`" in said


def test_with_keys_it_listens_on_any_address(start_server: Start, tmp_path: Path) -> None:
    key, kept = new_key("lan", "read")
    server = start_server("--host", "0.0.0.0", env={"LOOKALIKE_KEYS": f"{kept}"})
    assert httpx.get(f"{server.url}/v1/service").status_code == 401
    # By whatever name it is called.
    for name in (f"127.0.0.1:{server.port}", "anything.example"):
        answer = httpx.get(
            f"{server.url}/v1/service", headers={"Host": name, "Authorization": f"Bearer {key}"}
        )
        assert answer.json()["may"] == "read"


def test_which_addresses_are_loopback() -> None:
    for host, local in (("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
                        ("0.0.0.0", False), ("192.0.2.1", False), ("::", False)):  # fmt: skip
        assert is_loopback(resolve(host)) is local, host


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--collection", "none"), 1, "no collection 'none'"),
        (("--model", "none"), 2, "no model 'none'"),
        (("--keys", "none"), 2, "no such file"),
        (("--host", "no such host"), 2, "no such address"),
        (("--host", "192.0.2.1", "--keys", "KEYS"), 1, "cannot listen on http://192.0.2.1:0"),
        (("--allow-origin", "example.org"), 2, "--allow-origin example.org"),
        (("--max-mb", "600"), 2, "--memory"),
        (("--port", "65536"), 2, "65536"),
        (("--queue", "0"), 2, "--queue"),
    ],
)
def test_what_it_cannot_serve_it_says_at_once(
    words: tuple[str, ...], code: int, said: str, store_url: str, cache: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(str(new_key("any", "read")[1]))
    given = [str(keys) if word == "KEYS" else word for word in words]
    ended, line = run("serve", "--port", "0", "--store", store_url, *given, cache=cache)
    assert (ended, said in line) == (code, True), line


def test_a_key_in_the_environment_is_not_shown_where_a_hash_belongs(store_url: str, cache: Path) -> None:
    key, _ = new_key("any", "read")
    code, said = run("serve", "--store", store_url, cache=cache, env={"LOOKALIKE_KEYS": key, "PATH": ""})
    assert code == 2
    assert "LOOKALIKE_KEYS" in said
    assert key not in said


def test_a_port_that_is_taken(server: Server, store_url: str, cache: Path) -> None:
    code, said = run("serve", "--port", str(server.port), "--store", store_url, cache=cache)
    assert code == 1
    assert said.startswith(f"lookalike: cannot listen on {server.url}: Address already in use")


def test_it_says_where_it_serves(store_url: str, cache: Path) -> None:
    """On stdout, for a program that let it choose the port; on both addresses of a name."""
    words = ["serve", "--host", "localhost", "--port", "0", "--store", store_url, "--cache", str(cache)]
    process = subprocess.Popen([LOOKALIKE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"lookalike serves (http://localhost:\d+)\n", process.stdout.readline())
        assert found
        assert httpx.get(f"{found[1]}/healthz").status_code == 200
        process.terminate()
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert out == ""
    assert all(json.loads(line)["level"] == "INFO" for line in err.splitlines())


def test_without_its_packages_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; from lookalike.cli import main; sys.exit(main(['serve']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        "lookalike: the service needs an optional package: pip install 'lookalike[serve]'\n"
    )


# --- what it logs


def log_of(server: Server) -> list[dict[str, Any]]:
    """Return its log; the first line is where it serves."""
    first, *lines = server.log.read_text().splitlines()
    if not first.startswith("lookalike serves "):  # stdout and stderr share the file
        lines = [line for line in [first, *lines] if not line.startswith("lookalike serves ")]
    return [json.loads(line) for line in lines]


def test_each_request_is_a_line_of_json(start_server: Start, textile_files: dict[str, list[Path]]) -> None:
    key, kept = new_key("bench", "write")
    server = start_server(env={"LOOKALIKE_KEYS": str(kept)})
    picture = textile_files["local"][0].read_bytes()
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}) as client:
        client.post(SEARCH, json={"terms": [{"text": "a secret sentence"}]}, headers={"X-Request-Id": "mine"})
        client.post(SEARCH, files={"image": ("secret.jpg", picture)})
        client.post("/v1/login", json={"key": key})
        client.get("/v1/collections/a-secret-name?key=secret-parameter")
        client.get("/secret-path")
    httpx.get(f"{server.url}/v1/service", headers={"Authorization": "Bearer secret-and-wrong"})
    with connected(server, b"secret garbage\r\n\r\n") as rude:
        assert received(rude).startswith(b"HTTP/1.1 400 ")
    assert server.stop() == 0
    text = server.log.read_text()
    assert "secret" not in text
    assert key not in text
    lines = log_of(server)
    assert all(list(line)[:4] == ["time", "level", "logger", "message"] for line in lines)
    answered = [line for line in lines if line["logger"] == "lookalike.access"]
    # Before that, the test asked until there was an answer.
    asked = answered[next(n for n, line in enumerate(answered) if line["request"] == "mine") :]
    assert [(each["method"], each["route"], each["status"], each["key"]) for each in asked] == [
        ("POST", "/v1/collections/{name}/search", 200, "bench"),
        ("POST", "/v1/collections/{name}/search", 200, "bench"),
        ("POST", "/v1/login", 204, None),
        ("GET", "/v1/collections/{name}", 404, "bench"),
        ("GET", "unmatched", 404, "bench"),
        ("GET", "unmatched", 401, None),
    ]
    assert asked[0]["request"] == "mine"
    assert asked[1]["received"] > len(picture)
    assert all(each["ms"] > 0 for each in asked)
    assert {"uvicorn.error", "lookalike.server"} <= {line["logger"] for line in lines}


def test_a_quiet_service_logs_what_goes_wrong(start_server: Start) -> None:
    server = start_server("--quiet")
    assert httpx.get(f"{server.url}/v1/service").status_code == 200
    with connected(server, b"garbage\r\n\r\n") as rude:
        received(rude)
    server.stop()
    assert [line["level"] for line in log_of(server)] == ["WARNING"]


# --- clients


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory, filled_store: Path, cache: Path) -> Iterator[Server]:
    """A service for quick clients; the tests change nothing in its store."""
    folder = tmp_path_factory.mktemp("tight")
    words = ("--max-seconds", "2", "--quiet", "--store", f"sqlite:///{filled_store}", "--cache", cache)
    with server_process(folder, *words) as server:
        yield server


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, filled_store: Path, cache: Path) -> Iterator[Server]:
    """A service for small requests; the tests change nothing in its store."""
    folder = tmp_path_factory.mktemp("small")
    words = ("--max-mb", "1", "--memory", "1", "--store", f"sqlite:///{filled_store}", "--cache", cache)
    with server_process(folder, *words) as server:
        yield server


def test_slow_clients_hold_up_nobody(tight: Server) -> None:
    """200 clients send a byte now and then, of their heads and bodies, for as long as they are let."""
    starts = [b"", b"POST /v1/coll", head(1000), head(1000) + b"{", head(400_000)]
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(tight, starts[n % len(starts)])) for n in range(200)]
        began = time.monotonic()
        left = list(slow)
        times = []
        with httpx.Client(base_url=tight.url) as client:
            while left:
                assert time.monotonic() - began < 30
                for connection in list(left):
                    try:
                        connection.send(b"x")
                    except OSError:  # it was closed
                        left.remove(connection)
                asked = time.monotonic()
                assert client.get("/v1/collections").status_code == 200
                times.append(time.monotonic() - asked)
        # Nobody who asks whole questions waits; measured on a machine that does other things too.
        assert sorted(times)[len(times) // 2] < 0.5
    assert figure(tight, "lookalike_requests_in_flight") == 1
    assert figure(tight, "lookalike_held_bytes") == 0


@pytest.mark.parametrize("sent", [b"GET /healthz HTT", head(10) + b"{"])
def test_a_slow_request_is_told_so(tight: Server, sent: bytes) -> None:
    with connected(tight, sent) as slow:
        answer = received(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(tight: Server) -> None:
    with connected(tight) as silent:
        assert received(silent) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400),
        (head("many"), 400),
        (head("-1"), 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", 431),
        (b"GET /healthz?" + b"x" * 1_000_000, 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: x\r\n" * 100_000, 431),
    ],
)
def test_what_is_no_request_is_told_so(small: Server, sent: bytes, status: int) -> None:
    with connected(small) as rude:
        rude.settimeout(30)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(lambda: rude.sendall(sent))
            answer = received(rude)
            assert isinstance(sending.exception(), OSError | None)
    assert answer == b"" or answer.startswith(f"HTTP/1.1 {status} ".encode())
    if status == 400:
        assert b'"detail":' in answer


def test_a_large_request_is_refused_before_it_is_sent(small: Server) -> None:
    with connected(small, head(1 << 30, more="Expect: 100-continue\r\n")) as large:
        answer = received(large)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    # And one that is sent without waiting gets the answer all the same.
    answers = httpx.post(f"{small.url}{SEARCH}", content=b" " * (3 << 20))
    assert answers.status_code == 413


def test_what_would_not_fit_into_memory_comes_again_later(small: Server) -> None:
    """Half a megabyte of one client waits for its end; the next one's would be too much."""
    body = b'{"terms": [{"text": "blue"}]' + b" " * 700_000
    with connected(small, head(len(body) + 1) + body) as first:
        until(lambda: figure(small, "lookalike_held_bytes") == len(body))
        answer = httpx.post(f"{small.url}{SEARCH}", content=body + b"}")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"] == "Overloaded"
        first.sendall(b"}")
        assert first.recv(100).startswith(b"HTTP/1.1 200 ")
        assert httpx.post(f"{small.url}{SEARCH}", content=body + b"}").status_code == 200


def test_a_client_that_leaves_is_forgotten(small: Server) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(small, head(1000) + b"{"))
        until(lambda: figure(small, "lookalike_held_bytes") == 20)
    until(lambda: figure(small, "lookalike_held_bytes") == 0)
    assert figure(small, "lookalike_requests_in_flight") == 1


def test_an_answer_that_nobody_takes_is_given_up(tight: Server) -> None:
    """A client asks again and again, and reads nothing: at some point nothing more can be written to it."""
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(1)
        deaf.connect((tight.host, tight.port))
        for _ in range(2_000):
            try:
                deaf.sendall(request)
            except TimeoutError:
                break
        until(lambda: figure(tight, "lookalike_requests_in_flight") == 2, 10)
        until(lambda: figure(tight, "lookalike_requests_in_flight") == 1, 30)


def test_an_upgrade_is_answered_as_if_it_were_none(small: Server) -> None:
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connected(small, ask) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_more_connections_than_files_are_told_to_come_again(filled_store: Path, cache: Path) -> None:
    """The process may open 300 files, and keeps 256 for itself, and for at least as many connections."""
    words = f"serve --port 0 --quiet --store sqlite:///{filled_store} --cache {cache}"
    limited = subprocess.Popen(
        ["bash", "-c", f"ulimit -n 300 && exec {LOOKALIKE} {words}"], stdout=subprocess.PIPE, text=True
    )
    with limited as process, ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        server = Server(process, Path(), port=port)  # type: ignore[arg-type]
        ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

        def answer() -> bytes:
            with connected(server, ask) as connection:
                return connection.recv(12)

        with ExitStack() as crowd:
            for _ in range(256):
                crowd.enter_context(connected(server, ask[:20]))
            until(lambda: answer() == b"HTTP/1.1 503")
        until(lambda: answer() == b"HTTP/1.1 200")
