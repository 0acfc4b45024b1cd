"""Audit of labels and images: contradicted labels, near-duplicates and outliers, ranked, each with evidence.

Suspect labels are those that the vote of the neighbours contradicts, in answers in which the image itself had
no part. They, and behind them all other labels, are ranked by their margin: how much more similar the nearest
image of the other class is than the nearest of the label's own. It is the normalised margin of confident
learning (C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70 (2021), 1373-1411), with similarities for probabilities.
Measured on 2,000 textile photographs with inspection features, a refitted metric and 100 labels changed at
random: by the margin alone, the first 100 hold 93 of them and the first 200 all. With similarities, measuring
each class against what is usual in it, as the thresholds there do, leaves 70 of them among the first 200.

An audit points; it decides nothing. A suspect may be right and rare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lookalike.audit.findings import (
    DEVIATION,
    SMALL,
    SPLITS,
    Audit,
    Duplicates,
    Outlier,
    SmallClass,
    Suspect,
    split_key,
)
from lookalike.audit.picture_quality import judge_pictures, read_file
from lookalike.audit.resaved_copies import join_resaved
from lookalike.errors import CollectionEmpty, FieldNotFound, InvalidArgument
from lookalike.evaluation.held_out_predictions import HoldOutOptions, predict_held_out, workload
from lookalike.label_normalisation import kept_name
from lookalike.memory import check_fits
from lookalike.metric_learning.fitted import plain_vector
from lookalike.progress import divided, silent
from lookalike.sources.film_groups import film_groups, with_films_together
from lookalike.types import Neighbour
from lookalike.vectors.groupings import group_members
from lookalike.vectors.near_duplicates import find_near_duplicates
from lookalike.vectors.nearest import leave_one_out_rows, nearest_rows
from lookalike.vectors.vote import label_of, winning_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.audit.picture_quality import Read
    from lookalike.embedders.models import Models
    from lookalike.evaluation.held_out_predictions import HeldOutPredictions
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.types import Record, Vectors
    from lookalike.vectors.metric import Fit
    from lookalike.vectors.nearest import Similarities
    from lookalike.vectors.vote import Codes

# Images after which somebody is told how far it is: a hundredth of a second.
_TOLD = 1024


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How a collection is audited."""

    split: str | None = None
    """The field that tells training images from test images; None: the first field, by name, all of whose
    values are such names (`SPLITS`)."""
    k: int = 5
    """How many neighbours vote on a label, and are its evidence; at least 1."""
    look: bool = False
    """Whether to read the pictures: which were saved again, see `resaved_copies`, and how good they are, see
    `picture_quality`."""
    read: Read = read_file
    """Reads the file of a record."""
    seed: int = 0
    """Of the folds."""


_USUAL = AuditOptions()


def audit_collection(
    spaces: Spaces,
    models: Models,
    name: str,
    by: str | None,
    options: AuditOptions = _USUAL,
    *,
    using: str | None = None,
    progress: Progress = silent,
) -> Audit:
    """Read a collection and audit it, a fitted vector by a fit made anew in each fold: see `audit`.

    Args:
        spaces: of the store with the collection.
        models: know which columns of its vectors belong together.
        name: the collection.
        by: the field that holds the label, as people write it, or None.
        options: how; its field as people write it.
        using: the vector that is judged; None: the default one.
        progress: called with images read and compared, and those to do.

    Raises:
        CollectionEmpty: it has no records.
        MemoryTooSmall: they do not fit into memory.
    """
    collection = spaces.store.collection(name)
    instead = "`lookalike evaluate --sample 10000` names the labels that neighbours contradict in a sample"
    check_fits(collection.name, collection.count, plain_vector(collection, using).space.dimension, instead)
    found, comparing = spaces.read_for_folds(collection, using, models, progress)
    if not found.records:
        raise CollectionEmpty(name)
    rest, measuring = divided(comparing, [4, 4 if options.look else 0])
    split = None if options.split is None else kept_name(options.split, collection)
    audited = audit(
        *(found.records, found.vectors, None if by is None else kept_name(by, collection)),
        replace(options, split=split), fit=found.fit, fit_by=found.fit_by, progress=rest,
    )  # fmt: skip
    if not options.look:
        return audited
    pictures = judge_pictures(found.records, models.cache, read=options.read, progress=measuring)
    return replace(audited, pictures=pictures)


