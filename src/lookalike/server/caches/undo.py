"""What the last changes can be undone with: records as they were before."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lookalike.ingest.snapshots import Snapshot
    from lookalike.types import Record

SECONDS = 3600.0
"""For which a change can be undone, while the service runs."""

MOST_BYTES = 256 << 20
"""Of all that is kept; of more, what was done first can no longer be undone."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that can be undone."""

    before: Snapshot
    after: Mapping[str, Record]
    """The records as the change left them, by id."""
    files: Sequence[Path] = ()
    """Of removed pictures that had been added: deleted when this can no longer be undone."""
    until: float = 0.0
    nbytes: int = 0
    """Of both."""


class UndoCache:
    """The last changes; thread-safe."""

    def __init__(
        self, delete: Callable[[Sequence[Path]], None], timer: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin empty.

        Args:
            delete: deletes files of added pictures that no record refers to; blocks.
            timer: the clock, in seconds.
        """
        self._delete = delete
        self._timer = timer
        self._lock = threading.Lock()
        self._changes: OrderedDict[str, Change] = OrderedDict()

    def put(self, before: Snapshot, after: Mapping[str, Record], files: Sequence[Path] = ()) -> str | None:
        """Keep a change, and return what it is undone by; None where it is too large to be kept."""
        identity = None
        nbytes = before.nbytes(after.values())
        if nbytes <= MOST_BYTES:
            identity = secrets.token_hex(8)
            with self._lock:
                self._changes[identity] = Change(before, after, files, self._timer() + SECONDS, nbytes)
        else:
            self._delete(files)
        self._forget()
        return identity

    def take(self, identity: str, collection: str) -> Change | None:
        """Return a change of a collection and forget it; None where it can no longer be undone."""
        self._forget()
        with self._lock:
            found = self._changes.get(identity)
            if found is None or found.before.collection != collection:
                return None
            return self._changes.pop(identity)

    def close(self) -> None:
        """Forget all of them."""
        self._forget(everything=True)

    def _forget(self, *, everything: bool = False) -> None:
        gone = []
        with self._lock:
            held = sum(change.nbytes for change in self._changes.values())
            while self._changes:
                first = next(iter(self._changes.values()))
                if not everything and held <= MOST_BYTES and first.until > self._timer():
                    break
                self._changes.popitem(last=False)
                held -= first.nbytes
                gone.append(first)
        for change in gone:
            if change.files:
                self._delete(change.files)
