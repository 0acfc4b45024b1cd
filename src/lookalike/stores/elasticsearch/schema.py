"""The mapping of a collection's index: its fields and their types."""

from __future__ import annotations

from typing import Any

FORMAT = 3
"""Of documents and catalogue; no other is read. Since 3 documents have checksums."""

MOST_DIMENSIONS = 4096
"""Of a `dense_vector` (Elastic's reference of the field type)."""

VECTOR_FIELD = "vector"

WORDS_FIELD = "words"

WORDS_MAPPING = {"type": "text", "analyzer": "whitespace", "index_options": "freqs"}
"""Of `WORDS_FIELD`; the words were split by `wording`."""

EMBEDDING = "image_embedding"
"""The field that is searched exactly."""

# Terms of Lucene end at 32,766 bytes, and a letter has up to three or, as two, four of them.
_KEYWORD_CHARACTERS = 8_000


def embedding_field(kind: str) -> str:
    """Return the name of the field that an approximate index of this kind is on."""
    return f"{EMBEDDING}_{kind}"


def mapping(dimension: int) -> dict[str, Any]:
    """Return the mapping of a collection's index: every field by name, no other is taken."""
    keyword = {"type": "keyword", "ignore_above": _KEYWORD_CHARACTERS}
    return {
        "dynamic": "strict",
        "_meta": {"lookalike_format": FORMAT},
        "properties": {
            "image_id": keyword,
            "image_name": keyword,
            "relative_path": keyword,
            EMBEDDING: embedding_mapping(dimension, "flat"),
            "fields": {"type": "flattened", "ignore_above": _KEYWORD_CHARACTERS},
            "uri": keyword,
            "digest": keyword,
            "size": {"type": "long"},
            "modified_ns": {"type": "long"},
            "labels": {"type": "text", "index": False},
            "labels_digest": keyword,
            "match": keyword,
            WORDS_FIELD: WORDS_MAPPING,
            VECTOR_FIELD: {"type": "binary"},
            "file_checksum": {"type": "binary"},
            "labels_checksum": {"type": "binary"},
            "vector_checksum": {"type": "binary"},
        },
    }


def embedding_mapping(dimension: int, kind: str) -> dict[str, Any]:
    """Return the mapping of a field of vectors that has an index of this kind."""
    return {
        "type": "dense_vector",
        "dims": dimension,
        "index": True,
        "similarity": "cosine",
        # Always named: what a server takes by itself changed from version to version.
        "index_options": {"type": kind},
    }