def audit(
    records: Sequence[Record],
    vectors: Vectors,
    by: str | None,
    options: AuditOptions = _USUAL,
    *,
    fit: Fit | None = None,
    fit_by: str | None = None,
    progress: Progress = silent,
) -> Audit:
    """Audit the labels and images of a collection.

    Near-duplicates never answer for each other, so that no copy speaks for its own label.

    Args:
        records: all records of the collection.
        vectors: plain (not fitted) vectors, float32 of shape (len(records), d), each row of length 1.
        by: the field that holds the label; None looks for near-duplicates and outliers only.
        options: how; of the pictures only whether they were saved again is looked at.
        fit: makes the metric, anew in each fold; None stays with the plain one.
        fit_by: the field whose labels the metric learns, by default `by`.
        progress: called with images compared and images to compare, each counted as often as it is.

    Returns:
        What was found.

    Raises:
        InvalidArgument: k is below 1, `split` is `by`, or there are not as many vectors as records.
        FieldNotFound: no record has the field `by`, or `split`.
        Unanswerable: nothing to compare, one label only, or too little to hold out.
    """
    if len(records) != len(vectors):
        raise InvalidArgument(f"{len(records)} records need as many vectors, not {len(vectors)}")
    split, k, look = options.split, options.k, options.look
    if split is not None and split == by:
        raise InvalidArgument(f"by and split are both {by!r}: a label is no split")
    if split is None:
        split = _split_field(records, by)
    elif all(label_of(record, split) is None for record in records):
        raise FieldNotFound(split, {name for record in records for name in record.fields} - {split})
    count = len(records)
    work = [2 * count] if by is None else workload(count, k, fit, 1)
    # Each pair is looked at once for near-duplicates, twice for answers.
    sizes = [count // 2, 2 * count if look else 0, sum(work), count // 8, count // 8 + 1]
    alike, looking, judging, telling, copies = divided(progress, sizes)
    near = find_near_duplicates(vectors, [record.digest for record in records], alike)
    groups = join_resaved(records, vectors, near, options.read, looking) if look else near.groups
    suspects: tuple[Suspect, ...] = ()
    small_classes: tuple[SmallClass, ...] = ()
    answers: HeldOutPredictions | None = None
    if by is None:
        outliers = _outliers_of_all(records, vectors, with_films_together(groups, records), judging)
    else:
        # The labels are ranked by the first drawing of folds; others would only be counted.
        answers = predict_held_out(
            records, vectors, by, HoldOutOptions(k=k, repeats=1, seed=options.seed),
            fit=fit, fit_by=fit_by, lots=with_films_together(groups, records), progress=judging,
        )  # fmt: skip
        suspects = _suspects(records, answers, telling)
        outliers = _outliers(records, answers)
        small_classes = _small_classes(answers)
    found = Audit(
        by=by,
        split=split,
        images=len(records),
        method="" if answers is None else answers.method,
        threshold=min(1.0, near.threshold),
        chains=near.chains,
        duplicates=_duplicates(records, vectors, groups, by, split, copies),
        suspects=suspects,
        outliers=outliers,
        small_classes=small_classes,
        left_out=() if answers is None else answers.left_out,
    )
    progress(sum(sizes), sum(sizes))
    return found


def contradictions(held: HeldOutPredictions) -> tuple[NDArray[np.float64], Codes]:
    """Return the contradiction score of each label, and the label suggested instead.

    Args:
        held: answers for n images.

    Returns:
        Scores of shape (n,), by which labels are ranked; and the label that was voted for or, where that is
        the image's own, the one that comes nearest: shape (n,), as a place in `held.labels`.
    """
    if held.class_similarities is None:
        return _by_votes(held)
    every = np.arange(len(held.truth))
    # A class that no image could be compared with speaks neither for nor against anything.
    support = np.maximum(held.class_similarities, -1.0).astype(np.float64)
    own = support[every, held.truth]
    support[every, held.truth] = -np.inf
    suggested = np.where(held.right, support.argmax(axis=1), held.predicted)
    return support[every, suggested] - own, suggested


def _by_votes(held: HeldOutPredictions) -> tuple[NDArray[np.float64], Codes]:
    """Rank by the parts of the vote, where there are too many classes to keep the similarities to all."""
    places = np.full(max(held.rows.max(), held.neighbours.max()) + 1, -1)
    places[held.rows] = held.truth
    codes = np.where(held.neighbours >= 0, places[held.neighbours], -1)
    others = np.where(codes == held.truth[:, None], -1, codes)
    # An image whose neighbours name no other label has none suggested but its own.
    winners = winning_codes(others)
    voters = np.maximum((codes >= 0).sum(axis=1), 1)
    against = ((others == winners[:, None]) & (others >= 0)).sum(axis=1)
    kept = (codes == held.truth[:, None]).sum(axis=1)
    return (against - kept) / voters, np.where(winners >= 0, winners, held.truth)


def _suspects(records: Sequence[Record], held: HeldOutPredictions, progress: Progress) -> tuple[Suspect, ...]:
    scores, suggested = contradictions(held)
    found = []
    for place, row in enumerate(held.rows.tolist()):
        if place % _TOLD == 0:
            progress(place, len(held.rows))
        found.append(
            Suspect(
                record=records[row],
                label=held.labels[held.truth[place]],
                suggested=held.labels[suggested[place]],
                score=float(scores[place]),
                contradicted=not held.right[place],
                neighbours=_neighbours(records, held, place),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.contradicted, -each.score, each.record.uri)))


