"""The catalogue: all collections with the vectors they declare, changed under optimistic concurrency control.

All of it is in the document `names` of the index `PREFIX.catalogue`. It is replaced under `if_seq_no`, so
that a change is seen whole or not at all, and of two processes that change something one begins again. The
fields of a collection are in a document of their own there, and each metric in as many as it needs.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import astuple
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lookalike.errors import CollectionNotFound, StoreBusy, StoreCorrupt
from lookalike.stores.checks import check_version, same_name
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.schema import FORMAT
from lookalike.stores.entry import Entry, VectorEntry
from lookalike.types import Approximation, Space, VectorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lookalike.stores.elasticsearch.address import ElasticsearchAddress
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.stores.relative_paths import Bases

_T = TypeVar("_T")

_METRIC_BYTES = 1 << 20  # in one document; a server with a small heap rejects operations of ten times that
# Made between a request and the same one again, at most: milliseconds pass.
_CHANGES = 50
_MISSING = 404
_CONFLICT = 409


class Metric(NamedTuple):
    """Where the metric of a vector is."""

    token: str
    """Of its documents: never used again."""
    parts: int
    """Documents that it is in."""


class Listing(NamedTuple):
    """A collection in the catalogue."""

    entry: Entry
    """Its key is the number of its index, which is never used again."""
    last: int
    """The number of a vector that was given last: the next one is new."""
    metrics: Mapping[int, Metric]
    """Of the vectors that have one, by number."""
    index_name: str | None = None
    """The alias that a person gave to its index, beside ours."""
    bases: Bases = MappingProxyType({})
    """What the relative paths in its documents are relative to."""


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

    def data_index(self, key: str) -> str:
        """Return the name of a collection's index."""
        return f"{self._prefix}.{key}.data"

    def alias(self, key: str) -> str:
        """Return the alias under which we speak to a collection's index."""
        return f"{self._prefix}.{key}"

    def listings(self) -> dict[str, Listing]:
        """Return all collections by `same_name` of their names.

        Raises:
            StoreNewer: a later version of lookalike wrote it.
            StoreOlder: an earlier one did.
        """
        return self._read("names", _listings)[0]

    def find(self, name: str) -> Listing:
        """Return one collection.

        Raises:
            CollectionNotFound: there is none of that name.
        """
        return existing(self.listings(), name)

    def by_key(self, key: str) -> Listing | None:
        """Return the collection of this key, however it is called now; None where it is gone."""
        return _by_key(self.listings(), key)

    def change(self, edit: Callable[[dict[str, Listing]], Iterable[Listing] | None]) -> dict[str, Listing]:
        """Replace the collections by what `edit` makes of them; return them.

        Args:
            edit: gets them by `same_name`, and returns those that there are to be, or None to leave all. It
                is called again where another process was faster.
        """

        def make(found: dict[str, Listing]) -> tuple[dict[str, Listing], str | None]:
            edited = edit(found)
            if edited is None:
                return found, None
            kept = sorted(edited, key=lambda listing: listing.entry.name)
            return {same_name(one.entry.name): one for one in kept}, _listings_text(kept)

        return self._change("names", _listings, make)

    def change_one(self, key: str, edit: Callable[[Listing], Listing]) -> Listing | None:
        """Replace one collection by what `edit` makes of it; return it, None where it is gone."""

        def change(found: dict[str, Listing]) -> list[Listing] | None:
            listing = _by_key(found, key)
            edited = listing and edit(listing)
            if edited is None or edited == listing:
                return None
            return [edited if one.entry.key == key else one for one in found.values()]

        return _by_key(self.change(change), key)

    def reserve(self, key: str) -> int | None:
        """Return a number for a vector of a collection, which nobody else gets; None where that is gone."""
        number = 0

        def count(listing: Listing) -> Listing:
            nonlocal number
            number = listing.last + 1
            return listing._replace(last=number)

        return None if self.change_one(key, count) is None else number

    def replace(self, before: Listing, after: Listing) -> bool:
        """Replace a collection, unless another has changed what it declares meanwhile; return whether."""
        done = False

        def swap(listing: Listing) -> Listing:
            nonlocal done
            done = (listing.entry, listing.metrics) == (before.entry, before.metrics)
            return after._replace(last=listing.last) if done else listing

        return self.change_one(before.entry.key, swap) is not None and done

    def fields(self, keys: list[str]) -> dict[str, tuple[str, ...]]:
        """Return the fields of collections by key, without those that are gone or have none."""
        hits = self._client.fetch(self.index, keys, ["format", "content"])
        return {hit["_id"]: self._content(hit["_source"], _fields) for hit in hits}

    def add_fields(self, key: str, names: set[str]) -> None:
        """Tell a collection of fields before a record has them: so after a kill none is unknown."""
        if names <= self._known_fields.get(key, frozenset()):
            return

        def add(found: Iterable[str]) -> tuple[Iterable[str], str | None]:
            edited = sorted({*found, *names})
            return edited, None if edited == list(found) else json.dumps(edited)

        self._known_fields[key] = frozenset(self._change(key, _fields, add))

    def put_metric(self, key: str, metric: bytes) -> Metric:
        """Keep a metric in as many documents as it needs, of which nobody knows yet."""
        kept = Metric(uuid.uuid4().hex, len(range(0, max(1, len(metric)), _METRIC_BYTES)))
        for part in range(kept.parts):
            content = metric[part * _METRIC_BYTES : (part + 1) * _METRIC_BYTES]
            body = {"collection": key, "metric": base64.b64encode(content).decode()}
            self._client.request("PUT", self._document(f"{kept.token}-{part}"), body)
        return kept

    def metric(self, listing: Listing, vector: VectorEntry) -> bytes | None:
        """Return the metric of a vector."""
        kept = listing.metrics.get(vector.number)
        if kept is None:
            return None
        found = []
        for part in range(kept.parts):
            path = self._document(f"{kept.token}-{part}")
            reply = self._client.request("GET", path, allow=(_MISSING,))
            if reply.status == _MISSING:
                name = listing.entry.name
                raise StoreCorrupt(self._url, f"is damaged: a metric of {name!r} is not whole")
            found.append(base64.b64decode(reply.body["_source"]["metric"]))
        return b"".join(found)

    def forget_metric(self, metric: Metric) -> None:
        """Delete a metric that no vector has any more."""
        for part in range(metric.parts):
            self._client.request("DELETE", self._document(f"{metric.token}-{part}"), allow=(_MISSING,))

    def forget(self, key: str) -> None:
        """Delete fields and metrics of a collection that is no longer named, as far as they are there."""
        self._client.request("DELETE", self._document(key), allow=(_MISSING,))
        self._client.request("POST", f"/{self.index}/_refresh", allow=(_MISSING,))
        for hits in pages(self._client, self.index, [{"term": {"collection": key}}], None):
            for hit in hits:
                self._client.request("DELETE", self._document(hit["_id"]), allow=(_MISSING,))

    def make(self) -> None:
        """Make the catalogue's index, unless it is there."""
        settings: dict[str, Any] = {"number_of_shards": 1}
        if self._replicas is not None:
            settings["number_of_replicas"] = self._replicas
        mappings = {
            "dynamic": False,
            "_meta": {"lookalike_format": FORMAT},
            "properties": {"collection": {"type": "keyword"}},
        }
        self._client.make_index(self.index, {"settings": settings, "mappings": mappings})

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
            check_version(self._url, source["format"], FORMAT)
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


