"""Draw the parts of a model that add most to a number, in the order of their layers, as measured in
several ways.

One row of bars a condition, one colour a way of measuring, each bar with its interval over
questions. The parts shown are the largest by one way alone, so their bars in that way's colour are
picked to be large; on other questions they are smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.error_bars import error_bars
from workbench.plots.theme import BLUE, GREEN, GREY, ORANGE, apply_theme, safe

_COLOURS = (ORANGE, GREEN, BLUE)
_PANEL_HEIGHT = 300


@dataclass(frozen=True)
class WriterPanel:
    """One condition: the ``names`` of the parts in the order of their layers, and by way of
    measuring an estimate for each.
    """

    names: Sequence[str]
    ways: Mapping[str, Sequence[Estimate]]

    def __post_init__(self) -> None:
        if not self.names or any(len(each) != len(self.names) for each in self.ways.values()):
            raise WorkbenchError("bars need at least one part, and an estimate of each in each way")
        if not 1 <= len(self.ways) <= len(_COLOURS):
            raise WorkbenchError(f"bars have one to {len(_COLOURS)} ways of measuring")


@dataclass(frozen=True, kw_only=True)
class WriterBars:
    """The figure's data: the panels by condition."""

    panels: Mapping[str, WriterPanel]
    y: str
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.panels:
            raise WorkbenchError("bars of writers need at least one condition")

    def figure(self) -> go.Figure:
        """Draw the panels below each other."""
        rows = len(self.panels)
        figure = make_subplots(
            rows=rows,
            cols=1,
            vertical_spacing=0.34 / rows,
            subplot_titles=[safe(name) for name in self.panels],
        )
        for row, panel in enumerate(self.panels.values(), start=1):
            for colour, (name, values) in zip(_COLOURS, panel.ways.items(), strict=False):
                figure.add_trace(
                    go.Bar(
                        x=[safe(each) for each in panel.names],
                        y=[value.value for value in values],
                        error_y=error_bars(values, GREY, thickness=1, width=2),
                        marker_color=colour,
                        name=safe(name),
                        legendgroup=name,
                        showlegend=row == 1,
                        hovertemplate=f"%{{x}}: %{{y:.3f}}<extra>{safe(name)}</extra>",
                    ),
                    row=row,
                    col=1,
                )
            figure.add_hline(0, line={"color": GREY, "width": 1}, row=row, col=1)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="",
            y="",
            height=_PANEL_HEIGHT * rows + 150,
        )
        figure.update_xaxes(tickangle=-50, tickfont_size=12, showgrid=False)
        figure.update_yaxes(title_text=self.y, title_font_color=GREY)
        figure.update_layout(margin_t=figure.layout.margin.t + 24, bargap=0.25)
        return figure
