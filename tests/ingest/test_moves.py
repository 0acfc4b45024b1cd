"""Files that were moved: their records go with them, whole, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.errors import StoreFull
from lookalike.ingest import embedding as pipeline
from lookalike.ingest import moves
from lookalike.ingest.index_report import IndexReport
from lookalike.ingest.moves import pair
from lookalike.metric_learning.corrections import correct, marks_of
from lookalike.metric_learning.fitting import fit
from lookalike.stores.registry import open_store
from lookalike.stores.store import Store
from lookalike.types import OWN_KEY, Record
from lookalike.uris import file_uri, record_id
from tests.desk import Desk
from tests.mean_colours import save


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Eight pictures in two folders."""
    root = tmp_path / "old"
    for seed in range(8):
        save(root / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
    return root


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.added, report.moved, report.unchanged, report.embedded


def put_right(desk: Desk, path: Path, **fields: str) -> None:
    correct(desk.store, "parts", record_id(file_uri(path)), fields, ())


def shown(desk: Desk) -> dict[Path, tuple[dict[str, Any], dict[str, Any], bytes]]:
    return {
        path: (dict(record.fields), dict(record.metadata), vector.tobytes())
        for path, (record, vector) in desk.records().items()
    }


def test_records_follow_a_folder_that_was_renamed(desk: Desk, old: Path, new: Path) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "1.png", label="bad", note="scratch")
    before = shown(desk)
    old.rename(new)
    desk.embedder.calls.clear()
    assert counts(desk.index(new)) == (0, 8, 0, 0)
    assert desk.embedder.embedded == 0
    assert shown(desk) == {new / path.relative_to(old): value for path, value in before.items()}
    for path, (record, _) in desk.records().items():
        assert (record.id, record.uri) == (record_id(file_uri(path)), file_uri(path))
    assert counts(desk.index(new)) == (0, 0, 8, 0)


def test_without_the_features_vectors_come_from_the_collection_bit_by_bit(
    desk: Desk, old: Path, new: Path, tmp_path: Path
) -> None:
    desk.index(old)
    before = shown(desk)
    old.rename(new)
    desk.cache.close()
    shutil.rmtree(tmp_path / "desk" / "cache")
    desk.embedder.calls.clear()
    assert counts(desk.index(new)) == (0, 8, 0, 0)
    assert desk.embedder.embedded == 0
    assert shown(desk) == {new / path.relative_to(old): value for path, value in before.items()}


def _into_another_folder(old: Path, new: Path) -> None:
    new.mkdir()
    old.rename(new / "deeper")


def _a_folder_within(old: Path, _new: Path) -> None:
    (old / "good").rename(old / "better")


def _a_file(old: Path, _new: Path) -> None:
    (old / "good" / "1.png").rename(old / "good" / "탱크 1.png")


def _to_the_other_label(old: Path, _new: Path) -> None:
    (old / "good" / "1.png").rename(old / "bad" / "1.png")


def _one_by_one(old: Path, new: Path) -> None:
    new.mkdir()
    for path in old.rglob("*.png"):
        path.rename(new / path.name)


def _with_another_date(old: Path, new: Path) -> None:
    old.rename(new)
    os.utime(new / "good" / "1.png", (0, 0))


MOVES = [
    _into_another_folder,
    _a_folder_within,
    _a_file,
    _to_the_other_label,
    _one_by_one,
    _with_another_date,
]


@pytest.mark.parametrize("move", MOVES)
def test_however_a_file_is_moved_nothing_is_lost_or_there_twice(
    desk: Desk, old: Path, tmp_path: Path, move: Callable[[Path, Path], None]
) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "1.png", note="scratch")
    digests = sorted(record.digest for record, _ in desk.records().values())
    move(old, tmp_path / "new")
    report = desk.index(tmp_path)
    assert report.added == report.removed == report.embedded == 0
    assert report.moved + report.unchanged + report.relabelled == 8
    assert report.moved > 0
    assert set(desk.records()) == set(tmp_path.rglob("*.png"))
    assert sorted(record.digest for record, _ in desk.records().values()) == digests
    noted = [record for record, _ in desk.records().values() if "note" in record.fields]
    assert [marks_of(record).corrected for record in noted] == [{"note": None}]


