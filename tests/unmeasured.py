"""The environment of programs that Ctrl-C or a limit strikes anywhere."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """Return this process's environment without what lets a child measure its coverage.

    Coverage holds a lock of its own in Python code: where Ctrl-C strikes inside it, the lock stays held, and
    the process waits for it for ever (`Collector.lock_data` in coverage/collector.py). And it writes a file
    of its own, which a limit on the size of files would break as well.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
