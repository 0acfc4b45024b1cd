"""Indexing: the collection follows the disk, whatever happened in between."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

import lookalike
from lookalike.errors import (
    CollectionNotFound,
    FolderEmpty,
    InvalidArgument,
    SpaceMismatch,
    StoreFull,
    Unanswerable,
)
from lookalike.ingest import batch
from lookalike.ingest.index_report import IndexReport
from lookalike.metric_learning.corrections import correct, marks_of
from lookalike.types import Record, Skipped, Space, Vectors
from lookalike.vectors.metric import normalise
from tests.desk import Desk
from tests.mean_colours import MeanColours, mean_colours, picture, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve pictures in two folders."""
    root = tmp_path / "pictures"
    for seed in range(12):
        save(root / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
    return root


def images(report: IndexReport) -> tuple[int, int, int, int, int]:
    return report.added, report.updated, report.relabelled, report.unchanged, report.removed


def test_every_file_is_accounted_for(desk: Desk, root: Path) -> None:
    (root / "good" / "text.png").write_bytes(b"no image")
    (root / "good" / "notes.txt").write_bytes(b"no image either")
    save(root / "12.png", 12)
    report = desk.index(root)
    assert images(report) == (13, 0, 0, 0, 0)
    assert report.images == report.embedded == 13
    assert [skipped.path for skipped in report.skipped] == [str(root / "good" / "text.png")]
    assert report.unlabelled == [str(root / "12.png")]
    assert report.other_files == 1
    assert report.labels == ["folders"]
    records = desk.records()
    assert len(records) == 13
    record, vector = records[root / "good" / "3.png"]
    assert record.fields == {"label": "good"}
    assert record.digest == hashlib.sha256((root / "good" / "3.png").read_bytes()).hexdigest()
    np.testing.assert_allclose(vector, normalise(mean_colours(picture(3))[None])[0], atol=1e-6)


def test_a_second_run_reads_no_file(desk: Desk, root: Path) -> None:
    desk.index(root)
    for path in root.rglob("*.png"):
        status = path.stat()
        path.write_bytes(b"\0" * status.st_size)  # would be skipped if it were read
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert images(desk.index(root)) == (0, 0, 0, 12, 0)


def test_however_a_folder_is_spelt_its_records_are_the_same(
    desk: Desk, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert images(desk.index(Path("pictures"))) == (12, 0, 0, 0, 0)
    for spelling in (
        "./pictures/",
        str(root),
        f"{root}/",
        f"{root}//.",
        "pictures/good/..",
        "desk/../pictures",
    ):
        assert images(desk.index(Path(spelling))) == (0, 0, 0, 12, 0), spelling
    monkeypatch.chdir(root)
    assert images(desk.index(Path())) == (0, 0, 0, 12, 0)
    monkeypatch.chdir(root / "good")
    assert images(desk.index(Path(".."))) == (0, 0, 0, 12, 0)
    assert set(desk.records()) == set(root.rglob("*.png"))


def test_a_folder_and_a_link_to_it_are_two(desk: Desk, root: Path, tmp_path: Path) -> None:
    """So that `newest -> 2024` may one day lead elsewhere, and its records follow."""
    link = tmp_path / "newest"
    link.symlink_to(root)
    assert images(desk.index(link)) == (12, 0, 0, 0, 0)
    assert images(desk.index(tmp_path / "desk" / ".." / "newest")) == (0, 0, 0, 12, 0)
    assert images(desk.index(root)) == (12, 0, 0, 0, 0)
    assert desk.embedder.embedded == 12
    other = tmp_path / "2025"
    save(other / "good" / "1.png", 100)
    link.unlink()
    link.symlink_to(other)
    assert images(desk.index(link, prune=True)) == (0, 1, 0, 0, 11)
    assert images(desk.index(root, prune=True)) == (0, 0, 0, 12, 0)


def test_folders_that_overlap_count_once(desk: Desk, root: Path) -> None:
    (root / "good" / "text.png").write_bytes(b"no image")
    (root / "good" / "folder.png").mkdir()
    (root / "good" / "notes.txt").touch()
    for paths in ((root, root / "good"), (root / "good", root), (root / "good" / "1.png", root, root)):
        report = desk.index(*paths)
        assert report.images == 12
        assert len(report.skipped) == 2
        assert report.other_files == 1
        assert report.unlabelled == []
        assert {record.fields["label"] for record, _ in desk.records().values()} == {"good", "bad"}


def test_without_an_image_nothing_is_made(desk: Desk, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "folder.jpg").mkdir(parents=True)
    with pytest.raises(Unanswerable, match=r"no image below .*empty; .*folder\.jpg: a folder"):
        desk.index(empty)
    with pytest.raises(CollectionNotFound):
        desk.index(empty, prune=True)
    assert desk.store.collections() == []
    assert not (tmp_path / "desk" / "parts.db").exists()


def test_prune_removes_also_the_last_image(desk: Desk, root: Path) -> None:
    desk.index(root)
    shutil.rmtree(root / "good")
    shutil.rmtree(root / "bad")
    with pytest.raises(FolderEmpty, match="is a disk not mounted"):
        desk.index(root, prune=True)
    assert len(desk.records()) == 12
    assert images(desk.index(root, prune=True, prune_empty=True)) == (0, 0, 0, 0, 12)
    assert desk.records() == {}


def test_prune_keeps_what_may_be_there(desk: Desk, root: Path) -> None:
    desk.index(root)
    shutil.rmtree(root / "good")
    (root / "good").symlink_to("good")  # onto itself: nobody can tell what would be in it
    assert images(desk.index(root, prune=True)) == (0, 0, 0, 6, 0)
    (root / "good").unlink()
    assert images(desk.index(root, prune=True)) == (0, 0, 0, 6, 6)


def test_a_file_that_is_no_image_any_more_is_reported_and_its_record_stays(desk: Desk, root: Path) -> None:
    desk.index(root)
    before = desk.records()
    (root / "good" / "1.png").write_bytes(b"damaged")
    report = desk.index(root, prune=True)
    assert images(report) == (0, 0, 0, 11, 0)
    assert [skipped.path for skipped in report.skipped] == [str(root / "good" / "1.png")]
    assert {path: record for path, (record, _) in desk.records().items()} == {
        path: record for path, (record, _) in before.items()
    }


def test_files_that_vanish_after_the_walk_are_skipped(desk: Desk, root: Path) -> None:
    def vanish(done: int, _total: int) -> None:
        if done == 0:  # the walk is over, the reading begins
            shutil.rmtree(root / "good")

    report = desk.index(root, progress=vanish)
    assert images(report) == (6, 0, 0, 0, 0)
    assert report.skipped == [
        Skipped(str(root / "good" / f"{seed}.png"), "cannot be read: No such file or directory")
        for seed in (1, 11, 3, 5, 7, 9)
    ]
    assert set(desk.records()) == set((root / "bad").iterdir())


def test_a_file_that_changes_while_it_is_embedded_is_seen_by_the_next_run(desk: Desk, root: Path) -> None:
    class Interfering(MeanColours):
        def embed(self, images: Sequence[Any]) -> Any:
            path = save(root / "good" / "1.png", 100)
            os.utime(path, (0, 0))
            return super().embed(images)

    embedder, desk.embedder = desk.embedder, Interfering()
    desk.index(root / "good" / "1.png")
    desk.embedder = embedder
    assert images(desk.index(root / "good" / "1.png")) == (0, 1, 0, 0, 0)
    _, vector = desk.records()[root / "good" / "1.png"]
    np.testing.assert_allclose(vector, normalise(mean_colours(picture(100))[None])[0], atol=1e-6)


def test_progress_begins_at_none_and_ends_at_all(
    desk: Desk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BATCH_RECORDS", 5)
    seen: list[tuple[int, int]] = []
    desk.index(root, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 12), (5, 12), (10, 12), (12, 12)]


def test_an_interrupted_run_keeps_what_it_wrote_and_the_same_call_completes_it(
    desk: Desk, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BATCH_RECORDS", 5)

    def interrupt(done: int, _total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.index(root, progress=interrupt)
    assert len(desk.records()) == 5
    assert images(desk.index(root)) == (7, 0, 0, 5, 0)


def test_what_was_embedded_before_an_error_is_kept(desk: Desk, root: Path) -> None:
    class Failing(MeanColours):
        def embed(self, images: Sequence[Any]) -> Any:
            if self.embedded >= 100:
                raise MemoryError
            return super().embed(images)

    for seed in range(200):
        save(root / "good" / f"more {seed}.png", 100 + seed)
    embedder, desk.embedder = desk.embedder, Failing()
    with pytest.raises(MemoryError):
        desk.index(root)
    desk.embedder = embedder
    kept = len(desk.records())
    assert 64 <= kept <= 100
    assert images(desk.index(root)) == (212 - kept, 0, 0, kept, 0)


def test_what_the_store_refuses_is_not_offered_again(
    desk: Desk, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a locked store would be waited for twice."""
    monkeypatch.setattr(batch, "BATCH_RECORDS", 5)

    offered = []

    def full(name: str, records: Sequence[Record], vectors: Mapping[Space, Vectors]) -> None:
        offered.append(len(records))
        raise StoreFull(desk.store.url, "no space left")

    monkeypatch.setattr(desk.store, "put", full)
    with pytest.raises(StoreFull):
        desk.index(root)
    assert offered == [5]


def test_a_collection_of_another_embedder_is_refused_before_anything_is_embedded(
    desk: Desk, root: Path
) -> None:
    desk.index(root)
    before = desk.records().keys()

    class Other(MeanColours):
        fingerprint = "d0" * 32

    desk.embedder = Other()
    save(root / "good" / "new.png", 100)
    with pytest.raises(SpaceMismatch):
        desk.index(root, prune=True)
    assert desk.embedder.embedded == 0
    assert desk.records().keys() == before


NAMES = st.sampled_from(["a.png", "b.PNG", "탱크.png", "it's 100%.png", "\udcff.png"])
FOLDERS = st.sampled_from(["good", "bad", "bad/worse"])
Disk = dict[Path, tuple[str, str, int]]


class CollectionFollowsDisk(RuleBasedStateMachine):
    """Files come, change, move and go; after each run the collection is what the disk was."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.root = self.folder / "pictures"
        self.root.mkdir(parents=True)
        self.desk = Desk(self.folder / "desk")
        self.expected: Disk = {}
        self.deep: dict[Path, bool] = {}
        """Whether there was `category1` when a file's record was labelled."""
        self.changes = 0

    def teardown(self) -> None:
        self.desk.close()
        shutil.rmtree(self.folder)

    def disk(self) -> Disk:
        return {
            path: (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.parent.name,
                path.stat().st_mtime_ns,
            )
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def digests(self, files: Disk) -> Counter[str]:
        return Counter(digest for digest, _, _ in files.values())

    def moved(self, disk: Disk) -> Counter[str]:
        """Return how many records of each digest an index moves: of gone files, to new ones."""
        gone = {path: known for path, known in self.expected.items() if path not in disk}
        new = {path: known for path, known in disk.items() if path not in self.expected}
        return self.digests(gone) & self.digests(new)

    def is_deep(self, disk: Disk) -> bool:
        """Return whether a folder below the first is a class, so that all have `category1`."""
        return any(len(path.relative_to(self.root).parts) > 2 for path in disk)

    def stale(self, disk: Disk) -> int:
        """Return how many records of unchanged files were labelled when that was otherwise."""
        deep = self.is_deep(disk)
        same = (path for path in disk if self.expected.get(path) == disk[path])
        return sum(self.deep[path] != deep for path in same)

    def labelled(self, disk: Disk) -> None:
        self.deep |= dict.fromkeys(disk, self.is_deep(disk))

    def put(self, path: Path, seed: int) -> None:
        save(path, seed)
        # Two changes within one tick of the file system's clock would look alike.
        self.changes += 1
        os.utime(path, ns=(0, self.changes))

    @rule(folder=FOLDERS, name=NAMES, seed=st.integers(0, 5))
    def add_or_change(self, folder: str, name: str, seed: int) -> None:
        self.put(self.root / folder / name, seed)

    @precondition(lambda self: self.disk())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(sorted(self.disk()))).unlink()

    @precondition(lambda self: self.disk())
    @rule(data=st.data(), folder=FOLDERS)
    def move(self, data: st.DataObject, folder: str) -> None:
        path = data.draw(st.sampled_from(sorted(self.disk())))
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        path.rename(self.root / folder / path.name)

    @precondition(lambda self: self.disk())
    @rule(again=st.booleans())
    def index(self, again: bool) -> None:
        before = set(self.expected)
        disk = self.disk()
        moved = self.moved(disk)
        report = self.desk.index(self.root)
        assert report.moved == moved.total()
        assert report.added == len(set(disk) - before) - report.moved
        assert report.updated == sum(disk[path] != self.expected[path] for path in set(disk) & before)
        assert (report.relabelled, report.removed, report.skipped) == (self.stale(disk), 0, [])
        # Which of several records with the same bytes has moved is no matter here.
        left = set(self.desk.records()) - set(disk)
        assert left <= before
        gone = {path: self.expected[path] for path in before - set(disk)}
        assert self.digests(gone) - moved == self.digests({path: gone[path] for path in left})
        self.expected = {**{path: gone[path] for path in left}, **disk}
        self.labelled(disk)
        if again:
            assert images(self.desk.index(self.root)) == (0, 0, 0, len(disk), 0)

    @precondition(lambda self: self.expected)
    @rule()
    def prune(self) -> None:
        disk = self.disk()
        moved = self.moved(disk).total()
        report = self.desk.index(self.root, prune=True, prune_empty=True)
        assert report.moved == moved
        assert report.removed == len(set(self.expected) - set(disk)) - moved
        assert report.relabelled == self.stale(disk)
        self.expected = disk
        self.labelled(disk)

    @precondition(lambda self: self.disk())
    @rule()
    def forget_the_labels_and_read_them_again(self) -> None:
        self.index(again=False)
        disk = self.disk()
        assert self.desk.index(self.root, labels="none").relabelled == len(disk)
        assert images(self.desk.index(self.root)) == (0, 0, len(disk), 0, 0)

    @invariant()
    def the_collection_is_as_expected(self) -> None:
        if not self.desk.store.collections():
            assert self.expected == {}
            return
        found = {
            path: (record.digest, record.fields["label"], record.modified_ns)
            for path, (record, _) in self.desk.records().items()
        }
        assert found == self.expected


def test_the_collection_follows_the_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    class InFreshFolders(CollectionFollowsDisk):
        def __init__(self) -> None:
            self.folder = tmp_path_factory.mktemp("machine")
            super().__init__()

    run_state_machine_as_test(
        InFreshFolders, settings=settings(deadline=None, max_examples=25, stateful_step_count=15)
    )


def test_the_time_of_capture_stays_with_the_record(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "photographs" / "good"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif.get_ifd(34665)[36867] = "2026:01:31 08:30:00"
    Image.new("RGB", (16, 16), (200, 10, 10)).save(folder / "1.jpg", exif=exif)
    desk.index(tmp_path / "photographs")
    ((record, _),) = desk.records().values()
    assert record.metadata == {"lookalike": {"captured": {"time": "2026-01-31T08:30:00", "camera": ""}}}
    assert desk.index(tmp_path / "photographs").unchanged == 1
    # Labels that are written anew, by a file or a person, leave it.
    desk.index(tmp_path / "photographs", labels="none")
    correct(desk.store, "parts", record.id, {"label": "bad"})
    ((again, _),) = desk.records().values()
    assert again.fields == {"label": "bad"}
    assert marks_of(again).captured == marks_of(record).captured != {}


def save_shade(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (shade, 200 - shade, 10)).save(path)


def test_a_part_of_the_path_becomes_a_field(desk: Desk, tmp_path: Path) -> None:
    root = tmp_path / "line"
    for place, name in enumerate(("good/part17_1", "good/part17_2", "bad/part9_1", "bad/other")):
        save_shade(root / f"{name}.png", 40 * place)
    report = desk.index(root, group_by=r"part(?P<part>\d+)")
    fields = {path.stem: record.fields for path, (record, _) in desk.records().items()}
    assert fields["part17_2"] == {"label": "good", "part": "17"}
    assert fields["other"] == {"label": "bad"}
    (said,) = [remark for remark in report.remarks if "group-by" in remark.text]
    assert said.path.endswith("other.png")
    assert "1 of 4 paths" in said.text
    desk.index(root, group_by="part.")
    assert desk.records()[root / "bad" / "part9_1.png"][0].fields["group"] == "part9"
    desk.index(root, group_by=r"(line)/")
    assert desk.records()[root / "bad" / "part9_1.png"][0].fields["group"] == "line"
    report = desk.index(root, group_by="nowhere")
    assert "does not match any path" in report.remarks[-1].text
    with pytest.raises(InvalidArgument, match="no regular expression"):
        desk.index(root, group_by="part(")


def test_files_of_a_list_have_the_labels_that_their_folder_gives_them(desk: Desk, tmp_path: Path) -> None:
    root = tmp_path / "line"
    for place, name in enumerate(("good/1", "good/2", "bad/1", "bad/2")):
        save_shade(root / f"{name}.png", 40 * place)
    table = "file_name,defect\ngood/1.png,none\nbad/1.png,scratch\nbad/2.png,dent\n"
    (root / "metadata.csv").write_text(table)
    some = [root / "good" / "1.png", root / "bad" / "2.png"]
    for mode in ("folders", "table", "auto"):
        desk.index(*some, labels=mode)
        listed = {path: desk.records()[path][0].fields for path in some}
        report = desk.index(root, labels=mode)
        assert report.relabelled == 0, "the folder says the same"
        assert {path: desk.records()[path][0].fields for path in some} == listed
        assert all(listed.values())
        desk.store.delete("parts")
    assert desk.index(*some, labels="none").added == 2
    assert not any(record.fields for record, _ in desk.records().values())


def test_files_of_one_folder_are_labelled_by_it_where_folders_are_asked_for(
    desk: Desk, tmp_path: Path
) -> None:
    root = tmp_path / "line"
    save_shade(root / "good" / "1.png", 0)
    save_shade(root / "bad" / "1.png", 40)
    desk.index(root / "good" / "1.png", labels="folders")
    assert desk.records()[root / "good" / "1.png"][0].fields["label"] == "good"
    desk.index(root / "good" / "1.png", labels="auto")
    assert desk.records()[root / "good" / "1.png"][0].fields == {}


def test_a_service_that_indexes_again_makes_the_same_fields_of_paths(tmp_path: Path) -> None:
    save_shade(tmp_path / "line" / "good" / "part17_1.png", 0)
    save_shade(tmp_path / "line" / "bad" / "part9_1.png", 90)
    with lookalike.open(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database["parts"].index(tmp_path / "line", group_by=r"part(?P<part>\d+)")
        again = database["parts"].index(tmp_path / "line", as_before=True)
        assert (again.unchanged, again.relabelled) == (2, 0)
        # A list of single files goes by the folder that was indexed.
        one = tmp_path / "line" / "good" / "part17_1.png"
        assert database["parts"].index(one, as_before=True).unchanged == 1
        assert database["parts"].index(tmp_path / "line").relabelled == 2
