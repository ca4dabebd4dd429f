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

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.panel_grid import PanelGrid
from workbench.plots.theme import BLUE, GREY, ORANGE, Style, add_curve, safe

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
        grid = PanelGrid([*self.panels], _PANEL_HEIGHT, "all")
        figure = grid.start()
        middle = np.asarray(self.firsts) + (self.width - 1) / 2
        for number, panel in enumerate(self.panels.values()):
            place = grid.place(number)
            drawn = go.Figure()
            if panel.control is not None:
                name = "as many other tokens"
                add_curve(drawn, middle, panel.control, name, _CONTROL, self.unit)
            add_curve(drawn, middle, panel.effect, "these tokens", _EFFECT, self.unit)
            for trace in drawn.data:
                trace.showlegend = number == 0 and trace.showlegend is not False
                figure.add_trace(trace, **place)
            figure.add_hline(0, line={"color": GREY, "width": 1}, layer="below", **place)
        grid.finish(
            figure,
            title=self.title,
            caption=self.caption,
            x=f"middle of the window of {self.width} layers",
            y=safe(self.unit),
        )
        return figure
