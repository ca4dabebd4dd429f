"""Draw measures against the number of labels: one panel for each measure, one curve for each
method, and methods without labels as a horizontal line with a band.

Labels are drawn on a logarithmic scale, so that a doubling is one step wherever it is. A
reference's band is its interval: a curve outside it need not differ, because both use the same
questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.plots.theme import (
    BLACK,
    GREY,
    Style,
    apply_theme,
    faded,
    interval_band,
    safe,
    styles,
)


@dataclass(frozen=True)
class LabelledPoint:
    """An estimate and how many labels it took."""

    labels: int
    estimate: Estimate

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise WorkbenchError(
                f"a point of a label curve took at least one label, not {self.labels}"
            )


@dataclass(frozen=True, kw_only=True)
class LabelPanel:
    """The panel of one measure: ``curves`` by method, points with rising labels, and ``references``
    by name.

    The first reference has its interval as a band; that of the others shows on hovering, because
    overlapping bands cannot be read.
    """

    measure: str
    curves: Mapping[str, Sequence[LabelledPoint]]
    references: Mapping[str, Estimate]

    def __post_init__(self) -> None:
        if not self.curves or not all(self.curves.values()):
            raise WorkbenchError("a label curve needs at least one method, and a point for each")
        for name, points in self.curves.items():
            if (np.diff([point.labels for point in points]) <= 0).any():
                raise WorkbenchError(f"the points of {name!r} need rising numbers of labels")


@dataclass(frozen=True, kw_only=True)
class LabelCurve:
    """The figure's data: ``panels`` from the left; methods and references of one name look alike in
    all of them.
    """

    panels: Sequence[LabelPanel]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.panels:
            raise WorkbenchError("a figure of label curves needs at least one panel")

    def figure(self) -> go.Figure:
        """Draw one row of panels."""
        figure = make_subplots(rows=1, cols=len(self.panels), horizontal_spacing=0.11)
        looks = styles(list(dict.fromkeys(name for panel in self.panels for name in panel.curves)))
        grounds = _reference_looks(
            list(dict.fromkeys(name for panel in self.panels for name in panel.references))
        )
        drawn: set[str] = set()
        for column, panel in enumerate(self.panels, start=1):
            labels = sorted({point.labels for points in panel.curves.values() for point in points})
            ends = labels[0] / 1.15, labels[-1] * 1.15
            first = next(iter(panel.references), None)
            traces = [
                trace
                for name, estimate in panel.references.items()
                for trace in _reference(name, estimate, ends, grounds[name])[
                    : 2 if name == first else 1
                ]
            ]
            traces += [_curve(name, points, looks[name]) for name, points in panel.curves.items()]
            for trace in traces:
                trace.showlegend = trace.showlegend is not False and trace.name not in drawn
                drawn |= {trace.name} if trace.showlegend else set()
                figure.add_trace(trace, row=1, col=column)
        apply_theme(figure, title=self.title, caption=self.caption, x="", y="", height=480)
        for column, panel in enumerate(self.panels, start=1):
            ticks = sorted({point.labels for points in panel.curves.values() for point in points})
            figure.update_xaxes(
                type="log",
                title_text="labels",
                tickvals=ticks,
                ticktext=[f"{tick:,}" for tick in ticks],
                col=column,
            )
            figure.update_yaxes(title_text=safe(panel.measure), col=column)
        return figure


def _reference_looks(names: Sequence[str]) -> dict[str, Style]:
    dashes = ("dash", "dot", "dashdot", "longdash")
    return {
        name: Style(GREY if place == 0 else BLACK, dashes[place % len(dashes)], "circle")
        for place, name in enumerate(names)
    }


def _reference(
    name: str, estimate: Estimate, ends: tuple[float, float], look: Style
) -> list[go.Scatter]:
    """Return a horizontal line, and its band where it has an interval."""
    line = go.Scatter(
        x=list(ends),
        y=[estimate.value, estimate.value],
        mode="lines",
        line={"color": look.colour, "dash": look.dash, "width": 1.6},
        name=safe(name),
        legendgroup=safe(name),
        hovertemplate=(
            f"%{{y:.3f}} [{estimate.low:.3f}, {estimate.high:.3f}], {estimate.n} "
            f"questions<extra>%{{fullData.name}}</extra>"
        ),
    )
    if np.isnan(estimate.low):
        return [line]
    curve = IntervalCurve(
        *(np.repeat(bound, 2) for bound in (estimate.value, estimate.low, estimate.high))
    )
    band = interval_band(np.array(ends), curve, name, faded(look.colour, 0.1))
    return [line, band]


def _curve(name: str, points: Sequence[LabelledPoint], look: Style) -> go.Scatter:
    found = [point.estimate for point in points]
    return go.Scatter(
        x=[point.labels for point in points],
        y=[one.value for one in found],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.value for one in found],
            "arrayminus": [one.value - one.low for one in found],
            "thickness": 1.4,
            "width": 3,
        },
        customdata=[[one.low, one.high, one.n] for one in found],
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 2.4},
        marker={"size": 8, "symbol": look.symbol},
        name=safe(name),
        legendgroup=safe(name),
        hovertemplate=(
            "%{x:,} labels<br>%{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}], "
            "%{customdata[2]} questions"
            "<extra>%{fullData.name}</extra>"
        ),
    )
