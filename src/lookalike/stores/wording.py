"""Which words a record can be found by, and which words a question asks for: the same in every store.

A word is a run of letters, digits and marks of any script, compared without regard to case and Unicode form.
Hangul, Han and kana are written without spaces between words, or with particles behind them: a run of them is
kept as a whole and as each two neighbours in it, so that 탱크 is found in 탱크상부, and 나무 in 나무가.

What comes out holds letters, digits and marks only, never a space or a sign that a store's query language
could read; so stores need no analysis of their own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lookalike.types import OWN_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lookalike.types import Fields, Metadata, Scalar

WORD_CHARACTERS = 60
"""Longer words are compared by their beginning: 240 bytes at most, and stores end terms at 255 or more."""

TEXT_BYTES = 1 << 18
"""Words of a record beyond so many bytes of UTF-8 are not found. With a position for each word this is below
the 1 MiB that a `tsvector` may have (postgresql.org/docs, "Limitations" of text search)."""

MOST_TERMS = 128
"""Words of a question, at most; Elasticsearch takes 1,024 or more, depending on its memory."""

# Hangul, Han and kana: Unicode's Blocks.txt, with the marks that belong to them (々 〇 ー and the like).
_UNSPACED = (
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff\u3130-\u318f"
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003fffd\u3041-\u30ff\u31f0-\u31ff\U0001aff0-\U0001b16f"
)
_RUN = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_BEGINS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ZERO_WIDTH_SPACE = 0x200B
_REMEMBERED = 4096  # labels, folders
_UTF8_BYTES = 4  # of a character, at most
_LEAST_PLURAL = 4  # letters: shorter words that end in s are rarely plurals


def record_text(uri: str, fields: Fields, metadata: Metadata) -> str:
    """Return the words that a record is found by, as often as they are in it, with a space between each two.

    They are those of the values of its fields, of the names of its file (without the extension) and its
    folders, and of all strings in its metadata: not of keys, nor of what is noted there of corrections. Names
    are also split where small letters meet capitals and letters meet digits. Of UTF-8 they are at most
    `TEXT_BYTES`.

    Args:
        uri: of the record.
        fields: of the record.
        metadata: of the record: JSON.
    """
    folders, _, file = (uri.partition(":")[2] or uri).rpartition("/")
    found: list[str] = []
    for value in fields.values():
        long = isinstance(value, str) and len(value) > WORD_CHARACTERS
        found += _words(str(value)) if long else _label_words(value)
    found += _name_words(file.rpartition(".")[0].strip(".") or file)
    found += _folder_words(folders)
    for text in _strings(_told(metadata)):
        if len(found) > TEXT_BYTES:
            break
        found += _words(text[:TEXT_BYTES])
    joined = " ".join(found)
    if len(joined) * _UTF8_BYTES <= TEXT_BYTES or len(content := joined.encode()) <= TEXT_BYTES:
        return joined
    return content[: TEXT_BYTES + 1].rpartition(b" ")[0].decode()


def query_terms(text: str) -> list[str]:
    """Return the words that a question asks for, each once, at most `MOST_TERMS`; none where it has none."""
    return list(islice(dict.fromkeys(_words(text)), MOST_TERMS))


def _told(metadata: Metadata) -> Metadata:
    """Return metadata without our notes of what was corrected: the wrong label finds nothing through them."""
    own = metadata.get(OWN_KEY)
    if not isinstance(own, dict):
        return metadata
    kept = {name: value for name, value in own.items() if name not in ("corrected", "confirmed")}
    return {**metadata, OWN_KEY: kept}


def _strings(document: object) -> Iterator[str]:
    """Yield the strings in a JSON document, in its order, however deeply it is nested."""
    todo = [document]
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            todo += reversed(one.values())
        elif isinstance(one, (list, tuple)):
            todo += reversed(one)


def _words(text: str) -> list[str]:
    if text.isascii():
        plain = text.encode().translate(_ASCII).decode()
        return [_singular(word[:WORD_CHARACTERS]) for word in plain.split()]
    # Without its case a letter may be in another form, so that is made twice.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    found: list[str] = []
    for word in folded.translate(_SEPARATED).split():
        for run in _RUN.findall(word):
            if not _BEGINS_UNSPACED.match(run):
                found.append(_singular(run[:WORD_CHARACTERS]))
                continue
            found.append(run[:WORD_CHARACTERS])
            if len(run) > 2:
                found += (run[start : start + 2] for start in range(len(run) - 1))
    return found


# Typed: 1, 1.0 and True are equal, and not the same words.
@lru_cache(maxsize=_REMEMBERED, typed=True)
def _label_words(value: Scalar) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (str(value).lower(),)
    # A float that is whole is the same number as the integer.
    whole = isinstance(value, float) and value.is_integer()
    return tuple(_words(str(int(value) if whole else value)))


@lru_cache(maxsize=_REMEMBERED)
def _folder_words(folders: str) -> tuple[str, ...]:
    return tuple(word for name in folders.split("/") for word in _name_words(name))


def _name_words(name: str) -> list[str]:
    """Return the words of a name in a URI, and the parts that these are put together of."""
    found: list[str] = []
    for word in unicodedata.normalize("NFKC", unquote(name)).translate(_SEPARATED).split():
        if word.isdecimal() or (word.isalpha() and (word.islower() or word.isupper())):
            found += _words(word)
        else:
            found += dict.fromkeys(one for part in (word, *_parts(word)) for one in _words(part))
    return found


def _parts(word: str) -> list[str]:
    """Return `tank`, `Top` and `12` of `tankTop12`, `HTTP` and `Server` of `HTTPServer`."""
    start = 0
    parts = []
    for place in range(1, len(word)):
        before, here = word[place - 1], word[place]
        begins = here.isupper() and (not before.isupper() or word[place + 1 : place + 2].islower())
        if begins or before.isdecimal() != here.isdecimal():
            parts.append(word[start:place])
            start = place
    return [*parts, word[start:]]


@lru_cache(maxsize=1 << 16)
def _singular(word: str) -> str:
    """Return an English word without the s of the plural, by the same rule for records and questions.

    The S stemmer of D. Harman, "How effective is suffixing?", JASIS 42 (1991), p. 8.
    """
    if not word.endswith("s") or len(word) < _LEAST_PLURAL or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word if word[-2] in "us" else word[:-1]


class _Separated(dict[int, "int | None"]):
    """What `str.translate` puts in the place of a character; those that were seen are remembered."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        kind = unicodedata.category(character)
        if kind[0] in "LN":
            replacement: int | None = code
        elif kind[0] == "M":
            # Variation selectors choose among drawings of one letter.
            replacement = None if unicodedata.name(character, "").startswith("VARIATION SEL") else code
        else:
            # Joiners, soft hyphens and marks of direction are not seen.
            replacement = None if kind == "Cf" and code != _ZERO_WIDTH_SPACE else ord(" ")
        self[code] = replacement
        return replacement


_SEPARATED = _Separated()
# What `bytes.translate` makes of ASCII: letters without case, digits, and spaces for all else.
_ASCII = b"".join(bytes([code]).lower() if chr(code).isalnum() else b" " for code in range(128)).ljust(256)
