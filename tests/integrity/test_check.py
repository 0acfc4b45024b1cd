"""`lookalike check`: all that is kept is verified, what can be mended is, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.cli import main
from lookalike.database import Database
from lookalike.integrity import uploads_check
from lookalike.server.storage.upload_folder import UploadFolder
from lookalike.stores.registry import open_store
from lookalike.testing.samples import flipped
from lookalike.uris import file_uri, record_id
from tests.attach.foreign_tables import make_items
from tests.conftest import CommandLine

PART = 1000


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]], cache: Path
) -> Path:
    """A folder with 24 photographs, a store of them, and a cache with their features: copied, not changed."""
    folder = tmp_path_factory.mktemp("whole")
    for name, files in textile_files.items():
        (folder / "textile" / name).mkdir(parents=True)
        for file in files[:8]:
            shutil.copy2(file, folder / "textile" / name / file.name)
    store = ["--store", f"sqlite:///{folder}/whole.db"]
    for kept in (cache, folder / "cache"):
        assert main(["index", str(folder / "textile"), "--cache", str(kept), *store]) == 0
        (folder / "whole.db").rename(folder / f"{kept.name}.db")
    return folder


@pytest.fixture
def check(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line on copies of store and cache."""
    shutil.copy2(whole / "cache.db", tmp_path / "test.db")
    shutil.copytree(whole / "cache", tmp_path / "cache")
    return CommandLine(tmp_path / "test.db", tmp_path / "cache", capsys)


@pytest.fixture
def victim(whole: Path) -> Path:
    return min((whole / "textile" / "local").iterdir())


INSPECT = "efficientnet-lite0-inspect"


