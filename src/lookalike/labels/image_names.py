"""Matching of file names in labels to images, in time independent of the number of images."""

from __future__ import annotations

import os.path
import re
from contextlib import suppress
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from lookalike.file_names import display, possible_names, readable
from lookalike.label_normalisation import label_text
from lookalike.labels.labelling import Claim, Unusable
from lookalike.sources.files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lookalike.labels.labelling import Label
    from lookalike.sources.objects import Location

Directories = tuple[str, ...]
"""Names of directories, outermost first, in Unicode's form NFC: macOS delivers NFD (Unicode annex 15)."""

_NAMED_IN_A_DRAW = 3
_DRIVE = re.compile(r"^(?:[A-Za-z]:)?/+|^[A-Za-z]:")
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of a file that is uploaded, and all its exports have."""
_ENDING = re.compile(r"\.[a-z][a-z0-9]{1,4}")


def directories_below(root: Location, path: Location) -> Directories:
    """Return the directories between `root` and the file `path`, which is below it (else ValueError).

    Their names are as people read them: see `file_names`.
    """
    return tuple(normalize("NFC", readable(part)) for part in path.relative_to(root).parts[:-1])


class Match(NamedTuple):
    """The image that a label names."""

    image: Location
    agreement: tuple[int, ...]
    """Whether the name is spelt exactly so; how many directories of the file name, counted from the inside
    out, the image has too; how many of the label's; how many of the label's counted from the root."""
    namesakes: bool
    """Whether there are other images of that name."""

    def claim(self, label: Label, source: Location, place: str = "", rank: int = 0) -> Claim:
        """Return the label of this image, as it was read at a place of a file."""
        return Claim(self.image, label, source, place, self.agreement, self.namesakes, rank)


class Place(NamedTuple):
    """The image that a row of a table names."""

    image: Location
    how: str
    """What it took: nothing (`exact`), to disregard upper and lower case (`case`), its ending (`ending`) or
    the folders before it (`folders`), to look for its folder (`below`), to read it in another code page
    (`packed`), or to take off what Label Studio puts before it (`upload`)."""
    name: str
    """As it was named, for telling two names of one image apart; empty where it is exact."""
    namesakes: bool = False
    """Whether others would be meant as well, but for the directories of the table."""


_LEVELS = ("below", "case", "ending")


class ImageNames:
    """The images below one root, by name."""

    def __init__(
        self, root: Location, images: Sequence[Location], ids: Mapping[str, Location] | None = None
    ) -> None:
        """Take the images.

        Args:
            root: the folder that they are below.
            images: their paths.
            ids: what else names an image in a table, exactly as it is: the id of its record.
        """
        self.root = root
        self.images = images
        self._ids = {} if ids is None else ids
        self._bases: dict[Location, Directories] = {}
        self._levels: dict[str, tuple[dict[str, list[Location]], dict[str, list[Location]]]] = {}
        self._indexes: dict[tuple[object, ...], dict[Directories, list[Location]]] = {}

    def find(self, file_name: str, label_directories: Directories) -> Match:
        r"""Return the image that a label names.

        The name must be equal, in form NFC; only where there is none such, upper and lower case are the
        same, then names in another code page, then a name without an ending is that of an image. Of
        several, the image counts whose directories agree best with those that stand in `file_name`, then
        with the label's, both from the inside out, then with the label's from the root.

        Args:
            file_name: as the label has it; directories may stand before the name, parted by `/` or `\`.
            label_directories: those of the label below the root.

        Raises:
            Unusable: there is no such image, or several agree equally well.
        """
        for exact in (True, False):
            for text in _spellings(file_name):
                parts = [part for part in normalize("NFC", text).split("/") if part not in ("", ".", "..")]
                named, name = tuple(parts[:-1]), "".join(parts[-1:])
                same_name = self._by_name.get(name) if exact else self._by_folded_name.get(name.casefold())
                if same_name:
                    key = exact, same_name[0].name
                    return self._match(key, same_name, named, label_directories, exact=exact)
        if (packed := self._as_packed(file_name, label_directories)) is not None:
            return packed
        *outer, stem = _parts(_spellings(file_name)[-1]) or ("",)
        if stem and _stem(stem) == _folded(stem) and self.has_stem(stem):
            return self.find_stem(stem, label_directories, tuple(outer))
        if stem and (own := _without_upload(stem)) and self._has(own):
            return self.find(own, label_directories)
        raise Unusable(f"there is no image {file_name!r}")

    def _has(self, name: str) -> bool:
        return name in self._by_name

    def has_stem(self, stem: str) -> bool:
        """Tell whether there is an image of this name, but for its ending."""
        return _folded(stem) in self._by_stem

    def find_stem(self, stem: str, label_directories: Directories, named: Directories = ()) -> Match:
        """Return the image that is called so, but for its ending; of several, as `find` does.

        Args:
            stem: the name without an ending.
            label_directories: those of the label below the root.
            named: directories that stand before the name.

        Raises:
            Unusable: there is no such image, or several agree equally well.
        """
        same_name = self._by_stem.get(_folded(stem), ())
        if not same_name:
            raise Unusable(f"there is no image {stem!r}")
        return self._match(("stem", _folded(stem)), list(same_name), named, label_directories)

    def _match(
        self,
        key: tuple[object, ...],
        images: list[Location],
        named: Directories,
        label: Directories,
        *,
        exact: bool = False,
    ) -> Match:
        """Return the one of several images of a name whose directories agree best.

        Args:
            key: that names the list of images.
            images: of one name; at least one.
            named: directories that stand before the name.
            label: the label's directories below the root.
            exact: whether the name is spelt exactly so.

        Raises:
            Unusable: several agree equally well.
        """
        image = self._best(key, images, named, label)
        found = self.directories(image)
        agreement = (exact, _suffix(named, found), _suffix(label, found), _prefix(label, found))
        return Match(image, agreement, len(images) > 1)

    def directories(self, path: Location) -> Directories:
        """Return the directories between the root and a file below it: see `directories_below`."""
        return directories_below(self.root, path)

    @cached_property
    def _by_stem(self) -> dict[str, list[Location]]:
        stems: dict[str, list[Location]] = {}
        for image in self.images:
            for stem in {_folded(image.stem), *map(_folded, possible_names(image.stem))}:
                stems.setdefault(stem, []).append(image)
        return stems

    def locate(self, text: str, folder: Location) -> Place:
        r"""Return the image that a table names by its path.

        Tried in this order, each first as it is spelt, then in any case, then without an ending:

        - an id, as it is;
        - the path from `folder`, then from the root;
        - a path that ends so, where there is one only, or one whose directories agree best with `folder`;
        - the path without its outer directories, from `folder`, then from the root: what was
          `C:\data\images\001.jpg` elsewhere is images/001.jpg or 001.jpg here.

        An image in another directory than the one that `text` names last is never meant.

        Args:
            text: a path relative to `folder` or absolute, with `/` or `\`, perhaps percent-encoded or a URL.
            folder: where the table lies, at the root or below it.

        Raises:
            Unusable: there is no such image, several agree equally well, or it lies outside the root.
        """
        spellings = _spellings(text)
        if not spellings:
            raise Unusable(f"there is no image {text!r}: no file has such a name")
        if image := self._ids.get(label_text(text)):
            return Place(image, "exact", "")
        outside = False
        for spelling in spellings:
            path = os.path.normpath(folder / spelling)
            if image := self._by_path.get(normalize("NFC", path)):
                return Place(image, "exact", "")
            outside = not _is_below(path, os.path.normpath(self.root))
            if outside and os.path.lexists(path):
                raise Unusable(f"{text!r} leads out of the folder that is indexed")
        base = self._bases.get(folder)
        if base is None:
            base = self._bases[folder] = self.directories(folder / "_")
        for level in _LEVELS:
            for spelling in spellings:
                if place := self._near(_parts(spelling), base, level):
                    return place
        parts = _parts(spellings[-1])
        packed = None if spellings[-1].isascii() else self._as_packed(spellings[-1], base)
        if packed and (len(parts) == 1 or packed.agreement[1] or packed.image.parent in (folder, self.root)):
            return Place(packed.image, "packed", "/".join(parts).casefold(), packed.namesakes)
        if parts and (own := _without_upload(parts[-1])) and self._has(own):
            return self.locate(own, folder)._replace(how="upload")
        hint = self._hint(parts) or ("it leads out of the folder that is indexed" if outside else "")
        raise Unusable(f"there is no image {text!r}" + (f": {hint}" if hint else ""))

    def _near(self, parts: Directories, base: Directories, level: str) -> Place | None:
        """Return the image whose path is most like these parts; `base` is that of the table."""
        paths, ends = self._spelt(level)
        starts = (base, ()) if base else ((),)
        for count in range(len(parts)):
            for start in starts:
                key = _key((*start, *parts[count:]), level)
                if found := paths.get(key):
                    return self._place(found, (level, key), "folders" if count else level, parts, base)
            if count == 0 and (found := ends.get(key)):
                return self._place(found, (level, "", key), level, parts, base)
        return None

    def _place(
        self, found: list[Location], key: tuple[object, ...], how: str, parts: Directories, base: Directories
    ) -> Place:
        image = self._best(key, found, (), base) if len(found) > 1 else found[0]
        return Place(image, how, "/".join(parts).casefold(), len(found) > 1)

    def below(self, image: Location) -> str:
        """Return the path of an image below the root, as it is shown to people."""
        return display(image.relative_to(self.root))

    def _hint(self, parts: Directories) -> str:
        """Say what comes nearest to a name that no image has."""
        name = parts[-1] if parts else ""
        if "#t=" in name:
            return "name the film of a frame, or take the table by `lookalike label --from`"
        if "\ufffd" in name or "?" in name:
            return "characters of its name were lost when the table was saved; save it as UTF-8"
        for key, difference in (
            (("name", normalize("NFC", name).casefold()), "has that name, in another folder"),
            (("stem", _stem(name)), "differs by its ending"),
            (("number", _stem(name).lstrip("0")), "differs by zeros before its number"),
            (("letters", _letters(_stem(name))), "differs by blanks and signs"),
        ):
            if image := self._nearest.get(key):
                return f"{self.below(image)} {difference}"
        return ""

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
        return self._match(("packed", same_name[0].name), same_name, named, label_directories)

    @cached_property
    def _by_possible_name(self) -> dict[str, list[Location]]:
        names: dict[str, list[Location]] = {}
        for image in self.images:
            for name in possible_names(image.name):
                names.setdefault(name, []).append(image)
        return names

    @cached_property
    def _by_path(self) -> dict[str, Location]:
        paths = {}
        for image in self.images:
            as_read = readable(str(image.relative_to(self.root)))
            paths[normalize("NFC", os.path.normpath(f"{self.root}/{as_read}"))] = image
        # What is spelt so on disk wins over what is read so.
        paths.update((normalize("NFC", os.path.normpath(image)), image) for image in self.images)
        return paths

    def _spelt(self, level: str) -> tuple[dict[str, list[Location]], dict[str, list[Location]]]:
        """Return the images by their paths below the root, and by all that these end in, at one level.

        Made when it is asked for: most tables spell every name as it is.
        """
        if level not in self._levels:
            paths: dict[str, list[Location]] = {}
            ends: dict[str, list[Location]] = {}
            for image in self.images:
                name = readable(image.stem if level == "ending" else image.name)
                parts = (*self.directories(image), name)
                paths.setdefault(_key(parts, level), []).append(image)
                for count in range(len(parts)):
                    ends.setdefault(_key(parts[count:], level), []).append(image)
            self._levels[level] = paths, ends
        return self._levels[level]

    @cached_property
    def _nearest(self) -> dict[tuple[str, str], Location]:
        nearest: dict[tuple[str, str], Location] = {}
        for image in self.images:
            stem = _stem(image.name)
            nearest.setdefault(("name", normalize("NFC", image.name).casefold()), image)
            nearest.setdefault(("stem", stem), image)
            if number := stem.lstrip("0"):
                nearest.setdefault(("number", number), image)
            if letters := _letters(stem):
                nearest.setdefault(("letters", letters), image)
        return nearest

    @cached_property
    def _by_name(self) -> dict[str, list[Location]]:
        names: dict[str, list[Location]] = {}
        for image in self.images:
            names.setdefault(normalize("NFC", image.name), []).append(image)
        return names

    @cached_property
    def _by_folded_name(self) -> dict[str, list[Location]]:
        names: dict[str, list[Location]] = {}
        for image in self.images:
            names.setdefault(normalize("NFC", image.name).casefold(), []).append(image)
        return names

    def _best(
        self, key: tuple[object, ...], images: list[Location], named: Directories, label: Directories
    ) -> Location:
        for wanted, inside_out in ((named, True), (label, True), (label, False)):
            if len(images) == 1:
                break
            key, images = self._narrow(key, images, wanted, inside_out=inside_out)
        if len(images) > 1:
            candidates = ", ".join(display(os.path.relpath(i, self.root)) for i in images[:_NAMED_IN_A_DRAW])
            more = len(images) - _NAMED_IN_A_DRAW
            raise Unusable(
                f"{len(images)} images agree equally well with it: {candidates}"
                + (f" and {more} more" if more > 0 else "")
            )
        return images[0]

    def _narrow(
        self, key: tuple[object, ...], images: list[Location], wanted: Directories, *, inside_out: bool
    ) -> tuple[tuple[object, ...], list[Location]]:
        """Return the images that share most directories with `wanted`, and a key for that list of images.

        A list is indexed once by everything its directories end (or begin) with: ten thousand folders with
        an `image.jpg` and a `label.json` each would otherwise be compared each with each.
        """
        index = self._indexes.get((*key, inside_out))
        if index is None:
            index = self._indexes[(*key, inside_out)] = {}
            for image in images:
                found = self.directories(image)
                for count in range(len(found) + 1):
                    index.setdefault(_part(found, count, inside_out=inside_out), []).append(image)
        for count in range(len(wanted), 0, -1):
            part = _part(wanted, count, inside_out=inside_out)
            if part in index:
                return (*key, inside_out, part), index[part]
        return (*key, inside_out, ()), images


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold()


def common_suffix(one: Directories, other: Directories) -> Directories:
    """Return the directories that both have, counted from the inside out, outermost first."""
    return one[len(one) - _suffix(one, other) :]


def _spellings(text: str) -> list[str]:
    r"""Return what a path may mean: as it is, with `\` between directories, percent-decoded, as a URL."""
    # Blanks at its ends may belong to it, though hardly ever.
    spellings = [text, label_text(text)]
    text = spellings[1]
    if "\\" in text:
        spellings.append(text.replace("\\", "/"))
    if "://" in text:
        with suppress(ValueError):  # an address in brackets that is none
            spellings.append(urlsplit(text).path)
    if "%" in text:
        spellings += [unquote(each) for each in spellings]
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
        spellings.append(text[1:-1])
    return [each for each in dict.fromkeys(spellings) if "\0" not in each]


def _parts(path: str) -> Directories:
    """Return the parts of a path, without a drive, and without the steps that go up at its beginning."""
    plain = os.path.normpath(_DRIVE.sub("/", path))
    return tuple(part for part in normalize("NFC", plain).split("/") if part not in ("", ".", ".."))


def _key(parts: Sequence[str], level: str) -> str:
    text = "/".join(parts)
    return normalize("NFC", text) if level == "below" else normalize("NFKC", text).casefold()


def _without_upload(name: str) -> str:
    """Return the name of a file without what Label Studio puts before it; empty where there is nothing."""
    return _UPLOAD.sub("", name) if _UPLOAD.match(name) else ""


def _stem(name: str) -> str:
    folded = normalize("NFKC", name).casefold()
    stem, dot, ending = folded.rpartition(".")
    ending = dot + ending
    return stem if ending in SUFFIXES or _ENDING.fullmatch(ending) else folded


def _letters(stem: str) -> str:
    """Return the letters and digits of a name: programs put `_` or `-` for blanks and brackets."""
    return re.sub(r"[\W_]+", "", stem)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _part(directories: Directories, count: int, *, inside_out: bool) -> Directories:
    return directories[len(directories) - count :] if inside_out else directories[:count]


def _prefix(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _suffix(one: Directories, other: Directories) -> int:
    return _prefix(one[::-1], other[::-1])
