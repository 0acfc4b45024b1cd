"""Active learning: which unlabelled images to label next, so that few labels tell much.

Images are chosen one after another, each such that the images without a label are then covered best: by the
most similar image that has one or was chosen. That is the facility-location function, which is submodular, so
that the greedy choice is within 1 − 1/e of the best one (G. L. Nemhauser, L. A. Wolsey, M. L. Fisher, "An
analysis of approximations for maximizing submodular set functions", Mathematical Programming 14 (1978),
265-294; for active learning K. Wei, R. Iyer, J. Bilmes, "Submodularity in Data Subset Selection and Active
Learning", ICML 2015). So what is chosen is typical, as in TypiClust (G. Hacohen, A. Dekel, D. Weinshall, ICML
2022, arXiv 2202.02794) and ProbCover (O. Yehuda et al., NeurIPS 2022, arXiv 2205.11320), and different from
what is labelled and from each other. Where there are labels, an image counts by how uncertain its own is: by
the margin between the two labels whose nearest images are most similar (margin sampling: T. Scheffer,
C. Decomain, S. Wrobel, IDA 2001), as a rank. Of exposures of one part, or frames of one film, one at most is
chosen at a time: the others would tell the same (see `evaluation.series`). `benchmarks/suggest.py` has how
many labels that saves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import CollectionEmpty, InvalidArgument, Unanswerable
from lookalike.evaluation.series import find_series
from lookalike.label_normalisation import check_fields, kept_filter, kept_name
from lookalike.memory import fits
from lookalike.metric_learning.drawing import draw, vectors_of
from lookalike.metric_learning.fitted import read
from lookalike.progress import divided, silent
from lookalike.sources.film_groups import film_groups
from lookalike.types import Neighbour
from lookalike.vectors.groupings import merge_groupings
from lookalike.vectors.nearest import leave_one_out_rows, nearest_rows
from lookalike.vectors.vote import encode, label_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.types import CollectionInfo, Record, Scalar, Vectors, Where
    from lookalike.vectors.groupings import Groups
    from lookalike.vectors.vote import Codes

COUNT = 20
"""Images that a person labels in a few minutes."""

# Images without a label that are chosen from, and are to be covered, at most: 100 MB of similarities.
_MOST = 5000
# Images with a label that they are compared with, where not all fit into memory: 200 MB of similarities.
_COMPARED = 10_000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An image to label next."""

    record: Record
    covers: int
    """Images without a label that no other labelled or suggested one is nearer to; itself is one."""
    uncertainty: float | None
    """Part of the images without a label that are more certain, 0 … 1; None where none has a label yet."""
    nearest: Neighbour | None
    """The nearest image that has a label."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Images to label next, the one that tells most first."""

    by: str
    labelled: int
    unlabelled: int
    drawn: int
    """Of the unlabelled, those that were looked at: all, or so many at random."""
    series: str | None
    """What tells series among them, of each of which one image at most is suggested; None where none were
    found."""
    images: tuple[Suggestion, ...]
    compared: int | None = None
    """Of the labelled, those that were compared with, drawn at random; None for all."""


