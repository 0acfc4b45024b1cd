"""The embedding pipeline: files are read, hashed, looked up, decoded and embedded, on all cores.

Each worker takes one batch through all of it, so that one decodes while another infers and the caller writes
what is done. Everything that needs features goes through `embed_files`; one image is a batch of one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice, tee
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from lookalike.embedders.ranged import range_of
from lookalike.errors import UnusableImage
from lookalike.file_names import display
from lookalike.images import decoding
from lookalike.images.decoder_pool import POOL
from lookalike.images.exif import Captured, captured
from lookalike.images.limits import MAX_PIXELS
from lookalike.metric_learning.corrections import with_capture
from lookalike.progress import silent
from lookalike.sources.folders import file_status
from lookalike.sources.frames import FramePath, FrameRead, Place
from lookalike.sources.locations import content
from lookalike.sources.objects import ObjectPath
from lookalike.sources.uploads import Upload
from lookalike.types import Record, Skipped, Space
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from lookalike.embedders.feature_cache import FeatureCache
    from lookalike.embedders.protocol import Embedder
    from lookalike.labels.labelling import Label
    from lookalike.progress import Progress
    from lookalike.sources.source import Content

MAX_BYTES = 1 << 30
"""Files above 1 GiB are skipped: a file is read whole, to take its digest and decode it in one pass."""

# Images that a worker takes at once, where its batches are smaller: the main thread wakes less often, and
# does not take the core from a worker for every image; and they are decoded together before the model sees
# the first, so that its weights stay in the processor's cache (EfficientNet-Lite0: 3 % of the time).
_TASK = 8
# Tasks in flight per worker: enough that no worker waits for the caller to write.
_AHEAD = 3
# Pixels that a batch holds, decoded, before the model is called: 256 MB; where the model takes fewer than a
# task has, 16 MB.
_PIXELS, _PIXELS_OF_FEW = 1 << 26, 1 << 22
# Bytes of frames that were decoded and wait for a worker: a film is read no faster than it is embedded.
_WAITING = 1 << 28
# Features kept at once; what a kill costs is at most this much of the cache.
_KEEP = 64
# Files whose digests are asked for at once.
_DIGESTS = 256


Source: TypeAlias = Place | FrameRead | Upload


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """A file that was read, or an upload, and its features."""

    path: Place
    """Of an upload, what it was called."""
    size: int
    modified_ns: int
    """Of an object and an upload see `sources.source.Status`."""
    digest: str
    features: NDArray[np.float32]
    """Shape (dimension,), not normalised."""
    cached: bool
    """Whether the features were known before."""
    notes: tuple[str, ...] = ()
    """What was assumed when it was decoded, see `decoding.Decoded`."""
    captured: Captured | None = None
    """When and by what the picture was taken, where its EXIF says so."""

    def record(self, uri: str, label: Label) -> Record:
        """Return the record of the file, with the label as it is to be kept: see `corrections.stored`."""
        label = with_capture(label, {} if self.captured is None else self.captured._asdict())
        fields, metadata = label.fields, label.metadata
        return Record(record_id(uri), uri, self.digest, fields, metadata, self.size, self.modified_ns)


def embed_files(
    paths: Iterable[Source],
    embedder: Embedder,
    cache: FeatureCache,
    *,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
) -> Generator[EmbeddedFile | Skipped]:
    """Embed files, with their features looked up first and kept afterwards.

    Args:
        paths: files or uploads, in any number; they are read as the answers are taken.
        embedder: what embeds.
        cache: the features of that embedder.
        max_pixels: images with more pixels are skipped.
        workers: threads, by default one for each core.

    Yields:
        One value for each path, in order. Closing the generator ends the threads.
    """
    workers = workers or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="embed")
    under_way = _UnderWay()
    waiting: deque[tuple[Future[list[EmbeddedFile | Skipped]], int]] = deque()
    held = 0
    tasks = _batches(paths, max(embedder.batch_size, _TASK))
    fresh: dict[str, NDArray[np.float32]] = {}
    notes: dict[str, tuple[str, ...]] = {}
    try:
        while True:
            while len(waiting) < workers * _AHEAD and (held < _WAITING or not waiting):
                task = next(tasks, None)
                if task is None:
                    break
                size = sum(len(source.picture) for source in task if isinstance(source, FrameRead))
                waiting.append((pool.submit(_embed_task, task, embedder, cache, max_pixels, under_way), size))
                held += size
            if not waiting:
                break
            done, size = waiting.popleft()
            held -= size
            for answer in done.result():
                if isinstance(answer, EmbeddedFile) and not answer.cached:
                    fresh[answer.digest] = answer.features
                    notes[answer.digest] = answer.notes
                yield answer
            if len(fresh) >= _KEEP:
                cache.put_notes(notes)
                cache.put(fresh)
                fresh, notes = {}, {}
    finally:
        if waiting:  # nobody wants the rest
            under_way.end()
        pool.shutdown(wait=True, cancel_futures=True)
        cache.put_notes(notes)
        cache.put(fresh)


@dataclass(frozen=True, slots=True)
class Encoder:
    """An embedder with the cache of its features."""

    embedder: Embedder
    cache: FeatureCache

    @property
    def space(self) -> Space:
        """The space of its features when they are normalised, and no more."""
        return Space(self.embedder.name, self.embedder.fingerprint, self.embedder.dimension)


def embed_files_by(
    paths: Iterable[Source],
    encoders: Sequence[Encoder],
    *,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
) -> Generator[list[EmbeddedFile] | Skipped]:
    """Embed files by several models, side by side.

    Args:
        paths: files or uploads.
        encoders: at least one.
        max_pixels: images with more pixels are skipped.
        workers: threads of each model, by default one for each core.

    Yields:
        For each path, in order, what each model makes of the same bytes; or why one of them makes nothing.
    """
    with ExitStack() as running:
        made = [
            running.enter_context(
                closing(embed_files(some, one.embedder, one.cache, max_pixels=max_pixels, workers=workers))
            )
            for some, one in zip(tee(paths, len(encoders)), encoders, strict=True)
        ]
        for outcomes in zip(*made, strict=True):
            files = [outcome for outcome in outcomes if isinstance(outcome, EmbeddedFile)]
            skipped = next((outcome for outcome in outcomes if isinstance(outcome, Skipped)), None)
            if skipped is None and len({file.digest for file in files}) > 1:
                skipped = Skipped(str(files[0].path), "was changed while it was read")
            yield files if skipped is None else skipped


class _UnderWay:
    """The worker threads of one `embed_files`, and how they are ended."""

    def __init__(self) -> None:
        self._threads: set[int] = set()
        self.ended = False
        """Whether nobody wants the answers any more."""

    def begin(self) -> None:
        """Note that the calling thread works for it."""
        self._threads.add(threading.get_ident())

    def end(self) -> None:
        """Let the threads end soon, also where they wait for an image that takes long."""
        self.ended = True
        POOL.stop(frozenset(self._threads))


def read_digests(paths: Sequence[Place], progress: Progress = silent) -> Iterator[str | Skipped]:
    """Yield the SHA-256 of each file, in order, or why it cannot be read.

    Args:
        paths: of the files.
        progress: told with files read and files to read.
    """
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="digest")
    try:
        batches = (pool.map(read_digest, paths[at : at + _DIGESTS]) for at in range(0, len(paths), _DIGESTS))
        for done, found in enumerate(chain.from_iterable(batches), 1):
            progress(done, len(paths))
            yield found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def read_digest(path: Place) -> str | Skipped:
    """Return the SHA-256 of a file, an object or a frame, or why it cannot be read."""
    try:
        if isinstance(path, FramePath):
            return hashlib.sha256(path.content().data).hexdigest()
        if isinstance(path, ObjectPath):
            return hashlib.sha256(path.read_bytes()).hexdigest()
        file_status(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except UnusableImage as error:
        return Skipped(error.path, error.reason)
    except OSError as error:
        return Skipped(str(path), f"cannot be read: {error.strerror or display(str(error))}")


def _batches(paths: Iterable[Source], size: int) -> Iterator[list[Source]]:
    iterator = iter(paths)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(slots=True)
class _Read:
    """A file that was read and is not embedded yet."""

    path: Place
    size: int
    modified_ns: int
    digest: str
    features: NDArray[np.float32] | None
    image: Image | None
    notes: tuple[str, ...]
    captured: Captured | None


def _embed_task(
    paths: list[Source], embedder: Embedder, cache: FeatureCache, max_pixels: int, under_way: _UnderWay
) -> list[EmbeddedFile | Skipped]:
    """Take a task's images from files to features; the order is kept."""
    under_way.begin()
    with ExitStack() as stack:
        # A server takes its time to answer, and longer than a disk: so objects are read side by side.
        objects = [path for path in paths if isinstance(path, ObjectPath)]
        reading: dict[Source, Future[Content]] = {}
        if objects:
            pool = stack.enter_context(ThreadPoolExecutor(len(objects), thread_name_prefix="read"))
            reading = {path: pool.submit(path.content, MAX_BYTES) for path in objects}
        return embed_batch(paths, embedder, cache, max_pixels, reading, lambda: under_way.ended)


