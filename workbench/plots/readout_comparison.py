"""Draw the text bottleneck: AUROC2 of the stated text, of the softmax it comes from, and of the
probe, side by side.

One row per readout, one dot with its interval per condition (before, after, shuffled). Left pooled
over domains, right the mean within domain. Text far left of expected and probe: the model knows and
does not say. Pooled values also reward knowing which domain is hard, so a gain that is missing on
the right is only that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.error_bars import error_bars
from workbench.plots.theme import CHANCE, GREY, Role, Style, apply_theme, safe, styles

_SPREAD = 0.5


@dataclass(frozen=True)
class ReadoutRow:
    """A dot of the figure: AUROC2 of one ``readout`` (text, expected, probe) under one condition
    ``when`` (before, after, shuffled).
    """

    readout: str
    when: str
    pooled: Estimate
    within: Estimate


@dataclass(frozen=True, kw_only=True)
class ReadoutComparison:
    """The figure's data. ``rows``: at most one for each readout and condition; both are drawn in
    order of first appearance.
    """

    rows: Sequence[ReadoutRow]
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pairs = [(row.readout, row.when) for row in self.rows]
        if not pairs:
            raise WorkbenchError("a readout comparison needs at least one row")
        if len(set(pairs)) != len(pairs):
            raise WorkbenchError(
                "a readout comparison has two rows for the same readout and condition"
            )

    def figure(self) -> go.Figure:
        """Draw two panels of dots with intervals."""
        readouts = list(dict.fromkeys(row.readout for row in self.rows))
        conditions = list(dict.fromkeys(row.when for row in self.rows))
        look = styles(conditions, self.roles)
        figure = make_subplots(
            rows=1,
            cols=2,
            shared_yaxes=True,
            horizontal_spacing=0.05,
            subplot_titles=("pooled over domains", "mean within domain"),
        )
        for column, panel in enumerate(("pooled", "within"), start=1):
            for place, when in enumerate(conditions):
                offset = _SPREAD * ((place + 0.5) / len(conditions) - 0.5)
                rows = [row for row in self.rows if row.when == when]
                heights = [readouts.index(row.readout) + offset for row in rows]
                values = [getattr(row, panel) for row in rows]
                names = [safe(row.readout) for row in rows]
                trace = _dots(values, heights, names, safe(when), look[when], legend=column == 1)
                figure.add_trace(trace, row=1, col=column)
            figure.add_vline(
                CHANCE, line={"color": GREY, "dash": "dot", "width": 1.2}, row=1, col=column
            )
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="AUROC2 (0.5 = chance)",
            y="",
            height=230 + 70 * len(readouts),
        )
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        ends = [
            end
            for row in self.rows
            for e in (row.pooled, row.within)
            for end in (e.value, e.low, e.high)
        ]
        known = [end for end in ends if end == end]
        figure.update_xaxes(range=[min([0.45, *known]) - 0.02, max([0.9, *known]) + 0.02])
        figure.update_yaxes(
            range=[len(readouts) - 0.45, -0.55],
            tickvals=list(range(len(readouts))),
            ticktext=[safe(readout) for readout in readouts],
            showgrid=False,
        )
        return figure


def _dots(
    values: list[Estimate],
    heights: list[float],
    names: list[str],
    when: str,
    style: Style,
    *,
    legend: bool,
) -> go.Scatter:
    return go.Scatter(
        x=[value.value for value in values],
        y=heights,
        mode="markers",
        marker={"color": style.colour, "size": 11, "symbol": style.symbol},
        error_x=error_bars(values, style.colour, thickness=2, width=4),
        customdata=[
            [name, value.low, value.high, value.n]
            for name, value in zip(names, values, strict=True)
        ],
        name=when,
        legendgroup=when,
        showlegend=legend,
        hovertemplate=(
            "%{customdata[0]}: %{x:.3f} [%{customdata[1]:.3f}, "
            "%{customdata[2]:.3f}]<br>%{customdata[3]} answers"
            "<extra>%{fullData.name}</extra>"
        ),
    )
