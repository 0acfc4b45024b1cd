"""Indexes of Elasticsearch, as requests name them: those of the collections that are served, no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lookalike.errors import InvalidArgument
from lookalike.file_names import display
from lookalike.server.http.problems import Refused
from lookalike.stores.checks import same_name

if TYPE_CHECKING:
    from lookalike.server.service import Service

_PREFIX = "lookalike-"
_LONGEST = 300


class Index(NamedTuple):
    """An index that may be asked."""

    collection: str
    key: str | None
    """What the store's server calls it; None where the store is no Elasticsearch server."""


class IndexNotFound(Refused):
    """No collection that is served is called so as an index."""

    def __init__(self, name: str) -> None:
        """Say which.

        Args:
            name: that was asked for.
        """
        super().__init__(404, f"no such index [{display(name[:_LONGEST])}]")


class DocumentNotFound(Refused):
    """No document of an index has this id."""

    def __init__(self, index: str, identity: str) -> None:
        super().__init__(404, f"Document not found [{display(index)}]/[{display(identity[:_LONGEST])}]")


def index_named(service: Service, asked: str) -> Index:
    """Return the index of a name; blocks.

    A collection answers to its own name, in any case; to `lookalike-NAME`, as an Elasticsearch store calls
    its index; to the name that `index --index-name` gave it there; and to those of `serve --index-alias`.

    Raises:
        IndexNotFound: no collection that is served has it.
        InvalidArgument: it is a pattern of names.
    """
    if "*" in asked or asked == "_all":
        raise InvalidArgument("[index] name the index: patterns and _all are not answered here")
    documents = service.database.documents
    known: list[tuple[Index, tuple[str, ...]]]
    if documents is None:
        known = [(Index(one.name, None), (f"{_PREFIX}{same_name(one.name)}",)) for one in service.served()]
    else:
        served = [same_name(name) for name in service.settings.collections]
        ours = [(Index(one.collection, one.key), one.names) for one in documents.indexes()]
        theirs = [(Index(one.name, one.table), (one.table,)) for one in service.database.attached()]
        known = [each for each in ours + theirs if not served or same_name(each[0].collection) in served]
    meant = dict(service.settings.index_aliases).get(asked, asked)
    for index, _ in known:
        if same_name(index.collection) == same_name(meant):
            return index
    for index, names in known:
        if asked in names:
            return index
    raise IndexNotFound(asked)
