"""The catalogue: names, spaces and states of all collections, changed under optimistic concurrency control.

The names of all collections are in the document `names` of the index `PREFIX.catalogue`. It is replaced under
`if_seq_no`, so that a change of several names is seen whole or not at all, and of two processes that change
something one begins again. What belongs to one collection is in documents of its own there.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lookalike.errors import CollectionNotFound, StoreBusy, StoreCorrupt, StoreNewer, StoreOlder
from lookalike.stores.checks import same_name
from lookalike.stores.elasticsearch.schema import FORMAT
from lookalike.types import Approximation, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lookalike.stores.elasticsearch.address import ElasticsearchAddress
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient

_T = TypeVar("_T")

_METRIC_BYTES = 1 << 20  # in one document; a server with a small heap rejects operations of ten times that
# Made between a request and the same one again, at most: milliseconds pass.
_CHANGES = 50
_MISSING = 404
_CONFLICT = 409


class Entry(NamedTuple):
    """A collection that the store has."""

    name: str
    number: str
    """Of its index: never used again."""
    space: Space
    kind: str | None = None
    """That of the approximate index that every document is written for."""
    metric_parts: int | None = None
    """Documents that its metric is in; None where it has none."""


class State(NamedTuple):
    """What changes in a collection, its records apart."""

    fields: tuple[str, ...] = ()
    approximation: Approximation | None = None


class ElasticsearchCatalog:
    """The collections of one store.

    Args:
        client: where it asks.
        address: with the prefix of the store, and shards and replicas of what is made.
        timeout: seconds for which a change is tried again when others are faster.
    """

    def __init__(self, client: ElasticsearchClient, address: ElasticsearchAddress, timeout: float) -> None:
        self._client = client
        self._url = address.url
        self._prefix = address.prefix
        self._replicas = address.replicas
        self._timeout = timeout
        self.index = f"{address.prefix}.catalogue"
        # Fields only ever come to a collection: those once seen need no second look.
        self._known_fields: dict[str, frozenset[str]] = {}

    def data_index(self, number: str) -> str:
        """Return the name of a collection's index."""
        return f"{self._prefix}.{number}.data"

    def alias(self, number: str) -> str:
        """Return the alias under which we speak to a collection's index."""
        return f"{self._prefix}.{number}"

    def entries(self) -> dict[str, Entry]:
        """Return all collections by `same_name` of their names.

        Raises:
            StoreNewer: a later version of lookalike wrote it.
            StoreOlder: an earlier one did.
        """
        return self._read("names", _entries)[0]

    def find(self, name: str) -> Entry:
        """Return one collection.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        entries = self.entries()
        entry = entries.get(same_name(name))
        if entry is None:
            raise CollectionNotFound(name, (one.name for one in entries.values()))
        return entry

    def change(self, edit: Callable[[dict[str, Entry]], Iterable[Entry] | None]) -> dict[str, Entry]:
        """Replace the collections by what `edit` makes of them; return them.

        Args:
            edit: gets them by `same_name`, and returns those that there are to be, or None to leave all. It
                is called again where another process was faster.
        """

        def make(found: dict[str, Entry]) -> tuple[dict[str, Entry], str | None]:
            edited = edit(found)
            if edited is None:
                return found, None
            kept = sorted(edited, key=lambda entry: entry.name)
            return {same_name(entry.name): entry for entry in kept}, _entries_text(kept)

        return self._change("names", _entries, make)

    def state(self, number: str) -> State:
        """Return the state of a collection."""
        return self._read(number, _state)[0]

    def states(self, numbers: list[str]) -> dict[str, State]:
        """Return the states of collections by number, without those that are gone."""
        hits = self._client.fetch(self.index, numbers, ["format", "content"])
        return {hit["_id"]: self._content(hit["_source"], _state) for hit in hits}

    def change_state(self, number: str, edit: Callable[[State], State]) -> State:
        """Replace the state of a collection by what `edit` makes of it; return it."""

        def make(found: State) -> tuple[State, str | None]:
            edited = edit(found)
            return edited, None if edited == found else _state_text(edited)

        return self._change(number, _state, make)

    def add_fields(self, number: str, names: set[str]) -> None:
        """Tell a collection of fields before a record has them: so after a kill none is unknown."""
        known = self._known_fields.get(number, frozenset())
        if not names <= known:
            state = self.change_state(
                number, lambda state: state._replace(fields=tuple(sorted({*state.fields, *names})))
            )
            self._known_fields[number] = frozenset(state.fields)

    def put_metric(self, number: str, metric: bytes) -> int:
        """Keep a metric in as many documents as it needs; return how many."""
        parts = range(0, max(1, len(metric)), _METRIC_BYTES)
        for part, start in enumerate(parts):
            text = base64.b64encode(metric[start : start + _METRIC_BYTES]).decode()
            self._client.request("PUT", self._document(f"{number}-metric-{part}"), {"metric": text})
        return len(parts)

    def metric(self, entry: Entry) -> bytes | None:
        """Return the metric of a collection."""
        if entry.metric_parts is None:
            return None
        found = []
        for part in range(entry.metric_parts):
            path = self._document(f"{entry.number}-metric-{part}")
            reply = self._client.request("GET", path, allow=(_MISSING,))
            if reply.status == _MISSING:
                raise StoreCorrupt(self._url, f"is damaged: the metric of {entry.name!r} is not whole")
            found.append(base64.b64decode(reply.body["_source"]["metric"]))
        return b"".join(found)

    def forget(self, number: str) -> None:
        """Delete state and metric of a collection that is no longer named, as far as they are there."""
        self._client.request("DELETE", self._document(number), allow=(_MISSING,))
        part = 0
        while True:
            path = self._document(f"{number}-metric-{part}")
            if self._client.request("DELETE", path, allow=(_MISSING,)).status == _MISSING:
                return
            part += 1

    def make(self) -> None:
        """Make the catalogue's index, unless it is there."""
        settings: dict[str, Any] = {"number_of_shards": 1}
        if self._replicas is not None:
            settings["number_of_replicas"] = self._replicas
        body = {"settings": settings, "mappings": {"dynamic": False, "_meta": {"lookalike_format": FORMAT}}}
        self._client.make_index(self.index, body)

    def _document(self, identity: str) -> str:
        return f"/{self.index}/_doc/{identity}"

    def _read(self, identity: str, parse: Callable[[str | None], _T]) -> tuple[_T, dict[str, Any] | None]:
        """Return what a document says, and the document; what one says that is not there, and None."""
        reply = self._client.request("GET", self._document(identity), allow=(_MISSING,))
        if reply.status == _MISSING:
            return parse(None), None
        found: dict[str, Any] = reply.body
        return self._content(found["_source"], parse), found

    def _content(self, source: Mapping[str, Any], parse: Callable[[str | None], _T]) -> _T:
        try:
            if source["format"] > FORMAT:
                raise StoreNewer(self._url)
            if source["format"] < FORMAT:
                raise StoreOlder(self._url)
            return parse(source["content"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreCorrupt(self._url, f"is damaged: the index {self.index} does not read") from error

    def _change(
        self,
        identity: str,
        parse: Callable[[str | None], _T],
        make: Callable[[_T], tuple[_T, str | None]],
    ) -> _T:
        """Replace what a document says, under the condition that nobody else did since it was read."""
        deadline = time.monotonic() + self._timeout
        # A request whose answer was lost is sent again, and then it is our own change that is in the way.
        ours = uuid.uuid4().hex
        while True:
            found, read = self._read(identity, parse)
            changes: list[str] = [] if read is None else read["_source"].get("changes", [])
            if ours in changes:
                return found
            made, text = make(found)
            if text is None:
                return made
            condition = {"op_type": "create"}
            if read is not None:
                condition = {"if_seq_no": str(read["_seq_no"]), "if_primary_term": str(read["_primary_term"])}
            body = {"format": FORMAT, "content": text, "changes": [*changes[-_CHANGES:], ours]}
            path = self._document(identity)
            reply = self._client.request("PUT", path, body, params=condition, allow=(_CONFLICT,))
            if reply.status != _CONFLICT:
                return made
            if time.monotonic() > deadline:
                raise StoreBusy(self._url, f"others were faster to change it for {self._timeout:g} s")


def _entries(text: str | None) -> dict[str, Entry]:
    found = {}
    for name, number, space, kind, metric_parts in json.loads(text or "[]"):
        found[same_name(name)] = Entry(name, number, Space(*space), kind, metric_parts)
    return found


def _entries_text(entries: Iterable[Entry]) -> str:
    rows = []
    for name, number, space, kind, metric_parts in entries:
        named = (space.embedder, space.embedder_fingerprint, space.dimension, space.metric_fingerprint)
        rows.append((name, number, named, kind, metric_parts))
    return json.dumps(rows)


def _state(text: str | None) -> State:
    found = json.loads(text or '{"fields": [], "approximation": null}')
    approximation = found["approximation"]
    return State(tuple(found["fields"]), approximation and Approximation(*approximation))


def _state_text(state: State) -> str:
    built = state.approximation
    return json.dumps(
        {
            "fields": state.fields,
            "approximation": built and (built.kind, built.recall, built.k, built.queries),
        }
    )
