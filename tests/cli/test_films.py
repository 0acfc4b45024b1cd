"""Films on the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.json_lines import lines
from tests.conftest import CommandLine
from tests.film_files import BLUE, GREEN, RED, film


def test_films_are_indexed_searched_and_classified(lookalike: CommandLine, tmp_path: Path) -> None:
    for name, scenes in (("good/1.mp4", [GREEN]), ("bad/2.mp4", [RED]), ("bad/3.mkv", [BLUE])):
        film(tmp_path / "films" / name, scenes, seconds=2)
    film(tmp_path / "new.mp4", [RED, GREEN], seconds=4)
    out, _ = lookalike("index", "films", "--frames", "every:1s")
    assert "6 added" in out
    assert "images of 3 films are frames" in out
    out, _ = lookalike("search", "films/bad/2.mp4#t=1", "-k", "1", "--format", "jsonl")
    assert [line["uri"].rpartition("/")[2] for line in lines(out)] == ["2.mp4#t=1"]
    assert lines(out)[0]["fields"] == {"label": "bad", "film": "bad/2.mp4", "time": 1.0}
    out, _ = lookalike("search", "films/bad/2.mp4#t=0:01", "-k", "1", "--where", "film=bad/3.mkv")
    assert "films/bad/3.mkv#t=" in out
    out, _ = lookalike("classify", "new.mp4", "--by", "label", "-k", "1", "--frames", "every:500ms")
    rows = [line.split()[:4] for line in out.splitlines()[-3:-1]]
    assert rows == [["0:00", "0:01.5", "bad", "4"], ["0:02", "0:03.5", "good", "4"]]
    out, _ = lookalike(
        *("classify", "new.mp4", "--by", "label", "-k", "1", "--frames", "scene", "--format", "jsonl")
    )
    assert [(Path(line["path"]).name, line["label"]) for line in lines(out)] == [
        ("new.mp4#t=0.5", "bad"),
        ("new.mp4#t=2.5", "good"),
    ]
    out, _ = lookalike("classify", "new.mp4#t=3", "--by", "label", "-k", "1")
    assert out.startswith("new.mp4#t=3: label = good (1 of 1 neighbours)")
    lookalike("label", "films/bad/2.mp4#t=1", "--set", "label=worn")
    out, _ = lookalike("search", "films/bad/2.mp4#t=1", "-k", "1", "--format", "jsonl")
    assert lines(out)[0]["fields"]["label"] == "worn"
    # A film means all of its frames.
    out, _ = lookalike(
        "label", "films/bad/3.mkv", "bad/2.mp4#t=0", "--set", "label=torn", "--format", "jsonl"
    )
    assert lines(out)[-1]["put_right"] == 3
    _, err = lookalike("delete", "images", "films/bad/3.mkv", "films/bad/4.mkv", code=2)
    assert "films/bad/4.mkv; nothing was deleted" in err
    assert "2 records deleted" in lookalike("delete", "images", "bad/3.mkv")[0]
    out, _ = lookalike("embed", "new.mp4#t=3")
    assert [line["path"].rpartition("/")[2] for line in lines(out)] == ["new.mp4#t=3"]


def test_what_frames_are_no_use_for_is_refused(lookalike: CommandLine, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", [BLUE], seconds=1)
    _, err = lookalike("index", "a.mp4", "--frames", "often", code=2)
    assert "every:1s" in err
    lookalike("index", "a.mp4", "--frames", "scene")
    _, err = lookalike("index", "a.mp4#t=0", code=2)
    assert "name the film" in err
    _, err = lookalike("classify", "a.mp4#t=0", "--by", "film", "--frames", "scene", code=2)
    assert "name the film" in err
    _, err = lookalike("search", "a.mp4#t=77", code=1)
    assert "its pictures end at 0.9 s" in err
    _, err = lookalike("search", "a.mp4", code=1)
    assert "NAME#t=12.5 is one" in err
