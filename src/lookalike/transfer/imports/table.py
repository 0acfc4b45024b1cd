"""A table of vectors that is read a block at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lookalike.transfer.imports.blocks import Block


@dataclass(slots=True)
class Table:
    """A table whose rows are read from its beginning as often as they are asked for."""

    form: str
    """As people call it."""
    base: Path
    """The folder that paths in it are relative to."""
    open: Callable[[], Iterator[Block]]
    name: str
    """What the file is called."""
    total: int | None = None
    """Rows, where the file tells."""
    note: dict[str, Any] = field(default_factory=dict)
    """What `lookalike export` has noted of its columns; empty where another program wrote it."""
    classes: dict[str, list[str]] = field(default_factory=dict)
    """The names that the numbers of a column stand for."""
    index: str | None = None
    """The column that pandas keeps the names or numbers of its rows in."""
    remarks: list[str] = field(default_factory=list)
    """What was assumed."""
