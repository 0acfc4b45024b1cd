"""Small JSON files in the cache folder that several processes add to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_WAIT_S = 10.0


def read_entries(path: Path) -> dict[str, object]:
    """Return the entries of a file; none where it is missing, damaged or no object."""
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def add_entries(path: Path, entries: Mapping[str, object], wait: float = _WAIT_S) -> None:
    """Add entries, or replace those of the same name; where nothing can be written they are left out.

    Args:
        path: the file, made if it is missing, and replaced whole.
        entries: that JSON can hold.
        wait: seconds to wait for another process.
    """
    change_entries(path, lambda known: {**known, **entries}, wait)


def change_entries(
    path: Path, change: Callable[[dict[str, object]], dict[str, object]], wait: float = _WAIT_S
) -> str | None:
    """Replace the entries by something that is made of them, while no other process writes.

    Args:
        path: the file, made if it is missing, and replaced whole; left alone where nothing changes.
        change: gets the entries and returns those that are to be, which JSON can hold.
        wait: seconds to wait for another process.

    Returns:
        Why nothing could be written; None where all is well.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=wait):
            known = read_entries(path)
            wanted = change(known)
            if wanted != known:
                part = path.with_name(f"{path.name}.part")
                part.write_text(json.dumps(wanted, indent=1), encoding="utf-8")
                part.replace(path)
    except OSError as error:  # filelock.Timeout is one
        return error.strerror or str(error)
    return None
