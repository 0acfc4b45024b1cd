"""What /openapi.json says is so: every operation is asked with what it may get, and with what it may not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lookalike.database import Database
from lookalike.server.app import make_app
from lookalike.server.settings import Settings
from tests.listening import listening
from tests.service import COLLECTION

# Of those that schemathesis draws for one operation; many more come from the description itself.
EXAMPLES = 15
SECONDS = 30.0

# The status is one that is described, and so are the type and the content; nothing ends in a server error.
# 503 is no error: a queue is full.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
)


@contextmanager
def running(url: str, cache: Path, **settings: Any) -> Iterator[str]:
    """Serve a store in this process; gives its address."""
    with (
        Database(url, cache=cache) as database,
        listening(make_app(database, Settings(**settings))) as address,
    ):
        yield address


def done(
    client: httpx.Client,
    what: str,
    query: dict[str, Any],
    file: tuple[str, bytes] | None = None,
    name: str = COLLECTION,
) -> str:
    """Return the id of a job that was done, of a file where there is one."""
    path = f"/v1/collections/{name}/{what}"
    if file is None:
        answer = client.post(path, json=query)
    else:
        answer = client.post(path, data={"query": json.dumps(query)}, files={"file": file})
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + SECONDS
    while (job := client.get(answer.headers["location"]).json())["state"] in ("waiting", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the job runs in this process, too
    assert job["state"] == "done", job
    return str(job["id"])


_FILE = ("v.csv", b'id,vector\n1,"[0.6, 0.8]"')


def configuration(client: httpx.Client) -> str:
    """Return what schemathesis is to know: names of what is there, so that not all it asks for is missing."""
    ids = [
        hit["id"]
        for hit in client.post(
            f"/v1/collections/{COLLECTION}/search",
            json={"terms": [{"text": "cloth"}], "k": 2},
        ).json()["hits"]
    ]
    jobs = {
        "evaluation": done(client, "evaluations", {"by": "label"}),
        "evaluation/images": done(client, "evaluations", {"by": "label"}),
        "audit": done(client, "audits", {"by": "label"}),
        "map": done(client, "maps", {"by": "label"}),
        "drift": done(client, "drifts", {"new": {"label": ["local"]}}),
        "suggestions": done(client, "suggestions", {"by": "verdict"}),
        "indexing": done(client, "indexings", {}),
        "vector": done(client, "vectors", {"name": "image", "model": "efficientnet-lite0"}),
        "import": done(client, "imports", {"space": "theirs"}, _FILE, "theirs"),
    }
    text = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "503"]\n'
    always = {"path.name": COLLECTION, "path.model": "efficientnet-lite0", "path.id": ids[0]}
    always["path.vector"] = "image"
    text += "[parameters]\n" + "".join(f'"{key}" = "{value}"\n' for key, value in always.items())
    # What is deleted is something else than what the others ask for.
    others = {
        "DELETE /v1/collections/{name}": {"path.name": "spare"},
        "DELETE /v1/collections/{name}/images/{id}": {"path.id": ids[1]},
        "GET /v1/jobs/{id}": {"path.id": jobs["map"]},
        "DELETE /v1/jobs/{id}": {"path.id": done(client, "maps", {"by": "mixed"})},
        **{f"GET /v1/jobs/{{id}}/{what}": {"path.id": job} for what, job in jobs.items()},
    }
    for name, values in others.items():
        said = ", ".join(f'"{key}" = "{value}"' for key, value in values.items())
        text += f'[[operations]]\ninclude-name = "{name}"\nparameters = {{ {said} }}\n'
    return text


@pytest.mark.slow
def test_every_operation_does_what_is_said_of_it(
    store_url: str, cache: Path, pictures: Path, tmp_path: Path
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    program = Path(sys.executable).with_name("schemathesis")
    with (
        running(store_url, cache, roots=(pictures,), uploads=uploads) as address,
        httpx.Client(base_url=address, timeout=SECONDS) as client,
    ):
        spare = client.post("/v1/collections", json={"name": "spare", "model": "efficientnet-lite0"})
        assert spare.status_code == 201, spare.text
        config = tmp_path / "schemathesis.toml"
        config.write_text(configuration(client))
        ended = subprocess.run(
            [
                *(program, "--config-file", config, "run", f"{address}/openapi.json", "--no-color"),
                *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
                *("--request-timeout", str(SECONDS)),
                *("--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        described = client.get("/openapi.json").json()["paths"]
        operations = sum(len(methods) for methods in described.values())
        assert f"Tested: {operations}" in ended.stdout
        # The service is as it was.
        assert client.get("/healthz").status_code == 200
