"""Bytes in, upright RGB pixels or one short reason out; nothing printed, nothing warned."""

from __future__ import annotations

import re
import resource
import struct
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lookalike.errors import InvalidArgument, UnusableImage
from lookalike.images.decoding import decode
from lookalike.images.limits import MAX_PIXELS
from tests.tiff_files import Page, write_tiff

Array = NDArray[Any]

HEIC = Path(__file__).parents[1] / "data"
"""scene.heic, turned.heic and ten_bits.heic: `scene()` as pillow-heif 1.8.1 (with x265) writes it, upright,
stored turned with the orientation 6, and of 10 bits. What decodes HEIC here does not encode it."""


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def read(data: bytes, **options: Any) -> NDArray[np.uint8]:
    image = decode(data, "x.jpg", at_least=options.pop("at_least", 224), **options)
    assert image.mode == "RGB"
    return np.asarray(image)


def reason(data: bytes, **options: Any) -> str:
    with pytest.raises(UnusableImage) as caught:
        read(data, **options)
    assert caught.value.path == "x.jpg"
    return caught.value.reason


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """Four corners of different colours on a ramp: no two orientations look alike."""
    ramp = np.linspace(40, 200, width, dtype=np.float32)[None, :].repeat(height, 0)
    image = Image.fromarray(np.stack([ramp, ramp[:, ::-1], ramp / 2], -1).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    half, quarter = (width // 2, height // 2), (width // 4, height // 4)
    draw.rectangle((0, 0, *half), fill=(220, 20, 20))
    draw.rectangle((half[0], half[1], width, height), fill=(20, 20, 220))
    draw.rectangle((0, height - quarter[1], quarter[0], height), fill=(20, 220, 20))
    return image


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written chunk by chunk, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def tiff(samples: Array, photometric: int = 1, bits: int | None = None, kind: int = 1) -> bytes:
    """An uncompressed grey TIFF, for sample types that Pillow does not write."""
    height, width = samples.shape
    bits = bits or samples.dtype.itemsize * 8
    if bits == 12:
        pairs = samples.reshape(-1, 2).astype(np.uint32)
        word = pairs[:, 0] << 12 | pairs[:, 1]
        body = np.stack([word >> 16, word >> 8 & 255, word & 255], -1).astype(np.uint8).tobytes()
    else:
        body = samples.tobytes()
    tags = [
        (256, width), (257, height), (258, bits), (259, 1), (262, photometric),
        (273, 8 + 2 + 10 * 12 + 4), (277, 1), (278, height), (279, len(body)), (339, kind),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + body


# --- formats and modes ---


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        *[("TIFF", {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits")],
        ("TIFF", {"big_tiff": True}),
    ],
)
def test_lossless_formats_give_back_the_very_pixels(form: str, options: dict[str, Any]) -> None:
    pixels = read(encoded(scene(), form, **options))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(scene()))


@pytest.mark.parametrize(
    ("form", "options"),
    [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True, "quality": 95}), ("WEBP", {"quality": 95})],
)
def test_lossy_formats_give_nearly_the_same_pixels(form: str, options: dict[str, Any]) -> None:
    difference = read(encoded(scene(), form, **options)).astype(int) - np.asarray(scene())
    assert np.abs(difference).mean() < 6


def test_the_content_decides_and_not_the_name() -> None:
    data = encoded(scene(), "PNG")
    assert decode(data, "x.jpg", at_least=224) == decode(data, "x.txt", at_least=224)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_grey_becomes_three_equal_channels(form: str) -> None:
    grey = Image.fromarray(np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8))
    pixels = read(encoded(grey, form))
    assert pixels.shape == (48, 64, 3)
    # WebP has no grey: it stores colour differences, which its lossy coder rounds.
    assert np.ptp(pixels, axis=-1).max() <= (4 if form == "WEBP" else 0)
    assert np.abs(pixels[..., 0].astype(int) - np.asarray(grey)).max() <= (6 if form == "WEBP" else 3)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_one_bit_images_are_black_and_white(form: str) -> None:
    image = Image.fromarray(np.eye(16, dtype=bool))
    assert np.array_equal(read(encoded(image, form))[..., 0], np.eye(16, dtype=np.uint8) * 255)


def test_fax_compressed_tiff_is_read() -> None:
    image = Image.fromarray(np.eye(16, dtype=bool))
    pixels = read(encoded(image, "TIFF", compression="group4"))
    assert np.array_equal(pixels[..., 0], np.eye(16, dtype=np.uint8) * 255)


