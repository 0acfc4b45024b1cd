"""What commands print for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import CommandLine


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def index(lookalike: CommandLine, *words: str | Path, code: int = 0) -> dict[str, Any]:
    """Index and return the summary."""
    out, _ = lookalike("index", *words, "--format", "jsonl", code=code)
    return lines(out)[-1]
