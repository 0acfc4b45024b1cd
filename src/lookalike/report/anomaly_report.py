"""The report of an evaluation of anomaly scores: defects that were found and missed, each beside its map."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from lookalike.anomaly.evaluation import read_mask
from lookalike.embedders.ranged import split_name
from lookalike.errors import UnusableImage
from lookalike.file_names import display, readable
from lookalike.report import plots
from lookalike.report.page import check_report, shown, write_page
from lookalike.report.thumbnails import BUDGET, Thumbnails
from lookalike.vectors.projection import evenly

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lookalike.anomaly.evaluation import AnomalyEvaluation, Judged
    from lookalike.anomaly.scoring import Anomaly
    from lookalike.evaluation.figures import Interval
    from lookalike.sources.frames import Place
    from lookalike.types import Skipped

# Longer side of a picture, in pixels: smaller, few boxes would be seen.
_SIZE = 256
# Pictures of a list that are shown at most.
_LISTED = 60


class _List(NamedTuple):
    """A list of pictures, of which some are shown."""

    name: str
    title: str
    images: list[dict[str, object]]
    more: int
    why: str


def write_anomaly_report(
    path: Path,
    found: AnomalyEvaluation,
    skipped: Sequence[Skipped],
    overlay: Callable[[Place, Anomaly], bytes],
    *,
    collection: str,
    model: str = "",
) -> None:
    """Write an evaluation of anomaly scores as one HTML file that opens offline.

    Args:
        path: the file, replaced if it is there.
        found: the evaluation.
        skipped: images that could not be read.
        overlay: draws the map of an image over it, as PNG.
        collection: the name of the one with the memory.
        model: the name of its embedder, by whose range pictures are shown.

    Raises:
        ExtraMissing: Bokeh is not installed.
        InvalidArgument: the file cannot be written.
    """
    check_report(path)
    judged = found.judged
    # Absolute, so that files and objects may stand beside each other.
    root = os.path.commonpath({os.path.abspath(one.anomaly.path.parent) for one in judged})  # noqa: PTH100
    pictures = Thumbnails(split_name(model)[1])

    def listed(name: str, title: str, some: list[Judged], why: str) -> _List:
        rows = evenly(len(some), _LISTED).tolist()
        images = [
            _finding(f"{name}-{place}", some[row], root, overlay, pictures) for place, row in enumerate(rows)
        ]
        return _List(name, title, images, len(some) - len(rows), why)

    def of(defective: bool, anomalous: bool) -> list[Judged]:
        some = [
            one
            for one in judged
            if (one.kind is not None) == defective and one.anomaly.anomalous == anomalous
        ]
        return sorted(some, key=lambda one: (one.anomaly.score, str(one.anomaly.path)))

    lists = [
        listed(
            "missed",
            "Defects that were missed",
            of(True, False),
            "Of the lowest score first, beside their maps.",
        ),
        listed(
            "false-alarms",
            "Normal pictures that were called anomalous",
            of(False, True)[::-1],
            "Of the highest score first. They may be defects that nobody has noticed.",
        ),
        listed(
            "found",
            "Defects that were found",
            of(True, True),
            "Of the lowest score first, beside their maps: what is red is unlike any normal picture.",
        ),
    ]
    write_page(
        path,
        "anomaly.html",
        pictures,
        {"scores": _scores(found)},
        title=f"{shown(collection)}: anomalies",
        found=found,
        threshold=judged[0].anomaly.threshold,
        tiles=_tiles(found),
        kinds=[(shown(each.kind), each) for each in found.kinds],
        lists=lists,
        left_out=[(display(each.path), each.reason) for each in skipped],
    )


def _finding(
    key: str, one: Judged, root: str, overlay: Callable[[Place, Anomaly], bytes], pictures: Thumbnails
) -> dict[str, object]:
    """Return what is shown of an image, and add its pictures as long as there is room."""
    place, mask = one.anomaly.path, one.mask
    drawings: list[tuple[str, Callable[[], bytes]]] = [
        ("picture", place.read_bytes),
        ("map", lambda: overlay(place, one.anomaly)),
    ]
    if mask is not None:
        drawings.append(("mask", lambda: _mask(mask)))
    cards = []
    for what, drawn in drawings:
        identity = f"{key}-{what}"
        if pictures.size > BUDGET:
            pictures.missing[identity] = "no room for its picture in this file"
        else:
            try:
                pictures.put(identity, drawn(), str(place), _SIZE)
            except UnusableImage as error:
                pictures.missing[identity] = error.reason
            except OSError as error:
                pictures.missing[identity] = f"cannot be read: {error.strerror or display(str(error))}"
        cards.append({"id": identity, "name": "", "label": "", "note": what})
    name = os.path.relpath(place, root)
    cards[0]["note"] = ""
    cards[0]["name"] = shown(readable(name))
    return {"kind": shown(one.kind), "anomaly": one.anomaly, "cards": cards}


def _mask(path: Path) -> bytes:
    written = io.BytesIO()
    Image.fromarray(read_mask(path)).save(written, "PNG")
    return written.getvalue()


def _tiles(found: AnomalyEvaluation) -> list[tuple[str, str]]:
    """Return figures, each with its interval in words."""

    def words(interval: Interval) -> str:
        return f"95 % interval {interval.low:.3f} … {interval.high:.3f}"

    tiles = [
        (
            f"{found.image_auroc.value:.4f}",
            f"image AUROC; {words(found.image_auroc.interval)}",
        ),
        (
            f"{found.found:,} of {found.defective:,}",
            f"defects found; {words(found.found_interval)}",
        ),
        (
            f"{found.false_alarms:,} of {found.normal:,}",
            f"normal pictures called anomalous, promised {found.false_alarm:.3g}; "
            + words(found.false_alarm_interval),
        ),
    ]
    for figure, name in (
        (found.pixel_auroc, "pixel AUROC"),
        (found.pro, "overlap with defects up to 0.3 false positives (PRO)"),
        (found.peak_on_defect, "peaks of maps that lie on the defect"),
    ):
        if figure is not None:
            tiles.append((f"{figure.value:.4f}", f"{name}; {words(figure.interval)}"))
    return tiles


def _scores(found: AnomalyEvaluation) -> object:
    kinds = ["normal", *(shown(each.kind, 30) for each in found.kinds)]
    places = {None: 0} | {each.kind: place for place, each in enumerate(found.kinds, 1)}
    return plots.score_strips(
        kinds,
        [places[one.kind] for one in found.judged],
        [one.anomaly.score for one in found.judged],
        [shown(one.anomaly.path.name) for one in found.judged],
        found.judged[0].anomaly.threshold,
    )
