"""A self-contained HTML page: a template with its plots and pictures inside.

Jinja escapes whatever is put into a template, so that names and labels are text and never markup.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lookalike.errors import ExtraMissing
from lookalike.file_names import display, readable
from lookalike.output_files import check_file, write_file
from lookalike.sources.frames import place_of
from lookalike.uris import uri_text
from lookalike.version import VERSION

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise ExtraMissing("a report", "report") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lookalike.report.thumbnails import Thumbnails
    from lookalike.types import Neighbour, Record, Scalar

_LONGEST = 70
_VOTERS = 5


def shown(value: Scalar | None, longest: int = _LONGEST) -> str:
    """Return a label or name as a page shows it: one line, the middle of a long one left out."""
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else display(str(value))
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


class Names:
    """The paths of a collection's images, without the folder that all of them share."""

    def __init__(self, records: Iterable[Record]) -> None:
        places = (place_of(record.uri) for record in records)
        folders = {os.path.normpath(path.parent) for path in places if path is not None}
        try:
            self._root = os.path.commonpath(folders) if folders else ""
        except ValueError:
            self._root = ""

    def __call__(self, record: Record) -> str:
        """Return the name of one image, fit for a line of a page."""
        path = place_of(record.uri)
        if path is None:
            return shown(uri_text(record.uri))
        name, above = os.path.normpath(path), f"{self._root.rstrip('/')}/"
        below = self._root and name.startswith(above)
        return shown(readable(name.removeprefix(above) if below else str(path)))


def card(record: Record, names: Names, label: Scalar | None, note: str = "") -> dict[str, str]:
    """Return what a page shows of one image: its picture, name, label, and a few words."""
    return {"id": record.id, "name": names(record), "label": shown(label), "note": note}


def neighbour_cards(neighbours: Sequence[Neighbour], names: Names, by: str | None) -> list[dict[str, str]]:
    """Return what a page shows of those that voted, the first five of them."""
    return [
        card(each.record, names, None if by is None else each.record.fields.get(by), f"{each.similarity:.4f}")
        for each in neighbours[:_VOTERS]
    ]


def write_page(
    path: Path, template: str, thumbnails: Thumbnails, figures: dict[str, Any], **values: Any
) -> None:
    """Fill in a template and write it, whole or not at all.

    Args:
        path: the file, replaced if it is there.
        template: its name in `templates`.
        thumbnails: the pictures of the images that it names.
        figures: Bokeh figures by name.
        values: what else the template speaks of.

    Raises:
        InvalidArgument: it is a folder, or would lie in none.
        OutputFailed: it cannot be written.
    """
    from lookalike.report import plots

    script, elements = plots.drawn(figures) if figures else ("", {})
    environment = Environment(
        loader=PackageLoader("lookalike.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(
        bokeh=plots.scripts() if figures else "",
        script=script,
        drawings=elements,
        pictures={"pictures": thumbnails.pictures, "missing": thumbnails.missing},
        version=VERSION,
        **values,
    )
    write_file(path, text.encode("utf-8", "backslashreplace"))


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before the work that it is about is done.

    Raises:
        ExtraMissing: Bokeh is not installed.
        InvalidArgument, OutputFailed: see `check_file`.
    """
    from lookalike.report import plots  # noqa: F401 that it can be imported is the check

    check_file(path, "the report")
