"""Folders and buckets that a client may have indexed: those below the service's roots, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike.server.auth.keys import new_key
from lookalike.server.settings import Settings
from lookalike.server.storage.allowed_folders import AllowedFolders
from lookalike.sources.files import find
from lookalike.sources.patterns import Patterns
from tests.mean_colours import save
from tests.server.test_jobs import done, ended, got, start
from tests.server.test_object_images import png
from tests.servers.s3 import Bucket
from tests.service import InProcess, in_process

Make = Callable[..., InProcess]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root with folders of difficult names, and links in it and out of it."""
    tmp_path = tmp_path_factory.mktemp("tree")
    root = tmp_path / "allowed" / "photographs"
    secret = tmp_path / "secret"
    save(secret / "secret.png", 1)
    for name, count in (("붓 [1]/한국 +%*.png", 2), ("plain/a.png", 3), ("plain/deep/b.png", 4)):
        save(root / name, count)
    (root / "plain" / "film.mp4").write_bytes(b"no film")
    (root / "plain" / "notes.txt").write_text("notes")
    (root / ".hidden").mkdir()
    (root / "@eaDir").mkdir()
    (root / "out").symlink_to(secret)
    (root / "plain" / "o*t [2]").symlink_to(secret)
    (root / "plain" / "file.png").symlink_to(secret / "secret.png")
    (root / "inside").symlink_to(root / "plain")
    (root / "closed").mkdir(mode=0)
    Path(os.fsdecode(os.fsencode(root) + b"/\xb0\xa1")).mkdir()
    yield root
    (root / "closed").chmod(0o700)


@pytest.fixture(scope="module")
def picking(tree: Path, cache: Path) -> Iterator[InProcess]:
    url = f"sqlite:///{tree.parent / 'picking.db'}"
    with in_process(url, cache, Settings(roots=(tree,))) as service:
        yield service


def level(service: InProcess, path: str = "", status: int = 200, root: str = "photographs") -> Any:
    answer = service.client.get("/v1/folders", params={"root": root, "path": path})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_folders_are_listed_below_the_roots_and_not_where_they_lie(picking: InProcess, tree: Path) -> None:
    roots = got(picking, "/v1/folders")
    assert [each["name"] for each in roots["folders"]] == ["photographs"]
    top = level(picking)
    problems = {each["name"]: each["problem"] for each in top["folders"]}
    assert list(problems) == ["closed", "inside", "out", "plain", "붓 [1]", "\ufffd\ufffd"]
    assert [problems[name] for name in ("inside", "plain", "붓 [1]")] == [None] * 3
    assert problems["out"] == "outside"
    assert problems["\ufffd\ufffd"] == "unnameable"
    if not os.access(tree / "closed", os.R_OK):  # root may read everything
        assert problems["closed"] == "closed"
        level(picking, "closed", 403)
    plain = level(picking, "plain")
    # A link to a file is a file; whether it leads out shows when it is indexed.
    assert (plain["images"], plain["films"]) == (2, 1)
    assert [each["path"] for each in plain["folders"]] == ["plain/deep", "plain/o*t [2]"]
    assert level(picking, "붓 [1]")["images"] == 1
    assert str(tree.parent) not in str([roots, top, plain])


def test_nothing_else_is_listed_or_indexed(picking: InProcess) -> None:
    picking.database.create("none", "efficientnet-lite0")
    for path in (
        "..", "plain/..", "plain/../../..", ".", "plain//deep", "/etc", "/", "plain/", "none", "plain/a.png",
        "a\0b", "out", "out/..", "plain/o*t [2]", "\ufffd", "x" * 300, "..\\..",
    ):  # fmt: skip
        status = 403 if path in ("out", "plain/o*t [2]") else 404
        assert "secret" not in str(level(picking, path, status))
        query = {"folder": {"root": "photographs", "path": path}}
        answer = picking.client.post("/v1/collections/none/indexings", json=query)
        assert answer.status_code == status, path
    query = {"folder": {"root": "photographs", "path": "\ud800"}}
    answer = picking.client.post("/v1/collections/none/indexings", content=json.dumps(query), headers=JSON)
    assert answer.status_code == 422
    for root in ("/etc", "allowed/photographs", "secret", "", ".."):
        assert picking.client.get("/v1/folders", params={"root": root}).status_code == 404
    assert got(picking, "/v1/jobs") == {"jobs": []}


def test_a_folder_is_indexed_without_what_links_lead_to_outside(picking: InProcess, tree: Path) -> None:
    picking.database.create("새것", "efficientnet-lite0")
    folder = {"root": "photographs", "path": "plain"}
    job = done(picking, "indexings", {"folder": folder, "labels": "none"}, "새것")
    found = got(picking, f"{job}/indexing")
    assert (found["added"], found["skipped"]) == (2, [])
    assert sum(each["count"] for each in found["left_out"]) == 2
    everything = done(picking, "indexings", {"folder": {"root": "photographs"}}, "새것")
    assert got(picking, f"{everything}/indexing")["added"] == 1
    records, _ = picking.database["새것"].vectors.read()
    assert not [each.uri for each in records if "secret" in each.uri or "/out/" in each.uri]
    # What was left out is left out when it is indexed again, too.
    again = done(picking, "indexings", {}, "새것")
    assert got(picking, f"{again}/indexing")["images"] == 3
    assert str(tree.parent) not in str(found)


