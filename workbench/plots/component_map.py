"""Draw components by layer: does attention or the MLP write the confidence, and where?

One curve per component (what attention adds, what the MLP adds, or the stream itself): the mean
shift when the donor's output of that component at one token and layer replaces the base's. Filled
markers are cells with p below .05 over the whole map. The band is the noise floor. Single
components need not add up: later layers compensate for what is missing, or read what was added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.curves import checked_layers
from workbench.plots.effect_grid import SIGNIFICANT
from workbench.plots.theme import GREY, LIGHT, add_curve, apply_theme, faded, styles


@dataclass(frozen=True, kw_only=True)
class ComponentMap:
    """The curves of components. ``curves``: mean shift of each component over ``layers`` [n];
    ``p_any`` [n] of each; ``floor`` in units of shift.
    """

    layers: NDArray[np.int64]
    curves: Mapping[str, IntervalCurve]
    p_any: Mapping[str, NDArray[np.float64]]
    floor: float
    title: str
    caption: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_layers(self.layers, dict(self.curves)))
        if set(self.p_any) != set(self.curves) or any(
            len(p) != len(self.layers) for p in self.p_any.values()
        ):
            raise WorkbenchError("every component needs a p-value for each of its layers")
        if not self.floor >= 0:
            raise WorkbenchError(f"a noise floor is a size, so at least 0; got {self.floor}")

    def figure(self) -> go.Figure:
        """Draw the curves of mean shift against layer."""
        figure = go.Figure()
        figure.add_hrect(-self.floor, self.floor, fillcolor=faded(GREY, 0.25), line_width=0)
        figure.add_hline(0, line={"color": LIGHT, "width": 1})
        for name, style in styles(self.curves).items():
            add_curve(figure, self.layers, self.curves[name], name, style, "shift")
            line = figure.data[-1]
            open_symbol = f"{style.symbol}-open"
            line.marker.symbol = [
                style.symbol if p < SIGNIFICANT else open_symbol for p in self.p_any[name]
            ]
            line.marker.size = 8
        return apply_theme(
            figure,
            title=self.title,
            caption=(
                f"{self.caption} · filled: p < {SIGNIFICANT:g} over the whole map · noise floor "
                f"{self.floor:.1g}"
            ),
            x="patched decoder layer",
            y="mean shift (0 = base, 1 = donor)",
            height=480,
        )
