"""Pictures over HTTP: small ones, originals, and all that must not be shown."""

from __future__ import annotations

import email.message
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.database import Database
from lookalike.ingest.indexed_folders import forget_indexed, indexed_paths, remember_indexed
from lookalike.server.caches.thumbnails import ThumbnailCache
from lookalike.server.routes.image_files import disposition
from lookalike.server.settings import Settings
from lookalike.types import ROW, Record
from lookalike.uris import file_uri, record_id
from tests.conftest import CommandLine
from tests.mean_colours import picture, save
from tests.service import COLLECTION, InProcess, in_process

BASE = f"/v1/collections/{COLLECTION}/images"
MINE = "mine"


def some(service: InProcess) -> Record:
    return service.database[COLLECTION].vectors.read()[0][0]


def index(service: InProcess, *folders: Path, name: str = MINE) -> dict[str, Record]:
    """Index folders without labels, and return the records by the names of their files."""
    service.database[name].index(folders, labels="none")
    return {path_of(one).name: one for one in service.database[name].vectors.read()[0]}


def path_of(one: Record) -> Path:
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(one.uri).path))


def address(one: Record, what: str, name: str = MINE) -> str:
    return f"/v1/collections/{name}/images/{one.id}/{what}"


@pytest.mark.parametrize("size", [64, 128, 256, 512, 2048])
def test_a_thumbnail_is_webp_of_that_size(service: InProcess, size: int) -> None:
    one = some(service)
    answer = service.client.get(f"{BASE}/{one.id}/thumbnail", params={"size": size})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["cache-control"].startswith("private")
    shown = Image.open(io.BytesIO(answer.content))
    with Image.open(path_of(one)) as whole:
        width, height = whole.size
    assert shown.format == "WEBP"
    assert max(shown.size) == min(size, max(width, height))
    assert shown.width / shown.height == pytest.approx(width / height, rel=0.03)


def test_a_thumbnail_is_upright_white_where_transparent_and_never_enlarged(
    service: InProcess, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    save(folder / "small.png", 1)
    tall = Image.new("RGB", (300, 100), (200, 0, 0))
    exif = Image.Exif()
    exif[274] = 6
    tall.save(folder / "turned.jpg", exif=exif)
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    clear.paste((0, 0, 200, 255), (0, 0, 40, 40))
    clear.save(folder / "clear.png")
    records = index(service, folder)

    def shown(name: str) -> Image.Image:
        answer = service.client.get(address(records[name], "thumbnail"), params={"size": 64})
        assert answer.status_code == 200, answer.text
        return Image.open(io.BytesIO(answer.content)).convert("RGB")

    assert shown("small.png").size == (12, 12)
    assert shown("turned.jpg").size == (21, 64)
    corner = shown("clear.png").getpixel((60, 60))
    assert isinstance(corner, tuple)
    assert min(corner) > 245


def test_who_has_a_picture_already_is_not_sent_it_again(service: InProcess) -> None:
    one = some(service)
    for what, params in (("thumbnail", {"size": 64}), ("thumbnail", {"size": 128}), ("original", {})):
        first = service.client.get(f"{BASE}/{one.id}/{what}", params=params)
        etag = first.headers["etag"]
        for named in (etag, f'"other", W/{etag}', "*"):
            again = service.client.get(
                f"{BASE}/{one.id}/{what}", params=params, headers={"If-None-Match": named}
            )
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        other = service.client.get(f"{BASE}/{one.id}/{what}", params=params, headers={"If-None-Match": '"x"'})
        assert (other.status_code, other.content) == (200, first.content)


def test_a_size_that_is_not_offered_is_refused(service: InProcess) -> None:
    one = some(service)
    for size in ("63", "0", "-1", "100000", "x", ""):
        assert service.client.get(f"{BASE}/{one.id}/thumbnail", params={"size": size}).status_code == 422


def test_small_pictures_are_kept_up_to_a_number_of_bytes() -> None:
    kept = ThumbnailCache(100)
    for number in range(5):
        kept.put((f"file {number}", 64), bytes(30))
        kept.get(("file 0", 64))
    assert kept.size == 90
    found = [number for number in range(5) if kept.get((f"file {number}", 64)) is not None]
    assert found == [0, 3, 4]
    kept.put(("file 4", 64), bytes(10))
    assert kept.size == 70
    kept.put(("large", 64), bytes(101))
    assert kept.get(("large", 64)) is None
    assert kept.size == 70


FORMATS = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
}


