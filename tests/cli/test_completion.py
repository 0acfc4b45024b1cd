"""Completion in shells: the script, where it is installed, and what it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lookalike.cli import main


def completed(*words: str) -> list[str]:
    """Return what bash is offered for the last of these words."""
    environment = {
        **os.environ,
        "_LOOKALIKE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "lookalike"], env=environment, capture_output=True, text=True, check=True
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_options_and_choices_are_completed() -> None:
    assert completed("lookalike", "col") == ["collections"]
    assert "--approximate" in completed("lookalike", "search", "--a")
    assert completed("lookalike", "info", "--format", "j") == ["jsonl"]


def test_bash_can_read_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    asked = f"{script}\ncomplete -p lookalike"
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("-F _lookalike_completion lookalike")


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", "data/bash-completion/completions/lookalike"),
        ("fish", "config/fish/completions/lookalike.fish"),
        ("zsh", "data/zsh/site-functions/_lookalike"),
    ],
)
def test_it_is_installed_where_the_shell_looks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shell: str,
    place: str,
) -> None:
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BASH_COMPLETION_USER_DIR", raising=False)
    assert main(["completion"]) == 0
    script = capsys.readouterr().out
    assert main(["completion", "--install"]) == 0
    assert (tmp_path / place).read_text() == script.removesuffix("\n")
    assert str(tmp_path / place) in capsys.readouterr().err


def test_a_shell_that_is_not_known_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["completion"]) == 2
    assert "name the shell: bash, zsh, fish" in capsys.readouterr().err
