"""Whatever a request brings is answered, or refused with a reason: bodies, headers and parameters at random.

What /openapi.json describes is asked by `test_openapi`; here is what no description allows.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lookalike.server.settings import Settings
from tests.service import COLLECTION, InProcess, fill, in_process

EXAMPLES = 200
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = "application/json"
IMAGE = "0" * 32  # stands for the id of one that is there
NOBODY = "1" * 32  # an id that nothing has
DIGITS = "9" * 10_000


class Told(logging.Handler):
    """Keeps what the service logs as an error: nothing that a client sends is one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        self.image = ""
        """The id of a picture in the collection."""

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory, cache: Path, pictures: Path
) -> Iterator[tuple[InProcess, Told]]:
    """A service whose store and uploads nobody needs any more, and what it logs."""
    folder = tmp_path_factory.mktemp("bodies")
    url = f"sqlite:///{folder / 'bodies.db'}"
    fill(url, cache, pictures)
    (folder / "uploads").mkdir()
    told = Told()
    logging.getLogger().addHandler(told)
    try:
        with in_process(url, cache, Settings(roots=(pictures,), uploads=folder / "uploads")) as service:
            hits = service.ask("search", {"terms": [{"text": "cloth"}], "k": 1})["hits"]
            told.image = hits[0]["id"]
            yield service, told
    finally:
        logging.getLogger().removeHandler(told)


def ask(asked: tuple[InProcess, Told], method: str, path: str, **how: Any) -> Any:
    """Return the answer to a request, having checked that it is one."""
    service, told = asked
    told.lines.clear()
    path = path.replace(IMAGE, told.image)
    answer = service.client.request(method, path, follow_redirects=False, **how)
    said = (method, path, {name: str(value)[:300] for name, value in how.items()}, answer.text[:500])
    assert answer.status_code not in (500, 502, 504), said
    assert not answer.is_redirect, said
    assert told.lines == [], said
    if answer.status_code >= 400:
        kind = answer.headers["content-type"]
        body = answer.json() if method != "HEAD" else {"error": ""}
        assert kind == "application/problem+json" or "error" in body, said
        assert len(answer.content) < 100_000, said
    return answer


ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", f"/v1/collections/{COLLECTION}/search", {"terms": [{"text": "cloth"}], "k": 2}),
    ("POST", f"/v1/collections/{COLLECTION}/browse", {"order": "label", "by": "label", "limit": 2}),
    ("POST", f"/v1/collections/{COLLECTION}/downloads", {"ids": [IMAGE], "format": "zip"}),
    ("POST", f"/v1/collections/{COLLECTION}/classify", {"by": "label", "images": [], "k": 2}),
    ("POST", f"/v1/collections/{COLLECTION}/anomaly", {"images": [], "overlay": True}),
    ("POST", f"/v1/collections/{COLLECTION}/evaluations", {"by": "label"}),
    ("POST", f"/v1/collections/{COLLECTION}/audits", {"by": "label"}),
    ("POST", f"/v1/collections/{COLLECTION}/maps", {"by": "label"}),
    ("POST", f"/v1/collections/{COLLECTION}/drifts", {"new": {"label": ["local"]}}),
    ("POST", f"/v1/collections/{COLLECTION}/suggestions", {"by": "label", "count": 2}),
    ("POST", f"/v1/collections/{COLLECTION}/indexings", {}),
    ("POST", f"/v1/collections/{COLLECTION}/vectors", {"name": "image", "model": "efficientnet-lite0"}),
    ("POST", f"/v1/collections/{COLLECTION}/labels", {"ids": [NOBODY], "fields": {"label": "a"}}),
    ("POST", f"/v1/collections/{COLLECTION}/removals", {"ids": [NOBODY]}),
    ("PATCH", f"/v1/collections/{COLLECTION}", {"default": "image"}),
    ("PATCH", f"/v1/collections/{COLLECTION}/images/{IMAGE}", {"fields": {"label": "a"}}),
    ("POST", "/v1/collections", {"name": "new", "model": "efficientnet-lite0"}),
    ("POST", "/v1/embeddings", {"input": "cloth", "model": "efficientnet-lite0"}),
    ("POST", "/_ml/trained_models/efficientnet-lite0/_infer", {"docs": [{"text_field": "cloth"}]}),
    ("POST", f"/{COLLECTION}/_search", {"knn": {"field": "image_embedding", "query_vector": [1.0], "k": 1}}),
    ("POST", f"/{COLLECTION}/_count", {"query": {"term": {"fields.label": "local"}}}),
    ("POST", "/v1/login", {"key": "x"}),
]


