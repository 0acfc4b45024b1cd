"""Threads of matrix products: where many small ones follow each other, one thread does them in less CPU time.

OpenBLAS lets idle threads spin between products. Measured on 2 cores: five-fold evaluations of 1,342 vectors
of 2,976 numbers take twice the CPU time with two threads, on a busy machine ten times, and save little time.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    _P = ParamSpec("_P")
    _S = TypeVar("_S", bound=Sized)
    _R = TypeVar("_R")

_MOST = 5_000
"""Rows above which products take all cores: then they are large, and a person waits for them."""


def on_one_thread(
    function: Callable[Concatenate[_S, _P], _R],
) -> Callable[Concatenate[_S, _P], _R]:
    """Let a function's products keep to one thread where its first argument has few rows."""

    @wraps(function)
    def limited(rows: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if len(rows) > _MOST:
            return function(rows, *args, **kwargs)
        # SciPy brings an OpenBLAS of its own, which is limited only if it is there; both take long to import.
        import scipy.linalg  # noqa: F401
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with threadpool_limits(1, user_api="blas"):
            return function(rows, *args, **kwargs)

    return limited
