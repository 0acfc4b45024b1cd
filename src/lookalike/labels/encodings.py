"""Text encodings of label files: known by their marks, or guessed together, and then said.

UTF-8 is what it looks like: text in another encoding is hardly ever valid UTF-8. Any other text has to be
guessed, from three things in this order: a name of an image that is really there and stands in the text;
what chardet makes of the cells that are not ASCII; and, where that says nothing, the order of `ENCODINGS`.
All files below one folder are guessed together, because a short one says little.
"""

from __future__ import annotations

import codecs
import re
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING
from unicodedata import normalize

from lookalike.errors import InvalidArgument
from lookalike.labels.file_kinds import foreign_kind
from lookalike.labels.labelling import Unusable
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from lookalike.sources.objects import Location

ENCODINGS = {
    "cp949": "CP949 (Korean)",
    "gb18030": "GB 18030 (GBK, Chinese)",
    "cp932": "CP932 (Shift-JIS, Japanese)",
    "big5hkscs": "Big5 (Chinese, traditional)",
    "cp1252": "Windows-1252 (Western European)",
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
}
"""What spreadsheets write beside Unicode, by Python's name of it: the ANSI code pages of Windows
(https://learn.microsoft.com/windows/win32/intl/code-page-identifiers) of those languages, each as the
largest set that holds it. Fewer are guessed better; `--encoding` reads any other."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How texts begin that say their encoding."""
# As tables in these languages call the column of file names and that of labels.
_HEADINGS = (
    "파일명", "파일", "라벨", "이미지",
    "文件名", "文件", "标签", "图片", "檔名", "標籤", "圖片", "ファイル名",
    "ファイル", "ラベル", "画像",
)  # fmt: skip
_SAMPLE = 200_000
"""Bytes that are looked at: chardet looks at no more."""
_MOST_NAMES = 2_000
"""Names of images that are looked for in a text."""
# The damage that a text may have and still be UTF-8: one character in so many of three bytes.
_DAMAGED_UTF8 = 4
# Of letters beyond ASCII one in so many may look odd in a text that is none of East Asia.
_ODD = 10
# Of text in UTF-16, one byte in so many at least is zero: commas, digits and ends of lines have one each.
_UTF16 = 10
# Windows-1250 and 1252 are the same for ö, é, ü and others; a Western text is taken for the rarer one only
# where chardet is this many times surer.
_SURER = 3.0
_LATIN = ("cp1252", "cp1250")
_ONE_BYTE = (*_LATIN, "cp1251")
# In these, text of East Asia is letters of changing case and signs that no word has.
_SIGNS = frozenset(
    "\xa2\xa4\xa5\xa6\xa8\xa9\xac\xae\xaf\xb0\xb1\xb4\xb5\xb6\xb7\xb8\xb9\u2020\u2021\u2030\u02c6\u02dc\u0192"
)
_GARBLED = 20.0
# KS X 1001 has its 2,350 syllables in 25 rows, in GB 2312 25 of the 40 rows of common characters: with
# each character, the chance shrinks that a Chinese text is all in these, as a Korean one always is; by the
# root of that, for characters come in words.
_SHARED_ROWS = (25 / 40) ** 0.5


