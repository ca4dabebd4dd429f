"""Draw what swapping a learned subspace does, beside its placebos: interchange accuracy and
donor slope, each with its interval.

Placebos are part of the figure's data and cannot be left out. The dotted lines are what no swap at
all gives; a subspace is told from luck by as much as it lies to the right of its placebos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.theme import BLUE, GREY, ORANGE, apply_theme, safe

_ROW_HEIGHT = 34
_MEASURES = ("interchange accuracy", "donor slope")


@dataclass(frozen=True)
class SwapRow:
    """A line: what was swapped, its accuracy and its donor slope, and whether it is a placebo."""

    name: str
    accuracy: Estimate
    donor_slope: Estimate
    placebo: bool


@dataclass(frozen=True, kw_only=True)
class SwappedSubspaces:
    """The figure's data: for each subspace by name, its ``rows`` from the top; ``nothing`` are
    accuracy and slope without a swap.
    """

    rows: Mapping[str, Sequence[SwapRow]]
    nothing: tuple[float, float]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.rows:
            raise WorkbenchError("a figure of subspaces needs at least one")
        for name, rows in self.rows.items():
            if not any(row.placebo for row in rows) or all(row.placebo for row in rows):
                raise WorkbenchError(f"the subspace {name!r} is not drawn without its placebos")

    def figure(self) -> go.Figure:
        """Draw dots with intervals, subspaces below one another."""
        figure = make_subplots(
            rows=1, cols=2, shared_yaxes=True, subplot_titles=_MEASURES, horizontal_spacing=0.06
        )
        lines = [(name, row) for name, rows in self.rows.items() for row in rows]
        labels = [
            safe(row.name if len(self.rows) == 1 else f"{name}: {row.name}") for name, row in lines
        ]
        for placebo, colour, legend in ((False, BLUE, "learned"), (True, ORANGE, "placebos")):
            chosen = [n for n, (_, row) in enumerate(lines) if row.placebo == placebo]
            for column in (1, 2):
                found = [
                    lines[n][1].accuracy if column == 1 else lines[n][1].donor_slope for n in chosen
                ]
                figure.add_trace(
                    go.Scatter(
                        x=[each.value for each in found],
                        y=[labels[n] for n in chosen],
                        error_x={
                            "type": "data",
                            "symmetric": False,
                            "array": [each.high - each.value for each in found],
                            "arrayminus": [each.value - each.low for each in found],
                            "thickness": 1.6,
                            "width": 3,
                        },
                        customdata=[[each.low, each.high, each.n] for each in found],
                        hovertemplate="%{y}<br>%{x:.3f} [%{customdata[0]:.3f}, "
                        "%{customdata[1]:.3f}], n = %{customdata[2]}<extra></extra>",
                        mode="markers",
                        marker={"color": colour, "size": 9},
                        name=legend,
                        legendgroup=legend,
                        showlegend=column == 1,
                    ),
                    row=1,
                    col=column,
                )
        for column, value in enumerate(self.nothing, start=1):
            line = {"color": GREY, "width": 1, "dash": "dot"}
            figure.add_vline(value, line=line, row=1, col=column)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="",
            y="",
            height=_ROW_HEIGHT * len(lines) + 220,
        )
        figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1])
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        return figure
