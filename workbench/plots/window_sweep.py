"""Draw what cutting attention edges in a window of layers does to a readout, one panel for each set
of edges.

The line is the mean effect of the window that is centred at a layer, with its interval over
prompts; the control hides as many other tokens in the same window. Zero is the run as it is. Where
the two lines lie together, the edges named carry nothing that other tokens' do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.theme import BLUE, GREY, ORANGE, Style, add_curve, apply_theme, safe

_PER_ROW = 2
_PANEL_HEIGHT = 280
_EFFECT = Style(BLUE, "solid", "circle")
_CONTROL = Style(ORANGE, "dash", "diamond")


@dataclass(frozen=True)
class WindowPanel:
    """The curves of one set of edges: the effect of cutting them, and of cutting as many others
    (None where that is not known).
    """

    effect: IntervalCurve
    control: IntervalCurve | None = None


@dataclass(frozen=True, kw_only=True)
class WindowSweep:
    """The figure's data: panels by what their edges are; curves over the ``firsts`` [windows]
    layers of windows of ``width`` layers.
    """

    firsts: NDArray[np.int64]
    width: int
    panels: Mapping[str, WindowPanel]
    unit: str
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.panels:
            raise WorkbenchError("a window sweep needs at least one set of edges")
        for name, panel in self.panels.items():
            for curve in (panel.effect, panel.control):
                if curve is not None and len(curve) != len(self.firsts):
                    raise WorkbenchError(
                        f"the curve of {name!r} has {len(curve)} points for {len(self.firsts)} "
                        "windows"
                    )

    def figure(self) -> go.Figure:
        """Draw the panels, two in a row, on one scale."""
        columns = min(_PER_ROW, len(self.panels))
        rows = -(-len(self.panels) // columns)
        figure = make_subplots(
            rows=rows,
            cols=columns,
            shared_xaxes=True,
            shared_yaxes="all",
            subplot_titles=[safe(name) for name in self.panels],
            horizontal_spacing=0.05,
            vertical_spacing=0.16 / rows,
        )
        middle = np.asarray(self.firsts) + (self.width - 1) / 2
        for number, panel in enumerate(self.panels.values()):
            place = {"row": number // columns + 1, "col": number % columns + 1}
            drawn = go.Figure()
            if panel.control is not None:
                name = "as many other tokens"
                add_curve(drawn, middle, panel.control, name, _CONTROL, self.unit)
            add_curve(drawn, middle, panel.effect, "these tokens", _EFFECT, self.unit)
            for trace in drawn.data:
                trace.showlegend = number == 0 and trace.showlegend is not False
                figure.add_trace(trace, **place)
            figure.add_hline(0, line={"color": GREY, "width": 1}, layer="below", **place)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="",
            y="",
            height=_PANEL_HEIGHT * rows + 150,
        )
        for column in range(1, columns + 1):
            # The last row may be shorter: each column's lowest panel carries its axis.
            lowest = {"row": -(-(len(self.panels) - column + 1) // columns), "col": column}
            figure.update_xaxes(
                title_text=f"middle of the window of {self.width} layers",
                title_font_color=GREY,
                showticklabels=True,
                **lowest,
            )
        figure.update_yaxes(title_text=safe(self.unit), title_font_color=GREY, col=1)
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        return figure
