"""Formats beside the six, files that lack only their end, and every other file named for what it is."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.images.decoding import decode
from lookalike.images.formats import SIGNED_BYTES, format_of
from lookalike.images.unsupported_formats import describe, describe_suffix
from tests.images.test_decoding import HEIC, STORED, encoded, exif, photograph, read, reason, scene

# --- formats beside the six ---


@pytest.mark.parametrize("name", ["scene", "turned", "ten_bits"])
def test_heic_is_decoded_upright(name: str) -> None:
    pixels = read((HEIC / f"{name}.heic").read_bytes())
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - np.asarray(scene())).mean() < 1


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
def test_heic_that_is_cut_off_is_refused(part: float) -> None:
    data = (HEIC / "scene.heic").read_bytes()
    assert reason(data[: max(16, int(part * len(data)))]).startswith("truncated HEIC")


def test_a_header_of_heic_with_nothing_behind_it_is_called_heic() -> None:
    assert "HEIC" in reason(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(64))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_decoded_upright(orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](np.asarray(scene()))))
    pixels = read(encoded(stored, "AVIF", quality=95, exif=exif(orientation)))
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - np.asarray(scene())).mean() < 6


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG2000", "RGB"), ("JPEG2000", "L"), ("PPM", "RGB"), ("PPM", "L"), ("PPM", "1")]
)
def test_jpeg_2000_and_pnm_give_back_the_very_pixels(form: str, mode: str) -> None:
    image = scene().convert(mode)
    assert np.array_equal(read(encoded(image, form)), np.asarray(image.convert("RGB")))


def test_a_deep_jpeg_2000_is_scaled() -> None:
    grey = np.asarray(scene().convert("L"))
    data = encoded(Image.fromarray(grey.astype(np.uint16) * 257), "JPEG2000")
    assert np.abs(read(data)[..., 0].astype(int) - grey).max() <= 1


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000", "PPM"])
def test_the_limit_on_pixels_holds_for_them(form: str) -> None:
    data = encoded(scene(), form)
    assert "more than the limit" in reason(data, max_pixels=64 * 48 - 1)
    assert read(data, max_pixels=64 * 48).shape == (48, 64, 3)


def test_the_limit_on_pixels_holds_for_heic() -> None:
    data = (HEIC / "scene.heic").read_bytes()
    assert "more than the limit" in reason(data, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize(
    ("data", "media_type", "suffix"),
    [
        ((HEIC / "scene.heic").read_bytes(), "image/heic", ".heic"),
        (encoded(scene(), "AVIF"), "image/avif", ".avif"),
        (encoded(scene(), "JPEG2000"), "image/jp2", ".jp2"),
        (encoded(scene(), "PPM"), "image/x-portable-anymap", ".pnm"),
    ],
)
def test_the_first_bytes_tell_the_type(data: bytes, media_type: str, suffix: str) -> None:
    form = format_of(data[:SIGNED_BYTES])
    assert form is not None
    assert (form.media_type, form.suffix) == (media_type, suffix)


@pytest.mark.parametrize("brand", [b"mif1", b"msf1", b"miaf"])
def test_a_general_brand_is_told_by_those_it_is_compatible_with(brand: bytes) -> None:
    for other, form in ((b"heic", "HEIC"), (b"avif", "AVIF")):
        data = b"\0\0\0\x1cftyp" + brand + bytes(4) + brand + other
        found = format_of(data)
        assert found is not None
        assert found.name == form


def test_deep_colours_whose_low_bytes_are_not_to_be_had_are_refused_where_they_matter() -> None:
    """Two files of OpenJPEG's, of the scene: all 16 bits, and as a camera of 12 bits writes it into 16."""
    high = (HEIC / "all_16_bits.jp2").read_bytes()
    assert np.abs(read(high).astype(int) - np.asarray(scene())).max() <= 1  # Pillow rounds
    assert "export it as PNG or TIFF" in reason((HEIC / "twelve_of_16_bits.jp2").read_bytes())