def properties(service: InProcess, method: str, path: str) -> list[str]:
    """Return the names that a route's question may have, by its description."""
    described = service.app.openapi()
    for template, methods in described["paths"].items():
        parts, given_ = template.split("/"), path.split("/")
        if len(parts) == len(given_) and all(
            a == b or a.startswith("{") for a, b in zip(parts, given_, strict=True)
        ):
            content = methods.get(method.lower(), {}).get("requestBody", {}).get("content", {})
            schema = content.get(JSON, {}).get("schema", {})
            found = described["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
            return list(found.get("properties", ()))
    return []


def test_the_routes_are_those_that_read_json(asked: tuple[InProcess, Told]) -> None:
    service, _ = asked
    described = service.app.openapi()["paths"]
    reading = sum(
        JSON in each.get("requestBody", {}).get("content", {})
        for methods in described.values()
        for each in methods.values()
        if isinstance(each, dict)
    )
    assert len([each for each in ROUTES if properties(service, each[0], each[1])]) >= reading - 2
    for method, path, query in ROUTES:
        assert ask(asked, method, path, json=query).status_code != 422


# --- JSON

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["\0", "\ud800", "\udfff\ud800", "\u2028", "../../etc/passwd", "a" * 3_000, "", " ", DIGITS]
    ),
    st.sampled_from(
        ["data:image/png;base64,", "data:,", "data:image/png;base64,AAA", "http://127.0.0.1:1/x"]
    ),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS,
    st.sampled_from([10**400, -(10**400), 2**31, 2**63, 2**64, -1, 0, 1e308, float("inf"), float("nan")]),
)  # fmt: skip
ANY = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=10,
)


@fuzzed
@given(st.sampled_from(ROUTES), st.data())
def test_any_value_in_any_field(
    asked: tuple[InProcess, Told], route: tuple[str, str, dict[str, Any]], data: st.DataObject
) -> None:
    method, path, query = route
    names = st.sampled_from([*properties(asked[0], method, path), *query, "other"])
    changed = {**query, **data.draw(st.dictionaries(names, ANY, min_size=1, max_size=3))}
    ask(asked, method, path, content=json.dumps(changed), headers={"Content-Type": JSON})


@fuzzed
@given(
    st.sampled_from(ROUTES),
    st.one_of(
        st.binary(max_size=300),
        ANY.map(lambda value: json.dumps(value).encode()),
        st.sampled_from(
            [
                b"[" * 100_000, b'{"a":' * 100_000, DIGITS.encode(), b"-" + DIGITS.encode(), b"1e999999999",
                b"0." + DIGITS.encode(), b'"' + b"\\ud83d" * 1_000 + b'"', b"\xef\xbb\xbf{}", b"{}{}",
                "{}".encode("utf-16"), "{}".encode("utf-32"), gzip.compress(b"{}", mtime=0),
                b"\x1f\x8b", b"\x00",
                b'{"k": %s}' % DIGITS.encode(), b'{"k": 1, "k": 2}', b"null", b"\n", b"\xc0\x80", b"'{}'",
            ]
        ),
    ),
    st.sampled_from(
        [JSON, "application/json; charset=utf-16", "APPLICATION/JSON ;charset=x", "", ";", "text/plain"]
    ),
)  # fmt: skip
def test_any_bytes_as_a_body(
    asked: tuple[InProcess, Told], route: tuple[str, str, dict[str, Any]], content: bytes, kind: str
) -> None:
    method, path, _ = route
    ask(asked, method, path, content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route[1])
