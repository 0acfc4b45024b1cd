"""Corrections of a collection's labels, many at once, of a program's own or from a table."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from lookalike.errors import PathNotFound
from lookalike.file_names import display
from lookalike.metric_learning.correction_table import read_corrections
from lookalike.metric_learning.corrections import correct_all
from lookalike.metric_learning.locks import only_one
from lookalike.search.field_values import count_values
from lookalike.sources.locations import full, location
from lookalike.stores.registry import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.metric_learning.correction_table import CorrectionTable
    from lookalike.metric_learning.corrections import Corrected, Correction
    from lookalike.opened import Opened
    from lookalike.sources.objects import Location


class Corrections:
    """The handle of corrections of a collection's labels: `collection.corrections`."""

    def __init__(self, opened: Opened, name: str) -> None:
        """Name a collection: see `Collection`."""
        self._store = opened.store
        self._locks = opened.locks
        self._name = name

    def apply(self, corrections: Iterable[Correction], *, dry_run: bool = False) -> list[Corrected]:
        """Put the labels of many images right, or confirm them: see `Collection.correct`.

        Args:
            corrections: at most one for each image; nothing is written before all were found right.
            dry_run: only tell what would become of them.

        Returns:
            The records as they were and as they are now, in order.

        Raises:
            ImageNotFound: no record has one of the ids.
            InvalidArgument: a value is none that a field can have, or two corrections of one image.
            StoreBusy: another process puts labels right for too long.
        """
        # Each reads what it writes back.
        alone = only_one(self._store, self._name, "correction", self._locks, wait=TIMEOUT)
        with nullcontext() if dry_run else alone:
            return correct_all(self._store, self._name, corrections, dry_run=dry_run)

    def read(
        self, table: str | Location, *, fields: Sequence[str] = (), encoding: str | None = None
    ) -> CorrectionTable:
        """Read corrections from a table with a row for each image, for `apply`.

        Args:
            table: CSV, TSV, JSON Lines or Parquet, of any encoding and separator, a file or an object; a
                column names the images, by their paths or ids.
            fields: the columns that are taken, which may be new fields; none: those that are fields of the
                collection.
            encoding: of a text that is no Unicode by its marks; None to guess.

        Raises:
            PathNotFound: there is no such file or object.
            LabelsInvalid: it cannot be read, names no image, or has none of the fields.
            InvalidArgument: there is no such encoding.
            ExtraMissing: a Parquet file, and no pyarrow to read it.
        """
        place = full(location(table))
        if not place.is_file():
            raise PathNotFound(display(str(place)))
        counted = count_values(self._store.scan_records(self._name))
        values = {name: [each.value for each in counts] for name, counts in counted.items()}
        uris = {stamp.id: uri for uri, stamp in self._store.scan_stamps(self._name)}
        collection = self._store.collection(self._name)
        return read_corrections(place, collection, uris, values, fields, encoding)
