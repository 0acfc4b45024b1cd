"""Signatures of files that should be text and are not, with what to do about each."""

from __future__ import annotations

_AS_CSV = "save it as CSV (UTF-8) in the spreadsheet program"

# https://en.wikipedia.org/wiki/List_of_file_signatures, and each format's own specification.
_BEGINNINGS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"is an old Excel workbook (.xls): {_AS_CSV}"),
    (b"PAR1", "is a Parquet file: call it metadata.parquet"),
    (b"\x1f\x8b", "is compressed (gzip): decompress it"),
    (b"BZh", "is compressed (bzip2): decompress it"),
    (b"\xfd7zXZ\0", "is compressed (xz): decompress it"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd): decompress it"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "is a RAR archive: unpack it"),
    (b"%PDF-", "is a PDF file, no table"),
    (b"{\\rtf", "is a text document (RTF), no table"),
    (b"SQLite format 3\0", "is an SQLite database, no table of text"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, no table of text"),
    (b"\x89PNG\r\n\x1a\n", "is a picture (PNG)"),
    (b"\xff\xd8\xff", "is a picture (JPEG)"),
    (
        b"version https://git-lfs.github.com/",
        "is a pointer of Git LFS, not the file: `git lfs pull` fetches that",
    ),
)


def foreign_kind(data: bytes) -> str:
    """Return what a file is that is no text, and what to do; nothing where it may be text.

    Args:
        data: the whole file, or its beginning.
    """
    if data.startswith(b"PK\x03\x04"):
        if b"xl/" in data[:4096] or b"[Content_Types].xml" in data[:4096]:
            return f"is an Excel workbook (.xlsx): {_AS_CSV}"
        if b"opendocument.spreadsheet" in data[:4096]:
            return f"is an OpenDocument table (.ods): {_AS_CSV}"
        return "is a zip archive: unpack it"
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a page of the web (HTML), as when a download asks for a login; fetch the file itself"
    return ""
