"""Draw AUROC2 by layer: where in the network can a probe read that the answer is wrong?

One curve with its band per series (before, after, shuffled labels, positions), chance at .5, and
horizontal lines at the AUROC2 of what the model says (text) or its softmax holds (expected). A gap
between a curve and the text line is knowledge that is not stated. A high curve does not show that
the model uses what the probe reads: patching does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.measure.interval import IntervalCurve
from workbench.plots.curves import checked_layers
from workbench.plots.theme import (
    BLACK,
    CHANCE,
    Role,
    add_curve,
    add_level,
    apply_theme,
    reference_styles,
    styles,
)


@dataclass(frozen=True, kw_only=True)
class AurocByLayer:
    """The curves of AUROC2 by layer. ``layers`` [n] rising; ``series``: name -> curve [n];
    ``references``: name -> AUROC2 drawn as a horizontal line.
    """

    layers: NDArray[np.int64]
    series: Mapping[str, IntervalCurve]
    references: Mapping[str, float]
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_layers(self.layers, dict(self.series)))

    def figure(self) -> go.Figure:
        """Draw the curves of AUROC2 against layer."""
        figure = go.Figure()
        ends = (float(self.layers[0]), float(self.layers[-1]))
        add_level(figure, ends, CHANCE, "chance", BLACK, "solid")
        for name, style in styles(self.series, self.roles).items():
            add_curve(figure, self.layers, self.series[name], name, style, "AUROC2")
        for name, (colour, dash) in reference_styles(self.references, self.roles).items():
            level = self.references[name]
            add_level(figure, ends, level, f"{name} {level:.3f}", colour, dash)
        return apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="decoder layer (residual stream after it)",
            y="AUROC2 (0.5 = chance)",
            height=540,
        )
