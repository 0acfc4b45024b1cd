"""Readiness: opens models and reads collections before the first request."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from PIL import Image

from lookalike.embedders.protocol import TextEmbedder
from lookalike.errors import CollectionEmpty, EmbedderUnknown, ExtraMissing, InvalidArgument, LookalikeError
from lookalike.search.query import Embedding, Text, Vector
from lookalike.search.query import Image as Picture
from lookalike.server.http.problems import Refused

if TYPE_CHECKING:
    from lookalike.embedders.protocol import Embedder
    from lookalike.server.service import Service
    from lookalike.types import CollectionInfo

_LOG = logging.getLogger("lookalike.server")

# Between two tries to open what could not be opened.
_AGAIN = 10.0
# For which an answer of the store is believed, and how long it may take: /readyz asks for no key, and is to
# cost nobody anything.
_BELIEVED = 1.0
_PATIENCE = 5.0


class NotReady(Refused):
    """503: not ready."""

    def __init__(self, reason: str) -> None:
        """Say why.

        Args:
            reason: in words that everybody may read.
        """
        super().__init__(503, reason, {"Retry-After": "5"})


class Readiness:
    """Warms models and collections in the background, and says whether that is done."""

    def __init__(self, service: Service) -> None:
        """Prepare the thread; `start` starts it.

        Args:
            service: what is to be ready.
        """
        self._service = service
        self._reason: str | None = "the service starts"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._warm, name="warm", daemon=True)
        self._known: tuple[float, str | None] = (float("-inf"), None)

    @property
    def damaged(self) -> int:
        """How many records were found damaged."""
        return len(self._service.database.damage())

    def start(self) -> None:
        """Open models and read collections, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Be ready no more; the service still answers what it accepted."""
        self._stopping.set()

    def close(self) -> None:
        """Wait for the thread."""
        self._stopping.set()
        self._thread.join()

    async def problem(self) -> str | None:
        """Return why the service is not ready; None where it is."""
        if self._stopping.is_set():
            return "the service is stopping"
        if self._reason is not None:
            return self._reason
        asked, reason = self._known
        if time.monotonic() - asked >= _BELIEVED:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await asyncio.to_thread(self._service.served)
                reason = None
            except TimeoutError:
                reason = f"the store did not answer within {_PATIENCE:g} seconds"
            except LookalikeError as error:
                _LOG.warning("not ready: %s", error)
                reason = f"the store does not answer ({type(error).__name__})"
            self._known = (time.monotonic(), reason)
        return reason

    def _warm(self) -> None:
        told: list[str] = []
        before = None
        while not self._stopping.is_set():
            try:
                wrong, unasked = self._warm_all()
            except Exception as error:  # noqa: BLE001 the service can still answer
                _LOG.exception("unexpected error")
                wrong, unasked = {f"something went wrong ({type(error).__name__})": ""}, []
            for line in unasked:
                if line not in told:
                    told.append(line)
                    _LOG.warning("%s", line)
            if not wrong:
                self._reason = None
                _LOG.info("ready")
                for line in self._service.database.problems:
                    _LOG.warning("%s", line)
                return
            self._reason = "; ".join(wrong)
            said = " ".join(wrong.values())
            if said != before:
                before = said
                _LOG.warning("not ready: %s", said)
            self._stopping.wait(_AGAIN)

    def _warm_all(self) -> tuple[dict[str, str], list[str]]:
        """Warm every collection.

        Returns:
            What went wrong, in words for everybody, and in those for the log; and for the log what cannot be
            asked by a name that only some questions give.
        """
        wrong: dict[str, str] = {}
        unasked: list[str] = []
        try:
            served = self._service.served()
            if not served:  # a store is made when first written: one that is named wrongly is empty
                _LOG.warning("no collection is in %s yet", self._service.database.url)
            for collection in served:
                if self._stopping.is_set():
                    break
                try:
                    unasked += warm(self._service, collection)
                except LookalikeError as error:
                    # Who needs no key is not told what the collections are called; the log says it.
                    reason = f"a collection cannot be asked ({type(error).__name__})"
                    wrong[reason] = f"{wrong.get(reason, '')} collection {collection.name!r}: {error}".strip()
        except LookalikeError as error:
            wrong[f"the store does not answer ({type(error).__name__})"] = str(error)
        return wrong, unasked


def warm(service: Service, collection: CollectionInfo) -> list[str]:
    """Search a collection once, by image and by text, so that the first client need not wait.

    The models of its other vectors are opened and run once, too; those vectors are read when they are asked
    for: in memory they would take their place from what nobody has to name.

    Returns:
        Why some of the other vectors cannot be asked, a line each.

    Raises:
        LookalikeError: it cannot be asked by its default vector.
    """
    handle = service.database[collection.name]
    made_by = {collection.space.embedder_fingerprint}
    queries: list[Picture | Text | Vector]
    try:
        queries = [*_queries(service, handle.vectors.embedder())]
    except EmbedderUnknown:  # vectors and its own images can be asked for
        queries = [Vector([1.0] * collection.space.dimension)]
    for query in queries:
        with suppress(CollectionEmpty, InvalidArgument):
            handle.search(query, k=1)
    words = any(isinstance(query, Text) for query in queries)
    unasked = []
    for vector in collection.vectors:
        if not vector.ready or vector.space.embedder_fingerprint in made_by:
            continue
        made_by.add(vector.space.embedder_fingerprint)
        try:
            for query in _queries(service, handle.vectors.embedder(vector.name)):
                # Words go to the first vector whose model reads them, whether it is named or not.
                if isinstance(query, Text) and not words:
                    words = True
                    with suppress(CollectionEmpty, InvalidArgument):
                        handle.search(query, k=1, using=vector.name)
        except LookalikeError as error:
            unasked.append(f"collection {collection.name!r}, vector {vector.name!r}: {error}")
    return unasked


def _queries(service: Service, embedder: Embedder) -> list[Picture | Text]:
    """Return a picture that an embedder has embedded, and a text where it reads texts."""
    service.database.features(embedder)
    side = embedder.input_size
    (features,) = embedder.embed([Image.new("RGB", (side, side), "gray")])
    made_by = embedder.fingerprint
    queries: list[Picture | Text] = [Picture("a grey picture", Embedding(features, made_by))]
    if isinstance(embedder, TextEmbedder):
        with suppress(ExtraMissing, InvalidArgument):  # it has no text side here, or knows no such words
            (row,) = embedder.embed_texts(["a picture"])
            queries.append(Text("a picture", Embedding(row, made_by)))
    return queries
