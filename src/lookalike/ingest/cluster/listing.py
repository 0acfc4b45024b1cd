"""The survey of a run on many machines: what is below each root, in pages, and where its labels stand.

What is kept grows with the folders and label tables, and not with the images; but where labels name images in
other folders, as COCO's do: those are read as on one machine, if there is memory for it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.errors import InvalidArgument, LabelsInvalid, PathNotFound, SourceUnreachable, Unanswerable
from lookalike.file_names import display
from lookalike.ingest.cluster.tasks import LabelPlan, Task
from lookalike.ingest.removals import Disk
from lookalike.labels.folders import folder_labels
from lookalike.labels.image_names import directories_below
from lookalike.labels.reading import MODES, read_labels
from lookalike.labels.similar_labels import similar_label_remarks
from lookalike.labels.tables.other_tables import may_be_table
from lookalike.labels.tables.sheets import is_table
from lookalike.memory import usable_memory
from lookalike.sources.files import SUFFIXES, Listing, find
from lookalike.sources.frames import is_film
from lookalike.sources.manifests import manifest_pages
from lookalike.sources.objects import ObjectPath, list_objects
from lookalike.sources.other_files import other_file_remarks
from lookalike.sources.patterns import MaskSearch, Patterns, Tally, merged
from lookalike.stores.batches import chunks
from lookalike.types import Remark
from lookalike.uris import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.ingest.index_options import IndexOptions
    from lookalike.labels.image_names import Directories
    from lookalike.labels.labelling import Label
    from lookalike.sources.objects import Location
    from lookalike.stores.id_table import IdTable
    from lookalike.stores.stamp_table import StampTable
    from lookalike.types import Skipped

# Pictures named as masks are that are told apart: a kilobyte each is kept.
_MASKS = 200_000
PATIENCE = 300.0
"""Seconds that a server may be away before a run ends."""
# Seconds until it is asked again.
_AGAIN = 5.0
# Files beside the images, of each ending, and images, by which it is told where labels stand.
_OTHERS_SAMPLED = 200
_IMAGES_SAMPLED = 1000
# Tables called metadata that may lie below one root.
_TABLES = 10_000
# Texts beside the images that are not looked into for labels of YOLO.
_FEW_TEXTS = 3
# Bytes of an image, or of another file, while labels are matched with all images: 4,100 were measured, of
# COCO's, with an annotation of 20 points each (docs/scale.md).
_MATCHED_BYTES = 5_000


@dataclass(slots=True)
class _Sight:
    """What one look through a listing has seen."""

    images: int = 0
    directories: Counter[Directories] = field(default_factory=Counter)
    """How many images there are in each."""
    sampled: list[Location] = field(default_factory=list)
    """The first images, and the first of each directory."""
    tables: list[Location] = field(default_factory=list)
    others: dict[str, list[Location]] = field(default_factory=dict)
    """The first of the other files, by their ending in lower case."""
    other_files: int = 0
    json_files: int = 0
    appended: bool = False
    replaced: bool = False
    left_out: Tally = field(default_factory=Tally)
    """By masks and patterns."""

    @property
    def files(self) -> int:
        """How many there are."""
        return self.images + self.other_files

    def has_labels_of_a_form(self) -> bool:
        """Tell whether files may be labels, other than JSON files and tables called metadata."""
        some = (path for paths in self.others.values() for path in paths)
        # Of YOLO there is one for each image; a few texts are licences and the like.
        texts = len(self.others.get(".txt", ()))
        return ".xml" in self.others or texts > _FEW_TEXTS or any(map(may_be_table, some))

    def json_beside(self) -> bool:
        """Tell whether each JSON file that was sampled lies beside an image that is called as it is."""
        stems = {_stem(image) for image in self.sampled}
        return all(_stem(path) in stems for path in self.others.get(".json", ()))


class RootListing:
    """What is below one root: looked through once for its labels and their number, and then made tasks of."""

    def __init__(
        self,
        root: Location,
        patterns: Patterns,
        options: IndexOptions,
        progress: Callable[[int], None],
        met: IdTable | None = None,
        *,
        films: bool = False,
    ) -> None:
        """Look through all that is there.

        Args:
            root: the absolute path of a folder, or a prefix of objects.
            patterns: what the user leaves out there.
            options: of the run.
            progress: told with the images that were seen so far.
            met: gets the ids that the records of all files have, or would have, where some are to be pruned:
                then there need be no image, and the root may be gone.
            films: whether films are taken, too.

        Raises:
            PathNotFound: there is nothing; where some are to be pruned, it is not certain that it is gone.
            Unanswerable: there is no image.
            InvalidArgument: it is a single file; its labels, or pictures named as masks are, are too many.
            LabelsInvalid: there are none where they were asked for.
            SourceError: it cannot be listed.
        """
        self.root = root
        self._patterns = patterns
        self._progress = progress
        self._met = met
        self._manifest_place = options.manifest
        self._unnamed: list[Skipped] = []
        self._listing = Listing(root, patterns, self._manifest(options.manifest), films=films)
        self._films = films
        self._masks = MaskSearch(str(root), patterns)
        self.remarks: list[Remark] = []
        self.unused: list[Skipped] = []
        """Labels that cannot be used, or are not, where they were not left to the workers."""
        self.told_apart: Sequence[Location] = ()
        """As in `IndexReport`, likewise."""
        self._by_folder: Mapping[Directories, Label] = {}
        self._by_image: Mapping[Location, Label] = {}
        self.gone = isinstance(root, Path) and self._is_gone(root)
        """Whether nothing is there."""
        seen = _Sight() if self.gone else self._look(noting=True)
        if self._masks.candidates > _MASKS:
            raise InvalidArgument(
                f"{display(str(root))}: {self._masks.candidates:,} pictures are named as masks are, more "
                "than are told apart from pictures on many machines: --exclude leaves them out; --include "
                "NAME with --include '*' takes those of a name"
            )
        if self._masks.candidates:
            for page in self._listing.pages():
                self._masks.look(map(str, page.images))
            seen = self._look(noting=False)
        nothing = not seen.images and not seen.other_files
        if nothing and isinstance(root, ObjectPath) and root.is_file():
            raise _single(root)
        if not seen.images and met is None:
            raise Unanswerable(f"no image below {display(str(root))}{self._left_out_text(seen)}")
        self.images = seen.images
        """That are to be indexed."""
        self.left_out = merged([*self._listing.left_out, *seen.left_out.counted()])
        self.skipped = [*self._listing.skipped, *self._unnamed]
        self.more_skipped = self._listing.more_skipped
        self.other_files = seen.other_files
        self._json_files = seen.json_files
        self.labels = self._find_labels(seen, options.labels if seen.images else "none", options.encoding)
        """Where the labels stand."""
        some = [path for paths in seen.others.values() for path in paths]
        self.remarks += other_file_remarks(sorted(some))

    def tasks(self, most: int, frames: StampTable | None = None) -> Iterator[Task]:
        """Yield all images in tasks, a page being read when it is needed; a film is a task of its own.

        Args:
            most: images of a task.
            frames: the stamps of frames that the collection has.
        """
        for page in self._listing.pages() if self.images else ():
            images = self._wanted(page.images, Tally())
            films = list(filter(is_film, images)) if self._films else []
            for film in films:
                known = {} if frames is None else frames.beginning(f"{film.as_uri()}#")
                yield Task(self.root, [film], self._labels([film]), known)
            if films:
                images = [image for image in images if not is_film(image)]
            for some in chunks(images, most):
                yield Task(self.root, some, self._labels(some))

    def _labels(self, images: Sequence[Location]) -> dict[Location, Label]:
        return {image: label for image in images if (label := self._label(image)) is not None}

    def _label(self, image: Location) -> Label | None:
        if self._by_folder:
            return self._by_folder.get(directories_below(self.root, image))
        return self._by_image.get(image)

    def unread(self, used: int, rows: int) -> list[Remark]:
        """Return what to say of rows of tables, or JSON files, that no picture was found for.

        Args:
            used: those that a picture was found for.
            rows: of all tables; 0 where there are none.
        """
        there = self._json_files if self.labels.mode == "json" else rows
        if used >= there or self.labels.given:
            return []
        if self.labels.mode == "json":
            text = f"{there - used:,} of {there:,} JSON files lie beside no picture of their name: not read"
        else:
            text = f"{there - used:,} of {there:,} rows of its tables name no picture by its path: not used"
        return [Remark(str(self.root), text)]

    def _is_gone(self, root: Path) -> bool:
        """Tell whether a folder is gone, where that is no reason to refuse it."""
        if root.is_dir():
            return False
        if root.exists():
            raise _single(root)
        if self._met is None:
            raise PathNotFound(display(root))
        if not Disk().is_gone(root):
            raise PathNotFound(
                display(root),
                "for a link on the way leads nowhere: is a disk not mounted? Nothing was removed",
            )
        return True

    def _manifest(
        self, place: Location | None
    ) -> Callable[[Callable[[str], None]], Iterator[Sequence[ObjectPath]]] | None:
        """Return what lists objects, those that a manifest names where there is one; None of files."""
        root = self.root
        if place is None:
            return partial(_listed, root) if isinstance(root, ObjectPath) else None
        if not isinstance(root, ObjectPath):
            raise InvalidArgument("--manifest names objects: the paths beside it are s3://bucket/prefix")

        def pages(_: Callable[[str], None]) -> Iterator[Sequence[ObjectPath]]:
            self._unnamed.clear()
            return manifest_pages(place, root, self._unnamed)

        return pages

    def _look(self, *, noting: bool) -> _Sight:
        """Go through the listing, and see what is there."""
        seen = _Sight()
        for page in self._listing.pages():
            if noting and self._met is not None:
                self._met.update(record_id(path.as_uri()) for path in (*page.images, *page.others))
            if noting:
                self._masks.note(map(str, page.images))
                images = self._without_patterns(page.images, seen.left_out)
            else:
                images = self._wanted(page.images, seen.left_out)
            seen.images += len(images)
            for image in images:
                directories = directories_below(self.root, image)
                seen.directories[directories] += 1
                first = seen.directories[directories] == 1 and len(seen.sampled) < 10 * _IMAGES_SAMPLED
                if first or len(seen.sampled) < _IMAGES_SAMPLED:
                    seen.sampled.append(image)
            below = len(str(self.root).rstrip("/")) + 1
            new = [
                path
                for path in page.others
                if not self._patterns.leaves_out(str(path)[below:]) and self._see(path, seen)
            ]
            # Those that the sampled files lie beside.
            stems = {_stem(path) for path in new}
            seen.sampled += [image for image in images if _stem(image) in stems] if stems else ()
            self._progress(seen.images)
        return seen

    def _see(self, path: Location, seen: _Sight) -> bool:
        """See a file that is no image, and tell whether it is one of the sample."""
        seen.other_files += 1
        if is_table(path):
            seen.tables.append(path)
            if len(seen.tables) > _TABLES:
                raise InvalidArgument(
                    f"{display(str(self.root))}: more than {_TABLES:,} tables called metadata: index the "
                    "folders below it one by one"
                )
            return False
        suffix = path.suffix.lower()
        some = seen.others.setdefault(suffix, [])
        if suffix == ".json":
            seen.json_files += 1
            appended = os.path.splitext(path.stem)[1].lower() in SUFFIXES  # noqa: PTH122 a Path each is slow
            seen.appended |= appended
            seen.replaced |= not appended
        if len(some) >= _OTHERS_SAMPLED:
            return False
        some.append(path)
        return True

    def _wanted(self, images: Sequence[Location], left_out: Tally) -> list[Location]:
        """Return what of a page is to be indexed."""
        kept = set(self._masks.split(list(map(str, images)), left_out))
        return self._without_patterns([image for image in images if str(image) in kept], left_out)

    def _without_patterns(self, images: Sequence[Location], left_out: Tally) -> list[Location]:
        if not (self._patterns.exclude or self._patterns.include):
            return list(images)
        below = len(str(self.root).rstrip("/")) + 1
        return [
            image
            for image in images
            if not left_out.add(self._patterns.reason([str(image)[below:]]), str(image))
        ]

    def _left_out_text(self, seen: _Sight) -> str:
        left_out = merged([*self._listing.left_out, *seen.left_out.counted()])
        return "".join(f"; {each.count:,} left out: {each.reason}" for each in left_out)

    def _find_labels(self, seen: _Sight, mode: str, encoding: str | None) -> LabelPlan:
        """Return where labels stand; those that are not read by the workers are read here."""
        if mode not in MODES:
            raise InvalidArgument(f"no labels {mode!r}: one of {', '.join(MODES)}")
        if mode == "none":
            return LabelPlan("none", given=True, expected=False)
        if mode in ("auto", "table") and seen.tables:
            return LabelPlan("table", tables=sorted(seen.tables))
        if mode == "folders":
            return self._read_folders(seen)
        if mode == "json" and not seen.json_files:
            raise LabelsInvalid(display(str(self.root)), "no JSON file is there")
        beside = seen.json_files > 0 and not seen.has_labels_of_a_form() and seen.json_beside()
        named = mode != "auto" or seen.json_files > 0 or seen.has_labels_of_a_form()
        needed = seen.files * _MATCHED_BYTES
        room = needed <= usable_memory()
        if room and named and not beside:
            return self._read_all(mode, encoding)
        found = mode
        if mode in ("auto", "table"):
            # The labels of some images are read as on one machine, to see where they stand.
            others = sorted(path for paths in seen.others.values() for path in paths)
            sample = read_labels(self.root, sorted(set(seen.sampled)), others, mode, encoding)
            found, self.unused = sample.mode, sample.skipped
        if found in ("folders", "none"):
            return self._read_folders(seen)
        if found == "json":
            self.unused = []
            return LabelPlan("json", appended=seen.appended, replaced=seen.replaced)
        if room:
            return self._read_all(mode, encoding)
        form = "tables of another name, or COCO" if found == "table" else found.upper()
        raise InvalidArgument(
            f"{display(str(self.root))}: its labels are {form}, which are matched with all "
            f"{seen.images:,} images at once: that takes some {needed / 2**30:.1f} GiB of memory, and "
            f"{usable_memory() / 2**30:.1f} GiB may be taken. A table metadata.csv whose file_name is "
            "the path is read by the workers; --labels folders or --labels none disregards them"
        )

    def _read_all(self, mode: str, encoding: str | None) -> LabelPlan:
        """Read all labels here, as on one machine."""
        root, place = self.root, self._manifest_place
        named = None
        if place is not None and isinstance(root, ObjectPath):
            named = list(dict.fromkeys(path for page in manifest_pages(place, root, []) for path in page))
        found = find(root, self._patterns, named, films=self._films)
        labelling = read_labels(root, found.images, found.others, mode, encoding)
        self._by_image, self.told_apart = labelling.labels, labelling.told_apart
        self.unused = labelling.skipped
        self.remarks += labelling.remarks
        self.remarks += similar_label_remarks(label.fields for label in labelling.labels.values())
        return LabelPlan(labelling.mode, given=True, expected=labelling.expected or bool(labelling.labels))

    def _read_folders(self, seen: _Sight) -> LabelPlan:
        labels, remarks = folder_labels(seen.directories)
        self.remarks += [*remarks, *similar_label_remarks(label.fields for label in labels.values())]
        self._by_folder = labels
        return LabelPlan("folders" if labels else "none", given=True, expected=bool(labels))


def _listed(root: ObjectPath, skip: Callable[[str], None]) -> Iterator[Sequence[ObjectPath]]:
    """List objects; where the server goes away meanwhile, wait, and go on where it went.

    Args:
        root: of the objects.
        skip: told of objects that cannot be asked for.

    Raises:
        SourceError: they cannot be listed, or the server does not come back.
    """
    last, waited = None, 0.0
    while True:
        try:
            for page in list_objects(root, last, skip=skip):
                last, waited = page[-1] if page else last, 0.0
                yield page
        except SourceUnreachable:
            if last is None or waited >= PATIENCE:
                raise
            time.sleep(_AGAIN)
            waited += _AGAIN
        else:
            return


def _stem(path: Location) -> str:
    return str(path).removesuffix(path.name) + path.name.partition(".")[0]


def _single(root: Location) -> InvalidArgument:
    return InvalidArgument(
        f"{display(str(root))} is a single file: --workers ray takes folders and prefixes of objects"
    )
