"""Draw the ablation of a prompt for confidence: rank correlation with the internal confidence for
every combination of its ingredients.

Colour is rho: blue where stated confidence rises with the internal one, orange where it falls,
white at zero; the scale ends at the largest absolute value in the grid. Each cell shows its
interval, and what rho depends on: how many replies could be read and how many of those state the
largest value. Grey cells are undefined, because all replies state the same or none states anything.
A colour is not a finding: check whether the interval contains zero. Cells share their questions, so
they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.theme import BLACK, LIGHT, apply_theme, safe

_SMALLEST = 0.2
_SCALE = (
    (0.0, "#A8500F"),
    (0.25, "#E8A366"),
    (0.5, "#FFFFFF"),
    (0.75, "#7FB8DC"),
    (1.0, "#0A4F80"),
)
_DARK = 0.75


@dataclass(frozen=True)
class GridCell:
    """A cell of the grid: one combination with ``rho``, the share of replies that could be read,
    and the share of those at the scale's top.
    """

    rho: Estimate
    parsed: float
    ceiling: float

    @property
    def text(self) -> str:
        """The text in the cell, on two or three lines."""
        rho = self.rho
        first = (
            "undefined"
            if np.isnan(rho.value)
            else f"<b>{rho.value:.2f}</b> [{rho.low:.2f}, {rho.high:.2f}]"
        )
        lines = [first, f"read {_percent(self.parsed)}"]
        if not np.isnan(self.ceiling):
            lines.append(f"at the top {_percent(self.ceiling)}")
        return "<br>".join(lines)


@dataclass(frozen=True, kw_only=True)
class AlignmentGrid:
    """The grid of an ablation: ``cells`` [rows][columns] under the names of ``rows``, from the top,
    and ``columns``.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[GridCell]]
    title: str
    caption: str

    def __post_init__(self) -> None:
        shape = [len(row) for row in self.cells]
        if not self.rows or not self.columns or shape != [len(self.columns)] * len(self.rows):
            raise WorkbenchError(
                f"cells have {shape} columns; {len(self.rows)} rows and {len(self.columns)} "
                "columns are named"
            )

    def figure(self) -> go.Figure:
        """Return the heat map, the first row on top."""
        rho = np.asarray([[cell.rho.value for cell in row] for row in self.cells], dtype=np.float64)
        known = ~np.isnan(rho)
        most = max(_SMALLEST, float(np.abs(rho[known]).max(initial=0.0)))
        x, y = np.arange(len(self.columns)), np.arange(len(self.rows))
        figure = go.Figure()
        common = {"x": x, "y": y, "xgap": 3, "ygap": 3, "hoverongaps": False}
        grey = [[0, LIGHT], [1, LIGHT]]
        figure.add_trace(
            go.Heatmap(
                z=np.where(known, np.nan, 0.0),
                colorscale=grey,
                showscale=False,
                hoverinfo="skip",
                **common,
            )
        )
        figure.add_trace(
            go.Heatmap(
                z=rho,
                zmin=-most,
                zmax=most,
                colorscale=[list(stop) for stop in _SCALE],
                colorbar={
                    "title": {"text": "rho", "side": "top"},
                    "thickness": 12,
                    "outlinewidth": 0,
                },
                customdata=[
                    [[cell.rho.low, cell.rho.high, cell.rho.n] for cell in row]
                    for row in self.cells
                ],
                hovertemplate=(
                    "rho %{z:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<br>%{customdata[2]} "
                    "questions<extra></extra>"
                ),
                name="rho",
                **common,
            )
        )
        for row, cells in enumerate(self.cells):
            for column, cell in enumerate(cells):
                dark = abs(rho[row, column]) > _DARK * most
                figure.add_annotation(
                    x=column,
                    y=row,
                    text=cell.text,
                    showarrow=False,
                    font={"size": 12, "color": "#FFFFFF" if dark else BLACK},
                )
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="",
            y="",
            height=210 + 92 * len(self.rows),
        )
        figure.update_xaxes(
            showgrid=False,
            tickvals=x,
            ticktext=[safe(name) for name in self.columns],
            side="bottom",
        )
        figure.update_yaxes(
            showgrid=False,
            tickvals=y,
            ticktext=[safe(name) for name in self.rows],
            autorange="reversed",
        )
        return figure


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"
