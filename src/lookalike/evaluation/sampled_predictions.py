"""Held-out predictions of a random sample of a collection, each by all the others, which are read in blocks.

For collections that do not fit into memory, or whose images are too many to compare with each other. Nothing
that is in memory grows with the collection but the ids of its records: the vectors go by in blocks. A fitted
metric is fitted to other images than those of the sample, and k, where it is chosen, by the other half of it.

A near-duplicate of an image is what is as similar to it as the threshold of the collection says; it is left
out of that image's answer, one by one and not in groups, since those of images outside of the sample are not
known.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import CollectionEmpty, FieldNotFound, InvalidArgument, Unanswerable
from lookalike.evaluation.fold_predictor import CANDIDATE_KS, FoldPredictions
from lookalike.evaluation.held_out_predictions import HeldOutPredictions
from lookalike.evaluation.sample import Sample
from lookalike.metric_learning.drawing import rank, vectors_of
from lookalike.metric_learning.fitting import LEARNED
from lookalike.progress import divided, silent
from lookalike.sources.film_groups import film_of, with_films_together
from lookalike.stores.batches import chunks
from lookalike.types import FILM
from lookalike.vectors.exclusions import LeftOut
from lookalike.vectors.groupings import join_groups
from lookalike.vectors.near_duplicates import near_duplicate_groups, threshold_of
from lookalike.vectors.nearest_in_blocks import NearestInBlocks
from lookalike.vectors.product_threads import one_product_thread
from lookalike.vectors.vote import encode, label_key, label_of, winning_codes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.progress import Progress
    from lookalike.stores.store import Store
    from lookalike.types import CollectionInfo, Record, Scalar, VectorInfo, Vectors, Where
    from lookalike.vectors.metric import Fit, Metric
    from lookalike.vectors.nearest import Rows, Similarities
    from lookalike.vectors.vote import Codes, LabelKey

SAMPLE = 10_000
"""Images of a sample: a 95 % interval of an accuracy is then at most 0.02 wide."""

# Of the sample, whose tenth nearest sets the threshold of near-duplicates, as in a whole collection.
_USUAL = 1_000
_TENTH = 10
# Vectors of a block, and queries that are multiplied with them at once: 64 MB of similarities.
_ROWS = 8192
_QUERIES = 2048
_READ = 1000


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How a sample is drawn and answered."""

    by: str
    """The field that holds the label."""
    where: Where | None = None
    """Only records that match."""
    within: str | None = None
    """Compare an image only with those that have the same value of this field."""
    group: str | None = None
    """Images with the same value of this field are never compared."""
    near_duplicates: bool = True
    """Whether near-duplicates are left out of each other's answers."""
    k: Ks = 5
    """How many neighbours vote."""
    count: int = SAMPLE
    """Images of the sample, at least 2."""
    seed: int = 0
    """Of the sample."""


@dataclass(frozen=True, slots=True)
class SampledPredictions:
    """What came of a sample."""

    held: HeldOutPredictions
    records: list[Record]
    """Those of the sample and those that voted on them, in order of id: `held` counts them so."""
    alike: Codes
    """(n,): 1 for each image of `held` that has a near-duplicate, 0 for the others."""
    loose_right: int | None
    """Images that were right with nothing kept apart; None where nothing was to be."""
    frames: int
    """Images of `held` that are frames of a film."""
    alone: int
    """Images that share their label with no other that they could be compared with."""


@dataclass(slots=True)
class _Drawn:
    """What is known of a collection after its labels have gone by."""

    records: list[Record]
    """The sample, in order of id."""
    learned: list[Record]
    """Others, for a metric to learn from."""
    counts: Counter[tuple[LabelKey | None, LabelKey]]
    """Images of each part and label."""
    labels: dict[LabelKey, Scalar]
    total: int
    """Records that match."""

    @property
    def eligible(self) -> int:
        """Images that have what is needed to be classified by others, and to classify them."""
        return sum(self.counts.values())


