"""Draw what is left of a number as more and more parts are ablated, beside random sets of equal
size.

One panel a condition. Lines are sets chosen in several ways, with intervals over tested questions;
the band spans the random sets of a size from the lowest to the highest, the thin line is their
median. Sizes are on a logarithmic axis. A line inside the band shows nothing that any set of that
size would not do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.error_bars import error_bars
from workbench.plots.theme import BLUE, GREEN, GREY, LIGHT, ORANGE, apply_theme, safe

_COLOURS = (BLUE, ORANGE, GREEN)
_APART = 0.03


@dataclass(frozen=True)
class DosePanel:
    """One condition: by way of choosing, an estimate at each of the ``sizes``; what the random sets
    of each size leave; and the number with nothing ablated.
    """

    sizes: Sequence[int]
    chosen: Mapping[str, Sequence[Estimate]]
    at_random: Sequence[Floats]
    before: float

    def __post_init__(self) -> None:
        lengths = {len(self.sizes), len(self.at_random), *map(len, self.chosen.values())}
        if len(lengths) != 1 or not self.sizes or not 1 <= len(self.chosen) <= len(_COLOURS):
            raise WorkbenchError(
                f"a dose curve needs one to {len(_COLOURS)} ways of choosing, each with an "
                "estimate at every size, and random sets there"
            )


@dataclass(frozen=True, kw_only=True)
class DoseCurves:
    """The figure's data: the panels by condition."""

    panels: Mapping[str, DosePanel]
    x: str
    y: str
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.panels:
            raise WorkbenchError("dose curves need at least one condition")

    def figure(self) -> go.Figure:
        """Draw the panels side by side."""
        figure = make_subplots(
            rows=1,
            cols=len(self.panels),
            shared_yaxes=True,
            horizontal_spacing=0.05,
            subplot_titles=[safe(name) for name in self.panels],
        )
        for column, panel in enumerate(self.panels.values(), start=1):
            for trace in (*_band(panel, column == 1), *_lines(panel, column == 1)):
                figure.add_trace(trace, row=1, col=column)
            figure.add_hline(
                panel.before, line={"color": GREY, "dash": "dot", "width": 1.2}, row=1, col=column
            )
            figure.add_hline(0, line={"color": GREY, "width": 1}, row=1, col=column)
            figure.update_xaxes(
                type="log", tickvals=list(panel.sizes), title_text=self.x, row=1, col=column
            )
        apply_theme(figure, title=self.title, caption=self.caption, x="", y=self.y, height=460)
        figure.update_xaxes(title_text=self.x, title_font_color=GREY)
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        return figure


def _band(panel: DosePanel, legend: bool) -> list[go.Scatter]:
    sizes = list(panel.sizes)
    low, middle, high = (
        [float(measure(each)) for each in panel.at_random]
        for measure in (np.min, np.median, np.max)
    )
    return [
        go.Scatter(
            x=[*sizes, *sizes[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=LIGHT,
            opacity=0.6,
            line={"width": 0},
            mode="lines",
            name="random sets of equal size",
            legendgroup="random",
            showlegend=legend,
            hoverinfo="skip",
        ),
        go.Scatter(
            x=sizes,
            y=middle,
            mode="lines",
            line={"color": GREY, "width": 1},
            name="their median",
            legendgroup="random",
            showlegend=False,
            hovertemplate="%{x}: %{y:.3f}<extra>random, median</extra>",
        ),
    ]


def _lines(panel: DosePanel, legend: bool) -> list[go.Scatter]:
    middle = (len(panel.chosen) - 1) / 2
    return [
        go.Scatter(
            x=[size * (1 + _APART * (at - middle)) for size in panel.sizes],
            y=[value.value for value in values],
            error_y=error_bars(values, colour, thickness=1.2, width=3),
            mode="lines+markers",
            line={"color": colour, "width": 2},
            name=safe(name),
            legendgroup=name,
            showlegend=legend,
            hovertemplate=f"%{{y:.3f}}<extra>{safe(name)}</extra>",
        )
        for at, (colour, (name, values)) in enumerate(
            zip(_COLOURS, panel.chosen.items(), strict=False)
        )
    ]
