"""How records, labels and filters look in the documents of an Elasticsearch store."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lookalike.checksums import file_checksum, labels_checksum, vector_checksum
from lookalike.errors import InvalidArgument
from lookalike.file_names import display, readable
from lookalike.label_normalisation import labels_digest
from lookalike.stores.damage import Fault
from lookalike.stores.verification import (
    CHANGED_FILE,
    CHANGED_FILTER,
    CHANGED_LABELS,
    fields_match,
    sound_stamps,
    vector_fault,
    verify_vectors,
)
from lookalike.stores.wording import record_text
from lookalike.types import Record
from lookalike.uris import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lookalike.types import Scalar, Stamp, Vectors, Where

FORMAT = 3
"""Of documents and catalogue; no other is read. Since 3 documents have checksums."""

MOST_DIMENSIONS = 4096
"""Of a `dense_vector` (Elastic's reference of the field type)."""

RECORD_FIELDS = ("uri", "digest", "size", "modified_ns", "labels", "file_checksum", "labels_checksum")
"""Fields of a document that make a record."""

STAMP_FIELDS = ("uri", "size", "modified_ns", "labels_digest", "digest", "file_checksum")

VECTOR_FIELD = "vector"

VECTOR_FIELDS = (VECTOR_FIELD, "vector_checksum")
"""Fields of a document that make a vector."""

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
    content = vector.astype("<f4").tobytes()
    # As text in ASCII: what JSON can say and Elasticsearch's fields cannot stays as it was.
    labels = json.dumps({"fields": dict(record.fields), "metadata": record.metadata})
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
        "labels": labels,
        "labels_digest": labels_digest(record.fields, record.metadata),
        "match": list(_tokens(record)),
        WORDS_FIELD: record_text(record.uri, record.fields, record.metadata),
        # Bit by bit: the server keeps vectors normalised anew, and may leave them out of its answers.
        VECTOR_FIELD: _binary(content),
        "file_checksum": _binary(
            file_checksum(record.id, record.uri, record.digest, record.size, record.modified_ns)
        ),
        "labels_checksum": _binary(labels_checksum(record.id, labels, "")),
        "vector_checksum": _binary(vector_checksum(record.id, content)),
    }
    if kind is not None:
        made[embedding_field(kind)] = numbers
    return made


def read_record(hit: dict[str, Any]) -> Record | Fault:
    """Return the record of a document that was asked for with `RECORD_FIELDS`, or what is wrong with it."""
    identity = str(hit["_id"])
    source = hit.get("_source") or {}
    read: list[Any] = [source.get(name) for name in RECORD_FIELDS]
    uri, digest, size, modified_ns, labels, of_file, of_labels = read
    known_uri = uri if isinstance(uri, str) else None
    if file_checksum(identity, str(uri), str(digest), size, modified_ns) != _bytes(of_file):
        return Fault(identity, known_uri, CHANGED_FILE)
    if labels_checksum(identity, str(labels), "") != _bytes(of_labels):
        return Fault(identity, known_uri, CHANGED_LABELS)
    try:
        said = json.loads(labels)
        return Record(identity, uri, digest, said["fields"], said["metadata"], size, modified_ns)
    except (KeyError, TypeError, ValueError) as error:
        return Fault(identity, known_uri, f"its labels do not read: {error}")


def read_records(
    hits: Sequence[dict[str, Any]], where: Where | None = None, having: str | None = None
) -> tuple[dict[str, Record], list[Fault]]:
    """Return the sound records of documents by id, and what is wrong with the others.

    Args:
        hits: asked for with `RECORD_FIELDS`.
        where: what they were found by.
        having: the same.
    """
    records: dict[str, Record] = {}
    faults: list[Fault] = []
    for record in map(read_record, hits):
        if isinstance(record, Fault):
            faults.append(record)
        elif fields_match(record.fields, where, having):
            records[record.id] = record
        else:
            faults.append(Fault(record.id, record.uri, CHANGED_FILTER))
    return records, faults


def read_stamps(hits: Iterable[dict[str, Any]], note: Callable[[list[Fault]], None]) -> dict[str, Stamp]:
    """Return the stamps of documents that were asked for with `STAMP_FIELDS`, by uri.

    Args:
        hits: the documents.
        note: told what is wrong with those that are left out.
    """
    return sound_stamps(map(_stamp_row, hits), note)


def _stamp_row(hit: dict[str, Any]) -> tuple[Any, ...]:
    source = hit.get("_source") or {}
    uri, size, modified_ns, labels, digest, checksum = (source.get(name) for name in STAMP_FIELDS)
    return uri, hit["_id"], size, modified_ns, labels, digest, _bytes(checksum)


def read_vectors(hits: Sequence[dict[str, Any]], dimension: int) -> tuple[Vectors, list[Fault]]:
    """Return the vectors of documents, shape (hits, dimension), and what is wrong with damaged ones.

    Args:
        hits: asked for with `VECTOR_FIELDS`, and `uri` for what is said of damage.
        dimension: of the vectors.
    """
    sources = [hit.get("_source") or {} for hit in hits]
    ids = [str(hit["_id"]) for hit in hits]
    contents, checksums = ([_bytes(source.get(name)) for source in sources] for name in VECTOR_FIELDS)
    vectors, wrong = verify_vectors(ids, checksums, contents, dimension)
    return vectors, [
        Fault(ids[row], sources[row].get("uri"), vector_fault(contents[row], dimension)) for row in wrong
    ]


def sound_hits(
    hits: Sequence[dict[str, Any]],
    dimension: int,
    where: Where | None = None,
    having: str | None = None,
) -> tuple[list[dict[str, Any]], list[Record], Vectors, list[Fault]]:
    """Return the documents that are sound, their records and vectors, and what is wrong with the others.

    Args:
        hits: asked for with `RECORD_FIELDS` and `VECTOR_FIELDS`.
        dimension: of the vectors.
        where: what they were found by.
        having: the same.
    """
    records, faults = read_records(hits, where, having)
    vectors, more = read_vectors(hits, dimension)
    wrong = {fault.id for fault in more}
    rows = [row for row, hit in enumerate(hits) if hit["_id"] in records and hit["_id"] not in wrong]
    return (
        [hits[row] for row in rows],
        [records[hits[row]["_id"]] for row in rows],
        vectors[rows],
        faults + more,
    )


def _binary(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: object) -> bytes | None:
    """Return the content of a binary field, None where it holds none."""
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        return None


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
