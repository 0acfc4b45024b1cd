"""What an insert costs the next classification, and what an evaluation costs beside embedding: CPU seconds.

At 1,342 photographs with a fitted metric (the developers' folder ../shared), by whole commands; and at
100,000 vectors of 512 numbers, where the collection is judged because a false-alarm rate is asked for.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import figure, in_own_process, title
from benchmarks.inspection import INSPECT, SHARED
from benchmarks.leave_one_out import collection
from lookalike.database import Database
from lookalike.search.query import RecordId
from lookalike.stores.registry import open_store
from lookalike.types import Space

IMAGES = 1342
VECTORS = int(os.environ.get("LOOKALIKE_BENCH_INSERT", "100_000"))
DIMENSION = 512
BATCH = 5_000
RATIO, EVALUATE = 2.0, 0.3


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
    shutil.move(folder / last.name, inserted)
    command(folder, "index", pictures)
    after = command(folder, *question)
    figure(f"{IMAGES:,} photographs, fitted: index, CPU seconds", f"{embedding:.0f}")
    part = judging / embedding
    figure("evaluate / index", f"{part:.2f}", f"at most {EVALUATE}", part <= EVALUATE)
    figure("the first classify, which judges the collection, CPU seconds", f"{first:.1f}")
    figure("classify, CPU seconds", f"{before:.1f}")
    ratio = after / before
    figure("classify after an insert / before", f"{ratio:.2f}", f"at most {RATIO:g}", ratio <= RATIO)


def of_vectors(count: int, dimension: int) -> None:
    """Time classifications of vectors, in a process of its own."""
    records, vectors = collection(count + 1, dimension)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/vectors.db"
        space = Space("made-up", "0" * 64, dimension)
        with open_store(url) as store:
            store.create("vectors", space)
            for start in range(0, count, BATCH):
                part = slice(start, min(start + BATCH, count))
                store.put("vectors", records[part], {space: vectors[part]})

        def classify() -> float:
            started = time.process_time()
            with Database(url, cache=Path(folder)) as database:
                list(database["vectors"].classify(RecordId(records[0].id), "label", false_alarm=0.01))
            return time.process_time() - started

        figure(f"{count:,} × {dimension}: the first classification, CPU seconds", f"{classify():.0f}")
        before = min(classify() for _ in range(3))
        with open_store(url) as store:
            store.put("vectors", records[count:], {space: vectors[count:]})
        after = classify()
        figure("classification, CPU seconds", f"{before:.2f}")
        ratio = after / before
        figure(
            "classification after an insert / before", f"{ratio:.2f}", f"at most {RATIO:g}", ratio <= RATIO
        )


def main() -> None:
    title("an insert, and the classification after it")
    if (SHARED / "extrusion").is_dir():
        with tempfile.TemporaryDirectory() as folder:
            of_photographs(Path(folder))
    else:
        print("  photographs are left out: the developers' folder ../shared is not here")
    in_own_process(of_vectors, VECTORS, DIMENSION)


if __name__ == "__main__":
    main()
