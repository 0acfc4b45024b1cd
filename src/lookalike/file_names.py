"""Names of files for people: decoded where they are no UTF-8 or were misread, and escaped for a terminal.

Zip files from Windows hold names in the code page of the machine that packed them, and say nothing of it
(PKWARE's APPNOTE 6.3.10, appendix D: without the language flag, names are in code page 437). Unpacked
elsewhere they are bytes that are no UTF-8, or characters of CP437 such as `║╬╟░` for 부품. A single name is
too short for a detector that weighs how often letters follow each other, so it is read by which part of its
character set it comes from: the syllables, kana and characters that a standard puts first are in names.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize

_SURROGATE = re.compile(r"[\udc80-\udcff]")
# Second bytes of characters of two bytes are no blanks, quotes or slashes. Some pairs of such bytes are UTF-8
# by chance and are no surrogates: 품 is `C7 B0` in CP949, which is also U+01F0.
_RUN = re.compile(r"""[^ \t\n/'"]*[\udc80-\udcff][^ \t\n/'"]*""")
# Of valid text only such is looked at: accents and signs of Latin-1, Greek and letters that CP437 or CP1252
# have, and what boxes are drawn with.
_SUSPECT = re.compile("[\x80-\xff\u0152-\u017e\u0192\u02c6\u02dc\u0393-\u03c6\u2013-\u2122\u2190-\u25ff]")
_FOREIGN = re.compile(r"""[^ \t\n/'"]+""")


class Reading(NamedTuple):
    """What a name says."""

    text: str
    """In Unicode; as it was, where nothing is known of it."""
    encoding: str
    """What its bytes were taken for: `CP949`, say; empty where they were UTF-8."""


def read_name(text: str) -> Reading:
    """Return what the name of a file, or a path, says.

    Args:
        text: as Python has names of files: bytes that are no UTF-8 are surrogates.
    """
    if text.isascii() or not (_SURROGATE.search(text) or _SUSPECT.search(text)):
        return Reading(text, "")
    found = [_read_part(part) for part in text.split("/")]
    encodings = sorted({part.encoding for part in found if part.encoding})
    return Reading("/".join(part.text for part in found), " and ".join(encodings))


def readable(text: str) -> str:
    """Return what the name of a file, or a path, says: see `read_name`."""
    return read_name(text).text


def decoded_bytes(text: str) -> str:
    """Return a text that may have names in it, with bytes that are no UTF-8 as what they say."""
    return _decoded(text).text if _SURROGATE.search(text) else text


def display(text: str | os.PathLike[str]) -> str:
    """Return `text` fit for one line of a terminal.

    Bytes of names that are no UTF-8 are shown as what they say, see `decoded_bytes`; control characters, and
    bytes that say nothing, are escaped. So is a path that was read in the wrong code page.
    """
    line = decoded_bytes(text) if isinstance(text, str) else readable(str(text))
    if line.isprintable():
        return line
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line
    )


def possible_names(name: str) -> set[str]:
    """Return all that a name may say, in form NFC: to compare it with one that is known, not to show it."""
    raw = []
    if _SURROGATE.search(name):
        raw.append(os.fsencode(name))
    elif _SUSPECT.search(name):
        for page in _PAGES:
            try:
                raw.append(name.encode(page))
            except UnicodeEncodeError:
                continue
    found = set()
    for data in raw:
        for encoding in ("utf-8", *_WEIGHTS, *_LATIN):
            try:
                found.add(normalize("NFC", data.decode(encoding)))
            except UnicodeDecodeError:
                continue
    return found - {normalize("NFC", name)}


@lru_cache(maxsize=4096)
def _read_part(part: str) -> Reading:
    if _SURROGATE.search(part):
        return _decoded(part)
    if part.isascii() or not _SUSPECT.search(part):
        return Reading(part, "")
    encodings = set()

    def repair(found: re.Match[str]) -> str:
        better = _repaired(found[0])
        encodings.add(better.encoding)
        return better.text

    text = _FOREIGN.sub(repair, part)
    return Reading(text, " and ".join(sorted(encodings - {""})))


def _decoded(text: str) -> Reading:
    """Read the bytes in a text that are no UTF-8, in one encoding where that can be, else each by itself."""
    runs = [os.fsencode(run) for run in _RUN.findall(text)]
    best = max(_NAMES, key=lambda encoding: min(_score(run, encoding) for run in runs))
    if all(_score(run, best) >= _LEAST for run in runs):
        return Reading(_RUN.sub(lambda run: os.fsencode(run[0]).decode(best), text), _NAMES[best])
    used = set()

    def decode(found: re.Match[str]) -> str:
        run = os.fsencode(found[0])
        one = max(_NAMES, key=lambda encoding: _score(run, encoding))
        if _score(run, one) < _LEAST:
            return found[0]
        used.add(_NAMES[one])
        return run.decode(one)

    return Reading(_RUN.sub(decode, text), " and ".join(sorted(used)))


