"""What an insert costs the next classification, and what an evaluation costs beside embedding: CPU seconds.

Three ways: whole commands on 1,342 photographs with a fitted metric (the developers' folder ../shared);
made-up vectors in a database that is opened anew for each question, as a command does, where the collection
is judged because a false-alarm rate is asked for; and a service that is asked over HTTP, as its page does. Of
the service those threads count that answer: the one that judges behind the answers has a lower priority.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.figures import SHORT, figure, in_own_process, title
from benchmarks.inspection import INSPECT, PLAIN, SHARED
from benchmarks.leave_one_out import collection
from lookalike.database import Database
from lookalike.ingest.record_writer import RecordWriter
from lookalike.search.query import RecordId
from lookalike.types import Record, Space, Vectors
from tests.service import Server, server_process

IMAGES = 1342
VECTORS = int(os.environ.get("LOOKALIKE_BENCH_INSERT", "30_000" if SHORT else "100_000"))
FITTED, DIMENSION = 20_000, 128
SERVED, SERVED_FITTED = 100_000, 5_000
BATCH = 5_000
ASKED = 10
RATIO, EVALUATE = 2.0, 0.3
NAME = "vectors"


def ratios(before: float, after: dict[str, float]) -> None:
    """Print what a classification after each change costs beside one before."""
    for what, spent in after.items():
        ratio = spent / before
        figure(f"classify after {what} / before", f"{ratio:.2f}", f"at most {RATIO:g}", ratio <= RATIO)


def command(folder: Path, *words: str | Path) -> float:
    """Run a command, and return the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    options = ["--store", f"sqlite:///{folder / 'parts.db'}", "--cache", str(folder / "cache"), "--quiet"]
    program = [sys.executable, "-m", "lookalike", *map(str, words), *options]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_photographs(folder: Path) -> None:
    """Time whole commands on a fitted collection of photographs."""
    files = sorted((SHARED / "extrusion").rglob("*.jpg"))
    pictures = folder / "pictures"
    for file in files[: IMAGES + 1]:
        (pictures / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, pictures / file.parent.name / file.name)
    last = files[IMAGES]
    inserted = pictures / last.parent.name / last.name
    inserted.rename(folder / last.name)
    embedding = command(folder, "index", pictures, "--model", INSPECT)
    command(folder, "fit", "--by", "label")
    judging = command(folder, "evaluate", "--by", "label")
    question = "classify", files[-1], "--by", "label"
    first = command(folder, *question)
    before = command(folder, *question)
    after = {}
    shutil.move(folder / last.name, inserted)
    command(folder, "index", pictures)
    after["an insert"] = command(folder, *question)
    command(folder, "label", inserted, "--set", "label=other")
    after["a correction"] = command(folder, *question)
    inserted.unlink()
    command(folder, "index", pictures, "--prune", "--yes")
    after["a removal"] = command(folder, *question)
    figure(f"{IMAGES:,} photographs, fitted: index, CPU seconds", f"{embedding:.0f}")
    part = judging / embedding
    figure("evaluate / index", f"{part:.2f}", f"at most {EVALUATE}", part <= EVALUATE)
    figure("the first classify, which judges the collection, CPU seconds", f"{first:.1f}")
    figure("classify, CPU seconds", f"{before:.1f}")
    ratios(before, after)


def fill(database: Database, records: list[Record], vectors: Vectors, space: Space) -> RecordWriter:
    """Make a collection of made-up vectors, and return what writes to it."""
    database.store.create(NAME, space)
    writer = RecordWriter(database.store, NAME)
    for start in range(0, len(records), BATCH):
        part = slice(start, start + BATCH)
        writer.put(records[part], {space.embedder_fingerprint: vectors[part]})
    return writer


