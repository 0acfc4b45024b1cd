"""Print every figure: `make bench`, or `python -m benchmarks NAME…` for some."""

from __future__ import annotations

import importlib
import os
import platform
import sys

NAMES = (
    "indexing",
    "leave_one_out",
    "inspection",
    "anomaly",
    "promises",
    "insert",
    "drift",
    "suggest",
    "models",
    "words",
    "search",
    "stores",
    "service",
    "page",
)


def main() -> None:
    wanted = sys.argv[1:] or NAMES
    print(f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    for name in wanted:
        importlib.import_module(f"benchmarks.{name}").main()


main()
