"""What workers of a cluster do with their tasks is what one machine does; without Ray, in this process."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.embedders.models import Models
from lookalike.errors import (
    FolderEmpty,
    InvalidArgument,
    LabelsInvalid,
    LookalikeError,
    PathNotFound,
    RemovalUnconfirmed,
    SourceUnreachable,
    SpaceMismatch,
    Unanswerable,
)
from lookalike.images.film_sampling import Sampling
from lookalike.ingest.cluster.driver import Waiting, after_loss, frame_stamps, index_on_cluster, lacking
from lookalike.ingest.cluster.listing import RootListing
from lookalike.ingest.cluster.pruning import Pruning
from lookalike.ingest.cluster.report import LISTED, ReportSum
from lookalike.ingest.cluster.tasks import Completion, Failure, Plan, Task
from lookalike.ingest.cluster.worker import BatchWorker
from lookalike.ingest.declaration import declare
from lookalike.ingest.embedding import Encoder
from lookalike.ingest.index_options import IndexOptions, Machines
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.indexing import index
from lookalike.ingest.removals import Removal, disagree
from lookalike.memory import VARIABLE
from lookalike.metric_learning.corrections import corrected
from lookalike.sources.objects import Location
from lookalike.sources.patterns import Patterns
from lookalike.stores.id_table import IdTable
from lookalike.types import Record, Skipped
from lookalike.uris import record_id
from tests.desk import Desk
from tests.film_files import GREEN, RED, film
from tests.mean_colours import MeanColours, save
from tests.servers.s3 import Bucket

pytestmark = pytest.mark.xdist_group("s3")


def index_by_tasks(
    desk: Desk, *roots: Location, most: int = 3, encoders: Sequence[Encoder] = (), **options: Any
) -> IndexReport:
    """Index as driver and workers do, a worker after the other, with everything pickled on its way."""
    exclude, include = options.get("exclude", ()), options.get("include", ())
    chosen = IndexOptions(**options)
    met = IdTable() if chosen.prune else None
    frames = {} if chosen.frames is None else dict.fromkeys(roots, chosen.frames)
    listings = [
        RootListing(root, Patterns(exclude, include), chosen, lambda _seen: None, met, films=root in frames)
        for root in roots
    ]
    pruning = None if met is None else Pruning(desk.store, "parts", listings, met, chosen)
    encoders = encoders or [Encoder(desk.embedder, desk.cache)]
    declare(desk.store, "parts", encoders[0].space, chosen.vector)
    plan = Plan(
        store=None,
        store_name="",
        timeout=1,
        collection="parts",
        models=[],
        fingerprints=[],
        cache="",
        weights=None,
        device="cpu",
        threads=1,
        max_pixels=chosen.max_pixels,
        verify=chosen.verify,
        encoding=chosen.encoding,
        labels={listing.root: listing.labels for listing in listings},
        group_by={} if chosen.group_by is None else dict.fromkeys(roots, chosen.group_by),
        frames=frames,
    )
    worker = BatchWorker(pickle.loads(pickle.dumps(plan)), desk.store, encoders)
    total = ReportSum(IndexReport("parts"))
    known = frame_stamps(desk.store, "parts", frozenset(frames))
    tasks: list[Task | Completion] = []
    for listing in listings:
        tasks += listing.tasks(most, known)
    for task in [*tasks, *lacking(desk.store, "parts", most)]:
        done = worker.do(pickle.loads(pickle.dumps(task)))
        total.add(task, pickle.loads(pickle.dumps(done)))
    for listing in listings:
        total.add_listing(listing)
    if pruning is not None:
        total.report.removed += pruning.remove()
        total.report.remarks += pruning.remarks()
    total.end(sum(listing.images for listing in listings))
    return total.report


def contents(desk: Desk) -> dict[str, tuple[Record, list[float]]]:
    return {
        record.uri: (record, np.round(vector, 6).tolist())
        for batch, vectors in desk.store.scan("parts")
        for record, vector in zip(batch, vectors, strict=True)
    }


@pytest.fixture
def other(tmp_path: Path) -> Any:
    desk = Desk(tmp_path / "other")
    yield desk
    desk.close()


def fill(root: Path, names: Mapping[str, str]) -> Path:
    """Make a picture of each name that is one's, a different one each, and of others a text."""
    for seed, (name, text) in enumerate(names.items()):
        if name.endswith((".png", ".jpg")):
            save(root / name, seed)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
    return root


