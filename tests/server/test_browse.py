"""Looking through a collection over HTTP."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from lookalike.server.caches.listings import SECONDS, ListingCache
from lookalike.server.caches.thumbnail_file import ThumbnailFile
from lookalike.server.routes import image_files
from lookalike.server.settings import Settings
from tests.service import COLLECTION, InProcess, in_process


def test_pages_put_together_are_the_collection(service: InProcess) -> None:
    pages = [
        service.ask(
            "browse", {"order": "label", "by": "label", "offset": start, "limit": 25, "fields": ["label"]}
        )
        for start in (0, 25, 50)
    ]
    images = [image for page in pages for image in page["images"]]
    assert [page["total"] for page in pages] == [60] * 3
    assert len({page["version"] for page in pages}) == 1
    labels = [image["fields"] for image in images]
    assert labels == [{"label": label} for label in ("global", "local", "nominal") for _ in range(20)]
    assert pages[0]["groups"] == [
        {"value": label, "start": start, "count": 20}
        for label, start in (("global", 0), ("local", 20), ("nominal", 40))
    ]
    assert pages[1]["groups"] == []
    assert len({image["id"] for image in images}) == 60
    assert all(image["time"].endswith("Z") for image in images)
    newest = service.ask("browse", {"order": "newest", "limit": 1000})["images"]
    times = [image["time"] for image in newest]
    assert times == sorted(times, reverse=True)
    assert set(newest[0]["fields"]) == {"label", "mixed"}
    sure = service.ask("browse", {"order": "uncertain", "by": "label", "limit": 60})["images"]
    assert [image["confidence"] for image in sure] == sorted(image["confidence"] for image in sure)
    assert service.ask("browse", {"limit": 0, "where": {"label": ["local"]}})["total"] == 20
    assert service.ask("browse", {"order": "label"}, status=422)["error"] == "InvalidRequest"
    assert service.ask("browse", {"where": {"colour": ["red"]}}, status=400)["error"] == "FieldNotFound"


def test_what_the_service_changes_is_there_at_once(service: InProcess) -> None:
    asked = {"order": "label", "by": "label", "limit": 60}
    before = service.ask("browse", asked)
    first = before["images"][0]["id"]
    path = f"/v1/collections/{COLLECTION}/images/{first}"
    assert service.client.patch(path, json={"fields": {"label": "zebra"}}).status_code == 200
    after = service.ask("browse", asked)
    assert after["images"][-1]["id"] == first
    assert after["groups"][-1] == {"value": "zebra", "start": 59, "count": 1}
    assert after["version"] != before["version"]
    assert service.client.delete(path).status_code == 204
    assert service.ask("browse", asked)["total"] == 59
    # Nothing of it was made anew, and what concerns no order leaves its version.
    version = service.ask("browse", asked)["version"]
    other = f"/v1/collections/{COLLECTION}/images/{before['images'][1]['id']}"
    assert service.client.patch(other, json={"fields": {"seen": True}}).status_code == 200
    assert service.ask("browse", asked)["version"] == version


def test_what_others_change_is_there_a_minute_later(service: InProcess) -> None:
    now = [0.0]
    cache = ListingCache(service.database, lambda: now[0])
    try:
        listing, version = cache.get(COLLECTION, "label", "label", {})
        first = listing.ids(0, 1)[0]
        service.database[COLLECTION].correct(first, {"label": "zebra"})
        assert cache.get(COLLECTION, "label", "label", {}) == (listing, version)
        now[0] = SECONDS
        assert cache.get(COLLECTION, "label", "label", {})[1] == version, "nobody waits for the new one"
        cache._renewing.shutdown(wait=True)
        listing, second = cache.get(COLLECTION, "label", "label", {})
        assert second != version
        assert listing.ids()[-1] == first
    finally:
        cache.close()


def test_a_region_of_an_image_or_of_a_picture_is_the_query(service: InProcess, strangers: list[Path]) -> None:
    first = service.ask("browse", {"limit": 1})["images"][0]["id"]

    def best(term: dict[str, object], pictures: Sequence[Path] = ()) -> float:
        hits = service.ask("search", {"terms": [term], "k": 1}, pictures)["hits"]
        return float(hits[0]["similarity"])

    assert best({"id": first}) > 0.9999
    assert best({"id": first, "part": [0, 0, 1, 1]}) > 0.999
    assert best({"id": first, "part": [0.25, 0.25, 0.5, 0.5]}) < 0.999
    assert best({"id": first, "box": [0, 0, 64, 64]}) < 0.999
    whole = best({"image": 0}, strangers[:1])
    assert best({"image": 0, "box": [0, 0, 64, 64]}, strangers[:1]) != whole
    assert abs(best({"image": 0, "part": [0, 0, 1, 1]}, strangers[:1]) - whole) < 1e-3
    for wrong in ({"box": [9000, 0, 5, 5]}, {"box": [0, 0, 0, 1]}, {"part": [0, 0, 2, 2]}):
        service.ask("search", {"terms": [{"id": first, **wrong}]}, status=400)
    service.ask("search", {"terms": [{"text": "cloth", "box": [0, 0, 5, 5]}]}, status=422)
    service.ask("search", {"terms": [{"id": "1" * 32, "box": [0, 0, 5, 5]}]}, status=404)


def test_thumbnails_are_made_ahead_and_kept_on_disk(
    store_url: str, cache: Path, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(service: InProcess, identity: str) -> bytes:
        answer = service.client.get(f"/v1/collections/{COLLECTION}/images/{identity}/thumbnail")
        assert answer.status_code == 200
        return answer.content

    with in_process(store_url, cache, Settings(roots=(pictures,))) as service:
        service.service.thumbnail_file = ThumbnailFile(tmp_path)
        first = service.ask("browse", {"limit": 1, "offset": 30})["images"][0]["id"]
        service.service.thumbnail_maker._thread.shutdown(wait=True)
        assert service.service.thumbnails.size > 0
        picture = shown(service, first)
        with sqlite3.connect(tmp_path / "thumbnails.db") as kept:
            assert kept.execute("SELECT count(*) FROM thumbnails").fetchone() == (60,)
    monkeypatch.setattr(image_files, "thumbnails", None)  # nothing is made any more
    with in_process(store_url, cache, Settings(roots=(pictures,))) as service:
        service.service.thumbnail_file = ThumbnailFile(tmp_path)
        assert shown(service, first) == picture


def test_the_file_of_thumbnails_stays_below_its_bound(tmp_path: Path) -> None:
    file = ThumbnailFile(tmp_path, 1 << 20)
    full = [file.full]
    for number in range(200):
        file.put((number,), bytes([number]) * 10_000)
        if number:
            assert file.get((number,)) == bytes([number]) * 10_000
    assert [*full, file.full] == [False, True]
    assert 50 < sum(file.get((number,)) is not None for number in range(200)) < 120
    with sqlite3.connect(tmp_path / "thumbnails.db") as kept:
        kept.execute("UPDATE thumbnails SET picture = x'00'")
    assert file.get((199,)) is None, "a damaged one is none"
    file.close()
    (tmp_path / "thumbnails.db").write_bytes(b"no database" * 1000)
    file = ThumbnailFile(tmp_path)
    file.put((1,), b"x")
    assert file.get((1,)) == b"x"
    file.close()
    kept.close()
    with sqlite3.connect(tmp_path / "thumbnails.db", isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("UPDATE thumbnails SET used = 0")
        locked = ThumbnailFile(tmp_path, wait=0)
        assert locked.get((1,)) is None, "another has it"
    other.close()
    file = ThumbnailFile(tmp_path)
    assert file.get((1,)) == b"x", "and it is still there"
    file.close()
    blocked = tmp_path / "a file"
    blocked.touch()
    nowhere = ThumbnailFile(blocked)
    nowhere.put((1,), b"x")
    assert nowhere.get((1,)) is None
    assert nowhere.full


def test_what_nobody_looks_through_does_not_fill_memory(service: InProcess) -> None:
    cache = ListingCache(service.database)
    try:
        for number in range(20):
            cache.changed(COLLECTION, [f"{number}-{each}" for each in range(1000)])
        (waiting,) = cache._changed.values()
        assert sum(len(each or ()) for each in waiting) <= 5_000
        assert None in waiting
    finally:
        cache.close()
