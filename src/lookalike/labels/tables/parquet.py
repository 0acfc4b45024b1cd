"""Rows of a Parquet file, as JSON would have them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lookalike.arrow import pyarrow
from lookalike.labels.labelling import Unusable

if TYPE_CHECKING:
    from lookalike.sources.objects import Location


def read_parquet(path: Location) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file as JSON would have them.

    Dates and times are in ISO 8601, decimals and durations are text; what has no form in JSON, such as the
    bytes of an image or NaN, is null, and a column of bytes is not read.

    Args:
        path: the file.

    Raises:
        ExtraMissing: pyarrow is not installed.
        Unusable: it is no Parquet file, or has two columns of one name.
    """
    pa = pyarrow(f"reading {path.name}")
    try:
        if not path.is_file():
            raise Unusable("not a regular file")
        with path.open("rb") as opened, pa.parquet.ParquetFile(opened) as file:
            schema = file.schema_arrow
            if len(set(schema.names)) < len(schema.names):
                raise Unusable(f"two columns of one name: the columns are {', '.join(schema.names)}")
            names = [field.name for field in schema if not _is_binary(pa.types, field.type)]
            rows: list[dict[str, Any]] = file.read(columns=names).to_pylist()
            return [plain(row) for row in rows]
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["no Parquet file"])[0]
        raise Unusable(f"cannot be read as Parquet: {reason}") from error


def _is_binary(types: Any, kind: Any) -> bool:
    return any(
        test(kind)
        for test in (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    )


def plain(value: Any) -> Any:
    """Return `value` as JSON has it."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
