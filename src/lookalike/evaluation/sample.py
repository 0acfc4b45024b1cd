"""The random sample that was classified in place of all images of a collection, as figures tell it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A random sample that was classified in place of all images of a collection."""

    images: int
    """That were classified."""
    eligible: int
    """Images that they were drawn from, and that they were classified by: those with a label."""
    total: int
    """All images, with a label or without."""
    learned: int | None
    """Images outside of the sample that the metric was fitted to; None for the plain one."""

    @property
    def text(self) -> str:
        """In words."""
        said = f"leave-one-out of {self.images:,} images, drawn at random from {self.eligible:,}"
        return said if self.learned is None else f"{said}, metric fitted to {self.learned:,} others"