def found(
    check: CommandLine, *words: str | Path, code: int = 1
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    out, err = check("check", *words, "--format", "jsonl", code=code)
    assert "Traceback" not in err
    *damages, summary = map(json.loads, out.splitlines())
    return damages, summary


def execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount != 0


def content(url: str) -> dict[str, tuple[object, list[bytes]]]:
    with open_store(url) as store:
        return {
            one.id: (one, [rows[row].tobytes() for rows in vectors.values()])
            for each in store.collections()
            for records, vectors in store.scan_vectors(each.name)
            for row, one in enumerate(records)
        }


def spoil(path: Path, table: str, change: str, identity: str) -> None:
    """Change the vector of a record in the table of a vector, or delete it there."""
    of_record = "WHERE record = (SELECT record FROM lookalike_records WHERE id = ?)"
    statement = f"UPDATE {table} SET {change}" if change else f"DELETE FROM {table}"
    execute(path, f"{statement} {of_record}", identity)


def test_where_all_is_well_the_exit_code_is_0_and_nothing_is_written(
    check: CommandLine, tmp_path: Path
) -> None:
    before = (tmp_path / "test.db").read_bytes()
    out, err = check("check")
    assert (out, err) == ("read: 24 records, the features of 24 images; all is as it was written\n", "")
    assert found(check, "--repair", code=0)[1] == {
        "type": "summary",
        "records": 24,
        "features": 24,
        "pictures": None,
        "damages": 0,
        "mended": 0,
    }
    assert (tmp_path / "test.db").read_bytes() == before
    check("check", "--uploads", tmp_path)
    check("check", "--uploads", tmp_path / "none", code=2)


def test_an_empty_store_and_no_cache_are_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = CommandLine(tmp_path / "none.db", tmp_path / "nothing", capsys)
    assert found(check, code=0)[1]["records"] == 0
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("kept", ["features", "file"])
def test_a_damaged_vector_is_embedded_again(
    check: CommandLine, whole: Path, victim: Path, tmp_path: Path, kept: str
) -> None:
    before = content(check.store)
    identity = record_id(file_uri(victim))
    execute(
        tmp_path / "test.db",
        "UPDATE lookalike_v1 SET vector = zeroblob(length(vector))"
        " WHERE record = (SELECT record FROM lookalike_records WHERE id = ?)",
        identity,
    )
    if kept == "file":
        for file in (tmp_path / "cache" / "features").iterdir():
            file.unlink()
    ((damage,), summary) = found(check)
    assert (damage["collection"], damage["id"], damage["path"]) == ("images", identity, str(victim))
    assert damage["damage"] == "its vector is all zeros"
    assert not damage["mended"]
    assert "--repair" in damage["todo"]
    assert summary["damages"] == 1
    assert "local/textile" in check("check", code=1)[0]
    ((damage,), _) = found(check, "--repair")
    assert damage["mended"]
    assert found(check, code=0)[0] == []
    assert content(check.store) == before


def test_a_damaged_vector_whose_file_is_another_says_what_to_do(
    check: CommandLine, whole: Path, victim: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(whole / "textile", moved)
    check("index", moved, "--collection", "moved")
    shutil.rmtree(tmp_path / "cache")
    one = moved / "local" / victim.name
    one.write_bytes(one.read_bytes() + b"x")
    identity = record_id(file_uri(one))
    spoil(tmp_path / "test.db", "lookalike_v2", "vector = x'00'", identity)
    ((damage,), _) = found(check, "--repair")
    assert not damage["mended"]
    assert f"`lookalike delete moved {identity}`" in damage["todo"]
    check("delete", "moved", identity)
    check("index", moved, "--collection", "moved")
    assert found(check, code=0)[0] == []


def test_damaged_labels_say_what_to_do_and_that_mends_them(
    check: CommandLine, whole: Path, victim: Path, tmp_path: Path
) -> None:
    before = content(check.store)
    identity = record_id(file_uri(victim))
    execute(tmp_path / "test.db", "UPDATE lookalike_records SET fields = '{}' WHERE id = ?", identity)
    damages, _ = found(check, "--repair")
    assert [damage["mended"] for damage in damages] == [False]
    assert (
        f"`lookalike delete images {identity}`, then `lookalike index {victim.parent}" in damages[0]["todo"]
    )
    check("delete", "images", identity)
    check("index", whole / "textile")
    assert found(check, code=0)[0] == []
    assert content(check.store) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lookalike_values SET value = 'other' WHERE rowid = 1",
        "DELETE FROM lookalike_words_1 WHERE rowid = 3",
        "UPDATE lookalike_records SET labels_digest = 'x' WHERE record = 3",
    ],
)
def test_what_repeats_labels_is_written_anew(check: CommandLine, tmp_path: Path, statement: str) -> None:
    if "lookalike_values" in statement:
        statement = "UPDATE lookalike_values SET value = 'other' WHERE record = 3"
    execute(tmp_path / "test.db", statement)
    damages, _ = found(check)
    assert len(damages) == 1
    assert "--repair" in damages[0]["todo"]
    assert found(check, "--repair")[0][0]["mended"]
    assert found(check, code=0)[0] == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP VIEW images", "its view"),
        ("UPDATE lookalike_records SET collection = 7 WHERE record = 1", "belong to no collection"),
        ("UPDATE lookalike_vectors SET dimension = 7", "list of collections"),
        ("UPDATE lookalike_vectors SET embedder = NULL || 'x' || embedder", "list of collections"),
        ("INSERT INTO lookalike_values VALUES (1, 999, 0, 'x')", "records that are not there"),
    ],
)
def test_other_damage_is_named_and_says_what_to_do(
    check: CommandLine, tmp_path: Path, statement: str, said: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "test.db")) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        if "NULL ||" in statement:
            statement = "UPDATE lookalike_vectors SET embedder = 'x' || embedder"
        connection.execute(statement)
    damages, _ = found(check)
    assert any(said in damage["damage"] for damage in damages), damages
    assert all(damage["todo"] for damage in damages)


def test_a_fitted_vector_that_is_lost_is_made_again_and_a_damaged_fit_is_named(
    check: CommandLine, victim: Path, tmp_path: Path
) -> None:
    check("fit", "--by", "label")
    assert found(check, code=0)[1]["records"] == 24
    before = content(check.store)
    identity = record_id(file_uri(victim))
    spoil(tmp_path / "test.db", "lookalike_v2", "", identity)
    ((damage,), _) = found(check)
    assert (damage["id"], "fitted" in damage["damage"]) == (identity, True)
    assert found(check, "--repair")[0][0]["mended"]
    assert found(check, code=0)[0] == []
    after = content(check.store)
    assert {one: len(vectors) for one, (_, vectors) in after.items()} == dict.fromkeys(before, 2)
    was, now = (np.frombuffer(each[identity][1][1], "<f4") for each in (before, after))
    np.testing.assert_allclose(now, was, atol=1e-6)
    with open_store(check.store) as store:
        metric = store.metric("images")
    assert metric is not None
    execute(tmp_path / "test.db", "UPDATE lookalike_metrics SET metric = ?", flipped(metric, 5))
    assert "the metric of images does not read" in found(check)[0][0]["damage"]
    line = check("search", identity, code=1)[1]
    assert "the metric of images does not read" in line