def embed_batch(
    paths: Sequence[Source],
    embedder: Embedder,
    cache: FeatureCache,
    max_pixels: int = MAX_PIXELS,
    reading: Mapping[Source, Future[Content]] = MappingProxyType({}),
    ended: Callable[[], bool] = lambda: False,
) -> list[EmbeddedFile | Skipped]:
    """Embed some images in the calling thread; the order is kept, and new features are not put in the cache.

    Args:
        paths: files or uploads; their features are in memory at once, and of their pixels as many as
            `_PIXELS` and `_PIXELS_OF_FEW` allow. The model sees `batch_size` of them at a time.
        embedder: what embeds.
        cache: the features of that embedder, which are looked up.
        max_pixels: images with more pixels are skipped.
        reading: objects among them that are being read already.
        ended: asked between images: whether nobody wants the answers any more; then there are none.
    """
    outcomes: list[_Read | Skipped] = []
    decoded: list[Image] = []
    fresh: list[NDArray[np.float32]] = []
    most = _PIXELS if embedder.batch_size >= len(paths) > 1 else _PIXELS_OF_FEW

    def embed() -> None:
        while decoded and not ended():
            fresh.extend(embedder.embed(decoded[: embedder.batch_size]))
            del decoded[: embedder.batch_size]

    for path in paths:
        if ended():
            return []
        try:
            read = _read(path, embedder, cache, max_pixels, reading.get(path))
        except UnusableImage as error:
            outcomes.append(Skipped(_name(path), error.reason))
            continue
        except OSError as error:
            outcomes.append(Skipped(_name(path), f"cannot be read: {error.strerror or display(str(error))}"))
            continue
        outcomes.append(read)
        if read.image is not None:
            decoded.append(read.image)
            read.image = None
            if sum(image.width * image.height for image in decoded) > most:
                embed()
    embed()
    return [] if ended() else _answers(outcomes, fresh, cache)


