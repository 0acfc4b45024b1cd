"""The command completion: what makes a shell complete commands, options and their values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from lookalike.cli.messages import warn
from lookalike.cli.output import print_text
from lookalike.errors import InvalidArgument
from lookalike.output_files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLASSES = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(_CLASSES)), required=False)
@click.option("--install", is_flag=True, help="Write it where the shell looks for it, and say where.")
def completion(shell: str | None, *, install: bool) -> None:
    """Print or install what completes commands in a SHELL.

    Commands, options and their values are completed by the Tab key. SHELL is by default the one of the
    variable SHELL.
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in _CLASSES:
        raise InvalidArgument(f"name the shell: {', '.join(_CLASSES)}")
    # What click wants to know of the program it only asks when it completes.
    script = _CLASSES[name](click.Command("lookalike"), {}, "lookalike", "_LOOKALIKE_COMPLETE").source()
    if not install:
        print_text(script)
        return
    path = _place(name, os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, script.encode())
    warn(f"written to {path}; it works in shells that start from now on")
    if name == "zsh":
        line = f"fpath=({path.parent} $fpath); autoload -Uz compinit; compinit"
        warn(f"zsh looks there when ~/.zshrc has this line: {line}")


def _place(shell: str, environ: Mapping[str, str]) -> Path:
    """Return the file that a shell reads of itself.

    bash: github.com/scop/bash-completion (FAQ: where should I put it to be sure that interactive bash shells
    will find it); fish: fishshell.com/docs/current/completions.html (where to put completions). zsh has no
    folder of a user's own that it reads without being told.
    """
    home = Path.home()
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell == "bash":
        folder = environ.get("BASH_COMPLETION_USER_DIR") or data / "bash-completion"
        return Path(folder) / "completions" / "lookalike"
    if shell == "fish":
        return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish/completions/lookalike.fish"
    return data / "zsh" / "site-functions" / "_lookalike"
