"""Plots of a report, by Bokeh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lookalike.errors import ExtraMissing

try:
    from bokeh.embed import components
    from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
    from bokeh.palettes import Category10, Category20, Turbo256
    from bokeh.plotting import figure
    from bokeh.resources import Resources
except ImportError as error:
    raise ExtraMissing("a report", "report") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lookalike.evaluation.calibration import ReliabilityBin

_HEIGHT = 340
_MOST_IN_LEGEND = 20
# What one class at most is drawn with; more points of a curve cannot be told apart.
_CURVE_POINTS = 500


def scripts() -> str:
    """Return Bokeh's own script, without the parts that these drawings do not need."""
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def drawn(figures: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the script that draws some figures, and the element that each is drawn into, by its name."""
    script, elements = components(figures)
    return script, dict(elements)


def collection_map(
    points: NDArray[np.float32],
    variance: tuple[float, float],
    columns: dict[str, list[str]],
    codes: Sequence[int],
    labels: Sequence[str],
    marked: NDArray[np.bool_],
    marked_as: str,
) -> Any:
    """Draw a map of images; the picture of the point under the pointer is shown.

    Args:
        points: shape (n, 2).
        variance: part that each axis holds.
        columns: `id`, `name`, `label` and `note` of each point: what is shown with the picture.
        codes: the class of each point, as a place in `labels`; −1 for none.
        labels: names of the classes.
        marked: shape (n,): points that are drawn as crosses.
        marked_as: what a cross means.
    """
    plot = _figure(
        x_axis_label=f"first component ({variance[0]:.0%} of the variance)",
        y_axis_label=f"second component ({variance[1]:.0%})",
        height=520,
        tools="pan,wheel_zoom,box_zoom,reset",
        output_backend="canvas",
    )
    palette = _palette(len(labels))
    kinds = np.array(codes)
    for code in [-1, *range(len(labels))]:
        for crossed in (False, True):
            rows = np.flatnonzero((kinds == code) & (marked == crossed))
            if not len(rows):
                continue
            data: dict[str, Any] = {name: [values[row] for row in rows] for name, values in columns.items()}
            data |= {"x": points[rows, 0], "y": points[rows, 1]}
            named = "no label" if code < 0 else labels[code]
            legend = {"legend_label": f"{named}{marked_as}" if crossed else named}
            plot.scatter(
                "x",
                "y",
                source=ColumnDataSource(data, name="map"),
                marker="x" if crossed else "circle",
                size=9 if crossed else 6,
                line_width=2 if crossed else 0.5,
                color="#888888" if code < 0 else palette[code],
                alpha=0.9 if crossed else 0.55,
                **(legend if len(labels) <= _MOST_IN_LEGEND else {}),
            )
    if plot.legend:
        plot.add_layout(plot.legend[0], "below")
        plot.legend.click_policy = "hide"
        plot.legend.orientation = "horizontal"
        plot.legend.ncols = "auto"
        plot.legend.label_text_font_size = "12px"
        plot.legend.border_line_color = None
        plot.legend.location = "left"
    # `picture` is filled in when the page is opened: each picture is in the file once.
    plot.add_tools(
        HoverTool(
            tooltips=(
                '<div class="tip"><img src="@picture" alt=""><div><b>@label</b></div>'
                "<div>@note</div><div>@name</div></div>"
            ),
            point_policy="snap_to_data",
            attachment="horizontal",
            limit=1,
        )
    )
    return plot


def risk_curve(curve: Sequence[tuple[float, float]]) -> Any:
    """Draw the error among the answers given, by the share of the images that is answered."""
    plot = _figure(
        x_axis_label="share answered, the surest first",
        y_axis_label="error among them",
        x_range=(0, 1),
        height=_HEIGHT,
    )
    step = -(-len(curve) // _CURVE_POINTS)
    kept = [*curve[::step], curve[-1]]
    source = ColumnDataSource({"share": [each[0] for each in kept], "error": [each[1] for each in kept]})
    line = plot.line("share", "error", source=source, line_width=2, color="#1f77b4")
    plot.add_tools(
        HoverTool(
            renderers=[line],
            tooltips=[("answered", "@share{0.0%}"), ("error", "@error{0.00%}")],
            mode="vline",
        )
    )
    plot.y_range.start = 0
    plot.xaxis.formatter = NumeralTickFormatter(format="0 %")
    plot.yaxis.formatter = NumeralTickFormatter(format="0.0 %")
    return plot


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> Any:
    """Draw how often answers were right, by their confidence; on the diagonal they keep their word."""
    plot = _figure(
        x_axis_label="confidence",
        y_axis_label="part that was right",
        x_range=(-0.02, 1.02),
        y_range=(-0.02, 1.02),
        height=_HEIGHT,
    )
    plot.line([0, 1], [0, 1], line_dash="dashed", color="#888888")
    total = sum(each.count for each in bins)
    source = ColumnDataSource(
        {
            "confidence": [each.confidence for each in bins],
            "right": [each.right for each in bins],
            "count": [each.count for each in bins],
            "size": [7 + 25 * (each.count / total) ** 0.5 for each in bins],
        }
    )
    plot.line("confidence", "right", source=source, color="#1f77b4")
    dots = plot.scatter("confidence", "right", source=source, size="size", color="#1f77b4", alpha=0.6)
    plot.add_tools(
        HoverTool(
            renderers=[dots],
            tooltips=[
                ("confidence", "@confidence{0.0%}"),
                ("right", "@right{0.0%}"),
                ("images", "@count{0,0}"),
            ],
        )
    )
    return plot


def score_strips(
    kinds: Sequence[str],
    codes: Sequence[int],
    scores: Sequence[float],
    names: Sequence[str],
    threshold: float,
) -> Any:
    """Draw the scores of images, a strip for each kind, with the threshold across them.

    Args:
        kinds: their names, from the top down.
        codes: the kind of each image, as a place in `kinds`.
        scores: of each image; those far above the threshold are drawn at the right edge.
        names: of each image.
        threshold: above which it is anomalous.
    """
    values = np.array(scores)
    most = max(4 * abs(threshold), float(np.quantile(values, 0.9)))
    # A name may stand twice, shortened, and a strip is told by its place.
    plot = _figure(
        x_axis_label="score",
        y_range=(len(kinds) - 0.4, -0.6),
        height=90 + 44 * len(kinds),
    )
    plot.yaxis.ticker = list(range(len(kinds)))
    plot.yaxis.major_label_overrides = dict(enumerate(kinds))
    plot.ygrid.grid_line_color = None
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(values))
    data = {
        "x": np.minimum(values, most),
        "y": np.array(codes) + jitter,
        "score": values,
        "name": list(names),
        "colour": ["#1f77b4" if code == 0 else "#b3261e" for code in codes],
    }
    dots = plot.scatter("x", "y", source=ColumnDataSource(data), size=7, alpha=0.55, color="colour")
    plot.vspan(x=[threshold], line_dash="dashed", line_color="#555555")
    tips = [("image", "@name"), ("score", "@score{0.00}")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=tips))
    return plot


def _figure(*, tools: str = "", **options: Any) -> Any:
    plot = figure(
        sizing_mode="stretch_width", toolbar_location="above" if tools else None, tools=tools, **options
    )
    plot.toolbar.logo = None
    plot.background_fill_color = plot.border_fill_color = "#ffffff"
    plot.outline_line_color = None
    for axis in (plot.xaxis, plot.yaxis):
        axis.axis_label_text_font_style = "normal"
        axis.axis_line_color = axis.major_tick_line_color = "#888888"
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = "#eeeeee"
    return plot


def _palette(count: int) -> list[str]:
    if count <= 10:
        return list(Category10[10])
    if count <= 20:
        return list(Category20[20])
    return [Turbo256[round(255 * code / (count - 1))] for code in range(count)]
