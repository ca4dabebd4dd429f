"""Draw curves over layers, or another quantity, in panels, one curve a training or condition: what
all share, and where they part.

Curves of one group (a precision, say) have one colour. No intervals are drawn: the spread between
the curves is the figure's point. The number of curves that agree says nothing about other
questions, which all of a panel's curves share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.plots.panel_grid import PanelGrid
from workbench.plots.theme import BLUE, GREEN, GREY, LIGHT, ORANGE, PURPLE, RED, safe

_COLOURS = (BLUE, ORANGE, GREEN, GREY, PURPLE, RED)
_PANEL_HEIGHT = 290
_MARKED = 8


@dataclass(frozen=True)
class Curve:
    """One curve: ``values`` [layers], of a ``group`` that has a colour, under the hover's name."""

    name: str
    group: str
    values: Floats


@dataclass(frozen=True, kw_only=True)
class CurvePanels:
    """The figure's data: the curves of every panel over ``layers`` [n], or what else ``x`` says.

    ``levels`` are drawn as thin lines through every panel. Panels have the range ``y_range``, or
    that of their row's curves. Groups that are ``faint`` (controls, the ends of intervals) are
    drawn thin, dotted and grey, below the others. Where there are few places they are marked, and
    they alone have ticks.
    """

    layers: NDArray[np.int64] | Floats
    panels: Mapping[str, Sequence[Curve]]
    y: str
    title: str
    caption: str
    levels: Sequence[float] = (0.0, 1.0)
    x: str = "patched decoder layer"
    y_range: tuple[float, float] | None = None
    faint: Collection[str] = ()

    def __post_init__(self) -> None:
        if not any(self.panels.values()):
            raise WorkbenchError("panels of curves need at least one curve")
        for title, curves in self.panels.items():
            for curve in curves:
                if np.shape(curve.values) != (len(self.layers),):
                    raise WorkbenchError(
                        f"curve {curve.name!r} of panel {title!r} has shape "
                        f"{np.shape(curve.values)} for {len(self.layers)} places"
                    )

    def figure(self) -> go.Figure:
        """Draw the panels, two in a row, with one legend entry a group."""
        grid = PanelGrid([*self.panels], _PANEL_HEIGHT)
        figure = grid.start()
        groups = dict.fromkeys(curve.group for each in self.panels.values() for curve in each)
        strong = [group for group in groups if group not in self.faint]
        look = {group: _COLOURS[at % len(_COLOURS)] for at, group in enumerate(strong)}
        shown = set[str]()
        for number, curves in enumerate(self.panels.values()):
            place = grid.place(number)
            # Below come first: plotly draws one curve over another in their order.
            for curve in sorted(curves, key=lambda each: each.group not in self.faint):
                faint = curve.group in self.faint
                figure.add_trace(
                    go.Scatter(
                        x=self.layers,
                        y=curve.values,
                        mode="lines" if faint or len(self.layers) > _MARKED else "lines+markers",
                        line={"color": GREY, "width": 1, "dash": "dot"}
                        if faint
                        else {"color": look[curve.group], "width": 1.6},
                        name=safe(curve.group),
                        legendgroup=curve.group,
                        showlegend=curve.group not in shown,
                        hovertemplate=(f"%{{x}}: %{{y:.3f}}<extra>{safe(curve.name)}</extra>"),
                    ),
                    **place,
                )
                shown.add(curve.group)
            for level in self.levels:
                # After the curves: plotly draws no line into a panel that is still empty.
                figure.add_hline(level, line={"color": LIGHT, "width": 1}, layer="below", **place)
        grid.finish(figure, title=self.title, caption=self.caption, x=self.x, y=self.y)
        if len(self.layers) <= _MARKED:
            figure.update_xaxes(tickvals=np.asarray(self.layers).tolist())
        if self.y_range is not None:
            figure.update_yaxes(range=self.y_range)
        return figure
