"""Threads of matrix products: where many small ones follow each other, one thread does them in less CPU time.

OpenBLAS lets idle threads spin between products. Measured on 2 cores: five-fold evaluations of 1,342 vectors
of 2,976 numbers take twice the CPU time with two threads, on a busy machine ten times, and save little time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 5_000
"""Rows above which products take all cores: then they are large, and a person waits for them."""


@contextmanager
def one_product_thread(rows: int) -> Iterator[None]:
    """Let matrix products keep to one thread where there are few rows."""
    if rows > _MOST:
        yield
        return
    # SciPy brings an OpenBLAS of its own, which is limited only if it is there; both take long to import.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        yield
