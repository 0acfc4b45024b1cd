"""The index and the aliases of each collection: made, changed, renamed, deleted.

Each has an index `PREFIX.NUMBER.data` under a number that is never used again, and two aliases:
`PREFIX.NUMBER`, under which we speak to it, and `PREFIX-NAME` for people's own requests. Which collections
there are is what the catalogue says: an index is made before it is named there, and deleted after, so that
what a kill leaves behind is an index of nobody.
"""

from __future__ import annotations

import hashlib
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from lookalike.errors import (
    CollectionExists,
    InvalidArgument,
    StoreBusy,
    StoreCorrupt,
    StoreDenied,
)
from lookalike.file_names import display
from lookalike.stores.checks import same_name
from lookalike.stores.documents import DocumentIndex
from lookalike.stores.elasticsearch.address import KINDS
from lookalike.stores.elasticsearch.catalog import Listing, existing
from lookalike.stores.elasticsearch.errors import IndexGone
from lookalike.stores.elasticsearch.records import place_documents
from lookalike.stores.elasticsearch.schema import (
    EMBEDDING,
    MOST_DIMENSIONS,
    MOST_FIELDS,
    fits,
    mapping,
    readable_field,
    vector_field,
    vector_mapping,
)
from lookalike.stores.entry import NEW, Entry, VectorEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.stores.backend import Edit
    from lookalike.stores.elasticsearch.address import ElasticsearchAddress
    from lookalike.stores.elasticsearch.catalog import ElasticsearchCatalog
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.stores.relative_paths import Bases
    from lookalike.types import Space, VectorInfo

_T = TypeVar("_T")

ABANDONED_MS = 24 * 3600 * 1000
"""How much older than a new one an index of nobody is before it is deleted: others may be making theirs."""

_MISSING = 404
# Each time another has deleted the collection, and made it anew.
_ATTEMPTS = 20
# Bytes in the name of an index or alias, at most (Elastic's reference of index creation).
_NAME_BYTES = 255
# What it does not have (Elastic's reference of index creation).
_NO_INDEX = frozenset('\\/*?"<>| ,#:')


