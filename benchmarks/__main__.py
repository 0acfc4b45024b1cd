"""Print every figure: `make bench`, or `python -m benchmarks NAME…` for some."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
import traceback

from benchmarks.figures import summary

NAMES = (
    "indexing",
    "leave_one_out",
    "inspection",
    "anomaly",
    "explanation",
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


def main() -> int:
    """Run the benchmarks that are named, or all; one that fails is told, and the others go on."""
    # What begins with dashes is for the benchmarks themselves.
    wanted = [each for each in sys.argv[1:] if not each.startswith("--")] or NAMES
    print(f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    failed: list[str] = []
    spent: dict[str, float] = {}
    for name in wanted:
        began = time.monotonic()
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except Exception:  # noqa: BLE001 the others go on
            traceback.print_exc()
            failed.append(name)
        except KeyboardInterrupt:
            print(f"\n{name} was interrupted")
            failed.extend(wanted[len(spent) :])
            break
        spent[name] = time.monotonic() - began
    summary()
    print("\nminutes: " + ", ".join(f"{name} {each / 60:.1f}" for name, each in spent.items()))
    if failed:
        print(f"not to the end: {', '.join(failed)}")
    return 1 if failed else 0


sys.exit(main())
