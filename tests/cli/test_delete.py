"""The commands collections, info and delete: what a person sees of a collection until it is gone."""

from __future__ import annotations

from pathlib import Path

from tests.cli.json_lines import index, lines
from tests.conftest import CommandLine


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
