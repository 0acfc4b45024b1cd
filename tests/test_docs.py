"""What the documents say is so: their examples run, and no command or option is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from conformal_clip_data import textile_simulated_root

from lookalike.cli import group
from lookalike.uris import record_id
from tests.documents import ENGINES, Block, Terminal, blocks, commands, difference
from tests.film_files import GREEN, RED, film

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMANDS = (ROOT / "docs" / "commands.md").read_text()

# One real folder of the machine it was written on tells more than it should, and is wrong everywhere else.
MACHINE_PATH = re.compile(r"(?<![\w.…~-])/(?:home|root|tmp|work|Users|var|mnt)/")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_no_registry_is_said_to_have_it(path: Path) -> None:
    """With an extra it is another thing: pip then takes the lookalike that is installed."""
    if path.name != "install.md":  # which says that it does not work
        assert not re.search(r"pip install (--\S+ )*lookalike\b", path.read_text(encoding="utf-8"))


@pytest.fixture
def terminal(
    tmp_path: Path, cache: Path, textile_files: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """A terminal in the folder that docs/commands.md describes at its top."""
    for variable in ("STORE", "COLLECTION", "FORMAT", "QUIET", "MAX_PIXELS"):
        monkeypatch.delenv(f"LOOKALIKE_{variable}", raising=False)
    monkeypatch.setenv("LOOKALIKE_CACHE", str(cache))
    pictures = {"new.jpg": textile_simulated_root() / "global" / "textile_0021.jpg"}
    for name, files in textile_files.items():
        for n, file in enumerate(files):
            pictures[f"textile/{name}/{file.name}"] = file
            pictures[f"rolls/roll-{n // 10 + 1}/{name}/{file.name}"] = file
        for n, roll in enumerate(("roll-1", "roll-2")):
            pictures[f"delivery/pictures/{roll}/001.jpg"] = textile_files["nominal"][n]
            pictures[f"delivery/pictures/{roll}/002.jpg"] = textile_files["local"][n]
        for n in range(3):
            pictures[f"table/00{n + 1}.jpg"] = textile_files["global"][n]
            pictures[f"coco/images/00{n + 1}.jpg"] = textile_files["local"][n]
    pictures["rolls/roll-3/nominal/textile_0021.jpg"] = textile_simulated_root() / "nominal/textile_0021.jpg"
    folder = tmp_path / "folder"
    for path, file in pictures.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / path)
    monkeypatch.chdir(folder)
    terminal = Terminal()
    with terminal.servers:
        yield terminal


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_example_runs_and_says_what_the_document_says(
    document: Path, terminal: Terminal, request: pytest.FixtureRequest
) -> None:
    found = blocks(document.read_text())
    if document.name == "video.md":
        for name, scenes in (
            ("films/good/1", [GREEN]),
            ("films/scratch/2", [RED]),
            ("shift", [GREEN, RED, GREEN]),
        ):
            film(Path(f"{name}.mp4"), scenes, seconds=6 if name == "shift" else 4)
    if any("$ curl " in block.text for block in found) and shutil.which("curl") is None:
        pytest.skip("curl is not here, and the document asks with it")
    for engine in {block.engine for block in found} - {None}:
        terminal.stores[str(engine)] = request.getfixturevalue(ENGINES[str(engine)])
    differences = [told for block in found for told in terminal.run(block)]
    assert not differences, "\n\n".join(differences)


def test_documents_have_examples() -> None:
    """Else the test above passes on documents that it does not understand."""
    languages = {block.language for path in DOCUMENTS for block in blocks(path.read_text())}
    assert {"console", "sql", "python"} <= languages
    assert languages <= {"console", "sql", "python", "csv", "json", "xml", "sh", "text", "toml"}
    shown = {typed.split()[1] for block in blocks(COMMANDS) for typed, _ in _typed(block) if " " in typed}
    assert set(group.COMMANDS) <= shown


def _typed(block: Block) -> list[tuple[str, str]]:
    return commands(block.text) if block.language == "console" else []


def section(command: str) -> str:
    """Return what docs/commands.md says of one command."""
    found = re.search(rf"^## lookalike {command}\n(.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
    assert found, f"no section on `lookalike {command}`"
    return found[1]


def options(command: click.Command) -> list[click.Parameter]:
    """Return the options of a command, or of all commands of a group."""
    if isinstance(command, click.Group):
        return [option for each in command.commands.values() for option in options(each)]
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]


@pytest.mark.parametrize("command", list(map(group.load, group.COMMANDS)), ids=list(group.COMMANDS))
def test_every_command_is_documented_with_its_options_and_no_others(command: click.Command) -> None:
    prose = re.sub(r"^```.*?^```$", "", section(str(command.name)), flags=re.MULTILINE | re.DOTALL)
    known = {name for option in options(command) for name in (*option.opts, *option.secondary_opts)}
    for option in options(command):
        assert any(f"`{name}" in prose for name in option.opts), option.opts
    assert set(re.findall(r"`(--?[a-z][a-z-]*)", prose)) <= known


def test_every_short_name_default_and_variable_of_an_option_is_documented() -> None:
    for command in map(group.load, group.COMMANDS):
        for option in options(command):
            for name in option.opts:
                assert re.search(rf"`{name}[` ]", COMMANDS), name
            if option.envvar:
                assert f"`{option.envvar}`" in COMMANDS
            if isinstance(option.default, str):
                assert f"`{option.default}`" in COMMANDS
            elif isinstance(option.default, int) and not isinstance(option.default, bool):
                assert f"{option.default:,}" in COMMANDS


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_local_link_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_no_document_names_a_folder_of_one_machine(document: Path) -> None:
    assert MACHINE_PATH.findall(document.read_text()) == []


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def statement(name: str) -> str:
    """Return the SQL block of the documents that is called `name`."""
    every = [block for path in DOCUMENTS for block in blocks(path.read_text())]
    (found,) = [block.text for block in every if (block.language, block.argument) == ("sql", name)]
    return found


@pytest.fixture(params=["sqlite", *ENGINES])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The beginning of the names of statements for a database, whose store the commands then use."""
    if request.param == "sqlite":
        return ""
    monkeypatch.setenv("LOOKALIKE_STORE", request.getfixturevalue(ENGINES[request.param]))
    return f"{request.param}-"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("leave-one-out", ("--by", "label", "--collection", "textile")),
        ("leave-one-out-within", ("--by", "label", "--within", "category1", "--collection", "rolls")),
    ],
)
def test_leave_one_out_in_sql_is_what_evaluate_says(
    terminal: Terminal, engine: str, name: str, words: tuple[str, ...]
) -> None:
    folder = words[-1]
    terminal.lookalike("index", folder, "--collection", folder)
    # A draw must not matter: two byte-identical images with different labels, and one without a label.
    shutil.copyfile("rolls/roll-1/local/textile_0001.jpg", f"{folder}/unlabelled.jpg")
    copies = {"textile": "textile/nominal/copy.jpg", "rolls": "rolls/roll-1/nominal/copy.jpg"}
    for at, name_of in enumerate(("copy.jpg", "copy2.jpg")):
        source = Path(copies[folder]).parents[1] / "local" / f"textile_000{at + 1}.jpg"
        shutil.copyfile(source, Path(copies[folder]).with_name(name_of))
    terminal.lookalike("index", folder, "--collection", folder)
    (answer,) = lines(terminal.lookalike("sql", statement(engine + name), "--format", "jsonl"))
    summary = lines(terminal.lookalike("evaluate", *words, "-k", "1", "--format", "jsonl"))[0]
    # The statement lets copies vote on each other: the figure that `evaluate` gives beside its own.
    assert answer["accuracy"] == pytest.approx(summary["apart"]["accuracy"], abs=1e-12)
    assert answer["images"] == summary["apart"]["evaluated"]
    assert summary["near_duplicates"] >= 4
    assert summary["duplicates"] == 0
    assert sum(summary["left_out"].values()) == (1 if folder == "textile" else 2)


