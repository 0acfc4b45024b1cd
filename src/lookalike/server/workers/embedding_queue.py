"""Batches images and texts of concurrent requests for the model.

Pictures that may take long to decode have a thread of their own, so that nobody else waits for them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lookalike.images.decoding import may_take_long
from lookalike.ingest.embedding import embed_batch
from lookalike.server.http.problems import Overloaded
from lookalike.server.workers.thread_pool import settle, stopped_error
from lookalike.sources.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Embedder, TextEmbedder
    from lookalike.ingest.embedding import EmbeddedFile
    from lookalike.types import Skipped

# Texts that go to a model at once. Of pictures it is the model's `batch_size`: where that is 1, as on a CPU,
# more of them would only wait for the last.
_TEXTS = 8


@dataclass(slots=True)
class _Item:
    """One image or text to embed."""

    key: tuple[str, str]
    """Only items of the same key are embedded together."""
    size: int
    """Items that the model takes at once."""
    embed: Callable[[list[Any]], Sequence[Any]]
    payload: Any
    future: asyncio.Future[Any]
    takes_long: Callable[[Any], bool] | None = None
    """Tells whether a payload may take long; it takes some time itself."""


MOST_LONG = 32
"""Pictures that may take long to decode and wait; one more is refused."""


class _Lane:
    """A queue of items, and the threads that serve it."""

    def __init__(self) -> None:
        self.waiting: deque[_Item] = deque()
        # What wakes each thread that has nothing to do. The one that worked last is woken first: its memory
        # is still in its core's caches.
        self.idle: list[threading.Condition] = []
        self.threads: list[threading.Thread] = []
        self.closing = False
        """Whether nothing more comes."""

    def wake(self, most: int) -> None:
        """Wake so many threads, if so many are idle; the lock is held."""
        for _ in range(min(most, len(self.idle))):
            self.idle.pop().notify()


class EmbeddingQueue:
    """Embeds images and texts in batches across requests, a thread for each core and one for slow images."""

    def __init__(self, limit: int, max_pixels: int, workers: int = 0) -> None:
        """Start the threads.

        Args:
            limit: pictures and texts that may wait.
            max_pixels: pictures with more pixels are skipped.
            workers: threads; 0: one for each core.
        """
        self._limit = limit
        self._max_pixels = max_pixels
        self._lock = threading.Lock()  # of what waits and who is idle
        self._quick, self._long = _Lane(), _Lane()
        self._closing = self._aborted = False
        count = workers or len(os.sched_getaffinity(0))
        self._quick.threads = [
            threading.Thread(target=self._work, args=(self._quick,), name=f"embed-{number}", daemon=True)
            for number in range(count)
        ]
        self._long.threads = [
            threading.Thread(target=self._work, args=(self._long,), name="embed-long", daemon=True)
        ]
        self.batches = 0
        """Calls of a model so far."""
        self.embedded = 0
        """Pictures and texts in them."""
        for thread in (*self._quick.threads, *self._long.threads):
            thread.start()

    @property
    def waiting(self) -> int:
        """Pictures and texts that wait."""
        return len(self._quick.waiting) + len(self._long.waiting)

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

        def takes_long(upload: Upload) -> bool:
            return may_take_long(upload.data, embedder.input_size, self._max_pixels)

        key = "pictures", embedder.fingerprint
        return await self._put(key, embedder.batch_size, embed, uploads, takes_long)

    async def texts(self, texts: Sequence[str], reader: TextEmbedder) -> list[NDArray[np.float32]]:
        """Embed texts, each into features of shape (d,), in order.

        Raises:
            Overloaded: too many wait.
        """
        return await self._put(("texts", reader.text_fingerprint), _TEXTS, reader.embed_texts, texts)

    def abort(self) -> None:
        """Answer what waits with a refusal, and take nothing more: the service stops, its time is over."""
        with self._lock:
            self._closing = self._aborted = True
            items = [*self._quick.waiting, *self._long.waiting]
            self._quick.waiting.clear()
            self._long.waiting.clear()
        for item in items:
            settle(item.future, None, stopped_error())

    def close(self) -> None:
        """Embed what waits, and end the threads."""
        with self._lock:
            self._closing = True
        # What takes long comes from the first lane into the second, which so closes after it.
        for lane in (self._quick, self._long):
            with self._lock:
                lane.closing = True
                lane.wake(len(lane.idle))
            for thread in lane.threads:
                thread.join()

    async def _put(
        self,
        key: tuple[str, str],
        size: int,
        embed: Callable[[list[Any]], Any],
        payloads: Sequence[Any],
        takes_long: Callable[[Any], bool] | None = None,
    ) -> list[Any]:
        loop = asyncio.get_running_loop()
        items = [_Item(key, size, embed, payload, loop.create_future(), takes_long) for payload in payloads]
        with self._lock:
            if self._closing:
                raise Overloaded("the service is stopping")
            if self.waiting + len(items) > self._limit:
                raise Overloaded(f"{self.waiting} pictures and texts wait already; ask again in a moment")
            self._quick.waiting.extend(items)
            self._quick.wake(len(items))
        # Most requests bring one, for which `gather` only takes time.
        if len(items) == 1:
            return [await items[0].future]
        return await asyncio.gather(*(item.future for item in items))

    def _work(self, lane: _Lane) -> None:
        awake = threading.Condition(self._lock)
        while batch := self._take(lane, awake):
            if lane is self._quick:
                batch = self._kept(batch)
            if batch:
                with self._lock:
                    self.batches += 1
                    self.embedded += len(batch)
                self._embed(batch)
            # Pictures are not to be held until the next ones come.
            del batch

    def _take(self, lane: _Lane, awake: threading.Condition) -> list[_Item]:
        """Wait for items and return those for one call; none when all is done and the queue closes."""
        with self._lock:
            waiting = lane.waiting
            while True:
                while waiting and waiting[0].future.cancelled():
                    waiting.popleft()
                if waiting:
                    break
                if lane.closing:
                    return []
                lane.idle.append(awake)
                awake.wait()
            # An even part of what waits: the other threads are to have something to do as well.
            most = min(waiting[0].size, -(-len(waiting) // len(lane.threads)))
            if lane is self._long:
                most = 1
            first = waiting.popleft()
            batch = [first]
            others: list[_Item] = []
            while waiting and len(batch) < most:
                item = waiting.popleft()
                if item.key != first.key:
                    others.append(item)
                elif not item.future.cancelled():
                    batch.append(item)
            waiting.extendleft(reversed(others))
        return batch

    def _kept(self, batch: list[_Item]) -> list[_Item]:
        """Return the items that take no longer than others; the rest goes to the thread that has time."""
        kept: list[_Item] = []
        long: list[_Item] = []
        for item in batch:
            (long if item.takes_long is not None and item.takes_long(item.payload) else kept).append(item)
        if not long:
            return kept
        with self._lock:
            room = 0 if self._aborted else MOST_LONG - len(self._long.waiting)
            self._long.waiting.extend(long[:room])
            self._long.wake(1)
            refusal = stopped_error() if self._aborted else _too_many_long()
        for item in long[room:]:
            settle(item.future, None, refusal)
        return kept

    def _embed(self, batch: list[_Item]) -> None:
        """Embed items in one call; where that fails each alone, for one item's fault is not the others'."""
        try:
            answers = batch[0].embed([item.payload for item in batch])
            pairs = list(zip(batch, answers, strict=True))
        except BaseException as error:  # noqa: BLE001 it is the requests' and not this thread's
            if len(batch) == 1 or self._aborted:
                for item in batch:
                    settle(item.future, None, stopped_error() if self._aborted else error)
                return
            for item in batch:
                self._embed([item])
            return
        for item, answer in pairs:
            settle(item.future, answer, None)


def _too_many_long() -> Overloaded:
    return Overloaded(f"{MOST_LONG} pictures that take long to decode wait already; ask again later", 10)
