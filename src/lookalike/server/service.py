"""The state that all requests of a service share: store, models, workers and caches."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeAlias

from fastapi import Depends, Request
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lookalike.errors import CollectionNotFound, StoreError
from lookalike.images.decoder_pool import POOL
from lookalike.schemas.values import Approximation, Hit, Image
from lookalike.search.hits import Hit as FoundHit
from lookalike.server.caches.classifiers import ClassifierCache
from lookalike.server.caches.embedders import EmbedderCache
from lookalike.server.caches.field_counts import FieldCountCache
from lookalike.server.caches.listings import ListingCache
from lookalike.server.caches.thumbnail_file import ThumbnailFile
from lookalike.server.caches.thumbnails import ThumbnailCache
from lookalike.server.caches.undo import UndoCache
from lookalike.server.storage.allowed_folders import AllowedFolders
from lookalike.server.storage.roots import Roots
from lookalike.server.storage.upload_folder import UploadFolder
from lookalike.server.workers.embedding_queue import MOST_LONG, EmbeddingQueue
from lookalike.server.workers.jobs import Jobs
from lookalike.server.workers.thread_pool import ThreadPool
from lookalike.server.workers.thumbnail_maker import ThumbnailMaker
from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lookalike.database import Database
    from lookalike.server.settings import Settings
    from lookalike.types import Approximation as FoundApproximation
    from lookalike.types import CollectionInfo, Neighbour, Record


# Seconds that questions to SQLite wait for the threads that are at work, see `ThreadPool`: more than most
# questions take, also where models want the cores, and less than anybody notices.
_PATIENCE = 0.03


class Service:
    """An open database with its worker threads, caches and served folders."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Start the worker threads.

        Until `close`, a matrix product of this process keeps to the thread that asks for it: where several
        requests search at once, products that take all cores wait for each other. Measured on 2 cores with 8
        clients: 180 searches a second among 2,000 images instead of 100.

        Args:
            database: the store and the models; the service does not close it.
            settings: what it was told.
        """
        self._products = threadpool_limits(1, user_api="blas")
        self.database = database
        self.settings = settings
        self.embedding_queue = EmbeddingQueue(settings.queue, settings.max_pixels, settings.workers)
        # SQLite answers in this process; elsewhere a thread mostly waits.
        patience = _PATIENCE if database.url.startswith("sqlite:") else 0.0
        self.store_pool = ThreadPool(settings.threads, settings.queue, patience)
        self.write_pool = ThreadPool(1, settings.queue)
        """Writes to collections, one at a time: the second sees what the first has done."""
        self.image_pool = ThreadPool(len(os.sched_getaffinity(0)), settings.queue)
        """Decodes images for thumbnails."""
        self.slow_image_pool = ThreadPool(1, MOST_LONG)
        """The same for images that may take long to decode: nobody else waits for them."""
        self._pools = (self.store_pool, self.write_pool, self.image_pool, self.slow_image_pool)
        self._stopped = ExitStack()
        self.roots = Roots(settings.roots, settings.uploads, database)
        self.folders = AllowedFolders(settings.roots)
        self.field_counts = FieldCountCache(database)
        self.listings = ListingCache(database)
        self.undo = UndoCache(self.delete_added)
        self.thumbnails = ThumbnailCache()
        self.thumbnail_file = ThumbnailFile(database.cache)
        self.thumbnail_maker = ThumbnailMaker()
        self.uploads = None if settings.uploads is None else UploadFolder(settings.uploads)
        self.classifiers = ClassifierCache(database)
        self.embedders = EmbedderCache(database, self.store_pool, self.collection)
        self.jobs = Jobs(settings.jobs)

    def abort(self) -> None:
        """Answer every waiting request with 503, and end slow decoding: the time to stop is over."""
        self._stopped.enter_context(POOL.stopped())
        self.jobs.abort()
        self.classifiers.abort()
        self.listings.abort()
        self.thumbnail_maker.abort()
        self.embedding_queue.abort()
        for pool in self._pools:
            pool.abort()

    def close(self) -> None:
        """Cancel jobs, finish what else was accepted, and end the threads.

        Nobody waits for an answer any more: what takes long to decode is for a job.
        """
        with self._stopped:
            self._stopped.enter_context(POOL.stopped())
            self._close()

    def _close(self) -> None:
        self.jobs.close()
        self.classifiers.close()
        self.listings.close()
        self.thumbnail_maker.close()
        self.embedding_queue.close()
        for pool in self._pools:
            pool.close()
        self.undo.close()
        self.thumbnail_file.close()
        self._products.restore_original_limits()

    def changed(self, name: str, ids: Sequence[str] | None = None) -> None:
        """Drop the cache entries of a collection that has changed.

        Args:
            name: the collection.
            ids: the records that came, changed or went; None: any.
        """
        self.classifiers.forget(name)
        self.field_counts.forget(name)
        self.listings.changed(name, ids)

    def delete_added(self, paths: Iterable[Path]) -> None:
        """Delete those files of added pictures that no record refers to; where the store does not say, none.

        Args:
            paths: of files; those that are not in the folder of added pictures are left alone.
        """
        if self.uploads is None:
            return
        try:
            gone = [
                path
                for path in paths
                if self.uploads.holds(path)
                and not any(
                    (other := local_path(record.uri)) is not None and other.name == path.name
                    for record in self.database.records_of(path.stem)
                )
            ]
        except StoreError:
            return
        self.uploads.remove(gone)

    def served(self) -> list[CollectionInfo]:
        """Return the collections that are served, in order; blocks."""
        known = {each.name.casefold(): each for each in self.database.collections()}
        if not self.settings.collections:
            return list(known.values())
        return [known[name.casefold()] for name in self.settings.collections if name.casefold() in known]

    def collection(self, name: str) -> CollectionInfo:
        """Return a collection that is served; blocks.

        Raises:
            CollectionNotFound: there is none of that name, or it is not served.
        """
        self.check_served(name)
        return self.database[name].info()

    def check_served(self, name: str) -> None:
        """Refuse the name of a collection that is not served, whether it is there or not.

        Raises:
            CollectionNotFound: it is not served.
        """
        names = [each.casefold() for each in self.settings.collections]
        if names and name.casefold() not in names:
            raise CollectionNotFound(name, self.settings.collections)

    def record(self, name: str, identity: str) -> tuple[CollectionInfo, Record]:
        """Return a collection that is served, and one of its records; blocks.

        Raises:
            CollectionNotFound: there is none of that name, or it is not served.
            ImageNotFound: no record has that id.
        """
        collection = self.collection(name)
        return collection, self.database[collection.name].record(identity)

    def image(self, record: Record) -> Image:
        """Convert a record to its schema."""
        return Image(id=record.id, name=self.roots.name(record), fields=dict(record.fields))

    def neighbours(self, neighbours: Sequence[Neighbour]) -> list[Hit]:
        """Convert neighbours to their schema, in their order."""
        return self.hits([FoundHit(each.record, each.similarity) for each in neighbours])

    def hits(self, hits: Sequence[FoundHit]) -> list[Hit]:
        """Convert hits to their schema, in their order."""
        names = self.roots.names(hit.record for hit in hits)
        return [
            Hit(
                id=hit.record.id,
                name=name,
                fields=dict(hit.record.fields),
                similarity=hit.similarity,
                score=hit.score,
                by_vectors=hit.by_vectors,
                by_words=hit.by_words,
                weak=hit.weak,
            )
            for hit, name in zip(hits, names, strict=True)
        ]


def shown_approximation(found: FoundApproximation | None) -> Approximation | None:
    """Convert an approximate index to its schema."""
    return None if found is None else Approximation(**asdict(found))


def service_of(request: Request) -> Service:
    """Return the service that answers a request."""
    service: Service = request.app.state.service
    return service


async def _service_of(request: Request) -> Service:  # FastAPI calls what is not async in a thread
    return service_of(request)


InjectedService: TypeAlias = Annotated[Service, Depends(_service_of)]
"""The service, as a FastAPI dependency of a route."""
