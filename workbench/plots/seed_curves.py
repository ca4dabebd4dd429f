"""Draw the patching curves of several trainings over one another: what depends on the seed?

Panels share the layer axis, one curve a training in each. The grey band reaches from the lowest to
the highest training at each layer. It is no interval: it only grows with more trainings, and shows
neither how the next one would fall nor the uncertainty over questions, which is in each curve's
hover text. Lines at 0, one half and 1 are those of the units: nothing, half, all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.curves import checked_layers
from workbench.plots.theme import GREY, Role, Style, apply_theme, faded, safe, styles


@dataclass(frozen=True)
class SeedPanel:
    """A panel of the figure: its title, and a curve over the layers by the name of each
    training.
    """

    title: str
    curves: Mapping[str, IntervalCurve]


@dataclass(frozen=True, kw_only=True)
class SeedCurves:
    """The figure's data: ``panels`` from the top, whose curves are over ``layers`` [n]. All panels
    show the same trainings, at least two.
    """

    layers: NDArray[np.int64]
    panels: Sequence[SeedPanel]
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [list(panel.curves) for panel in self.panels]
        if not names or len(names[0]) < 2 or any(each != names[0] for each in names):
            raise WorkbenchError(
                "curves of seeds need at least one panel, and the same two or more trainings in "
                "each"
            )
        for panel in self.panels:
            layers = checked_layers(self.layers, dict(panel.curves))
            object.__setattr__(self, "layers", layers)

    def figure(self) -> go.Figure:
        """Draw a panel below another."""
        figure = make_subplots(
            rows=len(self.panels),
            cols=1,
            shared_xaxes=True,
            vertical_spacing=0.07,
            subplot_titles=[safe(panel.title) for panel in self.panels],
        )
        look = styles(self.panels[0].curves, self.roles)
        for row, panel in enumerate(self.panels, start=1):
            figure.add_trace(self._range(panel), row=row, col=1)
            for name, curve in panel.curves.items():
                figure.add_trace(self._line(name, curve, look[name], row == 1), row=row, col=1)
            for level, dash in ((0.0, "solid"), (0.5, "dot"), (1.0, "solid")):
                line = {"color": GREY, "width": 1, "dash": dash}
                # Plotly draws no line into a panel that is still empty.
                figure.add_hline(level, line=line, layer="below", row=row, col=1)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="",
            y="",
            height=160 + 250 * len(self.panels),
        )
        figure.update_xaxes(title_text="patched decoder layer", row=len(self.panels), col=1)
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        return figure

    def _range(self, panel: SeedPanel) -> go.Scatter:
        values = np.stack([curve.value for curve in panel.curves.values()])
        low, high = values.min(axis=0), values.max(axis=0)
        return go.Scatter(
            x=np.concatenate([self.layers, self.layers[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=faded(GREY, 0.14),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            name="lowest to highest",
        )

    def _line(self, name: str, curve: IntervalCurve, style: Style, legend: bool) -> go.Scatter:
        return go.Scatter(
            x=self.layers,
            y=curve.value,
            customdata=np.stack([curve.low, curve.high], axis=1),
            mode="lines+markers",
            line={"color": style.colour, "dash": style.dash, "width": 2},
            marker={"size": 5, "symbol": style.symbol},
            name=safe(name),
            legendgroup=safe(name),
            showlegend=legend,
            hovertemplate=(
                "layer %{x}<br>%{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]"
                "<extra>%{fullData.name}</extra>"
            ),
        )
