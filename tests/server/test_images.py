"""Images over HTTP: added, looked at, put right, removed; and the collections they are in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from lookalike.database import Database
from lookalike.server.auth.keys import new_key
from lookalike.server.caches import field_counts
from lookalike.testing.samples import STRANGE_TEXTS
from lookalike.types import Record
from lookalike.uris import file_uri, record_id, uri_path
from tests.mean_colours import picture, save
from tests.service import COLLECTION, InProcess, Server

ROOT = Path(__file__).parents[2]
BASE = f"/v1/collections/{COLLECTION}"
MODEL = "efficientnet-lite0"


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def writable(make_service: Callable[..., InProcess], uploads: Path) -> InProcess:
    """A service that takes pictures."""
    return make_service(uploads=uploads)


def png(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "png")
    return file.getvalue()


def add(
    service: InProcess | httpx.Client,
    *pictures: bytes | tuple[str, bytes],
    name: str = COLLECTION,
    **parts: object,
) -> Any:
    """Send pictures, with parts that are made JSON unless they are strings."""
    client = service.client if isinstance(service, InProcess) else service
    named = [
        each if isinstance(each, tuple) else (f"{place}.png", each) for place, each in enumerate(pictures)
    ]
    data = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parts.items()}
    files = [("image", (file, content, "application/octet-stream")) for file, content in named]
    return client.post(f"/v1/collections/{name}/images", files=files, data=data)


def patch(service: InProcess, identity: str, **correction: object) -> Any:
    return service.client.patch(
        f"{BASE}/images/{identity}",
        # httpx writes UTF-8, which has no half surrogates.
        content=json.dumps(correction),
        headers={"Content-Type": "application/json"},
    )


def get(service: InProcess, identity: str) -> Any:
    return service.client.get(f"{BASE}/images/{identity}")


def some(service: InProcess) -> Record:
    return service.database[COLLECTION].vectors.read()[0][0]


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# Adding


def test_a_picture_that_is_added_is_kept_searched_and_shown(writable: InProcess, uploads: Path) -> None:
    content = png(1)
    answer = add(
        writable, ("tank/탱크 <b>1.png", content), fields={"label": "rust", "n": 3}, metadata={"a": [1]}
    )
    assert answer.status_code == 201, answer.text
    (image,) = answer.json()["images"]
    digest = hashlib.sha256(content).hexdigest()
    path = uploads / COLLECTION / digest[:2] / f"{digest}.png"
    assert image == {
        "id": record_id(file_uri(path)),
        "name": "tank/탱크 <b>1.png",
        "fields": {"label": "rust", "n": 3},
        "metadata": {"a": [1]},
        "digest": digest,
        "size": len(content),
        "time": None,
        "taken": datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat().replace("+00:00", "Z"),
        "corrected": {},
        "confirmed": [],
    }
    assert answer.json()["skipped"] == []
    assert files_below(uploads) == [path]
    assert path.read_bytes() == content
    assert get(writable, image["id"]).json() == image
    assert writable.client.get(f"{BASE}/images/{image['id']}/original").content == content
    assert writable.client.get(f"{BASE}/images/{image['id']}/thumbnail").status_code == 200
    found = writable.client.post(f"{BASE}/search", json={"terms": [{"id": image["id"]}], "k": 1}).json()
    assert [(hit["id"], hit["name"]) for hit in found["hits"]] == [(image["id"], image["name"])]
    judged = writable.client.post(f"{BASE}/classify", json={"by": "label", "ids": [image["id"]]}).json()
    assert judged["predictions"][0]["name"] == image["name"]
    # As `index` makes it: nothing changes when it looks at the same file, and no label of folders is added.
    report = writable.database[COLLECTION].index([uploads])
    assert (report.images, report.unchanged, report.embedded) == (1, 1, 0)
    assert get(writable, image["id"]).json() == image


def test_the_same_picture_twice_is_one_image_and_its_fields_are_the_last(writable: InProcess) -> None:
    count = writable.database.store.collection(COLLECTION).count
    first = add(writable, png(1), png(1), png(2), fields=[{"a": 1, "b": 1}, {"a": 2}, {"a": 3}])
    one, same, other = first.json()["images"]
    assert one == same
    assert one["id"] != other["id"]
    assert one["fields"] == {"a": 2, "b": 1}
    assert add(writable, ("again.png", png(1)), fields={"c": True}).status_code == 201
    again = get(writable, one["id"]).json()
    assert again["fields"] == {"a": 2, "b": 1, "c": True}
    assert again["name"] == "again.png"
    assert writable.database.store.collection(COLLECTION).count == count + 2
    # What a person put right meanwhile is not undone by a request that is repeated.
    patch(writable, one["id"], fields={"a": 9})
    assert add(writable, png(1), fields={"a": 2}).json()["images"][0]["fields"]["a"] == 9
    assert add(writable, png(1), fields={"a": 5}).json()["images"][0]["fields"]["a"] == 5


def test_a_picture_whose_file_was_damaged_is_mended_by_adding_it_again(
    writable: InProcess, uploads: Path
) -> None:
    (image,) = add(writable, png(1), fields={"a": 1}).json()["images"]
    (path,) = files_below(uploads)
    path.write_bytes(bytes(image["size"]))
    assert add(writable, png(1)).json()["images"][0]["id"] == image["id"]
    assert files_below(uploads) == [path]
    assert path.read_bytes() == png(1)


def test_what_is_no_picture_is_skipped_and_the_others_are_added(writable: InProcess, uploads: Path) -> None:
    answer = add(writable, ("no.jpg", b"no picture"), ("yes.png", png(1)), ("half.png", png(2)[:200]))
    assert answer.status_code == 201
    assert [image["name"] for image in answer.json()["images"]] == ["yes.png"]
    assert [each["name"] for each in answer.json()["skipped"]] == ["no.jpg", "half.png"]
    assert len(files_below(uploads)) == 1
    refused = add(writable, ("no.jpg", b"no picture"), ("empty.jpg", b""))
    assert refused.status_code == 422
    assert "no.jpg" in refused.json()["detail"]
    assert len(files_below(uploads)) == 1


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "gif", "tiff", "bmp"])
def test_each_format_is_kept_byte_by_byte(writable: InProcess, uploads: Path, form: str) -> None:
    file = io.BytesIO()
    picture(1).save(file, form)
    answer = add(writable, ("x.html", file.getvalue()))
    assert answer.status_code == 201, answer.text
    (path,) = files_below(uploads)
    assert path.read_bytes() == file.getvalue()
    shown = writable.client.get(f"{BASE}/images/{answer.json()['images'][0]['id']}/original")
    assert shown.headers["content-type"] == f"image/{form}"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({"fields": "no json"}, 422),
        ({"fields": "[1]"}, 422),
        ({"fields": '{"a": null}'}, 422),
        ({"fields": '{"a": {"b": 1}}'}, 422),
        ({"fields": '{"a": NaN}'}, 400),
        ({"fields": '{"a": 1e999}'}, 400),
        ({"fields": '{"a": 9223372036854775808}'}, 400),
        ({"fields": '{"": 1}'}, 400),
        ({"fields": "[{}, {}]"}, 400),
        ({"fields": "1" * 5000}, 422),
        ({"fields": "[" * 100_000}, 400),
        ({"fields": json.dumps({str(number): 1 for number in range(1001)})}, 400),
        ({"fields": json.dumps({str(number): [] for number in range(1001)})}, 400),
        ({"fields": json.dumps([[]] * 1001)}, 400),
        ({"metadata": "[]"}, 400),
        ({"metadata": "7"}, 422),
        ({"metadata": '{"a": NaN}'}, 400),
        ({"metadata": '{"a": ' + "[" * 940 + "]" * 940 + "}"}, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_labels_that_cannot_be_are_refused_before_anything_is_kept(
    writable: InProcess, uploads: Path, parts: dict[str, str], status: int
) -> None:
    answer = add(writable, png(1), **parts)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
        answer.text
    )
    assert not uploads.exists()


def test_without_a_place_for_them_or_without_pictures_it_says_so(
    service: InProcess, writable: InProcess
) -> None:
    refused = add(service, png(1))
    assert refused.status_code == 501
    assert "--uploads" in refused.json()["detail"]
    assert writable.client.post(f"{BASE}/images", json={}).status_code == 415
    assert writable.client.post(f"{BASE}/images", files={"other": ("x.png", png(1))}).status_code == 400
    assert add(writable, png(1), name="nowhere").status_code == 404


def test_more_pictures_than_a_request_may_have_are_refused(
    make_service: Callable[..., InProcess], uploads: Path
) -> None:
    service = make_service(uploads=uploads, max_images=2)
    assert add(service, png(1), png(2), fields={}).status_code == 201
    assert add(service, png(3), png(4), png(5)).status_code == 400
    assert len(files_below(uploads)) == 2


def test_pictures_get_all_vectors_of_a_fitted_collection(writable: InProcess) -> None:
    writable.database[COLLECTION].fit("label")
    store = writable.database.store
    (image,) = add(writable, png(1), fields={"label": "new"}).json()["images"]
    _, vectors = store.vectors_of(COLLECTION, [image["id"]])
    assert [len(rows) for rows in vectors.values()] == [1, 1]
    assert patch(writable, image["id"], fields={"label": "old"}).status_code == 200
    assert store.get(COLLECTION, [image["id"]])[0].fields == {"label": "old"}
    assert writable.client.delete(f"{BASE}/images/{image['id']}").status_code == 204
    assert store.get(COLLECTION, [image["id"]]) == []


def test_new_features_are_kept(writable: InProcess) -> None:
    content = png(hash(str(writable.database.url)) % 2**32)
    embedder = writable.database.embedder(MODEL)
    digest = hashlib.sha256(content).hexdigest()
    assert writable.database.features(embedder).get(digest) is None
    assert add(writable, content).status_code == 201
    assert writable.database.features(embedder).get(digest) is not None


def test_what_was_acknowledged_outlives_a_kill(
    start_server: Callable[..., Server], store_url: str, cache: Path, uploads: Path
) -> None:
    server = start_server("--uploads", uploads)
    acknowledged: list[dict[str, Any]] = []
    enough = threading.Event()

    def send(first: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            for seed in range(first, first + 1000, 2):
                try:
                    answer = add(client, png(seed), png(seed + 1), fields={"seed": seed})
                except httpx.TransportError:
                    return
                assert answer.status_code == 201, answer.text
                acknowledged.extend(answer.json()["images"])
                if len(acknowledged) >= 24:
                    enough.set()

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, 10_000 * number) for number in range(1, 5)]
        assert enough.wait(60)
        server.stop(signal.SIGKILL)
        for each in sent:
            each.result()
    with Database(store_url, cache=cache) as database:
        records = {one.id: one for one in database.store.get(COLLECTION, [one["id"] for one in acknowledged])}
        for image in acknowledged:
            record = records[image["id"]]
            assert record.fields == image["fields"]
            assert hashlib.sha256(uri_path(record.uri).read_bytes()).hexdigest() == image["digest"]
        # What was under way is whole or not there.
        for path in files_below(uploads):
            assert path.name.startswith(".") or hashlib.sha256(path.read_bytes()).hexdigest() == path.stem


def isolated(mount: str, program: str, *words: str | Path) -> list[str]:
    """Run a program with a mount that only it sees; return the lines it prints."""
    own = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")
    before = (*own, "sh", "-c", f'{mount} && exec "$@"', str(words[0]))
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    command = [*before, sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


FULL = """
import sys
from pathlib import Path
from lookalike.server.settings import Settings
from tests.service import COLLECTION, in_process
from tests.server.test_images import add, files_below, png
small, url, cache = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
with in_process(url, cache, Settings(uploads=small / "uploads")) as service:
    count = service.database.store.collection(COLLECTION).count
    before = add(service, png(1)).json()["images"][0]
    ballast = small / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    with ballast.open("rb+") as file:
        file.truncate(ballast.stat().st_size - 2 * 4096)
    # The first of them still has room.
    refused = add(service, *(png(seed) for seed in range(2, 30)))
    print(refused.status_code, refused.json()["error"], str(small) in refused.text)
    print(service.database.store.collection(COLLECTION).count - count, len(files_below(small / "uploads")))
    ballast.unlink()
    print(add(service, *(png(seed) for seed in range(2, 30))).status_code)
