"""Draw baselines against their cost: AUROC2 with its interval over tokens per question, pooled and
within domain.

Every dot is one way to get a confidence for the same answers. The cost axis is logarithmic; dots of
nearly equal cost are moved apart a little so that their intervals can be read, and hover has the
true cost. Left pooled over domains, right the mean within domain: a score that only knows which
domain is hard is high on the left alone. Overlapping intervals of two baselines do not show that
they are alike, because both use the same questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.error_bars import error_bars
from workbench.plots.theme import BLUE, CHANCE, GREEN, GREY, ORANGE, apply_theme, safe

_COLOURS = (GREY, BLUE, GREEN, ORANGE, "#CC79A7", "#D55E00", "#7a6f9b")
_SYMBOLS = (
    "circle",
    "diamond",
    "square",
    "triangle-up",
    "x",
    "cross",
    "star",
    "hexagon",
    "pentagon",
)
_APART = 0.028
_NEAR = 0.14


@dataclass(frozen=True)
class CostedBaseline:
    """A dot of the figure: its name, the ``family`` that gives its colour, mean ``tokens`` per
    question, AUROC2, and the share it could read.
    """

    name: str
    family: str
    tokens: float
    pooled: Estimate
    within: Estimate
    read: float


@dataclass(frozen=True, kw_only=True)
class BaselineCosts:
    """The figure's data: ``baselines`` in the order of the legend."""

    baselines: Sequence[CostedBaseline]
    title: str
    caption: str

    def __post_init__(self) -> None:
        names = [one.name for one in self.baselines]
        if not names or len(set(names)) != len(names):
            raise WorkbenchError(
                "a comparison of baselines needs at least one, each under a name of its own"
            )
        if any(not one.tokens > 0 or not 0 <= one.read <= 1 for one in self.baselines):
            raise WorkbenchError(
                "every baseline costs at least one token and reads a share between 0 and 1 of the "
                "answers"
            )

    def figure(self) -> go.Figure:
        """Draw two panels of dots with intervals over a common cost axis."""
        figure = make_subplots(
            rows=1,
            cols=2,
            shared_yaxes=True,
            horizontal_spacing=0.04,
            subplot_titles=("pooled over domains", "mean within domain"),
        )
        places = spread([one.tokens for one in self.baselines])
        looks = self._looks()
        for column, panel in enumerate(("pooled", "within"), start=1):
            figure.add_hline(
                CHANCE, line={"color": GREY, "dash": "dot", "width": 1.2}, row=1, col=column
            )
            for one, x, (colour, symbol) in zip(self.baselines, places, looks, strict=True):
                dot = _dot(one, getattr(one, panel), x, colour, symbol, legend=column == 1)
                figure.add_trace(dot, row=1, col=column)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="tokens computed per question",
            y="AUROC2 (0.5 = chance)",
            height=500 + 24 * math.ceil(len(self.baselines) / 3),
        )
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
        figure.update_xaxes(type="log", dtick="D2")
        figure.update_yaxes(title_text="", row=1, col=2)
        return figure

    def _looks(self) -> list[tuple[str, str]]:
        families = list(dict.fromkeys(one.family for one in self.baselines))
        seen = dict.fromkeys(families, 0)
        looks = []
        for one in self.baselines:
            looks.append(
                (
                    _COLOURS[families.index(one.family) % len(_COLOURS)],
                    _SYMBOLS[seen[one.family] % len(_SYMBOLS)],
                )
            )
            seen[one.family] += 1
        return looks


def spread(tokens: Sequence[float]) -> list[float]:
    """Return the positions at which dots of these costs are drawn: groups whose neighbours cost
    nearly the same are spread evenly on the log axis.
    """
    logs = [math.log10(value) for value in tokens]
    order = sorted(range(len(logs)), key=lambda index: logs[index])
    groups: list[list[int]] = []
    for index in order:
        if groups and logs[index] - logs[groups[-1][0]] < _NEAR:
            groups[-1].append(index)
        else:
            groups.append([index])
    out = list(tokens)
    for group in groups:
        middle = sum(logs[index] for index in group) / len(group)
        for place, index in enumerate(group):
            out[index] = 10 ** (middle + _APART * (place - (len(group) - 1) / 2))
    return out


def _dot(
    one: CostedBaseline, value: Estimate, x: float, colour: str, symbol: str, *, legend: bool
) -> go.Scatter:
    return go.Scatter(
        x=[x],
        y=[value.value],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 11},
        error_y=error_bars([value], colour, thickness=1.6, width=3),
        customdata=[[value.low, value.high, one.tokens, 100 * one.read]],
        name=safe(one.name),
        legendgroup=safe(one.name),
        showlegend=legend,
        hovertemplate=(
            "AUROC2 %{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<br>%{customdata[2]:.0f} "
            "tokens, "
            "%{customdata[3]:.0f} % of answers read<extra>%{fullData.name}</extra>"
        ),
    )
