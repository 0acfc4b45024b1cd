"""Drift: whether new images are still what a collection, and every figure of it, was judged on.

New images and those of the collection are two samples; a permutation test tells whether they are drawn from
one distribution (see `two_sample`), with images of one group or series kept together. Which images speak for
a difference is told with the nearest image of the collection. Plain vectors are compared, also of a fitted
collection: a fitted metric has seen the labels of the collection's images, and of none of the new ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lookalike.drift.two_sample import NEIGHBOURS, compare_samples
from lookalike.errors import CollectionEmpty, FieldNotFound, InvalidArgument, Unanswerable
from lookalike.evaluation.series import find_series
from lookalike.ingest.embedding import embed_files
from lookalike.ingest.index_options import IndexOptions
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.indexed_folders import Indexed, indexed_paths
from lookalike.ingest.removals import Disk
from lookalike.ingest.survey import survey
from lookalike.label_normalisation import check_fields, kept_filter, kept_name
from lookalike.memory import fits
from lookalike.metric_learning.drawing import draw, vectors_of
from lookalike.metric_learning.fitted import plain_vector
from lookalike.progress import divided, silent
from lookalike.search.neighbours import embed_images
from lookalike.search.query import Image
from lookalike.sources.film_groups import with_films_together
from lookalike.sources.locations import full
from lookalike.stores.checks import same_name
from lookalike.stores.verification import fields_match
from lookalike.types import SERIES, Neighbour, Record, Skipped
from lookalike.uris import SENT
from lookalike.vectors.groupings import numbered_by_first_row
from lookalike.vectors.metric import normalise
from lookalike.vectors.nearest import leave_one_out_rows, nearest_rows
from lookalike.vectors.vote import label_key, label_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lookalike.embedders.models import Models
    from lookalike.labels.labelling import Label
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.sources.objects import Location
    from lookalike.types import CollectionInfo, Scalar, Vectors, Where
    from lookalike.vectors.groupings import Groups

FALSE_ALARM = 0.01
"""A batch that is like the collection is called different this often: one in a hundred days."""
PERMUTATIONS = 999
"""The least p-value is then a thousandth."""

# Images of each sample that are compared at most: a kernel of so many twice is 32 MB.
_MOST = 1000
# Of each side, where not all images fit into memory: series and labels are told by these.
_DRAWN = 20_000
# Images that are named.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """How new images are compared with those of a collection."""

    new: Where | None = None
    """Records of the collection that match are the new images, instead of files."""
    where: Where | None = None
    """Only records that match are what the new images are compared with."""
    by: str | None = None
    """The field that holds the label, whose mixture is told; None: none is."""
    group: str | None = None
    """Images with the same value of this field are exchanged together; `series`, where no record has such a
    field: images of one series, as they are found."""
    using: str | None = None
    """The vector that is compared; of a fitted one that which it was made of. None: the default one."""
    labels: str = "auto"
    """Where labels of new files come from: see `IndexOptions`."""
    group_by: str | None = None
    """A regular expression that makes fields of the paths of new files."""
    false_alarm: float = FALSE_ALARM
    permutations: int = PERMUTATIONS
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Driver:
    """An image that speaks for a difference."""

    record: Record
    witness: float
    """How much more similar it is to the new images than to the collection's; below 0: less."""
    nearest: Neighbour
    """The nearest image of the other side."""


@dataclass(frozen=True, slots=True)
class Share:
    """How often a label stands among the nearest neighbours of the new images, and in the collection."""

    label: Scalar
    before: float
    """Part of the collection's labelled images, 0 … 1."""
    now: float
    """Part of the new images whose nearest labelled neighbour has it, 0 … 1."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What the comparison of new images with a collection says."""

    images: int
    """New images that were compared."""
    reference: int
    """Images of the collection that they were compared with."""
    left_out: int
    """Images of both that were not drawn, since they are too many."""
    known: int
    """New images that are in the collection already, by their bytes; they are no reference."""
    groups: int | None
    """Groups that were exchanged; None where each image is its own."""
    group: str | None
    discrepancy: float
    """The squared maximum mean discrepancy."""
    p_value: float
    permutations: int
    false_alarm: float
    share: float
    """Part of the nearest neighbours of new images that are new too, 0 … 1."""
    expected: float
    """The same by chance."""
    drivers: tuple[Driver, ...]
    """New images that are most unlike the collection, the most unlike first."""
    missing: tuple[Driver, ...]
    """Images of the collection that are most unlike the new ones, the most unlike first."""
    by: str | None
    shares: tuple[Share, ...]
    """Of each label, the largest change first; empty without `by`."""
    skipped: tuple[Skipped, ...]
    """Files that could not be used."""

    @property
    def drifted(self) -> bool:
        """Whether the new images are called different."""
        return self.p_value <= self.false_alarm

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        verdict = "drift: the new images differ from" if self.drifted else "no drift: the new images are like"
        exchanged = "" if self.groups is None else f" of {self.groups:,} groups by {self.group}"
        return (
            f"{verdict} the collection (p = {self.p_value:.3f}, {self.permutations:,} permutations{exchanged}"
            f"; of the {NEIGHBOURS} nearest neighbours of a new image {self.share:.1%} are new, by chance "
            f"{self.expected:.1%})"
        )