"""


def test_a_full_disk_is_named_and_nothing_is_half_added(tmp_path: Path, store_url: str, cache: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    said = isolated('mount -t tmpfs -o size=1m tmpfs "$0"', FULL, small, store_url, cache)
    assert said == ["507 Refused False", "1 1", "201"]


READ_ONLY = """
import sys
from pathlib import Path
from lookalike.server.settings import Settings
from tests.service import COLLECTION, in_process
from tests.server.test_images import BASE, add, patch, png, some
folder, cache, uploads = map(Path, sys.argv[1:])
with in_process(f"sqlite:///{folder}/service.db", cache, Settings(uploads=uploads)) as service:
    one = some(service)
    address = f"{BASE}/images/{one.id}"
    answers = [
        patch(service, one.id, fields={"label": "x"}),
        service.client.delete(address),
        add(service, png(1)),
        service.client.post("/v1/collections", json={"name": "new", "model": "efficientnet-lite0"}),
        service.client.delete(BASE),
    ]
    for answer in answers:
        print(answer.status_code, answer.json()["error"], str(folder) in answer.text)
    print(service.client.get(address).status_code, uploads.exists() and len(list(uploads.rglob("*.png"))))
"""


def test_a_store_that_may_only_be_read_is_named(tmp_path: Path, store_url: str, cache: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    shutil.copyfile(store_url.removeprefix("sqlite:///"), folder / "service.db")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    said = isolated(mount, READ_ONLY, folder, cache, tmp_path / "uploads")
    assert said == ["403 StoreReadOnly False"] * 5 + ["200 0"]


# Putting right


def test_fields_are_changed_removed_and_confirmed(service: InProcess) -> None:
    one = some(service)
    before = get(service, one.id).json()
    assert (before["corrected"], before["confirmed"]) == ({}, [])
    changed = patch(service, one.id, fields={"label": "rust", "mixed": None, "new": 1.5}, confirm=["label"])
    assert changed.status_code == 200, changed.text
    after = changed.json()
    assert after["fields"] == {"label": "rust", "new": 1.5}
    assert after["corrected"] == {
        "label": before["fields"]["label"],
        "mixed": before["fields"]["mixed"],
        "new": None,
    }
    assert after["confirmed"] == ["label"]
    assert get(service, one.id).json() == after
    undone = patch(service, one.id, fields=after["corrected"])
    assert undone.json() == before
    # Only confirmed: nothing is changed.
    assert patch(service, one.id, confirm=["label"]).json() == {**before, "confirmed": ["label"]}
    assert patch(service, one.id).json() == {**before, "confirmed": ["label"]}


def test_a_correction_over_http_outlives_the_command_that_indexes(
    service: InProcess, pictures: Path, store_url: str, cache: Path
) -> None:
    # The shared store has a field that no folder says, so that is taken away first.
    service.database[COLLECTION].index([pictures])
    one = some(service)
    patch(service, one.id, fields={"label": "rust"}, confirm=["label"])
    with Database(store_url, cache=cache) as other:
        report = other[COLLECTION].index([pictures])
    assert (report.relabelled, report.unchanged) == (0, 60)
    shown = get(service, one.id).json()
    assert (shown["fields"]["label"], shown["confirmed"]) == ("rust", ["label"])


@pytest.mark.parametrize(
    ("correction", "status"),
    [
        ({"fields": {"": 1}}, 400),
        ({"fields": {"a": 1 << 63}}, 400),
        ({"fields": {"a": "x" * 100_001}}, 400),
        ({"fields": {"a" * 10_001: 1}}, 400),
        ({"fields": {str(number): 1 for number in range(1001)}}, 400),
        ({"confirm": ["colour"]}, 400),
        ({"fields": {"a": [1]}}, 422),
        ({"fields": {"a": {}}}, 422),
        ({"fields": {"a": float("nan")}}, 422),
        ({"fields": [["a", 1]]}, 422),
        ({"other": 1}, 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_corrections_that_cannot_be_are_refused(
    service: InProcess, correction: dict[str, object], status: int
) -> None:
    one = some(service)
    before = get(service, one.id).json()
    answer = patch(service, one.id, **correction)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert get(service, one.id).json() == before


def test_strange_names_and_labels_go_in_and_out_unharmed(writable: InProcess) -> None:
    texts = [
        *STRANGE_TEXTS,
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "\ud800",
        "a\u202eb",
    ]
    one = some(writable)
    fields = {text or "empty": text for text in texts}
    changed = patch(writable, one.id, fields=fields)
    assert changed.status_code == 200, changed.text
    for answer in (changed, get(writable, one.id)):
        assert {name: answer.json()["fields"][name] for name in fields} == fields
    listed = writable.client.get(f"{BASE}/values").json()["fields"]
    assert fields.items() <= {each["field"]: each["values"][0]["value"] for each in listed}.items()
    found = writable.client.post(f"{BASE}/search", json={"terms": [{"id": one.id}], "k": 1}).json()
    assert found["hits"][0]["fields"] == changed.json()["fields"]
    refused = patch(writable, one.id, fields={"\ud800": {"<b>": 1}})
    assert refused.status_code == 422
    added = add(writable, png(1), fields=fields, metadata={"texts": texts}).json()["images"][0]
    assert added["fields"] == fields
    assert added["metadata"] == {"texts": texts}
    for name in ("탱크 👩‍🔬.png", "<b>&amp;'x'.png", "x" * 1000):
        assert add(writable, (name, png(2))).json()["images"][0]["name"] == name


def test_of_two_who_correct_one_image_at_once_neither_loses_anything(service: InProcess) -> None:
    one = some(service)

    def correct(number: int) -> int:
        code: int = patch(service, one.id, fields={f"field {number}": number}).status_code
        return code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(correct, range(40))) == {200}
    fields = get(service, one.id).json()["fields"]
    assert [fields.get(f"field {number}") for number in range(40)] == list(range(40))


# Removing


def test_an_image_that_is_removed_leaves_the_users_own_file(writable: InProcess, uploads: Path) -> None:
    one = some(writable)
    path = uri_path(one.uri)
    assert writable.client.delete(f"{BASE}/images/{one.id}").status_code == 204
    assert path.is_file()
    for what in ("", "/thumbnail", "/original"):
        assert writable.client.get(f"{BASE}/images/{one.id}{what}").status_code == 404
    assert writable.client.delete(f"{BASE}/images/{one.id}").status_code == 404
    assert patch(writable, one.id, fields={}).status_code == 404
    (added,) = add(writable, path.read_bytes()).json()["images"]
    assert len(files_below(uploads)) == 1
    assert writable.client.delete(f"{BASE}/images/{added['id']}").status_code == 204
    assert list(uploads.iterdir()) == []
    assert path.is_file()


def test_a_file_that_another_record_refers_to_stays(writable: InProcess, uploads: Path) -> None:
    store = writable.database.store
    images = add(writable, png(1), png(2)).json()["images"]
    one, other = (image["id"] for image in images)
    collection = store.collection(COLLECTION)
    store.create("second", collection.space)
    records, vectors = writable.database[COLLECTION].vectors.read()
    row = [record.id for record in records].index(one)
    store.put("second", [records[row]], {collection.space: vectors[row : row + 1]})
    assert writable.client.delete(f"{BASE}/images/{one}").status_code == 204
    assert len(files_below(uploads)) == 2
    assert writable.client.delete(BASE).json() == {"deleted": len(records) - 1}
    (left,) = files_below(uploads)
    assert left == uri_path(records[row].uri)
    assert store.get(COLLECTION, [other]) == [] if COLLECTION in _names(writable) else True
    assert writable.client.delete("/v1/collections/second").json() == {"deleted": 1}
    assert files_below(uploads) == []


def _names(service: InProcess) -> list[str]:
    return [each.name for each in service.database.store.collections()]


def test_only_files_that_were_added_are_deleted_even_where_uploads_is_ones_own_folder(
    make_service: Callable[..., InProcess], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    for number in range(3):
        save(own / "textile" / "ab" / f"{number}.png", number)
    service = make_service(uploads=own)
    service.database["mine"].index([own])
    for one in service.database["mine"].vectors.read()[0][:1]:
        assert service.client.delete(f"/v1/collections/mine/images/{one.id}").status_code == 204
    assert service.client.delete("/v1/collections/mine").json() == {"deleted": 2}
    assert len(files_below(own)) == 3


# Collections


def test_a_name_longer_than_a_folders_may_be_is_no_hindrance(writable: InProcess, uploads: Path) -> None:
    name = "\U00020000" * 64  # of CJK Extension B: 256 bytes
    assert writable.client.post("/v1/collections", json={"name": name, "model": MODEL}).status_code == 201
    assert add(writable, png(1), name=name).status_code == 201
    assert writable.client.delete(f"/v1/collections/{name}").json() == {"deleted": 1}
    assert files_below(uploads) == []


def test_what_a_kill_left_of_a_picture_goes_in_time(writable: InProcess, uploads: Path) -> None:
    first, second = png(1), png(2)
    folder = uploads / COLLECTION / hashlib.sha256(first).hexdigest()[:2]
    folder.mkdir(parents=True)
    old, new = folder / ".a.png.0.part", folder / ".b.png.0.part"
    for part in (old, new):
        part.write_bytes(b"half a picture")
    os.utime(old, (0, 0))
    assert add(writable, second).status_code == add(writable, first).status_code == 201
    assert not old.exists()
    assert new.exists()


def test_a_collection_is_made_filled_and_deleted(writable: InProcess, uploads: Path) -> None:
    made = writable.client.post("/v1/collections", json={"name": "탱크", "model": MODEL})
    assert made.status_code == 201, made.text
    assert made.json()["count"] == 0
    assert writable.client.get(made.headers["location"]).json() == made.json()
    again = writable.client.post("/v1/collections", json={"name": "탱크", "model": MODEL})
    assert (again.status_code, again.json()["error"]) == (409, "CollectionExists")
    assert add(writable, png(1), png(2), name="탱크").status_code == 201
    assert writable.client.get("/v1/collections/탱크").json()["count"] == 2
    assert len(files_below(uploads)) == 2
    assert writable.client.delete("/v1/collections/탱크").json() == {"deleted": 2}
    assert writable.client.get("/v1/collections/탱크").status_code == 404
    assert list(uploads.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "model", "status"),
    [
        ("a b", MODEL, 400),
        ("lookalike_x", MODEL, 400),
        ("../x", MODEL, 400),
        ("", MODEL, 422),
        ("x" * 65, MODEL, 422),
        ("\ud800", MODEL, 422),
        ("new", "no-such-model", 404),
        ("new", "onnx:/etc/passwd", 404),
        ("new", "timm:resnet18", 404),
        (COLLECTION.upper(), MODEL, 409),
    ],
)
def test_a_collection_that_cannot_be_is_refused(
    service: InProcess, name: str, model: str, status: int
) -> None:
    body = json.dumps({"name": name, "model": model})
    headers = {"Content-Type": "application/json"}
    answer = service.client.post("/v1/collections", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert _names(service) == [COLLECTION]


def test_only_what_is_served_can_be_made_changed_or_seen(
    make_service: Callable[..., InProcess], uploads: Path
) -> None:
    service = make_service(collections=("other", "new"), uploads=uploads)
    one = some(service)
    refused = service.client.post("/v1/collections", json={"name": "third", "model": MODEL})
    assert refused.status_code == 403
    assert service.client.post("/v1/collections", json={"name": "new", "model": MODEL}).status_code == 201
    assert patch(service, one.id, fields={}).status_code == 404
    assert add(service, png(1)).status_code == 404
    for address in (BASE, f"{BASE}/images/{one.id}"):
        assert service.client.delete(address).status_code == 404
    for address in ("", "/thumbnail", "/original"):
        assert service.client.get(f"{BASE}/images/{one.id}{address}").status_code == 404
    assert service.client.get(f"{BASE}/values").status_code == 404
    assert service.database.store.get(COLLECTION, [one.id]) == [one]


def test_a_key_that_may_only_read_changes_nothing(
    make_service: Callable[..., InProcess], uploads: Path
) -> None:
    secret, key = new_key("reader", "read")
    service = make_service(uploads=uploads, keys=str(key))
    service.client.headers["Authorization"] = f"Bearer {secret}"
    one = some(service)
    assert service.client.get(f"{BASE}/images/{one.id}").status_code == 200
    for answer in (
        add(service, png(1)),
        patch(service, one.id, fields={"label": "x"}),
        service.client.delete(f"{BASE}/images/{one.id}"),
        service.client.delete(BASE),
        service.client.post("/v1/collections", json={"name": "new", "model": MODEL}),
    ):
        assert answer.status_code == 403, answer.text
    assert service.database.store.get(COLLECTION, [one.id]) == [one]
    assert not uploads.exists()


# Values


def test_values_are_counted_by_field_the_most_frequent_first(service: InProcess) -> None:
    listed = {each["field"]: each for each in service.client.get(f"{BASE}/values").json()["fields"]}
    assert list(listed) == sorted(listed)
    assert listed["label"] == {
        "field": "label",
        "distinct": 3,
        "values": [{"value": value, "count": 20} for value in ("global", "local", "nominal")],
    }
    # By value where they are equally many: booleans, numbers, strings.
    mixed = [(type(each["value"]), each["value"]) for each in listed["mixed"]["values"]]
    assert mixed == [(bool, True), (int, 1), (float, 1.5), (str, "1"), (str, "true")]
    assert {each["count"] for each in listed["mixed"]["values"]} == {12}


def test_of_many_values_the_first_are_listed(service: InProcess) -> None:
    _, vectors = service.database[COLLECTION].vectors.read()
    made = [
        Record(
            record_id(f"file:///x/{n}"), f"file:///x/{n}", "0" * 64, {"n": n % 250, "one": n % 2}, {}, 1, 1
        )
        for n in range(500)
    ]
    space = service.database[COLLECTION].info().space
    service.database.store.put(COLLECTION, made, {space: vectors[[0] * 500]})
    listed = {each["field"]: each for each in service.client.get(f"{BASE}/values").json()["fields"]}
    assert listed["n"]["distinct"] == 250
    assert listed["n"]["values"] == [{"value": value, "count": 2} for value in range(200)]
    assert listed["one"]["values"] == [{"value": 0, "count": 250}, {"value": 1, "count": 250}]


def test_counts_are_kept_for_a_while_and_forgotten_with_what_this_service_writes(
    writable: InProcess,
) -> None:
    now = 1000.0
    writable.service.field_counts = field_counts.FieldCountCache(writable.database, lambda: now)

    def labels() -> dict[str, int]:
        listed = writable.client.get(f"{BASE}/values").json()["fields"]
        return {
            each["value"]: each["count"]
            for one in listed
            if one["field"] == "label"
            for each in one["values"]
        }

    one = some(writable)
    assert labels() == {"global": 20, "local": 20, "nominal": 20}
    writable.database[COLLECTION].correct(one.id, {"label": "elsewhere"})  # as another process would
    assert "elsewhere" not in labels()
    patch(writable, one.id, fields={"label": "here"})
    assert labels()["here"] == 1
    (added,) = add(writable, png(1), fields={"label": "added"}).json()["images"]
    assert labels()["added"] == 1
    writable.client.delete(f"{BASE}/images/{added['id']}")
    assert "added" not in labels()
    writable.database[COLLECTION].correct(one.id, {"label": "elsewhere"})
    now += 59
    assert "elsewhere" not in labels()
    now += 2
    assert labels()["elsewhere"] == 1


def test_many_who_ask_for_values_at_once_let_them_be_counted_once(
    service: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_values = field_counts.count_values
    go_on = threading.Event()
    counted: list[str] = []

    def slow(database: Database, name: str) -> object:
        counted.append(name)
        assert go_on.wait(30)
        return count_values(database, name)

    monkeypatch.setattr(field_counts, "count_values", slow)
    answers: list[int] = []

    def ask() -> None:
        answers.append(service.client.get(f"{BASE}/values").status_code)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    # More than there are threads for it, and others are answered all the same.
    assert get(service, some(service).id).status_code == 200
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20
    assert counted == [COLLECTION]


def test_a_failed_count_is_not_kept(service: InProcess) -> None:
    store = service.database.store
    store.create("gone", store.collection(COLLECTION).space)
    assert service.client.get("/v1/collections/gone/values").json() == {"fields": []}
    store.delete("gone")
    assert service.client.get("/v1/collections/gone/values").status_code == 404


def test_what_a_picture_says_of_its_size_is_believed_by_nobody(
    make_service: Callable[..., InProcess], uploads: Path
) -> None:
    service = make_service(uploads=uploads, max_pixels=10_000)
    large = io.BytesIO()
    Image.new("RGB", (200, 100), (9, 9, 9)).save(large, "png")
    assert add(service, ("large.png", large.getvalue())).status_code == 422
    assert not uploads.exists()
