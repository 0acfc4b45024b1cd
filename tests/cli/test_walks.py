"""Several commands, one after another, as a person would type them; and what all do with a wrong call."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lookalike.stores.registry import open_store
from tests.cli.json_lines import index, lines
from tests.conftest import CommandLine


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
    assert found[0]["fields"] == {"label": "global"}
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


def test_an_empty_collection_says_so(lookalike: CommandLine, textile: Path) -> None:
    index(lookalike, textile / "local")
    lookalike("delete", "images", *sorted((textile / "local").iterdir()))
    for words in (("search", textile / "local" / "textile_0001.jpg"), ("evaluate", "--by", "label")):
        _, err = lookalike(*words, code=1)
        assert "empty" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("search", "PICTURE", "--collection", "other"), 1, "no collection 'other': the store has images"),
        (("search", "nowhere.jpg"), 2, "no such file or folder: nowhere.jpg"),
        (("search", "PICTURE", "-k", "0"), 2, "k must be at least 1"),
        (("search", "PICTURE", "--where", "colour=red"), 2, "no field 'colour'"),
        (("search", "PICTURE", "--where", "colour"), 2, "write FIELD=VALUE"),
        (("classify", "PICTURE", "--by", "colour"), 2, "the fields are label"),
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
