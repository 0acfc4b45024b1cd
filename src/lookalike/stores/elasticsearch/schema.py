"""The mapping of a collection's index: its fields and their types.

Each named vector has a `dense_vector` field of its own, `vector_NUMBER`, which exact search reads, and one
more for each kind of approximate index, `vector_NUMBER_KIND`. A search by one reads no other. Fields cannot
leave a mapping: those of a dropped vector stay in it, empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookalike.types import VectorInfo

FORMAT = 5
"""Of documents and catalogue; no other is read. Since 5 a vector is only in the field that is searched."""

MOST_DIMENSIONS = 4096
"""Of a `dense_vector` (Elastic's reference of the field type)."""

LEAST_FOR_BBQ = 64
"""Dimensions of vectors that bbq_hnsw takes (Elastic's reference of the field type)."""

VECTORS_FIELD = "vectors"
"""The checksum of each vector by its number: kept as it is, neither indexed nor mapped."""

WORDS_FIELD = "words"

EMBEDDING = "image_embedding"
"""The name under which people find the default vector: an alias of its field."""

MOST_FIELDS = 10_000
"""Of an index: every refit adds one or two, and the server's own limit is 1,000."""

# Terms of Lucene end at 32,766 bytes, and a letter has up to three or, as two, four of them.
_KEYWORD_CHARACTERS = 8_000


def vector_field(number: int, kind: str | None = None) -> str:
    """Return the name of the field that is searched exactly, or of that which an approximate index is on."""
    return f"vector_{number}" if kind is None else f"vector_{number}_{kind}"


def readable_field(name: str) -> str:
    """Return the name under which people find the field of a vector."""
    return f"vector_{name}"


def fits(kind: str, dimension: int) -> bool:
    """Return whether vectors of this dimension can have an index of this kind."""
    return not kind.startswith("bbq") or dimension >= LEAST_FOR_BBQ


def mapping(number: int, vector: VectorInfo) -> dict[str, Any]:
    """Return the mapping of an index whose records have one vector: no field is taken that is not in it."""
    keyword = {"type": "keyword", "ignore_above": _KEYWORD_CHARACTERS}
    return {
        "dynamic": "strict",
        "_meta": {"lookalike_format": FORMAT},
        "properties": {
            "image_id": keyword,
            "image_name": keyword,
            "relative_path": keyword,
            "fields": {"type": "flattened", "ignore_above": _KEYWORD_CHARACTERS},
            "uri": keyword,
            "digest": keyword,
            "size": {"type": "long"},
            "modified_ns": {"type": "long"},
            "labels": {"type": "text", "index": False},
            "metadata": {"type": "text", "index": False},
            "labels_digest": keyword,
            "match": keyword,
            # The words were split by `wording`.
            WORDS_FIELD: {"type": "text", "analyzer": "whitespace", "index_options": "freqs"},
            "file_checksum": {"type": "binary"},
            "labels_checksum": {"type": "binary"},
            VECTORS_FIELD: {"type": "object", "enabled": False},
            vector_field(number): vector_mapping(vector.space.dimension, "flat"),
            EMBEDDING: {"type": "alias", "path": vector_field(number)},
            readable_field(vector.name): {"type": "alias", "path": vector_field(number)},
        },
    }


def vector_mapping(dimension: int, kind: str) -> dict[str, Any]:
    """Return the mapping of a field of vectors that has an index of this kind."""
    return {
        "type": "dense_vector",
        "dims": dimension,
        "index": True,
        "similarity": "cosine",
        # Always named: what a server takes by itself changed from version to version.
        "index_options": {"type": kind},
    }
