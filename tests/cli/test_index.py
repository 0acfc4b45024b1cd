"""The command index, on real photographs."""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.json_lines import index, lines
from tests.conftest import CommandLine


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


def test_paths_come_from_stdin(
    lookalike: CommandLine, textile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [os.fsencode(path) for path in sorted((textile / "local").iterdir())]
    stdin = io.TextIOWrapper(io.BytesIO(b"\n".join(names) + b"\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert index(lookalike, "-")["added"] == 20


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
