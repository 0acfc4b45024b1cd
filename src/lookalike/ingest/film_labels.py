"""Which of the files to index are films, and what every frame of one has as its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.file_names import readable
from lookalike.images.formats import SIGNED_BYTES, format_of
from lookalike.labels.fields import storable
from lookalike.labels.labelling import Label
from lookalike.sources.frames import is_film
from lookalike.types import FILM, TIME, Remark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from lookalike.sources.objects import Location


def find_films(paths: Iterable[Location], named: Collection[Location]) -> frozenset[Location]:
    """Return those of some files that are films, by their names.

    Args:
        paths: of the files.
        named: those that were named one by one: they are films unless they are images by their content.
    """
    return frozenset(path for path in paths if is_film(path) or (path in named and not _is_image(path)))


def name_films(
    labels: Mapping[Location, Label], films: Collection[Location], roots: Mapping[Location, Location]
) -> tuple[dict[Location, Label], list[Remark]]:
    """Give films the field that all of their frames have: the path below the folder that was indexed.

    Args:
        labels: by file.
        films: those of the files that are films.
        roots: the folder that each file was found below.

    Returns:
        The labels, and what to say of labels that had fields of these names.
    """
    named = dict(labels)
    remarks = []
    for film in sorted(films, key=str):
        label = labels[film]
        taken = sorted(label.fields.keys() & {FILM, TIME})
        if taken:
            remarks.append(
                Remark(
                    str(film),
                    f"its label has {' and '.join(taken)}, which frames have of their own: kept as metadata",
                )
            )
        name = storable(readable(film.relative_to(roots[film]).as_posix()))
        metadata = {**{field: label.fields[field] for field in taken}, **label.metadata}
        named[film] = Label({**label.fields, FILM: name}, metadata)
    return named, remarks


def frame_label(film: Label, moment: int) -> Label:
    """Return the label of a frame, without a note of how it was chosen.

    Args:
        film: what `name_films` gave its film.
        moment: when it is shown, in milliseconds.
    """
    return Label({**film.fields, TIME: moment / 1000}, film.metadata)


def _is_image(path: Location) -> bool:
    try:
        with path.open("rb") as file:
            return format_of(file.read(SIGNED_BYTES)) is not None
    except OSError:
        return True  # it is said where it would be read
