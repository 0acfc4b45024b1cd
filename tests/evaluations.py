"""Evaluations of records and vectors, with their options as keywords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lookalike.evaluation import evaluate as room
from lookalike.evaluation.evaluation import Evaluation
from lookalike.progress import Progress, silent
from lookalike.types import Record, Vectors


def evaluate(
    records: Sequence[Record],
    vectors: Vectors,
    by: str,
    *,
    fit: Any = None,
    fit_by: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Evaluation:
    return room.evaluate(
        records, vectors, by, room.EvaluateOptions(**options), fit=fit, fit_by=fit_by, progress=progress
    )
