"""Draw what is left of a signal step by step, and the step that loses most.

One panel a condition, two in a row. A bar is a step's AUROC2 above chance with its interval;
between two bars stands what is lost, in the colour of losses where it is the largest one, with the
interval of the paired difference. A bar that is higher than the one before it gained. Bars start at
chance (0.5), so their heights compare, between panels too; a bar below it is drawn downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.error_bars import error_bars
from workbench.plots.theme import BLUE, CHANCE, GREY, ORANGE, apply_theme, safe

_WRAP, _PER_ROW = 9, 2
_PANEL_HEIGHT, _AROUND = 350, 110


@dataclass(frozen=True)
class Panel:
    """The steps of one condition in order, and what is lost after each but the last.

    ``largest`` is the index of the largest loss.
    """

    steps: Mapping[str, Estimate]
    losses: Sequence[Estimate]
    largest: int

    def __post_init__(self) -> None:
        if len(self.losses) != len(self.steps) - 1 or not 0 <= self.largest < len(self.losses):
            raise WorkbenchError(
                f"a waterfall of {len(self.steps)} steps needs {len(self.steps) - 1} losses, and "
                "one of them as the largest"
            )


@dataclass(frozen=True, kw_only=True)
class WaterfallFigure:
    """The figure's data: the panels by condition."""

    panels: Mapping[str, Panel]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.panels:
            raise WorkbenchError("a waterfall needs at least one condition")

    def figure(self) -> go.Figure:
        """Draw the panels side by side, all on one scale."""
        columns = min(_PER_ROW, len(self.panels))
        rows = -(-len(self.panels) // columns)
        figure = make_subplots(
            rows=rows,
            cols=columns,
            shared_yaxes="all",
            horizontal_spacing=0.04,
            vertical_spacing=0.28 / rows,
            subplot_titles=[safe(name) for name in self.panels],
        )
        for number, panel in enumerate(self.panels.values()):
            place = {"row": number // columns + 1, "col": number % columns + 1}
            figure.add_trace(_bars(panel), **place)
            figure.add_trace(_losses(panel), **place)
            figure.add_hline(CHANCE, line={"color": GREY, "width": 1.2}, **place)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="",
            y="",
            height=_PANEL_HEIGHT * rows + _AROUND,
        )
        figure.update_yaxes(
            title_text="AUROC2 within domain", title_font_color=GREY, showticklabels=True, col=1
        )
        figure.update_layout(showlegend=False, margin_t=figure.layout.margin.t + 24, bargap=0.45)
        ends = [
            end
            for panel in self.panels.values()
            for e in panel.steps.values()
            for end in (e.value, e.low, e.high)
            if end == end
        ]
        figure.update_yaxes(range=[min([0.4, *ends]) - 0.02, max([0.8, *ends]) + 0.08])
        figure.update_xaxes(tickangle=0, tickfont_size=12, showgrid=False)
        return figure


def _bars(panel: Panel) -> go.Bar:
    values = list(panel.steps.values())
    after = panel.largest + 1
    return go.Bar(
        x=[_wrapped(name) for name in panel.steps],
        y=[value.value - CHANCE for value in values],
        base=CHANCE,
        marker_color=[ORANGE if at == after else BLUE for at in range(len(values))],
        error_y=error_bars(values, GREY, thickness=1.5, width=4),
        customdata=[[value.value, value.low, value.high, value.n] for value in values],
        hovertemplate=(
            "%{customdata[0]:.3f} [%{customdata[1]:.3f}, %{customdata[2]:.3f}]"
            "<br>%{customdata[3]} answers<extra>%{x}</extra>"
        ),
    )


def _losses(panel: Panel) -> go.Scatter:
    """Write each loss above the bar it leads to."""
    names, values = list(panel.steps), list(panel.steps.values())
    texts = [
        "<b>lost " + format(loss, "\n.2f").replace("\n", "</b><br>")
        if at == panel.largest
        else f"{-round(loss.value, 2) + 0.0:+.2f}"
        for at, loss in enumerate(panel.losses)
    ]
    return go.Scatter(
        x=[_wrapped(name) for name in names[1:]],
        y=[max(CHANCE, value.value, value.high) + 0.015 for value in values[1:]],
        mode="text",
        text=texts,
        textposition="top center",
        textfont={
            "size": 12,
            "color": [ORANGE if at == panel.largest else GREY for at in range(len(texts))],
        },
        hoverinfo="skip",
        cliponaxis=False,
    )


def _wrapped(name: str) -> str:
    lines, line = [], ""
    for word in name.split():
        if line and len(line) + 1 + len(word) > _WRAP:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "<br>".join(safe(each) for each in [*lines, line])
