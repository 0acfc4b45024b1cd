"""Exclusion of files that are named like images and are none to index, and the patterns that a user gives.

Everything is told by names alone. What is left out is counted, so that the report of a run can say so.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from lookalike.errors import InvalidArgument
from lookalike.file_names import display, readable
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pathspec import GitIgnoreSpec

_SYSTEM = {
    # Synology, https://kb.synology.com: the index of DSM and its bin; QNAP's bin, snapshots and thumbnails.
    **dict.fromkeys(("@eadir", ".@__thumb", "@__thumb", ".thumbnails", ".thumb"), "thumbnails of a NAS"),
    **dict.fromkeys(("#recycle", "@recycle", "@sharebin"), "a recycle bin"),
    **dict.fromkeys(("#snapshot", "@recently-snapshot", ".snapshot"), "snapshots of a NAS"),
    # Windows, https://learn.microsoft.com/windows/win32/shell/: the bins of NTFS and FAT.
    **dict.fromkeys(("$recycle.bin", "recycler", "recycled", "network trash folder"), "a recycle bin"),
    **dict.fromkeys((".trash", ".trashes"), "a recycle bin"),
    "system volume information": "what Windows keeps for itself",
    # What macOS's Archive Utility packs beside the files, RFC 1740's AppleDouble.
    "__macosx": "what macOS packs beside the files",
    # What fsck of ext file systems and Android's of FAT put together.
    **dict.fromkeys(("lost+found", "lost.dir"), "what a file system check found"),
}
"""Folders of systems, in lower case, and what is in them."""

_MASK_FOLDERS = frozenset({
    "ground_truth", "groundtruth", "gt", "mask", "masks", "label", "labels", "annotation", "annotations",
    "seg", "segs", "segmentation", "segmentations", "trimaps", "segmentationclass",
    "segmentationclasspng", "segmentationclassaug", "segmentationobject", "segmentationobjectpng",
    "segmentationclassvisualization", "segmentationobjectvisualization",
})  # fmt: skip
"""Folders of masks in lower case: MVTec AD's and BTAD's ground_truth, VisA's Masks, DAGM's Label, ADE20K's
annotations, Oxford Pets' trimaps, Pascal VOC's and labelme's SegmentationClass and SegmentationObject. They
are that where they have their pictures beside them: a class of people with a `mask` may be called so, too."""
_MASK_FOLDER = re.compile(r"(.+)[_-](?:masks?|labels?|gt|seg|segmentations?|annotations?)")
"""A folder beside that of its pictures: Carvana's train_masks and CamVid's train_labels beside train."""

_PICTURE_FOLDERS = frozenset({
    "images", "image", "imgs", "img", "jpegimages", "pngimages", "rgb", "photos", "pictures", "data",
    "raw", "original", "originals", "input", "inputs", "원천", "원천데이터", "원천이미지",
})  # fmt: skip
"""Folders beside `_MASK_FOLDERS` that hold what the masks are of."""
_SPLIT_FOLDERS = frozenset({"test", "train", "training", "val", "valid", "validation"})
"""The same for masks that are surely some: those of MVTec's ground_truth, and `X_mask`."""

_MASK_NAME = re.compile(
    r"(?P<of>.+?)[ _.-](?P<what>masks?|gt|ground_?truth|seg|segmentation|labels?)(?:[ _-]?\d+)?",
    re.IGNORECASE,
)
"""`000_mask` (MVTec AD), `benign (1)_mask_1` (BUSI), `10000_GT` and `Part0_label` (KolektorSDD)."""
_CITYSCAPES = re.compile(r".+_gt(?:fine|coarse)_(?:labelids|labeltrainids|instanceids|color)")
"""Cityscapes' masks, which lie in another folder than `…_leftImg8bit.png`."""
_PICTURE_ENDINGS = ("", "_sat", "_img", "_image", "_rgb")
"""What the picture of `X_mask` is called beside X: `100034_sat` is DeepGlobe's."""
_LOSSLESS = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif"})

