"""Filters in Elasticsearch's words, evaluated over records as Elasticsearch does over their documents.

Sources: Elastic's reference of the queries, and of the field types `keyword`, `long` and `flattened`, whose
values compare as texts (`KeyedFlattenedFieldType` in its source).
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lookalike.errors import InvalidArgument
from lookalike.server.elastic.documents import (
    EMBEDDING,
    KEYWORDS,
    LABELS,
    NUMBERS,
    TEXTS,
    VECTOR,
    document,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lookalike.stores.relative_paths import Bases
    from lookalike.types import Record, Scalar

    Matches = Callable[[Record, Mapping[str, Any]], bool]

_DEEPEST = 20
_MOST_BOOST = 1e6  # scores are float32
# Of a value in a flattened field, as our mapping has it: longer ones are not searched.
_LONGEST = 8_000
_KINDS = "bool, constant_score, exists, ids, match, match_all, match_none, prefix, range, term and terms"
_BOUNDS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True, slots=True)
class Filter:
    """A query, as what it says of one document."""

    matches: Matches
    """Of a record and its `document`."""
    where: dict[str, list[Scalar]] = field(default_factory=dict)
    """Values of fields of which every record that matches has one: what a store can look up."""
    score: float | None = 1.0
    """That of whatever matches; None where Elasticsearch computes one of each document by its BM25."""

    def __call__(self, record: Record, bases: Bases) -> bool:
        """Tell whether a record matches."""
        return self.matches(record, document(record, bases))


EVERYTHING = Filter(lambda _record, _source: True)


def read_filter(query: Any, depth: int = 0) -> Filter:
    """Read a query.

    Raises:
        InvalidArgument: it cannot be read, or is of a kind that is not answered here.
    """
    if depth > _DEEPEST:
        raise InvalidArgument(f"a query is at most {_DEEPEST} deep")
    if not isinstance(query, dict) or len(query) != 1:
        raise InvalidArgument("a query is an object with one name, that of its kind")
    ((kind, body),) = query.items()
    read = _READERS.get(kind)
    if read is None:
        raise InvalidArgument(
            f"unknown query [{str(kind)[:100]}]: over this store lookalike answers {_KINDS}"
        )
    if not isinstance(body, dict):
        raise InvalidArgument(f"[{kind}] is an object")
    return read(body, depth)


def check_known(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse what is not answered here, rather than to answer something else.

    Raises:
        InvalidArgument: something is.
    """
    for name in given:
        if name not in known:
            raise InvalidArgument(
                f"[{what}] [{str(name)[:100]}] is not answered over this store: {', '.join(known)} are"
            )


