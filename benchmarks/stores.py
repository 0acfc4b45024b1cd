"""All stores beside each other: the same answers, images per second into each, and how long a search takes.

The servers are those of the tests, on this machine; one that cannot be started is left out and named. The
PostgreSQL of the tests does not wait for the disk (`fsync` is off); SQLite and Elasticsearch do.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from conformal_clip_data import textile_simulated_root
from platformdirs import user_cache_path

from benchmarks.figures import figure, seconds, title
from lookalike.database import Database
from lookalike.metric_learning.fitted import read
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.transfer.parity import TOLERANCE, parity
from lookalike.types import Vectors
from tests.servers.elasticsearch import Unavailable, distribution, running
from tests.servers.postgres import postgres_process

NAME = "textile"
QUERIES = 200
K = 10
ROUNDS = 3


@contextmanager
def sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/bench.db"


@contextmanager
def postgres() -> Iterator[str]:
    with postgres_process() as process:
        yield process.url()


@contextmanager
def elasticsearch() -> Iterator[str]:
    with distribution() as home, running(home, "bench") as node:
        yield f"elasticsearch+http://{node.host}/?shards=1&replicas=0"


STORES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "SQLite": sqlite,
    "PostgreSQL": postgres,
    "Elasticsearch": elasticsearch,
}


def loading(urls: dict[str, str], cache: Path, root: Path) -> None:
    """Index into all stores by turns, from cached features; the collections of the last round stay."""
    title("2,000 textile photographs into each store, from cached features (PostgreSQL with fsync off)")
    with (
        tempfile.TemporaryDirectory() as folder,
        Database(f"sqlite:///{folder}/warm.db", cache=cache) as warm,
    ):
        images = warm[NAME].index([root]).images
    times: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(ROUNDS):
        for name, url in urls.items():
            with Database(url, cache=cache) as database:
                if number:
                    database.store.delete(NAME)
                times[name].append(seconds(lambda: database[NAME].index([root])))
    for name, spent in times.items():
        beside = statistics.median(a / b for a, b in zip(spent, times["SQLite"], strict=True))
        figure(f"{name}, images per second", f"{images / min(spent):.0f}", f"{beside:.2f} × SQLite's time")


def agreement(stores: dict[str, Store]) -> None:
    title(f"{QUERIES} queries, {K} nearest, with and without filters, beside SQLite's")
    names = {store.url: name for name, store in stores.items()}
    found = parity(list(stores.values()), NAME, queries=QUERIES, k=K)
    for holding in found.holdings[1:]:
        said = "the same" if holding.same else "differs"
        figure(f"{names[holding.store]}, records and vectors", said, "the same", holding.same)
    for filtered in (False, True):
        for name, store in list(stores.items())[1:]:
            answers = [
                answer
                for answer in found.answers
                if answer.store == store.url and (answer.where is not None) == filtered
            ]
            asked = sum(answer.queries for answer in answers)
            what = f"{name}, {asked:,} queries {'with filters' if filtered else 'unfiltered'}"
            alike = min(answer.same_places for answer in answers)
            whole = all(answer.same_queries == 1 for answer in answers)
            figure(f"{what}, ids that agree", f"{alike:.2%}", "100 %", whole)
            most = max(answer.largest_difference for answer in answers)
            figure(f"{what}, largest difference", f"{most:.1e}", f"at most {TOLERANCE:g}", most <= TOLERANCE)


def bare(matrix: Vectors, query: Vectors) -> None:
    """Find the nearest as NumPy does, in memory: what no store can be faster than."""
    similarities = matrix @ query
    best = np.argpartition(-similarities, K)[:K]
    best[np.argsort(-similarities[best])]


def latency(stores: dict[str, Store]) -> None:
    """Ask all stores by turns, one query at a time, so that a noisy moment hits all."""
    title(f"one query, {K} nearest of 2,000, median of {QUERIES}, ms")
    collection = stores["SQLite"].collection(NAME)
    _, matrix = read(stores["SQLite"], collection, collection.vector())
    where = {"label": ["nominal"]}
    queries = matrix[:: len(matrix) // QUERIES][:QUERIES]
    calls: dict[str, Callable[[Vectors], object]] = {"bare NumPy": lambda query: bare(matrix, query)}
    for name, store in stores.items():
        calls[name] = lambda query, store=store: store.nearest(NAME, Query(query[None], K))  # type: ignore[misc]
        calls[f"{name}, with a filter"] = lambda query, store=store: store.nearest(  # type: ignore[misc]
            NAME, Query(query[None], K, where=where)
        )
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call(queries[0])  # caches and connections
    for query in queries:
        for name, call in calls.items():
            times[name].append(seconds(lambda: call(query)))  # noqa: B023 called here
    for name, spent in times.items():
        beside = statistics.median(spent) / statistics.median(times["SQLite"])
        figure(name, f"{1000 * statistics.median(spent):.2f}", f"{beside:.2f} × SQLite's")


def main() -> None:
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    with ExitStack() as running:
        urls: dict[str, str] = {}
        for name, start in STORES.items():
            try:
                urls[name] = running.enter_context(start())
            except (Unavailable, pytest.skip.Exception) as reason:
                print(f"  {name} is left out: {reason}")
        loading(urls, cache, Path(textile_simulated_root()))
        stores = {name: running.enter_context(open_store(url)) for name, url in urls.items()}
        agreement(stores)
        latency(stores)


if __name__ == "__main__":
    main()
