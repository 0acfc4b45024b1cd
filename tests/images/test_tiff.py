"""TIFF of every depth, sample type, order, layout and page: the picture that was meant, or a clear no."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.images.test_decoding import encoded, read, reason, scene
from tests.tiff_files import Page, write_tiff

MEANT = np.asarray(scene(52, 37))
GREY = np.asarray(scene(52, 37).convert("L"))
KINDS = ("u2", "f4", "f8")


def deep(levels: NDArray[Any], kind: str) -> NDArray[Any]:
    """The same picture in samples of a larger type, by its whole range."""
    return levels.astype(np.uint16) * 257 if kind == "u2" else (levels / 255).astype(kind)


def worst(data: bytes, meant: NDArray[Any] = MEANT) -> int:
    pixels = read(data)
    assert pixels.shape == meant.shape
    return int(np.abs(pixels.astype(int) - meant).max())


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
@pytest.mark.parametrize("kind", [*KINDS, "f2", "u1"])
def test_colours_of_any_depth_and_layout_come_out_as_they_were_meant(
    kind: str, order: str, big: bool
) -> None:
    levels = MEANT if kind == "u1" else deep(MEANT, kind)
    for planar, tile, predictor in itertools.product((False, True), (None, 16), (1, 2, 3)):
        if predictor == 3 and not kind.startswith("f"):
            continue
        page = Page(levels, 2, deflate=predictor > 1, predictor=predictor, planar=planar, tile=tile)
        assert worst(write_tiff(page, order=order, big=big)) <= 1, (planar, tile, predictor)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_pillow_undoes_every_compression_of_bytes(compression: str) -> None:
    data = encoded(Image.fromarray(deep(GREY, "u2")), "TIFF", compression=compression)
    assert worst(data, np.repeat(GREY[..., None], 3, 2)) <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("tile", [None, 16])
def test_packed_samples_are_scaled_by_their_own_bits(bits: int, tile: int | None) -> None:
    samples = np.rint(MEANT / 255 * (2**bits - 1)).astype(np.uint16)
    for planar in (False, True):
        assert worst(write_tiff(Page(samples, 2, bits=bits, tile=tile, planar=planar))) <= 1
    dim = write_tiff(Page(samples[..., :1] // 2, bits=bits))
    assert np.abs(read(dim)[..., 0].astype(int) - MEANT[..., 0] // 2).max() <= 1


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4"])
def test_integers_of_other_types_are_read(kind: str) -> None:
    levels = (GREY // 2).astype(kind)[..., None]
    for planar, order in itertools.product((False, True), "<>"):
        data = write_tiff(Page(levels, planar=planar), order=order)
        assert np.abs(read(data)[..., 0].astype(int) - GREY // 2).max() <= 1


def test_ink_and_alpha_and_extra_samples_are_told_apart() -> None:
    ink = np.concatenate([255 - MEANT, np.zeros_like(MEANT[..., :1])], axis=2)
    for planar in (False, True):
        assert worst(write_tiff(Page(ink, 5, planar=planar))) <= 1
        assert worst(write_tiff(Page(deep(ink, "u2"), 5, planar=planar))) <= 1
        more = np.concatenate([MEANT, MEANT[..., :2] // 2], axis=2)
        assert worst(write_tiff(Page(more, 2, (0, 0), planar=planar))) <= 1
        assert worst(write_tiff(Page(deep(more, "u2"), 2, (0, 0), planar=planar))) <= 1
        bands = np.stack([GREY, *[GREY // 3] * 4], axis=-1)
        assert (
            worst(write_tiff(Page(bands, 1, (0,) * 4, planar=planar)), np.repeat(GREY[..., None], 3, 2)) == 0
        )
    half = np.full_like(MEANT[..., :1], 128)
    over_white = np.rint(MEANT * (128 / 255) + 127).astype(int)
    plain = np.concatenate([MEANT, half], axis=2)
    multiplied = np.concatenate([np.rint(MEANT * (128 / 255)).astype(np.uint8), half], axis=2)
    for levels in (plain, deep(plain, "u2")):
        assert worst(write_tiff(Page(levels, 2, (2,))), over_white) <= 1
    for levels in (multiplied, deep(multiplied, "u2")):
        assert worst(write_tiff(Page(levels, 2, (1,))), over_white) <= 2
    grey = np.concatenate([GREY[..., None] // 2, half], axis=2)
    assert worst(write_tiff(Page(grey, 1, (1,))), np.repeat(grey[..., :1] + 127, 3, 2)) <= 2


def test_lab_becomes_the_colours_it_stands_for() -> None:
    # CIELAB of sRGB's white, red and blue under D50, a and b signed (TIFF 6.0, section 23).
    lab = np.array([[[255, 0, 0], [139, 81, 70], [75, 68, 144]]], np.uint8).repeat(4, 0).repeat(6, 1)
    pixels = read(write_tiff(Page(lab, 8))).astype(int)
    for column, colour in ((2, (255, 255, 255)), (8, (255, 0, 0)), (14, (0, 0, 255))):
        assert np.abs(pixels[2, column] - colour).max() < 25


def test_deep_lab_and_lab_in_planes_are_as_that_of_8_bits() -> None:
    lab = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    meant = read(write_tiff(Page(lab, 8)))
    assert np.array_equal(read(write_tiff(Page(lab, 8, planar=True))), meant)
    assert np.array_equal(read(write_tiff(Page(lab.astype(np.uint16) * 256 + 99, 8))), meant)


@pytest.mark.parametrize("levels", [MEANT, MEANT.astype(np.uint16) * 257])
def test_where_no_colour_model_is_told_one_is_taken_for_granted(levels: NDArray[Any]) -> None:
    data = write_tiff(Page(levels, 2))
    told = struct.pack("<HHLHH", 262, 3, 1, 2, 0)
    assert worst(data.replace(told, struct.pack("<HHLHH", 263, 3, 1, 1, 0))) == 0
    grey = write_tiff(Page(levels[..., :1], 1)).replace(
        struct.pack("<HHLHH", 262, 3, 1, 1, 0), struct.pack("<HHLHH", 263, 3, 1, 1, 0)
    )
    assert worst(grey, MEANT[..., :1].repeat(3, 2)) == 0


def test_ycbcr_is_read_where_every_pixel_has_its_colours_and_refused_where_not() -> None:
    ycbcr = np.asarray(scene(52, 37).convert("YCbCr"))
    assert worst(write_tiff(Page(ycbcr, 6, tags={530: (3, [1, 1])}))) <= 3
    assert worst(write_tiff(Page(ycbcr, 6))) <= 3
    for subsampling in ([2, 2], [2, 1], [4, 4]):
        data = write_tiff(Page(ycbcr, 6, tags={530: (3, subsampling)}), Page(MEANT, 2))
        assert reason(data).startswith("TIFF of YCbCr")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({262: (3, [32845])}, "unusual colour model (32845)"),
        ({262: (3, [9])}, "unusual colour model (9)"),
        ({262: (3, [6])}, "16 bits a sample in its colour model"),
        ({259: (3, [34712])}, "compressed as JPEG 2000"),
    ],
)
def test_colours_that_are_not_read_are_named(tags: dict[int, Any], said: str) -> None:
    assert said in reason(write_tiff(Page(deep(MEANT, "u2"), 2, tags=tags)))


@pytest.mark.parametrize("marked", [{254: (4, [1])}, {255: (3, [2])}, {254: (4, [4])}])
def test_the_full_picture_is_read_and_not_one_that_is_marked_as_reduced_or_a_mask(
    marked: dict[int, Any],
) -> None:
    reduced = Page(MEANT[::4, ::4], 2, tags=marked)
    for pages in ((reduced, Page(MEANT, 2)), (Page(MEANT, 2), reduced)):
        assert worst(write_tiff(*pages)) == 0
        assert worst(write_tiff(*pages, order=">", big=True)) == 0
    deep_pages = (
        Page(MEANT[::4, ::4], 2, tags=marked),
        Page(deep(MEANT, "u2"), 2, deflate=True, predictor=2),
    )
    assert worst(write_tiff(*deep_pages)) == 0
    assert worst(write_tiff(reduced), MEANT[::4, ::4]) == 0


def test_of_several_full_pages_the_first_is_read() -> None:
    assert worst(write_tiff(Page(MEANT, 2), Page(255 - MEANT, 2))) == 0


def test_pages_that_follow_each_other_in_a_circle_end() -> None:
    page = write_tiff(Page(MEANT, 2, tags={254: (4, [1])}))
    entries = int.from_bytes(page[8:10], "little")
    end = 10 + 12 * entries
    assert worst(page[:end] + (8).to_bytes(4, "little") + page[end + 4 :]) == 0


@pytest.mark.parametrize("tags", [{50706: (3, [1, 4, 0, 0])}, {262: (3, [32803])}, {262: (3, [34892])}])
def test_a_raw_picture_is_named_and_not_taken_for_its_thumbnail(tags: dict[int, Any]) -> None:
    thumbnail = Page(MEANT[::4, ::4], 2, tags={254: (4, [1])} | {k: v for k, v in tags.items() if k != 262})
    raw = Page(deep(MEANT[..., :1], "u2"), 1, tags=tags)
    assert reason(write_tiff(thumbnail, raw)).startswith("a camera's raw picture (DNG")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (
            Page(np.zeros((4, 4, 3), np.uint16), 2, tags={258: (3, [16, 8, 16])}),
            "TIFF of samples of several kinds",
        ),
        (Page(np.zeros((4, 4, 1), np.float64), tags={258: (3, [24])}), "TIFF of 24-bit samples"),
        (Page(np.zeros((4, 4, 1), np.uint16), tags={277: (3, [3]), 262: (3, [2])}), "truncated TIFF"),
        (Page(np.zeros((4, 4, 1), np.uint16), tags={317: (3, [3])}), "damaged TIFF: a predictor for floats"),
        (Page(np.zeros((4, 4, 1), np.uint16), tags={317: (3, [9])}), "damaged TIFF: a predictor"),
        (Page(np.zeros((4, 4, 1), np.uint16), tags={278: (3, [1])}), "damaged TIFF: some of its strips"),
        (Page(np.zeros((4, 4, 1), np.uint16), tags={322: (3, [64]), 323: (3, [64])}), ""),
    ],
)
def test_contradictions_are_told(page: Page, said: str) -> None:
    if said:
        assert reason(write_tiff(page)).startswith(said)
    else:
        assert read(write_tiff(page)).shape == (4, 4, 3)


def test_a_deep_file_that_is_cut_off_is_refused() -> None:
    for page in (Page(deep(MEANT, "u2"), 2), Page(deep(MEANT, "f4"), 2, deflate=True, predictor=3, tile=16)):
        data = write_tiff(page)
        for part in (0.2, 0.5, 0.9, 0.99):
            assert reason(data[: int(part * len(data))]).startswith(("truncated TIFF", "damaged TIFF"))
