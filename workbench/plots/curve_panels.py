"""Draw curves over layers, or another quantity, in panels, one curve a training or condition: what
all share, and where they part.

Curves of one group (a precision, say) have one colour. No intervals are drawn: the spread between
the curves is the figure's point. The number of curves that agree says nothing about other
questions, which all of a panel's curves share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.plots.theme import BLUE, GREEN, GREY, LIGHT, ORANGE, PURPLE, RED, apply_theme, safe

_PER_ROW = 2
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
    that of their row's curves. Where there are few places they are marked, and they alone have
    ticks.
    """

    layers: NDArray[np.int64] | Floats
    panels: Mapping[str, Sequence[Curve]]
    y: str
    title: str
    caption: str
    levels: Sequence[float] = (0.0, 1.0)
    x: str = "patched decoder layer"
    y_range: tuple[float, float] | None = None

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
        columns = min(_PER_ROW, len(self.panels))
        rows = -(-len(self.panels) // columns)
        figure = make_subplots(
            rows=rows,
            cols=columns,
            shared_xaxes=True,
            shared_yaxes=True,
            subplot_titles=[safe(title) for title in self.panels],
            horizontal_spacing=0.05,
            vertical_spacing=0.16 / rows,
        )
        groups = dict.fromkeys(curve.group for each in self.panels.values() for curve in each)
        look = {group: _COLOURS[at % len(_COLOURS)] for at, group in enumerate(groups)}
        shown = set[str]()
        for number, curves in enumerate(self.panels.values()):
            place = {"row": number // columns + 1, "col": number % columns + 1}
            for curve in curves:
                figure.add_trace(
                    go.Scatter(
                        x=self.layers,
                        y=curve.values,
                        mode="lines+markers" if len(self.layers) <= _MARKED else "lines",
                        line={"color": look[curve.group], "width": 1.6},
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
                title_text=self.x, title_font_color=GREY, showticklabels=True, **lowest
            )
        figure.update_yaxes(title_text=self.y, title_font_color=GREY, col=1)
        if len(self.layers) <= _MARKED:
            figure.update_xaxes(tickvals=np.asarray(self.layers).tolist())
        if self.y_range is not None:
            figure.update_yaxes(range=self.y_range)
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        return figure
