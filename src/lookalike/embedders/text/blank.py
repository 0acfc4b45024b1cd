"""The refusal of blank texts, to which a model gives a vector that means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence


def refuse_blank(texts: Sequence[str]) -> None:
    """Refuse texts of nothing but space: models give them a vector that means nothing.

    Raises:
        InvalidArgument: one of them is blank.
    """
    if not all(text.strip() for text in texts):
        raise InvalidArgument("a text without words cannot be searched for: say what is in the picture")
