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


def test_a_region_of_an_image_is_searched_with(lookalike: CommandLine, textile: Path) -> None:
    index(lookalike, textile)
    picture = textile / "global" / "textile_0001.jpg"
    whole, _ = lookalike("search", picture, "-k", "1", "--format", "jsonl")
    part, _ = lookalike("search", picture, "--box", "0,0,80.5,80", "-k", "1", "--format", "jsonl")
    assert lines(part)[0]["similarity"] < lines(whole)[0]["similarity"]
    _, err = lookalike("search", picture, "--box", "0,0,80", code=2)
    assert "not four numbers" in err
    _, err = lookalike("search", picture, "+", picture, "--box", "0,0,80,80", code=2)
    assert "a region of one image, and the query has 2" in err
    _, err = lookalike("search", picture, "--box", "9000,0,80,80", code=2)
    assert "lies outside of" in err
