"""`--format csv`: the rows of JSON lines, for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lookalike.cli import main
from tests.mean_colours import save


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, str]]:
    assert main(arguments) == code
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(arguments) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate(('good/a, "b".jpg', "good/탱크.jpg", "bad/=1+1.jpg", "bad/c\nd.jpg")):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, n * 60)
    assert main(["index", "pictures"]) == 0
    capsys.readouterr()


def test_every_line_is_a_row_and_every_key_a_column(
    collection: None, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("search", "pictures/good/탱크.jpg", "-k", "4", "--format")
    found, told = rows(capsys, *asked, "csv"), lines(capsys, *asked, "jsonl")
    assert [row["path"] for row in found] == [line["path"] for line in told]
    assert [row["label"] for row in found] == [line["fields"]["label"] for line in told]  # type: ignore[index]
    assert [float(row["similarity"]) for row in found] == [line["similarity"] for line in told]
    assert list(found[0])[:6] == ["rank", "similarity", "id", "uri", "path", "label"]


def test_a_field_that_is_called_as_a_column_is_told_apart(
    collection: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", "pictures/good/탱크.jpg", "--set", "rank=first", "--set", "field.rank=no"]) == 0
    capsys.readouterr()
    found = rows(capsys, "search", "pictures/good/탱크.jpg", "-k", "1", "--format", "csv")
    assert {name: found[0][name] for name in ("rank", "field.rank", "field.field.rank", "label")} == {
        "rank": "1", "field.rank": "first", "field.field.rank": "no", "label": "good",
    }  # fmt: skip


def test_lines_of_several_kinds_share_the_columns_of_all(
    collection: None, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("evaluate", "--by", "label", "-k", "1", "--format")
    found, told = rows(capsys, *asked, "csv"), lines(capsys, *asked, "jsonl")
    assert [row["type"] for row in found] == [line["type"] for line in told]
    assert {row["accuracy"] for row in found if row["type"] != "summary"} == {""}
    assert json.loads(found[0]["interval"]) == told[0]["interval"]


def test_answers_of_sql_are_rows(collection: None, capsys: pytest.CaptureFixture[str]) -> None:
    statement = "SELECT label, count(*) AS n, NULL AS empty FROM images GROUP BY 1 ORDER BY 1"
    assert rows(capsys, "sql", statement, "--format", "csv") == [
        {"label": "bad", "n": "2", "empty": ""},
        {"label": "good", "n": "2", "empty": ""},
    ]


def test_what_was_found_before_an_error_is_written(
    collection: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("classify", "--by", "label", "pictures/good/탱크.jpg", "missing.jpg", "--format", "csv")
    found = rows(capsys, *arguments, code=1)
    assert Path(found[0]["path"]).name == "탱크.jpg"
