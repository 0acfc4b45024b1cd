"""Changing many images at once over HTTP, and undoing it."""

from __future__ import annotations

import gc
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.ingest.snapshots import Snapshot
from lookalike.server.caches import undo
from lookalike.server.caches.undo import UndoCache
from lookalike.server.settings import Settings
from lookalike.types import Record, Vectors
from tests.service import COLLECTION, InProcess, in_process

BASE = f"/v1/collections/{COLLECTION}"
NOBODY = "1" * 32


def whole(service: InProcess) -> tuple[list[Record], Vectors]:
    return service.database[COLLECTION].vectors.read()


def post(service: InProcess, path: str, query: dict[str, Any] | None = None, *, status: int = 200) -> Any:
    answer = service.client.post(f"{BASE}/{path}", json=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_many_are_labelled_at_once_and_that_is_undone(service: InProcess) -> None:
    before, _ = whole(service)
    ids = [one.id for one in before[:30]]
    done = post(
        service, "labels", {"ids": [*ids, NOBODY, ids[0]], "fields": {"label": "local", "mixed": None}}
    )
    assert (done["changed"], done["missing"]) == (30, [NOBODY])
    now, _ = whole(service)
    assert {one.fields["label"] for one in now[:30]} == {"local"}
    assert all("mixed" not in one.fields for one in now[:30])
    assert now[30:] == before[30:]
    # What somebody has said since of one of them stays.
    other = {"fields": {"label": "nominal"}}
    assert service.client.patch(f"{BASE}/images/{ids[3]}", json=other).status_code == 200
    assert post(service, f"undo/{done['undo']['id']}") == {"restored": 29, "left": 1}
    again, _ = whole(service)
    assert [one for one in again if one.id != ids[3]] == [one for one in before if one.id != ids[3]]
    assert again[3].fields["label"] == "nominal"
    post(service, f"undo/{done['undo']['id']}", status=404)
    # Where nothing changes there is nothing to undo.
    same = {"ids": [ids[5]], "fields": {"label": before[5].fields["label"]}}
    assert post(service, "labels", same) == {"changed": 0, "missing": [], "undo": None}
    assert post(service, "labels", {"ids": ids}, status=422)["error"] == "InvalidRequest"
    assert (
        post(service, "labels", {"ids": ids, "confirm": ["colour"]}, status=400)["error"] == "InvalidArgument"
    )


def test_what_was_removed_comes_back_bit_for_bit(service: InProcess) -> None:
    handle = service.database[COLLECTION]
    first = handle.vectors.read()[0][0].id
    handle.correct(first, {"label": "put right"}, ["mixed"])
    before, vectors = whole(service)
    ids = [one.id for one in before[:7]]
    done = post(service, "removals", {"ids": [*ids, NOBODY]})
    assert (done["changed"], done["missing"], done["undo"]["seconds"]) == (7, [NOBODY], 3600)
    assert service.ask("browse", {"limit": 0})["total"] == 53
    assert post(service, f"undo/{done['undo']['id']}") == {"restored": 7, "left": 0}
    now, again = whole(service)
    assert now == before
    assert np.array_equal(again, vectors)
    assert service.ask("browse", {"limit": 0})["total"] == 60
    assert post(service, "removals", {"ids": [NOBODY]}) == {
        "changed": 0, "missing": [NOBODY], "undo": None
    }  # fmt: skip


def test_it_comes_back_with_what_was_fitted_since(service: InProcess) -> None:
    handle = service.database[COLLECTION]
    before, vectors = whole(service)
    done = post(service, "removals", {"ids": [before[0].id, before[1].id]})
    handle.fit("label")
    assert post(service, f"undo/{done['undo']['id']}") == {"restored": 2, "left": 0}
    now, again = handle.vectors.read(using="image")
    assert now == before
    assert np.abs(again - vectors).max() < 1e-6
    assert handle.vectors.read(using="fitted")[0] == before


def test_an_added_picture_is_taken_out_again(
    store_url: str, cache: Path, pictures: Path, strangers: list[Path], tmp_path: Path
) -> None:
    uploads = tmp_path / "uploads"
    with in_process(store_url, cache, Settings(roots=(pictures,), uploads=uploads)) as service:

        def add(label: str) -> Any:
            parts: list[Any] = [("fields", (None, f'{{"label": "{label}"}}'))]
            parts += [("image", (file.name, file.read_bytes(), "image/jpeg")) for file in strangers[:2]]
            return service.client.post(f"{BASE}/images", files=parts).json()

        def kept() -> list[Path]:
            return [path for path in uploads.rglob("*") if path.is_file()]

        first = add("new")
        again = add("newer")
        ids = [image["id"] for image in first["images"]]
        assert post(service, f"undo/{again['undo']['id']}") == {"restored": 2, "left": 0}
        assert [one.fields["label"] for one in service.database[COLLECTION].records.get(ids)] == [
            "new",
            "new",
        ]
        assert len(kept()) == 2
        # What is removed has its file as long as that can be undone, and no longer.
        removed = post(service, "removals", {"ids": ids})
        assert len(kept()) == 2
        assert post(service, f"undo/{removed['undo']['id']}")["restored"] == 2
        assert service.client.get(f"{BASE}/images/{ids[0]}/original").status_code == 200
        assert post(service, f"undo/{first['undo']['id']}") == {"restored": 2, "left": 0}
        assert service.database[COLLECTION].records.get(ids) == []
        assert kept() == []
        add("last")
        post(service, "removals", {"ids": ids})
        assert len(kept()) == 2
    assert kept() == []


def test_records_count_what_they_take() -> None:
    text = json.dumps({"boxes": [[n, n + 0.5, "a label"] for n in range(300)], "한국": "x" * 500})
    for metadata in ("{}", text):
        gc.collect()
        tracemalloc.start()
        records = [
            Record(
                f"{n:032x}",
                f"file:///a/{n}.jpg",
                f"{n:064x}",
                {"label": f"{n} a"},
                json.loads(metadata),
                n,
                n,
            )
            for n in range(1000, 1200)
        ]
        snapshot = Snapshot("parts", tuple(one.id for one in records), {one.id: one for one in records}, None)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert snapshot.nbytes() == pytest.approx(taken, rel=0.2)
        assert snapshot.nbytes(records) == snapshot.nbytes()
        assert (
            snapshot.nbytes([replace(one, metadata=json.loads(metadata)) for one in records])
            > snapshot.nbytes()
        )


def test_only_so_much_is_kept_and_for_so_long(service: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, now, deleted = service.database[COLLECTION], [0.0], list[Path]()
    snapshot = handle.records.snapshot([one.id for one in handle.vectors.read()[0][:10]])
    changes = UndoCache(deleted.extend, lambda: now[0])
    monkeypatch.setattr(undo, "MOST_BYTES", 2 * snapshot.nbytes())
    names = [changes.put(snapshot, {}, [Path(f"{each}.jpg")]) for each in range(3)]
    assert deleted == [Path("0.jpg")]
    assert changes.take(names[0] or "", COLLECTION) is None
    assert changes.take(names[1] or "", "another") is None
    assert changes.take(names[1] or "", COLLECTION) is not None
    now[0] = undo.SECONDS
    assert changes.take(names[2] or "", COLLECTION) is None
    monkeypatch.setattr(undo, "MOST_BYTES", snapshot.nbytes() - 1)
    assert changes.put(snapshot, {}, [Path("3.jpg")]) is None
    assert deleted == [Path("0.jpg"), Path("2.jpg"), Path("3.jpg")]
