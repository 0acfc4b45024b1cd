"""The documents that records are kept in: what they look like, and how they are written and read."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.checksums import vector_checksum
from lookalike.stores.batches import chunks
from lookalike.stores.elasticsearch.connection import action_lines
from lookalike.stores.elasticsearch.filters import field_tokens
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.schema import VECTORS_FIELD, WORDS_FIELD, vector_field
from lookalike.stores.relative_paths import relative_path
from lookalike.stores.sql import sql_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.stores.backend import RecordRow, StampRow, VectorRow
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.stores.entry import VectorEntry
    from lookalike.stores.relative_paths import Bases
    from lookalike.stores.stored import StoredLabels, StoredRecord
    from lookalike.types import Vectors

RECORD_FIELDS = (
    "uri",
    "digest",
    "labels",
    "metadata",
    "size",
    "modified_ns",
    "file_checksum",
    "labels_checksum",
)
"""Fields of a document that make a record, in the order of a `RecordRow` without its id."""

STAMP_FIELDS = ("uri", "size", "modified_ns", "labels_digest", "digest", "file_checksum")

HELD_FIELDS = f"{VECTORS_FIELD}.*.checksum"
"""Which vectors a document holds, without their numbers."""

_BATCH = 500
_ANSWER_BYTES = 64 << 20
_NUMBER_BYTES = 14  # of one in a vector, as JSON
_LABEL_BYTES = 2_000  # of a record beside its vectors, by and large
_MISSING = 404
_CONFLICT = 409
_FIELD_NAME_CHARACTERS = 250
# Digits that tell every float32 from the next (IEEE 754-2019, 5.12.2), and the last power of ten that float64
# holds exactly: a whole number divided by one of those is the float64 nearest to its decimal.
_DIGITS = 9
_EXACT_TEN = 22


def document(
    record: StoredRecord, vectors: Sequence[tuple[VectorEntry, Vectors]], bases: Bases
) -> dict[str, Any]:
    """Return the document of a record.

    Args:
        record: what is kept of it.
        vectors: each float32 of shape (dimension,).
        bases: what its relative path is relative to.
    """
    file = record.record
    path = relative_path(file.uri, bases)
    made: dict[str, Any] = {
        "image_id": file.id,
        "image_name": path.rpartition("/")[2],
        "relative_path": path,
        "uri": file.uri,
        "digest": file.digest,
        "size": file.size,
        "modified_ns": file.modified_ns,
        "file_checksum": _binary(record.checksum),
        **_label_fields(file.uri, record.labels),
        VECTORS_FIELD: {},
    }
    for vector, numbers in vectors:
        fields = _vector_fields(file.id, vector, numbers)
        made[VECTORS_FIELD] |= fields.pop(VECTORS_FIELD)
        made |= fields
    return made


def decimals(vector: Vectors) -> list[float]:
    """Return numbers that are written in few digits, and read as float32 are a vector, bit by bit.

    Args:
        vector: float32 of shape (dimension,), of finite numbers.
    """
    exact = vector.astype(np.float64)
    with np.errstate(divide="ignore"):
        power = _DIGITS - 1 - np.floor(np.log10(np.abs(exact)))
    ten = 10.0 ** np.minimum(power, _EXACT_TEN)
    short = np.rint(exact * ten) / ten
    numbers: list[float] = np.where(short.astype(np.float32) == vector, short, exact).tolist()
    return numbers


def _vector_fields(identity: str, vector: VectorEntry, numbers: Vectors) -> dict[str, Any]:
    checksum = vector_checksum(identity, numbers.astype("<f4").tobytes())
    made: dict[str, Any] = dict.fromkeys(_searched_fields(vector), decimals(numbers))
    made[VECTORS_FIELD] = {str(vector.number): {"checksum": _binary(checksum)}}
    return made


def _searched_fields(vector: VectorEntry) -> list[str]:
    fields = [vector_field(vector.number)]
    return fields if vector.index is None else [*fields, vector_field(vector.number, vector.index)]


def _label_fields(uri: str, labels: StoredLabels) -> dict[str, Any]:
    return {
        # In a list: what an update says of an object is added to what it was.
        "fields": [
            {
                name: sql_text(value) if isinstance(value, str) else value
                for name, value in labels.fields.items()
                if _can_be_flattened(name)
            }
        ],
        "labels": labels.fields_text,
        "metadata": labels.metadata_text,
        "labels_digest": labels.digest,
        "labels_checksum": _binary(labels.checksum),
        "match": list(field_tokens(labels.fields)),
        WORDS_FIELD: labels.words(uri),
    }


def answered_at_once(dimensions: int) -> int:
    """Return how many documents go into an answer that fits into memory.

    Args:
        dimensions: of their vectors that are read, together.
    """
    return max(1, _ANSWER_BYTES // (_NUMBER_BYTES * dimensions + _LABEL_BYTES))


def record_row(hit: dict[str, Any]) -> RecordRow:
    """Return the record of a document that was asked for with `RECORD_FIELDS`."""
    source = hit.get("_source") or {}
    *file, of_file, of_labels = (source.get(name) for name in RECORD_FIELDS)
    return (str(hit["_id"]), *file, _bytes(of_file), _bytes(of_labels))


def stamp_row(hit: dict[str, Any]) -> StampRow:
    """Return the stamp of a document that was asked for with `STAMP_FIELDS`."""
    source = hit.get("_source") or {}
    uri, *stamp, checksum = (source.get(name) for name in STAMP_FIELDS)
    return (uri, str(hit["_id"]), *stamp, _bytes(checksum))


def checksum_source(vector: VectorEntry) -> str:
    """Return the part of a document that has the checksum of a vector."""
    return f"{VECTORS_FIELD}.{vector.number}"


def vector_row(hit: dict[str, Any], vector: VectorEntry) -> VectorRow | None:
    """Return a vector of a document; None where it has none.

    Args:
        hit: with the `checksum_source` of the vector, and its `vector_field` out of the source or, which is
            faster, out of the index (`docvalue_fields`).
        vector: which one.
    """
    kept = _held(hit).get(str(vector.number))
    field = vector_field(vector.number)
    numbers = (hit.get("fields") or {}).get(field, (hit.get("_source") or {}).get(field))
    if kept is None and numbers is None:
        return None
    return str(hit["_id"]), _bytes((kept or {}).get("checksum")), _float32_bytes(numbers)


def _held(hit: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a document holds of vectors, by number."""
    held = (hit.get("_source") or {}).get(VECTORS_FIELD) or {}
    return {number: kept for number, kept in held.items() if isinstance(kept, dict)}