def number(what: str, value: Any) -> float:
    """Return a number.

    Raises:
        InvalidArgument: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        raise InvalidArgument(f"[{what}] is a number")
    return value


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _text(value: Scalar) -> str:
    """Return a value as its text in JSON, as a flattened field compares it."""
    return value if isinstance(value, str) else json.dumps(value)


def _scalar(kind: str, value: Any) -> Scalar:
    if not isinstance(value, str | int | float):
        raise InvalidArgument(f"[{kind}] compares with a text, a number, true or false")
    if not isinstance(value, str | bool):
        number(kind, value)
    return value


def _one_field(kind: str, body: Mapping[str, Any], extra: Sequence[str] = ()) -> tuple[str, Any]:
    """Return the one field that a query names, and what it says of it."""
    named = [name for name in body if name not in ("boost", "_name", *extra)]
    if len(named) != 1:
        raise InvalidArgument(f"[{kind}] names one field")
    name = named[0]
    if name in TEXTS or name in (EMBEDDING, "words", "match", "labels_digest") or name.startswith(VECTOR):
        raise InvalidArgument(f"[{kind}] the field [{name[:100]}] is not searched over this store")
    return name, body[name]


def boost(kind: str, body: Mapping[str, Any]) -> float:
    """Return what scores are multiplied with.

    Raises:
        InvalidArgument: it is no number from 0, or too large for a score.
    """
    found = number(f"{kind}] [boost", body.get("boost", 1.0))
    if not 0 <= found <= _MOST_BOOST:
        raise InvalidArgument(f"[{kind}] [boost] is from 0 to {_MOST_BOOST:g}")
    return found


def _equal(name: str, wanted: Sequence[Scalar], score: float | None) -> Filter:
    """Return the filter of a field that has one of some values."""
    if name in NUMBERS:
        # A number with a fraction is that of no file.
        found = {_whole(name, value) for value in wanted if not (isinstance(value, float) and value % 1)}
        return Filter(lambda record, source: bool(found & set(values(record, source, name))), score=score)
    texts = {_text(value) for value in wanted}

    def matches(record: Record, source: Mapping[str, Any]) -> bool:
        return any(_text(value) in texts for value in _searched(record, source, name))

    where: dict[str, list[Scalar]] = {}
    if name.startswith(f"{LABELS}."):
        where[name.removeprefix(f"{LABELS}.")] = [one for text in sorted(texts) for one in _meant(text)]
    return Filter(matches, where, score)


def _searched(record: Record, source: Mapping[str, Any], name: str) -> list[Scalar]:
    return [one for one in values(record, source, name) if len(_text(one)) <= _LONGEST]


def _meant(text: str) -> list[Scalar]:
    """Return all values whose text this may be."""
    found: list[Scalar] = [text]
    if text in ("true", "false"):
        found.append(text == "true")
    for kind in (int, float):
        with suppress(ValueError):
            value = kind(text)
            if _finite(value) and abs(value) < 1 << 63:
                found.append(value)
    return found


def _whole(name: str, value: Scalar) -> int:
    try:
        return int(value)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"[{name}] is a whole number, not {str(value)[:100]!r}") from None


def _read_term(body: Mapping[str, Any], _depth: int) -> Filter:
    name, said = _one_field("term", body)
    if isinstance(said, dict):
        check_known("term", said, ("value", "boost", "_name"))
        said = said.get("value")
    return _equal(name, [_scalar("term", said)], None)


def _read_match(body: Mapping[str, Any], _depth: int) -> Filter:
    name, said = _one_field("match", body)
    if isinstance(said, dict):
        check_known("match", said, ("query", "boost", "_name"))
        said = said.get("query")
    return _equal(name, [_scalar("match", said)], None)


def _read_terms(body: Mapping[str, Any], _depth: int) -> Filter:
    name, said = _one_field("terms", body)
    if not isinstance(said, list):
        raise InvalidArgument("[terms] has a list of values: terms of another document are not looked up")
    return _equal(name, [_scalar("terms", value) for value in said], boost("terms", body))


def _read_prefix(body: Mapping[str, Any], _depth: int) -> Filter:
    name, said = _one_field("prefix", body)
    if isinstance(said, dict):
        check_known("prefix", said, ("value", "boost", "_name"))
        said = said.get("value")
    if not isinstance(said, str) or name in NUMBERS or name == "_id":
        raise InvalidArgument("[prefix] has a text, and a field of texts")
    start = said
    return Filter(
        lambda record, source: any(_text(one).startswith(start) for one in _searched(record, source, name))
    )


def _read_range(body: Mapping[str, Any], _depth: int) -> Filter:
    name, said = _one_field("range", body)
    if not isinstance(said, dict):
        raise InvalidArgument(f"[range] has some of {', '.join(_BOUNDS)}")
    check_known("range", said, (*_BOUNDS, "boost", "_name"))
    bounds = {sign: _scalar("range", said[sign]) for sign in _BOUNDS if said.get(sign) is not None}
    if name in NUMBERS:
        for sign, bound in bounds.items():
            number(f"range] [{sign}", bound)
        return Filter(
            lambda record, source: all(
                _holds(one, sign, bound)
                for one in values(record, source, name)
                for sign, bound in bounds.items()
            ),
            score=boost("range", said),
        )
    if name.startswith(f"{LABELS}.") and len({sign[0] for sign in bounds}) < 2:
        raise InvalidArgument(
            "[range] queries on keyed [flattened] fields must include both an upper and a lower bound."
        )

    def matches(record: Record, source: Mapping[str, Any]) -> bool:
        return any(
            all(_holds(_text(one), sign, _text(bound)) for sign, bound in bounds.items())
            for one in _searched(record, source, name)
        )

    return Filter(matches, score=boost("range", said))


def _holds(value: Any, sign: str, bound: Any) -> bool:
    if sign[0] == "g":
        return bool(value > bound or (sign == "gte" and value == bound))
    return bool(value < bound or (sign == "lte" and value == bound))


def _read_exists(body: Mapping[str, Any], _depth: int) -> Filter:
    check_known("exists", body, ("field", "boost", "_name"))
    name = body.get("field")
    if not isinstance(name, str):
        raise InvalidArgument("[exists] names a field")
    everywhere = name in KEYWORDS | NUMBERS | {EMBEDDING, "_id"}
    if not everywhere and not name.startswith(LABELS):
        raise InvalidArgument(f"[exists] the field [{name[:100]}] is not searched over this store")
    return Filter(
        lambda record, source: everywhere or bool(_searched(record, source, name)),
        score=boost("exists", body),
    )


def _read_ids(body: Mapping[str, Any], _depth: int) -> Filter:
    check_known("ids", body, ("values", "boost", "_name"))
    given = body.get("values")
    wanted = {given} if isinstance(given, str) else given
    if not isinstance(wanted, list | set) or not all(isinstance(one, str) for one in wanted):
        raise InvalidArgument("[ids] has a list of ids")
    ids = frozenset(wanted)
    return Filter(lambda record, _: record.id in ids, score=boost("ids", body))


def _read_all(body: Mapping[str, Any], _depth: int) -> Filter:
    check_known("match_all", body, ("boost", "_name"))
    return Filter(EVERYTHING.matches, score=boost("match_all", body))


def _read_none(body: Mapping[str, Any], _depth: int) -> Filter:
    check_known("match_none", body, ("boost", "_name"))
    return Filter(lambda _record, _source: False)


def _read_constant(body: Mapping[str, Any], depth: int) -> Filter:
    check_known("constant_score", body, ("filter", "boost", "_name"))
    inner = read_filter(body.get("filter"), depth + 1)
    return Filter(inner.matches, inner.where, boost("constant_score", body))


def _read_bool(body: Mapping[str, Any], depth: int) -> Filter:
    parts = ("must", "filter", "should", "must_not")
    check_known("bool", body, (*parts, "minimum_should_match", "boost", "_name"))

    def read(part: str) -> list[Filter]:
        given = body.get(part, [])
        return [read_filter(one, depth + 1) for one in (given if isinstance(given, list) else [given])]

    must, filters, should, must_not = map(read, parts)
    needed = body.get("minimum_should_match", 0 if must or filters else min(1, len(should)))
    if isinstance(needed, bool) or not isinstance(needed, int) or needed < 0:
        raise InvalidArgument("[bool] [minimum_should_match] is a whole number from 0")
    needed = int(needed)

    def matches(record: Record, source: Mapping[str, Any]) -> bool:
        return (
            all(one.matches(record, source) for one in (*must, *filters))
            and not any(one.matches(record, source) for one in must_not)
            and sum(one.matches(record, source) for one in should) >= needed
        )

    where: dict[str, list[Scalar]] = {}
    for one in (*must, *filters):
        where = {**one.where, **where}
    # The score is the sum of those that match: the same for all only where none is optional.
    scores = [one.score for one in must]
    known = [score for score in scores if score is not None]
    same = len(known) == len(scores) and not should
    return Filter(matches, where, boost("bool", body) * sum(known) if same else None)


_READERS: dict[str, Callable[[Mapping[str, Any], int], Filter]] = {
    "bool": _read_bool,
    "constant_score": _read_constant,
    "exists": _read_exists,
    "ids": _read_ids,
    "match": _read_match,
    "match_all": _read_all,
    "match_none": _read_none,
    "prefix": _read_prefix,
    "range": _read_range,
    "term": _read_term,
    "terms": _read_terms,
}