DEEP = np.array([[0, 1, 128, 129, 256, 257], [32767, 32768, 60000, 65406, 65407, 65535]], np.uint16)


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(DEEP), "PNG"),
        encoded(Image.fromarray(DEEP), "TIFF"),
        encoded(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"),
        tiff(DEEP),
    ],
)
def test_sixteen_bits_are_scaled_and_not_clipped(data: bytes) -> None:
    assert np.array_equal(read(data)[..., 1], np.rint(DEEP / 257).astype(np.uint8))


def test_big_endian_sixteen_bits_are_scaled_too() -> None:
    image = Image.frombytes("I;16B", (6, 2), DEEP.astype(">u2").tobytes())
    assert np.array_equal(read(encoded(image, "TIFF"))[..., 1], np.rint(DEEP / 257).astype(np.uint8))


def test_twelve_bits_are_scaled_by_their_own_range() -> None:
    samples = np.array([[0, 1000, 2048, 4095]], np.uint16)
    assert read(tiff(samples, bits=12))[0, :, 0].tolist() == [0, 62, 128, 255]


def test_where_white_is_zero_deep_grey_is_turned_round() -> None:
    assert read(tiff(DEEP, photometric=0))[0, 0].tolist() == [255, 255, 255]
    assert read(tiff(np.array([[0.0, 1.0]], np.float32), photometric=0, kind=3))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("samples", "kind", "levels"),
    [
        (np.array([[-100, 0, 100]], np.int32), 2, [0, 128, 255]),
        (np.array([[-100, 0, 100]], np.int16), 2, [0, 128, 255]),
        (np.array([[0, 2**31, 2**32 - 1]], np.uint32), 1, [0, 128, 255]),
        (np.array([[7, 7, 7]], np.int32), 2, [0, 0, 0]),
        (np.array([[0.25, 0.5, 0.75]], np.float32), 3, [64, 128, 191]),
        (np.array([[-1, 0, 1]], np.float32), 3, [0, 128, 255]),
        (np.array([[np.nan, 0, 1, np.inf, -np.inf]], np.float32), 3, [0, 0, 255, 255, 0]),
        (np.array([[-3e38, 0, 3e38]], np.float32), 3, [0, 128, 255]),
    ],
)
def test_grey_without_an_agreed_white_is_stretched(samples: Array, kind: int, levels: list[int]) -> None:
    assert read(tiff(samples, kind=kind))[0, :, 2].tolist() == levels


def test_a_float_image_without_a_number_is_refused() -> None:
    assert reason(tiff(np.full((2, 2), np.nan, np.float32), kind=3)).startswith("damaged TIFF")


def test_sixteen_bit_colour_keeps_its_high_byte() -> None:
    rows = b"\0" + struct.pack(">6H", 0, 0x80FF, 0xFFFF, 0x0100, 0x1234, 0xFE00)
    assert read(png(2, 1, 16, 2, rows))[0].tolist() == [[0, 0x80, 0xFF], [1, 0x12, 0xFE]]


@pytest.mark.parametrize(("form", "options"), [("JPEG", {"quality": 95}), ("TIFF", {})])
def test_cmyk_comes_out_in_its_colours(form: str, options: dict[str, Any]) -> None:
    image = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    image.paste((0, 0, 0, 0), (0, 0, 16, 32))
    pixels = read(encoded(image, form, **options))
    assert np.abs(pixels[16, 4].astype(int) - 255).max() < 8
    assert np.abs(pixels[16, 28].astype(int) - (255, 0, 0)).max() < 8


def test_inks_that_adobe_stores_as_ycck_come_out_in_their_colours() -> None:
    ink = scene().convert("CMYK")
    planes = np.asarray(ink)
    # Adobe stores inks inverted, and cyan, magenta and yellow as if they were red, green and blue.
    ycc = np.asarray(Image.fromarray(planes[..., :3]).convert("YCbCr"))
    stored = np.concatenate([ycc, 255 - planes[..., 3:]], axis=2)
    image = Image.frombytes("CMYK", ink.size, (255 - stored).tobytes())
    data = encoded(image, "JPEG", quality=98, subsampling=0)
    place = data.index(b"Adobe")
    assert data[place + 11] == 0
    data = data[: place + 11] + b"\2" + data[place + 12 :]
    assert np.abs(read(data).astype(int) - np.asarray(ink.convert("RGB"))).mean() < 4


