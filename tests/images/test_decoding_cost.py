"""What decoding may cost: refused by the header, or decoded where it can be ended; one line, and no more."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.embedders.feature_cache import FeatureCache
from lookalike.errors import DecodingStopped, UnusableImage
from lookalike.images import decoder_pool, decoding_cost, jpeg_markers
from lookalike.images.decoder_pool import POOL, DecoderPool
from lookalike.images.decoding import decode, decode_here
from lookalike.images.limits import MAX_PIXELS
from lookalike.images.memory_budget import MemoryBudget
from lookalike.ingest import embedding as pipeline
from lookalike.ingest.embedding import EmbeddedFile, embed_batch, embed_files
from lookalike.sources.uploads import Upload
from tests.conftest import CommandLine
from tests.costly_pictures import (
    baseline_of_scans,
    bmp_of_runs,
    chunk,
    gif_of_blocks,
    jpeg,
    jpeg_of_scans,
    jpeg_with,
    png,
    saved,
    sized,
    snan,
    tiff,
    webp,
)
from tests.mean_colours import MeanColours
from tests.service import until

LIMITS = decoding_cost.Limits(MAX_PIXELS, 224)
ROWS = bytes(25 * 8)
"""Of a PNG of 8 × 8 pixels."""
TAGS = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
"""Of a TIFF of 8 × 8 grey pixels, without where its pixels lie."""
OPTIONS = {"at_least": 224, "max_pixels": MAX_PIXELS, "levels": "auto"}
SLOW = bmp_of_runs(60_000, 2_000)
"""9 kB that Pillow unpacks for some ten seconds."""


def reason(data: bytes) -> str:
    """Return why a picture is refused; nothing is decoded."""
    with pytest.raises(decoding_cost.TooCostly) as caught:
        decoding_cost.estimate(data, LIMITS)
    with pytest.raises(UnusableImage) as said:
        decode(data, "x", at_least=224)
    assert said.value.reason == str(caught.value)
    return said.value.reason


def shared_strips() -> bytes:
    """Return a TIFF of 20,000 strips, each the same 2 MB of empty blocks."""
    rows, blob = 20_000, b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * 400_000 + zlib.compress(b"\0")[2:]
    where = 8 + 2 + 9 * 12 + 4
    tags = [(256, 4, 1, 1), (257, 4, 1, rows), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
            (273, 4, rows, where), (277, 3, 1, 1), (278, 4, 1, 1),
            (279, 4, rows, where + 4 * rows)]  # fmt: skip
    offsets = struct.pack("<L", where + 8 * rows) * rows
    return tiff(tags, offsets + struct.pack("<L", len(blob)) * rows + blob)


def one_strip(following: int = 0, **tags: tuple[int, int, int, int]) -> bytes:
    """Return a TIFF of 8 × 8 grey pixels, with more tags, whose next directory begins somewhere."""
    all_tags = [*TAGS, *tags.values(), (273, 4, 1, 8), (278, 4, 1, 8), (279, 4, 1, 64)]
    return tiff(sorted(all_tags), bytes(64), following=following)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (jpeg_of_scans(11585, 11585, 2000), "more than 256 scans"),
        # A marker of the end in a comment is none.
        (jpeg_of_scans(11585, 11585, 300, b"\xff\xfe\x00\x04\xff\xd9"), "more than 256 scans"),
        (jpeg_of_scans(11585, 11585, 250), "250 scans of 11585 × 11585 pixels, more than any encoder writes"),
        (baseline_of_scans(11585, 11585, 2000), "more than 256 scans"),
        (jpeg_of_scans(64, 64, 300, b"\xff\xfe\x00\x02" * 10), "more than 256 scans"),
        (jpeg_of_scans(64, 64, 200, b"\xff\xfe\x00\x04\xff\xda" * 30), "more than 4,096 segments"),
        (jpeg_with(b"\xff\xfe\x00\x02" * 1_000_000), "more than 4,096 segments"),
        (jpeg_with(b"\xff\xd0" * 1_000_000), "more than 4,096 segments"),
        (jpeg_with(b"\xff\xe1\x00\x02" * 5_000), "more than 4,096 segments"),
        (png(8, 8, ROWS, between=chunk(b"teSt", b"") * 1_000_000), "more than 131,072 chunks"),
        (png(8, 8, ROWS, between=chunk(b"IDAT", b"") * 200_000), "more than 131,072 chunks"),
        (gif_of_blocks(1_000_000), "more than 65,536 blocks before its first frame"),
        (tiff([(256, 4, 1, 8)] * 5_000), "more than 4,096 tags"),
        (tiff([*TAGS, (273, 4, 1_000_000, 200)], bytes(4_000_200)), "more than 131,072 strips or tiles"),
        (tiff([*TAGS, (320, 3, 1_000_000, 200)], bytes(2_000_200)), "a tag of more than 196,608 values"),
    ],
)  # fmt: skip
def test_more_than_any_encoder_writes_is_refused_by_the_header(data: bytes, said: str) -> None:
    assert reason(data) == said


def test_a_webp_takes_sixteen_bytes_a_pixel() -> None:
    wide = webp(11000, 11000)
    assert len(wide) == 34
    assert reason(wide) == (
        "decoding it takes about 1,936 MB, more than the limit of 1,611 MB (12 bytes for each of max-pixels)"
    )
    # What may be taken goes with the limit of pixels.
    assert decoding_cost.estimate(wide, decoding_cost.Limits(2 * MAX_PIXELS, 224)) == (16 * 11000**2, True)


def test_a_tile_may_be_larger_than_its_picture() -> None:
    tile = [(322, 4, 1, 65536), (323, 4, 1, 65536), (324, 4, 1, 8), (325, 4, 1, 100)]
    assert reason(tiff(sorted([*TAGS, *tile]), bytes(100))).startswith("decoding it takes about 4,295 MB")


def test_pages_that_follow_each_other_in_a_circle_are_read_once() -> None:
    assert decode(one_strip(following=8), "x", at_least=224).size == (8, 8)
    assert not decoding_cost.estimate(one_strip(following=8), LIMITS).apart
    children = (330, 4, 1, 8)
    assert decode(one_strip(children=children), "x", at_least=224).size == (8, 8)


@pytest.mark.parametrize(
    "between",
    [b"\xff" * 5_000_000, b"\xff\x00" * 2_500_000, b"x" * 5_000_000],
    ids=["fill", "escaped", "junk"],
)
def test_bytes_that_belong_to_nothing_are_passed_over(between: bytes) -> None:
    """Pillow reads them one by one."""
    whole = jpeg()
    padded = whole[:20] + between + whole[20:]
    assert jpeg_markers.cleaned(padded) == whole
    assert decode(padded, "x", at_least=224) == decode(whole, "x", at_least=224)


def test_a_head_of_very_many_notes_is_cut_to_what_the_pixels_need() -> None:
    photoshop = b"\xff\xed\xff\xff" + (b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\0" * 5460).ljust(
        65533, b"a"
    )
    camera = Image.Exif()
    camera[274] = 6
    plain = saved(Image.new("RGB", (64, 32), "red"), "JPEG", exif=camera)
    noted = plain[:2] + photoshop * 80 + plain[2:]
    assert jpeg_markers.cleaned(noted) == plain
    assert decode(noted, "x", at_least=224).size == (32, 64)
    # An ordinary one is left as it is.
    assert jpeg_markers.cleaned(plain) is plain


@pytest.mark.parametrize(
    ("data", "apart"),
    [
        (jpeg(), False),
        (jpeg(progressive=True), False),
        (sized(jpeg(), 11585, 11585), False),  # a photograph of 134 megapixels
        (sized(jpeg(progressive=True), 5000, 5000), False),
        (sized(jpeg(progressive=True), 11585, 11585), True),
        (baseline_of_scans(11000, 11000, 30), True),
        (saved(Image.new("RGB", (64, 64)), "PNG"), False),
        (png(6000, 6000, b"", colour=6, depth=16), True),
        (webp(2000, 2000), False),
        (webp(3000, 3000), True),
        (saved(Image.new("P", (64, 64)), "GIF"), False),
        (saved(Image.new("RGB", (64, 64)), "BMP"), False),
        (bmp_of_runs(8, 8), True),
        (saved(Image.new("RGB", (64, 64)), "TIFF"), False),
        (saved(Image.new("RGB", (64, 64)), "TIFF", compression="tiff_lzw"), False),
        (saved(Image.new("RGB", (64, 64)), "TIFF", compression="jpeg"), True),
        (saved(Image.new("RGB", (64, 64)), "TIFF", compression="lzma"), True),
        (shared_strips(), True),
        (saved(Image.new("RGB", (64, 64)), "AVIF"), True),
        (saved(Image.new("RGB", (64, 64)), "PPM"), False),
        (b"P5" + b" " * 5_000 + b"8 8 255 " + bytes(64), True),
        (b"P2 8 8 255 " + b"1 " * 64, True),
        (saved(Image.new("RGB", (64, 64)), "JPEG2000"), True),
        (b"any other format", True),
        (jpeg()[:100], True),
    ],
)  # fmt: skip
def test_what_may_take_long_is_decoded_apart(data: bytes, apart: bool) -> None:
    assert decoding_cost.estimate(data, LIMITS).apart is apart


def test_decoded_apart_it_is_the_same_picture() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (700, 900, 3), np.uint8)
    picture = Image.fromarray(noise)
    large = Image.fromarray(np.tile(noise, (3, 3, 1)))  # of more than one band
    for data in (
        saved(picture, "JPEG", progressive=True),
        saved(large, "PNG"),
        saved(picture, "TIFF", compression="jpeg"),
        saved(Image.fromarray(noise[..., 0].astype(np.float32)), "TIFF", compression="lzma"),
        webp(2100, 2100),
    ):
        here = decode_here(data, "x", at_least=224)
        apart, notes = POOL.decode(data, "x", OPTIONS, 1 << 28)
        assert (apart.size, apart.tobytes()) == (here.image.size, here.image.tobytes())
        assert notes == here.notes


def test_what_is_refused_apart_has_its_reason() -> None:
    cut = saved(Image.new("RGB", (3000, 3000)), "WEBP")[:-40]
    with pytest.raises(UnusableImage) as caught:
        decode(cut, "a\udcff\n.webp", at_least=224)
    assert (caught.value.path, caught.value.reason) == ("a\udcff\n.webp", "truncated WebP")


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    """Processes of the test's own."""
    mine = DecoderPool()
    yield mine
    mine.close()


