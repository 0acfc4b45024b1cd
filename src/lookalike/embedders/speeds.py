"""The speed of each model on this machine, noted in the user's cache folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.shared_json import add_entries, read_entries

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
    add_entries(_path(cache), {name: round(images / seconds, 2)}, wait=_WAIT_S)


def known_speeds(cache: Path) -> dict[str, float]:
    """Return images per second by the name of the embedder, as they were measured last on this machine."""
    found = read_entries(_path(cache))
    return {
        name: float(speed) for name, speed in found.items() if isinstance(speed, int | float) and speed > 0
    }


def _path(cache: Path) -> Path:
    return cache / "models" / "speeds.json"