def test_an_original_is_the_file_with_the_type_of_its_content(service: InProcess, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for place, form in enumerate(FORMATS):
        # Its name says nothing true.
        picture(place).save(folder / f"{form}.gif", form)
    records = index(service, folder)
    for form, media_type in FORMATS.items():
        answer = service.client.get(address(records[f"{form}.gif"], "original"))
        assert answer.status_code == 200, answer.text
        assert answer.content == (folder / f"{form}.gif").read_bytes()
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("inline; filename=")
        assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("name", "shown", "proposed"),
    [
        ("tank/a.jpg", "a.jpg", "a.jpg"),
        ("a.JPEG", "a.JPEG", "a.JPEG"),
        ("evil.html", "evil.html.jpg", "evil.html.jpg"),
        ("탱크.jpg", "__.jpg", "탱크.jpg"),
        ('a"; filename="b.exe', "a__ filename__b.exe.jpg", "a_; filename=_b.exe.jpg"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie_ x.jpg", "a__Set-Cookie_ x.jpg"),
        ("..\\..\\x.jpg", "x.jpg", "x.jpg"),
        ("gpj.\u202eexe", "gpj._exe.jpg", "gpj._exe.jpg"),
        ("\udcff.jpg", "_.jpg", "_.jpg"),
        ("...", "image.jpg", "image.jpg"),
    ],
)
def test_the_name_to_save_by_is_harmless(name: str, shown: str, proposed: str) -> None:
    header = disposition(name, ".jpg")
    assert header == f"inline; filename=\"{shown}\"; filename*=UTF-8''{urllib.parse.quote(proposed)}"


@settings(deadline=None)
@given(st.text(), st.sampled_from([".jpg", ".png", ".webp", ".gif", ".tif", ".bmp"]))
@example("x" * 10_000, ".png")
@example("/", ".png")
@example("..", ".png")
def test_any_name_makes_a_header_that_reads_back(name: str, suffix: str) -> None:
    header = disposition(name, suffix)
    assert header.isascii()
    assert header.isprintable()
    message = email.message.Message()
    message["Content-Disposition"] = header
    read = message.get_filename()
    assert read is not None
    assert not {"/", "\\"} & set(read)
    assert read.isprintable()
    assert not read.startswith(".")
    same = {".jpg": (".jpg", ".jpeg", ".jpe", ".jfif"), ".tif": (".tif", ".tiff"), ".png": (".png", ".apng")}
    assert read.lower().endswith(same.get(suffix, (suffix,)))


def refused(service: InProcess, one: Record, status: int, name: str = MINE) -> str:
    """Ask for both kinds of picture, which must both be refused, and return why."""
    reasons = set()
    for what in ("thumbnail", "original"):
        answer = service.client.get(address(one, what, name))
        assert answer.status_code == status, (what, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        reasons.add(answer.json()["detail"])
    (reason,) = reasons
    return str(reason)


def test_a_file_that_is_gone_or_another_by_now_is_not_shown(service: InProcess, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    names = ("gone", "longer", "script", "other", "folder", "pipe")
    for place, name in enumerate(names):
        save(folder / f"{name}.png", place)
    records = index(service, folder)
    for one in records.values():  # also where it was shown before
        assert service.client.get(address(one, "thumbnail")).status_code == 200

    def written(name: str, content: bytes) -> None:
        path = folder / f"{name}.png"
        status = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    size = records["script.png"].size
    (folder / "gone.png").unlink()
    written("longer", (folder / "longer.png").read_bytes() + b"x")
    written("script", b"<html><script>alert(1)</script>".ljust(size))
    written("other", (folder / "other.png").read_bytes()[:-1] + b"x")
    for name in ("folder", "pipe"):
        (folder / f"{name}.png").unlink()
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    for name, status in (
        ("gone", 404),
        ("longer", 409),
        ("script", 409),
        ("other", 409),  # of the same size and date: only reading it tells
        ("folder", 404),
        ("pipe", 404),
    ):
        assert str(tmp_path) not in refused(service, records[f"{name}.png"], status)


def test_what_links_lead_to_is_shown_where_it_is_what_was_indexed(
    make_service: Callable[..., InProcess], tmp_path: Path
) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "mine"
    for place, name in enumerate(("kept", "changed", "longer", "gone", "turned")):
        save(elsewhere / f"{name}.png", place)
    save(folder / "own.png", 9)
    (folder / "link.png").symlink_to(elsewhere / "turned.png")
    (folder / "inside.png").symlink_to(folder / "own.png")
    (folder / "deep").symlink_to(elsewhere)
    service = make_service()
    records = index(service, folder)
    for name, one in records.items():
        shown = service.client.get(address(one, "original"))
        assert (shown.status_code, shown.content) == (200, path_of(one).read_bytes()), name
        assert service.client.get(address(one, "thumbnail")).status_code == 200, name

    known = (elsewhere / "changed.png").read_bytes()
    (elsewhere / "changed.png").write_bytes(known[:-1] + b"x")  # as large as before
    (elsewhere / "longer.png").write_bytes(known + b"x")
    (elsewhere / "gone.png").unlink()
    (folder / "link.png").unlink()
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"root:x:0:0".ljust(records["link.png"].size))
    statuses = {"changed.png": 409, "longer.png": 403, "gone.png": 403}
    for name, status in statuses.items():
        assert str(tmp_path) not in refused(service, records[name], status)
    # A link that is turned shows nothing, be it a picture, a file of the very size, a device or nothing.
    for target, status in (
        (elsewhere / "kept.png", 403),
        (Path("/etc/passwd"), 403),
        (Path("/proc/self/environ"), 403),
        (Path("/dev/zero"), 403),
        (tmp_path / "nothing.png", 403),
        (elsewhere, 403),
        (secret, 409),
    ):
        (folder / "link.png").symlink_to(target)
        if target.name == "kept.png":
            target.write_bytes(target.read_bytes() + b"x")
        assert "link.png" not in refused(service, records["link.png"], status)
        (folder / "link.png").unlink()
    allowed = make_service(roots=(elsewhere,))
    refused(allowed, records["gone.png"], 404)
    refused(allowed, records["longer.png"], 409)


@pytest.mark.parametrize("digest", ["file", "row"])
def test_a_link_shows_no_file_that_is_no_picture(service: InProcess, tmp_path: Path, digest: str) -> None:
    """Whoever writes to the store and to the folder may know the digest of a file, and of a row need not."""
    index(service, save(tmp_path / "mine" / "own.png", 2).parent)
    notes, link = tmp_path / "notes.txt", tmp_path / "mine" / "link.png"
    notes.write_text("mine alone")
    if digest == "row":
        save(notes.with_suffix(".png"), 1).rename(notes)
    link.symlink_to(notes)
    content = notes.read_bytes()
    said = hashlib.sha256(content).hexdigest() if digest == "file" else f"{ROW}7"
    uri = file_uri(link)
    made = Record(record_id(uri), uri, said, {}, {}, len(content), 1)
    info, vectors = service.database[MINE].info(), service.database[MINE].vectors.read()[1]
    service.database.store.put(MINE, [made], {info.space: vectors[:1]})
    statuses = {
        what: service.client.get(address(made, what)).status_code for what in ("original", "thumbnail")
    }
    assert statuses == (
        {"original": 409, "thumbnail": 422} if digest == "file" else dict.fromkeys(statuses, 403)
    )


def test_a_folder_that_is_a_link_may_lead_elsewhere_one_day(service: InProcess, tmp_path: Path) -> None:
    newest = tmp_path / "newest"
    for year in ("2024", "2025"):
        save(tmp_path / year / "a.png", int(year))
        newest.unlink(missing_ok=True)
        newest.symlink_to(tmp_path / year)
        one = index(service, newest)["a.png"]
        shown = service.client.get(address(one, "original"))
        assert shown.content == (tmp_path / year / "a.png").read_bytes()


@pytest.mark.parametrize("exchanged", ["file", "folder"])
def test_what_is_exchanged_for_a_link_after_the_look_is_not_followed(
    service: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanged: str
) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "mine"
    save(folder / "deep" / "a.png", 1)
    secret.mkdir()
    shutil.copy2(folder / "deep" / "a.png", secret / "a.png")
    one = index(service, folder)["a.png"]
    assert service.client.get(address(one, "original")).status_code == 200
    realpath = os.path.realpath

    def exchange(path: Path) -> str:
        found = realpath(path)
        if found == str(folder / "deep" / "a.png"):
            if exchanged == "file":
                (folder / "deep" / "a.png").unlink()
                (folder / "deep" / "a.png").symlink_to(secret / "a.png")
            else:
                (folder / "deep").rename(tmp_path / "away")
                (folder / "deep").symlink_to(secret)
        return found

    monkeypatch.setattr(os.path, "realpath", exchange)
    assert service.client.get(address(one, "original")).status_code == 404


def test_a_record_alone_opens_no_file(service: InProcess, tmp_path: Path) -> None:
    """Whoever may write to the store may say of any file that it is an image of it."""
    outside = save(tmp_path / "outside.png", 1)
    records = index(service, save(tmp_path / "mine" / "own.png", 2).parent)
    index(service, save(tmp_path / "theirs" / "other.png", 3).parent, name="theirs")
    content = outside.read_bytes()
    uris = [
        file_uri(outside),
        file_uri(tmp_path / "mine").replace("mine", "mine/../outside.png"),
        file_uri(tmp_path / "mine" / "own.png").replace("own.png", "%00"),
        file_uri(tmp_path / "theirs" / "other.png"),
        "file:///etc/passwd",
        "file:///proc/self/environ",
        "http://127.0.0.1/x.png",
        "",
    ]
    made = [
        Record(record_id(uri), uri, hashlib.sha256(content).hexdigest(), {}, {}, len(content), 1)
        for uri in uris
    ]
    collection = service.database.store.collection(MINE)
    vectors = service.database[MINE].vectors.read()[1].repeat(len(made), axis=0)
    service.database.store.put(MINE, made, {collection.space: vectors})
    for one in made:
        refused(service, one, 403)
    assert service.client.get(address(records["own.png"], "original")).status_code == 200


def test_what_was_indexed_here_is_shown_until_its_collection_is_deleted(
    lookalike: CommandLine, tmp_path: Path, cache: Path
) -> None:
    folder = tmp_path / "mine"
    for number in range(3):
        save(folder / "good" / f"{number}.png", number)
    lookalike("index", folder, "--collection", MINE)
    with in_process(lookalike.store, cache, Settings()) as service:
        one = service.database[MINE].vectors.read()[0][0]
        assert service.client.get(address(one, "original")).status_code == 200
        shown = service.client.get(f"/v1/collections/{MINE}/images/{one.id}").json()
        assert shown["name"] == f"good/{path_of(one).name}"

        # While it runs, another process indexes a folder, and deletes the collection.
        save(tmp_path / "more" / "9.png", 9)
        lookalike("index", tmp_path / "more", "--collection", MINE)
        (other,) = [each for each in service.database[MINE].vectors.read()[0] if each.uri.endswith("/9.png")]
        assert service.client.get(address(other, "thumbnail")).status_code == 200
        records, vectors = service.database[MINE].vectors.read()
        space = service.database.store.collection(MINE).space
        lookalike("delete", MINE, "--yes")
        assert service.client.get(address(one, "original")).status_code == 404
        service.database.store.create(MINE, space)
        service.database.store.put(MINE, records, {space: vectors})
        refused(service, one, 403)


def test_a_store_is_the_same_however_its_url_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for noted, asked in (
        ("sqlite:///parts.db", f"sqlite:///{tmp_path}/link/parts.db"),
        (
            "postgresql://writer:secret@db:5432/x?schema=a&ef_search=300",
            "postgresql://reader@db:5432/x?schema=a",
        ),
        (
            "elasticsearch+http://u:secret@es:9200?prefix=a&api_key=secret",
            "elasticsearch+http://es:9200?prefix=a",
        ),
        ("oracle://scott:secret@db/x", "oracle://scott@db/x"),
    ):
        cache = tmp_path / hashlib.sha256(noted.encode()).hexdigest()
        assert remember_indexed(cache, noted, "Parts", [folder]) is None
        assert indexed_paths(cache, asked)["parts"].paths == (folder,)
        assert "secret" not in (cache / "indexed.json").read_text()
        for other in ("sqlite:///other.db", "postgresql://db:5432/x?schema=b", "oracle://tiger@db/x"):
            assert indexed_paths(cache, other) == {}


def test_of_folders_in_each_other_the_outermost_is_noted(tmp_path: Path) -> None:
    store = "sqlite:///parts.db"
    outer, inner, other = tmp_path / "a", tmp_path / "a" / "b", tmp_path / "ab"
    for folder in (outer, inner, other):
        folder.mkdir()
    file = save(inner / "1.png", 1)
    alone = save(tmp_path / "2.png", 1)
    for paths, folders, files in (
        ([file], (), (file,)),
        ([inner, file], (inner,), ()),
        ([file, alone], (inner,), (alone,)),
        ([outer, other], (outer, other), (alone,)),
        ([inner], (outer, other), (alone,)),
    ):
        remember_indexed(tmp_path, store, "parts", paths)
        noted = indexed_paths(tmp_path, store)["parts"]
        assert (noted.folders, noted.files) == (folders, files)
    remember_indexed(tmp_path, store, "탱크", [inner])
    forget_indexed(tmp_path, store, "PARTS")
    assert list(indexed_paths(tmp_path, store)) == ["탱크"]
    forget_indexed(tmp_path, store, "탱크")
    assert json.loads((tmp_path / "indexed.json").read_text()) == {}


def test_a_single_file_that_was_indexed_is_shown_and_not_its_neighbours(
    service: InProcess, tmp_path: Path
) -> None:
    file, neighbour = save(tmp_path / "mine" / "a.png", 1), save(tmp_path / "mine" / "b.png", 2)
    service.database[MINE].index([file], labels="none")
    (one,) = service.database[MINE].vectors.read()[0]
    assert service.client.get(address(one, "original")).content == file.read_bytes()
    service.database["all"].index([neighbour.parent], labels="none")
    forget_indexed(service.database.cache, service.database.url, "all")
    for each in service.database["all"].vectors.read()[0]:
        refused(service, each, 403, "all")


def test_many_processes_note_what_they_indexed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from lookalike.ingest.indexed_folders import remember_indexed\n"
        "here = Path(sys.argv[1])\n"
        "for number in range(20):\n"
        "    folder = here / f'{sys.argv[2]}-{number}'\n"
        "    folder.mkdir()\n"
        "    assert remember_indexed(here, 'sqlite:///parts.db', 'parts', [folder]) is None\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(number)], cwd=tmp_path) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(indexed_paths(tmp_path, f"sqlite:///{tmp_path}/parts.db")["parts"].folders) == 80


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    save(tmp_path / "mine" / "a.png", 1)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "indexed.json").mkdir()
    with Database(f"sqlite:///{tmp_path}/parts.db", cache=tmp_path / "cache") as database:
        database[MINE].index([tmp_path / "mine"])
        assert any("--root" in problem for problem in database.problems)


def test_the_threads_that_draw_do_not_keep_searches_waiting(service: InProcess, tmp_path: Path) -> None:
    """A picture whose file does not come to an end, as on a disk that hangs, blocks those that draw alone."""
    one = some(service)
    begun, go_on = threading.Event(), threading.Event()
    opened = service.service.roots.open

    def hang(collection: str, record: Record, *, compared: bool) -> object:
        begun.set()
        assert go_on.wait(30)
        return opened(collection, record, compared=compared)

    service.service.roots.open = hang  # type: ignore[method-assign,assignment]
    answers: list[int] = []

    def ask() -> None:
        answers.append(service.client.get(f"{BASE}/{one.id}/original").status_code)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    assert service.client.get(f"{BASE}/{one.id}").status_code == 200
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 12
