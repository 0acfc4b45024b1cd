"""Pruning removes what is gone for certain, and nothing else in silence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import FolderEmpty, PathNotFound, RemovalUnconfirmed
from lookalike.ingest.indexed_folders import indexed_paths
from lookalike.ingest.removals import Disk, Removal, disagree, find_gone, is_below
from lookalike.stores.registry import open_store
from lookalike.types import Record, Stamp
from lookalike.uris import file_uri, local_path, record_id, uri_path, uri_text
from lookalike.vectors.metric import normalise
from tests.conftest import CommandLine
from tests.desk import Desk
from tests.mean_colours import save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty pictures in two folders."""
    root = tmp_path / "pictures"
    for seed in range(20):
        save(root / ("good" if seed % 2 else "bad") / f"{seed}.png", seed)
    return root


def nobody_is_asked(removal: Removal) -> bool:
    raise AssertionError(removal)


# How many ---------------------------------------------------------------------------------------------------


def test_a_tenth_goes_without_a_question_and_more_does_not(desk: Desk, root: Path) -> None:
    desk.index(root)
    for seed in (1, 3):
        (root / "good" / f"{seed}.png").unlink()
    assert desk.index(root, prune=True, agree=nobody_is_asked).removed == 2
    for seed in (5, 7):
        (root / "good" / f"{seed}.png").unlink()
    asked: list[Removal] = []

    def no(removal: Removal) -> bool:
        asked.append(removal)
        return False

    report = desk.index(root, prune=True, agree=no)
    assert asked == [Removal("parts", 2, 18)]
    assert (report.removed, report.unchanged, len(desk.records())) == (0, 16, 18)
    with pytest.raises(RemovalUnconfirmed, match="2 of 18 records"):
        desk.index(root, prune=True, agree=disagree)
    assert len(desk.records()) == 18
    assert desk.index(root, prune=True, agree=lambda _removal: True).removed == 2


def test_a_file_that_comes_back_while_somebody_thinks_keeps_its_record(desk: Desk, root: Path) -> None:
    desk.index(root)
    away = root.rename(root.with_name("away"))
    save(root / "good" / "1.png", 1)

    def mount(_removal: Removal) -> bool:
        shutil.rmtree(root)
        away.rename(root)
        return True

    report = desk.index(root, prune=True, agree=mount)
    assert report.removed == 0
    assert len(desk.records()) == 20


def test_the_question_is_asked_before_anything_is_embedded(desk: Desk, root: Path) -> None:
    desk.index(root)
    shutil.rmtree(root / "good")
    save(root / "bad" / "new.png", 100)
    desk.embedder.calls.clear()
    with pytest.raises(RemovalUnconfirmed):
        desk.index(root, prune=True, agree=disagree)
    assert desk.embedder.embedded == 0


# Disks that are not there -----------------------------------------------------------------------------------


