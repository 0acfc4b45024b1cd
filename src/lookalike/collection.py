"""The handle of one collection: what can be done with it, as calls of the rooms that do it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lookalike.classification.classifier import Classifier, ClassifyOptions
from lookalike.classification.zero_shot import TEMPLATES, ZeroShotClassifier
from lookalike.embedders.models import DEFAULT_MODEL
from lookalike.embedders.protocol import TextEmbedder
from lookalike.errors import (
    CollectionNotFound,
    ImageNotFound,
    InvalidArgument,
    UnusableImage,
)
from lookalike.handles.arguments import (
    Classifiable,
    Paths,
    files_or_images,
    images_of,
    one_for_each,
    paths_of,
    pictures_of,
)
from lookalike.handles.corrections import Corrections
from lookalike.handles.records import Records
from lookalike.handles.vectors import NamedVectors
from lookalike.images.film_sampling import Sampling
from lookalike.images.films import check_films
from lookalike.images.limits import MAX_PIXELS
from lookalike.ingest.adding import Picture, add
from lookalike.ingest.cluster.ray_cluster import check_installed
from lookalike.ingest.embedding import embed_files
from lookalike.ingest.index_options import IndexOptions, Machines
from lookalike.ingest.indexed_collection import index_collection
from lookalike.ingest.indexed_folders import Indexed, forget_indexed, indexed_paths
from lookalike.ingest.removals import disagree
from lookalike.label_normalisation import kept_filter, kept_name
from lookalike.labels.labelling import Label
from lookalike.metric_learning import fitting
from lookalike.metric_learning.corrections import Correction
from lookalike.metric_learning.fitted import plain_vector
from lookalike.progress import silent
from lookalike.search.field_values import count_values
from lookalike.search.film_frames import embed_film
from lookalike.search.listing import ListingOptions, list_records
from lookalike.search.query import Image, RecordId, alternatives, as_query
from lookalike.search.search import SearchOptions, search
from lookalike.sources.locations import full, location, readable_location
from lookalike.stores.checks import same_name
from lookalike.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lookalike.active_learning.suggest import Suggestions
    from lookalike.anomaly.scoring import Anomaly
    from lookalike.audit.findings import Audit
    from lookalike.classification.classifier import Classified
    from lookalike.classification.explanation import Explainer, Explanation
    from lookalike.comparison.comparison import Comparison
    from lookalike.drift.drift import Drift
    from lookalike.evaluation.evaluation import Evaluation
    from lookalike.evaluation.held_out_predictions import Ks
    from lookalike.handles.anomaly import AnomalyDetection
    from lookalike.images.levels import Range
    from lookalike.ingest.index_report import IndexReport
    from lookalike.ingest.removals import Agree
    from lookalike.metric_learning.fitted import Fitting
    from lookalike.metric_learning.fitting import FitReport
    from lookalike.opened import Opened
    from lookalike.progress import Progress
    from lookalike.search.field_values import ValueCount
    from lookalike.search.hits import SearchResult
    from lookalike.search.listing import Listing, Order
    from lookalike.search.query import Conditions, Terms
    from lookalike.search.search import LeastSimilarity
    from lookalike.sources.frames import Place
    from lookalike.sources.objects import Location
    from lookalike.sources.uploads import Upload
    from lookalike.transfer.exports.export import ExportReport, Form, LineForm
    from lookalike.transfer.imports.vector_import import ImportReport
    from lookalike.types import (
        CollectionInfo,
        Features,
        Fields,
        Metadata,
        Record,
        Scalar,
        Where,
    )


class Collection:
    """The handle of a collection, which need not be there yet; cheap, and threads may share it.

    What people do most are its methods. The rest is in its parts: `records`, `vectors`, `corrections` and
    `anomaly`.

    Every method may raise CollectionNotFound, where there is no collection of that name, and a StoreError.
    """

    def __init__(self, opened: Opened, name: str) -> None:
        """Name a collection; the store is not asked.

        Args:
            opened: the store and the models, which whoever opened them closes.
            name: letters, digits, `_` and `-` of any script; case does not count.
        """
        self.name = name
        self._opened = opened
        self._store = opened.store
        self._models = opened.models
        self._spaces = opened.spaces

    def __repr__(self) -> str:
        return f"Collection({self._store.url!r}, {self.name!r})"

    # Its parts

    @property
    def records(self) -> Records:
        """Its records, without their vectors; and snapshots of them, by which changes are undone."""
        return Records(self._opened, self.name)

    @property
    def vectors(self) -> NamedVectors:
        """Its vectors, by name: to read, to search by numbers, to add and drop; and their embedders."""
        return NamedVectors(self._opened, self.name)

    @property
    def corrections(self) -> Corrections:
        """Corrections of its labels, many at once or from a table; for one image there is `correct`."""
        return Corrections(self._opened, self.name)

    @property
    def anomaly(self) -> AnomalyDetection:
        """Anomaly detection: good parts teach what is normal, and images are scored by that."""
        from lookalike.handles.anomaly import AnomalyDetection

        return AnomalyDetection(self._opened, self.name)

    # What it holds

    def info(self) -> CollectionInfo:
        """Return what the store says of it: its space, how many records it has, and their fields."""
        return self._store.collection(self.name)

    def record(self, identity: str) -> Record:
        """Return one record.

        Raises:
            ImageNotFound: no record has that id.
        """
        for record in self._store.get(self.name, [identity]):
            return record
        raise ImageNotFound(self.info().name, identity)

    def values(self) -> dict[str, list[ValueCount]]:
        """Count the values of every field: fields by name, each with its values, the most frequent first."""
        return count_values(self._store.scan_records(self.name))

    def browse(
        self,
        order: Order = "id",
        *,
        by: str | None = None,
        where: Conditions | None = None,
        progress: Progress = silent,
    ) -> Listing:
        """Put the records in an order to look through them; any part of it is read at once.

        Args:
            order: `id`; `label`; `time`, of the picture, earliest first; `newest`, by its file, latest first;
                or `uncertain`, those first whose held-out answers are least sure.
            by: the field that holds the label, for `label` and `uncertain`.
            where: only records that match.
            progress: for `uncertain`, as for `classifier`.

        Returns:
            The listing: `len` of it, its `groups` of one label, and `read(start, count)`.

        Raises:
            InvalidArgument: no such order, or it needs a field.
            FieldNotFound: no record has the field, or one of `where`.
            Unanswerable: the collection cannot be judged, or has more than 100,000 records and was not yet.
        """
        options = ListingOptions(order, by, alternatives(where))
        return list_records(self._spaces, self._models, self.name, options, progress)

    def indexed(self) -> Indexed:
        """Return which folders and files were indexed into it on this machine."""
        noted = indexed_paths(self._models.cache, self._store.url)
        return noted.get(same_name(self.name), Indexed())

    def export(
        self,
        path: str | Path,
        *,
        form: Form | None = None,
        where: Conditions | None = None,
        vectors: bool | None = None,
        predictions: str | None = None,
        by: str = "label",
        copy: bool = False,
        progress: Progress = silent,
    ) -> ExportReport:
        """Write the collection as a file or folder that other programs read, whole or not at all.

        Args:
            path: of the file, which is replaced where it is there; or of the folder, which must be new or
                empty.
            form: `parquet`, `csv`, `jsonl`, `coco`, or `imagefolder`; None: what the file's name says.
            where: only records that match.
            vectors: whether vectors are written; None: into Parquet and JSON lines, and not into CSV.
            predictions: a field: its held-out label is written too, with its confidence, as `evaluate` has
                it.
            by: the field whose values are the categories of COCO, and the folders of an ImageFolder.
            copy: whether an ImageFolder has copies of the pictures, and not links to them.
            progress: called with records written and records to write.

        Raises:
            FieldNotFound: no record has a field that is named.
            InvalidArgument: no such form, an option that it does not have, or a path that cannot be it.
            OutputFailed: it cannot be written; nothing of it is left.
            ExtraMissing: Parquet, and pyarrow is not installed.
            Unanswerable: the collection cannot be judged, for predictions.
        """
        from lookalike.transfer.exports.export import ExportOptions, export

        options = ExportOptions(form, alternatives(where), vectors, predictions, by, copy)
        return export(self._spaces, self._models, self.name, Path(path), options, progress)

    def export_lines(
        self,
        form: LineForm = "csv",
        *,
        where: Conditions | None = None,
        ids: Sequence[str] | None = None,
        vectors: bool | None = None,
        predictions: str | None = None,
        name_of: Callable[[Record], str] | None = None,
        progress: Progress = silent,
    ) -> Iterator[bytes]:
        """Return the collection as CSV or JSON lines, piece by piece, read while it is written: see `export`.

        Args:
            form: `csv` or `jsonl`.
            where: only records that match.
            ids: only these records, in this order.
            vectors: whether vectors are written.
            predictions: a field whose held-out label is written too.
            name_of: returns what a record is called, where nobody is to learn where its file lies: that and
                its id take the place of URI, path, digest and metadata.
            progress: called with records read and records to read.

        Raises:
            FieldNotFound, ImageNotFound, InvalidArgument, Unanswerable: before the first piece.
        """
        from lookalike.transfer.exports.export import ExportOptions, export_lines

        options = ExportOptions(form, alternatives(where), vectors, predictions, ids=ids, name_of=name_of)
        return export_lines(self._spaces, self._models, self.name, options, progress)

    # What changes it

    def index(
        self,
        paths: Paths,
        *,
        model: str | None = None,
        vector: str | None = None,
        levels: Range | None = None,
        labels: str = "auto",
        group_by: str | None = None,
        encoding: str | None = None,
        prune: bool = False,
        prune_empty: bool = False,
        agree: Agree = disagree,
        verify: bool = False,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        as_before: bool = False,
        max_pixels: int = MAX_PIXELS,
        frames: str | None = None,
        path_base: str | Location | None = None,
        index_name: str | None = None,
        manifest: str | Location | None = None,
        workers: Literal["ray"] | None = None,
        actors: int | None = None,
        progress: Progress = silent,
    ) -> IndexReport:
        """Bring the collection up to date with the images below some paths; it is made if it is missing.

        Files that did not change cost one look at their date and size. Interrupted at any moment, it leaves a
        collection that the same call completes. Labels that people have put right stay.

        Args:
            paths: folders and files.
            model: the embedder of a new collection, or of a further vector of one that is there. Weights that
                are not here are fetched from the hub.
            vector: the name of that vector; None: `image` of a new collection, or the one that is there of
                this embedder.
            levels: which samples of more than 8 bits become black and white.
            labels: where labels come from: auto, folders, json, table, xml, yolo or none.
            group_by: a regular expression that is looked for in each image's path below the folder that is
                indexed; what it finds is a field: of a named group's name, else `group`.
            encoding: of label files that are no Unicode by their marks; None to guess.
            prune: remove records below the paths whose file is gone.
            prune_empty: do so too where it looks as though a disk were not mounted.
            agree: asked before more than a tenth of the collection is removed.
            verify: read the files whose size and date are the same, and compare their digests.
            exclude: patterns of what is left out, as in .gitignore.
            include: patterns of the only images that are taken.
            as_before: leave out, too, what was left out when the same paths were indexed last here.
            max_pixels: images with more pixels are skipped.
            frames: which frames of films become images: `scene`, or `every:1s`, `every:500ms`, `every:2min`;
                None: films are left out.
            path_base: the folder that relative paths are relative to, as Elasticsearch's documents and
                applications of it have them: one of the paths, or a folder above them; None: as before, or
                each path.
            index_name: a name for the collection's index; of Elasticsearch stores alone.
            manifest: a list, a table or an S3 Inventory that names the objects below the paths.
            workers: `ray`: the cluster of RAY_ADDRESS, or one of this machine alone, embeds and writes.
                Records do not move with their files then, and nothing is pruned.
            actors: how many processes of Ray do so, a model each; None: one for each GPU or CPU.
            progress: called with images done and images to do.

        Returns:
            What became of every file.

        Raises:
            PathNotFound: a path does not exist, and there is nothing to prune below it.
            Unanswerable: there is no image below a path, and nothing to prune.
            FolderEmpty: there are records to prune, and it looks as though a disk were not mounted.
            RemovalUnconfirmed: more than a tenth of the collection would be removed, and nobody agreed.
            SpaceMismatch: the collection is of another embedder.
            InvalidArgument: the name cannot be used, there is no such encoding, or `group_by` is no regular
                expression, or `frames` says none; `path_base` is above no path; the server takes no index of
                that name, or has another.
            ExtraMissing: frames are to be taken, and PyAV is not installed; or Ray is not.
            LabelsInvalid: the labels cannot be read at all.
            ClusterError: there is no such cluster, or its processes end.
        """
        self._store.check_takes_records(self.name)
        if workers is None and actors is not None:
            raise InvalidArgument("actors are of workers='ray' (--workers ray)")
        if actors is not None and actors < 1:
            raise InvalidArgument(f"actors is a number from 1, not {actors}")
        machines = None
        if workers is not None:
            if workers != "ray":
                raise InvalidArgument(f"no workers {workers!r}: ray")
            check_installed()
            machines = Machines(self._opened.given, self._opened.timeout, actors)
        sampling = None if frames is None else Sampling.parse(frames)
        options = IndexOptions(
            model, vector, levels, labels, group_by, encoding, prune, prune_empty, agree, verify, exclude,
            include, as_before, max_pixels, None if path_base is None else location(path_base), index_name,
            sampling, None if manifest is None else full(location(manifest)), machines,
        )  # fmt: skip
        report, self._opened.unnoted = index_collection(
            self._store, self._models, self.name, paths_of(paths), options, progress
        )
        return report

    def import_vectors(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        space: str | None = None,
        id: str | None = None,  # noqa: A002 as it is called in tables
        uri: str | None = None,
        vector: str | None = None,
        fields: Mapping[str, str] | None = None,
        metadata: str | None = None,
        digest: str | None = None,
        ids: str | Path | None = None,
        base: str | Path | None = None,
        pictures: str | Path | None = None,
        encoding: str | None = None,
        name: str | None = None,
        dry_run: bool = False,
        max_pixels: int = MAX_PIXELS,
        sent: bool = False,
        progress: Progress = silent,
    ) -> ImportReport:
        """Take vectors that others computed, from a file or folder; the collection is made if it is missing.

        What is not said of the columns is guessed, and told. The same import again changes nothing, and goes
        on where one was interrupted; labels that people have put right since stay.

        Args:
            path: Parquet, Arrow, Feather, .npy, CSV, JSON or JSON lines; or a folder of clip-retrieval,
                FiftyOne or Hugging Face's datasets.
            model: the embedder that the vectors were made by; its weights have to be on this machine. Where
                there are pictures and no vectors, it embeds them.
            space: instead, a name for an embedder that is unknown here: then vectors answer, and neither
                pictures nor texts can be asked for.
            id: the column that names the rows.
            uri: the column of the pictures' paths or URIs.
            vector: the column of vectors; `emb_*` for columns that have a number each.
            fields: of each field a column.
            metadata: the column that is kept as metadata.
            digest: the column with the SHA-256 of the pictures.
            ids: of a .npy, the file that names its rows: .npy, .txt, or a table with more columns.
            base: the folder, or `s3://bucket/prefix`, that paths are relative to; None: the file's own.
            pictures: a folder into which pictures are written that are in the file; None: they are not kept.
            encoding: of CSV that is not UTF-8; None to guess.
            name: of the vector in the collection; None: the file's, or `image`.
            dry_run: look at the first rows only.
            max_pixels: images with more pixels are skipped, where they are embedded.
            sent: the file is of another machine: nothing is opened that its rows name as their pictures, and
                only paths below `base` are of this one.
            progress: called with rows done and rows to do, where the file tells that.

        Raises:
            PathNotFound: a file is not there.
            InvalidArgument: it cannot be read, a column is not there, or nobody says what made the vectors.
            SpaceMismatch: the collection has other vectors.
            ModelNotFound, WeightsMissing, ExtraMissing: of the embedder, or of what reads the file.
        """
        from lookalike.transfer.imports.columns import Wanted
        from lookalike.transfer.imports.vector_import import ImportOptions, import_vectors

        wanted = Wanted(id, uri, vector, metadata, digest, fields or {})
        options = ImportOptions(
            model, space, wanted, None if ids is None else Path(ids), None if base is None else str(base),
            None if pictures is None else Path(pictures), encoding, name, dry_run, max_pixels, sent,
        )  # fmt: skip
        return import_vectors(self._store, self._models, self.name, Path(path), options, progress)

    def check_indexable(self) -> None:
        """Refuse a collection that cannot be indexed again here, before the work begins.

        Raises:
            StoreReadOnly: it is a table of others.
            SpaceMismatch: it was made by another version of an embedder.
        """
        self._store.check_takes_records(self.name)
        collection = self.info()
        for vector in collection.vectors:
            self._models.embedder_of(collection, vector)

    def add(
        self,
        paths: Paths,
        *,
        fields: Fields | Sequence[Fields] = (),
        metadata: Metadata | Sequence[Metadata] = (),
        max_pixels: int = MAX_PIXELS,
    ) -> list[Record]:
        """Add single images with their labels; on return they survive a kill. A file stays where it is.

        An image that is there already, at the same path, stays one record: what is said now is added to what
        it has or takes its place, apart from what people have put right since.

        Args:
            paths: one image, or several.
            fields: of all, or of each.
            metadata: of all, or of each; JSON.
            max_pixels: an image with more pixels is refused.

        Returns:
            A record for each image, in order.

        Raises:
            UnusableImage: one cannot be used; then none is added.
            InvalidArgument: labels that no image may have.
        """
        embedder = self.vectors.embedder()
        files = [full(path) for path in paths_of(paths)]
        labels = map(Label, one_for_each(fields, len(files)), one_for_each(metadata, len(files)))
        embedded = embed_files(files, embedder, self._models.features(embedder), max_pixels=max_pixels)
        pictures = []
        for file, label in zip(embedded, labels, strict=True):
            if isinstance(file, Skipped):
                raise UnusableImage(file.path, file.reason)
            pictures.append(Picture(file, embedder.fingerprint, file.path.name, label))
        return self.add_embedded(pictures)

    def add_embedded(self, pictures: Sequence[Picture]) -> list[Record]:
        """Add pictures that one of the collection's embedders has embedded; new features are kept."""
        self._store.check_takes_records(self.name)
        fresh: dict[str, dict[str, Features]] = {}
        for each in pictures:
            if not each.file.cached:
                fresh.setdefault(each.made_by, {})[each.file.digest] = each.file.features
        for made_by, features in fresh.items():
            dimension = len(next(iter(features.values())))
            self._models.kept_features(made_by, dimension).put(features)
        return add(self._store, self._models, self.name, pictures)

    def correct(
        self, identity: str, fields: Mapping[str, Scalar | None] | None = None, confirm: Iterable[str] = ()
    ) -> Record:
        """Put the labels of an image right, or confirm them; indexing again keeps to that.

        Args:
            identity: the id of its record.
            fields: new values; None removes a field.
            confirm: fields that are right as they are, or as `fields` has them.

        Returns:
            The record as it is now.

        Raises:
            ImageNotFound: no record has that id.
            InvalidArgument: a value is none that a field can have.
            StoreBusy: another process puts labels right for too long.
        """
        return self.corrections.apply([Correction(identity, fields or {}, tuple(confirm))])[0].after

    def remove(self, ids: str | Sequence[str]) -> int:
        """Remove records, by one id or several, and return how many there were; no image file is touched."""
        return self._store.remove(self.name, [ids] if isinstance(ids, str) else ids)

    def delete(self) -> CollectionInfo:
        """Delete the collection, and return it as it was; no image file is touched."""
        deleted = self.info()
        self._store.delete(self.name)
        forget_indexed(self._models.cache, self._store.url, deleted.name)
        return deleted

    # What is asked of it

    def search(
        self,
        query: Terms | str | Path | bytes,
        *,
        k: int = 10,
        using: str | None = None,
        where: Conditions | None = None,
        hybrid: bool = False,
        min_similarity: LeastSimilarity = None,
        false_alarm: float | None = None,
        approximate: bool = False,
        max_pixels: int = MAX_PIXELS,
        progress: Progress = silent,
    ) -> SearchResult:
        """Find the images that are most like an image, a text, a record, or a sum of them.

        Args:
            query: a path, the bytes of an image, a term, or a sum: `Text("red car") - Image("a.jpg")`.
            k: how many hits.
            using: the vector that is searched; None: the default one, or for texts one whose embedder reads
                them.
            where: only records that match.
            hybrid: find the words in labels, names and metadata too, and fuse both rankings.
            min_similarity: leave out what is less similar, −1 … 1; `auto` sets this against the collection;
                of words alone it leaves out the weak hits.
            false_alarm: for `auto`: how often something may be found that is not there, 0 … 1.
            approximate: use the approximate index, if there is one.
            max_pixels: an image with more pixels is refused.
            progress: called while background texts are embedded, with texts done and texts to do.

        Raises:
            FieldNotFound: no record has a field of `where`.
            ImageNotFound: no record has that id.
            UnusableImage: an image cannot be used.
            InvalidArgument: a number is out of its range, or the terms cancel each other out.
            Unanswerable: the collection is empty, or its model reads no texts.
            SpaceMismatch: it was made by another version of its embedder.
        """
        options = SearchOptions(
            k, using, alternatives(where), hybrid, min_similarity, false_alarm, approximate, max_pixels
        )
        return search(
            self._spaces, self._models, self.name, as_query(query), options, self._opened.cutoffs, progress
        )

    def classifier(
        self,
        by: str,
        *,
        k: Ks = 5,
        where: Conditions | None = None,
        using: str | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
        max_pixels: int = MAX_PIXELS,
        refresh: bool | None = None,
        progress: Progress = silent,
    ) -> Classifier:
        """Prepare to label images by their nearest labelled neighbours, with what is known of its errors.

        Args:
            by: the field that holds the label.
            k: neighbours that vote; `auto` chooses by cross-validation.
            where: only records that match vote.
            using: the vector that is searched; None: the default one.
            max_error: answer only where the held-out answers promise at most this error, 0 … 1.
            coverage: give label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known images that may be called unknown, 0 … 1.
            approximate: use the approximate index, if there is one.
            max_pixels: images with more pixels are skipped.
            refresh: judge the collection anew if anything has changed since; None: only where that is quick;
                False: only where the judgement that is there cannot be used.
            progress: called with images read and compared, and those to do, where that is not known yet.

        Raises:
            FieldNotFound: no record has the field, or one of `where`.
            InvalidArgument: a number is out of its range.
            Unanswerable: the collection is empty, or cannot tell what it was promised.
        """
        options = ClassifyOptions(
            by, k, alternatives(where), using, max_error, coverage, false_alarm, approximate, max_pixels,
            refresh,
        )  # fmt: skip
        return Classifier(self._spaces, self._models, self.name, options, progress)

    def classify(
        self,
        images: Classifiable | Iterable[Classifiable],
        by: str,
        *,
        k: Ks = 5,
        where: Conditions | None = None,
        using: str | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
        max_pixels: int = MAX_PIXELS,
        refresh: bool | None = None,
    ) -> Iterator[Classified | Skipped]:
        """Label images by their nearest labelled neighbours: see `classifier`.

        Args:
            images: paths, bytes, or `RecordId`s of the collection.
            by: the field that holds the label.
            k: neighbours that vote, or `auto`.
            where: only records that match vote.
            using: the vector that is searched; None: the default one.
            max_error: answer only where at most this error is promised.
            coverage: give label sets that contain the true label this often.
            false_alarm: part of the known images that may be called unknown.
            approximate: use the approximate index, if there is one.
            max_pixels: images with more pixels are skipped.
            refresh: judge the collection anew if anything has changed since; None: only where that is quick.

        Yields:
            One value for each image, in order.
        """
        classifier = self.classifier(
            by, k=k, where=where, using=using, max_error=max_error, coverage=coverage,
            false_alarm=false_alarm, approximate=approximate, max_pixels=max_pixels, refresh=refresh,
        )  # fmt: skip
        return classifier.classify(images_of(images))

    def frames(
        self, film: str | Location, frames: str, *, using: str | None = None, max_pixels: int = MAX_PIXELS
    ) -> Iterator[Image | Skipped]:
        """Embed frames of a film, in order, to classify them or to search with them.

        Args:
            film: the path, or `s3://bucket/key`.
            frames: which: `scene`, `every:1s`, `every:500ms`, `every:2min`.
            using: the vector that is to be asked; None: the default one.
            max_pixels: a film with larger frames is refused.

        Yields:
            Each frame, its `picture` is `film.mp4#t=12.5`; at the end, or instead, why there are no more.

        Raises:
            InvalidArgument: `frames` says none.
            ExtraMissing: PyAV is not installed.
        """
        sampling = Sampling.parse(frames)
        check_films()
        found = self.info()
        vector = found.vector(using)
        return embed_film(self._models, found, vector, full(location(film)), sampling, max_pixels)

    def explainer(self, classifier: Classifier, *, max_pixels: int = MAX_PIXELS) -> Explainer:
        """Prepare to explain what a classifier says: see `explain`.

        Args:
            classifier: of this collection.
            max_pixels: images with more pixels are left out.
        """
        from lookalike.classification.explanation import Explainer

        return Explainer(self._store, self._models, classifier, max_pixels=max_pixels)

    def explain(
        self,
        image: str | Path | bytes | RecordId,
        by: str,
        *,
        k: Ks = 5,
        where: Conditions | None = None,
        using: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Explanation:
        """Classify an image, and tell which regions its voters lack, and which speaks most for the label.

        The files of ten to fifteen images are read, whatever the model of the collection.

        Args:
            image: a path, bytes, or a `RecordId` of the collection.
            by: the field that holds the label.
            k: neighbours that vote, or `auto`; five of each side are looked at.
            where: only records that match vote.
            using: the vector that is searched; None: the default one.
            max_pixels: an image with more pixels is refused, or left out.

        Raises:
            UnusableImage: the image cannot be read.
        """
        classifier = self.classifier(by, k=k, where=where, using=using, max_pixels=max_pixels)
        if isinstance(image, RecordId):
            path = readable_location(self.record(image.id).uri)
            if path is None:
                raise UnusableImage(image.id, "it is no file on this machine")
            source: Place | Upload = path
        else:
            (source,) = pictures_of(image)
        (answer,) = classifier.classify(images_of(image))
        found = (
            answer
            if isinstance(answer, Skipped)
            else self.explainer(classifier, max_pixels=max_pixels).explain(source, answer)
        )
        if isinstance(found, Skipped):
            raise UnusableImage(found.path, found.reason)
        return found

    def zero_shot(
        self,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        model: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> ZeroShotClassifier:
        """Prepare to label images by the names of labels alone, with a model that reads texts.

        Args:
            labels: at least two different ones, as texts.
            templates: texts with `{}` where the label goes; several are averaged.
            model: the embedder; None: the first of the collection that reads texts, or the default one where
                there is no collection.
            max_pixels: images with more pixels are skipped.

        Raises:
            Unanswerable: the model reads no texts.
        """
        if model is None:
            try:
                collection = self.info()
            except CollectionNotFound:
                model = DEFAULT_MODEL
            else:
                vectors = (collection.vector(), *collection.vectors)
                models = [each.space.embedder for each in vectors]
                reading = (each for each in models if isinstance(self._models.embedder(each), TextEmbedder))
                model = next(reading, models[0])
        embedder = self._models.embedder(model)
        return ZeroShotClassifier(self._models, embedder, labels, templates, max_pixels)

    # What is judged

    def evaluate(
        self,
        by: str,
        *,
        within: str | None = None,
        using: str | None = None,
        k: Ks = 5,
        group: str | None = None,
        near_duplicates: bool = True,
        folds: int = 5,
        repeats: int = 3,
        seed: int = 0,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        sample: int | None = None,
        progress: Progress = silent,
    ) -> Evaluation:
        """Classify every image by others that it had no part in, and count how often that is right.

        Each image is classified by all others, or, where a metric was fitted or k is to be chosen, by those
        of other folds; a metric is fitted anew in each fold.

        Args:
            by: the field that holds the label.
            within: compare an image only with those of the same value of this field.
            using: the vector that is judged; None: the default one.
            k: neighbours that vote; `auto` chooses by cross-validation.
            group: never compare an image with those of the same value of this field; `series`, where there is
                no such field: with those of its own series, as they are found.
            near_duplicates: keep near-duplicates together in the same way.
            folds: for a fitted metric or k `auto`.
            repeats: how often folds are drawn.
            seed: of the first drawing.
            max_error: find the confidence above which the error is at most this, 0 … 1.
            coverage: measure label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known images that may be called unknown, 0 … 1.
            sample: classify so many images, drawn at random, by all others; None: all, or 10,000 where not
                all fit into memory.
            progress: called with what is done and what is to do, each second or so. What it raises ends the
                work.

        Raises:
            FieldNotFound: no record has the field `by`, `within` or `group`.
            InvalidArgument: a number is out of its range.
            Unanswerable: no two images can be compared, or all have one label; or series are to be kept
                together in a sample.
        """
        # scikit-learn and SciPy take most of a second to import, which no search should wait for.
        from lookalike.evaluation.evaluate import EvaluateOptions, evaluate_collection

        options = EvaluateOptions(
            within, k, group, near_duplicates, folds, repeats, seed, max_error, coverage, false_alarm, sample
        )
        return evaluate_collection(
            self._spaces, self._models, self.name, by, options, using=using, progress=progress
        )

    def audit(
        self,
        by: str | None = None,
        *,
        split: str | None = None,
        using: str | None = None,
        k: int = 5,
        look: bool = False,
        read: Callable[[Record], bytes] | None = None,
        progress: Progress = silent,
    ) -> Audit:
        """Look for wrong labels, near-duplicates, outliers, small classes and pictures of poor quality.

        Args:
            by: the field that holds the label; None looks for what needs no label.
            split: the field that tells training images from test images; None finds one.
            using: the vector that is judged; None: the default one.
            k: neighbours that vote, as evidence.
            look: read the pictures, too: which were saved again, and which are dark, bright, blank, blurred,
                of little information, or of odd shape or size.
            read: returns the bytes of an image's file, or raises UnusableImage; None reads it at its URI.
            progress: as for `evaluate`.

        Raises:
            FieldNotFound: no record has the field `by`, or `split`.
            InvalidArgument: k is below 1, or `split` is `by`.
            Unanswerable: there is nothing to compare.
        """
        from lookalike.audit.audit import AuditOptions, audit_collection
        from lookalike.audit.picture_quality import read_file

        return audit_collection(
            self._spaces, self._models, self.name, by, AuditOptions(split, k, look, read or read_file),
            using=using, progress=progress,
        )  # fmt: skip

    def reconsider(self, audit: Audit) -> Audit:
        """Judge the suspects of an audit again where their own label or their evidence has changed since.

        Args:
            audit: of this collection, whose neighbours stay; how they are labelled now counts.

        Returns:
            The audit with its suspects in their order of now, without those that are gone or have no label.
        """
        from lookalike.audit.reconsideration import reconsidered

        return reconsidered(audit, lambda ids: {record.id: record for record in self.records.get(ids)})

    def drift(
        self,
        new: Paths | Iterable[str | Place | Image] | None = None,
        *,
        new_where: Conditions | None = None,
        where: Conditions | None = None,
        by: str | None = None,
        group: str | None = None,
        using: str | None = None,
        labels: str = "auto",
        group_by: str | None = None,
        false_alarm: float = 0.01,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Drift:
        """Test whether new images are still what the collection was judged on.

        Args:
            new: folders and files, or images that need be no files; those of the same bytes in the
                collection are left out there.
            new_where: instead, the records that match are the new images.
            where: only records that match are what they are compared with.
            by: the field that holds the label, whose mixture is told.
            group: images with the same value of this field are exchanged together; `series`, where there is
                no such field: images of one series, as they are found.
            using: the vector that is compared; None: the default one.
            labels: where labels of new files come from, as for `index`.
            group_by: what makes fields of the paths of new files, as for `index`.
            false_alarm: how often new images that are like the collection may be called different, 0 … 1.
            seed: of the permutations.
            progress: called with images embedded and permutations done, and those to do.

        Raises:
            FieldNotFound: no image has a field that is named.
            InvalidArgument: a number is out of its range, or new images are named in two ways, or in none.
            Unanswerable: too few images to compare.
        """
        from lookalike.drift.drift import DriftOptions, compare_with_collection

        options = DriftOptions(
            alternatives(new_where), alternatives(where), by, group, using, labels, group_by, false_alarm,
            seed=seed,
        )  # fmt: skip
        images = files_or_images(new)
        return compare_with_collection(self._spaces, self._models, self.name, images, options, progress)

    def suggest(
        self,
        by: str,
        *,
        count: int = 20,
        where: Conditions | None = None,
        using: str | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Suggestions:
        """Suggest which images without a label to label next.

        Args:
            by: the field that is to hold the label; no image need have it yet.
            count: how many, at least 1.
            where: only records that match are suggested.
            using: the vector; None: the default one.
            seed: of what is drawn where there are more than can be looked at.
            progress: called with images chosen and images to choose.

        Raises:
            FieldNotFound: no record has a field of `where`.
            InvalidArgument: a count below 1.
            Unanswerable: all images have a label.
        """
        from lookalike.active_learning.suggest import suggest_in_collection

        return suggest_in_collection(
            self._spaces, self.name, by, count=count, where=alternatives(where), using=using, seed=seed,
            progress=progress,
        )  # fmt: skip

    def compare(
        self,
        by: str,
        *,
        models: Sequence[str] = (),
        ks: Sequence[int] = (1, 5),
        finetune: Sequence[str] = (),
        epochs: int | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Comparison:
        """Rank embedders, metrics and k on the collection's images, and networks that are trained on them.

        Args:
            by: the field that holds the label.
            models: the embedders; none: all that are part of lookalike.
            ks: numbers of neighbours that vote.
            finetune: networks to be trained in the same folds, timm:NAME.
            epochs: that they are trained for at most; None: the recipe's.
            seed: of the folds, and of what is drawn in training.
            progress: called with steps done and steps to do.

        Raises:
            FieldNotFound: no record has the field.
            InvalidArgument: no k, or one below 1.
            Unanswerable: too little to compare, or a network cannot be trained.
        """
        from lookalike.comparison.compare import CompareOptions
        from lookalike.comparison.compared_collection import compare_collection

        return compare_collection(
            self._spaces, self._models, self.name, by, CompareOptions(ks, seed=seed),
            embedders=models, finetune=finetune, epochs=epochs, progress=progress,
        )  # fmt: skip

    # What it learns

    def fit(self, by: str, *, using: str | None = None, progress: Progress = silent) -> FitReport:
        """Fit a metric to the labels, and give each record the vector `fitted`, the new default.

        Args:
            by: the field whose labels the metric learns.
            using: the vector that it is made of; None: the default one, or the one that was made of.
            progress: called with records written and records to write.

        Raises:
            FieldNotFound: no record has the field.
            VectorNotFound: it has no vector of that name.
            Unanswerable: there are too few labels, or labelled images, to learn from.
            StoreBusy: another fit of the collection is running.
            VectorIncomplete: records are damaged, and would lack the vector.
        """
        collection = self.info()
        groups = self._models.groups(plain_vector(collection, using).space.embedder)
        return fitting.fit(
            self._store, self.name, kept_name(by, collection), using=using, groups=groups,
            locks=self._opened.locks, progress=progress,
        )  # fmt: skip

    def undo_fit(self) -> int:
        """Drop the fitted vectors and go back to the plain ones; return how many records there are.

        Raises:
            InvalidArgument: it is not fitted.
            StoreBusy: a fit of the collection is running.
        """
        return fitting.undo_fit(self._store, self.name, locks=self._opened.locks)

    def added_since_fit(self) -> int:
        """Return how many images are in it now that were not when it was fitted; 0 where it is not fitted."""
        found = self.fitting()
        if found is None:
            return 0
        return sum(
            record.digest not in found.digests
            for records in self._store.scan_records(self.name)
            for record in records
        )

    def overlay(
        self,
        image: str | Place | bytes,
        found: Anomaly | Explanation,
        *,
        beside: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> bytes:
        """Draw the map of an image over it, with boxes around what stands out; return a PNG.

        Args:
            image: that was scored, or whose classification was explained.
            found: what came of it.
            beside: of an explanation: draw the voter of its pair of regions beside it.
            max_pixels: an image with more pixels is refused.

        Raises:
            UnusableImage: it cannot be read, or the voter cannot.
        """
        from lookalike.anomaly.overlays import overlay
        from lookalike.anomaly.scoring import Anomaly
        from lookalike.classification.explanation_overlay import explanation_overlay
        from lookalike.embedders.ranged import split_name

        _, levels = split_name(self.info().space.embedder)
        if isinstance(found, Anomaly):
            return overlay(image, found, max_pixels=max_pixels, levels=levels)
        voter = readable_location(found.pair.voter.uri) if beside and found.pair else None
        return explanation_overlay(image, found, voter, max_pixels=max_pixels, levels=levels)

    def fitting(self, using: str | None = None) -> Fitting | None:
        """Return the fit of a vector, by default of the default one; None for a plain one."""
        return self._spaces.fitting(self.info(), using)

    def _filter(self, where: Conditions | None) -> Where | None:
        return kept_filter(alternatives(where), self.info())
