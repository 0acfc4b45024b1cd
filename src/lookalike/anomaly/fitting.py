"""Fitting: the normal pictures of a collection become a memory, which is kept with the collection.

The memory stands where a fit keeps its metric, with the vector that the collection was made with, which has
none: so every store keeps it, in one step, and it is copied, renamed and deleted with its collection. Nothing
is written before it is complete; killed at any moment, a fit leaves what was there.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from lookalike.anomaly.memory import LEAST, Memory, is_memory, learn, reads
from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.models import PATCH_NETWORKS
from lookalike.errors import OutputFailed, StoreCorrupt, Unanswerable
from lookalike.evaluation.evaluation import SeriesFigures
from lookalike.evaluation.series import find_series
from lookalike.file_names import display
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.embedding import EmbeddedFile, embed_files
from lookalike.label_normalisation import check_fields, kept_filter, kept_name
from lookalike.progress import silent
from lookalike.sources.film_groups import film_groups, with_films_together
from lookalike.sources.locations import readable_location
from lookalike.types import SERIES, Skipped
from lookalike.uris import uri_text
from lookalike.vectors.groupings import merge_groupings
from lookalike.vectors.nearest import leave_one_out_rows
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.embedders.models import Models
    from lookalike.embedders.protocol import Embedder
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, VectorInfo, Where
    from lookalike.vectors.vote import Codes

CHANGED = "its file has changed since it was indexed"
ELSEWHERE = "it is no file on this machine"

MOST = 500
"""Normal pictures that a memory is made of; of more, so many are drawn."""


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """What a memory was made of."""

    collection: str
    normal: str
    """The filter that normal pictures match, in words."""
    pictures: int
    lots: int
    """Into which they fall: those of one lot were not compared when distances were calibrated."""
    left_out: tuple[Skipped, ...]
    """Normal pictures that could not be read, or that are others than when they were indexed."""
    not_drawn: int
    """Normal pictures beyond the first `MOST`."""
    series: SeriesFigures | None
    """Series that were found among them, where no field tells what belongs together."""
    series_apart: bool
    """Whether these are lots, as asked for."""
    least_rate: float
    """The lowest false-alarm rate that can be promised."""
    size: int
    """Bytes that the memory takes in the store."""
    seconds: float

    def line(self) -> dict[str, object]:
        """Return it as JSON has it."""
        series = None if self.series is None else asdict(self.series)
        # No accuracy is measured here.
        return asdict(self) | {
            "left_out": len(self.left_out),
            "series": series and {name: value for name, value in series.items() if name != "together"},
        }

    @property
    def warning(self) -> str | None:
        """Why there may be more false alarms than promised; None where nothing tells so."""
        if self.series is None or self.series_apart:
            return None
        return (
            f"{self.series.text}. Each is judged by others of its own series, and looks more normal than a "
            f"new one will: there may be more false alarms than promised. `--group {SERIES}` keeps each "
            "series apart, `--group FIELD` what has one value of a field"
        )


def fit_memory(
    store: Store,
    models: Models,
    name: str,
    normal: Where,
    *,
    group: str | None = None,
    network: str = PATCH_NETWORKS[0],
    progress: Progress = silent,
) -> MemoryReport:
    """Make the memory of a collection's normal pictures, and keep it with the collection.

    Memory: some 10 MB; the patches of the pictures wait in an unnamed file of 0.7 MB each.

    Args:
        store: where the collection lives.
        models: with the cache folder.
        name: the collection.
        normal: which records are pictures of good parts.
        group: a field; pictures of one value of it are one lot, and never compared in the calibration: the
            exposures of one part, say. `series`, where there is no such field: those of one series, as names
            and times tell them.
        network: whose patches are kept: one of `PATCH_NETWORKS`.
        progress: called with pictures done and pictures to do.

    Raises:
        CollectionNotFound, FieldNotFound: of the collection, of `normal` or of `group`.
        ModelNotFound, WeightsMissing: of the network.
        Unanswerable: too few pictures are normal and can be read, or fall into too few lots.
    """
    started = time.monotonic()
    collection = store.collection(name)
    by_series = group == SERIES and kept_name(SERIES, collection) not in collection.fields
    check_fields((*normal, *([] if group is None or by_series else [group])), collection)
    where = kept_filter(normal, collection)
    records = [record for batch in store.scan_records(collection.name, where) for record in batch]
    # By the digests of the bytes the first are a random sample, and the same one wherever the pictures lie.
    records.sort(key=lambda record: (record.digest, record.id))
    drawn, not_drawn = records[:MOST], max(0, len(records) - MOST)
    words = normal_text(normal)
    if len(drawn) < LEAST:
        raise Unanswerable(
            f"{len(drawn)} pictures of {collection.name!r} match {words}: how far normal ones are apart is "
            f"learned from {LEAST} and more, and well from 100"
        )
    embedder = models.patches(collection.space.embedder, network)
    with _room(models.cache, 2 * len(drawn) * embedder.dimension) as file:
        rows = np.memmap(file, np.float16, "r+", shape=(len(drawn), embedder.dimension))
        kept: list[Record] = []
        left_out: list[Skipped] = []
        for done, (record, found) in enumerate(read_patches(drawn, embedder), 1):
            if isinstance(found, Skipped):
                left_out.append(found)
            else:
                rows[len(kept)] = found.features
                kept.append(record)
            progress(done, 2 * len(drawn))
        lots = lots_of(kept, None if group is None or by_series else kept_name(group, collection))
        series = None
        if group is None or by_series:
            series, groups = series_of(store, collection, kept)
            lots = merge_groupings([lots, groups]) if by_series else lots
        count = len(set(lots.tolist()))
        if count < LEAST:
            raise Unanswerable(
                f"{len(kept)} normal pictures of {collection.name!r} can be read, in {count} lots that are "
                f"kept apart: at least {LEAST} are needed"
                + (f"; the first that cannot: {left_out[0].path}: {left_out[0].reason}" if left_out else "")
            )
        facts = {
            "normal": {field: list(values) for field, values in (where or {}).items()},
            "group": group,
            "network": network,
            "made by": embedder.fingerprint,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        memory = learn(
            rows[: len(kept)],
            [record.digest for record in kept],
            lots,
            facts,
            lambda done, total: progress(total + done, 2 * total),
        )
        del rows
    data = memory.to_bytes()
    keep_memory(store, collection, data)
    return MemoryReport(
        collection.name, words, len(kept), count, tuple(left_out), not_drawn,
        series, by_series,
        1 / (len(kept) + 1), len(data), time.monotonic() - started,
    )  # fmt: skip


def forget_memory(store: Store, name: str) -> None:
    """Drop the memory of a collection.

    Raises:
        Unanswerable: it has none.
    """
    collection = store.collection(name)
    if kept_memory(store, collection) is None:
        raise no_memory(collection.name)
    keep_memory(store, collection, b"")


def kept_memory(store: Store, collection: CollectionInfo) -> bytes | None:
    """Return the memory that is kept with a collection, as bytes; None where there is none."""
    data = store.metric(collection.name, space=_keeper(collection).space)
    return data if is_memory(data) else None


def keep_memory(store: Store, collection: CollectionInfo, data: bytes) -> None:
    """Keep a memory with a collection, in the place of the one that is there, in one step."""
    vector = _keeper(collection)
    store.add_vector(collection.name, vector.name, vector.space, data)


def no_memory(name: str) -> Unanswerable:
    """Return the error that a collection has no memory."""
    return Unanswerable(
        f"collection {name!r} has no memory of normal pictures: "
        f"`lookalike anomaly fit --normal FIELD=VALUE` makes one"
    )


def memory_of(store: Store, models: Models, collection: CollectionInfo) -> Memory | None:
    """Return the memory that is kept with a collection; None where there is none.

    Raises:
        StoreCorrupt: it does not read.
        Unanswerable: it was made by another version of the patch features.
    """
    data = kept_memory(store, collection)
    if data is None:
        return None
    other_version = Unanswerable(
        f"the memory of {collection.name!r} was made by another version of lookalike: "
        f"`lookalike anomaly fit` makes it anew"
    )
    if not reads(data):
        raise other_version
    try:
        memory = Memory.from_bytes(data)
    except ValueError as error:
        reason = f"is damaged: the memory of normal pictures of {collection.name} does not read: {error}"
        raise StoreCorrupt(store.url, reason) from error
    if memory.facts.get("made by") != patches_for(memory, models, collection).fingerprint:
        raise other_version
    return memory


def patches_for(memory: Memory, models: Models, collection: CollectionInfo) -> Embedder:
    """Return what makes the patches of pictures that are held against a memory.

    Raises:
        WeightsMissing: the package with its weights is not installed.
    """
    return models.patches(collection.space.embedder, memory.facts["network"])


def lots_of(records: Sequence[Record], group: str | None) -> Codes:
    """Return the lot of each record, numbers from 0: the same file, or the same value of a field."""
    keys = [
        record.digest if group is None or group not in record.fields else label_key(record.fields[group])
        for record in records
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], np.intp)


def series_of(
    store: Store, collection: CollectionInfo, records: Sequence[Record]
) -> tuple[SeriesFigures | None, Codes]:
    """Look for series among some records of a collection, by their plain vectors.

    Returns:
        What was found, and the series of each record, numbers from 0; one of its own where none was found.
    """
    keeper = _keeper(collection)
    there, vectors = store.vectors_of(collection.name, [record.id for record in records], keeper.name)
    nearest = leave_one_out_rows(vectors[keeper.space], 1)[0][:, 0]
    found = find_series(there, vectors[keeper.space], np.arange(len(there)), nearest, None)
    if found is None and film_groups(records) is None:
        return None, np.arange(len(records))
    series = with_films_together(np.arange(len(there)) if found is None else found.groups, there)
    numbers = dict(zip([record.id for record in there], series.tolist(), strict=True))
    # One that was removed meanwhile is in no series.
    groups = [numbers.get(record.id, len(records) + place) for place, record in enumerate(records)]
    return None if found is None else SeriesFigures.of(found), np.unique(groups, return_inverse=True)[1]


def normal_text(normal: Where) -> str:
    """Return a filter in words: `label=good or label=fine, part=hull`."""
    return ", ".join(
        " or ".join(dict.fromkeys(f"{display(field)}={display(str(value))}" for value in values))
        for field, values in normal.items()
    )


def read_patches(
    records: Sequence[Record], embedder: Embedder, *, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Record, EmbeddedFile | Skipped]]:
    """Yield each record with the patches of its picture, or why there are none."""
    paths = [(record, readable_location(record.uri)) for record in records]
    there = [path for _, path in paths if path]
    with closing(embed_files(there, embedder, no_cache(embedder), max_pixels=max_pixels)) as files:
        for record, path in paths:
            found = Skipped(uri_text(record.uri), ELSEWHERE) if path is None else next(files)
            if isinstance(found, EmbeddedFile) and not record.is_file(found.digest):
                found = Skipped(str(found.path), CHANGED)
            yield record, found


def no_cache(embedder: Embedder) -> FeatureCache:
    """Return a cache that keeps nothing: the patches of a picture are a megabyte, and read once."""
    return FeatureCache(Path(os.devnull), embedder.fingerprint, embedder.dimension)


@contextmanager
def _room(cache: Path, size: int) -> Iterator[IO[bytes]]:
    """Open an unnamed file of some bytes in the cache folder, which is gone with the process.

    Raises:
        OutputFailed: there is no room for it.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as file:
            # Without it a full disk would end the process with a signal, in the middle of an assignment.
            os.posix_fallocate(file.fileno(), 0, size)
            yield file
    except OSError as error:
        raise OutputFailed(str(cache), error.strerror or str(error)) from error


def _keeper(collection: CollectionInfo) -> VectorInfo:
    """Return the vector with which a collection's memory is kept: the first one that is plain."""
    return next(vector for vector in collection.vectors if vector.ready and not vector.fitted)