_PAGES = ("cp437", "latin-1", "cp1252", "cp850")
"""Code pages in which programs read names that are in another encoding."""
_LATIN = ("cp1252", "cp437", "cp850")
_NAMES = {
    "cp949": "CP949",
    "cp932": "Shift-JIS",
    "gbk": "GBK",
    "big5": "Big5",
    "euc_jp": "EUC-JP",
    "cp1252": "CP1252",
    "cp437": "CP437",
    "cp850": "CP850",
}
_LEAST = 0.3


def _repaired(run: str) -> Reading:
    """Read a run of characters that may be bytes of another encoding, taken for those of a code page."""
    if sum(not c.isascii() for c in run) < 2:
        return Reading(run, "")
    for page in _PAGES:
        try:
            data = run.encode(page)
        except UnicodeEncodeError:
            continue
        try:
            text = data.decode()
        except UnicodeDecodeError:
            pass
        else:
            # Letters with accents hardly ever happen to be UTF-8.
            if all(c.isprintable() for c in text):
                return Reading(text, f"UTF-8 read as {page.upper()}")
        # Every syllable of KS X 1001 begins with a sign of CP437 for boxes, and most with a sign of Latin-1.
        signs = any("\u2500" <= c <= "\u259f" or "\xa1" <= c <= "\xbf" for c in run)
        for encoding, least in (("cp949", 1.0 if signs else 2.0), ("cp932", 0.9)):
            text = _two_characters(data, encoding)
            if text and _score(data, encoding) >= least:
                return Reading(text, f"{_NAMES[encoding]} read as {page.upper()}")
    return Reading(run, "")


def _two_characters(data: bytes, encoding: str) -> str:
    """Return a text that has different letters of East Asia, and none of Latin beside them; else nothing."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return ""
    wide = [c for c in text if c >= "\u3040"]
    beside = re.search(r"[A-Za-z][\u3040-\uffef]|[\u3040-\uffef][A-Za-z]", text)
    return text if len(set(wide)) > 1 and not beside and all(c.isascii() or c in wide for c in text) else ""


@lru_cache(maxsize=4096)
def _score(run: bytes, encoding: str) -> float:
    """Return how usual the characters outside ASCII are that these bytes are in this encoding, 0 … 1."""
    try:
        text = run.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    if encoding in _LATIN:
        # Letters with accents stand among others.
        beside = re.search(r"[A-Za-z][^\0-~]|[^\0-~][A-Za-z]", text)
        usual = beside and all(c.isascii() or c.isalpha() for c in text) and text.isprintable()
        return 0.6 - 0.1 * _LATIN.index(encoding) if usual else 0.0
    weight, foreign = _WEIGHTS[encoding], [c for c in text if not c.isascii()]
    if not text.isprintable():
        return 0.0
    return sum(weight(c, c.encode(encoding)) for c in foreign) / len(foreign) if foreign else 0.0


def _korean(character: str, data: bytes) -> float:
    """KS X 1001 has the 2,350 syllables in use; CP949 adds those that are hardly ever written."""
    if "\uac00" <= character <= "\ud7a3":
        return 1.0 if data[0] >= 0xB0 and data[1] >= 0xA1 else 0.1
    return 0.3


def _japanese(character: str, data: bytes) -> float:
    """JIS X 0208: kana, then 2,965 kanji of level 1 (rows 16 … 47), then those of level 2."""
    if "\u3041" <= character <= "\u30ff":
        return 1.0
    if "\u4e00" <= character <= "\u9fff":
        return 0.95 if b"\x88\x9f" <= data <= b"\x98\x72" else 0.4
    return 0.3


def _japanese_unix(character: str, data: bytes) -> float:
    if "\u3041" <= character <= "\u30ff":
        return 1.0
    return 0.7 if 0xB0 <= data[0] <= 0xCF else 0.2


def _chinese(_: str, data: bytes) -> float:
    """GB 2312: 3,755 characters of level 1 (rows 16 … 55), then those of level 2; GBK adds the rest."""
    if len(data) < 2 or data[1] < 0xA1 or data[0] < 0xA1:
        return 0.1
    return 0.85 if 0xB0 <= data[0] <= 0xD7 else 0.3


def _taiwanese(_: str, data: bytes) -> float:
    """Big5: 5,401 characters in frequent use (A4 … C6), then those of level 2."""
    return 0.8 if len(data) == 2 and 0xA4 <= data[0] <= 0xC6 else 0.2


_WEIGHTS = {
    "cp949": _korean,
    "cp932": _japanese,
    "gbk": _chinese,
    "big5": _taiwanese,
    "euc_jp": _japanese_unix,
}