def test_damage_of_either_vector_of_a_fitted_collection_is_mended(
    check: CommandLine, victim: Path, whole: Path, tmp_path: Path
) -> None:
    check("fit", "--by", "label")
    before = content(check.store)
    other = next(file for file in sorted(victim.parent.iterdir()) if file != victim)
    for table, file in (("lookalike_v1", victim), ("lookalike_v2", other)):
        spoil(tmp_path / "test.db", table, "vector = vector || x'00'", record_id(file_uri(file)))
    assert len(found(check)[0]) == 2
    damages = found(check, "--repair")[0]
    assert [damage["mended"] for damage in damages] == [True, True], damages
    assert found(check, code=0)[0] == []
    after = content(check.store)
    assert {one: [len(vector) for vector in vectors] for one, (_, vectors) in after.items()} == {
        one: [len(vector) for vector in vectors] for one, (_, vectors) in before.items()
    }


def test_beside_a_damaged_record_a_fit_is_refused_until_check_has_mended_it(
    check: CommandLine, victim: Path, tmp_path: Path
) -> None:
    spoil(
        tmp_path / "test.db", "lookalike_v1", "vector = zeroblob(length(vector))", record_id(file_uri(victim))
    )
    before = check("collections", "--format", "jsonl")
    _, err = check("fit", "--by", "label", code=1)
    assert "1 record of collection 'images' is damaged and cannot get the vector 'fitted'" in err
    assert "`lookalike check --repair`" in err.splitlines()[0]
    assert check("collections", "--format", "jsonl") == before
    found(check, "--repair")
    check("fit", "--by", "label")
    found(check, code=0)


def test_of_a_record_that_lacks_a_vector_other_faults_are_told_and_mended_too(
    check: CommandLine, victim: Path, tmp_path: Path
) -> None:
    identity = record_id(file_uri(victim))
    path = tmp_path / "test.db"
    spoil(path, "lookalike_v1", "", identity)
    execute(
        path,
        "DELETE FROM lookalike_words_1 WHERE rowid = (SELECT record FROM lookalike_records WHERE id = ?)",
        identity,
    )
    damages, _ = found(check)
    assert [damage["id"] for damage in damages] == [identity, identity]
    assert [damage["mended"] for damage in found(check, "--repair")[0]][:1] == [True]
    found(check, "--repair", code=0)
    assert found(check, code=0)[0] == []


def test_a_vector_that_is_not_complete_is_named_and_index_completes_it(
    check: CommandLine, whole: Path
) -> None:
    with open_store(check.store) as store:
        model = store.collection("images").space
        store.add_vector("images", "inspect", replace(model, embedder=INSPECT, embedder_fingerprint="0" * 64))
    ((damage,), _) = found(check)
    assert "'inspect' is not complete: 24 records lack it" in damage["damage"]
    assert "lookalike index" in damage["todo"]
    check("delete", "images", "--using", "inspect")
    assert found(check, code=0)[0] == []
    check("index", whole / "textile", "--model", INSPECT, "--as", "inspect")
    assert found(check, code=0)[0] == []
    assert "inspect" in check("info")[0]


# The cache


def test_damaged_features_are_removed_and_computed_again(
    check: CommandLine, whole: Path, tmp_path: Path
) -> None:
    (file,) = (tmp_path / "cache" / "features").glob("*.db")
    execute(
        file,
        "UPDATE features SET numbers = zeroblob(length(numbers))"
        " WHERE digest = (SELECT min(digest) FROM features)",
    )
    ((damage,), _) = found(check)
    assert damage["place"] == str(file)
    assert "1 of the features of 24 images" in damage["damage"]
    assert found(check, "--repair")[0][0]["mended"]
    assert found(check, code=0)[1]["features"] == 23
    check("index", whole / "textile", "--collection", "again")
    assert found(check, code=0)[1]["features"] == 24


