"""Draw the risk-coverage curve: answer only where the confidence is highest; how wrong are those
answers?

Risk (share wrong among the accepted) against coverage (share accepted), one point per distinct
confidence; in between, ties are accepted in a random order, so the curve is drawn through their
expectation. The end on the right is the plain error rate; a flat curve means that confidence
selects nothing. The legend names AURC, the mean risk over all coverages (lower is better). It does
not show which confidence to cut at on other questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.inputs import checked
from workbench.measure.selective import aurc, risk_coverage
from workbench.plots.theme import Style, apply_theme, safe, styles, thinned

_BETWEEN = 200


@dataclass(frozen=True, kw_only=True)
class RiskCoverageCurve:
    """The figure's data. ``groups``: name -> (confidence [n] with NaN = unparsed, correct [n])."""

    groups: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.groups:
            raise WorkbenchError("a risk-coverage curve needs at least one group")
        for confidence, correct in self.groups.values():
            checked(confidence, correct)

    def figure(self) -> go.Figure:
        """Draw risk against coverage, in per cent."""
        # Plotly hides the legend of a single trace, and with it what the legend says.
        figure = go.Figure(layout={"showlegend": True})
        look = styles(self.groups)
        for name in self.groups:
            for trace in self._curve(name, look[name]):
                figure.add_trace(trace)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="coverage: answers accepted, most confident first (%)",
            y="risk: wrong among the accepted (%)",
            height=520,
        )
        figure.update_xaxes(range=[0, 102])
        figure.update_yaxes(rangemode="tozero")
        return figure

    def _curve(self, name: str, style: Style) -> list[go.Scatter]:
        confidence, correct = self.groups[name]
        curve = risk_coverage(confidence, correct)
        label = f"{safe(name)} (AURC {aurc(confidence, correct):.3f})"
        if not len(curve.coverage):
            return [
                go.Scatter(x=[None], y=[None], mode="lines", name=f"{safe(name)} (nothing parsed)")
            ]
        errors = np.r_[0.0, curve.coverage * curve.risk]
        coverage = np.unique(
            np.r_[np.linspace(1 / _BETWEEN, 1, _BETWEEN), curve.coverage[thinned(curve.coverage)]]
        )
        risk = np.interp(coverage, np.r_[0.0, curve.coverage], errors) / coverage
        line = go.Scatter(
            x=100 * coverage,
            y=100 * risk,
            mode="lines",
            line={"color": style.colour, "dash": style.dash, "width": 2.2},
            name=label,
            legendgroup=label,
            hovertemplate="coverage %{x:.1f} %<br>risk %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
        if len(curve.threshold) > 60:
            return [line]
        points = go.Scatter(
            x=100 * curve.coverage,
            y=100 * curve.risk,
            customdata=curve.threshold,
            mode="markers",
            marker={"color": style.colour, "size": 7, "symbol": style.symbol},
            name=label,
            legendgroup=label,
            showlegend=False,
            hovertemplate=(
                "confidence %{customdata:.3g} and above<br>coverage %{x:.1f} %<br>risk %{y:.1f} %"
                "<extra>%{fullData.name}</extra>"
            ),
        )
        return [line, points]
