"""Finds the image that a label names, among all images below a root, in time independent of their number."""

from __future__ import annotations

import os.path
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from lookalike.file_names import possible_names, readable
from lookalike.labels.labelling import Unusable
from lookalike.records import display

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Directories = tuple[str, ...]
"""Names of directories, outermost first, in Unicode's form NFC: macOS delivers NFD (Unicode annex 15)."""

_NAMED_IN_A_DRAW = 3


def directories_below(root: Path, path: Path) -> Directories:
    """Return the directories between `root` and the file `path`, which is below it (else ValueError).

    Their names are as people read them: see `file_names`.
    """
    return tuple(normalize("NFC", readable(part)) for part in path.relative_to(root).parts[:-1])


class Match(NamedTuple):
    """The image that a label names."""

    image: Path
    agreement: tuple[int, ...]
    """Whether the name is spelt exactly so; how many directories of the file name, counted from the inside
    out, the image has too; how many of the label's; how many of the label's counted from the root."""
    namesakes: bool
    """Whether there are other images of that name."""


class ImageNames:
    """The images below one root, by name."""

    def __init__(self, root: Path, images: Sequence[Path]) -> None:
        self._root = root
        self._images = images
        self._indexes: dict[tuple[object, ...], dict[Directories, list[Path]]] = {}

    def find(self, file_name: str, label_directories: Directories) -> Match:
        r"""Return the image that a label names.

        The name must be equal, in form NFC; only where there is none such, upper and lower case are the
        same. Of several, the image counts whose directories agree best with those that stand in
        `file_name`, then with the label's, both from the inside out, then with the label's from the root.

        Args:
            file_name: as the label has it; directories may stand before the name, parted by `/` or `\`.
            label_directories: those of the label below the root.

        Raises:
            Unusable: there is no such image, or several agree equally well.
        """
        for exact in (True, False):
            for text in (file_name, file_name.replace("\\", "/")):
                parts = [part for part in normalize("NFC", text).split("/") if part not in ("", ".", "..")]
                named, name = tuple(parts[:-1]), "".join(parts[-1:])
                same_name = self._by_name.get(name) if exact else self._by_folded_name.get(name.casefold())
                if same_name:
                    image = self._best((exact, same_name[0].name), same_name, named, label_directories)
                    found = directories_below(self._root, image)
                    suffixes = _suffix(named, found), _suffix(label_directories, found)
                    agreement = (exact, *suffixes, _prefix(label_directories, found))
                    return Match(image, agreement, len(same_name) > 1)
        if (packed := self._as_packed(file_name, label_directories)) is not None:
            return packed
        raise Unusable(f"there is no image {file_name!r}")

    def at(self, path: str) -> Path | None:
        """Return the image at this path, compared in form NFC, or None."""
        return self._by_path.get(normalize("NFC", path))

    def _as_packed(self, file_name: str, label_directories: Directories) -> Match | None:
        """Return the image whose name, read in another code page, is the one that a label gives, or None."""
        parts = [part for part in normalize("NFC", file_name).replace("\\", "/").split("/") if part]
        wanted = {parts[-1]} if parts else set()
        wanted |= possible_names(parts[-1]) if parts else set()
        same_name = list(
            dict.fromkeys(
                image
                for name in sorted(wanted)
                for image in (*self._by_possible_name.get(name, ()), *self._by_name.get(name, ()))
            )
        )
        if not same_name:
            return None
        named = tuple(readable(part) for part in parts[:-1])
        image = self._best(("packed", same_name[0].name), same_name, named, label_directories)
        found = directories_below(self._root, image)
        suffixes = _suffix(named, found), _suffix(label_directories, found)
        return Match(image, (False, *suffixes, _prefix(label_directories, found)), len(same_name) > 1)

    @cached_property
    def _by_possible_name(self) -> dict[str, list[Path]]:
        names: dict[str, list[Path]] = {}
        for image in self._images:
            for name in possible_names(image.name):
                names.setdefault(name, []).append(image)
        return names

    @cached_property
    def _by_path(self) -> dict[str, Path]:
        return {normalize("NFC", str(image)): image for image in self._images}

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        names: dict[str, list[Path]] = {}
        for image in self._images:
            names.setdefault(normalize("NFC", image.name), []).append(image)
        return names

    @cached_property
    def _by_folded_name(self) -> dict[str, list[Path]]:
        names: dict[str, list[Path]] = {}
        for image in self._images:
            names.setdefault(normalize("NFC", image.name).casefold(), []).append(image)
        return names

    def _best(
        self, key: tuple[object, ...], images: list[Path], named: Directories, label: Directories
    ) -> Path:
        for wanted, inside_out in ((named, True), (label, True), (label, False)):
            if len(images) == 1:
                break
            key, images = self._narrow(key, images, wanted, inside_out=inside_out)
        if len(images) > 1:
            candidates = ", ".join(display(os.path.relpath(i, self._root)) for i in images[:_NAMED_IN_A_DRAW])
            more = len(images) - _NAMED_IN_A_DRAW
            raise Unusable(
                f"{len(images)} images agree equally well with it: {candidates}"
                + (f" and {more} more" if more > 0 else "")
            )
        return images[0]

    def _narrow(
        self, key: tuple[object, ...], images: list[Path], wanted: Directories, *, inside_out: bool
    ) -> tuple[tuple[object, ...], list[Path]]:
        """Return the images that share most directories with `wanted`, and a key for that list of images.

        A list is indexed once by everything its directories end (or begin) with: ten thousand folders with
        an `image.jpg` and a `label.json` each would otherwise be compared each with each.
        """
        index = self._indexes.get((*key, inside_out))
        if index is None:
            index = self._indexes[(*key, inside_out)] = {}
            for image in images:
                found = directories_below(self._root, image)
                for count in range(len(found) + 1):
                    index.setdefault(_part(found, count, inside_out=inside_out), []).append(image)
        for count in range(len(wanted), 0, -1):
            part = _part(wanted, count, inside_out=inside_out)
            if part in index:
                return (*key, inside_out, part), index[part]
        return (*key, inside_out, ()), images


def common_suffix(one: Directories, other: Directories) -> Directories:
    """Return the directories that both have, counted from the inside out, outermost first."""
    return one[len(one) - _suffix(one, other) :]


def _part(directories: Directories, count: int, *, inside_out: bool) -> Directories:
    return directories[len(directories) - count :] if inside_out else directories[:count]


def _prefix(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _suffix(one: Directories, other: Directories) -> int:
    return _prefix(one[::-1], other[::-1])
