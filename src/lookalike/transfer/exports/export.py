"""Exports: a collection as a file or folder that other programs read, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from lookalike.arrow import pyarrow
from lookalike.errors import InvalidArgument
from lookalike.label_normalisation import check_fields, kept_name
from lookalike.output_files import check_file, check_new_folder, new_file, new_folder
from lookalike.progress import divided, silent
from lookalike.transfer.exports.coco import write_coco
from lookalike.transfer.exports.image_folder import write_image_folder
from lookalike.transfer.exports.lines import csv_lines, json_lines
from lookalike.transfer.exports.parquet import write_parquet
from lookalike.transfer.exports.predictions import Predictions
from lookalike.transfer.exports.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lookalike.embedders.models import Models
    from lookalike.metric_learning.spaces import Spaces
    from lookalike.progress import Progress
    from lookalike.types import Record, Skipped, Where

LineForm: TypeAlias = Literal["csv", "jsonl"]
"""Forms that are written line by line, and may be sent while they are read."""
Form: TypeAlias = Literal["parquet", "csv", "jsonl", "coco", "imagefolder"]

_SUFFIXES: dict[str, Form] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "coco",
}
_WITH_LABELS = ("coco", "imagefolder")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported, and how."""

    form: Form | None = None
    """None: what the name of the file says."""
    where: Where | None = None
    """Only records that match."""
    vectors: bool | None = None
    """Whether vectors are written; None: into Parquet and JSON lines, and not into CSV."""
    predictions: str | None = None
    """The field of which held-out labels are written too."""
    by: str = "label"
    """The field whose values are the categories of COCO, and the folders of an ImageFolder."""
    copy: bool = False
    """Whether an ImageFolder has copies of the pictures instead of links to them."""
    ids: Sequence[str] | None = None
    """Only these records, in this order."""
    name_of: Callable[[Record], str] | None = None
    """What a record is called where nobody is to learn where its file lies; of lines alone."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    path: Path
    form: Form
    images: int
    """Records, or pictures, that are in it."""
    skipped: tuple[Skipped, ...] = ()
    """What is not, and why."""
    remarks: tuple[str, ...] = ()
    """What is to be known of it."""
    predictions: Predictions | None = None


def export(
    spaces: Spaces, models: Models, name: str, path: Path, options: ExportOptions, progress: Progress = silent
) -> ExportReport:
    """Write a collection as a file or folder.

    Tables are written as they are read: memory does not grow with the collection, unless predictions are
    asked for, or COCO, whose file is one JSON document.

    Args:
        spaces: of the store with the collection.
        models: know which columns of its vectors belong together, for predictions.
        name: the collection.
        path: of the file, which is replaced where it is there; or of the folder, which must be new or empty.
        options: what, and how.
        progress: called with records done and records to do.

    Raises:
        CollectionNotFound: there is none of that name.
        FieldNotFound: no record has a field that is named.
        InvalidArgument: no such form, an option that it does not have, or a path that cannot be it.
        OutputFailed: it cannot be written; nothing of it is left.
        ExtraMissing: Parquet, and pyarrow is not installed.
        Unanswerable: the collection cannot be judged, for predictions.
    """
    form = _form(path, options.form)
    _check(form, options)
    check_new_folder(path) if form == "imagefolder" else check_file(path)
    collection = spaces.store.collection(name)
    if form in _WITH_LABELS:
        by = kept_name(options.by, collection)
        check_fields([by], collection)
        rows = _rows(spaces, models, name, options, vectors=False, progress=progress)
        if form == "coco":
            with new_file(path) as file:
                images, skipped, remarks = write_coco(rows, by, file)
        else:
            with new_folder(path) as folder:
                images, skipped, remarks = write_image_folder(rows, by, folder, copy=options.copy)
        return ExportReport(path, form, images, tuple(skipped), tuple(remarks))
    vectors = form != "csv" if options.vectors is None else options.vectors
    rows = _rows(spaces, models, name, options, vectors=vectors, progress=progress)
    with new_file(path) as file:
        if form == "parquet":
            images = write_parquet(rows, file)
        else:
            file.writelines(csv_lines(rows) if form == "csv" else json_lines(rows))
            images = rows.read
    lacking = [each.name for each in collection.vectors if not each.ready] if vectors else []
    remarks = [f"the vector {one!r} is left out: records lack it still" for one in lacking]
    return ExportReport(path, form, images, (), tuple(remarks), rows.predictions)


def export_lines(
    spaces: Spaces, models: Models, name: str, options: ExportOptions, progress: Progress = silent
) -> Iterator[bytes]:
    """Return a collection as CSV or JSON lines, to be written while it is read: see `export`.

    Args:
        spaces: of the store with the collection.
        models: see `export`.
        name: the collection.
        options: what, and how; its form is one of `LineForm`.
        progress: called with records done and records to do.

    Raises:
        CollectionNotFound, FieldNotFound, InvalidArgument, Unanswerable: before the first piece.
    """
    form = options.form
    if form is None or form not in get_args(LineForm):
        raise InvalidArgument(f"{form} is not written line by line: {' and '.join(get_args(LineForm))} are")
    _check(form, options)
    vectors = form != "csv" if options.vectors is None else options.vectors
    rows = _rows(spaces, models, name, options, vectors=vectors, progress=progress)
    return csv_lines(rows) if form == "csv" else json_lines(rows)


def _form(path: Path, form: str | None) -> Form:
    """Return the form that is asked for.

    Raises:
        InvalidArgument: there is no such form, or the name of the file says none.
    """
    for known in get_args(Form):
        if form == known:
            return known  # type: ignore[no-any-return]
    found = None if form is not None else _SUFFIXES.get(path.suffix.lower())
    if found is None:
        forms = ", ".join(get_args(Form))
        named = f"no form {form!r}" if form is not None else f"{path.name!r} does not say what it shall be"
        raise InvalidArgument(f"{named}: {forms} (--as)")
    return found


def _check(form: Form, options: ExportOptions) -> None:
    if form == "parquet":
        pyarrow("Parquet")  # which refuses before the work
    if form in _WITH_LABELS and (options.vectors or options.predictions is not None):
        raise InvalidArgument(f"vectors and predictions are for tables, and {form} has labels alone")
    if options.copy and form != "imagefolder":
        raise InvalidArgument(f"copies of the pictures are of imagefolder, not of {form}")


def _rows(
    spaces: Spaces,
    models: Models,
    name: str,
    options: ExportOptions,
    *,
    vectors: bool,
    progress: Progress,
) -> Rows:
    """Return what is written, judged before where predictions are asked for."""
    rows = Rows.of(spaces, name, options.where, vectors=vectors, ids=options.ids)
    rows.name_of = options.name_of
    if options.predictions is None:
        return rows.with_predictions(None, progress)
    # scikit-learn and SciPy take most of a second to import.
    from lookalike.evaluation.evaluate import EvaluateOptions, evaluate_collection

    count = rows.collection.count
    judging, writing = divided(progress, [3 * count + 1, count // 8 + 1])
    evaluation = evaluate_collection(
        spaces, models, name, options.predictions, EvaluateOptions(near_duplicates=True), progress=judging
    )
    return rows.with_predictions(Predictions.from_evaluation(evaluation), writing)
