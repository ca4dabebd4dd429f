"""Draw discrimination against the shape of the confidence distribution: trainings that order
answers alike may state other numbers.

Each point is a state of the model. Height: AUROC2 of the expected confidence, with its interval
over questions. Panels: mean of that confidence over questions, its standard deviation over
questions, and the mean entropy of a question's distribution over the scale. AUROC2 depends on order
alone, so nothing forces points of one height to share a place. The figure does not show which
shape is the better one: calibration does.
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

_PANELS = {
    "mean": "mean expected confidence",
    "sd": "its sd over questions",
    "entropy": "entropy, bits",
}


@dataclass(frozen=True)
class ShapePoint:
    """A point of the figure: a state of the model, its AUROC2, ``mean`` and ``sd`` of its expected
    confidence over questions (0-1), and the mean ``entropy`` of its distributions in bits.
    """

    name: str
    auroc2: Estimate
    mean: float
    sd: float
    entropy: float


@dataclass(frozen=True, kw_only=True)
class DiscriminationShape:
    """The figure's data: ``points`` in the order of the legend."""

    points: Sequence[ShapePoint]
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        if not names or len(set(names)) != len(names):
            raise WorkbenchError(
                "discrimination against shape needs at least one point, each under a name of its "
                "own"
            )
        for point in self.points:
            if point.sd < 0 or point.entropy < 0:
                raise WorkbenchError(
                    f"a standard deviation and an entropy are at least 0; {point.name!r} has "
                    f"{point.sd} and {point.entropy}"
                )

    def figure(self) -> go.Figure:
        """Draw three panels of points with intervals over one AUROC2 axis."""
        figure = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.04)
        look = styles([point.name for point in self.points], self.roles)
        for column, (attribute, title) in enumerate(_PANELS.items(), start=1):
            for point in self.points:
                x = getattr(point, attribute)
                dot = _dot(point, x, title, look[point.name], legend=column == 1)
                figure.add_trace(dot, row=1, col=column)
            # Plotly draws no line into a panel that is still empty.
            figure.add_hline(
                CHANCE, line={"color": GREY, "dash": "dot", "width": 1.2}, row=1, col=column
            )
        apply_theme(figure, title=self.title, caption=self.caption, x="", y="", height=470)
        for column, title in enumerate(_PANELS.values(), start=1):
            figure.update_xaxes(title_text=title, row=1, col=column)
        figure.update_yaxes(title_text="AUROC2 of expected confidence", row=1, col=1)
        return figure


def _dot(point: ShapePoint, x: float, what: str, style: Style, *, legend: bool) -> go.Scatter:
    value = point.auroc2
    return go.Scatter(
        x=[x],
        y=[value.value],
        mode="markers",
        marker={"color": style.colour, "symbol": style.symbol, "size": 11},
        error_y=error_bars([value], style.colour, thickness=1.4, width=3),
        customdata=[[value.low, value.high]],
        name=safe(point.name),
        legendgroup=safe(point.name),
        showlegend=legend,
        hovertemplate=(
            "AUROC2 %{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<br>"
            f"{what} %{{x:.3f}}<extra>%{{fullData.name}}</extra>"
        ),
    )
