"""Pictures that take long to decode: others are answered meanwhile, and the service stops in time."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from lookalike.images.decoding import may_take_long
from tests.costly_pictures import bmp_of_runs, jpeg_of_scans, saved, webp
from tests.service import COLLECTION, InProcess, Server, until

Start = Callable[..., Server]

CLASSIFY = f"/v1/collections/{COLLECTION}/classify"
SEARCH = f"/v1/collections/{COLLECTION}/search"
SLOW = bmp_of_runs(24_000, 2_000)
"""9 kB, 48 megapixels, some five seconds of a core."""


def figure(server: Server, name: str) -> float:
    """Return one of the service's figures."""
    found = re.search(rf"^{name} (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def ask(server: Server, pictures: list[bytes]) -> httpx.Response:
    """Classify pictures."""
    parts = [("image", picture) for picture in pictures]
    data = {"query": '{"by": "label", "k": 3}'}
    return httpx.post(f"{server.url}{CLASSIFY}", data=data, files=parts, timeout=120)


def test_others_are_answered_meanwhile_and_it_stops_in_time(
    start_server: Start, textile_files: dict[str, list[Path]]
) -> None:
    """Three requests bring a minute of work; with something behind it, each picture is another one."""
    assert may_take_long(SLOW, 224, 50_000_000)
    server = start_server("--max-seconds", "5")
    with ThreadPoolExecutor(3) as pool:
        slow = [
            pool.submit(ask, server, [SLOW + bytes([request, picture]) for picture in range(4)])
            for request in range(3)
        ]
        until(lambda: figure(server, "lookalike_embed_waiting") >= 8)
        for file in textile_files["local"][:3]:
            quick = ask(server, [file.read_bytes() + b"another"])
            assert quick.status_code == 200
            assert quick.json()["predictions"][0]["neighbours"]
        found = httpx.post(f"{server.url}{SEARCH}", json={"terms": [{"text": "blue"}]}, timeout=60)
        assert found.status_code == 200
        # All of them were answered before the first of the slow requests.
        assert not any(each.done() for each in slow)
        assert figure(server, "lookalike_embed_waiting") >= 1
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        answers = [each.result() for each in slow]
    assert [answer.status_code for answer in answers] == [503] * 3
    assert all(
        int(answer.headers["retry-after"]) >= 1 for answer in answers if "retry-after" in answer.headers
    )
    assert "Traceback" not in server.log.read_text()


def test_what_no_encoder_writes_costs_the_service_nothing(start_server: Start) -> None:
    server = start_server()
    scans = jpeg_of_scans(7_000, 7_000, 4_000)
    answer = ask(server, [scans, webp(11_000, 11_000), webp(7_000, 7_000)])
    assert answer.status_code == 200
    said = [each["skipped"] for each in answer.json()["predictions"]]
    assert said == [
        "more than 256 scans",
        "11000 × 11000 pixels are more than the limit of 50,000,000 (max-pixels)",
        "decoding it takes about 784 MB, more than the limit of 600 MB (12 bytes for each of max-pixels)",
    ]


@pytest.fixture
def adding(make_service: Callable[..., InProcess], tmp_path: Path) -> InProcess:
    """A service that pictures can be added to."""
    (tmp_path / "uploads").mkdir()
    return make_service(uploads=tmp_path / "uploads")


def test_one_that_may_take_long_is_answered_and_shown_like_any_other(adding: InProcess) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (70, 70, 3), np.uint8)
    large = saved(Image.fromarray(np.kron(noise, np.ones((32, 32, 1), np.uint8))), "WEBP", quality=50)
    assert may_take_long(large, 224)
    threads = {thread.name for thread in threading.enumerate()}
    assert "embed-long" in threads
    added = adding.client.post(
        f"/v1/collections/{COLLECTION}/images", files=[("image", ("large.webp", large))]
    )
    assert added.status_code == 201, added.text
    identity = added.json()["images"][0]["id"]
    shown = adding.client.get(f"/v1/collections/{COLLECTION}/images/{identity}/thumbnail?size=64")
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "image/webp"
