"""Who may ask the service, and how much: keys, other pages, limits, and what is told of it all."""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from lookalike import __version__
from lookalike.cli import main
from lookalike.errors import InvalidArgument, PathNotFound, Unanswerable
from lookalike.server.auth import sessions
from lookalike.server.auth.keys import Keys, add_key, new_key, read_keys
from lookalike.server.http.problems import Overloaded, problem_body
from lookalike.server.middleware.body_limits import MemoryBudget
from lookalike.stores.registry import open_store
from lookalike.types import Space
from tests.service import COLLECTION, InProcess, Server, in_process, until

Make = Callable[..., InProcess]
Start = Callable[..., Server]

SEARCH = f"/v1/collections/{COLLECTION}/search"
JSON = {"Content-Type": "application/json"}
LOCAL = "127.0.0.1:8000"

# What may be asked with POST and DELETE and changes no collection: see docs/service.md.
READING = re.compile(
    r"/v1/(login|embeddings|jobs/\{id\}|collections/\{name\}/"
    r"(search|browse|downloads|classify|anomaly|evaluations|audits|maps|drifts|suggestions))"
    r"|/_ml/.*/_infer|/_msearch|/\{index\}/(_search|_msearch|_count)"
)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def problem(response: Any, status: int) -> dict[str, Any]:
    """Return a problem, and check that it is one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["detail"]
    return body


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[str, str]]:
    """A reading and a writing key, each with its line."""
    found = {}
    for may in ("read", "write"):
        key, kept = new_key(f"the-{may}er", may)
        found[may] = (key, str(kept))
    return found


@pytest.fixture
def guarded(make_service: Make, made: dict[str, tuple[str, str]]) -> InProcess:
    """A service that asks for keys."""
    return make_service(keys=",".join(line for _, line in made.values()))


# --- keys


def test_without_keys_everybody_on_this_machine_may_do_everything(service: InProcess) -> None:
    assert service.client.get("/v1/service").json() == {
        "version": __version__,
        "may": "write",
        "keys": False,
        "uploads": False,
        "limits": {"bytes": 32 << 20, "pixels": 50_000_000, "images": 32},
    }
    problem(service.client.post("/v1/login", json={"key": "any"}), 400)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "ApiKey", "apikey"])
def test_a_key_lets_in(guarded: InProcess, made: dict[str, tuple[str, str]], scheme: str) -> None:
    for may, (key, _) in made.items():
        answer = guarded.client.get("/v1/service", headers={"Authorization": f"{scheme} {key}"})
        assert answer.status_code == 200
        assert (answer.json()["may"], answer.json()["keys"]) == (may, True)


def test_a_key_may_come_as_a_password(guarded: InProcess, made: dict[str, tuple[str, str]]) -> None:
    """As applications send it that were written for a user and a password of Elasticsearch."""
    for may, (key, _) in made.items():
        answer = guarded.client.get("/v1/service", auth=("elastic", key))
        assert (answer.status_code, answer.json()["may"]) == (200, may)


@pytest.mark.parametrize(
    "line",
    [
        "holds vectors of onnx:/srv/my models/clip (512 dimensions), these of onnx:/a/b/c (512 dimensions)",
        "cannot be asked in words: onnx:/srv/models/clip reads no texts. Those that do are onnx:PATH",
    ],
)
def test_no_line_says_where_a_model_lies(line: str) -> None:
    body = problem_body(Unanswerable(line))
    assert "/" not in body.detail
    assert "onnx:clip " in body.detail


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic wrong"},
        {"Authorization": "Basic " + base64.b64encode(b"user:wrong").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff").decode()},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Cookie": "lookalike-8000=1.x.y; other=1"},
        {"Cookie": "lookalike-80=; lookalike-8000"},
        {"X-Api-Key": "KEY"},
        {"Authorization": "Digest KEY"},
        {"Authorization": "KEY"},
        {"Cookie": "lookalike-8000=KEY"},
    ],
)
def test_nothing_else_does(
    guarded: InProcess, made: dict[str, tuple[str, str]], headers: dict[str, str | bytes]
) -> None:
    key, line = made["write"]
    sent = [
        (name.encode(), value if isinstance(value, bytes) else value.replace("KEY", key).encode())
        for name, value in headers.items()
    ]
    answer = guarded.client.get("/v1/collections", headers=sent)
    assert problem(answer, 401)["title"] == "Unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    # What is kept is no key, and a key has no place in an address.
    problem(guarded.client.get("/v1/collections", headers=bearer(line.rpartition(":")[2])), 401)
    problem(guarded.client.get("/v1/collections", params={"key": key, "api_key": key}), 401)


def test_what_is_open_to_everybody_and_what_is_not(guarded: InProcess) -> None:
    for path in ("/healthz", "/"):
        assert guarded.client.get(path).status_code == 200
        assert guarded.client.head(path).status_code == 200
    assert guarded.client.get("/readyz").status_code in (200, 503)
    assert guarded.client.get("/static/none.js").status_code == 404
    for path in ("/metrics", "/openapi.json", "/v1/service", "/v1/models", "/none", "/static", "/healthz/"):
        assert guarded.client.get(path).status_code == 401
    for path in ("/", "/static/none.js", "/healthz"):
        assert guarded.client.post(path).status_code == 401


def test_a_reading_key_changes_nothing(guarded: InProcess, made: dict[str, tuple[str, str]]) -> None:
    """Every request that the service describes is either known to change nothing, or refused."""
    described = guarded.client.get("/openapi.json", headers=bearer(made["read"][0])).json()["paths"]
    tried = 0
    for template, methods in described.items():
        for method in set(methods) & {"post", "put", "patch", "delete"}:
            if READING.fullmatch(template):
                continue
            path = template.replace("{name}", COLLECTION).replace("{id}", "0" * 32)
            answer = guarded.client.request(method, path, headers=bearer(made["read"][0]))
            assert "may read and not write" in problem(answer, 403)["detail"], (method, template)
            # Who may write gets as far as the question itself.
            if template != "/v1/collections/{name}":
                answer = guarded.client.request(method, path, headers=bearer(made["write"][0]))
                assert answer.status_code not in (401, 403), (method, template)
            tried += 1
    assert tried >= 1
    assert guarded.client.get("/v1/collections", headers=bearer(made["read"][0])).json()["collections"]


def test_a_key_can_be_revoked_while_the_service_runs(
    make_service: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    (first, kept), (second, other) = new_key("first", "read"), new_key("second", "write")
    add_key(file, kept)
    client = make_service(keys_file=file).client

    def let_in(key: str) -> bool:
        return client.get("/v1/service", headers=bearer(key)).status_code == 200

    assert let_in(first)
    assert not let_in(second)
    add_key(file, other)
    until(lambda: let_in(second))
    file.write_text(f"# only one is left\n\n{other}\n")
    until(lambda: not let_in(first))
    assert let_in(second)
    # While it cannot be read, who could ask still can, and the log says so.
    file.write_text("nonsense")
    until(lambda: let_in(second) and "the keys stay as they were" in caplog.text)
    assert let_in(second)
    assert not let_in(first)
    file.unlink()
    caplog.clear()
    until(lambda: let_in(second) and "the keys stay as they were" in caplog.text)
    file.write_text("")
    until(lambda: not let_in(second))
    assert first not in caplog.text
    assert second not in caplog.text


def test_the_command_makes_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.txt"
    for words, may in ((["bench"], "read"), (["office", "--write"], "write")):
        assert main(["key", *words, "--keys", str(file)]) == 0
        key = capsys.readouterr().out.strip()
        assert re.fullmatch(r"[\w-]{43}", key)
        assert key not in file.read_text()
        found = Keys(file, "").find(key)
        assert found is not None
        assert (found.name, found.may) == (words[0], may)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert main(["key", "office", "--keys", str(file)]) == 2
    assert "already" in capsys.readouterr().err
    assert len(file.read_text().splitlines()) == 2

    assert main(["key", "third"]) == 0
    key, line = capsys.readouterr().out.splitlines()
    found = Keys(None, line).find(key)
    assert found is not None
    assert str(found) == line

    assert main(["key", "a:b"]) == 2
    assert main(["key", "x", "--keys", str(tmp_path / "none" / "keys")]) == 2


def test_many_can_add_keys_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    link = tmp_path / "link"
    link.symlink_to(file)
    made = [new_key(f"key-{number}", "read") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: add_key(link, each[1]), made))
    assert link.is_symlink()
    keys = Keys(file, "")
    assert len(keys.all()) == 24
    for key, kept in made:
        assert keys.find(key) == kept
    assert [each.name for each in tmp_path.iterdir() if each not in (file, link)] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bench:read:SECRET", "line 1: not NAME"),
        ("SECRET", "line 1: not NAME"),
        ("bench:admin:" + "0" * 64, "line 1: not NAME"),
        ("ben ch:read:" + "0" * 64, "line 1: not NAME"),
        ("a:read:" + "0" * 64 + "\n\na:write:" + "1" * 64, "line 3: a second key named a"),
    ],
)
def test_a_file_of_something_else_is_refused_and_not_shown(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=reason) as caught:
        read_keys(text, "keys")
    assert "SECRET" not in str(caught.value)
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    for file, lines, error in (
        (tmp_path / "keys", "", InvalidArgument),
        (tmp_path / "none", "", PathNotFound),
        (None, text, InvalidArgument),
        (None, " ", InvalidArgument),
    ):
        with pytest.raises(error):
            Keys(file, lines)


# --- the page's cookie


def test_the_page_exchanges_a_key_for_a_cookie(guarded: InProcess, made: dict[str, tuple[str, str]]) -> None:
    client = guarded.client
    problem(client.post("/v1/login", json={"key": "wrong"}), 401)
    assert not client.cookies
    for may, (key, _) in made.items():
        answer = client.post("/v1/login", json={"key": key})
        assert (answer.status_code, answer.content) == (204, b"")
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert cookie["httponly"]
        assert not cookie["secure"]
        assert (cookie["samesite"].lower(), cookie["path"], int(cookie["max-age"])) == ("strict", "/", 43200)
        assert key not in answer.headers["set-cookie"]
        assert client.get("/v1/service").json()["may"] == may
    assert client.delete("/v1/login").status_code == 204
    assert not client.cookies
    problem(client.get("/v1/service"), 401)
    # Behind a proxy that speaks TLS, only over TLS.
    secure = client.post("https://127.0.0.1:8000/v1/login", json={"key": made["read"][0]})
    assert "secure" in secure.headers["set-cookie"].lower()


def test_a_cookie_cannot_be_made_up_and_ends(
    guarded: InProcess, made: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = guarded.client
    monkeypatch.setattr(sessions, "SECONDS", -1)
    client.post("/v1/login", json={"key": made["read"][0]})
    monkeypatch.undo()
    client.post("/v1/login", json={"key": made["read"][0]})
    (name,) = client.cookies.keys()
    good = client.cookies[name]
    client.cookies.clear()
    end, key, seal = good.split(".")

    def status(cookie: str | bytes) -> int:
        sent = cookie if isinstance(cookie, bytes) else cookie.encode()
        return client.get("/v1/service", headers={b"Cookie": name.encode() + b"=" + sent}).status_code

    assert status(good) == 200
    for bad in (
        f"{int(end) + 1}.{key}.{seal}",
        f"{end}.the-writer.{seal}",
        f"{end}.nobody.{seal}",
        f"{end}.{key}.{seal[:-1]}",
        f"{end}.{key}.",
        "..",
        "",
        f"{end}.{key}.\xe9".encode("latin-1"),
    ):
        assert status(bad) == 401, bad
    monkeypatch.setattr(sessions, "SECONDS", -1)
    client.post("/v1/login", json={"key": made["read"][0]})
    ended = guarded.app.state.sessions.open(Keys(None, made["read"][1]).all()[0])
    assert status(ended) == 401


def test_a_session_ends_with_its_key(make_service: Make, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    (first, kept), (_, again) = new_key("page", "read"), new_key("page", "write")
    add_key(file, kept)
    client = make_service(keys_file=file).client
    client.post("/v1/login", json={"key": first})
    assert client.get("/v1/service").status_code == 200
    file.write_text(f"{again}\n")  # another key of the same name
    until(lambda: client.get("/v1/service").status_code == 401)


# --- other pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "127.0.0.2"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "localhost@evil.example"}, 403),
        ({"Host": "192.168.0.7:8000"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": f"http://{LOCAL}"}, 200),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{LOCAL}"}, 403),
        ({"Sec-Fetch-Site": "nonsense"}, 403),
    ],
)
def test_pages_from_elsewhere_may_not_ask(service: InProcess, headers: dict[str, str], status: int) -> None:
    for method, path in (("GET", "/v1/collections"), ("GET", "/metrics"), ("POST", SEARCH)):
        answer = service.client.request(method, path, headers={"Host": LOCAL, **headers}, json={})
        if status == 403:
            problem(answer, 403)
        else:
            assert answer.status_code in (200, 400)
        assert "access-control-allow-origin" not in answer.headers
    # A link from elsewhere leads to the page; that the service lives is no secret.
    for path in ("/", "/healthz"):
        assert service.client.get(path, headers={"Host": LOCAL, **headers}).status_code == 200


def test_a_request_has_one_host(service: InProcess) -> None:
    headers = [("Host", "evil.example"), ("Host", LOCAL)]
    problem(service.client.get("/v1/service", headers=headers), 400)


def test_names_and_origins_that_are_allowed(make_service: Make) -> None:
    client = make_service(hosts=("look.example",), origins=("https://shop.example",)).client
    for host in ("look.example", "LOOK.example:443", LOCAL):
        assert client.get("/v1/service", headers={"Host": host}).status_code == 200
    problem(client.get("/v1/service", headers={"Host": "evil.example"}), 403)

    shop = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}
    answer = client.get("/v1/service", headers=shop)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers
    ask = {
        **shop,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = client.options(SEARCH, headers=ask)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert client.post(SEARCH, headers=shop, json={}).status_code == 400

    other = {**ask, "Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in client.options(SEARCH, headers=other).headers
    answer = client.post(SEARCH, headers={"Origin": "https://evil.example"}, json={})
    problem(answer, 403)
    assert "access-control-allow-origin" not in answer.headers


def test_keys_and_other_origins(make_service: Make, made: dict[str, tuple[str, str]]) -> None:
    """A page of an allowed origin needs a key, and reads that it does; a cookie is not for it."""
    client = make_service(keys=made["read"][1], origins=("https://shop.example",)).client
    shop = {"Origin": "https://shop.example", "Host": "look.example"}
    answer = client.get("/v1/service", headers=shop)
    problem(answer, 401)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert client.get("/v1/service", headers={**shop, **bearer(made["read"][0])}).status_code == 200
    # With keys, a page from elsewhere is refused as well: a browser sends cookies to all ports of a host.
    client.post("/v1/login", json={"key": made["read"][0]})
    assert client.get("/v1/service").status_code == 200
    problem(client.get("/v1/service", headers={"Origin": "http://127.0.0.1:3000"}), 403)
    problem(client.post("/v1/login", json={}, headers={"Origin": "http://127.0.0.1:3000"}), 403)


@pytest.mark.parametrize(
    "origin", ["*", "null", "shop.example", "https://shop.example/", "https://", "file:///"]
)
def test_an_origin_is_written_as_browsers_do(make_service: Make, origin: str) -> None:
    with pytest.raises(InvalidArgument, match="--allow-origin"):
        make_service(origins=(origin,))


# --- headers


def test_every_answer_has_the_headers_of_every_answer(make_service: Make) -> None:
    service = make_service(max_bytes=1000)
    fail(service)
    answers = {
        200: service.client.get("/v1/collections"),
        404: service.client.get("/none"),
        405: service.client.delete("/v1/service"),
        413: service.client.post(SEARCH, content=b"x" * 1001, headers=JSON),
        422: service.client.post(SEARCH, content=b"x", headers=JSON),
        403: service.client.get("/v1/collections", headers={"Origin": "https://evil.example"}),
        500: service.client.get("/fail"),
    }
    ids = set()
    for status, answer in answers.items():
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        for name, value in (
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ):
            assert answer.headers.get_list(name) == [value], (status, name)
        assert "server" not in answer.headers
        ids.add(answer.headers["x-request-id"])
    assert len(ids) == len(answers)
    assert service.client.get("/").headers.get_list("cache-control") == ["no-cache"]  # the page's own
    named = service.client.get("/healthz", headers={"X-Request-Id": "from-the-proxy.1"})
    assert named.headers["x-request-id"] == "from-the-proxy.1"
    odd = service.client.get("/healthz", headers={"X-Request-Id": 'a"b' + "x" * 99})
    assert re.fullmatch("[0-9a-f]{16}", odd.headers["x-request-id"])


def fail(service: InProcess) -> None:
    """Give the application a request that fails."""

    async def broken() -> None:
        raise ZeroDivisionError("a picture of a red car in /home/somebody")

    service.app.add_api_route("/fail", broken)


def test_what_nobody_foresaw_is_logged_once_and_not_told(
    service: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    fail(service)
    answer = service.client.get("/fail")
    assert "red car" not in answer.text
    assert "somebody" not in answer.text
    assert problem(answer, 500)["error"] == "InternalError"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert service.client.get("/v1/service").status_code == 200


def test_the_store_s_address_is_for_the_log(
    service: InProcess, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(store_url.removeprefix("sqlite:///"))
    until(lambda: service.client.get("/readyz").status_code == 200)
    service.database.store.close()
    path.write_bytes(b"no database, and longer than the head of one" * 100)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    answer = service.client.get("/v1/collections")
    body = problem(answer, 500)
    assert body["error"] == "StoreCorrupt"
    assert str(path) not in answer.text
    assert str(path) in caplog.text
    until(lambda: service.client.get("/readyz").status_code == 503)
    told = problem(service.client.get("/readyz"), 503)
    assert "StoreCorrupt" in told["detail"]
    assert str(path) not in told["detail"]
    assert service.client.get("/healthz").status_code == 200


# --- limits


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


MULTIPART = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("kind", "content", "status", "said"),
    [
        ("application/json", b"[" * 100_000 + b"]" * 100_000, 422, "recursion limit"),
        ("application/json", b'{"terms":' + b'[{"text":' * 100_000, 422, "recursion limit"),
        ("application/json", b'{"terms": [{"text": "\xff\xfe"}]}', 422, "unicode"),
        ("application/json", b'{"terms": [{"text": "\\ud800"}]}', 422, "JSON"),
        ("application/json", b"", 422, "JSON"),
        ("application/json", b"\x00" * 100, 422, "JSON"),
        ("application/json", b'{"k": 1e999}', 422, "k"),
        ("text/xml", b"<a/>", 415, "application/json"),
        ("application/x-www-form-urlencoded", b"a=1", 415, "application/json"),
        ("multipart/mixed; boundary=x", b"--x--", 415, "application/json"),
        ("multipart/form-data", b"--x--", 400, "boundary"),
        (MULTIPART, b"--x--\r\n", 400, "nothing to search for"),
        (MULTIPART, b"garbage --x--", 400, "Invalid multipart"),
        (MULTIPART, part("image", b"abc", "a"), 400, "cut off"),
        (MULTIPART, part("image", b"abc", "a")[:30], 400, "cut off"),
        (MULTIPART, b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", 400, '"name"'),
        (MULTIPART, part("image", b"abc", "a") * 4 + b"--x--", 400, "Too many files"),
        (MULTIPART, part("f", b"1") * 20 + b"--x--", 400, "Too many fields"),
        (MULTIPART, part("query", b"[" * 100_000) + b"--x--", 422, "recursion limit"),
        (MULTIPART, part("image", b"no picture", "a") + b"--x--", 422, "not an image"),
        (MULTIPART, b"--x\r\n" + b"A: b\r\n" * 9_999 + b"\r\na\r\n--x--", 400, "Invalid multipart"),
    ],
)
def test_a_request_that_cannot_be_read_is_told_why(
    make_service: Make, kind: str, content: bytes, status: int, said: str
) -> None:
    client = make_service(max_images=3).client
    answer = client.post(SEARCH, content=content, headers={"Content-Type": kind})
    assert said in problem(answer, status)["detail"]


@pytest.mark.parametrize("path", ["/v1/login", "/v1/embeddings", "/_ml/trained_models/m/_infer"])
@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"key": "\xff"}', b'{"key": "\\ud800"}', b"", b"{}"])
def test_no_body_is_an_error_of_the_service(guarded: InProcess, path: str, content: bytes) -> None:
    answer = guarded.client.post(path, content=content, headers=JSON)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", [SEARCH, "/v1/embeddings", "/_ml/trained_models/m/_infer"])
@pytest.mark.parametrize("wrong", [b'"where": {"label": [%s]}' % b",".join([b"[]"] * 100_000), b"members"])
def test_what_is_wrong_a_hundred_thousand_times_is_told_once(
    guarded: InProcess, made: dict[str, tuple[str, str]], path: str, wrong: bytes
) -> None:
    # Each part that is wrong would be noted, with more than a kilobyte, before any limit on lists counts.
    if wrong == b"members":
        wrong = b",".join(b'"%d": 1' % number for number in range(100_000))
    answer = guarded.client.post(path, content=b"{" + wrong + b"}", headers=JSON | bearer(made["read"][0]))
    assert answer.status_code in (400, 422)
    assert "at most 20,000 members and items" in answer.text
    assert len(answer.content) < 1_000


@pytest.mark.parametrize("path", [SEARCH, "/v1/embeddings", "/_ml/trained_models/m/_infer"])
def test_millions_of_values_are_not_even_parsed(
    guarded: InProcess, made: dict[str, tuple[str, str]], path: str
) -> None:
    headers = JSON | bearer(made["read"][0])
    many = b'{"input": [%s[]]}' % (b"[]," * 500_000)
    answer = guarded.client.post(path, content=many, headers=headers)
    assert answer.status_code == 413
    assert "commas and brackets" in answer.text
    # What a picture or a long text has is none of that.
    long = b'{"input": "%s"}' % (b"a, " * 200_000)
    assert guarded.client.post(path, content=long, headers=headers).status_code != 413


@pytest.mark.parametrize("part", ["query", "fields", "metadata"])
def test_nor_are_they_in_a_part_of_a_form(make_service: Make, tmp_path: Path, part: str) -> None:
    service = make_service(uploads=tmp_path / "uploads")
    path = SEARCH if part == "query" else f"/v1/collections/{COLLECTION}/images"
    files: list[Any] = [("image", ("a.png", b"", "image/png")), (part, (None, b"[]," * 500_000))]
    answer = service.client.post(path, files=files)
    assert problem(answer, 413)["error"] == "Refused"


def test_a_long_name_that_a_client_made_up_is_not_repeated(service: InProcess) -> None:
    answer = service.client.post(SEARCH, json={"x" * 1_000_000: 1})
    assert problem(answer, 422)["error"] == "InvalidRequest"
    assert len(answer.content) < 5_000


def test_a_large_request_is_refused_whether_or_not_it_says_so(make_service: Make) -> None:
    client = make_service(max_bytes=2_000).client

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield b" " * 1_000

    assert "at most" in problem(client.post(SEARCH, content=b" " * 2_001, headers=JSON), 413)["detail"]
    problem(client.post(SEARCH, content=chunks(), headers=JSON), 413)
    assert client.post(SEARCH, content=b" " * 2_000, headers=JSON).status_code == 422
    # Where a body means nothing, it is measured all the same.
    problem(client.request("GET", "/v1/collections", content=b" " * 2_001), 413)


def test_a_picture_of_too_many_pixels_is_refused(
    make_service: Make, textile_files: dict[str, list[Path]]
) -> None:
    client = make_service(max_pixels=10_000).client
    # With a byte more: one whose features are known is not decoded, and passes.
    picture = textile_files["local"][0].read_bytes() + b"\n"
    answer = client.post(SEARCH, files={"image": ("large.jpg", picture)})
    assert "pixels" in problem(answer, 422)["detail"]


def test_bytes_that_are_held_are_counted_and_given_back(make_service: Make) -> None:
    service = make_service(memory=3_000, max_bytes=2_000)
    for _ in range(5):
        assert service.client.post(SEARCH, content=b" " * 2_000, headers=JSON).status_code == 422
        problem(service.client.post(SEARCH, content=b" " * 2_001, headers=JSON), 413)
    assert figure(service.client, "lookalike_held_bytes") == 0
    held = MemoryBudget(10)
    held.take(10)
    with pytest.raises(Overloaded):
        held.take(1)
    assert held.bytes == 10


# --- health, figures


def figure(client: TestClient, name: str) -> float:
    text = client.get("/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_it_becomes_ready_by_itself(service: InProcess) -> None:
    assert service.client.get("/healthz").json() == {"status": "ok"}
    until(lambda: service.client.get("/readyz").status_code == 200)
    # The pictures that it warmed itself with are not those of requests.
    assert figure(service.client, "lookalike_embedded_total") == 0
    service.app.state.readiness.stop()
    answer = service.client.get("/readyz")
    assert "stopping" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"]


def test_a_collection_whose_model_is_not_here_keeps_it_from_being_ready(
    make_service: Make, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(store_url) as store:
        store.create("strange", Space("no-such-model", "0" * 64, 4))
    both = make_service()
    until(lambda: "ModelNotFound" in problem(both.client.get("/readyz"), 503)["detail"])
    # It asks for no key, so it names nothing; the log does.
    assert "strange" not in both.client.get("/readyz").text
    assert "'strange'" in caplog.text
    assert "no-such-model" in caplog.text
    assert both.client.post(SEARCH, json={}).status_code == 400  # it answers what it can
    # Who asks for the collection is told.
    told = {
        each["name"]: each["problem"] for each in both.client.get("/v1/collections").json()["collections"]
    }
    assert told == {COLLECTION: None, "strange": "ModelNotFound"}
    # One that is served without it is.
    one = make_service(collections=(COLLECTION,))
    until(lambda: one.client.get("/readyz").status_code == 200)


def test_a_store_without_collections_is_named_in_the_log(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    with in_process(url, cache) as service:
        until(lambda: service.client.get("/readyz").status_code == 200)
    assert f"no collection is in {url} yet" in caplog.text
    assert not (tmp_path / "elsewhere.db").exists()


def test_figures_name_routes_and_never_paths(service: InProcess) -> None:
    client = service.client
    before = client.get("/metrics").text
    assert "process_resident_memory_bytes" in before
    for path in ("/none/of/these", "/v1/collections/secret-name", "/v1/collections/textile", "/static/x"):
        client.get(path)
    for method in ("BREW", "PROPFIND"):
        client.request(method, "/v1/collections")
    client.post("/v1/collections/textile/search", json={"k": 0})
    text = client.get("/metrics").text
    assert "secret-name" not in text
    assert "of/these" not in text
    assert "BREW" not in text
    counts = {
        tuple(re.findall(r'"([^"]*)"', line)): float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("lookalike_requests_total{")
    }
    assert counts["GET", "unmatched", "404"] == 1
    assert counts["GET", "/v1/collections/{name}", "404"] == 1
    assert counts["GET", "/v1/collections/{name}", "200"] == 1
    assert counts["other", "/v1/collections", "405"] == 2
    assert counts["POST", "/v1/collections/{name}/search", "422"] == 1
    assert 'lookalike_request_seconds_count{method="GET",route="/v1/collections/{name}"} 2.0' in text
    assert "_created" not in text
    assert figure(client, "lookalike_requests_in_flight") == 1  # this one