def _answers(
    outcomes: Sequence[_Read | Skipped], fresh: Sequence[NDArray[np.float32]], cache: FeatureCache
) -> list[EmbeddedFile | Skipped]:
    """Give each file its features: those of the cache, or the next of the fresh ones."""
    made = iter(fresh)
    answers: list[EmbeddedFile | Skipped] = []
    for outcome in outcomes:
        if isinstance(outcome, Skipped):
            answers.append(outcome)
            continue
        read = outcome
        cached = read.features is not None
        features = read.features if read.features is not None else next(made)
        if not features.any():
            answers.append(Skipped(str(read.path), "the model sees nothing in it: all its features are 0"))
            continue
        notes = cache.notes(read.digest) if cached else read.notes
        answers.append(
            EmbeddedFile(
                *(read.path, read.size, read.modified_ns, read.digest, features, cached, notes, read.captured)
            )
        )
    return answers


def _name(source: Source) -> str:
    return source.name if isinstance(source, Upload | FrameRead) else str(source)


def _read(
    source: Source,
    embedder: Embedder,
    cache: FeatureCache,
    max_pixels: int,
    reading: Future[Content] | None = None,
) -> _Read:
    """Read a file and look its features up; decode it where there are none."""
    if isinstance(source, Upload):
        path: Place = Path(source.name)
        data, status = source.content(MAX_BYTES)
    elif isinstance(source, FrameRead):
        path, data, status = source.path, source.picture, source.status
    else:
        path = source
        data, status = content(source, MAX_BYTES) if reading is None else reading.result()
    digest = hashlib.sha256(data).hexdigest()
    features = cache.get(digest)
    decoded = None
    if features is None:
        decoded = decoding.decode_noted(
            data,
            _name(source),
            at_least=embedder.input_size,
            max_pixels=max_pixels,
            levels=range_of(embedder),
        )
    image, notes = (None, ()) if decoded is None else decoded
    if isinstance(source, FrameRead):
        notes = (*source.notes, *notes)
    return _Read(path, *status, digest, features, image, notes, captured(data))
