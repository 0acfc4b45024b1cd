"""Different labels that look alike, `good` beside `Good`, and labels that stand for none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from unicodedata import normalize

from lookalike.file_names import display
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.types import Fields

# Fields with more values are names or remarks, no classes.
_MOST_VALUES = 10_000
_SHOWN = 10
_NOTHING = frozenset({"nan", "null", "<na>", "#n/a", "n/a", "nat", "undefined"})
"""What pandas, spreadsheets and JavaScript write for a value that is absent; `none` may be a class."""


def similar_label_remarks(labels: Iterable[Fields]) -> list[Remark]:
    """Return a remark for each group of labels that differ by case, width or blanks only, and of such fields.

    And for labels that stand for none, such as `nan`.

    Args:
        labels: the fields of every image.
    """
    counts: dict[str, Counter[str]] = {}
    names: Counter[str] = Counter()
    for fields in labels:
        for name, value in fields.items():
            names[name] += 1
            if isinstance(value, str):
                values = counts.setdefault(name, Counter())
                if len(values) < _MOST_VALUES:
                    values[value] += 1
    fields_of: dict[str, list[str]] = {}
    for name, values in counts.items():
        if len(values) < _MOST_VALUES:
            for group in _groups(values):
                fields_of.setdefault(group, []).append(name)
    said = [
        f"{', '.join(of)}: {group} differ by case, width or blanks only; each is a label of its own"
        for group, of in fields_of.items()
    ]
    said += _absent(counts)
    said += [f"the fields {group} differ by case, width or blanks only" for group in _groups(names)]
    more = [f"and {len(said) - _SHOWN:,} more groups of labels that look alike"] if len(said) > _SHOWN else []
    return [Remark("", display(text)) for text in [*said[:_SHOWN], *more]]


def _absent(counts: dict[str, Counter[str]]) -> list[str]:
    """Return what to say of labels that programs write where there is none: `nan`, as pandas does."""
    found: dict[str, Counter[str]] = {}
    for name, values in counts.items():
        for text, count in values.items():
            if text.casefold() in _NOTHING:
                found.setdefault(text, Counter())[name] += count
    return [
        f"{', '.join(of)}: {text!r} ({max(of.values()):,}) is kept as a value; programs write it for none"
        for text, of in found.items()
    ]


def _groups(counts: Counter[str]) -> list[str]:
    """Return the groups of texts that look alike, with how often each is there, most often first."""
    alike: dict[str, list[str]] = {}
    for text in counts:
        alike.setdefault("".join(normalize("NFKC", text).casefold().split()), []).append(text)
    return [
        " and ".join(f"{text!r} ({counts[text]:,})" for text in sorted(group, key=lambda t: (-counts[t], t)))
        for group in alike.values()
        if len(group) > 1
    ]