def test_a_jpeg_that_stores_rgb_comes_out_in_its_colours() -> None:
    data = encoded(scene(), "JPEG", quality=98, keep_rgb=True)
    assert np.abs(read(data).astype(int) - np.asarray(scene())).mean() < 4


def transparent(mode: str) -> Image.Image:
    """Left half wholly transparent over red, right half opaque blue (dark grey without colour)."""
    image = Image.new("RGBA", (32, 16), (255, 0, 0, 0))
    image.paste((0, 0, 200, 255), (16, 0, 32, 16))
    if mode == "P":
        palette = Image.new("P", (32, 16), 0)
        palette.putpalette([255, 0, 0, 0, 0, 200])
        palette.paste(1, (16, 0, 32, 16))
        palette.info["transparency"] = 0
        return palette
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "form", "options"),
    [
        ("RGBA", "PNG", {}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGBA", "TIFF", {}),
        ("LA", "PNG", {}),
        ("LA", "TIFF", {}),
        ("P", "PNG", {"transparency": 0}),
        ("P", "PNG", {"transparency": b"\0\xff"}),
        ("P", "GIF", {"transparency": 0}),
    ],
)
def test_transparency_is_laid_onto_white(mode: str, form: str, options: dict[str, Any]) -> None:
    pixels = read(encoded(transparent(mode), form, **options))
    assert pixels[8, 4].tolist() == [255, 255, 255]
    expected = Image.new("RGB", (1, 1), (0, 0, 200)).convert("L" if mode == "LA" else "RGB").convert("RGB")
    assert pixels[8, 28].tolist() == list(expected.getpixel((0, 0)) or ())  # type: ignore[arg-type]  # a tuple, of RGB


def test_half_transparent_black_is_grey() -> None:
    assert read(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))[0, 0].tolist() == [127] * 3


def test_palette_without_transparency_keeps_its_colours() -> None:
    image = scene().quantize(64)
    for form in ("PNG", "GIF", "BMP", "TIFF"):
        assert np.array_equal(read(encoded(image, form)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "levels"),
    [
        (1, 0, b"\x40", b"\0\0", [255, 255]),
        (2, 0, b"\x90", b"\0\2", [255, 85]),
        (4, 0, b"\x3f", b"\0\3", [255, 255]),
        (4, 0, b"\x34", b"\0\3", [255, 68]),
        (8, 0, b"\x10\x20", b"\0\x10", [255, 32]),
        (16, 0, b"\x12\x34\x20\x20", b"\x12\x34", [255, 32]),
        (8, 2, b"\x10\x10\x10\x20\x20\x20", b"\0\x10\0\x10\0\x10", [255, 32]),
        (16, 2, b"\x12\x34" * 3 + b"\x20\x20" * 3, b"\x12\x34" * 3, [255, 32]),
    ],
)
def test_the_transparent_colour_of_a_png_is_found_at_every_depth(
    depth: int, colour: int, row: bytes, key: bytes, levels: list[int]
) -> None:
    assert read(png(2, 1, depth, colour, b"\0" + row, (b"tRNS", key)))[0, :, 0].tolist() == levels


def bitmap(*pixels: tuple[int, int, int, int]) -> bytes:
    """A BMP with a BITMAPV4HEADER, which has a mask for alpha: one row of blue, green, red, alpha."""
    masks = struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<LllHHLLllLL", 108, len(pixels), 1, 1, 32, 3, 4 * len(pixels), 0, 0, 0, 0)
    body = b"".join(bytes(pixel) for pixel in pixels)
    return b"BM" + struct.pack("<LLL", 122 + len(body), 0, 122) + (header + masks).ljust(108, b"\0") + body


def test_a_bitmap_with_alpha_is_laid_onto_white_unless_alpha_was_never_set() -> None:
    assert read(bitmap((30, 20, 10, 255), (3, 2, 1, 0)))[0].tolist() == [[10, 20, 30], [255, 255, 255]]
    assert read(bitmap((30, 20, 10, 0), (3, 2, 1, 0)))[0].tolist() == [[10, 20, 30], [1, 2, 3]]


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_read(form: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if form == "WEBP" else {"disposal": 2} if form == "GIF" else {}
    pixels = read(encoded(frames[0], form, save_all=True, append_images=frames[1:], **options))
    assert pixels.shape == (10, 20, 3)
    assert pixels[5, 5].tolist() == [255, 0, 0]


# --- rotation ---


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[274] = orientation
    return block.tobytes()


# How each orientation stores the image that is meant: the inverse of what a viewer does (Exif 2.32, 4.6.4).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_comes_out_upright(form: str, orientation: int) -> None:
    meant = np.asarray(scene())
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](meant)))
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    pixels = read(encoded(stored, form, exif=exif(orientation), **options))
    assert pixels.shape == meant.shape
    assert np.abs(pixels.astype(int) - meant).mean() < (6 if form == "JPEG" else 0.001)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_decoded_at_reduced_scale_is_upright_too(orientation: int) -> None:
    meant = np.asarray(scene(512, 384))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](meant)))
    pixels = read(encoded(stored, "JPEG", exif=exif(orientation)), at_least=48)
    assert pixels.shape == (96, 128, 3)
    small = np.asarray(scene(512, 384).resize((128, 96), Image.Resampling.BOX))
    assert np.abs(pixels.astype(int) - small).mean() < 3