def put_documents(
    client: ElasticsearchClient,
    index: str,
    records: Sequence[StoredRecord],
    given: Sequence[tuple[VectorEntry, Vectors]],
    bases: Bases,
) -> None:
    """Write the documents of records, whole and whatever was there before.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        records: what is kept of them.
        given: each vector, float32 of shape (records, dimension).
        bases: what relative paths are relative to.
    """
    client.bulk(
        index,
        (
            action_lines(
                {"index": {"_id": record.id}},
                document(record, [(vector, numbers[row]) for vector, numbers in given], bases),
            )
            for row, record in enumerate(records)
        ),
    )


def remove_documents(client: ElasticsearchClient, index: str, ids: Sequence[str]) -> int:
    """Delete the documents of these ids, and return how many there were."""
    there = [hit["_id"] for some in chunks(ids, _BATCH) for hit in client.fetch(index, some, None)]
    # An answer that is lost is asked for again, and then all are missing: so those there were are counted.
    actions = (action_lines({"delete": {"_id": identity}}) for identity in there)
    client.bulk(index, actions, allow=(_MISSING,))
    return len(there)


def relabel_documents(
    client: ElasticsearchClient,
    index: str,
    labels: Sequence[StoredLabels],
    add_fields: Callable[[set[str]], None],
) -> None:
    """Replace fields and metadata of the documents that are there.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        labels: those of each document.
        add_fields: told of all fields of documents that will be written, before they are.
    """
    new = {one.id: one for one in labels}

    def change(hits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        add_fields({field for hit in hits for field in new[hit["_id"]].fields})
        return [_label_fields(str(hit["_source"].get("uri")), new[hit["_id"]]) for hit in hits]

    update_documents(client, index, list(new), ["uri"], change)


def place_documents(client: ElasticsearchClient, index: str, bases: Bases) -> None:
    """Make the relative paths of documents relative to other folders, where they are not yet.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        bases: what they are relative to.
    """

    def placed(hit: dict[str, Any]) -> dict[str, Any] | None:
        path = relative_path(str(hit["_source"].get("uri")), bases)
        if hit["_source"].get("relative_path") == path:
            return None
        return {"image_name": path.rpartition("/")[2], "relative_path": path}

    def change(hits: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
        return [placed(hit) for hit in hits]

    source = ["uri", "relative_path"]
    for hits in pages(client, index, [], source):
        update_documents(client, index, [hit["_id"] for hit in hits if placed(hit)], source, change)


def fill_documents(
    client: ElasticsearchClient,
    index: str,
    vector: VectorEntry,
    digests: Sequence[tuple[str, str]],
    numbers: Vectors,
    stale: Mapping[str, Sequence[str]],
) -> int:
    """Give a vector to the documents that lack it and are of the same file still; return how many got it.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        vector: which one.
        digests: id and digest of each record.
        numbers: float32 of shape (records, dimension).
        stale: the fields of vectors that the collection declares no longer, by number: documents lose them.
    """
    rows = {identity: row for row, (identity, _) in enumerate(digests)}
    given: set[str] = set()

    def change(hits: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
        changes: list[dict[str, Any] | None] = []
        for hit in hits:
            row, held = rows[hit["_id"]], _held(hit)
            made = _vector_fields(hit["_id"], vector, numbers[row])
            present = held.get(str(vector.number))
            if present is not None or hit["_source"].get("digest") != digests[row][1]:
                # One that we have given, and that comes again, is one whose answer was lost.
                ours = made[VECTORS_FIELD][str(vector.number)]["checksum"]
                if present is None or present.get("checksum") != ours:
                    given.discard(hit["_id"])
                changes.append(None)
                continue
            given.add(hit["_id"])
            for number in held.keys() & stale.keys():
                made |= dict.fromkeys(stale[number])
                made[VECTORS_FIELD][number] = None
            changes.append(made)
        return changes

    update_documents(client, index, list(rows), ["digest", HELD_FIELDS], change)
    return len(given)


def update_documents(
    client: ElasticsearchClient,
    index: str,
    ids: Sequence[str],
    source: Sequence[str],
    change: Callable[[list[dict[str, Any]]], Sequence[dict[str, Any] | None]],
) -> None:
    """Change the documents that are there, each only as it was read, or read again.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        ids: of documents, none twice.
        source: what `change` wants to know of a document.
        change: returns what is to be different of each document, None for nothing.
    """
    for some in chunks(ids, _BATCH):
        todo = list(some)
        while todo:
            hits = client.fetch(index, todo, source)
            actions = (
                action_lines(_if_unchanged(hit), {"doc": changed})
                for hit, changed in zip(hits, change(hits), strict=True)
                if changed is not None
            )
            results = client.bulk(index, actions, allow=(_CONFLICT, _MISSING))
            todo = [one["_id"] for one in results if one["status"] == _CONFLICT]


def _if_unchanged(hit: dict[str, Any]) -> dict[str, Any]:
    condition = {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
    return {"update": {"_id": hit["_id"], **condition}}


def _binary(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: object) -> bytes | None:
    """Return the content of a binary field, None where it holds none."""
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        return None


def _float32_bytes(numbers: object) -> bytes | None:
    """Return the numbers of a field of vectors as little-endian float32, None where it holds none."""
    try:
        return np.array(numbers, np.float32).astype("<f4").tobytes() if isinstance(numbers, list) else None
    except (TypeError, ValueError):
        return None


def _can_be_flattened(name: str) -> bool:
    """Return whether a `flattened` field takes the name; filters of ours find the others all the same."""
    return (
        0 < len(name) <= _FIELD_NAME_CHARACTERS
        and "\0" not in name
        and not any("\ud800" <= character <= "\udfff" for character in name)
        and all(part.strip() for part in name.split("."))
    )
