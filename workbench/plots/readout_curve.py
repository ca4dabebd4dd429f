"""Draw patched readings along one axis: what does the model answer with a donor's state in its
place?

The readout is drawn in its units. Dashed lines are the unpatched reading and the donor's; the band
around the first is what the arithmetic alone does (a run patched with its own states). Controls are
drawn with the effect. A curve that meets the donor's line says that the patched state suffices; it
does not say that the model reads it from there in an unpatched run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.theme import (
    BLUE,
    GREY,
    LIGHT,
    Style,
    add_level,
    apply_theme,
    faded,
    interval_band,
    safe,
    short,
    styles,
)

LABEL = 16
Curve = tuple[Sequence[int | str], Floats, Floats, Floats]
"""Labels along the axis, value, low and high, each [points]."""


@dataclass(frozen=True, kw_only=True)
class ReadoutCurve:
    """The figure's data: ``curves`` by name, the effect first; their labels are some of ``labels``.

    ``base`` and ``donor``: mean unpatched readings. ``floor``: the largest move by own states, NaN
    where it is unknown.
    """

    axis: str
    labels: Sequence[int | str]
    curves: Mapping[str, Curve]
    base: float
    donor: float | None
    floor: float
    unit: str
    title: str
    caption: str

    def __post_init__(self) -> None:
        for name, (labels, *values) in self.curves.items():
            if any(len(part) != len(labels) for part in values) or not {*labels} <= {*self.labels}:
                raise WorkbenchError(f"curve {name!r} does not fit the labels of its axis")

    def figure(self) -> go.Figure:
        """Draw curves over the axis, with reference lines."""
        figure = go.Figure()
        ends = (0.0, float(max(1, len(self.labels) - 1)))
        if np.isfinite(self.floor):
            figure.add_hrect(
                self.base - self.floor, self.base + self.floor, fillcolor=LIGHT, line_width=0
            )
        add_level(figure, ends, self.base, "unpatched", GREY, "dash")
        if self.donor is not None:
            add_level(figure, ends, self.donor, "donor's own run", BLUE, "dot")
        names = list(self.curves)
        looks = {names[0]: Style(BLUE, "solid", "circle")} | styles([*names[1:], ""])
        for name in reversed(names):
            self._draw(figure, name, looks[name])
        floor = f" · noise floor {self.floor:.1g}" if np.isfinite(self.floor) else ""
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption + floor,
            x="patched decoder layer" if self.axis == "layer" else self.axis,
            y=safe(self.unit),
            height=540,
        )
        step = max(1, len(self.labels) // 32)
        figure.update_xaxes(
            tickvals=list(range(0, len(self.labels), step)),
            ticktext=[short(str(label), LABEL) for label in self.labels[::step]],
        )
        return figure

    def _draw(self, figure: go.Figure, name: str, style: Style) -> None:
        labels, value, low, high = self.curves[name]
        order = list(self.labels)
        x = np.array([order.index(label) for label in labels])
        said = safe(name.replace("_", " "))
        if np.isfinite(low).any():
            band = IntervalCurve(value, low, high)
            figure.add_trace(interval_band(x, band, said, faded(style.colour, 0.14)))
        figure.add_trace(
            go.Scatter(
                x=x,
                y=value,
                customdata=np.array(
                    [
                        [safe(str(label)), a, b]
                        for label, a, b in zip(labels, low, high, strict=True)
                    ],
                    dtype=object,
                ),
                mode="lines+markers",
                line={"color": style.colour, "dash": style.dash, "width": 2.4},
                marker={"size": 6, "symbol": style.symbol},
                name=said,
                legendgroup=said,
                hovertemplate=(
                    f"{safe(self.axis)} %{{customdata[0]}}: %{{y:.3f}} [%{{customdata[1]:.3f}}, "
                    "%{customdata[2]:.3f}]<extra>%{fullData.name}</extra>"
                ),
            )
        )
