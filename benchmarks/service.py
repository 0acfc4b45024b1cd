"""The service beside the pipeline without it: requests and embeddings a second, latency, memory.

A real `lookalike serve` is asked by this process over connections that are kept, with pictures that it has
never seen, each connection as soon as it was answered. In turn with it, so that a noisy minute hits both, a
process of its own does the same without a service: as many threads as there are clients take the same
pictures through the same pipeline, embed them, and search or classify. It writes no answers down, and nobody
asks it over a socket; what a request costs beside that is what is measured. Whoever asks needs the same cores
as who answers. For comparison the pictures also go through in one go, as `classify FOLDER` takes them: by a
thread a core that embeds and one that searches, the quickest way that there is.

LOOKALIKE_BENCH_SECONDS (30, with --short 5) is the time for each number of clients; LOOKALIKE_BENCH_LARGE
(100,000, with --short 30,000) the size of the large collection.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from conformal_clip_data import textile_simulated_root
from PIL import Image

from benchmarks.direct import Direct, Done, direct
from benchmarks.figures import SHORT, figure, median_ratio, title
from benchmarks.load import Outcome, post, put_load
from lookalike.database import Database
from lookalike.embedders.models import DEFAULT_MODEL
from lookalike.types import (
    Record,
    Space,
    Vectors,
)
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise
from tests.service import Server, server_process

SECONDS = float(os.environ.get("LOOKALIKE_BENCH_SECONDS", "5" if SHORT else "30"))
LARGE = int(os.environ.get("LOOKALIKE_BENCH_LARGE", "30_000" if SHORT else "100_000"))
CLIENTS = (1, 8, 64)
# The service and the pipeline take turns of so many seconds.
TURN = 5.0
NAME, BY = "textile", "label"
K = 10
BOUND = 0.8
# Below this an answer is felt to come at once.
PAGE_SECONDS = 0.3
ASKED = 200
BLOCK = 10_000
HUGE = 10 << 20


def new_pictures(files: Sequence[Path]) -> list[bytes]:
    """Return photographs that nobody has seen, as JPEGs: mirrored, and turned upside down."""
    made = []
    for turned in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180):
        for file in files:
            with Image.open(file) as photograph:
                out = io.BytesIO()
                photograph.convert("RGB").transpose(turned).save(out, "JPEG", quality=90)
            made.append(out.getvalue())
    return made


def huge_picture(seed: int) -> bytes:
    """Return a JPEG of about 10 MB, of 12 megapixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (3000, 4000, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=86)
    return out.getvalue()


def question(what: str, query: dict[str, Any], picture: bytes, collection: str = NAME) -> bytes:
    """Return a request about one picture."""
    part = b'\r\n--x\r\nContent-Disposition: form-data; name="%b"\r\n'
    body = b"".join(
        [
            (part % b"query")[2:],
            b"\r\n",
            json.dumps(query).encode(),
            part % b'image"; filename="a.jpg',
            b"Content-Type: image/jpeg\r\n\r\n",
            picture,
            b"\r\n--x--\r\n",
        ]
    )
    return post(f"/v1/collections/{collection}/{what}", "multipart/form-data; boundary=x", body)


def memory(server: Server, what: str = "VmRSS") -> float:
    """Return the resident size of a server in MB; `VmHWM` is the largest that it has had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) / 1024


def cpu_seconds(server: Server) -> float:
    """Return the processor time that a server has taken."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def embedded(server: Server) -> int:
    """Return how many pictures a server has embedded."""
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    (line,) = (line for line in text.splitlines() if line.startswith("lookalike_embedded_total "))
    return round(float(line.split()[1]))