FOLDERS = dict.fromkeys(
    [f"train/{label}/{n}.png" for label in ("bus", "car", "양품") for n in range(4)] + ["loose.png"], ""
)
TABLE = {
    **dict.fromkeys(["a/1.png", "a/2.png", "b/1.png", "b/2.png", "3.png"], ""),
    "metadata.csv": "file_name,part,size\na/1.png,hull,3\na\\2.png,deck,4\n./b/1.png,hull,5.5\n3.png,,\n",
}
BESIDE = {
    **dict.fromkeys(["a/1.png", "a/2.png", "b/1.png", "4.png"], ""),
    "a/1.json": json.dumps({"label": "ship", "part": "hull"}),
    "a/2.json": json.dumps({"label": "ship"}),
    "b/1.png.json": json.dumps({"label": "tank"}),
    "4.json": "no JSON",
}
COCO = {
    **dict.fromkeys(["train/1.png", "train/2.png", "val/1.png", "val/3.png", "4.png"], ""),
    "annotations/instances_train.json": json.dumps(
        {
            "images": [
                {"id": 1, "file_name": "train/1.png"},
                {"id": 2, "file_name": "2.png"},
                {"id": 3, "file_name": "val/1.png"},
                {"id": 9, "file_name": "gone.png"},
            ],
            "annotations": [
                {"id": n, "image_id": image, "category_id": category, "bbox": [0, 0, 1, 1]}
                for n, (image, category) in enumerate([(1, 1), (1, 2), (2, 1), (3, 2), (9, 1)])
            ],
            "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "부표"}],
        }
    ),
}
OTHER_TABLE = {
    **dict.fromkeys(["1.png", "2.png", "3.png"], ""),
    "labels.csv": "image,class\n1.png,car\n2.png,bus\nc/9.png,bus\n",
}
VOC = {
    **dict.fromkeys([f"JPEGImages/{n}.png" for n in range(4)], ""),
    **{
        f"Annotations/{n}.xml": f"<annotation><filename>{n}.png</filename>"
        f"<object><name>{name}</name></object></annotation>"
        for n, name in enumerate(("ship", "tank", "선박"))
    },
    "Annotations/elsewhere.xml": "<annotation><filename>elsewhere.png</filename></annotation>",
    "ImageSets/Main/train.txt": "0\n1\n",
}
YOLO = {
    **dict.fromkeys(["images/train/1.png", "images/train/2.png", "images/val/1.png", "images/val/3.png"], ""),
    "labels/train/1.txt": "0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2\n",
    "labels/train/2.txt": "1 0.5 0.5 0.1 0.1\n",
    "labels/val/1.txt": "7 0.5 0.5 0.1 0.1\n",
    "data.yaml": "names: [ship, tank]\n",
}
JSON_ELSEWHERE = {
    **dict.fromkeys(["원천/배/1.png", "원천/배/2.png", "원천/차/1.png"], ""),
    "라벨/배/1.json": json.dumps({"label": "ship"}),
    "라벨/차/1.json": json.dumps({"label": "car"}),
    "라벨/차/9.json": json.dumps({"label": "none"}),
}
MASKS = dict.fromkeys(
    [
        *(f"test/broken/{n:03}.png" for n in range(3)),
        *(f"ground_truth/broken/{n:03}_mask.png" for n in range(3)),
        "test/good/9.png",
        "mask/1.png",
        ".hidden.png",
    ],
    "",
)


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (FOLDERS, {}),
        (FOLDERS, {"labels": "none"}),
        (FOLDERS, {"exclude": ["car"], "include": ["*.png"], "group_by": "(?P<number>[0-9])"}),
        (TABLE, {}),
        (BESIDE, {}),
        (COCO, {}),
        (COCO, {"labels": "table", "exclude": ["/val"]}),
        (COCO, {"labels": "folders"}),
        (OTHER_TABLE, {}),
        (FOLDERS | {"labels.csv": "image,class\nloose.png,car\n"}, {}),
        (VOC, {}),
        (YOLO, {}),
        (YOLO, {"labels": "yolo"}),
        (JSON_ELSEWHERE, {}),
        (MASKS, {}),
        (MASKS, {"include": ["ground_truth", "broken"]}),
    ],
    ids=[
        *("folders", "none", "patterns", "table", "beside", "coco", "coco without a folder"),
        *("coco, not used", "another table", "another table, not used", "voc", "yolo", "yolo named"),
        *("json elsewhere", "masks", "included masks"),
    ],
)
def test_tasks_make_the_records_that_one_machine_makes(
    desk: Desk, other: Desk, tmp_path: Path, names: Any, options: dict[str, Any]
) -> None:
    root = fill(tmp_path / "pictures", names)
    patterns: dict[Location, Patterns] = {
        root: Patterns(options.get("exclude", ()), options.get("include", ()))
    }
    encoder = Encoder(desk.embedder, desk.cache)
    one = index(desk.store, "parts", [root], [encoder], IndexOptions(**options), patterns)
    many = index_by_tasks(other, root, **options)
    assert contents(other) == contents(desk)
    for name in (
        *("added", "updated", "unchanged", "embedded", "labels", "left_out", "labels_failed"),
        *("label_trouble", "other_files"),
    ):
        assert getattr(many, name) == getattr(one, name), name
    assert sorted(map(str, many.skipped)) == sorted(map(str, one.skipped))
    assert sorted(many.unlabelled) == sorted(one.unlabelled)


