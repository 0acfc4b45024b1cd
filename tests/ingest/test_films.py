"""Films are indexed frame by frame, and frames follow what becomes of their film."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.images.decoding import decode
from lookalike.images.film_sampling import Sampling, clock_text
from lookalike.images.films import open_film
from lookalike.ingest.index_report import IndexReport
from lookalike.metric_learning.corrections import correct, marks_of
from lookalike.sources.frames import FramePath, named_frame
from lookalike.sources.locations import readable_location
from lookalike.types import Record
from lookalike.uris import record_id, uri_text
from tests.desk import Desk
from tests.film_files import BLUE, GREEN, RED, film, sound
from tests.mean_colours import save

SECOND = Sampling.parse("every:1s")
SCENE = Sampling.parse("scene")


def moments(path: Path, sampling: Sampling) -> list[int]:
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        return [frame.time for frame in opened.frames(sampling)]


def records(desk: Desk) -> dict[str, Record]:
    """Return the records by their names, a frame's with its moment."""
    found = [record for batch, _ in desk.store.scan("parts") for record in batch]
    return {uri_text(record.uri).rpartition("/")[2]: record for record in found}


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, report.removed


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "mpeg4", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.mkv", "ffv1", "yuv420p10le"),
    ],
)
def test_frames_of_all_containers_are_the_same_whether_read_in_order_or_alone(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    path = film(tmp_path / name, codec=codec, pixels=pixels)
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        found = list(opened.frames(SECOND))
        assert opened.fault is None
    assert [frame.time for frame in found] == [0, 1000, 2000]
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        for frame, colour in list(zip(found, (RED, GREEN, BLUE), strict=True))[::-1]:
            assert opened.frame(frame.time) == frame
            assert opened.frame(frame.time + 50) == frame  # shown until the next one is
            mean = np.asarray(decode(frame.picture, name, at_least=1))[16:].mean(axis=(0, 1))
            assert np.abs(mean - colour).max() < 12
        with pytest.raises(UnusableImage, match=r"its pictures end at 2\.9 s"):
            opened.frame(60_000)


def test_a_scene_is_looked_at_after_its_cut_and_a_long_one_now_and_then(tmp_path: Path) -> None:
    assert moments(film(tmp_path / "a.mp4"), SCENE) == [500, 1500, 2500]
    assert moments(film(tmp_path / "short.mp4", [RED], seconds=0.3), SCENE) == [200]
    assert moments(film(tmp_path / "long.mp4", [RED], seconds=25), SCENE) == [500, 10_500, 20_500]


def test_times_that_are_not_even_are_those_of_the_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", times=[0, 40, 1_333, 1_400, 5_000, 5_020])
    assert moments(path, SECOND) == [0, 1_333, 5_000]
    assert moments(path, Sampling.parse("every:20ms")) == [0, 40, 1_333, 1_400, 5_000, 5_020]


def test_a_film_that_begins_later_is_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", times=range(5_000, 7_000, 100))
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        assert (opened.duration, [frame.time for frame in opened.frames(SECOND)]) == (2_000, [0, 1_000])
        assert opened.fault is None


def test_sound_may_be_longer_than_the_pictures(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", seconds=2, sound=30)
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        assert [frame.time for frame in opened.frames(SECOND)] == [0, 1_000]
        assert opened.fault is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        assert [frame.time for frame in opened.frames(SECOND)] != []
        assert opened.fault is not None


@pytest.mark.parametrize(
    ("name", "codec"), [("several in a pack.mpg", "mpeg1video"), ("as coded.avi", "libx264")]
)
def test_frames_whose_times_are_guessed_are_all_there_and_found_again(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = film(tmp_path / name, codec=codec, rate=25, seconds=8)
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        found = list(opened.frames(Sampling.parse("every:1ms")))
    assert len(found) >= 198
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        for frame in found[::-10]:
            assert opened.frame(frame.time) == frame


@pytest.mark.parametrize("text", ["", "every", "every:", "every:0s", "every:-1s", "every:1d", "scenes", "1s"])
def test_what_says_no_frames_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"every:1s, every:500ms, every:2min"):
        Sampling.parse(text)


def test_what_says_frames() -> None:
    said = ["scene", "every:1s", "EVERY:0.5s", "every:500ms", "every:2min", "every:1h", "every:3"]
    read = ["scene", "every:1s", "every:0.5s", "every:0.5s", "every:120s", "every:3600s", "every:3s"]
    assert [str(Sampling.parse(text)) for text in said] == read
    assert [clock_text(time) for time in (0, 12_500, 3_723_004)] == ["0:00", "0:12.5", "1:02:03.004"]


def test_a_moment_is_named_in_seconds_or_as_clocks_show_it(tmp_path: Path) -> None:
    assert named_frame("a.mp4#t=12.5") == ("a.mp4", 12_500)
    assert named_frame("a#t=1.mp4#t=1:02:03.5") == ("a#t=1.mp4", 3_723_500)
    assert named_frame("a.mp4") is named_frame("a.mp4#t=") is named_frame("a.mp4#x") is None
    odd = save(tmp_path / "a.mp4#t=1", 1)
    assert named_frame(str(odd)) is None


def test_a_rotated_film_is_upright(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", [RED], seconds=0.2, size=(64, 32), codec="libx264")
    data = path.read_bytes()
    upright = b"".join(n.to_bytes(4, signed=True) for n in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    place = data.index(upright, data.index(b"tkhd"))
    turned = b"".join(n.to_bytes(4, signed=True) for n in (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30))
    path.write_bytes(data[:place] + turned + data[place + len(upright) :])
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        image = decode(opened.frame(0).picture, "a", at_least=1)
    assert image.size == (32, 64)
    # The mark that wanders along the top is at the right edge of what was turned to the right.
    assert np.asarray(image)[:4, -4:].min() > 200


def test_frames_are_records_of_their_film(desk: Desk, tmp_path: Path) -> None:
    root = tmp_path / "all"
    film(root / "good" / "하나.mp4")
    save(root / "bad" / "1.png", 1)
    report = desk.index(root, frames=SECOND)
    assert (counts(report), report.films, report.skipped) == ((4, 0, 0, 0), 1, [])
    found = records(desk)
    assert sorted(found) == ["1.png", "하나.mp4#t=0", "하나.mp4#t=1", "하나.mp4#t=2"]
    frame = found["하나.mp4#t=1"]
    assert frame.uri == f"{(root / 'good' / '하나.mp4').as_uri()}#t=1"
    assert frame.id == record_id(frame.uri)
    assert frame.fields == {
        "label": "good", "film": "good/하나.mp4", "time": 1.0,
    }  # fmt: skip
    assert frame.size == (root / "good" / "하나.mp4").stat().st_size
    place = readable_location(frame.uri)
    assert isinstance(place, FramePath)
    embedded = desk.embedder.embedded
    again = desk.index(root, frames=SECOND)
    assert (counts(again), again.films) == ((0, 0, 4, 0), 1)
    # What has other pixels nowhere is known wherever it lies.
    film(root / "good" / "again.mp4")
    assert counts(desk.index(root, frames=SECOND)) == (3, 0, 4, 0)
    assert desk.embedder.embedded == embedded


def test_without_frames_films_are_left_out_and_that_is_said(desk: Desk, tmp_path: Path) -> None:
    save(tmp_path / "all" / "1.png", 1)
    path = film(tmp_path / "all" / "a.mp4")
    report = desk.index(tmp_path / "all")
    assert counts(report) == (1, 0, 0, 0)
    assert "--frames scene" in report.remarks[0].text
    (skipped,) = desk.index(path).skipped
    assert "--frames scene" in skipped.reason


def test_a_table_labels_the_frames_of_the_film_that_it_names(desk: Desk, tmp_path: Path) -> None:
    film(tmp_path / "all" / "a.mp4")
    table = tmp_path / "all" / "metadata.csv"
    table.write_text("file_name,label,time\na.mp4,scratch,night\n")
    report = desk.index(tmp_path / "all", labels="auto", frames=SECOND)
    assert {record.fields["label"] for record in records(desk).values()} == {"scratch"}
    assert sorted(record.fields["time"] for record in records(desk).values()) == [0.0, 1.0, 2.0]
    assert any("its label has time" in remark.text for remark in report.remarks)
    table.write_text("file_name,label\na.mp4,good\na.mp4#t=1,bad\n")
    report = desk.index(tmp_path / "all", labels="auto", frames=SECOND)
    assert report.relabelled == 3
    assert "name the film of a frame" in report.skipped[0].reason
    assert {record.fields["label"] for record in records(desk).values()} == {"good"}


def test_a_film_that_changed_or_is_sampled_otherwise_has_its_new_frames_alone(
    desk: Desk, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4")
    desk.index(path, frames=SECOND)
    assert counts(desk.index(path, frames=SCENE)) == (3, 0, 0, 3)
    assert sorted(records(desk)) == ["a.mp4#t=0.5", "a.mp4#t=1.5", "a.mp4#t=2.5"]
    film(path, [BLUE, RED], seconds=2)
    assert counts(desk.index(path, frames=SCENE)) == (0, 2, 0, 1)
    assert sorted(records(desk)) == ["a.mp4#t=0.5", "a.mp4#t=1.5"]
    path.unlink()
    assert counts(desk.index(tmp_path, frames=SCENE, prune_empty=True)) == (0, 0, 0, 2)


def test_records_follow_a_film_that_was_moved_with_what_was_said_of_them(desk: Desk, tmp_path: Path) -> None:
    film(tmp_path / "all" / "good" / "a.mp4")
    desk.index(tmp_path / "all", frames=SECOND)
    correct(desk.store, "parts", records(desk)["a.mp4#t=1"].id, {"label": "scratch"})
    embedded = desk.embedder.embedded
    (tmp_path / "all" / "good" / "a.mp4").rename(tmp_path / "all" / "good" / "b.mp4")
    report = desk.index(tmp_path / "all", frames=SECOND, prune=True)
    assert (counts(report), report.moved) == ((0, 0, 0, 0), 3)
    assert desk.embedder.embedded == embedded
    found = records(desk)
    assert sorted(found) == ["b.mp4#t=0", "b.mp4#t=1", "b.mp4#t=2"]
    assert [record.fields["label"] for record in found.values()].count("scratch") == 1
    # Also beside a correction a film that has not changed is not read.
    assert desk.index(tmp_path / "all", frames=SECOND).unchanged == 3
    assert marks_of(found["b.mp4#t=1"]).sampling == "every:1s"


def test_a_run_that_was_killed_over_a_film_goes_on(desk: Desk, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    desk.index(path, frames=SECOND)
    # As a kill leaves it: the first frame is written last.
    desk.store.remove("parts", [records(desk)["a.mp4#t=0"].id])
    assert counts(desk.index(path, frames=SECOND)) == (1, 2, 0, 0)
    desk.store.remove("parts", [records(desk)["a.mp4#t=2"].id])
    assert counts(desk.index(path, frames=SECOND)) == (1, 2, 0, 0)
    assert counts(desk.index(path, frames=SECOND)) == (0, 0, 3, 0)
    assert desk.embedder.embedded == 3


def test_verify_compares_the_pixels(desk: Desk, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", seconds=2)
    desk.index(path, frames=SECOND)
    before = path.stat()
    report = desk.index(path, frames=SECOND, verify=True)
    assert (report.verified, report.differing, report.unchanged) == (2, 0, 2)
    other = film(tmp_path / "other.mp4", [GREEN, RED, BLUE], seconds=2).read_bytes()
    path.write_bytes((other + bytes(before.st_size))[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = desk.index(path, frames=SECOND, verify=True)
    assert (report.differing, report.updated) == (1, 2)


def test_films_that_cannot_be_read_are_told(desk: Desk, tmp_path: Path) -> None:
    root = tmp_path / "all"
    whole = film(root / "whole.mkv", codec="mjpeg", pixels="yuvj420p").read_bytes()
    (root / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    (root / "text.mp4").write_bytes(b"no film")
    save(root / "picture.png", 1).rename(root / "picture.mp4")
    unended = film(root / "unended.mp4").read_bytes()
    (root / "unended.mp4").write_bytes(unended[: len(unended) // 2])
    (root / "empty.mkv").write_bytes(b"")
    (root / "list.mp4").write_text("#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    (root / "list.avi").write_text("ffconcat version 1.0\nfile whole.mkv\n")
    sound(root / "sound.mp4")
    report = desk.index(root, frames=SECOND)
    reasons = {Path(skipped.path).name: skipped.reason for skipped in report.skipped}
    assert reasons == {
        "empty.mkv": "empty file",
        "list.avi": "no film: text",
        "list.mp4": "no film: text",
        "picture.mp4": "no film: PNG, a picture",
        "sound.mp4": "no film: there is sound in it and no pictures",
        "text.mp4": "no film: text",
        "unended.mp4": "no film that can be read: it was cut off, or its index is missing or damaged",
    }
    assert sorted(records(desk)) == [f"{name}.mkv#t={n}" for name, n in (("cut", 0), ("cut", 1))] + [
        f"whole.mkv#t={n}" for n in range(3)
    ]
    (fault,) = [remark for remark in report.remarks if "cut.mkv" in remark.path]
    assert fault.text == "breaks off: its pictures end at 1.4 s of 3 s: the frames that there are, are taken"


def test_a_decoder_that_is_killed_leaves_the_frames_before(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4")
    found = []
    with path.open("rb") as file, open_film(file, str(path)) as opened:
        for frame in opened.frames(SECOND):
            found.append(frame.time)
            if frame.time == 1000:
                opened._process.kill()
        assert opened.fault is not None
        assert "ended by the system" in opened.fault
    assert found == [0, 1000]


def test_large_frames_are_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", seconds=0.2)
    with (
        path.open("rb") as file,
        pytest.raises(UnusableImage, match=r"64 × 64 pixels are more than the limit of 1,000"),
        open_film(file, str(path), 1000),
    ):
        pass
