"""Labels and names of fields in one Unicode form, as they are kept and compared."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING
from unicodedata import normalize

from lookalike.errors import FieldNotFound
from lookalike.types import CAPTURED, OWN_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.types import CollectionInfo, Fields, Metadata, Scalar, Where


def labels_digest(fields: Fields, metadata: Metadata) -> str:
    """Return a digest of what the labels say, 32 hexadecimal digits, independent of the order of keys.

    When a picture was taken stands in the picture, and no label file says it: `index` knows by the digest,
    before it reads a file, whether its labels have changed.
    """
    own = metadata.get(OWN_KEY)
    if isinstance(own, dict) and CAPTURED in own:
        left = {name: value for name, value in own.items() if name != CAPTURED}
        metadata = {name: value for name, value in metadata.items() if name != OWN_KEY}
        metadata |= {OWN_KEY: left} if left else {}
    text = json.dumps([dict(fields), dict(metadata)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# Characters without a width that copying and spreadsheets leave at the ends of a text, and which str.strip
# keeps: zero-width space and joiners, marks of direction, word joiner, byte order mark (all of Unicode's Cf).
_NO_WIDTH = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
_BLANK = f"{_NO_WIDTH}{''.join(c for c in map(chr, range(0x3001)) if c.isspace())}"


def label_text(text: str) -> str:
    """Return a label or the name of a field as it is kept: in Unicode's form NFC, without blanks at its ends.

    So `good ` is `good`, and what macOS writes in form NFD is the same label as elsewhere (Unicode annex 15).
    """
    return normalize("NFC", text).strip(_BLANK)


def kept_name(name: str, collection: CollectionInfo) -> str:
    """Return the name of a field as a collection has it, whatever its Unicode form and blanks at its ends."""
    kept = label_text(name)
    return kept if name not in collection.fields and kept in collection.fields else name


def check_fields(names: Iterable[str], collection: CollectionInfo) -> None:
    """Refuse the name of a field that no record of a collection has, in any form.

    Raises:
        FieldNotFound: of the first such.
    """
    for name in names:
        if kept_name(name, collection) not in collection.fields:
            raise FieldNotFound(name, collection.fields)


def kept_filter(where: Where | None, collection: CollectionInfo) -> Where | None:
    """Return a filter for the fields of a collection as they are kept: either form of a text finds it."""
    if not where:
        return where
    found: dict[str, list[Scalar]] = {}
    for name, values in where.items():
        alternatives = found.setdefault(kept_name(name, collection), [])
        for value in values:
            alternatives.append(value)
            if isinstance(value, str) and label_text(value) != value:
                alternatives.append(label_text(value))
    return found
