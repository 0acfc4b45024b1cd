"""A million vectors: SQLite's shortlist beside other libraries' indexes, and writing: `make bench-large`.

Vectors are made as benchmarks/search.py makes them. Every index is built and asked in a process of its own,
one query after the other, with one thread, whose processor time is what a query takes: on a machine that does
other things the clock would tell of these. The others get more effort until their recall is that of the
shortlist. Memory is what it took beyond the start, at its peak. Sizes come from LOOKALIKE_BENCH_LARGE
(1,000,000) and LOOKALIKE_BENCH_WRITTEN (2,000,000). The vectors take 2 GB of memory a million of 512 numbers,
a graph somewhat more; so 5,000,000 want 24 GB.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.figures import figure, in_own_process, peak_memory_gib, title
from benchmarks.search import BLOCK, DIMENSION, QUERIES, K, make, measure, real_vectors, write_store
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.types import Record, Space, Vectors
from lookalike.uris import record_id
from lookalike.vectors.nearest import nearest_rows

COUNT = int(os.environ.get("LOOKALIKE_BENCH_LARGE", "1_000_000"))
WRITTEN = int(os.environ.get("LOOKALIKE_BENCH_WRITTEN", "2_000_000"))
RECALL = 0.99
# As ann-benchmarks.com runs graphs: neighbours in the graph, effort of building, efforts of searching.
LINKS, EFFORT, EFFORTS = 16, 100, (32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 512)
PROBES = (32, 64, 96, 128, 192, 256, 384)
# Of these the exact vectors decide, with the libraries whose codes are short.
REFINED = 10
TENTHS = 10

Ask = Callable[[Vectors], Any]
Asks = Iterator[tuple[str, Ask]]


class Rival:
    """Blocks of vectors and the clock, for one library's index in a process of its own."""

    def __init__(self, name: str, folder: Path, count: int) -> None:
        self.name, self._folder, self._count = name, folder, count
        self._before = peak_memory_gib()

    def blocks(self) -> Iterator[tuple[int, Vectors]]:
        """Yield the number of the first of some vectors, and these."""
        vectors = np.load(self._folder / "vectors.npy", mmap_mode="r")
        for start in range(0, self._count, BLOCK):
            yield start, np.array(vectors[start : start + BLOCK])

    def run(self, built: Callable[[], Asks], least: float = RECALL) -> None:
        """Build, ask with rising effort until that recall is there, and note what it took."""
        queries, truth = np.load(self._folder / "queries.npy"), np.load(self._folder / "truth.npy")
        started = time.process_time()
        asks = built()
        how, ask = next(asks)
        build = time.process_time() - started
        figure(f"{self.name}: build, CPU seconds", f"{build:.0f}")
        while True:
            latency, recall = measure(
                f"{self.name}, {how}", queries, truth, ask, self._before, clock=time.process_time
            )
            if recall >= least:
                break
            try:
                how, ask = next(asks)
            except StopIteration:
                break
        noted = {
            "build": build,
            "memory": peak_memory_gib() - self._before,
            "latency": latency,
            "recall": recall,
        }
        (self._folder / f"{self.name}.json").write_text(json.dumps(noted))


def recall_of_ours(folder: Path) -> float:
    """Return the recall that the others are to reach: that of the shortlist."""
    return float(json.loads((folder / "lookalike.json").read_text())["recall"])