def ask(pool: DecoderPool, data: bytes, memory: int = 1 << 31) -> Image.Image:
    return pool.decode(data, "x", OPTIONS, memory)[0]


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(UnusableImage) as caught:
        act()
    return caught.value.reason


def processes(pool: DecoderPool) -> list[int]:
    """Return the ids of those that are decoding."""
    return [decoder._process.pid for decoder in pool._busy]


def is_gone(process: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for is a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_it_is_ended_after_so_many_seconds_of_a_core(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "SECONDS", 1)
    assert refused(lambda: ask(pool, SLOW)) == "decoding it takes more than 1 seconds of a core"
    assert ask(pool, jpeg()).size == (64, 64)  # by another process
    assert ask(pool, jpeg()).size == (64, 64)


def test_the_seconds_are_counted_for_each_picture(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "SECONDS", 1)
    medium = bmp_of_runs(3_000, 1_000)
    assert {ask(pool, medium).size for _ in range(8)} == {(3_000, 1_000)}


def test_it_gets_no_more_memory_than_was_estimated(pool: DecoderPool) -> None:
    large = png(9_000, 9_000, b"")
    assert refused(lambda: ask(pool, large, memory=1 << 20)) == "not enough memory for that many pixels"
    assert ask(pool, jpeg()).size == (64, 64)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGSEGV, "its decoder crashed (SIGSEGV)"),
        (signal.SIGABRT, "its decoder crashed (SIGABRT)"),
        (signal.SIGKILL, "decoding it was ended by the system: it took too long, or too much memory"),
    ],
)
def test_a_decoder_that_dies_costs_one_picture(pool: DecoderPool, number: int, said: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(lambda: refused(lambda: ask(pool, SLOW)))
        until(lambda: bool(processes(pool)))
        os.kill(processes(pool)[0], number)
        assert slow.result() == said
    assert ask(pool, jpeg()).size == (64, 64)


def test_one_that_dies_while_it_has_nothing_to_do_costs_none(pool: DecoderPool) -> None:
    ask(pool, jpeg())
    (idle,) = pool._idle
    os.kill(idle._process.pid, signal.SIGKILL)
    until(lambda: is_gone(idle._process.pid))
    assert ask(pool, jpeg()).size == (64, 64)


def test_somebody_says_stop(pool: DecoderPool) -> None:
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(ask, pool, SLOW)
        until(lambda: bool(processes(pool)))
        with pool.stopped():
            assert isinstance(slow.exception(), DecodingStopped)
            with pytest.raises(DecodingStopped):
                ask(pool, jpeg())
    assert ask(pool, jpeg()).size == (64, 64)


def test_those_beyond_the_cores_wait(pool: DecoderPool) -> None:
    pool._most = 1
    data = bmp_of_runs(1000, 200)
    with ThreadPoolExecutor(4) as threads:
        sizes = {each.size for each in threads.map(lambda _: ask(pool, data), range(8))}
    assert sizes == {(1000, 200)}
    assert len(pool._idle) == 1


PROGRAM = """
import sys, threading
from pathlib import Path
from lookalike.images import decoder_pool
from lookalike.images.decoding import decode
data = Path(sys.argv[1]).read_bytes()
thread = threading.Thread(target=decode, args=(data, "x"), kwargs={"at_least": 224}, daemon=True)
thread.start()
while not decoder_pool.POOL._busy:
    pass
print(next(iter(decoder_pool.POOL._busy))._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_decoder_ends_with_its_program(tmp_path: Path, number: int | None) -> None:
    (tmp_path / "slow.bmp").write_bytes(SLOW)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "slow.bmp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        process = int(program.stdout.readline())
        assert not is_gone(process)
        if number is None:
            program.communicate(b"")
            assert program.returncode == 0
        else:
            program.send_signal(number)
            program.wait()
        until(lambda: is_gone(process))


def test_it_is_started_from_any_program(tmp_path: Path) -> None:
    """From -c, from standard input, and beside files that are called like modules."""
    (tmp_path / "small.bmp").write_bytes(bmp_of_runs(8, 8))
    for name in ("json", "PIL", "socket", "lookalike_"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not me')")
    program = (
        "import sys; sys.path.remove('') if '' in sys.path else None\n"
        "from lookalike.images.decoding import decode\n"
        "print(decode(open('small.bmp', 'rb').read(), 'x', at_least=224).size)\n"
    )
    for words, given in ((["-c", program], ""), (["-"], program)):
        done = subprocess.run(
            [sys.executable, "-P", *words],
            input=given,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("(8, 8)\n", "")


def test_a_fork_has_decoders_of_its_own() -> None:
    ask(POOL, jpeg())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of a fork among threads
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if ask(POOL, jpeg()).size == (64, 64) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert ask(POOL, jpeg()).size == (64, 64)


def test_without_processes_it_says_so(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    said = "no process to decode it in can be started: No such file or directory"
    assert refused(lambda: ask(pool, jpeg())) == said
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert refused(lambda: ask(pool, jpeg())).startswith("no process to decode it in can be started: ")
    monkeypatch.undo()
    assert ask(pool, jpeg()).size == (64, 64)


@pytest.fixture
def nothing_kept(tmp_path: Path) -> Iterator[FeatureCache]:
    cache = FeatureCache(tmp_path / "cache", "c0" * 32, MeanColours.dimension)
    yield cache
    cache.close()


def test_who_wants_no_more_features_waits_for_no_decoder(nothing_kept: FeatureCache) -> None:
    """As after Ctrl-C, or where a job is cancelled."""
    quick = [Upload(f"{number}.jpg", jpeg() + bytes([number])) for number in range(8)]
    features = embed_files([*quick, Upload("slow.bmp", SLOW)], MeanColours(), nothing_kept)
    assert isinstance(next(features), EmbeddedFile)
    until(lambda: bool(POOL._busy))
    (decoder,) = POOL._busy
    features.close()
    assert decoder._process.returncode == -signal.SIGKILL


def test_of_large_pictures_a_batch_holds_a_few(
    nothing_kept: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that takes many at once gets fewer of them, and every picture keeps its features."""
    monkeypatch.setattr(pipeline, "_PIXELS", 6_000)
    sizes = [(60, 60), (50, 70), (6, 6), (60, 61), (8, 8)]
    uploads = [
        Upload(f"{each}.png", saved(Image.new("RGB", size, (50 * each + 9, 9, 9)), "PNG"))
        for each, size in enumerate(sizes)
    ]
    model = MeanColours(batch_size=len(sizes))
    answers = embed_batch(uploads, model, nothing_kept)
    assert model.calls == [2, 3]
    reds = [answer.features[0] for answer in answers if isinstance(answer, EmbeddedFile)]
    assert len(reds) == len(sizes)
    assert reds == sorted(reds)


def test_images_that_are_large_wait_for_each_other() -> None:
    budget = MemoryBudget(100, small=10)
    most, lock, under_way = 0, threading.Lock(), 0

    def work(count: int) -> None:
        nonlocal most, under_way
        with budget.lend(count):
            with lock:
                under_way += count
                most = max(most, under_way)
            time.sleep(0.002)
            with lock:
                under_way -= count

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [60, 30, 50, 20, 90, 40] * 10))
    assert 60 <= most <= 100
    with budget.lend(1000), budget.lend(5):  # alone, and what is small is not counted
        assert budget.lent == 1000
    assert budget.lent == 0


