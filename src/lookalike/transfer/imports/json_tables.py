"""Tables in JSON: lines, or one list, of which no more than a few are held, or a document that has rows."""

from __future__ import annotations

import json
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.transfer.exports.columns import VECTOR
from lookalike.transfer.imports.blocks import MOST_ROWS, Block
from lookalike.transfer.imports.json_documents import documents_of, rows_of
from lookalike.transfer.imports.table import Table
from lookalike.transfer.imports.text_files import find_encoding, open_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

# Characters that are read at once.
_CHUNK = 1 << 20
# What an item is: an object, a vector, or what names a row.
_ROWS = (dict, list, str, int)
# Longer than what of JSON, but texts, cannot be read when it is cut off: \uD834\uDD1E, -Infinity.
_TOKEN = 16


def json_table(path: Path, key: str | None = None, encoding: str | None = None) -> Table:
    """Return the table in JSON lines, in a list, or in a document that has rows at some place.

    Args:
        path: the file.
        key: the member of the document that is the list; None: the document is, or has lines.
        encoding: where it is no UTF-8; None to guess.

    Raises:
        InvalidArgument: it cannot be read.
        ExtraMissing: it is packed by Zstandard, and pyarrow is not installed.
    """
    known, assumed = find_encoding(path, encoding)

    def blocks() -> Iterator[Block]:
        start = 0
        some: list[dict[str, Any]] = []
        for item in _rows(_items(path, key, known)):
            some.append(_flat(item))
            if len(some) == MOST_ROWS:
                yield _block(start, some)
                start += len(some)
                some = []
        if some:
            yield _block(start, some)

    return Table("JSON", path.parent, blocks, path.name, remarks=[] if assumed is None else [assumed])


def _rows(items: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows; those in the one document that a file may be, too."""
    first = list(islice(items, 2))
    if len(first) == 1 and isinstance(first[0], dict) and (within := rows_of(first[0])) is not None:
        return documents_of(within)
    return documents_of(chain(first, items))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `lookalike export` with a column for each vector; any other as it is."""
    vectors = row.get("vectors")
    if not isinstance(vectors, dict) or "fields" not in row:
        return row
    others = {name: value for name, value in row.items() if name not in ("vectors", "prediction")}
    return {**others, **{VECTOR + name: vector for name, vector in vectors.items()}}


def _block(start: int, rows: Sequence[dict[str, Any]]) -> Block:
    names = dict.fromkeys(name for row in rows for name in row)
    return Block(start, len(rows), {name: [row.get(name) for row in rows] for name in names})


def _items(path: Path, key: str | None, encoding: str) -> Iterator[Any]:
    """Yield the items of a list, or of lines.

    Raises:
        InvalidArgument: it is in another encoding, no JSON, or holds other things.
    """
    try:
        with open_text(path, encoding) as file:
            window = _Window(file)
            if key is not None and not window.skip_to(key):
                raise InvalidArgument(f"{display(path)} has no list {key!r}")
            kind: type | None = None
            for item in window.values(alone=key is None):
                if not isinstance(item, kind or _ROWS) or isinstance(item, bool):
                    raise InvalidArgument(f"{display(path)} holds {type(item).__name__}, and no objects")
                kind = type(item)
                yield item
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{display(path)} is no JSON: {error}") from error


class _Window:
    """The part of a JSON text that is held, and where in it the next value begins."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self._place = 0
        self._ended = False
        self._begun = self._in_list = False
        self._decoder = json.JSONDecoder()

    def skip_to(self, key: str) -> bool:
        """Go to the list that a member of the outer object is; tell whether there is one."""
        while True:
            at = self._held.find(f'"{key}"')
            bracket = self._held.find("[", at) if at >= 0 else -1
            if bracket >= 0:
                self._place = bracket
                return True
            if self._ended:
                return False
            self._more()

    def values(self, *, alone: bool) -> Iterator[Any]:
        """Yield the values of a list, or of lines, to the end of either.

        Args:
            alone: whether nothing may follow the list.

        Raises:
            ValueError: what follows is no JSON, or the list has no end.
        """
        while self._next():
            try:
                value, end = self._decoder.raw_decode(self._held, self._place)
            except json.JSONDecodeError as error:
                # Wrong amid what is held is wrong whatever follows: the rest is not read for that.
                cut = len(self._held) - error.pos < _TOKEN or error.msg.startswith("Unterminated string")
                if self._ended or not cut:
                    raise
                self._more()
            else:
                if end == len(self._held) and not self._ended and not isinstance(value, dict | list | str):
                    self._more()  # a number may go on
                    continue
                self._place = end
                yield value
        if not self._in_list:
            return
        if self._place >= len(self._held):
            raise ValueError("the file ends within the list")
        self._place += 1
        while alone and not self._ended:
            if self._held[self._place :].strip():
                raise ValueError("something follows the end of the list")
            self._place = len(self._held)
            self._more()

    def _next(self) -> bool:
        """Go to the next value; tell whether there is one."""
        while True:
            while self._place < len(self._held) and self._held[self._place] in ", \t\r\n":
                self._place += 1
            if not self._begun and self._held[self._place : self._place + 1] == "[":
                self._in_list = True
                self._place += 1
                self._begun = True
                continue
            if self._place < len(self._held):
                self._begun = True
                return not self._in_list or self._held[self._place] != "]"
            if self._ended:
                return False
            self._more()

    def _more(self) -> None:
        """Read as much again as is held, so that a large value is not tried too often."""
        rest = self._held[self._place :]
        piece = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not piece
        self._held, self._place = rest + piece, 0
