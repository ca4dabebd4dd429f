"""Draw named estimates below one another, in groups, each with its interval: differences, or
conditions side by side.

A vertical line marks zero, with the noise floor as a band around it; ``bound`` draws a second line
where a rule has its threshold. Colours follow the groups. Overlapping intervals of two rows do not
show that the rows are alike: compare the difference itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.theme import GREY, Role, apply_theme, faded, safe, styles

_LABEL, _LINE = 64, 36


@dataclass(frozen=True)
class EstimateRow:
    """A line of the figure: its ``group`` (a colour), its name, and the estimate."""

    group: str
    name: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class EstimateRows:
    """The figure's data: ``rows`` from the top. Rows of one name and different groups share a line.
    ``axis`` names what is estimated, and ``floor`` is its noise, where there is one. ``roles`` has
    the groups whose colour means something.
    """

    rows: Sequence[EstimateRow]
    axis: str
    title: str
    caption: str
    bound: float | None = None
    floor: float | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [(row.group, row.name) for row in self.rows]
        if not names or len(set(names)) != len(names):
            raise WorkbenchError(
                "every row needs a name of its own within its group, and there must be one at least"
            )
        if self.floor is not None and not self.floor >= 0:
            raise WorkbenchError(f"a noise floor is a size, so at least 0; got {self.floor}")

    def figure(self) -> go.Figure:
        """Draw dots with intervals."""
        names = list(dict.fromkeys(row.name for row in self.rows))
        groups = list(dict.fromkeys(row.group for row in self.rows))
        look = styles(groups, self.roles)
        figure = go.Figure()
        if self.floor is not None:
            figure.add_vrect(-self.floor, self.floor, fillcolor=faded(GREY, 0.25), line_width=0)
        figure.add_vline(0, line={"color": GREY, "width": 1})
        if self.bound is not None:
            figure.add_vline(self.bound, line={"color": GREY, "width": 1, "dash": "dot"})
        for index, group in enumerate(groups):
            mine = [row for row in self.rows if row.group == group]
            offset = (index - (len(groups) - 1) / 2) * 0.7 / max(1, len(groups))
            value = [row.estimate.value for row in mine]
            figure.add_trace(
                go.Scatter(
                    x=value,
                    y=[names.index(row.name) + offset for row in mine],
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [row.estimate.high - row.estimate.value for row in mine],
                        "arrayminus": [row.estimate.value - row.estimate.low for row in mine],
                        "thickness": 1.6,
                        "width": 3,
                    },
                    customdata=[
                        [safe(row.name), row.estimate.low, row.estimate.high, row.estimate.n]
                        for row in mine
                    ],
                    mode="markers",
                    marker={"color": look[group].colour, "symbol": look[group].symbol, "size": 8},
                    name=safe(group),
                    showlegend=len(groups) > 1,
                    hovertemplate=(
                        "%{customdata[0]}<br>%{x:.3f} [%{customdata[1]:.3f}, "
                        "%{customdata[2]:.3f}], "
                        "%{customdata[3]} questions<extra>%{fullData.name}</extra>"
                    ),
                )
            )
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption
            if self.floor is None
            else f"{self.caption} · noise floor {self.floor:.1g}",
            x=self.axis,
            y="",
            height=220 + len(names) * (26 + 10 * len(groups)),
        )
        figure.update_yaxes(
            tickvals=list(range(len(names))),
            ticktext=[_label(name) for name in names],
            range=[len(names) - 0.4, -0.6],
            showgrid=False,
        )
        return figure


def _label(name: str) -> str:
    """Return a row's name in lines, so that a long one leaves room for what it names."""
    line = " ".join(name.split())
    line = line if len(line) <= _LABEL else line[: _LABEL - 1].rstrip() + "…"
    return "<br>".join(safe(part) for part in textwrap.wrap(line, _LINE))