def test_labels_are_those_of_the_new_place_and_what_they_overrule_is_told(desk: Desk, old: Path) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "1.png", label="ugly")
    put_right(desk, old / "good" / "3.png", label="ugly")
    (old / "good" / "1.png").rename(old / "bad" / "1.png")
    (old / "good" / "3.png").rename(old / "good" / "33.png")
    report = desk.index(old)
    assert report.moved == 2
    assert report.overruled == [str(old / "bad" / "1.png")]
    records = desk.records()
    assert records[old / "bad" / "1.png"][0].fields["label"] == "bad"
    assert records[old / "good" / "33.png"][0].fields["label"] == "ugly"


def test_a_copy_is_an_image_of_its_own(desk: Desk, old: Path, new: Path) -> None:
    desk.index(old)
    shutil.copytree(old, new)
    assert counts(desk.index(new)) == (8, 0, 0, 0)
    assert len(desk.records()) == 16


def test_of_several_with_the_same_bytes_those_whose_paths_end_alike_belong_together(
    desk: Desk, old: Path, new: Path
) -> None:
    for name in ("a/x.png", "b/x.png", "b/y.png"):
        save(old / name, 100)
    desk.index(old)
    for name in ("a/x.png", "b/x.png", "b/y.png"):
        put_right(desk, old / name, was=name)
    old.rename(new)
    # One more copy is there now, which no record belongs to.
    shutil.copyfile(new / "a" / "x.png", new / "a" / "w.png")
    report = desk.index(new)
    assert (report.added, report.moved) == (1, 11)
    was = {path: record.fields.get("was") for path, (record, _) in desk.records().items()}
    assert {path: name for path, name in was.items() if name} == {
        new / name: name for name in ("a/x.png", "b/x.png", "b/y.png")
    }


def test_each_record_moves_once_and_each_file_takes_one() -> None:
    lost = [Record(f"{i:032x}", f"file:///o/{i}.png", "d" * 64, {}, {}, 1, 1) for i in range(5)]
    moves = pair(lost, {Path(f"/n/{i}.png"): "d" * 64 for i in range(3, 10)})
    assert len({move.record.id for move in moves}) == len({move.path for move in moves}) == len(moves) == 5
    same = [
        (move.path.name, Path(move.record.uri).name) for move in moves if move.path.name in ("3.png", "4.png")
    ]
    assert same == [("3.png", "3.png"), ("4.png", "4.png")]
    assert pair(lost, {Path("/n/1.png"): "e" * 64}) == []


def test_a_record_whose_file_may_be_there_does_not_move(
    desk: Desk, old: Path, new: Path, tmp_path: Path
) -> None:
    """Behind a link that leads nowhere today there may be a disk tomorrow."""
    shutil.copytree(old, new)
    disk = tmp_path / "disk"
    old.rename(tmp_path / "away")
    disk.symlink_to(tmp_path / "away")
    desk.index(disk)
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    assert counts(desk.index(new)) == (8, 0, 0, 0)
    assert len(desk.records()) == 16