def compare_with_collection(
    spaces: Spaces,
    models: Models,
    name: str,
    new: Sequence[Location | Image],
    options: DriftOptions,
    progress: Progress = silent,
) -> Drift:
    """Test whether new images are drawn from the distribution of a collection.

    Args:
        spaces: of the store with the collection.
        models: open the embedder of new files.
        name: the collection.
        new: folders and files with the new images, uploads, and images that were embedded before, unless
            `options.new` says which records they are.
        options: how; its fields as people write them.
        progress: called with images embedded and permutations done, and those to do.

    Raises:
        InvalidArgument: both files and records are given, or none; a number is out of its range.
        CollectionEmpty: it has no images.
        FieldNotFound: no image has the field `by` or `group`.
        Unanswerable: fewer than two images on a side, or fewer than two groups.
    """
    if bool(new) == (options.new is not None):
        raise InvalidArgument("name new images, or which records are new: one of both")
    if not 0 < options.false_alarm < 1 or options.permutations < 1:
        raise InvalidArgument("a false-alarm rate is between 0 and 1, and permutations are at least 1")
    collection = spaces.store.collection(name)
    if not collection.count:
        raise CollectionEmpty(collection.name)
    embedding, permuting = divided(progress, [1, 1])
    check_fields((*(options.where or ()), *(options.new or ())), collection)
    skipped: list[Skipped] = []
    sent = None
    if options.new is None:
        sent = _embedded(spaces, models, collection, new, options, skipped, embedding)
    dimension = plain_vector(collection, options.using).space.dimension
    read = _read_all if fits(collection.count, dimension) else _read_some
    sides = read(spaces, collection, options, sent)
    embedding(1, 1)
    by = None if options.by is None else kept_name(options.by, collection)
    group = None if options.group is None else kept_name(options.group, collection)
    asked = replace(options, by=by, group=group)
    drift = compare(sides.reference, sides.vectors, *sides.new, asked, permuting)
    left_out = drift.left_out + sides.undrawn
    return replace(drift, known=sides.known, left_out=left_out, skipped=tuple(skipped))


class _Sides(NamedTuple):
    """The images that are compared."""

    reference: list[Record]
    vectors: Vectors
    new: tuple[list[Record], Vectors]
    known: int
    """Images of the collection that new files are."""
    undrawn: int = 0
    """Images that were not read, as others were drawn."""


def _read_all(
    spaces: Spaces,
    collection: CollectionInfo,
    options: DriftOptions,
    sent: tuple[list[Record], Vectors] | None,
) -> _Sides:
    """Read a collection; `sent` are new images that are no records of it."""
    records, vectors = spaces.read_plain(collection, options.using)
    chosen = _matching(spaces, collection, records, options.where)
    new = sent
    if new is None:
        rows = _matching(spaces, collection, records, options.new)
        new = [records[row] for row in np.flatnonzero(rows)], vectors[rows]
    digests = {record.digest for record in new[0]}
    there = np.array([record.digest in digests for record in records], dtype=bool)
    chosen &= ~there
    known = 0 if sent is None else len({records[row].digest for row in np.flatnonzero(there)})
    return _Sides([records[row] for row in np.flatnonzero(chosen)], vectors[chosen], new, known)


def _read_some(
    spaces: Spaces,
    collection: CollectionInfo,
    options: DriftOptions,
    sent: tuple[list[Record], Vectors] | None,
) -> _Sides:
    """Read images of each side that are drawn at random, of a collection that does not fit into memory."""
    new, undrawn = sent, 0
    if new is None:
        drawn, vectors, undrawn = _drawn(spaces, collection, options, options.new, lambda _: True)
        new = drawn, vectors
    digests = {record.digest for record in new[0]}
    # Also those that were not drawn are new ones.
    filtered = None if sent is not None else kept_filter(options.new, collection)
    known = 0
    if sent is not None:
        known = sum(bool(spaces.store.ids_by_digest(collection.name, each)) for each in digests)

    def is_other(record: Record) -> bool:
        return record.digest not in digests and not (filtered and fields_match(record.fields, filtered))

    records, vectors, more = _drawn(spaces, collection, options, options.where, is_other)
    return _Sides(records, vectors, new, known, undrawn + more)


