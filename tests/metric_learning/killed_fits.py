"""A fit, or its undoing, that a kill may end anywhere."""

from __future__ import annotations

from pathlib import Path

from lookalike.metric_learning.fitting import fit, undo_fit
from lookalike.stores.registry import open_store


def fit_or_undo(url: str, locks: Path, how: str) -> None:
    """Do either (`fit`, `undo`) to the collection `parts`; print that it begins, and that it has ended."""
    with open_store(url) as store:
        print("ready", flush=True)
        if how == "fit":
            fit(store, "parts", "label", locks=locks)
        else:
            undo_fit(store, "parts", locks=locks)
    print("done", flush=True)
