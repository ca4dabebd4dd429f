"""Draw numbers over layers beside the range that the same numbers have for something random.

One row of panels a kind of number, one column a condition; each row has its own axis and its own
legend. A curve is what was observed, its band the middle 95 % of what is random. A curve inside its
own band is no further from chance than one in twenty random ones at that layer; over all layers
some lie outside. Bands are not intervals of the curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.curves import checked_layers
from workbench.plots.theme import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    apply_theme,
    faded,
    interval_band,
    safe,
)

_COLOURS = (BLUE, ORANGE, GREEN, GREY)
_DASHES = ("solid", "dash", "dot", "dashdot")
_ROW_HEIGHT, _GAP = 230, 70


@dataclass(frozen=True)
class RandomRangeRow:
    """A row of panels: the curves of every column by name, ``low`` and ``high`` those of something
    random.

    ``levels`` are drawn as thin lines, such as 0.
    """

    y: str
    curves: Mapping[str, Mapping[str, IntervalCurve]]
    levels: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class RandomRanges:
    """The figure's data: the rows over ``layers`` [n], which rise."""

    layers: NDArray[np.int64]
    rows: Sequence[RandomRangeRow]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.rows or not self.rows[0].curves:
            raise WorkbenchError("ranges need at least one row with one column")
        columns = [*self.rows[0].curves]
        for row in self.rows:
            if [*row.curves] != columns:
                raise WorkbenchError(
                    f"the row {row.y!r} has the columns {[*row.curves]}, the first {columns}"
                )
            for curves in row.curves.values():
                checked_layers(self.layers, dict(curves))

    def figure(self) -> go.Figure:
        """Draw the rows below one another."""
        columns, rows = [*self.rows[0].curves], len(self.rows)
        inside = rows * _ROW_HEIGHT + (rows - 1) * _GAP
        figure = make_subplots(
            rows=rows,
            cols=len(columns),
            shared_yaxes=True,
            subplot_titles=[safe(name) for name in columns],
            horizontal_spacing=0.04,
            vertical_spacing=_GAP / inside if rows > 1 else 0,
        )
        for number, row in enumerate(self.rows):
            for column, curves in enumerate(row.curves.values()):
                _draw(figure, self.layers, row, curves, number, column)
        apply_theme(figure, title=self.title, caption=self.caption, x="", y="", height=inside)
        top = figure.layout.margin.t + 52
        figure.update_layout(height=inside + top + 60, margin_t=top, margin_b=60)
        for number, row in enumerate(self.rows):
            figure.update_yaxes(
                title_text=safe(row.y), title_font_color=GREY, row=number + 1, col=1
            )
            figure.layout[_legend(number)] = _legend_look(number, inside)
        figure.update_xaxes(title_text="decoder layer", title_font_color=GREY, row=rows)
        # The columns' names stand above the first row's legend.
        for note in figure.layout.annotations:
            note.yshift = 22
        return figure


def _draw(
    figure: go.Figure,
    layers: NDArray[np.int64],
    row: RandomRangeRow,
    curves: Mapping[str, IntervalCurve],
    number: int,
    column: int,
) -> None:
    place = {"row": number + 1, "col": column + 1}
    for at, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[at % len(_COLOURS)]
        group = {"legendgroup": f"{number}.{at}", "legend": _legend(number)}
        if not np.isnan(curve.low).all():
            band = interval_band(layers, curve, name, faded(colour, 0.13))
            figure.add_trace(band.update(group), **place)
        figure.add_trace(
            go.Scatter(
                x=layers,
                y=curve.value,
                customdata=np.stack([curve.low, curve.high], axis=1),
                mode="lines",
                line={"color": colour, "dash": _DASHES[at % len(_DASHES)], "width": 2},
                name=safe(name),
                showlegend=column == 0,
                hovertemplate=(
                    "layer %{x}: %{y:.3f}<br>random %{customdata[0]:.3f} to %{customdata[1]:.3f}"
                    f"<extra>{safe(name)}</extra>"
                ),
                **group,
            ),
            **place,
        )
    for level in row.levels:
        figure.add_hline(level, line={"color": LIGHT, "width": 1}, layer="below", **place)


def _legend(number: int) -> str:
    return "legend" if number == 0 else f"legend{number + 1}"


def _legend_look(number: int, inside: int) -> dict[str, Any]:
    """Return the look of a row's legend, just above its panels."""
    top = 1 - number * (_ROW_HEIGHT + _GAP) / inside
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": top,
        "yref": "paper",
        "yanchor": "bottom",
        "bgcolor": "rgba(255,255,255,0)",
        "font": {"size": 13},
        "itemsizing": "trace",
        "itemwidth": 40,
    }
