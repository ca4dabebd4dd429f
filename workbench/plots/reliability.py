"""Draw the reliability diagram: of the answers given with confidence p, how many were right?

Points are bins of equal width at (mean confidence, accuracy), their area grows with the number of
answers, bars are Wilson intervals of the accuracy. On the diagonal confidence means what it says;
points below it are over-confident. There is one panel for each readout, with the same groups in the
same colours. The diagram does not show discrimination: one point on the diagonal is perfectly
calibrated and knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.calibration import ece, reliability_bins
from workbench.measure.inputs import checked_probability
from workbench.plots.theme import Role, Style, apply_theme, diagonal, safe, styles

_SMALLEST, _LARGEST = 6.0, 26.0
Group = tuple[NDArray[np.float64], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The diagram's data. ``panels``: heading -> name -> (probability [n] on 0-1 with NaN =
    unparsed, correct [n]); ``bins`` of equal width.
    """

    panels: Mapping[str, Mapping[str, Group]]
    bins: int
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.panels or not all(self.panels.values()):
            raise WorkbenchError("a reliability diagram needs at least one group in each panel")
        for groups in self.panels.values():
            for probability, correct in groups.values():
                checked_probability(probability, correct)

    def figure(self) -> go.Figure:
        """Draw the diagram, with each group's ECE in the legend, panel by panel."""
        figure = make_subplots(
            rows=1,
            cols=len(self.panels),
            shared_yaxes=True,
            horizontal_spacing=0.05,
            subplot_titles=[safe(heading) for heading in self.panels],
        )
        names = list(dict.fromkeys(name for groups in self.panels.values() for name in groups))
        look, told = styles(names, self.roles), set()
        for column, groups in enumerate(self.panels.values(), start=1):
            figure.add_trace(
                diagonal("perfectly calibrated", showlegend=column == 1), row=1, col=column
            )
            for name, group in groups.items():
                points = self._points(group, self._label(name), look[name], first=name not in told)
                figure.add_trace(points, row=1, col=column)
                told.add(name)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="mean confidence in the bin (0-1)",
            y="share of answers right (0-1)",
            height=540,
        )
        figure.update_layout(margin_t=figure.layout.margin.t + 24 * (len(self.panels) > 1))
        figure.update_xaxes(range=[-0.03, 1.04], dtick=0.2)
        figure.update_yaxes(range=[-0.03, 1.04], dtick=0.2)
        figure.update_yaxes(title_text="", col=2)
        return figure

    def _label(self, name: str) -> str:
        """Return the group's name with its ECE in each panel, "-" where it is not drawn."""
        found = [
            f"{ece(*groups[name], bins=self.bins):.3f}" if name in groups else "-"
            for groups in self.panels.values()
        ]
        return f"{safe(name)} (ECE {' | '.join(found)})"

    def _points(self, group: Group, label: str, style: Style, first: bool) -> go.Scatter:
        probability, correct = group
        table = reliability_bins(probability, correct, bins=self.bins)
        filled = table.count > 0
        count = table.count[filled]
        share = np.sqrt(count / max(1, count.sum()))
        return go.Scatter(
            x=table.mean_probability[filled],
            y=table.accuracy[filled],
            mode="lines+markers",
            line={"color": style.colour, "width": 1.2, "dash": style.dash},
            marker={
                "color": style.colour,
                "size": _SMALLEST + (_LARGEST - _SMALLEST) * share,
                "opacity": 0.85,
                "line": {"color": "white", "width": 1},
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (table.high - table.accuracy)[filled],
                "arrayminus": (table.accuracy - table.low)[filled],
                "thickness": 1.3,
                "width": 3,
                "color": style.colour,
            },
            customdata=np.stack([count, table.low[filled], table.high[filled]], axis=1),
            name=label,
            legendgroup=label,
            showlegend=first,
            hovertemplate=(
                "mean confidence %{x:.3f}<br>right %{y:.3f} [%{customdata[1]:.3f}, "
                "%{customdata[2]:.3f}]"
                "<br>%{customdata[0]} answers<extra>%{fullData.name}</extra>"
            ),
        )