def test_a_second_run_writes_what_differs_and_keeps_what_people_put_right(desk: Desk, tmp_path: Path) -> None:
    root = fill(
        tmp_path / "pictures", {f"{label}/{n}.png": "" for label in ("good", "bad") for n in range(4)}
    )
    assert index_by_tasks(desk, root).added == 8
    before = desk.embedder.embedded
    again = index_by_tasks(desk, root)
    assert (again.unchanged, again.added, desk.embedder.embedded) == (8, 0, before)
    save(root / "good" / "0.png", 100)
    (root / "bad" / "1.png").rename(root / "good" / "9.png")
    (root / "good" / "2.png").write_bytes(b"none")
    report = index_by_tasks(desk, root, verify=True)
    # Nothing is removed, and no record moves: what is known by its bytes is not embedded again.
    assert (report.added, report.updated, report.unchanged, report.embedded) == (1, 1, 5, 1)
    assert [Path(each.path).name for each in report.skipped] == ["2.png"]
    assert len(contents(desk)) == 9


def test_rows_and_json_files_that_find_no_picture_are_counted(
    desk: Desk, other: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "elsewhere/9.png,hull,1\n2.png,deck,1\n"
    table = fill(tmp_path / "table", TABLE | {"metadata.csv": TABLE["metadata.csv"] + rows})
    texts = [each.text for each in index_by_tasks(desk, table).remarks]
    assert texts == ["2 of 6 rows of its tables name no picture by its path: not used"]
    beside = fill(tmp_path / "beside", BESIDE | {"elsewhere/1.json": "{}"})
    # Where there is memory for it, all are read as on one machine: they may be of pictures elsewhere.
    monkeypatch.setenv(VARIABLE, "1KiB")
    texts = [each.text for each in index_by_tasks(other, beside).remarks]
    assert "1 of 5 JSON files lie beside no picture of their name: not read" in texts


def three_folders(root: Path) -> Path:
    return fill(root, {f"{label}/{n}.png": "" for label in ("good", "bad", "선박") for n in range(5)})


def test_what_is_gone_is_pruned_as_on_one_machine(desk: Desk, other: Desk, tmp_path: Path) -> None:
    root, beside = three_folders(tmp_path / "pictures"), three_folders(tmp_path / "beside")
    for each in (desk, other):
        each.index(root, beside)
    (root / "good" / "1.png").unlink()
    shutil.rmtree(root / "선박")
    (beside / "good" / "1.png").unlink()
    shutil.rmtree(beside / "bad")
    save(root / "new" / "1.png", 100)
    # A link is there, even where it leads nowhere.
    (root / "bad" / "2.png").unlink()
    (root / "bad" / "2.png").symlink_to(tmp_path / "elsewhere.png")
    agreed: list[Removal] = []

    def agree(removal: Removal) -> bool:
        agreed.append(removal)
        return True

    one = desk.index(root, beside / "bad", prune=True, agree=agree)
    many = index_by_tasks(other, root, beside / "bad", prune=True, agree=agree)
    assert (many.removed, many.added, many.unchanged) == (one.removed, one.added, one.unchanged) == (11, 1, 8)
    assert contents(other) == contents(desk)
    assert agreed[0] == agreed[1] == Removal("parts", 11, 30)


def drop_some(root: Path) -> None:
    shutil.rmtree(root / "good")


def empty(root: Path) -> None:
    for picture in root.rglob("*.png"):
        picture.unlink()


def unmount(root: Path) -> None:
    root.rename(root.with_name("disk"))
    root.symlink_to(root.with_name("nowhere"))


@pytest.mark.parametrize(
    ("change", "error"),
    [(drop_some, RemovalUnconfirmed), (empty, FolderEmpty), (unmount, PathNotFound)],
    ids=["a third", "empty", "a link that leads nowhere"],
)
def test_what_pruning_refuses_on_one_machine_is_refused_before_the_work(
    desk: Desk, tmp_path: Path, change: Callable[[Path], None], error: type[LookalikeError]
) -> None:
    root = three_folders(tmp_path / "pictures")
    desk.index(root)
    change(root)
    with pytest.raises(error) as one:
        desk.index(root, prune=True, agree=disagree)
    before = desk.embedder.embedded
    with pytest.raises(error) as many:
        index_by_tasks(desk, root, prune=True)
    assert str(many.value) == str(one.value)
    assert (len(contents(desk)), desk.embedder.embedded) == (15, before)
    with pytest.raises(PathNotFound, match="there is nothing to prune"):
        index_by_tasks(desk, tmp_path / "never", prune=True)


def test_what_people_put_right_goes_with_a_file_before_its_old_record_is_pruned(
    desk: Desk, tmp_path: Path
) -> None:
    root = three_folders(tmp_path / "pictures")
    index_by_tasks(desk, root)
    moved, gone = (record_id((root / "good" / name).as_uri()) for name in ("1.png", "2.png"))
    for record in desk.store.get("parts", [moved, gone]):
        label = corrected(record, {"label": "scratch", "seen": "twice"})
        desk.store.relabel("parts", [(record.id, label.fields, label.metadata)])
    (root / "good" / "1.png").rename(root / "bad" / "9.png")
    (root / "good" / "2.png").unlink()
    report = index_by_tasks(desk, root, prune=True, agree=lambda _removal: True)
    assert (report.added, report.removed) == (1, 2)
    assert "labels that people put right went with 1 files" in report.remarks[-1].text
    (record,) = desk.store.get("parts", [record_id((root / "bad" / "9.png").as_uri())])
    # The label differs by its folder since: that counts; what it says nothing of stays.
    assert record.fields == {"label": "bad", "seen": "twice"}
    assert index_by_tasks(desk, root).unchanged == 14


def test_objects_are_pruned_below_the_prefix_and_not_for_a_manifest_that_lacks_them(
    desk: Desk, tmp_path: Path, bucket: Bucket
) -> None:
    names = [f"{prefix}/{n} %+.png" for prefix in ("parts", "others") for n in range(3)]
    bucket.put({name: save(tmp_path / "one.png", n).read_bytes() for n, name in enumerate(names)})
    parts, others = bucket.path("parts"), bucket.path("others")
    index_by_tasks(desk, parts, others)
    bucket.delete(names[0], names[3])
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"key\n{names[1]}\n")
    agree: dict[str, Any] = {"prune": True, "agree": lambda _removal: True}
    assert index_by_tasks(desk, parts, manifest=manifest, **agree).removed == 1
    assert sorted(contents(desk)) == [(others / f"{n} %+.png").as_uri() for n in range(3)] + [
        (parts / f"{n} %+.png").as_uri() for n in (1, 2)
    ]
    bucket.delete(*names[1:3])
    with pytest.raises(FolderEmpty):
        index_by_tasks(desk, parts, **agree)
    assert index_by_tasks(desk, parts, prune_empty=True, **agree).removed == 2