MEASURED = """
import resource, sys, threading
from pathlib import Path
from lookalike.errors import UnusableImage
from lookalike.images.decoding import decode
data = Path(sys.argv[1]).read_bytes()
def act():
    try:
        decode(data, "x", at_least=224)
    except UnusableImage:
        pass
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
threads = [threading.Thread(target=act) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks how much memory a process took, in kilobytes")
def test_eight_at_once_take_little(tmp_path: Path) -> None:
    (tmp_path / "wide.webp").write_bytes(webp(11000, 11000))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "wide.webp"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "samples",
    [
        np.array([[0x7F800001, 0x3F000000], [0xFF800001, 0]], np.uint32).view(np.float32),
        np.array([[np.inf, -np.inf], [np.nan, 1]], np.float32),
        np.array([[3.4e38, -3.4e38], [0, 1]], np.float32),
        np.array([[1e-45, 0], [0, 1e-45]], np.float32),
    ],
)
def test_a_float_of_any_bits_warns_of_nothing(
    samples: np.ndarray[tuple[int, int], np.dtype[np.float32]], capfd: pytest.CaptureFixture[str]
) -> None:
    with np.errstate(all="raise"):  # whatever the program around it wants
        assert decode(saved(Image.fromarray(samples), "TIFF"), "x", at_least=224).size == (2, 2)
    assert decode(snan(), "x", at_least=224).size == (2, 2)
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_them_is_indexed_all_the_same(
    lookalike: CommandLine, textile_files: dict[str, list[Path]], tmp_path: Path
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(textile_files["local"][0].read_bytes())
    (folder / "runs.bmp").write_bytes(bmp_of_runs(800, 300))
    for name, data in {
        "scans.jpg": jpeg_of_scans(11585, 11585, 2000),
        "wide.webp": webp(11000, 11000),
        "chunks.png": png(8, 8, ROWS, between=chunk(b"teSt", b"") * 200_000),
        "blocks.gif": gif_of_blocks(100_000),
        "tags.tif": tiff([(256, 4, 1, 8)] * 5_000),
    }.items():
        (folder / name).write_bytes(data)
    out, err = lookalike("index", folder, "-c", "photographs")
    said = out + err
    assert re.search(r"2 added", said), said
    for name in ("scans.jpg", "wide.webp", "chunks.png", "blocks.gif", "tags.tif"):
        assert name in said
    assert "more than 256 scans" in said