def own(folder: Path, count: int, _dimension: int) -> None:
    rival = Rival("lookalike", folder, count)
    with open_store(f"sqlite:///{folder}/large.db") as store:

        def ask(query: Vectors, **how: Any) -> list[int]:
            (hits,) = store.nearest("made", Query(query, K, approximate=True, **how))
            return [int(hit.record.uri.rpartition("/")[2]) for hit in hits]

        def built() -> Asks:
            said = store.build_index("made")
            figure(f"lookalike: its own recall@{said.k} on {said.queries}", f"{said.recall:.4f}")
            yield "as calibrated", ask

        rival.run(built)
        queries = np.load(folder / "queries.npy")
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")[:count:TENTHS]
        truth = nearest_rows(queries, np.ascontiguousarray(vectors), K)[0] * TENTHS
        latency, recall = measure(
            "lookalike, one record in ten matches",
            queries,
            truth,
            partial(ask, where={"tenth": [0]}),
            0,
            clock=time.process_time,
        )
        plain = json.loads((folder / "lookalike.json").read_text())["latency"]
        figure("filtered / not filtered", f"{latency / plain:.2f}", "at most 2", latency <= 2 * plain)
        figure("filtered: recall", f"{recall:.4f}", f"at least {RECALL}", recall >= RECALL)


def faiss_index(what: str, folder: Path, count: int, dimension: int) -> None:
    import faiss

    faiss.omp_set_num_threads(1)
    cells = 2 * round(count**0.5)
    named = {
        "faiss HNSW": f"HNSW{LINKS},Flat",
        "faiss IVF-PQ fast scan": f"RR{dimension},IVF{cells},PQ{dimension // 2}x4fs,RFlat",
        "faiss IVF-RaBitQ": f"RR{dimension},IVF{cells},RaBitQ,RFlat",
    }
    rival = Rival(what, folder, count)

    def built() -> Asks:
        index: Any = faiss.index_factory(dimension, named[what], faiss.METRIC_L2)
        graph = what == "faiss HNSW"
        if graph:
            index.hnsw.efConstruction = EFFORT
        else:
            sample = np.load(folder / "vectors.npy", mmap_mode="r")[: 39 * cells]
            index.train(np.ascontiguousarray(sample[:count]))
            index.k_factor = REFINED
        for _, block in rival.blocks():
            index.add(block)
        for effort in EFFORTS if graph else PROBES:
            if graph:
                index.hnsw.efSearch = effort
            else:
                faiss.extract_index_ivf(index.base_index).nprobe = effort
            yield str(effort), lambda query: index.search(query, K)[1][0]

    rival.run(built, recall_of_ours(folder))


def hnswlib_graph(folder: Path, count: int, dimension: int) -> None:
    import hnswlib

    rival = Rival("hnswlib", folder, count)

    def built() -> Asks:
        index = hnswlib.Index(space="ip", dim=dimension)
        index.init_index(max_elements=count, M=LINKS, ef_construction=EFFORT)
        for start, block in rival.blocks():
            index.add_items(block, np.arange(start, start + len(block)), num_threads=1)
        for effort in EFFORTS:
            index.set_ef(effort)
            yield f"ef {effort}", lambda query: index.knn_query(query, k=K, num_threads=1)[0][0]

    rival.run(built, recall_of_ours(folder))


def usearch_graph(folder: Path, count: int, dimension: int) -> None:
    from usearch.index import Index

    rival = Rival("usearch", folder, count)

    def built() -> Asks:
        index: Any = Index(ndim=dimension, metric="ip", dtype="f32", connectivity=LINKS, expansion_add=EFFORT)
        for start, block in rival.blocks():
            index.add(np.arange(start, start + len(block)), block, threads=1)
        for effort in EFFORTS:
            index.expansion_search = effort
            yield f"ef {effort}", lambda query: index.search(query[0], K, threads=1).keys

    rival.run(built, recall_of_ours(folder))


def voyager_graph(folder: Path, count: int, dimension: int) -> None:
    import voyager

    rival = Rival("voyager", folder, count)

    def built() -> Asks:
        def ask(effort: int, query: Vectors) -> Any:
            return index.query(query[0], K, query_ef=effort)[0]

        space = voyager.Space.InnerProduct
        index = voyager.Index(space, dimension, M=LINKS, ef_construction=EFFORT, max_elements=count)
        for start, block in rival.blocks():
            index.add_items(block, list(range(start, start + len(block))), num_threads=1)
        for effort in EFFORTS:
            yield f"ef {effort}", partial(ask, effort)

    rival.run(built, recall_of_ours(folder))