def test_a_folder_that_is_exchanged_for_a_link_meanwhile_is_not_indexed(
    picking: InProcess, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picking.database.create("other", "efficientnet-lite0")
    save(tree / "plain" / "later" / "c.png", 5)
    find = picking.service.folders.find

    def exchange(root: str, path: str) -> Any:
        found = find(root, path)
        (tree / "plain" / "later").rename(tree.parent / "moved")
        (tree / "plain" / "later").symlink_to(tree.parents[1] / "secret")
        monkeypatch.undo()
        return found

    monkeypatch.setattr(picking.service.folders, "find", exchange)
    query = {"folder": {"root": "photographs", "path": "plain/later"}}
    problem = ended(picking, start(picking, "indexings", query, "other"))["problem"]
    assert problem["status"] == 403
    assert picking.database["other"].info().count == 0
    (tree / "plain" / "later").unlink()


def test_roots_of_one_name_are_told_apart_and_files_are_none(make_service: Make, tmp_path: Path) -> None:
    roots = [tmp_path / name / "parts" for name in ("one", "two")]
    for number, root in enumerate(roots):
        save(root / "a.png", number)
    service = make_service(roots=(*roots, roots[0] / "a.png", tmp_path / "gone"))
    names = [each["name"] for each in got(service, "/v1/folders")["folders"]]
    assert names == ["one/parts", "two/parts"]
    assert level(service, root="one/parts")["images"] == 1
    level(service, root="parts", status=404)


def test_a_key_that_reads_sees_no_folders(make_service: Make, tree: Path) -> None:
    keys = {may: new_key(may, may) for may in ("read", "write")}
    service = make_service(roots=(tree,), keys=",".join(str(line) for _, line in keys.values()))
    for may, status in (("read", 403), ("write", 200)):
        headers = {"Authorization": f"Bearer {keys[may][0]}"}
        assert service.client.get("/v1/folders", headers=headers).status_code == status


def test_models_of_a_new_collection_are_those_that_make_one(picking: InProcess) -> None:
    known = {each["id"]: each["capabilities"] for each in got(picking, "/v1/embedders")["data"]}
    assert known["efficientnet-lite0"] == ["images", "texts"]
    for number, name in enumerate(known):
        made = picking.client.post("/v1/collections", json={"name": f"made{number}", "model": name})
        assert made.status_code == 201


@pytest.mark.xdist_group("s3")
def test_a_bucket_is_listed_and_indexed_as_a_folder_is(make_service: Make, bucket: Bucket) -> None:
    bucket.put({"parts/좋음/한국.png": png(1), "parts/b.png": png(2), "secret/c.png": png(3)})
    root = bucket.path("parts")
    service = make_service(roots=(root,))
    service.database.create("objects", "efficientnet-lite0")
    assert [each["name"] for each in got(service, "/v1/folders")["folders"]] == [str(root)]
    found = level(service, root=str(root))
    assert ([each["path"] for each in found["folders"]], found["images"]) == (["좋음"], 1)
    assert level(service, "좋음", root=str(root))["images"] == 1
    for path in ("..", "../secret", "좋음/../../secret"):
        level(service, path, 404, root=str(root))
    query = {"folder": {"root": str(root), "path": "좋음"}}
    job = done(service, "indexings", query, "objects")
    assert got(service, f"{job}/indexing")["added"] == 1
    (record,) = service.database["objects"].vectors.read()[0]
    assert service.client.get(f"/v1/collections/objects/images/{record.id}/original").content == png(1)


def test_no_link_leads_out_by_its_name_or_by_another_folder(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    save(secret / "secret.png", 1)
    for number, name in enumerate(("x/a.png", "aside/b.png", "far/c.png", "near/d.png"), 2):
        save(root / name, number)
    bytes_of_cp949 = os.fsdecode("부품".encode("cp949"))
    for name in ("tab\t", "line\n", "wide\u3000", "╬╟░┐", bytes_of_cp949, "two  ", "!a", "#b", "*"):
        (root / "x" / name).symlink_to(secret)
    (root / "x" / "aside").symlink_to(root / "aside")
    (root / "aside" / "far").symlink_to(root / "far")
    (root / "far" / "out").symlink_to(secret)
    (root / "x" / "near").symlink_to(root / "near")
    (root / "x" / "itself").symlink_to(root / "x")
    outside = AllowedFolders([root]).links_outside("root", root / "x")
    found = find(root / "x", Patterns(outside))
    assert sorted(str(each.relative_to(root)) for each in found.images) == ["x/a.png", "x/near/d.png"]