class Encodings:
    """The encodings of the label files below one folder."""

    def __init__(
        self, images: Sequence[Location] = (), encoding: str | None = None, root: Location | None = None
    ) -> None:
        """Get ready to read.

        Args:
            images: those below the folder, whose names tell encodings apart.
            encoding: what a person says that text is in which is no Unicode by its marks; None to guess.
            root: the folder; the names above it are no evidence.

        Raises:
            InvalidArgument: Python has no text encoding of that name.
        """
        self._images = images
        self._encoding = None if encoding is None else check_encoding(encoding)
        self._root = root
        self._assumed: dict[tuple[str, str], list[Location]] = {}

    def fresh(self) -> Encodings:
        """Return the same, with nothing assumed yet."""
        return Encodings(self._images, self._encoding, self._root)

    def read(self, path: Location) -> str | bytes:
        """Return the text of a file whose encoding is certain, else its bytes, to be given to `guess`.

        Raises:
            Unusable: the file cannot be read, is no text, or not in the encoding that was asked for.
        """
        try:
            # A named pipe would be waited on for ever.
            if not path.is_file():
                raise Unusable("not a regular file")
            data = path.read_bytes()
        except OSError as error:
            raise Unusable(f"cannot be read: {error.strerror or error}") from error
        return self._decoded(path, data)

    def guess(self, files: Mapping[Location, bytes]) -> dict[Location, str | Unusable]:
        """Return the texts of files whose encoding is not certain, guessed together, or why there is none."""
        if not files:
            return {}
        common = self.most_likely(list(files.values()))
        found: dict[Location, str | Unusable] = {}
        for path, data in files.items():
            encoding = common if _decodes(data, common) else self.most_likely([data])
            if encoding is None:
                found[path] = Unusable("the text is in no encoding known here; --encoding NAME reads it")
                continue
            found[path] = data.decode(encoding)
            self._assumed.setdefault((ENCODINGS[encoding], ""), []).append(path)
        return found

    def text(self, path: Location) -> str:
        """Return the text of one file, guessed by itself where need be.

        Raises:
            Unusable: it cannot be read, or is in no encoding that is known here.
        """
        read = self.read(path)
        if isinstance(read, bytes):
            found = self.guess({path: read})[path]
            if isinstance(found, Unusable):
                raise found
            return found
        return read

    def remarks(self, used: Container[Location] | None = None) -> list[Remark]:
        """Return what was assumed of all files, or of those that were used: one remark for each encoding."""
        remarks = []
        for (encoding, more), assumed in self._assumed.items():
            paths = [path for path in assumed if used is None or path in used]
            if not paths:
                continue
            others = f", and so are {len(paths) - 1:,} more files" if len(paths) > 1 else ""
            text = f"is not UTF-8; read as {encoding}{more}{others}: --encoding NAME reads it otherwise"
            remarks.append(Remark(str(paths[0]), text))
        return remarks

    def _decoded(self, path: Location, data: bytes) -> str | bytes:
        for mark, encoding in MARKS:
            if data.startswith(mark):
                try:
                    # Where files were joined, there is a mark each.
                    return data.decode(encoding).lstrip("\ufeff")
                except UnicodeDecodeError as error:
                    raise Unusable(
                        f"begins as {encoding.removesuffix('-sig').upper()} and is damaged"
                    ) from error
        if self._encoding is not None:
            try:
                return data.decode(self._encoding)
            except (UnicodeDecodeError, ValueError) as error:
                raise Unusable(f"the text is not {self._encoding}, which --encoding says") from error
        if kind := foreign_kind(data):
            raise Unusable(kind)
        if data.count(0) * _UTF16 > len(data):
            return self._utf16(path, data)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            if b"\0" in data:
                raise Unusable("is a binary file, no text") from error
        text = data.decode("utf-8", "replace")
        damaged = text.count("\ufffd")
        # By chance, other text has characters of two bytes in UTF-8, and hardly any of three.
        whole = sum(c >= "\u0800" for c in text) - damaged
        if damaged * _DAMAGED_UTF8 <= whole:
            characters = "1 damaged character" if damaged == 1 else f"{damaged:,} damaged characters"
            self._assumed.setdefault(("UTF-8", f" with {characters}, each shown as \ufffd"), []).append(path)
            return text
        return data

    def _utf16(self, path: Location, data: bytes) -> str:
        """Return text in UTF-16 without its mark."""
        even, odd = data[::2].count(0), data[1::2].count(0)
        encoding = "utf-16-le" if odd > even else "utf-16-be"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise Unusable("is a binary file, no text") from error
        if "\0" in text or sum(c.isascii() for c in text) * _UTF16 < len(text):
            raise Unusable("is a binary file, no text")
        self._assumed.setdefault((f"{encoding.upper()} without its mark", ""), []).append(path)
        return text

    def most_likely(self, texts: Sequence[bytes]) -> str | None:
        """Return the encoding that all of these texts are most likely in, None where there is no such."""
        possible = [encoding for encoding in ENCODINGS if all(_decodes(text, encoding) for text in texts)]
        sample = b"\n".join(_cells(texts))[:_SAMPLE]
        evidence = {
            encoding: sum(name in sample for name in self._encoded_names[encoding]) for encoding in possible
        }
        most = max(evidence.values(), default=0)
        possible = [encoding for encoding in possible if evidence[encoding] == most]
        if len(possible) <= 1:
            return next(iter(possible), None)
        return _likely(sample, possible)

    @cached_property
    def _encoded_names(self) -> dict[str, set[bytes]]:
        names: dict[str, None] = dict.fromkeys(_HEADINGS)
        for image in self._images:
            below = image if self._root is None else image.relative_to(self._root)
            for part in (below.stem, *below.parts[:-1]):
                if not part.isascii():
                    names[normalize("NFC", part)] = None
            if len(names) > _MOST_NAMES:
                break
        return {encoding: set(_encoded(names, encoding)) for encoding in ENCODINGS}


