"""Which records are frames of one film, and so are kept together wherever images are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lookalike.uris import split_frame
from lookalike.vectors.groupings import merge_groupings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.types import Record
    from lookalike.vectors.groupings import Groups


def film_of(record: Record) -> str | None:
    """Return the URI of the film that a record is a frame of; None where it is none."""
    frame = split_frame(record.uri) if "#" in record.uri else None
    return None if frame is None else frame[0]


def film_groups(records: Sequence[Record]) -> Groups | None:
    """Return which records are frames of one film, in whatever order they are; None where none is a frame.

    Frames of one film are no independent evidence, as near-duplicates and exposures of one part are none.
    """
    numbers: dict[str | int, int] = {}
    films = [film_of(record) for record in records]
    if not any(films):
        return None
    keys = [place if film is None else film for place, film in enumerate(films)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def with_films_together(groups: Groups, records: Sequence[Record]) -> Groups:
    """Return groups of records in which all frames of a film are in one."""
    films = film_groups(records)
    return groups if films is None else merge_groupings([groups, films])
