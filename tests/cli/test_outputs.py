"""Files that were asked for: what is wrong is told before the work, and what fails then is code 1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lookalike.errors import InvalidArgument, OutputFailed, outcome
from lookalike.output_files import check_file, check_new_folder, write_file
from tests.conftest import CommandLine
from tests.forked_programs import ForkedCommand

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def test_a_file_is_there_whole_with_the_rights_that_files_have(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_file(path, b"first")
    write_file(path, b"second")
    assert path.read_bytes() == b"second"
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    link = tmp_path / "link.html"
    link.symlink_to(path)
    write_file(link, b"third")
    assert link.is_symlink()
    assert path.read_bytes() == b"third"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link.html", "other", "report.html"]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    null = Path(os.devnull)
    before = null.stat()
    check_file(null)
    write_file(null, b"anything")
    assert (null.stat().st_mode, null.stat().st_rdev) == (before.st_mode, before.st_rdev)
    read, write = os.pipe()
    write_file(Path(f"/dev/fd/{write}"), b"piped")
    assert os.read(read, 100) == b"piped"
    os.close(read)
    os.close(write)


@needs_full
def test_a_full_disk_is_told_with_code_1(tmp_path: Path) -> None:
    before = FULL.stat()
    with pytest.raises(OutputFailed, match="/dev/full cannot be written: No space left on device") as failed:
        write_file(FULL, b"anything")
    assert outcome(failed.value).exit_code == 1
    assert (FULL.stat().st_mode, FULL.stat().st_rdev) == (before.st_mode, before.st_rdev)


@pytest.mark.parametrize("path", ["folder", "nowhere/report.html", "file/report.html", "folder/../nowhere/x"])
def test_a_place_where_no_file_can_be_is_told_before(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument):
        check_file(tmp_path / path)


def test_so_is_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for path in (tmp_path, tmp_path / "file", tmp_path / "file" / "new" / "newer"):
        with pytest.raises(InvalidArgument):
            check_new_folder(path)
    check_new_folder(tmp_path / "empty")
    check_new_folder(tmp_path / "new" / "newer")


def test_a_folder_that_may_not_be_written_to_is_told_before(tmp_path: Path) -> None:
    place = Path("/proc/self") if os.geteuid() == 0 else tmp_path
    if place == tmp_path:
        tmp_path.chmod(0o500)
    for check in (check_file, check_new_folder):
        with pytest.raises(OutputFailed, match="may not be written to"):
            check(place / "new")


@needs_full
@pytest.mark.parametrize("command", ["evaluate", "audit"])
def test_a_report_onto_a_full_disk_is_code_1_and_what_was_found_is_shown(
    lookalike: CommandLine, textile: Path, command: str
) -> None:
    lookalike("index", textile)
    shown = lookalike(command, "--by", "label")[0]
    out, err = lookalike(command, "--by", "label", "--report", FULL, code=1)
    assert err == "lookalike: /dev/full cannot be written: No space left on device\n"
    assert out == shown
    assert FULL.is_char_device()


@pytest.mark.parametrize("command", ["evaluate", "audit"])
@pytest.mark.parametrize("path", ["nowhere/report.html", ".", "test.db/report.html"])
def test_a_report_that_cannot_be_is_told_before_anything_is_read(
    lookalike: CommandLine, tmp_path: Path, command: str, path: str
) -> None:
    """The store is not even looked at: it is no database."""
    (tmp_path / "test.db").write_text("no database")
    _, err = lookalike(command, "--by", "label", "--report", path, code=2)
    assert "no folder" in err or "is a directory" in err


def test_an_export_that_cannot_be_is_told_before_a_model_is_opened(
    lookalike: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    _, err = lookalike("export-model", "timm:no-such-model", "file/below", code=2)
    assert "is no folder" in err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "name a new folder" in lookalike("export-model", "timm:no-such-model", "full", code=2)[1]


def test_a_copy_that_cannot_be_is_told(lookalike: CommandLine, textile: Path, tmp_path: Path) -> None:
    lookalike("index", textile / "local")
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere" / "copy.db", tmp_path / "file" / "copy.db", tmp_path):
        _, err = lookalike("copy", lookalike.store, f"sqlite:///{path}", code=1)
        (line,) = err.splitlines()
        assert line.startswith(f"lookalike: sqlite:///{path}: ")


@needs_full
def test_results_onto_a_full_disk_are_one_line_and_code_1(
    lookalike: CommandLine, textile: Path, tmp_path: Path
) -> None:
    lookalike("index", textile)
    photograph = textile / "local" / "textile_0001.jpg"
    for words in (
        ("index", textile),
        ("search", photograph, "--format", "jsonl"),
        ("classify", photograph, "--by", "label"),
        ("evaluate", "--by", "label"),
        ("audit", "--by", "label"),
        ("embed", photograph),
        ("info",),
        ("key", "me"),
    ):
        options = lookalike.options if words[0] != "key" else []
        err = tmp_path / "err"
        assert ForkedCommand([*words, *options], Path.cwd(), os.environ, FULL, err).wait(60) == 1, words
        said = err.read_text().splitlines()
        err.unlink()
        assert said[-1] == "lookalike: the output cannot be written: No space left on device"
        assert all(line.startswith("lookalike: ") for line in said)