def guess_encoding(text: bytes) -> str | None:
    """Return which of `ENCODINGS` a text is most likely in, that is not UTF-8; None where it is in none."""
    return Encodings().most_likely([text])


def check_encoding(name: str) -> str:
    """Return the name of a text encoding as Python calls it.

    Raises:
        InvalidArgument: there is none of that name.
    """
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:
        known = ", ".join(ENCODINGS)
        raise InvalidArgument(f"no encoding {name!r}: such as utf-8, utf-16, {known}") from error


def _cells(texts: Iterable[bytes]) -> list[bytes]:
    """Return the different parts of texts that are not all ASCII, parted by separators."""
    # No byte of these is the second of a character in an encoding above, but | in Shift-JIS and Big5.
    cells = (cell for text in texts for cell in re.split(rb'[\r\n,;\t":]+', text))
    return list(dict.fromkeys(cell for cell in cells if not cell.isascii()))


def _encoded(names: Iterable[str], encoding: str) -> Iterable[bytes]:
    for name in names:
        try:
            yield name.encode(encoding)
        except UnicodeEncodeError:
            continue


def _decodes(data: bytes, encoding: str | None) -> bool:
    if encoding is None:
        return False
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    # A control character of C1 or of private use is a byte that means nothing there.
    return not any("\x80" <= c <= "\x9f" or "\ue000" <= c <= "\uf8ff" for c in text)


def _likely(sample: bytes, possible: Sequence[str]) -> str:
    """Return which of some encodings a text is in by chardet, which knows what characters follow others."""
    import chardet

    sure = dict.fromkeys(possible, 0.0)
    found = chardet.detect_all(
        sample,
        include_encodings=list(possible),
        compat_names=False,
        ignore_threshold=True,
        no_match_encoding=possible[0],
    )
    for each in found:
        encoding = each["encoding"]
        if encoding is not None and (name := codecs.lookup(encoding).name) in sure:
            sure[name] = max(sure[name], each["confidence"])
    if "cp1250" in sure and "cp1252" in sure:
        sure["cp1250"] /= _SURER
    for encoding in possible:
        if encoding in _ONE_BYTE and _is_garbled(sample.decode(encoding).split("\n"), encoding):
            sure[encoding] /= _GARBLED
    if "cp949" in sure and (syllables := _syllables(sample)):
        sure["cp949"] /= _SHARED_ROWS**syllables
    return max(possible, key=lambda encoding: sure[encoding])


def _syllables(sample: bytes) -> int:
    """Return how many different syllables of KS X 1001 a text has; 0 if it has others beyond ASCII."""
    characters = {c.encode("cp949") for c in sample.decode("cp949") if not c.isascii()}
    ours = all(b"\xb0\xa1" <= pair <= b"\xc8\xfe" and pair[1] >= 0xA1 for pair in characters)
    return len(characters) if ours else 0


def _is_garbled(cells: Sequence[str], encoding: str) -> bool:
    """Tell whether texts look like those of East Asia, read one byte a letter.

    Letters then change from small to capital within words, and stand among signs; and in words that are all
    beyond ASCII, of which there are few in the Latin alphabet.
    """
    pairs = [(one, other) for cell in cells for one, other in pairwise(cell) if not other.isascii()]
    strange = sum(one.islower() and other.isupper() for one, other in pairs)
    strange += sum(not one.isascii() and (one in _SIGNS or other in _SIGNS) for one, other in pairs)
    if strange * _ODD > sum(not c.isascii() for cell in cells for c in cell):
        return True
    latin = sum(any(c.isascii() and c.isalpha() for c in cell) for cell in cells)
    return encoding in _LATIN and latin * 2 < len(cells)
