"""`lookalike doctor`: what works on this machine, and what to run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from lookalike.cli import main
from lookalike.version import VERSION
from tests.mean_colours import save

Found = dict[str, dict[str, str]]


def examined(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Found:
    assert main(["doctor", "--format", "jsonl", *arguments]) == code
    found = map(json.loads, capsys.readouterr().out.splitlines())
    return {each.pop("what"): each for each in found}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_versions_extras_and_places_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = examined(capsys)
    assert found["lookalike"]["found"].startswith(VERSION)
    assert found["ONNX Runtime"]["found"].startswith(metadata.version("onnxruntime"))
    assert found["extra serve"]["state"] == "works"
    assert f"fastapi {metadata.version('fastapi')}" in found["extra serve"]["found"]
    # The developers' environment has everything but torch, which has one of its own.
    if found["extra torch"]["state"] == "not installed":
        assert "torch>=" in found["extra torch"]["found"]
        assert found["extra torch"]["todo"] == "pip install 'lookalike[torch]'"
    assert found["store"] == {
        "state": "not there", "found": "sqlite:///lookalike.db", "todo": "lookalike index PATH makes it"
    }  # fmt: skip
    assert main(["doctor"]) == 0
    assert "no trouble\n" in capsys.readouterr().out
    assert not Path("lookalike.db").exists()


def test_a_store_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("a.jpg"), 10)
    assert main(["index", "a.jpg"]) == 0
    capsys.readouterr()
    assert "collections: 1, images: 1" in examined(capsys)["store"]["found"]


def test_trouble_is_told_with_the_code_1(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "lookalike.db").write_bytes(b"no database at all" * 100)
    found = examined(capsys, code=1)
    assert found["store"]["state"] == "trouble"
    assert found["cache"]["state"] == "works"
    found = examined(capsys, "--store", "postgresql://user:secret@127.0.0.1:1/none", code=1)
    assert found["store"]["state"] == "trouble"
    assert "secret" not in json.dumps(found)
    found = examined(capsys, "--store", "nothing:///", code=1)
    assert "no store speaks that URL" in found["store"]["found"]


def test_a_cache_that_cannot_be_written_is_trouble(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    found = examined(capsys, "--cache", str(folder / "file" / "cache"), code=1)
    assert (found["cache"]["state"], found["store"]["state"]) == ("trouble", "not there")