def test_numbers_of_ten_thousand_digits(
    asked: tuple[InProcess, Told], route: tuple[str, str, dict[str, Any]]
) -> None:
    method, path, query = route
    for name in [*properties(asked[0], method, path), *query, "other"]:
        for number in (DIGITS, f"-{DIGITS}", f"[{DIGITS}]", f'{{"a": {DIGITS}}}', f"0.{DIGITS}", "1e999999"):
            text = json.dumps({**query, name: None}).replace("null", number)
            answer = ask(asked, method, path, content=text, headers={"Content-Type": JSON})
            assert DIGITS not in answer.text


# --- forms

FORMS = [
    f"/v1/collections/{COLLECTION}/search",
    f"/v1/collections/{COLLECTION}/classify",
    f"/v1/collections/{COLLECTION}/images",
    f"/v1/collections/{COLLECTION}/imports",
]
_HEADS = st.one_of(
    st.sampled_from(
        [
            b'Content-Disposition: form-data; name="image"; filename="a.png"',
            b'Content-Disposition: form-data; name="image"; filename="../../a\\"b.png"',
            b'Content-Disposition: form-data; name="image"; filename="\xff\xfe\xed\xa0\x80.png"',
            b'Content-Disposition: form-data; name="image"; filename="a\0b"',
            b'Content-Disposition: form-data; name="image"; filename=""',
            b"Content-Disposition: form-data; name=image; filename*=UTF-8''%ff%00",
            b'Content-Disposition: form-data; name="query"',
            b'Content-Disposition: form-data; name="file"; filename="a.csv"',
            b'Content-Disposition: form-data; name="fields"',
            b'Content-Disposition: form-data; name="metadata"',
            b'Content-Disposition: form-data; name="\xff"',
            b'Content-Disposition: form-data; name="query',
            b"content-disposition:form-data;name=fields;name=query",
            b'Content-Disposition: attachment; name="image"',
            b'Content-Type: image/png\r\nContent-Disposition: form-data; name="image"; filename="a.png"',
            b"",
        ]
    ),
    st.binary(max_size=60),
)
_CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"", b"{}", b"[]", b"null", b'{"k": %s}' % DIGITS.encode(), b"[" * 10_000, DIGITS.encode(),
            b'{"label": "\\ud800"}', b'{"label": "\\u0000"}', b'{"label": 1e999}', b'{"label": NaN}',
            b'{"": ""}', b'{"by": "label"}', b'{"label": {"a": [1, [2]]}}', b"\r\n--x\r\n",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a" + b"\xff" * 20, b"\xff\xd8\xff\xe0" + b"\0" * 50, b"RIFF\xff\xff\xff\xffWEBPVP8L",
        ]
    ),
)  # fmt: skip


@fuzzed
@given(
    st.sampled_from(FORMS),
    st.lists(st.tuples(_HEADS, _CONTENTS), max_size=4),
    st.sampled_from([b"--x--", b"--x--\r\n", b"--x", b"--x-", b"", b"--x--trailing", b"--y--"]),
    st.sampled_from(
        [
            "multipart/form-data; boundary=x", 'multipart/form-data; boundary="x"', "multipart/form-data",
            "multipart/form-data; boundary=", "multipart/form-data; boundary=x; charset=utf-16",
            "multipart/form-data; boundary=" + "x" * 100, "multipart/form-data; boundary=\xe9",
            "multipart/mixed; boundary=x", "multipart/form-data; Boundary=x; boundary=y", "multipart/",
        ]
    ),
    st.sampled_from([b"\r\n", b"\n", b"\r"]),
)  # fmt: skip
@example(FORMS[2], [(b'Content-Disposition: form-data; name="fields"', DIGITS.encode())], b"--x--", "multipart/form-data; boundary=x", b"\r\n")  # fmt: skip # noqa: E501
def test_any_form(
    asked: tuple[InProcess, Told],
    path: str,
    parts: list[tuple[bytes, bytes]],
    end: bytes,
    kind: str,
    line: bytes,
) -> None:
    body = b"".join(b"--x" + line + head + line + line + content + line for head, content in parts) + end
    ask(asked, "POST", path, content=body, headers=[(b"Content-Type", kind.encode("latin-1"))])