def test_films_are_indexed_as_on_one_machine(desk: Desk, other: Desk, tmp_path: Path) -> None:
    root = fill(tmp_path / "pictures", {"line/1.png": "", "other/2.png": ""})
    film(root / "line" / "a.mp4")
    film(root / "other" / "긴 %#1.mkv", [RED, GREEN], codec="ffv1", pixels="yuv420p10le")
    (root / "other" / "broken.mp4").write_bytes(b"none")
    second, scene = Sampling.parse("every:1s"), Sampling.parse("scene")
    for sampling in (second, second, scene):
        one = desk.index(root, frames=sampling)
        many = index_by_tasks(other, root, frames=sampling, labels="folders")
        assert contents(other) == contents(desk)
        for name in ("added", "updated", "unchanged", "removed", "films", "embedded"):
            assert getattr(many, name) == getattr(one, name), name
        assert list(map(str, many.skipped)) == list(map(str, one.skipped))
    assert len(contents(desk)) == 2 + 3 + 2
    # Without --frames, films are left out, and their frames stay where some are pruned.
    assert index_by_tasks(other, root, labels="folders", prune=True).removed == 0
    (root / "line" / "a.mp4").unlink()
    report = index_by_tasks(
        other, root, frames=scene, labels="folders", prune=True, agree=lambda _removal: True
    )
    assert (report.removed, len(contents(other))) == (3, 4)