def _drawn(
    spaces: Spaces,
    collection: CollectionInfo,
    options: DriftOptions,
    where: Where | None,
    among: Callable[[Record], bool],
) -> tuple[list[Record], Vectors, int]:
    """Return some records that match, drawn at random, their plain vectors, and how many were not drawn."""
    batches = spaces.store.scan_records(collection.name, kept_filter(where, collection) or None)
    ids, count = draw(batches, _DRAWN, options.seed, among)
    found = vectors_of(spaces.store, collection.name, plain_vector(collection, options.using), ids)
    return *found, count - len(found[0])


def compare(
    reference: Sequence[Record],
    reference_vectors: Vectors,
    new: Sequence[Record],
    new_vectors: Vectors,
    options: DriftOptions,
    progress: Progress = silent,
) -> Drift:
    """Test whether two sets of images are drawn from one distribution: see `compare_with_collection`.

    Args:
        reference: in any order.
        reference_vectors: plain, float32, their rows in the order of the records, each of length 1.
        new: likewise.
        new_vectors: likewise.
        options: `by`, `group`, `false_alarm`, `permutations` and `seed` of them.
        progress: called with permutations done and to do.
    """
    if len(reference) < 2 or len(new) < 2:
        raise Unanswerable(
            f"{_counted(len(new), 'new image')} and {_counted(len(reference), 'other')} of the collection: "
            "two of each are needed"
        )
    records = [*reference, *new]
    vectors = np.concatenate([reference_vectors, new_vectors])
    second = np.arange(len(records)) >= len(reference)
    groups = _groups(records, vectors, second, options)
    rows = _sampled(groups, second, options.seed)
    groups = numbered_by_first_row(groups[rows])
    number = int(groups.max()) + 1
    if number < 2 or len(np.unique(groups[second[rows]])) == number or second[rows].all():
        raise Unanswerable("all images are in one group: there is nothing to exchange")
    found = compare_samples(vectors[rows], second[rows], groups, options.permutations, options.seed, progress)
    of_new, of_reference = np.flatnonzero(second[rows]), np.flatnonzero(~second[rows])
    sides = rows[of_new], rows[of_reference]
    return Drift(
        images=len(of_new),
        reference=len(of_reference),
        left_out=len(records) - len(rows),
        known=0,
        groups=None if options.group is None else number,
        group=options.group,
        discrepancy=found.discrepancy,
        p_value=found.p_value,
        permutations=options.permutations,
        false_alarm=options.false_alarm,
        share=found.share,
        expected=found.expected,
        drivers=_drivers(records, vectors, sides[0], sides[1], found.witness[of_new]),
        missing=_drivers(records, vectors, sides[1], sides[0], -found.witness[of_reference]),
        by=options.by,
        shares=_shares(reference, reference_vectors, new_vectors, options.by),
        skipped=(),
    )


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _matching(
    spaces: Spaces, collection: CollectionInfo, records: Sequence[Record], where: Where | None
) -> NDArray[np.bool_]:
    """Return which records match a filter: shape (n,)."""
    if not where:
        return np.ones(len(records), dtype=bool)
    matching = spaces.store.scan_records(collection.name, kept_filter(where, collection))
    ids = {record.id for batch in matching for record in batch}
    return np.array([record.id in ids for record in records], dtype=bool)


def _embedded(
    spaces: Spaces,
    models: Models,
    collection: CollectionInfo,
    new: Sequence[Location | Image],
    options: DriftOptions,
    skipped: list[Skipped],
    progress: Progress,
) -> tuple[list[Record], Vectors]:
    """Return new images as records; those of files have the labels that `index` would give them."""
    records: list[Record] = []
    rows: list[Vectors] = []
    vector = plain_vector(collection, options.using)
    paths = [full(each) for each in new if not isinstance(each, Image)]
    if paths:
        noted = indexed_paths(models.cache, spaces.store.url).get(same_name(collection.name), Indexed())
        report = IndexReport(collection.name)
        asked = IndexOptions(labels=options.labels, group_by=options.group_by)
        found = survey(paths, asked, {}, report, Disk(), noted.folders, {})
        skipped += report.skipped
        embedder = models.embedder_of(collection, vector)
        wanted: list[tuple[Location, Label]] = list(found.wanted.items())
        outcomes = embed_files([path for path, _ in wanted], embedder, models.features(embedder))
        for done, ((path, label), outcome) in enumerate(zip(wanted, outcomes, strict=True), 1):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                records.append(outcome.record(path.as_uri(), label))
                rows.append(normalise(outcome.features[None]))
            progress(done, len(wanted))
    images = [each for each in new if isinstance(each, Image)]
    for done, sent in enumerate(embed_images(spaces, models, collection, vector, images), 1):
        if isinstance(sent, Skipped):
            skipped.append(sent)
        else:
            digest = sent.digest or ""
            # With its name, since series are told by names.
            records.append(Record(digest[:32], f"{SENT}{sent.name}", digest, {}, {}, 0, 0))
            rows.append(sent.vector[None])
        progress(done, len(images))
    if not rows:
        raise Unanswerable(
            "none of the new images can be used: " + "; ".join(each.reason for each in skipped[:3])
        )
    return records, np.concatenate(rows)