def _neighbours(records: Sequence[Record], held: HeldOutPredictions, place: int) -> tuple[Neighbour, ...]:
    rows, similarities = held.neighbours[place].tolist(), held.similarities[place].tolist()
    return tuple(
        Neighbour(records[row], similarity)
        for row, similarity in zip(rows, similarities, strict=True)
        if row >= 0
    )


def _duplicates(
    records: Sequence[Record],
    vectors: Vectors,
    groups: Codes,
    by: str | None,
    split: str | None,
    progress: Progress,
) -> tuple[Duplicates, ...]:
    sizes = np.bincount(groups)
    members = np.flatnonzero(sizes[groups] > 1)
    if not len(members):
        return ()
    looking, telling = divided(progress, [len(members), len(members)])
    nearest = np.full(len(records), np.nan)
    nearest[members] = leave_one_out_rows(vectors[members], 1, groups[members], looking)[1][:, 0]
    found: list[Duplicates] = []
    several = np.flatnonzero(sizes > 1)
    films = film_groups(records)
    for group in several:
        telling(len(found), len(several))
        rows = sorted(np.flatnonzero(groups == group).tolist(), key=lambda row: records[row].uri)
        if films is not None and len(set(films[rows].tolist())) == 1:
            continue  # moments of one film are alike
        found.append(
            Duplicates(
                records=tuple(records[row] for row in rows),
                labels=tuple(None if by is None else label_of(records[row], by) for row in rows),
                similarity=float(nearest[rows].min()),
                splits=() if split is None else tuple(label_of(records[row], split) for row in rows),
            )
        )
    return tuple(sorted(found, key=lambda each: (not each.disagree, -len(each.records), each.records[0].uri)))


def _outliers(records: Sequence[Record], held: HeldOutPredictions) -> tuple[Outlier, ...]:
    found = []
    deviations = _deviations(1.0 - held.nearest, held.truth, len(held.labels))
    for place in np.flatnonzero(deviations > DEVIATION).tolist():
        neighbours = _neighbours(records, held, place)
        if neighbours:
            record = records[held.rows[place]]
            label = held.labels[held.truth[place]]
            found.append(Outlier(record, label, neighbours[0], float(deviations[place])))
    return tuple(sorted(found, key=lambda outlier: (-outlier.deviation, outlier.record.uri)))


def _outliers_of_all(
    records: Sequence[Record], vectors: Vectors, groups: Codes, progress: Progress
) -> tuple[Outlier, ...]:
    """Return the images that are further from the nearest than is usual in the whole collection."""
    if len(records) < SMALL:
        # So few have no usual distance.
        return ()
    alike = [rows.tolist() for rows in group_members(groups)]
    excluded = [alike[group] for group in groups.tolist()]
    rows, similarities = nearest_rows(vectors, vectors, 1, excluded, progress=progress)
    others = np.flatnonzero(rows[:, 0] >= 0)
    if not len(others):
        return ()
    distances = 1.0 - similarities[others, 0]
    deviations = _deviations(distances, np.zeros(len(others), dtype=np.intp), 1)
    found = []
    for place in np.flatnonzero(deviations > DEVIATION).tolist():
        row = int(others[place])
        nearest = Neighbour(records[rows[row, 0]], float(similarities[row, 0]))
        found.append(Outlier(records[row], None, nearest, float(deviations[place])))
    return tuple(sorted(found, key=lambda outlier: (-outlier.deviation, outlier.record.uri)))


def _deviations(distances: Similarities, truth: Codes, classes: int) -> NDArray[np.float64]:
    """Return the modified z-score of each distance within its class; within all where the class is small."""
    # SciPy's statistics take half a second to load.
    from scipy.stats import median_abs_deviation

    scores = np.zeros(len(distances))
    for code in range(classes):
        own = truth == code
        peers = distances[own] if own.sum() >= SMALL else distances
        middle = float(np.median(peers))
        spread = float(median_abs_deviation(peers, scale="normal"))
        if spread > 0:
            scores[own] = (distances[own] - middle) / spread
    return scores


def _small_classes(held: HeldOutPredictions) -> tuple[SmallClass, ...]:
    counts = np.bincount(held.truth, minlength=len(held.labels)).tolist()
    small = [
        SmallClass(label, count) for label, count in zip(held.labels, counts, strict=True) if count < SMALL
    ]
    return tuple(sorted(small, key=lambda each: each.count))


def _split_field(records: Sequence[Record], by: str | None) -> str | None:
    """Return the first field, by name, that holds at least two names of splits and nothing else."""
    for name in sorted({name for record in records for name in record.fields} - {by}):
        values = {record.fields[name] for record in records if name in record.fields}
        if all(str(value).casefold() in SPLITS for value in values) and len(set(map(split_key, values))) > 1:
            return name
    return None
