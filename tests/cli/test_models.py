"""The command models."""

from __future__ import annotations

from tests.cli.json_lines import lines
from tests.conftest import CommandLine


def test_models_lists_the_embedder_with_its_licence(lookalike: CommandLine) -> None:
    out, _ = lookalike("models", "--format", "jsonl")
    assert {"efficientnet-lite0"} <= {line["name"] for line in lines(out)}
    assert all(line["licence"] for line in lines(out))
