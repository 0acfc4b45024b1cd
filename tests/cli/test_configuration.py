"""`lookalike.toml`, of a folder and of a user, under the environment and the options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookalike.cli import main


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder to stand in, and the user's file, which is not there yet."""
    folder = tmp_path / "폴더"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    user = tmp_path / "config" / "lookalike" / "lookalike.toml"
    user.parent.mkdir(parents=True)
    return folder / "lookalike.toml", user


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_the_folder_wins_over_the_user_the_environment_over_both_and_an_option_over_all(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, user = places
    user.write_text('store = "sqlite:///user.db"\nformat = "jsonl"\n')
    assert "sqlite:///user.db" in said(capsys, "doctor", "--format", "jsonl")
    here.write_text('store = "sqlite:///folder.db"\n', encoding="utf-8-sig")
    found = [json.loads(line) for line in said(capsys, "doctor").splitlines()]
    assert [each["found"] for each in found if each["what"] == "store"] == ["sqlite:///folder.db"]
    assert [each["found"] for each in found if each["what"] == "configuration"] == [
        str(user),
        str(here.absolute()),
    ]
    monkeypatch.setenv("LOOKALIKE_STORE", "sqlite:///environment.db")
    assert "environment.db" in said(capsys, "collections", "--format", "table")
    assert "option.db" in said(capsys, "collections", "--format", "table", "--store", "sqlite:///option.db")


def test_a_table_is_for_its_command_and_a_group_has_one_for_each_of_its_own(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    here, _ = places
    here.write_text('collection = "all"\n[info]\ncollection = "one"\n[anomaly.score]\ncollection = "two"\n')
    assert "one" in said(capsys, "info", code=1)
    assert "all" in said(capsys, "evaluate", "--by", "label", code=1)
    picture = here.with_name("a.jpg")
    picture.write_bytes(b"")
    assert "two" in said(capsys, "anomaly", "score", str(picture), code=1)


def test_several_values_flags_and_homes_are_as_they_are_typed(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, user = places
    monkeypatch.setenv("HOME", str(user.parent))
    here.write_text('cache = "~/kept"\n[search]\nwhere = ["a=1", "b=2"]\ntext = true\nk = 3\n')
    assert f"{user.parent}/kept" in said(capsys, "doctor", "--format", "jsonl")
    assert "no collection" in said(capsys, "search", "red", code=1)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("colour = 1\n", "'colour' is not one of"),
        ("[serch]\nk = 3\n", "[serch] is no command"),
        ("[collections]\nk = 3\n", "[collections] has 'k', which is no option of it"),
        ("[anomaly]\nk = 3\n", "[anomaly] has 'k', which is not one of fit"),
        ('timeout = "soon"\n', "timeout: 'soon' is not a valid float"),
        ("quiet = 3\n", "quiet: 3 is neither true nor false"),
        ("store = [\n", "no TOML"),
        ("format = 'csv\n", "no TOML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], content: str, word: str
) -> None:
    here, _ = places
    here.write_text(content)
    command = ["anomaly", "score", "x.jpg"] if "anomaly" in content else ["collections"]
    line = said(capsys, *command, code=2)
    assert line.startswith("lookalike: lookalike.toml: ")
    assert word in line
    # `doctor` works all the same, and tells it.
    assert main(["doctor", "--format", "jsonl"]) == 1
    assert word in capsys.readouterr().out.replace('\\"', '"')


def test_a_file_of_another_encoding_and_a_folder_of_that_name_are_said(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    here, _ = places
    here.write_bytes('store = "sqlite:///탱크.db"\n'.encode("cp949"))
    assert "not in UTF-8" in said(capsys, "collections", code=2)
    here.unlink()
    here.mkdir()
    assert "Is a directory" in said(capsys, "collections", code=2)
