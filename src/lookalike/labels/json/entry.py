"""An entry of a JSON label file: what it says of one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lookalike.types import Scalar


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of one image."""

    place: str
    """Where in the file; empty for the whole of it."""
    names: tuple[str, ...]
    """What the image may be called, the surest first."""
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    flaw: str = ""
    """Why it cannot be used."""
