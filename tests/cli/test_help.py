"""What `lookalike --help` says of commands that it does not import."""

from __future__ import annotations

from pathlib import Path

import pytest
from click import Option

from lookalike.cli import group, main
from lookalike.cli.group import COMMANDS, SECTIONS, load, module_name
from lookalike.evaluation import novelty
from lookalike.search import background


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_on_a_command_is_the_first_paragraph_of_its_own_help(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert COMMANDS[name] == " ".join((command.help or "").split("\n\n")[0].split())


def test_all_commands_are_listed_in_their_sections_whole_and_within_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    for section, commands in SECTIONS.items():
        lines = out.partition(f"\n{section}:\n")[2].partition("\n\n")[0].splitlines()
        assert [tuple(line.split(maxsplit=1)) for line in lines] == list(commands.items())
    assert max(map(len, out.splitlines())) <= 80
    modules = {path.stem for path in Path(group.__file__).parent.glob("*.py")}
    assert set(map(module_name, COMMANDS)) <= modules
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
