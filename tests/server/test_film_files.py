"""Films over HTTP: frames as pictures, and the film with the parts that players ask for."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.server.settings import Settings
from lookalike.types import Record
from lookalike.uris import record_id, uri_text
from tests.film_files import film
from tests.service import InProcess, in_process

MINE = "films"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    film(tmp_path / "clips" / "a" / "하나.mp4", codec="libx264", seconds=2)
    return tmp_path / "clips"


@pytest.fixture
def frames(service: InProcess, root: Path) -> dict[str, Record]:
    service.database[MINE].index(root, frames="every:1s")
    return {uri_text(one.uri).rpartition("/")[2]: one for one in service.database[MINE].vectors.read()[0]}


def address(one: Record, what: str = "") -> str:
    return f"/v1/collections/{MINE}/images/{one.id}{what}"


def test_a_frame_is_shown_and_says_its_moment(service: InProcess, frames: dict[str, Record]) -> None:
    assert sorted(frames) == ["하나.mp4#t=0", "하나.mp4#t=1"]
    one = frames["하나.mp4#t=1"]
    said = service.client.get(address(one)).json()
    assert (said["name"], said["time"], said["fields"]["film"]) == ("a/하나.mp4#t=1", 1.0, "a/하나.mp4")
    small = service.client.get(address(one, "/thumbnail?size=64"))
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    original = service.client.get(address(one, "/original"))
    assert (original.status_code, original.headers["content-type"]) == (200, "image/jpeg")
    assert "mp4#t%3D1.jpg" in original.headers["content-disposition"]
    with Image.open(io.BytesIO(original.content)) as picture:
        red, green, _ = picture.convert("RGB").getpixel((32, 40))  # type: ignore[misc]
    assert green > red


def test_players_get_the_parts_that_they_ask_for(
    service: InProcess, frames: dict[str, Record], root: Path
) -> None:
    data = (root / "a" / "하나.mp4").read_bytes()
    place = address(frames["하나.mp4#t=1"], "/film")
    whole = service.client.get(place)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, data, "video/mp4")
    assert whole.headers["accept-ranges"] == "bytes"
    assert "media-src 'self'" in whole.headers["content-security-policy"]
    size = len(data)
    for wanted, start, end in (
        ("bytes=0-", 0, size),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, size),
        (f"bytes=5-{size + 9}", 5, size),
        ("bytes=-7", size - 7, size),
        ("bytes=-99999999", 0, size),
    ):
        part = service.client.get(place, headers={"Range": wanted})
        assert part.content == data[start:end], wanted
        partly = end - start < size
        assert part.status_code == (206 if partly else 200), wanted
        if partly:
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for odd in ("bytes=9-3", "bytes=-", "bytes=1-2,5-6", "items=0-1", "bytes=a-b"):
        assert service.client.get(place, headers={"Range": odd}).content == data, odd
    for past in (f"bytes={size}-", f"bytes={size + 9}-{size + 99}", "bytes=-0"):
        answer = service.client.get(place, headers={"Range": past})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}"), past
    assert service.client.get(place, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_nothing_but_films_below_what_was_indexed_is_given(
    service: InProcess, frames: dict[str, Record], root: Path, tmp_path: Path
) -> None:
    known = frames["하나.mp4#t=1"]
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    text = root / "notes.txt"
    text.write_text("secret")
    (root / "link.mp4").symlink_to(secret)
    _, vectors = service.database[MINE].vectors.read()
    space = service.database[MINE].info().space
    for path, status in ((secret, 403), (text, 404), (root / "link.mp4", 403)):
        found = path.stat()
        uri = f"{path.as_uri()}#t=0"
        forged = Record(record_id(uri), uri, known.digest, {}, {}, found.st_size, found.st_mtime_ns)
        service.database.store.put(MINE, [forged], {space: vectors[:1]})
        assert service.client.get(address(forged, "/film")).status_code == status, path
        assert service.client.get(address(forged, "/thumbnail")).status_code in (403, 409, 422), path
        assert service.client.get(address(forged, "/original")).status_code in (403, 409, 422), path


def test_a_frame_behind_a_link_is_shown_and_its_film_is_not(
    service: InProcess, root: Path, tmp_path: Path
) -> None:
    """A frame has a digest; of a film only size and time are known, which whoever lays a link can read."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "b.mp4"
    link.symlink_to(root / "a" / "하나.mp4")
    service.database[MINE].index(tmp_path / "links", frames="every:1s")
    one = service.database[MINE].vectors.read()[0][1]
    for what, status in (("/original", 200), ("/thumbnail", 200), ("/film", 403)):
        assert service.client.get(address(one, what)).status_code == status, what
    link.unlink()
    film(tmp_path / "other.mp4", codec="libx264", seconds=1)
    link.symlink_to(tmp_path / "other.mp4")
    for what in ("/original", "/thumbnail", "/film"):
        assert service.client.get(address(one, what)).status_code == 403, what


