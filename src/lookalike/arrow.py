"""pyarrow, an optional package that reads and writes Parquet and Arrow: imported when it is needed."""

from __future__ import annotations

from typing import Any

from lookalike.errors import ExtraMissing


def pyarrow(purpose: str) -> Any:
    """Return the module `pyarrow`, with its `parquet` and `ipc`.

    Args:
        purpose: what it is needed for, as an error names it: `reading labels.parquet`.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise ExtraMissing(purpose, "parquet") from error
    return pa
