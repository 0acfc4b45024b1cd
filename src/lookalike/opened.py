"""What a database has opened, and lends to the handles of its collections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lookalike.metric_learning.spaces import Spaces
from lookalike.search.nonsense import NonsenseCutoffs

if TYPE_CHECKING:
    from pathlib import Path

    from lookalike.embedders.models import Models
    from lookalike.stores.store import Store


@dataclass(slots=True)
class Opened:
    """A store and the models for it; threads may share it."""

    store: Store
    models: Models
    spaces: Spaces = field(init=False)
    given: str = field(default="", repr=False)
    """The store's URL as it was given, which may hold a password."""
    timeout: float = 0.0
    """Of the store, in seconds."""
    cutoffs: NonsenseCutoffs = field(default_factory=NonsenseCutoffs)
    unnoted: str | None = None
    """Why it could not be noted which paths were indexed last; None where it was."""

    @property
    def locks(self) -> Path:
        """The folder of the locks that keep two apart that do one work on a collection."""
        return self.models.cache / "locks"

    def __post_init__(self) -> None:
        self.spaces = Spaces(self.store)
