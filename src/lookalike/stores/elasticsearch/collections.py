"""The index and the aliases of each collection: made, renamed, deleted.

Each has an index `PREFIX.NUMBER.data` under a number that is never used again, and two aliases:
`PREFIX.NUMBER`, under which we speak to it, and `PREFIX-NAME` for people's own requests. Which collections
there are is what the catalogue says: an index is made before it is named there, and deleted after, so that
what a kill leaves behind is an index of nobody.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from lookalike.errors import CollectionNotFound, InvalidArgument, StoreBusy, StoreCorrupt, StoreDenied
from lookalike.stores.checks import collection_name, same_name
from lookalike.stores.elasticsearch.catalog import Entry, State
from lookalike.stores.elasticsearch.errors import IndexGone
from lookalike.stores.elasticsearch.schema import MOST_DIMENSIONS, mapping
from lookalike.types import CollectionInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.stores.elasticsearch.address import ElasticsearchAddress
    from lookalike.stores.elasticsearch.catalog import ElasticsearchCatalog
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.types import Space

_T = TypeVar("_T")

ABANDONED_MS = 24 * 3600 * 1000
"""How much older than a new one an index of nobody is before it is deleted: others may be making theirs."""

_MISSING = 404
# Each time another has deleted the collection, and made it anew.
_ATTEMPTS = 20
# Bytes in the name of an index or alias, at most (Elastic's reference of index creation).
_NAME_BYTES = 255


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

    def at(self, name: str, act: Callable[[Entry], _T]) -> _T:
        """Do something with a collection, and again if it is deleted and made anew meanwhile.

        Raises:
            CollectionNotFound: there is none of that name.
            StoreCorrupt: its index is not there.
        """
        for _ in range(_ATTEMPTS):
            entry = self._catalog.find(name)
            try:
                return act(entry)
            except IndexGone:
                self._check_there([entry])
        raise self._too_many_changes()

    def one(self, name: str) -> CollectionInfo:
        """Return one collection."""
        return self.at(name, lambda entry: self._describe([entry])[0])

    def every(self) -> list[CollectionInfo]:
        """Return all collections, by name."""
        for _ in range(_ATTEMPTS):
            entries = sorted(self._catalog.entries().values(), key=lambda entry: entry.name)
            try:
                return self._describe(entries)
            except IndexGone:
                self._check_there(entries)
        raise self._too_many_changes()

    def _describe(self, entries: Sequence[Entry]) -> list[CollectionInfo]:
        counts = self._counts(entries)
        states = self._catalog.states([entry.number for entry in entries])
        described = []
        for entry, count in zip(entries, counts, strict=True):
            state = states.get(entry.number, State())
            described.append(
                CollectionInfo(
                    entry.name, entry.space, count, tuple(sorted(state.fields)), state.approximation
                )
            )
        return described

    def _counts(self, entries: Sequence[Entry]) -> list[int]:
        """Return how many records each has."""
        body = {"size": 0, "track_total_hits": True}
        found = self._client.search([(self._catalog.alias(entry.number), body) for entry in entries])
        return [answer["hits"]["total"]["value"] for answer in found]

    def create(self, name: str, space: Space, metric: bytes | None) -> Entry:
        """Return the collection of this name, made now unless another process was faster.

        Raises:
            InvalidArgument: the vectors are too long for the server.
        """
        if not 1 <= space.dimension <= MOST_DIMENSIONS:
            raise InvalidArgument(
                f"Elasticsearch takes vectors of at most {MOST_DIMENSIONS} dimensions, not {space.dimension}"
            )
        self._check_alias(name)
        number = uuid.uuid4().hex
        self._catalog.make()
        self._make_index(number, space.dimension)
        parts = None if metric is None else self._catalog.put_metric(number, metric)
        entry = Entry(name, number, space, None, parts)

        def add(entries: dict[str, Entry]) -> list[Entry] | None:
            return None if same_name(name) in entries else [*entries.values(), entry]

        made = self._catalog.change(add)[same_name(name)]
        if made.number != number:
            self._delete_index(number)
            return made
        self._publish_names()
        self._sweep(number)
        return made

    def rename(self, names: Mapping[str, str]) -> None:
        """Give collections other names by one change of one document; the readable aliases follow."""

        def edit(entries: dict[str, Entry]) -> list[Entry]:
            present = {entry.number: entry.name for entry in entries.values()}
            renamed: dict[str, str] = {}
            for old, new in names.items():
                entry = entries.get(same_name(old))
                if entry is None:
                    raise CollectionNotFound(old, present.values())
                renamed[entry.number] = collection_name(new)
            if len({same_name(new) for new in renamed.values()}) < len(names):
                raise InvalidArgument("two collections cannot have one name")
            for new in renamed.values():
                self._check_alias(new)
                holder = entries.get(same_name(new))
                if holder is not None and holder.number not in renamed:
                    raise InvalidArgument(f"there is a collection {new!r}")
            return [entry._replace(name=renamed.get(entry.number, entry.name)) for entry in entries.values()]

        if names:
            self._catalog.change(edit)
            self._publish_names()

    def delete(self, entry: Entry) -> int:
        """Delete a collection with its index, and return how many records it had."""
        try:
            (count,) = self._counts([entry])
        except IndexGone:
            count = 0
        self._catalog.change(lambda entries: [one for one in entries.values() if one.number != entry.number])
        self._delete_index(entry.number)
        return count

    def _check_there(self, entries: Sequence[Entry]) -> None:
        """Refuse a catalogue that names an index that is not there.

        Raises:
            StoreCorrupt: one was deleted, and not by us.
        """
        present = {entry.number for entry in self._catalog.entries().values()}
        for entry in entries:
            index, alias = self._catalog.data_index(entry.number), self._catalog.alias(entry.number)
            lost = self._client.request("GET", f"/{alias}/_alias", allow=(_MISSING,)).status == _MISSING
            if lost and entry.number in present:
                raise StoreCorrupt(
                    self._address.url,
                    f"the index {index} of collection {entry.name!r}, or its alias {alias}, was deleted on "
                    f"the server; restore it, or delete the collection",
                )

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

    def _make_index(self, number: str, dimension: int) -> None:
        # Acknowledged is what is on disk: the server's default, which a template could have changed.
        settings: dict[str, Any] = {"index.translog.durability": "request"}
        if self._address.shards is not None:
            settings["index.number_of_shards"] = self._address.shards
        if self._address.replicas is not None:
            settings["index.number_of_replicas"] = self._address.replicas
        body = {
            "settings": settings,
            "mappings": mapping(dimension),
            "aliases": {self._catalog.alias(number): {}},
        }
        self._client.make_index(self._catalog.data_index(number), body)

    def _delete_index(self, number: str) -> None:
        self._client.request("DELETE", f"/{self._catalog.data_index(number)}", allow=(_MISSING,))
        self._catalog.forget(number)

    def _readable_alias(self, name: str) -> str:
        alias = f"{self._address.prefix}-{same_name(name)}"
        if len(alias.encode()) <= _NAME_BYTES:
            return alias
        return f"{self._address.prefix}-{hashlib.sha256(alias.encode()).hexdigest()[:32]}"

    def _publish_names(self) -> None:
        """Make the readable aliases those that the catalogue says, in one step."""
        entries = self._catalog.entries()
        while True:
            wanted = {
                (self._catalog.data_index(entry.number), self._readable_alias(entry.name))
                for entry in entries.values()
            }
            found = self._client.request("GET", f"/{self._address.prefix}.*.data/_alias").body
            have = {
                (index, alias)
                for index, one in found.items()
                for alias in one["aliases"]
                if alias.startswith(f"{self._address.prefix}-")
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
            entries, before = self._catalog.entries(), entries
            if done and entries == before:
                return

    def _sweep(self, number: str) -> None:
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
        old = {one for one, created in born.items() if created < born.get(number, 0) - ABANDONED_MS}
        if old:
            for abandoned in old - {entry.number for entry in self._catalog.entries().values()}:
                self._delete_index(abandoned)
