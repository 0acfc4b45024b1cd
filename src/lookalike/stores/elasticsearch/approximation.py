"""Approximate indexes: one more field of the documents, which the server builds a graph on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lookalike.errors import CollectionEmpty, Unanswerable
from lookalike.stores.elasticsearch.records import write_field
from lookalike.stores.elasticsearch.schema import embedding_field, embedding_mapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.stores.damage import Fault
    from lookalike.stores.elasticsearch.catalog import ElasticsearchCatalog, Entry
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.types import CollectionInfo

# Below this bbq_hnsw refuses vectors (Elastic's reference of dense_vector).
_LEAST_FOR_BBQ = 64


def check_buildable(collection: CollectionInfo, kind: str) -> None:
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
    client: ElasticsearchClient,
    catalog: ElasticsearchCatalog,
    entry: Entry,
    kind: str,
    note: Callable[[list[Fault]], None],
) -> Entry:
    """Put an approximate index of this kind onto all vectors of a collection, and return that.

    From the first step on everybody writes for it, and searches it: documents that lack the field are
    searched exactly beside it, so that a kill in the middle leaves a collection that is only slower. One that
    is damaged stays without.

    Args:
        client: where it asks.
        catalog: of the store.
        entry: the collection.
        kind: of the index.
        note: told of damaged documents.
    """
    field = embedding_field(kind)
    mapping = embedding_mapping(entry.space.dimension, kind)
    alias = catalog.alias(entry.number)
    client.request("PUT", f"/{alias}/_mapping", {"properties": {field: mapping}})
    built = entry._replace(kind=kind)
    catalog.change(
        lambda entries: [
            one._replace(kind=kind) if one.number == entry.number else one for one in entries.values()
        ]
    )
    write_field(client, alias, built, field, note)
    return built
