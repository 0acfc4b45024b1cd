"""Files that name images in an unknown form: reported, so that no labels are passed over in silence.

JSON is looked through for texts that are names of images; so are text files, whose lines must hold more than
a name, for a list of files says nothing of them.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from lookalike.file_names import display
from lookalike.labels.labelling import Unusable
from lookalike.sources.files import SUFFIXES
from lookalike.types import Remark, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lookalike.labels.image_names import ImageNames
    from lookalike.labels.json.documents import Document
    from lookalike.sources.objects import Location

# Of what is looked at: texts of one JSON file, bytes and lines of one text, and text files.
_MOST_TEXTS = 20_000
_MOST_BYTES = 256 << 10
_MOST_LINES = 200
_MOST_FILES = 50
_TEXT_SUFFIXES = frozenset(
    {".txt", ".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".manifest", ".lst", ".list"}
)
_CHECKSUMS = re.compile(r"md5|sha\d|sums?\b|crc|checksum", re.IGNORECASE)
_ENDINGS = "|".join(map(re.escape, sorted(SUFFIXES, key=len, reverse=True)))
_NAME = re.compile(rf"[^\s,;|\"'#=<>()\[\]{{}}]+(?:{_ENDINGS})(?!\w)", re.IGNORECASE)
_LEAST_IMAGES = 2


def unknown_json(documents: Iterable[Document], names: ImageNames) -> tuple[list[Skipped], list[Remark]]:
    """Report JSON files that name images that are there, though nothing of them could be read.

    Args:
        documents: those that are not known as labels.
        names: the images below the folder that was walked.

    Returns:
        Those that name several images, or hold something by the names of images without their endings; and
        one line for all that name one image only, which phones and photo services write beside it.
    """
    skipped: list[Skipped] = []
    beside: list[tuple[Location, str]] = []
    for document in documents:
        found = _images_in(_texts(document.content), names) or _keys_in(document.content, names)
        if len(found) >= _LEAST_IMAGES:
            skipped.append(_skip(document.path, found[0]))
        elif found:
            beside.append((document.path, found[0]))
    if not beside:
        return skipped, []
    path, name = beside[0]
    files = f"as {len(beside):,} JSON files name one" if len(beside) > 1 else "and is JSON"
    return skipped, [Remark(str(path), f"names an image ({display(name)}), {files}: not read")]


def unknown_texts(files: Iterable[Location], names: ImageNames) -> list[Skipped]:
    """Report text files most of whose lines name an image that is there and hold something more.

    Args:
        files: those that are not read as labels, and not reported.
        names: the images below the folder that was walked.
    """
    candidates = (
        file for file in files if file.suffix.lower() in _TEXT_SUFFIXES and not _CHECKSUMS.search(file.name)
    )
    skipped = []
    for file in islice((f for f in candidates if not names.has_stem(f.stem)), _MOST_FILES):
        try:
            with file.open("rb") as opened:
                text = opened.read(_MOST_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        lines = [line for line in text.splitlines()[:_MOST_LINES] if line.strip()]
        naming: dict[str, int] = {}
        for line in lines:
            for match in islice(_NAME.finditer(line), 3):
                if match[0] != line.strip("\t \"'") and _is_there(match[0], names):
                    naming[match[0]] = naming.get(match[0], 0) + 1
                    break
        if len(naming) >= _LEAST_IMAGES and 2 * sum(naming.values()) >= len(lines):
            skipped.append(_skip(file, next(iter(naming))))
    return skipped


def _skip(path: Location, name: str) -> Skipped:
    reason = f"it names images, such as {display(name)!r}, in a form that is not known"
    do = "a metadata.csv with the columns file_name and label is read"
    return Skipped(str(path), f"looks like labels and is not used: {reason}; {do}")


def _is_there(name: str, names: ImageNames) -> bool:
    try:
        return bool(names.find(name, ()))
    except Unusable as error:
        return "agree equally well" in str(error)


def _images_in(texts: Iterator[str], names: ImageNames) -> Sequence[str]:
    """Return the first texts that name different images, as many as it takes."""
    found: list[str] = []
    for text in islice(texts, _MOST_TEXTS):
        if text not in found and text.lower().endswith(tuple(SUFFIXES)) and _is_there(text, names):
            found.append(text)
            if len(found) == _LEAST_IMAGES:
                break
    return found


def _keys_in(content: Any, names: ImageNames) -> Sequence[str]:
    """Return the keys of an object where each is the name of an image without its ending."""
    if not isinstance(content, dict) or len(content) < _LEAST_IMAGES:
        return []
    keys = list(content)
    return keys if all(names.has_stem(key) for key in keys) else []


def _texts(content: Any) -> Iterator[str]:
    """Return the texts of a JSON value, keys and values; it is nested less deep than a stack."""
    level = [content]
    while level:
        value = level.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            level.extend(value.values())
        elif isinstance(value, list):
            level.extend(reversed(value))
