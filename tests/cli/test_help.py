"""What `lookalike --help` says of commands that it does not import."""

from __future__ import annotations

import pytest

from lookalike.cli import main
from lookalike.cli.group import COMMANDS, load


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_on_a_command_is_the_first_paragraph_of_its_own_help(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert COMMANDS[name] == " ".join((command.help or "").split("\n\n")[0].split())


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    listed = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()]
    assert listed == sorted(COMMANDS)
    assert "  sql          Answer one SQL STATEMENT that only reads.\n" in out
    assert err == ""