class ElasticsearchCollections:
    """The indexes of one store.

    Args:
        client: where it asks.
        catalog: which of them are collections.
        address: with the prefix of the store, and shards and replicas of what is made.
    """

    def __init__(
        self, client: ElasticsearchClient, catalog: ElasticsearchCatalog, address: ElasticsearchAddress
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._address = address

    def at(self, name: str, act: Callable[[Listing], _T]) -> _T:
        """Do something with a collection, and again if it is deleted and made anew meanwhile.

        Raises:
            CollectionNotFound: there is none of that name.
            StoreCorrupt: its index is not there.
        """
        for _ in range(_ATTEMPTS):
            listing = self._catalog.find(name)
            try:
                return act(listing)
            except IndexGone:
                self.check_there([listing.entry])
        raise self._too_many_changes()

    def one(self, name: str) -> Entry:
        """Return one collection with count and fields."""
        return self.at(name, lambda listing: self._counted([listing.entry])[0])

    def every(self) -> list[Entry]:
        """Return all collections with count and fields, by name."""
        for _ in range(_ATTEMPTS):
            entries = sorted(
                (one.entry for one in self._catalog.listings().values()), key=lambda entry: entry.name
            )
            try:
                return self._counted(entries)
            except IndexGone:
                self.check_there(entries)
        raise self._too_many_changes()

    def count(self, entry: Entry, without: str | None = None) -> int:
        """Return how many records a collection has, or how many of them lack a field."""
        self.refresh(entry)
        return self._counts([entry], without)[0]

    def refresh(self, entry: Entry) -> None:
        """Let searches see what others have written, the requests of one that was killed too."""
        with suppress(StoreDenied):  # who may only read waits for the server's own
            self._client.request("POST", f"/{self._catalog.alias(entry.key)}/_refresh")

    def _counted(self, entries: Sequence[Entry]) -> list[Entry]:
        counts = self._counts(entries)
        fields = self._catalog.fields([entry.key for entry in entries])
        return [
            replace(entry, count=count, fields=tuple(sorted(fields.get(entry.key, ()))))
            for entry, count in zip(entries, counts, strict=True)
        ]

    def _counts(self, entries: Sequence[Entry], without: str | None = None) -> list[int]:
        body: dict[str, Any] = {"size": 0, "track_total_hits": True}
        if without is not None:
            body["query"] = {"bool": {"must_not": [{"exists": {"field": without}}]}}
        found = self._client.search([(self._catalog.alias(entry.key), body) for entry in entries])
        return [answer["hits"]["total"]["value"] for answer in found]

    def create(self, name: str, vector: VectorInfo, metric: bytes | None) -> None:
        """Make a collection, unless it is there or another process is faster.

        Raises:
            InvalidArgument: the vectors are too long for the server, or the name is that of an index of
                somebody's.
        """
        _check_dimension(vector.space)
        self._check_alias(name)
        key, number = uuid.uuid4().hex, 1
        self._catalog.make()
        self._make_index(key, number, vector)
        metrics = {} if metric is None else {number: self._catalog.put_metric(key, metric)}
        entry = Entry(key, name, (VectorEntry(number, vector),), vector.name)
        made = Listing(entry, number, metrics)

        def add(listings: dict[str, Listing]) -> list[Listing] | None:
            return None if same_name(name) in listings else [*listings.values(), made]

        if self._catalog.change(add)[same_name(name)].entry.key != key:
            self._delete_index(key)
            return
        self._publish_names()
        self._sweep(key)

    def declare(self, name: str, edit: Edit, metrics: Mapping[Space, bytes]) -> None:
        """Change which vectors a collection declares: see `Backend.declare`.

        The field of a new vector is in the mapping before the catalogue names it. What documents hold of a
        dropped one stays in them until they are written again, and nobody reads it.
        """

        def lacking(entry: Entry, vector: VectorEntry) -> int:
            return self.count(entry, None if vector.number == NEW else vector_field(vector.number))

        def change(listing: Listing) -> bool:
            entry = listing.entry
            wanted = edit(entry, lambda vector: lacking(entry, vector))
            if wanted == entry and not metrics:
                return True
            vectors = tuple(self._with_place(entry, one) for one in wanted.vectors)
            wanted = replace(wanted, vectors=vectors)
            written = {
                one.number: self._catalog.put_metric(entry.key, metrics[one.info.space])
                for one in vectors
                if one.info.space in metrics
            }
            numbers = {one.number for one in vectors}
            kept = {number: one for number, one in listing.metrics.items() if number in numbers} | written
            done = self._catalog.replace(listing, listing._replace(entry=wanted, metrics=kept))
            unused = listing.metrics if done else written
            for metric in set(unused.values()) - set(kept.values() if done else ()):
                self._catalog.forget_metric(metric)
            if done:
                self.publish_fields(wanted)
            return done

        for _ in range(_ATTEMPTS):
            if self.at(name, change):
                return
        raise self._too_many_changes()

    def _with_place(self, entry: Entry, vector: VectorEntry) -> VectorEntry:
        """Return a vector with a number and a field, which a new one gets."""
        if vector.number != NEW:
            return vector
        _check_dimension(vector.info.space)
        number = self._catalog.reserve(entry.key)
        if number is None:
            raise IndexGone(entry.name)
        placed = replace(vector, number=number)
        self.add_field(entry, placed, None)
        return placed

    def add_field(self, entry: Entry, vector: VectorEntry, kind: str | None) -> None:
        """Put a field for a vector into the mapping, where it is not there yet."""
        made = vector_mapping(vector.info.space.dimension, kind or "flat")
        self._put_mapping(entry, {vector_field(vector.number, kind): made})

    def _put_mapping(self, entry: Entry, properties: dict[str, Any]) -> None:
        path = f"/{self._catalog.alias(entry.key)}/_mapping"
        self._client.request("PUT", path, {"properties": properties})

    def mapped(self, entry: Entry) -> dict[str, Any]:
        """Return the fields of a collection's index, and their types."""
        found = self._client.request("GET", f"/{self._catalog.alias(entry.key)}/_mapping").body
        (one,) = found.values()
        properties: dict[str, Any] = one["mappings"]["properties"]
        return properties

    def publish_fields(self, entry: Entry) -> None:
        """Make the readable names of the vectors' fields what the collection declares.

        A name cannot leave a mapping: that of a dropped vector leads to a field which documents lose.
        """
        while True:
            known = self.mapped(entry)
            default = entry.ready()
            wanted = {
                readable_field(one.info.name): vector_field(one.number)
                for one in entry.vectors
                if one.info.ready
            }
            wanted[EMBEDDING] = vector_field(default.number)
            for kind in KINDS:
                alias, field = f"{EMBEDDING}_{kind}", vector_field(default.number, kind)
                if alias not in known and field not in known:
                    continue
                if not fits(kind, default.info.space.dimension):
                    field = wanted[EMBEDDING]
                elif field not in known:  # empty: nothing is found, rather than another vector
                    self.add_field(entry, default, kind)
                wanted[alias] = field
            changed = {
                alias: {"type": "alias", "path": field}
                for alias, field in wanted.items()
                if known.get(alias, {}).get("path") != field
            }
            if changed:
                self._put_mapping(entry, changed)
            now = self._catalog.by_key(entry.key)
            if now is None or (now.entry.vectors == entry.vectors and now.entry.default == entry.default):
                return
            entry = now.entry

    def rename(self, name: str, new: str) -> None:
        """Give a collection another name by one change of one document; the readable alias follows.

        Raises:
            CollectionExists: another collection has that name.
        """

        def edit(listings: dict[str, Listing]) -> list[Listing]:
            renamed = existing(listings, name)
            holder = listings.get(same_name(new))
            if holder is not None and holder.entry.key != renamed.entry.key:
                raise CollectionExists(holder.entry.name)
            self._check_alias(new)
            entry = replace(renamed.entry, name=new)
            return [renamed._replace(entry=entry) if one is renamed else one for one in listings.values()]

        self._catalog.change(edit)
        self._publish_names()

    def delete(self, name: str) -> int:
        """Delete a collection with its index, and return how many records it had."""
        entry = self._catalog.find(name).entry
        try:
            (count,) = self._counts([entry])
        except IndexGone:
            count = 0
        self._catalog.change(
            lambda listings: [one for one in listings.values() if one.entry.key != entry.key]
        )
        self._delete_index(entry.key)
        return count

    def check_there(self, entries: Sequence[Entry]) -> None:
        """Refuse a catalogue that names an index that is not there.

        Raises:
            StoreCorrupt: one was deleted, and not by us.
        """
        present = {one.entry.key for one in self._catalog.listings().values()}
        for entry in entries:
            index, alias = self._catalog.data_index(entry.key), self._catalog.alias(entry.key)
            lost = self._client.request("GET", f"/{alias}/_alias", allow=(_MISSING,)).status == _MISSING
            if lost and entry.key in present:
                raise StoreCorrupt(
                    self._address.url,
                    f"the index {index} of collection {entry.name!r}, or its alias {alias}, was deleted on "
                    f"the server; restore it, or delete the collection",
                )

    def indexes(self) -> list[DocumentIndex]:
        """Return the index of every collection, by the collection's name."""
        found = []
        for listing in self._catalog.listings().values():
            name, key = listing.entry.name, listing.entry.key
            index = self._catalog.data_index(key)
            names = [index, self._catalog.alias(key), self._readable_alias(name)]
            names += [] if listing.index_name is None else [listing.index_name]
            found.append(DocumentIndex(name, index, tuple(names)))
        return sorted(found)

    def check_index_name(self, name: str, index: str) -> None:
        """Refuse a name for the index of a collection: see `KeepsDocuments`."""
        _check_index_name(index, self._address.prefix)
        listing = self._catalog.listings().get(same_name(name))
        ours = None if listing is None else self._catalog.data_index(listing.entry.key)
        found = self._client.request("GET", f"/{quote(index, safe='')}/_alias", allow=(_MISSING,))
        others = set() if found.status == _MISSING else set(found.body) - {ours}
        if others:
            what = "an index" if index in others else "an alias or a data stream"
            raise InvalidArgument(
                f"the server has {what} {index} already, which is not of the collection {name!r}: name its "
                f"index otherwise"
            )

    def set_index_name(self, name: str, index: str) -> None:
        """Give the index of a collection a further name: see `KeepsDocuments`."""
        self.check_index_name(name, index)

        def act(listing: Listing) -> None:
            data = self._catalog.data_index(listing.entry.key)
            actions: list[dict[str, dict[str, Any]]] = [{"add": {"index": data, "alias": index}}]
            if listing.index_name not in (None, index):
                actions.append({"remove": {"index": data, "alias": listing.index_name, "must_exist": False}})
            self._client.request("POST", "/_aliases", {"actions": actions})
            self._catalog.change_one(listing.entry.key, lambda one: one._replace(index_name=index))

        self.at(name, act)

    def set_path_bases(self, name: str, bases: Bases) -> None:
        """Make the relative paths of documents relative to other folders: see `KeepsDocuments`."""

        def act(listing: Listing) -> None:
            key = listing.entry.key
            if dict(listing.bases) != dict(bases):
                # First the documents: what a kill interrupts, the same call completes.
                self.refresh(listing.entry)
                place_documents(self._client, self._catalog.alias(key), bases)
                self._catalog.change_one(key, lambda one: one._replace(bases=dict(bases)))

        self.at(name, act)

    def _check_alias(self, name: str) -> None:
        """Refuse a name whose readable alias is the name of somebody's index.

        Raises:
            InvalidArgument: it is.
        """
        alias = self._readable_alias(name)
        found = self._client.request("GET", f"/{quote(alias, safe='')}/_alias", allow=(_MISSING,)).body
        if alias in found:
            raise InvalidArgument(
                f"the server has an index {alias}: name the collection otherwise, or open the store with "
                f"another ?prefix="
            )

    def _too_many_changes(self) -> StoreBusy:
        return StoreBusy(self._address.url, "collections come and go faster than they can be read; try again")

    def _make_index(self, key: str, number: int, vector: VectorInfo) -> None:
        settings: dict[str, Any] = {
            # Acknowledged is what is on disk: the server's default, which a template could have changed.
            "index.translog.durability": "request",
            "index.mapping.total_fields.limit": MOST_FIELDS,
        }
        if self._address.shards is not None:
            settings["index.number_of_shards"] = self._address.shards
        if self._address.replicas is not None:
            settings["index.number_of_replicas"] = self._address.replicas
        body = {
            "settings": settings,
            "mappings": mapping(number, vector),
            "aliases": {self._catalog.alias(key): {}},
        }
        self._client.make_index(self._catalog.data_index(key), body)

    def _delete_index(self, key: str) -> None:
        self._client.request("DELETE", f"/{self._catalog.data_index(key)}", allow=(_MISSING,))
        self._catalog.forget(key)

    def _readable_alias(self, name: str) -> str:
        alias = f"{self._address.prefix}-{same_name(name)}"
        if len(alias.encode()) <= _NAME_BYTES:
            return alias
        return f"{self._address.prefix}-{hashlib.sha256(alias.encode()).hexdigest()[:32]}"

    def _publish_names(self) -> None:
        """Make the readable aliases those that the catalogue says, in one step."""
        listings = self._catalog.listings()
        while True:
            wanted = {
                (self._catalog.data_index(one.entry.key), alias)
                for one in listings.values()
                for alias in (self._readable_alias(one.entry.name), one.index_name)
                if alias is not None
            }
            found = self._client.request("GET", f"/{self._address.prefix}.*.data/_alias").body
            have = {
                (index, alias)
                for index, one in found.items()
                for alias in one["aliases"]
                if alias.startswith(f"{self._address.prefix}-") or (index, alias) in wanted
            }
            wanted = {(index, alias) for index, alias in wanted if index in found}
            actions = [{"remove": {"index": index, "alias": alias}} for index, alias in sorted(have - wanted)]
            actions += [{"add": {"index": index, "alias": alias}} for index, alias in sorted(wanted - have)]
            try:
                if actions:
                    self._client.request("POST", "/_aliases", {"actions": actions})
                done = True
            except IndexGone:  # another deleted it meanwhile
                done = False
            # Another may have changed the names in between, and published them before us.
            listings, before = self._catalog.listings(), listings
            if done and _keys(listings) == _keys(before):
                return

    def _sweep(self, key: str) -> None:
        """Delete indexes that a kill has left to nobody, long before the one just made."""
        path = f"/{self._address.prefix}.*.data/_settings/index.creation_date"
        try:
            found = self._client.request("GET", path, params={"flat_settings": "true"}).body
        except StoreDenied:  # only tidiness needs this right
            return
        born = {
            index.removesuffix(".data").rpartition(".")[2]: int(one["settings"]["index.creation_date"])
            for index, one in found.items()
        }
        old = {one for one, created in born.items() if created < born.get(key, 0) - ABANDONED_MS}
        if old:
            for abandoned in old - {one.entry.key for one in self._catalog.listings().values()}:
                self._delete_index(abandoned)


def _check_index_name(index: str, prefix: str) -> None:
    """Refuse a name that the server would refuse, or that could be taken for one of ours.

    Raises:
        InvalidArgument: it is one.
    """
    wrong = None
    if not index or index.startswith(("-", "_", "+", ".")):
        wrong = "begins with a letter or a digit"
    elif index != index.lower():
        wrong = "has no capitals"
    elif not index.isprintable() or any(sign in index for sign in _NO_INDEX):
        wrong = f"has no space and none of {' '.join(sorted(_NO_INDEX - {' '}))}"
    elif len(index.encode()) > _NAME_BYTES:
        wrong = f"has at most {_NAME_BYTES} bytes"
    elif index.startswith((f"{prefix}.", f"{prefix}-")):
        wrong = f"does not begin as our own do ({prefix}. and {prefix}-)"
    if wrong is not None:
        raise InvalidArgument(f"{display(index)!r} cannot name an index: the name of one {wrong}")


def _check_dimension(space: Space) -> None:
    """Refuse vectors that the server cannot keep.

    Raises:
        InvalidArgument: they are too long for it.
    """
    if not 1 <= space.dimension <= MOST_DIMENSIONS:
        raise InvalidArgument(
            f"Elasticsearch takes vectors of at most {MOST_DIMENSIONS} dimensions, not {space.dimension}"
        )


def _keys(listings: Mapping[str, Listing]) -> dict[str, Any]:
    return {name: one.entry.key for name, one in listings.items()}
