"""Draw the patching curve: how much of the donor's confidence arrives when one layer's state is put
into the base run?

Mean shift = mean(patched - base) / mean(donor - base) on the readout: 0 nothing moved, 1 all of it.
Controls are drawn with the effect. The dotted ramp from 0 at the first to 1 at the last layer is
what a model that writes evenly in every layer would give: since a patch of the last layer trivially
moves everything, rho near 1 alone says little. The band at 0 is the numerical noise floor. Mean
shift does not show whose confidence moved, only the level: see :mod:`workbench.plots.following`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.measure.interval import Estimate, IntervalCurve
from workbench.plots.curves import checked_layers
from workbench.plots.theme import (
    BLUE,
    GREY,
    LIGHT,
    Style,
    add_curve,
    add_floor,
    apply_theme,
    styles,
)

EFFECT = "own donor"


@dataclass(frozen=True, kw_only=True)
class PatchingCurve:
    """The figure's data, mean shift by layer: ``effect`` and ``controls`` are curves over
    ``layers`` [n].

    ``rho``: Spearman correlation of layer and shift. ``noise_floor``: shift seen when a run is
    patched with its own states.
    """

    layers: NDArray[np.int64]
    effect: IntervalCurve
    controls: Mapping[str, IntervalCurve]
    rho: Estimate
    noise_floor: float | None
    title: str
    caption: str

    def __post_init__(self) -> None:
        curves = {EFFECT: self.effect, **self.controls}
        object.__setattr__(self, "layers", checked_layers(self.layers, curves))

    def figure(self) -> go.Figure:
        """Draw the curves of mean shift against layer."""
        figure = go.Figure()
        first, last = float(self.layers[0]), float(self.layers[-1])
        if self.noise_floor is not None:
            add_floor(figure, self.noise_floor)
        figure.add_hline(0, line={"color": LIGHT, "width": 1})
        figure.add_hline(1, line={"color": LIGHT, "width": 1})
        figure.add_trace(
            go.Scatter(
                x=[first, last],
                y=[0.0, 1.0],
                mode="lines",
                line={"color": GREY, "dash": "dot", "width": 1.6},
                name="linear ramp (null)",
                hoverinfo="skip",
            )
        )
        for name, style in styles(self.controls).items():
            add_curve(figure, self.layers, self.controls[name], name, style, "shift")
        add_curve(figure, self.layers, self.effect, EFFECT, Style(BLUE, "solid", "circle"), "shift")
        rho = f"Spearman rho of layer and shift {self.rho:.3f}"
        floor = "" if self.noise_floor is None else f" · noise floor {self.noise_floor:.1g}"
        return apply_theme(
            figure,
            title=self.title,
            caption=f"{self.caption} · {rho}{floor}",
            x="patched decoder layer",
            y="mean shift (0 = base, 1 = donor)",
            height=540,
        )
