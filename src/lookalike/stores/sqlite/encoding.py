"""Texts as SQLite can hold them, and names as SQL has them."""

from __future__ import annotations


def text_bytes(text: str) -> bytes:
    """Return text as the bytes that a TEXT value holds; bind it as `CAST(? AS TEXT)`.

    Names that are no UTF-8 reach Python as lone surrogates, which sqlite3 does not bind as text.
    """
    return text.encode("utf-8", "surrogatepass")


def stored_text(content: bytes) -> str:
    """Return the text that `text_bytes` made the bytes of: the connections' `text_factory`.

    Bytes that are none are escaped: whoever reads the row is told by its checksum that it is damaged.
    """
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return content.decode("utf-8", "backslashreplace")


def quoted(name: str) -> str:
    """Return a name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