@fuzzed
@given(st.sampled_from(FORMS), st.sampled_from(["image", "fields", "metadata", "query"]), ANY)
def test_any_value_in_a_part_of_a_form(
    asked: tuple[InProcess, Told], pictures: Path, path: str, name: str, value: Any
) -> None:
    picture = next(pictures.rglob("*.jpg")).read_bytes()
    files: list[Any] = [("image", ("a.jpg", picture, "image/jpeg"))]
    files.append((name, (None, json.dumps(value).encode(), JSON)))
    ask(asked, "POST", path, files=files)


# --- headers and parameters

_VALUES = st.one_of(
    st.binary(max_size=40).map(lambda value: bytes(each for each in value if each >= 32 and each != 127)),
    st.sampled_from(
        [b"", DIGITS[:5_000].encode(), b"*", b'"', b"\xff\xfe", b"a" * 5_000, b"bytes=0-", b"null"]
    ),
)
_NAMES = st.sampled_from(
    [
        b"Accept", b"Accept-Encoding", b"Accept-Language", b"Authorization", b"Content-Encoding", b"Cookie",
        b"Content-Type", b"Expect", b"Host", b"If-Match", b"If-Modified-Since", b"If-None-Match", b"Origin",
        b"Range", b"Referer", b"Sec-Fetch-Site", b"Transfer-Encoding", b"User-Agent", b"X-Forwarded-For",
        b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-HTTP-Method-Override", b"X-Request-Id", b"Upgrade",
    ]
)  # fmt: skip


@fuzzed
@given(
    st.lists(st.tuples(_NAMES, _VALUES), min_size=1, max_size=4),
    st.sampled_from([*ROUTES, ("GET", "/", {}), ("GET", "/static/x", {}), ("HEAD", "/v1/models", {}),
                     ("GET", f"/v1/collections/{COLLECTION}/images", {}), ("OPTIONS", "/v1/models", {})]),
)  # fmt: skip
def test_any_header(
    asked: tuple[InProcess, Told],
    headers: list[tuple[bytes, bytes]],
    route: tuple[str, str, dict[str, Any]],
) -> None:
    method, path, query = route
    ask(asked, method, path, content=json.dumps(query).encode(), headers=headers)


def test_any_parameter(asked: tuple[InProcess, Told]) -> None:
    """Each parameter of each route, with what is no number, no name and no date."""
    strange = [
        DIGITS[:5_000], f"-{DIGITS[:5_000]}", "1e999", "nan", "-1", "0", "2147483648", "9223372036854775808",
        "٣", "½", "\0", "\ud800".encode("utf-8", "surrogatepass"), b"\xff", "", " ", "a" * 3_000, "true",
        "[]", "../..", "%", "1.5", "0x10", "1_000", "2026-13-45", "\u202e",
    ]  # fmt: skip
    tried = 0
    for template, methods in asked[0].app.openapi()["paths"].items():
        for method, described in methods.items():
            parameters = described.get("parameters", [])
            path = template.replace("{name}", COLLECTION).replace("{id}", IMAGE)
            path = path.replace("{model}", "efficientnet-lite0")
            for parameter in parameters:
                for value in strange:
                    if parameter["in"] == "query":
                        ask(asked, method.upper(), path, params={parameter["name"]: value})
                        tried += 1
            # And each place in the path.
            for value in ("9" * 3_000, "%00", "%ff", "%ed%a0%80", "..%2f..", "%0d%0a", "a" * 3_000, "٣"):
                for place in ("{name}", "{id}", "{model}", "{field}"):
                    if place in template and method != "delete":
                        ask(asked, method.upper(), template.replace(place, value))
                        tried += 1
    assert tried > 100