def one_thread(call: Callable[[int, int], None], count: int, dimension: int) -> None:
    with threadpool_limits(1):
        call(count, dimension)


def writing(count: int, _dimension: int) -> None:
    """Write small records, and compare the last with the first."""
    space, batch, spent = Space("made-up", "0" * 64, 8), 5_000, []
    vectors = np.eye(8, dtype=np.float32)[np.arange(batch) % 8]
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/written.db") as store:
        store.create("written", space)
        for start in range(0, count, batch):
            uris = [f"file:///{row}" for row in range(start, start + batch)]
            records = [
                Record(record_id(uri), uri, 2 * record_id(uri[::-1]), {"label": uri[-1]}, {}, 1, 1)
                for uri in uris
            ]
            began = time.process_time()
            store.put("written", records, {space: vectors})
            spent.append(time.process_time() - began)
    part = max(1, min(100_000 // batch, len(spent) // 4))
    first, last = (part * batch / sum(some) for some in (spent[:part], spent[-part:]))
    figure("records a CPU second, the first and the last 100,000", f"{first:,.0f}, {last:,.0f}")
    figure("the last / the first", f"{last / first:.2f}", "at least 0.9", last >= 0.9 * first)


def compare(folder: Path) -> None:
    """Print all side by side, and hold the shortlist against faiss HNSW at its recall or more."""
    known = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
    for name, one in known.items():
        figure(
            f"{name}: ms, recall, CPU s to build, GiB",
            f"{one['latency']:.2f}, {one['recall']:.4f}, {one['build']:.0f}, {one['memory']:.2f}",
        )
    if "faiss HNSW" not in known or "lookalike" not in known:
        return
    ours, graph = known["lookalike"], known["faiss HNSW"]
    figure(f"recall@{K}", f"{ours['recall']:.4f}", f"at least {RECALL}", ours["recall"] >= RECALL)
    for what, most in (("latency", 2), ("memory", 1 / 3), ("build", 1 / 5)):
        ratio = ours[what] / graph[what]
        figure(f"{what} / that of faiss HNSW", f"{ratio:.2f}", f"at most {most:.2g}", ratio <= most)


def main() -> None:
    title(f"writing {WRITTEN:,} records")
    in_own_process(writing, WRITTEN, 8)
    cache = Path(os.environ.get("LOOKALIKE_CACHE") or user_cache_path("lookalike"))
    real = real_vectors(cache)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        title(f"{COUNT:,} × {DIMENSION}, one query after the other, one thread")
        vectors, queries = make(real, COUNT, seed=0), make(real, QUERIES, seed=1)
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "queries.npy", queries)
        np.save(folder / "truth.npy", nearest_rows(queries, vectors, K)[0])
        write_store(f"sqlite:///{folder}/large.db", vectors, lambda row: {"tenth": row % TENTHS})
        del vectors
        in_own_process(partial(one_thread, partial(own, folder)), COUNT, DIMENSION)
        rivals: dict[str, tuple[str, Callable[[Path, int, int], None]]] = {
            "faiss HNSW": ("faiss", partial(faiss_index, "faiss HNSW")),
            "faiss IVF-PQ fast scan": ("faiss", partial(faiss_index, "faiss IVF-PQ fast scan")),
            "faiss IVF-RaBitQ": ("faiss", partial(faiss_index, "faiss IVF-RaBitQ")),
            "hnswlib": ("hnswlib", hnswlib_graph),
            "usearch": ("usearch", usearch_graph),
            "voyager": ("voyager", voyager_graph),
        }
        for what, (package, build) in rivals.items():
            if find_spec(package) is None:
                print(f"  {what} is left out: {package} is not installed (pip install --group bench)")
                continue
            try:
                in_own_process(partial(one_thread, partial(build, folder)), COUNT, DIMENSION)
            except RuntimeError as error:
                print(f"  {what} is left out: {error}")
        title("side by side")
        compare(folder)


if __name__ == "__main__":
    main()
