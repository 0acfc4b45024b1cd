"""Digests of weight files: SHA-256 of their content, taken once for each state of a file."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from lookalike.shared_json import add_entries, read_entries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# An entry {"location": NAME} of a tensor's external data as protobuf writes it: StringStringEntryProto of
# onnx.proto, fields 1 and 2, with names of up to 127 bytes.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)


def digest_of(paths: Iterable[Path], cache: Path) -> str:
    """Return one SHA-256 over the content of files, whatever they are called and wherever they lie.

    Args:
        paths: at least one file, in an order that is always the same.
        cache: the user's cache folder, where the digests of large files are kept by path, size and time of
            modification. Where it cannot be written, they are taken each time.
    """
    known_path = cache / "models" / "digests.json"
    known = read_entries(known_path)
    fresh: dict[str, list[object]] = {}
    digests = []
    for path in paths:
        status = path.stat()
        key, state = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        entry = known.get(key)
        if not isinstance(entry, list) or entry[:2] != state or len(entry) != 3:
            with path.open("rb") as file:
                entry = [*state, hashlib.file_digest(file, "sha256").hexdigest()]
            fresh[key] = entry
        digests.append(str(entry[2]))
    if fresh:
        add_entries(known_path, fresh)
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def external_data(graph: Path) -> list[Path]:
    """Return the files beside an ONNX graph that hold its tensors, sorted by name, whether they exist or not.

    Names that lead out of the folder are left out: ONNX Runtime refuses them.
    """
    names = set()
    content = graph.read_bytes()
    for match in _LOCATION.finditer(content):
        name = content[match.end() : match.end() + match[1][0]].decode("utf-8", "replace")
        if name.isprintable() and not name.startswith("/") and ".." not in name.split("/"):
            names.add(name)
    return [graph.parent / name for name in sorted(names)]