def _emptied(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _folders_left(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.unlink()


def _only_notes(root: Path) -> None:
    _emptied(root)
    (root / "NOT MOUNTED.txt").touch()
    (root / ".hidden").touch()


def _lost_and_found(root: Path) -> None:
    _emptied(root)
    (root / "lost+found").mkdir()


def _broken_link(root: Path) -> None:
    shutil.rmtree(root)
    root.symlink_to(root.with_name("mount"))


def _other_pictures(root: Path) -> None:
    """Below the mount point lies another folder, in which all records are: of an empty disk."""
    for name in ("good", "bad"):
        shutil.rmtree(root / name)
        (root / name).mkdir()
    save(root / "other" / "new.png", 100)


@pytest.mark.parametrize(
    "change", [_emptied, _folders_left, _only_notes, _lost_and_found, _broken_link, _other_pictures]
)
def test_what_looks_like_a_disk_that_is_not_mounted_is_refused(
    desk: Desk, root: Path, change: Callable[[Path], None]
) -> None:
    desk.index(root)
    change(root)
    with pytest.raises((FolderEmpty, PathNotFound), match="is a disk not mounted"):
        desk.index(root, prune=True)
    assert len(desk.records()) >= 20
    if change is _broken_link:
        with pytest.raises(PathNotFound, match="is a disk not mounted"):
            desk.index(root / "good", prune=True, prune_empty=True)


def test_an_empty_folder_above_what_was_indexed_is_refused_too(desk: Desk, root: Path) -> None:
    desk.index(root / "good")
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(FolderEmpty, match=r"no image is in .*pictures,"):
        desk.index(root / "good", prune=True)
    assert desk.index(root / "good", prune=True, prune_empty=True).removed == 10


def test_one_root_that_is_empty_keeps_the_records_of_all(desk: Desk, root: Path) -> None:
    desk.index(root / "good", root / "bad")
    _emptied(root / "good")
    (root / "bad" / "2.png").unlink()
    with pytest.raises(FolderEmpty):
        desk.index(root / "good", root / "bad", prune=True)
    assert len(desk.records()) == 20
    assert desk.index(root / "bad", prune=True).removed == 1


def test_a_folder_that_a_few_were_in_may_be_emptied(desk: Desk, root: Path) -> None:
    save(root / "few" / "1.png", 100)
    desk.index(root)
    (root / "few" / "1.png").unlink()
    assert desk.index(root, prune=True, agree=nobody_is_asked).removed == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount, and be somebody else")
def test_a_mount_point_with_nothing_on_it_is_refused_however_few_were_there(
    desk: Desk, root: Path, tmp_path: Path
) -> None:
    trial = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", tmp_path], check=False)
    if trial.returncode:
        pytest.skip("mounting is not allowed here")
    program = f"""
import subprocess
from pathlib import Path
from lookalike.stores.registry import open_store
from lookalike.ingest.removals import Disk, check_emptied
from lookalike.types import Stamp
from lookalike.errors import FolderEmpty
disk = Path({str(root / "few")!r})
disk.mkdir()
gone = {{"1": disk / "1.png"}}
stamps = {{str(n): Stamp(str(n), 1, 1, "") for n in range(100)}}
check_emptied([], gone, stamps, Disk())
assert not Disk().is_unmounted(disk / "1.png")
subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=True)
assert Disk().is_unmounted(disk / "1.png")
try:
    check_emptied([], gone, stamps, Disk())
except FolderEmpty:
    print("refused")
"""
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"


# What may be there ------------------------------------------------------------------------------------------


def test_links_that_lead_nowhere_and_what_is_behind_them_stay(desk: Desk, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "disk"
    save(other / "a" / "1.png", 100)
    save(other / "2.png", 101)
    (root / "linked").symlink_to(other / "a")
    (root / "linked.png").symlink_to(other / "2.png")
    desk.index(root)
    shutil.rmtree(other)
    report = desk.index(root, prune=True, agree=nobody_is_asked)
    assert (report.removed, len(desk.records())) == (0, 22)
    (root / "linked").unlink()
    (root / "linked.png").unlink()
    assert desk.index(root, prune=True).removed == 2


def test_what_is_excluded_by_its_permissions_stays(desk: Desk, root: Path) -> None:
    desk.index(root)
    disk = Disk()
    assert not disk.is_gone(root / "good" / "1.png")
    assert not disk.is_gone(Path("/proc/self/root/..\0.png"))
    assert not disk.is_gone(root / ("x" * 300))
    (root / "file").touch()
    assert disk.is_gone(root / "file" / "1.png")


# By its name ------------------------------------------------------------------------------------------------


def test_a_folder_that_is_gone_is_pruned_by_its_name(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", "textile")
    shutil.rmtree(textile / "local")
    _, err = lookalike("index", "textile/local", "--prune", code=2)
    assert "20 of 60 records" in err
    assert len(err.splitlines()) == 1
    for spelling in ("./textile/../textile/local/",):
        out, _ = lookalike("index", spelling, "--prune", "--yes")
    assert out.startswith("images: 20 removed (")
    _, err = lookalike("index", "textile/local", "--prune", "--yes", code=2)
    assert "there is nothing to prune" in err
    assert len(err.splitlines()) == 1
    assert lookalike("index", "textile/local", code=2)[1].startswith("lookalike: no such file or folder")
    assert lookalike("index", "textile")[0].startswith("images: 40 unchanged")


def test_a_folder_that_is_gone_is_not_known_as_indexed_any_more(
    lookalike: CommandLine, textile: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "own"
    lookalike.options = ["--store", lookalike.store, "--cache", str(cache)]
    lookalike("index", "textile/local", "textile/nominal")
    (textile / "local").rename(textile / "moved")
    lookalike("index", "textile/local", "--prune", code=2)
    known = indexed_paths(cache, lookalike.store)["images"]
    assert known.folders == (textile / "local", textile / "nominal")
    lookalike("index", "textile/moved")
    lookalike("index", "textile/local", "--prune", code=2)
    known = indexed_paths(cache, lookalike.store)["images"]
    assert known.folders == (textile / "moved", textile / "nominal")


def test_an_empty_list_prunes_nothing(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", "textile")
    program = Path(sys.executable).with_name("lookalike")
    done = subprocess.run(
        [program, "index", "-", "--prune", "--yes", *lookalike.options], input=b"", capture_output=True
    )
    assert (done.returncode, done.stderr) == (2, b"lookalike: no path was given\n")
    assert lookalike("index", "textile")[0].startswith("images: 60 unchanged")


@pytest.mark.parametrize(("typed", "left"), [(b"n\n", 60), (b"y\n", 40)])
def test_on_a_terminal_it_is_asked(lookalike: CommandLine, textile: Path, typed: bytes, left: int) -> None:
    lookalike("index", "textile")
    shutil.rmtree(textile / "local")
    program = Path(sys.executable).with_name("lookalike")
    master, terminal = os.openpty()
    process = subprocess.Popen(
        [program, "index", "textile", "--prune", *lookalike.options],
        stdin=terminal, stdout=subprocess.PIPE, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    said = b""
    try:
        while b"[y/N]" not in said:
            said += os.read(master, 1000)
        os.write(master, typed)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(master)
    assert b"The files of 20 of 60 records of 'images' are gone: remove these records?" in said
    assert process.returncode == 0
    # The bar on the terminal keeps none of the results to itself.
    done = "nothing was removed\nimages: 40 unchanged" if left == 60 else "images: 40 unchanged, 20 removed"
    assert out.decode().startswith(done)
    found = json.loads(lookalike("collections", "--format", "jsonl")[0])
    assert found["images"] == left


# Other schemes ----------------------------------------------------------------------------------------------

SCHEMES = st.sampled_from(
    ["s3", "gs", "http", "https", "hdfs", "az", "ftp", "sftp", "smb", "zip+file", "urn", ""]
)
SEGMENTS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#"), max_size=6)


@given(scheme=SCHEMES, host=SEGMENTS, path=st.lists(SEGMENTS, max_size=4))
def test_no_uri_of_another_scheme_names_a_local_path(scheme: str, host: str, path: list[str]) -> None:
    for uri in (
        f"{scheme}://{host}/{'/'.join(path)}",
        f"{scheme}:/{'/'.join(path)}",
        f"{scheme}:///{'/'.join(path)}",
    ):
        assert local_path(uri) is None
        assert uri_text(uri) == uri
        with pytest.raises(ValueError, match="names no file on this machine"):
            uri_path(uri)
        stamps = {uri: Stamp("1", 1, 1, "")}
        assert find_gone(frozenset([Path("/")]), (), stamps, Disk()) == {}


@given(path=st.lists(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1), min_size=1))
def test_a_file_uri_names_its_path_and_that_of_another_machine_none(path: list[str]) -> None:
    here = Path("/", *path)
    assert local_path(file_uri(here)) == here
    assert local_path(file_uri(here).replace("file://", "FILE://localhost")) == here
    assert local_path(file_uri(here).replace("file://", "file://elsewhere")) is None


def test_a_path_that_leads_out_of_a_folder_is_not_below_it() -> None:
    assert is_below(Path("/a/b/c"), {Path("/a")})
    assert is_below(Path("/a"), {Path("/a")})
    assert not is_below(Path("/a/../b"), {Path("/a")})
    assert not is_below(Path("/ab"), {Path("/a")})


def stored_elsewhere(desk: Desk, *uris: str) -> None:
    """Put records as another program may."""
    records = [
        Record(record_id(uri), uri, f"{n:064x}", {"label": "x"}, {}, 5, 5) for n, uri in enumerate(uris)
    ]
    vectors = np.random.default_rng(0).standard_normal((len(uris), desk.embedder.dimension), np.float32)
    desk.store.put("parts", records, {desk.store.collection("parts").space: normalise(vectors)})


def test_records_of_other_schemes_are_neither_pruned_nor_moved(desk: Desk, root: Path) -> None:
    desk.index(root)
    uris = [f"s3://pictures{root}/good/9{n}.png" for n in range(3)]
    uris += [f"s3:{root}/good/96.png", f"file://server{root}/good/97.png", f"http://[{root}/good/98.png"]
    uris += [f"{root}/good/99.png", f"file:{root}/../elsewhere.png"]
    stored_elsewhere(desk, *uris)
    report = desk.index(root, prune=True, verify=True, agree=nobody_is_asked)
    assert (report.removed, report.moved, report.unchanged, report.verified) == (0, 0, 20, 20)
    kept = {record.uri for batch, _ in desk.store.scan("parts") for record in batch}
    assert kept >= set(uris)


def test_commands_show_other_schemes_as_they_are(
    lookalike: CommandLine, textile: Path, tmp_path: Path
) -> None:
    lookalike("index", "textile")

    here = textile / "local" / "textile_0001.jpg"
    uri = f"s3://pictures{here}"
    with open_store(lookalike.store) as store:
        (record,), vector = next(iter(store.scan("images", {"label": ["local"]})))[0][:1], None
        for batch, rows in store.scan("images"):
            for each, row in zip(batch, rows, strict=True):
                if each.id == record.id:
                    vector = row
        assert vector is not None
        other = Record(record_id(uri), uri, "d" * 64, {"label": "local"}, {}, 5, 5)
        store.put("images", [other], {store.collection("images").space: vector[None]})
    out, _ = lookalike("search", record.id, "-k", "2")
    assert uri in out
    out, _ = lookalike("search", record.id, "-k", "2", "--format", "jsonl")
    paths = {line["uri"]: line["path"] for line in map(json.loads, out.splitlines())}
    assert paths[uri] is None
    out, _ = lookalike("sql", f"SELECT path FROM images WHERE uri = '{uri}'", "--format", "jsonl")
    assert json.loads(out) == {"path": None}
    lookalike("classify", here, "--by", "label")
    lookalike("evaluate", "--by", "label", "--report", "report.html")
    assert uri[:20] in (tmp_path / "report.html").read_text()
    assert "it is no file on this machine" in (tmp_path / "report.html").read_text()
    lookalike("audit", "--by", "label", "--report", "audit.html")
    out, _ = lookalike("compare", "--by", "label", "--format", "jsonl", "-k", "1")
    assert "it is no file on this machine" in out
    lookalike("copy", lookalike.store, f"sqlite:///{tmp_path}/copy.db")
    lookalike("parity", lookalike.store, f"sqlite:///{tmp_path}/copy.db")
    assert "1 record deleted" in lookalike("delete", "images", uri)[0]
    assert here.exists()
    assert "not in collection" in lookalike("delete", "images", uri, code=2)[1]


# Bytes ------------------------------------------------------------------------------------------------------


def _same_stamp(path: Path, seed: int) -> None:
    status = path.stat()
    other = save(path.with_name("other"), seed).read_bytes()
    assert len(other) == status.st_size
    path.with_name("other").replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_verify_finds_other_bytes_of_the_same_size_and_date(desk: Desk, root: Path) -> None:
    desk.index(root)
    _same_stamp(root / "good" / "1.png", 100)
    report = desk.index(root)
    assert (report.unchanged, report.verified, report.differing) == (20, 0, 0)
    told: list[tuple[int, int]] = []
    report = desk.index(root, verify=True, progress=lambda done, total: told.append((done, total)))
    assert (report.unchanged, report.updated, report.verified, report.differing) == (19, 1, 20, 1)
    assert told == sorted(told)
    assert told[-1] == (21, 21)
    report = desk.index(root, verify=True)
    assert (report.unchanged, report.verified, report.differing) == (20, 20, 0)


def test_verify_tells_what_cannot_be_used_any_more_and_keeps_its_record(desk: Desk, root: Path) -> None:
    desk.index(root)
    path = root / "good" / "1.png"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = desk.index(root, verify=True)
    assert (report.unchanged, report.updated, report.differing) == (19, 0, 1)
    assert [skipped.path for skipped in report.skipped] == [str(path)]
    assert len(desk.records()) == 20


@pytest.mark.parametrize("seconds", [0, 315532800, 4102444800, 9_999_999_999, -1])
def test_dates_of_zips_and_of_the_future_are_dates(desk: Desk, root: Path, seconds: int) -> None:
    """1970 and 1980, as in zips, 2100, and 2286, which 64 bits of nanoseconds do not reach."""
    for path in root.rglob("*.png"):
        os.utime(path, (seconds, seconds))
    assert desk.index(root).added == 20
    assert desk.index(root).unchanged == 20
    _same_stamp(root / "good" / "1.png", 100)
    assert desk.index(root, verify=True).updated == 1


def test_verify_is_told(lookalike: CommandLine, textile: Path) -> None:
    lookalike("index", "textile/local")
    path = textile / "local" / "textile_0001.jpg"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    out, _ = lookalike("index", "textile/local", "--verify")
    assert "20 files of the same size and date read: 1 with other bytes" in out.splitlines()
    summary: dict[str, Any] = json.loads(
        lookalike("index", "textile/local", "--verify", "--format", "jsonl")[0].splitlines()[-1]
    )
    assert (summary["verified"], summary["differing"]) == (20, 0)
