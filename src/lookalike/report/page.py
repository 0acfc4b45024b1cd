"""One self-contained page: a template filled in, with its drawings and pictures inside.

Jinja escapes whatever is put into a template, so that names and labels are text and never markup.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike import __version__
from lookalike.errors import ExtraMissing, InvalidArgument
from lookalike.file_names import readable
from lookalike.records import display, local_path, uri_text

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise ExtraMissing("a report", "report") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lookalike.records import Neighbour, Record, Scalar
    from lookalike.report.thumbnails import Thumbnails

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
        places = (local_path(record.uri) for record in records)
        folders = {str(path.parent) for path in places if path is not None}
        try:
            self._root = os.path.commonpath(folders) if folders else ""
        except ValueError:
            self._root = ""

    def __call__(self, record: Record) -> str:
        """Return the name of one image, fit for a line of a page."""
        path = local_path(record.uri)
        if path is None:
            return shown(uri_text(record.uri))
        return shown(readable(str(path.relative_to(self._root) if path.is_relative_to(self._root) else path)))


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
        InvalidArgument: the file cannot be written.
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
        bokeh=plots.scripts(),
        script=script,
        drawings=elements,
        pictures={"pictures": thumbnails.pictures, "missing": thumbnails.missing},
        version=__version__,
        **values,
    )
    _write(path, text)


def check_writable(path: Path) -> None:
    """Refuse a path that no report can be written to, before the work is done.

    Raises:
        InvalidArgument: its folder is not there or not to be written to, or it is itself a folder.
    """
    if path.is_dir():
        raise InvalidArgument(f"{path} is a folder: name a file for the report")
    if not path.absolute().parent.is_dir():
        raise InvalidArgument(f"{path.absolute().parent} is no folder: the report cannot be written there")
    if not os.access(path.absolute().parent, os.W_OK):
        raise InvalidArgument(f"{path.absolute().parent} cannot be written to")


def _write(path: Path, text: str) -> None:
    check_writable(path)
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent, suffix=".html", delete=False) as file:
            try:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.close()
                Path(file.name).chmod(0o666 & ~_umask())
                Path(file.name).replace(path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    """Return the process's mask for new files; the temporary file has a stricter one."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
