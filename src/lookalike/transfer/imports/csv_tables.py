"""Tables in CSV, whatever their encoding, separator and packing, read a block at a time."""

from __future__ import annotations

import csv
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.labels.tables.column_types import decimal_comma, typed
from lookalike.labels.tables.delimited import SAMPLE, allow_long_values, find_separator
from lookalike.sources.files import SUFFIXES
from lookalike.transfer.imports.blocks import MOST_ROWS, Block
from lookalike.transfer.imports.table import Table
from lookalike.transfer.imports.text_files import find_encoding, open_text
from lookalike.transfer.imports.vector_cells import is_vector
from lookalike.vectors.written_vectors import FEWEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SEPARATORS = (",", ";", "\t", "|")
_DECIMAL = re.compile(r"[-+]?\d*[.,]?\d+(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"-?\d+")


def csv_table(path: Path, encoding: str | None = None) -> Table:
    """Return the table in a CSV file; a column is of numbers or booleans where all its values are.

    It is read twice: the types of the columns are found out first. Lines of numbers, or of a name and
    numbers, parted by spaces, as `numpy.savetxt` and others write vectors, are a table, too.

    Raises:
        InvalidArgument: it is empty, is no text in that encoding, or no CSV.
        ExtraMissing: it is packed by Zstandard, and pyarrow is not installed.
    """
    allow_long_values()
    known, assumed = find_encoding(path, encoding)
    file = _CsvFile(path, known)
    file.learn()
    remarks = [] if assumed is None else [assumed]
    table = Table("CSV", path.parent, file.blocks, path.name, file.count, remarks=remarks + file.remarks)
    table.index = file.index
    return table


class _CsvFile:
    """A CSV file whose header and separator are known."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding
        self._separator, self._stated = ",", False
        self._headed = True
        self.count = 0
        self.remarks: list[str] = []
        header = self._header()
        if not header:
            raise InvalidArgument(f"{display(path)} is empty")
        self.index = None
        self._nameless: set[int] = set()
        if _are_values(header):
            self._headed = False
            self._names = _names_of(header)
            self.remarks.append(
                f"its first line names no columns; they are called {', '.join(self._names[:3])}"
                + (" …" if len(self._names) > 3 else "")
            )
        else:
            self._names = [name.strip() or f"column {number}" for number, name in enumerate(header, 1)]
            self._nameless = {place for place, name in enumerate(header) if not name.strip()}
            if 0 in self._nameless:
                self.index = self._names[0]
        if len(set(self._names)) < len(self._names):
            raise InvalidArgument(f"{display(path)} has two columns of one name: {', '.join(self._names)}")
        self._kinds: list[set[str]] = [set() for _ in self._names]
        # Whether all numbers of a column have decimal commas, where the comma parts no columns.
        self._commas = [self._separator != ","] * len(self._names)

    def learn(self) -> None:
        """Count the rows, and find out the types of the columns."""
        for rows in self._rows():
            for place, values in enumerate(self._columns(rows)):
                plain = typed(values)
                kinds = {_kind(one) for one in plain if one is not None}
                if self._commas[place] and "text" in kinds:
                    pointed = decimal_comma(values)
                    self._commas[place] = pointed is not None
                    kinds = kinds if pointed is None else {"number"}
                self._kinds[place] |= kinds
            self.count += len(rows)

    def blocks(self) -> Iterator[Block]:
        """Yield the rows, each column in its type."""
        start = 0
        for rows in self._rows():
            columns = {}
            for place, values in enumerate(self._columns(rows)):
                if place in self._nameless and not self._kinds[place]:
                    continue  # what a comma at the end of each line makes
                one_kind = len(self._kinds[place]) == 1
                if one_kind and self._commas[place] and "number" in self._kinds[place]:
                    values = decimal_comma(values) or values
                columns[self._names[place]] = typed(values) if one_kind else [one or None for one in values]
            yield Block(start, len(rows), columns)
            start += len(rows)

    def _header(self) -> list[str]:
        """Find out the separator, and return the first line's cells."""
        with open_text(self._path, self._encoding) as file:
            sample = file.read(SAMPLE).lstrip("\r\n")
        self._separator, stating = find_separator(sample, lambda row: len(row) > 1, _SEPARATORS)
        self._stated = stating > 0
        first = next((line for line in sample.splitlines() if line.strip()), "")
        if not self._stated and self._separator not in first and len(first.split()) >= FEWEST:
            self._separator = " "
        return next(self._lines(), (0, []))[1]

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield number and cells of each line that has some, but the one that states the separator."""
        spaced = self._separator == " "
        with open_text(self._path, self._encoding) as file:
            reader = csv.reader(file, delimiter=self._separator, strict=True, skipinitialspace=spaced)
            begun, stating = False, self._stated
            try:
                for row in reader:
                    cells = [one for one in row if one] if spaced else row
                    if stating and any(row):
                        stating = False
                        continue
                    if any(cells) or (begun and cells):
                        begun = True
                        yield reader.line_num, cells
            except csv.Error as error:
                where = f"line {reader.line_num:,}"
                raise InvalidArgument(f"{display(self._path)} is no CSV: {where}, {error}") from error

    def _rows(self) -> Iterator[list[list[str]]]:
        some: list[list[str]] = []
        lines = self._lines()
        if self._headed:
            next(lines, None)
        for number, row in lines:
            if any(row[len(self._names) :]):
                raise InvalidArgument(
                    f"{display(self._path)}, line {number:,}: {len(row)} columns, the first line "
                    f"has {len(self._names)}"
                )
            some.append(row)
            if len(some) == MOST_ROWS:
                yield some
                some = []
        if some:
            yield some

    def _columns(self, rows: list[list[str]]) -> Iterator[list[str]]:
        for place in range(len(self._names)):
            yield [row[place] if place < len(row) else "" for row in rows]


def _are_values(header: Sequence[str]) -> bool:
    """Tell whether the first line is one of values: decimals or a vector, as nobody calls a column."""
    decimals = [
        one for one in header if _DECIMAL.fullmatch(one.strip()) and not _WHOLE.fullmatch(one.strip())
    ]
    return 2 * len(decimals) > len(header) or any(is_vector(one, named=False) for one in header)


def _names_of(values: Sequence[str]) -> list[str]:
    """Return names for columns that have none: v0, v1 … of numbers, and what comes first names the rows."""
    names: list[str] = []
    numbers = 0
    for place, value in enumerate(values):
        text = not _DECIMAL.fullmatch(value.strip())
        if is_vector(value, named=False):
            names.append("vector" if "vector" not in names else f"vector {place}")
        elif place == 0 and (text or _WHOLE.fullmatch(value.strip())) and len(values) > 1:
            names.append("path" if PurePath(value).suffix.lower() in SUFFIXES else "id")
        elif text:
            names.append("label" if "label" not in names else f"column {place + 1}")
        else:
            names.append(f"v{numbers}")
            numbers += 1
    return names


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text"