_NOT_INCLUDED = "by --include, which others match"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Images that were not looked at, for one reason."""

    reason: str
    """In words that follow their number: `in @eaDir (thumbnails of a NAS)`."""
    count: int
    example: str
    """The path of one of them."""


class Patterns:
    """What a user leaves out (`--exclude`) and restricts a run to (`--include`).

    A pattern is one of a .gitignore file, https://git-scm.com/docs/gitignore#_pattern_format, relative to the
    folder that is indexed: `*` and `?` stop at a slash, `**` does not; a pattern with a slash that is not at
    its end begins at that folder, any other matches at every depth; one that matches a folder matches all
    that is in it. `!` and `#` at the beginning stand for themselves: `#recycle` is a folder's name. Names are
    compared as people read them: in Unicode's form NFC, and those that are no UTF-8 as `readable` has them.
    """

    def __init__(self, exclude: Sequence[str] = (), include: Sequence[str] = ()) -> None:
        self.exclude = tuple(exclude)
        self.include = tuple(include)
        self._exclude = [(pattern, _compile(pattern, "--exclude")) for pattern in exclude]
        self._include = [(pattern, _compile(pattern, "--include")) for pattern in include]
        self._parts = [part for pattern in include for part in normalize("NFC", pattern).split("/")]
        self._used: set[str] = set()

    def reason(self, names: Iterable[str]) -> str | None:
        """Return why a picture is left out; None where it is not.

        Args:
            names: how its path may be given, each relative to a folder, parted by `/`.
        """
        readable_names = [normalize("NFC", readable(name)) for name in names]
        for pattern, spec in self._exclude:
            if any(spec.match_file(name) for name in readable_names):
                self._used.add(pattern)
                return f"by --exclude {display(pattern)}"
        matching = [
            pattern for pattern, spec in self._include if any(spec.match_file(n) for n in readable_names)
        ]
        self._used.update(matching)
        return _NOT_INCLUDED if self._include and not matching else None

    def leaves_out(self, name: str) -> bool:
        """Tell whether a file that is no picture is excluded: its labels, say, are not read then."""
        return bool(self._exclude) and (self.reason([name]) or _NOT_INCLUDED) != _NOT_INCLUDED

    def name_folder(self, name: str) -> bool:
        """Tell whether a pattern of `--include` names a file or folder that is left out otherwise."""
        name = normalize("NFC", readable(name))
        return any(
            part.strip("*?")
            and fnmatchcase(name.casefold(), part.casefold())
            and (part.startswith(".") or not name.startswith("."))
            for part in self._parts
        )

    def name_mask(self, name: str, what: str) -> bool:
        """Tell whether a pattern of `--include` names masks by what their names end in."""
        return any(
            what.casefold() in part.casefold() and fnmatchcase(name.casefold(), part.casefold())
            for part in self._parts
        )

    @property
    def unused(self) -> list[str]:
        """The patterns that have matched nothing so far, in the order given."""
        return [pattern for pattern in (*self.exclude, *self.include) if pattern not in self._used]


def _compile(pattern: str, option: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    text = normalize("NFC", pattern).removeprefix("./")
    if text.startswith(("!", "#")):
        text = f"\\{text}"
    try:
        spec = GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error) as error:
        raise InvalidArgument(f"{option} {display(pattern)!r} is no pattern: {error}") from error
    if not text.strip(" /") or all(each.include is None for each in spec.patterns):
        raise InvalidArgument(f"{option} {display(pattern)!r} is no pattern: it is empty")
    return spec


def left_out_folder(name: str, patterns: Patterns) -> str | None:
    """Return why a folder of this name is left out; None where it is walked."""
    what = _SYSTEM.get(name.casefold())
    if what is None and name.casefold().startswith(".trash-"):
        what = "a recycle bin"
    if what is None and not name.startswith("."):
        return None
    if patterns.name_folder(name):
        return None
    return f"in {display(name)} ({what})" if what else "in hidden folders"


def hidden_file(name: str, patterns: Patterns) -> bool:
    """Tell whether a file is hidden, and no pattern names it."""
    return name.startswith(".") and not patterns.name_folder(name)


def split_masks(root: str, images: Sequence[str], patterns: Patterns) -> tuple[list[str], list[LeftOut]]:
    """Part pictures and the masks of pictures that are among them.

    A mask is a picture that says of each pixel what it is: a file in one of `_MASK_FOLDERS` whose picture
    lies in the same place of a folder beside that one, or above it; or `X_mask` beside X.

    Args:
        root: the folder that was walked, without a slash at its end.
        images: paths below it.
        patterns: what a user gave: masks that `--include` names are pictures.

    Returns:
        The pictures, in the order given, and the masks, counted.
    """
    split = [_Parts(root, path) for path in images]
    if not any(parts.is_candidate for parts in split):
        return list(images), []
    pictures = {key for parts in split for key in parts.picture_keys()}
    kept: list[str] = []
    masks = Tally()
    for path, parts in zip(images, split, strict=True):
        reason = parts.mask_of(pictures, patterns) if parts.is_candidate else None
        if reason is None:
            kept.append(path)
        else:
            masks.add(reason, path)
    return kept, masks.counted()


class MaskSearch:
    """The same of pictures that come in pages, and more than once: no more is kept than masks need.

    All pictures are noted; where some may be masks, all are looked at, and then any may be split.
    """

    def __init__(self, root: str, patterns: Patterns) -> None:
        """Begin.

        Args:
            root: the folder that is walked, without a slash at its end.
            patterns: what a user gave.
        """
        self._root = root
        self._patterns = patterns
        self._asked = _Asked()
        self._found: set[_Key] = set()
        self.candidates = 0
        """Pictures so far that may be masks."""

    def note(self, images: Iterable[str]) -> None:
        """Take pictures for the first time."""
        for path in images:
            parts = _Parts(self._root, path)
            if parts.is_candidate:
                self.candidates += 1
                parts.mask_of(self._asked, self._patterns)

    def look(self, images: Iterable[str]) -> None:
        """Take them for the second time: see which of them are the pictures of masks."""
        for path in images:
            self._found.update(key for key in _Parts(self._root, path).picture_keys() if self._asked.has(key))

    def split(self, images: Sequence[str], masks: Tally) -> list[str]:
        """Return those of some pictures that are no masks, and count the others."""
        if not self.candidates:
            return list(images)
        kept = []
        for path in images:
            parts = _Parts(self._root, path)
            reason = parts.mask_of(self._found, self._patterns) if parts.is_candidate else None
            if not masks.add(reason, path):
                kept.append(path)
        return kept


_Key = tuple[tuple[str, ...], tuple[str, ...], str]


class _Asked(set[_Key]):
    """Notes the places that are asked for, and has none of them: so all are asked."""

    def __contains__(self, key: object) -> bool:
        self.add(key)  # type: ignore[arg-type]
        return False

    def has(self, key: _Key) -> bool:
        """Tell whether a place was asked for."""
        return super().__contains__(key)


class _Parts:
    """The folders of one picture below the root, and its name, in lower case."""

    __slots__ = ("certain", "folders", "name", "of", "spelt", "stem", "suffix", "what")

    def __init__(self, root: str, path: str) -> None:
        *self.spelt, self.name = path[len(root.rstrip("/")) + 1 :].split("/")
        self.folders = tuple(folder.casefold() for folder in self.spelt)
        stem, self.suffix = os.path.splitext(self.name.casefold())  # noqa: PTH122 - a Path a file is slow
        self.stem = stem
        found = _MASK_NAME.fullmatch(stem)
        self.certain = _CITYSCAPES.fullmatch(stem) is not None
        self.of = found["of"].rstrip(" _.-") if found else ""
        self.what = found["what"] if found else ""

    @property
    def is_candidate(self) -> bool:
        return (
            self.certain
            or bool(self.what)
            or not _MASK_FOLDERS.isdisjoint(self.folders)
            or any(_MASK_FOLDER.fullmatch(folder) for folder in self.folders)
        )

    def picture_keys(self) -> Iterator[_Key]:
        """Yield the places where a mask of this picture would be looked for."""
        folders = self.folders
        for at in range(len(folders) + 1):
            yield folders[:at], folders[at:], self.stem
        for at, folder in enumerate(folders):
            if folder in _PICTURE_FOLDERS:
                yield (*folders[:at], "/"), folders[at + 1 :], self.stem
            elif folder in _SPLIT_FOLDERS:
                yield (*folders[:at], "//"), folders[at + 1 :], self.stem

    def mask_of(self, pictures: set[_Key], patterns: Patterns) -> str | None:
        """Return why this is a mask; None where it is a picture."""
        if self.certain and not patterns.name_mask(self.name, "gt"):
            return "named as Cityscapes names masks"
        stems = {self.stem, *(self.of + ending for ending in _PICTURE_ENDINGS)} if self.of else {self.stem}
        for at, folder in enumerate(self.folders):
            before, after = self.folders[:at], self.folders[at + 1 :]
            beside = _MASK_FOLDER.fullmatch(folder)
            if folder not in _MASK_FOLDERS and not beside:
                continue
            places = [(after, stem) for stem in stems]
            if after:  # MVTec LOCO: a folder of masks for each picture
                places.append((after[:-1], after[-1]))
            starts = [before, (*before, "/")]
            if beside:
                starts = [(*before, beside[1])]
            elif folder.startswith(("ground", "gt")) or self.what:
                starts.append((*before, "//"))
            found = any((start, below, stem) in pictures for start in starts for below, stem in places)
            alone = folder.startswith("segmentation") or (folder.startswith("ground") and self.what)
            if (found or alone) and not patterns.name_folder(folder):
                return f"in {display(self.spelt[at])} (masks)"
        if self.of and (self.suffix in _LOSSLESS or not self.what.startswith("label")):
            names = (self.of + ending for ending in _PICTURE_ENDINGS)
            if any((self.folders, (), name) in pictures for name in names) and not patterns.name_mask(
                self.name, self.what
            ):
                return f"named …_{self.what} beside their picture (masks)"
        return None


class Tally:
    """Counts what is left out, by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str | None, path: str) -> bool:
        """Count one picture; tell whether there was a reason to."""
        if reason is None:
            return False
        self._counts[reason] += 1
        self._examples[reason] = min(path, self._examples.get(reason, path))
        return True

    def counted(self) -> list[LeftOut]:
        """Return the counts, by reason."""
        return [
            LeftOut(reason, self._counts[reason], self._examples[reason]) for reason in sorted(self._counts)
        ]


def merged(counts: Iterable[LeftOut]) -> list[LeftOut]:
    """Return what several folders leave out, each reason once."""
    found: dict[str, LeftOut] = {}
    for each in counts:
        before = found.get(each.reason)
        found[each.reason] = each if before is None else replace(before, count=before.count + each.count)
    return [found[reason] for reason in sorted(found)]


def unused_patterns(patterns: Iterable[Patterns]) -> list[Remark]:
    """Return a remark for each pattern that matched nothing: it may be misspelt."""
    unused = dict.fromkeys(pattern for each in dict.fromkeys(patterns) for pattern in each.unused)
    return [Remark("", f"the pattern {display(pattern)!r} matches no picture") for pattern in unused]


def file_names(path: Path) -> list[str]:
    """Return how patterns may name a single file: from the current folder, where it is below, and in full."""
    here = Path.cwd()
    full = str(path).lstrip("/")
    return [str(path.relative_to(here)), full] if path.is_relative_to(here) else [full]
