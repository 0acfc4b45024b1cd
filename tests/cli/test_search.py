"""The command search, as a person would type it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.json_lines import index, lines
from tests.conftest import CommandLine


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
