"""The command embed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.json_lines import lines
from tests.conftest import CommandLine


def test_embed_prints_unit_vectors(lookalike: CommandLine, textile: Path) -> None:
    picture = textile / "local" / "textile_0001.jpg"
    out, err = lookalike("embed", picture, textile / "nothing.jpg", code=1)
    (line,) = lines(out)
    assert line["path"] == str(picture)
    assert line["dimension"] == len(line["vector"]) == 1280
    assert sum(number**2 for number in line["vector"]) == pytest.approx(1, abs=1e-5)
    assert "nothing.jpg: cannot be read" in err
