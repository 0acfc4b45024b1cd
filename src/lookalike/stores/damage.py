"""Records that were found damaged: what is wrong with each, and the list of them that a store keeps."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lookalike.file_names import display, readable
from lookalike.stores.checks import same_name
from lookalike.uris import uri_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG = logging.getLogger("lookalike.stores.registry")
# Who uses the library and has set up no logging asks the store; the service logs it, the commands print it.
_LOG.addHandler(logging.NullHandler())


class Fault(NamedTuple):
    """Why one record cannot be trusted."""

    id: str
    uri: str | None
    """None where it is not known."""
    reason: str
    """In words that follow "is damaged: "."""


class StructureFault(NamedTuple):
    """What is wrong beside the records: in what repeats their labels for filters, words and SQL."""

    collection: str | None
    id: str | None
    """Of the record whose labels are repeated wrongly; `relabel` with what it has mends that."""
    reason: str
    todo: str = ""
    """What is to be done, where it is not what is done for stores of ours."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A record that was found damaged and is left out of all answers."""

    store: str
    """The URL, without a password."""
    collection: str
    id: str
    path: str
    """The path of a `file:` URI, else the URI; '' where it is not known."""
    reason: str

    def __str__(self) -> str:
        named = f"record {self.id}" + (f" ({self.path})" if self.path else "")
        return display(
            f"{self.store}: collection {self.collection!r}: {named} is damaged and left out: {self.reason}; "
            f"`lookalike check --repair` mends what can be mended"
        )


class DamageLog:
    """The damaged records that a store met since it was opened, each once; threads may share it."""

    def __init__(self, url: str) -> None:
        """Begin with none.

        Args:
            url: of the store, without a password.
        """
        self._url = url
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Damage] = {}

    def note(self, collection: str, faults: Iterable[Fault]) -> None:
        """Add what was found in a collection; what is new is logged."""
        for fault in faults:
            damage = Damage(self._url, collection, fault.id, _path(fault.uri), fault.reason)
            key = same_name(collection), fault.id
            with self._lock:
                known = self._found.get(key)
                self._found[key] = damage
            if known is None:
                _LOG.error("%s", damage)

    def found(self, collection: str | None = None) -> list[Damage]:
        """Return the damaged records of a collection, or of all, in the order in which they were met."""
        wanted = None if collection is None else same_name(collection)
        with self._lock:
            return [damage for (name, _), damage in self._found.items() if wanted in (None, name)]

    def ids(self, collection: str) -> frozenset[str]:
        """Return the ids of the damaged records of a collection."""
        return frozenset(damage.id for damage in self.found(collection))

    def forget(self, collection: str | None = None, ids: Iterable[str] | None = None) -> None:
        """Forget records that were written anew or removed.

        Args:
            collection: whose; None for all.
            ids: of the records; None for all.
        """
        wanted = None if collection is None else same_name(collection)
        chosen = None if ids is None else set(ids)
        with self._lock:
            self._found = {
                key: damage
                for key, damage in self._found.items()
                if (wanted is not None and key[0] != wanted) or (chosen is not None and key[1] not in chosen)
            }


def _path(uri: str | None) -> str:
    if uri is None:
        return ""
    return readable(uri_text(uri)) if uri.startswith("file:") else uri
