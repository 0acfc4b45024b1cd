"""Fields that the documents of a collection get after it was made: of an approximate index, and of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import CollectionEmpty, Unanswerable
from lookalike.stores.elasticsearch.documents import (
    WORDS_FIELD,
    WORDS_MAPPING,
    embedding_field,
    embedding_mapping,
)
from lookalike.stores.elasticsearch.writing import write_field

if TYPE_CHECKING:
    from lookalike.records import Collection
    from lookalike.stores.elasticsearch.catalogue import ElasticsearchCatalogue, Entry
    from lookalike.stores.elasticsearch.client import ElasticsearchClient

# Below this bbq_hnsw refuses vectors (Elastic's reference of dense_vector).
_LEAST_FOR_BBQ = 64


def check_buildable(collection: Collection, kind: str) -> None:
    """Refuse an approximate index that there cannot be.

    Raises:
        Unanswerable: the collection is empty, or its vectors are too short for bbq_hnsw.
    """
    if not collection.count:
        raise CollectionEmpty(collection.name)
    if kind.startswith("bbq") and collection.space.dimension < _LEAST_FOR_BBQ:
        raise Unanswerable(
            f"{kind} needs vectors of {_LEAST_FOR_BBQ} dimensions or more, these have "
            f"{collection.space.dimension}; open the store with ?approximate=int8_hnsw"
        )


def add_embedding(
    client: ElasticsearchClient, catalogue: ElasticsearchCatalogue, entry: Entry, kind: str
) -> Entry:
    """Put an approximate index of this kind onto all vectors of a collection, and return that.

    From the first step on everybody writes for it, and searches it: documents that lack the field are
    searched exactly beside it, so that a kill in the middle leaves a collection that is only slower.
    """
    field = embedding_field(kind)
    mapping = embedding_mapping(entry.space.dimension, kind)
    alias = catalogue.alias(entry.number)
    client.request("PUT", f"/{alias}/_mapping", {"properties": {field: mapping}})
    built = entry._replace(kind=kind)
    catalogue.change(
        lambda entries: [
            one._replace(kind=kind) if one.number == entry.number else one for one in entries.values()
        ]
    )
    write_field(client, alias, built, field)
    return built


def add_words(client: ElasticsearchClient, catalogue: ElasticsearchCatalogue, entry: Entry) -> Entry:
    """Give the documents of a collection that an earlier version made their words, and return that.

    The catalogue says so at the end: after a kill in the middle the next one goes on.
    """
    if entry.words:
        return entry
    alias = catalogue.alias(entry.number)
    client.request("PUT", f"/{alias}/_mapping", {"properties": {WORDS_FIELD: WORDS_MAPPING}})
    write_field(client, alias, entry, WORDS_FIELD)
    catalogue.change(
        lambda entries: [
            one._replace(words=True) if one.number == entry.number else one for one in entries.values()
        ]
    )
    return entry._replace(words=True)