def in_turn(
    ask: Callable[[float], Outcome],
    answer: Callable[[float], Done],
    server: Server,
    what: str,
    in_one_go: Callable[[float], Done] | None = None,
) -> tuple[list[tuple[float, float]], Outcome]:
    """Measure the service and the pipeline in turn, print both; return each turn's rates and all answers."""
    turns = max(1, round(SECONDS / TURN))
    seconds = SECONDS / turns
    whole, pairs, spent, pipeline = Outcome(0.0), [], 0.0, Done(0, 0.0, 0.0)
    quickest: list[float] = []
    ask(min(1.0, seconds))
    for _ in range(turns):
        before = cpu_seconds(server)
        asked = ask(seconds)
        spent += cpu_seconds(server) - before
        done = answer(seconds)
        pairs.append((asked.rate, done.rate))
        if in_one_go is not None:
            quickest.append(asked.rate / in_one_go(min(seconds, 2.0)).rate)
        whole.latencies += asked.latencies
        whole.errors += asked.errors
        whole.seconds += asked.seconds
        whole.cpu_seconds += asked.cpu_seconds
        pipeline = Done(
            pipeline.count + done.count,
            pipeline.seconds + done.seconds,
            pipeline.cpu_seconds + done.cpu_seconds,
        )
    count = max(1, len(whole.latencies))
    figure(f"{what}: a second", f"{whole.rate:.0f}")
    figure(f"{what}: latency, median and 99th, ms", _latencies(whole))
    figure(f"{what}: the same without a service, a second", f"{pipeline.rate:.0f}")
    figure(
        f"{what}: processor ms each, service, asking, without",
        f"{1e3 * spent / count:.2f}, {1e3 * whole.cpu_seconds / count:.2f}, "
        f"{1e3 * pipeline.cpu_seconds / max(1, pipeline.count):.2f}",
    )
    if quickest:
        figure(f"{what}: service / all in one go", f"{statistics.median(quickest):.2f}")
    return pairs, whole


def _latencies(outcome: Outcome) -> str:
    if not outcome.latencies:
        return "none"
    return (
        f"{1e3 * statistics.median(outcome.latencies):.1f}, {1e3 * np.quantile(outcome.latencies, 0.99):.1f}"
    )


def no_error(what: str, outcome: Outcome) -> None:
    figure(f"{what}: errors", f"{len(outcome.errors)}", "0", not outcome.errors)
    for line in sorted(set(outcome.errors))[:3]:
        print(f"    {line}")


def requests(server: Server, pipeline: Direct, pictures: Sequence[bytes]) -> None:
    title(f"searching and classifying among 2,000 photographs, {SECONDS:g} s for each number of clients")
    queries: dict[str, dict[str, Any]] = {"search": {"k": K}, "classify": {"by": BY}}
    asked = {what: [question(what, query, each) for each in pictures] for what, query in queries.items()}
    for what in queries:
        put_load(server.port, asked[what], 2, 1.0)
    start = memory(server)
    for what in queries:
        for clients in CLIENTS:
            before, seen = embedded(server), 0

            def ask(seconds: float, what: str = what, clients: int = clients) -> Outcome:
                nonlocal seen
                outcome = put_load(server.port, asked[what], clients, seconds)
                seen += len(outcome.latencies)
                return outcome

            def answer(seconds: float, what: str = what, clients: int = clients) -> Done:
                return pipeline.run(what, clients, seconds)

            named = f"{what}, {clients} client{'s' if clients > 1 else ''}"
            in_one_go = partial(pipeline.run, what, 0)
            pairs, outcome = in_turn(ask, answer, server, named, in_one_go)
            ratio = median_ratio(pairs)
            figure(f"{named}: service / without", f"{ratio:.2f}", f"≥ {BOUND}", ratio >= BOUND)
            no_error(named, outcome)
            assert embedded(server) - before == seen, "a picture was known"
    end = memory(server)
    figure("memory before and after, MB", f"{start:.0f}, {end:.0f}")
    figure("memory: growth, MB", f"{end - start:.0f}", "at most 50", end - start <= 50)


