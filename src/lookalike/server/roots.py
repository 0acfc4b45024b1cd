"""Where pictures may be shown from: below the folders that were indexed, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.records import display, uri_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.records import Record


class Roots:
    """The folders that pictures may be shown from."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Remember the folders.

        Args:
            paths: folders, or single files.
        """
        every = {path.absolute() for path in paths}
        self._paths = sorted(every, key=lambda path: -len(path.parts))
        self._real = [Path(os.path.realpath(path)) for path in self._paths]

    def name(self, record: Record) -> str:
        """Return what people may read of where an image lies: its path below the folder that was indexed."""
        return self.name_of(uri_path(record.uri))

    def name_of(self, path: Path) -> str:
        """Return the same of a path."""
        for root in self._paths:
            if path != root and path.is_relative_to(root):
                return display(path.relative_to(root))
        return display(path.name)

    def path(self, record: Record) -> Path | None:
        """Return the real path of an image, all links followed; None where it is below no root."""
        try:
            path = Path(os.path.realpath(uri_path(record.uri)))
        except ValueError:  # a name that no file can have, in a store made elsewhere
            return None
        return path if any(path.is_relative_to(root) for root in self._real) else None
