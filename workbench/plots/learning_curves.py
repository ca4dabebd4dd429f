"""Draw learning curves: the mean reward of every training step against the tokens computed up to
it, several trainings in one figure.

Points are single steps; the line is their mean over the last tenth of the training, so it never
looks ahead. Higher is better, in the units of each training's reward: only trainings with the same
reward can be compared. Tokens are on a logarithmic axis, as ways of training differ by orders of
magnitude. It does not show what was learned about other questions: the rewards are those of the
training questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.plots.theme import Role, Style, apply_theme, safe, styles

SMOOTHED = 0.1
_FAINT = 0.3


@dataclass(frozen=True)
class LearningCurve:
    """The curve of one training: ``tokens`` [steps] computed up to and with each step, and its mean
    ``reward`` [steps].
    """

    tokens: NDArray[np.float64]
    reward: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("tokens", "reward"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        if self.tokens.ndim != 1 or not len(self.tokens) or self.tokens.shape != self.reward.shape:
            raise WorkbenchError(
                f"a learning curve needs tokens and reward of one length; got {self.tokens.shape}, "
                f"{self.reward.shape}"
            )
        if self.tokens[0] <= 0 or (np.diff(self.tokens) <= 0).any():
            raise WorkbenchError(
                "a learning curve's tokens are counted from the first step on, so they must rise "
                "from above 0"
            )

    def smoothed(self) -> NDArray[np.float64]:
        """Return the mean reward [steps] of the last tenth of all steps up to each, of fewer at the
        beginning.
        """
        window = max(1, round(SMOOTHED * len(self.reward)))
        sums = np.r_[0.0, np.cumsum(self.reward)]
        ends = np.arange(1, len(sums))
        starts = np.maximum(ends - window, 0)
        return (sums[ends] - sums[starts]) / (ends - starts)


@dataclass(frozen=True, kw_only=True)
class LearningCurves:
    """The figure's data: ``curves`` by the training's name."""

    curves: Mapping[str, LearningCurve]
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.curves:
            raise WorkbenchError("a figure of learning curves needs at least one")

    def figure(self) -> go.Figure:
        """Draw reward against tokens: faint points and a line for each training."""
        figure = go.Figure(layout={"showlegend": True})
        look = styles(self.curves, self.roles)
        for name, curve in self.curves.items():
            for trace in _traces(safe(name), curve, look[name]):
                figure.add_trace(trace)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="tokens computed",
            y="mean reward",
            height=480,
        )
        figure.update_xaxes(type="log")
        return figure


def _traces(name: str, curve: LearningCurve, style: Style) -> tuple[go.Scatter, go.Scatter]:
    points = go.Scatter(
        x=curve.tokens,
        y=curve.reward,
        mode="markers",
        marker={"color": style.colour, "size": 5, "symbol": style.symbol, "opacity": _FAINT},
        name=f"{name} (single steps)",
        legendgroup=name,
        showlegend=False,
        hoverinfo="skip",
    )
    line = go.Scatter(
        x=curve.tokens,
        y=curve.smoothed(),
        customdata=np.arange(1, len(curve.tokens) + 1),
        mode="lines",
        line={"color": style.colour, "dash": style.dash, "width": 2.4},
        name=name,
        legendgroup=name,
        hovertemplate=(
            "step %{customdata}, %{x:.3s} tokens<br>mean reward "
            "%{y:.3f}<extra>%{fullData.name}</extra>"
        ),
    )
    return points, line
