"""The database: a store, the caches and the models that were opened for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import platformdirs

from lookalike.collection import Collection
from lookalike.embedders.models import DEFAULT_MODEL, Models
from lookalike.embedders.registry import known_cards
from lookalike.embedders.unknown import unknown_space
from lookalike.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidArgument,
    PathNotFound,
    StoreForeign,
    Unanswerable,
)
from lookalike.handles.arguments import pictures_of
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.indexed_folders import forget_indexed, indexed_paths, notes_state, remember_indexed
from lookalike.opened import Opened
from lookalike.progress import silent
from lookalike.search.neighbours import embed_paths
from lookalike.search.query import alternatives
from lookalike.sources.locations import folder_uri, location_of
from lookalike.stores.registry import TIMEOUT, check_approximate, open_store
from lookalike.stores.sql import SECONDS
from lookalike.types import Space
from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Card, Device, Embedder
    from lookalike.handles.arguments import Paths
    from lookalike.ingest.indexed_folders import Indexed
    from lookalike.integrity.finding import Finding
    from lookalike.integrity.machine import Examined
    from lookalike.progress import Progress
    from lookalike.search.neighbours import PlainVector
    from lookalike.search.query import Conditions
    from lookalike.stores.attached.attaching import Attached
    from lookalike.stores.attached.description import Attachment
    from lookalike.stores.attached.foreign import Tally
    from lookalike.stores.damage import Damage
    from lookalike.stores.documents import KeepsDocuments
    from lookalike.stores.store import Store
    from lookalike.transfer.copy import CopyReport
    from lookalike.transfer.parity import Parity
    from lookalike.types import CollectionInfo, Record, Skipped, Table


def default_cache() -> Path:
    """Return the user's cache folder, for models and features."""
    return Path(platformdirs.user_cache_dir("lookalike"))


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, and how much it read."""

    findings: list[Finding]
    records: int
    features: int
    """Images whose kept features were read."""
    pictures: int | None
    """Added pictures that were looked at; None where none were to be."""


class Database:
    """A store, the caches and the models that were opened for it; threads may share it.

    Those that index, fit or correct one collection take turns. Several processes may open one store. Every
    method may raise a StoreError.
    """

    def __init__(
        self,
        url: str,
        *,
        cache: str | Path | None = None,
        timeout: float = TIMEOUT,
        weights: str | Path | None = None,
        device: Device = "auto",
    ) -> None:
        """Open a store; see `open`."""
        folder = default_cache() if cache is None else Path(cache)
        store = open_store(url, timeout, cache=folder)
        self._models = Models(folder, None if weights is None else Path(weights), device)
        self._store = store
        self._opened = Opened(store, self._models, url, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    def close(self) -> None:
        """Close the store and the caches. A second call does nothing."""
        self._models.close()
        self._store.close()

    # What it holds

    def __getitem__(self, name: str) -> Collection:
        """Return the handle of a collection, which need not be there yet: `index` makes it."""
        return Collection(self._opened, name)

    def create(self, name: str, model: str, *, index_name: str | None = None) -> Collection:
        """Make an empty collection.

        Args:
            name: letters, digits, `_` and `-` of any script, at most 64.
            model: its embedder; its weights have to be on this machine.
            index_name: a name for its index; of Elasticsearch stores alone.

        Raises:
            InvalidArgument: a name that cannot be used.
            CollectionExists: one that is taken.
            ModelNotFound: no embedder is called so.
        """
        with suppress(CollectionNotFound):
            raise CollectionExists(self._store.collection(name).name)
        embedder = self.embedder(model)
        space = Space(embedder.name, embedder.fingerprint, embedder.dimension)
        documents = self.documents
        if index_name is not None:
            if documents is None:
                raise InvalidArgument("an index name is for Elasticsearch stores, which have indexes")
            documents.check_index_name(name, index_name)
        made = self[self._store.create(name, space).name]
        if documents is not None and index_name is not None:
            documents.set_index_name(made.name, index_name)
        return made

    def attach(
        self,
        table: str,
        name: str | None = None,
        *,
        model: str | None = None,
        space: str | None = None,
        id: str | None = None,  # noqa: A002 as it is called in tables
        vector: str | None = None,
        path: str | None = None,
        base: str | Path | None = None,
        fields: Mapping[str, str] | None = None,
        metadata: str | None = None,
        digest: str | None = None,
        writable: bool = False,
        dry_run: bool = False,
    ) -> Attached:
        """Make a collection of a table or view that somebody else made and goes on writing.

        Nothing is copied, and nothing is changed in the database: it is noted in the cache folder what is
        where. What is not said of the columns is guessed, and told. Attached again, a table is what is said
        then.

        Args:
            table: its name, with its schema where it needs one.
            name: of the collection; None: the table's.
            model: the embedder that the vectors were made by; its weights have to be on this machine.
            space: instead, a name for an embedder that is unknown here: then vectors answer, and neither
                pictures nor texts can be asked for.
            id: the column that names the rows.
            vector: the column of vectors.
            path: the column of the pictures' paths or URIs, or `column:$.path.in.json`.
            base: the folder, or the URI of a bucket's, that relative paths are relative to.
            fields: of each field a column, or `column:$.path[*].in.json`.
            metadata: the column of JSON that is given as metadata.
            digest: the column with the SHA-256 of the pictures.
            writable: write corrections into the table, and remove rows from it; never its columns or indexes.
            dry_run: look at it only.

        Raises:
            InvalidArgument: the table is not as said, or what is meant cannot be guessed; neither a model nor
                a space is named, or the model's vectors have another dimension.
            TableNotFound: there is no such table, view or column.
            CollectionExists: a collection that is no attached table has that name.
            ModelNotFound, WeightsMissing, ExtraMissing: of the embedder.
        """
        from lookalike.stores.attached.attaching import Attached, Columns, attachable_name, describe

        tables = self._store.attached
        found = tables.find(table)
        kept = attachable_name(found) if name is None else name
        columns = Columns(id, vector, path, _base_uri(base), fields or {}, metadata, digest)
        attachment = describe(
            found, kept, columns, lambda dimension: self._space_of(model, space, dimension), writable=writable
        )
        if not tables.has(attachment.name):
            with suppress(CollectionNotFound, StoreForeign):
                raise CollectionExists(self._store.collection(attachment.name).name)
        tally = tables.table_of(attachment).tally(thorough=True)
        if dry_run:
            return Attached(attachment, found, tally, None, None)
        tables.notes.keep(attachment)
        reason = None
        try:
            if tally.records:
                self._store.build_index(attachment.name)
        except Unanswerable as error:
            reason = str(error)
        if attachment.base is not None and (folder := location_of(attachment.base)) is not None:
            remember_indexed(self.cache, self.url, attachment.name, [folder])
        collection = self._store.collection(attachment.name)
        return Attached(tables.attachment(attachment.name), found, tally, collection, reason)

    def detach(self, name: str) -> str:
        """Forget that a table was attached, and return what it is called; nothing is changed in it.

        Raises:
            CollectionNotFound: no table is attached under that name.
        """
        tables = self._store.attached
        attachment = tables.attachment(name)
        tables.notes.forget(name)
        forget_indexed(self.cache, self.url, attachment.name)
        return attachment.table

    def tally(self, name: str) -> Tally:
        """Count the rows of an attached table: those that are records, and those that are left out, and why.

        Raises:
            CollectionNotFound: no table is attached under that name.
        """
        tables = self._store.attached
        return tables.tally(tables.attachment(name))

    def attached(self) -> list[Attachment]:
        """Return which tables of others are attached, by the names of their collections."""
        with suppress(InvalidArgument):  # a store that attaches none
            return sorted(self._store.attached.notes.all().values(), key=lambda one: one.name)
        return []

    def _space_of(self, model: str | None, space: str | None, dimension: int | None) -> Space:
        if (model is None) is (space is None):
            raise InvalidArgument(
                "say which model the vectors are of (--model), or give an unknown one a name (--space)"
            )
        if space is not None:
            if dimension is None:
                raise InvalidArgument("the table does not say how many numbers its vectors have: it is empty")
            return unknown_space(space, dimension)
        embedder = self.embedder(model or "")
        if dimension not in (None, embedder.dimension):
            raise InvalidArgument(
                f"the vectors have {dimension:,} numbers, and those of {model} have {embedder.dimension:,}"
            )
        return Space(embedder.name, embedder.fingerprint, embedder.dimension)

    def collections(self) -> list[CollectionInfo]:
        """Return what the store says of its collections, by name."""
        return self._store.collections()

    def sql(self, statement: str, seconds: float = SECONDS) -> Table:
        """Answer one SQL statement that only reads.

        Args:
            statement: in the store's own SQL.
            seconds: after which it is stopped, above 0.

        Raises:
            QueryRefused: it does not parse, fails, or would write; or the store speaks no SQL.
            QueryStopped: it takes longer, or its answer is too large.
        """
        return self._store.sql(statement, seconds)

    def records_of(self, digest: str) -> list[Record]:
        """Return the records of all collections whose file has this SHA-256."""
        return [
            record
            for collection in self._store.collections()
            for record in self._store.get(collection.name, self._store.ids_by_digest(collection.name, digest))
        ]

    # What is known of itself

    @property
    def store(self) -> Store:
        """The store itself, for what is not offered here; whoever writes to it answers for what it holds."""
        return self._store

    @property
    def documents(self) -> KeepsDocuments | None:
        """The indexes of an Elasticsearch store, and the way to ask its server; None with other stores."""
        return self._store.documents

    @property
    def url(self) -> str:
        """The store's URL, without a password."""
        return self._store.url

    @property
    def cache(self) -> Path:
        """The user's cache folder, for models and features."""
        return self._models.cache

    @property
    def problems(self) -> list[str]:
        """What went on without being as it should be, one line each: caches that cannot be kept, say."""
        found = [*self._models.problems, *getattr(self._store, "problems", ())]
        if self._opened.unnoted is not None:
            found.append(
                f"not noted which folder was indexed ({self._opened.unnoted}): `serve` needs --root for it"
            )
        return found

    def damage(self) -> list[Damage]:
        """Return the records that were found damaged since the store was opened; no answer has them."""
        return self._store.damage.found()

    def indexed(self) -> dict[str, Indexed]:
        """Return which folders and files were indexed on this machine, by the collection's folded name."""
        return indexed_paths(self.cache, self.url)

    def indexed_state(self) -> tuple[int, int, int] | None:
        """Return what changes whenever `indexed` does; None where nothing was ever indexed here."""
        return notes_state(self.cache)

    # Its models

    def models(self) -> list[Card]:
        """Return the cards of the embedders that are part of lookalike and of well-known ones."""
        return list(known_cards(self.cache).values())

    def embedder(self, model: str) -> Embedder:
        """Return an embedder, which is opened once; nothing is fetched.

        Raises:
            ModelNotFound: nothing is registered under that name.
            ExtraMissing: the packages that run it are not installed.
            WeightsMissing: its weights are not here.
        """
        return self._models.embedder(model)

    def use(self, embedder: Embedder) -> None:
        """Take an embedder that was opened elsewhere, under its name."""
        self._models.use(embedder)

    def embed(
        self,
        images: Paths,
        model: str = DEFAULT_MODEL,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[PlainVector | Skipped]:
        """Embed images with a model, apart from any collection.

        Args:
            images: one path, or several; `film.mp4#t=12.5` is a frame.
            model: the embedder.
            max_pixels: images with more pixels are skipped.

        Yields:
            One value for each image, in order; its vector is of length 1.
        """
        embedder = self.embedder(model)
        return embed_paths(list(pictures_of(images)), embedder, self.features(embedder), max_pixels)

    def features(self, embedder: Embedder) -> FeatureCache:
        """Return the feature cache of an embedder."""
        return self._models.features(embedder)

    # Its care

    def check(
        self, *, uploads: str | Path | None = None, repair: bool = False, progress: Progress = silent
    ) -> CheckReport:
        """Verify the store and the cache: each vector, label and kept feature against its checksum.

        Args:
            uploads: also the pictures that were added to a service: its folder of uploads.
            repair: mend what can be mended.
            progress: called with records read and records to read.

        Raises:
            StoreError: the store cannot be read at all, and not because it is damaged.
        """
        from lookalike.integrity.cache_check import check_cache
        from lookalike.integrity.store_check import check_store
        from lookalike.integrity.uploads_check import check_uploads

        # The cache first: damaged records are mended from it.
        findings, features = check_cache(self.cache, repair=repair)
        found, records = check_store(self._store, self._models, repair=repair, progress=progress)
        findings += found
        pictures = None
        if uploads is not None:
            found, pictures = check_uploads(self._store, Path(uploads), repair=repair)
            findings += found
        return CheckReport(findings, records, features, pictures)

    def check_approximate(self) -> None:
        """Refuse an approximate index that could not be built, before the work that comes first.

        Raises:
            ExtraMissing: the package that makes it is not installed.
        """
        check_approximate(self.url)

    def copyable(self) -> list[str]:
        """Return the names of the collections that can be copied; a fitted one brings all its vectors."""
        from lookalike.transfer.copy import copyable

        return copyable(self._store)

    def copy(
        self, name: str, target: Database, *, prune: bool = False, progress: Progress = silent
    ) -> CopyReport:
        """Copy a collection into another store, or bring the one that is there up to date.

        Args:
            name: the collection.
            target: where it shall be too.
            prune: remove from a collection that is there what this one does not have.
            progress: called with records looked at, and records to look at.

        Returns:
            What was done. Where it is not verified, the same call goes on from there.

        Raises:
            CollectionNotFound: there is none of that name.
            InvalidArgument: both stores are one, or the name is not one to copy.
            TargetDiffers: the target has one of that name and of another space.
        """
        from lookalike.transfer.copy import copy

        report = copy(self._store, target.store, name, prune=prune, progress=progress)
        bases = self[name].indexed().bases if self.documents is None else self.documents.path_bases(name)
        if bases and target.documents is not None:
            target.documents.set_path_bases(name, bases)
        elif bases:
            remember_indexed(target.cache, target.url, name, [], bases=bases)
        return report

    def parity(
        self,
        others: Sequence[Database],
        name: str,
        *,
        queries: int = 200,
        k: int = 10,
        where: Conditions | None = None,
        approximate: bool = False,
        progress: Progress = silent,
    ) -> Parity:
        """Ask several stores for the neighbours of a collection's own images, and compare what they say.

        Args:
            others: what is compared with this one.
            name: the collection.
            queries: images that are asked for, at least 1.
            k: neighbours per query, at least 1.
            where: one more filter.
            approximate: let all stores use their approximate index.
            progress: called with questions answered and questions to answer.

        Raises:
            CollectionNotFound: there is none of that name here.
            InvalidArgument: no other store, or a number below 1.
            Unanswerable: the collection is empty here.
        """
        from lookalike.transfer.parity import parity

        stores = [each.store for each in (self, *others)]
        return parity(
            stores,
            name,
            queries=queries,
            k=k,
            where=alternatives(where),
            approximate=approximate,
            progress=progress,
        )


def _base_uri(base: str | Path | None) -> str | None:
    """Return the URI of a folder with a slash at its end.

    Raises:
        PathNotFound: it is no folder of this machine, and no bucket's.
    """
    if base is None:
        return None
    uri = folder_uri(base)
    folder = local_path(uri)
    if folder is not None and not folder.is_dir():
        raise PathNotFound(str(base))
    return uri


def open(  # noqa: A001 - it is called lookalike.open
    url: str,
    *,
    cache: str | Path | None = None,
    timeout: float = TIMEOUT,
    weights: str | Path | None = None,
    device: Device = "auto",
) -> Database:
    """Open a store; it is made when something is first written.

    Args:
        url: `sqlite:///parts.db`, `postgresql://…`, `elasticsearch+http://…` or `oracle://…`.
        cache: a folder for models and features; None: the user's cache folder.
        timeout: seconds to wait for a server, or for another process's lock.
        weights: a folder with the weights of models of the hub; None: the hub's own cache.
        device: where models run.

    Raises:
        InvalidArgument: no store speaks that URL.
        ExtraMissing: the store's client is not installed.
        StoreError: it is there and cannot be opened.
    """
    return Database(url, cache=cache, timeout=timeout, weights=weights, device=device)


def examine(url: str, *, cache: str | Path | None = None, timeout: float = TIMEOUT) -> Iterator[Examined]:
    """Look at what lookalike stands on: versions, runtime, cache, store, models, extras; nothing is fetched.

    Args:
        url: of the store, as for `open`.
        cache: a folder for models and features; None: the user's cache folder.
        timeout: seconds to wait for the store.

    Yields:
        What was looked at, and what to run where something does not work; nothing is raised for it.
    """
    from lookalike.integrity.machine import examine_machine

    return examine_machine(url, default_cache() if cache is None else Path(cache), timeout)
