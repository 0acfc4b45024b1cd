"""Checksums of what is stored: vectors, files, labels and features.

XXH3 with 64 bits, as xxHash's specification has it (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), in its
canonical form of 8 bytes, big-endian. It is there to notice damage, at several gigabytes a second; it keeps
nobody from changing something on purpose. That a change stays unnoticed has a chance of 2^-64.

Each covers the id of its record, so that what was exchanged between two records is noticed too. They are
three and not one, because a new label shall neither read the vector nor seal what it did not look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKSUM_BYTES = 8
"""Of each checksum."""


def vector_checksum(identity: str, content: bytes) -> bytes:
    """Return the checksum of a vector and whose it is.

    Args:
        identity: the id of its record.
        content: its numbers as little-endian float32.
    """
    return xxhash.xxh3_64_digest(_bytes(identity) + b"\0" + content)


def file_checksum(identity: str, uri: str, digest: str, size: int, modified_ns: int) -> bytes:
    """Return the checksum of what a record says of its file."""
    return xxhash.xxh3_64_digest(_bytes(f"{identity}\0{uri}\0{digest}\0{size}\0{modified_ns}"))


def labels_checksum(identity: str, fields: str, metadata: str) -> bytes:
    """Return the checksum of a record's labels.

    Args:
        identity: the id of the record.
        fields: they as the JSON text that is stored.
        metadata: the same.
    """
    return xxhash.xxh3_64_digest(_bytes(f"{identity}\0{fields}\0{metadata}"))


def features_checksum(fingerprint: str, digest: str, content: bytes) -> bytes:
    """Return the checksum of features.

    Args:
        fingerprint: of their embedder.
        digest: SHA-256 of the file that they are of.
        content: the numbers as little-endian float32.
    """
    return xxhash.xxh3_64_digest(_bytes(f"{fingerprint}\0{digest}\0") + content)


def content_checksum(content: bytes) -> bytes:
    """Return the checksum of any bytes."""
    return xxhash.xxh3_64_digest(content)


def parts_checksum(parts: Iterable[bytes | memoryview]) -> str:
    """Return the checksum of bytes that come in parts, as 16 hexadecimal digits."""
    checksum = xxhash.xxh3_64()
    for part in parts:
        checksum.update(part)
    return checksum.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