def test_the_vote_in_sql_is_what_classify_says_draws_included(terminal: Terminal, engine: str) -> None:
    """All new images at once; they come in order of id."""
    Path("more").mkdir()
    for name in ("local", "nominal"):
        for file in sorted((textile_simulated_root() / name).iterdir())[20:40]:
            shutil.copyfile(file, f"more/{name}-{file.name}")
    terminal.lookalike("index", "textile", "--collection", "textile")
    terminal.lookalike("index", "more", "--collection", "new", "--labels", "none")
    words = ("--by", "label", "-k", "5", "--collection", "textile", "--format", "jsonl")
    classified = lines(terminal.lookalike("classify", *map(str, Path("more").iterdir()), *words))
    classified.sort(key=lambda line: record_id(line["uri"]))
    expected = [(vote["label"], vote["share"] * 5) for line in classified for vote in line["votes"]]
    votes = lines(terminal.lookalike("sql", statement(engine + "vote"), "--format", "jsonl"))
    assert [(row["label"], row["votes"]) for row in votes] == expected
    assert any(len({vote["share"] for vote in line["votes"]}) < len(line["votes"]) for line in classified)


@pytest.mark.parametrize(
    ("expected", "actual", "agree"),
    [
        ("a 0.5000 b\n", "\na 0.5004 b  \n", True),
        ("a 0.5000 b\n", "a 0.5020 b\n", False),
        ("a 5 b\n", "a 6 b\n", False),
        ("a … b\n", "a anything b\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\nz\n", "a\nb\nz\n", False),
        ("a\n", "", False),
        ("", "a\n", False),
        ("0.5000…}\n", "0.50012345}\n", True),
        ("version 0.1.0\n", "version 0.1.1\n", False),
    ],
)
def test_outputs_are_compared_to_the_word(expected: str, actual: str, agree: bool) -> None:
    assert (difference(expected, actual) is None) == agree
