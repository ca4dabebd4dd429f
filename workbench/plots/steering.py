"""Draw what a push along a direction does to the level of confidence, and to its power to tell
right from wrong.

Three panels over the push's signed length: mean expected confidence, AUROC2 within domain of the
expected confidence, and of the written number. There is one line for each layer and direction; a
direction keeps its colour, and its layers differ in dashes. Length 0 is the unsteered model and
common to all lines; the band around it is the noise floor, what a push of nothing does. If the
first panel moves and the others do not, a push changes the level and does not discriminate better.
An effect that random directions have as well is not specific to the direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.theme import BLUE, CHANCE, GREEN, GREY, apply_theme, faded, safe

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_COLOURS = (GREEN, GREY, BLUE)
_PANELS = (
    "mean expected confidence",
    "AUROC2 of the expected confidence, within domain",
    "AUROC2 of the written number, within domain",
)


@dataclass(frozen=True)
class SteeringLine:
    """The curves of one layer and direction, over the common lengths."""

    direction: str
    layer: int
    level: IntervalCurve
    expected: IntervalCurve
    written: IntervalCurve


@dataclass(frozen=True, kw_only=True)
class SteeringCurves:
    """The figure's data: ``lengths`` [n] ascending, in standard deviations of the layer's states,
    and a line for each layer and direction.

    ``floors``: of every panel, the largest change under a push of nothing.
    """

    lengths: NDArray[np.float64]
    lines: Sequence[SteeringLine]
    floors: tuple[float, float, float]
    title: str
    caption: str

    def __post_init__(self) -> None:
        lengths = np.asarray(self.lengths, dtype=np.float64)
        object.__setattr__(self, "lengths", lengths)
        if lengths.ndim != 1 or len(lengths) < 2 or (np.diff(lengths) <= 0).any():
            raise WorkbenchError("steering curves need at least two lengths, ascending")
        names = [(line.direction, line.layer) for line in self.lines]
        if not names or len(set(names)) != len(names):
            raise WorkbenchError(
                "steering curves need at least one line, each layer and direction once"
            )
        for line in self.lines:
            if any(
                len(curve.value) != len(lengths)
                for curve in (line.level, line.expected, line.written)
            ):
                raise WorkbenchError(
                    f"the line of {line.direction!r} at layer {line.layer} needs one value per "
                    "length"
                )
        if any(floor < 0 for floor in self.floors) or 0 not in lengths:
            raise WorkbenchError(
                "noise floors are sizes, at least 0, around the unsteered model at length 0"
            )

    def figure(self) -> go.Figure:
        """Draw three panels, one below the other."""
        figure = make_subplots(
            rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.07, subplot_titles=_PANELS
        )
        directions = list(dict.fromkeys(line.direction for line in self.lines))
        layers = sorted({line.layer for line in self.lines})
        for line in self.lines:
            colour = _COLOURS[directions.index(line.direction) % len(_COLOURS)]
            dash = _DASHES[layers.index(line.layer) % len(_DASHES)]
            name = safe(f"{line.direction}, layer {line.layer}")
            for row, curve in enumerate((line.level, line.expected, line.written), start=1):
                for trace in _traces(self.lengths, curve, name, colour, dash, legend=row == 1):
                    figure.add_trace(trace, row=row, col=1)
        unsteered = int(np.flatnonzero(self.lengths == 0)[0])
        first = self.lines[0]
        for row, (curve, floor) in enumerate(
            zip((first.level, first.expected, first.written), self.floors, strict=True), start=1
        ):
            middle = curve.value[unsteered]
            if not np.isnan(middle + floor):
                figure.add_hrect(
                    middle - floor,
                    middle + floor,
                    fillcolor=faded(GREY, 0.25),
                    line_width=0,
                    row=row,
                    col=1,
                )
        for row in (2, 3):
            figure.add_hline(
                CHANCE, line={"color": GREY, "dash": "dot", "width": 1.2}, row=row, col=1
            )
        shown = ", ".join(
            "undefined" if np.isnan(floor) else f"{floor:.1g}" for floor in self.floors
        )
        caption = f"{self.caption} · noise floors {shown}"
        apply_theme(figure, title=self.title, caption=caption, x="", y="", height=880)
        figure.update_layout(margin_t=figure.layout.margin.t + 24, margin_b=150)
        figure.update_xaxes(
            title_text="length of the push (standard deviations of the layer's states)",
            row=3,
            col=1,
        )
        return figure


def _traces(
    x: NDArray[np.float64], curve: IntervalCurve, name: str, colour: str, dash: str, *, legend: bool
) -> list[go.Scatter]:
    known = ~(np.isnan(curve.low) | np.isnan(curve.high))
    band = go.Scatter(
        x=np.concatenate([x[known], x[known][::-1]]),
        y=np.concatenate([curve.high[known], curve.low[known][::-1]]),
        fill="toself",
        fillcolor=faded(colour, 0.07),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
        name=name,
    )
    line = go.Scatter(
        x=x,
        y=curve.value,
        customdata=np.stack([curve.low, curve.high], axis=1),
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 5},
        name=name,
        legendgroup=name,
        showlegend=legend,
        hovertemplate=(
            "push %{x:g}<br>%{y:.3f} [%{customdata[0]:.3f}, "
            "%{customdata[1]:.3f}]<extra>%{fullData.name}</extra>"
        ),
    )
    return [band, line]