def predict_sample(
    store: Store,
    collection: CollectionInfo,
    vector: VectorInfo,
    options: SampleOptions,
    *,
    fit: Fit | None = None,
    fit_by: str | None = None,
    progress: Progress = silent,
) -> SampledPredictions:
    """Classify a random sample of labelled images, each by all others.

    Args:
        store: where the collection lives.
        collection: as the store has it; the names of fields are those that it has.
        vector: a plain one.
        options: what is drawn and compared.
        fit: makes the metric, of images outside of the sample; None stays with the plain one.
        fit_by: the field whose labels the metric learns, by default `by`.
        progress: called with records read and records to read, each as often as it is.

    Raises:
        InvalidArgument: k or the size of the sample is too small, or `within` or `group` is `by`.
        FieldNotFound: no record has one of the fields.
        Unanswerable: nothing to compare, one label only, or too little to learn from.
    """
    _check(collection, options)
    near = options.near_duplicates
    # Reading labels takes a fourth of what reading vectors and comparing does.
    sizes = [1, 4 if near else 0, 4 if fit is None else 8]
    drawing, usual, comparing = divided(progress, [size * collection.count for size in sizes])
    by_field = options.by if fit_by is None else fit_by
    drawn = _draw(store, collection.name, options, None if fit is None else by_field, drawing)
    records, vectors = vectors_of(store, collection.name, vector, [one.id for one in drawn.records])
    # Somebody may have relabelled one since.
    rows = [row for row, record in enumerate(records) if _place(record, options) in drawn.counts]
    queries = _Queries([records[row] for row in rows], vectors[rows])
    drawn.records = queries.records
    _check_drawn(drawn, collection.name, options.by)
    with one_product_thread(collection.count):
        ceiling = None
        if near:
            ceiling = _threshold(store, collection, vector, options, queries.vectors, usual)
        metric, learned = None, 0
        if fit is not None:
            lesson = vectors_of(store, collection.name, vector, [one.id for one in drawn.learned])
            metric, learned = _fitted(fit, *lesson, by_field, queries, ceiling)
        compared = _Comparison(queries, drawn, options, ceiling, metric)
        for records, vectors in _blocks(store, collection, vector, options.where, comparing):
            compared.take(records, vectors)
    progress(sum(sizes) * collection.count, sum(sizes) * collection.count)
    return compared.predictions(store, collection.name, learned if fit is not None else None)


def _check(collection: CollectionInfo, options: SampleOptions) -> None:
    by, k = options.by, options.k
    if k != "auto" and k < 1:
        raise InvalidArgument(f"k must be at least 1, not {k}")
    if options.count < 2:
        raise InvalidArgument(f"a sample has at least 2 images, not {options.count}")
    if options.within == by:
        raise InvalidArgument(f"by and within are both {by!r}: each image would meet only its own label")
    if options.group == by:
        raise InvalidArgument(f"by and group are both {by!r}: no image could meet another of its label")
    if not collection.count:
        raise CollectionEmpty(collection.name)
    for name in (by, options.within, options.group):
        if name is not None and name not in collection.fields:
            raise FieldNotFound(name, set(collection.fields) - {name})


def _check_drawn(drawn: _Drawn, name: str, by: str) -> None:
    if drawn.eligible < 2 or not drawn.records:
        raise Unanswerable(f"fewer than two images of {name} have a value of {by!r}: nothing to compare")
    if len(drawn.labels) == 1:
        (label,) = drawn.labels.values()
        raise Unanswerable(
            f"all {drawn.eligible:,} images to compare have {by} {label!r}: at least two labels are needed"
        )


