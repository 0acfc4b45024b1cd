"""The documents that records are kept in: what they look like, and how they are written and read."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lookalike.checksums import file_checksum, labels_checksum, vector_checksum
from lookalike.errors import InvalidArgument
from lookalike.file_names import display, readable
from lookalike.label_normalisation import labels_digest
from lookalike.stores.damage import Fault
from lookalike.stores.elasticsearch.connection import action_lines
from lookalike.stores.elasticsearch.filters import field_tokens
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.schema import EMBEDDING, VECTOR_FIELD, WORDS_FIELD, embedding_field
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
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lookalike.stores.elasticsearch.catalog import Entry
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.types import Fields, Metadata, Stamp, Vectors, Where

RECORD_FIELDS = ("uri", "digest", "size", "modified_ns", "labels", "file_checksum", "labels_checksum")
"""Fields of a document that make a record."""

STAMP_FIELDS = ("uri", "size", "modified_ns", "labels_digest", "digest", "file_checksum")

VECTOR_FIELDS = (VECTOR_FIELD, "vector_checksum")
"""Fields of a document that make a vector."""

_BATCH = 500
_MISSING = 404
_CONFLICT = 409
# Who writes while an index is built, not knowing of it, leaves documents for another round; after the last
# one they are found all the same, by exact search beside it.
_ROUNDS = 5
_ID_BYTES = 512  # of an `_id`, at most (Elastic's reference of the field)
_FIELD_NAME_CHARACTERS = 250


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
        "match": list(field_tokens(record.fields)),
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


def put_documents(
    client: ElasticsearchClient, index: str, records: Sequence[Record], vectors: Vectors, kind: str | None
) -> None:
    """Write the documents of records, whole and whatever was there before."""
    client.bulk(
        index,
        (
            action_lines({"index": {"_id": record.id}}, document(record, vector, kind))
            for record, vector in zip(records, vectors, strict=True)
        ),
    )


def remove_documents(client: ElasticsearchClient, index: str, ids: Sequence[str]) -> int:
    """Delete the documents of these ids, and return how many there were."""
    there = [hit["_id"] for some in _parts(ids) for hit in client.fetch(index, some, None)]
    # An answer that is lost is asked for again, and then all are missing: so those there were are counted.
    actions = (action_lines({"delete": {"_id": identity}}) for identity in there)
    client.bulk(index, actions, allow=(_MISSING,))
    return len(there)


def relabel_documents(
    client: ElasticsearchClient,
    index: str,
    labels: Mapping[str, tuple[str, Fields, Metadata]],
    entry: Entry,
    add_fields: Callable[[set[str]], None],
    note: Callable[[list[Fault]], None],
) -> None:
    """Replace fields and metadata of the documents that are there, but for those that are damaged.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        labels: those of each document, by its id.
        entry: the collection.
        add_fields: told of all fields of documents that will be written, before they are.
        note: told of damaged documents.
    """

    def change(record: Record) -> Record:
        _, fields, metadata = labels[record.id]
        return replace(record, fields=fields, metadata=metadata)

    for some in _parts(list(labels)):
        _rewrite(client, index, some, entry, change, note, add_fields)


def write_field(
    client: ElasticsearchClient, index: str, entry: Entry, field: str, note: Callable[[list[Fault]], None]
) -> None:
    """Write all documents anew that lack a field which documents now have, but for those that are damaged.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        entry: the collection as it is to be written.
        field: is in the mapping already.
        note: told of damaged documents.
    """
    lacking = {"exists": {"field": field}}
    for _ in range(_ROUNDS):
        found = False
        for hits in pages(client, index, [], None, without=[lacking]):
            found = True
            for some in _parts([hit["_id"] for hit in hits]):
                _rewrite(client, index, some, entry, lambda record: record, note)
        if not found:
            return


def _rewrite(
    client: ElasticsearchClient,
    index: str,
    ids: Sequence[str],
    entry: Entry,
    change: Callable[[Record], Record],
    note: Callable[[list[Fault]], None],
    add_fields: Callable[[set[str]], None] = lambda _: None,
) -> None:
    """Replace the documents that are there, each only as it was read, or read again."""
    todo = list(ids)
    while todo:
        read = client.fetch(index, todo, [*RECORD_FIELDS, *VECTOR_FIELDS])
        hits, found, vectors, faults = sound_hits(read, entry.space.dimension)
        note(faults)
        records = [change(record) for record in found]
        add_fields({field for record in records for field in record.fields})
        actions = (
            action_lines(_if_unchanged(hit), document(record, vector, entry.kind))
            for hit, record, vector in zip(hits, records, vectors, strict=True)
        )
        results = client.bulk(index, actions, allow=(_CONFLICT,))
        todo = [one["_id"] for one in results if one["status"] == _CONFLICT]


def _if_unchanged(hit: dict[str, Any]) -> dict[str, Any]:
    condition = {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
    return {"index": {"_id": hit["_id"], **condition}}


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]
