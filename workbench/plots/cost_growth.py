"""Draw how a measured cost grows along several axes, with one panel for each axis and one curve for
each method, on logarithmic scales.

A straight line of slope one grows in proportion to its axis; a flat one does not grow. Hollow
markers and dashes are estimates. The figure shows costs in units of a reference at the same point,
so a reference that grows itself does not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.plots.theme import BLUE, GREY, apply_theme, safe, styles


@dataclass(frozen=True)
class CostCurve:
    """A curve of costs: ``cost`` [points] at the rising places ``at`` [points], both positive."""

    at: NDArray[np.float64]
    cost: NDArray[np.float64]
    estimated: bool

    def __post_init__(self) -> None:
        for name in ("at", "cost"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        if self.at.ndim != 1 or not len(self.at) or self.at.shape != self.cost.shape:
            raise WorkbenchError(
                f"a cost curve needs places and costs of one length, got {self.at.shape}, "
                f"{self.cost.shape}"
            )
        if (
            (np.diff(self.at) <= 0).any()
            or not (np.isfinite(self.cost) & (self.cost > 0)).all()
            or self.at[0] <= 0
        ):
            raise WorkbenchError("a cost curve needs rising places and positive, finite costs")


@dataclass(frozen=True, kw_only=True)
class CostGrowth:
    """The figure's data. ``panels``: axis title -> method -> curve; ``ours`` is the method drawn in
    blue.
    """

    panels: Mapping[str, Mapping[str, CostCurve]]
    ours: str
    unit: str
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.panels or not all(self.panels.values()):
            raise WorkbenchError("a growth figure needs at least one panel, and a curve in each")

    def figure(self) -> go.Figure:
        """Draw one row of panels that share the vertical axis."""
        methods = list(dict.fromkeys(name for curves in self.panels.values() for name in curves))
        looks = styles([name for name in methods if name != self.ours])
        figure = make_subplots(
            rows=1, cols=len(self.panels), shared_yaxes=True, horizontal_spacing=0.04
        )
        drawn: set[str] = set()
        for column, curves in enumerate(self.panels.values(), start=1):
            for name, curve in curves.items():
                colour = BLUE if name == self.ours else looks[name].colour
                symbol = "circle" if name == self.ours else looks[name].symbol
                figure.add_trace(
                    go.Scatter(
                        x=curve.at,
                        y=curve.cost,
                        mode="lines+markers",
                        name=safe(name) + (" (estimated)" if curve.estimated else ""),
                        legendgroup=name,
                        showlegend=name not in drawn,
                        line={
                            "color": colour,
                            "width": 2.4,
                            "dash": "dash" if curve.estimated else "solid",
                        },
                        marker={
                            "size": 8,
                            "symbol": f"{symbol}-open" if curve.estimated else symbol,
                        },
                        hovertemplate=(
                            f"%{{x}}<br>%{{y:.3g}} "
                            f"{safe(self.unit)}<extra>%{{fullData.name}}</extra>"
                        ),
                    ),
                    row=1,
                    col=column,
                )
                drawn.add(name)
        apply_theme(figure, title=self.title, caption=self.caption, x="", y="", height=520)
        for column, (axis, curves) in enumerate(self.panels.items(), start=1):
            ticks = sorted({float(place) for curve in curves.values() for place in curve.at})
            figure.update_xaxes(
                type="log",
                title_text=safe(axis),
                tickvals=ticks,
                ticktext=[f"{t:g}" for t in ticks],
                col=column,
            )
        figure.update_yaxes(type="log", tickvals=[1, 2, 5, 10, 20, 50, 100, 200, 500])
        figure.update_yaxes(title_text=safe(self.unit), title_font_color=GREY, col=1)
        return figure
