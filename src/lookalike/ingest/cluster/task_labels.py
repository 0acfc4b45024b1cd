"""The labels of the images of one task: each worker reads those that its images need, and no others."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from unicodedata import normalize

from lookalike.errors import LabelsInvalid
from lookalike.label_normalisation import label_text
from lookalike.labels.encodings import Encodings
from lookalike.labels.image_names import ImageNames
from lookalike.labels.labelling import Labelling, settle
from lookalike.labels.reading import read_labels
from lookalike.labels.tables.sheets import claim_rows, read_sheets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.ingest.cluster.tasks import LabelPlan, Task
    from lookalike.labels.tables.sheets import Row, Sheet
    from lookalike.sources.objects import Location

# Files that a server is asked for at once.
_ASKED = 16


class TaskLabels:
    """Reads the labels below one root, a task at a time."""

    def __init__(self, root: Location, plan: LabelPlan, encoding: str | None) -> None:
        self._root = root
        self._plan = plan
        self._encoding = encoding
        self._sheets: list[Sheet] | None = None
        """Read when they are first needed, and kept: once a worker, not once a task."""
        self._rows: dict[str, list[tuple[int, Row]]] = {}
        """By the path that a row names, the number of its table and the row."""
        self.used = 0
        """Rows of tables, or JSON files, that have named an image so far."""

    def read(self, task: Task) -> Labelling:
        """Return the labels of the images of a task.

        Raises:
            LabelsInvalid: a table cannot be read, or names no images.
            ExtraMissing: a Parquet file, and no pyarrow to read it.
        """
        images = list(task.images)
        if self._plan.mode == "table" and not self._plan.given:
            return self._by_table(images)
        if self._plan.mode == "json" and not self._plan.given:
            return self._by_json(images)
        unlabelled = [image for image in images if image not in task.labels]
        return Labelling(self._plan.mode, dict(task.labels), [], unlabelled, [], expected=self._plan.expected)

    def _by_json(self, images: Sequence[Location]) -> Labelling:
        """Read the JSON files that lie beside the images and are called as they are."""
        beside: list[Location] = []
        for image in images:
            if self._plan.replaced:
                beside.append(image.with_suffix(".json"))
            if self._plan.appended:
                beside.append(image.with_name(f"{image.name}.json"))
        beside = list(dict.fromkeys(beside))
        with ThreadPoolExecutor(_ASKED, thread_name_prefix="labels") as pool:
            there = [
                path for path, is_there in zip(beside, pool.map(_exists, beside), strict=True) if is_there
            ]
        self.used += len(there)
        if not there:
            return settle("json", images, [], expected=True)
        return read_labels(self._root, images, there, "json", self._encoding)

    def _by_table(self, images: Sequence[Location]) -> Labelling:
        """Take the rows that name one of these images by its path, from their table's folder."""
        if self._sheets is None:
            self._sheets = self._read_tables(images)
        wanted: list[list[Row]] = [[] for _ in self._sheets]
        for image in images:
            for number, row in self._rows.get(_path_key(image), ()):
                wanted[number].append(row)
        names = ImageNames(self._root, images)
        claims, skipped, remarks = [], [], []
        for sheet, rows in zip(self._sheets, wanted, strict=True):
            if rows:
                self.used += len(rows)
                found, unused, said = claim_rows(replace(sheet, rows=rows), names)
                claims += found
                skipped += unused
                remarks += said
        return settle("table", images, claims, skipped, remarks=remarks, expected=True)

    def _read_tables(self, images: Sequence[Location]) -> list[Sheet]:
        encodings = Encodings(images, self._encoding, self._root)
        sheets: list[Sheet] = []
        for sheet in read_sheets(self._plan.tables, ImageNames(self._root, images), encodings):
            if isinstance(sheet, LabelsInvalid):
                raise sheet
            for row in sheet.rows:
                if isinstance(row.name, str) and not row.flaw:
                    text = label_text(row.name)
                    for name in dict.fromkeys((row.name, text, text.replace("\\", "/"))):
                        if "\0" not in name:
                            key = _path_key(sheet.path.parent / name)
                            self._rows.setdefault(key, []).append((len(sheets), row))
            sheets.append(sheet)
        return sheets

    @property
    def rows(self) -> int:
        """How many rows the tables have; 0 where none was read."""
        return sum(len(sheet.rows) for sheet in self._sheets or ())


def _exists(path: Location) -> bool:
    return path.exists()


def _path_key(path: Location) -> str:
    return normalize("NFC", os.path.normpath(path))