def of_vectors(count: int, dimension: int, *, fitted: bool = False) -> None:
    """Time classifications in a database that is opened for each, in a process of its own."""
    records, vectors = collection(count + 1, dimension)
    space = Space("made-up", "0" * 64, dimension)
    with tempfile.TemporaryDirectory() as folder:

        @contextmanager
        def opened() -> Iterator[Database]:
            with Database(f"sqlite:///{folder}/vectors.db", cache=Path(folder)) as database:
                yield database

        def classify() -> float:
            started = time.process_time()
            with opened() as database:
                list(database[NAME].classify(RecordId(records[0].id), "label", false_alarm=0.01))
            return time.process_time() - started

        with opened() as database:
            fill(database, records[:count], vectors[:count], space)
            if fitted:
                database[NAME].fit(by="label")
        first = classify()
        before = min(classify() for _ in range(3))
        after = {}
        with opened() as database:
            writer = RecordWriter(database.store, NAME)
            writer.put(records[count:], {space.embedder_fingerprint: vectors[count:]})
        after["an insert"] = classify()
        with opened() as database:
            database[NAME].correct(records[1].id, {"label": "another"})
        after["a correction"] = classify()
        with opened() as database:
            database[NAME].remove([records[2].id])
        after["a removal"] = classify()
    said = f"{count:,} × {dimension}, {'fitted' if fitted else 'plain'}"
    figure(f"{said}: the first classification, CPU seconds", f"{first:.0f}")
    figure("classification, CPU seconds", f"{before:.2f}")
    ratios(before, after)


def of_fitted_vectors(count: int, dimension: int) -> None:
    of_vectors(count, dimension, fitted=True)


def answering_seconds(server: Server) -> float:
    """Return the processor time of a server's threads of usual priority: proc(5), `schedstat` and `stat`."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    total = 0
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        nice = int((thread / "stat").read_text().rpartition(")")[2].split()[16])
        total += int((thread / "schedstat").read_text().split()[0]) if nice == usual else 0
    return total / 1e9


def of_service(count: int, *, fitted: bool) -> None:
    """Time a service's classifications, over the routes that its page uses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url, cache, uploads = f"sqlite:///{folder}/vectors.db", folder / "cache", folder / "uploads"
        uploads.mkdir()
        with Database(url, cache=cache) as database:
            model = database.embedder(PLAIN)
            records, vectors = collection(count, model.dimension)
            fill(database, records, vectors, Space(model.name, model.fingerprint, model.dimension))
            if fitted:
                database[NAME].fit(by="label")
        del vectors
        # One thread a product: what libraries start of themselves has the priority of whoever began.
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        given = ("--store", url, "--cache", cache, "--uploads", uploads)
        with server_process(folder, *given, env=threads, ready=True, afresh=True) as server:
            connection = http.client.HTTPConnection(server.host, server.port)

            def ask(method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
                connection.request(method, f"/v1/collections/{NAME}{path}", body, {"Content-Type": kind})
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status < http.client.BAD_REQUEST, content
                return json.loads(content) if content else None

            def classify(times: int = 1) -> float:
                query = json.dumps({"by": "label", "ids": [records[0].id]}).encode()
                started = answering_seconds(server)
                for _ in range(times):
                    ask("POST", "/classify", query)
                return (answering_seconds(server) - started) / times

            picture = io.BytesIO()
            noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(noise).save(picture, "PNG")
            part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            form = part % (b"fields", b'{"label": "1"}') + part % (
                b'image"; filename="a.png',
                picture.getvalue(),
            )
            changes: dict[str, Callable[[], Any]] = {
                "an insert": lambda: ask(
                    "POST", "/images", form + b"--x--\r\n", "multipart/form-data; boundary=x"
                ),
                "a correction": lambda: ask(
                    "PATCH", f"/images/{records[1].id}", b'{"fields": {"label": "another"}}'
                ),
                "a removal": lambda: ask("DELETE", f"/images/{records[2].id}"),
            }
            first = classify()
            before = classify(ASKED)
            after = {}
            for what, change in changes.items():
                change()
                after[what] = classify()
            server.stop()
    said = f"the service, {count:,} × {model.dimension:,}, {'fitted' if fitted else 'plain'}"
    figure(f"{said}: the first answer, CPU seconds", f"{first:.2f}")
    figure("an answer, CPU milliseconds", f"{1e3 * before:.1f}")
    ratios(before, after)


def main() -> None:
    title("an insert, and the classification after it")
    if (SHARED / "extrusion").is_dir():
        with tempfile.TemporaryDirectory() as folder:
            of_photographs(Path(folder))
    else:
        print("  photographs are left out: the developers' folder ../shared is not here")
    in_own_process(of_vectors, VECTORS, DIMENSION)
    in_own_process(of_fitted_vectors, min(VECTORS, FITTED), DIMENSION)
    if Path("/proc/self/schedstat").exists():
        of_service(min(VECTORS, SERVED_FITTED), fitted=True)
        of_service(min(VECTORS, SERVED), fitted=False)
    else:
        print("  the service is left out: the processor time of a thread is not told here")


if __name__ == "__main__":
    main()