def test_sixteen_bit_and_transparent_images_are_turned_too() -> None:
    deep = read(encoded(Image.fromarray(DEEP), "PNG", exif=exif(6)))
    assert deep.shape == (6, 2, 3)
    assert deep[0, 0, 0] == round(int(DEEP[1, 0]) / 257)
    palette = read(encoded(transparent("P"), "PNG", exif=exif(6), transparency=0))
    assert palette[4, 8].tolist() == [255, 255, 255]
    assert palette[28, 8].tolist() == [0, 0, 200]


@pytest.mark.parametrize(
    "block",
    [b"", b"II", b"\xff" * 40, exif(6)[:20], exif(6)[:6] + b"II*\0\xff\xff\xff\x7f", exif(9), exif(0)],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_leaves_the_image_as_it_is(form: str, block: bytes) -> None:
    pixels = read(encoded(scene(), form, exif=block))
    assert pixels.shape == (48, 64, 3)


# --- reduced scale ---


@cache
def photograph() -> bytes:
    """A JPEG of 4000 × 3000: smooth light, a fine texture, hard edges and noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:3000, 0:4000].astype(np.float32)
    texture = 12 * np.sin(x / 5) * np.cos(y / 7) + rng.normal(0, 5, (3000, 4000)).astype(np.float32)
    image = np.stack(
        [128 + 80 * np.sin(x / 700 + c) + 30 * np.cos(y / 300 * (c + 1)) + texture for c in range(3)], -1
    )
    image[1000:1800, 900:2500] *= 0.4
    return encoded(Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)), "JPEG", quality=90)


def test_reduced_scale_loses_nothing_at_the_input_size_of_the_model() -> None:
    reduced = read(photograph())
    assert reduced.shape == (750, 1000, 3)
    full = read(photograph(), at_least=3000)
    assert full.shape == (3000, 4000, 3)
    a, b = (
        np.asarray(Image.fromarray(p).resize((224, 224), Image.Resampling.BICUBIC)) for p in (reduced, full)
    )
    difference = np.abs(a.astype(int) - b.astype(int))
    # Measured: mean 0.17 and at most 2 of 255 grey levels (0.14 without texture, 0.31 with thrice as much).
    assert difference.mean() < 0.3
    assert difference.max() <= 6


@given(
    width=st.integers(1, 700), height=st.integers(1, 700), at_least=st.integers(1, 300), grey=st.booleans()
)
@settings(deadline=None, max_examples=60)
def test_a_jpeg_is_never_smaller_than_twice_the_input_unless_it_was(
    width: int, height: int, at_least: int, grey: bool
) -> None:
    data = encoded(Image.new("L" if grey else "RGB", (width, height)), "JPEG")
    rows, columns, _ = read(data, at_least=at_least).shape
    assert min(rows, columns) >= min(2 * at_least, width, height)
    if (rows, columns) == (height, width):
        assert min(width, height) < 4 * at_least
    else:
        assert abs(rows / columns - height / width) <= 0.02 * height / width or min(rows, columns) < 64


# --- bad input ---


def test_what_is_no_image_says_so() -> None:
    for data in (
        b"hello, world\n" * 9,
        b"BMW builds cars, and this is a text",
        b"\0" * 100,
        b"RIFF____WAVEfmt ",
    ):
        assert reason(data).startswith("not an image: ")
    assert reason(b"") == "empty file"


FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {},
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {},
    "GIF": {},
}


@cache
def samples() -> list[bytes]:
    """Small real images of every format and of the modes that take another path through the decoder."""
    image = scene(40, 30)
    floats = np.asarray(image) / np.float32(255)
    return [
        *(encoded(image, form, **options) for form, options in FORMATS.items()),
        encoded(image, "JPEG", progressive=True, exif=exif(6)),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(Image.fromarray(DEEP), "PNG"),
        encoded(transparent("P"), "PNG", transparency=0),
        encoded(image, "PNG", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
        encoded(transparent("P"), "GIF", transparency=0, save_all=True, append_images=[image], disposal=2),
        encoded(image, "WEBP", quality=80, exif=exif(3)),
        encoded(transparent("RGBA"), "WEBP"),
        *(
            encoded(image, "TIFF", compression=c)
            for c in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
        ),
        encoded(image.convert("1"), "TIFF", compression="group4"),
        encoded(image, "TIFF", big_tiff=True, exif=exif(8)),
        encoded(image, "AVIF", quality=60),
        encoded(transparent("RGBA"), "AVIF", quality=60),
        encoded(image, "JPEG2000", quality_layers=[20]),
        encoded(Image.fromarray(DEEP), "JPEG2000"),
        encoded(image, "PPM"),
        b"P5 12 6 4095\n" + (np.tile(DEEP, (3, 2)) >> 4).astype(">u2").tobytes(),
        *(file.read_bytes() for file in sorted(HEIC.glob("*.heic"))),
        write_tiff(Page((np.asarray(image).astype(np.uint16) * 257), 2, deflate=True, predictor=2, tile=16)),
        write_tiff(Page(floats, 2, planar=True, predictor=3, deflate=True), order=">"),
        write_tiff(Page(np.asarray(image).astype(np.uint16), 2, bits=12, tags={281: (3, [900])}), big=True),
        encoded(image, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        png(4, 1, 16, 2, b"\0" + bytes(range(24)), (b"gAMA", b"\0\1\x86\xa0"), (b"sBIT", b"\x0c\x0c\x0c")),
        tiff(np.linspace(-1, 1, 96, dtype=np.float32).reshape(8, 12), kind=3),
    ]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_truncated_files_are_refused(form: str, part: float) -> None:
    data = encoded(scene(200, 150), form, **FORMATS[form])
    assert reason(data[: max(20, int(len(data) * part))]).startswith(("truncated ", "damaged "))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_a_file_cut_in_half_is_called_truncated(form: str) -> None:
    data = encoded(scene(200, 150), form, **FORMATS[form])
    assert reason(data[: len(data) // 2]).startswith("truncated")


def test_a_changed_byte_in_a_png_is_noticed() -> None:
    data = encoded(scene(), "PNG")
    middle = len(data) // 2
    assert reason(data[:middle] + bytes([data[middle] ^ 8]) + data[middle + 1 :]) == (
        "damaged PNG: a checksum does not match"
    )


def test_damage_beside_the_pixels_of_a_png_does_not_matter() -> None:
    whole = png(1, 1, 8, 0, b"\0\x50", (b"zTXt", b"x" * 50), (b"acTL", b"\0" * 8), (b"iCCP", b"?"))
    assert read(whole).tolist() == [[[80, 80, 80]]]


def test_damage_beside_the_pixels_of_a_tiff_does_not_matter() -> None:
    tags = ImageFileDirectory_v2()
    tags[270] = "a description " * 9
    tags[282] = 72.0
    data = bytearray(encoded(scene(), "TIFF", tiffinfo=tags))
    (start,) = struct.unpack_from("<L", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] in (270, 282):
            struct.pack_into("<L", data, entry + 8, 2**31)
    assert np.array_equal(read(bytes(data)), np.asarray(scene()))


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_an_image_of_no_pixels_is_refused(form: str) -> None:
    empty = encoded(Image.new("RGB", (1, 1)), "BMP")
    data = png(0, 4, 8, 0, b"") if form == "PNG" else empty[:18] + bytes(4) + empty[22:]
    assert reason(data).startswith(f"damaged {form}")


def test_reasons_are_short_and_for_people() -> None:
    texts = {reason(data[:part]) for data in samples() for part in (24, 60)}
    for data in samples():
        try:
            read(data[: len(data) // 3] + b"\0\xff" * 30 + data[len(data) // 3 + 60 :])
        except UnusableImage as error:
            texts.add(error.reason)
    assert len(texts) >= 6
    for text in texts:
        assert 5 < len(text) < 110
        assert not re.search(r"0x|<|>|Error|Exception|object", text), text


def check_quiet(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    # As errors, which they are elsewhere in this suite, warnings would be caught and pass for damage.
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            pixels = read(data, at_least=4, max_pixels=1_000_000)
        except UnusableImage:
            pass
        else:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert pixels.size > 0
    assert not warned
    assert capfd.readouterr() == ("", "")


STARTS = [
    b"\x89PNG\r\n\x1a\n",
    b"\0\0\0\x18ftypheic",
    b"\0\0\0\x1cftypavif",
    b"\xffO\xffQ",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"P5 3 2 ",
    b"Pf 3 2 ",
    b"RIFF\xff\0\0\0WEBP",
]

# capfd hears what C libraries write. One capture for all examples is what is wanted: each reads it empty.
fuzzed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"II*\0", b"MM\0+", b"GIF89a", b"BM", *STARTS]),
)
@settings(fuzzed, max_examples=200)
@example(data=b"", start=b"")
def test_any_bytes_decode_or_are_refused_in_silence(
    data: bytes, start: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    check_quiet(start + data, capfd)


@given(
    which=st.integers(0, 99),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
)
@settings(fuzzed, max_examples=600)
def test_damaged_images_decode_or_are_refused_in_silence(
    which: int, cut: float, flips: list[tuple[float, int]], capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(samples()[which % len(samples())])
    for place, change in flips:
        # Cubed: most hits go to the header, where they do more than change a colour.
        data[int(place**3 * len(data))] ^= change
    check_quiet(bytes(data[: len(data) if cut > 0.5 else int(2 * cut * len(data))]), capfd)


def test_libraries_say_nothing_even_where_they_would_warn(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for data in samples():
        for step in range(0, len(data), max(1, len(data) // 40)):
            check_quiet(data[:step] + b"\xff\xff\xff\xff" + data[step + 4 :], capfd)
    plain = tiff(np.zeros((1, 1), np.uint8))
    nine_samples = struct.pack("<HHLL", 277, 4, 1, 9)
    two_widths = struct.pack("<HHLL", 256, 3, 2, 1)
    for tag, odd in ((277, nine_samples), (256, two_widths)):
        odd_one = plain.replace(struct.pack("<HHLL", tag, 4, 1, 1), odd)
        assert odd_one != plain
        check_quiet(odd_one, capfd)
        assert reason(odd_one).startswith("damaged TIFF: ")
    assert not caplog.records


# --- limits ---


@contextmanager
def little_memory() -> Iterator[None]:
    """Let the process have 128 MiB more of addresses than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**27, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much memory is in use")
def test_a_bomb_is_refused_before_anything_is_allocated() -> None:
    bombs = [
        png(60000, 60000, 8, 2, b""),
        encoded(Image.new("L", (8, 8)), "JPEG").replace(b"\x0b\x08\0\x08\0\x08", b"\x0b\x08\xea\x60\xea\x60"),
        b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0) + b"," + bytes(9) + b"\x02\0;",
        b"RIFF(\0\0\0WEBPVP8X" + struct.pack("<LL", 10, 0) + b"\xff\xff\xff" * 2 + bytes(18),
        tiff(np.zeros((1, 1), np.uint8)).replace(b"\0\1\4\0\1\0\0\0\1\0\0\0", b"\0\1\4\0\1\0\0\0\0\0\0\x80"),
    ]  # fmt: skip
    for bomb in bombs:
        for limit in (MAX_PIXELS, 10 * MAX_PIXELS):
            with little_memory():
                text = reason(bomb, max_pixels=limit)
            assert f"more than the limit of {limit:,}" in text


@pytest.mark.parametrize("form", FORMATS)
def test_the_limit_is_on_pixels_and_can_be_raised(form: str) -> None:
    data = encoded(scene(40, 30), form)
    assert reason(data, max_pixels=1199) == "40 × 30 pixels are more than the limit of 1,199 (max-pixels)"
    assert read(data, max_pixels=1200).shape == (30, 40, 3)


@pytest.mark.parametrize("form", FORMATS)
def test_the_limit_of_pillow_is_neither_used_nor_changed(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Image.MAX_IMAGE_PIXELS == 89_478_485
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns above it, which is an error here
    options = {"disposal": 2} if form == "GIF" else {}  # for which Pillow would allocate
    assert read(encoded(scene(40, 30), form, **options)).shape == (30, 40, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.parametrize("options", [{"at_least": 0}, {"max_pixels": 0}])
def test_limits_below_one_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument):
        read(encoded(scene(), "PNG"), **options)


def test_threads_get_the_same_pixels() -> None:
    data = samples() * 4
    alone = [read(one) for one in samples()] * 4
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(alone, threads.map(read, data), strict=True):
            assert np.array_equal(one, other)
