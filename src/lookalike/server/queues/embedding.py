"""Pictures and texts of many requests, embedded together."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.pipeline import Upload, embed_batch
from lookalike.server.queues.work import settle
from lookalike.server.wire.problems import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.embedders import Embedder, TextEmbedder
    from lookalike.features import FeatureCache
    from lookalike.pipeline import EmbeddedFile
    from lookalike.records import Skipped

# Texts that go to a model at once. Of pictures it is the model's `batch_size`: where that is 1, as on a CPU,
# more of them would only wait for the last.
_TEXTS = 8


@dataclass(slots=True)
class _Item:
    """One picture or text on its way."""

    key: tuple[str, str]
    """Only items of the same key are embedded together."""
    size: int
    """Items that the model takes at once."""
    embed: Callable[[list[Any]], Sequence[Any]]
    payload: Any
    future: asyncio.Future[Any]


class EmbedQueue:
    """Embeds what requests bring, in batches across requests, on a thread for each core."""

    def __init__(self, limit: int, max_pixels: int, workers: int = 0) -> None:
        """Start the threads.

        Args:
            limit: pictures and texts that may wait.
            max_pixels: pictures with more pixels are skipped.
            workers: threads; 0: one for each core.
        """
        self._limit = limit
        self._max_pixels = max_pixels
        self._waiting: deque[_Item] = deque()
        self._lock = threading.Lock()  # of `_waiting` and `_idle`
        # What wakes each thread that has nothing to do. The one that worked last is woken first: its memory
        # is still in its core's caches.
        self._idle: list[threading.Condition] = []
        self._closing = False
        count = workers or len(os.sched_getaffinity(0))
        self._threads = [
            threading.Thread(target=self._work, name=f"embed-{number}", daemon=True)
            for number in range(count)
        ]
        self.batches = 0
        """Calls of a model so far."""
        self.embedded = 0
        """Pictures and texts in them."""
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Pictures and texts that wait."""
        return len(self._waiting)

    async def pictures(
        self, uploads: Sequence[Upload], embedder: Embedder, cache: FeatureCache
    ) -> list[EmbeddedFile | Skipped]:
        """Embed pictures.

        Args:
            uploads: any number up to the limit.
            embedder: what embeds.
            cache: its features, which are looked up and not added to: a question leaves no trace.

        Returns:
            One value for each, in order.

        Raises:
            Overloaded: too many wait.
        """

        def embed(batch: list[Upload]) -> Sequence[EmbeddedFile | Skipped]:
            return embed_batch(batch, embedder, cache, self._max_pixels)

        return await self._put(("pictures", embedder.fingerprint), embedder.batch_size, embed, uploads)

    async def texts(self, texts: Sequence[str], reader: TextEmbedder) -> list[NDArray[np.float32]]:
        """Embed texts, each into features of shape (d,), in order.

        Raises:
            Overloaded: too many wait.
        """
        return await self._put(("texts", reader.text_fingerprint), _TEXTS, reader.embed_texts, texts)

    def close(self) -> None:
        """Embed what waits, and end the threads."""
        with self._lock:
            self._closing = True
            self._wake(len(self._idle))
        for thread in self._threads:
            thread.join()

    async def _put(
        self, key: tuple[str, str], size: int, embed: Callable[[list[Any]], Any], payloads: Sequence[Any]
    ) -> list[Any]:
        loop = asyncio.get_running_loop()
        items = [_Item(key, size, embed, payload, loop.create_future()) for payload in payloads]
        with self._lock:
            if self._closing:
                raise Overloaded("the service is stopping")
            if len(self._waiting) + len(items) > self._limit:
                raise Overloaded(
                    f"{len(self._waiting)} pictures and texts wait already; ask again in a moment"
                )
            self._waiting.extend(items)
            self._wake(len(items))
        # Most requests bring one, for which `gather` only takes time.
        if len(items) == 1:
            return [await items[0].future]
        return await asyncio.gather(*(item.future for item in items))

    def _wake(self, most: int) -> None:
        """Wake so many threads, if so many are idle; the lock is held."""
        for _ in range(min(most, len(self._idle))):
            self._idle.pop().notify()

    def _work(self) -> None:
        awake = threading.Condition(self._lock)
        while batch := self._take(awake):
            _embed(batch)
            # Pictures are not to be held until the next ones come.
            del batch

    def _take(self, awake: threading.Condition) -> list[_Item]:
        """Wait for items and return those for one call; none when all is done and the queue closes."""
        with self._lock:
            while True:
                while self._waiting and self._waiting[0].future.cancelled():
                    self._waiting.popleft()
                if self._waiting:
                    break
                if self._closing:
                    return []
                self._idle.append(awake)
                awake.wait()
            # An even part of what waits: the other threads are to have something to do as well.
            most = min(self._waiting[0].size, -(-len(self._waiting) // len(self._threads)))
            first = self._waiting.popleft()
            batch = [first]
            others: list[_Item] = []
            while self._waiting and len(batch) < most:
                item = self._waiting.popleft()
                if item.key != first.key:
                    others.append(item)
                elif not item.future.cancelled():
                    batch.append(item)
            self._waiting.extendleft(reversed(others))
            self.batches += 1
            self.embedded += len(batch)
        return batch


def _embed(batch: list[_Item]) -> None:
    """Embed items in one call; where that fails each alone, for one item's fault is not the others'."""
    try:
        answers = batch[0].embed([item.payload for item in batch])
        pairs = list(zip(batch, answers, strict=True))
    except BaseException as error:  # noqa: BLE001 it is the requests' and not this thread's
        if len(batch) == 1:
            settle(batch[0].future, None, error)
            return
        for item in batch:
            _embed([item])
        return
    for item, answer in pairs:
        settle(item.future, answer, None)