def existing(listings: Mapping[str, Listing], name: str) -> Listing:
    """Return the collection of a name.

    Raises:
        CollectionNotFound: there is none of that name.
    """
    found = listings.get(same_name(name))
    if found is None:
        raise CollectionNotFound(name, (one.entry.name for one in listings.values()))
    return found


def _by_key(listings: Mapping[str, Listing], key: str) -> Listing | None:
    return next((one for one in listings.values() if one.entry.key == key), None)


def _listings(text: str | None) -> dict[str, Listing]:
    found = {}
    for row in json.loads(text or "[]"):
        vectors = tuple(
            VectorEntry(
                one["number"],
                VectorInfo(
                    one["name"],
                    Space(*one["space"]),
                    one["ready"],
                    one["becomes_default"],
                    one["approximation"] and Approximation(*one["approximation"]),
                ),
                one["index"],
            )
            for one in row["vectors"]
        )
        metrics = {one["number"]: Metric(*one["metric"]) for one in row["vectors"] if one["metric"]}
        entry = Entry(row["key"], row["name"], vectors, row["default"])
        more = (row.get("index_name"), row.get("bases", {}))
        found[same_name(entry.name)] = Listing(entry, row["last"], metrics, *more)
    return found


def _listings_text(listings: Iterable[Listing]) -> str:
    return json.dumps(
        [
            {
                "name": listing.entry.name,
                "key": listing.entry.key,
                "last": listing.last,
                "default": listing.entry.default,
                "index_name": listing.index_name,
                "bases": dict(listing.bases),
                "vectors": [
                    {
                        "number": one.number,
                        "name": one.info.name,
                        "space": astuple(one.info.space),
                        "ready": one.info.ready,
                        "becomes_default": one.info.becomes_default,
                        "approximation": one.info.approximation and astuple(one.info.approximation),
                        "index": one.index,
                        "metric": listing.metrics.get(one.number),
                    }
                    for one in listing.entry.vectors
                ],
            }
            for listing in listings
        ]
    )


def _fields(text: str | None) -> tuple[str, ...]:
    return tuple(json.loads(text or "[]"))