def _groups(
    records: Sequence[Record], vectors: Vectors, second: NDArray[np.bool_], options: DriftOptions
) -> Groups:
    """Return which images are exchanged together; only a field makes groups with images of both sides."""
    group = options.group
    if group is None:
        return with_films_together(np.arange(len(records)), records)
    values = [label_of(record, group) for record in records]
    if any(value is not None for value in values):
        numbers: dict[object, int] = {}
        keys = [place if value is None else label_key(value) for place, value in enumerate(values)]
        asked = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
        return with_films_together(asked, records)
    if group != SERIES:
        raise FieldNotFound(group, {name for record in records for name in record.fields})
    groups = np.arange(len(records))
    for side in (second, ~second):
        rows = np.flatnonzero(side)
        nearest = leave_one_out_rows(vectors[rows], 1)[0][:, 0]
        some = [records[row] for row in rows.tolist()]
        found = find_series(some, vectors[rows], np.arange(len(rows)), nearest, options.by, seed=options.seed)
        if found is not None:
            # Numbered by one of their own rows, which no group of the other side has.
            firsts = np.unique(found.groups, return_index=True)[1]
            groups[rows] = rows[firsts[found.groups]]
    return with_films_together(groups, records)


def _sampled(groups: Groups, second: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """Return the rows that are compared: of each side whole groups at random, up to `_MOST` images."""
    random = np.random.default_rng(seed)
    kept = []
    for side in (~second, second):
        rows = np.flatnonzero(side)
        if len(rows) > _MOST:
            order = random.permutation(int(groups.max()) + 1)[groups[rows]]
            rows = np.sort(rows[np.argsort(order, kind="stable")[:_MOST]])
        kept.append(rows)
    return np.concatenate(kept)


def _drivers(
    records: Sequence[Record],
    vectors: Vectors,
    rows: NDArray[np.intp],
    others: NDArray[np.intp],
    witness: NDArray[np.float64],
) -> tuple[Driver, ...]:
    """Return the images of one side with the largest witness, each with the nearest of the other side."""
    best = np.argsort(-witness, kind="stable")[:_NAMED]
    nearest, similarities = nearest_rows(vectors[rows[best]], vectors[others], 1)
    return tuple(
        Driver(records[rows[place]], float(witness[place]), Neighbour(records[others[other]], similarity))
        for place, other, similarity in zip(
            best.tolist(), nearest[:, 0].tolist(), similarities[:, 0].tolist(), strict=True
        )
    )


def _shares(
    reference: Sequence[Record], reference_vectors: Vectors, new_vectors: Vectors, by: str | None
) -> tuple[Share, ...]:
    if by is None:
        return ()
    labels = [label_of(record, by) for record in reference]
    rows = [row for row, label in enumerate(labels) if label is not None]
    if not rows:
        raise FieldNotFound(by, {name for record in reference for name in record.fields})
    known = {label_key(label): label for label in labels if label is not None}
    keys = [label_key(label) for label in labels if label is not None]
    nearest = nearest_rows(new_vectors, reference_vectors[rows], 1)[0][:, 0]
    before, now = Counter(keys), Counter(keys[row] for row in nearest.tolist())
    found = [
        Share(label, before[key] / len(keys), now[key] / len(new_vectors)) for key, label in known.items()
    ]
    return tuple(sorted(found, key=lambda each: (-abs(each.now - each.before), label_key(each.label))))


def drift_lines(drift: Drift) -> Iterator[dict[str, Any]]:
    """Yield a comparison as values that JSON can hold, each with its `type`.

    The order: one `summary`, then every `share` of a label, `driver`, `missing` image and `skipped` file.
    """
    yield {
        "type": "summary",
        "drifted": drift.drifted,
        **{
            name: getattr(drift, name)
            for name in (
                *("images", "reference", "left_out", "known", "groups", "group", "discrepancy", "p_value"),
                *("permutations", "false_alarm", "share", "expected", "by"),
            )
        },
        "skipped": len(drift.skipped),
    }
    for share in drift.shares:
        yield {"type": "share", **asdict(share)}
    for kind, images in (("driver", drift.drivers), ("missing", drift.missing)):
        for each in images:
            nearest = each.nearest
            yield {
                "type": kind,
                "id": each.record.id,
                "uri": each.record.uri,
                "witness": each.witness,
                "nearest": {
                    "id": nearest.record.id,
                    "uri": nearest.record.uri,
                    "similarity": nearest.similarity,
                },
            }
    for skipped in drift.skipped:
        yield {"type": "skipped", **asdict(skipped)}
