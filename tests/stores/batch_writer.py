"""Writes batches of records, and prints the number of each that is acknowledged.

usage: python -m tests.stores.batch_writer URL NAME BATCHES
"""

from __future__ import annotations

import sys

from lookalike.stores.registry import open_store
from lookalike.testing.samples import SPACE, corners, record

BATCH = 20
"""Records of a batch."""


def write_batches(url: str, name: str, batches: int = 1_000_000) -> None:
    """Write batches whose records are called after this writer."""
    with open_store(url) as store:
        store.create("parts", SPACE)
        for batch in range(batches):
            names = [f"{name}-{batch}-{row}" for row in range(BATCH)]
            rows = [record(name, {f"field{batch % 7}": 1}) for name in names]
            store.put("parts", rows, {SPACE: corners(BATCH)})
            print(batch, flush=True)


if __name__ == "__main__":
    write_batches(sys.argv[1], sys.argv[2], int(sys.argv[3]))
