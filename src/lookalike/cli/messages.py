"""Messages on stderr: warnings, and why a process ended."""

from __future__ import annotations

import sys
from contextlib import suppress


def warn(text: str, *, quiet: bool = False) -> None:
    """Print a warning on stderr; that nobody can read it is no reason to end the work."""
    if quiet:
        return
    # Here, as `lookalike --help` says nothing on stderr and is to be quick.
    from lookalike.file_names import display

    with suppress(OSError):
        sys.stderr.write(f"lookalike: {display(text)}\n")
        sys.stderr.flush()
