"""Every command where something is missing that others have: one clear line, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike.cli.group import COMMANDS
from tests.conftest import CommandLine
from tests.unmeasured import unmeasured

FORKS = Path(__file__).parents[1] / "commands_in_forks.py"


# A text model, plots, a fit and a comparison, each of some seconds; and what would build the model anew where
# nothing is kept.
_SLOW = {"red car", "--labels", "--report", "compare", "fit", "--verify", "classify"}


def commands(folder: Path, pictures: Path, quick: bool) -> list[tuple[int, list[str]]]:
    """Return command lines of every command, each with its exit code, in an order in which they work.

    Where it has to be quick, of some commands only their help is asked for.
    """
    store = ["--store", f"sqlite:///{folder}/test.db"]
    picture = str(pictures / "local" / "textile_0001.jpg")
    copy = f"sqlite:///{folder}/copy.db"
    lines = [
        (0, ["index", str(pictures), *store]),
        (0, ["search", picture, *store]),
        (0, ["search", "red car", *store]),
        (0, ["classify", picture, "--by", "label", *store]),
        (0, ["classify", picture, "--labels", "good weld,bad weld", *store]),
        (0, ["fit", "--by", "label", *store]),
        (0, ["fit", "--undo", *store]),
        (0, ["evaluate", "--by", "label", "--report", f"{folder}/report.html", *store]),
        (0, ["audit", "--by", "label", "--report", f"{folder}/audit.html", *store]),
        (0, ["compare", "--by", "label", "--models", "efficientnet-lite0", "-k", "1", *store]),
        (0, ["sql", "SELECT label FROM images", *store]),
        (0, ["collections", *store]),
        (0, ["info", *store]),
        (0, ["copy", store[1], copy]),
        (0, ["parity", store[1], copy]),
        (0, ["models"]),
        (2, ["export-model", "efficientnet-lite0", f"{picture}/below"]),
        (0, ["embed", picture, *store]),
        (2, ["embed", "-", *store]),
        (2, ["index", "-", *store]),
        (0, ["index", str(pictures), "--prune", "--verify", *store]),
        (0, ["key", "me", "--keys", f"{folder}/keys"]),
        (2, ["serve", "--host", "0.0.0.0", "--port", "0", *store]),
        (0, ["delete", "images", picture, *store]),
        (2, ["delete", "images", *store]),
        (0, ["delete", "images", "--yes", *store]),
        (0, ["--help"]),
    ]
    if quick:
        lines = [line for line in lines if not _SLOW & set(line[1])]
    known = {words[0] for _, words in lines}
    return lines + [(0, [name, "--help"]) for name in COMMANDS if name not in known]


@pytest.fixture(scope="session")
def nine(tmp_path_factory: pytest.TempPathFactory, textile_files: dict[str, list[Path]]) -> Path:
    """Three photographs of each class, that everybody may read."""
    root = tmp_path_factory.mktemp("nine")
    for name, files in textile_files.items():
        (root / name).mkdir()
        for file in files[:3]:
            shutil.copyfile(file, root / name / file.name)
    return root


def run(
    folder: Path,
    pictures: Path,
    environment: dict[str, str | None],
    *,
    before: Callable[[], object] | None = None,
    stranger: bool = False,
    quick: bool = False,
) -> list[tuple[str, str]]:
    """Run every command, and check what must hold of each; return what each said on stderr."""
    folder.chmod(0o777)
    lines = commands(folder, pictures, quick)
    changed = {**unmeasured(), **environment, "COMMANDS": json.dumps([words for _, words in lines])}
    results = folder / "results"
    somebody = ["--reuid", "54321", "--regid", "54321", "--clear-groups"]
    # Python may lie in a folder that only its owner may read.
    reading = [f"--{which}=+dac_read_search" for which in ("inh-caps", "ambient-caps", "bounding-set")]
    done = subprocess.run(
        [*(["setpriv", *somebody, *reading] if stranger else []), sys.executable, FORKS, results],
        env={name: value for name, value in changed.items() if value is not None},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=before,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = []
    for (expected, _), result in zip(lines, results.read_text().splitlines(), strict=True):
        words, code, _, err = json.loads(result)
        assert code == expected, (words, code, err)
        assert "Traceback" not in err, (words, err)
        told = err.splitlines()
        assert [line for line in told if not line.startswith("lookalike: ")] == [], (words, err)
        # A warning may go with what is done; what is not done is one line.
        assert len(told) == 1 or code == 0 or before is _close_all, (words, err)
        found.append((" ".join(words[:2]), err))
    return found


def _close_all() -> None:
    for number in (0, 1, 2):
        os.close(number)


def test_streams_that_are_closed(tmp_path: Path, nine: Path, cache: Path) -> None:
    run(tmp_path, nine, {"LOOKALIKE_CACHE": str(cache)}, before=_close_all)


def test_stdin_that_is_closed_has_no_paths_and_no_yes(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", textile / "local")
    program = Path(sys.executable).with_name("lookalike")
    for words in (("index", "-"), ("embed", "-"), ("delete", "images"), ("index", "gone", "--prune")):
        done = subprocess.run(
            [program, *words, *lookalike.options],
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.close(0),
        )
        assert (done.returncode, done.stdout) == (2, ""), words
        (line,) = done.stderr.splitlines()
        assert line.startswith("lookalike: ")


def test_variables_that_name_nothing(tmp_path: Path, nine: Path, cache: Path) -> None:
    odd: dict[str, str | None] = {
        "LOOKALIKE_CACHE": str(cache),
        "TMPDIR": "/nonexistent",
        "TERM": "no-such-terminal",
        "COLUMNS": "0",
        "LINES": "-1",
        "LC_ALL": "xx_YY.nothing",
        "LANG": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    run(tmp_path, nine, odd, quick=True)


def test_a_current_folder_that_is_gone(tmp_path: Path, nine: Path, cache: Path) -> None:
    def leave() -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    run(tmp_path, nine, {"LOOKALIKE_CACHE": str(cache)}, before=leave, quick=True)


@pytest.mark.parametrize(
    "words", [("sql", "SELECT 1"), ("index", "x"), ("search", "x.jpg"), ("delete", "images", "x.jpg")]
)
def test_relative_paths_in_a_folder_that_is_gone_are_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = Path(sys.executable).with_name("lookalike")
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, gone, program, *words], env=unmeasured(), capture_output=True, text=True
    )
    assert done.returncode in (1, 2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("lookalike: ")
    assert "Traceback" not in line


def test_a_cache_that_cannot_be_is_a_warning(tmp_path: Path, nine: Path) -> None:
    (tmp_path / "file").touch()
    found = run(tmp_path, nine, {"LOOKALIKE_CACHE": str(tmp_path / "file" / "below")}, quick=True)
    assert found[0][1].startswith("lookalike: features are not kept (")


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root may be somebody else"
)
@pytest.mark.parametrize("home", [None, ""])
def test_a_user_that_nobody_knows_without_a_home(tmp_path: Path, nine: Path, home: str | None) -> None:
    for folder in (nine, *nine.parents):
        if folder.owner() == "root" and folder.is_relative_to(nine.parents[2]):
            folder.chmod(folder.stat().st_mode | 0o055)
    odd = {"HOME": home, "LOOKALIKE_CACHE": None, "XDG_CACHE_HOME": None}
    found = run(tmp_path, nine, odd, stranger=True, quick=home == "")
    assert found[0][1].startswith("lookalike: features are not kept: no home folder is known")
    assert not (tmp_path / "~").exists()
