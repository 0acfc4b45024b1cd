"""Every file below a folder is listed once, whatever its name and whatever lies around it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pi_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.errors import InvalidArgument, PathNotFound
from lookalike.memory import VARIABLE
from lookalike.sources.files import SUFFIXES, Found, find
from lookalike.sources.patterns import LeftOut
from lookalike.types import Skipped


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_suffixes_are_those_that_pillow_and_pi_heif_know_for_the_formats_that_are_read() -> None:
    pi_heif.register_heif_opener()
    forms = {"JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF", "AVIF", "JPEG2000", "PPM"}
    assert {suffix for suffix, form in Image.registered_extensions().items() if form in forms} == SUFFIXES


def test_images_are_told_by_their_suffix_in_any_case(tmp_path: Path) -> None:
    images = sorted(touch(tmp_path / f"image{suffix.swapcase()}") for suffix in SUFFIXES)
    others = sorted(
        touch(tmp_path / name) for name in ("a.json", "b.jpg.txt", "jpg", ".jpg", "._x.jpg", "c.jpg~")
    )
    hidden = [LeftOut("with hidden names", 1, str(tmp_path / "._x.jpg"))]
    assert find(tmp_path) == Found(images, others, [], hidden)


def test_a_single_file_is_an_image_whatever_its_name(tmp_path: Path) -> None:
    assert find(touch(tmp_path / "notes.txt")).images == [tmp_path / "notes.txt"]
    assert find(touch(tmp_path / ".hidden")).images == [tmp_path / ".hidden"]


@pytest.mark.parametrize("name", ["nothing", "nothing.jpg", "file.jpg/below", "x" * 300, "nul\0byte"])
def test_what_does_not_exist_is_not_found(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "file.jpg")
    with pytest.raises(PathNotFound) as caught:
        find(tmp_path / name)
    assert caught.value.path == str(tmp_path / name)


def test_a_link_to_nothing_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("gone")
    with pytest.raises(PathNotFound):
        find(tmp_path / "a.jpg")


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert find(tmp_path) == Found([], [], [])


def test_paths_are_absolute_and_sorted_by_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["b.png", "B.png", "a/z.png", "a.png", "ä.png", "가/나.png", "\U0001f600.png", "a b.png"]
    for name in names:
        touch(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    expected = sorted((tmp_path / "in" / name for name in names), key=os.fsencode)
    for spelled in ("in", "./in/", "in/a/..", "../" + tmp_path.name + "/in"):
        assert find(Path(spelled)).images == expected


def test_two_dots_after_a_link_mean_what_the_kernel_means(tmp_path: Path) -> None:
    touch(tmp_path / "far" / "a.png")
    (tmp_path / "far" / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    assert find(tmp_path / "link" / "..").images == [tmp_path / "link" / ".." / "a.png"]


def test_a_link_in_the_given_path_stays_in_the_names(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.png")
    (tmp_path / "link").symlink_to("real")
    assert find(tmp_path / "link").images == [tmp_path / "link" / "a.png"]


@given(
    names=st.sets(
        st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=40)
def test_any_name_is_just_a_name(names: set[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = os.fsencode(folder)
        for name in names:
            os.close(os.open(root + b"/0" + name + b".jpg", os.O_CREAT | os.O_WRONLY))
        found = find(Path(folder))
        assert [os.fsencode(path) for path in found.images] == sorted(
            root + b"/0" + n + b".jpg" for n in names
        )
        assert all(path.exists() for path in found.images)
        assert not found.others
        assert not found.skipped


@pytest.mark.parametrize(
    "name", ["new\nline", "'quo\"te", "100%", "\U0001f600", "\udcff\udc80", " ", "-rf", "*"]
)
def test_awkward_names_come_back_as_they_are(tmp_path: Path, name: str) -> None:
    path = touch(tmp_path / name / f"{name}.jpg")
    assert find(tmp_path).images == [path]


def test_korean_names_keep_their_normal_form(tmp_path: Path) -> None:
    composed, decomposed = "\ud0f1", "\u1110\u1162\u11bc"
    for name in (composed, decomposed):
        touch(tmp_path / name / "a.jpg")
    found = {path.parent.name for path in find(tmp_path).images}
    assert found == {path.name for path in tmp_path.iterdir()}
    assert found <= {composed, decomposed}


def test_hidden_folders_are_not_visited_unless_asked_for(tmp_path: Path) -> None:
    hidden = touch(tmp_path / ".cache" / "a.jpg")
    touch(tmp_path / ".cache.jpg" / "b.jpg")
    left_out = LeftOut("in hidden folders", 2, str(tmp_path / ".cache.jpg" / "b.jpg"))
    assert find(tmp_path) == Found([], [], [], [left_out])
    assert find(tmp_path / ".cache").images == [hidden]


def test_a_folder_named_like_an_image_is_reported_and_visited(tmp_path: Path) -> None:
    inside = touch(tmp_path / "a.jpg" / "b.png")
    found = find(tmp_path)
    assert found.images == [inside]
    assert found.skipped == [Skipped(str(tmp_path / "a.jpg"), "a folder, although named like an image")]


def test_links_to_files_are_images_by_their_own_names(tmp_path: Path) -> None:
    touch(tmp_path / "data" / "0001")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jpg").symlink_to("../data/0001")
    assert find(tmp_path / "set").images == [tmp_path / "set" / "a.jpg"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "data" / "sub" / "a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to("../data")
    assert find(tmp_path / "set").images == [tmp_path / "set" / "link" / "sub" / "a.jpg"]


def test_a_folder_is_visited_once_and_by_its_own_name(tmp_path: Path) -> None:
    inside = touch(tmp_path / "real" / "deep" / "a.jpg")
    (tmp_path / "a-link").symlink_to("real")
    (tmp_path / "z-link").symlink_to("real/deep")
    (tmp_path / "real" / "up").symlink_to("..")
    (tmp_path / "real" / "deep" / "self").symlink_to(".")
    assert find(tmp_path) == Found([inside], [], [])


def test_of_several_links_to_a_folder_the_first_counts(tmp_path: Path) -> None:
    touch(tmp_path / "data" / "a.jpg")
    for name in ("c", "b", "d"):
        touch(tmp_path / "set" / name / "x.txt")
        (tmp_path / "set" / name / "link").symlink_to(tmp_path / "data")
    assert find(tmp_path / "set").images == [tmp_path / "set" / "b" / "link" / "a.jpg"]


def test_links_that_lead_nowhere_are_reported_if_named_like_images(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nothing")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "gone.txt").symlink_to("nothing")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    found = find(tmp_path)
    assert [Path(skipped.path).name for skipped in found.skipped] == ["gone.jpg", "loop.jpg"]
    assert found.skipped[0].reason == "a link that leads nowhere"
    assert not found.images
    assert not found.others


@pytest.mark.timeout(20)
def test_what_is_no_file_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)  # a socket's name is at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        found = find(tmp_path)
    assert found.skipped == [
        Skipped(str(tmp_path / name), "neither a file nor a folder")
        for name in ("device.jpg", "fifo.jpg", "socket.jpg")
    ]
    assert not found.images
    assert not found.others
    assert find(tmp_path / "fifo.jpg").skipped == found.skipped[1:2]


def test_a_folder_that_cannot_be_read_is_reported_and_the_rest_is_found() -> None:
    root = Path(tempfile.mkdtemp()).resolve()
    user = os.geteuid()
    try:
        root.chmod(0o755)
        inside = touch(root / "open" / "a.jpg")
        (touch(root / "closed" / "b.jpg")).parent.chmod(0)
        (root / "link.jpg").symlink_to("closed/b.jpg")
        if user == 0:
            os.seteuid(65534)  # root may read everything, nobody may not
        try:
            found, below = find(root), find(root / "closed" / "b.jpg")
        finally:
            os.seteuid(user)
    finally:
        (root / "closed").chmod(0o755)
        shutil.rmtree(root)
    assert found.images == [inside]
    assert found.skipped == [
        Skipped(str(root / "closed"), "folder cannot be read: permission denied"),
        Skipped(str(root / "link.jpg"), "cannot be read: permission denied"),
    ]
    assert below.skipped == [Skipped(str(root / "closed" / "b.jpg"), "cannot be read: permission denied")]


def test_a_folder_deeper_than_a_path_can_say_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(30):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    inside = touch(tmp_path / "a.jpg")
    found = find(tmp_path)
    assert found.images == [inside]
    assert [skipped.reason for skipped in found.skipped] == ["folder cannot be read: file name too long"]


def test_more_files_than_fit_into_memory_are_refused_with_what_to_do_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1_300):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setenv(VARIABLE, "1MiB")
    with pytest.raises(InvalidArgument, match=r"more than 1,198 files, .*--workers ray"):
        find(tmp_path)
    monkeypatch.setenv(VARIABLE, "2MiB")
    assert len(find(tmp_path).images) == 1_300
