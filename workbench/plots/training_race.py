"""Draw the same training done in several ways: what each costs, and the loss of every step.

Left, bars of median seconds with the smallest and the largest of the repeats. Right, the loss by
step, averaged over the repeats; lines that coincide mean the same training. Seconds are of one
machine under its load at the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from workbench.errors import WorkbenchError
from workbench.plots.theme import GREY, apply_theme, safe, styles


@dataclass(frozen=True)
class TrainingRuns:
    """The repeats of one way: ``seconds`` [repeats] and ``losses`` [repeats, steps]."""

    seconds: NDArray[np.float64]
    losses: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("seconds", "losses"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        if (
            self.losses.ndim != 2
            or not self.losses.size
            or self.seconds.shape != self.losses.shape[:1]
        ):
            raise WorkbenchError(
                "training runs need seconds [repeats] and losses [repeats, steps], got "
                f"{self.seconds.shape}, {self.losses.shape}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingRace:
    """The figure's data: ``runs`` by name, in the order of the bars from the top."""

    runs: Mapping[str, TrainingRuns]
    title: str
    caption: str

    def __post_init__(self) -> None:
        if not self.runs:
            raise WorkbenchError("a figure of trainings needs at least one")

    def figure(self) -> go.Figure:
        """Draw bars next to lines, one colour for each way."""
        figure = make_subplots(rows=1, cols=2, column_widths=[0.45, 0.55], horizontal_spacing=0.1)
        look = styles(list(self.runs))
        for name, runs in self.runs.items():
            middle = float(np.median(runs.seconds))
            figure.add_trace(
                go.Bar(
                    x=[middle],
                    y=[safe(name)],
                    orientation="h",
                    error_x={
                        "type": "data",
                        "symmetric": False,
                        "array": [runs.seconds.max() - middle],
                        "arrayminus": [middle - runs.seconds.min()],
                    },
                    marker={"color": look[name].colour},
                    name=safe(name),
                    legendgroup=name,
                    showlegend=False,
                    hovertemplate="%{x:.3g} s<extra>%{y}</extra>",
                ),
                row=1,
                col=1,
            )
            figure.add_trace(
                go.Scatter(
                    x=np.arange(1, runs.losses.shape[1] + 1),
                    y=runs.losses.mean(axis=0),
                    mode="lines",
                    line={"color": look[name].colour, "dash": look[name].dash, "width": 2},
                    name=safe(name),
                    legendgroup=name,
                    hovertemplate="step %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
                ),
                row=1,
                col=2,
            )
        apply_theme(figure, title=self.title, caption=self.caption, x="", y="", height=460)
        figure.update_xaxes(title_text="seconds", title_font_color=GREY, rangemode="tozero", col=1)
        figure.update_yaxes(autorange="reversed", col=1)
        figure.update_xaxes(title_text="step", title_font_color=GREY, col=2)
        figure.update_yaxes(title_text="loss", title_font_color=GREY, col=2)
        return figure
