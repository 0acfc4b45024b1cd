"""Samples of an evaluation: images that are known to be normal or not, from a collection or a folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lookalike.anomaly.evaluation import Judged, evaluate_anomalies, find_mask
from lookalike.errors import FieldNotFound, PathNotFound, Unanswerable
from lookalike.file_names import display
from lookalike.sources.files import find
from lookalike.sources.locations import readable_location
from lookalike.types import Skipped
from lookalike.uris import uri_text
from lookalike.vectors.vote import label_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.anomaly.evaluation import AnomalyEvaluation
    from lookalike.anomaly.scoring import AnomalyScorer
    from lookalike.progress import Progress
    from lookalike.sources.frames import Place
    from lookalike.stores.store import Store
    from lookalike.types import Record

GOOD = "good"
"""What MVTec AD and those that follow it call the folder of normal images."""


class Sample(NamedTuple):
    """An image whose truth is known."""

    path: Place
    kind: str | None
    """Of its defect; None for a normal image."""


def folder_samples(folder: Path, good: str = GOOD, masks: Path | None = None) -> list[Sample]:
    """Return the images of a folder, of which each folder is a kind of defect, and one has normal images.

    Masks that lie among them are no images of their own.

    Args:
        folder: as MVTec AD has it, `test/KIND/NAME.png`: that one, or the one above it.
        good: the name of the folder with the normal images.
        masks: where masks are: see `find_mask`.

    Raises:
        PathNotFound: there is no such folder.
    """
    if not folder.is_dir():
        raise PathNotFound(str(folder))
    # What is surely a mask by its name or folder is none of these.
    paths = [*map(Path, find(folder / "test" if (folder / "test").is_dir() else folder).images)]
    found = (find_mask(path, masks) for path in paths if path.parent.name != good)
    known = {mask.absolute() for mask in found if mask is not None}
    return [
        Sample(path, None if path.parent.name == good else path.parent.name)
        for path in paths
        if path.absolute() not in known
    ]


def collection_samples(store: Store, name: str, normal: dict[str, list[object]]) -> list[Sample | Skipped]:
    """Return the images of a collection that have all fields by which normal ones are told.

    Args:
        store: where the collection lives.
        name: the collection.
        normal: the filter that normal images match, as the memory has it.

    Raises:
        FieldNotFound: no record has one of these fields any more.
    """
    collection = store.collection(name)
    for field in normal:
        if field not in collection.fields:
            raise FieldNotFound(field, collection.fields)
    found: list[Sample | Skipped] = []
    for batch in store.scan_records(name):
        for record in batch:
            if all(field in record.fields for field in normal):
                path = readable_location(record.uri)
                if path is None:
                    found.append(Skipped(uri_text(record.uri), "it is no file on this machine"))
                else:
                    found.append(Sample(path, _kind(record, normal)))
    return found


def _kind(record: Record, normal: dict[str, list[object]]) -> str | None:
    """Return in what a record differs from normal ones; None where in nothing."""
    said = [
        str(record.fields[field])
        for field, values in normal.items()
        if label_key(record.fields[field]) not in {label_key(value) for value in values}  # type: ignore[arg-type]
    ]
    return ", ".join(said) or None


def check_samples(samples: Sequence[Sample | Skipped], good: str | None) -> None:
    """Refuse samples of which no figure can be told, before any is scored.

    Args:
        samples: what was found.
        good: the name of the folder with the normal images; None: they are those of a collection.

    Raises:
        Unanswerable: there are none, or all are normal, or none is.
    """
    kinds = Counter(each.kind for each in samples if isinstance(each, Sample))
    if not samples:
        raise Unanswerable("there are no images to evaluate")
    if kinds and (None not in kinds or len(kinds) == 1):
        missing = "defective" if None in kinds else "normal"
        found = ", ".join(f"{display(kind)} ({count:,})" for kind, count in kinds.items() if kind is not None)
        hint = f"; found are {found}: --good NAME says which of these has the normal images" if found else ""
        raise Unanswerable(
            f"there is no {missing} image: both kinds are needed to measure how they differ"
            + (hint if good is not None else "")
        )


def evaluate_samples(
    scorer: AnomalyScorer,
    store: Store,
    name: str,
    folder: Path | None,
    good: str,
    masks: Path | None,
    progress: Progress,
) -> tuple[AnomalyEvaluation, list[Skipped]]:
    """Score samples, and measure how well that tells and shows defects.

    Args:
        scorer: of the memory that is judged.
        store: where the collection lives.
        name: the collection.
        folder: with the images; None: those of the collection.
        good: see `folder_samples`.
        masks: where masks are: see `find_mask`.
        progress: called with images done and images to do.

    Returns:
        The figures, and the images that could not be read.
    """
    if folder is None:
        samples = collection_samples(store, name, scorer.memory.facts["normal"])
    else:
        samples = [*folder_samples(folder, good, masks)]
    check_samples(samples, None if folder is None else good)
    judged: list[Judged] = []
    skipped: list[Skipped] = []
    sources = (each if isinstance(each, Skipped) else each.path for each in samples)
    for done, (sample, found) in enumerate(zip(samples, scorer.score(sources), strict=True), 1):
        progress(done, len(samples))
        if isinstance(found, Skipped):
            skipped.append(found)
        elif isinstance(sample, Sample):
            mask = None
            # Masks are files: nothing is looked for beside objects.
            if sample.kind is not None and isinstance(sample.path, Path):
                mask = find_mask(sample.path, masks)
            judged.append(Judged(found, sample.kind, mask))
    return evaluate_anomalies(judged), skipped
