"""Draw confidence-gated retrieval: accuracy by how many questions are looked up, least confident
first.

There is one curve for each group, from its accuracy (nothing looked up) to its accuracy with
retrieval (everything); the dotted line of the same colour looks up the same number at random. The
distance between the two is the gain of the gate, named at half as many in the legend. It does not
show what a retrieval costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.measure.retrieval import GatedRetrieval
from workbench.plots.theme import apply_theme, safe, styles, thinned


@dataclass(frozen=True, kw_only=True)
class RetrievalGain:
    """The figure's data. ``curves``: group name -> its gated retrieval."""

    curves: Mapping[str, GatedRetrieval]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.curves:
            raise WorkbenchError("a retrieval figure needs at least one group")

    def figure(self) -> go.Figure:
        """Draw gated and random accuracy against the share looked up, in per cent."""
        figure = go.Figure(layout={"showlegend": True})
        for name, style in styles(self.curves).items():
            curve = self.curves[name]
            at = thinned(curve.rate)
            label = f"{safe(name)} (gain at 50 %: {100 * curve.gain_at(0.5):+.1f} points)"
            for values, dash, width, shown in (
                (curve.gated, style.dash, 2.2, True),
                (curve.random, "dot", 1.2, False),
            ):
                figure.add_trace(
                    go.Scatter(
                        x=100 * curve.rate[at],
                        y=100 * values[at],
                        mode="lines",
                        line={"color": style.colour, "dash": dash, "width": width},
                        name=label if shown else f"{safe(name)}, at random",
                        legendgroup=label,
                        showlegend=shown,
                        hovertemplate=(
                            "looked up %{x:.1f} %<br>right %{y:.1f} "
                            "%<extra>%{fullData.name}</extra>"
                        ),
                    )
                )
        return apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="questions looked up, least confident first (%); dotted: at random",
            y="answers right (%)",
            height=500,
        )
