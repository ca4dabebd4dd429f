"""Draw attribution against true patching: how far may the cheap map be trusted?

One point a row (question) and cell: the first-order score on the horizontal axis, the effect of
truly patching that cell on the vertical one. On the diagonal the tangent is right. Colours separate
the cells chosen for their large score from random ones; the legend carries Spearman's rho and the
slope through the origin. Large cells exaggerate because of how they were chosen; random ones
represent the map. The band holds effects that numerical noise alone can give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.theme import BLUE, GREY, ORANGE, add_floor, apply_theme, safe

COLOURS = (BLUE, ORANGE)
SYMBOLS = ("circle-open", "diamond-open", "square-open", "triangle-up-open", "x-open")


@dataclass(frozen=True)
class ScatterGroup:
    """The points of one component and one way of choosing cells: ``scores`` and ``effects`` [n],
    and how well they agree.
    """

    component: str
    kind: str
    scores: NDArray[np.float64]
    effects: NDArray[np.float64]
    rho: Estimate
    slope: Estimate

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.shape != self.effects.shape or not len(self.scores):
            raise WorkbenchError(
                f"scores and effects need one length; got {self.scores.shape} and "
                f"{self.effects.shape}"
            )


@dataclass(frozen=True, kw_only=True)
class AttributionScatter:
    """The scatter plot: ``groups`` of points over one pair of axes, in units of the readout;
    ``floor`` is the noise of true patches in the same units.
    """

    groups: Sequence[ScatterGroup]
    floor: float
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.groups:
            raise WorkbenchError("a scatter needs at least one group of points")

    def figure(self) -> go.Figure:
        """Draw points, the diagonal, and agreement in the legend."""
        kinds = list(dict.fromkeys(group.kind for group in self.groups))
        components = list(dict.fromkeys(group.component for group in self.groups))
        figure = go.Figure()
        add_floor(figure, self.floor)
        most = max(float(np.abs(np.r_[g.scores, g.effects]).max()) for g in self.groups)
        figure.add_trace(
            go.Scatter(
                x=[-most, most],
                y=[-most, most],
                mode="lines",
                line={"color": GREY, "dash": "dot", "width": 1.4},
                name="score = effect",
                hoverinfo="skip",
            )
        )
        for group in self.groups:
            figure.add_trace(
                go.Scatter(
                    x=group.scores,
                    y=group.effects,
                    mode="markers",
                    marker={
                        "color": COLOURS[kinds.index(group.kind) % len(COLOURS)],
                        "symbol": SYMBOLS[components.index(group.component) % len(SYMBOLS)],
                        "size": 6,
                        "opacity": 0.75,
                    },
                    name=safe(
                        f"{group.component}, {group.kind}: rho {group.rho:.2f}, slope "
                        f"{group.slope:.2f}"
                    ),
                    hovertemplate="score %{x:.3g}, effect %{y:.3g}<extra>%{fullData.name}</extra>",
                )
            )
        apply_theme(
            figure,
            title=self.title,
            caption=f"{self.caption} · noise floor {self.floor:.1g}",
            x="attribution score (gradient × difference)",
            y="effect of the true patch",
            height=500 + 24 * len(self.groups),
        )
        return figure