def test_frames_of_films_that_a_table_names_are_shown(root: Path, tmp_path: Path) -> None:
    """Of the rows of others nobody has read the files: whatever lies there is meant."""
    known = film(root / "b.mp4", codec="libx264", seconds=2)
    frame = f"{known.as_uri()}#t=1"
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE clips (id INTEGER PRIMARY KEY, uri TEXT, v BLOB)")
        row = np.ones(4, np.float32).tobytes()
        connection.executemany(
            "INSERT INTO clips VALUES (?, ?, ?)", [(1, frame, row), (2, f"{frame}.5", row)]
        )
        connection.commit()
    url = f"sqlite:///{tmp_path}/shop.db"
    with in_process(url, tmp_path / "cache", Settings(roots=(root,))) as service:
        service.database.attach("clips", space="theirs")
        place = "/v1/collections/clips/images/1"
        data = known.read_bytes()
        assert service.client.get(f"{place}/thumbnail").status_code == 200
        # Its digest says nothing of which moment of the film it is.
        shown = service.client.get(f"{place}/thumbnail").content
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
            connection.execute("UPDATE clips SET uri = ? WHERE id = 1", (frame.replace("#t=1", "#t=0"),))
        assert service.client.get(f"{place}/thumbnail").content != shown
        original = service.client.get(f"{place}/original")
        assert (original.status_code, original.headers["content-type"]) == (200, "image/jpeg")
        whole = service.client.get(f"{place}/film")
        assert (whole.status_code, whole.content) == (200, data)
        assert "etag" not in whole.headers
        part = service.client.get(f"{place}/film", headers={"Range": "bytes=-7"})
        assert (part.status_code, part.content) == (206, data[-7:])
        assert part.headers["content-range"] == f"bytes {len(data) - 7}-{len(data) - 1}/{len(data)}"
        known.unlink()
        for what in ("thumbnail", "original", "film"):
            assert service.client.get(f"{place}/{what}").status_code == 404, what


def test_a_film_that_changed_is_not_shown(service: InProcess, frames: dict[str, Record], root: Path) -> None:
    film(root / "a" / "하나.mp4", codec="libx264", seconds=1)
    for what in ("/film", "/thumbnail", "/original"):
        assert service.client.get(address(frames["하나.mp4#t=1"], what)).status_code == 409
    (root / "a" / "하나.mp4").unlink()
    for what in ("/film", "/thumbnail", "/original"):
        assert service.client.get(address(frames["하나.mp4#t=1"], what)).status_code == 404


def test_an_image_is_no_film(service: InProcess) -> None:
    one = service.database["textile"].vectors.read()[0][0]
    assert service.client.get(f"/v1/collections/textile/images/{one.id}/film").status_code == 404
    assert service.client.get(f"/v1/collections/textile/images/{one.id}").json()["time"] is None
