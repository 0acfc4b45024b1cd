"""The commands end to end, on real photographs, each as a person would type it."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lookalike.stores.registry import open_store
from tests.conftest import CommandLine


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def index(lookalike: CommandLine, *words: str | Path, code: int = 0) -> dict[str, Any]:
    """Index and return the summary."""
    out, _ = lookalike("index", *words, "--format", "jsonl", code=code)
    return lines(out)[-1]


def test_index_search_classify_evaluate(lookalike: CommandLine, textile: Path) -> None:
    out, err = lookalike("index", textile)
    assert "60 added" in out
    assert "labels: folders" in out
    assert err == ""

    out, _ = lookalike("search", textile / "global" / "textile_0001.jpg", "-k", "3", "--format", "jsonl")
    found = lines(out)
    assert [line["rank"] for line in found] == [1, 2, 3]
    assert found[0]["path"] == str(textile / "global" / "textile_0001.jpg")
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-6)
    assert found[0]["fields"] == {"category1": "global", "label": "global"}
    assert found[1]["similarity"] >= found[2]["similarity"]

    out, _ = lookalike("classify", textile / "global" / "textile_0001.jpg", "--by", "label")
    assert "label = global (5 of 5 neighbours)" in out
    assert "had no vote" in out
    assert "global/textile_0001.jpg" not in out.split("similarity")[1]

    out, _ = lookalike("evaluate", "--by", "label", "-k", "1", "--format", "jsonl")
    summary = lines(out)[0]
    assert summary["evaluated"] == summary["images"] == 60
    assert summary["accuracy"] == summary["correct"] / 60
    assert len([line for line in lines(out) if line["type"] == "mistake"]) == 60 - summary["correct"]
    table, _ = lookalike("evaluate", "--by", "label", "-k", "1")
    assert f"accuracy {summary['accuracy']:.4f} ({summary['correct']} of 60 images" in table
    assert "leave-one-out" in table


def test_indexing_again_embeds_nothing_and_a_change_is_seen(lookalike: CommandLine, textile: Path) -> None:
    assert index(lookalike, textile)["added"] == 60
    again = index(lookalike, textile)
    assert (again["added"], again["unchanged"], again["embedded"]) == (0, 60, 0)

    changed = textile / "local" / "textile_0001.jpg"
    shutil.copyfile(textile / "local" / "textile_0002.jpg", changed)
    assert index(lookalike, textile)["updated"] == 1

    # A file that moved takes its record along; its label is its new folder's.
    moved = textile / "nominal" / "moved.jpg"
    (textile / "global" / "textile_0003.jpg").rename(moved)
    report = index(lookalike, textile, "--prune")
    assert (report["added"], report["removed"], report["embedded"], report["unchanged"]) == (0, 0, 0, 59)
    assert report["moved"] == 1
    out, _ = lookalike("sql", "SELECT label FROM images WHERE path LIKE '%moved.jpg'", "--format", "jsonl")
    assert lines(out) == [{"label": "nominal"}]


def test_without_prune_what_is_gone_stays(lookalike: CommandLine, textile: Path) -> None:
    index(lookalike, textile)
    shutil.rmtree(textile / "local")
    assert index(lookalike, textile)["removed"] == 0
    assert index(lookalike, textile / "global", "--prune")["removed"] == 0, (
        "only below the paths that are named"
    )
    assert "20 of 60 records" in lookalike("index", textile, "--prune", code=2)[1]
    assert index(lookalike, textile, "--prune", "--yes")["removed"] == 20


def test_labels_that_change_are_written_without_embedding(lookalike: CommandLine, textile: Path) -> None:
    index(lookalike, textile)
    report = index(lookalike, textile, "--labels", "none")
    assert (report["relabelled"], report["embedded"]) == (60, 0)
    _, err = lookalike("evaluate", "--by", "label", code=2)
    assert err == "lookalike: no field 'label' in this collection: its images have no fields\n"


def test_search_filters_by_field(lookalike: CommandLine, textile: Path) -> None:
    index(lookalike, textile)
    picture = textile / "global" / "textile_0001.jpg"
    out, _ = lookalike(
        "search", picture, "--where", "label=local", "--where", "label=nominal", "--format", "jsonl"
    )
    assert {line["fields"]["label"] for line in lines(out)} <= {"local", "nominal"}
    assert len(lines(out)) == 10
    out, err = lookalike("search", picture, "--where", "label=local", "-k", "25", "--format", "jsonl")
    assert len(lines(out)) == 20
    assert "20 images found, fewer than the 25 asked for" in err


def test_paths_come_from_stdin(
    lookalike: CommandLine, textile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [os.fsencode(path) for path in sorted((textile / "local").iterdir())]
    stdin = io.TextIOWrapper(io.BytesIO(b"\n".join(names) + b"\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert index(lookalike, "-")["added"] == 20


def test_embed_prints_unit_vectors(lookalike: CommandLine, textile: Path) -> None:
    picture = textile / "local" / "textile_0001.jpg"
    out, err = lookalike("embed", picture, textile / "nothing.jpg", code=1)
    (line,) = lines(out)
    assert line["path"] == str(picture)
    assert line["dimension"] == len(line["vector"]) == 1280
    assert sum(number**2 for number in line["vector"]) == pytest.approx(1, abs=1e-5)
    assert "nothing.jpg: cannot be read" in err


def test_collections_info_delete(lookalike: CommandLine, textile: Path) -> None:
    out, _ = lookalike("collections")
    assert "no collections" in out
    index(lookalike, textile, "--collection", "천")
    out, _ = lookalike("collections", "--format", "jsonl")
    assert lines(out)[0]["collection"] == "천"
    assert lines(out)[0]["images"] == 60
    out, _ = lookalike("info", "--collection", "천")
    assert "efficientnet-lite0" in out
    assert "global 20, local 20, nominal 20" in out

    picture = textile / "local" / "textile_0001.jpg"
    _, err = lookalike("delete", "천", picture, textile / "no.jpg", code=2)
    assert "nothing was deleted" in err
    out, _ = lookalike("delete", "천", picture)
    assert "1 record deleted" in out
    assert picture.exists()
    _, err = lookalike("delete", "천", code=2)
    assert "--yes" in err
    out, _ = lookalike("delete", "천", "--yes")
    assert "59 records deleted" in out
    _, err = lookalike("info", "--collection", "천", code=1)
    assert "no collection '천'" in err


def test_models_lists_the_embedder_with_its_licence(lookalike: CommandLine) -> None:
    out, _ = lookalike("models", "--format", "jsonl")
    assert {"efficientnet-lite0"} <= {line["name"] for line in lines(out)}
    assert all(line["licence"] for line in lines(out))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("search", "PICTURE", "--collection", "other"), 1, "no collection 'other': the store has images"),
        (("search", "nowhere.jpg"), 2, "no such file or folder: nowhere.jpg"),
        (("search", "PICTURE", "-k", "0"), 2, "k must be at least 1"),
        (("search", "PICTURE", "--where", "colour=red"), 2, "no field 'colour'"),
        (("search", "PICTURE", "--where", "colour"), 2, "write FIELD=VALUE"),
        (("classify", "PICTURE", "--by", "colour"), 2, "the fields are category1, label"),
        (("evaluate", "--by", "colour"), 2, "no field 'colour'"),
        (("evaluate", "--by", "label", "--within", "colour"), 2, "no field 'colour'"),
        (("evaluate", "--by", "label", "-k", "0"), 2, "k must be at least 1"),
        (("index", "nowhere"), 2, "no such file or folder"),
        (("index", "EMPTY"), 1, "no image below"),
        (("index", "TEXTILE", "--model", "resnet"), 2, "no model 'resnet'"),
        (("index", "TEXTILE", "--labels", "table"), 1, "metadata"),
        (("index", "TEXTILE", "--collection", "a b"), 2, "a b"),
        (("sql", "DELETE FROM images"), 2, ""),
        (("sql", "SELECT nothing FROM images"), 2, "nothing"),
    ],
)
def test_a_wrong_call_gets_one_line_and_changes_nothing(
    lookalike: CommandLine, textile: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    index(lookalike, textile)
    (tmp_path / "empty").mkdir()
    places = {
        "PICTURE": textile / "local" / "textile_0001.jpg",
        "TEXTILE": textile,
        "EMPTY": tmp_path / "empty",
    }
    before = (
        sqlite3.connect(tmp_path / "test.db")
        .execute("SELECT count(*), total(length(vector)) FROM images")
        .fetchall()
    )
    out, err = lookalike(*(places.get(word, word) for word in words), code=code)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("lookalike: ")
    assert said in err
    after = (
        sqlite3.connect(tmp_path / "test.db")
        .execute("SELECT count(*), total(length(vector)) FROM images")
        .fetchall()
    )
    assert before == after
    assert lines(lookalike("collections", "--format", "jsonl")[0])[0]["images"] == 60


def test_an_empty_collection_says_so(lookalike: CommandLine, textile: Path) -> None:
    index(lookalike, textile / "local")
    lookalike("delete", "images", *sorted((textile / "local").iterdir()))
    for words in (("search", textile / "local" / "textile_0001.jpg"), ("evaluate", "--by", "label")):
        _, err = lookalike(*words, code=1)
        assert "empty" in err


def test_any_name_is_just_a_name(lookalike: CommandLine, textile: Path, tmp_path: Path) -> None:
    picture = textile / "local" / "textile_0001.jpg"
    names = [
        b'it\'s "quoted".jpg',
        b"line\nbreak.jpg",
        b"100%.jpg",
        "탱크 🚢.jpg".encode(),
        b"\xff\xfe.jpg",
        b"[red].jpg",
    ]
    root = tmp_path / "이름"
    root.mkdir()
    for number, name in enumerate(names):
        shutil.copyfile(sorted((textile / "local").iterdir())[number], root / os.fsdecode(name))
    summary = index(lookalike, root)
    assert (summary["added"], summary["skipped"]) == (len(names), 0)
    assert index(lookalike, root)["unchanged"] == len(names)
    out, _ = lookalike("search", picture, "--format", "jsonl")
    assert {os.fsencode(line["path"].rsplit("/", 1)[1]) for line in lines(out)} == set(names)
    for line in lines(out):
        out, _ = lookalike("search", line["path"], "-k", "1", "--format", "jsonl")
        assert lines(out)[0]["id"] == line["id"]
    out, _ = lookalike("search", picture)
    assert r"line\nbreak.jpg" in out
    assert "[red].jpg" in out
    assert "탱크 🚢.jpg" in out


def test_another_embedder_is_refused_and_the_collection_is_as_before(
    lookalike: CommandLine, textile: Path
) -> None:
    index(lookalike, textile)
    with closing(open_store(lookalike.store)) as store:
        space = store.collection("images").space
        other = replace(space, embedder_fingerprint="0" * 64)
        store.create("other", other)
        for records, vectors in store.scan("images"):
            store.put("other", records, {other: vectors})
    before, _ = lookalike("sql", "SELECT * FROM other ORDER BY id", "--format", "jsonl")
    for words in (("index", textile), ("search", textile / "local" / "textile_0001.jpg")):
        _, err = lookalike(*words, "-c", "other", code=1)
        assert "holds vectors of efficientnet-lite0" in err
        assert len(err.splitlines()) == 1
    assert lookalike("sql", "SELECT * FROM other ORDER BY id", "--format", "jsonl")[0] == before


def test_unusable_files_are_skipped_by_name(lookalike: CommandLine, textile: Path) -> None:
    good = (textile / "local" / "textile_0001.jpg").read_bytes()
    (textile / "local" / "cut.jpg").write_bytes(good[: len(good) // 3])
    (textile / "local" / "empty.png").write_bytes(b"")
    (textile / "local" / "text.jpg").write_text("this is no image")
    (textile / "local" / "folder.jpg").mkdir()
    os.mkfifo(textile / "local" / "pipe.jpg")
    out, err = lookalike("index", textile, "--format", "jsonl")
    skipped = {Path(line["path"]).name: line["reason"] for line in lines(out) if line["type"] == "skipped"}
    assert set(skipped) == {"cut.jpg", "empty.png", "text.jpg", "folder.jpg", "pipe.jpg"}
    assert all(skipped.values())
    assert lines(out)[-1]["added"] == 60
    assert err == ""


def test_only_unusable_files_end_with_code_1(lookalike: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.jpg").write_text("this is no image")
    assert index(lookalike, tmp_path / "bad", code=1)["skipped"] == 1


def test_a_cache_that_cannot_be_kept_is_a_warning(
    textile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    lookalike = CommandLine(tmp_path / "test.db", tmp_path / "cache", capsys)
    lookalike.options[-1] = str(tmp_path / "cache" / "below")
    out, err = lookalike("index", textile / "local")
    assert "20 added" in out
    assert "features are not kept" in err


def test_a_damaged_feature_cache_is_made_anew(
    textile: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "cache"
    own.mkdir()
    (cache / "models").mkdir(parents=True, exist_ok=True)
    # Other workers may be writing there: who opens a model waits for them, who copies the folder does not.
    (own / "models").symlink_to(cache / "models")
    lookalike = CommandLine(tmp_path / "test.db", own, capsys)
    assert index(lookalike, textile / "local")["embedded"] == 20
    (database,) = (own / "features").glob("*.db")
    database.write_bytes(b"this is no database" * 1000)
    lookalike("delete", "images", "--yes")
    assert index(lookalike, textile / "local")["embedded"] == 20
    lookalike("delete", "images", "--yes")
    assert index(lookalike, textile / "local")["embedded"] == 0


def test_the_hostile_delivery_is_indexed_and_every_trap_is_named(
    lookalike: CommandLine, shared: Path, tmp_path: Path
) -> None:
    tool = [sys.executable, str(shared / "tools/make_json_sample.py"), str(shared / "data/extrusion")]
    subprocess.run([*tool, str(tmp_path / "delivery"), "--hostile"], check=True, capture_output=True)
    out, err = lookalike("index", "delivery", "-c", "sample")
    assert "223 added, 4 skipped, 1 without a label (labels: json" in out
    for trap in ("lost.json", "broken.json", "truncated.jpg", "notimage.jpg", "unlabelled.jpg"):
        assert out.count(trap) == 1, trap
    assert out.count("/twin.jpg") == 2
    assert err == ""

    out, _ = lookalike("sql", "SELECT quality, count(*) AS n FROM sample GROUP BY 1", "--format", "jsonl")
    assert {line["quality"]: line["n"] for line in lines(out)} == {None: 1, "불량": 147, "양품": 75}

    out, _ = lookalike(
        "evaluate", "--by", "quality", "--within", "part", "-k", "1", "-c", "sample", "--format", "jsonl"
    )
    summary = lines(out)[0]
    assert (summary["images"], summary["evaluated"]) == (223, 221)
    reasons = {Path(line["uri"]).name: line["reason"] for line in lines(out) if line["type"] == "left_out"}
    assert reasons.keys() == {"only.jpg", "unlabelled.jpg"}
    assert "alone in its part" in reasons["only.jpg"]

    out, _ = lookalike("search", "delivery/", "-c", "sample", code=1)
    (picture,) = Path("delivery").glob("**/only.jpg")
    out, _ = lookalike("search", picture, "--where", "part=탱크", "-c", "sample", "--format", "jsonl")
    assert [line["fields"]["part"] for line in lines(out)] == ["탱크"] * 10
