"""Vectors that NumPy has written: .npy with a file that names its rows, and .npz with arrays that do."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.transfer.imports.blocks import MOST_ROWS, Block
from lookalike.transfer.imports.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

MATRIX = "vectors"
"""What the column is called that a .npy file is."""
AS_TEXTS = "save texts with numpy.save(…, names.astype(str))"


def load(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file, which is read as it is looked at.

    Raises:
        InvalidArgument: it is none, or holds Python's objects.
    """
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = str(error).rstrip(".") + (f": {AS_TEXTS}" if "objects" in str(error) else "")
        raise InvalidArgument(f"{display(path)} is no array of NumPy that can be read: {why}") from error
    return found


def rows_of(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return an array, (rows, dimension) or (rows, 1, dimension), as a matrix; None where it is none."""
    if array.dtype.kind not in "fiu" or array.ndim < 2 or not array.size:
        return None
    dimension = max(array.shape[1:])
    return array.reshape(len(array), dimension) if array.size == len(array) * dimension else None


def names_of(path: Path, array: NDArray[Any]) -> list[Any]:
    """Return the values of an array of names or numbers as Python has them.

    Raises:
        InvalidArgument: they are bytes and no UTF-8.
    """
    try:
        listed: list[Any] = (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).tolist()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{display(path)} holds names that are no UTF-8") from error
    return listed


def named_rows(path: Path) -> Table:
    """Return the table with one column that a .npy file of names is.

    Raises:
        InvalidArgument: it is none.
    """
    names = load(path)
    if names.ndim != 1:
        raise InvalidArgument(f"{display(path)} holds no list of ids, but {names.shape}")

    def blocks() -> Iterator[Block]:
        for start in range(0, len(names), MOST_ROWS):
            listed = names_of(path, names[start : start + MOST_ROWS])
            yield Block(start, len(listed), {"id": listed})

    return Table("NumPy", path.parent, blocks, path.name, len(names))


def matrix_table(path: Path, named: Table | None) -> Table:
    """Return the table that a matrix in a .npy file is, with the columns of what names its rows.

    Args:
        path: of the matrix, shape (rows, dimension).
        named: a table with a row for each; None: none.

    Raises:
        InvalidArgument: it is no matrix, or `named` has not as many rows.
    """
    array = load(path)
    matrix = rows_of(array)
    if matrix is None:
        raise InvalidArgument(
            f"{display(path)} holds {array.dtype} of shape {array.shape}, and no vectors (rows, dimension)"
        )
    if named is not None and named.total is not None and named.total != len(matrix):
        headed = named.form == "CSV" and named.total == len(matrix) - 1
        raise InvalidArgument(
            f"{display(path)} has {len(matrix):,} rows, and {named.name} names {named.total:,}"
            + (": its first line is taken for the names of its columns" if headed else "")
        )

    def blocks() -> Iterator[Block]:
        if named is None:
            for start in range(0, len(matrix), MOST_ROWS):
                rows = matrix[start : start + MOST_ROWS]
                yield Block(start, len(rows), {MATRIX: rows})
            return
        end = 0
        for block in named.open():
            end = block.start + block.count
            if end > len(matrix):
                break
            yield Block(block.start, block.count, {**block.columns, MATRIX: matrix[block.start : end]})
        if end != len(matrix):
            raise InvalidArgument(
                f"{display(path)} has {len(matrix):,} rows, and {named.name} another number"
            )

    table = Table("NumPy", path.parent, blocks, path.name, len(matrix))
    if named is None:
        table.remarks.append("no file names the rows (--ids): they are named by their numbers")
    else:
        table.remarks += [f"the rows are named by {named.name}", *named.remarks]
        table.classes = named.classes
    return table


class _Member:
    """An array in a .npz file, whose rows are read one after the other."""

    def __init__(self, path: Path, name: str, file: IO[bytes]) -> None:
        self.name = name.removesuffix(".npy")
        self._path = path
        self._file = file
        version = np.lib.format.read_magic(file)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        self.shape, self._by_column, self.dtype = reader(file)

    def is_matrix(self) -> bool:
        """Tell whether each row is a vector."""
        return self.dtype.kind in "fiu" and len(self.shape) == 2 and 0 not in self.shape

    def blocks(self) -> Iterator[Any]:
        """Yield its rows, so many at once."""
        if self._by_column and len(self.shape) > 1:  # the first row ends where the file does
            data = self._file.read()
            whole = np.frombuffer(data, self.dtype).reshape(self.shape[::-1]).T
            yield from (whole[start : start + MOST_ROWS] for start in range(0, len(whole), MOST_ROWS))
            return
        for start in range(0, self.shape[0], MOST_ROWS):
            shape = (min(MOST_ROWS, self.shape[0] - start), *self.shape[1:])
            size = int(np.prod(shape)) * self.dtype.itemsize
            data = self._file.read(size)
            if len(data) < size:
                raise EOFError("it ends too early")
            rows = np.frombuffer(data, self.dtype).reshape(shape)
            yield rows if len(shape) > 1 else names_of(self._path, rows)


def archive_table(path: Path) -> Table:
    """Return the table in a .npz file: a matrix is of vectors, a list of as many values another column.

    Raises:
        InvalidArgument: it is no archive of NumPy's, or has no matrix.
    """
    with _told(path), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        members = []
        for name in names:
            with archive.open(name) as file:
                members.append(_Member(path, name, file))
    matrices = [each for each in members if each.is_matrix()]
    if not matrices:
        held = ", ".join(f"{each.name} ({each.dtype}, {each.shape})" for each in members) or "nothing"
        raise InvalidArgument(f"{display(path)} holds {held}, and no vectors (rows, dimension)")
    count = matrices[0].shape[0]
    taken = [
        each
        for each in members
        if each.shape[:1] == (count,)
        and not each.dtype.hasobject
        and (each.is_matrix() or (len(each.shape) == 1 and each.dtype.kind in "fiubUSM"))
    ]
    kept = {each.name for each in taken}

    def blocks() -> Iterator[Block]:
        with _told(path), zipfile.ZipFile(path) as archive:
            opened = [
                _Member(path, name, archive.open(name)) for name in names if name.removesuffix(".npy") in kept
            ]
            start = 0
            for parts in zip(*(each.blocks() for each in opened), strict=True):
                columns = {each.name: part for each, part in zip(opened, parts, strict=True)}
                yield Block(start, len(parts[0]), columns)
                start += len(parts[0])

    table = Table("NumPy", path.parent, blocks, path.name, count)
    objects = [each.name for each in members if each.dtype.hasobject]
    others = [each.name for each in members if each.name not in kept and not each.dtype.hasobject]
    if objects:
        table.remarks.append(f"Python's objects are not read, in {', '.join(objects)}: {AS_TEXTS}")
    if others:
        table.remarks.append(f"arrays that have not {count:,} rows are not taken: {', '.join(others)}")
    return table


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise InvalidArgument(f"{display(path)} is no archive of NumPy's: {error}") from error