@pytest.mark.parametrize("made", [bytes(5000), b"notes", None], ids=["zeros", "notes", "flipped"])
def test_a_cache_file_that_is_none_is_removed(check: CommandLine, tmp_path: Path, made: bytes | None) -> None:
    (file,) = (tmp_path / "cache" / "features").glob("*.db")
    file.write_bytes(made if made is not None else file.read_bytes()[:9000])
    ((damage,), _) = found(check)
    assert "do not read" in damage["damage"]
    assert file.exists()
    assert found(check, "--repair")[0][0]["mended"]
    assert not file.exists()
    assert found(check, code=0)[0] == []


def test_kept_judgements_and_built_graphs_are_verified(check: CommandLine, tmp_path: Path) -> None:
    check("classify", "--by", "label", next((tmp_path).glob("*.jpg"), Path("none.jpg")), code=1)
    judgements = tmp_path / "cache" / "judgements"
    judgements.mkdir(exist_ok=True)
    np.savez(judgements / "a.npz", nearest=np.arange(100))
    path = judgements / "a.npz"
    path.write_bytes(flipped(path.read_bytes(), 8 * 300))
    (graph, *_) = (tmp_path / "cache").rglob("*.sha256")
    graph.with_suffix("").write_bytes(b"another")
    damages, _ = found(check)
    assert {Path(damage["place"]) for damage in damages} == {path, graph.with_suffix("")}
    assert all(damage["mended"] for damage in found(check, "--repair")[0])
    assert found(check, code=0)[0] == []


# Pictures that were added


@pytest.fixture
def uploads(check: CommandLine, whole: Path, tmp_path: Path) -> Path:
    """A folder as `serve --uploads` makes it, with four pictures that have records."""
    folder = tmp_path / "uploads"
    for file in sorted((whole / "textile" / "local").iterdir())[:4]:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        place = folder / "images" / digest[:2] / f"{digest}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)
    check("index", folder)
    return folder


def add_orphan(uploads: Path, age: float) -> Path:
    digest = hashlib.sha256(str(age).encode()).hexdigest()
    place = uploads / "images" / digest[:2] / f"{digest}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(str(age).encode())
    os.utime(place, (time.time() - age,) * 2)
    return place


def test_pictures_without_a_record_are_removed_when_they_are_old(check: CommandLine, uploads: Path) -> None:
    old, new = add_orphan(uploads, 4000), add_orphan(uploads, 10)
    part = old.with_name(f".{old.name}.0123.part")
    part.write_bytes(b"half")
    os.utime(part, (time.time() - 9999,) * 2)
    stranger = uploads / "notes.txt"
    stranger.write_text("mine")
    os.utime(stranger, (0, 0))
    damages, summary = found(check, "--uploads", uploads)
    assert {Path(damage["place"]) for damage in damages} == {old, part}
    assert summary["pictures"] == 6
    assert old.exists()
    assert all(damage["mended"] for damage in found(check, "--uploads", uploads, "--repair")[0])
    assert [path.exists() for path in (old, part, new, stranger)] == [False, False, True, True]
    assert found(check, "--uploads", uploads, code=0)[0] == []


def test_records_without_a_picture_and_pictures_that_changed_are_named(
    check: CommandLine, uploads: Path
) -> None:
    gone, changed, *_ = sorted(uploads.rglob("*.jpg"))
    gone.unlink()
    changed.write_bytes(changed.read_bytes()[:-1])
    damages, _ = found(check, "--uploads", uploads, "--repair")
    assert {damage["path"]: damage["damage"].partition(" that")[0] for damage in damages} == {
        str(gone): "a record whose picture is gone",
        str(changed): "the picture is not the one",
    }
    assert all(damage["todo"] and damage["id"] for damage in damages)


