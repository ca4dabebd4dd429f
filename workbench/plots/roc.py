"""Draw the type-2 ROC curve: calling answers "right" from the highest confidence down, which shares
of the right and of the wrong ones are called so?

One step per distinct confidence, straight between (ties count half); the area under it is AUROC2,
named in the legend with its interval. The diagonal is chance. A curve of few corners comes from a
scale of few stated values. The curve does not show calibration, nor how many answers were right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.discrimination import ValueGroups
from workbench.measure.inputs import checked
from workbench.measure.interval import Estimate
from workbench.plots.theme import Style, apply_theme, diagonal, safe, styles, thinned


@dataclass(frozen=True, kw_only=True)
class Roc:
    """The figure's data. ``groups``: name -> (confidence [n] with NaN = unparsed, correct [n]);
    ``areas``: name -> AUROC2 for the legend.
    """

    groups: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]
    areas: Mapping[str, Estimate]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.groups:
            raise WorkbenchError("a ROC curve needs at least one group")
        for confidence, correct in self.groups.values():
            checked(confidence, correct)

    def figure(self) -> go.Figure:
        """Draw the curves of the groups that hold right and wrong answers; the legend names those
        that do not.
        """
        figure = go.Figure(diagonal("chance"))
        look = styles(self.groups)
        for name in self.groups:
            figure.add_trace(self._curve(name, look[name]))
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="wrong answers called right (share)",
            y="right answers called right (share)",
            height=560,
        )
        figure.update_xaxes(range=[-0.02, 1.02], dtick=0.2)
        figure.update_yaxes(range=[-0.02, 1.02], dtick=0.2)
        return figure

    def _curve(self, name: str, style: Style) -> go.Scatter:
        confidence, correct = checked(*self.groups[name])
        groups = ValueGroups(confidence, correct)
        found = groups(np.ones((1, len(confidence))))
        if not found.right.sum() or not found.wrong.sum():
            return go.Scatter(
                x=[None], y=[None], mode="lines", name=f"{safe(name)} (one class: no curve)"
            )
        x, y = (
            np.r_[0, each[0, ::-1]] / each.max() for each in (found.wrong_above, found.right_above)
        )
        at = thinned(x + y)
        area = self.areas[name]
        bounds = "" if np.isnan(area.low) else f" [{area.low:.3f}, {area.high:.3f}]"
        return go.Scatter(
            x=x[at],
            y=y[at],
            customdata=np.r_[np.inf, groups.values[::-1]][at],
            mode="lines+markers" if len(at) <= 60 else "lines",
            line={"color": style.colour, "dash": style.dash, "width": 2.2},
            marker={"size": 5, "symbol": style.symbol},
            name=f"{safe(name)} ({area.value:.3f}{bounds})",
            hovertemplate=(
                "confidence %{customdata:.3g} and above<br>wrong called right %{x:.3f}<br>right "
                "called right %{y:.3f}"
                "<extra>%{fullData.name}</extra>"
            ),
        )