def _draw(
    store: Store, name: str, options: SampleOptions, learning: str | None, progress: Progress
) -> _Drawn:
    """Draw a sample, and images to learn from: those of the least hashes, whatever the order of records."""
    wanted = options.count + (0 if learning is None else LEARNED)
    # Negative, as the heap keeps the least.
    chosen: list[tuple[int, str, Record]] = []
    lesson: list[tuple[int, str, Record]] = []
    drawn = _Drawn([], [], Counter(), {}, 0)
    for records in store.scan_records(name, options.where):
        drawn.total += len(records)
        for record in records:
            place = _place(record, options)
            if place is not None:
                drawn.counts[place] += 1
                drawn.labels.setdefault(place[1], record.fields[options.by])
                drawn_as = -rank(record, options.seed), record.id, record
                _keep(chosen, drawn_as, options.count)
                if learning is not None and label_of(record, learning) is not None:
                    _keep(lesson, drawn_as, wanted)
        progress(drawn.total, drawn.total + 1)
    drawn.records = sorted((record for *_, record in chosen), key=lambda record: record.id)
    sampled = {record.id for record in drawn.records}
    others = (record for *_, record in sorted(lesson, reverse=True) if record.id not in sampled)
    drawn.learned = sorted(islice(others, LEARNED), key=lambda record: record.id)
    return drawn


def _place(record: Record, options: SampleOptions) -> tuple[LabelKey | None, LabelKey] | None:
    """Return part and label of a record; None where it has no label, or no part."""
    label = label_of(record, options.by)
    part = None if options.within is None else label_of(record, options.within)
    if label is None or (options.within is not None and part is None):
        return None
    return None if part is None else label_key(part), label_key(label)


def _keep(heap: list[tuple[int, str, Record]], one: tuple[int, str, Record], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, one)
    elif one[:2] > heap[0][:2]:
        heapq.heapreplace(heap, one)


def _blocks(
    store: Store, collection: CollectionInfo, vector: VectorInfo, where: Where | None, progress: Progress
) -> Iterator[tuple[list[Record], Vectors]]:
    """Yield all matching records with their vectors, in order of id, a block at a time."""
    records: list[Record] = []
    parts: list[Vectors] = []
    done = 0
    for some, vectors in store.scan(collection.name, where, using=vector.name):
        records += some
        parts.append(vectors)
        if len(records) >= _ROWS:
            yield records, np.concatenate(parts)
            done += len(records)
            progress(min(done, collection.count), collection.count)
            records, parts = [], []
    if records:
        yield records, np.concatenate(parts)
    progress(collection.count, collection.count)


def _threshold(
    store: Store,
    collection: CollectionInfo,
    vector: VectorInfo,
    options: SampleOptions,
    queries: Vectors,
    progress: Progress,
) -> float:
    """Return the similarity from which two images are near-duplicates, by the tenth nearest of some."""
    # By id, which is a digest: any of them are a random choice.
    some = queries[np.unique(np.linspace(0, len(queries) - 1, min(len(queries), _USUAL)).astype(np.intp))]
    # One more, for itself: where it has copies, one of them is left out in its place, and is as near.
    nearest = NearestInBlocks(some, _TENTH + 1)
    every = np.arange(len(some))
    number = 0
    for records, vectors in _blocks(store, collection, vector, options.where, progress):
        numbers = np.arange(number, number + len(records))
        nearest.take(every, some @ vectors.T, vectors, numbers, np.zeros(len(records), np.intp))
        number += len(records)
    if number < 3:
        return 2.0
    return threshold_of(nearest.similarities[:, min(_TENTH, number - 1)])


def _fitted(
    fit: Fit,
    records: list[Record],
    vectors: Vectors,
    by: str,
    queries: _Queries,
    ceiling: float | None,
) -> tuple[Metric, int]:
    """Return a metric fitted to images outside of the sample, and to how many."""
    films = {film_of(record) for record in queries.records} - {None}
    kept = np.array([film_of(record) not in films for record in records], bool)
    if ceiling is not None:
        for start in range(0, len(records), _READ):
            part = slice(start, start + _READ)
            kept[part] &= (queries.vectors @ vectors[part].T).max(axis=0) < ceiling
        kept &= np.array([record.digest not in queries.by_digest for record in records], bool)
    rows = np.flatnonzero(kept)
    records, vectors = [records[row] for row in rows], vectors[rows]
    lots = np.arange(len(records))
    if ceiling is not None:
        lots = near_duplicate_groups(vectors, [record.digest for record in records])
    lots = with_films_together(lots, records)
    codes, _ = encode(record.fields[by] for record in records)
    if int((np.bincount(codes) > 1).sum() if len(codes) else 0) < 2:
        raise Unanswerable(
            f"outside of the sample fewer than two values of {by!r} are on two images or more: a fitted "
            "metric needs two such labels; take a smaller sample"
        )
    return fit(vectors, codes, lots), len(records)


