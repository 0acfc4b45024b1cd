"""How fast models were on this machine: a small file in the user's cache, written by who embeds."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from pathlib import Path

_WAIT_S = 1.0
# Fewer images tell more of the start than of the model.
_ENOUGH = 16


def note_speed(cache: Path, name: str, images: int, seconds: float) -> None:
    """Keep how long a model took; what cannot be written, or says nothing, is left out.

    Args:
        cache: the user's cache folder.
        name: of the embedder.
        images: how many were decoded and embedded.
        seconds: how long that took, from the first to the last.
    """
    if images < _ENOUGH or seconds <= 0:
        return
    path = _path(cache)
    with suppress(OSError):  # filelock.Timeout is one
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_WAIT_S):
            part = path.with_name(f"{path.name}.part")
            part.write_text(json.dumps({**known_speeds(cache), name: round(images / seconds, 2)}, indent=1))
            part.replace(path)


def known_speeds(cache: Path) -> dict[str, float]:
    """Return images per second by the name of the embedder, as they were measured last on this machine."""
    try:
        found = json.loads(_path(cache).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: float(speed) for name, speed in found.items() if isinstance(speed, int | float) and speed > 0
    }


def _path(cache: Path) -> Path:
    return cache / "models" / "speeds.json"
