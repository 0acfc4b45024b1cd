"""The formats of image files that are read: how each is recognised, and what decodes it."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL.AvifImagePlugin import SUPPORTED as AVIF_SUPPORTED
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.WebPImagePlugin import WebPImageFile

from lookalike.images import containers, jpeg_markers
from lookalike.images.containers import Container, Unread
from lookalike.images.tiff import PLUGIN, tiff

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Read no resolution: a damaged EXIF block would make Pillow warn, and nobody asks."""


class Format(NamedTuple):
    """A format of image files that is read."""

    name: str
    media_type: str
    """As IANA registers it; of BMP, RFC 7903."""
    suffix: str
    """What the name of such a file ends in."""
    signed: Callable[[bytes], bool]
    """Tells a file of this format by its first bytes."""
    parse: Callable[[bytes], Container]
    """Keeps those parts of a file that the decoder needs."""
    plugin: Callable[[BytesIO, str], ImageFile]
    """Opens these with Pillow's decoder, or pi-heif's."""


def _plain(data: bytes) -> Container:
    return Container(BytesIO(data))


def _jpeg(data: bytes) -> Container:
    if (kind := jpeg_markers.unread_kind(data)) is not None:
        raise Unread(f"{kind}: export it as a JPEG of 8 bits, PNG or TIFF")
    return Container(BytesIO(jpeg_markers.cleaned(data)))


def _heif_file(stream: BytesIO, name: str) -> ImageFile:
    try:
        from pi_heif import HeifImageFile
    except ImportError as error:
        raise Unread("HEIC, which needs pi-heif: pip install pi-heif, or export it as JPEG") from error
    found: ImageFile = HeifImageFile(stream, name)
    return found


def _avif_file(stream: BytesIO, name: str) -> ImageFile:
    if not AVIF_SUPPORTED:
        raise Unread(
            "AVIF, which this Pillow was built without: install Pillow from PyPI, or export it as JPEG"
        )
    return AvifImageFile(stream, name)


# ISO/IEC 23008-12 (HEIF), annex B; of AVIF its specification, section 6. The general brands tell nothing.
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_GENERAL_BRANDS = {b"mif1", b"msf1", b"miaf", b"mif2"}
# Bytes of the box that names brands in which they are looked for; there are some ten of 4 bytes.
_MOST_BRANDS = 1024


def _branded(data: bytes, brands: set[bytes]) -> bool:
    """Say whether a file is an ISO base media file of one of these brands."""
    if data[4:8] != b"ftyp":
        return False
    if data[8:12] in brands:
        return True
    size = int.from_bytes(data[:4], "big")
    compatible = {data[place : place + 4] for place in range(16, min(size, len(data), _MOST_BRANDS), 4)}
    return data[8:12] in _GENERAL_BRANDS and bool(compatible & brands)


_PNM = re.compile(rb"(?:P[1-6]|Pf)(?:\s|#[^\n]*\n)++\d")

# Pillow's own classes, and not Image.open: that warns, through the process-wide `warnings`, of large images
# and of formats it tried. The limit it warns from is a global of the program's, not of a library in it.
# A text may begin with "BM" or "P5" too; a bitmap goes on with the size of one of the headers that Pillow
# reads, a PNM with numbers.
FORMATS = (
    Format("JPEG", "image/jpeg", ".jpg", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg, _Jpeg),
    Format(
        "PNG",
        "image/png",
        ".png",
        # Xcode writes something else with the same signature (unsupported_formats names it).
        lambda data: data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] != b"CgBI",
        containers.png,
        PngImageFile,
    ),
    Format(
        "WebP",
        "image/webp",
        ".webp",
        lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        containers.webp,
        WebPImageFile,
    ),
    Format(
        "GIF",
        "image/gif",
        ".gif",
        lambda data: data[:6] in (b"GIF87a", b"GIF89a"),
        containers.gif,
        GifImageFile,
    ),
    Format(
        "TIFF",
        "image/tiff",
        ".tif",
        # CR2 goes on with a sign of its own (unsupported_formats names it).
        lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and data[8:11] != b"CR\2",
        tiff,
        PLUGIN,
    ),
    Format(
        "BMP",
        "image/bmp",
        ".bmp",
        lambda data: (
            data[:2] == b"BM" and data[14:18] in {bytes([n, 0, 0, 0]) for n in (12, 40, 52, 56, 64, 108, 124)}
        ),
        _plain,
        BmpImageFile,
    ),
    Format(
        "HEIC", "image/heic", ".heic", lambda data: _branded(data, _HEIC_BRANDS), containers.heic, _heif_file
    ),
    Format("AVIF", "image/avif", ".avif", lambda data: _branded(data, _AVIF_BRANDS), _plain, _avif_file),
    Format(
        "JPEG 2000",
        "image/jp2",
        ".jp2",
        lambda data: data.startswith((b"\xffO\xffQ", b"\0\0\0\x0cjP  \r\n\x87\n")),
        containers.jpeg2000,
        Jpeg2KImageFile,
    ),
    Format(
        "PNM",
        "image/x-portable-anymap",
        ".pnm",
        lambda data: _PNM.match(data) is not None,
        containers.pnm,
        PpmImageFile,
    ),
)

SIGNED_BYTES = 256
"""So many bytes at the beginning of a file tell which of the formats it has."""


def format_of(data: bytes) -> Format | None:
    """Return the format of a file; None where it has none of those that are read.

    Args:
        data: its content, or the first `SIGNED_BYTES` of it.
    """
    return next((form for form in FORMATS if form.signed(data)), None)