def test_a_further_vector_is_made_of_all_images_as_on_one_machine(desk: Desk, tmp_path: Path) -> None:
    root = three_folders(tmp_path / "pictures")
    beside = tmp_path / "beside"
    save(beside / "1.png", 50)
    index_by_tasks(desk, root, beside)
    second = MeanColours()
    second.fingerprint = "c1" * 32
    cache = FeatureCache(tmp_path / "second", second.fingerprint, second.dimension)
    encoders = [Encoder(second, cache), Encoder(desk.embedder, desk.cache)]
    save(root / "new" / "1.png", 100)
    (beside / "1.png").unlink()
    report = index_by_tasks(desk, root, encoders=encoders, vector="second")
    assert (report.added, report.unchanged) == (1, 15)
    space = encoders[0].space
    # All but the one whose picture is gone.
    assert desk.store.lacking("parts", space) == [record_id((beside / "1.png").as_uri())]
    embedded = second.embedded
    assert embedded == 16
    desk.store.remove("parts", desk.store.lacking("parts", space))
    desk.store.finish_vector("parts", space)
    for records, vectors in desk.store.scan_vectors("parts"):
        assert len(records) == 16
        first, other = vectors.values()
        assert np.array_equal(first, other)
    assert index_by_tasks(desk, root, encoders=encoders, vector="second").unchanged == 16
    assert second.embedded == embedded
    cache.close()


