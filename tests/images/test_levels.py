"""Samples of more than 8 bits: one rule for what becomes black and white, and what is said of it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from lookalike.errors import InvalidArgument
from lookalike.images.decoding import decode_noted
from lookalike.images.levels import AUTO, FULL, NoNumber, Range, Stated, scale
from tests.images.test_decoding import DEEP, encoded, png, read, reason, scene
from tests.tiff_files import Page, write_tiff

MEANT = np.asarray(scene(80, 60))
GREY = np.asarray(scene(80, 60).convert("L"))
RAMP = np.linspace(0, 1, 80 * 60).reshape(60, 80)

Array = NDArray[Any]


def grey(samples: Array, **tags: Any) -> bytes:
    return write_tiff(Page(samples[..., None], tags={int(k[1:]): v for k, v in tags.items()}))


def levels(data: bytes, wanted: Range = AUTO) -> tuple[Array, tuple[str, ...]]:
    decoded = decode_noted(data, "x", at_least=224, levels=wanted)
    return np.asarray(decoded.image)[..., 0].astype(int), decoded.notes


def close(data: bytes, meant: Array, wanted: Range = AUTO, most: int = 1) -> bool:
    return bool(np.abs(levels(data, wanted)[0] - meant).max() <= most)


def png16(samples: Array, *chunks: tuple[bytes, bytes], interlaced: bool = False) -> bytes:
    """A PNG of 16 bits, of 1 to 4 channels, each row with another filter."""
    height, width, count = samples.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
    rows = b"".join(_filtered(samples[y::dy, x::dx]) for x, y, dx, dy in passes)
    data = png(width, height, 16, colour, rows, *chunks)
    if interlaced:
        head = data[12:28] + b"\x01"
        data = data[:12] + head + struct.pack(">L", zlib.crc32(head)) + data[33:]
    return data


def _filtered(samples: Array) -> bytes:
    if not samples.size:
        return b""
    step = 2 * samples.shape[2]
    rows = np.ascontiguousarray(samples.astype(">u2")).view(np.uint8).reshape(len(samples), -1).astype(int)
    above = np.zeros_like(rows[0])
    out = b""
    for number, row in enumerate(rows):
        left = np.concatenate([np.zeros(step, int), row[:-step]])
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        guess = left + above - corner
        near = [np.abs(guess - one) for one in (left, above, corner)]
        paeth = np.where(
            (near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], above, corner)
        )
        kind = number % 5
        predicted = [0 * row, left, above, (left + above) // 2, paeth][kind]
        out += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    return out


# --- depth ---


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_samples_of_any_depth_in_16_bits_look_as_the_8_bit_picture(bits: int, interlaced: bool) -> None:
    white = 2**bits - 1
    for picture in (GREY[..., None], MEANT):
        deep = np.rint(picture / picture.max() * white).astype(np.uint16)
        meant = np.rint(picture / picture.max() * 255).astype(int)
        page = Page(deep, 1 if deep.shape[2] == 1 else 2)
        for data in (
            png16(deep, interlaced=interlaced),
            write_tiff(page),
        ):
            got = read(data).astype(int)
            assert np.abs(got - meant).max() <= 1
            notes = levels(data)[1]
            assert [f"range 0 to {white:,} was" in note for note in notes] == [True] * (bits < 16)


def test_alpha_and_the_transparent_colour_stay_with_deep_colours() -> None:
    alpha = np.full_like(MEANT[..., :1], 255, np.uint16) * 257
    alpha[:, :40] = 0
    deep = np.rint(MEANT / 255 * 4095).astype(np.uint16)
    for colours in (deep, deep[..., :1]):
        pixels = read(png16(np.concatenate([colours, alpha], axis=2))).astype(int)
        assert (pixels[:, :40] == 255).all()
        assert np.abs(pixels[:, 40:] - (MEANT if colours is deep else MEANT[..., :1])[:, 40:]).max() <= 8
    deep[:, :40] = 0xA00
    pixels = read(png16(deep, (b"tRNS", b"\x0a\0" * 3)))
    assert (pixels[:, :40] == 255).all()
    assert (pixels[:, 40:] < 255).all()


def test_pixels_of_a_dead_or_hot_sensor_do_not_darken_the_rest() -> None:
    twelve = np.rint(GREY / 255 * 4095).astype(np.uint16)
    twelve[3, 5] = twelve[9, 70] = 65535
    expected = np.where(twelve > 4095, 255, GREY)
    assert close(encoded(Image.fromarray(twelve), "PNG"), expected)
    floats = (GREY / 255).astype(np.float32)
    floats[3, 5], floats[9, 70] = 1e30, -1e30
    expected = np.where(floats > 1, 255, np.where(floats < 0, 0, GREY))
    assert close(grey(floats), expected)


@pytest.mark.parametrize(
    "sign", [-9999, -32768, -99999, np.nan, np.inf, -np.inf, -3.4028234663852886e38, 1e20]
)
def test_what_stands_for_no_data_is_no_sample(sign: float) -> None:
    heights = (300 + 80 * RAMP).astype(np.float32)
    heights[:20, :30] = sign
    got, notes = levels(grey(heights))
    here = np.ones_like(got, bool)
    here[:20, :30] = False
    kept = heights[here]
    expected = (kept - kept.min()) / (kept.max() - kept.min()) * 255
    assert np.abs(got[here] - np.rint(expected)).max() <= 1
    assert np.unique(got[~here]).tolist() == [255 if sign > 1000 else 0]
    assert len(notes) == 1


def test_an_unknown_sign_for_no_data_is_found_because_it_stands_alone() -> None:
    thermal = (29_000 + 2_000 * RAMP).astype(np.uint16)
    for sign in (0, 65535):
        masked = thermal.copy()
        masked[:15] = sign
        got = levels(encoded(Image.fromarray(masked), "PNG"))[0]
        assert np.ptp(got[15:]) > 250
    drawing = np.full((60, 80), 60_000, np.uint16)
    drawing[10:20], drawing[30:40] = 0, 65535
    assert np.unique(levels(encoded(Image.fromarray(drawing), "PNG"))[0]).tolist() == [0, 233, 255]


def test_gdal_names_its_own_sign_for_no_data() -> None:
    heights = (300 + 80 * RAMP).astype(np.float32)
    heights[:20, :30] = 350
    got = levels(grey(heights, t42113=(2, b"350\0")))[0]
    assert np.ptp(got) == 255


def test_a_narrow_band_of_a_thermal_camera_fills_the_range() -> None:
    thermal = (29_000 + 2_000 * RAMP).astype(np.uint16)
    for data in (
        encoded(Image.fromarray(thermal), "PNG"),
        grey(thermal),
        grey((thermal / 100).astype(np.float32)),
    ):
        got, (note,) = levels(data)
        assert (got.min(), got.max()) == (0, 255)
        assert "its own range, from its darkest to its brightest, was assumed" in note


def test_a_band_of_raw_counts_of_a_thermal_camera_fills_the_range_too() -> None:
    counts = (6_500 + 2_500 * RAMP).astype(np.uint16)
    assert np.ptp(levels(encoded(Image.fromarray(counts), "PNG"))[0]) == 255


def test_a_picture_that_fills_16_bits_stays_as_it_is() -> None:
    for whole in (GREY.astype(np.uint16) * 257, np.rint(GREY / 255 * 40_000).astype(np.uint16)):
        got, notes = levels(encoded(Image.fromarray(whole), "PNG"))
        assert np.array_equal(got, np.rint(whole / 257))
        assert notes == ()
    colours = MEANT.astype(np.uint16) * 257
    assert np.array_equal(read(png16(colours)), MEANT)


def test_one_colour_is_not_stretched() -> None:
    flat = np.full((60, 80), 30_000, np.uint16)
    assert np.unique(levels(encoded(Image.fromarray(flat), "PNG"))[0]).tolist() == [117]


def test_a_signalling_nan_is_no_number_and_nothing_warns() -> None:
    samples = np.full((8, 8), 0x3F000000, np.uint32)
    samples[0, 0], samples[1] = 0x7F800001, 0
    assert np.unique(levels(grey(samples.view(np.float32)))[0]).tolist() == [0, 128]


def test_floats_without_a_single_number_are_refused() -> None:
    nothing = grey(np.full((8, 8), np.nan, np.float32))
    assert reason(nothing) == "damaged TIFF: not one of its samples is a number"


def test_the_bits_of_alpha_say_nothing_of_the_colours() -> None:
    dim = np.rint(1000 * RAMP).astype(np.uint16)
    opaque = np.full_like(dim, 65535)
    data = png16(np.stack([dim, opaque], axis=-1), (b"sBIT", b"\x0c\x10"))
    assert close(data, np.rint(dim / 4095 * 255))


# --- what the file says ---


def test_bits_that_a_png_says_are_significant_tell_its_white() -> None:
    dim = np.rint(1000 * RAMP).astype(np.uint16)
    assert close(png16(dim[..., None], (b"sBIT", b"\x0c")), np.rint(dim / 4095 * 255))
    assert close(png16(dim[..., None]), np.rint(dim / 1023 * 255))
    scaled_up = GREY[..., None].astype(np.uint16) * 257
    assert close(png16(scaled_up, (b"sBIT", b"\x0c")), GREY)
    dim_colours = np.rint(MEANT / 255 * 900).astype(np.uint16)
    assert (
        np.abs(read(png16(dim_colours, (b"sBIT", b"\x0c" * 3))) - np.rint(dim_colours / 4095 * 255)).max()
        <= 1
    )


@pytest.mark.parametrize(
    ("tags", "low", "high"),
    [
        ({"t281": (3, [4095])}, 0, 4095),
        ({"t280": (3, [100]), "t281": (3, [3000])}, 100, 3000),
        ({"t340": (3, [50]), "t341": (3, [5000])}, 50, 5000),
        ({"t270": (2, b"ImageJ=1.53t\nunit=micron\nmin=60.0\nmax=2000.0\n\0")}, 60, 2000),
        ({"t281": (3, [65535])}, 0, 1023),
        ({"t281": (3, [500])}, 0, 1023),
        ({"t280": (3, [9]), "t281": (3, [5])}, 0, 1023),
    ],
)
def test_a_range_that_a_tiff_states_holds_if_its_samples_keep_to_it(
    tags: dict[str, Any], low: int, high: int
) -> None:
    samples = np.rint(100 + 800 * RAMP).astype(np.uint16)
    expected = np.clip(np.rint((samples.astype(float) - low) / (high - low) * 255), 0, 255)
    assert close(grey(samples, **tags), expected)


def test_a_pgm_states_its_white() -> None:
    dim = np.rint(GREY / 255 * 900).astype(">u2")
    data = b"P5\n# a camera's\n80 60\n4095\n" + dim.tobytes()
    assert close(data, np.rint(dim.astype(float) / 4095 * 255))
    assert close(b"P5 80 60 65535\n" + dim.tobytes(), np.rint(dim.astype(float) / 1023 * 255))
    colours = np.rint(MEANT / 255 * 4095).astype(">u2")
    for white in (b"4095", b"65535"):
        data = b"P6 80 60 " + white + b"\n" + colours.tobytes()
        assert np.abs(read(data).astype(int) - MEANT).max() <= 1
        assert reason(data[:-1]) == "truncated PNM"


# --- what the user says ---


def test_a_given_range_is_the_same_for_every_picture() -> None:
    wanted = Range.parse("100:1123")
    samples = np.rint(1500 * RAMP).astype(np.uint16)
    expected = np.clip(np.rint((samples.astype(float) - 100) / 1023 * 255), 0, 255)
    three = np.repeat(samples[..., None], 3, 2)
    for data in (encoded(Image.fromarray(samples), "PNG"), png16(three), write_tiff(Page(three, 2))):
        got, notes = levels(data, wanted)
        assert np.abs(got - expected).max() <= 1
        assert notes == ()
    floats = grey(samples.astype(np.float32))
    assert close(floats, expected, wanted)


def test_the_full_range_is_that_of_the_type() -> None:
    samples = np.rint(1500 * RAMP).astype(np.uint16)
    assert close(encoded(Image.fromarray(samples), "PNG"), np.rint(samples / 257), FULL)
    assert close(png16(np.repeat(samples[..., None], 3, 2)), samples >> 8, FULL)
    assert close(grey(samples.astype(np.int16)), np.rint((samples.astype(int) + 32768) / 257), FULL)
    assert close(grey((RAMP / 2).astype(np.float32)), np.rint(RAMP / 2 * 255), FULL)


def test_pictures_of_8_bits_have_their_range() -> None:
    for wanted in (AUTO, FULL, Range.parse("0:4095")):
        for form in ("PNG", "TIFF", "BMP"):
            got = np.asarray(decode_noted(encoded(scene(), form), "x", at_least=224, levels=wanted).image)
            assert np.array_equal(got, np.asarray(scene()))
        planes = write_tiff(Page(MEANT, 2, planar=True))
        assert np.array_equal(np.asarray(decode_noted(planes, "x", at_least=9, levels=wanted).image), MEANT)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("auto", "auto"),
        ("full", "full"),
        ("0:4095", "0:4095"),
        ("-10.50:3e1", "-10.5:30"),
        ("0:1", "0:1"),
        ("-0:1e3", "0:1000"),
    ],
)
def test_ranges_are_written_alike_where_they_are(text: str, written: str) -> None:
    assert str(Range.parse(text)) == written
    assert Range.parse(written) == Range.parse(text)


@pytest.mark.parametrize("text", ["", "12", "5:5", "9:1", "a:b", "1:2:3", "nan:1", "0:inf", ":", "Full"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="LOW:HIGH"):
        Range.parse(text)


@given(low=st.floats(-1e30, 1e30), high=st.floats(-1e30, 1e30))
def test_every_range_reads_back(low: float, high: float) -> None:
    if low < high:
        assert Range.parse(str(Range(low, high))) == Range(low, high)


@given(
    samples=st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]).flatmap(
        lambda kind: arrays.arrays(np.dtype(kind), arrays.array_shapes(min_dims=2, max_dims=3, max_side=9))
    ),
    wanted=st.sampled_from([AUTO, FULL, Range(0, 1), Range(-1e30, 1e30)]),
    bits=st.sampled_from([None, 9, 12]),
    no_data=st.sampled_from([None, 0.0, -9999.0]),
)
def test_any_samples_are_scaled_in_silence(
    samples: Array, wanted: Range, bits: int | None, no_data: float | None
) -> None:
    try:
        scaled = scale(samples, wanted, Stated(bits, no_data=no_data))
    except NoNumber:
        assert not (np.isfinite(samples) & (samples != no_data)).any()
    else:
        assert scaled.levels.dtype == np.uint8
        assert scaled.levels.shape == samples.shape
        order = np.argsort(samples, axis=None)
        known = np.isfinite(samples.ravel()[order].astype(np.float64))
        assert (np.diff(scaled.levels.ravel()[order][known].astype(int)) >= 0).all()


def test_the_tiny_picture_of_other_tests_keeps_its_type() -> None:
    assert np.array_equal(levels(encoded(Image.fromarray(DEEP // 16), "PNG"))[0], np.rint(DEEP // 16 / 257))
