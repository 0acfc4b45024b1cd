"""The pipeline and the bare model without a service around them, in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL.Image import Image
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lookalike import images
from lookalike.asking.queries import Term
from lookalike.embedders import Embedder
from lookalike.features import FeatureCache
from lookalike.judging.judge import Judge
from lookalike.pipeline import EmbeddedFile, Upload, embed_batch, embed_files
from lookalike.records import Skipped
from lookalike.session import Session


@dataclass(frozen=True, slots=True)
class Done:
    """What was done in one run."""

    count: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.seconds


class Direct:
    """Asks the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def run(self, what: str, clients: int, seconds: float) -> Done:
        """Answer pictures for some time.

        Args:
            what: `search` (10 hits), `classify` (5 neighbours, judged), or `embed` (decoded pictures).
            clients: 1: one picture after the other; more: with all cores.
            seconds: for so long.
        """
        self._pipe.send((what, clients, seconds))
        done = self._pipe.recv()
        assert isinstance(done, Done)
        return done


@contextmanager
def direct(store: str, cache: Path, collection: str, by: str, pictures: Sequence[bytes]) -> Iterator[Direct]:
    """Start the process for the time of a `with`."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, store, cache, collection, by, pictures))
    process.start()
    try:
        yield Direct(here)
    finally:
        here.close()
        process.join(30)
        process.kill()


def _search(session: Session, collection: str, files: Iterator[EmbeddedFile | Skipped], ends: float) -> int:
    count = 0
    for file in files:
        assert isinstance(file, EmbeddedFile)
        assert not file.cached
        session.find(collection, [Term("image", "a", 1, file.features, file.digest)], 11)
        count += 1
        if time.perf_counter() > ends:
            break
    return count


def _classify(
    session: Session,
    collection: str,
    by: str,
    judge: Judge | None,
    files: Iterator[EmbeddedFile | Skipped],
    ends: float,
) -> int:
    found = session.store.collection(collection)
    count = 0
    for _ in session.classify_embedded(found, files, by, 5, judge=judge):
        count += 1
        if time.perf_counter() > ends:
            break
    return count


def _embed(model: Embedder, decoded: Sequence[Image], ends: float) -> int:
    counts = [0] * len(os.sched_getaffinity(0))

    def work(place: int) -> None:
        for image in cycle(decoded[place :: len(counts)]):
            model.embed([image])
            counts[place] += 1
            if time.perf_counter() > ends:
                return

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def _serve(
    pipe: Connection, store: str, cache: Path, collection: str, by: str, pictures: Sequence[bytes]
) -> None:
    # As the service does; with as many threads a product as there are cores it is slower here too.
    with threadpool_limits(1, user_api="blas"), Session(store, cache) as session:
        model = session.embedder_of(session.store.collection(collection))
        judge = session.judge(collection, by)
        uploads = [Upload(f"{number}.jpg", data) for number, data in enumerate(pictures)]
        decoded = [images.decode(each.data, each.name, at_least=model.input_size) for each in uploads[:500]]
        while True:
            try:
                what, clients, seconds = pipe.recv()
            except EOFError:
                return
            # Features are kept, and what was seen in another run would not be embedded.
            with tempfile.TemporaryDirectory() as folder:
                kept = FeatureCache(Path(folder), model.fingerprint, model.dimension)
                files: Any = (
                    (embed_batch([upload], model, kept)[0] for upload in uploads)
                    if clients == 1
                    else embed_files(uploads, model, kept)
                )
                started, before = time.perf_counter(), time.process_time()
                ends = started + seconds
                if what == "embed":
                    count = _embed(model, decoded, ends)
                elif what == "search":
                    count = _search(session, collection, files, ends)
                else:
                    count = _classify(session, collection, by, judge, files, ends)
                pipe.send(Done(count, time.perf_counter() - started, time.process_time() - before))
                files.close()
                kept.close()