@dataclass(slots=True)
class _Queries:
    """The sample: its records by id, and their plain vectors."""

    records: list[Record]
    vectors: Vectors
    by_id: dict[str, int] = field(init=False)
    by_digest: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_id = {record.id: row for row, record in enumerate(self.records)}
        self.by_digest = {}
        for row, record in enumerate(self.records):
            self.by_digest.setdefault(record.digest, []).append(row)


class _Comparison:
    """The sample, compared with all images while these go by in blocks."""

    def __init__(
        self,
        queries: _Queries,
        drawn: _Drawn,
        options: SampleOptions,
        ceiling: float | None,
        metric: Metric | None,
    ) -> None:
        self._queries = queries
        self._drawn = drawn
        self._options = options
        self._ceiling = ceiling
        self._metric = metric
        self._labels = {key: code for code, key in enumerate(sorted(drawn.labels))}
        places = [_place(record, options) for record in queries.records]
        self._truth = np.array([self._labels[place[1]] for place in places if place], np.intp)
        parts = [place[0] for place in places if place]
        self._parts = {key: code for code, key in enumerate(sorted({*parts}, key=repr))}
        self._part = np.array([self._parts[part] for part in parts], np.intp)
        self._groups: dict[object, list[int]] = {}
        for row, record in enumerate(queries.records):
            for group in _groups_of(record, options):
                self._groups.setdefault(group, []).append(row)
        self._wide = max(CANDIDATE_KS) if options.k == "auto" else options.k
        asked = queries.vectors if metric is None else metric.project(queries.vectors)
        self._nearest = NearestInBlocks(asked, self._wide)
        # Where something is kept apart, it is told what the figure would be without.
        keeps_apart = ceiling is not None or bool(self._groups)
        self._loose = NearestInBlocks(asked, self._wide) if keeps_apart else None
        count = len(queries.records)
        self._plain = np.full(count, -np.inf, np.float32)
        self._alike = np.zeros(count, bool)
        room = FoldPredictions.empty(count, 0, len(self._labels)).by_class
        self._by_class: NDArray[np.float32] | None = room
        self._ids: dict[int, str] = {}
        self._number = 0

    def take(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Compare the sample with a block of records."""
        found = [self._place(record) for record in records]
        rows = [row for row, place in enumerate(found) if place is not None]
        codes = np.array([self._labels[place[1]] for place in found if place is not None], np.intp)
        # In order of their labels, so that the best of each is that of a run of columns.
        order = np.argsort(codes, kind="stable")
        codes, places = codes[order], np.array(rows, np.intp)[order]
        block = vectors[places]
        projected = block if self._metric is None else self._metric.project(block)
        own = [self._parts.get(place[0], -1) for place in found if place is not None]
        parts = np.array(own, np.intp)[order]
        numbers = self._number + places
        those = [records[place] for place in places.tolist()]
        itself, together = self._apart(those)
        for part in np.unique(parts[parts >= 0]):
            columns = np.flatnonzero(parts == part)
            every = np.flatnonzero(self._part == part)
            for start in range(0, len(every), _QUERIES):
                some = every[start : start + _QUERIES]
                self._compare(
                    some, columns, block, projected, numbers, codes, _among(itself, some, columns),
                    _among(together, some, columns),
                )  # fmt: skip
        self._note_ids(records)
        self._number += len(records)

    def _place(self, record: Record) -> tuple[LabelKey | None, LabelKey] | None:
        place = _place(record, self._options)
        return None if place is None or place[1] not in self._labels else place

    def _apart(self, records: Sequence[Record]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return pairs of a query and a column of the block: which are one image; which are kept apart."""
        queries, options = self._queries, self._options
        itself, together = [], []
        for column, record in enumerate(records):
            row = queries.by_id.get(record.id)
            if row is not None:
                itself.append((row, column))
            if self._ceiling is not None:
                copies = [each for each in queries.by_digest.get(record.digest, ()) if each != row]
                together += [(each, column) for each in copies]
                self._alike[copies] = True
            for group in _groups_of(record, options) if self._groups else ():
                together += [(each, column) for each in self._groups.get(group, ())]
        return itself, together

    def _compare(
        self,
        some: Rows,
        columns: Rows,
        block: Vectors,
        projected: Vectors,
        numbers: Rows,
        codes: Codes,
        itself: tuple[Rows, Rows],
        together: tuple[Rows, Rows],
    ) -> None:
        every = len(columns) == len(block)
        if not every:
            block, projected = block[columns], projected[columns]
            numbers, codes = numbers[columns], codes[columns]
        plain = self._queries.vectors[some] @ block.T
        rough = plain if self._metric is None else self._nearest.queries[some] @ projected.T
        plain[itself] = -np.inf
        rough[itself] = -np.inf
        if self._loose is not None:
            self._loose.take(some, rough, projected, numbers, codes)
        if self._ceiling is not None:
            near = plain >= np.float32(self._ceiling)
            self._alike[some] |= near.any(axis=1)
            rough[near] = -np.inf
            plain[near] = -np.inf
        rough[together] = -np.inf
        plain[together] = -np.inf
        self._plain[some] = np.maximum(self._plain[some], plain.max(axis=1))
        if self._by_class is not None:
            present, starts = np.unique(codes, return_index=True)
            best = np.minimum(np.maximum.reduceat(rough, starts, axis=1), 1.0)
            place = np.ix_(some, present)
            self._by_class[place] = np.maximum(self._by_class[place], best)
        self._nearest.take(some, rough, projected, numbers, codes)

    def _note_ids(self, records: Sequence[Record]) -> None:
        found = np.unique(self._nearest.numbers)
        first, last = np.searchsorted(found, [self._number, self._number + len(records)])
        for number in found[first:last].tolist():
            self._ids[number] = records[number - self._number].id

    def predictions(self, store: Store, name: str, learned: int | None) -> SampledPredictions:
        """Return what came of all blocks that went by.

        Args:
            store: asked for the records of those that voted.
            name: the collection.
            learned: images that the metric was fitted to; None for the plain one.
        """
        drawn, truth, options = self._drawn, self._truth, self._options
        answered = self._nearest.numbers[:, 0] >= 0
        if not answered.any():
            raise Unanswerable("every image has only images of its own group to be compared with")
        lost = tuple(
            LeftOut(record, "no other image that it could be compared with")
            for record, one in zip(self._queries.records, answered, strict=True)
            if not one
        )
        ranks = np.argsort(np.argsort([rank(record, options.seed) for record in self._queries.records]))
        k_of, ks, k = self._chosen(ranks)
        voting = np.arange(self._wide) < k_of[:, None]
        codes = np.where(voting, self._nearest.codes, -1)
        predicted, shares = _voted(codes)
        numbers = np.where(voting, self._nearest.numbers, -1)
        ids = {self._ids[number] for number in np.unique(numbers[numbers >= 0]).tolist()}
        records = {record.id: record for record in self._queries.records}
        for some in chunks(sorted(ids - records.keys()), _READ):
            records |= {record.id: record for record in store.get(name, some)}
        # One that is gone by now is no evidence that could be shown; its vote stays.
        order = sorted(records)
        rows = {identity: row for row, identity in enumerate(order)}
        by_number = {number: rows.get(identity, -1) for number, identity in self._ids.items()}
        neighbours = np.array(
            [by_number.get(number, -1) for number in numbers.ravel().tolist()], np.intp
        ).reshape(numbers.shape)
        similarities = np.where(neighbours >= 0, self._nearest.similarities, np.nan)
        groups = list(self._groups.values())
        pairs = [(members[0], other) for members in groups for other in members[1:]]
        first, second = np.array(pairs, np.intp).reshape(-1, 2).T
        lots = join_groups(np.arange(len(truth)), (first, second))
        kept = np.flatnonzero(answered)
        loose = None
        if self._loose is not None:
            voters = np.where(voting, self._loose.codes, -1)
            loose = int((_voted(voters)[0] == truth)[kept].sum())
        own_counts = [drawn.counts[_placed(record, options)] for record in self._queries.records]
        held = HeldOutPredictions(
            rows=np.array([rows[self._queries.records[row].id] for row in kept], np.intp),
            labels=tuple(drawn.labels[key] for key in self._labels),
            truth=truth[kept],
            predicted=predicted[kept],
            shares=shares[kept],
            neighbours=neighbours[kept],
            similarities=similarities[kept],
            nearest=self._nearest.similarities[kept, 0],
            plain_nearest=self._plain_similarities()[kept],
            class_similarities=None if self._by_class is None else self._by_class[kept],
            parts=self._part[kept],
            lots=lots[kept],
            ranks=np.argsort(np.argsort(ranks[kept])),
            repeats=predicted[None, kept],
            k=k,
            ks=ks,
            folds=0,
            refitted=self._metric is not None,
            chosen=options.k == "auto",
            left_out=lost,
            sample=Sample(len(kept), drawn.eligible, drawn.total, learned),
        )
        return SampledPredictions(
            held,
            [records[identity] for identity in order],
            self._alike[kept].astype(np.intp),
            loose,
            sum(film_of(self._queries.records[row]) is not None for row in kept),
            int(sum(own_counts[row] == 1 for row in kept)),
        )

    def _plain_similarities(self) -> Similarities:
        if self._metric is None:
            return self._nearest.similarities[:, 0]
        return np.minimum(self._plain, 1.0).astype(np.float64)

    def _chosen(self, ranks: Rows) -> tuple[Rows, tuple[tuple[int, int], ...], int]:
        """Return the k of each image, how many halves of the sample used each, and the k for new images."""
        options = self._options
        if options.k != "auto":
            return np.full(len(ranks), options.k), ((options.k, 1),), options.k
        right = np.stack(
            [winning_codes(self._nearest.codes[:, :k]) == self._truth for k in CANDIDATE_KS], axis=1
        )
        first = ranks % 2 == 0
        k_of = np.empty(len(ranks), np.intp)
        for half in (first, ~first):
            # By the others: what has chosen k is not judged by it.
            k_of[half] = CANDIDATE_KS[int(right[~half].sum(axis=0).argmax())]
        used = Counter([int(k_of[half][0]) for half in (first, ~first) if half.any()])
        return k_of, tuple(sorted(used.items())), CANDIDATE_KS[int(right.sum(axis=0).argmax())]


def _groups_of(record: Record, options: SampleOptions) -> Iterator[object]:
    """Yield what a record shares with those that it is never compared with: its film, a value of a field."""
    film = None if options.by == FILM else film_of(record)
    if film is not None:
        yield film
    value = None if options.group is None else label_of(record, options.group)
    if value is not None:
        yield label_key(value)


def _placed(record: Record, options: SampleOptions) -> tuple[LabelKey | None, LabelKey]:
    place = _place(record, options)
    assert place is not None  # noqa: S101 else it had not been drawn
    return place


def _voted(codes: Codes) -> tuple[Codes, Similarities]:
    """Return who won each vote, and with which share."""
    winners = winning_codes(codes)
    votes = (codes >= 0).sum(axis=1)
    agreeing = ((codes == winners[:, None]) & (codes >= 0)).sum(axis=1)
    return winners, agreeing / np.maximum(votes, 1)


def _among(pairs: Sequence[tuple[int, int]], some: Rows, columns: Rows) -> tuple[Rows, Rows]:
    """Return pairs of a query and a column as places in some of each, both rising."""
    rows, others = np.array(pairs, np.intp).reshape(-1, 2).T
    first, second = np.searchsorted(some, rows), np.searchsorted(columns, others)
    inside = (first < len(some)) & (second < len(columns))
    inside[inside] = (some[first[inside]] == rows[inside]) & (columns[second[inside]] == others[inside])
    return first[inside], second[inside]
