"""Profiles, gamma, backgrounds, blank pictures, orientation in XMP: held against formulas and ImageCms."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw

from lookalike.images.colours import UNUSABLE
from lookalike.images.decoding import decode_noted
from lookalike.images.samples import BLANK, ON_BLACK
from tests.images.test_decoding import STORED, encoded, exif, png, read, scene
from tests.tiff_files import Page, write_tiff

Array = NDArray[Any]

# Red, green and blue of Adobe RGB (1998) and of Display P3 in the profile's D50, as their profiles have them.
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def profile(space: bytes = b"RGB ", colours: Any = ADOBE, gamma: float = 2.19921875) -> bytes:
    """An ICC profile (ICC.1:2001-04) of three colours and a gamma, or of a gamma of grey."""
    curve = b"curv" + bytes(4) + struct.pack(">LH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3l", 63190, 65536, 54061)
    name = b"test\0"
    described = b"desc" + bytes(4) + struct.pack(">L", len(name)) + name + bytes(78 + 1)
    tags = {b"desc": described, b"wtpt": white, b"cprt": b"text" + bytes(4) + b"none\0"}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for letter, xyz in zip(b"rgb", colours, strict=True):
            fixed = struct.pack(">3l", *(round(65536 * value) for value in xyz))
            tags |= {bytes([letter]) + b"XYZ": b"XYZ " + bytes(4) + fixed, bytes([letter]) + b"TRC": curve}
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">L", len(tags)), b""
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sLL", tag, place + len(body), len(content))
        body += content
    size = place + len(body)
    head = struct.pack(">L4sL4s4s4s", size, bytes(4), 0x02400000, b"mntr", space, b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">3l", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def by_hand(pixels: Array, colours: Any = ADOBE, gamma: float = 2.19921875) -> Array:
    """sRGB of pixels in other primaries, by the formulas of IEC 61966-2-1."""
    srgb = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)])
    linear = (pixels / 255) ** gamma @ np.array(colours) @ np.linalg.inv(srgb)
    linear = np.clip(linear, 0, 1)
    curved: Array = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curved


def decoded(data: bytes, **options: Any) -> Array:
    return np.asarray(decode_noted(data, "x", at_least=224, **options).image).astype(int)


def notes(data: bytes) -> tuple[str, ...]:
    return decode_noted(data, "x", at_least=224).notes


def carriers(image: Image.Image, icc: bytes) -> dict[str, bytes]:
    """The same picture with a profile in each format that carries one."""
    return {
        "PNG": encoded(image, "PNG", icc_profile=icc),
        "TIFF": encoded(image, "TIFF", icc_profile=icc),
        "WEBP": encoded(image, "WEBP", lossless=True, icc_profile=icc),
        "JPEG": encoded(image, "JPEG", quality=98, subsampling=0, icc_profile=icc),
        "AVIF": encoded(image, "AVIF", quality=98, subsampling="4:4:4", icc_profile=icc),
    }


# --- profiles ---


@pytest.mark.parametrize(("colours", "gamma"), [(ADOBE, 2.19921875), (P3, 2.2)])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_colours_of_a_profile_become_those_of_srgb(form: str, colours: Any, gamma: float) -> None:
    data = carriers(scene(), profile(colours=colours, gamma=gamma))[form]
    plain = (
        carriers(scene(), b"")[form]
        if form != "AVIF"
        else encoded(scene(), "AVIF", quality=98, subsampling="4:4:4")
    )
    meant = by_hand(decoded(plain), colours, gamma)
    assert np.abs(decoded(data) - meant).max() <= 3
    assert np.abs(meant - decoded(plain)).max() > 15


def test_deep_colours_and_alpha_go_with_the_profile() -> None:
    icc = profile()
    deep = np.asarray(scene()).astype(np.uint16) * 257
    data = write_tiff(Page(deep, 2, tags={34675: (7, icc)}))
    assert np.abs(decoded(data) - by_hand(np.asarray(scene()))).max() <= 3
    layer = scene().convert("RGBA")
    layer.paste((0, 0, 0, 0), (0, 0, 20, 48))
    pixels = decoded(encoded(layer, "PNG", icc_profile=icc))
    assert (pixels[:, :20] == 255).all()
    assert np.abs(pixels[:, 20:] - by_hand(np.asarray(scene()))[:, 20:]).max() <= 3
    palette = scene().quantize(32)
    expected = by_hand(np.asarray(palette.convert("RGB")))
    assert np.abs(decoded(encoded(palette, "PNG", icc_profile=icc)) - expected).max() <= 3


def test_grey_with_a_gamma_of_its_own_becomes_that_of_srgb() -> None:
    grey = scene().convert("L")
    got = decoded(encoded(grey, "PNG", icc_profile=profile(b"GRAY", gamma=1.0)))[..., 0]
    linear = np.asarray(grey) / 255
    meant = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(got - meant).max() <= 2


def test_grey_with_a_profile_of_colours_is_grey_of_these() -> None:
    grey = scene().convert("L")
    for form in ("PNG", "JPEG", "TIFF"):
        data = carriers(grey, profile())[form]
        plain = decoded(carriers(grey, b"")[form])
        assert np.abs(decoded(data) - by_hand(plain)).max() <= 3
        assert notes(data) == ()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decoded(encoded(grey, "PNG", icc_profile=srgb))[..., 0], np.asarray(grey))


def test_srgb_changes_nothing_by_whatever_name() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for data in (
        encoded(scene(), "PNG", icc_profile=icc),
        encoded(scene(), "WEBP", lossless=True, icc_profile=icc),
    ):
        assert np.array_equal(decoded(data), np.asarray(scene()))


def press() -> bytes:
    """A profile of a press: from the 16 overprints of its inks to CIELAB (lut8Type, ICC.1:2001-04, 6.5.7)."""
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(16, 4)
    light = 1 - inks[:, :3] * (0.85, 0.7, 0.95)
    dark = light * (1 - 0.9 * inks[:, 3:])
    lab = np.stack(
        [
            255 * dark.mean(axis=1),
            128 + 90 * (dark[:, 0] - dark[:, 1]),
            128 + 60 * (dark[:, :2].mean(axis=1) - dark[:, 2]),
        ],
        axis=1,
    )
    same = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += struct.pack(">9l", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += same * 4 + np.rint(lab).clip(0, 255).astype(np.uint8).tobytes() + same * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3l", 63190, 65536, 54061)
    tags = {b"A2B0": table, b"wtpt": white, b"cprt": b"text" + bytes(4) + b"none\0"}
    place = 128 + 4 + 12 * len(tags)
    listed, body = struct.pack(">L", len(tags)), b""
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        listed += struct.pack(">4sLL", tag, place + len(body), len(content))
        body += content
    head = struct.pack(">L4sL4s4s4s", place + len(body), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3l", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + listed + body


@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
def test_inks_go_by_their_profile(form: str) -> None:
    ink = scene().convert("CMYK")
    options = {"quality": 99, "subsampling": 0} if form == "JPEG" else {}
    got = decoded(encoded(ink, form, icc_profile=press(), **options))
    source = ImageCms.getOpenProfile(BytesIO(press()))
    meant = ImageCms.profileToProfile(ink, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert meant is not None
    assert np.abs(got - np.asarray(meant)).mean() < (3 if form == "JPEG" else 0.01)
    assert np.abs(np.asarray(meant).astype(int) - np.asarray(ink.convert("RGB"))).mean() > 20


def test_inks_with_a_profile_of_other_colours_are_converted_plainly() -> None:
    ink = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    data = encoded(ink, "TIFF", icc_profile=profile())
    assert notes(data)[0] == UNUSABLE
    assert decoded(data)[5, 5].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "icc", [b"?" * 300, profile()[:140], profile(b"GRAY"), b"", profile()[:60] + bytes(200)]
)
def test_a_profile_that_cannot_be_used_is_told_and_not_applied(icc: bytes) -> None:
    chunk = (b"iCCP", b"x\0\0" + zlib.compress(icc))
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(scene()))
    data = png(64, 48, 8, 2, rows, chunk)
    assert np.array_equal(decoded(data), np.asarray(scene()))
    assert notes(data) == (UNUSABLE,)


def test_a_profile_that_inflates_without_end_is_not_used() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(scene()))
    bomb = png(64, 48, 8, 2, rows, (b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 25))))
    assert notes(bomb) == (UNUSABLE,)


def test_threads_share_a_transform() -> None:
    data = encoded(scene(400, 300), "PNG", icc_profile=profile(colours=P3))
    alone = decoded(data)
    with ThreadPoolExecutor(4) as threads:
        assert all(np.array_equal(one, alone) for one in threads.map(decoded, [data] * 24))


def test_the_gamma_of_a_png_counts_unless_something_better_is_said() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(scene()))
    linear = (b"gAMA", struct.pack(">L", 100_000))
    meant = 255 * (np.asarray(scene()) / 255) ** (1 / 2.2)
    assert np.abs(decoded(png(64, 48, 8, 2, rows, linear)) - meant).max() <= 1
    for others in ((b"sRGB", b"\0"), (b"cICP", b"\x01\x0d\0\x01")):
        assert np.array_equal(decoded(png(64, 48, 8, 2, rows, linear, others)), np.asarray(scene()))
    for usual in (45_455, 0):
        gamma = (b"gAMA", struct.pack(">L", usual))
        assert np.array_equal(decoded(png(64, 48, 8, 2, rows, gamma)), np.asarray(scene()))


# --- backgrounds ---


def drawing(colour: tuple[int, int, int], mode: str = "RGBA") -> Image.Image:
    image = Image.new("RGBA", (64, 64), (*colour, 0))
    ImageDraw.Draw(image).polygon([(32, 4), (58, 60), (6, 40)], fill=(*colour, 255))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (246, 250, 240)])
def test_a_drawing_that_would_vanish_on_white_is_laid_onto_black(
    colour: tuple[int, int, int], mode: str
) -> None:
    data = encoded(drawing(colour, mode), "PNG")
    pixels = decoded(data)
    assert pixels[30, 32].min() > 230
    assert pixels[2, 2].tolist() == [0, 0, 0]
    assert notes(data) == (ON_BLACK,)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 0), (128, 128, 128), (200, 220, 215)])
def test_a_drawing_that_shows_on_white_is_laid_onto_white(colour: tuple[int, int, int]) -> None:
    data = encoded(drawing(colour), "PNG")
    assert decoded(data)[2, 2].tolist() == [255, 255, 255]
    assert notes(data) == ()


def test_white_with_an_outline_or_without_transparency_stays_on_white() -> None:
    outlined = drawing((255, 255, 255))
    ImageDraw.Draw(outlined).polygon([(32, 4), (58, 60), (6, 40)], outline=(0, 0, 0, 255), width=3)
    assert decoded(encoded(outlined, "PNG"))[2, 2].tolist() == [255, 255, 255]
    page = Image.new("RGBA", (64, 64), "white")
    assert notes(encoded(page, "PNG")) == (BLANK,)
    assert decoded(encoded(page, "PNG"))[2, 2].tolist() == [255, 255, 255]


def test_white_drawings_of_other_formats_show_too() -> None:
    for form, options in (("WEBP", {"lossless": True}), ("TIFF", {}), ("AVIF", {"quality": 95})):
        assert decoded(encoded(drawing((255, 255, 255)), form, **options))[2, 2].max() < 10


# --- blank pictures ---


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (90, 40), (10, 200, 30)), Image.new("L", (90, 40), 255), Image.new("RGBA", (90, 40)),
        Image.new("1", (90, 40)), Image.new("RGB", (1, 1)),
    ],
)  # fmt: skip
def test_a_picture_of_one_colour_is_called_blank(image: Image.Image) -> None:
    assert notes(encoded(image, "PNG")) == (BLANK,)


def test_a_blank_picture_of_more_bits_is_called_blank_and_one_dot_is_something() -> None:
    flat = np.full((40, 90), 700, np.uint16)
    assert BLANK in notes(encoded(Image.fromarray(flat), "PNG"))
    dot = Image.new("RGB", (90, 40), "white")
    dot.putpixel((13, 17), (0, 0, 0))
    assert notes(encoded(dot, "PNG")) == ()
    assert notes(encoded(Image.new("RGB", (90, 40), (9, 99, 200)), "JPEG")) == (BLANK,)


# --- orientation ---


def packet(orientation: int, element: bool) -> bytes:
    told = (
        f"><tiff:Orientation>{orientation}</tiff:Orientation><"
        if element
        else f' tiff:Orientation="{orientation}"/><'
    )
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{told}/rdf:RDF></x:xmpmeta>'
    ).encode()


def with_xmp(image: Image.Image, form: str, xmp: bytes) -> bytes:
    if form == "PNG":
        data = encoded(image, "PNG")
        body = b"iTXt" + b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
        chunk = struct.pack(">L", len(body) - 4) + body + struct.pack(">L", zlib.crc32(body))
        return data[:33] + chunk + data[33:]
    if form == "TIFF":
        return write_tiff(Page(np.asarray(image), 2, tags={700: (1, xmp)}))
    options = {"lossless": True} if form == "WEBP" else {"quality": 95}
    return encoded(image, form, xmp=xmp, **options)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_in_xmp_counts_where_exif_has_none(form: str, orientation: int) -> None:
    meant = np.asarray(scene())
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](meant)))
    for element in (False, True):
        got = decoded(with_xmp(stored, form, packet(orientation, element)))
        assert got.shape == meant.shape
        assert np.abs(got - meant).mean() < 6


def test_exif_is_asked_before_xmp() -> None:
    meant = np.asarray(scene())
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](meant)))
    data = encoded(stored, "JPEG", quality=95, exif=exif(6), xmp=packet(3, element=False))
    assert np.abs(decoded(data) - meant).mean() < 6
    upright = encoded(scene(), "JPEG", quality=95, exif=exif(1), xmp=packet(3, element=False))
    assert np.abs(decoded(upright) - meant).mean() < 6


def test_exif_that_imagemagick_left_in_a_text_counts() -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](np.asarray(scene()))))
    block = exif(6)
    lines = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    body = b"zTXt" + b"Raw profile type exif\0\0" + zlib.compress(lines)
    chunk = struct.pack(">L", len(body) - 4) + body + struct.pack(">L", zlib.crc32(body))
    data = encoded(stored, "PNG")
    assert np.array_equal(read(data[:33] + chunk + data[33:]), np.asarray(scene()))


def test_a_profile_of_the_test_is_one_for_littlecms() -> None:
    described = ImageCms.getOpenProfile(BytesIO(profile()))
    by_cms = ImageCms.profileToProfile(scene(), described, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert by_cms is not None
    assert np.abs(np.asarray(by_cms).astype(int) - by_hand(np.asarray(scene()))).max() <= 3
