"""What `lookalike --help` says of commands that it does not import."""

from __future__ import annotations

import pytest
from click import Option

from lookalike.cli import main
from lookalike.cli.group import COMMANDS, load
from lookalike.evaluation import novelty
from lookalike.search import background


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


def test_defaults_that_are_written_out_are_those_of_their_rooms() -> None:
    """They are text in the help, as the modules that know them take long to import."""
    options = {
        name: {option.name: option for option in load(name).params if isinstance(option, Option)}
        for name in ("search", "classify", "evaluate")
    }
    assert f"[default: {background.FALSE_ALARM:g}]" in (options["search"]["false_alarm"].help or "")
    for name in ("classify", "evaluate"):
        assert f"[default: {novelty.FALSE_ALARM:g}]" in (options[name]["false_alarm"].help or "")
