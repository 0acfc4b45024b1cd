"""Where it is noted what was attached: in the cache folder of the user, by store.

Nothing is written into a database of others: who may only read there can attach its tables.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lookalike.errors import OutputFailed
from lookalike.shared_json import change_entries, read_entries
from lookalike.stores.attached.description import Attachment
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "attached.json"
"""Of the file, in the cache folder."""


class AttachedNotes:
    """What was attached of one store; threads and processes may share the file."""

    def __init__(self, cache: Path, place: str) -> None:
        """Read nothing yet.

        Args:
            cache: the user's cache folder.
            place: of the store, see `places.store_place`.
        """
        self.path = cache / NAME
        self._place = place
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._known: dict[str, Attachment] = {}

    def all(self) -> dict[str, Attachment]:
        """Return what is attached now, by the folded name of the collection."""
        try:
            status = self.path.stat()
        except OSError:
            return {}
        state = status.st_ino, status.st_size, status.st_mtime_ns
        with self._lock:
            if state != self._state:
                self._known = _read(read_entries(self.path).get(self._place))
                self._state = state
            return self._known

    def keep(self, attachment: Attachment) -> None:
        """Note a table, in the place of what was noted under its name.

        Raises:
            OutputFailed: the file cannot be written.
        """
        self._change(lambda known: known | {same_name(attachment.name): attachment.to_json()})

    def forget(self, name: str) -> None:
        """Forget a table; one that is not noted is forgotten already.

        Raises:
            OutputFailed: the file cannot be written.
        """
        self._change(lambda known: {key: one for key, one in known.items() if key != same_name(name)})

    def _change(self, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
        def changed(entries: dict[str, object]) -> dict[str, object]:
            known = entries.get(self._place)
            now = change(known if isinstance(known, dict) else {})
            others = {place: each for place, each in entries.items() if place != self._place}
            return others | ({self._place: now} if now else {})

        reason = change_entries(self.path, changed)
        if reason is not None:
            raise OutputFailed(str(self.path), reason)


def _read(noted: object) -> dict[str, Attachment]:
    found = {}
    for key, said in noted.items() if isinstance(noted, dict) else ():
        try:
            found[key] = Attachment.from_json(said)
        except ValueError:  # of a later version, or somebody else's
            continue
    return found
