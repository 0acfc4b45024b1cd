"""Tables in CSV, whatever their encoding and separator, read a block at a time."""

from __future__ import annotations

import codecs
import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.labels.encodings import check_encoding
from lookalike.labels.tables.column_types import typed
from lookalike.labels.tables.delimited import SAMPLE, find_separator
from lookalike.transfer.imports.blocks import MOST_ROWS, Block
from lookalike.transfer.imports.table import Table

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterator
    from pathlib import Path

# Bytes that are decoded at once to find an encoding; a cell may hold a vector of ten thousand numbers.
_CHUNK, _LONGEST_CELL = 1 << 20, 2**31 - 1
_SEPARATORS = (",", ";", "\t", "|")
# Encodings that are tried where a text is no UTF-8: Korean Windows', then that of the West.
_OTHER_ENCODINGS = ("cp949", "cp1252", "latin-1")


def csv_table(path: Path, encoding: str | None = None) -> Table:
    """Return the table in a CSV file; a column is of numbers or booleans where all its values are.

    It is read twice: the types of the columns are found out first.

    Raises:
        InvalidArgument: it is empty, is no text in that encoding, or no CSV.
    """
    csv.field_size_limit(_LONGEST_CELL)
    known, assumed = _encoding(path, encoding)
    file = _CsvFile(path, known)
    file.learn()
    remarks = [f"it is not UTF-8, and read as {known}: --encoding NAME reads it otherwise"] if assumed else []
    return Table("CSV", path.parent, file.blocks, path.name, file.count, remarks=remarks)


class _CsvFile:
    """A CSV file whose header and separator are known."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._encoding = encoding
        self.count = 0
        with self._told(), path.open(encoding=encoding, newline="") as file:
            self._separator, said = find_separator(file.read(SAMPLE), lambda row: len(row) > 1, _SEPARATORS)
            self._stated = said > 0
            file.seek(0)
            header = next(self._reader(file), [])
        self._names = [name.strip() or f"column {number}" for number, name in enumerate(header, 1)]
        if not header:
            raise InvalidArgument(f"{display(path)} is empty")
        if len(set(self._names)) < len(self._names):
            raise InvalidArgument(f"{display(path)} has two columns of one name: {', '.join(self._names)}")
        self._kinds: list[set[str]] = [set() for _ in self._names]

    def learn(self) -> None:
        """Count the rows, and find out the types of the columns."""
        for rows in self._rows():
            for place, values in enumerate(self._columns(rows)):
                self._kinds[place] |= {_kind(one) for one in typed(values) if one is not None}
            self.count += len(rows)

    def blocks(self) -> Iterator[Block]:
        """Yield the rows, each column in its type."""
        start = 0
        for rows in self._rows():
            columns = {}
            for name, kinds, values in zip(self._names, self._kinds, self._columns(rows), strict=True):
                columns[name] = typed(values) if len(kinds) == 1 else [one or None for one in values]
            yield Block(start, len(rows), columns)
            start += len(rows)

    def _rows(self) -> Iterator[list[list[str]]]:
        with self._told(), self._path.open(encoding=self._encoding, newline="") as file:
            reader = self._reader(file)
            next(reader, None)
            some: list[list[str]] = []
            for row in reader:
                if len(row) > len(self._names):
                    line = reader.line_num + self._stated
                    raise InvalidArgument(
                        f"{display(self._path)}, line {line}: {len(row)} columns, the first line has "
                        f"{len(self._names)}"
                    )
                if row:
                    some.append(row)
                if len(some) == MOST_ROWS:
                    yield some
                    some = []
            if some:
                yield some

    def _reader(self, file: TextIO) -> Reader:
        if self._stated:
            file.readline()
        return csv.reader(file, delimiter=self._separator, strict=True)

    def _columns(self, rows: list[list[str]]) -> Iterator[list[str]]:
        for place in range(len(self._names)):
            yield [row[place] if place < len(row) else "" for row in rows]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise InvalidArgument(f"{display(self._path)} is no {self._encoding} (--encoding)") from error
        except csv.Error as error:
            raise InvalidArgument(f"{display(self._path)} is no CSV: {error}") from error


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "text"


def _encoding(path: Path, said: str | None) -> tuple[str, bool]:
    """Return the encoding of a file, and whether it was assumed."""
    if said is not None:
        return check_encoding(said), False
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16", False
    if _decodes(path, "utf-8"):
        return "utf-8-sig", False
    return next(one for one in _OTHER_ENCODINGS if _decodes(path, one)), True


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
