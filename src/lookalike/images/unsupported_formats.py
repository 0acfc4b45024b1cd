"""Files of other formats than those that are read: what each is, and what to do about it.

Signatures: the file-formats' own specifications, as the magic files of file(1) collect them
(github.com/file/file, magic/Magdir: archive, images, animation, msooxml, scientific, web, sgml).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lookalike.images.formats import format_of

LOOKED_AT = 4096
"""So many bytes at the beginning of a file tell what it is."""

_CONVERT = "export it as JPEG, PNG or TIFF"
_RAW = f"a camera's raw picture: {_CONVERT}"
_VIDEO = "a video: `index --frames scene` takes frames of it; NAME#t=12.5 is one"
_ARCHIVE = "an archive: unpack it"
_NUMBERS = "no picture: numbers of a program; save them as PNG or TIFF"
_DRAWING = "a drawing of lines and shapes: export it as PNG"
_DOCUMENT = "a document: export its pages or pictures as images"
_AGAIN = "fetch it again"
_MESSAGE = f"and not a picture: perhaps the message of a server; {_AGAIN}"
_UNFINISHED = f"a download that did not end: {_AGAIN}"
_PLACEHOLDER = "a placeholder of iCloud, and the file is not on this machine: download it"
_OTHER = f"a picture of another format: {_CONVERT}"


class _Signature(NamedTuple):
    place: int
    bytes: bytes
    said: str


_SIGNATURES = (
    # https://www.w3.org/TR/png-3/#5PNG-file-signature says what its bytes are for: to tell such a transfer.
    _Signature(0, b"\x89PNG\n\x1a\n", f"a PNG whose line ends were changed by a transfer as text: {_AGAIN}"),
    _Signature(
        0, b"bplist00", "a property list of macOS, as a placeholder of iCloud is one: download the file"
    ),
    _Signature(0, b"\xff\x0a", f"JPEG XL: {_CONVERT}"),
    _Signature(0, b"\0\0\0\x0cJXL ", f"JPEG XL: {_CONVERT}"),
    _Signature(0, b"II\xbc\x01", f"JPEG XR: {_CONVERT}"),
    _Signature(0, b"BPG\xfb", f"BPG: {_CONVERT}"),
    _Signature(0, b"8BPS", f"Photoshop: {_CONVERT}"),
    _Signature(0, b"gimp xcf", f"GIMP: {_CONVERT}"),
    _Signature(0, b"FUJIFILMCCD-RAW", f"RAF, {_RAW}"),
    _Signature(0, b"IIRO", f"ORF, {_RAW}"),
    _Signature(0, b"IIRS", f"ORF, {_RAW}"),
    _Signature(0, b"MMOR", f"ORF, {_RAW}"),
    _Signature(0, b"IIU\0", f"RW2, {_RAW}"),
    _Signature(0, b"FOVb", f"X3F, {_RAW}"),
    _Signature(0, b"\0MRM", f"MRW, {_RAW}"),
    _Signature(6, b"HEAPCCDR", f"CRW, {_RAW}"),
    _Signature(8, b"CR\x02\0", f"CR2, {_RAW}"),
    _Signature(128, b"DICM", f"DICOM: {_CONVERT}, for example with dcmj2pnm"),
    _Signature(0, b"SIMPLE  =", f"FITS: {_CONVERT}"),
    _Signature(0, b"v/1\x01", f"OpenEXR: {_CONVERT}"),
    _Signature(0, b"#?RADIANCE", f"Radiance HDR: {_CONVERT}"),
    _Signature(0, b"#?RGBE", f"Radiance HDR: {_CONVERT}"),
    _Signature(0, b"DDS ", f"DDS: {_CONVERT}"),
    _Signature(0, b"qoif", f"QOI: {_CONVERT}"),
    _Signature(0, b"farbfeld", f"farbfeld: {_CONVERT}"),
    _Signature(0, b"\x01\xda\x00", f"SGI: {_CONVERT}"),
    _Signature(0, b"\x01\xda\x01", f"SGI: {_CONVERT}"),
    _Signature(0, b"icns", f"an icon of macOS: {_CONVERT}"),
    _Signature(0, b"\0\0\1\0", f"an icon: {_CONVERT}"),
    _Signature(0, b"\0\0\2\0", f"a mouse pointer: {_CONVERT}"),
    _Signature(0, b"\x8aMNG", f"MNG: {_CONVERT}"),
    _Signature(0, b"P7\n", f"PAM: {_CONVERT}"),
    _Signature(0, b"PF\n", f"PFM in colour: {_CONVERT}"),
    _Signature(12, b"CgBI", f"a PNG as Xcode rewrites it for iOS: {_CONVERT}"),
    _Signature(0, b"AT&TFORM", f"DjVu, {_DOCUMENT}"),
    _Signature(0, b"%PDF-", f"PDF, {_DOCUMENT}"),
    _Signature(0, b"%!PS", f"PostScript, {_DRAWING}"),
    _Signature(0, b"\xc5\xd0\xd3\xc6", f"EPS, {_DRAWING}"),
    _Signature(0, b"\xd7\xcd\xc6\x9a", f"WMF, {_DRAWING}"),
    _Signature(40, b" EMF", f"EMF, {_DRAWING}"),
    _Signature(0, b"AC10", f"AutoCAD, {_DRAWING}"),
    _Signature(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"Microsoft Office, {_DOCUMENT}"),
    _Signature(0, b"{\\rtf", f"RTF, {_DOCUMENT}"),
    _Signature(8, b"AVI ", f"AVI, {_VIDEO}"),
    _Signature(8, b"WAVE", "a sound recording"),
    _Signature(0, b"\x1aE\xdf\xa3", f"Matroska or WebM, {_VIDEO}"),
    _Signature(0, b"FLV\1", f"FLV, {_VIDEO}"),
    _Signature(0, b"0&\xb2u\x8ef\xcf\x11", f"WMV, {_VIDEO}"),
    _Signature(0, b"OggS", "Ogg, sound or a video"),
    _Signature(0, b"ID3", "a sound recording"),
    _Signature(0, b"fLaC", "a sound recording"),
    _Signature(0, b"\0\0\1\xba", f"MPEG, {_VIDEO}"),
    _Signature(0, b"\0\0\1\xb3", f"MPEG, {_VIDEO}"),
    _Signature(0, b"PK\3\4", f"ZIP, {_ARCHIVE}"),
    _Signature(0, b"PK\5\6", f"ZIP, {_ARCHIVE}"),
    _Signature(0, b"\x1f\x8b", f"gzip, {_ARCHIVE}"),
    _Signature(0, b"BZh", f"bzip2, {_ARCHIVE}"),
    _Signature(0, b"\xfd7zXZ\0", f"xz, {_ARCHIVE}"),
    _Signature(0, b"(\xb5/\xfd", f"Zstandard, {_ARCHIVE}"),
    _Signature(0, b"7z\xbc\xaf\x27\x1c", f"7z, {_ARCHIVE}"),
    _Signature(0, b"Rar!\x1a\x07", f"RAR, {_ARCHIVE}"),
    _Signature(257, b"ustar", f"tar, {_ARCHIVE}"),
    _Signature(0, b"\x89HDF\r\n\x1a\n", f"HDF5, {_NUMBERS}"),
    _Signature(0, b"CDF\1", f"netCDF, {_NUMBERS}"),
    _Signature(0, b"CDF\2", f"netCDF, {_NUMBERS}"),
    _Signature(0, b"\x93NUMPY", f"NumPy, {_NUMBERS}"),
    _Signature(0, b"MATLAB 5.0", f"MATLAB, {_NUMBERS}"),
    _Signature(0, b"PAR1", f"Parquet, {_NUMBERS}"),
    _Signature(0, b"SQLite format 3\0", "an SQLite database"),
    _Signature(0, b"\0\5\x16\7", "what macOS keeps beside a file (AppleDouble): its picture is elsewhere"),
    _Signature(0, b"\0\5\x16\0", "what macOS keeps beside a file (AppleDouble): its picture is elsewhere"),
    _Signature(0, b"L\0\0\0\1\x14\2\0", "a shortcut of Windows: copy the file that it names"),
    _Signature(0, b"book\0\0\0\0mark", "an alias of macOS: copy the file that it names"),
    _Signature(0, b"\x7fELF", "a program"),
    _Signature(0, b"MZ", "a program"),
    _Signature(0, b"-----BEGIN ", "a key, a certificate or an encrypted text"),
)

# Major brands of ISO base media files (ISO/IEC 14496-12), as mp4ra.org/registered-types/brands lists them.
_BRANDS = ((b"crx ", f"CR3, {_RAW}"), (b"qt  ", f"QuickTime, {_VIDEO}"), (b"M4A ", "a sound recording"))

# Git LFS: docs/spec.md of github.com/git-lfs/git-lfs; git-annex: its page on internals, pointer files.
_POINTERS = (
    (b"version https://git-lfs", "a pointer of Git LFS, and not the picture: git lfs pull fetches it"),
    (b"version https://hawser", "a pointer of Git LFS, and not the picture: git lfs pull fetches it"),
    (b"/annex/objects/", "a pointer of git-annex, and not the picture: git annex get fetches it"),
)
_PAGE = "a web page, and not the picture: a download went wrong; fetch it again"
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|script|meta)\b", re.IGNORECASE)
_SVG = re.compile(rb"<(?:svg:)?svg\b|<!doctype\s+svg", re.IGNORECASE)


def _each(suffixes: str, said: str) -> dict[str, str]:
    return dict.fromkeys(suffixes.split(), said)


# As exiftool.org, DICOM, libvips and Bio-Formats list them.
_SUFFIXES = {
    **_each(
        "3fr ari arw bay cr2 cr3 crw dcr dng erf fff iiq k25 kdc mef mos mrw nef nrw orf pef raf raw", _RAW
    ),
    **_each("rw2 rwl sr2 srf srw x3f", _RAW),
    **_each("3g2 3gp asf avi f4v flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv", _VIDEO),
    **_each("ai cdr dwg dxf emf eps svg svgz wmf", _DRAWING),
    **_each("djvu doc docx odp odt pdf ppt pptx ps xps", _DOCUMENT),
    **_each("7z bz2 gz rar tar tgz xz zip zst", _ARCHIVE),
    **_each("h5 hdf5 mat nc npy npz pt tfrecord", _NUMBERS),
    **_each("crdownload opdownload part partial", _UNFINISHED),
    **_each("icloud", _PLACEHOLDER),
    **_each("psd psb", f"Photoshop: {_CONVERT}"),
    **_each("dcm dicom dic", f"DICOM: {_CONVERT}, for example with dcmj2pnm"),
    **_each("fits fit fts", f"FITS: {_CONVERT}"),
    **_each(
        "bpg clip cur czi dds dib exr fpx hdp hdr icns ico jls jng jxl jxr kra lif mha mng nd2 ndpi", _OTHER
    ),
    **_each(
        "nii nrrd pam pcx pct pict procreate qoi ras rgba seq sgi svs tga vsi wbmp wdp xbm xcf xpm", _OTHER
    ),
}


def describe(data: bytes) -> str:
    """Say why a file is no image that we read: what it is, in a few words, and what to do about it.

    Args:
        data: its content, or the first `LOOKED_AT` bytes of it; not empty.
    """
    said = _described(data[:LOOKED_AT])
    return said if _CONVERT in said else f"not an image: {said}"


def _described(head: bytes) -> str:
    for signature in _SIGNATURES:
        if head.startswith(signature.bytes, signature.place):
            return signature.said
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return next((said for each, said in _BRANDS if each == brand), f"MP4, {_VIDEO}")
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return f"QuickTime, {_VIDEO}"
    if not head.strip(b"\0"):
        return "nothing but zero bytes: a copy or a download was cut off; fetch it again"
    if head[0] == 0x47 and head[188:189] in (b"G", b""):
        return f"MPEG, {_VIDEO}"
    return _describe_text(head) or "the content is of no format that is read"


def describe_film(head: bytes) -> str:
    """Say why a file cannot be opened as a film: what it is instead, or what it lacks.

    Args:
        head: its first `LOOKED_AT` bytes; empty of an empty file.
    """
    if not head:
        return "empty file"
    if (form := format_of(head)) is not None:
        return f"no film: {form.name}, a picture"
    said = _described(head)
    if said.endswith(_VIDEO):
        return "no film that can be read: it was cut off, or its index is missing or damaged"
    return f"no film: {said}"


def describe_suffix(suffix: str) -> str | None:
    """Say what files whose names end so are, and what to do about them; None where it is not known.

    Args:
        suffix: in lower case, with its dot.
    """
    return _SUFFIXES.get(suffix.removeprefix("."))


def _describe_text(head: bytes) -> str | None:
    """Say what a text is; None where it is none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "replace").encode()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if any(sign < 9 or (13 < sign < 32 and sign != 27) for sign in text[:512]):
        return None
    for start, said in _POINTERS:
        if text.startswith(start):
            return said
    if text.startswith((b"../../.git/annex/", b".git/annex/")):
        return _POINTERS[-1][1]
    if text.startswith(b"data:image/"):
        return "an image written as text (a data: address): decode its base64"
    if text.startswith(b"<"):
        if _SVG.search(text):
            return f"SVG, {_DRAWING}"
        return _PAGE if _HTML.search(text) or text.startswith(b"<!--") else f"XML, {_MESSAGE}"
    if text.startswith((b"HTTP/1.", b"HTTP/2")):
        return _PAGE
    if text.startswith((b"{", b"[")):
        return f"JSON, {_MESSAGE}"
    return "text" if text else "nothing but blanks"
