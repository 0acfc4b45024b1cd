"""The handle of a collection of a service: what can be asked of it, and changed in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lookalike.client.anomaly import RemoteAnomalyDetection
from lookalike.client.connection import JSON, as_json, build_query, image_parts
from lookalike.client.job import RemoteJob, begin_job
from lookalike.client.pictures import read_picture
from lookalike.client.vectors import RemoteVectors
from lookalike.errors import InvalidArgument
from lookalike.output_files import new_file
from lookalike.schemas.audit import AuditQuery
from lookalike.schemas.browse import BrowseAnswer, BrowseQuery
from lookalike.schemas.changes import Changed, Labels, Removal, Undone
from lookalike.schemas.classify import ClassifyAnswer, ClassifyQuery
from lookalike.schemas.collections import Collection, Deleted, Values
from lookalike.schemas.downloads import DownloadQuery
from lookalike.schemas.drift import DriftQuery
from lookalike.schemas.evaluate import EvaluateQuery
from lookalike.schemas.images import Added, Correction, ImageDetails
from lookalike.schemas.imports import ImportQuery
from lookalike.schemas.index import IndexQuery
from lookalike.schemas.jobs import Job
from lookalike.schemas.map import MapQuery
from lookalike.schemas.search import SearchAnswer, SearchQuery
from lookalike.schemas.suggest import SuggestQuery
from lookalike.search.query import Image, RecordId, Text, Vector, alternatives, as_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lookalike.client.connection import Connection, Part
    from lookalike.search.query import Conditions, Picture, Summand, Terms, Value

    Fields = Mapping[str, Value]
    Classifiable = Picture | Image | RecordId


class RemoteCollection:
    """A collection of a service; a cheap handle, thread-safe.

    Every call raises a `ServiceError` where the service does not answer as it should: see `client.errors`.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        """Name it; nothing is sent yet.

        Args:
            connection: to the service.
            name: of the collection.
        """
        self.name = name
        self._connection = connection
        self._path = ("v1", "collections", name)

    @property
    def vectors(self) -> RemoteVectors:
        """Its vectors, by name, to add and drop."""
        return RemoteVectors(self._connection, self._path)

    @property
    def anomaly(self) -> RemoteAnomalyDetection:
        """Anomaly detection, where `lookalike anomaly fit` has learned what is normal."""
        return RemoteAnomalyDetection(self._connection, self._path)

    def info(self) -> Collection:
        """Describe the collection."""
        return self._connection.request(Collection, "GET", *self._path)

    def search(
        self,
        query: Terms | Picture,
        *,
        k: int = 10,
        offset: int = 0,
        where: Conditions | None = None,
        using: str | None = None,
        hybrid: bool = False,
        min_similarity: float | Literal["auto"] | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
    ) -> SearchAnswer:
        """Find the images of a collection that are most like an image, a text, a record, or a sum of them.

        Args:
            query: a path of this machine, the bytes of an image, a term, or a sum:
                `Text("red car") - Image("a.jpg")`.
            k: hits a page, 1 … 1,000.
            offset: hits to pass over.
            where: only images that match: every field named must have one of its values.
            using: the vector that is searched, by default the default one.
            hybrid: find the words in labels, names, fields and captions too, and fuse both rankings.
            min_similarity: leave out what is less similar, −1 … 1; `auto` sets this against the collection.
            false_alarm: for `auto`: how often something may be found that is not there, 0 … 1.
            approximate: use the collection's approximate index, if it has one.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a number is out of its range.
        """
        pictures: list[tuple[str, bytes]] = []
        asked = build_query(
            SearchQuery,
            {
                "terms": [_term(each, pictures) for each in as_query(query).summands],
                "k": k,
                "offset": offset,
                "where": alternatives(where),
                "using": using,
                "hybrid": hybrid,
                "min_similarity": min_similarity,
                "false_alarm": false_alarm,
                "approximate": approximate,
            },
        )
        return self._connection.post_query(SearchAnswer, asked, pictures, *self._path, "search")

    def browse(
        self,
        order: Literal["id", "label", "time", "newest", "uncertain"] = "id",
        *,
        by: str | None = None,
        where: Conditions | None = None,
        offset: int = 0,
        limit: int = 100,
        fields: Sequence[str] | None = None,
    ) -> BrowseAnswer:
        """List images in an order, from any place on.

        Args:
            order: `id`; `label`; `time`, of the picture, earliest first; `newest`, by its file, latest first;
                or `uncertain`, those first whose held-out answers are least sure.
            by: the field that holds the label, for `label` and `uncertain`.
            where: only images that match.
            offset: images to pass over.
            limit: images at most, 0 … 1,000.
            fields: those that are wanted of each image; None: all.

        Raises:
            InvalidArgument: a number is out of its range, or the order needs a field.
        """
        asked = build_query(
            BrowseQuery,
            {
                "order": order, "by": by, "where": alternatives(where), "offset": offset, "limit": limit,
                "fields": None if fields is None else list(fields),
            },
        )  # fmt: skip
        return self._connection.post_query(BrowseAnswer, asked, [], *self._path, "browse")

    def classify(
        self,
        images: Classifiable | Iterable[Classifiable],
        by: str,
        *,
        k: int | Literal["auto"] = 5,
        where: Conditions | None = None,
        using: str | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        approximate: bool = False,
        explain: bool = False,
    ) -> ClassifyAnswer:
        """Label pictures by their nearest labelled neighbours, which are the evidence.

        Args:
            images: paths of this machine, bytes, or `RecordId`s of the collection.
            by: the field that holds the label.
            k: neighbours that vote, 1 … 1,000; `auto` chooses by cross-validation.
            where: only images that match vote.
            using: the vector that is searched, by default the default one.
            max_error: answer only where the held-out answers promise at most this error, 0 … 1.
            coverage: give label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known pictures that may be called unknown, 0 … 1.
            approximate: use the collection's approximate index, if it has one.
            explain: also tell which regions of each picture the voters lack, and which pair of regions speaks
                most for the label, with an overlay; at most 4 pictures.

        Returns:
            A prediction for each image, in the order given, or the reason why there is none.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a number is out of its range.
        """
        several = list(_several(images))
        asked = build_query(
            ClassifyQuery,
            {
                "by": by,
                "ids": [each.id for each in several if isinstance(each, RecordId)],
                "k": k,
                "where": alternatives(where),
                "using": using,
                "max_error": max_error,
                "coverage": coverage,
                "false_alarm": false_alarm,
                "approximate": approximate,
                "explain": explain,
            },
        )
        sent = [read_picture(each) for each in several if not isinstance(each, RecordId)]
        answer = self._connection.post_query(ClassifyAnswer, asked, sent, *self._path, "classify")
        # The service answers pictures first and ids then.
        first, then = iter(answer.predictions[: len(sent)]), iter(answer.predictions[len(sent) :])
        ordered = [next(then if isinstance(each, RecordId) else first) for each in several]
        return answer.model_copy(update={"predictions": ordered})

    def values(self) -> Values:
        """Return the values of every field of a collection, the most frequent first."""
        return self._connection.request(Values, "GET", *self._path, "values")

    def add(
        self,
        images: Picture | Iterable[Picture],
        *,
        fields: Fields | Sequence[Fields] = (),
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
    ) -> Added:
        """Put pictures into a collection; a writing key is needed. The same picture again is the same image.

        Args:
            images: paths of this machine, or bytes; one, or several.
            fields: of all, or of each.
            metadata: of all, or of each.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
        """
        several = [images] if isinstance(images, str | Path | bytes) else images
        parts: list[Part] = [
            (name, (None, json.dumps(given), JSON))
            for name, given in (("fields", fields), ("metadata", metadata))
            if given
        ]
        parts += image_parts([read_picture(each) for each in several])
        return self._connection.request(Added, "POST", *self._path, "images", parts=parts)

    def record(self, identity: str) -> ImageDetails:
        """Return all that is known of an image."""
        return self._connection.request(ImageDetails, "GET", *self._path, "images", identity)

    def correct(
        self,
        identity: str,
        fields: Mapping[str, Value | None] | None = None,
        *,
        confirm: Sequence[str] = (),
    ) -> ImageDetails:
        """Put fields of an image right; a writing key is needed.

        Args:
            identity: of the image.
            fields: new values; None removes a field.
            confirm: fields that are right as they are, or as `fields` has them.

        Raises:
            InvalidArgument: a value is none that a field can have.
        """
        body = build_query(Correction, {"fields": dict(fields or {}), "confirm": list(confirm)})
        return self._connection.request(ImageDetails, "PATCH", *self._path, "images", identity, body=body)

    def label(
        self,
        ids: Sequence[str],
        fields: Mapping[str, Value | None] | None = None,
        *,
        confirm: Sequence[str] = (),
    ) -> Changed:
        """Put fields of many images right; a writing key is needed. `undo` takes what it answers.

        Args:
            ids: of the images, 10,000 at most.
            fields: new values; None removes a field.
            confirm: fields that are right as they are, or as `fields` has them.

        Raises:
            InvalidArgument: nothing to change, too many images, or a value that no field can have.
        """
        asked = build_query(
            Labels, {"ids": list(ids), "fields": dict(fields or {}), "confirm": list(confirm)}
        )
        return self._connection.post_query(Changed, asked, [], *self._path, "labels")

    def remove_all(self, ids: Sequence[str]) -> Changed:
        """Remove many images; a writing key is needed. `undo` takes what it answers.

        Args:
            ids: of the images, 10,000 at most.

        Raises:
            InvalidArgument: no image, or too many.
        """
        return self._connection.post_query(
            Changed, build_query(Removal, {"ids": list(ids)}), [], *self._path, "removals"
        )

    def undo(self, change: Added | Changed) -> Undone:
        """Undo what `label`, `remove_all` or `add` did: labels, vectors and all are as they were.

        Args:
            change: what it answered.

        Raises:
            InvalidArgument: it changed nothing, or too much to be undone.
            ResourceNotFound: it was too long ago, was undone already, or the service was started since.
        """
        if change.undo is None:
            raise InvalidArgument("there is nothing to undo")
        return self._connection.request(Undone, "POST", *self._path, "undo", change.undo.id)

    def download(
        self,
        ids: Sequence[str],
        format: Literal["csv", "zip"] = "csv",  # noqa: A002 as the contract calls it
        *,
        address: str | None = None,
    ) -> bytes:
        """Return a file with what is known of some images.

        Args:
            ids: of the images, 10,000 at most.
            format: `csv`: a row for each, a column for each field; `zip`: that, and a link for each.
            address: where the service is reached, for the links; by default as it was reached here.

        Raises:
            InvalidArgument: no image, or too many.
        """
        asked = build_query(DownloadQuery, {"ids": list(ids), "format": format, "address": address})
        return self._connection.send("POST", *self._path, "downloads", body=asked).content

    def remove(self, identity: str) -> None:
        """Take an image out of a collection; a writing key is needed."""
        self._connection.send("DELETE", *self._path, "images", identity, again=False)

    def delete(self) -> int:
        """Delete a collection and return how many images it had; a writing key is needed."""
        return self._connection.request(Deleted, "DELETE", *self._path, again=False).deleted

    def thumbnail(self, identity: str, size: Literal[64, 128, 256, 512, 2048] = 256) -> bytes:
        """Return an image as a WebP of at most so many pixels a side."""
        answer = self._connection.send(
            "GET", *self._path, "images", identity, "thumbnail", query={"size": size}
        )
        return answer.content

    def original(self, identity: str) -> bytes:
        """Return the file of an image; of a frame, a JPEG of it."""
        return self._connection.send("GET", *self._path, "images", identity, "original").content

    def film(self, identity: str) -> bytes:
        """Return the film that an image is a frame of, whole."""
        return self._connection.send("GET", *self._path, "images", identity, "film").content

    def evaluate(
        self,
        by: str,
        *,
        within: str | None = None,
        using: str | None = None,
        k: int | Literal["auto"] | None = None,
        group: str | None = None,
        folds: int | None = None,
        repeats: int | None = None,
        seed: int | None = None,
        max_error: float | None = None,
        coverage: float | None = None,
        false_alarm: float | None = None,
        sample: int | None = None,
    ) -> RemoteJob:
        """Begin to measure how often the neighbours are right; see `RemoteJob.evaluation`.

        Args:
            by: the field that holds the label.
            within: compare an image only with those of the same value of this field.
            using: the vector that is judged, by default the default one.
            k: neighbours that vote; `auto` chooses; by default 5.
            group: never compare an image with those of the same value of this field.
            folds: for a fitted metric or k `auto`; by default 5.
            repeats: how often folds are drawn; by default 3.
            seed: of the first drawing; by default 0.
            max_error: find the confidence above which the error is at most this, 0 … 1.
            coverage: measure label sets that contain the true label this often, 0 … 1.
            false_alarm: part of the known pictures that may be called unknown, 0 … 1.
            sample: classify so many images, drawn at random, by all others; None: all, or 10,000 where not
                all fit into memory.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        given = {
            "by": by, "within": within, "using": using, "k": k, "group": group, "folds": folds,
            "repeats": repeats, "seed": seed, "max_error": max_error, "coverage": coverage,
            "false_alarm": false_alarm, "sample": sample,
        }  # fmt: skip
        return begin_job(self._connection, (*self._path, "evaluations"), EvaluateQuery, given)

    def audit(
        self,
        by: str | None = None,
        *,
        split: str | None = None,
        using: str | None = None,
        k: int = 5,
        look: bool = False,
    ) -> RemoteJob:
        """Begin to look for what is wrong with labels and images; see `RemoteJob.suspects` and `pictures`.

        Args:
            by: the field that holds the label; None looks for what needs no label.
            split: the field that tells training images from test images.
            using: the vector that is judged, by default the default one.
            k: neighbours that vote.
            look: read the pictures, too: which were saved again, and which are of poor quality.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        given = {"by": by, "split": split, "using": using, "k": k, "look": look}
        return begin_job(self._connection, (*self._path, "audits"), AuditQuery, given)

    def drift(
        self,
        new: Picture | Iterable[Picture] | None = None,
        *,
        new_where: Conditions | None = None,
        where: Conditions | None = None,
        by: str | None = None,
        group: str | None = None,
        using: str | None = None,
        false_alarm: float = 0.01,
        seed: int = 0,
    ) -> RemoteJob:
        """Begin to test whether pictures are still what the collection's are; see `RemoteJob.drift`.

        Args:
            new: paths of this machine, or bytes: so many as one request may have.
            new_where: instead, the images of the collection that match are the new ones.
            where: only images that match are what they are compared with.
            by: the field that holds the label, whose mixture is told.
            group: images with the same value of this field are exchanged together; or `series`.
            using: the vector that is compared, by default the default one.
            false_alarm: how often images that are like the others may be called different, 0 … 1.
            seed: of the permutations.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        given = {
            "new": alternatives(new_where) or {}, "where": alternatives(where) or {}, "by": by,
            "group": group, "using": using, "false_alarm": false_alarm, "seed": seed,
        }  # fmt: skip
        several = [] if new is None else [new] if isinstance(new, str | Path | bytes) else new
        return begin_job(
            self._connection,
            (*self._path, "drifts"),
            DriftQuery,
            given,
            [read_picture(each) for each in several],
        )

    def suggest(
        self,
        by: str,
        *,
        count: int = 20,
        where: Conditions | None = None,
        using: str | None = None,
        seed: int = 0,
    ) -> RemoteJob:
        """Begin to choose which images to label next; see `RemoteJob.suggestions`.

        Args:
            by: the field that is to hold the label.
            count: how many.
            where: only images that match are suggested.
            using: the vector, by default the default one.
            seed: of what is drawn where there are very many.

        Raises:
            InvalidArgument: a number is out of its range.
        """
        given = {"by": by, "count": count, "where": alternatives(where) or {}, "using": using, "seed": seed}
        return begin_job(self._connection, (*self._path, "suggestions"), SuggestQuery, given)

    def map(self, by: str | None = None) -> RemoteJob:
        """Begin to draw a map, with the values of a field as labels; see `RemoteJob.map`."""
        return begin_job(self._connection, (*self._path, "maps"), MapQuery, {"by": by})

    def index(
        self,
        root: str | None = None,
        folder: str = "",
        *,
        labels: Literal["auto", "folders", "json", "table", "xml", "yolo", "none"] = "auto",
        prune: bool = False,
        yes: bool = False,
        frames: str | None = None,
        index_name: str | None = None,
    ) -> RemoteJob:
        """Begin to index again what was indexed there, or a folder; see `RemoteJob.indexing`.

        A writing key is needed.

        Args:
            root: the name of a root, as `Client.folders` has them; None: again what was indexed.
            folder: below it, parted by slashes; empty: all of it.
            labels: where labels are read from.
            prune: remove images whose file is gone.
            yes: even where these are more than a tenth of the collection; else the job fails.
            frames: which frames of films are taken, `scene` or `every:1s`, say; None: as before.
            index_name: a name for the collection's index, where the service's store is Elasticsearch.
        """
        asked: dict[str, object] = {
            "labels": labels, "prune": prune, "yes": yes, "frames": frames, "index_name": index_name,
        }  # fmt: skip
        if root is not None:
            asked["folder"] = {"root": root, "path": folder}
        return begin_job(self._connection, (*self._path, "indexings"), IndexQuery, asked)

    def import_vectors(
        self,
        file: str | Path,
        *,
        ids: str | Path | None = None,
        model: str | None = None,
        space: str | None = None,
        id: str | None = None,  # noqa: A002 as it is called in tables
        uri: str | None = None,
        vector: str | None = None,
        fields: Mapping[str, str] | None = None,
        metadata: str | None = None,
        digest: str | None = None,
        name: str | None = None,
        encoding: str | None = None,
        root: str | None = None,
        folder: str = "",
        dry_run: bool = False,
    ) -> RemoteJob:
        """Send vectors that others computed, and begin to import them; see `RemoteJob.imported`.

        A writing key is needed. The collection is made if it is missing. The same file again changes nothing.

        Args:
            file: of this machine: .parquet, .csv, .tsv, .jsonl, .json or .npy.
            ids: of a .npy, the file that names its rows.
            model: what made the vectors; or
            space: a name for a model that the service does not know.
            id: the column that names the rows.
            uri: the column of the pictures' paths or URIs.
            vector: the column of vectors.
            fields: of each field a column; None: guessed.
            metadata: the column that is kept as metadata.
            digest: the column with the SHA-256 of the pictures.
            name: of the vector in the collection.
            encoding: of CSV that is not UTF-8.
            root: the name of a root, as `Client.folders` has them, which the pictures' paths are relative to.
            folder: below it, parted by slashes.
            dry_run: say what would be taken of the first rows, and write nothing.

        Raises:
            PathNotFound, UnusableImage: a file of this machine cannot be read.
            InvalidArgument: a value is too long.
        """
        asked = {
            "model": model, "space": space, "id": id, "uri": uri, "vector": vector, "fields": fields,
            "metadata": metadata, "digest": digest, "name": name, "encoding": encoding, "dry_run": dry_run,
            "folder": None if root is None else {"root": root, "path": folder},
        }  # fmt: skip
        query = as_json(build_query(ImportQuery, asked))
        parts: list[Part] = [("query", (None, query, JSON))]
        for part, path in (("file", file), ("ids", ids)):
            if path is not None:
                named, data = read_picture(path)
                parts.append((part, (named, data, "application/octet-stream")))
        job = self._connection.request(Job, "POST", *self._path, "imports", parts=parts, again=False)
        return RemoteJob(self._connection, job.id)

    def export(
        self,
        path: str | Path,
        *,
        form: Literal["csv", "jsonl"] | None = None,
        where: Conditions | None = None,
        ids: Sequence[str] | None = None,
        vectors: bool = False,
    ) -> None:
        """Write the collection into a file of this machine: id, name and fields of each image.

        Args:
            path: of the file, which is replaced where it is there, and is there whole or not at all.
            form: `csv` or `jsonl`; None: JSON lines where the file is called so, else CSV.
            where: only images that match.
            ids: these images alone, in this order, at most 1,000.
            vectors: write the vectors, too.

        Raises:
            OutputFailed: the file cannot be written.
        """
        target = Path(path)
        known = "jsonl" if target.suffix.lower() in (".jsonl", ".ndjson") else "csv"
        asked = {
            "format": form or known,
            "where": None if where is None else json.dumps(alternatives(where)),
            "id": ids,
            "vectors": vectors,
        }
        with (
            new_file(target) as file,
            self._connection.stream(*self._path, "export", query=asked) as pieces,
        ):
            file.writelines(pieces)


def _term(summand: Summand, pictures: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Return a term as the service has it; a picture is added to those that are sent."""
    sign, term = summand
    if isinstance(term, Text):
        return {"text": term.text, "sign": sign}
    if isinstance(term, Vector):
        return {"vector": [float(number) for number in term.numbers], "sign": sign}
    region = {} if term.box is None else {"box": tuple(term.box)}
    if isinstance(term, RecordId):
        return {"id": term.id, "sign": sign, **region}
    pictures.append(read_picture(term))
    return {"image": len(pictures) - 1, "sign": sign, **region}


def _several(images: Classifiable | Iterable[Classifiable]) -> Iterable[Classifiable]:
    return [images] if isinstance(images, str | Path | bytes | Image | RecordId) else images
