"""Parsing of XML of any origin: no entity is expanded, nothing is fetched, size and depth have limits.

Expat, which Python brings, builds no tree; so what is dangerous is refused before it is anything
(https://docs.python.org/3/library/xml.html#xml-vulnerabilities; billion laughs, quadratic blow-up and
external entities all need a declaration of an entity).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from lookalike.labels.json.documents import MAX_DEPTH
from lookalike.labels.labelling import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lookalike.sources.objects import Location

MAX_BYTES = 1 << 29
"""Of one file. CVAT's of ten thousand images with polygons have a few hundred MB at most."""
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


@dataclass(slots=True)
class Element:
    """One element of XML."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list[Element]:
        """Return the children of this tag."""
        return [child for child in self.children if child.tag == tag]

    def said(self, tag: str) -> str:
        """Return the text of the first child of this tag, without blanks at its ends; else nothing."""
        return next((child.text.strip() for child in self.children if child.tag == tag), "")

    def plain(self) -> Any:
        """Return what JSON would have: an object of the children, or the text; lists of equal tags."""
        if not self.children and not self.attributes:
            return self.text.strip()
        found: dict[str, Any] = dict(self.attributes)
        for child in self.children:
            value = child.plain()
            before = found.get(child.tag)
            if child.tag not in found:
                found[child.tag] = value
            elif isinstance(before, list):
                before.append(value)
            else:
                found[child.tag] = [before, value]
        if self.text.strip() and not self.children:
            found["text"] = self.text.strip()
        return found


def read_xml(path: Location, read_text: Callable[[Location], str]) -> Element:
    """Return the root element of a file.

    Args:
        path: the file.
        read_text: reads it where it does not say truly which encoding it is in.

    Raises:
        Unusable: the file cannot be read, is no XML, declares entities, or is too large or too deep.
    """
    try:
        if not path.is_file():
            raise Unusable("not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise Unusable(f"has more than {MAX_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror or error}") from error
    return parse_xml(_declared_text(data) or read_text(path))


def _declared_text(data: bytes) -> str | None:
    """Return the text in the encoding that the file itself declares, None where it is not in that."""
    found = _DECLARED.match(data.removeprefix(codecs.BOM_UTF8))
    try:
        if found is None or data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
            return None
        name = codecs.lookup(found[1].decode()).name
        # EUC-KR is what Korean programs write who mean CP949, which holds it.
        return data.removeprefix(codecs.BOM_UTF8).decode("cp949" if name == "euc_kr" else name)
    except (LookupError, ValueError, TypeError):
        return None


def parse_xml(text: str) -> Element:
    """Return the root element of a text.

    Raises:
        Unusable: it is no XML, declares entities, or is nested too deeply.
    """
    root = Element("")
    stack = [root]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise Unusable(f"nested more than {MAX_DEPTH} levels deep")
        element = Element(tag, attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def characters(data: str) -> None:
        stack[-1].text += data

    def entity(*_: object) -> None:
        raise Unusable("declares entities, which are not expanded")

    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise Unusable(f"not XML: {reason} (line {error.lineno}, column {error.offset + 1})") from error
    return root.children[0]