def embeddings(server: Server, pipeline: Direct, pictures: Sequence[bytes]) -> None:
    title("/v1/embeddings, data URLs, 8 clients, beside the model alone: decoded pictures, a call a core")
    urls = [f"data:image/jpeg;base64,{base64.b64encode(each).decode()}" for each in pictures]
    for size in (8, 32):
        asked = [
            post(
                "/v1/embeddings",
                "application/json",
                json.dumps(
                    {"model": DEFAULT_MODEL, "input": urls[start : start + size], "encoding_format": "base64"}
                ).encode(),
            )
            for start in range(0, len(urls) - size + 1, size)
        ]

        def ask(seconds: float, asked: Sequence[bytes] = asked) -> Outcome:
            return put_load(server.port, asked, 8, seconds)

        def answer(seconds: float, size: int = size) -> Done:
            done = pipeline.run("embed", 8, seconds)
            return Done(done.count // size, done.seconds, done.cpu_seconds)

        named = f"requests of {size}"
        pairs, outcome = in_turn(ask, answer, server, named)
        ratio = median_ratio(pairs)
        figure(f"{named}: embeddings a second", f"{outcome.rate * size:.0f}")
        figure(f"{named}: service / model alone", f"{ratio:.2f}", f"≥ {BOUND}", ratio >= BOUND)
        no_error(named, outcome)


def huge(server: Server) -> None:
    pictures = [huge_picture(seed) for seed in range(4)]
    title(f"64 clients with pictures of {len(pictures[0]) / 2**20:.0f} MB and 12 megapixels")
    asked = [question("search", {"k": K}, each) for each in pictures]
    outcome = put_load(server.port, asked, 64, min(SECONDS, 10.0))
    refused = [line for line in outcome.errors if " 503 " in line]
    figure("answered, and told to come again (503)", f"{len(outcome.latencies)}, {len(refused)}")
    outcome.errors = [line for line in outcome.errors if line not in refused]
    no_error("other than 503", outcome)
    peak = memory(server, "VmHWM")
    # What requests may hold (--memory), twice on its way through a parser, and what a process takes at rest.
    figure("largest memory, MB", f"{peak:.0f}", "at most 2,048", peak <= 2048)


def mixed(real: Vectors, count: int, seed: int) -> Vectors:
    """Return vectors of length 1 that vary as real ones do: mixtures of two, and differences of others."""
    rng = np.random.default_rng(seed)
    one, two, *others = real[rng.integers(len(real), size=(6, count))]
    share = rng.random((count, 1), dtype=np.float32)
    made = one + share * (two - one) + 0.3 * (others[0] - others[1] + others[2] - others[3])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return np.asarray(made, np.float32)


def fill_large(url: str, cache: Path, real: Vectors) -> None:
    with Database(url, cache=cache) as database:
        model = database.embedder(DEFAULT_MODEL)
        space = Space(model.name, model.fingerprint, model.dimension)
        database.store.create("large", space)
        for start in range(0, LARGE, BLOCK):
            uris = [f"file:///made/{row}.jpg" for row in range(start, min(start + BLOCK, LARGE))]
            records = [
                Record(record_id(uri), uri, f"{row:064x}", {BY: f"class {row % 20}"}, {}, 1, 1)
                for row, uri in enumerate(uris, start)
            ]
            database.store.put("large", records, {space: mixed(real, len(uris), start)})


def large(cache: Path, folder: Path, real: Vectors, pictures: Sequence[bytes]) -> None:
    title(f"searching among {LARGE:,} images of {real.shape[1]:,} dimensions, a warm service")
    url = f"sqlite:///{folder}/large.db"
    fill_large(url, cache, real)
    words = [
        "a hole",
        "a red car",
        "cloth",
        "rust on metal",
        "a broken bottle",
        "a cat",
        "threads",
        "a screw",
    ]
    texts = [f"{one} and {two}" for one in words for two in words]
    asked = {
        "by picture": [question("search", {"k": K}, each, "large") for each in pictures],
        "in words": [
            post(
                "/v1/collections/large/search",
                "application/json",
                json.dumps({"terms": [{"text": text}], "k": K}).encode(),
            )
            for text in texts
        ],
    }
    with serving(url, cache, folder) as server:
        for what, questions in asked.items():
            put_load(server.port, questions, 1, 1.0)
            outcome = put_load(server.port, questions, 1, SECONDS, most=ASKED)
            figure(f"{what}: latency, median and 99th, ms", _latencies(outcome))
            slow = float(np.quantile(outcome.latencies, 0.99))
            figure(f"{what}: 99th, s", f"{slow:.3f}", f"at most {PAGE_SECONDS}", slow <= PAGE_SECONDS)
            no_error(what, outcome)
        outcome = put_load(server.port, asked["by picture"], 8, min(SECONDS, 10.0))
        figure("by picture, 8 clients: a second", f"{outcome.rate:.0f}")
        figure("by picture, 8 clients: latency, median and 99th, ms", _latencies(outcome))
        figure("memory, MB", f"{memory(server):.0f}")


@contextmanager
def serving(url: str, cache: Path, folder: Path) -> Iterator[Server]:
    """Run the service on a store, and wait until it is warm."""
    with server_process(folder, "--store", url, "--cache", cache, ready=True, afresh=True) as server:
        yield server
        assert server.stop() == 0


def main() -> None:
    root = textile_simulated_root()
    files = sorted(root.glob("*/*.jpg"))
    pictures = new_pictures(files)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache, url = folder / "cache", f"sqlite:///{folder}/bench.db"
        with Database(url, cache=cache) as database:
            database[NAME].index([root])
            real = normalise(database[NAME].vectors.read(plain=True)[1])
        with serving(url, cache, folder) as server, direct(url, cache, NAME, BY, pictures) as pipeline:
            requests(server, pipeline, pictures)
            embeddings(server, pipeline, pictures)
            huge(server)
        large(cache, folder, real, pictures)


if __name__ == "__main__":
    main()
