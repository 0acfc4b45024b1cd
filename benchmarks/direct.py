"""The pipeline and the bare model without a service, in a process of its own, for so long as asked."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lookalike.database import Database
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.images import decoding
from lookalike.ingest.embedding import EmbeddedFile, embed_batch, embed_files
from lookalike.search.query import Embedding, Image
from lookalike.sources.uploads import Upload
from lookalike.types import Skipped

Files: TypeAlias = Iterator[EmbeddedFile | Skipped]

# Decoded pictures that the bare model gets in turn.
_DECODED = 500


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
            clients: threads, each of which takes one picture after the other through the pipeline; 0: all of
                them in one go, as `classify FOLDER` does. `embed` is by a thread a core in any case.
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
    process = context.Process(target=serve, args=(there, store, cache, collection, by, pictures))
    process.start()
    there.close()
    try:
        yield Direct(here)
    finally:
        here.close()
        process.join(30)
        process.kill()


def serve(
    pipe: Connection, store: str, cache: Path, collection: str, by: str, pictures: Sequence[bytes]
) -> None:
    """Do what the other end of a pipe asks for, until it is closed."""
    # As the service does; with as many threads a product as there are cores it is slower here too.
    with threadpool_limits(1, user_api="blas"), Database(store, cache=cache) as database:
        pipeline = _Pipeline(database, collection, by, pictures)
        while True:
            try:
                what, clients, seconds = pipe.recv()
            except EOFError:
                return
            pipe.send(pipeline.run(what, clients, seconds))


class _Pipeline:
    """A collection, and pictures to be answered."""

    def __init__(self, database: Database, collection: str, by: str, pictures: Sequence[bytes]) -> None:
        self._collection = database[collection]
        self._classifier = self._collection.classifier(by)
        self._model = self._collection.vectors.embedder()
        self._uploads = [Upload(f"{number}.jpg", data) for number, data in enumerate(pictures)]
        self._decoded = [
            decoding.decode(each.data, each.name, at_least=self._model.input_size)
            for each in self._uploads[:_DECODED]
        ]

    def run(self, what: str, clients: int, seconds: float) -> Done:
        answers: dict[str, Callable[[Files, float], int]] = {
            "search": self._search,
            "classify": self._classify,
            "embed": self._embed,
        }
        model = self._model
        answer = answers[what]
        # Features are kept, and what was seen in another run would not be embedded.
        with tempfile.TemporaryDirectory() as folder:
            kept = FeatureCache(Path(folder), model.fingerprint, model.dimension)
            in_one_go = embed_files(self._uploads, model, kept)
            callers: list[Files] = [
                (embed_batch([upload], model, kept)[0] for upload in cycle(self._uploads[place::clients]))
                for place in range(clients)
            ]
            if not callers:
                # Its threads run ahead of the answers, in the end as far as in the beginning: time begins
                # with the first picture.
                callers = [chain([next(in_one_go)], in_one_go)]
            started, before = time.perf_counter(), time.process_time()
            count = _by_threads([partial(answer, files, started + seconds) for files in callers])
            done = Done(count, time.perf_counter() - started, time.process_time() - before)
            in_one_go.close()
            kept.close()
        return done

    def _image(self, file: EmbeddedFile | Skipped) -> Image:
        assert isinstance(file, EmbeddedFile)
        return Image("a", Embedding(file.features, self._model.fingerprint, file.digest))

    def _search(self, files: Files, ends: float) -> int:
        count = 0
        for file in files:
            assert isinstance(file, EmbeddedFile)
            assert not file.cached
            # As many as the service looks for: one more tells whether another page follows.
            self._collection.search(self._image(file), k=11)
            count += 1
            if time.perf_counter() > ends:
                break
        return count

    def _classify(self, files: Files, ends: float) -> int:
        count = 0
        images = (self._image(file) for file in files)
        for _ in self._classifier.classify(images):
            count += 1
            if time.perf_counter() > ends:
                break
        return count

    def _embed(self, _files: Files, ends: float) -> int:
        cores = len(os.sched_getaffinity(0))

        def work(place: int) -> int:
            for count, image in enumerate(cycle(self._decoded[place::cores]), 1):
                self._model.embed([image])
                if time.perf_counter() > ends:
                    return count
            raise AssertionError

        return _by_threads([partial(work, place) for place in range(cores)])


def _by_threads(acts: Sequence[Callable[[], int]]) -> int:
    """Do each in a thread of its own, and return what they counted together."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return sum(each.result() for each in [pool.submit(act) for act in acts])