def suggest_in_collection(
    spaces: Spaces,
    name: str,
    by: str,
    *,
    count: int = COUNT,
    where: Where | None = None,
    using: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Suggestions:
    """Suggest which images of a collection to label next.

    Args:
        spaces: of the store with the collection.
        name: the collection.
        by: the field that is to hold the label, as people write it; no image need have it yet.
        count: how many, at least 1.
        where: only records that match are suggested, and covered.
        using: the vector; None: the default one.
        seed: of what is drawn where there are more than can be looked at.
        progress: called with records read and to read, then with images chosen and to choose.

    Raises:
        InvalidArgument: a count below 1.
        CollectionEmpty: it has no images.
        FieldNotFound: it has no field of `where`.
        Unanswerable: all images have a label.
    """
    if count < 1:
        raise InvalidArgument(f"at least 1 image is suggested, not {count}")
    collection = spaces.store.collection(name)
    if not collection.count:
        raise CollectionEmpty(collection.name)
    reading, choosing = divided(progress, [1, 1])
    check_fields(where or (), collection)
    if not fits(collection.count, collection.vector(using).space.dimension):
        kept = kept_filter(where, collection) or None
        return _suggest_among_some(
            spaces, collection, kept_name(by, collection), count, kept, using, seed, choosing
        )
    records, vectors = read(spaces.store, collection, collection.vector(using), progress=reading)
    matching = None
    if where:
        batches = spaces.store.scan_records(collection.name, kept_filter(where, collection))
        matching = {record.id for batch in batches for record in batch}
    return suggest(
        records,
        vectors,
        kept_name(by, collection),
        count=count,
        matching=matching,
        seed=seed,
        progress=choosing,
    )


def _suggest_among_some(
    spaces: Spaces,
    collection: CollectionInfo,
    by: str,
    count: int,
    where: Where | None,
    using: str | None,
    seed: int,
    progress: Progress,
) -> Suggestions:
    """Suggest images of a collection that does not fit into memory, among some that are drawn at random."""
    store, name = spaces.store, collection.name
    pool, unlabelled = draw(
        store.scan_records(name, where), _MOST, seed, lambda record: label_of(record, by) is None
    )
    known, labelled = draw(
        store.scan_records(name), _COMPARED, seed, lambda record: label_of(record, by) is not None
    )
    if not pool:
        raise Unanswerable(f"every image has a value of {by!r}: there is nothing to suggest")
    records, vectors = vectors_of(store, name, collection.vector(using), sorted({*pool, *known}))
    found = suggest(records, vectors, by, count=count, seed=seed, progress=progress)
    compared = None if len(known) == labelled else len(known)
    return replace(found, labelled=labelled, unlabelled=unlabelled, compared=compared)


def suggest(
    records: Sequence[Record],
    vectors: Vectors,
    by: str,
    *,
    count: int = COUNT,
    matching: set[str] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Suggestions:
    """Suggest which images to label next.

    Args:
        records: in any order.
        vectors: float32 of shape (len(records), d), each row of length 1.
        by: the field that holds the label.
        count: how many, at least 1.
        matching: ids of those that may be suggested; None: all without a label.
        seed: of what is drawn where there are more than can be looked at.
        progress: called with images chosen and images to choose.

    Raises:
        Unanswerable: all images have a label.
    """
    labels = [label_of(record, by) for record in records]
    known = np.array([row for row, label in enumerate(labels) if label is not None], dtype=np.intp)
    open_rows = [
        row
        for row, label in enumerate(labels)
        if label is None and (matching is None or records[row].id in matching)
    ]
    if not open_rows:
        raise Unanswerable(f"every image has a value of {by!r}: there is nothing to suggest")
    # In order of id, so that the order of the records makes no difference.
    pool = np.array(sorted(open_rows, key=lambda row: records[row].id), dtype=np.intp)
    unlabelled = len(pool)
    if unlabelled > _MOST:
        pool = np.sort(np.random.default_rng(seed).permutation(pool)[:_MOST])
    codes = encode(label for label in labels if label is not None)[0] if len(known) else None
    # As in an evaluation, but that there are no labels within which names could be exchanged.
    beside = leave_one_out_rows(vectors[pool], 1)[0][:, 0]
    open_records = [records[row] for row in pool.tolist()]
    series = find_series(open_records, vectors[pool], np.arange(len(pool)), beside, None, seed=seed)
    groups = None if series is None else series.groups
    films = film_groups(open_records)
    if films is not None:
        groups = films if groups is None else merge_groupings([groups, films])
    chosen, uncertainty = choose(vectors[pool], vectors[known], codes, count, groups, progress)
    nearest, similarities = nearest_rows(vectors[pool[chosen]], vectors[known], 1)
    owners = _owners(vectors[pool], vectors[known], chosen)
    images = tuple(
        Suggestion(
            records[pool[row]],
            int((owners == place).sum()),
            None if uncertainty is None else float(uncertainty[row]),
            None if other < 0 else Neighbour(records[known[other]], similarity),
        )
        for place, (row, other, similarity) in enumerate(
            zip(chosen, nearest[:, 0].tolist(), similarities[:, 0].tolist(), strict=True)
        )
    )
    told = [*([] if films is None else ["frames of one film"]), *([] if series is None else [series.how])]
    how = ", and ".join(told) or None
    return Suggestions(by, len(known), unlabelled, len(pool), how, images)


def choose(
    pool: Vectors,
    labelled: Vectors,
    codes: Codes | None,
    count: int,
    groups: Groups | None = None,
    progress: Progress = silent,
) -> tuple[list[int], NDArray[np.float64] | None]:
    """Choose images that cover the others best.

    Args:
        pool: of the images without a label, float32 of shape (n, d), each row of length 1.
        labelled: of those with one, shape (m, d).
        codes: shape (m,): their labels as numbers; None where there are none.
        count: how many to choose, at least 1.
        groups: shape (n,): of each at most one is chosen, so that there may be fewer; None: each is its own.
        progress: called with images chosen and images to choose.

    Returns:
        Rows of the pool, the one that tells most first; and how uncertain each of the pool is, as a rank
        0 … 1, where there are labels.
    """
    similarities = pool @ pool.T
    cover = np.full(len(pool), similarities.min(), dtype=np.float32)
    weights, uncertainty = np.ones(len(pool), dtype=np.float32), None
    if codes is not None and len(codes):
        to_labelled = pool @ labelled.T
        cover = np.maximum(cover, to_labelled.max(axis=1))
        uncertainty = _uncertainty(to_labelled, codes)
        weights = uncertainty.astype(np.float32)
    chosen: list[int] = []
    free = np.ones(len(pool), dtype=bool)
    wanted = min(count, len(pool) if groups is None else len(np.unique(groups)))
    for _ in range(wanted):
        gains = weights @ np.maximum(similarities - cover[:, None], 0.0)
        gains[~free] = -1.0
        best = int(gains.argmax())
        chosen.append(best)
        free[best if groups is None else groups == groups[best]] = False
        cover = np.maximum(cover, similarities[:, best])
        progress(len(chosen), wanted)
    return chosen, uncertainty


def _uncertainty(similarities: NDArray[np.float32], codes: Codes) -> NDArray[np.float64]:
    """Return the rank of each image by its margin between labels, 1 the least certain: shape (n,).

    Args:
        similarities: shape (n, m), to the labelled images.
        codes: shape (m,): their labels.
    """
    count = len(similarities)
    order = np.argsort(codes, kind="stable")
    starts = np.unique(codes[order], return_index=True)[1]
    best = np.sort(np.maximum.reduceat(similarities[:, order], starts, axis=1), axis=1)
    # With one label only, whatever is far from it may be another.
    margin = best[:, -1] - best[:, -2] if best.shape[1] > 1 else best[:, -1]
    ranks = np.empty(count)
    ranks[np.argsort(-margin, kind="stable")] = np.arange(1, count + 1) / count
    return ranks


def _owners(pool: Vectors, labelled: Vectors, chosen: Sequence[int]) -> NDArray[np.intp]:
    """Return which of the chosen is nearest to each of the pool, as a place; −1 where a labelled image is."""
    similarities = pool @ pool[list(chosen)].T
    owners: NDArray[np.intp] = similarities.argmax(axis=1)
    if len(labelled):
        nearer = (pool @ labelled.T).max(axis=1) > similarities.max(axis=1)
        owners = np.where(nearer, -1, owners)
    return owners


def suggestion_lines(found: Suggestions) -> Iterator[dict[str, Any]]:
    """Yield suggestions as values that JSON can hold, each with its `type`: a `summary`, then each image."""
    yield {
        "type": "summary",
        "by": found.by,
        "labelled": found.labelled,
        "unlabelled": found.unlabelled,
        "drawn": found.drawn,
        "compared": found.compared,
        "series": found.series,
        "suggested": len(found.images),
    }
    for each in found.images:
        nearest = each.nearest
        yield {
            "type": "suggestion",
            "id": each.record.id,
            "uri": each.record.uri,
            "covers": each.covers,
            "uncertainty": each.uncertainty,
            "nearest": None if nearest is None else _nearest_line(nearest, found.by),
        }


def _nearest_line(nearest: Neighbour, by: str) -> dict[str, Scalar]:
    record = nearest.record
    label = record.fields[by]
    return {"id": record.id, "uri": record.uri, "label": label, "similarity": nearest.similarity}
