"""Answers to search requests in Elasticsearch's form, over any store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import InvalidArgument, SpaceMismatch
from lookalike.server.elastic.documents import document, fields_of, mapping, picked, vector_of
from lookalike.server.elastic.filters import EVERYTHING
from lookalike.server.elastic.questions import MOST_HITS
from lookalike.types import Neighbour
from lookalike.vectors.metric import normalise
from lookalike.vectors.nearest import nearest_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lookalike.collection import Collection
    from lookalike.server.elastic.filters import Filter
    from lookalike.server.elastic.questions import AskedDocument, Knn, Picked, SearchQuestion
    from lookalike.stores.relative_paths import Bases
    from lookalike.types import Record, Vectors

SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}

# More neighbours are looked at so many times as many, until enough match a filter that no store looks up.
_WIDER = 8


def search(
    collection: Collection, question: SearchQuestion, vector: Vectors | list[float] | None
) -> dict[str, Any]:
    """Answer a search; blocks.

    Args:
        collection: that is asked.
        question: what is asked.
        vector: that of `question.knn`, in the space of the vector that is searched.

    Raises:
        InvalidArgument: the vector is none of that space.
    """
    began = time.monotonic()
    bases = collection.indexed().bases
    first = question.start + question.size
    if question.knn is not None:
        scored = _nearest(collection, question.knn, [] if vector is None else vector, bases)
        found = [each for each in scored if question.least is None or each[1] >= question.least]
        count, shown = len(found), found[question.start : first]
    else:
        count, shown = 0, []
        score = question.query.score or 0.0
        enough = question.least is None or score >= question.least
        for record in _matching(collection, question.query, bases) if enough else ():
            if question.start <= count < first:
                shown.append((record, score))
            count += 1
        found = shown
    hits: dict[str, Any] = {}
    if question.total is not False:
        most = count if question.total is True else question.total
        hits["total"] = {"value": min(count, most), "relation": "eq" if count <= most else "gte"}
    name = collection.info().name
    hits["max_score"] = found[0][1] if found and question.size else None
    hits["hits"] = [
        {**_hit(name, record, bases, question.source, question.fields), "_score": score}
        for record, score in shown
    ]
    took = int((time.monotonic() - began) * 1000)
    return {"took": took, "timed_out": False, "_shards": SHARDS, "hits": hits}


def count(collection: Collection, query: Filter) -> dict[str, Any]:
    """Answer a count; blocks."""
    if query is EVERYTHING:
        found = collection.info().count
    else:
        found = sum(1 for _ in _matching(collection, query, collection.indexed().bases))
    return {"count": found, "_shards": SHARDS}


def document_of(collection: Collection, identity: str, source: Picked) -> dict[str, Any]:
    """Return one document, or that there is none; blocks."""
    name = collection.info().name
    for record in collection.records.get([identity]):
        return {**_hit(name, record, collection.indexed().bases, source, ()), "_version": 1, "found": True}
    return {"_index": name, "_id": identity, "found": False}


def documents_of(collections: Mapping[str, Collection], asked: Sequence[AskedDocument]) -> dict[str, Any]:
    """Return documents, in order, or that there is none; blocks.

    Args:
        collections: by the name that an index has.
        asked: which.
    """
    found: dict[tuple[str, str], Record] = {}
    bases = {index: collection.indexed().bases for index, collection in collections.items()}
    names = {index: collection.info().name for index, collection in collections.items()}
    for index, collection in collections.items():
        ids = [identity for named, identity, _, _ in asked if named == index]
        found |= {(index, record.id): record for record in collection.records.get(ids)}
    docs: list[dict[str, Any]] = []
    for index, identity, source, _ in asked:
        record = found.get((index, identity))
        if record is None:
            docs.append({"_index": names[index], "_id": identity, "found": False})
        else:
            hit = _hit(names[index], record, bases[index], source, ())
            docs.append({**hit, "_version": 1, "found": True})
    return {"docs": docs}


def mapping_of(collection: Collection) -> dict[str, Any]:
    """Return the mapping of a collection; blocks."""
    info = collection.info()
    return {info.name: mapping(info)}


def filtered(answer: dict[str, Any], filter_path: str | None) -> dict[str, Any]:
    """Return the parts of an answer that the parameter `filter_path` names."""
    if not filter_path:
        return answer
    paths = filter_path.split(",")
    if any("**" in path for path in paths):
        raise InvalidArgument("[filter_path] over this store ** is not read: name each step")
    without = [path[1:] for path in paths if path.startswith("-")]
    kept: dict[str, Any] = picked(answer, [path for path in paths if not path.startswith("-")], without)
    return kept


def _hit(name: str, record: Record, bases: Bases, wanted: Picked, fields: tuple[str, ...]) -> dict[str, Any]:
    source = document(record, bases)
    hit: dict[str, Any] = {"_index": name, "_id": record.id}
    if wanted.wanted:
        hit["_source"] = picked(source, wanted.includes, wanted.excludes)
    if fields and (found := fields_of(record, source, fields)):
        hit["fields"] = found
    return hit


def _nearest(
    collection: Collection, knn: Knn, vector: Vectors | list[float], bases: Bases
) -> list[tuple[Record, float]]:
    """Return the records that are found, with their scores."""
    info = collection.info()
    using = vector_of(knn.field, info)
    dimension = info.vector(using).space.dimension
    if len(vector) != dimension:
        raise InvalidArgument(
            f"The query vector has a different number of dimensions [{len(vector)}] than the document "
            f"vectors [{dimension}]."
        )
    where = knn.filter.where
    if any(name not in info.fields for name in where):
        return []
    width = knn.k
    while True:
        try:
            neighbours = collection.vectors.nearest(vector, k=width, using=using, where=where or None)
        except SpaceMismatch as error:  # exchanged meanwhile
            raise InvalidArgument(str(error)) from error
        matching = [one for one in neighbours if knn.filter(one.record, bases)][: knn.k]
        if len(matching) == knn.k or len(neighbours) < width:
            break
        width *= _WIDER
        if width > MOST_HITS:  # so many would not be held in memory
            matching = _scanned(collection, knn, vector, using, bases)
            break
    least = -1.0 if knn.similarity is None else knn.similarity
    return [(one.record, _score(one, knn.boost)) for one in matching if one.similarity >= least]


def _scanned(
    collection: Collection, knn: Knn, vector: Vectors | list[float], using: str | None, bases: Bases
) -> list[Neighbour]:
    """Return the nearest of the records that match, of which a thousand are held at a time."""
    row = np.asarray(vector, np.float64)
    query = normalise((row / np.abs(row).max())[None].astype(np.float32))
    best: list[Neighbour] = []
    for records, vectors in collection.vectors.scan(knn.filter.where or None, using=using):
        places = [place for place, record in enumerate(records) if knn.filter(record, bases)]
        if places:
            (rows,), (similarities,) = nearest_rows(query, vectors[places], min(knn.k, len(places)))
            best += [
                Neighbour(records[places[place]], similarity)
                for place, similarity in zip(rows.tolist(), similarities.tolist(), strict=True)
            ]
            best = sorted(best, key=lambda one: (-one.similarity, one.record.id))[: knn.k]
    return best


def _score(neighbour: Neighbour, boost: float) -> float:
    """Return the score of a similarity: (1 + cosine) / 2, in float32 as a server's, in few digits."""
    return float(str(np.float32((1 + neighbour.similarity) / 2 * boost)))


def _matching(collection: Collection, query: Filter, bases: Mapping[str, str]) -> Iterator[Record]:
    if any(name not in collection.info().fields for name in query.where):
        return
    for batch in collection.records.scan(query.where or None):
        for record in batch:
            if query(record, bases):
                yield record
