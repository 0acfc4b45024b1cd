"""Documents written to an Elasticsearch server, and changed only as they were read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lookalike.stores.elasticsearch.client import action_lines
from lookalike.stores.elasticsearch.documents import (
    RECORD_FIELDS,
    VECTOR_FIELDS,
    document,
    sound_hits,
)
from lookalike.stores.elasticsearch.pages import pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lookalike.stores.damage import Fault
    from lookalike.stores.elasticsearch.catalogue import Entry
    from lookalike.stores.elasticsearch.client import ElasticsearchClient
    from lookalike.types import Fields, Metadata, Record, Vectors

_BATCH = 500
_MISSING = 404
_CONFLICT = 409
# Who writes while an index is built, not knowing of it, leaves documents for another round; after the last
# one they are found all the same, by exact search beside it.
_ROUNDS = 5


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
