"""Print every figure: `make bench`, or `python -m benchmarks NAME…` for some, at their whole size.

With `--short`, as `make bench` runs them, all take less than 15 minutes on two cores: fewer draws, smaller
collections.
"""

from __future__ import annotations

import importlib
import os
import platform
import resource
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


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it started and that ended."""
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in of)


def main() -> int:
    """Run the benchmarks that are named, or all; one that fails is told, and the others go on."""
    # What begins with dashes is for the benchmarks themselves.
    wanted = [each for each in sys.argv[1:] if not each.startswith("--")] or NAMES
    print(f"Python {platform.python_version()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    failed: list[str] = []
    spent: dict[str, tuple[float, float]] = {}
    for name in wanted:
        began, used = time.monotonic(), processor_seconds()
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except Exception:  # noqa: BLE001 the others go on
            traceback.print_exc()
            failed.append(name)
        except KeyboardInterrupt:
            print(f"\n{name} was interrupted")
            failed.extend(wanted[len(spent) :])
            break
        spent[name] = time.monotonic() - began, processor_seconds() - used
    summary()
    for what, place in (("minutes", 0), ("minutes of processors", 1)):
        all_of_it = sum(each[place] for each in spent.values())
        told = [f"{name} {each[place] / 60:.1f}" for name, each in spent.items()]
        print(f"\n{what}: {all_of_it / 60:.1f} ({', '.join(told)})")
    if failed:
        print(f"not to the end: {', '.join(failed)}")
    return 1 if failed else 0


sys.exit(main())