def test_no_picture_is_removed_where_its_record_may_be_a_damaged_one_or_in_another_store(
    check: CommandLine, uploads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = add_orphan(uploads, 4000)
    picture = max(uploads.rglob("*.jpg"))
    execute(
        tmp_path / "test.db",
        "UPDATE lookalike_records SET uri = 'file:///elsewhere' WHERE id = ?",
        record_id(file_uri(picture)),
    )
    damages, _ = found(check, "--uploads", uploads, "--repair")
    assert any("mend these first" in damage["todo"] for damage in damages)
    assert old.exists()
    assert picture.exists()
    other = CommandLine(tmp_path / "other.db", tmp_path / "cache", capsys)
    damages, _ = found(other, "--uploads", uploads, "--repair")
    assert all("another store" in damage["todo"] for damage in damages)
    assert len(list(uploads.rglob("*.jpg"))) == 5


def test_a_picture_that_is_added_again_in_the_very_moment_stays(
    check: CommandLine, uploads: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service puts the record of a file that it found there, after it was seen to be old and nobody's."""
    content = min((whole / "textile" / "global").iterdir()).read_bytes()
    folder, digest = UploadFolder(uploads), hashlib.sha256(content).hexdigest()
    picture, _ = folder.keep("images", content, digest)
    os.utime(picture, (time.time() - 4000,) * 2)
    look, asked = uploads_check._is_old, []

    def look_slowly(path: Path, grace: float) -> bool:
        old = look(path, grace)
        asked.append(path)
        if asked == [picture] * 2:
            assert folder.keep("images", content, digest) == (picture, False)
        return old

    monkeypatch.setattr(uploads_check, "_is_old", look_slowly)
    assert "until a moment ago" in found(check, "--uploads", uploads, "--repair")[0][0]["damage"]
    assert picture.read_bytes() == content
    assert len(list(uploads.rglob("*.*"))) == 5


def test_no_picture_is_removed_that_was_added_to_a_collection_which_the_store_has_not(
    check: CommandLine, uploads: Path
) -> None:
    """Two services with a store each may have been given the same folder."""
    ours = add_orphan(uploads, 4000)
    theirs = uploads / "theirs" / ours.parent.name / ours.name
    theirs.parent.mkdir(parents=True)
    shutil.copy2(ours, theirs)
    damages = {damage["place"]: damage for damage in found(check, "--uploads", uploads, "--repair")[0]}
    assert damages[str(ours)]["mended"]
    assert "no collection 'theirs'" in damages[str(theirs)]["todo"]
    assert [ours.exists(), theirs.exists()] == [False, True]


# Any bit of the file


def test_a_bit_anywhere_is_noticed_or_changes_no_answer(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    """Each page of the database gets its share; what no answer shows, the check may find all the same."""
    sound = (whole / "cache.db").read_bytes()
    one = min((whole / "textile" / "global").iterdir())
    words = (
        "search",
        str(one),
        "-k",
        "23",
        "--where",
        "label=local",
        "--where",
        "label=global",
        "--format",
        "jsonl",
    )
    shutil.copy2(whole / "cache.db", tmp_path / "test.db")
    lookalike = CommandLine(tmp_path / "test.db", cache, capsys)
    answer, _ = lookalike(*words)
    chance = random.Random(5)
    noticed = 0
    for page in range(0, len(sound), 16384):
        bit = 8 * (page + chance.randrange(16384)) + chance.randrange(8)
        for end in ("", "-wal", "-shm"):
            Path(f"{tmp_path}/test.db{end}").unlink(missing_ok=True)
        (tmp_path / "test.db").write_bytes(flipped(sound, bit))
        capsys.readouterr()
        code = main([*words, *lookalike.options])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert code or out == answer, bit
        noticed += code != 0
    assert noticed > len(sound) // 16384 // 4


def test_rows_of_others_that_are_no_records_are_for_their_owner_to_mend(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "app.db"
    make_items(file, 9)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE items SET embedding = NULL WHERE item_id IN (3, 4)")
        connection.execute("UPDATE items SET embedding = x'00' WHERE item_id = 5")
        connection.commit()
    with Database(f"sqlite:///{file}", cache=cache) as database:
        database.attach("items", space="theirs")
        found = {finding.damage: finding.todo for finding in database.check().findings}
    assert len(found) == 2
    assert "items: 2 rows have no vector (NULL) (the id 3, say)" in found
    assert any(damage.startswith("items: 1 row has ") for damage in found)
    assert set(found.values()) == {"it is left out; whoever writes the table can mend it"}
