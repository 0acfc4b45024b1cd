"""Memory that operations take for each 100,000 records more, where all fit into memory and where they do not.

Each operation runs in a process of its own on two collections of 60,000 and 120,000 records, both larger than
what is drawn of them; the figure is the difference of the two peaks. `python -m benchmarks memory --large`
asks 1,000,000 × 1,280 in 4 GiB instead: 6 GB of disk, and half an hour.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import lookalike
from benchmarks.figures import figure, peak_memory_gib, title
from lookalike.database import Database
from lookalike.embedders.registry import open_embedder
from lookalike.memory import VARIABLE, fits
from lookalike.stores import stamp_table
from lookalike.stores.query import Query
from lookalike.stores.registry import open_store
from lookalike.types import Record, Space
from lookalike.uris import record_id
from lookalike.vectors.metric import normalise

NAME = "parts"
COUNTS = (60_000, 120_000)
# Of collections of few numbers, larger than what SQLite caches of stamps.
STAMP_COUNTS = (120_000, 240_000)
DIMENSION = 1280
LARGE = 1_000_000
LIMIT = "4GiB"
LABELS = 50
QUERIES = 10
BATCH = 5_000
# What an operation may grow by where the collection does not fit: its ids, and what tells labels.
MOST_MIB = 40.0

IN_MEMORY = ("stamps", "exact", "read")
APART = ("info", "stamps", "exact", "evaluate sample", "drift", "suggest", "fit")


def build(file: Path, count: int, dimension: int, space: Space) -> None:
    """Put records with clustered vectors, a tenth of them with the label of another cluster."""
    chance = np.random.default_rng(0)
    centres = chance.standard_normal((LABELS, dimension))
    with open_store(f"sqlite:///{file}") as store:
        store.create(NAME, space)
        for start in range(0, count, BATCH):
            codes = chance.integers(0, LABELS, BATCH)
            numbers = centres[codes] + chance.standard_normal((BATCH, dimension))
            wrong = chance.random(BATCH) < 0.1
            codes = np.where(wrong, chance.integers(0, LABELS, BATCH), codes)
            records = []
            for row, code in enumerate(codes.tolist(), start):
                uri = f"file:///pictures/class{code:02}/image_{row:07}.jpg"
                fields = {} if row % 10 == 0 else {"label": f"class {code}"}
                digest = hashlib.sha256(uri.encode()).hexdigest()
                records.append(Record(record_id(uri), uri, digest, fields, {}, 1, 1))
            store.put(NAME, records, {space: normalise(numbers.astype(np.float32))})


def work(operation: str, file: str, cache: str) -> str:
    """Do one operation, and return what came of it in a few words."""
    with lookalike.open(f"sqlite:///{file}", cache=cache) as database:
        parts = database[NAME]
        dimension = parts.info().space.dimension
        queries = np.eye(QUERIES, dimension, dtype=np.float32)
        match operation:
            case "info":
                return f"{parts.info().count:,} records"
            case "stamps":
                return _stamps(database, dimension)
            case "exact" | "approximate":
                near = operation == "approximate"
                found = database.store.nearest(NAME, Query(queries, 10, approximate=near))
                return f"{len(found)} queries"
            case "read":
                return f"{len(parts.vectors.read()[0]):,} records"
            case "build":
                return f"recall {database.store.build_index(NAME).recall:.3f}"
            case "classify":
                return "; ".join(parts.classifier("label").remarks) or "judged on all"
            case "evaluate sample":
                evaluation = parts.evaluate("label", sample=1000)
                return f"{evaluation.method}: {evaluation.accuracy:.3f}"
            case "audit":
                return f"{len(parts.audit('label').suspects):,} suspects"
            case "drift":
                return parts.drift(new_where={"label": "class 1"}).text
            case "suggest":
                return f"{len(parts.suggest('label').images)} suggested"
            case "fit":
                report = parts.fit("label")
                return f"learned from {report.images:,}"
    raise ValueError(operation)


def _stamps(database: Database, dimension: int) -> str:
    """Read all stamps; those of a collection that does not fit as those of a large one, onto the disk."""
    stamp_table.MOST_IN_MEMORY = sys.maxsize if fits(database[NAME].info().count, dimension) else 0
    return f"{len(stamp_table.read_stamps(database.store, NAME)):,} stamps"


def measure(operation: str, file: Path, cache: str, limit: str) -> tuple[float, float, str]:
    """Run an operation in a process of its own; return its peak in MiB, CPU seconds, and what it said."""
    code = (
        "import sys, time; from benchmarks.memory import peak_mib, work\n"
        "import lookalike.evaluation.evaluate, lookalike.drift.drift, scipy.stats, sklearn.decomposition\n"
        "before = peak_mib()\n"
        "try: said = work(*sys.argv[1:])\n"
        "except lookalike.LookalikeError as error: said = f'refused: {error}'\n"
        "print(peak_mib() - before, time.process_time(), said.replace('\\n', ' '))"
    )
    environment = {**os.environ, VARIABLE: limit, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, operation, str(file), cache],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    peak, seconds, said = run.stdout.split(" ", 2)
    return float(peak), float(seconds), said.strip()


def peak_mib() -> float:
    """Return the largest resident size that this process has had, in MiB."""
    return 1024 * peak_memory_gib()


def slopes(folder: Path) -> None:
    """Print what each operation takes for 100,000 records more."""
    files = {}
    for counts, dimension in ((COUNTS, DIMENSION), (STAMP_COUNTS, 8)):
        files[counts] = [folder / f"{count}-{dimension}.db" for count in counts]
        for file, count in zip(files[counts], counts, strict=True):
            build(file, count, dimension, Space("made-up", "0" * 64, dimension))
    title(
        f"Memory for each 100,000 records more, {DIMENSION} dimensions ({4 * DIMENSION * 100_000 >> 20} MiB)"
    )
    limits = [("64GiB", IN_MEMORY, "all in memory"), ("1MiB", APART, "where they do not fit")]
    for limit, operations, how in limits:
        for operation in operations:
            counts = STAMP_COUNTS if operation == "stamps" else COUNTS
            # A cache of its own: what is judged or noted once is not made again.
            less, more = (
                measure(operation, file, tempfile.mkdtemp(dir=folder), limit)[0] for file in files[counts]
            )
            grown = (more - less) * 100_000 / (counts[1] - counts[0])
            bound = () if operations is IN_MEMORY else (f"<= {MOST_MIB:.0f} MiB", grown <= MOST_MIB)
            figure(f"{operation}, {how}", f"{grown:.0f} MiB", *bound)


def large(folder: Path) -> None:
    """Ask a million vectors of 1,280 numbers in 4 GiB."""
    file, cache = folder / "large.db", str(folder / "cache")
    embedder = open_embedder("efficientnet-lite0", folder / "cache")
    started = time.process_time()
    build(file, LARGE, DIMENSION, Space(embedder.name, embedder.fingerprint, DIMENSION))
    title(f"{LARGE:,} × {DIMENSION:,} where {LIMIT} may be taken")
    figure("written", f"{LARGE / (time.process_time() - started):,.0f} a CPU s")
    for operation in (
        *("info", "stamps", "exact", "build", "approximate", "classify"),
        *("evaluate sample", "suggest", "drift", "audit"),
    ):
        peak, seconds, said = measure(operation, file, cache, LIMIT)
        figure(f"{operation} ({seconds:.0f} CPU s)", f"{peak:.0f} MiB", "<= 4,096 MiB", peak <= 4096)
        print(f"      {said}", flush=True)


def main() -> None:
    """Measure slopes, or the large collection."""
    with tempfile.TemporaryDirectory() as name:
        (large if "--large" in sys.argv else slopes)(Path(name))
