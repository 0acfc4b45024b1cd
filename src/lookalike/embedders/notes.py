"""Small JSON files in the cache folder that several processes add to."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WAIT_S = 10.0


def read_notes(path: Path) -> dict[str, object]:
    """Return what was noted; nothing where the file is missing, damaged or no object."""
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def add_notes(path: Path, entries: Mapping[str, object], wait: float = _WAIT_S) -> None:
    """Add entries, or replace those of the same name; where nothing can be written they are left out.

    Args:
        path: the file, made if it is missing, and replaced whole.
        entries: that JSON can hold.
        wait: seconds to wait for another process.
    """
    with suppress(OSError):  # filelock.Timeout is one
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=wait):
            part = path.with_name(f"{path.name}.part")
            part.write_text(json.dumps({**read_notes(path), **entries}, indent=1), encoding="utf-8")
            part.replace(path)