def test_only_files_of_the_size_of_one_that_is_gone_are_read_for_it(
    desk: Desk, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.index(old)
    (old / "good" / "1.png").rename(old / "good" / "1b.png")
    asked: list[Path] = []

    def note(paths: Sequence[Path], *more: Any) -> Any:
        asked.extend(paths)
        return read(paths, *more)

    read = pipeline.read_digests
    monkeypatch.setattr(moves, "read_digests", note)
    size = (old / "good" / "1b.png").stat().st_size
    for seed in range(100, 120):
        with save(old / "good" / f"{seed}.png", seed).open("ab") as file:
            file.write(bytes(seed % 3))
    assert desk.index(old).moved == 1
    assert {path.stat().st_size for path in asked} == {size}
    assert old / "good" / "1b.png" in asked
    assert len(asked) < 20


def break_at(store: Store, call: int, monkeypatch: pytest.MonkeyPatch, *, after: bool = False) -> None:
    """Let a store fail at the n-th call that writes, before it or after it is done."""
    made: list[str] = []

    def breaking(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def breaks(*words: Any, **more: Any) -> Any:
            made.append(name)
            if len(made) == call and not after:
                raise StoreFull(store.url, "no space left")
            done = act(*words, **more)
            if len(made) == call:
                raise StoreFull(store.url, "no space left")
            return done

        return breaks

    for name in ("put", "remove", "relabel"):
        monkeypatch.setattr(store, name, breaking(name, getattr(store, name)))


@pytest.mark.parametrize("fitted", [False, True], ids=["plain", "fitted"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_whatever_breaks_in_between_no_record_is_lost_and_the_same_call_completes_it(
    desk: Desk,
    old: Path,
    new: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    after: bool,
    fitted: bool,
) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "1.png", note="scratch")
    if fitted:
        fit(desk.store, "parts", "label", groups=(), locks=tmp_path / "locks")
    before = shown(desk)
    old.rename(new)
    with monkeypatch.context() as patch:
        break_at(desk.store, call, patch, after=after)
        try:
            desk.index(new)
        except StoreFull:
            pass
        else:
            assert call > 3
    there = {path.name: record for path, (record, _) in desk.records().items()}
    assert set(there) == {f"{seed}.png" for seed in range(8)}
    assert there["1.png"].fields["note"] == "scratch"
    report = desk.index(new)
    assert (report.added, report.embedded) == (0, 0)
    assert shown(desk) == {new / path.relative_to(old): value for path, value in before.items()}
    if fitted:
        plain = {record.id for batch, _ in desk.store.scan("parts", using="image") for record in batch}
        assert plain == {record.id for record, _ in desk.records().values()}
    assert counts(desk.index(new)) == (0, 0, 8, 0)


def test_a_note_of_the_move_does_not_stay_and_survives_a_correction(
    desk: Desk, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.index(old)
    old.rename(new)
    with monkeypatch.context() as patch:
        break_at(desk.store, 2, patch)
        with pytest.raises(StoreFull):
            desk.index(new)
    put_right(desk, new / "good" / "1.png", label="ugly")
    assert len(desk.records()) == 16
    assert desk.index(new).moved == 8
    records = desk.records()
    assert set(records) == set(new.rglob("*.png"))
    assert records[new / "good" / "1.png"][0].fields["label"] == "ugly"
    assert [path for path, (record, _) in records.items() if OWN_KEY in record.metadata] == [
        new / "good" / "1.png"
    ]
    assert marks_of(records[new / "good" / "1.png"][0]).moved_from is None


def test_of_two_that_index_at_once_neither_loses_what_the_other_moved(
    desk: Desk, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looked before, and finds that the record is not where it was."""
    desk.index(old)
    put_right(desk, old / "good" / "1.png", note="scratch")
    old.rename(new)

    others: list[IndexReport] = []
    second = Desk(new.parent / "second")
    second.store.close()
    second.store = open_store(desk.store.url)
    stamps = second.store.stamps

    def late(name: str) -> Any:
        found = stamps(name)
        if not others:
            others.append(desk.index(new))
            assert others[0].moved == 8
        return found

    monkeypatch.setattr(second.store, "stamps", late)
    report = second.index(new)
    assert report.images == 8
    second.close()
    records = desk.records()
    assert set(records) == set(new.rglob("*.png"))
    assert records[new / "good" / "1.png"][0].fields["note"] == "scratch"


@pytest.mark.parametrize("fitted", [False, True], ids=["plain", "fitted"])
def test_what_is_put_right_or_removed_while_files_are_read_stays_so(
    desk: Desk, old: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: bool
) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "3.png", note="dent")
    if fitted:
        fit(desk.store, "parts", "label", groups=(), locks=tmp_path / "locks")
    old.rename(new)
    read = pipeline.read_digests

    def read_slowly(*words: Any) -> Any:
        put_right(desk, old / "good" / "1.png", note="scratch")
        desk.store.remove("parts", [record_id(file_uri(old / "good" / "3.png"))])
        return read(*words)

    monkeypatch.setattr(moves, "read_digests", read_slowly)
    report = desk.index(new)
    assert (report.moved, report.added, report.embedded) == (7, 1, 0)
    records = desk.records()
    assert set(records) == set(new.rglob("*.png"))
    assert records[new / "good" / "1.png"][0].fields["note"] == "scratch"
    assert "note" not in records[new / "good" / "3.png"][0].fields


def _shift(folder: Path) -> dict[str, str]:
    for seed in (7, 5, 3, 1):
        (folder / f"{seed}.png").rename(folder / f"{seed + 2}.png")
    return {"3.png": "one", "7.png": "five"}


def _shift_to_a_new_name(folder: Path) -> dict[str, str]:
    for seed in (5, 3):
        (folder / f"{seed}.png").rename(folder / f"{seed + 4}.png")
    (folder / "7.png").touch()
    (folder / "1.png").rename(folder / "5.png")
    return {"9.png": "five", "5.png": "one"}


def _exchange(folder: Path) -> dict[str, str]:
    (folder / "1.png").rename(folder / "x")
    (folder / "5.png").rename(folder / "1.png")
    (folder / "x").rename(folder / "5.png")
    return {"5.png": "one", "1.png": "five"}


def _over_another(folder: Path) -> dict[str, str]:
    (folder / "1.png").rename(folder / "3.png")
    return {"3.png": "one", "5.png": "five"}


def _touched_and_copied(folder: Path) -> dict[str, str]:
    shutil.copyfile(folder / "1.png", folder / "3.png")
    (folder / "1.png").touch()
    return {"1.png": "one", "5.png": "five"}


@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize(
    "rename", [_shift, _shift_to_a_new_name, _exchange, _over_another, _touched_and_copied]
)
def test_what_was_put_right_goes_with_a_picture_that_takes_the_name_of_another(
    desk: Desk, old: Path, rename: Callable[[Path], dict[str, str]], prune: bool
) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "1.png", note="one")
    put_right(desk, old / "good" / "5.png", note="five")
    wanted = rename(old / "good")
    report = desk.index(old, prune=prune)
    assert report.overruled == []
    notes = {
        path.name: str(record.fields["note"])
        for path, (record, _) in desk.records().items()
        if path.exists() and "note" in record.fields
    }
    assert notes == wanted
    assert prune is False or set(desk.records()) == set(old.rglob("*.png"))
    assert desk.index(old, prune=prune).unchanged == len(list(old.rglob("*.png")))


def test_a_record_whose_vector_is_damaged_moves_and_is_mended(desk: Desk, old: Path, new: Path) -> None:
    desk.index(old)
    put_right(desk, old / "good" / "1.png", note="scratch")
    before = shown(desk)
    place = desk.store.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("UPDATE lookalike_v1 SET vector = zeroblob(length(vector))")
    second = Desk(new.parent / "second")  # without the features
    second.store.close()
    second.store = open_store(desk.store.url)
    old.rename(new)
    report = second.index(new, prune=True)
    assert (report.moved, report.added, report.embedded, report.removed) == (8, 0, 8, 0)
    second.close()
    assert shown(desk) == {new / path.relative_to(old): value for path, value in before.items()}


def test_records_of_a_fitted_collection_move_with_all_their_vectors(
    desk: Desk, old: Path, new: Path, tmp_path: Path
) -> None:
    desk.index(old)
    fit(desk.store, "parts", "label", groups=(), locks=tmp_path / "locks")
    before = {name: list(desk.store.scan("parts", using=name)) for name in ("fitted", "image")}
    old.rename(new)
    assert counts(desk.index(new)) == (0, 8, 0, 0)
    for name, batches in before.items():
        known = {r.digest: v for records, rows in batches for r, v in zip(records, rows, strict=True)}
        found = {
            record.digest: row
            for records, rows in desk.store.scan("parts", using=name)
            for record, row in zip(records, rows, strict=True)
        }
        assert known.keys() == found.keys()
        for digest, row in known.items():
            np.testing.assert_array_equal(row, found[digest])
