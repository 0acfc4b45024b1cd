"""A finding of an integrity check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Damage that an integrity check found, and whether it was repaired."""

    place: str
    """The URL of a store, or a path."""
    damage: str
    """What is wrong."""
    collection: str | None = None
    id: str | None = None
    """Of the record."""
    path: str | None = None
    """Of the record's file."""
    mended: bool = False
    todo: str = ""
    """What would mend it, where it was not."""