def test_objects_of_a_listing_and_of_a_manifest_are_made_tasks_of(
    desk: Desk, other: Desk, tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{label}/{n} {n % 3}%+.png" for label in ("bus", "차") for n in range(5)]
    bucket.put({f"parts/{name}": save(tmp_path / "one.png", n).read_bytes() for n, name in enumerate(names)})
    bucket.put({"elsewhere/1.png": b"none"})
    root = bucket.path("parts")
    encoder = Encoder(desk.embedder, desk.cache)
    with monkeypatch.context() as little:
        little.setenv(VARIABLE, "8kB")
        with pytest.raises(InvalidArgument, match="more than 9 files, which is what fits into memory"):
            index(desk.store, "parts", [root], [encoder], IndexOptions())
        assert index_by_tasks(other, root).added == 10
    index(desk.store, "parts", [root], [encoder], IndexOptions())
    assert contents(other) == contents(desk)
    reads = bucket.server.requests("GetObject")
    assert index_by_tasks(other, root).unchanged == 10
    assert bucket.server.requests("GetObject") == reads
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("key\n" + "".join(f"parts/{name}\n" for name in names[:4]) + "parts/gone.png\n")
    report = index_by_tasks(other, root, manifest=manifest)
    assert (report.unchanged, [each.reason for each in report.skipped]) == (
        4,
        ["cannot be read: no such object"],
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [(OTHER_TABLE, "tables of another name, or COCO"), (VOC, "XML"), (YOLO, "YOLO")],
    ids=["table", "xml", "yolo"],
)
def test_labels_that_take_more_memory_than_there_is_are_refused_before_the_work(
    desk: Desk, tmp_path: Path, files: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "pictures", files)
    monkeypatch.setenv(VARIABLE, "1KiB")
    with pytest.raises(InvalidArgument, match=f"its labels are {said}, which are matched with all"):
        index_by_tasks(desk, root)
    assert desk.embedder.embedded == 0
    assert index_by_tasks(desk, root, labels="none").added


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": "neither"}, "no labels 'neither'"),
        ({"labels": "yolo"}, "no text file is called as an image is"),
        ({"labels": "xml"}, "no XML file is there"),
        ({"manifest": Path("m.csv")}, "--manifest names objects"),
    ],
    ids=["neither", "yolo", "xml", "manifest"],
)
def test_what_is_refused_on_one_machine_is_refused_before_the_work(
    desk: Desk, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    root = fill(tmp_path / "pictures", {"1.png": ""})
    with pytest.raises((InvalidArgument, LabelsInvalid), match=said):
        index_by_tasks(desk, root, **options)
    assert desk.embedder.embedded == 0


def test_what_is_no_folder_of_pictures_is_refused(desk: Desk, tmp_path: Path) -> None:
    root = fill(tmp_path / "pictures", {"1.png": "", "2.txt": "none"})
    with pytest.raises(InvalidArgument, match="is a single file: --workers ray takes folders"):
        index_by_tasks(desk, root / "1.png")
    with pytest.raises(PathNotFound, match="gone"):
        index_by_tasks(desk, root / "gone")
    with pytest.raises(Unanswerable, match=r"no image below .*1 left out: by --exclude"):
        index_by_tasks(desk, root, exclude=["*.png"])
    with pytest.raises(LabelsInvalid, match="no JSON file is there"):
        index_by_tasks(desk, root, labels="json")


def test_a_folder_that_a_machine_lacks_ends_the_run_and_skips_no_picture(desk: Desk, tmp_path: Path) -> None:
    root = fill(tmp_path / "pictures", {"1.png": ""})
    listing = RootListing(root, Patterns(), IndexOptions(), lambda _seen: None)
    plan = Plan(
        *(None, "", 1.0, "parts", [], [], "", None, "cpu", 1, 1000, False, None),
        {root: listing.labels},
        *({}, {}),
    )
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(PathNotFound, match="all machines need it at the same place"):
        BatchWorker(plan, desk.store, []).index(Task(root, [root / "1.png"]))


def test_a_report_counts_everything_and_names_the_first_thousand() -> None:
    total = ReportSum(IndexReport("parts"))
    total.keep("skipped", [Skipped(str(n), "none") for n in range(LISTED - 1)])
    total.keep("skipped", [Skipped(str(n), "none") for n in range(5)])
    assert (len(total.report.skipped), total.report.count("skipped")) == (LISTED, LISTED + 4)


def test_a_failure_tells_its_error_where_it_may_not_travel_itself() -> None:
    error = SourceUnreachable("s3://pictures", "no server answers")
    same = pickle.loads(pickle.dumps(Failure(type(error), str(error)))).error()
    assert (type(same), str(same)) == (SourceUnreachable, str(error))


def test_a_task_that_workers_are_lost_over_is_halved_until_one_image_is_left(tmp_path: Path) -> None:
    total = ReportSum(IndexReport("parts"))
    images = [tmp_path / f"{n}.png" for n in range(5)]
    bad, again, lost = images[3], [Waiting(Task(tmp_path, images))], 0
    done: list[Location] = []
    while again:
        waiting = again.pop()
        if bad in waiting.task.images:
            lost += 1
            again += after_loss(waiting, total)
        else:
            done += cast("Task", waiting.task).images
    assert sorted(map(str, done)) == sorted(str(image) for image in images if image != bad)
    assert [each.path for each in total.report.skipped] == [str(bad)]
    assert lost == 6


def test_what_cannot_be_is_refused_before_a_cluster_is_started(desk: Desk, tmp_path: Path) -> None:
    root = fill(tmp_path / "pictures", {"1.png": ""})
    desk.index(root)
    desk.embedder.fingerprint = "c1" * 32
    encoders = [Encoder(desk.embedder, desk.cache)]
    more: Any = Machines("sqlite:///none.db", 1.0), {}, {}, {}, lambda _done, _total: None
    models = Models(tmp_path / "cache")
    with pytest.raises(SpaceMismatch):
        index_on_cluster(desk.store, models, "parts", [root], encoders, IndexOptions(), *more)
    roots = [root, root / "inner"]
    with pytest.raises(InvalidArgument, match="lies in another that is named"):
        index_on_cluster(desk.store, models, "new", roots, encoders, IndexOptions(), *more)