# --- files that lack only their end ---


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_used(mode: str, options: dict[str, int]) -> None:
    data = encoded(scene(200, 150).convert(mode), "JPEG", **options)
    assert data.endswith(b"\xff\xd9")
    for lacking in (1, 2):
        assert np.array_equal(read(data[:-lacking]), read(data))
    for lacking in (12, 100, len(data) // 2):
        assert reason(data[:-lacking]).startswith("truncated JPEG")


def test_where_bits_of_the_last_pixels_are_missing_it_is_refused() -> None:
    data = encoded(scene(200, 150), "JPEG")
    for lacking in range(3, 40):
        assert reason(data[:-lacking]).startswith("truncated JPEG")


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_is_filled_up_with_zeros_is_refused(options: dict[str, int]) -> None:
    data = encoded(scene(200, 150), "JPEG", **options)
    for part in (0.4, 0.8, 0.95):
        whole = data[: int(part * len(data))].ljust(len(data), b"\0")
        assert reason(whole).startswith(("truncated JPEG", "damaged JPEG"))


def test_where_whole_scans_are_missing_it_is_refused() -> None:
    data = encoded(scene(200, 150), "JPEG", progressive=True)
    scans = [place for place in range(len(data)) if data[place : place + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for scan in scans[1:]:
        tables = data.rindex(b"\xff\xc4", 0, scan)
        for cut in (scan, tables):
            assert reason(data[:cut]).startswith("truncated JPEG")


def test_so_is_one_that_is_decoded_at_reduced_scale() -> None:
    whole, cut = (decode(data, "x", at_least=64) for data in (photograph(), photograph()[:-2]))
    assert whole.size == cut.size == (500, 375)
    assert np.array_equal(np.asarray(whole), np.asarray(cut))
    assert reason(photograph()[:-4000], at_least=64).startswith("truncated JPEG")


def test_a_png_that_lacks_only_its_end_is_used() -> None:
    data = encoded(scene(), "PNG")
    assert np.array_equal(read(data[:-12]), np.asarray(scene()))
    for lacking in (3, 13, 20, 200):
        assert reason(data[:-lacking]).startswith("truncated PNG")


# --- other files ---


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(zipfile.ZipInfo("a.jpg"), "x")
    return stream.getvalue()


def tape() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.jpg"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", ("web page", "fetch it again")),
        (b"\xef\xbb\xbf\r\n  <HTML><head>", ("web page",)),
        (b"<!-- cached --><html>", ("web page",)),
        ("<html>".encode("utf-16"), ("web page",)),
        (b"HTTP/1.1 403 Forbidden\r\n", ("web page",)),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            ("Git LFS", "git lfs pull"),
        ),
        (b"/annex/objects/SHA256E-s12--ab.jpg\n", ("git-annex", "git annex get")),
        (json.dumps({"error": "not found"}).encode(), ("JSON", "fetch it again")),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", ("XML", "message of a server")),
        (encoded(scene(), "PNG").replace(b"\r\n", b"\n", 1), ("PNG", "line ends", "fetch it again")),
        (b"bplist00" + bytes(20), ("iCloud", "download")),
        (
            b"<?xml version='1.0'?>\n<!-- x --><svg xmlns='http://www.w3.org/2000/svg'/>",
            ("SVG", "export it as PNG"),
        ),
        (b"<svg/>", ("SVG",)),
        (b"%PDF-1.7\n", ("PDF", "export its pages")),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", ("PostScript",)),
        (b"hello, world\n", ("text",)),
        ("안녕하세요".encode(), ("text",)),
        (b"data:image/png;base64,iVBORw0K", ("base64",)),
        (b"   \n\t ", ("blanks",)),
        (bytes(5000), ("zero bytes", "fetch it again")),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", ("MP4", "video", "frames")),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", ("QuickTime", "video")),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", ("CR3", "raw picture")),
        (b"RIFF\0\0\0\0AVI LIST", ("AVI", "video")),
        (b"\x1aE\xdf\xa3\x01\0\0\0", ("Matroska", "video")),
        (b"RIFF____WAVEfmt ", ("sound",)),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(20), ("CR2", "raw picture", "export it")),
        (b"FUJIFILMCCD-RAW 0201FF", ("RAF", "raw picture")),
        (b"IIRO\x08\0\0\0", ("ORF",)),
        (b"IIU\0\x18\0\0\0", ("RW2",)),
        (b"8BPS\0\1" + bytes(20), ("Photoshop", "export it")),
        (bytes(128) + b"DICM\2\0\0\0UL", ("DICOM",)),
        (b"SIMPLE  =                    T", ("FITS",)),
        (b"v/1\x01\2\0\0\0", ("OpenEXR",)),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", ("Radiance",)),
        (b"\xff\x0a\xfa\x7f\x8a", ("JPEG XL",)),
        (b"\0\0\0\x0cJXL \r\n\x87\n", ("JPEG XL",)),
        (b"\0\0\1\0\1\0\x10\x10\0\0", ("icon",)),
        (archive(), ("ZIP", "unpack")),
        (gzip.compress(b"x" * 99, mtime=0), ("gzip", "unpack")),
        (tape(), ("tar", "unpack")),
        (b"PF\n4 4\n-1.0\n", ("PFM in colour",)),
        (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI\x50\0\x20\2" + bytes(20), ("Xcode",)),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\1\0\1\1\1\x11\0", ("JPEG-LS",)),
        (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\1\0\1\1\1\x11\0\xff\xda", ("JPEG of 12 bits", "export it")),
        (b"7z\xbc\xaf\x27\x1c\0\4", ("7z",)),
        (b"\x93NUMPY\1\0v\0{'descr'", ("NumPy",)),
        (b"\x89HDF\r\n\x1a\n\0", ("HDF5",)),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", ("macOS",)),
        (b"L\0\0\0\1\x14\2\0\0\0\0\0", ("shortcut",)),
        (b"\x7fELF\2\1\1\0", ("program",)),
        (bytes(range(1, 256)), ("no format that is read",)),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, words: tuple[str, ...]) -> None:
    said = reason(data)
    assert [word for word in words if word not in said] == []
    assert len(said) < 110


@given(data=st.binary(min_size=1, max_size=400))
def test_any_bytes_have_a_description(data: bytes) -> None:
    assert 10 < len(describe(data)) < 110


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "AVIF", "PPM", "JPEG2000"])
def test_no_image_is_taken_for_another_file(form: str) -> None:
    assert format_of(encoded(scene(), form)) is not None


NAMED = {
    ".cr2": "raw",
    ".dng": "raw",
    ".mp4": "video",
    ".mov": "video",
    ".psd": "Photoshop",
    ".dcm": "DICOM",
    ".svg": "PNG",
    ".pdf": "document",
    ".zip": "unpack",
    ".crdownload": "did not end",
    ".icloud": "not on this machine",
    ".jxl": "export",
    ".tga": "export",
    ".npy": "numbers",
}


@pytest.mark.parametrize(("suffix", "word"), NAMED.items())
def test_a_suffix_tells_what_a_file_is(suffix: str, word: str) -> None:
    assert word in (describe_suffix(suffix) or "")


def test_a_suffix_of_labels_or_of_nothing_tells_nothing() -> None:
    assert [describe_suffix(suffix) for suffix in (".json", ".csv", ".xml", "", ".jpg", ".unknown")] == [
        None
    ] * 6
