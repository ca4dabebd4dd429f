"""Draw the following curve: does the patched state carry THAT item's confidence, or only the
general level?

Donors come from other questions. Per layer the patched readout is regressed on the donor's readout
and on the base's. Donor slope 1 with base slope 0: the patched state carries the donor's
confidence. Donor slope 0 with base slope 1: it does not, whatever the mean shift says.
``half_layer`` is the first layer whose donor slope passes .5. The slopes do not show where the
confidence was computed, only where it is held at the patched position. The band at 0 is the largest
slope that numerical noise alone could give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.curves import checked_layers
from workbench.plots.theme import BLACK, BLUE, GREY, LIGHT, Style, add_curve, add_floor, apply_theme


@dataclass(frozen=True, kw_only=True)
class FollowingCurve:
    """The slopes: ``donor_slope`` and ``base_slope`` over ``layers`` [n]; ``half_layer`` is one of
    them, or None when never reached.

    ``noise_floor`` is a slope, NaN where it is unknown.
    """

    layers: NDArray[np.int64]
    donor_slope: IntervalCurve
    base_slope: IntervalCurve
    half_layer: int | None
    noise_floor: float
    title: str
    caption: str

    def __post_init__(self) -> None:
        layers = checked_layers(self.layers, {"donor": self.donor_slope, "base": self.base_slope})
        object.__setattr__(self, "layers", layers)
        if self.half_layer is not None and self.half_layer not in layers:
            raise WorkbenchError(f"half_layer {self.half_layer} is not one of the layers drawn")

    def figure(self) -> go.Figure:
        """Draw the curves of both slopes against layer."""
        figure = go.Figure()
        add_floor(figure, self.noise_floor)
        for level in (0.0, 1.0):
            figure.add_hline(level, line={"color": LIGHT, "width": 1})
        if self.half_layer is not None:
            late = self.half_layer > (self.layers[0] + self.layers[-1]) / 2
            figure.add_vline(
                self.half_layer,
                line={"color": BLACK, "width": 1, "dash": "dot"},
                annotation={
                    "text": f"donor slope passes 0.5 at layer {self.half_layer}",
                    "font": {"size": 12},
                    "yref": "paper",
                    "y": 1,
                    "yanchor": "bottom",
                    "xanchor": "right" if late else "left",
                    "showarrow": False,
                },
            )
        add_curve(
            figure,
            self.layers,
            self.donor_slope,
            "slope on the donor's readout",
            Style(BLUE, "solid", "circle"),
            "slope",
        )
        add_curve(
            figure,
            self.layers,
            self.base_slope,
            "slope on the base's readout",
            Style(GREY, "dash", "diamond"),
            "slope",
        )
        known = np.isfinite(self.noise_floor)
        floor = f" · noise floor {self.noise_floor:.1g}" if known else ""
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption + floor,
            x="patched decoder layer",
            y="slope (1 = follows, 0 = does not)",
            height=480,
        )
        figure.update_layout(margin_t=figure.layout.margin.t + 16)
        return figure
