"""Stamps on disk are those in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.database import Database
from lookalike.stores import row_spool, stamp_table
from lookalike.stores.row_spool import RowSpool
from lookalike.stores.stamp_table import StampTable, read_stamps
from lookalike.stores.store import Store
from lookalike.testing.samples import fill
from lookalike.types import Stamp
from tests.mean_colours import save


def test_a_table_has_the_stamps_that_were_given() -> None:
    stamps = {f"file:///{n}%20.jpg": Stamp(f"{n:032x}", n << 40, -n, "a" * 64) for n in range(50)}
    table = StampTable([("file:///7%20.jpg", Stamp("", 0, 0, "")), *stamps.items()])
    assert dict(table) == stamps
    assert (len(table), table.get("file:///none.jpg"), "file:///7%20.jpg" in table) == (50, None, True)
    with pytest.raises(KeyError):
        table["file:///none.jpg"]


def test_those_of_many_records_are_on_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 24)
    assert isinstance(read_stamps(store, "parts"), dict)
    monkeypatch.setattr(stamp_table, "MOST_IN_MEMORY", 23)
    found = read_stamps(store, "parts")
    assert isinstance(found, StampTable)
    assert dict(found) == store.stamps("parts")


def test_rows_beyond_those_in_memory_come_in_their_order_with_their_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_spool, "_MOST_IN_MEMORY", 5)
    rows = [(f"file:///{n}.jpg", str(n), n << 40, -n << 40, "1", "", bytes([n])) for n in range(12)]
    assert list(RowSpool(iter(rows))) == rows


@pytest.mark.parametrize("most", [100_000, 0])
def test_indexing_again_finds_what_came_changed_and_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(stamp_table, "MOST_IN_MEMORY", most)
    folder = tmp_path / "parts"
    for number in range(12):
        save(folder / ("good" if number % 2 else "bad") / f"{number}.png", 20 * number)
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        parts = database["parts"]
        assert parts.index(folder).added == 12
        assert parts.index(folder).unchanged == 12
        (folder / "good" / "1.png").unlink()
        (folder / "good" / "3.png").rename(folder / "bad" / "3.png")
        save(folder / "bad" / "0.png", 245)
        save(folder / "bad" / "new.png", 250)
        report = parts.index(folder, prune=True)
        assert (report.added, report.updated, report.moved, report.removed) == (1, 1, 1, 1)
        assert report.unchanged == 9
