"""How records, labels and filters look in the documents of an Elasticsearch store."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from lookalike.errors import InvalidArgument, StoreCorrupt
from lookalike.file_names import readable
from lookalike.records import Record, Stamp, display, labels_digest, local_path
from lookalike.stores.wording import record_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lookalike.records import Scalar, Vectors, Where

FORMAT = 2
"""Of documents and catalogue; a later one is not read. Since 2 documents have their words."""

MOST_DIMENSIONS = 4096
"""Of a `dense_vector` (Elastic's reference of the field type)."""

RECORD_FIELDS = ("uri", "digest", "size", "modified_ns", "labels")
"""Fields of a document that make a record."""

STAMP_FIELDS = ("uri", "size", "modified_ns", "labels_digest")

VECTOR_FIELD = "vector"

WORDS_FIELD = "words"

WORDS_MAPPING = {"type": "text", "analyzer": "whitespace", "index_options": "freqs"}
"""Of `WORDS_FIELD`; the words were split by `wording`."""

EMBEDDING = "image_embedding"
"""The field that is searched exactly."""

_ID_BYTES = 512  # of an `_id`, at most (Elastic's reference of the field)
# Terms of Lucene end at 32,766 bytes, and a letter has up to three or, as two, four of them.
_KEYWORD_CHARACTERS = 8_000
_FIELD_NAME_CHARACTERS = 250
# Below index.max_terms_count, 65,536 unless it was changed.
_TERMS = 30_000


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


def check_ids(records: Sequence[Record]) -> None:
    """Refuse what cannot be the id of a document.

    Raises:
        InvalidArgument: an id is empty or too long.
    """
    for record in records:
        if not usable_id(record.id):
            raise InvalidArgument(
                f"record {display(record.id[:64])!r}: an id in Elasticsearch has 1 to {_ID_BYTES} characters"
            )


def usable_id(identity: str) -> bool:
    """Return whether a document can have this id."""
    return identity.isascii() and 1 <= len(identity) <= _ID_BYTES


def document(record: Record, vector: Vectors, kind: str | None) -> dict[str, Any]:
    """Return the document of a record.

    Args:
        record: one that `checks` have passed.
        vector: float32 of shape (dimension,).
        kind: that of the collection's approximate index, if it has one.
    """
    numbers = vector.tolist()
    place = local_path(record.uri)
    path = unquote(record.uri) if place is None else readable(str(place))
    made: dict[str, Any] = {
        "image_id": record.id,
        "image_name": _readable(path.rpartition("/")[2]),
        "relative_path": _readable(path.lstrip("/")),
        EMBEDDING: numbers,
        "fields": {
            name: _readable(value) if isinstance(value, str) else value
            for name, value in record.fields.items()
            if _can_be_flattened(name)
        },
        "uri": record.uri,
        "digest": record.digest,
        "size": record.size,
        "modified_ns": record.modified_ns,
        # As text in ASCII: what JSON can say and Elasticsearch's fields cannot stays as it was.
        "labels": json.dumps({"fields": dict(record.fields), "metadata": record.metadata}),
        "labels_digest": labels_digest(record.fields, record.metadata),
        "match": list(_tokens(record)),
        # With a sign that is no word: so a document without words is none that an earlier version wrote.
        WORDS_FIELD: f"_ {record_text(record.uri, record.fields, record.metadata)}",
        # Bit by bit: the server keeps vectors normalised anew, and may leave them out of its answers.
        VECTOR_FIELD: base64.b64encode(vector.astype("<f4").tobytes()).decode(),
    }
    if kind is not None:
        made[embedding_field(kind)] = numbers
    return made


def read_record(url: str, hit: dict[str, Any]) -> Record:
    """Return the record of a document that was asked for with `RECORD_FIELDS`.

    Raises:
        StoreCorrupt: it does not hold one.
    """
    try:
        source = hit["_source"]
        labels = json.loads(source["labels"])
        uri, digest, size, modified_ns, _ = (source[name] for name in RECORD_FIELDS)
        return Record(hit["_id"], uri, digest, labels["fields"], labels["metadata"], size, modified_ns)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt(url, f"is damaged: document {display(hit['_id'])} does not read") from error


def read_stamp(url: str, hit: dict[str, Any]) -> tuple[str, Stamp]:
    """Return URI and stamp of a document that was asked for with `STAMP_FIELDS`.

    Raises:
        StoreCorrupt: it does not hold them.
    """
    try:
        uri, size, modified_ns, digest = (hit["_source"][name] for name in STAMP_FIELDS)
    except KeyError as error:
        raise StoreCorrupt(url, f"is damaged: document {display(hit['_id'])} does not read") from error
    return uri, Stamp(hit["_id"], size, modified_ns, digest)


def read_vectors(url: str, hits: Sequence[dict[str, Any]], dimension: int) -> Vectors:
    """Return the vectors of documents that were asked for with `VECTOR_FIELD`: shape (hits, dimension).

    Raises:
        StoreCorrupt: one is not there, or has another dimension.
    """
    vectors = np.empty((len(hits), dimension), np.float32)
    for row, hit in enumerate(hits):
        try:
            vectors[row] = np.frombuffer(base64.b64decode(hit["_source"][VECTOR_FIELD]), "<f4")
        except (KeyError, TypeError, ValueError) as error:
            raise StoreCorrupt(
                url, f"is damaged: the vector of {display(hit['_id'])} does not read"
            ) from error
    return vectors


def matching(where: Where | None, having: str | None = None) -> list[dict[str, Any]]:
    """Return the clauses of a query that hold for the records that match, by the rules of `Where`."""
    clauses = [_any_of([_token(name)]) for name in (() if having is None else (having,))]
    for name, values in (where or {}).items():
        tokens = (_value_token(name, value) for value in values)
        clauses.append(_any_of(sorted({token for token in tokens if token is not None})))
    return clauses


def _any_of(tokens: list[str]) -> dict[str, Any]:
    parts = [{"terms": {"match": tokens[start : start + _TERMS]}} for start in range(0, len(tokens), _TERMS)]
    if not parts:
        return {"match_none": {}}
    return parts[0] if len(parts) == 1 else {"bool": {"should": parts}}


def _tokens(record: Record) -> Iterator[str]:
    """Yield what a filter can ask of a record: that it has a field, and that the field has a value."""
    for name, value in record.fields.items():
        yield _token(name)
        token = _value_token(name, value)
        if token is not None:
            yield token


def _value_token(name: str, value: Scalar) -> str | None:
    """Return a text that is equal where field and value are equal; None for what equals nothing."""
    if isinstance(value, bool):
        return _token(name, "boolean", str(value))
    if isinstance(value, str):
        return _token(name, "string", value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if not value.is_integer():
            return _token(name, "number", value.hex())
        value = int(value)
    # Hexadecimal: Python refuses to write very long integers in decimal.
    return _token(name, "number", hex(value))


def _token(*parts: str) -> str:
    # A digest: terms of Elasticsearch are short and hold no lone surrogate.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _readable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _can_be_flattened(name: str) -> bool:
    """Return whether a `flattened` field takes the name; filters of ours find the others all the same."""
    return (
        0 < len(name) <= _FIELD_NAME_CHARACTERS
        and "\0" not in name
        and not any("\ud800" <= character <= "\udfff" for character in name)
        and all(part.strip() for part in name.split("."))
    )
