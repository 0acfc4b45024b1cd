"""Approximate indexes: one more field of a vector, which the server builds a graph on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lookalike.errors import Unanswerable
from lookalike.stores.elasticsearch.pages import pages
from lookalike.stores.elasticsearch.records import (
    checksum_source,
    decimals,
    update_documents,
    vector_row,
)
from lookalike.stores.elasticsearch.schema import LEAST_FOR_BBQ, fits, vector_field
from lookalike.stores.verification import sound_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.stores.damage import Fault
    from lookalike.stores.elasticsearch.connection import ElasticsearchClient
    from lookalike.stores.entry import VectorEntry

# Who writes while an index is built, not knowing of it, leaves documents for another round; after the last
# one they are found all the same, by exact search beside it.
_ROUNDS = 5


def check_buildable(vector: VectorEntry, kind: str) -> None:
    """Refuse an approximate index that there cannot be.

    Raises:
        Unanswerable: the vectors are too short for bbq_hnsw.
    """
    dimension = vector.info.space.dimension
    if not fits(kind, dimension):
        raise Unanswerable(
            f"{kind} needs vectors of {LEAST_FOR_BBQ} dimensions or more, these have {dimension}; open the "
            f"store with ?approximate=int8_hnsw"
        )


def write_graph(
    client: ElasticsearchClient,
    index: str,
    vector: VectorEntry,
    kind: str,
    others: Sequence[str],
    note: Callable[[list[Fault]], None],
) -> None:
    """Give the field of an approximate index to all documents that lack it, but for those that are damaged.

    Args:
        client: where it asks.
        index: the alias of the collection's index.
        vector: which one.
        kind: of the index; its field is in the mapping already.
        others: fields of other indexes of this vector, which documents lose.
        note: told of damaged vectors.
    """
    field = vector_field(vector.number, kind)

    def change(hits: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
        rows = [row for row in (vector_row(hit, vector) for hit in hits) if row is not None]
        places, vectors, faults = sound_vectors(rows, vector.info.space.dimension)
        uris = {hit["_id"]: hit["_source"].get("uri") for hit in hits}
        note([fault._replace(uri=uris[fault.id]) for fault in faults])
        lost = dict.fromkeys(others)
        return [
            {field: decimals(vectors[places[hit["_id"]]]), **lost} if hit["_id"] in places else None
            for hit in hits
        ]

    has, lacks = {"exists": {"field": vector_field(vector.number)}}, {"exists": {"field": field}}
    for _ in range(_ROUNDS):
        found = False
        for hits in pages(client, index, [has], None, without=[lacks]):
            found = True
            source = ["uri", checksum_source(vector), vector_field(vector.number)]
            update_documents(client, index, [hit["_id"] for hit in hits], source, change)
        if not found:
            return
