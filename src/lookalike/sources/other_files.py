"""Files of a folder that are neither images nor labels: what they are, and what to do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lookalike.images.formats import SIGNED_BYTES, format_of
from lookalike.images.unsupported_formats import describe_suffix
from lookalike.types import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lookalike.sources.objects import Location

# What labels are read from, or what says something of a folder.
_TEXTS = ".cfg .csv .htm .html .ini .json .jsonl .log .md .ndjson .rst .tab .toml .tsv .txt .xml .yaml .yml"
_OTHERS = ".bak .db .orig .parquet .py .sh .sha256 .tmp .xls .xlsx"
_BESIDE = frozenset(f"{_TEXTS} {_OTHERS}".split())
_NAMES = frozenset({"license", "makefile", "readme", "thumbs.db"})
# Of more files than that without a known suffix the content is not looked at.
_MOST = 1000


def other_file_remarks(files: Iterable[Location]) -> list[Remark]:
    """Return what to say of files that are not looked at, one line a kind.

    A file whose name does not tell is opened, to see whether it is an image.

    Args:
        files: that are no images by their names; those that labels are read from are left out here.
    """
    found: dict[str, list[Location]] = {}
    unknown: list[Location] = []
    for file in files:
        suffix, name = file.suffix.lower(), file.name.lower()
        said = describe_suffix(suffix)
        if said is not None:
            found.setdefault(f"{suffix}, {said}", []).append(file)
        elif not name.startswith(".") and suffix not in _BESIDE and name not in _NAMES:
            unknown.append(file)
    for file in list(unknown[:_MOST]):
        if (form := _format_of(file)) is not None:
            unknown.remove(file)
            said = f"{form} by its content and not by its name; rename it, or give it to index by its name"
            found.setdefault(said, []).append(file)
    remarks = [
        Remark(str(some[0]), f"not looked at: {said}{_more(len(some))}") for said, some in found.items()
    ]
    if unknown:
        counts = Counter(file.suffix.lower() or "without a suffix" for file in unknown)
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common(5))
        rest = f" and {len(counts) - 5:,} other kinds" if len(counts) > 5 else ""
        remarks.append(
            Remark(str(unknown[0]), f"not looked at, for it is not known as an image: {kinds}{rest}")
        )
    return remarks


def _more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""


def _format_of(file: Location) -> str | None:
    try:
        with file.open("rb") as opened:
            form = format_of(opened.read(SIGNED_BYTES))
            return None if form is None else form.name
    except OSError:
        return None
