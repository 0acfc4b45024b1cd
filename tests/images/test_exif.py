"""When and by what a picture was taken, read from its EXIF."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.images.exif import Captured, captured

TAKEN = "2026:01:31 08:30:00"


def photograph(form: str, taken: str = TAKEN, fraction: str = "") -> bytes:
    exif = Image.Exif()
    exif[272] = "Camera 7"
    details = exif.get_ifd(34665)
    details[36867] = taken
    details[42033] = "0815"
    if fraction:
        details[37521] = fraction
    file = BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(file, form, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_time_and_camera_are_read_from_each_format(form: str) -> None:
    assert captured(photograph(form)) == Captured("2026-01-31T08:30:00", "Camera 7 0815")
    assert captured(photograph(form, fraction="25")) == Captured("2026-01-31T08:30:00.25", "Camera 7 0815")
    assert captured(photograph(form, taken="    :  :     :  :  ")) is None


def test_a_picture_without_exif_tells_nothing() -> None:
    for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"):
        file = BytesIO()
        Image.new("RGB", (8, 8)).save(file, form)
        assert captured(file.getvalue()) is None


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(0, 400), st.binary(max_size=8))
@settings(max_examples=100, deadline=None)
def test_damaged_exif_is_no_error(form: str, place: int, other: bytes) -> None:
    data = photograph(form)
    captured(data[:place] + other + data[place + len(other) :])
    captured(data[:place])
