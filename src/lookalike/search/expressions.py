"""Queries as they are written on a command line: `"red car" + a.jpg - "at night"`."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.search.query import Image, RecordId, Sum, Summand, Text, Vector
from lookalike.sources.files import SUFFIXES
from lookalike.sources.frames import named_frame
from lookalike.sources.objects import is_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lookalike.search.query import Box, Term, Terms

_SIGNS = {"+": 1, "-": -1}
ID_PREFIX = "id:"
"""Begins an argument that is an id, of whatever form: `id:7` is the row 7 of an attached table."""

_ID = re.compile("[0-9a-f]{32}")


def named_id(word: str) -> str | None:
    """Return the id in `id:7`; None where it is something else, or a file is called so."""
    identity = word.removeprefix(ID_PREFIX)
    return identity if identity not in ("", word) and not os.path.lexists(word) else None


def is_record_id(word: str) -> bool:
    """Tell whether a word looks like an id that lookalike gives."""
    return _ID.fullmatch(word) is not None


def read_query(words: Sequence[str], *, text: bool = False) -> Terms:
    """Read terms with `+` or `-` between them, each a word of its own.

    A term is the image file of that name, if there is one, or the object that `s3://…` names, or the frame
    that `film.mp4#t=12.5` names, or the vector in a `.npy`; else the id of a record, if it is 32 hexadecimal
    digits; else a text, unless it is written as a path: with a separator
    and no space, or with the end of an image's name.

    Args:
        words: the terms and the signs between them; a sign may stand before the first term.
        text: whether all terms are texts, whatever they look like.

    Raises:
        InvalidArgument: no term, a term that is empty, two signs or two terms next to each other.
        PathNotFound: a term is written as a path, and nothing is there.
    """
    terms: list[Summand] = []
    last = ""
    sign: str | None = None
    for word in words:
        if word in _SIGNS and not (text and len(words) == 1):
            if sign is not None:
                raise InvalidArgument(f"between {sign!r} and {word!r} is nothing to search for")
            sign = word
            continue
        if terms and sign is None:
            raise InvalidArgument(
                f"{last!r} and {word!r} have no + or - between them; "
                f"several words are one text in quotes: {last + ' ' + word!r}"
            )
        term = Text(word) if text else _term(word)
        if isinstance(term, Text) and not word.strip():
            raise InvalidArgument("an empty text finds nothing: say what is in the picture")
        terms.append(Summand(_SIGNS[sign or "+"], term))
        sign, last = None, word
    if sign is not None:
        raise InvalidArgument(f"after {sign!r} comes a text, an image or an id")
    if not terms:
        raise InvalidArgument("nothing to search for: name an image, or say in words what to find")
    return Sum(tuple(terms))


def within_box(query: Terms, box: Box) -> Terms:
    """Return a query of which the one image, or record, is a region of it.

    Raises:
        InvalidArgument: it has no image, or several.
    """
    pictures = [term for _, term in query.summands if not isinstance(term, Text | Vector)]
    if len(pictures) != 1:
        raise InvalidArgument(f"a box is a region of one image, and the query has {len(pictures)}")
    return Sum(
        tuple(
            Summand(sign, term if isinstance(term, Text | Vector) else replace(term, box=box))
            for sign, term in query.summands
        )
    )


def _term(word: str) -> Term:
    # `os.path` says no where `Path.exists` raises: of 10,000 characters, or with a NUL among them.
    if is_object(word):
        return Image(word)
    if (frame := named_frame(word)) is not None and os.path.isfile(frame[0]):  # noqa: PTH113 - as said
        return Image(word)
    if word.endswith(".npy") and os.path.isfile(word):  # noqa: PTH113 - as said
        return Vector(_read_vector(word))
    if os.path.exists(word) and not (os.path.isdir(word) and _is_bare(word)):  # noqa: PTH110, PTH112 - as said
        return Image(word)
    if _ID.fullmatch(word):
        return RecordId(word)
    if word.startswith(ID_PREFIX) and len(word) > len(ID_PREFIX) and len(word.split()) == 1:
        return RecordId(word.removeprefix(ID_PREFIX))
    if _written_as_path(word):
        error = PathNotFound(word)
        error.args = (f"{error}; --text says that these are words",)
        raise error
    return Text(word)


def _read_vector(path: str) -> list[float]:
    """Return the one vector in a file of NumPy."""
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidArgument(f"{path} is no vector of NumPy: {error}") from error
    if found.dtype.kind not in "fiu" or found.size != max(found.shape, default=0):
        raise InvalidArgument(f"{path} holds {found.dtype} of shape {found.shape}, and no one vector")
    listed: list[float] = found.ravel().tolist()
    return listed


def _is_bare(word: str) -> bool:
    """Tell whether a word is the mere name of a folder, which may just as well be what is looked for."""
    return os.sep not in word and word not in (os.curdir, os.pardir)


def _written_as_path(word: str) -> bool:
    ending = os.path.splitext(word)[1].lower()  # noqa: PTH122 - `Path` refuses nothing, but takes its time
    return ending in SUFFIXES or (os.sep in word and len(word.split()) == 1)
