"""Rows of delimited text: CSV or TSV with whatever separator spreadsheets and programs write.

RFC 4180 is what CSV should be; where decimals have a comma, spreadsheets write a semicolon instead, and a
first line `sep=;` is Excel's own way to say so.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from lookalike.labels.labelling import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Line = tuple[int, list[str]]
"""The line in the file that a row begins on, from 1, as an editor counts; and its values."""

SEPARATORS = (",", ";", "\t", "|", " ")
"""The blank parts lists of images and classes, as `train.txt` of ImageNet is one; names may have blanks."""
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<separator>[^"\r\n])"?[ \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
SAMPLE = 200_000
"""Characters that the separator is looked for in."""
_SAMPLE_ROWS = 100
# Values of the csv module are limited to 131,072 characters, for the whole process; a long one costs no more
# than the file that it stands in, which was read already. A C long is this long everywhere.
_LONGEST = 2**31 - 1


def allow_long_values() -> None:
    """Let the csv module read values of any length, such as a vector of ten thousand numbers."""
    if csv.field_size_limit() < _LONGEST:
        csv.field_size_limit(_LONGEST)


def read_delimited(text: str, speaks: Callable[[Sequence[str]], bool]) -> tuple[str, list[Line]]:
    """Return the separator of a table and its rows, header included, without those that are blank.

    Args:
        text: of the file.
        speaks: tells whether a row is one of labels: it has the heading of a column of names, or a name.

    Raises:
        Unusable: it is empty, or a quotation mark is not closed.
    """
    separator, said = find_separator(text, speaks)
    text, first = text[said:], 2 if said else 1
    try:
        rows = list(_rows(text, separator, first))
    except csv.Error as error:
        if separator != "\t":
            raise Unusable(str(error)) from error
        # The type text/tab-separated-values has no quotation (IANA); Excel's has.
        rows = list(_rows(text, separator, first, quoted=False))
    if not rows:
        raise Unusable("is empty")
    if f'{separator} "' in text and any(value.startswith(' "') for _, values in rows for value in values):
        # Written by hand, with a blank before a quotation mark, which is none of CSV's then.
        try:
            closer = list(_rows(text, separator, first, blank=True))
        except csv.Error:
            return separator, rows
        return separator, rows if _is_uneven(closer) else closer
    return separator, rows


def _is_uneven(rows: Sequence[Line]) -> bool:
    return any(len(values) > len(rows[0][1]) for _, values in rows)


def find_separator(
    text: str, speaks: Callable[[Sequence[str]], bool], separators: Sequence[str] = SEPARATORS
) -> tuple[str, int]:
    """Return the separator of a table, and how many characters of it do nothing but state that: `sep=;`.

    Where it is not stated, it is that by which most rows speak; of equals, that by which most are as long as
    the first; of equals, that of the most columns.

    Args:
        text: of the file, or as much of its beginning as `SAMPLE`.
        speaks: tells whether a row is one of such a table.
        separators: among which it is looked for.
    """
    if stated := _SEPARATOR_LINE.match(text):
        return stated["separator"], stated.end()
    sample = text[:SAMPLE]
    best, choice = (-1.0, -1.0, -1), ","
    for separator in separators:
        if separator not in sample and separator != ",":
            continue
        rows: list[list[str]] = []
        try:
            for _, values in _rows(sample, separator, 1):
                rows.append(values)
                if len(rows) == _SAMPLE_ROWS:
                    break
        except csv.Error:  # the end of the sample, or a fault that is told of later
            pass
        if not rows:
            continue
        spoken = sum(speaks(values) for values in rows) / len(rows)
        even = sum(len(values) == len(rows[0]) for values in rows) / len(rows)
        if (spoken, even, len(rows[0])) > best:
            best, choice = (spoken, even, len(rows[0])), separator
    return choice, 0


def _rows(
    text: str, separator: str, first: int, *, quoted: bool = True, blank: bool = False
) -> Iterator[Line]:
    """Yield the rows that are not blank; `blank` leaves out one that a value begins with.

    Raises:
        csv.Error: with the line, where the text is no CSV.
    """
    allow_long_values()
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
        skipinitialspace=blank,
    )
    line = first
    try:
        for values in reader:
            if any(value and not value.isspace() for value in values):
                yield line, values
            line = first + reader.line_num
    except csv.Error as error:
        said = str(error)
        if said == "unexpected end of data":
            said += ": a quotation mark is not closed"
        raise csv.Error(f"line {line}: {said}") from error
